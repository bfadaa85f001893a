"""Whether a live feed may be believed: connected, each book complete and checked since, and trades still coming."""

from collections import deque
from enum import StrEnum
from typing import Final

from mm_nautilus.risk.limits import SECOND_NS

__all__ = ["FeedData", "FeedGuard", "FeedState", "RecentTrades", "TapeGuard"]

_SHORTEST_WAIT_NS: Final = SECOND_NS
_LONGEST_WAIT_NS: Final = 60 * SECOND_NS
"""Between two requests for the same data: the wait doubles, so that a venue that is wrong for good is not stormed."""
_UNANSWERED_NS: Final = 10 * SECOND_NS
_MOST_TRADE_IDS: Final = 1_000
"""Ids of trades that are remembered; a venue repeats its last fifty."""
_STALE_TAPE: Final = "stale tape"


class FeedData(StrEnum):
    """What a live feed can be asked for anew."""

    BOOK = "book"
    TRADES = "trades"


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
    A client that has found a book's checksum wrong empties it and asks for it anew, but only so often: the engine's
    Kraken client stops checking a pair's book at the third time in a row, without a word but in its log. A
    subscription that is ended and begun anew is checked again. So a book that was emptied for no other reason is not
    believed before that has been done.

    Connections and books come by different queues. A snapshot may thus be seen before the news that the feed is
    connected again, but not before the clearing of the book that comes with it.
    """

    __slots__ = (
        "_ask_at_ns",
        "_asked_ns",
        "_expects_clear",
        "_is_unchecked",
        "_resume_after_ns",
        "_resume_at_ns",
        "_state",
        "_wait_ns",
    )

    def __init__(self, resume_after_ns: int) -> None:
        self._resume_after_ns = resume_after_ns
        self._resume_at_ns = 0
        self._is_unchecked = False
        self._expects_clear = False
        self._asked_ns: int | None = None
        self._ask_at_ns = 0
        self._wait_ns = 0
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
        """Note that the book was emptied: at a new connection, as it was asked for, or as its checksum was wrong."""
        if self._expects_clear:
            self._expects_clear = False
        elif self._state is None:
            self._is_unchecked = True
        self._state = FeedState.AWAITING_SNAPSHOT

    def on_snapshot(self, ts_ns: int) -> None:
        """Note that the whole book was sent at `ts_ns`; one from before the feed was lost does not count."""
        if self._state is FeedState.AWAITING_SNAPSHOT and not self._is_unchecked:
            self._state = None
            self._resume_at_ns = ts_ns + self._resume_after_ns

    def has_to_be_asked(self, now_ns: int) -> bool:
        """Return whether the book is to be asked for anew now: it is unchecked, or nothing came of the last request."""
        if self._state is not FeedState.AWAITING_SNAPSHOT or now_ns < self._ask_at_ns:
            return False
        is_unanswered = self._expects_clear and now_ns - (self._asked_ns or 0) >= _UNANSWERED_NS
        return self._is_unchecked or is_unanswered

    def on_asked(self, now_ns: int) -> None:
        """Note that the book is asked for anew, and wait the longer with the next time the sooner it comes."""
        is_first = self._asked_ns is None or now_ns - self._asked_ns > 2 * _LONGEST_WAIT_NS
        self._wait_ns = _SHORTEST_WAIT_NS if is_first else min(2 * self._wait_ns, _LONGEST_WAIT_NS)
        self._asked_ns, self._ask_at_ns = now_ns, now_ns + self._wait_ns
        self._is_unchecked, self._expects_clear = False, True

    def reason(self, now_ns: int) -> str | None:
        """Return why the book may not be quoted on, or None where it may."""
        if self._state is not None:
            return self._state.value
        return FeedState.RECOVERING.value if now_ns < self._resume_at_ns else None


class RecentTrades:
    """The ids of a feed's last trades: one that comes again counts once."""

    __slots__ = ("_ids", "_order")

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._order: deque[str] = deque()

    def is_repeated(self, trade_id: str) -> bool:
        """Take in a trade's id and return whether it has come before."""
        if trade_id in self._ids:
            return True
        self._ids.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > _MOST_TRADE_IDS:
            self._ids.discard(self._order.popleft())
        return False


class TapeGuard:
    """Whether a symbol's trades still come over a live feed that is connected.

    A subscription to trades that was lost shows in nothing else: books and heartbeats go on. A market without trades
    looks the same; a venue that answers subscriptions with its last trades ends the doubt when it is asked anew.

    Parameters
    ----------
    stale_after_ns
        Longest time without a trade, nanoseconds; None never doubts.
    resume_after_ns
        How long quoting waits after the first trade: old ones that come again have to be over by then, nanoseconds.
    """

    __slots__ = ("_asked_ns", "_last_ns", "_resume_after_ns", "_resume_at_ns", "_stale_after_ns")

    def __init__(self, stale_after_ns: int | None, resume_after_ns: int) -> None:
        self._stale_after_ns = stale_after_ns
        self._resume_after_ns = resume_after_ns
        self._last_ns: int | None = None
        self._asked_ns: int | None = None
        self._resume_at_ns = 0

    @property
    def resume_at_ns(self) -> int:
        """When quoting may resume after the first trade."""
        return self._resume_at_ns

    def begin(self, now_ns: int) -> None:
        """Count from now on, where nothing is counted from yet."""
        if self._last_ns is None:
            self._last_ns = now_ns

    def on_connected(self, now_ns: int) -> None:
        """Count from now on: a new connection subscribes anew."""
        self._last_ns, self._asked_ns = now_ns, None

    def on_trade(self, ts_ns: int) -> None:
        """Note that a trade has come, of whatever age."""
        if self.is_stale(ts_ns):
            self._resume_at_ns = ts_ns + self._resume_after_ns
        self._last_ns, self._asked_ns = ts_ns, None

    def is_stale(self, now_ns: int) -> bool:
        """Return whether no trade has come for too long."""
        if self._last_ns is None or self._stale_after_ns is None:
            return False
        return now_ns - self._last_ns >= self._stale_after_ns

    def has_to_be_asked(self, now_ns: int) -> bool:
        """Return whether trades are to be asked for anew now."""
        if not self.is_stale(now_ns):
            return False
        wait_ns = min(self._stale_after_ns or 0, _LONGEST_WAIT_NS)
        return self._asked_ns is None or now_ns - self._asked_ns >= wait_ns

    def on_asked(self, now_ns: int) -> None:
        """Note that trades are asked for anew."""
        self._asked_ns = now_ns

    def reason(self, now_ns: int) -> str | None:
        """Return why there is to be no quote, or None where there may be."""
        return _STALE_TAPE if self.is_stale(now_ns) or now_ns < self._resume_at_ns else None
