"""Writing Parquet catalogs; a write either lands whole or leaves nothing behind."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import (
    IMPORT_NOTE,
    DataKind,
    block_table,
    file_name,
    file_spans,
    folder_name,
    format_time,
    refuse_unfinished,
    row_times,
    unfinished_imports,
)
from mm_nautilus.data.store import StoredPath, StorePath, stored
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, TradeBlock
from mm_nautilus.system.file_lock import take_lock
from mm_nautilus.system.store_url import CatalogPath, StoreUrl
from mm_nautilus.system.whole_file import reason
from mm_nautilus.trading.instruments import engine_instrument, instrument_differences

_RISING: Final = ("sequence", "ts_event", "ts_init")
"""Columns whose rows differ little from the row before: stored as differences they take half the room and time."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY


class CatalogWriter:
    """Write instruments, book changes and trades of array blocks into a catalog folder.

    Blocks of one instrument and type must come in time order, and a block's first ``ts_init`` must be later
    than the last one of the block before it. They become the row groups of one file, which is there after `close`:
    the engine opens every file of a run at once, and many small ones would cost it memory.

    `target` is the catalog these files will be moved into, whose instruments must not contradict the new ones; None
    where there is no other.
    """

    def __init__(self, folder: Path, target: StoredPath | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._catalog = ParquetDataCatalog(str(folder.resolve()))
        self._target = target
        self._known: dict[str, InstrumentSpec] = {}
        self._refused: dict[str, str] = {}
        if target is not None and (target / "data").is_dir():
            found = CatalogReader(target).definitions
            self._known = {folder_name(spec.instrument_id): spec for spec in found.specs}
            self._refused = {folder_name(name): text for name, text in found.refused.items()}
        self._open: dict[Path, tuple[pq.ParquetWriter, int, int]] = {}

    def write_instrument(self, spec: InstrumentSpec) -> None:
        """Write one instrument; the same definition again writes nothing.

        A `DataError` says that another definition of the instrument is already there, a different symbol already uses
        its folder, or the engine cannot keep its numbers exactly.
        """
        folder = folder_name(spec.instrument_id)
        if folder in self._refused:
            raise DataError(
                f"{self._target} already holds another definition: {self._refused[folder]}; choose another catalog"
            )
        if folder in self._known:
            _refuse_conflict(self._known[folder], spec)
            return
        try:
            instrument = engine_instrument(spec)
        except ValueError as error:
            raise DataError(str(error)) from error
        self._catalog.write_instruments([instrument])
        self._known[folder] = spec

    def write_block(
        self, spec: InstrumentSpec, block: DeltaBlock | TradeBlock, notes: tuple[str, ...] = ()
    ) -> None:
        """Write one block of book changes or trades; an empty block writes nothing.

        The notes say what its source lacked, the same for all blocks of a type; they stay with the file.

        A `ValueError` says that the block is not in time order or does not start after the one before it, a `DataError`
        that the target already holds such data of the instrument in the span written so far.
        """
        if not len(block):
            return
        kind = DataKind.DELTAS if isinstance(block, DeltaBlock) else DataKind.TRADES
        stored, times = Path("data", kind, folder_name(spec.instrument_id)), block.ts_init
        _, first, last = self._open.get(
            self._folder / stored / "unfinished", (None, int(times[0]), int(times[0]) - 1)
        )
        if (np.diff(times) < 0).any() or times[0] <= last:
            raise ValueError(f"{kind.label} of {spec.instrument_id} must be written in time order")
        if self._target is not None:
            _refuse_overlap((first, int(times[-1])), self._target / stored)
        self.write_table(stored, block_table(spec, block, notes))

    def write_table(self, folder: Path, table: pa.Table) -> None:
        """Write rows in time order, whose columns are as they are stored, to a folder relative to the catalog's.

        A first time that is the last one of the rows before is allowed here.
        """
        path = self._folder / folder / "unfinished"
        times = row_times(table)
        if path not in self._open:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[path] = _open_file(path, table), int(times[0]), 0
        writer, first, _ = self._open[path]
        self._open[path] = writer, first, int(times[-1])
        writer.write_table(table)

    def close(self) -> list[Path]:
        """Finish the files, name them by the spans they hold, and return them."""
        finished = []
        for path, (writer, first, last) in self._open.items():
            writer.close()
            finished.append(path.rename(path.with_name(file_name(first, last))))
        self._open.clear()
        return finished


def _open_file(path: Path, table: pa.Table) -> pq.ParquetWriter:
    rising = [name for name in table.column_names if name in _RISING]
    return pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        use_dictionary=[  # type: ignore[arg-type] # its types know no list
            name for name in table.column_names if name not in (*rising, "trade_id")
        ],
        column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED"),
    )


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


def _refuse_overlap(span: tuple[int, int], existing: StoredPath) -> None:
    held = _overlapped(span, existing)
    if held is not None:
        raise DataError(
            f"{existing} already holds data from {format_time(held[0])} to {format_time(held[1])}, which the "
            f"new data from {format_time(span[0])} on would overlap; remove it first or choose another catalog"
        )


def _overlapped(span: tuple[int, int], existing: StoredPath) -> tuple[int, int] | None:
    held = file_spans(existing.glob("*.parquet"))
    return next(((start, end) for start, end in held if start <= span[1] and span[0] <= end), None)


# -- Whole or not at all ------------------------------------------------------------------------------------


@contextmanager
def staged_folder(target: CatalogPath) -> Iterator[Path]:
    """Yield a hidden folder to write files into, which is removed at the end of the block.

    It is beside `target`, or among the temporary files where that is in a store.

    Folders above the target are not made, so that what is refused leaves none of them. An `OSError` within the block
    becomes a `DataError`.
    """
    staging = None
    try:
        parents = () if isinstance(target, StoreUrl) else target.absolute().parents
        beside = next((folder for folder in parents if folder.exists()), None)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=beside))
        yield staging
    except OSError as error:
        raise DataError(f"{target} cannot be written: {reason(error)}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def staged_catalog(catalog: CatalogPath) -> Iterator[CatalogWriter]:
    """Open a writer for a new or an existing catalog, and move its files there at the end of the block.

    Nothing is moved after an error. A `DataError` says that the catalog already holds data of the same instrument and
    type in the new data's time span, or a contradicting instrument, or cannot be written.
    """
    target = stored(catalog)
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file; a catalog is a folder")
    if isinstance(target, StorePath):
        _refuse_store(target)
    with staged_folder(target) as staging:
        writer = CatalogWriter(staging, target)
        yield writer
        writer.close()
        if isinstance(target, StorePath):
            _upload(staging, target)
        else:
            _move_into(staging, target)


def _refuse_store(target: StorePath) -> None:
    missing = target.missing()
    if missing is not None:
        raise DataError(f"{target} cannot be written: {missing}")
    refuse_unfinished(target)


def _move_into(staging: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.chmod(0o755)
        staging.rename(target)
        return
    files = _files_for(staging, target)
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


def _files_for(staging: Path, target: StoredPath) -> list[Path]:
    """Return the files of a folder, relative to it; a `DataError` says that one overlaps the target's by now."""
    files = [path.relative_to(staging) for path in sorted(staging.rglob("*")) if path.is_file()]
    for folder in sorted({file.parent for file in files}):
        new = file_spans((staging / folder).glob("*.parquet"))
        if new and _overlapped((new[0][0], new[-1][1]), target / folder):
            raise DataError(f"another import has written into {target / folder} meanwhile; import again")
    return files


def _upload(staging: Path, target: StorePath) -> None:
    """Copy files into a store, under a note that names them as long as they are not all there.

    Each of them appears whole; whoever opens a catalog with a note does not take it for whole. A note without files
    comes first: of two imports the later one to write it finds the other's, so that no two go on, and neither's note
    names a file of the other. A `DataError` says that another import goes on, or that this one was taken back.
    """
    note = _new_note(target)
    holder = f"{socket.gethostname()} {staging}"
    lock = take_lock(staging, flags=_FOLDER)
    sent = None
    try:
        note.write_text(holder)
        refuse_unfinished(target, besides=note)
        files = _files_for(staging, target)
        note.write_text("\n".join([holder, *map(str, files)]))
        for file in files:
            sent = target / file
            sent.upload(staging / file)
            if not note.exists():
                raise DataError(
                    f"the import into {target} was taken back by `mm-nautilus data recover`, which took it for cut "
                    "off and removed its files; import again"
                )
        sent = None
        note.unlink()
    except BaseException:
        if note.exists():
            _take_back(note)
        elif sent is not None:
            sent.unlink()
        raise
    finally:
        os.close(lock)


def _new_note(target: StorePath) -> StorePath:
    return target / f"{IMPORT_NOTE}{uuid4().hex}"


def _goes_on(note: StorePath) -> bool:
    """Return whether an import of this machine holds a note; of another machine's imports nobody can tell."""
    host, _, staging = note.read_text().partition("\n")[0].partition(" ")
    if host != socket.gethostname():
        return False
    try:
        os.close(take_lock(Path(staging), flags=_FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (
        BlockingIOError,
        PermissionError,
    ):  # the latter for another user's, which its end would have removed
        return True
    return False


def _take_back(note: StorePath) -> list[StorePath]:
    """Remove the files that a note names, then the note; return which were there."""
    files = [note.parent / name for name in note.read_text().splitlines()[1:]]
    found = [file for file in files if file.exists()]
    for file in (*found, note):
        file.unlink()
    return found


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What imports had left in a store that were cut off, and is removed."""

    catalog: StoreUrl
    imports: int
    files: tuple[StorePath, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"catalog": str(self.catalog), "imports": self.imports, "removed": [*map(str, self.files)]}


def take_back_imports(catalog: StoreUrl) -> TakenBack:
    """Remove what imports into a store have left that were cut off.

    A `DataError` says that one goes on in this machine. One in another machine ends with an error by its next file:
    it no longer finds its note, in whose place is another that names the same files while they are removed.
    """
    target = stored(catalog)
    notes = unfinished_imports(target)
    for note in notes:
        if _goes_on(note):
            raise DataError(f"{note} is of an import that goes on in this machine; wait for its end")
    removed: list[StorePath] = []
    for note in notes:
        taken = _new_note(note.parent)
        taken.write_text(note.read_text())
        note.unlink()
        removed += _take_back(taken)
    return TakenBack(catalog, len(notes), tuple(removed))
