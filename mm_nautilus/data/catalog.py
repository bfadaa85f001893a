"""Reading Parquet catalogs: instruments and which definition is in force when, files and array blocks."""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from nautilus_trader.model import NautilusInstrumentType
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.catalog_files import (
    CatalogFile,
    DataKind,
    catalog_files,
    codes,
    file_spans,
    folder_name,
    format_time,
    multiples,
    named_instrument,
    open_parquet,
    read_batches,
    read_blocks,
    refuse_unfinished,
    waiting_sessions,
)
from mm_nautilus.data.funding import FUNDING_FOLDER
from mm_nautilus.data.store import FileState, StoredPath, StorePath, file_state, storage_options, stored
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import QUOTED, InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, TradeBlock
from mm_nautilus.system.near_names import nearest
from mm_nautilus.system.store_url import CatalogPath, StoreUrl
from mm_nautilus.trading.instruments import KINDS, instrument_differences, instrument_spec, quotable

_TYPES: Final = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): name
    for name in dir(NautilusInstrumentType)
    if name[0].isupper()
}
"""The engine's types of instrument, by the folder a catalog keeps them in."""
INSTRUMENT_FOLDERS: Final = tuple(
    folder for folder, name in _TYPES.items() if name in {kind.__name__ for kind in KINDS}
)
"""Those of the types that can be quoted."""

_MOST_REASONS: Final = 5
_BATCH_ROWS: Final = 65_536
_HOW_TO_FILL: Final = "fill one with `mm-nautilus data import tardis` or `mm-nautilus data simulate`"
_HOW_TO_RECOVER: Final = "`mm-nautilus data recover` adds the recordings that were interrupted in it"
_PLAIN: Final = re.compile(r"[\w/.,:@=+~-]*")


type FileVersions = tuple[tuple[str, FileState], ...]
"""Each file's path and state."""


class Redefinition(NamedTuple):
    """A definition that differs from the one in force: since when, nanoseconds, and what it changes."""

    since: int
    text: str


@dataclass(frozen=True, slots=True)
class CatalogInstruments:
    """What a catalog defines, as it was in force at one time; mappings are by instrument id."""

    specs: tuple[InstrumentSpec, ...]
    """The instruments that can be quoted, ordered by id."""
    refused: Mapping[str, str]
    """Why the others cannot."""
    pairs: Mapping[str, Any]
    """The engine's instruments."""
    since: Mapping[str, int]
    """Since when each is defined, nanoseconds."""
    later: Mapping[str, tuple[Redefinition, ...]]
    """Later definitions that differ, where there are any."""
    repeated: frozenset[str]
    """Ids that have several definitions."""


def _read_instruments(folder: StoredPath, at: int | None) -> CatalogInstruments:
    """Read a catalog's definitions; a `DataError` says that a file of them is empty, cut off or damaged.

    Wanted are those in force at the time `at`, nanoseconds, or when the instrument's data begins where that is later or
    no time is given. An instrument that is only defined later has its first definition.
    """
    definitions: dict[str, list[Any]] = {}
    for pair in _pairs(folder):
        definitions.setdefault(str(pair.id), []).append(pair)
    begins = _data_begins(folder)
    in_force: list[Any] = []
    later: dict[str, tuple[Redefinition, ...]] = {}
    for name, found in definitions.items():
        moment = max(at or 0, begins.get(folder_name(name), 0))
        earlier = [pair for pair in found if pair.ts_init <= moment]
        used = earlier[-1] if earlier else found[0]
        in_force.append(used)
        others = tuple(_redefinitions(used, found[max(len(earlier), 1) :]))
        if others:
            later[name] = others
    specs, refused = quotable(in_force)
    return CatalogInstruments(
        specs=tuple(sorted(specs, key=lambda spec: spec.instrument_id)),
        refused={**refused, **_others(folder)},
        pairs={str(pair.id): pair for pair in in_force},
        since={str(pair.id): int(pair.ts_init) for pair in in_force},
        later=later,
        repeated=frozenset(name for name, found in definitions.items() if len(found) > 1),
    )


def _data_begins(folder: StoredPath) -> dict[str, int]:
    """Return when data begins by its files' names, nanoseconds, by instrument's folder."""
    begins: dict[str, int] = {}
    for path in (path for kind in DataKind for path in (folder / "data" / kind).glob("*/*.parquet")):
        for start, _ in file_spans([path]):
            begins[path.parent.name] = min(start, begins.get(path.parent.name, start))
    return begins


def _pairs(folder: StoredPath) -> list[Any]:
    """Return all definitions of the types that can be quoted, in time order."""
    found: list[Any] = []
    for kind in INSTRUMENT_FOLDERS:
        root = folder / "data" / kind
        paths: list[StoredPath] = sorted(root.glob("*/*.parquet"))
        for path in paths:
            open_parquet(path).close()
        if not paths:
            continue
        catalog = ParquetDataCatalog(str(folder.resolve()), storage_options=storage_options(folder))
        try:
            found += catalog.instruments(instrument_type=NautilusInstrumentType(_TYPES[kind]))
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"the instruments in {root} cannot be read: {error}") from error
    return sorted(found, key=lambda pair: pair.ts_init)


def _redefinitions(used: Any, later: Iterable[Any]) -> Iterator[Redefinition]:
    for pair in later:
        try:
            changes = instrument_differences(
                instrument_spec(used), instrument_spec(pair), ("before", "from then on")
            )
        except ValueError as error:
            changes = [str(error)]
        if changes:
            text = f"{pair.id} is redefined at {format_time(pair.ts_init)} ({'; '.join(changes)})"
            yield Redefinition(int(pair.ts_init), text)


def _others(folder: StoredPath) -> dict[str, str]:
    """Return why instruments of other types cannot be quoted, by id."""
    found = {}
    for kind in (folder / "data").glob("*"):
        type_name = _TYPES.get(kind.name)
        if type_name is not None and kind.name not in INSTRUMENT_FOLDERS:
            paths: list[StoredPath] = sorted(kind.glob("*/*.parquet"), reverse=True)
            for instrument_id in map(named_instrument, {path.parent: path for path in paths}.values()):
                found[instrument_id] = f"{instrument_id} is a {type_name}; {QUOTED}"
    return found


class CatalogReader:
    """Read a catalog's instruments and market data as array blocks, with flat memory.

    Files are read directly, column by column, because the engine's own queries build one object a row and
    do not name the file that is damaged. Every method raises a `DataError` if a file that it reads is empty, cut off,
    damaged or of another instrument; what else it refuses is said there. Times are ``ts_init``, nanoseconds since
    1970; spans include both ends, of which None is unbounded.

    Parameters
    ----------
    at
        The time whose definitions of instruments are wanted, nanoseconds: each one that was in force then, or when
        its data begins, if that is later.
    unfinished
        Whether a store's catalog may be one into which an import goes on or was cut off.
    """

    def __init__(self, catalog: CatalogPath, at: int | None = None, *, unfinished: bool = False) -> None:
        folder = stored(catalog)
        if not folder.exists():
            raise DataError(f"the catalog {folder} does not exist; {_other_catalog(folder)}")
        if not folder.is_dir():
            raise DataError(f"{folder} is a file; a catalog is a folder")
        if not unfinished:
            refuse_unfinished(folder)
        if not (folder / "data").is_dir():
            how = _HOW_TO_RECOVER if waiting_sessions(folder) else _HOW_TO_FILL
            raise DataError(f"{folder} holds no catalog (it has no folder `data`); {how}")
        self.folder = folder
        self._at = at
        self._files: dict[tuple[str, DataKind], list[CatalogFile]] = {}

    # -- Instruments ------------------------------------------------------------------------------------

    @cached_property
    def definitions(self) -> CatalogInstruments:
        """What the catalog defines."""
        return _read_instruments(self.folder, self._at)

    def ambiguous(self, instrument_ids: Iterable[str]) -> tuple[Any, ...]:
        """Return the engine's instruments of those ids that have several definitions: the engine takes the last one."""
        found = self.definitions
        return tuple(found.pairs[name] for name in instrument_ids if name in found.repeated)

    def instruments(self) -> list[InstrumentSpec]:
        """Return the instruments that can be quoted, ordered by id."""
        return list(self.definitions.specs)

    def some_instruments(self) -> list[InstrumentSpec]:
        """Return `instruments`; a `DataError` says what there is, or how to fill a catalog, where there are none."""
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

        A `DataError` says that the catalog holds no instruments, none of that name, or several.
        """
        specs = self.some_instruments()
        wanted = name if venue is None else f"{name}.{venue}"
        found = [spec for spec in specs if wanted in (spec.instrument_id, spec.symbol)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(spec.instrument_id for spec in found)
            raise DataError(f"{self.folder} holds {name} of several venues ({several}); name one of them")
        for refused, reason in self.definitions.refused.items():
            if wanted in (refused, refused.rpartition(".")[0]):
                raise DataError(f"{self.folder} holds {wanted}, which cannot be quoted: {reason}")
        raise DataError(f"{self.folder} holds no instrument {wanted}; {_nearest(wanted, specs)}")

    def choose(self, names: Sequence[str] | None) -> list[InstrumentSpec]:
        """Return the instruments of some names, each once and in their order; all for None.

        A `DataError` has one line per name that the catalog does not hold.
        """
        found: dict[str, InstrumentSpec] = {}
        problems = []
        for name in names or [spec.instrument_id for spec in self.some_instruments()]:
            try:
                spec = self.instrument(name)
            except DataError as error:
                problems.append(str(error))
            else:
                found[spec.instrument_id] = spec
        if problems:
            raise DataError("\n".join(dict.fromkeys(problems)))
        return list(found.values())

    # -- Files ------------------------------------------------------------------------------------------

    def stored_folders(self, kind: DataKind) -> list[StoredPath]:
        """Return the folders that hold files of one type, one an instrument, whether defined or not."""
        root = self.folder / "data" / kind
        return sorted({path.parent for path in root.glob("*/*.parquet")})

    def files(self, instrument_id: str, kind: DataKind) -> list[CatalogFile]:
        """Return the files of one instrument and type in time order, as they were when first asked for."""
        known = self._files.get((instrument_id, kind))
        if known is not None:
            return known
        files = catalog_files(self.folder / "data" / kind / folder_name(instrument_id), kind)
        for file in files:
            if file.instrument_id != instrument_id:
                raise DataError(f"{file.path} holds {file.instrument_id}, not {instrument_id}; remove it")
        self._files[instrument_id, kind] = files
        return files

    def notes(self, instrument_id: str) -> list[str]:
        """Return what the sources of an instrument's files lacked and which rules stood in for it."""
        files = (file for kind in DataKind for file in self.files(instrument_id, kind))
        return list(dict.fromkeys(note for file in files for note in file.notes))

    def version(self) -> FileVersions:
        """Return what differs whenever a file of instruments or of one of both types is new, other or gone."""
        paths: list[StoredPath] = []
        for kind in (*INSTRUMENT_FOLDERS, FUNDING_FOLDER, *DataKind):
            paths += (self.folder / "data" / kind).glob("*/*.parquet")
        return tuple((str(path), file_state(path)) for path in sorted(paths))

    def bounds(self, instrument_id: str, kind: DataKind) -> tuple[int, int] | None:
        """Return the first and the last time of all files together, by their names, or None if there are none."""
        files = self.files(instrument_id, kind)
        return (files[0].start, max(file.end for file in files)) if files else None

    def require_grid(self, instrument_id: str, kind: DataKind, start: int | None, end: int | None) -> None:
        """Read the prices and sizes of the files in a span and raise a `DataError` if one is off the instrument's grid.

        The engine takes what is off it as it is.
        """
        spec = self.instrument(instrument_id)
        for file in files_within(self.files(spec.instrument_id, kind), start, end):
            for batch in read_batches(file.path, ["price", "size"]):
                for name in ("price", "size"):
                    multiples(file, batch, name, spec)

    def announces_breaks(self, instrument_id: str, start: int | None, end: int | None) -> bool:
        """Return whether a book is ever emptied without a new one in the same group, within the files of a span."""
        for file in files_within(self.files(instrument_id, DataKind.DELTAS), start, end):
            for batch in read_batches(file.path, ["action", "flags"]):
                flags: Ints = np.from_dlpack(batch.column("flags")).astype(np.int64)
                if np.any((codes(file, batch, "action") == Action.CLEAR) & (flags & Flag.LAST > 0)):
                    return True
        return False

    # -- Rows -------------------------------------------------------------------------------------------

    def full_books(self, instrument_id: str, moment: int) -> list[int]:
        """Return the times of the full books at or before a moment, oldest first; raises as `iter_deltas` does."""
        found: list[int] = []
        for block in self.iter_deltas(instrument_id, end=moment):
            found += block.ts_init[block.action == Action.CLEAR].tolist()
        return found

    def iter_deltas(
        self, name: str, start: int | None = None, end: int | None = None, *, batch_rows: int = _BATCH_ROWS
    ) -> Iterator[DeltaBlock]:
        """Yield an instrument's book changes of a span in time order; a block may end in the middle of a group.

        A `DataError` says that the instrument is unknown, or a file is unsorted, overlaps another or holds times
        outside the span its name promises.
        """
        return self._rows(name, DataKind.DELTAS, start, end, batch_rows)

    def iter_trades(
        self, name: str, start: int | None = None, end: int | None = None, *, batch_rows: int = _BATCH_ROWS
    ) -> Iterator[TradeBlock]:
        """Yield an instrument's trades of a span in time order; errors as for `iter_deltas`."""
        return self._rows(name, DataKind.TRADES, start, end, batch_rows)

    def _rows(
        self, name: str, kind: DataKind, start: int | None, end: int | None, batch_rows: int
    ) -> Iterator[Any]:
        spec = self.instrument(name)
        files = self.files(spec.instrument_id, kind)
        refuse_overlaps(files)
        for file in files_within(files, start, end):
            previous = file.start
            for block in read_blocks(file, spec, batch_rows):
                times = block.ts_init
                previous = _checked_end(file, times, previous)
                low = 0 if start is None else int(np.searchsorted(times, start, side="left"))
                high = len(times) if end is None else int(np.searchsorted(times, end, side="right"))
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
    """Raise a `DataError` that names both, where two of some files in time order overlap."""
    for before, after in pairwise(files):
        if after.start <= before.end:
            raise DataError(f"{after.path} overlaps {before.path.name} in time; remove one of them")


def files_within(files: Iterable[CatalogFile], start: int | None, end: int | None) -> list[CatalogFile]:
    """Return the files that may hold rows of a span, nanoseconds, both inclusive; None is unbounded."""
    return [
        file for file in files if (start is None or file.end >= start) and (end is None or file.start <= end)
    ]


def _other_catalog(folder: StoredPath) -> str:
    """Return which catalog beside a missing one is most likely meant, or how to make one."""
    if isinstance(folder, StorePath):
        return folder.missing() or _HOW_TO_FILL
    beside = [path.parent.name for path in folder.parent.glob("*/data") if path.is_dir()]
    likely = nearest(folder.name, beside)
    return _HOW_TO_FILL if likely is None else f"did you mean {folder.parent / likely}?"


def _nearest(wanted: str, specs: Sequence[InstrumentSpec]) -> str:
    ids = [spec.instrument_id for spec in specs]
    names = ids if "." in wanted else [spec.symbol for spec in specs]
    likely = nearest(wanted, names)
    return f"it holds {', '.join(ids)}" if likely is None else f"did you mean {likely}?"


def catalog_contents(folder: CatalogPath) -> list[dict[str, str | int]]:
    """List a catalog's instruments with their book changes and trades, one entry each, without reading a row.

    Times are text, empty without files; ``refused`` says why the instrument cannot be quoted, empty where it can.
    A `DataError` says that the folder is no catalog or an empty one, or one of its files is damaged.
    """
    reader = CatalogReader(folder)
    simulated = {spec.instrument_id: spec.simulated for spec in reader.some_instruments()}
    refused = reader.definitions.refused
    entries: list[dict[str, str | int]] = []
    for instrument_id in (*simulated, *sorted(refused)):
        for kind in DataKind:
            files = reader.files(instrument_id, kind)
            entries.append(
                {
                    "instrument": instrument_id,
                    "type": kind.label,
                    "files": len(files),
                    "rows": sum(file.rows for file in files),
                    "first": format_time(files[0].start) if files else "",
                    "last": format_time(max(file.end for file in files)) if files else "",
                    "source": "simulated" if simulated.get(instrument_id) else "recorded",
                    "refused": refused.get(instrument_id, ""),
                }
            )
    return entries


@contextmanager
def engine_catalog(catalog: CatalogPath) -> Iterator[dict[str, Any]]:
    """Yield the arguments of the engine's `BacktestDataConfig` that make it read a catalog while the block runs.

    The engine puts the path into a URL as it is, so that ``#`` and ``?`` cut it off and ``%20`` means another folder.
    No way of writing the path helps, as the folder is also opened as it is. A folder with such a name is reached by
    a link among the temporary files; a `DataError` says that their folder has such a name too.
    """
    folder = str(catalog.resolve())
    if isinstance(catalog, StoreUrl):
        scheme, options = folder.partition("://")[0], storage_options(catalog)
        yield {
            "catalog_path": folder,
            "catalog_fs_protocol": scheme,
            "catalog_fs_rust_storage_options": options,
        }
        return
    if _PLAIN.fullmatch(folder):
        yield {"catalog_path": folder}
        return
    with tempfile.TemporaryDirectory(prefix="mm-nautilus-") as beside:
        link = Path(beside).resolve() / "catalog"
        odd = _PLAIN.sub("", str(link))
        if odd:
            raise DataError(
                f"TMPDIR must be a folder without {odd[0]!r} in its path, as the catalog {catalog} needs a link "
                f"there, was {tempfile.gettempdir()}"
            )
        link.symlink_to(folder, target_is_directory=True)
        yield {"catalog_path": str(link)}
