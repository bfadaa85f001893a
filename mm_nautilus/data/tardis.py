"""Import of Tardis CSV files (`incremental_book_L2` and `trades`) into a catalog."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mm_nautilus.data.catalog import format_time
from mm_nautilus.data.catalog_writer import CatalogWriter, staged_catalog
from mm_nautilus.data.csv_files import CsvKind, detect_kind, first_row
from mm_nautilus.data.csv_rows import Stretch, read_rows
from mm_nautilus.data.findings import SHOWN_ROWS, Finding, FindingKind, Findings
from mm_nautilus.data.row_streams import BookStream, TradeStream
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, TradeBlock

__all__ = ["FileReport", "ImportReport", "import_tardis"]

type OnBadRows = Literal["refuse", "skip"]
type OffLotSizes = Literal["refuse", "round_down"]
type OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one CSV file came to.

    Parameters
    ----------
    path
        The file.
    kind
        What its header said.
    rows_read, rows_kept
        Rows after the header, and how many of them are in the catalog.
    first, last
        Times of its first and last well-formed row (`ts_init`, nanoseconds), or None if it has none.
    """

    path: Path
    kind: CsvKind
    rows_read: int
    rows_kept: int
    first: int | None
    last: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind.value,
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "first": None if self.first is None else format_time(self.first),
            "last": None if self.last is None else format_time(self.last),
        }


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Parameters
    ----------
    instrument_id
        The instrument the rows were stored as.
    exchange, source_symbol
        What the files call it.
    files
        One entry a file, in the order they were read.
    findings
        Everything remarkable, with counts and the first line numbers.
    deltas, trades
        Rows written; the deltas include one clear row a snapshot.
    groups, snapshots
        Messages (rows with the same local time), and how many snapshots they hold.
    """

    instrument_id: str
    exchange: str
    source_symbol: str
    files: tuple[FileReport, ...]
    findings: tuple[Finding, ...]
    deltas: int
    trades: int
    groups: int
    snapshots: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "instrument_id": self.instrument_id,
            "exchange": self.exchange,
            "source_symbol": self.source_symbol,
            "deltas": self.deltas,
            "trades": self.trades,
            "groups": self.groups,
            "snapshots": self.snapshots,
            "files": [file.to_dict() for file in self.files],
            "findings": [finding.to_dict() for finding in self.findings],
        }


def import_tardis(
    files: Sequence[Path],
    spec: InstrumentSpec,
    target: Path,
    *,
    on_bad_rows: OnBadRows = "refuse",
    source_symbol: str | None = None,
    off_lot_sizes: OffLotSizes = "refuse",
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import CSV files of one instrument into a catalog, whole or not at all.

    Parameters
    ----------
    files
        Plain or gzip files, in any order; a file's kind is read from its header.
    spec
        The instrument to store the rows as.
    target
        The catalog's folder; created, or extended if it exists.
    on_bad_rows
        ``refuse`` stops with every file's first bad rows; ``skip`` leaves bad rows out and reports them.
        Crossed states cannot be left out: under ``skip`` they are kept and reported.
    source_symbol
        The symbol the files must name; None takes the one of the first row and holds all others to it.
    off_lot_sizes
        What to do with a size that is no whole number of lots, such as the rest of an order older than a
        change of the venue's lot: ``refuse`` makes it a malformed row, ``round_down`` keeps the whole lots
        and reports it. A size below one lot becomes 0: a delete in a book, a malformed row in a tape.
    on_progress
        Called with bytes read and bytes in all, of the files as stored.

    Raises
    ------
    DataError
        If a file is missing, empty, cut off, damaged or of another format; files overlap; rows are bad and
        `on_bad_rows` is ``refuse``; no usable row is left, or none of the files has a row; or the catalog already
        holds data of that time.
    """
    job = _Import(
        spec,
        skip=on_bad_rows == "skip",
        round_sizes_down=off_lot_sizes == "round_down",
        on_progress=on_progress,
    )
    plan, (exchange, symbol) = _plan(files)
    source = (exchange, source_symbol or symbol)
    with staged_catalog(target) as writer:
        return job.run(plan, source, writer)


def _plan(files: Sequence[Path]) -> tuple[list[tuple[Path, CsvKind]], tuple[str, str]]:
    """Return the files in the order to read them, and what the first row calls exchange and symbol."""
    if not files:
        raise DataError("no files to import were given")
    entries = [(detect_kind(path), first_row(path), path) for path in files]
    entries.sort(key=lambda entry: (entry[0], entry[1][3] if entry[1] else "", entry[2].name))
    rows = [row for _, row, _ in entries if row is not None]
    if not rows:
        raise DataError(f"there is nothing to import, {', '.join(map(str, files))} hold headers and no rows")
    return [(path, kind) for kind, _, path in entries], (rows[0][0], rows[0][1])


class _Import:
    """One import's state while its files go by."""

    def __init__(
        self,
        spec: InstrumentSpec,
        *,
        skip: bool,
        round_sizes_down: bool,
        on_progress: OnProgress | None,
    ) -> None:
        self._spec, self._skip, self._round_sizes_down = spec, skip, round_sizes_down
        self._on_progress = on_progress
        self._findings = Findings()
        self._book = BookStream(spec, self._findings, self._write_deltas)
        self._tape = TradeStream(self._findings, self._write_trades)
        self._writer: CatalogWriter
        self._deltas = self._trades = 0
        self._bytes_done = self._bytes_total = 0

    def run(
        self, plan: Sequence[tuple[Path, CsvKind]], source: tuple[str, str], writer: CatalogWriter
    ) -> ImportReport:
        """Read every file of the plan and write what is good."""
        self._writer = writer
        self._bytes_total = sum(path.stat().st_size for path, _ in plan)
        writer.write_instrument(self._spec)
        reports = [self._read_file(path, kind, source) for path, kind in plan]
        self._refuse_bad_rows()
        self._refuse_nothing(reports)
        return ImportReport(
            instrument_id=self._spec.instrument_id,
            exchange=source[0],
            source_symbol=source[1],
            files=tuple(reports),
            findings=tuple(self._findings.all()),
            deltas=self._deltas,
            trades=self._trades,
            groups=self._book.groups,
            snapshots=self._book.snapshots,
        )

    def _read_file(self, path: Path, kind: CsvKind, source: tuple[str, str]) -> FileReport:
        stream = self._book if kind is CsvKind.BOOK else self._tape
        stream.start_file(path)
        rows_read = rows_kept = 0
        first: int | None = None
        last: int | None = None
        for stretch in self._stretches(path, kind, source):
            rows = stretch.rows
            rows_read += len(rows) + len(stretch.bad_lines)
            rows_kept += stream.feed(rows)
            if len(rows):
                first = int(rows.ts_init[0]) if first is None else first
                last = int(rows.ts_init[-1])
            self._progress(stretch.bytes_read)
        stream.end_file()
        if not rows_read:
            self._findings.count(path, FindingKind.NO_ROWS, 1)
        self._bytes_done += path.stat().st_size
        return FileReport(path, kind, rows_read, rows_kept, first, last)

    def _stretches(self, path: Path, kind: CsvKind, source: tuple[str, str]) -> Iterator[Stretch]:
        for stretch in read_rows(
            path, kind, self._spec, source, round_sizes_down=self._round_sizes_down, reasons_wanted=SHOWN_ROWS
        ):
            add = self._findings.add
            add(path, FindingKind.MALFORMED, stretch.bad_lines, stretch.reasons.__getitem__)
            add(path, FindingKind.ROUNDED_SIZE, stretch.rounded_lines, stretch.rounded_texts.__getitem__)
            if not stretch.terminated:
                self._findings.count(path, FindingKind.UNTERMINATED, 1)
            yield stretch

    def _progress(self, bytes_read: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._bytes_done + bytes_read, self._bytes_total)

    def _refused(self) -> list[Finding]:
        return [] if self._skip else self._findings.refused()

    def _write_deltas(self, block: DeltaBlock) -> None:
        if not self._refused():
            self._writer.write_deltas(self._spec, block)
        self._deltas += len(block)

    def _write_trades(self, block: TradeBlock) -> None:
        if not self._refused():
            self._writer.write_trades(self._spec, block)
        self._trades += len(block)

    def _refuse_bad_rows(self) -> None:
        refused = self._refused()
        if refused:
            raise DataError("\n".join(finding.message for finding in refused))

    def _refuse_nothing(self, reports: Sequence[FileReport]) -> None:
        empty = [str(report.path) for report in reports if report.rows_read and not report.rows_kept]
        if empty:
            found = [finding.message for finding in self._findings.all() if finding.kind.refused]
            raise DataError("\n".join([f"no usable row is left of {', '.join(empty)}", *found]))
