"""Measure what a report costs: time, memory and size, for runs of 6, 12 and 24 hours of three simulated pairs.

Usage: python benchmarks/report.py [--hours 6 12 24] [--runs FOLDER ...] [--write]

Without --runs the data is simulated and backtested first, which takes some minutes. Each report is built in a
process of its own, several times. With --write the table goes into docs/performance.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.report.page import write_report

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- report: begin -->", "<!-- report: end -->"

type Figures = dict[str, Any]


def peak_memory_mb() -> float:
    """Return this program's own peak."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def measure(folder: Path) -> None:
    """Build one report and print its figures as a JSON line."""
    started, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as parent:
        path = write_report(folder, Path(parent) / "report.html")
        size = path.stat().st_size
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": peak_memory_mb(),
        "size_mb": size / 1e6,
    }
    print(json.dumps(figures))


def measured(folder: Path, rounds: int) -> Figures:
    """Build a run's report in processes of their own and return medians."""
    command = [sys.executable, __file__, "--measure", str(folder)]
    found = []
    for _ in range(rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the report of {folder} failed:\n{done.stderr}")
        found.append(json.loads(done.stdout))
    return {name: statistics.median(figures[name] for figures in found) for name in found[0]}


def run_folders(parent: Path, hours: list[float]) -> list[Path]:
    """Simulate and backtest runs of so many hours."""
    from mm_nautilus.runs.backtest import run_backtest  # noqa: PLC0415

    folders = []
    for length in hours:
        catalog = parent / f"catalog-{length:g}"
        print(f"simulating and backtesting {length:g} hours", flush=True)
        write_sample(catalog, SimulationConfig(duration_seconds=round(3600 * length)))
        sets = [f"catalog={catalog}", f"output.directory={parent / 'runs'}", "output.report=false"]
        sets += ["strategy.use_trailing_stop=true", f"name=hours-{length:g}"]
        config = load_config(ROOT / "configs" / "v1_4.yaml", sets).config
        folders.append(run_backtest(config).folder)
    return folders


def lines_of(folders: list[Path], rounds: int) -> list[str]:
    """Return the measurement as the documentation has it."""
    day = datetime.now(UTC).date().isoformat()
    lines = [
        f"Measured {day} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, on "
        f"runs of SIMULATED data of three pairs; each report {rounds} times in a process of its own, medians.",
        "",
        "| hours | events | orders, amends | fills | seconds | of that CPU | peak memory, MB | page, MB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found = []
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        figures = measured(folder, rounds)
        found.append((summary["events"], figures))
        symbols = summary["symbols"].values()
        requotes = sum(symbol["orders_placed"] + symbol["orders_amended"] for symbol in symbols)
        lines.append(
            f"| {summary['period']['seconds'] / 3600:.0f} | {summary['events']:,} | {requotes:,} | "
            f"{sum(symbol['fills'] for symbol in symbols):,} | {figures['seconds']:.1f} | "
            f"{figures['cpu_seconds']:.1f} | {figures['peak_mb']:.0f} | {figures['size_mb']:.1f} |"
        )
        print(lines[-1], flush=True)
    (small_events, small), (large_events, large) = found[0], found[-1]
    lines += [
        "",
        f"{large_events / small_events:.1f} times the data take {large['peak_mb'] / small['peak_mb']:.2f} times the "
        f"memory and {large['cpu_seconds'] / small['cpu_seconds']:.1f} times the CPU time.",
    ]
    return lines


def write_into_docs(lines: list[str]) -> None:
    """Put the measurement between its marks."""
    path = ROOT / "docs" / "performance.md"
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    path.write_text("\n".join([before + BEGIN, *lines, END]) + after, encoding="utf-8")


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description="Measure what a report costs.")
    parser.add_argument("--hours", type=float, nargs="+", default=[6, 12, 24], help="lengths of the runs")
    parser.add_argument(
        "--runs", type=Path, nargs="+", help="folders of runs there are already, shortest first"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each report is built")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.measure)
        return
    with tempfile.TemporaryDirectory() as parent:
        folders = options.runs or run_folders(Path(parent), options.hours)
        lines = lines_of(folders, options.rounds)
    print("\n".join(lines))
    if options.write:
        write_into_docs(lines)


if __name__ == "__main__":
    main()
