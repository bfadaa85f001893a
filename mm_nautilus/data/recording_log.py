"""An append-only log of tables: whatever ends the process, what was written before it can be read back."""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from mm_nautilus.errors import DataError

_BLOCK: Final = struct.Struct("<II")
"""What precedes a table: its compressed size, and the checksum of that."""
_CODEC: Final = "zstd"
_ROWS_AT_ONCE: Final = 65_536


class LogWriter:
    """Append tables to a new file, unbuffered; every method raises an `OSError` if the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("xb", buffering=0)

    def append(self, table: pa.Table) -> int:
        """Write one table and return its size in the file, in bytes."""
        if not os.fstat(self._file.fileno()).st_nlink:  # what is written into it is lost, without an error
            raise FileNotFoundError(errno.ENOENT, "it was removed", str(self._path))
        sink = pa.BufferOutputStream()
        with (
            pa.CompressedOutputStream(sink, _CODEC) as packed,
            pa.ipc.new_stream(packed, table.schema) as stream,
        ):
            stream.write_table(table)
        body = sink.getvalue().to_pybytes()
        # A disk that is nearly full takes a part of a write without an error.
        rest = memoryview(_BLOCK.pack(len(body), zlib.crc32(body)) + body)
        while rest:
            rest = rest[self._file.write(rest) :]
        return _BLOCK.size + len(body)

    def sync(self) -> None:
        """Wait until everything is on the disk itself, so that it also survives a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LogReader:
    """Read a log up to the first table that is not whole.

    Attributes
    ----------
    torn_bytes
        Size of what follows the last whole table; known once `tables` has ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn_bytes = 0

    def tables(self) -> Iterator[pa.Table]:
        """Yield what was appended, in order, put together to some 65,000 rows each.

        Raises
        ------
        DataError
            If what is whole by its checksum is no table.
        """
        waiting: list[pa.Table] = []
        for table in self._whole_tables():
            waiting.append(table)
            if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
                yield pa.concat_tables(waiting)
                waiting = []
        if waiting:
            yield pa.concat_tables(waiting)

    def _whole_tables(self) -> Iterator[pa.Table]:
        self.torn_bytes = self._path.stat().st_size
        with self._path.open("rb") as file:
            while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
                length, checksum = _BLOCK.unpack(head)
                body = file.read(length)
                if not length or len(body) < length or zlib.crc32(body) != checksum:
                    return
                self.torn_bytes -= _BLOCK.size + length
                try:
                    packed = pa.CompressedInputStream(pa.BufferReader(body), _CODEC)
                    yield pa.ipc.open_stream(packed).read_all()
                except (pa.ArrowException, OSError) as error:
                    raise DataError(f"{self._path} holds what is no table: {error}") from error
