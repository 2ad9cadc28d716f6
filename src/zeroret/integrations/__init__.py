"""One file per third-party library; each is loaded when that library is."""
