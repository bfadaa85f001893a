"""A headless Chromium, and the pages of real runs for it to open."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pages import OpenPage, open_in
from playwright.sync_api import Browser, expect, sync_playwright

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.report.compare import compare_runs
from mm_nautilus.report.comparison_view import comparison_parts
from mm_nautilus.report.page import render
from mm_nautilus.runs.backtest import run_backtest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path(os.environ.get("MM_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=60_000)  # patience with a busy machine
EVENTFUL = (
    "strategy.use_reservation_price=true",
    "strategy.gamma=1.0",
    "strategy.volatility_lookback=3",
    "strategy.requote_tolerance_bps=0.1",
    "strategy.use_trailing_stop=true",
    "strategy.trailing_stop_activation=0.05",
    "strategy.trailing_stop_distance=0.04",
    "strategy.symbols.XRP/USDT.levels=[{width_bps: 0}, {width_bps: 8}]",
)
"""Settings with which every figure has something to show."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one module: while it is open an event loop runs, and no other test could begin its own."""
    if not CHROMIUM.is_file():
        reason = (
            f"there is no Chromium at {CHROMIUM}: `make browser` installs Debian's, MM_CHROMIUM names another"
        )
        if os.environ.get("MM_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., OpenPage]]:
    """Return what opens a file and waits until its figures are drawn."""
    with ExitStack() as stack:

        def open_(path: Path, *, width: int = 1280, scheme: Any = "light") -> OpenPage:
            url = path.as_uri()
            return open_in(browser, stack, url, width=width, scheme=scheme, patience_ms=60_000)

        yield open_


@pytest.fixture(scope="session")
def backtest(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return what runs the sample, with a report."""
    parent = tmp_path_factory.mktemp("runs")

    def run(name: str, *sets: str) -> Path:
        given = [*sets, f"name={name}", f"output.directory={parent}"]
        return run_backtest(load_config(ROOT / "configs" / "v1_4.yaml", given).config).folder

    return run


@pytest.fixture(scope="session")
def report(backtest: Callable[..., Path]) -> Path:
    """Return the report of a run that moves quotes and closes positions."""
    return backtest("eventful", *EVENTFUL) / "report.html"


@pytest.fixture(scope="session")
def paper_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trade on paper until the local venue has played some minutes, and return the report."""
    parent = tmp_path_factory.mktemp("paper")
    write_sample(parent / "played", SimulationConfig(duration_seconds=240))
    feed = (f"feed.catalog={parent / 'played'}", "feed.at_end=stop", "feed.speed=20")
    settings = (*EVENTFUL, *feed, f"state.directory={parent / 'state'}", "output.report=true")
    command = [sys.executable, "run_sandbox.py", "configs/sandbox_local.yaml", "--quiet", "--duration", "10m"]
    command += ["--out", str(parent / "runs"), *(word for one in settings for word in ("--set", one))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (folder,) = (parent / "runs").iterdir()
    return folder / "report.html"


@pytest.fixture(scope="session")
def comparison(report: Path, backtest: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of two runs side by side."""
    path = tmp_path_factory.mktemp("comparison") / "both.html"
    path.write_text(
        render("compare.html.jinja", **comparison_parts(compare_runs([report.parent, backtest("plain")])))
    )
    return path
