"""The files of a Parquet catalog: their names, their footers, and array blocks to and from their columns."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import FIXED_PRECISION

from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec, decimal_places
from mm_nautilus.market.rows import (
    ACTION_ADD,
    ACTION_CLEAR,
    ACTION_DELETE,
    ACTION_UPDATE,
    FLAG_LAST,
    SIDE_ASK,
    SIDE_BID,
    SIDE_NONE,
    DeltaBlock,
    Ints,
    TradeBlock,
)

__all__ = [
    "CatalogFile",
    "DataKind",
    "announces_breaks",
    "catalog_files",
    "decimals",
    "delta_block",
    "delta_table",
    "file_interval",
    "file_name",
    "folder_name",
    "format_time",
    "last_flags",
    "named_instrument",
    "open_parquet",
    "read_batches",
    "read_columns",
    "read_delta_blocks",
    "read_trade_blocks",
    "require_multiples",
    "row_times",
    "trade_block",
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
    price_precision, size_precision
        Digits after the decimal point that its footer gives prices and sizes, which the engine reads them with.
    has_order_ids
        Whether any row may name a single order, as market-by-order data does.
    """

    path: Path
    kind: DataKind
    instrument_id: str
    start: int
    end: int
    rows: int
    price_precision: int
    size_precision: int
    has_order_ids: bool


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
        has_order_ids = kind is DataKind.DELTAS and _may_hold_order_ids(parquet)
    identity = _identity(path, metadata)
    digits = [metadata.get(name, b"") for name in (b"price_precision", b"size_precision")]
    if not all(text.isdigit() for text in digits):
        raise DataError(
            f"{path} does not say with how many digits it holds prices and sizes; remove it from the catalog"
        )
    price_precision, size_precision = map(int, digits)
    return CatalogFile(path, kind, identity, *span, rows, price_precision, size_precision, has_order_ids)


def named_instrument(path: Path) -> str:
    """Return the instrument that a file's footer names.

    Raises
    ------
    DataError
        If it is empty, cut off, damaged, or names none.
    """
    with open_parquet(path) as parquet:
        return _identity(path, parquet.schema_arrow.metadata or {})


def _identity(path: Path, metadata: Mapping[bytes, bytes]) -> str:
    identity = metadata.get(b"instrument_id")
    if identity is None:
        raise DataError(f"{path} does not say which instrument it holds; remove it from the catalog")
    return identity.decode()


def _may_hold_order_ids(parquet: pq.ParquetFile) -> bool:
    """Return whether a file of book changes holds any order id but 0, by its footer; what that leaves open may be."""
    column = parquet.schema_arrow.get_field_index("order_id")
    if column < 0:
        return False
    groups = (parquet.metadata.row_group(group) for group in range(parquet.num_row_groups))
    statistics = [group.column(column).statistics for group in groups if group.num_rows]
    return any(found is None or not found.has_min_max or found.max != 0 for found in statistics)


def last_flags(file: CatalogFile) -> int:
    """Return the flags of a file's last row, of which only the last row group is read.

    Raises
    ------
    DataError
        If the file is damaged there.
    """
    with open_parquet(file.path) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        last = max(group for group, rows in enumerate(sizes) if rows)
        try:
            return int(parquet.read_row_group(last, columns=["flags"]).column("flags")[-1].as_py())
        except (pa.ArrowException, OSError) as error:
            raise _damaged(file.path, error) from error


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
    for batch in read_batches(file.path, batch_rows):
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
    for batch in read_batches(file.path, batch_rows):
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


def read_columns(file: CatalogFile, columns: list[str], batch_rows: int = 65_536) -> Iterator[Any]:
    """Yield some columns of a file as Arrow batches, in the file's own order.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    return read_batches(file.path, batch_rows, columns)


def announces_breaks(file: CatalogFile) -> bool:
    """Return whether a file of book changes empties a book without giving the new one in the same group.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    for batch in read_columns(file, ["action", "flags"]):
        is_clear = _codes(file, batch.column("action"), _ACTION_NAMES) == ACTION_CLEAR
        if np.any(is_clear & (_integers(batch.column("flags")) & FLAG_LAST > 0)):
            return True
    return False


def require_multiples(file: CatalogFile, spec: InstrumentSpec) -> None:
    """Read a file's prices and sizes and check that all of them are on the instrument's grid.

    Raises
    ------
    DataError
        If one is not, or the file is damaged.
    """
    for batch in read_columns(file, ["price", "size"]):
        _multiples(file, batch, "price", spec.price_increment)
        _multiples(file, batch, "size", spec.size_increment)


def read_batches(path: Path, batch_rows: int, columns: list[str] | None = None) -> Iterator[Any]:
    """Yield the rows of a Parquet file as Arrow batches.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    with open_parquet(path) as parquet:
        batches = parquet.iter_batches(batch_size=batch_rows, columns=columns)
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
    # Through DLPack, as `to_numpy` imports pandas, for which no run waits to begin.
    values: Ints = np.from_dlpack(column).astype(np.int64)
    return values


def _codes(file: CatalogFile, column: Any, codes: dict[str, int]) -> Ints:
    names = column.dictionary.to_pylist()
    unknown = [name for name in names if name not in codes]
    if unknown:
        raise DataError(f"{file.path} holds {unknown[0]!r} where one of {', '.join(codes)} is expected")
    table = np.array([codes[name] for name in names] or [0], dtype=np.int64)
    values: Ints = table[np.from_dlpack(column.indices)]
    return values


def _multiples(file: CatalogFile, batch: Any, name: str, increment: Decimal) -> Ints:
    digits = decimal_places(increment)
    try:
        column = batch.column(name)
        column = column.fill_null(Decimal(0)) if column.null_count else column
        column = column.cast(pa.decimal128(38, digits))
    except pa.ArrowInvalid as error:
        raise _off_grid(file, batch, name, increment) from error
    words = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    words = words[column.offset : column.offset + len(column)]
    low, high = words[:, 0], words[:, 1]
    multiples, rest = np.divmod(low, int(increment.scaleb(digits)))
    if rest.any() or (high != low >> 63).any():
        raise _off_grid(file, batch, name, increment)
    return multiples


def _off_grid(file: CatalogFile, batch: Any, name: str, increment: Decimal) -> DataError:
    with localcontext(prec=60):  # A quotient has up to 38 digits.
        values = [value for value in batch.column(name).to_pylist() if value is not None]
        value = next((value for value in values if value % increment), max(values)).normalize()
    return DataError(
        f"{file.path} holds a {name} that is no multiple of {file.instrument_id}'s {name}_increment {increment}, "
        f"was {value:f}; its instrument definition does not belong to this data"
    )


def row_times(table: Any) -> Ints:
    """Return the times that rows are ordered by, nanoseconds: of receipt, or of the event where there are no others."""
    name = "ts_init" if "ts_init" in table.schema.names else "ts_event"
    values: Ints = table.column(name).cast(pa.int64()).to_numpy()
    return values


def delta_table(spec: InstrumentSpec, block: DeltaBlock) -> pa.Table:
    """Return a block with the columns and the metadata of the engine's own files of book changes."""
    columns = {
        "action": _dictionary(block.action, _ACTION_NAMES),
        "side": _dictionary(block.side, _SIDE_NAMES),
        "price": decimals(block.price_ticks, spec.price_increment).cast(_DECIMAL),
        "size": decimals(block.size_lots, spec.size_increment).cast(_DECIMAL),
        "order_id": pa.array(np.zeros(len(block), dtype=np.uint64)),
        "flags": pa.array(block.flags.astype(np.uint8)),
        "sequence": pa.array(block.sequence.astype(np.uint64)),
        "ts_event": pa.array(block.ts_event).cast(_TIME),
        "ts_init": pa.array(block.ts_init).cast(_TIME),
    }
    # The engine marks these two as nullable, and a file of another schema cannot be read with its files.
    return _table(columns, spec, "OrderBookDelta", ("price", "size"))


def trade_table(spec: InstrumentSpec, block: TradeBlock) -> pa.Table:
    """Return a block with the columns and the metadata of the engine's own files of trades."""
    columns = {
        "price": decimals(block.price_ticks, spec.price_increment).cast(_DECIMAL),
        "size": decimals(block.size_lots, spec.size_increment).cast(_DECIMAL),
        "aggressor_side": _dictionary(block.aggressor, _AGGRESSOR_NAMES),
        "trade_id": pa.array(block.trade_id, pa.string()),
        "ts_event": pa.array(block.ts_event).cast(_TIME),
        "ts_init": pa.array(block.ts_init).cast(_TIME),
    }
    return _table(columns, spec, "TradeTick", ())


def _table(
    columns: dict[str, Any], spec: InstrumentSpec, type_name: str, nullable: tuple[str, ...]
) -> pa.Table:
    metadata: dict[bytes | str, bytes | str] = {
        "instrument_id": spec.instrument_id,
        "price_precision": str(spec.price_precision),
        "size_precision": str(spec.size_precision),
        "type_name": type_name,
    }
    fields = [pa.field(name, column.type, nullable=name in nullable) for name, column in columns.items()]
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields, metadata=metadata))


def _dictionary(values: Ints, codes: dict[str, int]) -> Any:
    table = np.full(max(codes.values()) + 1, -1, dtype=np.int8)
    for index, code in enumerate(codes.values()):
        table[code] = index
    indices: Any = pa.array(table[values])
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(codes), pa.string()))


def decimals(multiples: Ints, increment: Decimal) -> Any:
    """Return whole numbers of increments as decimals with the increment's digits."""
    digits = decimal_places(increment)
    words = np.zeros((len(multiples), 2), dtype=np.int64)
    words[:, 0] = np.asarray(multiples, dtype=np.int64) * int(increment.scaleb(digits))
    words[:, 1] = words[:, 0] >> 63
    return pa.Array.from_buffers(pa.decimal128(38, digits), len(multiples), [None, pa.py_buffer(words)])
