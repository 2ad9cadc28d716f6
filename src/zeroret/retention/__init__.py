"""The policy's clocks: what goes when, from which store."""
