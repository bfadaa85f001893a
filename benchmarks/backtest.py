"""Measure what a backtest costs: workloads that take turns, each in a process of its own.

Usage: python benchmarks/backtest.py [--deltas N] [--rounds N] [--write]

Times differ from machine to machine and hour to hour; ratios of workloads that take turns hardly do.
With --write the table goes into docs/performance.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mm_nautilus.data.simulator import SimulationConfig, write_sample

ROOT = Path(__file__).resolve().parents[1]
DELTAS_PER_SECOND = 55
"""Book changes of all three pairs that the simulator makes in a second."""
GRID_THRESHOLDS_BPS = (1, 2, 4)
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

type Figures = dict[str, Any]


def measured(mode: str, catalog: Path) -> Figures:
    """Run one workload in a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "workloads.py"), mode, str(catalog)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{mode} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def in_turns(modes: list[str], catalog: Path, rounds: int) -> dict[str, list[Figures]]:
    """Run the workloads in turns, so that a slow minute of the machine hits all of them."""
    runs: dict[str, list[Figures]] = {mode: [] for mode in modes}
    for number in range(rounds):
        for mode in modes:
            runs[mode].append(measured(mode, catalog))
            print(f"round {number + 1}: {mode}: {runs[mode][-1]}", flush=True)
    return runs


def median(runs: list[Figures], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def ratio(runs: dict[str, list[Figures]], mode: str, base: str) -> str:
    """Return the median of the ratios of runs of the same round, and their range."""
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(runs[mode], runs[base], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def commands(run: Figures) -> int:
    """Return order commands: new orders and amends; the grid replaces instead of amending."""
    return run["orders"] + run.get("amends", 0)


def nearest_grid(runs: dict[str, list[Figures]]) -> str:
    """Return the grid whose number of orders comes nearest to the market maker's."""
    wanted = commands(runs["market-maker"][0])
    grids = [mode for mode in runs if mode.startswith("grid-")]
    return min(grids, key=lambda mode: abs(commands(runs[mode][0]) - wanted))


def event_table(runs: dict[str, list[Figures]]) -> list[str]:
    grid = nearest_grid(runs)
    rows = {
        "a strategy that only subscribes": "listen",
        "market maker with metrics actor": "market-maker",
        "the whole command: recorder, reports, folder": "whole-run",
        f"the engine's grid market maker, requoting at {grid.removeprefix('grid-')} bps": grid,
    }
    lines = [
        "| workload | events | orders, amends | seconds, median | events/s | against subscribing only |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, mode in rows.items():
        seconds, first = median(runs[mode], "seconds"), runs[mode][0]
        lines.append(
            f"| {name} | {first['events']:,} | {commands(first):,} | {seconds:.2f} | "
            f"{first['events'] / seconds:,.0f} | {ratio(runs, mode, 'listen')} |"
        )
    mine, theirs = (cost_us(runs, mode) for mode in ("market-maker", grid))
    lines += [
        "",
        f"Market maker against grid: {ratio(runs, 'market-maker', grid)} times its time. What a workload takes "
        f"above subscribing only, spread over its orders and amends, is {mine:.0f} us with the market maker, whose "
        f"work on books is in it, and {theirs:.0f} us with the grid.",
    ]
    return lines


def cost_us(runs: dict[str, list[Figures]], mode: str) -> float:
    """Return a workload's time above subscribing only, per order or amend, microseconds."""
    above = median(runs[mode], "seconds") - median(runs["listen"], "seconds")
    return above / max(1, commands(runs[mode][0])) * 1e6


def quiet_text(runs: dict[str, list[Figures]]) -> list[str]:
    pairs = zip(runs["quiet-market-maker"], runs["quiet-listen"], strict=True)
    costs = [(a["seconds"] - b["seconds"]) / a["events"] * 1e6 for a, b in pairs]
    events = runs["quiet-listen"][0]["events"]
    return [
        f"A book event that changes nothing for the market maker (a level away from the touch) costs "
        f"{statistics.median(costs):.2f} us ({min(costs):.2f}..{max(costs):.2f}) more than with a strategy that "
        f"only subscribes, over {events:,} events."
    ]


def memory_text(small: Figures, large: Figures) -> list[str]:
    growth, data = large["peak_mb"] / small["peak_mb"], large["events"] / small["events"]
    return [
        f"Peak memory of the whole command: {small['peak_mb']:.0f} MB on {small['events']:,} events and "
        f"{small['orders']:,} orders, {large['peak_mb']:.0f} MB on {large['events']:,} events and "
        f"{large['orders']:,} orders: {growth:.2f} times for {data:.1f} times the data. Market data is streamed in "
        "chunks of 50,000 rows, and the engine forgets closed orders; what grows are the fills of its positions."
    ]


def simulated(folder: Path, deltas: int) -> Path:
    seconds = max(60, round(deltas / DELTAS_PER_SECOND))
    print(f"simulating {seconds:,} s, about {deltas:,} book changes", flush=True)
    write_sample(folder, SimulationConfig(duration_seconds=seconds))
    return folder


def heading(deltas: int, rounds: int) -> list[str]:
    from importlib.metadata import version  # noqa: PLC0415

    day = datetime.now(UTC).date().isoformat()
    return [
        f"Measured {day} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"nautilus_trader {version('nautilus_trader')}, on SIMULATED data of about {deltas:,} book changes of "
        f"three pairs with `configs/backtest.yaml`; {rounds} rounds in turns, medians, ranges in brackets.",
        "",
    ]


def write_into_docs(lines: list[str]) -> None:
    path = ROOT / "docs" / "performance.md"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text("\n".join([before + BEGIN, *lines, END]) + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a backtest costs.")
    parser.add_argument("--deltas", type=int, default=1_000_000, help="book changes of the catalog")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which the workloads take turns")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalog = simulated(Path(folder) / "one", options.deltas)
        grids = [f"grid-{bps}" for bps in GRID_THRESHOLDS_BPS]
        runs = in_turns(["listen", "market-maker", "whole-run", *grids], catalog, options.rounds)
        quiet = in_turns(["quiet-listen", "quiet-market-maker"], catalog, options.rounds + 2)
        large = measured("whole-run", simulated(Path(folder) / "four", 4 * options.deltas))
    lines = [
        *heading(options.deltas, options.rounds),
        *event_table(runs),
        "",
        *quiet_text(quiet),
        "",
        *memory_text(runs["whole-run"][0], large),
    ]
    print("\n".join(lines))
    if options.write:
        write_into_docs(lines)


if __name__ == "__main__":
    main()
