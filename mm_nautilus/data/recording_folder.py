"""A recording's own folder inside its catalog: logs that are being written, and how they become the catalog's files.

``.recording`` holds a lock, one folder per session, and in each session one folder per part with the logs of that time,
each in the folder that its file will have in the catalog. Every step can be repeated after an interruption: the same
log always gives the same file, and a log is deleted only when its file is in its place.

As a program, the module brings one part of a running recording into its catalog. It ends with the process that
started it, in whatever way that ends.
"""

import errno
import os
import shutil
import struct
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import (
    RECORDING_FOLDER,
    DataKind,
    file_interval,
    file_spans,
    folder_name,
    last_row,
    read_batches,
    waiting_sessions,
)
from mm_nautilus.data.catalog_writer import CatalogWriter
from mm_nautilus.data.recording_rows import break_table, is_recorded, stored_table
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Flag
from mm_nautilus.system.file_lock import take_lock
from mm_nautilus.system.moments import SECOND_NS

_BLOCK: Final = struct.Struct("<II")
"""What precedes a table: its compressed size, and the checksum of that."""
_CODEC: Final = "zstd"
_ROWS_AT_ONCE: Final = 65_536


def append_table(log: FileIO, table: pa.Table) -> int:
    """Write one table to an unbuffered file, and return its size there in bytes; an `OSError` says why it cannot be."""
    if not os.fstat(log.fileno()).st_nlink:  # what is written into it is lost, without an error
        raise FileNotFoundError(errno.ENOENT, "it was removed", str(log.name))
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, _CODEC) as packed, pa.ipc.new_stream(packed, table.schema) as stream:
        stream.write_table(table)
    body = sink.getvalue().to_pybytes()
    # A disk that is nearly full takes a part of a write without an error.
    rest = memoryview(_BLOCK.pack(len(body), zlib.crc32(body)) + body)
    while rest:
        rest = rest[log.write(rest) :]
    return _BLOCK.size + len(body)


def read_log(path: Path) -> Iterator[tuple[pa.Table, int]]:
    """Yield a log's tables up to the first that is not whole, joined to some 65,000 rows each.

    With each comes its size in the log, bytes. A `DataError` says that what is whole by its checksum is no table.
    """
    waiting: list[pa.Table] = []
    rows = size = 0
    for table, length in _whole_tables(path):
        waiting.append(table)
        rows, size = rows + table.num_rows, size + length
        if rows >= _ROWS_AT_ONCE:
            yield pa.concat_tables(waiting), size
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting), size


def _whole_tables(path: Path) -> Iterator[tuple[pa.Table, int]]:
    with path.open("rb") as file:
        while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
            length, checksum = _BLOCK.unpack(head)
            body = file.read(length)
            if not length or len(body) < length or zlib.crc32(body) != checksum:
                return
            try:
                packed = pa.CompressedInputStream(pa.BufferReader(body), _CODEC)
                yield pa.ipc.open_stream(packed).read_all(), _BLOCK.size + length
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} holds what is no table: {error}") from error


LOG_NAME: Final = "log"
INSTRUMENTS: Final = "instruments"
"""Folder of a session for definitions the catalog does not have yet, laid out as the catalog is."""
_DAY_NS: Final = 86_400 * SECOND_NS
_LOCK_PATIENCE_SECONDS: Final = 5.0
_NICENESS: Final = 10


@dataclass(slots=True)
class RecoveryReport:
    """What a recovery brought into the catalog of recordings that were interrupted."""

    catalog: Path
    sessions: int = 0
    files: int = 0
    rows: int = 0
    torn_bytes: int = 0
    """Size of what was being written when a session ended, which cannot be read."""
    breaks: int = 0
    """Books that were marked as unknown from the end of a session on."""
    joined: int = 0
    """Files that were joined with others of the same day."""
    rejected: list[str] = field(default_factory=list)
    """Why parts were not added. They are kept beside the sessions."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "catalog": str(self.catalog)}


@contextmanager
def locked_recording(catalog: Path) -> Iterator[int]:
    """Keep every other process from recording into a catalog or recovering it; yields the lock's descriptor.

    A `DataError` says that another process does so now and for some more seconds, or the folder cannot be written.
    """
    if catalog.exists() and not catalog.is_dir():
        raise DataError(f"{catalog} is a file; a catalog is a folder")
    try:
        (catalog / RECORDING_FOLDER).mkdir(parents=True, exist_ok=True)
        # The process that makes the files of a recording needs a moment to notice that the recording was killed.
        handle = take_lock(catalog / RECORDING_FOLDER / "lock", _LOCK_PATIENCE_SECONDS)
    except BlockingIOError as error:
        text = f"another process is recording into {catalog}; end it or choose another catalog"
        raise DataError(text) from error
    except OSError as error:
        raise DataError(f"{catalog} cannot be recorded into: {error}") from error
    try:
        yield handle
    finally:
        os.close(handle)


def new_session(catalog: Path, specs: Iterable[InstrumentSpec]) -> Path:
    """Make and return the folder of a session that records these instruments; nothing is left of it after an error."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    session = catalog / RECORDING_FOLDER / f"session-{stamp}-{os.getpid()}"
    try:
        definitions = CatalogWriter(session / INSTRUMENTS, catalog)
        for spec in specs:
            definitions.write_instrument(spec)
    except (DataError, OSError):
        shutil.rmtree(session, ignore_errors=True)
        raise
    return session


# -- From logs to files -------------------------------------------------------------------------------------


def promote_part(catalog: Path, part: Path, report: RecoveryReport) -> None:
    """Turn the logs of one part into files of the catalog, then delete them; what was added is counted in `report`.

    Readers see each file whole or not at all. An `OSError` says that something cannot be written, a `DataError` or
    `pa.ArrowException` that a log holds what its instrument does not allow, or no tables of one kind; the logs stay.
    """
    made = part / "files"
    shutil.rmtree(made, ignore_errors=True)
    definitions = part.parent / INSTRUMENTS
    specs = _specs_by_folder(catalog, definitions)
    writer, rows, torn_bytes = CatalogWriter(made), 0, 0
    for log in sorted(part.rglob(LOG_NAME)):
        torn_bytes += log.stat().st_size
        for logged, size in read_log(log):
            table = _as_in_catalog(log, logged, specs)
            if table.num_rows:
                writer.write_table(log.parent.relative_to(part), table)
            rows += table.num_rows
            torn_bytes -= size
    if writer.close():
        _place_files(definitions, catalog)
    report.files += _place_files(made, catalog)
    report.rows += rows
    report.torn_bytes += torn_bytes
    shutil.rmtree(part)


def _specs_by_folder(*catalogs: Path) -> dict[str, InstrumentSpec]:
    readers = [CatalogReader(catalog) for catalog in catalogs if (catalog / "data").is_dir()]
    return {folder_name(spec.instrument_id): spec for reader in readers for spec in reader.instruments()}


def _as_in_catalog(log: Path, table: pa.Table, specs: Mapping[str, InstrumentSpec]) -> pa.Table:
    if is_recorded(table.schema):
        return table
    spec = specs.get(log.parent.name)
    if spec is None:
        raise DataError(f"the instrument of {log} has no definition")
    return stored_table(log, DataKind(log.parent.parent.name), spec, table)


def _place_files(made: Path, catalog: Path) -> int:
    """Move files into the catalog so that they survive a power cut there; returns how many."""
    paths = sorted(made.rglob("*.parquet"))
    for path in paths:
        target = catalog / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(path)
        path.replace(target)
        _sync(target.parent)
    return len(paths)


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def last_time(paths: Iterable[Path]) -> int:
    """Return the last time (nanoseconds) that files hold by their names, 0 without files."""
    return max((end for _, end in file_spans(paths)), default=0)


# -- After a crash ------------------------------------------------------------------------------------------


def recover(catalog: Path) -> RecoveryReport:
    """Bring everything that interrupted recordings have left into a catalog.

    A `DataError` says that the folder does not exist or cannot be written, or another process records into it now.
    """
    if not catalog.exists():
        raise DataError(f"the catalog {catalog} does not exist")
    if not (catalog / RECORDING_FOLDER).exists():
        return RecoveryReport(catalog)
    with locked_recording(catalog):
        return recover_locked(catalog)


def recover_locked(catalog: Path) -> RecoveryReport:
    """Do what `recover` does in a process that holds the lock; a `DataError` says why the catalog cannot be written."""
    report = RecoveryReport(catalog)
    try:
        _finish_join(catalog)
        for session in waiting_sessions(catalog):
            _recover_session(catalog, session, report)
        report.joined = join_days(catalog)
    except OSError as error:
        raise DataError(f"the recording left in {catalog} cannot be recovered: {error}") from error
    return report


def _recover_session(catalog: Path, session: Path, report: RecoveryReport) -> None:
    if (session / "session.json").exists():
        aside = session.rename(catalog / RECORDING_FOLDER / f"rejected-{session.name}")
        report.rejected.append(
            f"{aside} was recorded by an earlier version of this package, which can recover it"
        )
        return
    # A session without definitions has not begun to record.
    if (session / INSTRUMENTS).exists():
        for part in sorted(session.glob("part-*")):
            try:
                promote_part(catalog, part, report)
            except (DataError, pa.ArrowException) as error:
                part.rename(catalog / RECORDING_FOLDER / f"rejected-{session.name}-{part.name}")
                report.rejected.append(str(error))
        report.breaks += mark_breaks(catalog, session)
        report.sessions += 1
    shutil.rmtree(session)


def mark_breaks(catalog: Path, session: Path) -> int:
    """Mark each book as unknown after its last changes, by files that are written aside; returns for how many books."""
    books = catalog / "data" / DataKind.DELTAS
    aside = session / "breaks"
    shutil.rmtree(aside, ignore_errors=True)
    writer = CatalogWriter(aside)
    for name, spec in _specs_by_folder(catalog).items():
        folder = books / name
        paths = sorted(folder.glob("*.parquet"))
        if paths and _recorded_schema(paths[-1]) is not None:
            last = last_row(paths[-1], ["action", "flags"])
            if last["action"] != "CLEAR" or not last["flags"] & Flag.LAST:
                writer.write_table(folder.relative_to(catalog), break_table(spec, last_time(paths) + 1))
    writer.close()
    return _place_files(aside, catalog)


# -- One file a day -----------------------------------------------------------------------------------------


def join_days(catalog: Path) -> int:
    """Join the recorded files of each day (UTC) into one file per folder; returns how many were joined.

    The last day of the catalog is left as it is, because more may come. So are files that something else wrote,
    damaged ones (`data check` reports them), and recorded files on their two sides. After an `OSError` the files are as
    they were, or `recover` finishes the work.
    """
    joined, today = 0, last_time((catalog / "data").glob("*/*/*.parquet")) // _DAY_NS
    folders = [*(catalog / "data").glob("*/*"), catalog / "fills"]
    for folder in sorted(path for path in folders if path.is_dir()):
        for paths in _runs_of_a_day(folder, today):
            with suppress(DataError):  # a damaged file
                _join(catalog, paths)
                joined += len(paths)
    _finish_join(catalog)
    return joined


def _runs_of_a_day(folder: Path, today: int) -> list[list[Path]]:
    """Return the runs of at least two neighbouring recorded files of one day before today, and of one schema."""

    def day_and_schema(path: Path) -> tuple[int, bytes] | None:
        span = file_interval(path.name)
        is_past = span is not None and span[1] // _DAY_NS < today
        schema = _recorded_schema(path) if is_past else None
        return (
            None if span is None or schema is None else (span[0] // _DAY_NS, schema.serialize().to_pybytes())
        )

    runs = groupby(sorted(folder.glob("*.parquet")), day_and_schema)
    return [paths for key, run in runs if key is not None and len(paths := list(run)) > 1]


def _recorded_schema(path: Path) -> pa.Schema | None:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return None
    return schema if is_recorded(schema) else None


def _join(catalog: Path, paths: Sequence[Path]) -> None:
    """Write the joined file aside; once its folder has its final name, it replaces the others whatever happens."""
    aside = catalog / RECORDING_FOLDER / "joining"
    shutil.rmtree(aside, ignore_errors=True)
    writer = CatalogWriter(aside)
    for path in paths:
        for batch in read_batches(path):
            writer.write_table(path.parent.relative_to(catalog), pa.Table.from_batches([batch]))
    for path in writer.close():
        _sync(path)
    aside.rename(aside.with_name("joined"))
    _sync(aside.parent)
    _finish_join(catalog)


def _finish_join(catalog: Path) -> None:
    """Put a joined file in the place of those it was made of; a reader never finds rows twice."""
    joined = catalog / RECORDING_FOLDER / "joined"
    for path in joined.rglob("*.parquet"):
        target = catalog / path.relative_to(joined)
        start, end = file_interval(path.name) or (0, 0)
        for other in target.parent.glob("*.parquet"):
            span = file_interval(other.name)
            is_within = span is not None and start <= span[0] and span[1] <= end
            if is_within and _recorded_schema(other) is not None:
                other.unlink()
        path.rename(target)
    for folder in (joined, joined.with_name("joining")):
        if folder.exists():
            shutil.rmtree(folder)


# -- In a process of its own --------------------------------------------------------------------------------


def _end_with_parent() -> None:
    """End this process when the other end of its standard input is gone."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    running_catalog = Path(sys.argv[1])
    promote_part(running_catalog, Path(sys.argv[2]), RecoveryReport(running_catalog))
    join_days(running_catalog)
