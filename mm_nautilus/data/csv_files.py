"""CSV files as they are stored: compression, first lines, and blocks of whole lines."""

import codecs
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Final, cast

from mm_nautilus.config.near_files import near_file_hint
from mm_nautilus.errors import DataError
from mm_nautilus.system.plain_text import printable

FIRST_LINES: Final = 1000
_BLOCK_BYTES = 4 << 20
_LONGEST_LINE: Final = 8192
_SHOWN_CHARACTERS: Final = 60
_GZIP, _ZIP = b"\x1f\x8b", b"PK"


def shown(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """Return a value of a file as messages show it: printable, on one line, shortened."""
    return printable(text if len(text) <= most else text[: most - 1] + "…")


def was(text: str) -> str:
    """Return a field's text as messages end with it."""
    return f"was {f'`{shown(text)}`' if text else 'empty'}"


@contextmanager
def opened(path: Path) -> Iterator[tuple[BufferedReader, IO[bytes]]]:
    """Open a plain or gzip file, or a zip file of one file, by its first bytes; yields stored file and text.

    A failure to read within the block becomes a `DataError`.
    """
    try:
        with path.open("rb") as stored:
            yield stored, _decompressed(path, stored)
    except FileNotFoundError as error:
        hint = near_file_hint(path, ("*.csv", "*.csv.gz", "*.zip", "*.parquet"), "CSV file")
        raise DataError(f"{path} does not exist ({hint})") from error
    except EOFError as error:
        raise DataError(f"{path} is cut off: its compressed data ends early; download it again") from error
    except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        text = f"{path} is damaged and cannot be decompressed ({error}); download it again"
        raise DataError(text) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _decompressed(path: Path, stored: BufferedReader) -> IO[bytes]:
    magic = stored.peek(2)[:2]
    if magic == _GZIP:
        return cast(BufferedReader, gzip.GzipFile(fileobj=stored))
    if magic != _ZIP:
        return stored
    archive = zipfile.ZipFile(stored)
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(files) != 1:
        names = ", ".join(shown(entry.filename) for entry in files[:3]) or "none"
        raise DataError(f"{path} must hold one file, was {len(files)} ({names}); extract the one to import")
    return archive.open(files[0])


def _line(stream: IO[bytes]) -> str:
    """Return the next line, or the beginning of one that is too long to be a row."""
    return stream.readline(_LONGEST_LINE).decode(errors="replace")


def first_lines(path: Path) -> list[str]:
    """Return the first lines without their ends, and without the mark that some programs put before UTF-8.

    A `DataError` says that the file cannot be read or ends its lines with a carriage return.
    """
    with opened(path) as (_, stream):
        found: list[str] = []
        while len(found) <= FIRST_LINES and (line := _line(stream)):
            found.append(line.rstrip("\r\n"))
    if found:
        found[0] = found[0].removeprefix(codecs.BOM_UTF8.decode())
        if "\r" in found[0]:
            raise DataError(f"{path} ends lines with a carriage return; they must end with a line feed")
    return found


def blocks(path: Path, *, has_header: bool) -> Iterator[tuple[bytes, int, bool]]:
    """Yield the lines behind a file's header, some megabytes at a time; empty lines at the end are left out.

    Each entry is whole lines, how far into the stored file they reach in bytes, and whether the last one has a line
    break. A `DataError` says where the file is cut off or damaged.
    """
    with opened(path) as (stored, stream):
        rest = b""
        if has_header:
            stream.readline(_LONGEST_LINE)
        else:
            rest = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
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
