"""How amounts are written for people."""

import math
from typing import Final, Literal

from mm_nautilus.market.fiat import DOLLARS, FIAT

_CENTS: Final = 2
"""Digits after the decimal point of dollars and of what people count in cents, yen or the like."""
_MOST_DECIMALS: Final = 8
"""Digits after the decimal point of other currencies, and the most of any."""


def is_dollar(currency: str) -> bool:
    """Return whether amounts of a currency are written with a dollar sign."""
    return currency in DOLLARS


def amount_decimals(currency: str) -> int:
    """Return how many digits after the decimal point amounts of a currency are written with."""
    return _CENTS if currency in DOLLARS | FIAT else _MOST_DECIMALS


def decimal_text(value: float, decimals: int, sign: Literal["+", "-"] = "-") -> str:
    """Return a number with so many decimal places; one that would read as 0 and is not has two significant digits.

    Below half of the eighth decimal place, which is less than the engine keeps, it is 0. With the sign ``+`` all but
    negative numbers have a plus.
    """
    text = f"{value:{sign}z.{decimals}f}"
    if value == 0 or float(text) != 0 or not math.isfinite(value):
        return text
    small = min(_MOST_DECIMALS, 1 - math.floor(math.log10(abs(value))))
    finer = f"{value:{sign}z.{max(small, decimals)}f}"
    return finer if float(finer) else text


def signed_amount(value: float, currency: str) -> str:
    """Return an amount with its sign, for example ``+$1.25`` or ``-0.00000125 BTC``; nothing has a plus."""
    text = unsigned_amount(value, currency)
    return text if text.startswith("-") else f"+{text}"


def unsigned_amount(value: float, currency: str) -> str:
    """Return an amount, with a minus sign only if it is negative: ``$195.38`` or ``0.50000000 BTC``."""
    number = decimal_text(value, amount_decimals(currency))
    if not is_dollar(currency):
        return f"{number} {currency}"
    return f"-${number[1:]}" if number.startswith("-") else f"${number}"
