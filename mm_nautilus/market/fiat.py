"""Currencies that people count in cents, yen or the like, and what counts as dollars."""

from typing import Final

__all__ = ["DOLLARS", "FIAT"]

DOLLARS: Final = frozenset({"USD", "USDC", "USDT"})
"""Currencies that are written with a dollar sign."""

FIAT: Final = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR", "JPY", "KRW",
    "MXN", "NOK", "NZD", "PLN", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})  # fmt: skip
"""Codes of those that venues list; the engine by itself keeps two decimal places of them, or none."""
