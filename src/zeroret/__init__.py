"""Zero retention for LLM API servers: keep no prompt, meter every exchange."""
