"""Risk checks before quoting: guards, limits, halts and the kill switch."""
