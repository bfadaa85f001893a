"""Frames of server-sent events from a run's state, made once for all browsers."""

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from mm_nautilus.live_view.document import (
    Document,
    curve_document,
    days_document,
    fill_documents,
    prices_document,
    state_document,
)
from mm_nautilus.live_view.state import LiveState
from mm_nautilus.risk.state import QuotingState

_LOOK_SECONDS: Final = 0.05
"""How soon a fill is shown."""
_IDLE_LOOK_SECONDS: Final = 0.2
_LEAST_SECONDS: Final = 0.2
"""Shortest time between two states, however much happens."""
_STATE_SECONDS: Final = 1.0
_CURVE_SECONDS: Final = 5.0
_MOST_LISTENERS: Final = 32
_RECONNECT: Final = b"retry: 1000\n\n"

_PATTERN: Final = "run_*.log"
_LINES: Final = 50
_BYTES: Final = 32_768
_LONGEST_LINE: Final = 400


class LogTail:
    """Read the last lines of the newest log in a run's folder."""

    def __init__(self, folder: Path, lines: int = _LINES) -> None:
        self._folder = folder
        self._lines = lines
        self._seen: tuple[Path, int, int] | None = None
        self._tail: tuple[str, ...] = ()

    def read(self) -> tuple[str, ...]:
        """Return the last lines, the same object as long as the file has not changed; none where it cannot be read."""
        try:
            newest = max(
                ((path, path.stat()) for path in self._folder.glob(_PATTERN)),
                key=lambda found: found[1].st_mtime_ns,
                default=None,
            )
            if newest is None:
                return ()
            path, status = newest
            seen = (path, status.st_size, status.st_mtime_ns)
            if seen != self._seen:
                self._tail, self._seen = self._last_lines(path, status.st_size), seen
        except OSError as error:
            return (f"the log cannot be read: {error}",)
        return self._tail

    def _last_lines(self, path: Path, size: int) -> tuple[str, ...]:
        with path.open("rb") as file:
            file.seek(max(0, size - _BYTES), os.SEEK_SET)
            text = file.read(_BYTES).decode("utf-8", errors="replace")
        lines = text.splitlines()[1 if size > _BYTES else 0 :]
        return tuple(line[:_LONGEST_LINE] for line in lines[-self._lines :])


class Publisher:
    """Make frames of server-sent events while a page is open, from the server's thread alone.

    There is a frame ``state`` a second and at once after a fill; ``fills``, ``days``, ``curve`` and ``log`` come when
    they have changed, and ``prices`` once, as the states continue them. A listener
    that reads slowly misses frames that are out of date, and nothing is kept for it. The clock, in seconds, is never
    set.
    """

    def __init__(self, state: LiveState, log: LogTail, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._log = log
        self._clock = clock
        self._frames: dict[str, tuple[int, bytes]] = {}
        self._made = 0
        self._seen: dict[str, object] = {}
        self._changes = -1
        self._next_state_at = self._soonest_state_at = self._next_curve_at = 0.0
        self._changed = asyncio.Event()
        self._is_closed = False
        self._listeners: dict[int, None] = {}
        self._numbers = itertools.count()

    def document(self) -> Document:
        """Return everything that is shown, as one document."""
        snapshot = self._state.snapshot()
        return {
            **state_document(snapshot),
            "fills": fill_documents(snapshot),
            "days": days_document(snapshot),
            "curve": curve_document(self._state),
            "prices": prices_document(self._state),
            "log": list(self._log.read()),
        }

    def halted(self) -> list[str]:
        """Return the symbols that are halted."""
        symbols = self._state.snapshot().symbols
        return [symbol.info.symbol for symbol in symbols if symbol.state == QuotingState.HALTED]

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Make frames until the run is over, the last ones after that."""
        while not is_over():
            if self._listeners:
                self.look()
            await asyncio.sleep(_LOOK_SECONDS if self._listeners else _IDLE_LOOK_SECONDS)
        self._is_closed = True
        self._next_state_at = self._next_curve_at = 0.0
        self.look()
        self._wake()

    async def listen(self) -> AsyncIterator[bytes]:
        """Yield the frames as they are now, and then each that is made, until the run is over.

        Where many listen already, the one that came first makes room.
        """
        listener = next(self._numbers)
        if len(self._listeners) >= _MOST_LISTENERS:
            del self._listeners[min(self._listeners)]
            self._wake()
        self._listeners[listener] = None
        sent: dict[str, int] = {}
        try:
            self._next_state_at = self._next_curve_at = 0.0
            self.look()
            yield _RECONNECT
            yield _frame("prices", prices_document(self._state))
            while True:
                changed, is_last = self._changed, self._is_closed or listener not in self._listeners
                for name, (number, frame) in list(self._frames.items()):
                    if sent.get(name) != number:
                        sent[name] = number
                        yield frame
                if is_last:
                    return
                await changed.wait()
        finally:
            self._listeners.pop(listener, None)

    def look(self) -> None:
        """Make the frames that are due."""
        now, made = self._clock(), self._made
        has_changed = self._state.changes != self._changes and now >= self._soonest_state_at
        if has_changed or now >= self._next_state_at:
            self._changes = self._state.changes
            self._soonest_state_at, self._next_state_at = now + _LEAST_SECONDS, now + _STATE_SECONDS
            self._look_at_state()
        if now >= self._next_curve_at and self._is_new("curve", self._state.last_account):
            self._next_curve_at = now + _CURVE_SECONDS
            self._make("curve", curve_document(self._state))
        if self._made != made:
            self._wake()

    def _look_at_state(self) -> None:
        snapshot = self._state.snapshot()
        self._make("state", state_document(snapshot))
        if self._is_new("fills", (snapshot.fills_seen,)):
            self._make("fills", fill_documents(snapshot))
        if self._is_new("days", snapshot.daily):
            self._make("days", days_document(snapshot))
        lines = self._log.read()
        if self._is_new("log", lines):
            self._make("log", lines)

    def _is_new(self, name: str, value: object) -> bool:
        is_new = name not in self._seen or self._seen[name] != value
        self._seen[name] = value
        return is_new

    def _make(self, name: str, value: Any) -> None:
        self._made += 1
        self._frames[name] = (self._made, _frame(name, value))

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _frame(name: str, value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return f"event: {name}\ndata: {text}\n\n".encode()
