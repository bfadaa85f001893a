"""Import of files of one instrument into a catalog, whatever their format."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mm_nautilus.data.catalog_files import OnProgress, format_time
from mm_nautilus.data.catalog_writer import CatalogWriter, staged_catalog
from mm_nautilus.data.findings import Finding, FindingKind, Findings
from mm_nautilus.data.reader import Fit, Reader, RowKind, SourceFile
from mm_nautilus.data.row_streams import BookStream, TradeStream
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, TradeBlock
from mm_nautilus.system.store_url import CatalogPath

type OnBadRows = Literal["refuse", "skip"]
type OffLotSizes = Literal["refuse", "round_down"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one file came to."""

    path: Path
    kind: str
    """What its format calls this kind of file."""
    rows_read: int
    """All its rows, without a header."""
    rows_kept: int
    """How many of them are in the catalog."""
    first: int | None
    last: int | None
    """Times of its first and last well-formed row (`ts_init`, nanoseconds), or None if it has none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        times = {"first": self.first, "last": self.last}
        texts = {name: None if time is None else format_time(time) for name, time in times.items()}
        return {**asdict(self), "path": str(self.path), **texts}


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
    notes: tuple[str, ...]
    """What the files lack and which rules stood in for it, a sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "files": [file.to_dict() for file in self.files],
            "findings": [finding.to_dict() for finding in self.findings],
        }


def import_files(
    reader: Reader,
    files: Sequence[Path],
    spec: InstrumentSpec,
    target: CatalogPath,
    *,
    on_bad_rows: OnBadRows = "refuse",
    source_symbol: str | None = None,
    off_lot_sizes: OffLotSizes = "refuse",
    latency_ns: int | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import files of one instrument into a catalog, whole or not at all.

    Parameters
    ----------
    reader
        Reads the files' format.
    files
        In any order.
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
    latency_ns
        How long after its one time a row of a format with one clock is received, nanoseconds; None for 0.
    on_progress
        Called with bytes read and bytes in all, of the files as stored.

    Raises
    ------
    DataError
        If a file is missing, empty, cut off, damaged or of another format; files overlap; rows are bad and
        `on_bad_rows` is ``refuse``; no usable row is left, or none of the files has a row; a latency is given for a
        format with two clocks; or the catalog already holds data of that time.
    """
    plan = _plan(reader, files)
    if latency_ns is not None and (both := [str(file.path) for file in plan if not file.has_one_clock]):
        raise DataError(
            f"a latency is added to files with one time a row; exchange and local time are both in {', '.join(both)}"
        )
    exchange, symbol = (
        next((file.source[part] for file in plan if file.source[part]), "") for part in (0, 1)
    )
    with staged_catalog(target) as writer:
        findings = Findings()
        named, round_down = source_symbol or symbol, off_lot_sizes == "round_down"
        fit = Fit(spec, (exchange, named), findings, round_down, symbol_is_given=source_symbol is not None)
        job = _Import(reader, fit, writer, skip=on_bad_rows == "skip", latency_ns=latency_ns or 0)
        return job.run(plan, on_progress or (lambda _done, _total: None))


def _plan(reader: Reader, files: Sequence[Path]) -> list[SourceFile]:
    """Return the files in the order to read them."""
    if not files:
        raise DataError("no files to import were given")
    plan = [reader.inspect(path) for path in files]
    if all(file.first_ns is None for file in plan):
        raise DataError(f"there is nothing to import: no rows, only headers, in {', '.join(map(str, files))}")
    return sorted(plan, key=lambda file: (file.kinds, file.first_ns or 0, file.path.name))


class _Import:
    """One import's state while its files go by."""

    def __init__(
        self, reader: Reader, fit: Fit, writer: CatalogWriter, *, skip: bool, latency_ns: int
    ) -> None:
        self._reader, self._fit, self._writer = reader, fit, writer
        self._skip, self._latency_ns = skip, latency_ns
        self._findings = fit.findings
        self._streams = {
            RowKind.BOOK: (book := BookStream(fit.spec, fit.findings, self._write)),
            RowKind.TRADES: TradeStream(fit.findings, self._write),
        }
        self._book = book
        self._written = {DeltaBlock: 0, TradeBlock: 0}
        self._notes: dict[type, tuple[str, ...]] = {}
        self._thread = ThreadPoolExecutor(1, "import-writer")
        self._unwritten: Future[None] | None = None

    def run(self, plan: Sequence[SourceFile], on_progress: OnProgress) -> ImportReport:
        """Read every file of the plan and write what is good."""
        sizes = [file.path.stat().st_size for file in plan]
        self._writer.write_instrument(self._fit.spec)
        latency = f"latency added to the one clock: {self._latency_ns / 1e6:g} ms"
        for block_type, kind in ((DeltaBlock, RowKind.BOOK), (TradeBlock, RowKind.TRADES)):
            files = [file for file in plan if kind in file.kinds and file.first_ns is not None]
            notes = (
                note for file in files for note in (*file.notes, *([latency] if file.has_one_clock else []))
            )
            self._notes[block_type] = tuple(dict.fromkeys(notes))
        reports = []
        with self._thread:
            for number, file in enumerate(plan):
                done, total = sum(sizes[:number]), sum(sizes)
                reports.append(self._read_file(file, lambda read: on_progress(done + read, total)))  # noqa: B023
            self._end_write()
        self._refuse(reports)
        return ImportReport(
            self._fit.spec.instrument_id,
            *self._fit.source,
            deltas=self._written[DeltaBlock],
            trades=self._written[TradeBlock],
            groups=self._book.groups,
            snapshots=self._book.snapshots,
            files=tuple(reports),
            findings=tuple(self._findings.all()),
            notes=tuple(dict.fromkeys(note for notes in self._notes.values() for note in notes)),
        )

    def _read_file(self, file: SourceFile, on_progress: Callable[[int], None]) -> FileReport:
        self._findings.name_places(file.path, file.place)
        for kind in file.kinds:
            self._streams[kind].start_file(file)
        rows_read = rows_kept = 0
        times: list[int] = []
        for block in self._reader.read(file, self._fit):
            rows_read += block.rows_read
            given = {RowKind.BOOK: block.book, RowKind.TRADES: block.trades}
            for kind in file.kinds:
                rows = given[kind]
                if rows is not None and len(rows):
                    rows_kept += self._streams[kind].feed(rows)
                    times += [int(rows.ts_init[0]), int(rows.ts_init[-1])]
            times = [*times[:1], *times[-1:]]
            on_progress(block.bytes_read)
        for kind in file.kinds:
            self._streams[kind].end_file()
        if not rows_read:
            self._findings.count(file.path, FindingKind.NO_ROWS, 1)
        elif self._fit.symbol_is_given and not file.source[1]:
            self._findings.count(file.path, FindingKind.UNNAMED_SYMBOL, rows_read)
        first, last = (time + self._latency_ns for time in (times[0], times[-1])) if times else (None, None)
        return FileReport(file.path, file.label, rows_read, rows_kept, first, last)

    def _write(self, block: DeltaBlock | TradeBlock) -> None:
        if self._latency_ns:
            block = replace(block, ts_init=block.ts_init + self._latency_ns)
        if self._skip or not self._findings.refused():
            self._end_write()
            self._unwritten = self._thread.submit(
                self._writer.write_block, self._fit.spec, block, self._notes[type(block)]
            )
        self._written[type(block)] += len(block)

    def _end_write(self) -> None:
        """Wait until the last block is written, which goes on while the next one is checked; raises its error."""
        if self._unwritten is not None:
            self._unwritten.result()

    def _refuse(self, reports: Sequence[FileReport]) -> None:
        """Refuse bad rows, unless they are skipped, and files of which nothing is left."""
        refused = [finding.message for finding in self._findings.refused()]
        if refused and not self._skip:
            raise DataError("\n".join(refused))
        empty = [str(report.path) for report in reports if report.rows_read and not report.rows_kept]
        if empty:
            raise DataError("\n".join([f"no usable row is left of {', '.join(empty)}", *refused]))
