"""The formats that an import reads, by name, and which of them a file has."""

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mm_nautilus.data.column_map import load_map, shipped_maps
from mm_nautilus.data.csv_files import first_lines
from mm_nautilus.data.reader import Reader
from mm_nautilus.data.readers.bybit import BybitReader
from mm_nautilus.data.readers.coinbase import CoinbaseReader
from mm_nautilus.data.readers.databento import DatabentoReader
from mm_nautilus.data.readers.hftbacktest import HftbacktestReader
from mm_nautilus.data.readers.kraken import KrakenReader
from mm_nautilus.data.table import PARQUET, TableReader
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.system.near_names import nearest

_START_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files."""

    make: Callable[[], Reader]
    recognises: Callable[[Path, bytes], bool]
    """Whether a file is of this format, by its path and its first bytes, decompressed if it is gzip."""


def _tardis() -> TableReader:
    return TableReader(shipped_maps("tardis_"), "Tardis")


def _table() -> TableReader:
    return TableReader(shipped_maps(), "table")


def _is_table(maps: Callable[[], TableReader]) -> Callable[[Path, bytes], bool]:
    def recognises(path: Path, start: bytes) -> bool:
        if b"\0" in start[:4] or start.startswith(PARQUET):
            return False
        try:
            return maps().fits(first_lines(path))
        except DataError:
            return False

    return recognises


FORMATS: Final[Mapping[str, Format]] = {
    "tardis": Format(_tardis, _is_table(_tardis)),
    "table": Format(_table, _is_table(_table)),
    "coinbase": Format(CoinbaseReader, CoinbaseReader().recognises),
    "kraken": Format(KrakenReader, KrakenReader().recognises),
    "bybit": Format(BybitReader, BybitReader().recognises),
    "hftbacktest": Format(HftbacktestReader, HftbacktestReader().recognises),
    "databento": Format(DatabentoReader, DatabentoReader().recognises),
}
"""In the order in which a file is tried: a feed's own marks before those that other feeds' messages may have."""


def make_reader(name: str | None, files: list[Path], column_map: Path | None) -> tuple[str, Reader]:
    """Return the name of a format and its reader; the format is guessed by the first file where it is None.

    A `ConfigError` says that there is no such format or that the map is wrong, a `DataError` that no format fits.
    """
    if column_map is not None:
        if name not in (None, "table"):
            raise ConfigError(f"--map is for the format table, was given with {name}")
        return "table", TableReader([load_map(column_map)])
    if name is None:
        name = guessed_format(files[0])
    return name, FORMATS[name].make()


def guessed_format(path: Path) -> str:
    """Return the format of a file by its first bytes; a `DataError` says that it has none."""
    if not path.exists() and (likely := nearest(str(path), FORMATS)) is not None:
        raise DataError(f"{path} is neither a format nor a file; did you mean the format {likely}?")
    start = _start(path)
    for name, form in FORMATS.items():
        if form.recognises(path, start):
            return name
    first_lines(path)
    raise DataError(
        f"{path} is of no format that can be told by its beginning (name one of {', '.join(FORMATS)}; "
        "a table of your own needs --map FILE)"
    )


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stored:
            if stored.peek(2)[:2] != b"\x1f\x8b":
                return stored.read(_START_BYTES)
            with gzip.GzipFile(fileobj=stored) as file:
                return file.read(_START_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
