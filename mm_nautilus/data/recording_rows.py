"""From blocks as they were received to rows as a catalog has them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mm_nautilus.data.catalog_files import (
    CatalogFile,
    DataKind,
    delta_block,
    delta_table,
    folder_name,
    trade_block,
    trade_table,
)
from mm_nautilus.data.recording_log import LogReader
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import ORDER_LIMITS, InstrumentSpec
from mm_nautilus.market.rows import (
    ACTION_ADD,
    ACTION_CLEAR,
    ACTION_DELETE,
    ACTION_UPDATE,
    FLAG_LAST,
    FLAG_SNAPSHOT,
    SIDE_NONE,
    DeltaBlock,
    Ints,
    TradeBlock,
)
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, metrics_schema
from mm_nautilus.trading.messages import Fill

__all__ = [
    "RECORDED_BY",
    "RecordedStream",
    "StreamKind",
    "break_table",
    "fill_row",
    "is_break",
    "refuse_digits",
    "row_tables",
    "rows_payload",
    "times_of",
]

RECORDED_BY: Final = b"recorded_by"
"""Key in a file's metadata that tells a recording of this package from other files of the catalog."""
_ROWS_PER_TABLE: Final = 65_536
_AMOUNT: Final[pa.DataType] = pa.decimal128(38, 18)
_TIME: Final[pa.DataType] = pa.timestamp("ns", tz="UTC")
_TEXT: Final[pa.DataType] = pa.string()
_METRICS_NAME: Final = "SymbolMetrics"

FILL_SCHEMA: Final = pa.schema(
    [
        ("ts_event", _TIME),
        ("symbol", _TEXT),
        ("side", _TEXT),
        ("price", _AMOUNT),
        ("quantity", _AMOUNT),
        ("commission", _AMOUNT),
        ("commission_currency", _TEXT),
        ("liquidity", _TEXT),
        ("order_type", _TEXT),
        ("client_order_id", _TEXT),
        ("trade_id", _TEXT),
        ("purpose", _TEXT),
        ("realized_pnl", _AMOUNT),
        ("trade_pnl", _AMOUNT),
        ("position", _AMOUNT),
    ]
)
"""Columns of recorded fills: those of a run's own table, then what is known besides. The currency of the commission
is also that of price and PnL."""


class StreamKind(StrEnum):
    """What is recorded; the value begins the name of its logs."""

    BOOK = "book"
    TRADES = "trades"
    METRICS = "metrics"
    FILLS = "fills"


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """One sequence of rows that ends up in one folder of the catalog.

    Parameters
    ----------
    kind
        What the rows are.
    received, stored
        The instrument as the venue's adapter describes it and as the catalog keeps it; their lots may differ.
        None for metrics and fills.
    """

    kind: StreamKind
    received: InstrumentSpec | None = None
    stored: InstrumentSpec | None = None

    @property
    def name(self) -> str:
        """The name of its logs, without an ending."""
        return self.kind if self.stored is None else f"{self.kind}-{folder_name(self.stored.instrument_id)}"

    @property
    def folder(self) -> Path:
        """Its folder, relative to the catalog's."""
        if self.stored is None:
            return Path("data/custom") / _METRICS_NAME if self.kind is StreamKind.METRICS else Path("fills")
        kind = DataKind.DELTAS if self.kind is StreamKind.BOOK else DataKind.TRADES
        return Path("data") / kind / folder_name(self.stored.instrument_id)

    @property
    def time_column(self) -> str:
        """The column its rows are ordered by and its files are named by."""
        return "ts_event" if self.kind is StreamKind.FILLS else "ts_init"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        specs = {"received": self.received, "stored": self.stored}
        return {"kind": self.kind.value} | {name: _spec_values(spec) for name, spec in specs.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RecordedStream":
        """Read back what `to_dict` returned."""
        received, stored = (_spec_of(values[name]) for name in ("received", "stored"))
        return cls(StreamKind(values["kind"]), received, stored)

    def specs(self) -> tuple[InstrumentSpec, InstrumentSpec]:
        """Return both definitions of a market data stream.

        Raises
        ------
        ValueError
            If the stream has none.
        """
        if self.received is None or self.stored is None:
            raise ValueError(f"a stream of {self.kind} has no instrument")
        return self.received, self.stored


def _spec_values(spec: InstrumentSpec | None) -> dict[str, Any] | None:
    if spec is None:
        return None
    return {key: str(value) if isinstance(value, Decimal) else value for key, value in asdict(spec).items()}


def _spec_of(values: Mapping[str, Any] | None) -> InstrumentSpec | None:
    if values is None:
        return None
    exact = ("price_increment", "size_increment", *ORDER_LIMITS, "maker_fee_rate", "taker_fee_rate")
    numbers = {name: Decimal(values[name]) for name in exact if values.get(name) is not None}
    return InstrumentSpec(**{**values, **numbers})


# -- Payloads -----------------------------------------------------------------------------------------------


def fill_row(result: Fill) -> dict[str, Any]:
    """Return one execution as plain values, one a column of `FILL_SCHEMA`."""
    return {
        "ts_event": result.ts_event,
        "symbol": result.symbol,
        "side": result.side,
        "price": result.price,
        "quantity": result.quantity,
        "commission": result.fee,
        "commission_currency": result.currency,
        "liquidity": result.liquidity,
        "order_type": result.order_type,
        "client_order_id": result.order_id,
        "trade_id": result.trade_id,
        "purpose": result.purpose,
        "realized_pnl": result.realized_change,
        "trade_pnl": result.trade_pnl,
        "position": result.position,
    }


def rows_payload(kind: StreamKind, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows of metrics or fills as an Arrow stream.

    Raises
    ------
    pa.ArrowInvalid
        If a value does not fit its column.
    """
    if kind is StreamKind.METRICS:
        rows = [{**row, "type": _METRICS_NAME, "data_type": _METRICS_TYPE} for row in rows]
        schema = _metrics_columns()
    else:
        schema = FILL_SCHEMA
    table = pa.Table.from_pylist(list(rows), schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


_METRICS_TYPE: Final = json.dumps(
    {"type_name": SYMBOL_METRICS.type_name, "metadata": None}, separators=(",", ":")
)


def _metrics_columns() -> pa.Schema:
    """Return the schema of the engine's own files of this custom type."""
    data_type = pa.field("data_type", pa.string(), nullable=False)
    return metrics_schema().append(data_type).with_metadata({"type_name": _METRICS_NAME})


def refuse_digits(stream: RecordedStream, payload: bytes) -> None:
    """Check that a payload of market data has no more digits than its instrument, as after a change at the venue.

    Raises
    ------
    DataError
        If it has; the rows could not be stored with the rest.
    """
    received, _ = stream.specs()
    metadata = pa.ipc.open_stream(payload).schema.metadata or {}
    for name in ("price_precision", "size_precision"):
        digits, known = int(metadata[name.encode()]), getattr(received, name)
        if digits > known:
            raise DataError(
                f"{name} of {received.instrument_id} must be at most {known}, as when the recording began, was {digits}"
            )


# -- Tables -------------------------------------------------------------------------------------------------


def row_tables(stream: RecordedStream, path: Path, log: LogReader) -> Iterator[pa.Table]:
    """Yield the rows of a log as tables that can be written to the catalog, some 65,000 rows each.

    Raises
    ------
    DataError
        If prices or sizes are no whole number of the instrument's increments.
    """
    for batch, shifts in _gathered(log):
        times = np.maximum(times_of(batch, stream.time_column) + shifts, log.floor + 1)
        if stream.stored is None:
            yield _with_times(batch, stream.time_column, times)
        elif stream.kind is StreamKind.BOOK:
            block = replace(delta_block(_origin(stream, path), batch, stream.specs()[0]), ts_init=times)
            yield delta_table(stream.stored, _as_stored(block, _lot_ratio(stream)))
        else:
            trades = replace(trade_block(_origin(stream, path), batch, stream.specs()[0]), ts_init=times)
            yield trade_table(stream.stored, _whole_lots(trades, _lot_ratio(stream)))


def _gathered(log: LogReader) -> Iterator[tuple[pa.RecordBatch, Ints]]:
    """Yield blocks put together until there are enough rows, and the shift of each row."""
    tables: list[pa.Table] = []
    shifts: list[Ints] = []
    rows = 0
    for payload, shift in log.blocks():
        tables.append(pa.ipc.open_stream(payload).read_all())
        shifts.append(np.full(tables[-1].num_rows, shift, dtype=np.int64))
        rows += tables[-1].num_rows
        if rows >= _ROWS_PER_TABLE:
            yield _one_batch(tables), np.concatenate(shifts)
            tables, shifts, rows = [], [], 0
    if rows:
        yield _one_batch(tables), np.concatenate(shifts)


def _one_batch(tables: list[pa.Table]) -> pa.RecordBatch:
    # The engine writes the precision of each block into its metadata; the columns are the same.
    plain = [table.replace_schema_metadata(None) for table in tables]
    return pa.concat_tables(plain).unify_dictionaries().combine_chunks().to_batches()[0]


def times_of(batch: Any, name: str) -> Ints:
    """Return a column of times as nanoseconds."""
    values: Ints = batch.column(name).cast(pa.int64()).to_numpy()
    return values


def _origin(stream: RecordedStream, path: Path) -> CatalogFile:
    """Describe a log to the functions that name the file in their errors."""
    received, _ = stream.specs()
    kind = DataKind.DELTAS if stream.kind is StreamKind.BOOK else DataKind.TRADES
    return CatalogFile(
        path,
        kind,
        received.instrument_id,
        0,
        0,
        0,
        received.price_precision,
        received.size_precision,
        has_order_ids=False,
    )


def _lot_ratio(stream: RecordedStream) -> int:
    """Return how many of the venue's lots make one of the catalog's."""
    received, stored = stream.specs()
    ratio, rest = divmod(stored.size_increment, received.size_increment)
    if rest or ratio < 1:
        raise DataError(
            f"size_increment of {stored.instrument_id} must be a multiple of the feed's "
            f"{received.size_increment}, was {stored.size_increment}"
        )
    return int(ratio)


def _as_stored(block: DeltaBlock, lot_ratio: int) -> DeltaBlock:
    """Return book changes with whole lots, the two flags a catalog knows, and one time a group.

    A level that holds less than one lot is deleted.
    """
    lots = block.size_lots // lot_ratio
    changes = (block.action == ACTION_ADD) | (block.action == ACTION_UPDATE)
    flags = block.flags & (FLAG_LAST | FLAG_SNAPSHOT)
    flags[-1] |= FLAG_LAST
    ends = np.flatnonzero(flags & FLAG_LAST)
    return replace(
        block,
        ts_init=np.repeat(block.ts_init[ends], np.diff(ends, prepend=-1)),
        action=np.where(changes & (lots == 0), ACTION_DELETE, block.action),
        size_lots=lots,
        flags=flags,
    )


def _whole_lots(block: TradeBlock, lot_ratio: int) -> TradeBlock:
    """Return trades in whole lots; one of less than a lot is left out."""
    kept = np.flatnonzero(block.size_lots >= lot_ratio)
    ids = block.trade_id if len(kept) == len(block) else [block.trade_id[row] for row in kept.tolist()]
    times = (block.ts_event[kept], block.ts_init[kept])
    return TradeBlock(
        *times, block.price_ticks[kept], block.size_lots[kept] // lot_ratio, block.aggressor[kept], ids
    )


def _with_times(batch: pa.RecordBatch, name: str, times: Ints) -> pa.Table:
    schema = _metrics_columns() if name == "ts_init" else FILL_SCHEMA
    table = pa.Table.from_batches([batch])
    index = table.schema.get_field_index(name)
    return table.set_column(index, schema.field(name), pa.array(times).cast(_TIME)).cast(schema)


def break_table(stream: RecordedStream, moment: int) -> pa.Table:
    """Return the one row that says that from `moment` (nanoseconds) on the book is not known."""
    row = [moment, moment, ACTION_CLEAR, SIDE_NONE, 0, 0, FLAG_SNAPSHOT | FLAG_LAST, 0]
    return delta_table(stream.specs()[1], DeltaBlock(*(np.array([value], dtype=np.int64) for value in row)))


def is_break(table: pa.Table) -> bool:
    """Return whether the last row of some book changes says that the book is not known any more."""
    last = table.slice(table.num_rows - 1).to_pylist()
    return bool(last) and last[0]["action"] == "CLEAR" and bool(last[0]["flags"] & FLAG_LAST)
