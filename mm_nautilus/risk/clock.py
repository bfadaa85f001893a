"""Steps of the wall clock, seen against a clock that never steps."""

from dataclasses import dataclass

__all__ = ["ClockGuard", "ClockReading"]


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Three clocks read at one moment, in nanoseconds.

    Parameters
    ----------
    wall_ns
        The system's time of day.
    monotonic_ns
        Time since some moment in the past, which nobody sets.
    engine_ns
        The engine's time of day. It never runs backwards: where the wall clock is set back, it stands still until
        the wall clock has caught up.
    """

    wall_ns: int
    monotonic_ns: int
    engine_ns: int


class ClockGuard:
    """Notice that the wall clock has been set, and when times can be reckoned with again.

    A computer that slept counts as well: its monotonic clock slept too.

    Parameters
    ----------
    limit_ns
        Largest step that is still none, nanoseconds.
    settle_ns
        How long the clocks have to agree again after a step, nanoseconds.

    Attributes
    ----------
    step_ns
        Size of the last step, positive where the wall clock went forward.
    """

    __slots__ = ("_last", "_limit_ns", "_settle_ns", "_stepped_at_ns", "step_ns")

    def __init__(self, limit_ns: int, settle_ns: int) -> None:
        self._limit_ns = limit_ns
        self._settle_ns = settle_ns
        self._last: ClockReading | None = None
        self._stepped_at_ns: int | None = None
        self.step_ns = 0

    @property
    def is_settled(self) -> bool:
        """Whether the clocks agree."""
        return self._stepped_at_ns is None

    def look(self, reading: ClockReading) -> bool:
        """Compare the clocks with the last look and return whether the wall clock has stepped since."""
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
