"""Differences between whole books that follow one another, a row each, made in columns."""

import numpy as np

from mm_nautilus.data.reader import SourceRows
from mm_nautilus.market.rows import Ints


class WholeBooks:
    """Turn a file's whole books into its first one and what changes from each to the next."""

    def __init__(self) -> None:
        self._last: tuple[Ints, Ints] | None = None
        """Every level of the book before, and its lots."""

    def differences(
        self, places: tuple[Ints, Ints, Ints], sides: Ints, ticks: Ints, lots: Ints
    ) -> SourceRows:
        """Return the changes as rows in the order of the books.

        Parameters
        ----------
        places
            Line, exchange and local time (nanoseconds) of each book.
        sides
            The side of each column of levels, shape (levels,).
        ticks, lots
            Prices and sizes, shape (books, levels); lots of 0 where there is no level.
        """
        line, ts_event, ts_init = places
        books = len(line)
        row, column = np.nonzero(lots)
        # A level is known by twice its price, and one more on the ask; `number` counts books from the one before.
        level = 2 * ticks[row, column] + (sides[column] == sides.max())
        number, size = row + 1, lots[row, column]
        is_first = self._last is None
        if self._last is not None:
            level, size = np.append(self._last[0], level), np.append(self._last[1], size)
            number = np.append(np.zeros(len(self._last[0]), dtype=np.int64), number)
        kept = number == books
        self._last = (level[kept], size[kept]) if books else self._last
        order = np.lexsort((number, level))
        level, number, size = level[order], number[order], size[order]
        is_same = level[1:] == level[:-1]
        follows = np.append(False, is_same & (number[1:] - number[:-1] <= 1))[: len(level)]
        unchanged = follows & (np.append(0, size[:-1])[: len(size)] == size)
        given = (number > 0) & ~unchanged
        next_number = np.append(
            np.where(is_same, number[1:], books + 2), np.full(min(len(level), 1), books + 2)
        )
        gone = (next_number > number + 1) & (number < books)
        book = np.concatenate([number[given], number[gone] + 1]) - 1
        changed = np.concatenate([level[given], level[gone]])
        new = np.concatenate([size[given], np.zeros(int(gone.sum()), dtype=np.int64)])
        order = np.lexsort((changed, book))
        book, changed, new = book[order], changed[order], new[order]
        return SourceRows(
            line[book],
            ts_event[book],
            ts_init[book],
            np.where(changed % 2 == 1, sides.max(), sides.min()),
            changed // 2,
            new,
            (book == 0) & is_first,
            np.full(len(book), "", dtype=object),
        )
