"""Whole runs with calibrated models, fair prices and targets: each switch changes the run the way it should."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from processes import python
from whole_runs import CONFIGS, ROOT, FinishedRun

from mm_nautilus.calibration.figures import Calibration, CalibrationSource, SymbolCalibration
from mm_nautilus.calibration.file import dump_calibration, load_calibration
from mm_nautilus.checks.config_source import load_config
from mm_nautilus.checks.instruments import check_run
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.errors import ConfigError
from mm_nautilus.runs.calibration import calibrate_catalog
from mm_nautilus.runs.inputs import prepare

Runs = Callable[..., FinishedRun]
SYMBOLS = ("XRP/USDT", "BTC/USDT", "XRP/BTC")
FREE = "venue.fees.maker_fee_pct=0"
MODELLED = (
    FREE,
    "strategy.use_reservation_price=true",
    "strategy.requote_tolerance_bps=0.2",
    "end=2025-12-13T12:15:00Z",
)


@pytest.fixture(scope="module")
def calibration(
    tmp_path_factory: pytest.TempPathFactory, symbol_calibration: Callable[..., SymbolCalibration]
) -> Path:
    """Write a calibration with about the figures that the sample has."""
    symbols = {
        "XRP/USDT": symbol_calibration(a=0.7, kappa=1.5, volatility=1.1),
        "BTC/USDT": symbol_calibration(a=0.7, kappa=2.4, volatility=0.9, mid=1e5),
        "XRP/BTC": symbol_calibration(a=0.9, kappa=0.4, volatility=0.9, mid=2.35e-5),
    }
    first = symbols["XRP/USDT"]
    source = CalibrationSource(catalog="catalog", venue="KRAKEN", simulated=True)
    path = tmp_path_factory.mktemp("calibration") / "measured.yaml"
    calibration = Calibration(version=1, created=first.end, source=source, symbols=symbols)
    path.write_text(dump_calibration(calibration), encoding="utf-8")
    return path


@pytest.fixture
def modelled(finished_run: Runs, calibration: Path) -> Runs:
    """Return what runs the shipped configuration with a reservation model and further changes."""

    def run(model: str, *changes: str) -> FinishedRun:
        given = (f"strategy.calibration={calibration}", f"strategy.reservation_model={model}")
        return finished_run("v1_4.yaml", *MODELLED, *given, *changes)

    return run


def _inventory(run: FinishedRun, symbol: str) -> float:
    figures: float = run.symbol(symbol)["average_inventory"]
    return figures


def _lean(run: FinishedRun) -> pd.Series:
    """Return how far each published reservation price lies above the mid where the position is long, share."""
    metrics = run.table("metrics")
    inventory = metrics.inventory.str.split().str[0].astype(float)
    return (metrics.reservation_price / metrics.mid_price - 1) * np.sign(inventory)


# -- Models -----------------------------------------------------------------------------------------------


@pytest.mark.long
def test_each_model_makes_another_run_of_the_same_data(modelled: Runs) -> None:
    fills = [modelled(model).table("fills") for model in ("simplified", "avellaneda_stoikov", "glft")]
    assert all(len(table) > 50 for table in fills)
    assert not any(fills[i].equals(fills[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.long
@pytest.mark.parametrize("model", ["avellaneda_stoikov", "glft"])
def test_calibrated_models_hold_less_inventory_than_the_simplified_one(modelled: Runs, model: str) -> None:
    plain, calibrated = modelled("simplified"), modelled(model)
    for symbol in SYMBOLS:
        assert _inventory(calibrated, symbol) < _inventory(plain, symbol)
    lean = _lean(calibrated).dropna()
    assert (lean <= 1e-12).all()
    assert lean.min() < -1e-4, "more than a basis point, which the simplified model does not reach here"


@pytest.mark.long
def test_the_simplified_model_takes_a_calibrations_volatility_alone(
    modelled: Runs, finished_run: Runs
) -> None:
    given = "strategy.skew_bps_at_max_inventory=3", "strategy.base_volatility_pct=100"
    with_figures = modelled("simplified", "strategy.gamma=null", *given)
    without = finished_run("v1_4.yaml", *MODELLED, "strategy.gamma=null", *given)
    assert with_figures.table("fills").equals(without.table("fills"))
    metrics = with_figures.table("metrics")
    assert set(metrics.volatility_source.head(20)) == {"calibration"}


@pytest.mark.long
def test_a_larger_skew_holds_less_inventory(modelled: Runs) -> None:
    small, large = (
        modelled("glft", "strategy.gamma=null", f"strategy.skew_bps_at_max_inventory={bps}")
        for bps in (1, 20)
    )
    assert sum(_inventory(large, symbol) < _inventory(small, symbol) for symbol in SYMBOLS) == len(SYMBOLS)
    assert small.symbol("BTC/USDT")["quote_model"]["skew_bps"] == 1
    assert large.symbol("BTC/USDT")["quote_model"]["gamma"] > small.symbol("BTC/USDT")["quote_model"]["gamma"]


@pytest.mark.long
def test_a_target_moves_the_mean_position(modelled: Runs) -> None:
    def mean_xrp(run: FinishedRun) -> float:
        metrics = run.table("metrics").query("symbol == 'XRP/USDT'")
        return float(metrics.inventory.str.split().str[0].astype(float).mean())

    target = "strategy.symbols.XRP/USDT.inventory_target"
    none, long, short = (modelled("glft", f"{target}={text}") for text in ("0", "30 XRP", "-30 XRP"))
    assert mean_xrp(short) < mean_xrp(none) - 5
    assert mean_xrp(long) > mean_xrp(none) + 5


@pytest.mark.long
@pytest.mark.parametrize("fair", ["weighted_mid", "microprice"])
def test_fair_prices_make_other_quotes(modelled: Runs, fair: str) -> None:
    plain, moved = modelled("simplified"), modelled("simplified", f"strategy.fair_price={fair}")
    assert not moved.table("fills").equals(plain.table("fills"))
    assert moved.symbol("XRP/USDT")["orders_amended"] > plain.symbol("XRP/USDT")["orders_amended"]
    metrics = moved.table("metrics")
    flat = metrics[
        metrics.inventory.str.startswith("0") & (metrics.inventory.str.split().str[0].astype(float) == 0)
    ]
    assert (flat.reservation_price != flat.mid_price).any()


# -- Estimates during a run -------------------------------------------------------------------------------

ROLLING = ("strategy.recalibrate_minutes=3", "strategy.recalibrate_window_minutes=5")


@pytest.mark.long
def test_a_run_estimates_its_own_figures_where_no_calibration_is_given(finished_run: Runs) -> None:
    run = finished_run("v1_4.yaml", *MODELLED, "strategy.reservation_model=glft", *ROLLING)
    for symbol in SYMBOLS:
        figures = run.symbol(symbol)
        model = figures["quote_model"]
        assert figures["not_quoting"]["bid"]["warming up"]["seconds"] == pytest.approx(180, abs=2)
        assert figures["not_quoting"]["bid"]["warming up"]["count"] == 1
        assert model["estimates"] >= 2
        assert "from the 5 min up to 2025-12-13T" in model["source"]
        assert (model["model"], model["spread_source"]) == ("glft", "present spread")
    assert run.table("fills").ts_event.min() > run.table("metrics").ts_event.min() + pd.Timedelta(minutes=3)


@pytest.mark.long
def test_estimates_during_a_run_change_it_from_the_first_one_on(modelled: Runs) -> None:
    kept, renewed = modelled("glft"), modelled("glft", *ROLLING)
    first, second = kept.table("fills"), renewed.table("fills")
    before = kept.table("metrics").ts_event.min() + pd.Timedelta(minutes=3)
    assert first[first.ts_event < before].equals(second[second.ts_event < before])
    assert not first.equals(second)
    assert renewed.symbol("XRP/USDT")["quote_model"]["estimates"] > 0


def test_a_run_estimates_what_the_calibrate_command_does(finished_run: Runs) -> None:
    run = finished_run("v1_4.yaml", *MODELLED, "strategy.reservation_model=glft", *ROLLING)
    pattern = r"A (\S+) per second, kappa (\S+) per bps, from the 5 min up to (\S+)"
    for symbol in SYMBOLS:
        found = re.search(pattern, run.symbol(symbol)["quote_model"]["source"])
        assert found is not None
        end = datetime.fromisoformat(found[3])
        outcome = calibrate_catalog(
            ROOT / "catalog", symbols=[symbol], start=end - timedelta(minutes=5), end=end
        )
        fit = outcome.calibration.symbols[symbol].intensity
        assert float(found[1]) == pytest.approx(fit.a_per_second, rel=0.01), "three digits are told"
        assert float(found[2]) == pytest.approx(fit.kappa_per_bps, rel=0.01)


# -- What is told and kept --------------------------------------------------------------------------------


def test_summary_has_the_figures_of_each_symbols_quotes(modelled: Runs) -> None:
    run = modelled("glft")
    model = run.symbol("XRP/USDT")["quote_model"]
    assert set(model) == {
        *("model", "source", "gamma", "half_width_bps", "half_width_ticks", "skew_bps", "skew_ticks"),
        *("maker_fee_bps", "volatility_pct", "volatility_source", "volatility_since"),
        *("spread_bps", "spread_source", "estimates", "refused_estimates"),
    }
    assert (model["model"], model["gamma"], model["maker_fee_bps"]) == ("glft", 0.1, 0)
    assert (model["spread_bps"], model["spread_source"]) == (1.15, "median spread")
    assert model["half_width_bps"] >= 2.5, "min_spread_pct 0.05"
    assert model["half_width_ticks"] / model["half_width_bps"] == pytest.approx(
        model["skew_ticks"] / model["skew_bps"]
    )


def test_a_run_keeps_a_copy_of_its_calibration_and_can_be_repeated(modelled: Runs, calibration: Path) -> None:
    run = modelled("glft")
    folder = run.outcome.folder
    assert (folder / "calibration.yaml").read_bytes() == calibration.read_bytes()
    resolved = load_config(folder / "config.yaml").config
    assert resolved.strategy.calibration == calibration
    assert resolved == run.config


@pytest.mark.long
def test_prepare_and_the_strategy_warn_of_the_same(modelled: Runs) -> None:
    run = modelled("glft", "strategy.gamma=null", "strategy.skew_bps_at_max_inventory=0.02")
    before = [text for text in run.outcome.warnings if "less than one tick" in text]
    inside = [text for text in run.summary["warnings"] if "less than one tick" in text]
    assert len(before) == len(SYMBOLS) - 1, "a tick of BTC/USDT is a hundredth of a basis point"
    amount = re.compile(r"moves \S+ ")
    assert {amount.sub("", text) for text in before} == {amount.sub("", text) for text in inside}
    assert len(inside) == len(before)


@pytest.mark.long
def test_the_log_tells_each_symbols_figures(tmp_path: Path, calibration: Path) -> None:
    changes = [
        f"strategy.calibration={calibration}",
        "strategy.reservation_model=avellaneda_stoikov",
        "strategy.recalibrate_minutes=0.3",
        "strategy.recalibrate_window_minutes=0.3",
        *MODELLED,
    ]
    words = [word for change in changes for word in ("--set", change)]
    minute = [word.replace("12:15", "12:01") for word in words]
    done = python(ROOT / "run_backtest.py", *minute, "--out", tmp_path)  # a process logs to one file only
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    log = "\n".join(path.read_text() for path in folder.glob("run*"))
    for symbol in SYMBOLS:
        lines = [line for line in log.splitlines() if f"MM: {symbol} quotes stand " in line]
        assert len(lines) == 1
        for text in (
            "ticks) from the reservation price, which full inventory moves by",
            "maker fee 0 bps, median spread 1.15",
        ):
            assert text in lines[0]
        refusals = [
            line for line in log.splitlines() if f"MM: {symbol} continues with its last figures: " in line
        ]
        assert len(refusals) == 3, "eighteen seconds hold too few market orders or too little time"
    for text in ("Quote model", "distance from the centre", "moved by full inventory", "the market's spread"):
        assert text in done.stdout
    assert "calibration.yaml" in {path.name for path in folder.iterdir()}


# -- Refused inputs ---------------------------------------------------------------------------------------


def changed(calibration: Path, folder: Path, pattern: str, replacement: str) -> Path:
    path = folder / "changed.yaml"
    text, count = re.subn(pattern, replacement, calibration.read_text(encoding="utf-8"), count=1)
    assert count == 1
    path.write_text(text, encoding="utf-8")
    return path


MODEL = ("strategy.use_reservation_price=true", "strategy.reservation_model=glft", FREE)


@pytest.mark.parametrize(
    ("pattern", "replacement", "changes", "words"),
    [
        ("version: 1", "version: 2", MODEL, ("changed.yaml:4: version: version must be 1, was 2",)),
        ("XRP/BTC:", "XRP/EUR:", MODEL, ("must be in it (BTC/USDT, XRP/EUR, XRP/USDT; did you mean", "was XRP/BTC")),
        ("kappa_per_bps: 1.5", "kappa_per_bps: 6380.0", MODEL,
         ("XRP/USDT: kappa_per_bps must be between", "was 6380")),
        ("kappa_per_bps: 1.5", "kappa_per_bps: fast", MODEL, ("kappa_per_bps must be a finite number above 0",)),
        ("kappa_per_bps: 2.4", "kappa_per_bps: 0.01", MODEL,
         ("BTC/USDT: a_per_second 0.7 and kappa_per_bps 0.01 must",)),
        ("volatility_bps: 1.1", "volatility_bps: 110.0", MODEL,
         ("volatility_bps must be between 0 and 100 basis points",)),
        ("version: 1", "version: 1", (*MODEL[:2], "venue.fees.maker_fee_pct=0.1"),
         ("--set strategy.reservation_model: BTC/USDT: the full width of glft must be at most 5 % of mid",
          "the maker fee of 10 bps")),
        ("(?s)microprice:.*?mark_outs", "microprice: null\n    mark_outs", ("strategy.fair_price=microprice",),
         ("must have a micro-price table",)),
        ("(?s).*", "", MODEL, ("a calibration must be a mapping of keys, was an empty file",)),
    ],
)  # fmt: skip
def test_a_bad_calibration_ends_the_command_before_anything_is_written(
    tmp_path: Path,
    calibration: Path,
    pattern: str,
    replacement: str,
    changes: tuple[str, ...],
    words: tuple[str, ...],
    command: Callable[..., Any],
) -> None:
    path, out = changed(calibration, tmp_path, pattern, replacement), tmp_path / "out"
    sets = [word for change in (f"strategy.calibration={path}", *changes) for word in ("--set", change)]
    done = command("backtest", CONFIGS / "v1_4.yaml", *sets, "--out", out)
    assert done.returncode == 2
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())
    for word in words:
        assert word in done.stderr
    assert "strategy" in done.stderr
    assert done.stdout == ""
    assert not out.exists()


def test_the_error_of_a_missing_calibration_names_file_key_and_line(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    text = (CONFIGS / "v1_4.yaml").read_text(encoding="utf-8")
    path = tmp_path / "run.yaml"
    path.write_text(text.replace("strategy:\n", "strategy:\n  calibration: absent.yaml\n"), encoding="utf-8")
    done = command("backtest", path)
    line = text.splitlines().index("strategy:") + 2
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path}:{line}: strategy.calibration: {tmp_path / 'absent.yaml'}: the calibration must be an existing "
        f"file, was not found (did you mean {path}?)\n"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.yaml"]


def test_a_configuration_made_in_code_is_checked_as_well(calibration: Path, tmp_path: Path) -> None:
    path = changed(calibration, tmp_path, "XRP/BTC:", "XRP/EUR:")
    loaded = load_config(CONFIGS / "v1_4.yaml", [*MODEL, f"strategy.calibration={calibration}"])
    strategy = loaded.config.strategy.model_copy(update={"calibration": path})
    with pytest.raises(ConfigError, match=r"strategy\.calibration: .*was XRP/BTC"):
        prepare(loaded.config.model_copy(update={"strategy": strategy}))


def test_check_run_takes_the_calibration_too(calibration: Path) -> None:
    fee = "venue.fees.maker_fee_pct=0.1"
    config = load_config(
        CONFIGS / "v1_4.yaml", [*MODEL[:2], fee, f"strategy.calibration={calibration}"]
    ).config
    specs = {spec.symbol: spec for spec in CatalogReader(ROOT / "catalog").instruments()}
    mids = {"XRP/USDT": 2.35, "BTC/USDT": 1e5, "XRP/BTC": 2.35e-5}
    found = check_run(config, specs, mids, calibration=load_calibration(calibration))
    errors = [problem.path for problem in found if not problem.is_warning]
    assert ("strategy", "symbols", "BTC/USDT", "reservation_model") in errors
    assert json.dumps(errors)
