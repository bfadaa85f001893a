"""The files of a Parquet catalog: their names, their footers, and array blocks to and from their columns."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import FIXED_PRECISION

from mm_nautilus.data.store import StoredPath, StorePath, open_input
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec, decimal_places
from mm_nautilus.market.rows import Action, DeltaBlock, Ints, Side, TradeBlock
from mm_nautilus.system.moments import moment, nanoseconds
from mm_nautilus.system.store_url import CatalogPath, StoreUrl

RECORDING_FOLDER: Final = ".recording"
"""The folder of a catalog for recordings that are not among its files yet."""
IMPORT_NOTE: Final = ".import-"
"""Beginning of the name of an object in a store's catalog that says that an import is not finished."""
_NOTES: Final = "import_notes"
"""Key of a file's metadata with what its source lacked, a line each."""
TIME: Final = pa.timestamp("ns", tz="UTC")
_DECIMAL: Final = pa.decimal128(38, FIXED_PRECISION)
_SIDES: Final = {"NO_ORDER_SIDE": Side.NONE, "BUY": Side.BID, "SELL": Side.ASK}
_CODES: Final = {
    "action": {"ADD": Action.ADD, "UPDATE": Action.UPDATE, "DELETE": Action.DELETE, "CLEAR": Action.CLEAR},
    "side": _SIDES,
    "aggressor_side": {"NO_AGGRESSOR": Side.NONE, "BUY": Side.BID, "SELL": Side.ASK},
}
"""Columns of the engine's files that hold words, and what a block has for each word."""
_NUMBERS: Final = {"flags": pa.uint8(), "sequence": pa.uint64(), "ts_event": TIME, "ts_init": TIME}
"""Columns that a block has the numbers of, and how files hold them."""
_BLOCK_NAMES: Final = {"price": "price_ticks", "size": "size_lots", "aggressor_side": "aggressor"}
"""What a block calls a column, where that is another name."""
_FILE_TIME = r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)-(\d{9})Z"
_FILE_NAME = re.compile(rf"{_FILE_TIME}_{_FILE_TIME}\.parquet")
_BATCH_ROWS: Final = 65_536

type OnProgress = Callable[[int, int], None]
"""Called with what is done (rows or bytes read) and what there is in all."""


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
    """One Parquet file of a catalog, described by its name and footer."""

    path: StoredPath
    kind: DataKind
    instrument_id: str
    start: int
    end: int
    """First and last ``ts_init`` its name promises, nanoseconds, both inclusive."""
    rows: int
    price_precision: int
    size_precision: int
    """Digits after the decimal point that its footer gives prices and sizes, which the engine reads them with."""
    has_order_ids: bool
    """Whether any row may name a single order, as market-by-order data does."""
    notes: tuple[str, ...] = ()
    """What its source lacked and which rule stood in for it, by the import that wrote it."""


def format_time(nanoseconds: int) -> str:
    """Return a time in nanoseconds since 1970 as ISO 8601 text in UTC, with microseconds."""
    return moment(nanoseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def folder_name(instrument_id: str) -> str:
    """Return the folder the engine keeps an instrument's files in; it drops slashes."""
    return instrument_id.replace("/", "")


def file_interval(name: str) -> tuple[int, int] | None:
    """Return first and last ``ts_init`` (nanoseconds) a file name promises, or None if it is no such name."""
    match = _FILE_NAME.fullmatch(name)
    return None if match is None else (_time(match[1], match[2]), _time(match[3], match[4]))


def file_spans(paths: Iterable[PurePath]) -> list[tuple[int, int]]:
    """Return the spans that the files' names promise, in order; files of other names are left out."""
    return sorted(span for span in (file_interval(path.name) for path in paths) if span is not None)


def file_name(start: int, end: int) -> str:
    """Return the name of a file with this first and last ``ts_init`` (nanoseconds, both inclusive)."""
    times = (moment(ns).strftime("%Y-%m-%dT%H-%M-%S-") + f"{ns % 10**9:09d}Z" for ns in (start, end))
    return f"{'_'.join(times)}.parquet"


def _time(second: str, fraction: str) -> int:
    return nanoseconds(datetime.strptime(f"{second}Z", "%Y-%m-%dT%H-%M-%S%z")) + int(fraction)


def waiting_sessions(catalog: CatalogPath) -> list[Path]:
    """Return the folders of sessions that are being recorded or wait to be recovered, oldest first.

    A store has none.
    """
    if isinstance(catalog, StoreUrl):
        return []
    return sorted((catalog / RECORDING_FOLDER).glob("session-*"))


def unfinished_imports(catalog: StoredPath) -> list[StorePath]:
    """Return the notes of imports that go on or were cut off.

    Their first line is the import's machine and its folder there, the others are the files it brings.

    A folder has none: there an import's files are renamed into place.
    """
    return sorted(catalog.glob(f"{IMPORT_NOTE}*")) if isinstance(catalog, StorePath) else []


def refuse_unfinished(catalog: StoredPath, besides: StorePath | None = None) -> None:
    """Raise a `DataError` that names the note of an unfinished import, if there is one besides a given one."""
    for note in unfinished_imports(catalog):
        if note != besides:
            raise DataError(unfinished_text(note))


def unfinished_text(note: StorePath) -> str:
    """Return what a note of `unfinished_imports` means for its catalog, and what to do."""
    return (
        f"{note} says that an import goes on or was cut off; wait for its end, or remove what it left with "
        f"`mm-nautilus data recover {note.parent}` and import again"
    )


def catalog_files(folder: StoredPath, kind: DataKind) -> list[CatalogFile]:
    """Return the files of one instrument's folder in time order, after reading every footer.

    A `DataError` says that a file is empty, cut off, damaged, not named by a time span, or names no instrument.
    """
    files = [_described(path, kind) for path in folder.glob("*.parquet")]
    return sorted(files, key=lambda file: (file.start, file.end, file.path))


def _described(path: StoredPath, kind: DataKind) -> CatalogFile:
    span = file_interval(path.name)
    if span is None:
        raise DataError(f"{path} is not named by the time span it holds; remove it from the catalog")
    with open_parquet(path) as parquet:
        identity = _instrument(path, parquet)
        metadata = parquet.schema_arrow.metadata
        _refuse_other_columns(path, kind, parquet.schema_arrow)
        rows = parquet.metadata.num_rows
        has_order_ids = kind is DataKind.DELTAS and _may_hold_order_ids(parquet)
    digits = [metadata.get(name, b"") for name in (b"price_precision", b"size_precision")]
    if not all(text.isdigit() for text in digits):
        raise DataError(
            f"{path} does not say with how many digits it holds prices and sizes; remove it from the catalog"
        )
    notes = tuple(metadata.get(_NOTES.encode(), b"").decode(errors="replace").splitlines())
    return CatalogFile(
        path, kind, identity, *span, rows, int(digits[0]), int(digits[1]), has_order_ids, notes
    )


def named_instrument(path: StoredPath) -> str:
    """Return the instrument that a file's footer names; raises a `DataError` as `catalog_files` does."""
    with open_parquet(path) as parquet:
        return _instrument(path, parquet)


def _instrument(path: StoredPath, parquet: pq.ParquetFile) -> str:
    identity = (parquet.schema_arrow.metadata or {}).get(b"instrument_id")
    if identity is None:
        raise DataError(f"{path} does not say which instrument it holds; remove it from the catalog")
    return identity.decode(errors="replace")


def _refuse_other_columns(path: StoredPath, kind: DataKind, schema: pa.Schema) -> None:
    _, _, names = _LAYOUTS[kind]
    for name in names:
        column = schema.get_field_index(name)
        found = None if column < 0 else schema.field(column).type
        words, fits = _column_type(name)
        if name != "order_id" and (found is None or not fits(found)):
            raise DataError(
                f"{path} is no file of {kind.label}: its column {name} must be {words}, was {found or 'missing'}; "
                "remove it from the catalog"
            )


def _column_type(name: str) -> tuple[str, Callable[[pa.DataType], bool]]:
    """Return what a column holds, in words and as a test of its type."""
    if name in _CODES:
        return "words", pa.types.is_dictionary
    if name in ("price", "size"):
        return "decimals", pa.types.is_decimal
    if name == "trade_id":
        return "text", pa.types.is_string
    return "whole numbers or times", lambda found: pa.types.is_integer(found) or pa.types.is_timestamp(found)


def _may_hold_order_ids(parquet: pq.ParquetFile) -> bool:
    """Return whether the footer of a file of book changes leaves room for an order id other than 0."""
    column = parquet.schema_arrow.get_field_index("order_id")
    if column < 0:
        return False
    groups = (parquet.metadata.row_group(group) for group in range(parquet.num_row_groups))
    statistics = [group.column(column).statistics for group in groups if group.num_rows]
    return any(found is None or not found.has_min_max or found.max != 0 for found in statistics)


def last_row(path: StoredPath, columns: list[str]) -> dict[str, Any]:
    """Return some columns of a file's last row; only the last row group is read. A `DataError` says it is damaged."""
    with open_parquet(path) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        last = max(group for group, rows in enumerate(sizes) if rows)
        try:
            rows = parquet.read_row_group(last, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
    return dict(rows.slice(rows.num_rows - 1).to_pylist()[0])


def open_parquet(path: StoredPath) -> pq.ParquetFile:
    """Open a Parquet file; a `DataError` names it and says that it is empty, cut off or damaged."""
    try:
        source = open_input(path)
        if source.size() == 0:
            raise DataError(f"{path} is empty (0 bytes); remove it and import its data again")
        return pq.ParquetFile(source, pre_buffer=isinstance(path, StorePath))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: StoredPath, error: Exception) -> DataError:
    if isinstance(path, StorePath) and (failure := path.failure(error)) is not None:
        return DataError(f"{path} cannot be read: {failure}")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path} is cut off or damaged ({reason}); remove it and import its data again")


def read_batches(
    path: StoredPath, columns: list[str] | None = None, batch_rows: int = _BATCH_ROWS
) -> Iterator[Any]:
    """Yield the rows of a Parquet file as Arrow batches, of some columns or all; a `DataError` says it is damaged."""
    with open_parquet(path) as parquet:
        try:
            for groups in _read_at_once(path, parquet):
                yield from parquet.iter_batches(batch_rows, groups, columns)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error


def _read_at_once(path: StoredPath, parquet: pq.ParquetFile) -> list[list[int] | None]:
    """Return which row groups are read at once, None for all: of a store each is fetched whole, and kept while read."""
    return [[group] for group in range(parquet.num_row_groups)] if isinstance(path, StorePath) else [None]


def row_times(table: Any) -> Ints:
    """Return the times that rows are ordered by, nanoseconds: of receipt, or of the event where there are no others."""
    name = "ts_init" if "ts_init" in table.schema.names else "ts_event"
    values: Ints = table.column(name).cast(pa.int64()).to_numpy()
    return values


class Progress:
    """Report how many rows of a known total have been read."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._done, self._total, self._on_progress = 0, total, on_progress

    def counting[Block: (DeltaBlock, TradeBlock)](self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks and count their rows."""
        for block in blocks:
            self._done += len(block)
            if self._on_progress is not None:
                self._on_progress(min(self._done, self._total), self._total)
            yield block


# -- Blocks -------------------------------------------------------------------------------------------------

_LAYOUTS: Final[dict[DataKind, tuple[type[Any], str, tuple[str, ...]]]] = {
    DataKind.DELTAS: (
        DeltaBlock,
        "OrderBookDelta",
        ("action", "side", "price", "size", "order_id", "flags", "sequence", "ts_event", "ts_init"),
    ),
    DataKind.TRADES: (
        TradeBlock,
        "TradeTick",
        ("price", "size", "aggressor_side", "trade_id", "ts_event", "ts_init"),
    ),
}
"""The block, the engine's name and the columns of each type."""


def read_blocks(file: CatalogFile, spec: InstrumentSpec, batch_rows: int) -> Iterator[Any]:
    """Yield a file's rows as `DeltaBlock` or `TradeBlock` of at most `batch_rows`, in the file's own order.

    A `DataError` says that the file is damaged or holds what does not fit the instrument's increments.
    """
    for batch in read_batches(file.path, batch_rows=batch_rows):
        yield batch_block(file, batch, spec)


def batch_block(file: CatalogFile, batch: Any, spec: InstrumentSpec) -> Any:
    """Return an Arrow batch, which came from `file`, as a block; raises a `DataError` as `read_blocks` does."""
    block_type, _, names = _LAYOUTS[file.kind]
    columns = {
        _BLOCK_NAMES.get(name, name): _values(file, batch, name, spec) for name in names if name != "order_id"
    }
    return block_type(**columns)


def _values(file: CatalogFile, batch: Any, name: str, spec: InstrumentSpec) -> Any:
    if name in _CODES:
        return codes(file, batch, name)
    if name in _NUMBERS:
        # Through DLPack, as `to_numpy` imports pandas, for which no run waits to begin.
        return np.from_dlpack(batch.column(name).cast(pa.int64(), safe=False)).astype(np.int64)
    return batch.column(name).to_pylist() if name == "trade_id" else multiples(file, batch, name, spec)


def codes(file: CatalogFile, batch: Any, name: str) -> Ints:
    """Return the codes of a column of words."""
    column, known = batch.column(name), _CODES[name]
    names = column.dictionary.to_pylist()
    unknown = [word for word in names if word not in known]
    if unknown:
        raise DataError(f"{file.path} holds {unknown[0]!r} where one of {', '.join(known)} is expected")
    table = np.array([known[word] for word in names] or [0], dtype=np.int64)
    values: Ints = table[np.from_dlpack(column.indices)]
    return values


def multiples(file: CatalogFile, batch: Any, name: str, spec: InstrumentSpec) -> Ints:
    """Return the column ``price`` or ``size`` as whole numbers of the instrument's increments."""
    increment: Decimal = getattr(spec, f"{name}_increment")
    digits = decimal_places(increment)
    try:
        column = batch.column(name)
        column = column.fill_null(Decimal(0)) if column.null_count else column
        column = column.cast(pa.decimal128(38, digits))
    except pa.ArrowInvalid as error:
        raise _off_grid(file, batch, name, increment) from error
    words = decimal_words(column)
    low, high = words[:, 0], words[:, 1]
    found, rest = np.divmod(low, int(increment.scaleb(digits)))
    if rest.any() or (high != low >> 63).any():
        raise _off_grid(file, batch, name, increment)
    return found


def decimal_words(column: Any) -> Ints:
    """Return decimals as whole numbers of their last digit, in two columns: the low and the high 64 bits."""
    words = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    return words[column.offset : column.offset + len(column)]


def _off_grid(file: CatalogFile, batch: Any, name: str, increment: Decimal) -> DataError:
    with localcontext(prec=60):  # A quotient has up to 38 digits.
        values = [value for value in batch.column(name).to_pylist() if value is not None]
        value = next((value for value in values if value % increment), max(values)).normalize()
    return DataError(
        f"{file.path} holds a {name} that is no multiple of {file.instrument_id}'s {name}_increment {increment}, "
        f"was {value:f}; its instrument definition does not belong to this data"
    )


def block_table(
    spec: InstrumentSpec, block: DeltaBlock | TradeBlock, notes: tuple[str, ...] = ()
) -> pa.Table:
    """Return a block with the columns and the metadata of the engine's own files of its type, and with notes."""
    # The engine marks price and size of book changes as nullable; a file of another schema cannot be read with its own.
    kind, nullable = (
        (DataKind.DELTAS, ("price", "size")) if isinstance(block, DeltaBlock) else (DataKind.TRADES, ())
    )
    _, type_name, names = _LAYOUTS[kind]
    metadata: dict[bytes | str, bytes | str] = {
        "instrument_id": spec.instrument_id,
        "price_precision": str(spec.price_precision),
        "size_precision": str(spec.size_precision),
        "type_name": type_name,
        **({_NOTES: "\n".join(notes)} if notes else {}),
    }
    columns = [_column(spec, block, name) for name in names]
    fields = [
        pa.field(name, column.type, nullable=name in nullable)
        for name, column in zip(names, columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=metadata))


def _column(spec: InstrumentSpec, block: DeltaBlock | TradeBlock, name: str) -> Any:
    if name == "order_id":
        return pa.array(np.zeros(len(block), dtype=np.uint64))
    values = getattr(block, _BLOCK_NAMES.get(name, name))
    if name in _CODES:
        return _dictionary(values, _CODES[name])
    if name in _NUMBERS:
        return pa.array(values).cast(_NUMBERS[name])
    if name == "trade_id":
        return pa.array(values, pa.string())
    return decimals(values, getattr(spec, f"{name}_increment")).cast(_DECIMAL)


def _dictionary(values: Ints, known: dict[str, int]) -> Any:
    table = np.full(max(known.values()) + 1, -1, dtype=np.int8)
    for index, code in enumerate(known.values()):
        table[code] = index
    indices: Any = pa.array(table[values])
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(known), pa.string()))


def decimals(values: Ints, increment: Decimal) -> Any:
    """Return whole numbers of increments as decimals with the increment's digits."""
    digits = decimal_places(increment)
    words = np.zeros((len(values), 2), dtype=np.int64)
    words[:, 0] = np.asarray(values, dtype=np.int64) * int(increment.scaleb(digits))
    words[:, 1] = words[:, 0] >> 63
    return pa.Array.from_buffers(pa.decimal128(38, digits), len(values), [None, pa.py_buffer(words)])
