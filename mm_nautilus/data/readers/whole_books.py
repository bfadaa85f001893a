"""A series of whole books as a first book and the differences between each and the next."""

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.data.reader import SourceRows
from mm_nautilus.market.rows import Ints, Side


class BookDifferences:
    """Keeps the last book of a series."""

    def __init__(self) -> None:
        self._ticks: NDArray[np.int64] | None = None
        self._lots: NDArray[np.int64] | None = None

    def apply(
        self, line: Ints, ts_event: Ints, ts_init: Ints, ticks: NDArray[np.int64], lots: NDArray[np.int64]
    ) -> SourceRows:
        """Return the levels of the series' first book, and of later ones what differs from the book before.

        Parameters
        ----------
        line, ts_event, ts_init
            Place and times of each book.
        ticks, lots
            Prices and sizes of each book's bids and asks, of shape (books, 2, levels); a price of 0 is no level.
        """
        if not len(line):
            none = np.zeros(0, dtype=np.int64)
            return SourceRows(none, none, none, none, none, none, none == 1, np.full(0, "", dtype=object))
        is_first = self._ticks is None
        before = [
            np.concatenate([column[:1] * 0 if last is None else last, column[:-1]])
            for last, column in ((self._ticks, ticks), (self._lots, lots))
        ]
        self._ticks, self._lots = ticks[-1:], lots[-1:]
        same = (ticks[..., :, None] == before[0][..., None, :]) & (ticks[..., :, None] > 0)
        unchanged = (same & (lots[..., :, None] == before[1][..., None, :])).any(axis=-1)
        gone = (before[0] > 0) & ~same.any(axis=-2)
        changes = np.stack([gone, (ticks > 0) & ~unchanged], axis=2)
        book, side, is_new, _ = np.nonzero(changes)
        prices = np.stack([before[0], ticks], axis=2)[changes]
        sizes = np.stack([lots * 0, lots], axis=2)[changes]
        sides = np.where(side == 0, Side.BID, Side.ASK)
        snapshot = (book == 0) & is_first & (is_new == 1)
        ids = np.full(len(book), "", dtype=object)
        return SourceRows(line[book], ts_event[book], ts_init[book], sides, prices, sizes, snapshot, ids)
