"""From a catalog to flat files: CSV in Tardis' form, which can be imported again, or Parquet tables."""

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import repeat
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.config.yaml_file import yaml_text
from mm_nautilus.data.book_tops import replay_touches
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import TIME, DataKind, OnProgress, Progress, decimals, format_time
from mm_nautilus.data.catalog_fitness import refuse_other_span
from mm_nautilus.data.catalog_writer import staged_folder
from mm_nautilus.errors import CalibrationError, ConfigError, DataError
from mm_nautilus.market.instrument import ORDER_LIMITS, InstrumentSpec, decimal_places
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, Side, TradeBlock
from mm_nautilus.system.store_url import CatalogPath

type ExportForm = Literal["tardis", "parquet"]

_END_OF_TIME_NS: Final = 2**63 - 1
BOOK_HEADER: Final = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES_HEADER: Final = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"


class CsvKind(StrEnum):
    """The Tardis data types that are written, by their Tardis names."""

    BOOK = "incremental_book_L2"
    TRADES = "trades"


_TARDIS_ENDS: Final = (*(f"_{kind.value}.csv.gz" for kind in CsvKind), ".yaml")
_PARQUET_ENDS: Final = ("_book_changes.parquet", "_trades.parquet", "_touches.parquet")
_TOUCH_ROWS: Final = 100_000
_ACTIONS: Final = {Action.ADD: "add", Action.UPDATE: "update", Action.DELETE: "delete", Action.CLEAR: "clear"}
_SIDES: Final = {Side.NONE: None, Side.BID: "bid", Side.ASK: "ask"}
_TAKERS: Final = {Side.NONE: None, Side.BID: "buy", Side.ASK: "sell"}
_CSV_SIDES: Final = {
    CsvKind.BOOK: {Side.BID: "bid", Side.ASK: "ask"},
    CsvKind.TRADES: {Side.BID: "buy", Side.ASK: "sell", Side.NONE: "unknown"},
}
_US: Final = 1_000
"""Nanoseconds in a microsecond, the CSV format's unit of time."""
_NO_BOOK: Final = -1


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file: its name in the folder, the instrument's id, and how many rows; a definition has None."""

    name: str
    instrument: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote; notes say what the format cannot express."""

    folder: Path
    files: tuple[ExportedFile, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def export_catalog(
    catalog: CatalogPath,
    target: Path,
    *,
    form: ExportForm = "tardis",
    names: Sequence[str] | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write a catalog's books and trades as flat files, all of them or none.

    Memory is flat with ``tardis``; with ``parquet`` it holds one symbol's changes of the touch, forty bytes each.

    Parameters
    ----------
    form
        ``tardis`` writes ``incremental_book_L2`` and ``trades`` CSV files, compressed, with times in microseconds,
        and the instrument's definition; ``parquet`` writes book changes, trades and touches.
    names
        Symbols or ids; None takes all.
    start_ns, end_ns
        First and last ``ts_init`` wanted, nanoseconds since the epoch, both inclusive; None is unbounded. The book
        begins with the last full one at or before the start.
    force
        Whether files of the same names may be replaced.
    on_progress
        Called with rows read and rows in all.

    Raises
    ------
    ConfigError
        If a file of that name exists and `force` is not given, or the target is a file.
    DataError
        If the catalog cannot be used, lacks a symbol, has nothing in the span or no full book before its start, or
        the target cannot be written.
    """
    reader = CatalogReader(catalog)
    specs = reader.choose(names)
    _refuse_shared_names(specs)
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigError(f"end must be after start ({format_time(start_ns)}), was {format_time(end_ns)}")
    refuse_other_span(reader, start_ns, end_ns)
    _refuse_target(target, specs, form, force=force)
    rows = sum(
        file.rows for spec in specs for kind in DataKind for file in reader.files(spec.instrument_id, kind)
    )
    progress = Progress(rows, on_progress)
    with staged_folder(target) as staging:
        exports = [_SymbolExport(reader, spec, staging, (start_ns, end_ns), progress) for spec in specs]
        for export in exports:
            if form == "tardis":
                export.write_tardis()
            else:
                export.write_parquet()
        _move_into(staging, target, force=force)
    return ExportReport(
        target,
        tuple(file for export in exports for file in export.files),
        tuple(note for export in exports for note in export.notes),
    )


def _refuse_shared_names(specs: Sequence[InstrumentSpec]) -> None:
    seen: dict[str, InstrumentSpec] = {}
    for spec in specs:
        other = seen.setdefault(source_symbol(spec), spec)
        if other is not spec:
            raise DataError(
                f"{other.instrument_id} and {spec.instrument_id} would have the same file names; export one at a time"
            )


def _refuse_target(target: Path, specs: Sequence[InstrumentSpec], form: ExportForm, *, force: bool) -> None:
    """Check where the files go before the work begins."""
    taken = next((folder for folder in (target, *target.parents) if folder.exists()), None)
    if taken is not None and not taken.is_dir():
        raise ConfigError(f"--out must be a folder, was {target}, and {taken} is a file")
    if not force:
        ends = _TARDIS_ENDS if form == "tardis" else _PARQUET_ENDS
        _refuse_existing([target / f"{source_symbol(spec)}{end}" for spec in specs for end in ends])


def _refuse_existing(paths: Sequence[Path]) -> None:
    there = [
        f"{path} exists; --force replaces it, --out names another folder" for path in paths if path.exists()
    ]
    if there:
        raise ConfigError(there)


def _move_into(staging: Path, target: Path, *, force: bool) -> None:
    written = sorted(staging.iterdir())
    if not force:
        _refuse_existing([target / path.name for path in written])
    target.mkdir(parents=True, exist_ok=True)
    for path in written:
        path.replace(target / path.name)


class _SymbolExport:
    """One instrument's files."""

    def __init__(
        self,
        reader: CatalogReader,
        spec: InstrumentSpec,
        folder: Path,
        span: tuple[int | None, int | None],
        progress: Progress,
    ) -> None:
        self._reader, self._spec, self._folder = reader, spec, folder
        self._start_ns, self._end_ns = span
        self._progress = progress
        self.files: list[ExportedFile] = []
        self.notes: list[str] = []

    def write_tardis(self) -> None:
        with closing(_TardisBook(self._folder, self._spec)) as book:
            for changes in self._deltas():
                book.write(changes)
        self._keep(book.path, book.rows)
        for words, count in {
            "groups of book changes share a microsecond with the previous one and are merged into it": (
                book.joined_groups
            ),
            "times the book was emptied for a while, which the format cannot express": book.empty_clears,
        }.items():
            if count:
                self.notes.append(f"{self._spec.instrument_id}: {count:,} {words}")
        with closing(_TardisTrades(self._folder, self._spec)) as tape:
            for trades in self._trades():
                tape.write(trades)
        self._keep(tape.path, tape.rows)
        path = self._folder / f"{source_symbol(self._spec)}.yaml"
        path.write_text(yaml_text(_definition(self._spec)), encoding="utf-8")
        self.files.append(ExportedFile(path.name, self._spec.instrument_id, None))

    def write_parquet(self) -> None:
        spec = self._spec
        self._write_table("book_changes", (_book_columns(spec, block) for block in self._deltas()))
        self._write_table("trades", (_trade_columns(spec, block) for block in self._trades()))
        start_ns, end_ns = self._start_ns or 0, self._end_ns or _END_OF_TIME_NS
        try:
            touches = replay_touches(self._deltas(), start_ns, end_ns).touches
        except CalibrationError as error:
            self.notes.append(f"{spec.instrument_id}: no touches: {error}")
        else:
            self._write_table("touches", _touch_columns(spec, touches))

    def _write_table(self, name: str, parts: Iterable[dict[str, Any]]) -> None:
        path = self._folder / f"{source_symbol(self._spec)}_{name}.parquet"
        rows, writer = 0, None
        with ExitStack() as files:
            for columns in parts:
                table = pa.table(columns)
                if writer is None:
                    writer = files.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
                writer.write_table(table)
                rows += table.num_rows
        self._keep(path, rows)

    def _deltas(self) -> Iterator[DeltaBlock]:
        """Yield book changes from the last full book at or before the start on."""
        identity, start_ns = self._spec.instrument_id, self._start_ns
        bounds = self._reader.bounds(identity, DataKind.DELTAS)
        if start_ns is not None and bounds is not None and start_ns > bounds[0]:
            books = self._reader.full_books(identity, start_ns)
            if not books:
                raise DataError(
                    f"start must come after a full book of {identity}, and {self._reader.folder} holds none up to then"
                )
            start_ns = books[-1]
        return self._progress.counting(self._reader.iter_deltas(identity, start_ns, self._end_ns))

    def _trades(self) -> Iterator[TradeBlock]:
        identity = self._spec.instrument_id
        return self._progress.counting(self._reader.iter_trades(identity, self._start_ns, self._end_ns))

    def _keep(self, path: Path, rows: int) -> None:
        """Keep a file that holds something."""
        if rows:
            self.files.append(ExportedFile(path.name, self._spec.instrument_id, rows))
            return
        path.unlink(missing_ok=True)
        self.notes.append(f"{self._spec.instrument_id}: nothing for {path.name} in the span")


def _times(values: Ints) -> Any:
    return pa.array(values).cast(TIME)


def _words(codes: Ints, words: Mapping[int, str | None]) -> Any:
    texts: Any = pa.array([words[code] for code in sorted(words)], pa.string())
    return texts.take(np.searchsorted(sorted(words), codes))


def _book_columns(spec: InstrumentSpec, block: DeltaBlock) -> dict[str, Any]:
    """Return book changes: what happened to which level, its new size, and where groups and full books are."""
    return {
        "ts_event": _times(block.ts_event),
        "ts_init": _times(block.ts_init),
        "action": _words(block.action, _ACTIONS),
        "side": _words(block.side, _SIDES),
        "price": decimals(block.price_ticks, spec.price_increment),
        "size": decimals(block.size_lots, spec.size_increment),
        "is_snapshot": pa.array((block.flags & Flag.SNAPSHOT) != 0),
        "is_last_of_group": pa.array((block.flags & Flag.LAST) != 0),
    }


def _trade_columns(spec: InstrumentSpec, block: TradeBlock) -> dict[str, Any]:
    """Return trades with the taker's side, null where it is not known."""
    return {
        "ts_event": _times(block.ts_event),
        "ts_init": _times(block.ts_init),
        "taker_side": _words(block.aggressor, _TAKERS),
        "price": decimals(block.price_ticks, spec.price_increment),
        "size": decimals(block.size_lots, spec.size_increment),
        "trade_id": pa.array(block.trade_id, pa.string()),
    }


def _touch_columns(spec: InstrumentSpec, touches: TouchSeries) -> Iterator[dict[str, Any]]:
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


def _definition(spec: InstrumentSpec) -> dict[str, Any]:
    """Return an instrument's definition as `load_instrument` reads it."""
    numbers = {
        "price_increment": spec.price_increment,
        "size_increment": spec.size_increment,
        **{name: getattr(spec, name) for name in ORDER_LIMITS},
        "maker_fee_pct": None if spec.maker_fee_rate is None else 100 * spec.maker_fee_rate,
        "taker_fee_pct": None if spec.taker_fee_rate is None else 100 * spec.taker_fee_rate,
    }
    return {
        "symbol": spec.symbol,
        "venue": spec.venue,
        "base": spec.base,
        "quote": spec.quote,
        **{name: f"{number:f}" for name, number in numbers.items() if number is not None},
        "source_symbol": source_symbol(spec),
        **({"simulated": True} if spec.simulated else {}),
        **({} if spec.kind == "spot" else _contract_terms(spec)),
    }


def _contract_terms(spec: InstrumentSpec) -> dict[str, Any]:
    rates = {"margin_init_pct": spec.margin_init_rate, "margin_maint_pct": spec.margin_maint_rate}
    return {"type": spec.kind, **{name: f"{100 * rate:f}" for name, rate in rates.items()}}


# -- Tardis CSV files, which the import reads back ----------------------------------------------------------


def source_symbol(spec: InstrumentSpec) -> str:
    """Return what the files call an instrument: its symbol without separators."""
    return "".join(filter(str.isalnum, spec.symbol))


def _decimals(multiples: Ints, increment: Decimal) -> list[str]:
    """Return whole numbers of increments as plain decimal texts."""
    digits = decimal_places(increment)
    unit = int(increment.scaleb(digits))
    if digits == 0:
        return [str(multiple * unit) for multiple in multiples.tolist()]
    scale = 10**digits
    whole, rest = np.divmod(multiples * unit, scale)
    return [f"{a}.{b:0{digits}d}" for a, b in zip(whole.tolist(), rest.tolist(), strict=True)]


class _CsvFile:
    """The compressed CSV file of one instrument and kind; the same rows give the same bytes."""

    def __init__(self, folder: Path, spec: InstrumentSpec, kind: CsvKind, header: str) -> None:
        self._spec, self._kind = spec, kind
        self._start = f"{spec.venue.lower()},{source_symbol(spec)}"
        self.path = folder / f"{source_symbol(spec)}_{kind.value}.csv.gz"
        self.rows = 0
        self._stored = self.path.open("wb")
        self._text = gzip.GzipFile(filename="", mode="wb", fileobj=self._stored, mtime=0)
        self._text.write(f"{header}\n".encode())

    def close(self) -> None:
        self._text.close()
        self._stored.close()

    def _write_rows(
        self, block: DeltaBlock | TradeBlock, fifth: Iterable[str], sides: Ints, lots: Ints
    ) -> None:
        columns = zip(
            repeat(self._start),
            (block.ts_event // _US).tolist(),
            (block.ts_init // _US).tolist(),
            fifth,
            map(_CSV_SIDES[self._kind].__getitem__, sides.tolist()),
            _decimals(block.price_ticks, self._spec.price_increment),
            _decimals(lots, self._spec.size_increment),
        )  # fmt: skip
        lines = (f"{a},{b},{c},{d},{e},{f},{g}\n" for a, b, c, d, e, f, g in columns)
        self._text.write("".join(lines).encode())
        self.rows += len(block)


class _TardisBook(_CsvFile):
    """Write book changes as ``incremental_book_L2``.

    The format marks the rows of a full book and has no row that empties one. What follows a clear at one time is
    marked, whether the catalog calls it a snapshot or not, and nothing else is: a reader begins a new book with the
    first marked row of a time.
    """

    def __init__(self, folder: Path, spec: InstrumentSpec) -> None:
        super().__init__(folder, spec, CsvKind.BOOK, BOOK_HEADER)
        self.joined_groups = 0
        """Groups of changes within the microsecond of the one before, which a reader takes for one."""
        self.empty_clears = 0
        """Moments at which the book was emptied and not filled again at once, which the format cannot express."""
        self._last_ns = self._last_us = 0
        self._ends_marked = self._is_cleared = False
        self._book_us = _NO_BOOK

    def write(self, block: DeltaBlock) -> None:
        """Write a block's rows, in order; a `DataError` says that two full books are within one microsecond."""
        before = np.append(self._last_ns, block.ts_init)
        self.joined_groups += int(((np.diff(before) > 0) & (np.diff(before // _US) == 0)).sum())
        self._last_ns = int(before[-1])
        cuts = np.flatnonzero(block.action == Action.CLEAR)
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(block)], strict=True):
            self._write_stretch(block.slice(start, stop))

    def _write_stretch(self, rows: DeltaBlock) -> None:
        """Write rows that have no clear but maybe at their beginning."""
        if len(rows) and rows.action[0] == Action.CLEAR:
            self.empty_clears += int(rows.flags[0] & Flag.LAST != 0)
            self._is_cleared = True
            rows = rows.slice(1, len(rows))
        if not len(rows):
            return
        if not self.rows:
            self._is_cleared |= bool(rows.flags[0] & Flag.SNAPSHOT)
        marked = self._marked(rows)
        lots = np.where(rows.action == Action.DELETE, 0, rows.size_lots)
        self._write_rows(rows, np.where(marked, "true", "false").tolist(), rows.side, lots)
        self._ends_marked, self._last_us = bool(marked[-1]), int(rows.ts_init[-1]) // _US

    def _marked(self, rows: DeltaBlock) -> NDArray[np.bool_]:
        """Return which rows are of a full book: what the first group behind a clear has of its first microsecond."""
        times = rows.ts_init // _US
        if self._is_cleared:
            self._is_cleared, self._book_us = False, int(times[0])
            if self._ends_marked and self._book_us <= self._last_us:
                raise DataError(
                    f"{self._spec.instrument_id} has two full books within the microsecond {self._book_us}, which "
                    "Tardis' format cannot distinguish; export it as parquet"
                )
        marked: NDArray[np.bool_] = times == self._book_us
        ends = np.flatnonzero(rows.flags & Flag.LAST)
        if len(ends):
            marked[int(ends[0]) + 1 :] = False
        if len(ends) or not marked[-1]:
            self._book_us = _NO_BOOK
        return marked


class _TardisTrades(_CsvFile):
    def __init__(self, folder: Path, spec: InstrumentSpec) -> None:
        super().__init__(folder, spec, CsvKind.TRADES, TRADES_HEADER)

    def write(self, block: TradeBlock) -> None:
        self._write_rows(block, block.trade_id, block.aggressor, block.size_lots)
