"""An append-only log of byte blocks: whatever ends the process, what was written before it can be read back."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

__all__ = ["LogReader", "LogWriter"]

_MAGIC: Final = b"MMREC001"
_HEAD: Final = struct.Struct("<8sq")
_BLOCK: Final = struct.Struct("<II")
_INNER: Final = struct.Struct("<Iq")
_CODEC: Final = "zstd"


class LogWriter:
    """Append compressed blocks to a new file; nothing is held back in this process.

    Parameters
    ----------
    path
        The file; it must not exist.
    floor
        The last time (nanoseconds) that the files before this one hold, 0 where there are none.

    Raises
    ------
    OSError
        If the file cannot be made; the methods raise it if it cannot be written.
    """

    def __init__(self, path: Path, floor: int) -> None:
        self._file = path.open("xb", buffering=0)
        self.size_bytes = self._write(_HEAD.pack(_MAGIC, floor))

    def append(self, payload: bytes, shift: int) -> int:
        """Write one block and return its size in the file, in bytes.

        Parameters
        ----------
        payload
            Any bytes.
        shift
            Nanoseconds by which its times of receipt are to be moved forward.
        """
        body = _INNER.pack(len(payload), shift) + pa.compress(payload, codec=_CODEC, asbytes=True)
        written = self._write(_BLOCK.pack(len(body), zlib.crc32(body)) + body)
        self.size_bytes += written
        return written

    def sync(self) -> None:
        """Wait until everything is on the disk itself, so that it also survives a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, data: bytes) -> int:
        # A disk that is nearly full takes a part of a write without an error.
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)


class LogReader:
    """Read a log up to the first block that is not whole.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    floor
        As it was given to the writer; 0 where even the head of the file is not whole.
    torn_bytes
        Size of what follows the last whole block; known once `blocks` has ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn_bytes = 0
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
        self._is_sound = len(head) == _HEAD.size and head.startswith(_MAGIC)
        self.floor: int = _HEAD.unpack(head)[1] if self._is_sound else 0

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Yield the payload and the shift of every whole block, in order."""
        size = self._path.stat().st_size
        if not self._is_sound:
            self.torn_bytes = size
            return
        with self._path.open("rb") as file:
            end = file.seek(_HEAD.size)
            while True:
                head = file.read(_BLOCK.size)
                if len(head) < _BLOCK.size:
                    break
                length, checksum = _BLOCK.unpack(head)
                body = file.read(length)
                if len(body) < length or length < _INNER.size or zlib.crc32(body) != checksum:
                    break
                end = file.tell()
                payload_length, shift = _INNER.unpack_from(body)
                packed = body[_INNER.size :]
                yield (
                    pa.decompress(packed, decompressed_size=payload_length, codec=_CODEC, asbytes=True),
                    shift,
                )
        self.torn_bytes = size - end
