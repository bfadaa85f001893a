"""The touch over time: best prices and their sizes after every change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.core.marketdata import Ints

__all__ = ["TouchSeries"]

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TouchSeries:
    """The touch after every change of its prices or sizes, one row a change, both sides present.

    Parameters
    ----------
    ts_ns
        When the touch became so, nanoseconds since the epoch; ascending.
    bid_ticks, ask_ticks
        Best prices in ticks, the bid below the ask.
    bid_lots, ask_lots
        Sizes at these prices in lots.
    end_ns
        End of the window, nanoseconds since the epoch: the last row lasted until then.

    Raises
    ------
    ValueError
        If the columns differ in length or are empty, times go backwards or beyond the end, or a bid is not
        below its ask.
    """

    ts_ns: Ints
    bid_ticks: Ints
    ask_ticks: Ints
    bid_lots: Ints
    ask_lots: Ints
    end_ns: int

    def __post_init__(self) -> None:
        lengths = [
            len(column)
            for column in (self.ts_ns, self.bid_ticks, self.ask_ticks, self.bid_lots, self.ask_lots)
        ]
        if len(set(lengths)) > 1 or not lengths[0]:
            raise ValueError(f"the columns of touches must be equally long and not empty, was {lengths}")
        if (self.ts_ns[1:] < self.ts_ns[:-1]).any():
            raise ValueError("ts_ns of touches must ascend")
        if self.end_ns < self.ts_ns[-1]:
            raise ValueError(f"end_ns must be at least the last touch's {self.ts_ns[-1]}, was {self.end_ns}")
        if (self.bid_ticks >= self.ask_ticks).any():
            raise ValueError("bid_ticks of touches must be below ask_ticks")

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def mid_ticks(self) -> Floats:
        """The mid of every row, ticks."""
        mids: Floats = (self.bid_ticks + self.ask_ticks) / 2.0
        return mids

    @property
    def seconds(self) -> float:
        """Length of the window from the first row to its end, seconds."""
        return (self.end_ns - int(self.ts_ns[0])) / 1e9

    def row_at(self, ts_ns: Ints, *, before: bool = False) -> Ints:
        """Return the index of the row in force at each moment, -1 ahead of the first.

        Parameters
        ----------
        ts_ns
            Moments, nanoseconds since the epoch, in any order.
        before
            Whether a row that starts at the moment itself is not yet in force.
        """
        return np.searchsorted(self.ts_ns, ts_ns, side="left" if before else "right") - 1

    def mid_at(self, ts_ns: Ints, *, before: bool = False) -> Floats:
        """Return the mid in force at each moment, ticks; NaN ahead of the first row.

        Parameters
        ----------
        ts_ns, before
            As for `row_at`.
        """
        row = self.row_at(ts_ns, before=before)
        return np.where(row < 0, np.nan, self.mid_ticks[row])
