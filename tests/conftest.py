"""Which tests keep together, commands in this process, and calibrations for tests of what takes figures from them."""

import gc
import math
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from mm_nautilus.calibration.figures import (
    CALIBRATION_VERSION,
    Calibration,
    CalibrationSource,
    IntensityFit,
    IntensityPoint,
    MicropriceFigures,
    SpreadFigures,
    SymbolCalibration,
    VolatilityFigures,
)
from mm_nautilus.calibration.file import dump_calibration
from mm_nautilus.cli import main

signal.signal(
    signal.SIGHUP, signal.SIG_DFL
)  # commands that tests start hear it also where this process was told not to
settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")  # the same examples each time, however busy the machine
START = datetime(2025, 12, 13, tzinfo=UTC)

SHARED = {
    "whole sample": (
        *("identities", "statistics", "report_page", "rotated_journals", "inputs", "live_runs"),
        *("report_charts", "report_figures", "sandbox_reports", "sandbox_run", "recorded_runs", "traces"),
    ),
    "reports in a browser": ("report_in_browser", "compare_in_browser"),
    "live nodes in this process": ("carried_state", "phantom_fills", "state_saver"),
    "parts of the sample": ("features", "calibrated_runs", "records", "compare_runs", "journal_links"),
}
"""Modules that share runs, or are better off together: each group is tested by one worker."""
FIRST = ("runs", "browser", "sandbox", "docs", "venue")
"""Folders whose tests wait for processes: begun first, they wait while others compute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A thread has one live node at a time: those that make some come before all that may leave one.
    live = {f"test_{name}" for name in SHARED["live nodes in this process"]}
    items.sort(key=lambda item: (item.path.stem not in live, item.path.parent.name not in FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out modules one by one, and those of a group as one."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only where tests run side by side

    groups = {f"test_{name}": group for group, names in SHARED.items() for name in names}

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return groups.get(Path(path).stem, path)

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


class Ended(NamedTuple):
    """What a command has left, under the names of a process."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return what runs ``mm-nautilus`` with some words in this process."""

    def run(*words: object) -> Ended:
        capfd.readouterr()
        if words[:1] == ("sandbox",):
            gc.collect()  # a thread has one live node at a time, and the last one may wait to be collected
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        return Ended(int(left.value.code or 0), *capfd.readouterr())

    return run


def intensity_fit(a: float, kappa: float, **changes: Any) -> IntensityFit:
    """Return a fit that describes its points exactly."""
    depths = [0.25 * step / kappa for step in range(1, 17)]
    points = [
        IntensityPoint(
            depth_bps=depth,
            arrivals=round(3600 * a * math.exp(-kappa * depth)),
            intensity_per_second=a * math.exp(-kappa * depth),
        )
        for depth in depths
    ]
    fit = IntensityFit(
        a_per_second=a,
        a_standard_error=0.05 * a,
        kappa_per_bps=kappa,
        kappa_standard_error=0.05 * kappa,
        r_squared=0.99,
        chi_squared_per_degree=1.1,
        fitted_from_bps=depths[0],
        fitted_to_bps=depths[-1],
        arrivals=max(points[0].arrivals, 1),
        points=points,
    )
    return fit.model_copy(update=changes)


def microprice_table() -> MicropriceFigures:
    """Return a table of four buckets: a heavy side moves the price towards the other one."""
    return MicropriceFigures(
        imbalance_buckets=4,
        spread_ticks=[1, 50],
        adjustment_ticks=[[-0.4, -0.1, 0.1, 0.4], [-30.0, -10.0, 10.0, 30.0]],
        observations=[[100] * 4, [90] * 4],
    )


@pytest.fixture(scope="session")
def symbol_calibration() -> Callable[..., SymbolCalibration]:
    """Return what makes one symbol's calibration: a liquid pair, unless told otherwise."""

    def make(
        *, a: float = 0.5, kappa: float = 1.0, volatility: float = 0.8, mid: float = 2.35, **changes: Any
    ) -> SymbolCalibration:
        made = SymbolCalibration(
            start=START,
            end=START + timedelta(hours=1),
            seconds=3600.0,
            spread=SpreadFigures(
                mid_price=mid,
                tick_bps=0.0426,
                median_spread_bps=1.15,
                median_spread_ticks=27.0,
                market_orders=1800,
                trades=4000,
            ),
            volatility=VolatilityFigures(
                volatility_bps=volatility,
                standard_error_bps=0.1,
                interval_seconds=60.0,
                one_minute_pct=volatility * math.sqrt(60) / 100,
                event_time_bps=0.3,
                mid_moves=3000,
                signature=[],
            ),
            intensity=intensity_fit(a, kappa),
            intensity_bid=None,
            intensity_ask=None,
            microprice=microprice_table(),
            mark_outs=[],
            fees=None,
        )
        return made.model_copy(update=changes)

    return make


@pytest.fixture
def calibration_of() -> Callable[..., Calibration]:
    """Return what makes a calibration of some symbols."""

    def make(symbols: dict[str, SymbolCalibration]) -> Calibration:
        return Calibration(
            version=CALIBRATION_VERSION,
            created=START + timedelta(hours=2),
            source=CalibrationSource(catalog="catalog", venue="KRAKEN", simulated=True),
            symbols=symbols,
        )

    return make


@pytest.fixture
def calibration_file(tmp_path: Path, calibration_of: Callable[..., Calibration]) -> Callable[..., Path]:
    """Return what writes a calibration of some symbols and returns its file."""

    def write(symbols: dict[str, SymbolCalibration], name: str = "calibration.yaml") -> Path:
        path = tmp_path / name
        path.write_text(dump_calibration(calibration_of(symbols)), encoding="utf-8")
        return path

    return write
