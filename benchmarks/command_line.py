"""Measure how long the commands take to say what they do: each `--help` in processes of its own, in turns.

Usage: python benchmarks/command_line.py [--rounds N] [--write]

With --write the table goes into docs/performance.md.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer.main

from mm_nautilus.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- start-up: begin -->", "<!-- start-up: end -->"
WANTED_SECONDS = 0.5


def paths(command: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    yield above
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*above, name))


def seconds(*words: str) -> float:
    """Return the wall time of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def measured(rounds: int) -> dict[str, list[float]]:
    """Return the wall times by command, python alone first; all take turns."""
    programs = {"python alone": ("-c", "pass")}
    for words in paths(typer.main.get_command(app)):
        programs[f"`{' '.join(('mm-nautilus', *words, '--help'))}`"] = (
            "-m",
            "mm_nautilus.cli",
            *words,
            "--help",
        )
    times: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(rounds):
        for name, words in programs.items():
            times[name].append(seconds(*words))
        print(f"round {number + 1} of {rounds}", flush=True)
    return times


def table(times: dict[str, list[float]], rounds: int) -> str:
    """Return the figures as Markdown."""
    rows = [
        f"| {name} | {statistics.median(values):.2f} | {min(values):.2f}..{max(values):.2f} |"
        for name, values in times.items()
    ]
    slowest = max(statistics.median(values) for values in times.values())
    verdict = "is" if slowest < WANTED_SECONDS else "is NOT"
    return "\n".join(
        [
            f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}), Python "
            f"{platform.python_version()}; {rounds} rounds in turns, wall seconds of the whole process. The slowest "
            f"median, {slowest:.2f} s, {verdict} below {WANTED_SECONDS} s.",
            "",
            "| command | median | range |",
            "|---|---:|---:|",
            *rows,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = table(measured(given.rounds), given.rounds)
    print(text)
    if given.write:
        page = ROOT / "docs" / "performance.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
