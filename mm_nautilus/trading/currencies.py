"""Currency precision of the engine: importing `mm_nautilus.trading` gives every currency at least eight digits."""

from collections.abc import Iterable
from typing import Final

from nautilus_trader.model import Currency

from mm_nautilus.market.fiat import FIAT

LEAST_DIGITS: Final = 8
"""Least number of decimal places of any currency; the engine's own precision of USDT and BTC."""

_COARSE: Final = sorted({*FIAT, "ADA", "XAG", "XAU", "XPT", "XRP", "XTZ"})
"""Currencies that the engine defines with fewer digits; it would round fees, PnL and balances to them."""


def keep_digits(codes: Iterable[str], digits: int = LEAST_DIGITS) -> None:
    """Give currencies at least `digits` decimal places in all instruments and amounts created from now on."""
    for code in codes:
        known = Currency.from_str(code)
        if known.precision < digits:
            wider = Currency(known.code, digits, known.iso4217, known.name, known.currency_type)
            Currency.register(wider, overwrite=True)


keep_digits(_COARSE)
