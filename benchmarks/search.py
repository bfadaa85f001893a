"""Measure what a search's trials cost: each above its engine, on two processes against one, and on Ray.

Usage: python benchmarks/search.py [--trials N] [--rounds N] [--seconds N] [--write]

Simulated data of one window is searched with as many quote widths as there are trials. Two processes and Ray have to
have the machine to themselves, whose times are compared: nothing else should run. With --write the table goes into
docs/performance.md.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mm_nautilus.checks.config_source import read_source
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.search.runners import Runner, pool_runner, ray_runner
from mm_nautilus.search.trial import TrialOutcome, TrialTask
from mm_nautilus.search.windows import Window
from mm_nautilus.system.moments import SECOND_NS, nanoseconds

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- search: begin -->", "<!-- search: end -->"
START = SimulationConfig().start
PERIOD_NS = 30 * SECOND_NS
WARM_UP_SECONDS = 60
SHORT_SECONDS = (300, 900, 1_800)
"""Spans of the sample whose trials are measured one after the other."""
MOST_OVERHEAD, MOST_OF_ONE, MOST_OF_POOL = 0.10, 0.55, 1.10

type Figures = dict[str, list[float]]


def trials(catalog: Path, seconds: int, count: int) -> list[TrialTask]:
    """Return trials of configs/backtest.yaml with so many widths."""
    values = read_source(ROOT / "configs" / "backtest.yaml").values
    start_ns = nanoseconds(START)
    window = Window(start_ns, start_ns + seconds * SECOND_NS)
    widths = [round(0.05 + 0.03 * number / count, 4) for number in range(count)]
    strategies = [{**values["strategy"], "min_spread_pct": width} for width in widths]
    return [
        TrialTask({**values, "catalog": str(catalog), "strategy": strategy}, window, PERIOD_NS)
        for strategy in strategies
    ]


def ran(runner: Runner, tasks: Sequence[TrialTask]) -> list[TrialOutcome]:
    outcomes = [future.result() for future in [runner.submit(task) for task in tasks]]
    for outcome in outcomes:
        if outcome.error is not None:
            raise SystemExit(f"a trial failed: {outcome.error}")
    return outcomes


@contextmanager
def warm(runner: Runner, task: TrialTask) -> Iterator[Runner]:
    """Enter a runner and have each of its processes run a short trial."""
    short = replace(task.window, end_ns=task.window.start_ns + WARM_UP_SECONDS * SECOND_NS)
    with runner:
        ran(runner, [replace(task, window=short)] * (4 * runner.jobs))
        yield runner


def overhead(tasks: Sequence[TrialTask]) -> list[float]:
    """Return how much longer each trial took than the engine's run within it, as a share."""
    with warm(pool_runner(1), tasks[0]) as runner:
        outcomes = ran(runner, tasks)
    engine = [outcome.figures["elapsed_seconds"] for outcome in outcomes if outcome.figures]
    return [outcome.seconds / seconds - 1 for outcome, seconds in zip(outcomes, engine, strict=True)]


def seconds_of(make: Callable[[], Runner], tasks: Sequence[TrialTask]) -> float:
    """Return the wall time of all trials on a runner that has been started."""
    with warm(make(), tasks[0]) as runner:
        started = time.perf_counter()
        ran(runner, tasks)
        return time.perf_counter() - started


def measured(catalog: Path, seconds: int, count: int, rounds: int) -> tuple[Figures, Figures]:
    """Return the overheads by span, and the wall seconds by runner; the runners take turns."""
    overheads = {
        f"{span / 60:g} minutes": overhead(trials(ROOT / "catalog", span, 7)) for span in SHORT_SECONDS
    }
    print(overheads, flush=True)
    makers: dict[str, Callable[[], Runner]] = {
        "one process": lambda: pool_runner(1),
        "two processes": lambda: pool_runner(2),
        "Ray, started here": lambda: ray_runner("local"),
    }
    tasks = trials(catalog, seconds, count)
    times: Figures = {name: [] for name in makers}
    for number in range(rounds):
        for name, make in makers.items():
            times[name].append(seconds_of(make, tasks))
            print(f"round {number + 1} of {rounds}, {name}: {times[name][-1]:.1f} s", flush=True)
    return overheads, times


def line(what: str, target: str, values: Sequence[float], form: str) -> str:
    middle, low, high = (
        format(value, form) for value in (statistics.median(values), min(values), max(values))
    )
    return f"| {what} | {target} | {middle} ({low}..{high}) |"


def table(overheads: Figures, times: Figures, count: int) -> str:
    """Return the figures as Markdown."""
    one, two, ray = times.values()
    trial = statistics.median(one) / count
    ratios = {
        f"{count} trials of {trial:.1f} s, two processes against one": (MOST_OF_ONE, two, one),
        "the same, Ray on this machine against two processes, both started": (MOST_OF_POOL, ray, two),
    }
    return "\n".join(
        [
            f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}), Python "
            f"{platform.python_version()}, on SIMULATED data of three pairs with `configs/backtest.yaml` and "
            f"{count} quote widths; medians, ranges in brackets, {len(one)} rounds in turns. An overhead is the wall "
            "time of a trial above the engine's run within it, the building of the engine included.",
            "",
            "| what | target | measured |",
            "|---|---:|---:|",
            *(
                line(f"overhead of a trial on {span} of the sample", f"<= {MOST_OVERHEAD:.0%}", values, ".1%")
                for span, values in overheads.items()
            ),
            *(
                line(what, f"<= {most:.2f}", [a / b for a, b in zip(tried, base, strict=True)], ".2f")
                for what, (most, tried, base) in ratios.items()
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--seconds", type=int, default=5_400, help="length of the data of the trials, seconds"
    )
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), SimulationConfig(duration_seconds=given.seconds))
        overheads, times = measured(Path(folder), given.seconds, given.trials, given.rounds)
    text = table(overheads, times, given.trials)
    print(text)
    if given.write:
        page = ROOT / "docs" / "performance.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
