"""Write a recording from a thread of its own, so that a slow disk never makes the engine wait.

The thread sees bytes, plain values and files; nothing of the engine's is ever handed to it.
"""

import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from mm_nautilus.data.recording_folder import (
    join_days,
    last_time,
    mark_breaks,
    promote_part,
)
from mm_nautilus.data.recording_log import LogWriter
from mm_nautilus.data.recording_promotion import Promotion
from mm_nautilus.data.recording_rows import RecordedStream, refuse_digits, rows_payload

__all__ = ["RecordingSession", "RecordingWriter"]

_MOST_WAITING_BYTES: Final = 256_000_000
"""What may wait for the disk before recording is given up, so that memory stays bounded."""

_PAUSE_SECONDS: Final = 1.0
"""How often the thread looks around when nothing comes, seconds."""

type Payload = bytes | Sequence[Mapping[str, Any]]


class RecordingSession:
    """One session's files: append to the logs of the present part, turn finished parts into the catalog's files.

    Parameters
    ----------
    catalog
        The catalog.
    folder
        The session's folder.
    streams
        What is recorded.
    lock
        Descriptor of the recording's lock.

    Attributes
    ----------
    part_bytes
        Size of the present part's logs.
    last
        The last time (nanoseconds) of each stream, by name; the catalog's where nothing has come yet.
    """

    def __init__(self, catalog: Path, folder: Path, streams: Sequence[RecordedStream], lock: int) -> None:
        self._catalog, self._folder, self._lock = catalog, folder, lock
        self._streams = {stream.name: stream for stream in streams}
        self._parts = 0
        self._finished: deque[Path] = deque()
        self._promotion: Promotion | None = None
        self._logs: dict[str, LogWriter] = {}
        self.part_bytes = 0
        self.last = {stream.name: last_time(catalog, stream) for stream in streams}
        self._floors = dict(self.last)

    @property
    def _part(self) -> Path:
        return self._folder / f"part-{self._parts:06d}"

    def append(self, name: str, payload: Payload, shift: int, last: int) -> None:
        """Write rows of one stream, whose last time is `last`, to the log of the present part.

        Raises
        ------
        OSError
            If they cannot be written.
        DataError
            If they do not fit the stream's instrument.
        """
        if name not in self._logs:
            self._part.mkdir(exist_ok=True)
            self._logs[name] = LogWriter(self._part / f"{name}.log", self._floors[name])
        stream = self._streams[name]
        if isinstance(payload, bytes):
            refuse_digits(stream, payload)
        else:
            payload = rows_payload(stream.kind, payload)
        self.part_bytes += self._logs[name].append(payload, shift)
        self.last[name] = max(last, self._floors[name] + 1)

    def sync(self) -> None:
        """Make what has been written survive a power cut.

        Raises
        ------
        OSError
            If the disk cannot take it.
        """
        for log in self._logs.values():
            log.sync()

    def rotate(self) -> None:
        """Begin the next part; the present one waits to be brought into the catalog.

        Raises
        ------
        OSError
            If a log cannot be closed.
        """
        if self._logs:
            self._close_logs()
            self._finished.append(self._part)
            self._floors = dict(self.last)
            self._parts += 1
            self.part_bytes = 0

    def promote(self) -> None:
        """Bring finished parts into the catalog, one after the other, without waiting for it.

        Raises
        ------
        OSError
            If that has failed; the logs stay for a recovery.
        """
        if self._promotion is not None and self._promotion.is_done():
            self._promotion = None
        if self._promotion is None and self._finished:
            self._promotion = Promotion(self._catalog, self._finished.popleft(), self._lock)

    def finish(self) -> None:
        """Bring everything into the catalog and leave nothing behind.

        Raises
        ------
        OSError, DataError
            If that cannot be done; the logs stay for a recovery.
        """
        self.rotate()
        if self._promotion is not None:
            self._promotion.wait()
        streams = list(self._streams.values())
        while self._finished:
            promote_part(self._catalog, self._finished.popleft(), streams)
        join_days(self._catalog)
        mark_breaks(self._catalog, self._folder, streams)
        shutil.rmtree(self._folder)

    def abandon(self) -> None:
        """Close the logs as they are, for a recovery."""
        self._close_logs()

    def _close_logs(self) -> None:
        for log in self._logs.values():
            log.close()
        self._logs = {}


@dataclass(frozen=True, slots=True)
class _Rows:
    name: str
    payload: Payload
    shift: int
    last: int


class _Rotate:
    """Begin a new part."""


class _Close:
    """Bring everything into the catalog and end."""


class RecordingWriter:
    """A thread that works off what the recorder hands over, in order.

    The first error ends the recording: it is kept in `failure`, and what comes later is thrown away.

    Parameters
    ----------
    session
        The files; used by the thread alone from now on.
    sync_seconds
        Time between two waits for the disk, seconds.
    """

    def __init__(self, session: RecordingSession, sync_seconds: float) -> None:
        self._session = session
        self._sync_seconds = sync_seconds
        self._queue: SimpleQueue[_Rows | _Rotate | _Close] = SimpleQueue()
        self._bytes_in = self._bytes_out = 0
        self._is_rotating = self._is_closing = False
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    @property
    def part_bytes(self) -> int:
        """Size of the present part's logs, as far as they are written; 0 while a new part is due."""
        return 0 if self._is_rotating else self._session.part_bytes

    @property
    def waiting_bytes(self) -> int:
        """Size of what has been handed over and is not written yet."""
        return self._bytes_in - self._bytes_out

    def append(self, name: str, payload: Payload, shift: int, last: int) -> None:
        """Hand rows over; returns at once."""
        if self.failure is not None:
            return
        self._bytes_in += len(payload)
        if self.waiting_bytes > _MOST_WAITING_BYTES:
            self.failure = f"the disk is too slow, {_MOST_WAITING_BYTES // 1_000_000} MB are waiting for it"
            return
        self._queue.put(_Rows(name, payload, shift, last))

    def rotate(self) -> None:
        """Let the thread begin a new part after what was handed over so far; returns at once."""
        self._is_rotating = True
        self._queue.put(_Rotate())

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Let the thread finish and wait for it; returns whether it has.

        What it has not finished in that time is left for a recovery.
        """
        self._queue.put(_Close())
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._write_until_closed()
            self._session.finish()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            self._session.abandon()
            self._discard_until_closed()

    def _write_until_closed(self) -> None:
        next_sync = time.monotonic() + self._sync_seconds
        while True:
            try:
                item = self._queue.get(timeout=_PAUSE_SECONDS)
            except Empty:
                item = None
            match item:
                case _Rows():
                    self._session.append(item.name, item.payload, item.shift, item.last)
                    self._bytes_out += len(item.payload)
                case _Rotate():
                    self._session.rotate()
                    self._is_rotating = False
                case _Close():
                    self._is_closing = True
                    return
            self._session.promote()
            if time.monotonic() >= next_sync:
                self._session.sync()
                next_sync = time.monotonic() + self._sync_seconds

    def _discard_until_closed(self) -> None:
        while not self._is_closing:
            self._is_closing = isinstance(self._queue.get(), _Close)
