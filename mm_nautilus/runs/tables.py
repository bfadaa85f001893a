"""The tables of orders, fills and positions: exact decimals, UTC times, a currency beside every amount.

Those of a backtest are written as orders close, so that the engine need not keep them.
"""

from bisect import bisect_left
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import OrderType

from mm_nautilus.system.whole_file import naming, whole_file

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
"""How long the engine keeps a closed order: whoever hears late of an execution still finds what its order was for."""

type Row = tuple[Any, ...]
"""A row in the order of the columns."""

_PARTS_SUFFIX: Final = ".parts"
"""What the folder of a table's parts has in place of the file's suffix."""

_COMPRESSION: Final = "zstd"


class Rows:
    """A table of a run that is being written, row by row."""

    def __init__(self, path: Path, schema: pa.Schema, most_rows: int = 5_000) -> None:
        self._path, self._schema, self._most_rows = path, schema, most_rows
        self._rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) >= self._most_rows:
            self.flush()

    def _table(self) -> pa.Table:
        """Return the rows that wait, made column by column."""
        columns = zip(zip(*self._rows, strict=True), self._schema, strict=True)
        return pa.table([pa.array(v, type=field.type) for v, field in columns], schema=self._schema)

    def flush(self) -> None:
        """Bring what has been added to the disk, as far as the kind of file allows."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is left and finish the file."""
        raise NotImplementedError

    def leave(self) -> None:
        """Write what is left, in a hurry: parts stay parts."""
        self.close()


class RowFile(Rows):
    """Append rows to a Parquet file in groups, so that memory does not grow with the run.

    The file is there once it is closed: a Parquet file ends with its table of contents. After rows that could not be
    written it never is.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._failure: OSError | None = None
        with ExitStack() as opened:
            unfinished = opened.enter_context(whole_file(path))
            self._writer = opened.enter_context(
                pq.ParquetWriter(unfinished, schema, compression=_COMPRESSION)
            )
            self._whole = opened.pop_all()

    def flush(self) -> None:
        """Write the rows so far as a group of their own."""
        if not self._rows or self._failure is not None:
            return
        try:
            with naming(self._path):
                self._writer.write_table(self._table())
        except OSError as error:
            self._failure = error
            raise
        self._rows.clear()

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._whole:
            self.flush()
            if self._failure is not None:
                raise self._failure


class RowParts(Rows):
    """Append rows to Parquet files that are each complete, and join them at the end.

    Each `flush` rewrites the part that is being filled, whole and at once, so that whatever ends the process
    costs the rows since the last flush and no others. Until `close` the parts lie in a folder beside the file,
    ``metrics.parts`` for ``metrics.parquet``, which readers of Parquet take as one table. A new part is begun after
    `most_rows`, which bounds what a flush rewrites.
    """

    def __init__(self, path: Path, schema: pa.Schema, most_rows: int = 5_000) -> None:
        super().__init__(path, schema, most_rows)
        self._folder = parts_folder(path)
        self._folder.mkdir()
        self._number = 1
        self._written: list[pa.Table] = []
        self._is_on_disk = True

    def flush(self) -> None:
        """Write the part that is being filled, with the rows added since the last time."""
        if self._rows:
            self._written.append(self._table())
            self._rows.clear()
            self._is_on_disk = False
        if self._is_on_disk:
            return
        part = pa.concat_tables(self._written)
        with whole_file(self._folder / f"{self._number:06d}.parquet") as unfinished:
            pq.write_table(part, unfinished, compression=_COMPRESSION)
        self._is_on_disk = True
        if part.num_rows >= self._most_rows:
            self._number += 1
            self._written.clear()

    def close(self) -> None:
        """Write what is left and join the parts."""
        self.flush()
        join_parts(self._path, self._schema)

    def leave(self) -> None:
        """Write what is left and leave the parts; `join_parts` makes the file of them."""
        self.flush()


def parts_folder(path: Path) -> Path:
    """Return the folder of a table's parts, beside its file."""
    return path.with_suffix(_PARTS_SUFFIX)


def join_parts(path: Path, schema: pa.Schema) -> None:
    """Make the one file of the parts that `RowParts` has left, with these columns, and remove them."""
    folder = parts_folder(path)
    parts = sorted(folder.glob("*.parquet"))
    with (
        whole_file(path) as unfinished,
        pq.ParquetWriter(unfinished, schema, compression=_COMPRESSION) as writer,
    ):
        for part in parts:
            writer.write_table(pq.read_table(part))
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


class OrderTable:
    """Write ``orders.parquet`` from the engine's orders; have it forget those that are closed.

    Rows stand in the order of their times, those of one moment in that of the order's id. A row is held back while
    an order that is still open may have an earlier one.
    """

    def __init__(self, folder: Path) -> None:
        self._file = RowFile(folder / "orders.parquet", ORDERS)
        self._held: list[tuple[tuple[int, str], Row]] = []
        self._taken: set[str] = set()

    def take_closed(self, cache: Any, now_ns: int) -> None:
        """Take the rows of closed orders, then purge these and the account's past states from the engine."""
        open_since = [order.ts_init for order in cache.orders() if not self._is_taken(order)]
        cache.purge_closed_orders(now_ns, _KEPT_SECONDS)
        cache.purge_account_events(now_ns, 0)
        self._taken.intersection_update(known.value for known in cache.client_order_ids_closed())
        self._release(min(open_since, default=now_ns))

    def _is_taken(self, order: Any) -> bool:
        """Take an order where it is closed, once, and return whether it is."""
        if order.is_closed:
            self._take(order)
        return bool(order.is_closed)

    def _take(self, order: Any) -> None:
        order_id = order.client_order_id.value
        if order_id not in self._taken:
            self._taken.add(order_id)
            self._held.append(((order.ts_init, order_id), _order_row(order)))

    def _release(self, before_ns: int | None) -> None:
        """Write the rows of earlier moments, nanoseconds since the epoch; None writes all."""
        self._held.sort(key=itemgetter(0))
        count = len(self._held) if before_ns is None else bisect_left(self._held, before_ns, key=_moment)
        for _, row in self._held[:count]:
            self._file.append(row)
        del self._held[:count]

    def close(self, cache: Any) -> None:
        """Write all that is left, orders that are still open among it, and close the file."""
        with ExitStack() as closing:
            closing.callback(self._file.close)
            for order in cache.orders():
                self._take(order)
            self._release(None)


def _moment(held: tuple[tuple[int, str], Row]) -> int:
    return held[0][0]


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
    file = RowFile(path, _POSITIONS)
    positions = [*cache.positions(), *cache.position_snapshots()]
    for position in sorted(positions, key=lambda position: position.ts_opened):
        file.append(_position_row(position))
    file.close()


def _position_row(position: Any) -> tuple[Any, ...]:
    realized = position.realized_pnl
    return (
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
