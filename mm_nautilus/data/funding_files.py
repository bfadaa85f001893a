"""Funding rates of exchanges' files, into the catalog that has the perpetual."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import file_spans, folder_name, format_time
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.funding import FUNDING_FOLDER, FundingRate, rates_table
from mm_nautilus.data.table_columns import time_rule, times
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Ints
from mm_nautilus.system.store_url import CatalogPath


class _Format(NamedTuple):
    """Names of a format's columns: when a rate is known, when it is paid, and the rate; and the unit of its times."""

    known: str
    paid: str
    rate: str
    unit: str


_FORMATS: Final = (
    _Format("local_timestamp", "funding_timestamp", "funding_rate", "us"),
    _Format("calc_time", "calc_time", "last_funding_rate", "ms"),
)
"""Tardis' derivative_ticker, and Binance Vision's fundingRate."""


@dataclass(frozen=True, slots=True)
class FundingImport:
    """What an import of funding rates did: how many rates were written, and how many rows were left out as late."""

    instrument_id: str
    rates: int
    late: int
    first_ns: int
    last_ns: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "instrument_id": self.instrument_id,
            "rates": self.rates,
            "late": self.late,
            "first": format_time(self.first_ns),
            "last": format_time(self.last_ns),
        }


def import_funding(files: Sequence[Path], name: str, catalog: CatalogPath) -> FundingImport:
    """Add the funding rates of CSV files, plain or gzipped and in any order, to a catalog's perpetual.

    A row is kept where it differs from the one before; one that comes after its payment is left out and counted. A
    `DataError` says that the instrument is missing or no perpetual, a file or a row cannot be read, or the catalog
    already has rates of that time; then nothing is written.
    """
    reader = CatalogReader(catalog)
    spec = reader.instrument(name)
    if spec.kind != "perpetual":
        raise DataError(f"funding is of perpetuals, was for {spec.instrument_id}, a {spec.kind} instrument")
    found = sorted(rate for path in files for rate in _rates(path))
    kept: list[FundingRate] = []
    late = 0
    for rate in found:
        if rate.next_ns < rate.ts_ns:
            late += 1
        elif not kept or kept[-1][1:] != rate[1:]:
            kept.append(rate)
    if not kept:
        raise DataError(f"there is no funding rate to import in {', '.join(map(str, files))}")
    first, last = kept[0].ts_ns, kept[-1].ts_ns
    folder = Path("data", FUNDING_FOLDER, folder_name(spec.instrument_id))
    with staged_catalog(catalog) as writer:
        stored = reader.folder / folder
        for start, end in file_spans(stored.glob("*.parquet")):
            if start <= last and first <= end:
                raise DataError(
                    f"{stored} must hold no rates of the files' time, {format_time(first)} to {format_time(last)}, was "
                    f"{format_time(start)} to {format_time(end)}"
                )
        writer.write_table(folder, rates_table(spec, kept))
    return FundingImport(spec.instrument_id, len(kept), late, first, last)


def _rates(path: Path) -> list[FundingRate]:
    """Return a file's rates where they change; rows without a rate or its payment's time are no rates."""
    form, table = _read(path)
    names = dict.fromkeys((form.known, form.paid, form.rate))
    columns = {name: np.array(table.column(name).to_pylist(), dtype=object) for name in names}
    lines = np.arange(len(table)) + 2
    given = (columns[form.rate] != "") & (columns[form.paid] != "")
    columns, lines = {name: values[given] for name, values in columns.items()}, lines[given]
    changes = np.ones(len(lines), dtype=bool)
    changes[1:] = (columns[form.rate][1:] != columns[form.rate][:-1]) | (
        columns[form.paid][1:] != columns[form.paid][:-1]
    )
    picked, lines = {name: values[changes] for name, values in columns.items()}, lines[changes]
    known = _times(path, form, form.known, picked, lines)
    paid = _times(path, form, form.paid, picked, lines)
    rates = [
        _fraction(path, form.rate, text, line)
        for text, line in zip(picked[form.rate], lines.tolist(), strict=True)
    ]
    return [FundingRate(*row) for row in zip(known, rates, paid, strict=True)]


def _read(path: Path) -> tuple[_Format, pa.Table]:
    try:
        with csv.open_csv(path) as reader:
            header = reader.schema.names
        form = next((form for form in _FORMATS if set(form[:3]) <= set(header)), None)
        if form is None:
            wanted = " or ".join(", ".join(dict.fromkeys(form[:3])) for form in _FORMATS)
            raise DataError(f"{path}:1: the header must have the columns {wanted}, was {', '.join(header)}")
        names = list(dict.fromkeys(form[:3]))
        options = csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        )
        return form, csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _times(path: Path, form: _Format, name: str, picked: dict[str, Any], lines: Ints) -> list[int]:
    checked = times(pa.array(picked[name], pa.string()), form.unit)
    if not checked.fine.all():
        row = int(np.argmin(checked.fine))
        text = picked[name][row]
        raise DataError(
            f"{path}:{lines[row]}: {name} must be {time_rule(text, form.unit)}, was {text or 'empty'}"
        )
    found: list[int] = checked.values.tolist()
    return found


def _fraction(path: Path, name: str, text: str, line: int) -> Decimal:
    try:
        rate = Decimal(text)
    except InvalidOperation as error:
        raise DataError(f"{path}:{line}: {name} must be a number, was {text}") from error
    if not (rate.is_finite() and abs(rate) < 1):
        raise DataError(f"{path}:{line}: {name} must be a fraction of the position's value, was {text}")
    return rate
