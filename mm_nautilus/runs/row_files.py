"""Tables of a run that grow row by row: one Parquet file, or parts that survive the end of the process."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.system.whole_file import naming, whole_file

type Row = tuple[Any, ...]
"""A row in the order of the columns."""

_PARTS_SUFFIX: Final = ".parts"
"""What the folder of a table's parts has in place of the file's suffix."""

_COMPRESSION: Final = "zstd"


class Rows:
    """A table of a run that is being written, row by row."""

    def __init__(self, path: Path, schema: pa.Schema, most_rows: int = 5_000) -> None:
        self._path, self._schema, self._most_rows = path, schema, most_rows
        self._rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) >= self._most_rows:
            self.flush()

    def _table(self) -> pa.Table:
        """Return the rows that wait, made column by column."""
        columns = zip(zip(*self._rows, strict=True), self._schema, strict=True)
        return pa.table([pa.array(v, type=field.type) for v, field in columns], schema=self._schema)

    def flush(self) -> None:
        """Bring what has been added to the disk, as far as the kind of file allows."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is left and finish the file."""
        raise NotImplementedError

    def leave(self) -> None:
        """Write what is left, in a hurry: parts stay parts."""
        self.close()


class RowFile(Rows):
    """Append rows to a Parquet file in groups, so that memory does not grow with the run.

    The file is there once it is closed: a Parquet file ends with its table of contents. After rows that could not be
    written it never is.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._failure: OSError | None = None
        with ExitStack() as opened:
            unfinished = opened.enter_context(whole_file(path))
            self._writer = opened.enter_context(
                pq.ParquetWriter(unfinished, schema, compression=_COMPRESSION)
            )
            self._whole = opened.pop_all()

    def flush(self) -> None:
        """Write the rows so far as a group of their own."""
        if not self._rows or self._failure is not None:
            return
        try:
            with naming(self._path):
                self._writer.write_table(self._table())
        except OSError as error:
            self._failure = error
            raise
        self._rows.clear()

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._whole:
            self.flush()
            if self._failure is not None:
                raise self._failure


class RowParts(Rows):
    """Append rows to Parquet files that are each complete, and join them at the end.

    Each `flush` rewrites the part that is being filled, whole and at once, so that whatever ends the process
    costs the rows since the last flush and no others. Until `close` the parts lie in a folder beside the file,
    ``metrics.parts`` for ``metrics.parquet``, which readers of Parquet take as one table. A new part is begun after
    `most_rows`, which bounds what a flush rewrites.
    """

    def __init__(self, path: Path, schema: pa.Schema, most_rows: int = 5_000) -> None:
        super().__init__(path, schema, most_rows)
        self._folder = parts_folder(path)
        self._folder.mkdir()
        self._number = 1
        self._written: list[pa.Table] = []
        self._is_on_disk = True

    def flush(self) -> None:
        """Write the part that is being filled, with the rows added since the last time."""
        if self._rows:
            self._written.append(self._table())
            self._rows.clear()
            self._is_on_disk = False
        if self._is_on_disk:
            return
        part = pa.concat_tables(self._written)
        with whole_file(self._folder / f"{self._number:06d}.parquet") as unfinished:
            pq.write_table(part, unfinished, compression=_COMPRESSION)
        self._is_on_disk = True
        if part.num_rows >= self._most_rows:
            self._number += 1
            self._written.clear()

    def close(self) -> None:
        """Write what is left and join the parts."""
        self.flush()
        join_parts(self._path, self._schema)

    def leave(self) -> None:
        """Write what is left and leave the parts; `join_parts` makes the file of them."""
        self.flush()


def parts_folder(path: Path) -> Path:
    """Return the folder of a table's parts, beside its file."""
    return path.with_suffix(_PARTS_SUFFIX)


def join_parts(path: Path, schema: pa.Schema) -> None:
    """Make the one file of the parts that `RowParts` has left, with these columns, and remove them."""
    folder = parts_folder(path)
    parts = sorted(folder.glob("*.parquet"))
    with (
        whole_file(path) as unfinished,
        pq.ParquetWriter(unfinished, schema, compression=_COMPRESSION) as writer,
    ):
        for part in parts:
            writer.write_table(pq.read_table(part))
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()
