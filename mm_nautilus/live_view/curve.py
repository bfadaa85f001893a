"""A line over time that stays short however long it goes on."""

from dataclasses import dataclass
from typing import Final

from mm_nautilus.system.moments import SECOND_NS

type Point = tuple[int, float]
"""Moment in nanoseconds since the epoch, and value."""

_MOST_STRETCHES: Final = 240


@dataclass(slots=True)
class _Stretch:
    """The extremes of a stretch of time."""

    number: int
    lowest: Point
    highest: Point

    def take(self, other: "_Stretch") -> None:
        """Take another stretch's extremes in."""
        if other.lowest[1] < self.lowest[1]:
            self.lowest = other.lowest
        if other.highest[1] > self.highest[1]:
            self.highest = other.highest


class Curve:
    """Keep the lowest and the highest point of stretches of equal length, which double when there are too many.

    So peaks and falls survive, however long a run lasts. A moment before the last stretch, because the clock was set
    back, counts to the last stretch.

    Parameters
    ----------
    most_stretches
        How many there may be; there are at most twice as many points, and the first and the last one.
    """

    def __init__(self, most_stretches: int = _MOST_STRETCHES) -> None:
        if most_stretches < 2:
            raise ValueError(f"most_stretches must be at least 2, was {most_stretches}")
        self._most_stretches = most_stretches
        self._stretch_ns = SECOND_NS
        self._stretches: list[_Stretch] = []
        self._first: Point | None = None
        self._last: Point | None = None

    def add(self, ts_ns: int, value: float) -> None:
        """Add a point.

        Parameters
        ----------
        ts_ns
            Its moment, nanoseconds since the epoch.
        value
            Its value.
        """
        point = (ts_ns, value)
        self._first, self._last = self._first or point, point
        self._append(_Stretch(ts_ns // self._stretch_ns, point, point))
        while len(self._stretches) > self._most_stretches:
            self._double()

    def _append(self, stretch: _Stretch) -> None:
        if self._stretches and stretch.number <= self._stretches[-1].number:
            self._stretches[-1].take(stretch)
        else:
            self._stretches.append(stretch)

    def _double(self) -> None:
        stretches, self._stretches = self._stretches, []
        self._stretch_ns *= 2
        for stretch in stretches:
            stretch.number //= 2
            self._append(stretch)

    def points(self) -> list[Point]:
        """Return the points, in no order and some twice: the first, the last, and each stretch's extremes."""
        if self._first is None or self._last is None:
            return []
        found = [self._first, self._last]
        for stretch in self._stretches:
            found += (stretch.lowest, stretch.highest)
        return found
