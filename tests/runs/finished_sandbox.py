"""A sandbox run that has ended, as the tests of whole backtests know theirs."""

import json
from pathlib import Path

from sandbox_runs import Left, configuration, ending, finished
from whole_runs import FinishedRun

from mm_nautilus.checks.config_source import load_sandbox_config
from mm_nautilus.runs.winding_down import RunOutcome

EVENTFUL = (
    "strategy.use_reservation_price=true",
    "strategy.gamma=1.0",
    "strategy.use_trailing_stop=true",
    "strategy.trailing_stop_activation=0.02",
    "strategy.trailing_stop_distance=0.01",
    "strategy.flatten_on_stop=true",
)
"""Settings with which positions are closed within seconds of a market that is played fast."""


def sandbox_run(folder: Path, *sets: str, seconds: int = 300) -> FinishedRun:
    """Run the command on the local venue and return what it left."""
    options = [word for one in sets for word in ("--set", one)]
    done = finished(str(configuration(folder)), "--json", *ending(folder, seconds), *options)
    assert done.returncode == 0, done.stderr
    run = left_run(Left.only(folder).folder)
    assert json.loads(done.stdout) == run.summary
    return run


def left_run(folder: Path) -> FinishedRun:
    """Return a run by its folder."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    config = load_sandbox_config(folder / "config.yaml").config
    return FinishedRun(config, RunOutcome(summary, folder, ()))
