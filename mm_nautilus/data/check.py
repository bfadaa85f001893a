"""Check a catalog: what it holds, and everything in it that would spoil a backtest."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_nautilus.data.book_tops import BookReplay, GroupTops
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import (
    CatalogFile,
    DataKind,
    OnProgress,
    Progress,
    folder_name,
    format_time,
    read_batches,
    read_blocks,
    unfinished_imports,
    unfinished_text,
    waiting_sessions,
)
from mm_nautilus.data.catalog_fitness import order_problem, precision_problem
from mm_nautilus.data.check_report import CatalogReport, InstrumentReport, OutsideTrades, Problem, TypeReport
from mm_nautilus.data.funding import stored_rates
from mm_nautilus.data.row_streams import RecentIds
from mm_nautilus.errors import DataError
from mm_nautilus.market.gaps import SilenceFinder
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Ints, Side, TradeBlock, joined_blocks
from mm_nautilus.system.moments import GAP_SECONDS
from mm_nautilus.system.store_url import CatalogPath

_BATCH_ROWS: Final = 65_536
_LEAST_WINDOW_NS: Final = 1_000_000_000
_TOLERANCE_TICKS = 2
_EDGE_NS = 1_000_000_000
"""How far from the only state beside it a trade is still compared."""
_PACE_SHARE = 0.95
_BINS_PER_OCTAVE = 8


def check_catalog(
    folder: CatalogPath,
    *,
    gap_seconds: float = GAP_SECONDS,
    trade_book_lag_seconds: float | None = None,
    trade_tolerance_bps: float = 10.0,
    on_progress: OnProgress | None = None,
) -> CatalogReport:
    """Read a whole catalog once, with flat memory, and report what it holds and what is wrong.

    Parameters
    ----------
    gap_seconds
        Longest silence of a book that is not a gap. A silent tape under a live book is only noted.
    trade_book_lag_seconds, trade_tolerance_bps
        A trade is outside the book when its price is beyond all touches shown this long before and after
        it by more than this distance (and by more than two ticks). None follows the book's own pace, and is one
        second or more.
    on_progress
        Called with rows read and rows in all.

    Raises
    ------
    DataError
        If the folder does not exist or holds no catalog, or an empty one. Damage inside it is a problem in the
        report.
    """
    reader = CatalogReader(folder, unfinished=True)
    limits = _Limits(gap_seconds, trade_book_lag_seconds, trade_tolerance_bps)
    problems: list[Problem] = []
    notes: list[str] = []
    specs = _instruments(reader, problems)
    if not any(problem.kind == "damaged" for problem in problems):
        _note_undefined_data(reader, specs, problems)
    problems += [
        Problem("unfinished_import", "", unfinished_text(note)) for note in unfinished_imports(reader.folder)
    ]
    if waiting := len(waiting_sessions(folder)):
        notes.append(
            f"recordings that are not in the catalog yet: {waiting}; they are in progress, or wait for "
            "`mm-nautilus data recover`"
        )
    problems += [problem for spec in specs if (problem := _funding_problem(reader, spec)) is not None]
    checks = [_InstrumentCheck(reader, spec, limits, problems, notes) for spec in specs]
    progress = Progress(sum(check.rows for check in checks), on_progress)
    reports = tuple(check.run(progress) for check in checks)
    return CatalogReport(folder, gap_seconds, reports, tuple(problems), tuple(notes))


def _instruments(reader: CatalogReader, problems: list[Problem]) -> list[InstrumentSpec]:
    try:
        specs = reader.instruments()
    except DataError as error:
        problems.append(Problem("damaged", "", str(error)))
        return []
    if not any(reader.stored_folders(kind) for kind in DataKind):
        return reader.some_instruments()
    if not specs and not reader.definitions.refused:
        problems.append(Problem("no_instruments", "", f"{reader.folder} defines no instruments"))
    return specs


def _funding_problem(reader: CatalogReader, spec: InstrumentSpec) -> Problem | None:
    """Return what is wrong with the first of an instrument's funding rates that a run would refuse."""
    try:
        stored_rates(reader.folder, spec)
    except DataError as error:
        return Problem("funding", spec.instrument_id, str(error))
    return None


def _note_undefined_data(
    reader: CatalogReader, specs: Sequence[InstrumentSpec], problems: list[Problem]
) -> None:
    refused = reader.definitions.refused
    problems.extend(Problem("not_quotable", name, text) for name, text in refused.items())
    defined = {folder_name(name) for name in (*(spec.instrument_id for spec in specs), *refused)}
    for kind in DataKind:
        for stored in reader.stored_folders(kind):
            if stored.name not in defined:
                text = f"{kind.label} in {stored} belong to no currency pair that is defined"
                problems.append(Problem("no_instrument", stored.name, text))


class _Limits(NamedTuple):
    """From where on something is a finding."""

    gap_seconds: float
    trade_book_lag_seconds: float | None
    trade_tolerance_bps: float


class _SpanCheck:
    """Rows, span, order and silences of one type, block by block."""

    def __init__(self, report: TypeReport, gap_seconds: float) -> None:
        self.report, self._gap_ns = report, gap_seconds * 1e9
        self._silences = SilenceFinder(gap_seconds)
        self._is_announced = False

    def add(self, block: DeltaBlock | TradeBlock) -> None:
        report, times = self.report, block.ts_init
        silences, announced = self._silences.add(times), self._announced(block)
        report.first = int(times[0]) if report.first is None else report.first
        report.last = int(times[-1])
        report.rows += len(times)
        report.unsorted.add(times[silences.length_ns < 0])
        for is_announced in (True, False):
            chosen = announced == is_announced
            if chosen.any():
                self._note(silences.since_ns[chosen], silences.length_ns[chosen], is_announced=is_announced)

    def add_ends(self, other: TypeReport) -> None:
        """Count the silences before the first and after the last row, as the other type of data shows them."""
        report = self.report
        if report.first is None or report.last is None or other.first is None or other.last is None:
            return
        self._note(np.array([other.first]), np.array([report.first - other.first]), is_announced=False)
        end = np.array([report.last]), np.array([other.last - report.last])
        self._note(*end, is_announced=self._is_announced)

    def _note(self, since_ns: Ints, lengths_ns: Ints, *, is_announced: bool) -> None:
        """Count the silences that are gaps or announced breaks, and keep the longest."""
        report, longest = self.report, int(np.argmax(lengths_ns))
        (report.breaks if is_announced else report.gaps).add(since_ns[lengths_ns > self._gap_ns])
        seconds = int(lengths_ns[longest]) / 1e9
        if is_announced:
            report.longest_break_seconds = max(report.longest_break_seconds, seconds)
        elif seconds > report.longest_gap_seconds:
            report.longest_gap_seconds, report.longest_gap_at = seconds, int(since_ns[longest])

    def _announced(self, block: DeltaBlock | TradeBlock) -> NDArray[np.bool_]:
        """Return for each row whether the one before it announced that the book is not known from there on."""
        if isinstance(block, TradeBlock):
            return np.zeros(len(block), dtype=np.bool_)
        emptied = (block.action == Action.CLEAR) & ((block.flags & Flag.LAST) != 0)
        announced = np.append(self._is_announced, emptied[:-1])
        self._is_announced = bool(emptied[-1])
        return announced


class _InstrumentCheck:
    """One instrument's book and tape, read side by side."""

    def __init__(
        self,
        reader: CatalogReader,
        spec: InstrumentSpec,
        limits: _Limits,
        problems: list[Problem],
        notes: list[str],
    ) -> None:
        self._reader, self._spec = reader, spec
        self._gap_seconds, self._lag_seconds, self._tolerance_bps = limits
        self._problems, self._notes = problems, notes
        self._book, self._trades = TypeReport(), TypeReport()
        self._book_span = _SpanCheck(self._book, self._gap_seconds)
        self._tape_span = _SpanCheck(self._trades, self._gap_seconds)
        self._replay = BookReplay()
        self._book_files = self._files(DataKind.DELTAS, self._book)
        self._trade_files = self._files(DataKind.TRADES, self._trades)
        self.rows = sum(file.rows for file in (*self._book_files, *self._trade_files))
        self._judge_definition()

    def run(self, progress: Progress) -> InstrumentReport:
        """Read everything and report."""
        gap_ns = self._gap_seconds * 1e9
        if self._lag_seconds is None:
            window_ns = max(_LEAST_WINDOW_NS, _book_pace(self._book_files, gap_ns))
        else:
            window_ns = int(self._lag_seconds * 1e9)
        tape = _TapeComparison(self._trade_blocks(progress), window_ns, gap_ns, self._tolerance_bps)
        for tops in self._book_tops(progress):
            tape.follow(tops)
        outside = tape.finish()
        if self._book.complete and self._trades.complete:
            self._book_span.add_ends(self._trades)
            self._tape_span.add_ends(self._book)
        self._judge_book()
        self._judge_trades(outside)
        return InstrumentReport(
            self._spec.instrument_id, self._spec.simulated, self._book, self._trades, outside
        )

    def _problem(self, kind: str, text: str) -> None:
        self._problems.append(Problem(kind, self._spec.instrument_id, text))

    def _files(self, kind: DataKind, report: TypeReport) -> list[CatalogFile]:
        try:
            files = self._reader.files(self._spec.instrument_id, kind)
        except DataError as error:
            self._problem("damaged", str(error))
            return []
        if not files:
            self._problem(
                f"no_{kind.name.lower()}", f"there are no {kind.label} of {self._spec.instrument_id}"
            )
        report.files = len(files)
        latest: CatalogFile | None = None
        for file in files:
            if latest is not None and file.start <= latest.end:
                self._problem("overlap", f"{file.path} overlaps {latest.path.name} in time")
            latest = file if latest is None or file.end > latest.end else latest
            self._judge_footer(file)
        return files

    def _judge_footer(self, file: CatalogFile) -> None:
        try:
            found = {"precision": precision_problem(file, self._spec), "orders": order_problem(file)}
        except DataError as error:
            found = {"damaged": str(error)}
        for kind, text in found.items():
            if text is not None:
                self._problem(kind, text)

    def _judge_definition(self) -> None:
        """Report definitions that come too late for some of the data, or for all of it."""
        name, found = self._spec.instrument_id, self._reader.definitions
        files = (*self._book_files, *self._trade_files)
        if not files:
            return
        self._notes += [
            f"{name} has {note}" for note in dict.fromkeys(n for file in files for n in file.notes)
        ]
        first, last = min(file.start for file in files), max(file.end for file in files)
        for later in found.later.get(name, ()):
            if later.since <= last:
                self._problem(
                    "redefined", f"{later.text}, within its data; a run has to end before or start then"
                )
            else:
                self._notes.append(f"{later.text}, after its data; what was in force before is used")
        if found.since[name] > first:
            since = format_time(found.since[name])
            self._notes.append(
                f"{name} is not defined before {since}, and its data begins at {format_time(first)}"
            )

    def _blocks(self, files: Sequence[CatalogFile], span: _SpanCheck, progress: Progress) -> Iterator[Any]:
        for file in files:
            outside = 0
            try:
                for block in progress.counting(read_blocks(file, self._spec, _BATCH_ROWS)):
                    span.add(block)
                    outside += int(((block.ts_init < file.start) | (block.ts_init > file.end)).sum())
                    yield block
            except DataError as error:
                # What comes after a hole in the data would only be reported as crossed or outside the book.
                self._problem("damaged", str(error))
                span.report.complete = False
                return
            if outside:
                text = f"{file.path} holds rows outside the time span its name promises: {outside:,}"
                self._problem("wrong_span", text)

    def _book_tops(self, progress: Progress) -> Iterator[GroupTops]:
        report = self._book
        previous: DeltaBlock | None = None
        for block in self._blocks(self._book_files, self._book_span, progress):
            if previous is None:
                report.starts_clear = bool(block.action[0] == Action.CLEAR)
            self._note_groups(block if previous is None else joined_blocks([previous, block]))
            previous = block.slice(len(block) - 1, len(block))
            tops = self._replay.apply(block)
            report.groups += len(tops.row)
            report.crossed.add(tops.ts_init[tops.crossed])
            report.one_sided.add(tops.ts_init[tops.one_sided])
            yield tops
        if previous is not None and not previous.flags[0] & Flag.LAST:
            report.unfinished.add(previous.ts_init)
        report.unknown_deletes = self._replay.unknown_deletes

    def _note_groups(self, rows: DeltaBlock) -> None:
        """Look at each two rows that follow one another: where a group ends, and where a snapshot begins."""
        times, has_ended = rows.ts_init, (rows.flags & Flag.LAST) != 0
        is_later = times[1:] != times[:-1]
        self._book.unfinished.add(times[:-1][is_later & ~has_ended[:-1]])
        is_full, is_clear = (rows.flags & Flag.SNAPSHOT) != 0, rows.action == Action.CLEAR
        begins = is_full[1:] & (is_later | has_ended[:-1] | ~is_full[:-1])
        self._book.uncleared.add(times[1:][begins & ~is_clear[1:] & ~is_clear[:-1]])

    def _trade_blocks(self, progress: Progress) -> Iterator[TradeBlock]:
        recent = RecentIds()
        for block in self._blocks(self._trade_files, self._tape_span, progress):
            self._trades.duplicated_ids.add(block.ts_init[recent.repeated(block.trade_id)])
            self._trades.unknown_takers += int((block.aggressor == Side.NONE).sum())
            yield block

    def _judge_book(self) -> None:
        book, name = self._book, self._spec.instrument_id
        if not book.rows:
            return
        for kind, seen, words in (
            ("unsorted", book.unsorted, "book changes earlier than the previous one"),
            ("gap", book.gaps, f"silences of the book, the longest {book.longest_gap_seconds:.1f} s"),
            ("crossed", book.crossed, "crossed states of the book"),
            ("unfinished", book.unfinished, "groups of book changes without the last-flag"),
            ("uncleared", book.uncleared, "snapshots that do not clear the previous book"),
        ):
            if seen.count:
                self._problem(kind, f"{name} has {words}: {seen}")
        if not book.starts_clear:
            self._problem(
                "no_snapshot", f"{name} does not start with a snapshot; its first book is incomplete"
            )
        longest = f"the longest {book.longest_break_seconds:.1f} s"
        self._note(book.breaks.count, f"breaks that its data announces, {longest}: {book.breaks}")
        self._note(book.one_sided.count, f"states of the book with an empty side: {book.one_sided}")
        unknown = book.unknown_deletes
        self._note(unknown, f"deletes of levels that were not in the book: {unknown:,}")

    def _judge_trades(self, outside: OutsideTrades) -> None:
        trades, name = self._trades, self._spec.instrument_id
        if trades.unsorted.count:
            self._problem("unsorted", f"{name} has trades earlier than the previous one: {trades.unsorted}")
        if trades.duplicated_ids.count:
            self._problem("duplicated_id", f"{name} has trades with a repeated id: {trades.duplicated_ids}")
        if outside.count and self._book.complete:
            text = f"{name} has trades outside the book: {outside}, up to {outside.farthest_bps:.1f} bps away"
            text += f" from what it showed within {outside.window_seconds:.3g} s of them"
            self._problem("outside_book", text)
        unknown, alone = trades.unknown_takers, trades.rows - outside.compared
        self._note(unknown, f"trades without a known taker: {unknown:,}")
        longest = f"the longest {trades.longest_gap_seconds:.1f} s"
        self._note(trades.gaps.count, f"silences of the tape, {longest}: {trades.gaps}")
        self._note(alone, f"trades without a book to compare them with: {alone:,}")

    def _note(self, count: int, words: str) -> None:
        if count:
            self._notes.append(f"{self._spec.instrument_id} has {words}")


# -- Trades beside the book ---------------------------------------------------------------------------------


def _book_pace(files: Sequence[CatalogFile], gap: float) -> int:
    """Return how long a book is silent at most at 95 % of all moments, silences beyond `gap` left aside, nanoseconds.

    Only times of the files, which are in time order, are read, with flat memory. Reading ends at the first damage,
    which is reported elsewhere.
    """
    edges = np.append(0, np.exp2(np.arange(0, 64 * _BINS_PER_OCTAVE) / _BINS_PER_OCTAVE))
    lengths = np.zeros(len(edges) + 1)
    last: int | None = None
    with suppress(DataError):
        for file in files:
            for batch in read_batches(file.path, ["ts_init"]):
                times = batch.column(0).cast(pa.int64()).to_numpy()
                steps = np.diff(times, prepend=times[:1] if last is None else last)
                steps = steps[(steps > 0) & (steps <= gap)]
                lengths += np.bincount(np.searchsorted(edges, steps), steps, len(lengths))
                last = int(times[-1])
    reached = np.cumsum(lengths)
    return int(edges[np.searchsorted(reached, _PACE_SHARE * reached[-1])]) if reached[-1] else 0


class _TapeComparison:
    """Compare each trade with every touch the book showed around its time; blocks of trades are in time order.

    A trade is outside when its price is below the lowest best bid or above the highest best ask shown from
    `lag` before it to `lag` after it (nanoseconds), by more than the tolerance, and by more than two ticks. Both
    allowances are needed on real recordings: the two feeds run separately, and a book that is published now and then
    hides what happened in between. Trades within a `gap` of the book (nanoseconds), or beyond its ends, have nothing to
    be compared with.
    """

    def __init__(self, trades: Iterator[TradeBlock], lag: int, gap: float, tolerance_bps: float) -> None:
        self._trades = trades
        self._lag, self._gap, self._tolerance = lag, gap, tolerance_bps / 10_000
        self._edge = min(lag, _EDGE_NS)
        self._times: Ints = np.empty(0, dtype=np.int64)
        self._bids: Ints = np.empty(0, dtype=np.int64)
        self._asks: Ints = np.empty(0, dtype=np.int64)
        self._waiting = next(trades, None)
        self.outside = OutsideTrades(window_seconds=lag / 1e9)

    def follow(self, tops: GroupTops) -> None:
        """Take the book's next states and compare the trades that are fully covered by now."""
        both = (tops.bid > 0) & (tops.ask > 0)
        self._times = np.append(self._times, np.maximum.accumulate(tops.ts_init[both]))
        self._bids = np.append(self._bids, tops.bid[both])
        self._asks = np.append(self._asks, tops.ask[both])
        if len(self._times):
            self._compare_until(int(self._times[-1]) - self._lag)

    def finish(self) -> OutsideTrades:
        """Compare what is left, after the last state of the book."""
        self._compare_until(np.iinfo(np.int64).max)
        return self.outside

    def _compare_until(self, horizon: int) -> None:
        while self._waiting is not None:
            times = np.maximum.accumulate(self._waiting.ts_init)
            covered = int(np.searchsorted(times, horizon, side="right"))
            self._compare(times[:covered], self._waiting.price_ticks[:covered])
            if covered < len(times):
                self._waiting = self._waiting.slice(covered, len(times))
                # The state in force at the next window's start was shown before it, so one earlier state stays.
                next_start = int(times[covered]) - self._lag
                keep = max(0, int(np.searchsorted(self._times, next_start, side="right")) - 1)
                self._times, self._bids, self._asks = self._times[keep:], self._bids[keep:], self._asks[keep:]
                return
            self._waiting = next(self._trades, None)

    def _compare(self, times: Ints, prices: Ints) -> None:
        low = np.maximum(np.searchsorted(self._times, times - self._lag, side="right") - 1, 0)
        high = np.searchsorted(self._times, times + self._lag, side="right")
        known = (high > low) & self._is_live(times)
        if not known.any():
            return
        times, prices, low, high = times[known], prices[known], low[known], high[known]
        bids = _windows(np.minimum, self._bids, low, high)
        asks = _windows(np.maximum, self._asks, low, high)
        beyond = np.maximum(np.maximum(prices - asks, bids - prices), 0)
        outside = beyond > np.maximum(_TOLERANCE_TICKS, prices * self._tolerance)
        found = self.outside
        found.compared += len(times)
        found.farthest_bps = max(found.farthest_bps, float((beyond / prices).max()) * 10_000)
        found.add(times[outside])

    def _is_live(self, times: Ints) -> NDArray[np.bool_]:
        """Return for each time whether the book was live then: between two states and in no gap, or close to one."""
        place = np.searchsorted(self._times, times, side="right")
        far = np.iinfo(np.int64).max // 4
        padded = np.concatenate([[-far], self._times, [far]])
        before, after = times - padded[place], padded[place + 1] - times
        live: NDArray[np.bool_] = np.minimum(before, after) <= np.where(
            before + after <= self._gap, self._gap, self._edge
        )
        return live


def _windows(reduce: np.ufunc, values: Ints, low: Ints, high: Ints) -> Ints:
    """Reduce ``values[low:high]`` for every pair of bounds; each window holds at least one value."""
    padded = np.append(values, values[-1])
    bounds = np.column_stack([low, high]).ravel()
    reduced: Ints = reduce.reduceat(padded, bounds)[::2]
    return reduced
