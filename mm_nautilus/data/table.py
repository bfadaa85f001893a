"""Tables, CSV or Parquet, by a map of their columns."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from mm_nautilus.data.column_map import ColumnMap
from mm_nautilus.data.csv_files import FIRST_LINES, blocks, first_lines, opened, shown, was
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, RowBlock, RowKind, SourceFile
from mm_nautilus.data.table_columns import as_text, settled_unit, time_rule, times
from mm_nautilus.data.table_rows import TableBlock, TableRows
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Ints
from mm_nautilus.system.near_names import nearest

PARQUET: Final = b"PAR1"
_PARQUET_ROWS: Final = 65_536
_SHOWN_HEADER: Final = 120


class TableReader:
    """Read CSV and Parquet files whose columns one of some maps describes.

    Parameters
    ----------
    maps
        The first one that fits a file's header, or its first row where it has none, is that file's.
    format_name
        What the format is called in messages.
    """

    def __init__(self, maps: Sequence[ColumnMap], format_name: str = "table") -> None:
        self._maps, self._format = maps, format_name
        self._found: dict[Path, _Layout] = {}

    def fits(self, lines: Sequence[str]) -> bool:
        """Return whether a map has exactly the columns of a file that begins with these lines."""
        return bool(lines) and any(_begins_like(columns, lines[0]) for columns in self._maps)

    def inspect(self, path: Path) -> SourceFile:
        """Describe a file by its header and its first row that is well shaped."""
        layout = _parquet_layout(path, self._maps) if _is_parquet(path) else self._csv_layout(path)
        columns = layout.columns
        self._found[path] = layout
        exchange, symbol = (
            "" if name is None else layout.first.get(name, "") for name in (columns.exchange, columns.symbol)
        )
        return SourceFile(
            path,
            (columns.row_kind,),
            columns.name,
            layout.first_ns,
            (exchange, symbol),
            columns.notes(),
            columns.received is None,
            columns.words(layout.units[1]),
            layout.place,
        )

    def _csv_layout(self, path: Path) -> "_Layout":
        lines = first_lines(path)
        if lines and "\0" in lines[0]:
            raise DataError(f"{path} must be UTF-8 text, was UTF-16 or no text; save it as UTF-8")
        if not lines or lines == [""]:
            start = "its header" if self._maps[0].columns is None or len(self._maps) > 1 else "a row"
            raise DataError(f"{path} is empty; a {self._format} file starts with {start}")
        columns = self._chosen(path, lines[0])
        if columns.refused is not None:
            raise DataError(
                f"{path} is a file of {columns.name}, which cannot be imported: {columns.refused}"
            )
        has_header = columns.columns is None or _is_header(columns, lines[0])
        names = lines[0].split(",") if has_header else columns.columns or []
        _refuse_missing(path, columns, names)
        layout = _Layout(columns, names, has_header=has_header)
        layout.take_first(path, lines)
        return layout

    def _chosen(self, path: Path, line: str) -> ColumnMap:
        for columns in self._maps:
            if _begins_like(columns, line):
                return columns
        only = self._maps[0] if len(self._maps) == 1 else None
        if only is not None and (only.columns is None or _is_header(only, line) or line[:1].isdigit()):
            return only
        usable = [columns for columns in self._maps if columns.refused is None]
        headers = [",".join(columns.columns or []) for columns in usable]
        texts = [f"`{text}`" if len(text) <= _SHOWN_HEADER else "" for text in headers]
        names = [text or f"that of {columns.name}" for text, columns in zip(texts, usable, strict=True)]
        own = "" if len(self._maps) == 1 else "; a table of your own needs --map FILE"
        raise DataError(
            f"{path} is no {self._format} file this command reads: its first line must be "
            f"{' or '.join(names)}, was `{shown(line, _SHOWN_HEADER)}`{own}"
        )

    def read(self, file: SourceFile, fit: Fit) -> Iterator[RowBlock]:
        """Yield a file's rows in blocks of some megabytes of text, or some ten thousand rows of Parquet."""
        layout = self._found[file.path]
        rows = TableRows(file, layout.columns, layout.units, fit)
        is_book = file.kinds == (RowKind.BOOK,)
        found = _parquet_blocks(file, layout) if file.place == "row" else _csv_blocks(file, layout)
        with closing(_ahead(found)) as blocks_ahead:
            for block, count, bytes_read in blocks_ahead:
                given = rows.rows(block)
                yield RowBlock(count, bytes_read, *((given, None) if is_book else (None, given)))
                if block.is_cut:
                    fit.findings.count(file.path, FindingKind.UNTERMINATED, 1)


class _Layout:
    """Which map a file has, what its columns are called, and its first row."""

    def __init__(self, columns: ColumnMap, names: Sequence[str], *, has_header: bool) -> None:
        self.columns, self.names, self.has_header = columns, list(names), has_header
        self.units: tuple[str, str] = columns.time_unit, columns.local[1]
        """Of exchange and local time."""
        self.place: Literal["line", "row"] = "line"
        self.first: dict[str, str] = {}
        """Empty where there is none, as `first_ns` is None then."""
        self.first_ns: int | None = None

    def take_first(self, path: Path, lines: Sequence[str]) -> None:
        """Keep the first row that is well shaped; a `DataError` says why there is none."""
        problem = None
        for number, text in enumerate(lines[self.has_header :], self.has_header + 1):
            if not text:
                continue
            wrong = self.shape_problem(text) or self._time_problem(text)
            if wrong is None:
                self.first = dict(zip(self.names, text.split(","), strict=True))
                local = pa.array([self.first[self.columns.local[0]]])
                self.first_ns = int(times(local, self.units[1]).values[0])
                return
            problem = problem or f"line {number}: {wrong}"
        if problem is not None:
            raise DataError(f"{path} holds no readable row in its first {FIRST_LINES} lines; {problem}")

    def settle_units(self, row: Mapping[str, str]) -> None:
        """Decide by the first row on a unit that the map leaves open."""
        event, local = row.get(self.columns.time or "", ""), row[self.columns.local[0]]
        self.units = settled_unit(self.units[0], event), settled_unit(self.units[1], local)

    def shape_problem(self, text: str) -> str | None:
        """Return what keeps a line from being a row with the right number of fields, None where it is one."""
        if not text:
            return "the line is empty"
        count = text.count(",") + 1
        if count != len(self.names):
            return f"a row has {len(self.names)} fields, was {count}: `{shown(text)}`"
        return None

    def _time_problem(self, text: str) -> str | None:
        row = dict(zip(self.names, text.split(","), strict=True))
        columns = self.columns
        self.settle_units(row)
        for name, unit in zip((columns.time, columns.received), self.units, strict=True):
            rule = None if name is None else time_rule(row[name], unit)
            if rule is not None and name is not None:
                return f"{name} must be {rule}, {was(row[name])}"
        return None


def _begins_like(columns: ColumnMap, line: str) -> bool:
    """Return whether a map's columns are those of the header, or of a first row that has none."""
    if columns.columns is None:
        return False
    texts = line.split(",")
    if texts == columns.columns:
        return True
    if columns.refused is not None or len(texts) != len(columns.columns):
        return False
    row, (name, unit) = dict(zip(columns.columns, texts, strict=True)), columns.local
    if time_rule(row[name], settled_unit(unit, row[name])) is not None:
        return False
    return columns.side is None or row[columns.side] in columns.sides()


def _is_header(columns: ColumnMap, line: str) -> bool:
    return set(line.split(",")) <= set(columns.columns or []) or set(columns.wanted()) <= set(line.split(","))


def _refuse_missing(path: Path, columns: ColumnMap, names: Sequence[str]) -> None:
    if len(names) == 1 and len(columns.wanted()) > 1 and not _is_parquet(path):
        raise DataError(
            f"{path} must be UTF-8 text with commas between fields: its first line is one field, "
            f"{was(names[0])}"
        )
    if any(name.startswith('"') for name in names):
        raise DataError(f"{path} must have fields without quotes, {was(','.join(names))}")
    texts = []
    for wanted in columns.wanted():
        if wanted in names:
            if list(names).count(wanted) > 1:
                texts.append(f"{path}: column {wanted} must be there once, was twice")
            continue
        likely = nearest(wanted, names)
        hint = (
            f"did you mean {shown(likely)}?"
            if likely
            else f"there are {shown(', '.join(names), _SHOWN_HEADER)}"
        )
        texts.append(f"{path} has no column {wanted}, which its map names ({hint})")
    if texts:
        raise DataError("\n".join(texts))


def _ahead[Item](items: Iterator[Item]) -> Generator[Item]:
    """Yield items, the next of which is made in another thread while the last one is used."""
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = other.submit(next, items, None)
            yield item


# -- CSV ----------------------------------------------------------------------------------------------------


def _csv_blocks(file: SourceFile, layout: _Layout) -> Iterator[tuple[TableBlock, int, int]]:
    line = 1 + layout.has_header
    for text, bytes_read, terminated in blocks(file.path, has_header=layout.has_header):
        count = text.count(b"\n")
        block = _csv_block(file.path, layout, text, line, count)
        yield replace(block, is_cut=not terminated), count, bytes_read
        line += count


def _csv_block(path: Path, layout: _Layout, text: bytes, first_line: int, count: int) -> TableBlock:
    misshapen: list[int] = []

    def note(row: Any) -> Literal["skip"]:
        misshapen.append(first_line + row.number - 1)
        return "skip"

    columns, names = layout.columns, layout.names
    few, many = pa.dictionary(pa.int32(), pa.binary()), pa.binary()
    repeated = {columns.exchange, columns.symbol, columns.side, columns.snapshot, columns.price}
    types = {name: few if name in repeated else many for name in columns.wanted()}
    plain = text.replace(b"\r\n", b"\n") if b"\r" in text else text
    if not plain.isascii():
        # The reader fails on bytes that are no UTF-8; the fields that have them are malformed.
        plain = plain.decode(errors="replace").encode()
    keys = {name: str(names.index(name)) for name in types}
    source: Any = pa.BufferReader(plain)
    table = arrow_csv.read_csv(
        source,
        read_options=arrow_csv.ReadOptions(
            column_names=[str(number) for number in range(len(names))],
            use_threads=False,
            block_size=len(plain) + 1,
        ),
        parse_options=arrow_csv.ParseOptions(
            quote_char=False, ignore_empty_lines=False, invalid_row_handler=note
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types={keys[name]: kind for name, kind in types.items()},
            include_columns=list(keys.values()),
            check_utf8=False,
            strings_can_be_null=False,
        ),
    )
    if table.num_rows + len(misshapen) != count:
        last = first_line + count - 1
        raise DataError(
            f"{path} has a carriage return inside a line between lines {first_line} and {last}; "
            "lines must end with a line feed"
        )
    bad = np.array(misshapen, dtype=np.int64)

    def shape(number: int) -> str | None:
        row = number - first_line
        wrong = text.split(b"\n", row + 1)[row].decode(errors="replace").rstrip("\r")
        return layout.shape_problem(wrong)

    found = {name: table.column(key).combine_chunks() for name, key in keys.items()}
    return TableBlock(
        found, np.delete(np.arange(first_line, first_line + count), bad - first_line), bad, shape
    )


# -- Parquet ------------------------------------------------------------------------------------------------


def _is_parquet(path: Path) -> bool:
    with opened(path) as (stored, _):
        return stored.peek(4)[:4] == PARQUET


def _parquet_layout(path: Path, maps: Sequence[ColumnMap]) -> _Layout:
    columns = maps[0]
    with _parquet(path) as file:
        names = file.schema_arrow.names
        if len(maps) > 1 and not set(columns.wanted()) <= set(names):
            raise DataError(f"{path} is a Parquet table, whose columns only a map tells; it needs --map FILE")
        _refuse_missing(path, columns, names)
        layout = _Layout(columns, names, has_header=True)
        layout.place = "row"
        for name in (columns.time, columns.received):
            kind = None if name is None else file.schema_arrow.field(name).type
            if kind is not None and not (
                _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
            ):
                raise DataError(
                    f"{path}: column {name} must be whole numbers, texts or timestamps to be a time, was {kind}"
                )
        first = next(file.iter_batches(1, columns=columns.wanted()), None)
    if first is None or not first.num_rows:
        return layout
    row = {name: first.column(name) for name in columns.wanted()}
    layout.first = {name: as_text(column, 0) for name, column in row.items()}
    layout.settle_units(layout.first)
    layout.first_ns = int(times(row[columns.local[0]], layout.units[1]).values[0])
    return layout


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; a failure to read within the block becomes a `DataError`."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is cut off or damaged ({reason}); download it again") from error


def _parquet_blocks(file: SourceFile, layout: _Layout) -> Iterator[tuple[TableBlock, int, int]]:
    size, none = file.path.stat().st_size, np.array([], dtype=np.int64)
    names, first = layout.columns.wanted(), 1
    with _parquet(file.path) as parquet:
        total = parquet.metadata.num_rows
        for batch in parquet.iter_batches(_PARQUET_ROWS, columns=names):
            line: Ints = np.arange(first, first + batch.num_rows)
            first += batch.num_rows
            found = {name: _words(batch.column(name)) for name in names}
            done = size * (first - 1) // max(total, 1)
            yield TableBlock(found, line, none, lambda _: None), batch.num_rows, done


def _words(column: Any) -> Any:
    """Return a column with its texts as plain strings, and truths as the words that maps have for them."""
    plain = pa.types.is_boolean(column.type) or _is_text(column.type)
    return column.cast(pa.string()) if plain else column
