"""The thin layer between the core and NautilusTrader."""

from mm_nautilus.nautilus import currencies

__all__ = ["currencies"]
