"""Whole runs on the shipped sample and on the local venue, shared by the tests that only read them."""

import functools
from collections.abc import Callable

import pytest
from finished_sandbox import EVENTFUL, sandbox_run
from whole_runs import CONFIGS, FinishedRun

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.runs.backtest import run_backtest


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FinishedRun]:
    """Run a shipped configuration with changes; the same run is made once a session."""

    @functools.cache
    def run(name: str, *overrides: str) -> FinishedRun:
        folder = tmp_path_factory.mktemp("runs")
        sets = [*overrides, f"output.directory={folder}", "output.report=false"]
        loaded = load_config(CONFIGS / name, sets)
        return FinishedRun(loaded.config, run_backtest(loaded.config))

    return run


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Trade on paper against the local venue for some seconds, with a report."""
    return sandbox_run(tmp_path_factory.mktemp("sandbox"), *EVENTFUL, "output.report=true")
