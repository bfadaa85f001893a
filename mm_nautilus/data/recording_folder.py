"""A recording's own folder inside its catalog: logs that are being written, and how they become the catalog's files.

``.recording`` holds a lock, one folder a session, and in each session one folder a part with the logs of that time.
Everything that follows can be done again after it was interrupted: the same log always gives the same file, and
a log is only deleted when its file is in its place.
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.data.catalog_files import file_interval, file_name, open_parquet
from mm_nautilus.data.recording_log import LogReader
from mm_nautilus.data.recording_rows import (
    RECORDED_BY,
    RecordedStream,
    StreamKind,
    break_table,
    is_break,
    row_tables,
    times_of,
)
from mm_nautilus.errors import DataError
from mm_nautilus.risk.limits import SECOND_NS
from mm_nautilus.system.file_lock import take_lock
from mm_nautilus.system.private_file import replace_file

__all__ = [
    "INSTRUMENTS",
    "RecoveryReport",
    "join_days",
    "last_time",
    "locked_recording",
    "mark_breaks",
    "new_session",
    "promote_part",
    "recover",
    "recover_locked",
    "session_streams",
    "waiting_sessions",
]

INSTRUMENTS: Final = "instruments"
"""Folder of a session for definitions the catalog does not have yet, laid out as the catalog is."""
_FOLDER: Final = ".recording"
_SESSION_FILE: Final = "session.json"
_PLAN_FILE: Final = "plan.json"
_WRITER: Final = b"mm_nautilus"
_DAY_NS: Final = 86_400 * SECOND_NS
_LOCK_PATIENCE_SECONDS: Final = 5.0


@dataclass(slots=True)
class RecoveryReport:
    """What was left of recordings that did not end in an orderly way, and is in the catalog now.

    Parameters
    ----------
    catalog
        The catalog.
    sessions, files, rows
        Sessions found; files and rows that were added.
    torn_bytes
        Size of what was being written when a session ended, which cannot be read.
    breaks
        Books that were marked as unknown from the end of a session on.
    joined
        Files that were put together with others of the same day.
    rejected
        Why parts were not added: they hold what their instrument does not allow. They are kept beside the sessions.
    """

    catalog: Path
    sessions: int = 0
    files: int = 0
    rows: int = 0
    torn_bytes: int = 0
    breaks: int = 0
    joined: int = 0
    rejected: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "catalog": str(self.catalog)}


@dataclass(slots=True)
class PartReport:
    """What one part of a session has added to the catalog."""

    files: int = 0
    rows: int = 0
    torn_bytes: int = 0
    last: dict[str, int] = field(default_factory=dict)


@contextmanager
def locked_recording(catalog: Path) -> Iterator[int]:
    """Keep every other process from recording into a catalog or recovering it; yields the lock's descriptor.

    Raises
    ------
    DataError
        If another process does so now and for some more seconds, or the folder cannot be written.
    """
    handle = _lock(catalog)
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(catalog: Path) -> int:
    if catalog.exists() and not catalog.is_dir():
        raise DataError(f"{catalog} is a file; a catalog is a folder")
    try:
        (catalog / _FOLDER).mkdir(parents=True, exist_ok=True)
        # The process that makes the files of a recording needs a moment to notice that the recording was killed.
        return take_lock(catalog / _FOLDER / "lock", _LOCK_PATIENCE_SECONDS)
    except BlockingIOError as error:
        text = f"another process is recording into {catalog}; end it or choose another catalog"
        raise DataError(text) from error
    except OSError as error:
        raise DataError(f"{catalog} cannot be recorded into: {error}") from error


def new_session(catalog: Path, streams: Sequence[RecordedStream]) -> Path:
    """Make and return the folder of a session that records these streams.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    session = catalog / _FOLDER / f"session-{stamp}-{os.getpid()}"
    session.mkdir(parents=True)
    text = json.dumps([stream.to_dict() for stream in streams], indent=1)
    replace_file(session / _SESSION_FILE, text.encode())
    return session


def session_streams(session: Path) -> list[RecordedStream]:
    """Return what a session records.

    Raises
    ------
    OSError
        If its description cannot be read.
    """
    values = json.loads((session / _SESSION_FILE).read_text(encoding="utf-8"))
    return [RecordedStream.from_dict(entry) for entry in values]


def waiting_sessions(catalog: Path) -> list[Path]:
    """Return the folders of sessions that are being recorded or wait to be recovered, oldest first."""
    return sorted((catalog / _FOLDER).glob("session-*"))


# -- From logs to files -------------------------------------------------------------------------------------


def promote_part(catalog: Path, part: Path, streams: Sequence[RecordedStream]) -> PartReport:
    """Turn the logs of one part into files of the catalog, then delete them.

    Readers see each file whole or not at all. Doing it again after an interruption gives the same files.

    Raises
    ------
    OSError
        If something cannot be written; the logs stay.
    DataError
        If a log holds what its instrument does not allow.
    """
    report = PartReport()
    made = part / "files"
    shutil.rmtree(made, ignore_errors=True)
    for stream in streams:
        log = part / f"{stream.name}.log"
        if log.exists():
            _write_file(stream, log, made, report)
    if report.files:
        _place_files(part.parent / INSTRUMENTS, catalog)
    _place_files(made, catalog)
    shutil.rmtree(part)
    return report


def _write_file(stream: RecordedStream, log: Path, made: Path, report: PartReport) -> None:
    folder = made / stream.folder
    folder.mkdir(parents=True, exist_ok=True)
    reader = LogReader(log)
    tables = (table for table in row_tables(stream, log, reader) if table.num_rows)
    span = _write_tables(folder / "new", tables)
    report.torn_bytes += reader.torn_bytes
    if span is None:
        return
    start, end, rows = span
    (folder / "new").rename(folder / file_name(start, end))
    report.files += 1
    report.rows += rows
    report.last[stream.name] = end


def _write_tables(path: Path, tables: Iterator[pa.Table]) -> tuple[int, int, int] | None:
    """Write tables as one file; returns first and last time and the number of rows, None without any."""
    first = next(tables, None)
    if first is None:
        return None
    name = "ts_init" if "ts_init" in first.column_names else "ts_event"
    start, end, rows = int(times_of(first, name)[0]), 0, 0
    schema = first.schema.with_metadata({**(first.schema.metadata or {}), RECORDED_BY: _WRITER})
    with path.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            table: pa.Table | None = first
            while table is not None:
                writer.write_table(table.replace_schema_metadata(schema.metadata))
                end, rows = int(times_of(table, name)[-1]), rows + table.num_rows
                table = next(tables, None)
        file.flush()
        os.fsync(file.fileno())
    return start, end, rows


def _place_files(made: Path, catalog: Path) -> None:
    for path in sorted(made.rglob("*.parquet")):
        target = catalog / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def last_time(catalog: Path, stream: RecordedStream) -> int:
    """Return the last time (nanoseconds) the catalog holds of a stream, by its files' names, 0 without files."""
    spans = (file_interval(path.name) for path in (catalog / stream.folder).glob("*.parquet"))
    return max((span[1] for span in spans if span is not None), default=0)


# -- After a crash ------------------------------------------------------------------------------------------


def recover(catalog: Path) -> RecoveryReport:
    """Bring everything that interrupted recordings have left into a catalog; does nothing where nothing is left.

    Parameters
    ----------
    catalog
        The catalog's folder.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written, or another process records into it now.
    """
    if not catalog.exists():
        raise DataError(f"the catalog {catalog} does not exist")
    if not (catalog / _FOLDER).exists():
        return RecoveryReport(catalog)
    with locked_recording(catalog):
        return recover_locked(catalog)


def recover_locked(catalog: Path) -> RecoveryReport:
    """Do what `recover` does in a process that holds the lock.

    Raises
    ------
    DataError
        If the catalog cannot be written.
    """
    report = RecoveryReport(catalog)
    try:
        _finish_joins(catalog)
        for session in waiting_sessions(catalog):
            _recover_session(catalog, session, report)
        report.joined = join_days(catalog)
    except OSError as error:
        raise DataError(f"the recording left in {catalog} cannot be recovered: {error}") from error
    return report


def _recover_session(catalog: Path, session: Path, report: RecoveryReport) -> None:
    # A session that could not even write down what it records has recorded nothing.
    if (session / _SESSION_FILE).exists():
        streams = session_streams(session)
        for part in sorted(path for path in session.glob("part-*")):
            try:
                done = promote_part(catalog, part, streams)
            except DataError as error:
                part.rename(catalog / _FOLDER / f"rejected-{session.name}-{part.name}")
                report.rejected.append(str(error))
                continue
            report.files += done.files
            report.rows += done.rows
            report.torn_bytes += done.torn_bytes
        report.breaks += mark_breaks(catalog, session, streams)
        report.sessions += 1
    shutil.rmtree(session)


def mark_breaks(catalog: Path, aside: Path, streams: Sequence[RecordedStream]) -> int:
    """Say in the catalog that the books are not known after the last changes in it; returns for how many.

    Parameters
    ----------
    catalog
        The catalog.
    aside
        A folder on the same disk for files that are not finished.
    streams
        What was recorded.
    """
    marked = 0
    for stream in streams:
        if stream.kind is not StreamKind.BOOK:
            continue
        paths = sorted((catalog / stream.folder).glob("*.parquet"))
        if not paths or _recorded_schema(paths[-1]) is None or is_break(_last_rows(paths[-1])):
            continue
        moment = last_time(catalog, stream) + 1
        _write_tables(aside / "break.new", iter([break_table(stream, moment)]))
        (aside / "break.new").replace(catalog / stream.folder / file_name(moment, moment))
        marked += 1
    return marked


def _last_rows(path: Path) -> pa.Table:
    with open_parquet(path) as file:
        return file.read_row_group(file.num_row_groups - 1, columns=["action", "flags"])


# -- One file a day -----------------------------------------------------------------------------------------


def join_days(catalog: Path) -> int:
    """Put the recorded files of each day (UTC) into one file a folder; returns how many were put together.

    The last day of the catalog is left as it is, because more may come. So are files that something else wrote,
    damaged ones (`data check` reports them), and recorded files on their two sides.

    Raises
    ------
    OSError
        If something cannot be written; the files stay as they are then, or `recover` finishes the work.
    """
    joined, today = 0, _latest(catalog) // _DAY_NS
    folders = [*(catalog / "data").glob("*/*"), catalog / "fills"]
    for folder in sorted(path for path in folders if path.is_dir()):
        for paths in _runs_of_a_day(folder, today):
            with suppress(_DamagedFileError):
                _plan_join(catalog, paths)
                joined += len(paths)
    _finish_joins(catalog)
    return joined


class _DamagedFileError(Exception):
    """A file that was to be joined cannot be read."""


def _runs_of_a_day(folder: Path, today: int) -> list[list[Path]]:
    """Return the runs of at least two neighbouring recorded files of one day before today."""
    runs: dict[tuple[int, int], list[Path]] = defaultdict(list)
    breaks, previous = 0, None
    for path in sorted(folder.glob("*.parquet")):
        span = file_interval(path.name)
        if span is None or span[1] // _DAY_NS >= today:
            break
        schema = _recorded_schema(path)
        breaks += schema is None or (
            previous is not None and not schema.equals(previous, check_metadata=True)
        )
        previous = schema
        if schema is not None:
            runs[breaks, span[0] // _DAY_NS].append(path)
    return [paths for paths in runs.values() if len(paths) > 1]


def _recorded_schema(path: Path) -> pa.Schema | None:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return None
    return schema if (schema.metadata or {}).get(RECORDED_BY) == _WRITER else None


def _plan_join(catalog: Path, paths: Sequence[Path]) -> None:
    """Write the joined file aside, and then, in one step, that it replaces the others."""
    first, last = (file_interval(path.name) for path in (paths[0], paths[-1]))
    if first is None or last is None:
        raise ValueError(f"{paths[0]} and {paths[-1]} must be named by time spans")
    target = paths[0].parent / file_name(first[0], last[1])
    folder = catalog / _FOLDER / f"join-{paths[0].parent.name}-{target.stem}"
    folder.mkdir(exist_ok=True)
    _write_tables(folder / "joined", _row_groups(paths))
    plan = {
        "target": str(target.relative_to(catalog)),
        "sources": [str(path.relative_to(catalog)) for path in paths],
    }
    replace_file(folder / _PLAN_FILE, json.dumps(plan).encode())


def _row_groups(paths: Sequence[Path]) -> Iterator[pa.Table]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                try:
                    table = file.read_row_group(group)
                except (pa.ArrowException, OSError) as error:
                    raise _DamagedFileError from error
                yield table


def _finish_joins(catalog: Path) -> None:
    """Carry out what is planned; a reader never finds rows twice, and nothing is lost if this is interrupted."""
    for folder in sorted((catalog / _FOLDER).glob("join-*")):
        if (folder / _PLAN_FILE).exists():
            plan = json.loads((folder / _PLAN_FILE).read_text(encoding="utf-8"))
            if (folder / "joined").exists():
                for source in plan["sources"]:
                    (catalog / source).unlink(missing_ok=True)
                (folder / "joined").rename(catalog / plan["target"])
        shutil.rmtree(folder)


def _latest(catalog: Path) -> int:
    spans = (file_interval(path.name) for path in (catalog / "data").glob("*/*/*.parquet"))
    return max((span[1] for span in spans if span is not None), default=0)
