"""Books and trades as Tardis CSV files, which `mm_nautilus.data.tardis` reads back."""

import gzip
from collections.abc import Iterable
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.core.instrument import InstrumentSpec, decimal_places
from mm_nautilus.core.marketdata import (
    ACTION_CLEAR,
    ACTION_DELETE,
    FLAG_LAST,
    FLAG_SNAPSHOT,
    SIDE_ASK,
    SIDE_BID,
    DeltaBlock,
    Ints,
    TradeBlock,
)
from mm_nautilus.data.csv_rows import BOOK_HEADER, TRADES_HEADER, CsvKind
from mm_nautilus.errors import DataError

__all__ = ["TardisBook", "TardisTrades", "source_symbol"]

_US: Final = 1_000
"""Nanoseconds in a microsecond, the format's unit of time."""
_BOOK_SIDES: Final = {SIDE_BID: "bid", SIDE_ASK: "ask"}
_TAKERS: Final = {SIDE_BID: "buy", SIDE_ASK: "sell"}
_UNKNOWN_TAKER: Final = "unknown"


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


class _CsvFile:
    """One compressed CSV file; the same rows give the same bytes."""

    def __init__(self, path: Path, header: str) -> None:
        self.path = path
        self._stored = path.open("wb")
        self._text = gzip.GzipFile(filename="", mode="wb", fileobj=self._stored, mtime=0)
        self._text.write(f"{header}\n".encode())

    def write(self, lines: Iterable[str]) -> None:
        self._text.write("".join(lines).encode())

    def close(self) -> None:
        self._text.close()
        self._stored.close()


class _Rows:
    """Files of one instrument and kind, closed with the block.

    Attributes
    ----------
    rows
        Rows written.
    paths
        The files.
    """

    def __init__(self, folder: Path, spec: InstrumentSpec, kind: CsvKind, header: str) -> None:
        self._folder, self._spec, self._kind, self._header = folder, spec, kind, header
        self._start = f"{spec.venue.lower()},{source_symbol(spec)}"
        self.rows = 0
        self.paths: list[Path] = []
        self._file = self._next_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _next_file(self) -> _CsvFile:
        part = "" if not self.paths else f"_{len(self.paths) + 1}"
        name = f"{source_symbol(self._spec)}_{self._kind.value}{part}.csv.gz"
        self.paths.append(self._folder / name)
        return _CsvFile(self.paths[-1], self._header)


class TardisBook(_Rows):
    """Write book changes as ``incremental_book_L2``.

    The format marks the rows of a full book and has no row that empties one. What follows a clear is marked, whether
    the catalog calls it a snapshot or not. A reader begins anew at the first marked row behind an unmarked one, so a
    full book that follows another at once gets a file of its own.

    Parameters
    ----------
    folder
        Where to write.
    spec
        The instrument.

    Attributes
    ----------
    joined_groups
        Groups of changes within the microsecond of the one before, which a reader takes for one.
    empty_clears
        Moments at which the book was emptied and not filled again at once, which the format cannot tell.
    """

    def __init__(self, folder: Path, spec: InstrumentSpec) -> None:
        super().__init__(folder, spec, CsvKind.BOOK, BOOK_HEADER)
        self.joined_groups = self.empty_clears = 0
        self._last_ns = self._last_us = 0
        self._ends_marked = self._is_cleared = False

    def write(self, block: DeltaBlock) -> None:
        """Write a block's rows, in order.

        Raises
        ------
        DataError
            If two full books follow one another within a microsecond.
        """
        self._count_joined(block.ts_init)
        cuts = np.flatnonzero(block.action == ACTION_CLEAR)
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(block)], strict=True):
            self._write_stretch(block.slice(start, stop))

    def _count_joined(self, times: Ints) -> None:
        before = np.append(self._last_ns, times)
        self.joined_groups += int(((np.diff(before) > 0) & (np.diff(before // _US) == 0)).sum())
        self._last_ns = int(before[-1])

    def _write_stretch(self, rows: DeltaBlock) -> None:
        """Write rows that have no clear but maybe at their beginning."""
        if len(rows) and rows.action[0] == ACTION_CLEAR:
            self.empty_clears += int(rows.flags[0] & FLAG_LAST != 0)
            self._is_cleared = True
            rows = rows.slice(1, len(rows))
        if not len(rows):
            return
        if self._is_cleared and self._ends_marked:
            self._begin_file(int(rows.ts_init[0]) // _US)
        marked = (rows.flags & FLAG_SNAPSHOT) != 0
        if self._is_cleared:
            ends = np.flatnonzero(rows.flags & FLAG_LAST)
            marked[: int(ends[0]) + 1 if len(ends) else len(rows)] = True
            self._is_cleared = not len(ends)
        self._ends_marked = bool(marked[-1]) and not self._is_cleared
        self._last_us = int(rows.ts_init[-1]) // _US
        self._file.write(self._lines(rows, marked))
        self.rows += len(rows)

    def _begin_file(self, first_us: int) -> None:
        if first_us <= self._last_us:
            raise DataError(
                f"{self._spec.instrument_id} has two full books within the microsecond {first_us}, which Tardis' "
                "form cannot tell apart; export it as parquet"
            )
        self._file.close()
        self._file = self._next_file()

    def _lines(self, rows: DeltaBlock, marked: NDArray[np.bool_]) -> Iterable[str]:
        lots = np.where(rows.action == ACTION_DELETE, 0, rows.size_lots)
        columns = zip(
            repeat(self._start),
            (rows.ts_event // _US).tolist(),
            (rows.ts_init // _US).tolist(),
            np.where(marked, "true", "false").tolist(),
            map(_BOOK_SIDES.__getitem__, rows.side.tolist()),
            _decimals(rows.price_ticks, self._spec.price_increment),
            _decimals(lots, self._spec.size_increment),
        )  # fmt: skip
        return (f"{a},{b},{c},{d},{e},{f},{g}\n" for a, b, c, d, e, f, g in columns)


class TardisTrades(_Rows):
    """Write trades.

    Parameters
    ----------
    folder
        Where to write.
    spec
        The instrument.

    Attributes
    ----------
    unknown_takers
        Trades whose taker is not known, which the import refuses.
    """

    def __init__(self, folder: Path, spec: InstrumentSpec) -> None:
        super().__init__(folder, spec, CsvKind.TRADES, TRADES_HEADER)
        self.unknown_takers = 0

    def write(self, block: TradeBlock) -> None:
        """Write a block's rows, in order."""
        takers = [_TAKERS.get(side, _UNKNOWN_TAKER) for side in block.aggressor.tolist()]
        self.unknown_takers += takers.count(_UNKNOWN_TAKER)
        columns = zip(
            repeat(self._start),
            (block.ts_event // _US).tolist(),
            (block.ts_init // _US).tolist(),
            block.trade_id,
            takers,
            _decimals(block.price_ticks, self._spec.price_increment),
            _decimals(block.size_lots, self._spec.size_increment),
        )  # fmt: skip
        self._file.write(f"{a},{b},{c},{d},{e},{f},{g}\n" for a, b, c, d, e, f, g in columns)
        self.rows += len(block)
