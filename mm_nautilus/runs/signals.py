"""Turn SIGINT, SIGTERM and SIGHUP into an orderly end of a run, and SIGUSR1 into a halt of a live one.

No library is imported here: a sandbox run listens before anything else is loaded.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from mm_nautilus.errors import InterruptedRunError
from mm_nautilus.system.ending_signals import ending_signals, handled_by

_KILL: Final = signal.SIGUSR1
_LOOK_SECONDS: Final = 0.1


def signal_words(number: int) -> str:
    """Return how a signal has ended a run, in words."""
    name = signal.Signals(number).name
    return f"stopped by you ({name})" if number == signal.SIGINT else f"interrupted by {name}"


class SignalListener:
    """Receive signals on a thread of their own while the context lasts, whatever the main thread is doing.

    The live engine installs handlers of its own, and both engines spend long in native code, where Python's handlers
    do not run. So the signals are blocked in the thread that enters the context and in all that it starts from then
    on; the listener's thread takes them.

    Enter it in the main thread before numpy is imported, which starts a thread that would not block them. If that is
    too late, Python's handlers note the signals that reach them. With `ends_process`, signals stay blocked after the
    first: one that is repeated while the process leaves cannot replace its exit code.

    Attributes
    ----------
    received, received_at
        Number of the first signal, and its time in seconds of the monotonic clock; None before.
    kills
        How often SIGUSR1, the kill switch, has come; it ends nothing.
    """

    def __init__(self, *, ends_process: bool = False) -> None:
        self.received: int | None = None
        self.received_at: float | None = None
        self._ends_process = ends_process
        self.kills = 0
        self._listened = (*ending_signals(), _KILL)
        self._handling = handled_by(lambda number, _frame: self._note(number), self._listened)
        self._mask: set[int] = set()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)

    def __enter__(self) -> Self:
        self._handling.__enter__()
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, self._listened))
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._has_ended.set()
        self._thread.join()
        self._take_pending()
        if self._ends_process and self.received is not None:
            return
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        self._handling.__exit__(None, None, None)

    @contextmanager
    def unblocked(self) -> Iterator[None]:
        """Unblock the signals while a child process is started: it inherits the mask, and could not be ended."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._listened)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, self._listened)

    def _listen(self) -> None:
        while not self._has_ended.wait(_LOOK_SECONDS):
            self._take_pending()

    def _take_pending(self) -> None:
        for number in signal.sigpending().intersection(self._listened):
            self._note(signal.sigwait({number}))

    def _note(self, number: int) -> None:
        if number == _KILL:
            self.kills += 1
        elif self.received is None:
            self.received, self.received_at = number, time.monotonic()

    def raise_received(self, words: str = "interrupted before the run began; nothing was written") -> None:
        """Raise an InterruptedRunError with these words if a signal has come."""
        if self.received is not None:
            raise InterruptedRunError(words, self.exit_code)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells expect."""
        return 128 + (self.received or 0)
