"""Measure what a backtest costs: workloads that take turns, each in a process of its own.

Usage: python benchmarks/backtest.py [--deltas N] [--rounds N] [--recording CATALOG] [--instructions] [--write]

Times differ from machine to machine and hour to hour; ratios of the CPU time of workloads that take turns hardly do,
and instructions, which valgrind counts, not at all. With --write the tables go into docs/performance.md.
"""

import argparse
import itertools
import json
import os
import platform
import re
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
GRID_THRESHOLDS_BPS = (1, 2, 3, 4)
INSTRUCTION_DELTAS = 38_000
"""Book changes of the catalog on which instructions are counted, which takes fifty times as long."""
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

type Figures = dict[str, Any]
type Runs = dict[str, list[Figures]]


def ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done


def workload(mode: str, catalog: Path) -> list[str]:
    return [sys.executable, str(ROOT / "benchmarks" / "workloads.py"), mode, str(catalog)]


def measured(mode: str, catalog: Path) -> Figures:
    """Run one workload in a process of its own."""
    figures: Figures = json.loads(ran(workload(mode, catalog)).stdout.splitlines()[-1])
    print(f"{mode}: {figures}", flush=True)
    return figures


def in_turns(modes: list[str], catalog: Path, rounds: int) -> Runs:
    """Run the workloads in turns, so that a slow minute of the machine hits all of them."""
    runs: Runs = {mode: [] for mode in modes}
    for _ in range(rounds):
        for mode in modes:
            runs[mode].append(measured(mode, catalog))
    return runs


def instructions(modes: list[str], catalog: Path) -> dict[str, int]:
    """Return the instructions of each workload's run alone: of its process, less those of one that only prepares."""
    counts = {}
    for mode in ("prepare", *modes):
        tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        found = re.search(r"Collected : (\d+)", ran([*tool, *workload(mode, catalog)]).stderr)
        if found is None:
            raise SystemExit(f"valgrind counted no instructions of {mode}")
        counts[mode] = int(found[1])
        print(f"{mode}: {counts[mode]:,} instructions of the whole process", flush=True)
    return {mode: counts[mode] - counts["prepare"] for mode in modes}


def median(runs: list[Figures], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def spread(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def ratio(runs: Runs, mode: str, base: str) -> str:
    """Return the ratios of the CPU time of runs of the same round."""
    return spread([a["cpu"] / b["cpu"] for a, b in zip(runs[mode], runs[base], strict=True)])


def commands(run: Figures) -> int:
    """Return order commands: new orders, amends and cancels."""
    return sum(run["commands"].values())


def nearest_grid(catalog: Path, maker: Figures) -> str:
    """Return the grid that sends about as many order commands as the market maker, each symbol at a threshold."""
    symbols = sorted(maker["commands"])
    found = {
        bps: measured("-".join(["grid", *[str(bps)] * len(symbols)]), catalog) for bps in GRID_THRESHOLDS_BPS
    }

    def distance(thresholds: tuple[int, ...]) -> int:
        pairs = zip(symbols, thresholds, strict=True)
        return abs(commands(maker) - sum(found[bps]["commands"].get(symbol, 0) for symbol, bps in pairs))

    best = min(itertools.product(GRID_THRESHOLDS_BPS, repeat=len(symbols)), key=distance)
    return "-".join(("grid", *map(str, best)))


def event_table(runs: Runs, grid: str) -> list[str]:
    rows = {
        "a strategy that only subscribes": "listen",
        "replay: the market maker's commands at the same events, no logic": "replay",
        "market maker with metrics actor": "market-maker",
        "the whole command without its page": "whole-run",
        f"the engine's compiled grid, requoting at {grid.removeprefix('grid-')} bps": grid,
    }
    lines = [
        "| workload | events | order commands | fills | CPU seconds | wall seconds | events/s | CPU to subscribing |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, mode in rows.items():
        seconds, first = median(runs[mode], "seconds"), runs[mode][0]
        lines.append(
            f"| {name} | {first['events']:,} | {commands(first):,} | {first['fills']:,} | "
            f"{median(runs[mode], 'cpu'):.2f} | {seconds:.2f} | {first['events'] / seconds:,.0f} | "
            f"{ratio(runs, mode, 'listen')} |"
        )
    return lines


def quiet_cost(runs: Runs) -> str:
    """Return what an event that changes nothing for the market maker costs above subscribing, microseconds of CPU."""
    pairs = zip(runs["quiet-market-maker"], runs["quiet-listen"], strict=True)
    return spread([(a["cpu"] - b["cpu"]) / a["events"] * 1e6 for a, b in pairs])


def target_table(rows: list[tuple[str, str, str]]) -> list[str]:
    lines = ["| what | target | measured |", "|---|---:|---:|"]
    return lines + [f"| {name} | <= {target} | {found} |" for name, target, found in rows]


def memory_text(small: Figures, large: Figures) -> list[str]:
    return [
        f"Peak memory of the whole command: {small['peak_mb']:.0f} MB on {small['events']:,} events and "
        f"{commands(small):,} order commands, {large['peak_mb']:.0f} MB on {large['events']:,} and "
        f"{commands(large):,}. Market data is streamed in chunks of 50,000 rows, and the engine forgets closed orders; "
        "what grows are the fills of its positions."
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
        f"three pairs with `configs/v1_4.yaml`; {rounds} rounds in turns, medians, ranges in brackets. CPU is the "
        "process time of the run alone, ratios are those of runs of the same round.",
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
    parser.add_argument("--recording", type=Path, help="catalog of the Binance recordings, measured too")
    parser.add_argument("--instructions", action="store_true", help="count instructions too; needs valgrind")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalog = simulated(Path(folder) / "one", options.deltas)
        grid = nearest_grid(catalog, measured("record", catalog))
        runs = in_turns(["listen", "replay", "market-maker", "whole-run", grid], catalog, options.rounds)
        quiet = in_turns(["quiet-listen", "quiet-market-maker"], catalog, options.rounds + 2)
        large = measured("whole-run", simulated(Path(folder) / "four", 4 * options.deltas))
        small, maker = runs["whole-run"][0], "market maker against "
        rows = [
            (maker + "subscribing only, CPU", "3.0", ratio(runs, "market-maker", "listen")),
            (maker + "the replay, CPU", "2.0", ratio(runs, "market-maker", "replay")),
            (maker + "the compiled grid, CPU", "2.2", ratio(runs, "market-maker", grid)),
            ("whole command against market maker, CPU", "1.25", ratio(runs, "whole-run", "market-maker")),
            ("an event that changes nothing, above subscribing, us of CPU", "0.5", quiet_cost(quiet)),
            ("peak memory at 4 times the data", "1.15", f"{large['peak_mb'] / small['peak_mb']:.2f}"),
        ]
        if options.recording is not None:
            recorded = in_turns(["listen", "market-maker"], options.recording, options.rounds)
            against = ratio(recorded, "market-maker", "listen")
            rows.append((maker + "subscribing only on the recordings, CPU", "1.5", against))
        if options.instructions:
            counted = simulated(Path(folder) / "counted", INSTRUCTION_DELTAS)
            measured("record", counted)
            counts = instructions(["listen", "replay", "market-maker"], counted)
            against = {mode: f"{counts['market-maker'] / counts[mode]:.2f}" for mode in ("listen", "replay")}
            rows.append((maker + "subscribing only, instructions", "2.1", against["listen"]))
            rows.append((maker + "the replay, instructions", "2.0", against["replay"]))
    lines = [
        *heading(options.deltas, options.rounds),
        *event_table(runs, grid),
        "",
        *target_table(rows),
        "",
        *memory_text(small, large),
    ]
    print("\n".join(lines))
    if options.write:
        write_into_docs(lines)


if __name__ == "__main__":
    main()
