"""The strategy."""

from mm_nautilus.trading import currencies

__all__ = ["currencies"]
