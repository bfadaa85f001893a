"""Write a recording from a thread of its own, so that a slow disk never makes the engine wait.

The thread sees bytes, plain values and files, and no object of the engine. Finished parts become files of the catalog
in a process of low priority: a thread would share the interpreter with the engine and make it wait for seconds.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np

from mm_nautilus.data import recording_folder
from mm_nautilus.data.catalog_files import row_times
from mm_nautilus.data.recording_folder import (
    LOG_NAME,
    RecoveryReport,
    append_table,
    join_days,
    last_time,
    mark_breaks,
    promote_part,
)
from mm_nautilus.data.recording_rows import RecordedStream, with_times

_MOST_WAITING_BYTES: Final = 256_000_000
"""What may wait for the disk before recording is given up, so that memory stays bounded."""
_PAUSE_SECONDS: Final = 1.0
"""Longest time between two looks at the clock and at the process that makes files, seconds."""

type Payload = bytes | Sequence[Mapping[str, Any]]


def start_promotion(catalog: Path, part: Path, lock: int) -> subprocess.Popen[str]:
    """Start the process that brings a finished part into the catalog; it ends when this process does.

    It holds the recording's lock too, so that no other recording or recovery begins before it has ended.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(  # noqa: S603 (our own module, with paths of our own)
        [sys.executable, "-m", recording_folder.__name__, str(catalog), str(part)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        pass_fds=(lock,),
        # Signals of the terminal are meant for the run, which waits for this process.
        start_new_session=True,
    )


class RecordingSession:
    """One session's files: append to the logs of the present part, turn finished parts into the catalog's files.

    Its methods raise an `OSError` if something cannot be written; the logs stay for a recovery then. `lock` is the
    descriptor of the recording's lock.
    """

    def __init__(self, catalog: Path, folder: Path, streams: Iterable[RecordedStream], lock: int) -> None:
        self._catalog, self._folder, self._lock = catalog, folder, lock
        self._parts = 0
        self._finished: deque[Path] = deque()
        self._promotion: subprocess.Popen[str] | None = None
        self._logs: dict[Path, FileIO] = {}
        self.part_bytes = 0
        """Size of the present part's logs."""
        self.last = {
            stream.folder: last_time((catalog / stream.folder).glob("*.parquet")) for stream in streams
        }
        """The last time (nanoseconds) of each stream, by folder; the catalog's where nothing has come yet."""
        self._floors = dict(self.last)

    @property
    def _part(self) -> Path:
        return self._folder / f"part-{self._parts:06d}"

    def append(self, stream: RecordedStream, payload: Payload, shift: int) -> None:
        """Write rows of one stream to the log of the present part, with times moved by `shift` nanoseconds.

        A `DataError` or `pa.ArrowInvalid` says that they have more digits than the stream's instrument, or do not fit
        its columns.
        """
        table, folder = stream.to_table(payload), stream.folder
        received = row_times(table)
        times = np.maximum(received + shift, self._floors[folder] + 1)
        if not np.array_equal(times, received):
            table = with_times(table, times)
        if folder not in self._logs:
            (self._part / folder).mkdir(parents=True, exist_ok=True)
            self._logs[folder] = (self._part / folder / LOG_NAME).open("xb", buffering=0)
        self.part_bytes += append_table(self._logs[folder], table)
        self.last[folder] = int(times[-1])

    def sync(self) -> None:
        """Make what has been written survive a power cut."""
        for log in self._logs.values():
            os.fsync(log.fileno())

    def rotate(self) -> None:
        """Begin the next part; the present one waits to be brought into the catalog."""
        if self._logs:
            self.close_logs()
            self._finished.append(self._part)
            self._floors = dict(self.last)
            self._parts += 1
            self.part_bytes = 0

    def promote(self) -> None:
        """Bring finished parts into the catalog, one after the other, without waiting.

        An `OSError` says why one could not be brought in; its logs are still there.
        """
        if self._promotion is not None and self._promotion.poll() is not None:
            self._end_promotion()
        if self._promotion is None and self._finished:
            self._promotion = start_promotion(self._catalog, self._finished.popleft(), self._lock)

    def _end_promotion(self) -> None:
        """Wait for the process that makes files, and raise an `OSError` if it has failed."""
        if self._promotion is None:
            return
        with self._promotion as process:
            errors = process.stderr.read() if process.stderr is not None else ""
        self._promotion = None
        if process.returncode != 0:
            reason = (errors.splitlines() or [f"it ended with code {process.returncode}"])[-1]
            raise OSError(f"what was recorded could not be brought into the catalog: {reason}")

    def finish(self) -> None:
        """Bring everything into the catalog and leave nothing behind."""
        self.rotate()
        self._end_promotion()
        while self._finished:
            promote_part(self._catalog, self._finished.popleft(), RecoveryReport(self._catalog))
        join_days(self._catalog)
        mark_breaks(self._catalog, self._folder)
        shutil.rmtree(self._folder)

    def close_logs(self) -> None:
        """Close the logs as they are; a recovery can read them."""
        for log in self._logs.values():
            log.close()
        self._logs = {}


class RecordingWriter:
    """A thread that writes what the recorder hands over to a session's files, in order.

    The first error ends the recording: it is kept in `failure`, and what comes later is thrown away. Every
    `sync_seconds` the thread waits for the disk.
    """

    def __init__(self, session: RecordingSession, sync_seconds: float) -> None:
        self.session = session
        self._sync_seconds = sync_seconds
        self._work: SimpleQueue[tuple[Callable[[], None] | None, int]] = SimpleQueue()
        self._bytes_in = self._bytes_out = 0
        self._is_rotating = False
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Size of what has been handed over and is not written yet."""
        return self._bytes_in - self._bytes_out

    @property
    def part_bytes(self) -> int:
        """Size of the present part, 0 while the next one waits to begin: a large part is rotated once."""
        return 0 if self._is_rotating else self.session.part_bytes

    def append(self, stream: RecordedStream, payload: Payload, shift: int) -> None:
        """Hand rows over; returns at once."""
        if self.failure is not None:
            return
        self._bytes_in += len(payload)
        if self.waiting_bytes > _MOST_WAITING_BYTES:
            self.failure = f"the disk is too slow, {_MOST_WAITING_BYTES // 1_000_000} MB are waiting for it"
            return
        self._work.put((partial(self.session.append, stream, payload, shift), len(payload)))

    def rotate(self) -> None:
        """Begin a new part after what was handed over so far; returns at once."""
        self._is_rotating = True
        self._work.put((self._rotate, 0))

    def _rotate(self) -> None:
        self.session.rotate()
        self._is_rotating = False

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the thread to finish; returns whether it has. What it has not finished is left for a recovery."""
        self._work.put((None, 0))
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work_until_closed()
            self.session.finish()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            self._work = SimpleQueue()  # what waits is thrown away
            self.session.close_logs()

    def _work_until_closed(self) -> None:
        next_sync = time.monotonic() + self._sync_seconds
        while True:
            with suppress(Empty):
                work, size = self._work.get(timeout=_PAUSE_SECONDS)
                if work is None:
                    return
                work()
                self._bytes_out += size
            self.session.promote()
            if time.monotonic() >= next_sync:
                self.session.sync()
                next_sync = time.monotonic() + self._sync_seconds
