"""Turn a run's state into the frames that browsers listen to, once for all of them."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from mm_nautilus.live_view.document import Document, curve_document, fill_documents, state_document
from mm_nautilus.live_view.log_tail import LogTail
from mm_nautilus.live_view.state import LiveState

_LOOK_SECONDS: Final = 0.05
"""How soon a fill is shown."""
_IDLE_LOOK_SECONDS: Final = 0.2
_LEAST_SECONDS: Final = 0.2
"""Shortest time between two states, however much happens."""
_STATE_SECONDS: Final = 1.0
_CURVE_SECONDS: Final = 5.0
_MOST_LISTENERS: Final = 32
_RECONNECT: Final = b"retry: 1000\n\n"


class Publisher:
    """Make frames of server-sent events while somebody listens, from the server's thread alone.

    There is a frame ``state`` a second and at once after a fill; ``fills``, ``curve`` and ``log`` come when they
    have changed. A listener that reads slowly misses frames that are out of date, and nothing is kept for it.

    Parameters
    ----------
    state
        What is shown.
    log
        The end of the run's log.
    clock
        Seconds of a clock that is never set.
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
            "curve": curve_document(self._state),
            "log": list(self._log.read()),
        }

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Make frames until the run is over, the last ones after that.

        Parameters
        ----------
        is_over
            Returns whether to end.
        """
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
        lines = self._log.read()
        if self._is_new("log", lines):
            self._make("log", lines)

    def _is_new(self, name: str, value: object) -> bool:
        is_new = name not in self._seen or self._seen[name] != value
        self._seen[name] = value
        return is_new

    def _make(self, name: str, value: Any) -> None:
        self._made += 1
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        self._frames[name] = (self._made, f"event: {name}\ndata: {text}\n\n".encode())

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
