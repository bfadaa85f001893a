"""Reading Parquet catalogs: instruments, files and array blocks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mm_nautilus.data.catalog_files import (
    CatalogFile,
    DataKind,
    announces_breaks,
    catalog_files,
    folder_name,
    format_time,
    read_delta_blocks,
    read_trade_blocks,
    require_multiples,
)
from mm_nautilus.data.catalog_instruments import CatalogInstruments, read_instruments
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import ACTION_CLEAR, DeltaBlock, Ints, TradeBlock
from mm_nautilus.system.near_names import nearest

__all__ = ["CatalogReader", "DataKind", "files_within", "format_time", "refuse_overlaps"]

_MOST_REASONS = 5
_BATCH_ROWS = 65_536
_HOW_TO_FILL = "fill one with `mm-nautilus data import tardis` or `mm-nautilus data simulate`"


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
        """Return the last of `full_books`, None if there is none; raises as it does."""
        found = self.full_books(instrument_id, moment)
        return found[-1] if found else None

    def full_books(self, instrument_id: str, moment: int) -> list[int]:
        """Return the ``ts_init`` (nanoseconds) of the full books at or before a moment, oldest first.

        Raises
        ------
        DataError
            As for `iter_deltas`.
        """
        found: list[int] = []
        for block in self.iter_deltas(instrument_id, end=moment):
            found += block.ts_init[block.action == ACTION_CLEAR].tolist()
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

    def announces_breaks(self, instrument_id: str, start: int | None, end: int | None) -> bool:
        """Return whether an instrument's book is ever emptied without a new one in the same group, within a span.

        Raises
        ------
        DataError
            If a file is damaged.
        """
        files = files_within(self.files(instrument_id, DataKind.DELTAS), start, end)
        return any(announces_breaks(file) for file in files)

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


def files_within(files: Iterable[CatalogFile], start: int | None, end: int | None) -> list[CatalogFile]:
    """Return the files that may hold rows of a span, nanoseconds, both inclusive; None is unbounded."""
    return [
        file for file in files if (start is None or file.end >= start) and (end is None or file.start <= end)
    ]
