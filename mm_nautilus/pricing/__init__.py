"""Pricing without the engine: reservation price, widths, quotes in ticks and lots, exits."""

from mm_nautilus.calibration.volatility import volatility_pct
from mm_nautilus.pricing.exits import trailing_stop_price
from mm_nautilus.pricing.models import avellaneda_stoikov_quotes, glft_quotes, reservation_price
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import MarketView, PositionView, PricedQuote, PricingModel

__all__ = [
    "MarketView",
    "NotQuoting",
    "PositionView",
    "PricedQuote",
    "PricingModel",
    "avellaneda_stoikov_quotes",
    "glft_quotes",
    "reservation_price",
    "trailing_stop_price",
    "volatility_pct",
]
