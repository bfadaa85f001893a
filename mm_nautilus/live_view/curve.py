"""The account over time, in a bounded number of points, however long it lasts."""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from mm_nautilus.metrics.ledger import AccountSnapshot
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
        """Include another stretch's extremes."""
        if other.lowest[1] < self.lowest[1]:
            self.lowest = other.lowest
        if other.highest[1] > self.highest[1]:
            self.highest = other.highest


class Curve:
    """Keep the lowest and the highest point of stretches of equal length, which double when there are too many.

    So peaks and falls survive, however long a run lasts: there are at most twice as many points as stretches, and the
    first and the last one. A moment before the last stretch, because the clock was set back, counts to the last
    stretch.
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
        """Add a point: a moment in nanoseconds since the epoch, and its value."""
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
        """Return the points in the order of time: the first, the last, and each stretch's extremes."""
        if self._first is None or self._last is None:
            return []
        found = {self._first, self._last}
        for stretch in self._stretches:
            found |= {stretch.lowest, stretch.highest}
        return sorted(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as plain values."""
        return {"stretch_ns": self._stretch_ns, "points": self.points()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` described; raise a TypeError, KeyError or ValueError for anything else."""
        curve = cls()
        curve._stretch_ns = _whole(values["stretch_ns"], least=SECOND_NS)
        for ts_ns, value in values["points"]:
            curve.add(_whole(ts_ns, least=0), _finite(value))
        return curve


def _whole(value: object, *, least: int) -> int:
    if not isinstance(value, int) or value < least:
        raise ValueError(f"a whole number of at least {least} is needed, was {value!r}")
    return value


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"an amount must be a finite number, was {value!r}")
    return float(value)


class Curves:
    """The account's equity and trading PnL over time, in the report currency; any thread may write and read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._equity, self._trading_pnl = Curve(), Curve()

    def add(self, ts_ns: int, account: AccountSnapshot) -> None:
        """Add the account at a moment, nanoseconds since the epoch."""
        equity, trading_pnl = float(account.equity), float(account.trading_pnl)
        with self._lock:
            self._equity.add(ts_ns, equity)
            self._trading_pnl.add(ts_ns, trading_pnl)

    def points(self) -> tuple[list[Point], list[Point]]:
        """Return the points of equity and of trading PnL."""
        with self._lock:
            return self._equity.points(), self._trading_pnl.points()

    def to_dict(self) -> dict[str, Any]:
        """Return both curves as plain values."""
        with self._lock:
            return {"equity": self._equity.to_dict(), "trading_pnl": self._trading_pnl.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` described; raise a TypeError, KeyError or ValueError for anything else."""
        curves = cls()
        curves._equity = Curve.from_dict(values["equity"])
        curves._trading_pnl = Curve.from_dict(values["trading_pnl"])
        return curves
