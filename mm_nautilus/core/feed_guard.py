"""Whether a live feed's books may be believed: connected, and each book complete since."""

from enum import StrEnum

__all__ = ["FeedGuard", "FeedState"]


class FeedState(StrEnum):
    """What is known of one symbol's feed."""

    DISCONNECTED = "feed disconnected"
    AWAITING_SNAPSHOT = "waiting for a snapshot"
    RECOVERING = "book recovering"


class FeedGuard:
    """Whether a symbol's book has been sent whole since the feed was connected last.

    A book that was cleared, or whose feed was lost, is not to be quoted on before a full snapshot has come and a
    while has passed: what else the venue sends again at a new connection, such as old trades, has to be over by then.

    Parameters
    ----------
    resume_after_ns
        How long quoting waits after the snapshot, nanoseconds.

    Notes
    -----
    Connections and books are told by different queues. A snapshot may thus be seen before the news that the feed is
    connected again, but not before the clearing of the book that comes with it.
    """

    __slots__ = ("_resume_after_ns", "_resume_at_ns", "_state")

    def __init__(self, resume_after_ns: int) -> None:
        self._resume_after_ns = resume_after_ns
        self._resume_at_ns = 0
        self._state: FeedState | None = FeedState.AWAITING_SNAPSHOT

    @property
    def resume_at_ns(self) -> int:
        """When quoting may resume after the last snapshot."""
        return self._resume_at_ns

    @property
    def is_believed(self) -> bool:
        """Whether the book is connected and complete."""
        return self._state is None

    def on_disconnected(self) -> None:
        """Note that the feed is lost."""
        self._state = FeedState.DISCONNECTED

    def on_connected(self) -> None:
        """Note that the feed is back."""
        if self._state is FeedState.DISCONNECTED:
            self._state = FeedState.AWAITING_SNAPSHOT

    def on_clear(self) -> None:
        """Note that the book was emptied: at a new connection, or because its checksum was wrong."""
        self._state = FeedState.AWAITING_SNAPSHOT

    def on_snapshot(self, ts_ns: int) -> None:
        """Note that the whole book was sent at `ts_ns`; one from before the feed was lost does not count."""
        if self._state is FeedState.AWAITING_SNAPSHOT:
            self._state = None
            self._resume_at_ns = ts_ns + self._resume_after_ns

    def reason(self, now_ns: int) -> str | None:
        """Return why the book may not be quoted on, or None where it may."""
        if self._state is not None:
            return self._state.value
        return FeedState.RECOVERING.value if now_ns < self._resume_at_ns else None
