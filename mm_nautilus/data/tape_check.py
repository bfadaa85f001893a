"""Whether trades happened at prices the book knew, compared while both stream by."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_nautilus.data.book_tops import GroupTops
from mm_nautilus.data.catalog_files import CatalogFile, read_batches
from mm_nautilus.data.check_report import OutsideTrades
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Ints, TradeBlock

_TOLERANCE_TICKS = 2
_EDGE_NS = 1_000_000_000
"""How far from the only state beside it a trade is still compared."""
_PACE_SHARE = 0.95
_BINS_PER_OCTAVE = 8


def book_pace(files: Sequence[CatalogFile], gap: float) -> int:
    """Return how long a book is silent at most at 95 % of all moments, silences beyond `gap` left aside, nanoseconds.

    Only times of the files, which are in time order, are read, with flat memory. Reading ends at the first damage,
    which is reported elsewhere.
    """
    edges = np.append(0, np.exp2(np.arange(0, 64 * _BINS_PER_OCTAVE) / _BINS_PER_OCTAVE))
    lengths = np.zeros(len(edges) + 1)
    last: int | None = None
    with suppress(DataError):
        for file in files:
            for batch in read_batches(file.path, ["ts_init"]):
                times = batch.column(0).cast(pa.int64()).to_numpy()
                steps = np.diff(times, prepend=times[:1] if last is None else last)
                steps = steps[(steps > 0) & (steps <= gap)]
                lengths += np.bincount(np.searchsorted(edges, steps), steps, len(lengths))
                last = int(times[-1])
    reached = np.cumsum(lengths)
    return int(edges[np.searchsorted(reached, _PACE_SHARE * reached[-1])]) if reached[-1] else 0


class TapeComparison:
    """Compare each trade with every touch the book showed around its time; blocks of trades are in time order.

    A trade is outside when its price is below the lowest best bid or above the highest best ask shown from
    `lag` before it to `lag` after it (nanoseconds), by more than the tolerance, and by more than two ticks. Both
    allowances are needed on real recordings: the two feeds run separately, and a book that is published now and then
    hides what happened in between. Trades within a `gap` of the book (nanoseconds), or beyond its ends, have nothing to
    be compared with.
    """

    def __init__(self, trades: Iterator[TradeBlock], lag: int, gap: float, tolerance_bps: float) -> None:
        self._trades = trades
        self._lag, self._gap, self._tolerance = lag, gap, tolerance_bps / 10_000
        self._edge = min(lag, _EDGE_NS)
        self._times: Ints = np.empty(0, dtype=np.int64)
        self._bids: Ints = np.empty(0, dtype=np.int64)
        self._asks: Ints = np.empty(0, dtype=np.int64)
        self._waiting = next(trades, None)
        self.outside = OutsideTrades(window_seconds=lag / 1e9)

    def follow(self, tops: GroupTops) -> None:
        """Take the book's next states and compare the trades that are fully covered by now."""
        both = (tops.bid > 0) & (tops.ask > 0)
        self._times = np.append(self._times, np.maximum.accumulate(tops.ts_init[both]))
        self._bids = np.append(self._bids, tops.bid[both])
        self._asks = np.append(self._asks, tops.ask[both])
        if len(self._times):
            self._compare_until(int(self._times[-1]) - self._lag)

    def finish(self) -> OutsideTrades:
        """Compare what is left, after the last state of the book."""
        self._compare_until(np.iinfo(np.int64).max)
        return self.outside

    def _compare_until(self, horizon: int) -> None:
        while self._waiting is not None:
            times = np.maximum.accumulate(self._waiting.ts_init)
            covered = int(np.searchsorted(times, horizon, side="right"))
            self._compare(times[:covered], self._waiting.price_ticks[:covered])
            if covered < len(times):
                self._waiting = self._waiting.slice(covered, len(times))
                self._forget_before(int(times[covered]))
                return
            self._waiting = next(self._trades, None)

    def _forget_before(self, time: int) -> None:
        # The state in force at the window's start was shown before it, so one earlier state stays.
        start = max(0, int(np.searchsorted(self._times, time - self._lag, side="right")) - 1)
        self._times, self._bids, self._asks = (
            column[start:] for column in (self._times, self._bids, self._asks)
        )

    def _compare(self, times: Ints, prices: Ints) -> None:
        low = np.maximum(np.searchsorted(self._times, times - self._lag, side="right") - 1, 0)
        high = np.searchsorted(self._times, times + self._lag, side="right")
        known = (high > low) & self._is_live(times)
        if not known.any():
            return
        times, prices, low, high = times[known], prices[known], low[known], high[known]
        bids = _windows(np.minimum, self._bids, low, high)
        asks = _windows(np.maximum, self._asks, low, high)
        beyond = np.maximum(np.maximum(prices - asks, bids - prices), 0)
        outside = beyond > np.maximum(_TOLERANCE_TICKS, prices * self._tolerance)
        found = self.outside
        found.compared += len(times)
        found.farthest_bps = max(found.farthest_bps, float((beyond / prices).max()) * 10_000)
        found.add(times[outside])

    def _is_live(self, times: Ints) -> NDArray[np.bool_]:
        """Return for each time whether the book was live then: between two states and in no gap, or close to one."""
        place = np.searchsorted(self._times, times, side="right")
        far = np.iinfo(np.int64).max // 4
        padded = np.concatenate([[-far], self._times, [far]])
        before, after = times - padded[place], padded[place + 1] - times
        live: NDArray[np.bool_] = np.minimum(before, after) <= np.where(
            before + after <= self._gap, self._gap, self._edge
        )
        return live


def _windows(reduce: np.ufunc, values: Ints, low: Ints, high: Ints) -> Ints:
    """Reduce ``values[low:high]`` for every pair of bounds; each window holds at least one value."""
    padded = np.append(values, values[-1])
    bounds = np.column_stack([low, high]).ravel()
    reduced: Ints = reduce.reduceat(padded, bounds)[::2]
    return reduced
