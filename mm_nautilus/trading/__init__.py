"""The market-making strategy on the engine; importing it widens currency precision (see `currencies`)."""

from mm_nautilus.trading import currencies

__all__ = ["currencies"]
