"""Whether we may quote: guards, limits and their states."""
