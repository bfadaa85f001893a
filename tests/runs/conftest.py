"""Whole runs on the shipped sample, shared by the tests that only read them."""

import functools
from collections.abc import Callable

import pytest
from whole_runs import CONFIGS, FinishedRun

from mm_nautilus.core.config_source import load_config
from mm_nautilus.runs.backtest import run_backtest


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FinishedRun]:
    """Run a shipped configuration with changes; the same run is made once a session."""

    @functools.cache
    def run(name: str, *overrides: str) -> FinishedRun:
        folder = tmp_path_factory.mktemp("runs")
        loaded = load_config(CONFIGS / name, [*overrides, f"output.directory={folder}"])
        return FinishedRun(loaded.config, run_backtest(loaded.config))

    return run
