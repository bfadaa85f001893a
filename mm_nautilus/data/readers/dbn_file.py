"""Databento's DBN files: their metadata, and their records as arrays."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_nautilus.config.near_files import near_file_hint
from mm_nautilus.errors import DataError

type Records = NDArray[np.void]

_HEADER: Final = [
    ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8")
]  # fmt: skip
_MBO: Final = [
    *_HEADER, ("order_id", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel_id", "u1"),
    ("action", "S1"), ("side", "S1"), ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
]  # fmt: skip
_TRADE: Final = [
    *_HEADER, ("price", "<i8"), ("size", "<u4"), ("action", "S1"), ("side", "S1"), ("flags", "u1"), ("depth", "u1"),
    ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
]  # fmt: skip
_LEVEL: Final = [
    ("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"), ("ask_sz", "<u4"), ("bid_ct", "<u4"), ("ask_ct", "<u4")
]  # fmt: skip
_FORMS: Final = {
    "mbo": (0xA0, np.dtype(_MBO)),
    "mbp-10": (10, np.dtype([*_TRADE, ("levels", _LEVEL, (10,))])),
    "trades": (0, np.dtype(_TRADE)),
}
"""The type number of each schema's records, and their fields."""
_SCHEMAS: Final = (
    "mbo", "mbp-1", "mbp-10", "tbbo", "trades", "ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "ohlcv-1d", "definition",
    "statistics", "status", "imbalance",
)  # fmt: skip
_FIXED_BYTES: Final = 100
_SYMBOL_BYTES_OF_VERSION_1: Final = 22
_NEWEST_VERSION: Final = 3
_BLOCK_RECORDS: Final = 50_000
ZSTD_START: Final = b"\x28\xb5\x2f\xfd"
LAST: Final = 0x80
"""Flag of the last record of an event."""


@dataclass(frozen=True, slots=True)
class DbnMetadata:
    """What a file says of its records."""

    dataset: str
    schema: str
    symbols: dict[int, str]
    """The symbol of each instrument id, as far as the file names them."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[DbnMetadata, Iterator[tuple[Records, int]]]]:
    """Open a DBN file, plain or compressed with zstd; yields its metadata, and its records some at a time.

    With the records comes how far into the stored file they reach, bytes. A `DataError` names the file and says that it
    is missing, cut off, damaged, or of a schema that is not read.
    """
    try:
        with path.open("rb") as stored:
            start = stored.peek(4)[:4]
            if start != ZSTD_START and not start.startswith(b"DBN"):
                raise DataError(
                    f"{path} is no DBN file: it must start with DBN, plain or compressed with zstd"
                )
            source: Any = stored
            stream: Any = pa.CompressedInputStream(source, "zstd") if start == ZSTD_START else stored
            metadata = _metadata(path, stream)
            yield metadata, _records(path, stored, stream, metadata.schema)
    except FileNotFoundError as error:
        hint = near_file_hint(path, ("*.dbn", "*.dbn.zst"), "DBN file")
        raise DataError(f"{path} does not exist ({hint})") from error
    except (struct.error, EOFError) as error:
        raise DataError(f"{path} is cut off or damaged within its metadata; download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read, or is cut off or damaged: {error}") from error


def _metadata(path: Path, stream: Any) -> DbnMetadata:
    mark, version, length = struct.unpack("<3sBI", stream.read(8))
    if mark != b"DBN":
        raise DataError(f"{path} is no DBN file: within its compression it must start with DBN")
    if not 1 <= version <= _NEWEST_VERSION:
        raise DataError(f"{path} must be of DBN version 1 to {_NEWEST_VERSION}, was {version}")
    text = stream.read(length)
    if len(text) < length:
        raise EOFError
    number = int.from_bytes(text[16:18], "little")
    schema = _SCHEMAS[number] if number < len(_SCHEMAS) else f"number {number}"
    if schema not in _FORMS:
        raise DataError(f"{path} must be of the schema {', '.join(_FORMS)}, was {schema}")
    width = _SYMBOL_BYTES_OF_VERSION_1 if version == 1 else int.from_bytes(text[45:47], "little")
    return DbnMetadata(_text(text[:16]), schema, _symbols(text, width))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _symbols(text: bytes, width: int) -> dict[int, str]:
    """Return the symbols of instrument ids, whichever of both was asked for."""
    at = _FIXED_BYTES + 4 + int.from_bytes(text[_FIXED_BYTES : _FIXED_BYTES + 4], "little")
    for _ in range(3):  # names asked for, found in part, not found
        at += 4 + width * struct.unpack_from("<I", text, at)[0]
    (count,), at = struct.unpack_from("<I", text, at), at + 4
    symbols: dict[int, str] = {}
    for _ in range(count):
        name = _text(text[at : at + width])
        (intervals,), at = struct.unpack_from("<I", text, at + width), at + width + 4
        for _ in range(intervals):
            if at + 8 + width > len(text):
                raise EOFError
            other, at = _text(text[at + 8 : at + 8 + width]), at + 8 + width
            if other.isdecimal():
                symbols[int(other)] = name
            elif name.isdecimal():
                symbols[int(name)] = other
    return symbols


def _records(path: Path, stored: IO[bytes], stream: Any, schema: str) -> Iterator[tuple[Records, int]]:
    rtype, dtype = _FORMS[schema]
    number, rest = 0, b""
    while chunk := stream.read(_BLOCK_RECORDS * dtype.itemsize):
        text = rest + chunk
        if not number and text[0] * 4 == dtype.itemsize + 8:  # with the time of sending behind
            dtype = np.dtype([*dtype.descr, ("ts_out", "<u8")])
        whole = len(text) // dtype.itemsize
        records, rest = np.frombuffer(text, dtype, whole), text[whole * dtype.itemsize :]
        foreign = np.flatnonzero((records["rtype"] != rtype) | (records["length"] != dtype.itemsize // 4))
        if len(foreign):
            was = records["rtype"][foreign[0]]
            raise DataError(
                f"{path}: row {number + foreign[0] + 1}: rtype must be {rtype} of {schema}, was {was}; "
                "the file is damaged"
            )
        number += whole
        if whole:
            yield records, stored.tell()
    if rest:
        raise DataError(f"{path} is cut off: it ends within row {number + 1}; download it again")
