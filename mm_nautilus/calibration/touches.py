"""The touch over time: best prices and their sizes after every change, and the spread between them."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.figures import SpreadFigures
from mm_nautilus.market.rows import Ints

type Floats = NDArray[np.float64]

_END_OF_TIME_NS: Final = np.iinfo(np.int64).max
_BPS: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class TouchSeries:
    """The touch after every change of its prices or sizes, one row a change, both sides present.

    A ValueError says that columns differ in length or are empty, times go backwards or beyond the end, a bid is not
    below its ask, or gaps overlap, go backwards or leave the window.
    """

    ts_ns: Ints
    """When the touch became so, nanoseconds since the epoch; ascending."""
    bid_ticks: Ints
    ask_ticks: Ints
    """Best prices in ticks, the bid below the ask."""
    bid_lots: Ints
    ask_lots: Ints
    """Sizes at these prices in lots."""
    end_ns: int
    """End of the window, nanoseconds since the epoch: the last row lasted until then."""
    gaps: Ints = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    """When nothing of the book is known, a row of begin and end each, nanoseconds since the epoch; ascending. What lies
    between two gaps is one stretch."""

    def __post_init__(self) -> None:
        columns = (self.ts_ns, self.bid_ticks, self.ask_ticks, self.bid_lots, self.ask_lots)
        lengths = [len(column) for column in columns]
        if len(set(lengths)) > 1 or not lengths[0]:
            raise ValueError(f"the columns of touches must be equally long and not empty, was {lengths}")
        if (self.ts_ns[1:] < self.ts_ns[:-1]).any():
            raise ValueError("ts_ns of touches must ascend")
        if self.end_ns < self.ts_ns[-1]:
            raise ValueError(f"end_ns must be at least the last touch's {self.ts_ns[-1]}, was {self.end_ns}")
        if (self.bid_ticks >= self.ask_ticks).any():
            raise ValueError("bid_ticks of touches must be below ask_ticks")
        borders = self.stretches.ravel()
        if (borders[1:] < borders[:-1]).any():
            raise ValueError(f"gaps of touches must ascend within the window, was {self.gaps.tolist()}")

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def mid_ticks(self) -> Floats:
        """The mid of every row, ticks."""
        mids: Floats = (self.bid_ticks + self.ask_ticks) / 2.0
        return mids

    @property
    def seconds(self) -> float:
        """Time recorded from the first row to the window's end, gaps left out, seconds."""
        return float(self.recorded_ns(np.array([self.end_ns]))[0]) / 1e9

    def recorded_ns(self, ts_ns: Ints) -> Ints:
        """Return the time recorded from the first row up to each moment, nanoseconds: a clock that rests in gaps."""
        begins, ends = self.gaps.T
        passed = np.searchsorted(ends, ts_ns, side="right")
        lost = np.append(0, np.cumsum(ends - begins))
        known_ns = np.minimum(ts_ns, np.append(begins, _END_OF_TIME_NS)[passed])
        recorded: Ints = known_ns - lost[passed] - self.ts_ns[0]
        return recorded

    @property
    def row_seconds(self) -> Floats:
        """How long every row was known to be in force, seconds."""
        lasted: Floats = np.diff(self.recorded_ns(np.append(self.ts_ns, self.end_ns))) / 1e9
        return lasted

    @property
    def stretches(self) -> Ints:
        """First and last moment of every stretch, a row each, nanoseconds since the epoch."""
        return np.concatenate([self.ts_ns[:1], self.gaps.ravel(), [self.end_ns]]).reshape(-1, 2)

    def stretch_at(self, ts_ns: Ints, *, before: bool = False) -> Ints:
        """Return the number of the stretch that each moment (nanoseconds) lies in, from 0; -1 in a gap.

        With `before`, a stretch that starts at the moment itself has not yet begun.
        """
        begins, ends = self.gaps.T
        passed = np.searchsorted(ends, ts_ns, side="left" if before else "right")
        return np.where(ts_ns > np.append(begins, _END_OF_TIME_NS)[passed], -1, passed)

    @property
    def is_step(self) -> NDArray[np.bool_]:
        """Whether each row but the first was seen to follow the one before, with no gap between them."""
        stretch = self.stretch_at(self.ts_ns)
        steps: NDArray[np.bool_] = stretch[1:] == stretch[:-1]
        return steps

    def row_at(self, ts_ns: Ints, *, before: bool = False) -> Ints:
        """Return the index of the row in force at each moment (nanoseconds), -1 ahead of the first.

        With `before`, a row that starts at the moment itself is not yet in force.
        """
        return np.searchsorted(self.ts_ns, ts_ns, side="left" if before else "right") - 1

    def mid_at(self, ts_ns: Ints, *, before: bool = False) -> Floats:
        """Return the mid in force at each moment, ticks, by `row_at`; NaN ahead of the first row."""
        row = self.row_at(ts_ns, before=before)
        return np.where(row < 0, np.nan, self.mid_ticks[row])


def spread_figures(
    touches: TouchSeries, price_increment: float, *, market_orders: int, trades: int
) -> SpreadFigures:
    """Return mid, tick and spread as they were over time, with the counts given.

    Each touch counts for as long as it was known to be in force; the median is the smallest spread that at least half
    of the time did not exceed. The counts are of the same span of time. A ValueError says that the price increment,
    quote currency, is not positive, or the series covers no time.
    """
    if not price_increment > 0:
        raise ValueError(f"price_increment must be positive, was {price_increment}")
    seconds = touches.row_seconds
    if not seconds.sum() > 0:
        raise ValueError("touches must cover some time, was one moment")
    mid_ticks = touches.mid_ticks
    spread_ticks = (touches.ask_ticks - touches.bid_ticks).astype(np.float64)
    mean_mid_ticks = float(np.average(mid_ticks, weights=seconds))
    return SpreadFigures(
        mid_price=mean_mid_ticks * price_increment,
        tick_bps=_BPS / mean_mid_ticks,
        median_spread_bps=_weighted_median(_BPS * spread_ticks / mid_ticks, seconds),
        median_spread_ticks=_weighted_median(spread_ticks, seconds),
        market_orders=market_orders,
        trades=trades,
    )


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
