"""Guards of a live feed: connected, each book complete since then, and trades still arriving."""

from enum import StrEnum
from typing import Final

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.system.moments import SECOND_NS

_SHORTEST_WAIT_NS: Final = SECOND_NS
_LONGEST_WAIT_NS: Final = 60 * SECOND_NS
"""Wait between two resubscriptions to the same data; it doubles from the shortest to the longest."""
_UNANSWERED_NS: Final = 10 * SECOND_NS
_MOST_TRADE_IDS: Final = 1_000
"""Number of trade ids kept; Kraken repeats its last 50 trades."""


class FeedData(StrEnum):
    """Kinds of data to which a live feed can be resubscribed."""

    BOOK = "book"
    TRADES = "trades"


class FeedGuard:
    """Trust a symbol's book only after a full snapshot since the last connection.

    After a disconnect or a cleared book, quoting resumes `resume_after_ns` after the next snapshot. By then the venue
    has sent whatever else it repeats on a new connection, such as old trades.

    Parameters
    ----------
    resume_after_ns
        Wait between snapshot and quoting, nanoseconds.

    Attributes
    ----------
    resume_at_ns
        Earliest time of quoting after the last snapshot, nanoseconds since the epoch.

    Notes
    -----
    After a wrong checksum the engine's Kraken client clears the book and resubscribes. After the third in a row it
    stops checking the pair's book and only logs that; unsubscribing and subscribing restarts the checks. So a book
    that was cleared without a disconnect or a request of ours is not trusted until it has been resubscribed.

    Connection events and book events arrive through different queues. A snapshot may be seen before the event that the
    feed is connected again, but not before the clear that precedes the snapshot.
    """

    def __init__(self, resume_after_ns: int) -> None:
        self._resume_after_ns = resume_after_ns
        self.resume_at_ns = 0
        self._is_unchecked = False
        self._expects_clear = False
        self._asked_ns: int | None = None
        self._ask_at_ns = 0
        self._wait_ns = 0
        self._state: NotQuoting | None = NotQuoting.AWAITING_SNAPSHOT

    @property
    def is_trusted(self) -> bool:
        """Whether the feed is connected and the book complete."""
        return self._state is None

    def on_disconnected(self) -> None:
        """Record that the feed disconnected."""
        self._state = NotQuoting.FEED_DISCONNECTED

    def on_connected(self) -> None:
        """Record that the feed is connected again."""
        if self._state is NotQuoting.FEED_DISCONNECTED:
            self._state = NotQuoting.AWAITING_SNAPSHOT

    def on_clear(self) -> None:
        """Record that the book was cleared: by a new connection, a resubscription or a wrong checksum."""
        if self._expects_clear:
            self._expects_clear = False
        elif self._state is None:
            self._is_unchecked = True
        self._state = NotQuoting.AWAITING_SNAPSHOT

    def on_snapshot(self, ts_ns: int) -> None:
        """Record a snapshot at `ts_ns`; one from before the disconnect does not count."""
        if self._state is NotQuoting.AWAITING_SNAPSHOT and not self._is_unchecked:
            self._state = None
            self.resume_at_ns = ts_ns + self._resume_after_ns

    def needs_resubscription(self, now_ns: int) -> bool:
        """Return whether to resubscribe now: the book is unchecked, or the last request got no answer."""
        if self._state is not NotQuoting.AWAITING_SNAPSHOT or now_ns < self._ask_at_ns:
            return False
        is_unanswered = self._expects_clear and now_ns - (self._asked_ns or 0) >= _UNANSWERED_NS
        return self._is_unchecked or is_unanswered

    def on_resubscribed(self, now_ns: int) -> None:
        """Record a resubscription; the wait before the next one doubles if this one came soon after the last."""
        is_first = self._asked_ns is None or now_ns - self._asked_ns > 2 * _LONGEST_WAIT_NS
        self._wait_ns = _SHORTEST_WAIT_NS if is_first else min(2 * self._wait_ns, _LONGEST_WAIT_NS)
        self._asked_ns, self._ask_at_ns = now_ns, now_ns + self._wait_ns
        self._is_unchecked, self._expects_clear = False, True

    def reason(self, now_ns: int) -> NotQuoting | None:
        """Return why the book must not be quoted on, or None."""
        return self._state or (NotQuoting.BOOK_RECOVERING if now_ns < self.resume_at_ns else None)


class RecentTrades:
    """The ids of a feed's last trades, to find repeated ones."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def is_repeated(self, trade_id: str) -> bool:
        """Store a trade's id and return whether it was known already."""
        if trade_id in self._ids:
            return True
        self._ids[trade_id] = None
        if len(self._ids) > _MOST_TRADE_IDS:
            del self._ids[next(iter(self._ids))]
        return False


class TapeGuard:
    """Detect that a connected live feed no longer sends a symbol's trades.

    Only missing trades reveal a lost subscription, because books and heartbeats go on. A market without trades looks
    the same; a venue that answers a subscription with its last trades resolves this when it is resubscribed.

    Parameters
    ----------
    stale_after_ns
        Longest time without a trade, nanoseconds; None disables the guard.
    resume_after_ns
        Wait between the first trade and quoting, nanoseconds, in which the venue repeats old trades.
    """

    def __init__(self, stale_after_ns: int | None, resume_after_ns: int) -> None:
        self._stale_after_ns = stale_after_ns
        self._resume_after_ns = resume_after_ns
        self._last_ns: int | None = None
        self._asked_ns: int | None = None
        self.resume_at_ns = 0

    def begin(self, now_ns: int) -> None:
        """Start the time without a trade now, unless it runs already."""
        if self._last_ns is None:
            self._last_ns = now_ns

    def on_connected(self, now_ns: int) -> None:
        """Restart the time without a trade: a new connection subscribes again."""
        self._last_ns, self._asked_ns = now_ns, None

    def on_trade(self, ts_ns: int) -> None:
        """Record that a trade of any age arrived."""
        if self.is_stale(ts_ns):
            self.resume_at_ns = ts_ns + self._resume_after_ns
        self._last_ns, self._asked_ns = ts_ns, None

    def is_stale(self, now_ns: int) -> bool:
        """Return whether no trade has arrived for `stale_after_ns`."""
        if self._last_ns is None or self._stale_after_ns is None:
            return False
        return now_ns - self._last_ns >= self._stale_after_ns

    def needs_resubscription(self, now_ns: int) -> bool:
        """Return whether to resubscribe to trades now."""
        if not self.is_stale(now_ns):
            return False
        wait_ns = min(self._stale_after_ns or 0, _LONGEST_WAIT_NS)
        return self._asked_ns is None or now_ns - self._asked_ns >= wait_ns

    def on_resubscribed(self, now_ns: int) -> None:
        """Record a resubscription to trades."""
        self._asked_ns = now_ns

    def reason(self, now_ns: int) -> NotQuoting | None:
        """Return why the symbol must not be quoted, or None."""
        return NotQuoting.STALE_TAPE if self.is_stale(now_ns) or now_ns < self.resume_at_ns else None
