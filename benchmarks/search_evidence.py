"""Count how often a search says "evidence" without an edge, and with one.

Usage: python benchmarks/search_evidence.py [--without N] [--with N] [--jobs N] [--folder DIR]

Each search is a real one, on a simulated market of its own seed: an hour and a half of one calm pair, on which quotes
of 1.5 bps a side earn, 12 trials, one fold. Without an edge it searches the phase of `jittered_prices`, which shuffles
widths and cannot be better or worse on average; the strategy earns whatever it is, which is the harder case for a
verdict. With an edge it searches the width itself, around a configuration that quotes far too wide. Results depend on
the seeds only, not on the machine. 60 searches take about ten minutes on two idle cores (half an hour on busy ones).
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.search.plan import SearchOptions, draft
from mm_nautilus.search.run_search import run_search
from mm_nautilus.search.trial import TrialOutcome, TrialTask, run_trial

CONFIG = Path(__file__).with_suffix(".yaml")
SECONDS = 5_400
TRIALS = 12
KEYS = "strategy.pricing_parameters"
TOO_WIDE_BPS = 10.0
SPACES = {
    "without": f"{KEYS}.phase: {{low: 0, high: 1}}\n",
    "with": f"{KEYS}.width_bps: {{low: 0.5, high: {TOO_WIDE_BPS}, log: true}}\n",
}
FIRST_SEED = 1


class Inline:
    """Runs trials in this process, which runs one search beside others."""

    jobs = 1

    def submit(self, task: TrialTask) -> Future[TrialOutcome]:
        future: Future[TrialOutcome] = Future()
        future.set_result(run_trial(task))
        return future

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_raised: object) -> None:
        return None


def simulated(folder: Path, seed: int) -> Path:
    """Return a catalog of a calm and quiet market: no jumps, a fifth of the sample's volatility, half of its orders."""
    config = SimulationConfig(
        seed=seed,
        duration_seconds=SECONDS,
        xrp_volatility_pct=0.02,
        btc_volatility_pct=0.02,
        jumps_per_hour=0.0,
        activity=0.5,
    )
    catalog = folder / f"catalog-{seed}"
    write_sample(catalog, config)
    return catalog


def searched(folder: Path, kind_and_seed: tuple[str, int]) -> dict[str, Any]:
    """Run one search, and return what it came to."""
    kind, seed = kind_and_seed
    with tempfile.TemporaryDirectory(dir=folder) as made:
        catalog, space = simulated(Path(made), seed), Path(made) / "space.yaml"
        space.write_text(SPACES[kind], encoding="utf-8")
        overrides = [f"catalog={catalog}", f"{KEYS}.seed={seed}"]
        if kind == "with":
            overrides.append(f"{KEYS}.width_bps={TOO_WIDE_BPS}")
        options = SearchOptions(
            config=CONFIG,
            directory=Path(made),
            overrides=overrides,
            space=space,
            trials=TRIALS,
            objectives=("pnl",),
            seed=seed,
        )
        outcome = run_search(draft(options), Inline(), lambda *_told: None)
    document = outcome.document
    verdict = document["verdict"]
    failed = [check["name"] for check in verdict["checks"] if not check["holds"]]
    (value,) = document["best"]["parameters"].values()
    return {"kind": kind, "seed": seed, "value": value, "failed": failed, **verdict}


def line(found: dict[str, Any]) -> str:
    """Return a search's row of the table."""
    inside, outside = found["figures"]["in_sample"], found["figures"]["out_of_sample"]
    cells = [
        f"{found['kind']} an edge",
        str(found["seed"]),
        f"{found['value']:.3f}",
        f"{inside['gain']:+.3f}",
        f"{outside['gain']:+.3f}",
        f"{outside['pnl']:+.3f}",
        "evidence" if found["evidence"] else f"no: {', '.join(found['failed'])}",
    ]
    return f"| {' | '.join(cells)} |"


@contextmanager
def workspace(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--without", type=int, default=40, help="searches without an edge")
    parser.add_argument("--with", type=int, default=20, dest="with_", help="searches with one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the searches work; by default a temporary folder")
    given = parser.parse_args()
    seeds = [("without", FIRST_SEED + number) for number in range(given.without)]
    seeds += [("with", FIRST_SEED + number) for number in range(given.with_)]
    print("| search | seed | winner | gain in sample | gain out of sample | PnL out of sample | verdict |")
    print("|---|---:|---:|---:|---:|---:|---|", flush=True)
    told = {"without": 0, "with": 0}
    context = multiprocessing.get_context("spawn")
    with workspace(given.folder) as folder, ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
        for found in pool.map(partial(searched, folder), seeds):
            told[found["kind"]] += found["evidence"]
            print(line(found), flush=True)
    print(f"\nevidence without an edge: {told['without']} of {given.without}")
    print(f"evidence with an edge: {told['with']} of {given.with_}")


if __name__ == "__main__":
    main()
