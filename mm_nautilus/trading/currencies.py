"""Digits that the engine keeps of money; importing this layer gives every currency at least eight."""

from collections.abc import Iterable
from typing import Final

from nautilus_trader.model import Currency

from mm_nautilus.market.fiat import FIAT

__all__ = ["LEAST_DIGITS", "keep_digits"]

LEAST_DIGITS: Final = 8
"""Digits after the decimal point that the engine keeps of any currency, as it does of USDT and BTC by itself."""

_COARSE: Final = sorted({*FIAT, "ADA", "XAG", "XAU", "XPT", "XRP", "XTZ"})
"""What the engine knows with fewer, to which it would round every fee, result and balance."""


def keep_digits(codes: Iterable[str], digits: int = LEAST_DIGITS) -> None:
    """Make the engine keep at least `digits` of some currencies in all instruments and money made from now on."""
    for code in codes:
        known = Currency.from_str(code)
        if known.precision < digits:
            wider = Currency(known.code, digits, known.iso4217, known.name, known.currency_type)
            Currency.register(wider, overwrite=True)


keep_digits(_COARSE)
