"""The best bid and ask after every group of book changes."""

from dataclasses import dataclass

import numpy as np

from mm_nautilus.market.rows import (
    ACTION_CLEAR,
    ACTION_DELETE,
    FLAG_LAST,
    SIDE_ASK,
    DeltaBlock,
    Ints,
)

__all__ = ["BookReplay", "GroupTops"]

_NO_PRICE = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class GroupTops:
    """The touch after each group that ends in a block.

    Parameters
    ----------
    row
        Index in the block of the group's last row.
    ts_init
        The group's time, nanoseconds.
    bid, ask
        Best prices in ticks; 0 where that side is empty.
    """

    row: Ints
    ts_init: Ints
    bid: Ints
    ask: Ints

    @property
    def crossed(self) -> Ints:
        """Indices of the groups that leave a best bid at or above the best ask."""
        return np.flatnonzero((self.bid > 0) & (self.ask > 0) & (self.bid >= self.ask))

    @property
    def one_sided(self) -> Ints:
        """Indices of the groups that leave a side without any level."""
        return np.flatnonzero((self.bid == 0) | (self.ask == 0))


class BookReplay:
    """Follow an order book through blocks and say what its touch was after every group.

    Attributes
    ----------
    unknown_deletes
        How many deletes named a price that was not in the book.
    """

    def __init__(self) -> None:
        self._levels: Ints = np.empty(0, dtype=np.int64)
        """Twice the price in ticks of each level in the book, and one more for an ask."""
        self.unknown_deletes = 0

    def apply(self, block: DeltaBlock) -> GroupTops:
        """Apply a block's rows in order; groups end at rows that carry `FLAG_LAST`."""
        known, count = len(self._levels), len(self._levels) + len(block)
        is_last = (block.flags & FLAG_LAST) != 0
        ends = np.flatnonzero(is_last)
        group = np.concatenate([np.zeros(known, np.int64), np.cumsum(is_last) - is_last, [len(ends)]])
        is_clear = block.action == ACTION_CLEAR
        given = np.flatnonzero(~is_clear)
        level = np.append(self._levels, 2 * block.price_ticks[given] + (block.side[given] == SIDE_ASK))
        order = np.argsort(level, kind="stable")
        level, row = level[order], np.append(np.arange(known), given + known)[order]
        stands = np.append(np.ones(known, np.bool_), block.action[given] != ACTION_DELETE)[order]
        # A level stands from its row to the next one of its price, or the next clear.
        is_again = level[1:] == level[:-1]
        clears = np.append(np.flatnonzero(is_clear) + known, count)
        until = np.append(np.where(is_again, row[1:], count), np.full(min(len(row), 1), count))
        until = np.minimum(until, clears[np.searchsorted(clears, row)])
        stood = np.append(False, is_again & stands[:-1] & (until[:-1] == row[1:]))[: len(row)]
        self.unknown_deletes += int((~stands & ~stood).sum())
        self._levels = level[stands & (until == count)]
        sides = [stands & (level % 2 == side) & (group[until] > group[row]) for side in (0, 1)]
        bid, ask = (
            _best(sign * (level[side] // 2), group[row[side]], group[until[side]], len(ends))
            for sign, side in zip((1, -1), sides, strict=True)
        )
        return GroupTops(ends, block.ts_init[ends], bid, -ask)


def _best(price: Ints, first: Ints, stop: Ints, groups: int) -> Ints:
    """Return for each group the greatest price of the spans `first` to `stop` (exclusive) it lies in, 0 without one.

    Two spans of a power of two in length cover any span; those of each power are handed down to the next lower one.
    """
    best = np.full(groups, _NO_PRICE)
    power = np.frexp(stop - first)[1] - 1
    for exponent in range(int(power.max(initial=0)), -1, -1):
        width, chosen = 1 << exponent, power == exponent
        best[width:] = np.maximum(best[width:], best[:-width])
        np.maximum.at(best, first[chosen], price[chosen])
        np.maximum.at(best, stop[chosen] - width, price[chosen])
    best[best == _NO_PRICE] = 0
    return best
