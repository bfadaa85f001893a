"""The tables of orders, fills and positions: exact decimals, UTC times, a currency beside every amount."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.system.whole_file import whole_file

__all__ = ["FILLS", "ORDERS", "POSITIONS", "write_report"]

_AMOUNT: Final = pa.decimal128(38, 18)
_TIME: Final = pa.timestamp("ns", tz="UTC")

type Column = tuple[str, pa.DataType, Callable[[Mapping[str, Any]], Any]]


def _missing(value: Any) -> bool:
    return not isinstance(value, list) and bool(pd.isna(value))


def _text(name: str) -> Callable[[Mapping[str, Any]], str | None]:
    return lambda row: None if _missing(row.get(name)) else str(row[name])


def _symbol(row: Mapping[str, Any]) -> str:
    return str(row["instrument_id"]).rpartition(".")[0]


def _amount(name: str) -> Callable[[Mapping[str, Any]], Decimal | None]:
    """Read a number, or the number of an amount such as ``0.1 USDT``."""
    return lambda row: None if _missing(row.get(name)) else Decimal(str(row[name]).split()[0])


def _currency(name: str) -> Callable[[Mapping[str, Any]], str | None]:
    return lambda row: None if _missing(row.get(name)) else str(row[name]).split()[1]


def _time(name: str) -> Callable[[Mapping[str, Any]], int | None]:
    return lambda row: None if _missing(row.get(name)) else pd.Timestamp(row[name]).value


_FILLS: Final[dict[str, pa.DataType]] = {
    "ts_event": _TIME,
    "symbol": pa.string(),
    "side": pa.string(),
    "price": _AMOUNT,
    "quantity": _AMOUNT,
    "commission": _AMOUNT,
    "commission_currency": pa.string(),
    "liquidity": pa.string(),
    "order_type": pa.string(),
    "purpose": pa.string(),
    "client_order_id": pa.string(),
    "trade_id": pa.string(),
}
FILLS: Final = pa.schema(_FILLS)
_ORDERS: Final[dict[str, pa.DataType]] = {
    "ts_init": _TIME,
    "ts_last": _TIME,
    "symbol": pa.string(),
    "side": pa.string(),
    "order_type": pa.string(),
    "purpose": pa.string(),
    "status": pa.string(),
    "price": _AMOUNT,
    "quantity": _AMOUNT,
    "filled_quantity": _AMOUNT,
    "client_order_id": pa.string(),
}
ORDERS: Final = pa.schema(_ORDERS)
POSITIONS: Final[tuple[Column, ...]] = (
    ("ts_opened", _TIME, _time("ts_opened")),
    ("ts_closed", _TIME, _time("ts_closed")),
    ("symbol", pa.string(), _symbol),
    ("entry", pa.string(), _text("entry")),
    ("side", pa.string(), _text("side")),
    ("peak_quantity", _AMOUNT, _amount("peak_qty")),
    ("quantity", _AMOUNT, _amount("quantity")),
    ("average_open_price", pa.float64(), lambda row: float(row["avg_px_open"])),
    ("realized_pnl", _AMOUNT, _amount("realized_pnl")),
    ("currency", pa.string(), _currency("realized_pnl")),
)


def write_report(report: pd.DataFrame, columns: tuple[Column, ...], path: Path) -> pa.Table:
    """Write one of the engine's reports with the columns given, and return it.

    Parameters
    ----------
    report
        What the engine generated; its index becomes a column of its name.
    columns
        Name, type and reader of each column; rows are ordered by the first, their time.
    path
        The Parquet file.
    """
    indexed = report.reset_index() if report.index.name else report
    if len(indexed):
        indexed = indexed.sort_values(columns[0][0], kind="stable")
    rows: list[dict[Any, Any]] = indexed.to_dict("records")
    arrays = [pa.array([read(row) for row in rows], type=kind) for _, kind, read in columns]
    table = pa.table(arrays, schema=pa.schema([(name, kind) for name, kind, _ in columns]))
    with whole_file(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")
    return table
