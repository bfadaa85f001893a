"""A quiet catalog of 38 minutes, a configuration on it, and what runs its trials in this process."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from mm_nautilus.config.yaml_file import yaml_text
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.search.plan import SearchOptions, draft
from mm_nautilus.search.run_search import SearchOutcome, run_search
from mm_nautilus.search.trial import TrialOutcome, TrialTask, run_trial

PICKY = """\
from mm_nautilus import MarketMaker


class Picky(MarketMaker):
    def on_start(self):
        super().on_start()
        if self.symbols["XRP/USDT"].params.min_spread_pct == 0.05:
            raise ValueError("no such width")
"""
SMALL = SimulationConfig(duration_seconds=2280, activity=0.1)
VALUES: dict[str, Any] = {
    "name": "small",
    "catalog": "catalog",
    "venue": {
        "name": "KRAKEN",
        "starting_balances": ["1000 USDT", "500 XRP"],
        "fees": {"maker_fee_pct": 0.0, "taker_fee_pct": 0.02},
    },
    "strategy": {
        "volatility_lookback": 2,
        "max_position_seconds": 60,
        "min_spread_pct": 0.08,
        "cooldown_seconds": 1,
        "symbols": {"XRP/USDT": None},
    },
}


def write_small(folder: Path, **strategy: Any) -> Path:
    """Write the catalog and the configuration, with other parameters, and return the latter."""
    if not (folder / "catalog").exists():
        write_sample(folder / "catalog", SMALL)
    (folder / "picky.py").write_text(PICKY)
    path = folder / "small.yaml"
    path.write_text(yaml_text({**VALUES, "strategy": {**VALUES["strategy"], **strategy}}))
    return path


class InProcess:
    """A runner of trials in this process."""

    jobs = 1

    def __init__(self) -> None:
        self.tasks: list[TrialTask] = []

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        self.tasks.append(task)
        future: Future[TrialOutcome] = Future()
        future.set_result(run_trial(task))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None: ...


def search(config: Path, space: str | Sequence[str], runner: Any = None, **options: Any) -> SearchOutcome:
    """Run a search beside its configuration; a text is the space's YAML, a list are options ``--grid``."""
    path = config.with_name("space.yaml")
    if isinstance(space, str):
        path.write_text(space)
        options["space"] = path
    else:
        options["grid"] = space
    drafted = draft(SearchOptions(config, config.parent / "searches", **options))
    return run_search(drafted, runner or InProcess(), lambda _done, _total, _words: None)
