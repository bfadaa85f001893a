"""Standard streams that keep nobody waiting: threads of their own write what a live run says, however it is taken."""

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
"""How much may wait to be taken, but for a single text that is longer."""
_PIECE_BYTES: Final = 4_096
_SIGNALLED: Final = 128
"""Exit codes above it are those of signals."""
_PATIENCE_SECONDS: Final = 5.0
"""How long the process stays for a program that takes nothing more of its output."""
_PATIENCE_WITH_TERMINALS_SECONDS: Final = 1.0
"""The same for a terminal, which takes what it is sent unless it was stopped."""
_PATIENCE_AFTER_SIGNAL_SECONDS: Final = 0.5
"""How long it stays in all after a signal."""
_LOOK_SECONDS: Final = 0.01


class UnhurriedStream(io.TextIOBase):
    """Take text at once and write it from a thread of its own.

    A terminal that is stopped, or a pipe that nobody reads, so holds up that thread alone. What waits is bounded:
    beyond `MOST_BYTES` all of it is dropped, and its lines are counted and told of once something is taken again. Where
    nobody can ever read any more the stream falls silent for good.

    Parameters
    ----------
    stream
        Standard output or standard error.

    Attributes
    ----------
    written_at
        When something was taken last, seconds of the monotonic clock; 0 before.

    Raises
    ------
    OSError
        If the stream is no file of the operating system.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._number = stream.fileno()
        stream.flush()
        self._stream = stream
        self.written_at = 0.0
        self._waiting: deque[bytes] = deque()
        self._bytes = self._lines_left_out = 0
        self._is_writing = self._is_lost = self._is_over = False
        self._changed = threading.Condition()
        # A signal that came to this thread would not come to those that listen. And a terminal stops a process of the
        # background that writes to it (`stty tostop`), unless the thread blocks the signal.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threading.Thread(target=self._write_on, name=f"output {self._number}", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The stream's own."""
        return self._stream.errors

    def fileno(self) -> int:
        """Return the stream's number."""
        return self._number

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def write(self, text: str, /) -> int:
        """Take a text and return its length."""
        if not isinstance(text, str):
            raise TypeError(f"only text can be written, was {type(text).__name__}")
        content = text.encode(self.encoding, self.errors or "strict")
        with self._changed:
            if content and not self._is_lost:
                if self._bytes + len(content) > MOST_BYTES:
                    self._drop()
                self._waiting.append(content)
                self._bytes += len(content)
                self._changed.notify()
        return len(text)

    @property
    def is_behind(self) -> bool:
        """Whether something has not been taken yet."""
        return bool(self._waiting) or self._is_writing

    def end(self) -> None:
        """End the thread once everything is taken."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    # -- The thread ---------------------------------------------------------------------------------------

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
        """Wait for what is to be written next, and return None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            if not self._waiting:
                return None
            self._is_writing = True
            content = self._waiting.popleft()
            self._bytes -= len(content)
            left_out, self._lines_left_out = self._lines_left_out, 0
        told = f"\n({left_out} lines were left out, which nobody took in time)\n" if left_out else ""
        return told.encode(self.encoding) + content

    def _put(self, content: bytes) -> None:
        while content:
            try:
                content = content[os.write(self._number, content[:_PIECE_BYTES]) :]
            except BlockingIOError:  # whoever else has the stream open has made it one that does not wait
                ready = select.poll()
                ready.register(self._number, select.POLLOUT)
                ready.poll()
            else:
                self.written_at = time.monotonic()

    def _drop(self) -> None:
        self._lines_left_out += sum(content.count(b"\n") for content in self._waiting)
        self._waiting.clear()
        self._bytes = 0


def run_unhurried(command: Callable[[], int]) -> int:
    """Run a command with unhurried streams for standard output and standard error, and return its exit code.

    Where both go to the same terminal, pipe or file they are one stream, so that all stays in order. It returns when
    all has been taken or, after 5 seconds in which nothing was (1 of a terminal), without that; half a second after a
    command that a signal has ended.
    """
    before, code = (sys.stdout, sys.stderr), 0
    output = _unhurried(sys.stdout)
    streams = [output, output if _are_one_file(*before) else _unhurried(sys.stderr)]
    sys.stdout, sys.stderr = streams
    try:
        code = command()
    finally:
        # Whoever asks for the end once more is not kept waiting.
        with contextlib.suppress(KeyboardInterrupt):
            _drain([stream for stream in streams if isinstance(stream, UnhurriedStream)], code > _SIGNALLED)
        sys.stdout, sys.stderr = before
    return code


def _unhurried(stream: Any) -> Any:
    """Return an unhurried stream, or the stream itself where it is no file: nothing it writes can be waited for."""
    try:
        return UnhurriedStream(stream)
    except io.UnsupportedOperation:
        return stream


def _are_one_file(*streams: Any) -> bool:
    try:
        return os.path.sameopenfile(*(stream.fileno() for stream in streams))
    except io.UnsupportedOperation:
        return False


def _drain(streams: Sequence[UnhurriedStream], was_signalled: bool) -> None:
    for stream in streams:
        stream.end()
    began = time.monotonic()

    def is_waited_for(stream: UnhurriedStream) -> bool:
        if was_signalled:
            return time.monotonic() - began < _PATIENCE_AFTER_SIGNAL_SECONDS
        patience = _PATIENCE_WITH_TERMINALS_SECONDS if stream.isatty() else _PATIENCE_SECONDS
        return time.monotonic() - max(began, stream.written_at) < patience

    while any(stream.is_behind and is_waited_for(stream) for stream in streams):
        time.sleep(_LOOK_SECONDS)
