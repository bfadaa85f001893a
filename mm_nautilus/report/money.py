"""How amounts are written for people."""

from typing import Final

__all__ = ["signed_amount", "unsigned_amount"]

_DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
"""Currencies written with a dollar sign."""
_DECIMALS: Final = 8
"""Digits after the decimal point of other currencies."""


def signed_amount(value: float, currency: str) -> str:
    """Return an amount with its sign, for example ``+$1.25`` or ``-0.00000125 BTC``; nothing has a plus."""
    text = unsigned_amount(value, currency)
    return text if text.startswith("-") else f"+{text}"


def unsigned_amount(value: float, currency: str) -> str:
    """Return an amount, with a minus sign only if it is negative: ``$195.38`` or ``0.50000000 BTC``."""
    if currency in _DOLLARS:
        number = f"{value:z.2f}"
        return f"-${number[1:]}" if number.startswith("-") else f"${number}"
    return f"{value:z.{_DECIMALS}f} {currency}"
