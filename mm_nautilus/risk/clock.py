"""Detect steps of the wall clock by comparing it with a monotonic clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Three clocks read at one moment, in nanoseconds.

    Parameters
    ----------
    wall_ns
        The system's time of day.
    monotonic_ns
        A clock with an arbitrary origin that is never set.
    engine_ns
        The engine's time of day. It never runs backwards: after the wall clock is set back, it stands still until
        the wall clock has caught up.
    """

    wall_ns: int
    monotonic_ns: int
    engine_ns: int


class ClockGuard:
    """Detect that the wall clock was set, and when it has settled again.

    Suspend and resume of the computer count as a step, because the monotonic clock stops meanwhile.

    Parameters
    ----------
    limit_ns
        Largest change of the wall clock against the monotonic clock that does not count as a step, nanoseconds.
    settle_ns
        How long the clocks must agree after a step before they count as settled, nanoseconds.

    Attributes
    ----------
    step_ns
        Size of the last step, positive for forward.
    """

    def __init__(self, limit_ns: int, settle_ns: int) -> None:
        self._limit_ns = limit_ns
        self._settle_ns = settle_ns
        self._last: ClockReading | None = None
        self._stepped_at_ns: int | None = None
        self.step_ns = 0

    @property
    def is_settled(self) -> bool:
        """Whether the clocks have agreed for `settle_ns`."""
        return self._stepped_at_ns is None

    def look(self, reading: ClockReading) -> bool:
        """Compare the clocks with the last reading and return whether the wall clock has stepped since."""
        last, self._last = self._last, reading
        if last is None:
            return False
        step_ns = (reading.wall_ns - last.wall_ns) - (reading.monotonic_ns - last.monotonic_ns)
        has_stepped = abs(step_ns) > self._limit_ns
        is_standing = reading.engine_ns - reading.wall_ns > self._limit_ns
        if has_stepped:
            self.step_ns = step_ns
        if has_stepped or (is_standing and not self.is_settled):
            self._stepped_at_ns = reading.monotonic_ns
        elif not self.is_settled and reading.monotonic_ns - (self._stepped_at_ns or 0) >= self._settle_ns:
            self._stepped_at_ns = None
        return has_stepped
