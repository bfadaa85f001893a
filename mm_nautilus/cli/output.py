"""Standard streams that hold nobody up: threads of their own write the output of a live run."""

import contextlib
import io
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

MOST_BYTES: Final = 1 << 18
"""Most output that may wait, except a single longer text."""
_PIECE_BYTES: Final = 4_096
_SIGNALLED: Final = 128
"""Exit codes above it are of signals."""
_PATIENCE_SECONDS: Final = 5.0
"""How long the process waits for a program that does not read its output."""
_PATIENCE_WITH_TERMINALS_SECONDS: Final = 1.0
"""The same for a terminal, which takes output unless it was stopped."""
_PATIENCE_AFTER_SIGNAL_SECONDS: Final = 0.5
"""The whole wait after a signal."""
_LOOK_SECONDS: Final = 0.01


class _Unhurried(io.RawIOBase):
    """Take bytes at once and write them from a thread of its own.

    Only that thread waits for a stopped terminal or an unread pipe. At most `MOST_BYTES` wait: beyond that all are
    dropped, and their lines are counted and reported with the next output that is taken. After an error of the file
    nothing more is written. `written_at` is the time of the last output, seconds of the monotonic clock; 0 before.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = number
        self.written_at = 0.0
        self._waiting: deque[bytes] = deque()
        self._bytes = self._lines_left_out = 0
        self._is_writing = self._is_lost = self._is_over = False
        self._changed = threading.Condition()
        # The thread blocks signals, so that they reach those who listen, and that a terminal does not stop a process
        # of the background that writes to it (`stty tostop`).
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threading.Thread(target=self._write_on, name=f"output {self.name}", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def fileno(self) -> int:
        return self.name

    def isatty(self) -> bool:
        return os.isatty(self.name)

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        content = bytes(content)
        with self._changed:
            if content and not self._is_lost:
                if self._bytes + len(content) > MOST_BYTES:
                    self._drop()
                self._waiting.append(content)
                self._bytes += len(content)
                self._changed.notify()
        return len(content)

    @property
    def is_behind(self) -> bool:
        """Whether output waits."""
        return bool(self._waiting) or self._is_writing

    def end(self) -> None:
        """End the thread once everything is written."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def _write_on(self) -> None:
        while (content := self._next()) is not None:
            try:
                self._put(content)
            except OSError:
                with self._changed:
                    self._is_lost = True
                    self._drop()
            self._is_writing = False

    def _next(self) -> bytes | None:
        """Wait for output and return it, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            if not self._waiting:
                return None
            self._is_writing = True
            content = self._waiting.popleft()
            self._bytes -= len(content)
            left_out, self._lines_left_out = self._lines_left_out, 0
        note = f"\n(lines left out, as the output was not read in time: {left_out})\n" if left_out else ""
        return note.encode("ascii") + content

    def _put(self, content: bytes) -> None:
        while content:
            try:
                content = content[os.write(self.name, content[:_PIECE_BYTES]) :]
            except BlockingIOError:  # another process has made the shared file non-blocking
                ready = select.poll()
                ready.register(self.name, select.POLLOUT)
                ready.poll()
            else:
                self.written_at = time.monotonic()

    def _drop(self) -> None:
        self._lines_left_out += sum(content.count(b"\n") for content in self._waiting)
        self._waiting.clear()
        self._bytes = 0


def unhurried(stream: TextIO) -> io.TextIOWrapper:
    """Return a stream that holds nobody up, in place of a file's; raises OSError if there is no file."""
    raw = _Unhurried(stream.fileno())
    stream.flush()
    return io.TextIOWrapper(raw, encoding=stream.encoding, errors=stream.errors, write_through=True)


def run_unhurried(command: Callable[[], int]) -> int:
    """Run a command with unhurried streams for standard output and standard error, and return its exit code.

    If both go to the same terminal, pipe or file they are one stream, so that all stays in order. It returns when all
    is written, or after 5 seconds in which nothing was (1 second of a terminal), or half a second after a command that
    a signal has ended.
    """
    before, code = (sys.stdout, sys.stderr), 0
    output = _unhurried_or_same(sys.stdout)
    sys.stdout, sys.stderr = output, output if _are_one_file(*before) else _unhurried_or_same(sys.stderr)
    raw = [stream.buffer for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    try:
        code = command()
    finally:
        # A further signal ends the wait.
        with contextlib.suppress(KeyboardInterrupt):
            _drain([each for each in raw if isinstance(each, _Unhurried)], code > _SIGNALLED)
        sys.stdout, sys.stderr = before
    return code


def _unhurried_or_same(stream: Any) -> Any:
    try:
        return unhurried(stream)
    except io.UnsupportedOperation:  # no file: it holds nobody up
        return stream


def _are_one_file(*streams: Any) -> bool:
    try:
        return os.path.sameopenfile(*(stream.fileno() for stream in streams))
    except io.UnsupportedOperation:
        return False


def _drain(streams: Sequence[_Unhurried], was_signalled: bool) -> None:
    for stream in streams:
        stream.end()
    began = time.monotonic()

    def is_waited_for(stream: _Unhurried) -> bool:
        if was_signalled:
            return time.monotonic() - began < _PATIENCE_AFTER_SIGNAL_SECONDS
        patience = _PATIENCE_WITH_TERMINALS_SECONDS if stream.isatty() else _PATIENCE_SECONDS
        return time.monotonic() - max(began, stream.written_at) < patience

    while any(stream.is_behind and is_waited_for(stream) for stream in streams):
        time.sleep(_LOOK_SECONDS)
