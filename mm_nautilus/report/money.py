"""How amounts are written for people."""

import math
from collections.abc import Iterable, Sequence
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


def shared_decimals(values: Iterable[float], currency: str) -> int:
    """Return with how many digits after the decimal point amounts that are read together are written."""
    decimals = amount_decimals(currency)
    return max((len(decimal_text(value, decimals).partition(".")[2]) for value in values), default=decimals)


def adding_decimals(total: float, parts: Sequence[float], currency: str) -> int:
    """Return the least such number with which a sum and its parts add up as they are written.

    Where they do not with any, as the sum has other parts, too, it is that of `shared_decimals`.
    """
    least = shared_decimals([total, *parts], currency)
    return next((n for n in range(least, _MOST_DECIMALS + 1) if not rounding(total, parts, n)), least)


def rounding(total: float, parts: Iterable[float], decimals: int) -> float:
    """Return what the parts of a sum lack of it, each rounded to so many digits after the decimal point."""
    return round(round(total, decimals) - sum(round(part, decimals) for part in parts), decimals)


def signed_amount(value: float, currency: str, decimals: int = 0) -> str:
    """Return an amount with its sign, for example ``+$1.25`` or ``-0.00000125 BTC``; nothing has a plus.

    `decimals` are the least digits after the decimal point, where the currency's are fewer.
    """
    text = unsigned_amount(value, currency, decimals)
    return text if text.startswith("-") else f"+{text}"


def unsigned_amount(value: float, currency: str, decimals: int = 0) -> str:
    """Return an amount as `signed_amount` does, but without a plus: ``$195.38`` or ``0.50000000 BTC``."""
    number = decimal_text(value, max(decimals, amount_decimals(currency)))
    if not is_dollar(currency):
        return f"{number} {currency}"
    return f"-${number[1:]}" if number.startswith("-") else f"${number}"


def rounded_up(value: float) -> str:
    """Return a number of two significant digits that is not below the given one."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(round(value / unit, 6)) * unit:.4g}"
