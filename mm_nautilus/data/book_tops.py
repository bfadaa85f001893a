"""The best bid and ask after every group of book changes, kept with sets and heaps."""

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

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

_STALE_ALLOWANCE = 1024


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


class _Ladder:
    """One side's prices as signed keys, the best one smallest; removed keys leave the heap later."""

    def __init__(self) -> None:
        self.keys: set[int] = set()
        self.heap: list[int] = []

    def clear(self) -> None:
        self.keys.clear()
        self.heap.clear()

    def best(self) -> int:
        keys, heap = self.keys, self.heap
        if len(heap) > 2 * len(keys) + _STALE_ALLOWANCE:
            heap[:] = keys
            heapify(heap)
        while heap and heap[0] not in keys:
            heappop(heap)
        return heap[0] if heap else 0


class BookReplay:
    """Follow an order book through blocks and say what its touch was after every group.

    Attributes
    ----------
    unknown_deletes
        How many deletes named a price that was not in the book.
    """

    def __init__(self) -> None:
        self._bids, self._asks = _Ladder(), _Ladder()
        self.unknown_deletes = 0

    def apply(self, block: DeltaBlock) -> GroupTops:
        """Apply a block's rows in order; groups end at rows that carry `FLAG_LAST`."""
        ends: list[int] = []
        bids: list[int] = []
        asks: list[int] = []
        last = (block.flags & FLAG_LAST) != 0
        rows = zip(
            block.action.tolist(), block.side.tolist(), block.price_ticks.tolist(), last.tolist(), strict=True
        )
        for row, (action, side, price, ends_group) in enumerate(rows):
            self._apply_row(action, side, price)
            if ends_group:
                ends.append(row)
                bids.append(-self._bids.best())
                asks.append(self._asks.best())
        index = np.array(ends, dtype=np.int64)
        return GroupTops(index, block.ts_init[index], np.array(bids, np.int64), np.array(asks, np.int64))

    def _apply_row(self, action: int, side: int, price: int) -> None:
        if action == ACTION_CLEAR:
            self._bids.clear()
            self._asks.clear()
            return
        ladder, key = (self._asks, price) if side == SIDE_ASK else (self._bids, -price)
        if action != ACTION_DELETE:
            if key not in ladder.keys:
                ladder.keys.add(key)
                heappush(ladder.heap, key)
        elif key in ladder.keys:
            ladder.keys.remove(key)
        else:
            self.unknown_deletes += 1
