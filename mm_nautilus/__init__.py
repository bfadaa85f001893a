"""Market making on NautilusTrader."""
