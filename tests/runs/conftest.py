"""Whole runs on the shipped sample and on the local venue, shared by the tests that only read them."""

import functools
from collections.abc import Callable

import pytest
from finished_sandbox import EVENTFUL, left_run
from live_pages import Seen, events, live_run
from sandbox_runs import Left, configuration, ending
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
def watched_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, Seen]:
    """Trade on paper against the local venue for some seconds, with a report, and watch the page from start to end.

    The Prometheus endpoint is scraped with each state of the page.
    """
    folder = tmp_path_factory.mktemp("sandbox")
    sets = [word for one in (*EVENTFUL, "output.report=true") for word in ("--set", one)]
    seen: Seen = {name: [] for name in ("prices", "state", "fills", "days", "curve", "log", "scrapes")}
    words = [*ending(folder, 300), *sets, "--metrics-port", "0"]
    with live_run(configuration(folder), *words) as run, run.listen() as stream:
        for name, data in events(stream):
            seen[name].append(data)
            if name == "state" and data["status"] == "running":
                seen["scrapes"].append(run.scrape(Left.only(folder).summary["prometheus"]["url"]))
        errors = run.ended()
        assert run.process.returncode == 0, errors
    return left_run(Left.only(folder).folder), seen


@pytest.fixture(scope="session")
def paper_run(watched_run: tuple[FinishedRun, Seen]) -> FinishedRun:
    """Return the run that was watched."""
    return watched_run[0]


@pytest.fixture(scope="session")
def seen(watched_run: tuple[FinishedRun, Seen]) -> Seen:
    """Return what its page was told."""
    return watched_run[1]
