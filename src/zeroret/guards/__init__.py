"""One file per way out that the standard library opens, each with the guard that closes it."""
