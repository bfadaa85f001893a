"""A component's timer that pauses over gaps of the data, in which a backtest would only spend time and rows."""

from typing import Any, Final

__all__ = ["PausingTimer"]

_STINT: Final = 10
"""Ticks that are set at a time."""
_NEVER_NS: Final = 2**63 - 1


class PausingTimer:
    """A timer that can stop while nothing comes, and goes on as if it had ticked all along.

    The engine of a backtest works out all ticks of a timer up to the next market event before it calls for the first
    one, so that a timer cancelled in a gap still ticks through it. One that is set for a few ticks at a time does not.

    Parameters
    ----------
    clock
        The component's clock.
    name
        Of the timer.
    interval_ns
        Time between two ticks, nanoseconds.
    may_pause
        Whether it may; False is the engine's own timer, which a live run needs.
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
        """Return whether a time event is a tick of this timer, and set the ticks after it where they are due."""
        if event.name != self._name or self.is_paused:
            return False
        if self.may_pause and event.ts_event >= self._end_ns:
            self._set(event.ts_event)
        return True

    def next_ns(self, now_ns: int) -> int:
        """Return when it ticks next after a moment, nanoseconds since the epoch; never while it pauses."""
        if self.is_paused:
            return _NEVER_NS
        return now_ns - (now_ns - self._origin_ns) % self._interval_ns + self._interval_ns

    def pause(self) -> None:
        """Tick no more until `resume`."""
        self.is_paused = self.may_pause

    def resume(self) -> None:
        """Tick again, at the moments at which it would have ticked."""
        now_ns = self._clock.timestamp_ns()
        self.is_paused = False
        if self.may_pause and now_ns >= self._end_ns:
            self._set(now_ns - (now_ns - self._origin_ns) % self._interval_ns)
