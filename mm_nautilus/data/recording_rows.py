"""What is recorded: from what the recorder hands over to tables of a log, and from these to the catalog's."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from nautilus_trader.serialization import (
    book_deltas_to_arrow_record_batch_bytes,
    trades_to_arrow_record_batch_bytes,
)

from mm_nautilus.data.catalog_files import TIME, CatalogFile, DataKind, batch_block, block_table, folder_name
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, Side, TradeBlock
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, metrics_schema
from mm_nautilus.trading.messages import Fill

_AMOUNT: Final[pa.DataType] = pa.decimal128(38, 18)
_RECORDED_BY: Final = {b"recorded_by": b"mm_nautilus"}
"""In a file's metadata, tells a recording of this package from other files of the catalog."""
_SIZE_PRECISION: Final = b"size_precision"
"""In a log's metadata, the digits of the feed's sizes."""

_FILL_AMOUNTS: Final = {"price", "quantity", "commission", "realized_pnl", "trade_pnl", "position"}
_FILL_COLUMNS: Final = (
    *("ts_event", "symbol", "side", "price", "quantity", "commission", "commission_currency", "liquidity"),
    *("order_type", "client_order_id", "trade_id", "purpose", "realized_pnl", "trade_pnl", "position"),
)
"""Columns of recorded fills. The commission's currency is also that of price and PnL."""
_FIELDS: Final = {
    "commission": "fee",
    "commission_currency": "currency",
    "client_order_id": "order_id",
    "realized_pnl": "realized_change",
}
"""What a `Fill` calls a column, where that is another name."""
_FILL_SCHEMA: Final = pa.schema(
    [
        (name, TIME if name == "ts_event" else _AMOUNT if name in _FILL_AMOUNTS else pa.string())
        for name in _FILL_COLUMNS
    ]
)


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """Rows that end up in one folder of the catalog, given relative to the catalog's."""

    folder: Path
    to_table: Callable[[Any], pa.Table]
    """Makes a table for the log from what is handed over, on any thread; a `DataError` says that it has more digits
    than the instrument, `pa.ArrowInvalid` that it does not fit its columns."""
    encode: Callable[[Sequence[Any]], bytes] | None = None
    """Makes bytes from the engine's objects, on the engine's thread; None for rows of plain values."""


def _marked(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **_RECORDED_BY})


def is_recorded(schema: pa.Schema) -> bool:
    """Return whether a file with this schema is a recording of this package."""
    return _RECORDED_BY.items() <= (schema.metadata or {}).items()


def with_times(table: pa.Table, times: Ints) -> pa.Table:
    """Return rows with other times, nanoseconds, in the column they are ordered by."""
    name = "ts_init" if "ts_init" in table.column_names else "ts_event"
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array(times).cast(field.type))


# -- Metrics and fills --------------------------------------------------------------------------------------


def fill_row(fill: Fill) -> dict[str, Any]:
    """Return one execution as plain values by the names of its columns."""
    return {name: getattr(fill, _FIELDS.get(name, name)) for name in _FILL_COLUMNS}


def _metrics_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return metrics with the schema of the engine's own files of this custom type."""
    name = SYMBOL_METRICS.type_name
    data_type = json.dumps({"type_name": name, "metadata": None}, separators=(",", ":"))
    column = pa.field("data_type", pa.string(), nullable=False)
    schema = metrics_schema().append(column).with_metadata({"type_name": name})
    return _marked(pa.Table.from_pylist([{**row, "data_type": data_type} for row in rows], schema=schema))


METRICS: Final = RecordedStream(Path("data/custom", SYMBOL_METRICS.type_name), _metrics_table)
FILLS: Final = RecordedStream(
    Path("fills"), lambda rows: _marked(pa.Table.from_pylist(rows, schema=_FILL_SCHEMA))
)


# -- Market data --------------------------------------------------------------------------------------------


def market_streams(received: InstrumentSpec, stored: InstrumentSpec) -> tuple[RecordedStream, RecordedStream]:
    """Return the streams of an instrument's book changes and trades, which take the engine's Arrow bytes.

    The instrument is given as the venue's adapter describes it and as the catalog keeps it. A `DataError` is raised if
    the catalog's lot is no multiple of the venue's.
    """
    if stored.size_increment % received.size_increment:
        raise DataError(
            f"size_increment of {stored.instrument_id} must be a multiple of the feed's "
            f"{received.size_increment}, was {stored.size_increment}"
        )
    book, tape = (Path("data", kind, folder_name(stored.instrument_id)) for kind in DataKind)
    to_table = partial(_received_table, received)
    return (
        RecordedStream(book, to_table, book_deltas_to_arrow_record_batch_bytes),
        RecordedStream(tape, to_table, trades_to_arrow_record_batch_bytes),
    )


def _received_table(spec: InstrumentSpec, payload: bytes) -> pa.Table:
    """Return the engine's rows, which must have no more digits than when the recording began."""
    table = pa.ipc.open_stream(payload).read_all()
    for name in ("price_precision", "size_precision"):
        digits, known = int(table.schema.metadata[name.encode()]), getattr(spec, name)
        if digits > known:
            raise DataError(
                f"{name} of {spec.instrument_id} must be at most {known}, as when the recording began, was {digits}"
            )
    # The engine names the digits of each batch; tables of one log must have the same.
    return table.replace_schema_metadata({_SIZE_PRECISION: str(spec.size_precision)})


def stored_table(log: Path, kind: DataKind, spec: InstrumentSpec, table: pa.Table) -> pa.Table:
    """Return rows of a log of market data as the catalog keeps them.

    A `DataError` is raised if prices or sizes are no whole number of the instrument's increments.
    """
    digits = int(table.schema.metadata[_SIZE_PRECISION])
    received = replace(spec, size_increment=Decimal(1).scaleb(-digits))
    lot_ratio = int(spec.size_increment / received.size_increment)
    batch = table.unify_dictionaries().combine_chunks().to_batches()[0]
    origin = CatalogFile(log, kind, spec.instrument_id, 0, 0, 0, spec.price_precision, digits, False)
    block = batch_block(origin, batch, received)
    convert = _stored_changes if kind is DataKind.DELTAS else _whole_lots
    return _marked(block_table(spec, convert(block, lot_ratio)))


def _stored_changes(block: DeltaBlock, lot_ratio: int) -> DeltaBlock:
    """Return book changes with whole lots, the two flags a catalog knows, and one time a group.

    A level that holds less than one lot is deleted.
    """
    lots = block.size_lots // lot_ratio
    changes = (block.action == Action.ADD) | (block.action == Action.UPDATE)
    flags = block.flags & (Flag.LAST | Flag.SNAPSHOT)
    flags[-1] |= Flag.LAST
    ends = np.flatnonzero(flags & Flag.LAST)
    return replace(
        block,
        ts_init=np.repeat(block.ts_init[ends], np.diff(ends, prepend=-1)),
        action=np.where(changes & (lots == 0), Action.DELETE, block.action),
        size_lots=lots,
        flags=flags,
    )


def _whole_lots(block: TradeBlock, lot_ratio: int) -> TradeBlock:
    """Return trades in whole lots; one of less than a lot is left out."""
    kept = block.select(block.size_lots >= lot_ratio)
    return replace(kept, size_lots=kept.size_lots // lot_ratio)


def break_table(spec: InstrumentSpec, moment: int) -> pa.Table:
    """Return the one row that says that from `moment` (nanoseconds) on the book is not known."""
    row = [moment, moment, Action.CLEAR, Side.NONE, 0, 0, Flag.SNAPSHOT | Flag.LAST, 0]
    return _marked(block_table(spec, DeltaBlock(*(np.array([value], dtype=np.int64) for value in row))))
