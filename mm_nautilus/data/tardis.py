"""The Tardis format: CSV files `incremental_book_L2` and `trades`."""

from collections.abc import Iterator
from pathlib import Path

from mm_nautilus.data.csv_files import CsvKind, inspect
from mm_nautilus.data.csv_rows import read_rows
from mm_nautilus.data.reader import Fit, RowBlock, RowKind, SourceFile


class TardisReader:
    """Read Tardis CSV files, plain or gzipped; a file's kind is read from its header."""

    def inspect(self, path: Path) -> SourceFile:
        """Describe a file by its header and its first row that is well shaped."""
        kind, row = inspect(path)
        kinds = (RowKind.BOOK if kind is CsvKind.BOOK else RowKind.TRADES,)
        if row is None:
            return SourceFile(path, kinds, kind.value, None)
        return SourceFile(path, kinds, kind.value, int(row[3]) * 1000, (row[0], row[1]))

    def read(self, file: SourceFile, fit: Fit) -> Iterator[RowBlock]:
        """Yield a file's rows in blocks of some megabytes of text."""
        kind = CsvKind(file.label)
        for rows, count, bytes_read in read_rows(file.path, kind, fit):
            given = (rows, None) if kind is CsvKind.BOOK else (None, rows)
            yield RowBlock(count, bytes_read, *given)
