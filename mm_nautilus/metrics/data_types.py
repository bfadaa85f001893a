"""The package's custom data type as the message bus and the catalog carry it."""

from dataclasses import fields
from typing import Any, Final

import pyarrow as pa
from nautilus_trader.model import CustomData, DataType, InstrumentId, register_custom_data_class
from nautilus_trader.model.custom import customdataclass

__all__ = ["SYMBOL_METRICS", "SymbolMetrics", "metrics_data", "metrics_row", "metrics_schema"]


@customdataclass
class SymbolMetrics:
    """Figures of one symbol at one moment.

    Every amount of money is decimal text with its currency, for example ``-0.01250000 USDT``, and empty where
    it is not known, because a price for the conversion is still missing. Prices are floats in quote currency,
    NaN where there is none. Counts start with the run.

    Attributes
    ----------
    instrument_id, symbol
        The instrument and its symbol.
    fills, trades, wins, losses
        Executions; executions that reduced a position; those of them with a profit and with a loss.
    win_rate
        Wins as % of trades, one decimal.
    realized_pnl, unrealized_pnl, total_pnl, average_pnl, fees
        In quote currency; marked at mid, net of fees; `average_pnl` is realised PnL per trade.
    realized_pnl_report, unrealized_pnl_report, total_pnl_report
        The same in the report currency, at the pairs' own mids. The total values both legs of the position at
        the rates that the account's equity uses, so that totals of symbols add up to the change in equity.
    inventory
        Net position since the start, in base currency.
    mid_price, reservation_price, trailing_stop_price
        In quote currency.
    volatility_pct, volatility_source, volatility_since_ns
        One-minute volatility of the mid, %, NaN while it is not known; what it was measured from, in words, and from
        when on, nanoseconds since the epoch.
    state, reason
        ``quoting``, ``paused`` or ``halted``, and why a side, or neither, is quoted; empty where both are.
    feed_age_seconds
        Time since the feed's last event.
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
"""What to subscribe to for every symbol's metrics."""


def metrics_data(metrics: SymbolMetrics) -> CustomData:
    """Wrap metrics for publishing and for the catalog."""
    return CustomData(SYMBOL_METRICS, metrics)


def metrics_row(metrics: SymbolMetrics) -> dict[str, Any]:
    """Return metrics as plain values, one a column of `metrics_schema`."""
    # What the class's own `to_dict` returns, which looks every annotation up anew and takes several times as long.
    row: dict[str, Any] = {name: getattr(metrics, name) for name in _FIELDS}
    row["instrument_id"] = str(metrics.instrument_id)
    row["type"] = SymbolMetrics.__name__
    row["ts_event"], row["ts_init"] = metrics.ts_event, metrics.ts_init  # type: ignore[attr-defined]
    return row


def metrics_schema() -> pa.Schema:
    """Return the Arrow schema that metrics are stored with."""
    schema: pa.Schema = SymbolMetrics.arrow_schema_py()  # type: ignore[attr-defined]
    return schema
