"""A timer that pauses in gaps of a backtest's data, where it would cost time and write rows for nothing."""

from typing import Any, Final

_STINT: Final = 10
"""Number of timer ticks scheduled at a time."""
_NEVER_NS: Final = 2**63 - 1


class PausingTimer:
    """A timer that can pause and resume without shifting the times of its ticks.

    The backtest engine computes all ticks up to the next market event before it calls the first one, so a timer
    that is cancelled in a gap still ticks through it. This timer is therefore scheduled a few ticks at a time.

    Parameters
    ----------
    may_pause
        Whether `pause` is allowed; False uses the engine's repeating timer, as a live run needs.
    """

    def __init__(self, clock: Any, name: str, interval_ns: int, *, may_pause: bool) -> None:
        self._clock, self._name, self._interval_ns, self.may_pause = clock, name, interval_ns, may_pause
        self.is_paused = False
        self._origin_ns: int = clock.timestamp_ns()
        self._end_ns = self._origin_ns
        if may_pause:
            self._set(self._origin_ns)
        else:
            clock.set_timer_ns(name, interval_ns)

    def _set(self, start_ns: int) -> None:
        self._end_ns = start_ns + _STINT * self._interval_ns
        self._clock.set_timer_ns(
            self._name, self._interval_ns, start_time_ns=start_ns, stop_time_ns=self._end_ns
        )

    def ticks(self, event: Any) -> bool:
        """Return whether a time event is a tick of this timer; schedule further ticks after the last one."""
        if event.name != self._name or self.is_paused:
            return False
        if self.may_pause and event.ts_event >= self._end_ns:
            self._set(event.ts_event)
        return True

    def next_ns(self, now_ns: int) -> int:
        """Return the first tick after `now_ns`, nanoseconds since the epoch; `_NEVER_NS` while paused."""
        if self.is_paused:
            return _NEVER_NS
        return now_ns - (now_ns - self._origin_ns) % self._interval_ns + self._interval_ns

    def pause(self) -> None:
        """Stop ticking until `resume`."""
        self.is_paused = self.may_pause

    def resume(self) -> None:
        """Tick again, at the same times as without the pause."""
        now_ns = self._clock.timestamp_ns()
        self.is_paused = False
        if self.may_pause and now_ns >= self._end_ns:
            self._set(now_ns - (now_ns - self._origin_ns) % self._interval_ns)
