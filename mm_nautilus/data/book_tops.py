"""The best bid and ask after every group of book changes, and the touch as it changed over time."""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.gaps import SilenceFinder
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, Side


@dataclass(frozen=True, slots=True)
class GroupTops:
    """The touch after each group that ends in a block."""

    row: Ints
    """Index in the block of the group's last row."""
    ts_init: Ints
    bid: Ints
    ask: Ints
    """Best prices in ticks; 0 where that side is empty."""
    bid_lots: Ints
    ask_lots: Ints
    """Sizes at these prices in lots; 0 where that side is empty."""

    @property
    def is_sound(self) -> NDArray[np.bool_]:
        """Whether each group leaves two sides, uncrossed."""
        return (self.bid > 0) & (self.ask > self.bid)

    @property
    def crossed(self) -> Ints:
        """Indices of the groups that leave a best bid at or above the best ask."""
        return np.flatnonzero((self.bid > 0) & (self.ask > 0) & (self.bid >= self.ask))

    @property
    def one_sided(self) -> Ints:
        """Indices of the groups that leave a side without any level."""
        return np.flatnonzero((self.bid == 0) | (self.ask == 0))


class BookReplay:
    """Follow an order book through blocks and return its touch after every group.

    Attributes
    ----------
    unknown_deletes
        How many deletes named a price that was not in the book.
    """

    def __init__(self) -> None:
        self._levels: Ints = np.empty(0, dtype=np.int64)
        """Twice the price in ticks of each level in the book, and one more for an ask."""
        self._lots: Ints = np.empty(0, dtype=np.int64)
        self.unknown_deletes = 0

    def apply(self, block: DeltaBlock) -> GroupTops:
        """Apply a block's rows in order; groups end at rows that carry `Flag.LAST`."""
        known, count = len(self._levels), len(self._levels) + len(block)
        is_last = (block.flags & Flag.LAST) != 0
        ends = np.flatnonzero(is_last)
        group = np.concatenate([np.zeros(known, np.int64), np.cumsum(is_last) - is_last, [len(ends)]])
        is_clear = block.action == Action.CLEAR
        given = np.flatnonzero(~is_clear)
        level = np.append(self._levels, 2 * block.price_ticks[given] + (block.side[given] == Side.ASK))
        order = np.argsort(level, kind="stable")
        level, row = level[order], np.append(np.arange(known), given + known)[order]
        lots = np.append(self._lots, block.size_lots[given])[order]
        is_removed = (block.action[given] == Action.DELETE) | (block.size_lots[given] == 0)
        rests = np.append(np.ones(known, np.bool_), ~is_removed)[order]
        # A level rests from its row to the next one of its price, or the next clear.
        is_again = level[1:] == level[:-1]
        clears = np.append(np.flatnonzero(is_clear) + known, count)
        until = np.append(np.where(is_again, row[1:], count), np.full(min(len(row), 1), count))
        until = np.minimum(until, clears[np.searchsorted(clears, row)])
        rested = np.append(False, is_again & rests[:-1] & (until[:-1] == row[1:]))[: len(row)]
        self.unknown_deletes += int((~rests & ~rested).sum())
        kept = rests & (until == count)
        self._levels, self._lots = level[kept], lots[kept]
        touch = []
        for side, step in ((0, 1), (1, -1)):
            shown = rests & (level % 2 == side) & (group[until] > group[row])
            worst_first = np.flatnonzero(shown)[::step]
            best = _last_span(group[row[worst_first]], group[until[worst_first]], len(ends))
            found = np.append(worst_first, len(level))[
                best
            ]  # The number of none, -1, is that of the zero behind all.
            touch += [np.append(column, 0)[found] for column in (level // 2, lots)]
        bid, bid_lots, ask, ask_lots = touch
        return GroupTops(ends, block.ts_init[ends], bid, ask, bid_lots, ask_lots)


def _last_span(first: Ints, stop: Ints, groups: int) -> Ints:
    """Return for each group the number of the last span `first` to `stop` (exclusive) it lies in, -1 without one.

    Two spans of a power of two in length cover any span; those of each power are handed down to the next lower one.
    """
    last, number = np.full(groups, -1), np.arange(len(first))
    power = np.frexp(stop - first)[1] - 1
    for exponent in range(int(power.max(initial=0)), -1, -1):
        width, chosen = 1 << exponent, power == exponent
        last[width:] = np.maximum(last[width:], last[:-width])
        np.maximum.at(last, first[chosen], number[chosen])
        np.maximum.at(last, stop[chosen] - width, number[chosen])
    return last


# -- The touch over time ------------------------------------------------------------------------------------


_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class ReplayedTouches:
    """The touch over time, by a stream of book changes."""

    touches: TouchSeries
    """The touch after every group of changes that moved its prices or sizes."""
    unsound_seconds: float
    """How long the book was crossed, or lacked a side, after it had been sound; the previous touch is used for these
    times in `touches`. Gaps are not included."""


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
        First and last moment wanted, nanoseconds since the epoch, both inclusive. The touch in force at the
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


class _Replay:
    def __init__(self, start_ns: int, end_ns: int, gap_seconds: float) -> None:
        self._start_ns, self._end_ns = start_ns, end_ns
        self._book = BookReplay()
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
            self._follow(block.slice(first, row))
            self._begin_gap(int(silences.since_ns[row]))
            first = row
        self._follow(block.slice(first, stop))

    def _follow(self, block: DeltaBlock) -> None:
        """Look at the first group of some rows, and at those that change the touch or whether the book is sound."""
        tops = self._book.apply(block)
        touch = np.stack([tops.bid, tops.ask, tops.bid_lots, tops.ask_lots])
        state = np.where(tops.is_sound, touch, 0)
        changed = np.append(True, (state[:, 1:] != state[:, :-1]).any(axis=0))[: len(tops.row)]
        times = np.maximum(tops.ts_init, self._start_ns)[changed]
        for time_ns, row in zip(times.tolist(), state[:, changed].T.tolist(), strict=True):
            self._look(time_ns, array("q", row))

    def _look(self, time_ns: int, touch: "array[int]") -> None:
        if not any(touch):
            if self._rows and self._unsound_since is None and self._silent_since is None:
                self._unsound_since = time_ns
            return
        self._end_unsound(time_ns)
        self._end_gap(time_ns)
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
