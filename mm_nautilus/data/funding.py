"""Funding rates of perpetuals: those of a catalog, or a constant one, and as the engine reads them.

The engine books a payment itself. At `next_ns` it charges each open position its size times the mid times the last rate
that it has been told up to then, after all data of that moment; a positive rate is paid by longs to shorts.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.data.catalog_files import file_name, folder_name, format_time, read_batches
from mm_nautilus.data.store import StoredPath
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec

FUNDING_FOLDER: Final = "funding_rates"
"""The folder of a catalog that the engine keeps `FundingRateUpdate` in."""
_COLUMNS: Final = ["rate", "next_funding_ns", "ts_init"]
_TIME: Final[pa.DataType] = pa.timestamp("ns", tz="UTC")
_FIELDS: Final[dict[str, pa.DataType]] = {
    "rate": pa.utf8(),
    "interval": pa.uint64(),
    "next_funding_ns": _TIME,
    "ts_event": _TIME,
    "ts_init": _TIME,
}
_HOUR_NS: Final = 3_600_000_000_000
_LAST_NS: Final = 2**63 - 1


class FundingRate(NamedTuple):
    """A rate as it is known from a moment on: a fraction of the position's value, for the payment at `next_ns`."""

    ts_ns: int
    rate: Decimal
    next_ns: int


def constant_rates(rate_pct: float, every_hours: float, start_ns: int, end_ns: int) -> list[FundingRate]:
    """Return one rate for each whole multiple of so many hours since midnight UTC within a span, without its ends."""
    rate, step = Decimal(repr(rate_pct)) / 100, round(every_hours * _HOUR_NS)
    first = (start_ns // step + 1) * step
    return [FundingRate(moment, rate, moment) for moment in range(first, end_ns, step)]


def stored_rates(
    catalog: StoredPath, spec: InstrumentSpec, start_ns: int = 0, end_ns: int = _LAST_NS
) -> list[FundingRate]:
    """Return a catalog's rates for the payments within a span, nanoseconds, without its ends.

    A `DataError` names the first row that is damaged, has no time of payment, or comes after it.
    """
    folder = catalog / "data" / FUNDING_FOLDER / folder_name(spec.instrument_id)
    paths: list[StoredPath] = list(folder.glob("*.parquet"))
    found: list[FundingRate] = []
    for row in sorted(row for path in paths for row in _rows(path)):
        if found and row[1:] == found[-1][1:]:
            continue
        if start_ns < row.next_ns < end_ns:
            found.append(row._replace(ts_ns=max(row.ts_ns, start_ns)))
    return found


def _rows(path: StoredPath) -> Iterator[FundingRate]:
    for batch in read_batches(path, _COLUMNS):
        rates = batch.column("rate").to_pylist()
        nexts, times = (batch.column(name).cast(pa.int64()).to_pylist() for name in _COLUMNS[1:])
        for text, next_ns, ts_ns in zip(rates, nexts, times, strict=True):
            where = f"{path}: the funding rate of {format_time(ts_ns)}"
            if next_ns is None:
                raise DataError(f"{where} must have the time of its payment (next_funding_ns), was null")
            if next_ns < ts_ns:
                raise DataError(f"{where} must come before its payment, was for {format_time(next_ns)}")
            try:
                rate = Decimal(text)
            except (InvalidOperation, TypeError) as error:
                raise DataError(f"{where} must be a number, was {text}") from error
            if not (rate.is_finite() and abs(rate) < 1):
                raise DataError(f"{where} must be a fraction of the position's value, was {text}")
            yield FundingRate(ts_ns, rate, next_ns)


def rates_table(spec: InstrumentSpec, rates: Sequence[FundingRate]) -> pa.Table:
    """Return one instrument's rates, in time order, as a catalog's `FundingRateUpdate`."""
    times = [rate.ts_ns for rate in rates]
    return pa.table(
        {
            "rate": [f"{rate.rate:f}" for rate in rates],
            "interval": pa.nulls(len(rates), pa.uint64()),
            "next_funding_ns": [rate.next_ns for rate in rates],
            "ts_event": times,
            "ts_init": times,
        },
        schema=pa.schema(_FIELDS).with_metadata({"instrument_id": spec.instrument_id}),
    )


def write_rates(catalog: Path, spec: InstrumentSpec, rates: Sequence[FundingRate]) -> None:
    """Write one instrument's rates, at least one, in time order, to a catalog without any."""
    folder = catalog / "data" / FUNDING_FOLDER / folder_name(spec.instrument_id)
    folder.mkdir(parents=True)
    pq.write_table(rates_table(spec, rates), folder / file_name(rates[0].ts_ns, rates[-1].ts_ns))
