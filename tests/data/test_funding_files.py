"""Funding rates of exchanges' files."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from mm_nautilus.cli import main
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.funding import FundingRate, stored_rates
from mm_nautilus.data.funding_files import import_funding
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec

SPEC = InstrumentSpec(
    "BTCUSDT-PERP", "BINANCE", "BTC", "USDT", Decimal("0.1"), Decimal("0.001"), kind="perpetual"
)
PAIR = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))
HOUR = 3_600 * 10**9
T0 = 1_756_684_800 * 10**9
"""2025-09-01."""
BINANCE = """calc_time,funding_interval_hours,last_funding_rate
1756684800000,8,0.00010000
1756713600004,8,-0.00002500
1756742400000,8,1E-4
"""
TARDIS = """exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,predicted_funding_rate,open
binance-futures,BTCUSDT,1756684801000000,1756684801100000,1756713600000000,0.0001,,1
binance-futures,BTCUSDT,1756684802000000,1756684802100000,1756713600000000,0.0001,,2
binance-futures,BTCUSDT,1756684803000000,1756684803100000,,,,2
binance-futures,BTCUSDT,1756684804000000,1756684804100000,1756713600000000,0.00012,,2
binance-futures,BTCUSDT,1756713600050000,1756713600150000,1756713600000000,0.00013,,2
binance-futures,BTCUSDT,1756713601000000,1756713601100000,1756742400000000,-0.00003,,2
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    with staged_catalog(tmp_path / "catalog") as writer:
        writer.write_instrument(SPEC)
        writer.write_instrument(PAIR)
    return tmp_path / "catalog"


def file(tmp_path: Path, text: str, name: str = "rates.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def stored(catalog: Path) -> list[FundingRate]:
    return stored_rates(CatalogReader(catalog).folder, SPEC, T0 - 1, T0 + 100 * HOUR)


def test_rates_that_were_paid_are_known_when_they_are_paid(catalog: Path, tmp_path: Path) -> None:
    report = import_funding([file(tmp_path, BINANCE)], "BTCUSDT-PERP", catalog)
    assert (report.rates, report.late) == (3, 0)
    times = [T0, T0 + 8 * HOUR + 4_000_000, T0 + 16 * HOUR]
    rates = [Decimal("0.0001"), Decimal("-0.000025"), Decimal("0.0001")]
    assert stored(catalog) == [FundingRate(*row) for row in zip(times, rates, times, strict=True)]
    (written,) = (catalog / "data" / "funding_rates" / "BTCUSDT-PERP.BINANCE").iterdir()
    assert written.name == "2025-09-01T00-00-00-000000000Z_2025-09-01T16-00-00-000000000Z.parquet"


def test_rates_that_are_announced_are_kept_where_they_change(catalog: Path, tmp_path: Path) -> None:
    path = tmp_path / "ticker.csv.gz"
    path.write_bytes(gzip.compress(TARDIS.encode()))
    report = import_funding([path], "BTCUSDT-PERP.BINANCE", catalog)
    assert (report.rates, report.late) == (3, 1)
    assert [(rate.ts_ns - T0, rate.rate, rate.next_ns - T0) for rate in stored(catalog)] == [
        (1_100_000_000, Decimal("0.0001"), 8 * HOUR),
        (4_100_000_000, Decimal("0.00012"), 8 * HOUR),
        (8 * HOUR + 1_100_000_000, Decimal("-0.00003"), 16 * HOUR),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a,b\n1,2\n",
            "1: the header must have the columns local_timestamp, funding_timestamp, funding_rate or",
        ),
        (BINANCE.replace("0.00010000", "0.0001x"), "2: last_funding_rate must be a number, was 0.0001x"),
        (BINANCE.replace("0.00010000", "nan"), "2: last_funding_rate must be a fraction of the"),
        (BINANCE.replace("1E-4", "1.5"), "4: last_funding_rate must be a fraction of the"),
        (
            BINANCE.replace("1756742400000", "17567.5"),
            "4: calc_time must be milliseconds since 1970 (13 digits), was 17567.5",
        ),
        (
            BINANCE.replace("1756742400000", "1756742400"),
            "4: calc_time must be milliseconds since 1970 (13 digits; 10 are seconds), was 1756742400",
        ),
        (BINANCE + "5\n", "cannot be read: CSV parse error: Expected 3 columns, got 1"),
        (BINANCE.partition("\n")[0] + "\n", "there is no funding rate to import"),
        ("", "cannot be read: Empty CSV file"),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_written(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = file(tmp_path, text)
    with pytest.raises(SystemExit) as left:
        main(["data", "funding", str(path), "--catalog", str(catalog), "--symbol", "BTCUSDT-PERP"])
    assert left.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert not (catalog / "data" / "funding_rates").exists()


def test_rates_of_the_same_time_or_of_a_pair_are_refused(catalog: Path, tmp_path: Path) -> None:
    path = file(tmp_path, BINANCE)
    import_funding([path], "BTCUSDT-PERP", catalog)
    with pytest.raises(DataError, match=r"must hold no rates of the files' time, 2025-09-01T00:00:00"):
        import_funding([path], "BTCUSDT-PERP", catalog)
    with pytest.raises(
        DataError, match=r"funding is of perpetuals, was for BTC/USDT.BINANCE, a spot instrument"
    ):
        import_funding([path], "BTC/USDT", catalog)


def test_the_command_says_what_it_did(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "funding", str(file(tmp_path, TARDIS)), "--catalog", str(catalog)]
    with pytest.raises(SystemExit) as left:
        main([*words, "--symbol", "BTCUSDT-PERP"])
    assert left.value.code in (0, None)
    said = capsys.readouterr().out
    assert "BTCUSDT-PERP.BINANCE in" in said
    assert "3 funding rates; 1 row after its payment left out" in said
