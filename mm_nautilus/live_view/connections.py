"""Connections to the live page: how many there may be, and how long one may keep the server waiting."""

import asyncio
import resource
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

BACKLOG: Final = 32
"""Most connections accepted at once: each holds a file handle before it is counted."""
_MOST: Final = 100
_SHARE: Final = 4
"""Connections may have a quarter of the process's file handles; the rest is the engine's."""
_PATIENCE_SECONDS: Final = 10.0
"""Longest time for a request to arrive, and for a browser to receive what is sent."""


def most_connections() -> int:
    """Return how many connections there may be, so that the engine always has file handles."""
    handles, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if handles == resource.RLIM_INFINITY else max(1, min(_MOST, handles // _SHARE))


class BoundedConnection(H11Protocol):
    """A connection that may keep the server waiting for ten seconds, and less where others need its place.

    The server waits for a request until all of it has arrived, and for a browser that does not take what it is sent.
    It does not wait while it makes an answer, such as a stream of events.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; with too many connections, close the one that has been waited for longest."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > most_connections():
            others = cast("set[BoundedConnection]", self.connections)
            waits = [(other._end.when(), id(other), other) for other in others if other._end is not None]
            min(waits)[-1].abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Handle what has arrived; a whole request ends the wait."""
        super().handle_events()
        self._wait_no_longer_if_answering()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have arrived."""
        self._wait()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the browser to receive what was sent."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """Wait no longer, unless for the next request."""
        super().resume_writing()
        self._wait_no_longer_if_answering()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; one that comes within another request ends the connection."""
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        else:
            self.cycle.disconnected = True
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._wait_no_longer()
        self.connections.discard(self)
        self.transport.abort()

    def _wait(self) -> None:
        self._wait_no_longer()
        self._end = self.loop.call_later(_PATIENCE_SECONDS, self.abort)

    def _wait_no_longer(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _wait_no_longer_if_answering(self) -> None:
        cycle = self.cycle
        is_whole = cycle is not None and not cycle.more_body
        if is_whole and not (cycle.response_complete or self.flow.write_paused):
            self._wait_no_longer()
