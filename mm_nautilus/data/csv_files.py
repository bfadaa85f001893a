"""Tardis CSV files as they are stored: compression, header, first row, and blocks of whole lines."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from io import BufferedReader
from pathlib import Path
from typing import Final, cast

from mm_nautilus.config.near_files import near_file_hint
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Side
from mm_nautilus.system.plain_text import printable

BOOK_HEADER: Final = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES_HEADER: Final = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_TIME_PATTERN: Final = r"^[1-8][0-9]{15}$"
"""Microseconds since 1970, from 2001 to 2255."""
_BLOCK_BYTES = 4 << 20
_LONGEST_LINE: Final = 4096
_FIRST_LINES: Final = 1000
_SHOWN_CHARACTERS: Final = 60
_OTHER_UNITS: Final = {10: "seconds", 13: "milliseconds", 19: "nanoseconds"}
_WHOLE_DIGITS: Final = re.compile(r"([0-9]+)(\.[0-9]*)?", re.ASCII)


class CsvKind(StrEnum):
    """The Tardis data types this package reads, by their Tardis names."""

    BOOK = "incremental_book_L2"
    TRADES = "trades"

    @property
    def sides(self) -> dict[str, int]:
        """The texts of the side column and what they mean."""
        if self is CsvKind.BOOK:
            return {"bid": Side.BID, "ask": Side.ASK}
        return {"buy": Side.BID, "sell": Side.ASK, "unknown": Side.NONE}


_HEADERS: Final = {BOOK_HEADER: CsvKind.BOOK, TRADES_HEADER: CsvKind.TRADES}


def inspect(path: Path) -> tuple[CsvKind, list[str] | None]:
    """Return which type of data a file holds, by its header, and the fields of its first row that is well shaped.

    The fields are None where there is no row at all. A `DataError` says why it is no such file, or why none of its
    first lines is a row.
    """
    problem: str | None = None
    with _opened(path) as (_, stream):
        kind = _kind(path, _header(stream))
        for number in range(2, _FIRST_LINES + 2):
            line = _line(stream)
            text = line.rstrip("\r\n")
            if text and (wrong := shape_problem(text)) is None:
                return kind, text.split(",")
            if text and problem is None:
                problem = f"line {number}: {wrong}"
            if not line:
                break
    if problem is None:
        return kind, None
    raise DataError(f"{path} holds no readable row in its first {_FIRST_LINES} lines; {problem}")


def _kind(path: Path, header: str) -> CsvKind:
    if not header:
        raise DataError(f"{path} is empty; a Tardis file starts with its header")
    if header.partition("\r")[0] != header:
        raise DataError(f"{path} ends lines with a carriage return; they must end with a line feed")
    if header not in _HEADERS:
        raise DataError(
            f"{path} is no Tardis file this command reads: its first line must be `{BOOK_HEADER}` or "
            f"`{TRADES_HEADER}`, was `{shown(header, 120)}`"
        )
    return _HEADERS[header]


def shape_problem(text: str) -> str | None:
    """Return what keeps a line from being a row with eight fields and two times, None where it is one."""
    if not text:
        return "the line is empty"
    fields = text.split(",")
    if len(fields) != 8:
        return f"a row has 8 fields, was {len(fields)}: `{shown(text)}`"
    for name, value in zip(("timestamp", "local_timestamp"), fields[2:4], strict=True):
        allowed = _time_rule(value)
        if allowed is not None:
            return f"{name} must be {allowed}, was {f'`{shown(value)}`' if value else 'empty'}"
    return None


def _time_rule(text: str) -> str | None:
    """Return what a time must be, with the unit that its number of digits suggests; None where it is right."""
    if re.fullmatch(_TIME_PATTERN, text, re.ASCII):
        return None
    digits = _WHOLE_DIGITS.fullmatch(text)
    count = 0 if digits is None else len(digits[1])
    hint = f"; {count} are {_OTHER_UNITS[count]}" if count in _OTHER_UNITS else ""
    return f"microseconds since 1970 (16 digits{hint})"


def shown(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """Return a value of a file as messages show it: printable, on one line, shortened."""
    return printable(text if len(text) <= most else text[: most - 1] + "…")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, BufferedReader]]:
    """Open a plain or gzip file by its first bytes; yields the stored file and the text stream.

    A failure to read within the block becomes a `DataError`.
    """
    try:
        with path.open("rb") as stored:
            compressed = stored.peek(2)[:2] == b"\x1f\x8b"
            yield stored, cast(BufferedReader, gzip.GzipFile(fileobj=stored)) if compressed else stored
    except FileNotFoundError as error:
        hint = near_file_hint(path, ("*.csv", "*.csv.gz"), "CSV file")
        raise DataError(f"{path} does not exist ({hint})") from error
    except EOFError as error:
        raise DataError(f"{path} is cut off: its compressed data ends early; download it again") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        text = f"{path} is damaged and cannot be decompressed ({error}); download it again"
        raise DataError(text) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _line(stream: BufferedReader) -> str:
    """Return the next line, or the beginning of one that is too long to be a row."""
    return stream.readline(_LONGEST_LINE).decode(errors="replace")


def _header(stream: BufferedReader) -> str:
    """Return the first line, without the mark that some programs put before UTF-8."""
    return _line(stream).removeprefix(codecs.BOM_UTF8.decode()).rstrip("\r\n")


def blocks(path: Path) -> Iterator[tuple[bytes, int, bool]]:
    """Yield the lines behind a file's header, some megabytes at a time; empty lines at the end are left out.

    Each entry is whole lines, how far into the stored file they reach in bytes, and whether the last one has a line
    break. A `DataError` says where the file is cut off or damaged.
    """
    with _opened(path) as (stored, stream):
        _header(stream)
        rest = b""
        while chunk := stream.read(_BLOCK_BYTES):
            text = rest + chunk
            # Empty lines wait for a row behind them.
            rows_end = len(text[: text.rfind(b"\n") + 1].rstrip(b"\r\n"))
            stop = text.index(b"\n", rows_end) + 1 if rows_end else 0
            rest = text[stop:]
            if stop:
                yield text[:stop], stored.tell(), True
        if rest.strip(b"\r\n"):
            yield rest + b"\n", stored.tell(), False
