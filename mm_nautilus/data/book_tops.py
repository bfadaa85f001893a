"""The best bid and ask after every group of book changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
