"""All guards of one symbol: whether it may be quoted, and why not."""

from typing import Final

from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.feed import FeedData, FeedGuard, RecentTrades, TapeGuard
from mm_nautilus.risk.limits import BookGuard, DrawdownGuard, LineLimit, LogThrottle
from mm_nautilus.risk.loss_streak import LossStreak
from mm_nautilus.risk.refusals import RefusalGuard
from mm_nautilus.risk.state import Halt
from mm_nautilus.risk.venue_state import VenueState, venue_reason
from mm_nautilus.system.moments import SECOND_NS

_MOST_LINES: Final = 100
"""Most guard changes of a symbol logged per minute."""


class SymbolGuards:
    """The guards that can keep one symbol from being quoted.

    Attributes
    ----------
    book, drawdown, losses, refusals
        The guards of every run.
    feed, tape, recent_trades
        The guards of a live feed: its book, its trades, and repeated trade ids; None in a backtest.
    is_clock_settled
        Whether the wall clock agrees with the monotonic clock.
    venue
        The venue's current status of the pair.
    reported
        The pause last reported, None while quoting.
    lines, old_trades
        Limits on the log lines of guard changes, and of trades that are left out.
    """

    def __init__(self, params: SymbolParams) -> None:
        self._resume_after_ns = round(params.resume_after_seconds * SECOND_NS)
        self.book = BookGuard(round(params.stale_after_seconds * SECOND_NS), self._resume_after_ns)
        self.drawdown = DrawdownGuard(params.max_drawdown_pct)
        self.losses = LossStreak(params.max_consecutive_losses)
        self.refusals = RefusalGuard(
            params.max_refused_orders,
            window_ns=round(params.refused_orders_window_seconds * SECOND_NS),
            pause_ns=round(params.refused_orders_pause_seconds * SECOND_NS),
            most_pauses=params.max_refused_orders_pauses,
        )
        self.feed: FeedGuard | None = None
        self.tape: TapeGuard | None = None
        self.recent_trades: RecentTrades | None = None
        seconds = params.stale_tape_after_seconds
        self._stale_tape_after_ns = None if seconds is None else round(seconds * SECOND_NS)
        self.is_clock_settled = True
        self.venue = VenueState.ONLINE
        self._takes = params.entry_order == "taker"
        self.halt: Halt | None = None
        self.reported: NotQuoting | None = NotQuoting.NO_BOOK
        self._reported_ns: int | None = None
        self._max_trade_age_ns = round(params.max_trade_age_seconds * SECOND_NS)
        self.old_trades = LogThrottle(MINUTE_NS)
        self._backward_dates = LogThrottle(MINUTE_NS)
        self._newest_date_ns = 0
        self.lines = LineLimit(_MOST_LINES, MINUTE_NS)

    def watch_feed(self) -> None:
        """Add the guards of a live feed: connection, snapshots and trades."""
        self.feed = FeedGuard(self._resume_after_ns)
        self.recent_trades = RecentTrades()
        self.tape = TapeGuard(self._stale_tape_after_ns, self._resume_after_ns)

    @property
    def is_feed_trusted(self) -> bool:
        """Whether the feed is connected and the book complete; always true in a backtest."""
        return self.feed is None or self.feed.is_trusted

    def distrust_reason(self, now_ns: int) -> NotQuoting | None:
        """Return why a live feed's prices must not be traded on; None if they may, and in a backtest."""
        if self.feed is None:
            return None
        return self.book.defect(now_ns) if self.feed.is_trusted else self.feed.reason(now_ns)

    def reason(self, now_ns: int) -> NotQuoting | None:
        """Return why neither side may be quoted now, or None; halts are not included."""
        if self.feed is not None and not self.feed.is_trusted:
            return self.feed.reason(now_ns)
        if not self.is_clock_settled:
            return NotQuoting.CLOCK_STEP
        if self.venue is not VenueState.ONLINE:
            closed = venue_reason(self.venue, takes=self._takes)
            if closed is not None:
                return closed
        reason = self.book.reason(now_ns)
        if reason is not None:
            return reason
        if self.refusals.is_paused(now_ns):
            return NotQuoting.REFUSED_TOO_OFTEN
        tape = None if self.tape is None else self.tape.reason(now_ns)
        return tape or (None if self.feed is None else self.feed.reason(now_ns))

    def is_tape_stale(self, now_ns: int) -> bool:
        """Return whether a live feed has sent no trade for `stale_tape_after_seconds`."""
        return self.tape is not None and self.tape.is_stale(now_ns)

    def data_to_resubscribe(self, now_ns: int) -> list[FeedData]:
        """Return the data to resubscribe to now, and record the resubscription."""
        wanted: list[FeedData] = []
        if self.feed is None or self.tape is None:
            return wanted
        if self.feed.needs_resubscription(now_ns):
            self.feed.on_resubscribed(now_ns)
            wanted.append(FeedData.BOOK)
        if self.is_feed_trusted and self.tape.needs_resubscription(now_ns):
            self.tape.on_resubscribed(now_ns)
            wanted.append(FeedData.TRADES)
        return wanted

    def next_ns(self, now_ns: int, due_ns: int) -> int:
        """Return the next time at which a pause ends by itself, at most `due_ns`."""
        feed_ns = 0 if self.feed is None else self.feed.resume_at_ns
        tape_ns = 0 if self.tape is None else self.tape.resume_at_ns
        for at_ns in (self.book.resume_at_ns, self.refusals.resume_at_ns, feed_ns, tape_ns):
            if now_ns < at_ns < due_ns:
                due_ns = at_ns
        return due_ns

    def is_old(self, ts_event: int, ts_init: int) -> bool:
        """Return whether a trade was too old on arrival; times in nanoseconds since the epoch."""
        return ts_init - ts_event > self._max_trade_age_ns

    def backward_seconds(self, date_ns: int, now_ns: int) -> float | None:
        """Return how far a book event is dated before an earlier one, seconds; None if it is not or was logged already.

        Parameters
        ----------
        date_ns
            The venue's time of the event, nanoseconds since the epoch.
        now_ns
            Time of its arrival, nanoseconds since the epoch.
        """
        late_ns = self._newest_date_ns - date_ns
        if late_ns <= 0:
            self._newest_date_ns = date_ns
            return None
        return late_ns / SECOND_NS if self._backward_dates.begins(now_ns) else None

    def supersedes(self, halt: Halt) -> bool:
        """Return whether a halt replaces the current one: it is the first, a kill, or closes the position."""
        present = self.halt
        if present is None:
            return True
        is_kill = halt.reason is NotQuoting.KILL_SWITCH and present.reason is not NotQuoting.KILL_SWITCH
        return is_kill or (halt.flatten and not present.flatten)

    def rearm(self) -> None:
        """Clear the halt and restart drawdown, loss streak and refusals."""
        self.halt = None
        self.drawdown.rearm()
        self.losses.reset()
        self.refusals.reset()

    def pause_text(self, reason: NotQuoting | None, now_ns: int) -> str | None:
        """Return the text of a pause's begin, change of reason or end.

        Parameters
        ----------
        reason
            Why neither side is quoted now, None if it is over.

        Returns
        -------
        str or None
            None if nothing has changed. The wait at the end of a pause belongs to the pause.
        """
        before = self.reported
        if reason is before or (reason is NotQuoting.BOOK_RECOVERING and before is not None):
            return None
        self.reported = reason
        if reason is not None:
            self._reported_ns = now_ns if before is None else self._reported_ns
            return f"paused: {reason}"
        seconds = 0.0 if self._reported_ns is None else max(0, now_ns - self._reported_ns) / SECOND_NS
        since, self._reported_ns = self._reported_ns, None
        return (
            "open for quoting"
            if since is None
            else f"open for quoting again after {seconds:.1f} s ({before})"
        )
