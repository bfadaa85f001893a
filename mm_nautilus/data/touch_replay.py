"""The touch with its sizes, as it changed over time, from a stream of book changes."""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.gaps import SilenceFinder
from mm_nautilus.market.rows import ACTION_CLEAR, ACTION_DELETE, FLAG_LAST, SIDE_ASK, DeltaBlock

__all__ = ["ReplayedTouches", "replay_touches"]

_STALE_ALLOWANCE = 1024
_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class ReplayedTouches:
    """What a stream of book changes says of the touch.

    Parameters
    ----------
    touches
        The touch after every group of changes that moved its prices or sizes.
    unsound_seconds
        How long the book was crossed, or lacked a side, after it had been sound; the previous touch is used for
        these times in `touches`. Gaps are not included.
    """

    touches: TouchSeries
    unsound_seconds: float


def replay_touches(
    blocks: Iterable[DeltaBlock], start_ns: int, end_ns: int, *, gap_seconds: float = math.inf
) -> ReplayedTouches:
    """Follow a book and keep its touch wherever that changed.

    A book is only looked at where a group of changes ends. Of groups with the same time the last one counts.
    Memory is one book and forty bytes a change of the touch; blocks are let go as they are read.

    Parameters
    ----------
    blocks
        Book changes in time order, from a full book at or before `start_ns` on; prices in ticks, sizes in lots.
    start_ns, end_ns
        First and last moment wanted, nanoseconds since the epoch, both inclusive. The touch that stands at the
        start is the first of the series, with the start as its time.
    gap_seconds
        Longest silence of the book that is no gap, seconds. A gap lasts until the book is sound again, and the touch of
        that moment is a row of its own whether it has changed or not.

    Raises
    ------
    CalibrationError
        If the book never has two sides, uncrossed, up to `end_ns`.
    """
    replay = _Replay(start_ns, end_ns, gap_seconds)
    for block in blocks:
        replay.apply(block)
    return replay.finish()


class _Ladder:
    """One side's sizes by signed price, the best price smallest; removed prices leave the heap later."""

    __slots__ = ("heap", "lots")

    def __init__(self) -> None:
        self.lots: dict[int, int] = {}
        self.heap: list[int] = []

    def clear(self) -> None:
        self.lots.clear()
        self.heap.clear()

    def put(self, key: int, lots: int) -> None:
        if key not in self.lots:
            heappush(self.heap, key)
        self.lots[key] = lots

    def best(self) -> int | None:
        lots, heap = self.lots, self.heap
        if len(heap) > 2 * len(lots) + _STALE_ALLOWANCE:
            heap[:] = lots
            heapify(heap)
        while heap and heap[0] not in lots:
            heappop(heap)
        return heap[0] if heap else None


class _Replay:
    def __init__(self, start_ns: int, end_ns: int, gap_seconds: float) -> None:
        self._start_ns, self._end_ns = start_ns, end_ns
        self._bids, self._asks = _Ladder(), _Ladder()
        self._rows = array("q")
        self._gaps = array("q")
        self._silences = SilenceFinder(gap_seconds)
        self._silent_since: int | None = None
        self._unsound_since: int | None = None
        self._unsound_ns = 0

    def apply(self, block: DeltaBlock) -> None:
        stop = int(np.searchsorted(block.ts_init, self._end_ns, side="right"))
        if not stop:
            return
        silences, first = self._silences.add(block.ts_init[:stop]), 0
        for row in np.flatnonzero(silences.is_gap).tolist():
            self._apply_rows(block, first, row)
            self._begin_gap(int(silences.since_ns[row]))
            first = row
        self._apply_rows(block, first, stop)

    def _apply_rows(self, block: DeltaBlock, first: int, stop: int) -> None:
        rows = zip(
            block.ts_init[first:stop].tolist(),
            block.action[first:stop].tolist(),
            block.side[first:stop].tolist(),
            block.price_ticks[first:stop].tolist(),
            block.size_lots[first:stop].tolist(),
            ((block.flags[first:stop] & FLAG_LAST) != 0).tolist(),
            strict=True,
        )
        for time_ns, action, side, price, lots, ends_group in rows:
            self._apply_row(action, side, price, lots)
            if ends_group:
                self._look(max(time_ns, self._start_ns))

    def _apply_row(self, action: int, side: int, price: int, lots: int) -> None:
        if action == ACTION_CLEAR:
            self._bids.clear()
            self._asks.clear()
            return
        ladder, key = (self._asks, price) if side == SIDE_ASK else (self._bids, -price)
        if action == ACTION_DELETE or lots == 0:
            ladder.lots.pop(key, None)
        else:
            ladder.put(key, lots)

    def _look(self, time_ns: int) -> None:
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None or -bid >= ask:
            if self._rows and self._unsound_since is None and self._silent_since is None:
                self._unsound_since = time_ns
            return
        self._end_unsound(time_ns)
        self._end_gap(time_ns)
        touch = array("q", (-bid, ask, self._bids.lots[bid], self._asks.lots[ask]))
        if self._rows and self._rows[-_COLUMNS] == time_ns:
            del self._rows[-_COLUMNS:]
        begins_stretch = bool(self._gaps) and self._gaps[-1] == time_ns
        if begins_stretch or not self._rows or self._rows[1 - _COLUMNS :] != touch:
            self._rows.append(time_ns)
            self._rows.extend(touch)

    def _begin_gap(self, since_ns: int) -> None:
        since_ns = max(since_ns, self._start_ns)
        self._end_unsound(since_ns)
        if self._silent_since is None:
            self._silent_since = since_ns

    def _end_gap(self, time_ns: int) -> None:
        if self._silent_since is not None and self._rows and self._silent_since < time_ns:
            self._gaps.extend((self._silent_since, time_ns))
        self._silent_since = None

    def _end_unsound(self, time_ns: int) -> None:
        if self._unsound_since is not None:
            self._unsound_ns += time_ns - self._unsound_since
            self._unsound_since = None

    def finish(self) -> ReplayedTouches:
        if not self._rows:
            raise CalibrationError("the book never has two sides, uncrossed")
        silence = self._silences.add(np.array([self._end_ns]))
        if silence.is_gap[0]:
            self._begin_gap(int(silence.since_ns[0]))
        self._end_unsound(self._end_ns)
        self._end_gap(self._end_ns)
        table = np.frombuffer(self._rows, dtype=np.int64).reshape(-1, _COLUMNS)
        time_ns, bid, ask, bid_lots, ask_lots = (np.ascontiguousarray(column) for column in table.T)
        gaps = np.array(self._gaps, dtype=np.int64).reshape(-1, 2)
        touches = TouchSeries(time_ns, bid, ask, bid_lots, ask_lots, self._end_ns, gaps)
        return ReplayedTouches(touches, self._unsound_ns / 1e9)
