"""Book changes, touches and trades as flat Parquet tables: exact decimals, UTC times, plain words."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.data.catalog_files import decimals
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import (
    ACTION_ADD,
    ACTION_CLEAR,
    ACTION_DELETE,
    ACTION_UPDATE,
    FLAG_LAST,
    FLAG_SNAPSHOT,
    SIDE_ASK,
    SIDE_BID,
    SIDE_NONE,
    DeltaBlock,
    Ints,
    TradeBlock,
)

__all__ = ["FlatTable", "book_columns", "touch_columns", "trade_columns"]

_TIME: Final = pa.timestamp("ns", tz="UTC")
_TOUCH_ROWS: Final = 100_000
_ACTIONS: Final = {ACTION_ADD: "add", ACTION_UPDATE: "update", ACTION_DELETE: "delete", ACTION_CLEAR: "clear"}
_SIDES: Final = {SIDE_NONE: None, SIDE_BID: "bid", SIDE_ASK: "ask"}
_TAKERS: Final = {SIDE_NONE: None, SIDE_BID: "buy", SIDE_ASK: "sell"}

type Columns = dict[str, Any]


class FlatTable:
    """A Parquet file that is written in parts, closed with the block.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    rows
        Rows written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, columns: Columns) -> None:
        """Write some rows; all parts have the same columns."""
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self._writer.write_table(table)
        self.rows += table.num_rows


def _times(values: Ints) -> Any:
    return pa.array(values).cast(_TIME)


def _words(codes: Ints, words: dict[int, str | None] | dict[int, str]) -> Any:
    texts: Any = pa.array([words[code] for code in sorted(words)], pa.string())
    return texts.take(np.searchsorted(sorted(words), codes))


def book_columns(spec: InstrumentSpec, block: DeltaBlock) -> Columns:
    """Return book changes: what happened to which level, its new size, and where groups and full books are."""
    return {
        "ts_event": _times(block.ts_event),
        "ts_init": _times(block.ts_init),
        "action": _words(block.action, _ACTIONS),
        "side": _words(block.side, _SIDES),
        "price": decimals(block.price_ticks, spec.price_increment),
        "size": decimals(block.size_lots, spec.size_increment),
        "is_snapshot": pa.array((block.flags & FLAG_SNAPSHOT) != 0),
        "is_last_of_group": pa.array((block.flags & FLAG_LAST) != 0),
    }


def trade_columns(spec: InstrumentSpec, block: TradeBlock) -> Columns:
    """Return trades with the taker's side, null where it is not known."""
    return {
        "ts_event": _times(block.ts_event),
        "ts_init": _times(block.ts_init),
        "taker_side": _words(block.aggressor, _TAKERS),
        "price": decimals(block.price_ticks, spec.price_increment),
        "size": decimals(block.size_lots, spec.size_increment),
        "trade_id": pa.array(block.trade_id, pa.string()),
    }


def touch_columns(spec: InstrumentSpec, touches: TouchSeries) -> Iterator[Columns]:
    """Yield the touch after every change of its prices or sizes, in parts."""
    for start in range(0, len(touches), _TOUCH_ROWS):
        part = slice(start, start + _TOUCH_ROWS)
        yield {
            "ts_init": _times(touches.ts_ns[part]),
            "bid_price": decimals(touches.bid_ticks[part], spec.price_increment),
            "bid_size": decimals(touches.bid_lots[part], spec.size_increment),
            "ask_price": decimals(touches.ask_ticks[part], spec.price_increment),
            "ask_size": decimals(touches.ask_lots[part], spec.size_increment),
        }
