"""The thin layer between the core and NautilusTrader."""
