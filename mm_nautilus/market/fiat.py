"""Fiat currency codes, and the currencies written with a dollar sign."""

from typing import Final

DOLLARS: Final = frozenset({"USD", "USDC", "USDT"})
"""Currencies that are written with a dollar sign."""

FIAT: Final = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR", "JPY", "KRW",
    "MXN", "NOK", "NZD", "PLN", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})  # fmt: skip
"""Fiat currencies that venues list; the engine's default precision of them is two decimal places or none."""
