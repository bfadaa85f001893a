"""Guards of book, drawdown and order rate, and limits on log lines."""

from collections import deque
from dataclasses import dataclass

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.system.moments import GAP_SECONDS, SECOND_NS


def touch_defect(best_bid: float | None, best_ask: float | None) -> NotQuoting | None:
    """Return what is wrong with a book of this touch, None if valid; a locked book (bid = ask) counts as crossed."""
    if best_bid is None and best_ask is None:
        return NotQuoting.NO_BOOK
    if best_bid is None or best_ask is None:
        return NotQuoting.ONE_SIDED_BOOK
    return NotQuoting.CROSSED_BOOK if best_bid >= best_ask else None


class BookGuard:
    """Decide whether a symbol's book may be quoted on.

    After a defect or a silence the book must stay valid for `resume_after_ns` before quoting resumes.

    Parameters
    ----------
    stale_after_ns
        Silence of the feed after which the book is stale, nanoseconds.
    resume_after_ns
        How long the book must be valid again after a defect, nanoseconds.

    Attributes
    ----------
    touch_defect
        What was wrong with the book at its last event, None if it was valid.
    last_event_ns
        Time of the book's last event, nanoseconds since the epoch; None before the first.
    resume_at_ns
        Earliest time of quoting if the book stays valid, nanoseconds since the epoch.
    """

    def __init__(self, stale_after_ns: int, resume_after_ns: int) -> None:
        self.stale_after_ns = stale_after_ns
        self._gap_ns = max(stale_after_ns, round(GAP_SECONDS * SECOND_NS))
        self._resume_after_ns = resume_after_ns
        self.touch_defect: NotQuoting | None = NotQuoting.NO_BOOK
        self.last_event_ns: int | None = None
        self._has_started = False
        self.resume_at_ns = 0

    def on_event(self, ts_ns: int, defect: NotQuoting | None) -> None:
        """Set the `touch_defect` of the book after an event at `ts_ns`."""
        was_defective = self.touch_defect is not None or self.is_stale(ts_ns)
        self.touch_defect = defect
        self.last_event_ns = ts_ns
        if defect is None and was_defective and self._has_started:
            self.resume_at_ns = ts_ns + self._resume_after_ns
        # The first book is quoted on at once; one that was cleared later has to recover.
        self._has_started = self._has_started or defect is not NotQuoting.NO_BOOK

    def age_seconds(self, now_ns: int) -> float | None:
        """Return the time since the feed's last event, seconds; None before the first."""
        return None if self.last_event_ns is None else max(0, now_ns - self.last_event_ns) / SECOND_NS

    def recover(self, now_ns: int) -> None:
        """Start a recovery as after a defect, because earlier times are no longer valid."""
        self.resume_at_ns = max(self.resume_at_ns, now_ns + self._resume_after_ns)

    def is_stale(self, now_ns: int) -> bool:
        """Return whether the feed has been silent for longer than `stale_after_ns`."""
        return self.last_event_ns is not None and now_ns - self.last_event_ns >= self.stale_after_ns

    def is_gap(self, now_ns: int) -> bool:
        """Return whether the silence up to now is a gap: longer than `GAP_SECONDS`, on a stale book."""
        return self.last_event_ns is not None and now_ns - self.last_event_ns > self._gap_ns

    def defect(self, now_ns: int) -> NotQuoting | None:
        """Return what is wrong with the book now, or None."""
        return self.touch_defect or (NotQuoting.STALE_BOOK if self.is_stale(now_ns) else None)

    def reason(self, now_ns: int) -> NotQuoting | None:
        """Return why the book must not be quoted on, or None."""
        return self.defect(now_ns) or (NotQuoting.BOOK_RECOVERING if now_ns < self.resume_at_ns else None)


@dataclass(slots=True)
class DrawdownGuard:
    """Fire when total PnL has fallen too far from its peak.

    Parameters
    ----------
    limit_pct
        Largest drawdown as % of the capital; None never fires.
    peak
        Highest PnL so far, starting at 0; None starts at the next one.
    halted
        Whether the guard has fired since it was last armed.
    """

    limit_pct: float | None
    peak: float | None = 0.0
    halted: bool = False
    drawdown_pct: float = 0.0
    max_drawdown_pct: float = 0.0

    def update(self, pnl: float, capital: float) -> bool:
        """Update the total PnL and return whether the guard fires now.

        Parameters
        ----------
        pnl
            Total PnL since the start, net of fees.
        capital
            Amount of which the limit is a share, in the currency of `pnl`; with 0 the guard never fires.
        """
        self.peak = pnl if self.peak is None else max(self.peak, pnl)
        if capital <= 0:
            return False
        self.drawdown_pct = 100.0 * (self.peak - pnl) / capital
        self.max_drawdown_pct = max(self.max_drawdown_pct, self.drawdown_pct)
        fires = self.limit_pct is not None and not self.halted and self.drawdown_pct >= self.limit_pct
        self.halted = self.halted or fires
        return fires

    def rearm(self) -> None:
        """Arm the guard again, with the next PnL as the peak."""
        self.peak, self.halted = None, False


class ActionBudget:
    """Cap on order actions in any one second.

    Raises
    ------
    ValueError
        If `max_per_second` is less than 1.
    """

    def __init__(self, max_per_second: int) -> None:
        if max_per_second < 1:
            raise ValueError(f"max_per_second must be at least 1, was {max_per_second}")
        self._max_per_second = max_per_second
        self._times_ns: deque[int] = deque(maxlen=max_per_second)

    def allows(self, now_ns: int) -> bool:
        """Return whether one more action is within the cap."""
        return len(self._times_ns) < self._max_per_second or now_ns - self._times_ns[0] >= SECOND_NS

    def spend(self, now_ns: int) -> None:
        """Count one action."""
        self._times_ns.append(now_ns)

    @property
    def next_ns(self) -> int:
        """Time at which the oldest counted action leaves the window, nanoseconds since the epoch."""
        return self._times_ns[0] + SECOND_NS if self._times_ns else 0


class LineLimit:
    """Limit the log lines of one kind per window, and count those left out."""

    def __init__(self, most: int, window_ns: int) -> None:
        self._most = most
        self._window_ns = window_ns
        self._since_ns = 0
        self._logged = self._left_out = 0

    def take(self, text: str, now_ns: int) -> str | None:
        """Return the line to log, with the number of lines left out before it; None if this one is left out."""
        if not 0 <= now_ns - self._since_ns < self._window_ns:
            self._since_ns, self._logged = now_ns, 0
        if self._logged >= self._most:
            self._left_out += 1
            return None
        self._logged += 1
        left_out, self._left_out = self._left_out, 0
        return text if left_out == 0 else f"{text} (earlier changes that were not logged: {left_out:,})"


class LogThrottle:
    """Find the first of similar events in quick succession, so that only this one is logged.

    Parameters
    ----------
    quiet_ns
        Time without an event after which the next one counts as a first one again, nanoseconds.
    """

    def __init__(self, quiet_ns: int) -> None:
        self._quiet_ns = quiet_ns
        self._last_ns: int | None = None

    def begins(self, now_ns: int) -> bool:
        """Record an event and return whether it is a first one."""
        begins = self._last_ns is None or now_ns - self._last_ns >= self._quiet_ns
        self._last_ns = now_ns
        return begins
