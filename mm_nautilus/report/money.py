"""How amounts are written for people."""

from typing import Final

__all__ = ["signed_amount", "unsigned_amount"]

_DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
"""Currencies written with a dollar sign."""
_DECIMALS: Final = 8
"""Digits after the decimal point of other currencies."""


def signed_amount(value: float, currency: str) -> str:
    """Return an amount with its sign, for example ``+$1.25`` or ``-0.00000125 BTC``."""
    return ("+" if value >= 0 else "-") + unsigned_amount(abs(value), currency)


def unsigned_amount(value: float, currency: str) -> str:
    """Return an amount, with a minus sign only if it is negative: ``$195.38`` or ``0.50000000 BTC``."""
    sign = "-" if value < 0 else ""
    if currency in _DOLLARS:
        return f"{sign}${abs(value):.2f}"
    return f"{sign}{abs(value):.{_DECIMALS}f} {currency}"
