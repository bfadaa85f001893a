"""Checked rows of files on their way into a catalog: whole groups, then blocks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mm_nautilus.data.book_tops import BookReplay
from mm_nautilus.data.findings import FindingKind, Findings
from mm_nautilus.data.reader import SourceFile, SourceRows, Words
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, Side, TradeBlock, joined_blocks

RECENT_TRADE_IDS = 200_000
"""How many trades back a repeated id is noticed; a bound keeps memory flat."""


class RecentIds:
    """The last `RECENT_TRADE_IDS` trade ids."""

    def __init__(self) -> None:
        self._recent: Any = pa.array([], pa.string())

    def repeated(self, ids: Sequence[str] | NDArray[np.object_]) -> NDArray[np.bool_]:
        """Return which ids are among the recent ones or those before them here, and remember the others."""
        given: Any = pa.array(ids, pa.string())
        numbers: Ints = given.dictionary_encode().indices.to_numpy()
        again: NDArray[np.bool_] = numbers <= np.maximum.accumulate(np.append(-1, numbers))[:-1]
        again |= pc.is_in(given, value_set=self._recent).to_numpy(zero_copy_only=False)
        news = given.filter(pa.array(~again))
        self._recent = pa.concat_arrays([self._recent, news])[-RECENT_TRADE_IDS:]
        return again


class _RowStream(ABC):
    """Order checks and whole groups, for book rows and trades alike."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._file = Path()
        self._words = Words()
        self._previous_file: Path | None = None
        self._latest = 0
        self._last_event = 0
        self._pending: SourceRows | None = None

    def start_file(self, file: SourceFile) -> None:
        """Take the next rows as those of this file."""
        self._previous_file = self._file if self._latest else None
        self._file, self._words = file.path, file.words

    def feed(self, rows: SourceRows) -> int:
        """Take a file's next well-formed rows; returns how many of them are kept."""
        if not len(rows):
            return 0
        self._refuse_overlapping_files(rows)
        rows = self._in_order(rows)
        self._note_event_times(rows)
        rows = self._accepted(rows)
        kept = len(rows)
        if self._pending is not None:
            rows = joined_blocks([self._pending, rows])
        if not len(rows):
            return kept
        cut = int(np.searchsorted(rows.ts_init, rows.ts_init[-1]))
        self._pending = rows.slice(cut, None)
        if cut:
            self._emit(rows.slice(None, cut))
        return kept

    def end_file(self) -> None:
        """Take the last group of the file as whole."""
        if self._pending is not None and len(self._pending):
            self._emit(self._pending)
        self._pending = None

    @abstractmethod
    def _accepted(self, rows: SourceRows) -> SourceRows: ...

    @abstractmethod
    def _emit(self, rows: SourceRows) -> None: ...

    def _refuse_overlapping_files(self, rows: SourceRows) -> None:
        if self._previous_file is not None and rows.ts_init[0] <= self._latest:
            words = self._words
            raise DataError(
                f"{self._file} starts at {words.received} {words.time(int(rows.ts_init[0]))}, before "
                f"{self._previous_file} ends at {words.time(self._latest)}; the files overlap, give each row once"
            )
        self._previous_file = None

    def _in_order(self, rows: SourceRows) -> SourceRows:
        latest = np.maximum.accumulate(np.append(self._latest, rows.ts_init))
        late = rows.ts_init < latest[:-1]
        self._latest = int(latest[-1])
        times, limits, words = rows.ts_init[late], latest[:-1][late], self._words
        self._findings.add(
            self._file,
            FindingKind.OUT_OF_ORDER,
            rows.line[late],
            lambda row: (
                f"{words.received} must be at least {words.time(int(limits[row]))} as before, "
                f"was {words.time(int(times[row]))}"
            ),
        )
        return rows.select(~late) if late.any() else rows

    def _note_event_times(self, rows: SourceRows) -> None:
        before = np.append(self._last_event, rows.ts_event)
        backwards = np.flatnonzero(np.diff(before) < 0)
        self._last_event = int(before[-1])
        given, latest, words = before[backwards + 1], before[backwards], self._words
        self._findings.add(
            self._file,
            FindingKind.EVENT_TIME_BACKWARDS,
            rows.line[backwards],
            lambda row: (
                f"{words.event} {words.time(int(given[row]))} comes after {words.time(int(latest[row]))}"
            ),
        )


class BookStream(_RowStream):
    """Turn book rows into blocks of whole groups of deltas for `write`, and follow the book to find crossed states."""

    def __init__(self, spec: InstrumentSpec, findings: Findings, write: Callable[[DeltaBlock], None]) -> None:
        super().__init__(findings)
        self._spec = spec
        self._write = write
        self._replay = BookReplay()
        self._seen_snapshot = False
        self.groups = 0
        self.snapshots = 0

    def _accepted(self, rows: SourceRows) -> SourceRows:
        if self._seen_snapshot or not len(rows):
            return rows
        self._seen_snapshot = bool(rows.snapshot.any())
        first = int(np.argmax(rows.snapshot)) if self._seen_snapshot else len(rows)
        rule = self._words.snapshot_rule
        self._findings.add(self._file, FindingKind.BEFORE_SNAPSHOT, rows.line[:first], lambda _: rule)
        return rows.slice(first, None)

    def _emit(self, rows: SourceRows) -> None:
        self._note_repeated_levels(rows)
        # A group is all there is of its time, so that the first row here begins one.
        goes_on = rows.snapshot[:-1] & (rows.ts_init[1:] == rows.ts_init[:-1])
        starts = np.flatnonzero(rows.snapshot & ~np.append(False, goes_on))
        self._note_half_books(rows, starts)
        block = _delta_block(rows, starts)
        line = np.insert(rows.line, starts, rows.line[starts])
        known = self._replay.unknown_deletes
        tops = self._replay.apply(block)
        self._findings.count(self._file, FindingKind.UNKNOWN_DELETE, self._replay.unknown_deletes - known)
        crossed, tick = tops.crossed, self._spec.price_increment

        def text(row: int) -> str:
            bid, ask = (int(side[crossed[row]]) * tick for side in (tops.bid, tops.ask))
            return f"after this row the best bid must be below the best ask, was {bid} against {ask}"

        self._findings.add(self._file, FindingKind.CROSSED, line[tops.row[crossed]], text)
        self.groups += len(tops.row)
        self.snapshots += len(starts)
        self._write(block)

    def _note_half_books(self, rows: SourceRows, starts: Ints) -> None:
        if not len(starts):
            return
        bids, asks = (
            np.logical_or.reduceat(rows.snapshot & (rows.side == side), starts)
            for side in (Side.BID, Side.ASK)
        )
        lonely = starts[~(bids & asks)]
        self._findings.add(
            self._file,
            FindingKind.HALF_BOOK,
            rows.line[lonely],
            lambda row: (
                f"it has no {'asks' if rows.side[lonely[row]] == Side.BID else 'bids'}; rows of another "
                f"{self._words.received} are another book"
            ),
        )

    def _note_repeated_levels(self, rows: SourceRows) -> None:
        order = np.argsort(rows.price_ticks, kind="stable")
        same = np.ones(len(rows) - 1, dtype=bool)
        for column in (rows.ts_init, rows.side, rows.price_ticks, rows.snapshot):
            same &= column[order][1:] == column[order][:-1]
        again = np.sort(order[1:][same])
        self._findings.add(
            self._file,
            FindingKind.DUPLICATED_LEVEL,
            rows.line[again],
            lambda row: (
                f"price {int(rows.price_ticks[again[row]]) * self._spec.price_increment} was given before"
            ),
        )


def _delta_block(rows: SourceRows, clears: Ints) -> DeltaBlock:
    """Turn whole groups of rows into deltas, with a clear row before each row index in `clears`."""
    action = np.where(rows.snapshot, Action.ADD, Action.UPDATE)
    action[rows.size_lots == 0] = Action.DELETE
    flags = np.where(rows.snapshot, Flag.SNAPSHOT, 0)
    group_ends = np.append(rows.ts_init[1:] != rows.ts_init[:-1], True)
    flags[group_ends] |= Flag.LAST
    ts_init = np.insert(rows.ts_init, clears, rows.ts_init[clears])
    return DeltaBlock(
        ts_event=np.insert(rows.ts_event, clears, rows.ts_event[clears]),
        ts_init=ts_init,
        action=np.insert(action, clears, Action.CLEAR),
        side=np.insert(rows.side, clears, Side.NONE),
        price_ticks=np.insert(rows.price_ticks, clears, 0),
        size_lots=np.insert(rows.size_lots, clears, 0),
        flags=np.insert(flags, clears, Flag.SNAPSHOT),
        sequence=ts_init // 1000,
    )


class TradeStream(_RowStream):
    """Turn trade rows into blocks of trades for `write`."""

    def __init__(self, findings: Findings, write: Callable[[TradeBlock], None]) -> None:
        super().__init__(findings)
        self._write = write
        self._ids = RecentIds()

    def _accepted(self, rows: SourceRows) -> SourceRows:
        again = self._ids.repeated(rows.trade_id) & (rows.trade_id != "")
        ids = rows.trade_id[again]
        self._findings.add(
            self._file,
            FindingKind.DUPLICATED_ID,
            rows.line[again],
            lambda row: f"{self._words.trade_id} {ids[row]} was used before",
        )
        return rows.select(~again) if again.any() else rows

    def _emit(self, rows: SourceRows) -> None:
        ids: list[str] = rows.trade_id.tolist()
        nameless = np.flatnonzero(rows.trade_id == "")
        # All trades of a time are here, so that each one's number among them is known.
        numbers = nameless - np.searchsorted(rows.ts_init, rows.ts_init[nameless])
        times = rows.ts_init[nameless] // self._words.id_unit_ns
        for row, time, number in zip(nameless.tolist(), times.tolist(), numbers.tolist(), strict=True):
            ids[row] = f"{time}-{number}"
        self._findings.count(self._file, FindingKind.MADE_ID, len(nameless))
        self._findings.count(self._file, FindingKind.UNKNOWN_TAKER, int((rows.side == Side.NONE).sum()))
        self._write(TradeBlock(rows.ts_event, rows.ts_init, rows.price_ticks, rows.size_lots, rows.side, ids))
