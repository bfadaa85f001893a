"""The guards of one symbol, taken together."""

from typing import Final

from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.feed import FeedData, FeedGuard, RecentTrades, TapeGuard
from mm_nautilus.risk.limits import SECOND_NS, BookGuard, DrawdownGuard, LineLimit, LogThrottle
from mm_nautilus.risk.loss_streak import LossStreak
from mm_nautilus.risk.refusals import RefusalGuard, RefusalLimits
from mm_nautilus.risk.state import Halt
from mm_nautilus.risk.venue_state import VenueState, venue_reason

__all__ = ["SymbolGuards"]

_MOST_LINES: Final = 100
"""Changes of a symbol's guards that are logged in a minute; a book that flaps makes several an event."""


class SymbolGuards:
    """What may keep one symbol from being quoted, whatever its prices say.

    Parameters
    ----------
    params
        The symbol's merged parameters.

    Attributes
    ----------
    book, drawdown, losses, refusals
        The guards that every run has.
    feed, tape, recent_trades
        The guards of a live feed's books, of its trades and of their ids; None where data comes from a catalog.
    is_clock_settled
        Whether times can be reckoned with.
    venue
        What a live venue takes of the pair at present.
    halt
        Why the symbol is halted, or None.
    reported
        The reason for a pause that was reported last, None while there is none.
    """

    __slots__ = (
        "_backward_dates",
        "_lines",
        "_max_trade_age_ns",
        "_newest_date_ns",
        "_old_trades",
        "_reported_ns",
        "_resume_after_ns",
        "_stale_tape_after_ns",
        "_takes",
        "book",
        "drawdown",
        "feed",
        "halt",
        "is_clock_settled",
        "losses",
        "recent_trades",
        "refusals",
        "reported",
        "tape",
        "venue",
    )

    def __init__(self, params: SymbolParams) -> None:
        self._resume_after_ns = round(params.resume_after_seconds * SECOND_NS)
        self.book = BookGuard(round(params.stale_after_seconds * SECOND_NS), self._resume_after_ns)
        self.drawdown = DrawdownGuard(params.max_drawdown_pct)
        self.losses = LossStreak(params.max_consecutive_losses)
        self.refusals = RefusalGuard(
            RefusalLimits(
                most=params.max_refused_orders,
                window_ns=round(params.refused_orders_window_seconds * SECOND_NS),
                pause_ns=round(params.refused_orders_pause_seconds * SECOND_NS),
                most_pauses=params.max_refused_orders_pauses,
            )
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
        self._old_trades = LogThrottle(MINUTE_NS)
        self._backward_dates = LogThrottle(MINUTE_NS)
        self._newest_date_ns = 0
        self._lines = LineLimit(_MOST_LINES, MINUTE_NS)

    def watch_feed(self) -> None:
        """Believe the book only while the feed is connected and has sent it whole, and doubt a feed without trades."""
        self.feed = FeedGuard(self._resume_after_ns)
        self.recent_trades = RecentTrades()
        self.tape = TapeGuard(self._stale_tape_after_ns, self._resume_after_ns)

    @property
    def is_feed_believed(self) -> bool:
        """Whether the book is what the venue has now, as far as connections show."""
        return self.feed is None or self.feed.is_believed

    def doubt(self, now_ns: int) -> NotQuoting | None:
        """Return why nobody should trade on what a live feed sent last; None where one may, or from a catalog."""
        if self.feed is None:
            return None
        if not self.feed.is_believed:
            return self._feed_reason(now_ns)
        reason = self.book.defect(now_ns)
        return None if reason is None else NotQuoting(reason)

    def reason(self, now_ns: int) -> NotQuoting | None:
        """Return why neither side is to be quoted now, or None; a halt is not among the reasons."""
        if not self.is_feed_believed:
            return self._feed_reason(now_ns)
        if not self.is_clock_settled:
            return NotQuoting.CLOCK_STEP
        if self.venue is not VenueState.ONLINE:
            closed = venue_reason(self.venue, takes=self._takes)
            if closed is not None:
                return closed
        reason = self.book.reason(now_ns)
        if reason is not None:
            return NotQuoting(reason)
        if self.refusals.is_paused(now_ns):
            return NotQuoting.REFUSED_TOO_OFTEN
        tape = None if self.tape is None else self.tape.reason(now_ns)
        return self._feed_reason(now_ns) if tape is None else NotQuoting(tape)

    def is_tape_stale(self, now_ns: int) -> bool:
        """Return whether no trade has come over a live feed for too long."""
        return self.tape is not None and self.tape.is_stale(now_ns)

    def to_ask(self, now_ns: int) -> list[FeedData]:
        """Return what a live feed is to be asked for anew, and take it as asked for."""
        wanted: list[FeedData] = []
        if self.feed is None or self.tape is None:
            return wanted
        if self.feed.has_to_be_asked(now_ns):
            self.feed.on_asked(now_ns)
            wanted.append(FeedData.BOOK)
        if self.is_feed_believed and self.tape.has_to_be_asked(now_ns):
            self.tape.on_asked(now_ns)
            wanted.append(FeedData.TRADES)
        return wanted

    def _feed_reason(self, now_ns: int) -> NotQuoting | None:
        reason = None if self.feed is None else self.feed.reason(now_ns)
        return None if reason is None else NotQuoting(reason)

    def next_ns(self, now_ns: int, due_ns: int) -> int:
        """Return when the next pause ends by itself, `due_ns` where none does before."""
        feed_ns = 0 if self.feed is None else self.feed.resume_at_ns
        tape_ns = 0 if self.tape is None else self.tape.resume_at_ns
        for at_ns in (self.book.resume_at_ns, self.refusals.resume_at_ns, feed_ns, tape_ns):
            if now_ns < at_ns < due_ns:
                due_ns = at_ns
        return due_ns

    def is_old(self, ts_event: int, ts_init: int) -> bool:
        """Return whether a trade was too old when it came; times in nanoseconds since the epoch."""
        return ts_init - ts_event > self._max_trade_age_ns

    def is_repeated(self, trade_id: str) -> bool:
        """Return whether a live feed's trade has come before."""
        return self.recent_trades is not None and self.recent_trades.is_repeated(trade_id)

    def backward_seconds(self, date_ns: int, now_ns: int) -> float | None:
        """Return by how much a book event is dated before an earlier one, where that is to be logged.

        Parameters
        ----------
        date_ns
            The venue's time of the event, nanoseconds since the epoch.
        now_ns
            When it came.
        """
        late_ns = self._newest_date_ns - date_ns
        if late_ns <= 0:
            self._newest_date_ns = date_ns
            return None
        return late_ns / SECOND_NS if self._backward_dates.begins(now_ns) else None

    def line(self, text: str, now_ns: int) -> str | None:
        """Return what to log of a guard's change, None where there have been too many in a minute."""
        return self._lines.take(text, now_ns)

    def reports_old_trade(self, now_ns: int) -> bool:
        """Return whether a trade that is left out is the first one for a minute, which is the one to be reported."""
        return self._old_trades.begins(now_ns)

    def supersedes(self, halt: Halt) -> bool:
        """Return whether a halt says more than the present one: it is the first, a kill, or closes the position."""
        present = self.halt
        if present is None:
            return True
        is_kill = halt.reason is NotQuoting.KILL_SWITCH and present.reason is not NotQuoting.KILL_SWITCH
        return is_kill or (halt.flatten and not present.flatten)

    def rearm(self) -> None:
        """Clear the halt and begin to measure anew."""
        self.halt = None
        self.drawdown.rearm()
        self.losses.reset()
        self.refusals.reset()

    def pause_text(self, reason: NotQuoting | None, now_ns: int) -> str | None:
        """Return what there is to report of a pause: its beginning, another reason for it, its end.

        Parameters
        ----------
        reason
            Why neither side is quoted now, None where that is over.
        now_ns
            The time, nanoseconds since the epoch.

        Returns
        -------
        str or None
            None where this was reported already. The wait at the end of a pause is a part of it.
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
