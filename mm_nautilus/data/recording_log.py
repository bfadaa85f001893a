"""An append-only log of tables: whatever ends the process, what was written before it can be read back."""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Final

import pyarrow as pa

from mm_nautilus.errors import DataError

_BLOCK: Final = struct.Struct("<II")
"""What precedes a table: its compressed size, and the checksum of that."""
_CODEC: Final = "zstd"
_ROWS_AT_ONCE: Final = 65_536


def append_table(log: FileIO, table: pa.Table) -> int:
    """Write one table to an unbuffered file, and return its size there in bytes; an `OSError` says why it cannot be."""
    if not os.fstat(log.fileno()).st_nlink:  # what is written into it is lost, without an error
        raise FileNotFoundError(errno.ENOENT, "it was removed", str(log.name))
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, _CODEC) as packed, pa.ipc.new_stream(packed, table.schema) as stream:
        stream.write_table(table)
    body = sink.getvalue().to_pybytes()
    # A disk that is nearly full takes a part of a write without an error.
    rest = memoryview(_BLOCK.pack(len(body), zlib.crc32(body)) + body)
    while rest:
        rest = rest[log.write(rest) :]
    return _BLOCK.size + len(body)


def read_log(path: Path) -> Iterator[tuple[pa.Table, int]]:
    """Yield a log's tables up to the first that is not whole, joined to some 65,000 rows each.

    With each comes its size in the log, bytes. A `DataError` says that what is whole by its checksum is no table.
    """
    waiting: list[pa.Table] = []
    rows = size = 0
    for table, length in _whole_tables(path):
        waiting.append(table)
        rows, size = rows + table.num_rows, size + length
        if rows >= _ROWS_AT_ONCE:
            yield pa.concat_tables(waiting), size
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting), size


def _whole_tables(path: Path) -> Iterator[tuple[pa.Table, int]]:
    with path.open("rb") as file:
        while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
            length, checksum = _BLOCK.unpack(head)
            body = file.read(length)
            if not length or len(body) < length or zlib.crc32(body) != checksum:
                return
            try:
                packed = pa.CompressedInputStream(pa.BufferReader(body), _CODEC)
                yield pa.ipc.open_stream(packed).read_all(), _BLOCK.size + length
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} holds what is no table: {error}") from error
