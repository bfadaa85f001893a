"""Books and trades as Tardis CSV files, which `mm_nautilus.data.tardis` reads back."""

import gzip
from collections.abc import Iterable
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.data.csv_files import BOOK_HEADER, TRADES_HEADER, CsvKind
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec, decimal_places
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, Side, TradeBlock

_US: Final = 1_000
"""Nanoseconds in a microsecond, the format's unit of time."""
_NO_BOOK: Final = -1
_BOOK_SIDES: Final = {Side.BID: "bid", Side.ASK: "ask"}
_TAKERS: Final = {Side.BID: "buy", Side.ASK: "sell", Side.NONE: "unknown"}


def source_symbol(spec: InstrumentSpec) -> str:
    """Return what the files call an instrument: its symbol without separators."""
    return "".join(filter(str.isalnum, spec.symbol))


def _decimals(multiples: Ints, increment: Decimal) -> list[str]:
    """Return whole numbers of increments as plain decimal texts."""
    digits = decimal_places(increment)
    unit = int(increment.scaleb(digits))
    if digits == 0:
        return [str(multiple * unit) for multiple in multiples.tolist()]
    scale = 10**digits
    whole, rest = np.divmod(multiples * unit, scale)
    return [f"{a}.{b:0{digits}d}" for a, b in zip(whole.tolist(), rest.tolist(), strict=True)]


class _Rows:
    """The compressed CSV file of one instrument and kind; the same rows give the same bytes.

    Attributes
    ----------
    rows
        Rows written.
    """

    def __init__(self, folder: Path, spec: InstrumentSpec, kind: CsvKind, header: str) -> None:
        self._spec = spec
        self._start = f"{spec.venue.lower()},{source_symbol(spec)}"
        self.path = folder / f"{source_symbol(spec)}_{kind.value}.csv.gz"
        self.rows = 0
        self._stored = self.path.open("wb")
        self._text = gzip.GzipFile(filename="", mode="wb", fileobj=self._stored, mtime=0)
        self._text.write(f"{header}\n".encode())

    def close(self) -> None:
        """Finish the file."""
        self._text.close()
        self._stored.close()

    def _write_rows(
        self, block: DeltaBlock | TradeBlock, fifth: Iterable[str], sides: Iterable[str], lots: Ints
    ) -> None:
        columns = zip(
            repeat(self._start),
            (block.ts_event // _US).tolist(),
            (block.ts_init // _US).tolist(),
            fifth,
            sides,
            _decimals(block.price_ticks, self._spec.price_increment),
            _decimals(lots, self._spec.size_increment),
        )  # fmt: skip
        lines = (f"{a},{b},{c},{d},{e},{f},{g}\n" for a, b, c, d, e, f, g in columns)
        self._text.write("".join(lines).encode())
        self.rows += len(block)


class TardisBook(_Rows):
    """Write book changes as ``incremental_book_L2``.

    The format marks the rows of a full book and has no row that empties one. What follows a clear at one time is
    marked, whether the catalog calls it a snapshot or not, and nothing else is: a reader begins a new book with the
    first marked row of a time.

    Attributes
    ----------
    joined_groups
        Groups of changes within the microsecond of the one before, which a reader takes for one.
    empty_clears
        Moments at which the book was emptied and not filled again at once, which the format cannot express.
    """

    def __init__(self, folder: Path, spec: InstrumentSpec) -> None:
        super().__init__(folder, spec, CsvKind.BOOK, BOOK_HEADER)
        self.joined_groups = self.empty_clears = 0
        self._last_ns = self._last_us = 0
        self._ends_marked = self._is_cleared = False
        self._book_us = _NO_BOOK

    def write(self, block: DeltaBlock) -> None:
        """Write a block's rows, in order.

        Raises
        ------
        DataError
            If two full books follow one another within a microsecond.
        """
        self._count_joined(block.ts_init)
        cuts = np.flatnonzero(block.action == Action.CLEAR)
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(block)], strict=True):
            self._write_stretch(block.slice(start, stop))

    def _count_joined(self, times: Ints) -> None:
        before = np.append(self._last_ns, times)
        self.joined_groups += int(((np.diff(before) > 0) & (np.diff(before // _US) == 0)).sum())
        self._last_ns = int(before[-1])

    def _write_stretch(self, rows: DeltaBlock) -> None:
        """Write rows that have no clear but maybe at their beginning."""
        if len(rows) and rows.action[0] == Action.CLEAR:
            self.empty_clears += int(rows.flags[0] & Flag.LAST != 0)
            self._is_cleared = True
            rows = rows.slice(1, len(rows))
        if not len(rows):
            return
        if not self.rows:
            self._is_cleared |= bool(rows.flags[0] & Flag.SNAPSHOT)
        marked = self._marked(rows)
        lots = np.where(rows.action == Action.DELETE, 0, rows.size_lots)
        sides = map(_BOOK_SIDES.__getitem__, rows.side.tolist())
        self._write_rows(rows, np.where(marked, "true", "false").tolist(), sides, lots)
        self._ends_marked, self._last_us = bool(marked[-1]), int(rows.ts_init[-1]) // _US

    def _marked(self, rows: DeltaBlock) -> NDArray[np.bool_]:
        """Return which rows are of a full book: what the first group behind a clear has of its first microsecond."""
        times = rows.ts_init // _US
        if self._is_cleared:
            self._refuse_same_time(int(times[0]))
            self._is_cleared, self._book_us = False, int(times[0])
        marked: NDArray[np.bool_] = times == self._book_us
        ends = np.flatnonzero(rows.flags & Flag.LAST)
        if len(ends):
            marked[int(ends[0]) + 1 :] = False
        if len(ends) or not marked[-1]:
            self._book_us = _NO_BOOK
        return marked

    def _refuse_same_time(self, first_us: int) -> None:
        if self._ends_marked and first_us <= self._last_us:
            raise DataError(
                f"{self._spec.instrument_id} has two full books within the microsecond {first_us}, which Tardis' "
                "format cannot distinguish; export it as parquet"
            )


class TardisTrades(_Rows):
    """Write trades."""

    def __init__(self, folder: Path, spec: InstrumentSpec) -> None:
        super().__init__(folder, spec, CsvKind.TRADES, TRADES_HEADER)

    def write(self, block: TradeBlock) -> None:
        """Write a block's rows, in order."""
        takers = map(_TAKERS.__getitem__, block.aggressor.tolist())
        self._write_rows(block, block.trade_id, takers, block.size_lots)
