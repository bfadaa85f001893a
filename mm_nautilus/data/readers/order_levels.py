"""Orders, one by one, added up to the levels of a book."""

from typing import Any

import numpy as np

from mm_nautilus.data.reader import SourceRows
from mm_nautilus.data.readers.dbn_file import LAST
from mm_nautilus.market.rows import Ints, Side

_SIDES = {b"B": Side.BID, b"A": Side.ASK}


class OrderLevels:
    """The orders of one book by their ids, and the changes of its levels, event by event."""

    def __init__(self) -> None:
        self._orders: dict[int, tuple[int, int, int]] = {}
        self._levels: dict[tuple[int, int], int] = {}
        """Lots by side and price in ticks."""
        self._touched: dict[tuple[int, int], None] = {}
        """The levels that the event under way has changed, in order."""
        self._begins = False
        """Whether the book was cleared, so that what comes next is a whole one."""
        self._end = (0, 0, 0)
        self._rows: list[tuple[int, ...]] = []

    def apply(self, records: Any, columns: Ints) -> SourceRows:
        """Apply records in their order, and return the changes of the events that end among them.

        Adds (`A`), changes (`M`), cancels (`C`, of a part or the whole) and clears (`R`) change the book. Rows of
        `columns` are the records' places, both times, prices in ticks and sizes in lots.
        """
        texts = (records[name].tolist() for name in ("action", "side", "order_id", "flags"))
        for action, side, order, flags, at, event, init, price, size in zip(
            *texts, *columns.tolist(), strict=True
        ):
            self._end = (at, event, init)
            if action == b"R":
                self._touched.update(dict.fromkeys(self._levels))
                self._orders.clear()
                self._levels.clear()
                self._begins = True
            elif action in (b"A", b"M"):
                self._take(order)
                self._orders[order] = (_SIDES[side], price, size)
                self._change((_SIDES[side], price), size)
            elif action == b"C" and order in self._orders:
                old_side, old_price, left = self._orders[order]
                self._change((old_side, old_price), -min(size, left))
                if size < left:
                    self._orders[order] = (old_side, old_price, left - size)
                else:
                    del self._orders[order]
            if flags & LAST:
                self._end_event()
        return self._taken()

    def end_file(self) -> SourceRows:
        """Return the changes of an event that the file does not end."""
        self._end_event()
        return self._taken()

    def _take(self, order: int) -> None:
        if order in self._orders:
            side, price, size = self._orders.pop(order)
            self._change((side, price), -size)

    def _change(self, level: tuple[int, int], lots: int) -> None:
        total = self._levels.get(level, 0) + lots
        if total:
            self._levels[level] = total
        else:
            self._levels.pop(level, None)
        self._touched[level] = None

    def _end_event(self) -> None:
        begins = self._begins and bool(self._levels)
        levels = self._levels if begins else self._touched
        for level in levels:
            self._rows.append((*self._end, *level, self._levels.get(level, 0), begins))
        self._begins = self._begins and not begins
        self._touched.clear()

    def _taken(self) -> SourceRows:
        columns = np.array(self._rows, dtype=np.int64).reshape(-1, 7).T
        self._rows.clear()
        ids = np.full(columns.shape[1], "", dtype=object)
        line, ts_event, ts_init, side, ticks, lots, snapshot = columns
        return SourceRows(line, ts_event, ts_init, side, ticks, lots, snapshot == 1, ids)
