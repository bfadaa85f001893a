"""The tables of orders, fills and positions: exact decimals, UTC times, a currency beside every amount."""

import math
from bisect import bisect_left
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import OrderType

from mm_nautilus.errors import DataError
from mm_nautilus.system.whole_file import whole_file

_AMOUNT: Final[pa.DataType] = pa.decimal128(38, 18)
_TIME: Final[pa.DataType] = pa.timestamp("ns", tz="UTC")

FILLS: Final = pa.schema(
    {
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
        "trade_pnl": _AMOUNT,
        "open_fees": _AMOUNT,
        "position": _AMOUNT,
        "entry_price": pa.float64(),
        "ts_opened": _TIME,
    }
)
ORDERS: Final = pa.schema(
    {
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
)
_POSITIONS: Final = pa.schema(
    {
        "ts_opened": _TIME,
        "ts_closed": _TIME,
        "symbol": pa.string(),
        "entry": pa.string(),
        "side": pa.string(),
        "peak_quantity": _AMOUNT,
        "quantity": _AMOUNT,
        "average_open_price": pa.float64(),
        "realized_pnl": _AMOUNT,
        "currency": pa.string(),
    }
)
_KEPT_SECONDS: Final = 60
"""How long the engine keeps a closed order: who hears late of an execution still finds the order's purpose."""
COMPRESSION: Final = "zstd"

type Row = tuple[Any, ...]
"""A row in the order of the columns."""


class Rows:
    """A table that is being written, row by row.

    Until it is closed it is a folder of Parquet files beside its own, ``metrics.parts`` for ``metrics.parquet``, which
    readers take as one table. Each `flush` rewrites the file that is being filled, whole and at once: whatever ends the
    process costs the rows since the last flush and no others. A new file is begun after `most_rows`, which bounds
    memory and what a flush rewrites. Rows that cannot be written wait for the next flush.
    """

    def __init__(self, path: Path, schema: pa.Schema, most_rows: int = 5_000) -> None:
        self._path, self._schema, self._most_rows = path, schema, most_rows
        self._rows: list[Row] = []
        self._parts = path.with_suffix(".parts")
        self._parts.mkdir()
        self._number = 1
        self._part: list[pa.Table] = []  # an empty table would import pandas, before the first event

    def append(self, row: Row) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) == self._most_rows:
            self.flush()

    def flush(self) -> None:
        """Bring all rows so far to the disk."""
        if self._rows:
            columns = zip(zip(*self._rows, strict=True), self._schema, strict=True)
            arrays = [pa.array(values, type=field.type) for values, field in columns]
            self._write(pa.concat_tables([*self._part, pa.table(arrays, schema=self._schema)]))
            self._rows.clear()

    def _write(self, part: pa.Table) -> None:
        with whole_file(self._parts / f"{self._number:06d}.parquet") as unfinished:
            pq.write_table(part, unfinished, compression=COMPRESSION)
        self._part = [part]
        if part.num_rows >= self._most_rows:
            self._number, self._part = self._number + 1, []

    def leave(self) -> None:
        """Write what is left, in a hurry; `join_parts` makes the one file of it."""
        self.flush()
        if self._number == 1 and not self._part:
            self._write(self._schema.empty_table())

    def close(self) -> None:
        """Write what is left and finish the file."""
        self.leave()
        join_parts(self._parts)


def join_parts(folder: Path) -> None:
    """Make a table's file of the folder of its parts, and remove that; a DataError says that there are none."""
    path, parts = folder.with_suffix(".parquet"), sorted(folder.glob("*.parquet"))
    if not path.exists():  # else an earlier call was ended while it removed the parts
        if not parts:
            raise DataError(
                f"{folder} must hold the rows of {path.name}, was empty: they could not be written"
            )
        if len(parts) == 1:
            parts[0].replace(path)
        else:
            _join(parts, path)
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def _join(parts: list[Path], path: Path) -> None:
    schema = pq.read_schema(parts[0])
    with (
        whole_file(path) as unfinished,
        pq.ParquetWriter(unfinished, schema, compression=COMPRESSION) as writer,
    ):
        for part in parts:
            writer.write_table(pq.read_table(part))


class OrderTable:
    """Write ``orders.parquet`` from the engine's orders; have it forget those that are closed.

    Rows stand in the order of their times, those of one moment in that of the order's id. A row is held back while
    an order that is still open may have an earlier one.
    """

    def __init__(self, folder: Path) -> None:
        self._rows = Rows(folder / "orders.parquet", ORDERS)
        self._held: list[tuple[int, str, Row]] = []
        self._taken: set[str] = set()

    def take_closed(self, cache: Any, now_ns: int) -> None:
        """Take the rows of closed orders, then purge these and the account's past states from the engine."""
        open_since_ns = now_ns
        for order in cache.orders():
            if order.is_closed:
                self._take(order)
            else:
                open_since_ns = min(open_since_ns, order.ts_init)
        cache.purge_closed_orders(now_ns, _KEPT_SECONDS)
        cache.purge_account_events(now_ns, 0)
        self._taken.intersection_update(known.value for known in cache.client_order_ids_closed())
        self._release(open_since_ns)

    def _take(self, order: Any) -> None:
        order_id = order.client_order_id.value
        if order_id not in self._taken:
            self._taken.add(order_id)
            self._held.append((order.ts_init, order_id, _order_row(order)))

    def _release(self, before_ns: float) -> None:
        """Write the rows of earlier moments, nanoseconds since the epoch."""
        self._held.sort()
        count = bisect_left(self._held, before_ns, key=itemgetter(0))
        for _, _, row in self._held[:count]:
            self._rows.append(row)
        del self._held[:count]

    def close(self, cache: Any) -> None:
        """Write all that is left, orders that are still open among it, and close the file."""
        with ExitStack() as closing:
            closing.callback(self._rows.close)
            for order in cache.orders():
                self._take(order)
            self._release(math.inf)


def _order_row(order: Any) -> Row:
    tags = order.tags
    return (
        order.ts_init,
        order.ts_last,
        order.instrument_id.symbol.value,
        order.side.name,
        order.order_type.name,
        tags[0] if tags else None,
        order.status.name,
        order.price.as_decimal() if order.order_type == OrderType.LIMIT else None,
        order.quantity.as_decimal(),
        order.filled_qty.as_decimal(),
        order.client_order_id.value,
    )


def write_positions(cache: Any, path: Path) -> None:
    """Write all positions of a run as they were opened; of one that is open again the closed ones are snapshots."""
    rows = Rows(path, _POSITIONS)
    positions = [*cache.positions(), *cache.position_snapshots()]
    for position in sorted(positions, key=lambda position: position.ts_opened):
        realized = position.realized_pnl
        rows.append(
            (
                position.ts_opened,
                position.ts_closed,
                position.instrument_id.symbol.value,
                position.entry.name,
                position.side.name,
                position.peak_qty.as_decimal(),
                position.quantity.as_decimal(),
                position.avg_px_open,
                None if realized is None else realized.as_decimal(),
                None if realized is None else realized.currency.code,
            )
        )
    rows.close()
