"""Writing and reading Parquet catalogs; a write either lands whole or leaves nothing behind."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from nautilus_trader.persistence import (
    OrderBookDeltaDataWrangler,
    ParquetDataCatalog,
    TradeTickDataWrangler,
)

from mm_nautilus.config.problems import nearest
from mm_nautilus.data.catalog_files import (
    CatalogFile,
    DataKind,
    catalog_files,
    delta_stream,
    file_interval,
    folder_name,
    format_time,
    read_delta_blocks,
    read_trade_blocks,
    require_multiples,
    trade_stream,
)
from mm_nautilus.data.catalog_fitness import footer_problems
from mm_nautilus.data.catalog_instruments import (
    INSTRUMENT_FOLDER,
    CatalogInstruments,
    read_instruments,
)
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import ACTION_CLEAR, DeltaBlock, Ints, TradeBlock
from mm_nautilus.trading.instruments import currency_pair, instrument_differences

__all__ = [
    "CatalogReader",
    "CatalogWriter",
    "DataKind",
    "format_time",
    "refuse_other_span",
    "refuse_several_venues",
    "require_data",
    "staged_catalog",
]

_MOST_REASONS = 5
_OTHER_BOOKS = {"order_book_depths": "snapshots of some levels", "quotes": "best quotes"}
_BATCH_ROWS = 65_536
_HOW_TO_FILL = "fill one with `mm-nautilus data import tardis` or `mm-nautilus data simulate`"


class CatalogWriter:
    """Write instruments, book deltas and trades of array blocks into a catalog folder.

    Blocks of one instrument and type must come in time order, and a block's first ``ts_init`` must be later
    than the last one of the block before it, because each block becomes a file of its own.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    target
        The catalog these files will be moved into, whose instruments must not contradict the new ones;
        None where there is no other.
    """

    def __init__(self, folder: Path, target: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._catalog = ParquetDataCatalog(str(folder.resolve()))
        self._known, self._refused = _known_instruments(target)
        self._target = target
        self._written: dict[tuple[str, DataKind], tuple[int, int]] = {}

    def write_instrument(self, spec: InstrumentSpec) -> None:
        """Write one instrument; the same definition again writes nothing.

        Raises
        ------
        DataError
            If another definition of the instrument is already there, a different symbol already uses its
            folder, or the engine cannot keep its numbers exactly.
        """
        known = self._known.get(folder_name(spec.instrument_id))
        refused = self._refused.get(folder_name(spec.instrument_id))
        if refused is not None:
            raise DataError(
                f"{self._target} already holds another definition: {refused}; choose another catalog"
            )
        if known is not None:
            _refuse_conflict(known, spec)
            return
        try:
            instrument = currency_pair(spec)
        except ValueError as error:
            raise DataError(str(error)) from error
        self._catalog.write_instruments([instrument])
        self._known[folder_name(spec.instrument_id)] = spec

    def write_deltas(self, spec: InstrumentSpec, block: DeltaBlock) -> None:
        """Write one block of book changes; an empty block writes nothing.

        Raises
        ------
        ValueError
            If the block is not in time order or does not start after the one before it.
        DataError
            If the target already holds book changes of the instrument in the span written so far.
        """
        if not len(block):
            return
        self._advance(spec, DataKind.DELTAS, block.ts_init)
        wrangler = OrderBookDeltaDataWrangler(spec.instrument_id, spec.price_precision, spec.size_precision)
        self._catalog.write_order_book_deltas(wrangler.process_record_batch_bytes(delta_stream(spec, block)))

    def write_trades(self, spec: InstrumentSpec, block: TradeBlock) -> None:
        """Write one block of trades; an empty block writes nothing.

        Raises
        ------
        ValueError, DataError
            As for `write_deltas`.
        """
        if not len(block):
            return
        self._advance(spec, DataKind.TRADES, block.ts_init)
        wrangler = TradeTickDataWrangler(spec.instrument_id, spec.price_precision, spec.size_precision)
        self._catalog.write_trade_ticks(wrangler.process_record_batch_bytes(trade_stream(spec, block)))

    def _advance(self, spec: InstrumentSpec, kind: DataKind, times: Ints) -> None:
        key = (spec.instrument_id, kind)
        first, last = self._written.get(key, (int(times[0]), int(times[0]) - 1))
        if (np.diff(times) < 0).any() or times[0] <= last:
            raise ValueError(f"{kind.label} of {spec.instrument_id} must be written in time order")
        self._written[key] = (first, int(times[-1]))
        if self._target is not None:
            folder = self._target / "data" / kind / folder_name(spec.instrument_id)
            _refuse_overlap(self._written[key], folder)


def _known_instruments(target: Path | None) -> tuple[dict[str, InstrumentSpec], dict[str, str]]:
    """Return what a catalog defines and why the rest cannot be quoted, by folder."""
    if target is None or not (target / "data").is_dir():
        return {}, {}
    found = CatalogReader(target).definitions
    specs = {folder_name(spec.instrument_id): spec for spec in found.specs}
    return specs, {folder_name(name): text for name, text in found.refused.items()}


def _refuse_conflict(known: InstrumentSpec, spec: InstrumentSpec) -> None:
    if known.instrument_id != spec.instrument_id:
        raise DataError(
            f"the catalog already holds {known.instrument_id}, whose files would share a folder with "
            f"{spec.instrument_id}; choose another catalog"
        )
    differences = instrument_differences(known, spec)
    if differences:
        raise DataError(
            f"the catalog already holds {known.instrument_id} with another definition "
            f"({'; '.join(differences)}); use the same definition or choose another catalog"
        )


@contextmanager
def staged_catalog(target: Path) -> Iterator[CatalogWriter]:
    """Open a writer beside `target` and move its files into `target` when the block ends without an error.

    Parameters
    ----------
    target
        The catalog's folder; made if it does not exist, added to if it does.

    Raises
    ------
    DataError
        If `target` already holds data of the same instrument and type in the new data's time span, or a
        contradicting instrument, or cannot be written; nothing is moved then.
    """
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file; a catalog is a folder")
    # Folders above a new catalog are made when it lands, so that a refused one leaves none of them.
    beside = next(folder for folder in target.absolute().parents if folder.exists())
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=beside))
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}") from error
    try:
        yield CatalogWriter(staging, target)
        _move_into(staging, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _join_files(folder: Path) -> None:
    """Make one file of all files of an instrument and type, row group by row group.

    The engine opens every file of a run at once: many small ones would cost it memory.
    """
    paths = sorted(folder.glob("*.parquet"))
    if len(paths) < 2:
        return
    start, end = paths[0].name.partition("_")[0], paths[-1].name.partition("_")[2]
    joined = folder / f"{start}_{end}"
    aside = joined.with_suffix(".joining")
    with pq.ParquetWriter(aside, pq.read_schema(paths[0]), compression="zstd") as writer:
        for path in paths:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    for path in paths:
        path.unlink()
    aside.rename(joined)


def _move_into(staging: Path, target: Path) -> None:
    for folder in sorted({path.parent for path in staging.rglob("*.parquet")}):
        if folder.parent.name != INSTRUMENT_FOLDER:
            _join_files(folder)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.chmod(0o755)
        staging.rename(target)
        return
    files = [path.relative_to(staging) for path in sorted(staging.rglob("*")) if path.is_file()]
    for folder in sorted({file.parent for file in files}):
        new = _folder_intervals(staging / folder)
        if new:
            _refuse_overlap((new[0][0], new[-1][1]), target / folder)
    _move_files(staging, target, files)


def _refuse_overlap(span: tuple[int, int], existing: Path) -> None:
    for start, end in _folder_intervals(existing):
        if start <= span[1] and span[0] <= end:
            raise DataError(
                f"{existing} already holds data from {format_time(start)} to {format_time(end)}, which the "
                f"new data from {format_time(span[0])} on would overlap; remove it first or choose another "
                "catalog"
            )


def _folder_intervals(folder: Path) -> list[tuple[int, int]]:
    spans = (file_interval(path.name) for path in folder.glob("*.parquet"))
    return sorted(span for span in spans if span is not None)


def _move_files(staging: Path, target: Path, files: Sequence[Path]) -> None:
    moved: list[Path] = []
    try:
        for file in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            moved.append(target / file)
            (staging / file).replace(target / file)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        raise


class CatalogReader:
    """Read a catalog's instruments and market data as array blocks, with flat memory.

    Files are read directly, column by column, because the engine's own queries build one object a row and
    do not name the file that is damaged.

    Parameters
    ----------
    folder
        The catalog's folder.
    at
        The time whose definitions of instruments are wanted, nanoseconds: each one that was in force then, or when
        its data begins, if that is later.

    Raises
    ------
    DataError
        If the folder does not exist or holds no catalog.
    """

    def __init__(self, folder: Path, at: int | None = None) -> None:
        if not folder.exists():
            raise DataError(f"the catalog {folder} does not exist; {_other_catalog(folder)}")
        if not folder.is_dir():
            raise DataError(f"{folder} is a file; a catalog is a folder")
        if not (folder / "data").is_dir():
            raise DataError(f"{folder} holds no catalog (it has no folder `data`); {_HOW_TO_FILL}")
        self.folder = folder
        self._at = at

    @cached_property
    def definitions(self) -> CatalogInstruments:
        """What the catalog defines; reading it raises a `DataError` for a damaged file."""
        return read_instruments(self.folder, self._at)

    def ambiguous(self, instrument_ids: Iterable[str]) -> tuple[Any, ...]:
        """Return the engine's instruments of those ids that have several definitions: the engine takes the last one."""
        found = self.definitions
        return tuple(found.pairs[name] for name in instrument_ids if name in found.repeated)

    def instruments(self) -> list[InstrumentSpec]:
        """Return the spot pairs that can be quoted, ordered by id.

        Raises
        ------
        DataError
            If an instrument's file is empty, cut off or damaged.
        """
        return list(self.definitions.specs)

    def some_instruments(self) -> list[InstrumentSpec]:
        """Return `instruments`, of which there is at least one.

        Raises
        ------
        DataError
            As for `instruments`, or if there is none; the message says what there is, or how to fill a catalog.
        """
        specs, refused = self.instruments(), self.definitions.refused
        if not specs and refused:
            reasons = list(refused.values())[:_MOST_REASONS]
            if len(refused) > _MOST_REASONS:
                reasons.append(f"and {len(refused) - _MOST_REASONS} more")
            raise DataError(f"{self.folder} holds no instrument that can be quoted: {'; '.join(reasons)}")
        if not specs:
            raise DataError(f"{self.folder} holds no instruments; {_HOW_TO_FILL}")
        return specs

    def instrument(self, name: str, venue: str | None = None) -> InstrumentSpec:
        """Return the instrument with this id, or with this symbol at `venue` (any venue if None).

        Raises
        ------
        DataError
            If the catalog holds no instruments, none of that name, or several.
        """
        specs = self.some_instruments()
        wanted = name if venue is None else f"{name}.{venue}"
        found = [spec for spec in specs if wanted in (spec.instrument_id, spec.symbol)]
        if len(found) == 1:
            return found[0]
        if not found and (reason := self._refusal(wanted)) is not None:
            raise DataError(f"{self.folder} holds {wanted}, which cannot be quoted: {reason}")
        if found:
            several = ", ".join(spec.instrument_id for spec in found)
            raise DataError(f"{self.folder} holds {name} of several venues ({several}); name one of them")
        raise DataError(f"{self.folder} holds no instrument {wanted}; {_nearest(wanted, specs)}")

    def _refusal(self, wanted: str) -> str | None:
        """Return why an instrument with this id or symbol cannot be quoted, None where none has it."""
        refused = self.definitions.refused.items()
        return next((text for name, text in refused if wanted in (name, name.rpartition(".")[0])), None)

    def choose(self, names: Sequence[str] | None) -> list[InstrumentSpec]:
        """Return the instruments of some names, each once and in their order; all for None.

        Raises
        ------
        DataError
            If the catalog holds no instruments, or not these; one line a name.
        """
        specs = self.some_instruments()
        found: dict[str, InstrumentSpec] = {}
        problems = []
        for name in names or [spec.instrument_id for spec in specs]:
            try:
                spec = self.instrument(name)
            except DataError as error:
                problems.append(str(error))
            else:
                found[spec.instrument_id] = spec
        if problems:
            raise DataError("\n".join(dict.fromkeys(problems)))
        return list(found.values())

    def stored_folders(self, kind: DataKind) -> list[Path]:
        """Return the folders that hold files of one type, one an instrument, whether defined or not."""
        root = self.folder / "data" / kind
        return sorted(path for path in root.glob("*") if path.is_dir() and any(path.glob("*.parquet")))

    def files(self, instrument_id: str, kind: DataKind) -> list[CatalogFile]:
        """Return the files of one instrument and type in time order.

        Raises
        ------
        DataError
            If a file is damaged or holds another instrument.
        """
        files = catalog_files(self.folder / "data" / kind / folder_name(instrument_id), kind)
        for file in files:
            if file.instrument_id != instrument_id:
                raise DataError(f"{file.path} holds {file.instrument_id}, not {instrument_id}; remove it")
        return files

    def intervals(self, instrument_id: str, kind: DataKind) -> list[tuple[int, int]]:
        """Return first and last ``ts_init`` (nanoseconds, inclusive) of each file, by the files' names.

        Raises
        ------
        DataError
            As for `files`.
        """
        return [(file.start, file.end) for file in self.files(instrument_id, kind)]

    def bounds(self, instrument_id: str, kind: DataKind) -> tuple[int, int] | None:
        """Return first and last ``ts_init`` (nanoseconds) of all files together, or None if there are none.

        Raises
        ------
        DataError
            As for `files`.
        """
        intervals = self.intervals(instrument_id, kind)
        return (intervals[0][0], max(end for _, end in intervals)) if intervals else None

    def snapshot_before(self, instrument_id: str, moment: int) -> int | None:
        """Return the ``ts_init`` (nanoseconds) of the last full book at or before a moment, None if there is none.

        Raises
        ------
        DataError
            As for `iter_deltas`.
        """
        found: int | None = None
        for block in self.iter_deltas(instrument_id, end=moment):
            clears = block.ts_init[block.action == ACTION_CLEAR]
            found = int(clears[-1]) if len(clears) else found
        return found

    def iter_deltas(
        self,
        instrument_id: str,
        start: int | None = None,
        end: int | None = None,
        *,
        batch_rows: int = _BATCH_ROWS,
    ) -> Iterator[DeltaBlock]:
        """Yield an instrument's book changes in time order.

        Parameters
        ----------
        instrument_id
            Symbol and venue joined by a dot.
        start, end
            First and last ``ts_init`` wanted, nanoseconds, both inclusive; None is unbounded.
        batch_rows
            Most rows in one block. A block may end in the middle of a group.

        Raises
        ------
        DataError
            If the instrument is unknown, or a file is damaged, unsorted, overlaps another or holds times
            outside the span its name promises.
        """
        yield from self._iterate(instrument_id, DataKind.DELTAS, read_delta_blocks, (start, end), batch_rows)

    def iter_trades(
        self,
        instrument_id: str,
        start: int | None = None,
        end: int | None = None,
        *,
        batch_rows: int = _BATCH_ROWS,
    ) -> Iterator[TradeBlock]:
        """Yield an instrument's trades in time order; parameters and errors as for `iter_deltas`."""
        yield from self._iterate(instrument_id, DataKind.TRADES, read_trade_blocks, (start, end), batch_rows)

    def require_grid(self, instrument_id: str, kind: DataKind, start: int | None, end: int | None) -> None:
        """Read the prices and sizes of an instrument's files in a span, which all have to be on its grid.

        The engine takes what is off it as it is.

        Raises
        ------
        DataError
            If one is not, or a file is damaged.
        """
        spec = self.instrument(instrument_id)
        for file in files_within(self.files(spec.instrument_id, kind), start, end):
            require_multiples(file, spec)

    def _iterate[Block: (DeltaBlock, TradeBlock)](
        self,
        instrument_id: str,
        kind: DataKind,
        read: Callable[[CatalogFile, InstrumentSpec, int], Iterator[Block]],
        span: tuple[int | None, int | None],
        batch_rows: int,
    ) -> Iterator[Block]:
        spec = self.instrument(instrument_id)
        files = self.files(spec.instrument_id, kind)
        refuse_overlaps(files)
        first = 0 if span[0] is None else span[0]
        last = np.iinfo(np.int64).max if span[1] is None else span[1]
        for file in files:
            if file.end < first or file.start > last:
                continue
            previous = file.start
            for block in read(file, spec, batch_rows):
                previous = _checked_end(file, block.ts_init, previous)
                low = int(np.searchsorted(block.ts_init, first, side="left"))
                high = int(np.searchsorted(block.ts_init, last, side="right"))
                if low < high:
                    yield block.slice(low, high)


def _checked_end(file: CatalogFile, times: Ints, previous: int) -> int:
    if len(times) == 0:
        return previous
    if times[0] < file.start or times[-1] > file.end:
        raise DataError(f"{file.path} holds times outside the span its name promises; import its data again")
    if times[0] < previous or (np.diff(times) < 0).any():
        raise DataError(f"{file.path} is not in time order; import its data again")
    return int(times[-1])


def refuse_overlaps(files: Sequence[CatalogFile]) -> None:
    """Check that files in time order are disjoint.

    Raises
    ------
    DataError
        If two of them overlap; the message names both.
    """
    for before, after in pairwise(files):
        if after.start <= before.end:
            raise DataError(f"{after.path} overlaps {before.path.name} in time; remove one of them")


def _other_catalog(folder: Path) -> str:
    """Return which catalog beside a missing one is most likely meant, or how to make one."""
    beside = [path.parent.name for path in folder.parent.glob("*/data") if path.is_dir()]
    likely = nearest(folder.name, beside)
    return _HOW_TO_FILL if likely is None else f"did you mean {folder.parent / likely}?"


def _nearest(wanted: str, specs: Sequence[InstrumentSpec]) -> str:
    ids = [spec.instrument_id for spec in specs]
    names = ids if "." in wanted else [spec.symbol for spec in specs]
    likely = nearest(wanted, names)
    return f"it holds {', '.join(ids)}" if likely is None else f"did you mean {likely}?"


def require_data(
    folder: Path,
    symbols: Sequence[str],
    venue: str | None = None,
    *,
    start: int | None = None,
    end: int | None = None,
    needs_trades: bool = False,
) -> list[InstrumentSpec]:
    """Return the instruments of `symbols` after making sure that a run over them can start.

    Every footer of their files is read, and the last rows. All rows are read only where there are order ids.

    Parameters
    ----------
    folder
        The catalog's folder.
    symbols
        Symbols such as ``BTC/USDT``, or ids such as ``BTC/USDT.KRAKEN`` when `venue` is None.
    venue
        The venue they trade at; None takes the only one the catalog has.
    start, end
        First and last ``ts_init`` of the run, nanoseconds, both inclusive; None is unbounded.
    needs_trades
        Whether a missing tape is an error.

    Raises
    ------
    DataError
        With one line a problem: no catalog, unknown instruments, damaged or overlapping files, no book
        changes (or trades) at all or none in the span, an instrument that is defined anew within the span, or data
        that is not what `mm_nautilus.data.catalog_fitness` asks for.
    """
    reader = CatalogReader(folder, start)
    specs: list[InstrumentSpec] = []
    problems: list[str] = []
    try:
        refuse_other_span(reader, start, end)
    except DataError as error:
        problems.append(str(error))
        start = end = None
    kinds = [DataKind.DELTAS, DataKind.TRADES] if needs_trades else [DataKind.DELTAS]
    for symbol in symbols:
        try:
            spec = reader.instrument(symbol, venue)
            specs.append(spec)
            problems.extend(_redefinitions(reader, spec, end))
            for kind in kinds:
                problems.extend(_unfit_data(reader, spec, kind, start, end))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))
    return specs


def refuse_several_venues(specs: Sequence[InstrumentSpec], noun: str) -> None:
    """Check that instruments are of one venue.

    Parameters
    ----------
    specs
        The instruments.
    noun
        What messages call what they are for, without an article.

    Raises
    ------
    DataError
        If they are not; the message names their ids.
    """
    if len({spec.venue for spec in specs}) > 1:
        ids = ", ".join(spec.instrument_id for spec in specs)
        raise DataError(f"a {noun} is of one venue, was {ids}; name the symbols of one, by these ids")


def refuse_other_span(reader: CatalogReader, start: int | None, end: int | None) -> None:
    """Check that a catalog holds anything at all in a span, by its files' names.

    Parameters
    ----------
    reader
        The catalog.
    start, end
        First and last ``ts_init`` wanted, nanoseconds, both inclusive; None is unbounded.

    Raises
    ------
    DataError
        If it holds data, and none of it lies in the span.
    """
    names = (path.name for kind in DataKind for path in reader.folder.glob(f"data/{kind}/*/*.parquet"))
    spans = [span for span in map(file_interval, names) if span is not None]
    if not spans or any(
        (start is None or start <= last) and (end is None or first <= end) for first, last in spans
    ):
        return
    held = [
        format_time(moment) for moment in (min(first for first, _ in spans), max(last for _, last in spans))
    ]
    raise DataError(
        f"start and end must leave some of what {reader.folder} holds, {held[0]} to {held[1]}, was "
        f"{_span_text(start, end)}"
    )


def _span_text(start: int | None, end: int | None) -> str:
    return " to ".join("open" if bound is None else format_time(bound) for bound in (start, end))


def _redefinitions(reader: CatalogReader, spec: InstrumentSpec, end: int | None) -> Iterator[str]:
    """Yield the definitions that come into force before a run ends, which the engine cannot follow."""
    bounds = reader.bounds(spec.instrument_id, DataKind.DELTAS)
    if bounds is None:
        return
    last = bounds[1] if end is None else min(end, bounds[1])
    for found in reader.definitions.later.get(spec.instrument_id, ()):
        if found.since <= last:
            yield f"{reader.folder}: {found.text}, within the data used; end before that, or start then"


def _unfit_data(
    reader: CatalogReader, spec: InstrumentSpec, kind: DataKind, start: int | None, end: int | None
) -> list[str]:
    files = [file for file in reader.files(spec.instrument_id, kind) if file.rows]
    refuse_overlaps(files)
    if not files:
        return [
            f"{reader.folder} holds no {kind.label} of {spec.instrument_id}{_other_books(reader, spec, kind)}; import "
            "them or choose another catalog"
        ]
    used = files_within(files, start, end)
    if used:
        return list(footer_problems(used, spec, end))
    first, last = format_time(files[0].start), format_time(files[-1].end)
    return [
        f"{reader.folder} holds no {kind.label} of {spec.instrument_id} in the wanted time span; it holds them from "
        f"{first} to {last}, was {_span_text(start, end)}"
    ]


def files_within(files: Iterable[CatalogFile], start: int | None, end: int | None) -> list[CatalogFile]:
    """Return the files that may hold rows of a span, nanoseconds, both inclusive; None is unbounded."""
    return [
        file for file in files if (start is None or file.end >= start) and (end is None or file.start <= end)
    ]


def _other_books(reader: CatalogReader, spec: InstrumentSpec, kind: DataKind) -> str:
    """Return which other kinds of book a catalog holds where it lacks book changes."""
    stored = folder_name(spec.instrument_id)
    names = [
        words
        for folder, words in _OTHER_BOOKS.items()
        if kind is DataKind.DELTAS and any((reader.folder / "data" / folder / stored).glob("*.parquet"))
    ]
    return f", but {' and '.join(names)}, which only a node of your own can play" if names else ""
