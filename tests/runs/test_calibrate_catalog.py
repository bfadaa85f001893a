"""Calibration of whole catalogs: a market that is known, the shipped sample, the recordings."""

import io
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from made_markets import SECOND, T0, MadeMarket, instrument
from rich.console import Console
from whole_runs import ROOT

from mm_nautilus.calibration.file import load_calibration
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.errors import CalibrationError, ConfigError, DataError
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side
from mm_nautilus.report.calibration import calibration_view
from mm_nautilus.runs.calibration import CalibrationOutcome, calibrate_catalog

REALDATA = os.environ.get("MM_REALDATA")
START = datetime(2025, 12, 13, 12, tzinfo=UTC)
MARKET = MadeMarket()
SAMPLE = ROOT / "calibration" / "sample.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with a known market, one half as long, and one without trades."""
    folder = tmp_path_factory.mktemp("made") / "catalog"
    MARKET.write(folder, instrument("AAA/USDT"))
    MadeMarket(seconds=600, seed=8).write(folder, instrument("BBB/USDT", maker_fee=None))
    MadeMarket(seconds=60).write(folder, instrument("CCC/USDT"), with_trades=False)
    return folder


@pytest.fixture(scope="module")
def outcome(made: Path) -> CalibrationOutcome:
    return calibrate_catalog(made, created=START)


# -- A market whose figures are known -----------------------------------------------------------------------


def test_known_intensities_are_found_on_their_own_sides(outcome: CalibrationOutcome) -> None:
    symbol = outcome.calibration.symbols["AAA/USDT"]
    both_sides = (MARKET.sells_a_second + MARKET.buys_a_second) / 2
    for fit, a in (
        (symbol.intensity_bid, MARKET.sells_a_second),
        (symbol.intensity_ask, MARKET.buys_a_second),
        (symbol.intensity, both_sides),
    ):
        assert fit is not None
        assert abs(fit.a_per_second - a) < 4 * fit.a_standard_error < a
        assert (
            abs(fit.kappa_per_bps - MARKET.kappa_per_bps)
            < 4 * fit.kappa_standard_error
            < MARKET.kappa_per_bps
        )


def test_known_volatility_spread_and_mark_outs_are_found(outcome: CalibrationOutcome) -> None:
    symbol = outcome.calibration.symbols["AAA/USDT"]
    volatility = symbol.volatility
    assert abs(volatility.volatility_bps - MARKET.volatility_bps) < 4 * volatility.standard_error_bps < 1
    assert symbol.spread.median_spread_ticks == 2
    assert symbol.spread.mid_price == pytest.approx(100, rel=0.02)
    assert symbol.spread.tick_bps == pytest.approx(0.1, rel=0.02)
    assert [mark.seconds for mark in symbol.mark_outs] == [1, 5, 30]
    mean_depth_bps = 0.05 + 1 / MARKET.kappa_per_bps
    for mark in symbol.mark_outs:
        assert abs(mark.mark_out_bps - mean_depth_bps) < 4 * mark.standard_error_bps < 4


def test_counts_and_times_are_those_of_the_data(outcome: CalibrationOutcome) -> None:
    symbol = outcome.calibration.symbols["AAA/USDT"]
    assert symbol.start == START
    assert symbol.seconds == pytest.approx((symbol.end - symbol.start).total_seconds(), abs=1e-5)
    assert symbol.seconds == pytest.approx(MARKET.seconds, abs=2)
    expected = (MARKET.sells_a_second + MARKET.buys_a_second) * MARKET.seconds * 0.905
    assert symbol.spread.trades == pytest.approx(expected, rel=0.15)
    assert symbol.spread.market_orders == symbol.spread.trades


def test_source_and_date_are_kept(made: Path, outcome: CalibrationOutcome) -> None:
    calibration = outcome.calibration
    assert calibration.created == START
    assert (calibration.source.catalog, calibration.source.venue) == (str(made), "MADE")
    assert calibration.source.simulated is False


def test_fees_are_the_instruments_unless_given(made: Path, outcome: CalibrationOutcome) -> None:
    own = outcome.calibration.symbols
    assert own["AAA/USDT"].fees is not None
    assert own["AAA/USDT"].fees.maker_fee_bps == pytest.approx(10)
    assert own["BBB/USDT"].fees is None
    given = calibrate_catalog(made, symbols=["BBB/USDT"], maker_fee_pct=-0.02).calibration
    fees = given.symbols["BBB/USDT"].fees
    assert fees is not None
    assert fees.maker_fee_bps == pytest.approx(-2)
    assert fees.pays


def test_a_symbol_that_cannot_be_calibrated_is_named_and_the_others_are_there(
    outcome: CalibrationOutcome,
) -> None:
    assert list(outcome.calibration.symbols) == ["AAA/USDT", "BBB/USDT"]
    assert list(outcome.failures) == ["CCC/USDT"]
    assert "holds no trades of CCC/USDT.MADE" in outcome.failures["CCC/USDT"]


def test_a_side_without_orders_has_no_fit_and_a_note(tmp_path: Path) -> None:
    MadeMarket(sells_a_second=0.01).write(tmp_path / "c", instrument())
    found = calibrate_catalog(tmp_path / "c")
    symbol = found.calibration.symbols["AAA/USDT"]
    assert symbol.intensity_bid is None
    assert symbol.intensity_ask is not None
    (note,) = found.notes
    assert note.startswith("AAA/USDT: no fit to sell orders alone: ")


def test_trades_without_a_known_taker_are_left_out_and_told(tmp_path: Path) -> None:
    """Nothing about them may be guessed, and fewer orders are not a quieter market."""
    MadeMarket(seconds=600).write(tmp_path / "c", instrument())
    reader = CatalogReader(tmp_path / "c")
    (trades,) = reader.iter_trades("AAA/USDT.MADE")
    path = next((tmp_path / "c" / "data" / "trades").rglob("*.parquet"))
    path.unlink()
    trades.aggressor[::3] = Side.NONE
    with staged_catalog(tmp_path / "c") as writer:
        writer.write_block(instrument(), trades)
    found = calibrate_catalog(tmp_path / "c")
    left_out = len(trades.aggressor[::3])
    assert found.notes[0].startswith(
        "AAA/USDT: trades without a known taker, which are left out of order arrivals"
    )
    assert found.notes[0].endswith(f"mark-outs: {left_out:,} of {len(trades):,}")

    trades.aggressor[:] = Side.NONE
    path.unlink()
    with staged_catalog(tmp_path / "c") as writer:
        writer.write_block(instrument(), trades)
    with pytest.raises(CalibrationError, match=r"no trade of .* has a known taker"):
        calibrate_catalog(tmp_path / "c")


def test_a_touch_that_rarely_changes_has_no_microprice_and_a_note(tmp_path: Path) -> None:
    MadeMarket(seconds=45, sells_a_second=1, buys_a_second=1).write(tmp_path / "c", instrument())
    found = calibrate_catalog(tmp_path / "c")
    assert found.calibration.symbols["AAA/USDT"].microprice is None
    assert any(note.startswith("AAA/USDT: no micro-price: ") for note in found.notes)


def test_days_between_two_recordings_are_no_observed_time(tmp_path: Path) -> None:
    """Two half hours, three days and 10 % of the price apart."""
    halves = [
        MadeMarket(seconds=1800, seed=1),
        MadeMarket(seconds=1800, seed=2, start_ns=T0 + 3 * 86_400 * SECOND, mid_ticks=110_000),
    ]
    apart = []
    for number, half in enumerate(halves):
        half.write(tmp_path / str(number), instrument())
        half.write(tmp_path / "both", instrument())
        apart.append(calibrate_catalog(tmp_path / str(number)).calibration.symbols["AAA/USDT"])
    outcome = calibrate_catalog(tmp_path / "both")
    both = outcome.calibration.symbols["AAA/USDT"]

    assert both.seconds == pytest.approx(sum(half.seconds for half in apart), abs=0.001)
    assert ([half.gaps for half in apart], both.gaps) == ([0, 0], 1)
    assert outcome.notes == (
        "AAA/USDT: figures are of the 3,599 s recorded within 261,000 s; silences of the book longer than 60 s are "
        "left out: 1",
    )
    for half in apart:
        error = half.intensity.a_standard_error
        assert abs(both.intensity.a_per_second - half.intensity.a_per_second) < 3 * error
        assert abs(both.volatility.volatility_bps - half.volatility.volatility_bps) < 0.5
    assert both.volatility.event_time_bps < 1.5
    assert both.spread.mid_price == pytest.approx(105, rel=0.01)
    assert both.fees is not None
    rates = [half.fees.best_fills_per_hour for half in apart if half.fees is not None]
    assert min(rates) < both.fees.best_fills_per_hour < max(rates)
    for mark, *parts in zip(both.mark_outs, *(half.mark_outs for half in apart), strict=True):
        assert mark.trades == sum(part.trades for part in parts)
    shown = Console(record=True, width=160, file=io.StringIO())
    shown.print(calibration_view(outcome.calibration))
    assert "(3,599 s recorded of 261,000 s, gaps left out: 1)" in shown.export_text()


def test_a_longer_silence_may_be_allowed(tmp_path: Path) -> None:
    MadeMarket(seconds=300).write(tmp_path / "c", instrument())
    MadeMarket(seconds=300, seed=8, start_ns=T0 + 400 * SECOND).write(tmp_path / "c", instrument())

    quiet, strict = (calibrate_catalog(tmp_path / "c", gap_seconds=limit) for limit in (101, 99))

    assert quiet.calibration.symbols["AAA/USDT"].seconds == pytest.approx(699.5, abs=1)
    assert strict.calibration.symbols["AAA/USDT"].seconds == pytest.approx(599, abs=1)


def test_time_without_a_sound_book_is_told(tmp_path: Path) -> None:
    MadeMarket(seconds=600).write(tmp_path / "c", instrument())
    times = T0 + SECOND * np.array([600, 600, 650], dtype=np.int64)
    rows = [
        (Action.CLEAR, Side.NONE, 0, 0, 0),
        (Action.ADD, Side.BID, 99_999, 1, Flag.LAST),
        (Action.ADD, Side.ASK, 100_001, 1, Flag.LAST),
    ]
    one_sided = DeltaBlock(times, times, *np.array(rows, dtype=np.int64).T, times)
    with staged_catalog(tmp_path / "c") as writer:
        writer.write_block(instrument(), one_sided)
    (note,) = calibrate_catalog(tmp_path / "c").notes
    assert note == (
        "AAA/USDT: the book was crossed or lacked a side for 50.0 s of 650 s; the previous touch is used for these"
    )


# -- Windows ------------------------------------------------------------------------------------------------


def test_a_window_is_the_last_part_of_the_data(made: Path, outcome: CalibrationOutcome) -> None:
    found = calibrate_catalog(made, symbols=["AAA/USDT"], last_seconds=300)
    symbol, whole = found.calibration.symbols["AAA/USDT"], outcome.calibration.symbols["AAA/USDT"]
    assert symbol.seconds == pytest.approx(300)
    assert symbol.end == whole.end
    assert 0 < symbol.spread.trades < whole.spread.trades / 2
    assert found.notes == ()


def test_start_and_end_are_kept_to(made: Path) -> None:
    start, end = START + timedelta(seconds=100), START + timedelta(seconds=500)
    symbol = calibrate_catalog(made, symbols=["AAA/USDT"], start=start, end=end).calibration.symbols[
        "AAA/USDT"
    ]
    assert (symbol.start, symbol.end, symbol.seconds) == (start, end, 400)


def test_parts_of_the_data_add_up(made: Path, outcome: CalibrationOutcome) -> None:
    middle = START + timedelta(seconds=600)
    first = calibrate_catalog(made, symbols=["AAA/USDT"], end=middle).calibration.symbols["AAA/USDT"]
    second = calibrate_catalog(made, symbols=["AAA/USDT"], start=middle).calibration.symbols["AAA/USDT"]
    whole = outcome.calibration.symbols["AAA/USDT"]
    assert first.seconds + second.seconds == pytest.approx(whole.seconds)
    assert first.spread.trades + second.spread.trades == whole.spread.trades


def test_a_window_longer_than_the_data_is_told(made: Path) -> None:
    found = calibrate_catalog(made, symbols=["AAA/USDT"], last_seconds=7200)
    (note,) = found.notes
    assert note == "AAA/USDT: the book covers 1,200 s of the 7,200 s requested"


def test_a_window_that_one_symbol_has_no_data_in_leaves_it_out(made: Path) -> None:
    found = calibrate_catalog(made, symbols=["AAA/USDT", "BBB/USDT"], last_seconds=300)
    assert list(found.calibration.symbols) == ["AAA/USDT"]
    assert "BBB/USDT.MADE in the wanted time span" in found.failures["BBB/USDT"]


def test_a_window_without_data_is_refused_once(made: Path) -> None:
    with pytest.raises(DataError) as caught:
        calibrate_catalog(made, symbols=["AAA/USDT", "BBB/USDT"], start=START + timedelta(days=1))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"start and end must leave some of what {made} holds, 2025-12-13T12:00:00.")
    assert line.endswith("was 2025-12-14T12:00:00.000000Z to open")


def test_a_window_too_short_to_fit_says_what_is_missing(made: Path) -> None:
    with pytest.raises(CalibrationError, match=r"AAA/USDT: .*(market orders|trades|window)"):
        calibrate_catalog(made, symbols=["AAA/USDT"], last_seconds=5)


# -- What is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"last_seconds": 0}, "the window must be longer than 0 seconds, was 0"),
        (
            {"last_seconds": 60, "start": START},
            "the window cannot be given together with a start or an end",
        ),
        (
            {"start": START, "end": START},
            r"end must be after start \(2025-12-13T12:00:00\+00:00\), was 2025-12-13",
        ),
        ({"maker_fee_pct": 10.0}, r"the maker fee must be between -5 and 5 %, was 10\.0"),
        ({"maker_fee_pct": float("nan")}, "the maker fee must be between"),
    ],
)
def test_arguments_out_of_range_are_refused(made: Path, arguments: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        calibrate_catalog(made, **arguments)


def test_all_unknown_symbols_are_named_with_the_nearest_known(made: Path) -> None:
    with pytest.raises(DataError) as caught:
        calibrate_catalog(made, symbols=["AAB/USDT", "BBB/USDT", "ZZZ"])
    first, second = str(caught.value).splitlines()
    assert first.endswith("holds no instrument AAB/USDT; did you mean AAA/USDT?")
    assert "holds no instrument ZZZ; it holds AAA/USDT.MADE" in second


def test_symbols_of_several_venues_are_refused(made: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "two"
    shutil.copytree(made, catalog)
    MadeMarket(seconds=60).write(catalog, instrument("AAA/USDT", venue="OTHER"))
    with pytest.raises(
        DataError, match=r"a calibration must use one venue, was AAA/USDT\.MADE, AAA/USDT\.OTHER"
    ):
        calibrate_catalog(catalog, symbols=["AAA/USDT.MADE", "AAA/USDT.OTHER"])
    found = calibrate_catalog(catalog, symbols=["AAA/USDT.MADE"], last_seconds=600)
    assert found.calibration.source.venue == "MADE"


def test_a_catalog_without_instruments_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="holds no instruments"):
        calibrate_catalog(tmp_path)


def test_damage_in_one_symbol_leaves_the_others(made: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "damaged"
    shutil.copytree(made, catalog)
    (path,) = (catalog / "data" / "order_book_deltas" / "BBBUSDT.MADE").glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
    path.write_bytes(content)
    found = calibrate_catalog(catalog)
    assert list(found.calibration.symbols) == ["AAA/USDT"]
    assert "is cut off or damaged" in found.failures["BBB/USDT"]


def test_progress_counts_rows_up_to_all_of_them(made: Path) -> None:
    calls: list[tuple[float, float]] = []
    calibrate_catalog(made, symbols=["AAA/USDT"], on_progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert len({total for _, total in calls}) == 1
    assert calls[-1][0] == calls[-1][1] > 0


# -- The sample and the recordings --------------------------------------------------------------------------


def _assert_same(found: object, expected: object, path: str = "") -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected), path
        for key, value in expected.items():
            _assert_same(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected), path
        for index, value in enumerate(expected):
            _assert_same(found[index], value, f"{path}[{index}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9), path
    else:
        assert found == expected, path


def test_shipped_file_is_what_the_sample_gives() -> None:
    shipped = load_calibration(SAMPLE)
    assert shipped.source.catalog == "catalog"
    assert shipped.source.simulated
    found = calibrate_catalog(ROOT / "catalog", created=shipped.created)
    assert found.failures == {}
    _assert_same(
        found.calibration.model_dump(mode="json")["symbols"], shipped.model_dump(mode="json")["symbols"]
    )


@pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")
def test_recordings_give_plausible_figures_and_cannot_pay_ten_bps(tmp_path: Path) -> None:
    for raw in ("BTCUSDT", "ETHUSDT"):
        files = sorted(str(path) for path in Path(REALDATA or "").glob(f"binance_spot_*_{raw}.csv.gz"))
        definition = ROOT / "configs" / "instruments" / f"binance_{raw.lower()}.yaml"
        command = [sys.executable, "-m", "mm_nautilus.cli", "data", "import", "tardis", *files]
        command += ["--catalog", str(tmp_path / "real"), "--instrument", str(definition)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    found = calibrate_catalog(tmp_path / "real")
    assert found.failures == {}
    assert not found.calibration.source.simulated
    assert list(found.calibration.symbols) == ["BTC/USDT", "ETH/USDT"]
    for symbol in found.calibration.symbols.values():
        for fit in (symbol.intensity, symbol.intensity_bid, symbol.intensity_ask):
            assert fit is not None
            assert 0.3 <= 1 / fit.kappa_per_bps <= 3
            assert 0.1 <= fit.a_per_second <= 1.5
            assert fit.kappa_standard_error < 0.3 * fit.kappa_per_bps
            assert fit.a_standard_error < 0.3 * fit.a_per_second
        assert 0.5 <= symbol.volatility.volatility_bps <= 3
        assert symbol.spread.median_spread_ticks == 1
        assert symbol.microprice is not None
        assert symbol.fees is not None
        assert symbol.fees.maker_fee_bps == pytest.approx(10)
        assert not symbol.fees.pays
        assert symbol.fees.verdict.endswith("this market's spread and intensity cannot pay the maker fee")
