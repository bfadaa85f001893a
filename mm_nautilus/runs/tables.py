"""The tables of orders, fills and positions: exact decimals, UTC times, a currency beside every amount.

Those of a backtest are written as orders close, so that the engine need not keep them.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import OrderFilled, OrderType

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

type _Sorted = tuple[tuple[int, str, int], tuple[Any, ...]]

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


class OrderTables:
    """Write ``orders.parquet`` and ``fills.parquet`` from the engine's orders; have it forget those that are closed.

    Rows stand in the order of their times, those of one moment in that of the order's id. A row is held back while
    an order that is still open may have an earlier one.
    """

    def __init__(self, folder: Path) -> None:
        self._orders = _SortedRows(RowFile(folder / "orders.parquet", ORDERS))
        self._fills = _SortedRows(RowFile(folder / "fills.parquet", FILLS))
        self._taken: set[str] = set()

    def take_closed(self, cache: Any, now_ns: int) -> None:
        """Take the rows of closed orders, then purge these and the account's past states from the engine."""
        open_orders = []
        for order in cache.orders():
            if order.is_closed:
                self._take(order)
            else:
                open_orders.append(order)
        cache.purge_closed_orders(now_ns, _KEPT_SECONDS)
        cache.purge_account_events(now_ns, 0)
        self._taken.intersection_update(known.value for known in cache.client_order_ids_closed())
        self._orders.release(min((order.ts_init for order in open_orders), default=now_ns))
        fills = (fill.ts_event for order in open_orders for fill in _executions(order))
        self._fills.release(min(fills, default=now_ns))

    def _take(self, order: Any) -> None:
        order_id = order.client_order_id.value
        if order_id in self._taken:
            return
        self._taken.add(order_id)
        symbol = order.instrument_id.symbol.value
        tags = order.tags
        purpose = tags[0] if tags else None
        self._orders.add((order.ts_init, order_id, 0), _order_row(order, symbol, purpose))
        for number, fill in enumerate(_executions(order)):
            self._fills.add((fill.ts_event, order_id, number), _fill_row(fill, symbol, purpose))

    def close(self, cache: Any) -> None:
        """Write all that is left, orders that are still open among it, and close the files."""
        with ExitStack() as closing:  # the other is closed where one cannot be
            closing.callback(self._orders.close)
            closing.callback(self._fills.close)
            for order in cache.orders():
                self._take(order)


class _SortedRows:
    """Write rows in the order of their keys, each once no earlier one can come."""

    def __init__(self, file: RowFile) -> None:
        self._file = file
        self._held: list[_Sorted] = []

    def add(self, key: tuple[int, str, int], row: tuple[Any, ...]) -> None:
        self._held.append((key, row))

    def release(self, before_ns: int) -> None:
        """Write the rows of earlier moments, nanoseconds since the epoch."""
        self._held.sort(key=lambda held: held[0])
        count = 0
        for (ts_ns, _, _), row in self._held:
            if ts_ns >= before_ns:
                break
            self._file.append(row)
            count += 1
        del self._held[:count]

    def close(self) -> None:
        with ExitStack() as closing:
            closing.callback(self._file.close)
            self._held.sort(key=lambda held: held[0])
            for _, row in self._held:
                self._file.append(row)


def _executions(order: Any) -> list[Any]:
    if order.filled_qty.is_zero():
        return []
    return [event for event in order.events() if isinstance(event, OrderFilled)]


def _order_row(order: Any, symbol: str, purpose: str | None) -> tuple[Any, ...]:
    return (
        order.ts_init,
        order.ts_last,
        symbol,
        order.side.name,
        order.order_type.name,
        purpose,
        order.status.name,
        order.price.as_decimal() if order.order_type == OrderType.LIMIT else None,
        order.quantity.as_decimal(),
        order.filled_qty.as_decimal(),
        order.client_order_id.value,
    )


def _fill_row(fill: Any, symbol: str, purpose: str | None) -> tuple[Any, ...]:
    commission = fill.commission
    return (
        fill.ts_event,
        symbol,
        fill.order_side.name,
        fill.last_px.as_decimal(),
        fill.last_qty.as_decimal(),
        None if commission is None else commission.as_decimal(),
        None if commission is None else commission.currency.code,
        fill.liquidity_side.name,
        fill.order_type.name,
        purpose,
        fill.client_order_id.value,
        fill.trade_id.value,
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
