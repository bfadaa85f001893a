"""Import of Tardis CSV files (`incremental_book_L2` and `trades`) into a catalog."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mm_nautilus.data.catalog_files import OnProgress, format_time
from mm_nautilus.data.catalog_writer import CatalogWriter, staged_catalog
from mm_nautilus.data.csv_files import CsvKind, inspect
from mm_nautilus.data.csv_rows import read_rows
from mm_nautilus.data.findings import Finding, FindingKind, Findings
from mm_nautilus.data.row_streams import BookStream, TradeStream
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, TradeBlock
from mm_nautilus.system.store_url import CatalogPath

type OnBadRows = Literal["refuse", "skip"]
type OffLotSizes = Literal["refuse", "round_down"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one CSV file came to."""

    path: Path
    kind: CsvKind
    rows_read: int
    """Rows after the header."""
    rows_kept: int
    """How many of them are in the catalog."""
    first: int | None
    last: int | None
    """Times of its first and last well-formed row (`ts_init`, nanoseconds), or None if it has none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        times = {"first": self.first, "last": self.last}
        texts = {name: None if time is None else format_time(time) for name, time in times.items()}
        return {**asdict(self), "path": str(self.path), "kind": self.kind.value, **texts}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    instrument_id: str
    exchange: str
    source_symbol: str
    """What the files call the exchange and the instrument."""
    deltas: int
    """Rows written, with one clear row per snapshot."""
    trades: int
    groups: int
    """Messages: rows with the same local time."""
    snapshots: int
    files: tuple[FileReport, ...]
    """In the order they were read."""
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "files": [file.to_dict() for file in self.files],
            "findings": [finding.to_dict() for finding in self.findings],
        }


def import_tardis(
    files: Sequence[Path],
    spec: InstrumentSpec,
    target: CatalogPath,
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
        The catalog's folder or its URL in a store; created, or extended if it exists.
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
    plan, (exchange, symbol) = _plan(files)
    source = (exchange, source_symbol or symbol)
    skip, round_sizes_down = on_bad_rows == "skip", off_lot_sizes == "round_down"
    with staged_catalog(target) as writer:
        job = _Import(spec, source, writer, skip=skip, round_sizes_down=round_sizes_down)
        return job.run(plan, on_progress or (lambda _done, _total: None))


def _plan(files: Sequence[Path]) -> tuple[list[tuple[Path, CsvKind]], tuple[str, str]]:
    """Return the files in the order to read them, and what the first row calls exchange and symbol."""
    if not files:
        raise DataError("no files to import were given")
    entries = [(*inspect(path), path) for path in files]
    entries.sort(key=lambda entry: (entry[0], entry[1][3] if entry[1] else "", entry[2].name))
    rows = [row for _, row, _ in entries if row is not None]
    if not rows:
        raise DataError(f"there is nothing to import: no rows, only headers, in {', '.join(map(str, files))}")
    return [(path, kind) for kind, _, path in entries], (rows[0][0], rows[0][1])


class _Import:
    """One import's state while its files go by."""

    def __init__(
        self,
        spec: InstrumentSpec,
        source: tuple[str, str],
        writer: CatalogWriter,
        *,
        skip: bool,
        round_sizes_down: bool,
    ) -> None:
        self._spec, self._source, self._skip, self._round_sizes_down = spec, source, skip, round_sizes_down
        self._writer = writer
        self._findings = Findings()
        self._book = BookStream(spec, self._findings, self._write)
        self._tape = TradeStream(self._findings, self._write)
        self._written = {DeltaBlock: 0, TradeBlock: 0}

    def run(self, plan: Sequence[tuple[Path, CsvKind]], on_progress: OnProgress) -> ImportReport:
        """Read every file of the plan and write what is good."""
        sizes = [path.stat().st_size for path, _ in plan]
        self._writer.write_instrument(self._spec)
        reports = []
        for number, (path, kind) in enumerate(plan):
            done, total = sum(sizes[:number]), sum(sizes)
            reports.append(self._read_file(path, kind, lambda read: on_progress(done + read, total)))  # noqa: B023
        self._refuse(reports)
        return ImportReport(
            self._spec.instrument_id,
            *self._source,
            deltas=self._written[DeltaBlock],
            trades=self._written[TradeBlock],
            groups=self._book.groups,
            snapshots=self._book.snapshots,
            files=tuple(reports),
            findings=tuple(self._findings.all()),
        )

    def _read_file(self, path: Path, kind: CsvKind, on_progress: Callable[[int], None]) -> FileReport:
        stream = self._book if kind is CsvKind.BOOK else self._tape
        stream.start_file(path)
        rows_read = rows_kept = 0
        times: list[int] = []
        for rows, count, bytes_read in read_rows(
            path, kind, self._spec, self._source, self._findings, round_sizes_down=self._round_sizes_down
        ):
            rows_read += count
            rows_kept += stream.feed(rows)
            if len(rows):
                times = [*times[:1], int(rows.ts_init[0]), int(rows.ts_init[-1])]
            on_progress(bytes_read)
        stream.end_file()
        if not rows_read:
            self._findings.count(path, FindingKind.NO_ROWS, 1)
        first, last = (times[0], times[-1]) if times else (None, None)
        return FileReport(path, kind, rows_read, rows_kept, first, last)

    def _write(self, block: DeltaBlock | TradeBlock) -> None:
        if self._skip or not self._findings.refused():
            self._writer.write_block(self._spec, block)
        self._written[type(block)] += len(block)

    def _refuse(self, reports: Sequence[FileReport]) -> None:
        """Refuse bad rows, unless they are skipped, and files of which nothing is left."""
        refused = [finding.message for finding in self._findings.refused()]
        if refused and not self._skip:
            raise DataError("\n".join(refused))
        empty = [str(report.path) for report in reports if report.rows_read and not report.rows_kept]
        if empty:
            raise DataError("\n".join([f"no usable row is left of {', '.join(empty)}", *refused]))
