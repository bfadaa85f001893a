"""The engine's reports as typed Parquet files: exact decimals, UTC times, a currency beside every amount."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.system.whole_file import whole_file

__all__ = ["FILLS", "ORDERS", "POSITIONS", "table_schema", "write_report"]

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


def _tag(row: Mapping[str, Any]) -> str | None:
    tags = row.get("tags")
    return str(tags[0]) if isinstance(tags, list | tuple) and tags else None


FILLS: Final[tuple[Column, ...]] = (
    ("ts_event", _TIME, _time("ts_event")),
    ("symbol", pa.string(), _symbol),
    ("side", pa.string(), _text("order_side")),
    ("price", _AMOUNT, _amount("last_px")),
    ("quantity", _AMOUNT, _amount("last_qty")),
    ("commission", _AMOUNT, _amount("commission")),
    ("commission_currency", pa.string(), _currency("commission")),
    ("liquidity", pa.string(), _text("liquidity_side")),
    ("order_type", pa.string(), _text("order_type")),
    ("purpose", pa.string(), _tag),
    ("client_order_id", pa.string(), _text("client_order_id")),
    ("trade_id", pa.string(), _text("trade_id")),
)
ORDERS: Final[tuple[Column, ...]] = (
    ("ts_init", _TIME, _time("ts_init")),
    ("ts_last", _TIME, _time("ts_last")),
    ("symbol", pa.string(), _symbol),
    ("side", pa.string(), _text("side")),
    ("order_type", pa.string(), _text("type")),
    ("purpose", pa.string(), _tag),
    ("status", pa.string(), _text("status")),
    ("price", _AMOUNT, _amount("price")),
    ("quantity", _AMOUNT, _amount("quantity")),
    ("filled_quantity", _AMOUNT, _amount("filled_qty")),
    ("client_order_id", pa.string(), _text("client_order_id")),
)
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


def table_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the names and types of columns."""
    return pa.schema([(name, kind) for name, kind, _ in columns])


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
    table = pa.table(arrays, schema=table_schema(columns))
    with whole_file(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")
    return table
