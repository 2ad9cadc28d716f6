"""Content in flight: the live set, matching, disguises, redaction."""
