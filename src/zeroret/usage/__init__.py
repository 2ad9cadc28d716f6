"""What one exchange used: the record, and the meter that fills it."""
