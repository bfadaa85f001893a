"""`SymbolMetrics`, the custom data type on the message bus and in the catalog."""

from dataclasses import fields
from typing import Any, Final

import pyarrow as pa
from nautilus_trader.model import CustomData, DataType, InstrumentId, register_custom_data_class
from nautilus_trader.model.custom import customdataclass


@customdataclass
class SymbolMetrics:
    """Metrics of one symbol at one moment.

    Every amount of money is decimal text with its currency, for example ``-0.01250000 USDT``, and empty while a price
    for its conversion is missing. Prices are floats in quote currency, NaN if there is none. Counts start with the run.

    Attributes
    ----------
    fills, trades, wins, losses
        Executions; executions that reduced a position; those of them with a profit and with a loss.
    win_rate
        Wins as % of trades, one decimal.
    realized_pnl, unrealized_pnl, total_pnl, average_pnl, fees
        In quote currency; marked at mid, net of fees; `average_pnl` is realised PnL per trade.
    funding, funding_report
        Funding payments of a perpetual, negative if paid, in quote currency and in the report currency; no part of any
        PnL here.
    realized_pnl_report, unrealized_pnl_report, total_pnl_report
        The same in the report currency, at the pairs' own mids. The total values both legs of the position at
        the rates that the account's equity uses, so that totals of symbols add up to the change in equity.
    inventory
        Net position since the start, in base currency.
    mid_price, reservation_price, trailing_stop_price
        In quote currency.
    volatility_pct, volatility_source, volatility_since_ns
        One-minute volatility of the mid, %, NaN while unknown; its source, in words; and the start of its measurement,
        nanoseconds since the epoch.
    state, reason
        ``quoting``, ``paused`` or ``halted``, and why one or both sides are not quoted; empty if both are.
    feed_age_seconds
        Time since the last book event, seconds.
    """

    instrument_id: InstrumentId
    symbol: str
    fills: int
    trades: int
    wins: int
    losses: int
    win_rate: float
    realized_pnl: str
    unrealized_pnl: str
    total_pnl: str
    average_pnl: str
    fees: str
    funding: str
    funding_report: str
    realized_pnl_report: str
    unrealized_pnl_report: str
    total_pnl_report: str
    inventory: str
    mid_price: float
    reservation_price: float
    trailing_stop_price: float
    volatility_pct: float
    volatility_source: str
    volatility_since_ns: int
    state: str
    reason: str
    feed_age_seconds: float


register_custom_data_class(SymbolMetrics)

_FIELDS: Final = tuple(field.name for field in fields(SymbolMetrics))

SYMBOL_METRICS: Final = DataType("SymbolMetrics")
"""Data type to subscribe to for every symbol's metrics."""


def metrics_data(metrics: SymbolMetrics) -> CustomData:
    """Wrap metrics as the engine's custom data, for the message bus and the catalog."""
    return CustomData(SYMBOL_METRICS, metrics)


def metrics_row(metrics: SymbolMetrics) -> dict[str, Any]:
    """Return metrics as plain values, one per column of `metrics_schema`."""
    # Equal to the class's own `to_dict`, which is several times slower.
    row: dict[str, Any] = {name: getattr(metrics, name) for name in _FIELDS}
    row["instrument_id"] = str(metrics.instrument_id)
    row["type"] = SymbolMetrics.__name__
    row["ts_event"], row["ts_init"] = metrics.ts_event, metrics.ts_init  # type: ignore[attr-defined]
    return row


def metrics_schema() -> pa.Schema:
    """Return the Arrow schema of stored metrics."""
    schema: pa.Schema = SymbolMetrics.arrow_schema_py()  # type: ignore[attr-defined]
    return schema
