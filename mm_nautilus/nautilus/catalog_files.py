"""The files of a Parquet catalog: their names, their footers, and array blocks to and from their columns."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import FIXED_PRECISION

from mm_nautilus.core.instrument import InstrumentSpec, decimal_places
from mm_nautilus.core.marketdata import (
    ACTION_ADD,
    ACTION_CLEAR,
    ACTION_DELETE,
    ACTION_UPDATE,
    SIDE_ASK,
    SIDE_BID,
    SIDE_NONE,
    DeltaBlock,
    Ints,
    TradeBlock,
)
from mm_nautilus.errors import DataError

__all__ = [
    "CatalogFile",
    "DataKind",
    "catalog_files",
    "delta_block",
    "delta_stream",
    "delta_table",
    "file_interval",
    "file_name",
    "folder_name",
    "format_time",
    "read_delta_blocks",
    "read_trade_blocks",
    "trade_block",
    "trade_stream",
    "trade_table",
]

_DECIMAL = pa.decimal128(38, FIXED_PRECISION)
_TIME = pa.timestamp("ns", tz="UTC")
_ACTION_NAMES = {"ADD": ACTION_ADD, "UPDATE": ACTION_UPDATE, "DELETE": ACTION_DELETE, "CLEAR": ACTION_CLEAR}
_SIDE_NAMES = {"NO_ORDER_SIDE": SIDE_NONE, "BUY": SIDE_BID, "SELL": SIDE_ASK}
_AGGRESSOR_NAMES = {"NO_AGGRESSOR": SIDE_NONE, "BUY": SIDE_BID, "SELL": SIDE_ASK}
_FILE_TIME = r"(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)-(\d{9})Z"
_FILE_NAME = re.compile(rf"{_FILE_TIME}_{_FILE_TIME}\.parquet")


class DataKind(StrEnum):
    """The two types of market data this package stores; the value is the catalog's folder name."""

    DELTAS = "order_book_deltas"
    TRADES = "trades"

    @property
    def label(self) -> str:
        """The type's name in messages."""
        return "book changes" if self is DataKind.DELTAS else "trades"


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One Parquet file of a catalog, described by its name and footer.

    Parameters
    ----------
    path
        Where it is.
    kind
        Which type of data it holds.
    instrument_id
        The instrument its footer names.
    start, end
        First and last ``ts_init`` its name promises, nanoseconds, both inclusive.
    rows
        Number of rows.
    """

    path: Path
    kind: DataKind
    instrument_id: str
    start: int
    end: int
    rows: int


def format_time(nanoseconds: int) -> str:
    """Return a time in nanoseconds since 1970 as ISO 8601 text in UTC, with microseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 1000:06d}Z"


def folder_name(instrument_id: str) -> str:
    """Return the folder the engine keeps an instrument's files in; it drops slashes."""
    return instrument_id.replace("/", "")


def file_interval(name: str) -> tuple[int, int] | None:
    """Return first and last ``ts_init`` (nanoseconds) a file name promises, or None if it is no such name."""
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return None
    parts = match.groups()
    return _nanoseconds(*parts[:5]), _nanoseconds(*parts[5:])


def file_name(start: int, end: int) -> str:
    """Return the name of a file with this first and last ``ts_init`` (nanoseconds, both inclusive)."""
    return f"{_name_time(start)}_{_name_time(end)}.parquet"


def _name_time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H-%M-%S") + f"-{rest:09d}Z"


def _nanoseconds(day: str, hour: str, minute: str, second: str, fraction: str) -> int:
    moment = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}+00:00")
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction)


def catalog_files(folder: Path, kind: DataKind) -> list[CatalogFile]:
    """Return the files of one instrument's folder in time order, after reading every footer.

    Raises
    ------
    DataError
        If a file is empty, cut off, damaged, not named by a time span, or names no instrument.
    """
    files = [describe_file(path, kind) for path in sorted(folder.glob("*.parquet"))]
    return sorted(files, key=lambda file: (file.start, file.end))


def describe_file(path: Path, kind: DataKind) -> CatalogFile:
    """Read one file's name and footer.

    Raises
    ------
    DataError
        As for `catalog_files`.
    """
    span = file_interval(path.name)
    if span is None:
        raise DataError(f"{path} is not named by the time span it holds; remove it from the catalog")
    with open_parquet(path) as parquet:
        metadata = parquet.schema_arrow.metadata or {}
        rows = parquet.metadata.num_rows
    identity = metadata.get(b"instrument_id")
    if identity is None:
        raise DataError(f"{path} does not say which instrument it holds; remove it from the catalog")
    return CatalogFile(path, kind, identity.decode(), *span, rows)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises
    ------
    DataError
        If it is empty, cut off or damaged; the message names it.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); remove it and import its data again")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path} is cut off or damaged ({reason}); remove it and import its data again")


def read_delta_blocks(file: CatalogFile, spec: InstrumentSpec, batch_rows: int) -> Iterator[DeltaBlock]:
    """Yield a file's rows as blocks of at most `batch_rows`, in the file's own order.

    Raises
    ------
    DataError
        If the file is damaged or holds what does not fit the instrument's increments.
    """
    for batch in _batches(file.path, batch_rows):
        yield delta_block(file, batch, spec)


def delta_block(file: CatalogFile, batch: Any, spec: InstrumentSpec) -> DeltaBlock:
    """Return an Arrow batch of book changes, which came from `file`, as a block.

    Raises
    ------
    DataError
        If it holds what does not fit the instrument's increments.
    """
    return DeltaBlock(
        ts_event=_times(batch.column("ts_event")),
        ts_init=_times(batch.column("ts_init")),
        action=_codes(file, batch.column("action"), _ACTION_NAMES),
        side=_codes(file, batch.column("side"), _SIDE_NAMES),
        price_ticks=_multiples(file, batch, "price", spec.price_increment),
        size_lots=_multiples(file, batch, "size", spec.size_increment),
        flags=_integers(batch.column("flags")),
        sequence=_integers(batch.column("sequence")),
    )


def read_trade_blocks(file: CatalogFile, spec: InstrumentSpec, batch_rows: int) -> Iterator[TradeBlock]:
    """Yield a file's trades as blocks of at most `batch_rows`, in the file's own order.

    Raises
    ------
    DataError
        As for `read_delta_blocks`.
    """
    for batch in _batches(file.path, batch_rows):
        yield trade_block(file, batch, spec)


def trade_block(file: CatalogFile, batch: Any, spec: InstrumentSpec) -> TradeBlock:
    """Return an Arrow batch of trades, which came from `file`, as a block.

    Raises
    ------
    DataError
        As for `delta_block`.
    """
    return TradeBlock(
        ts_event=_times(batch.column("ts_event")),
        ts_init=_times(batch.column("ts_init")),
        price_ticks=_multiples(file, batch, "price", spec.price_increment),
        size_lots=_multiples(file, batch, "size", spec.size_increment),
        aggressor=_codes(file, batch.column("aggressor_side"), _AGGRESSOR_NAMES),
        trade_id=batch.column("trade_id").to_pylist(),
    )


def _batches(path: Path, batch_rows: int) -> Iterator[Any]:
    with open_parquet(path) as parquet:
        batches = parquet.iter_batches(batch_size=batch_rows)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from error
            yield batch


def _times(column: Any) -> Ints:
    return _integers(column.cast(pa.int64()))


def _integers(column: Any) -> Ints:
    values: Ints = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _codes(file: CatalogFile, column: Any, codes: dict[str, int]) -> Ints:
    names = column.dictionary.to_pylist()
    unknown = [name for name in names if name not in codes]
    if unknown:
        raise DataError(f"{file.path} holds {unknown[0]!r} where one of {', '.join(codes)} is expected")
    table = np.array([codes[name] for name in names] or [0], dtype=np.int64)
    values: Ints = table[column.indices.to_numpy(zero_copy_only=False)]
    return values


def _multiples(file: CatalogFile, batch: Any, name: str, increment: Decimal) -> Ints:
    digits = decimal_places(increment)
    try:
        column = batch.column(name).fill_null(Decimal(0)).cast(pa.decimal128(38, digits))
    except pa.ArrowInvalid as error:
        raise _off_grid(file, name, increment) from error
    words = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    words = words[column.offset : column.offset + len(column)]
    low, high = words[:, 0], words[:, 1]
    multiples, rest = np.divmod(low, int(increment.scaleb(digits)))
    if rest.any() or (high != low >> 63).any():
        raise _off_grid(file, name, increment)
    return multiples


def _off_grid(file: CatalogFile, name: str, increment: Decimal) -> DataError:
    return DataError(
        f"{file.path} holds a {name} that is no multiple of {file.instrument_id}'s {name}_increment "
        f"{increment}; its instrument definition does not belong to this data"
    )


def delta_stream(spec: InstrumentSpec, block: DeltaBlock) -> bytes:
    """Return a block as the Arrow stream the engine's delta wrangler reads; prices stay exact integers."""
    return _stream(_delta_batch(spec, block))


def delta_table(spec: InstrumentSpec, block: DeltaBlock) -> pa.Table:
    """Return a block with the columns and the metadata of the engine's own files of book changes."""
    # The engine marks these two as nullable, and a file of another schema cannot be read with its files.
    return pa.Table.from_batches([_delta_batch(spec, block, nullable=("price", "size"))])


def trade_stream(spec: InstrumentSpec, block: TradeBlock) -> bytes:
    """Return a block as the Arrow stream the engine's trade wrangler reads; prices stay exact integers."""
    return _stream(_trade_batch(spec, block))


def trade_table(spec: InstrumentSpec, block: TradeBlock) -> pa.Table:
    """Return a block with the columns and the metadata of the engine's own files of trades."""
    return pa.Table.from_batches([_trade_batch(spec, block)])


def _delta_batch(spec: InstrumentSpec, block: DeltaBlock, nullable: tuple[str, ...] = ()) -> Any:
    columns = {
        "action": _dictionary(block.action, _ACTION_NAMES),
        "side": _dictionary(block.side, _SIDE_NAMES),
        "price": _decimals(block.price_ticks, spec.price_increment),
        "size": _decimals(block.size_lots, spec.size_increment),
        "order_id": pa.array(np.zeros(len(block), dtype=np.uint64)),
        "flags": pa.array(block.flags.astype(np.uint8)),
        "sequence": pa.array(block.sequence.astype(np.uint64)),
        "ts_event": pa.array(block.ts_event).cast(_TIME),
        "ts_init": pa.array(block.ts_init).cast(_TIME),
    }
    return _batch(columns, spec, "OrderBookDelta", nullable)


def _trade_batch(spec: InstrumentSpec, block: TradeBlock) -> Any:
    columns = {
        "price": _decimals(block.price_ticks, spec.price_increment),
        "size": _decimals(block.size_lots, spec.size_increment),
        "aggressor_side": _dictionary(block.aggressor, _AGGRESSOR_NAMES),
        "trade_id": pa.array(block.trade_id, pa.string()),
        "ts_event": pa.array(block.ts_event).cast(_TIME),
        "ts_init": pa.array(block.ts_init).cast(_TIME),
    }
    return _batch(columns, spec, "TradeTick", ())


def _batch(columns: dict[str, Any], spec: InstrumentSpec, type_name: str, nullable: tuple[str, ...]) -> Any:
    metadata: dict[bytes | str, bytes | str] = {
        "instrument_id": spec.instrument_id,
        "price_precision": str(spec.price_precision),
        "size_precision": str(spec.size_precision),
        "type_name": type_name,
    }
    fields = [pa.field(name, column.type, nullable=name in nullable) for name, column in columns.items()]
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields, metadata=metadata))


def _stream(batch: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _dictionary(values: Ints, codes: dict[str, int]) -> Any:
    table = np.full(max(codes.values()) + 1, -1, dtype=np.int8)
    for index, code in enumerate(codes.values()):
        table[code] = index
    indices: Any = pa.array(table[values])
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(codes), pa.string()))


def _decimals(multiples: Ints, increment: Decimal) -> Any:
    digits = decimal_places(increment)
    words = np.zeros((len(multiples), 2), dtype=np.int64)
    words[:, 0] = np.asarray(multiples, dtype=np.int64) * int(increment.scaleb(digits))
    words[:, 1] = words[:, 0] >> 63
    column = pa.Array.from_buffers(pa.decimal128(38, digits), len(multiples), [None, pa.py_buffer(words)])
    return column.cast(_DECIMAL)
