"""An independent recomputation of a run's money from its fills, in exact decimals."""

from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from mm_nautilus.config.amount import Amount

CENT_OF_COIN = Decimal("1e-8")
"""The precision the engine keeps of USDT and BTC."""


@dataclass
class SymbolFlows:
    """What the fills of one symbol moved."""

    base: Decimal
    quote: Decimal
    fees: Decimal
    fills: int


def flows(fills: pd.DataFrame, symbol: str) -> SymbolFlows:
    """Add up one symbol's fills: base currency in, quote currency in before fees, and fees."""
    rows = fills[fills.symbol == symbol]
    base = quote = fees = Decimal(0)
    for row in rows.itertuples():
        sign = 1 if row.side == "BUY" else -1
        base += sign * row.quantity
        quote -= sign * (row.quantity * row.price).quantize(CENT_OF_COIN)
        fees += row.commission
        assert row.commission_currency == symbol.partition("/")[2]
    return SymbolFlows(base, quote, fees, len(rows))


def expected_balances(start: list[Amount], fills: pd.DataFrame) -> dict[str, Decimal]:
    """Return the balances of a cash account after its fills."""
    balances = {amount.currency: amount.value for amount in start}
    for symbol in fills.symbol.unique():
        base, _, quote = symbol.partition("/")
        moved = flows(fills, symbol)
        balances[base] = balances.get(base, Decimal(0)) + moved.base
        balances[quote] = balances.get(quote, Decimal(0)) + moved.quote - moved.fees
    return balances
