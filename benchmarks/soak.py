"""Run the sandbox on a long simulated recording at high speed and watch what grows.

Usage: python benchmarks/soak.py [--hours 24] [--speed 60] [--activity 1] [--catalog DIR] [--attended] [--write]

A catalog of simulated data is made, or one of that length is given. A local venue plays it, and the whole command
trades on it in a process of its own, recording included. Every ten seconds its memory, open files and threads are
read. At the end the events the strategy was given are compared with those the venue sent. With --attended the live page
is open, the run is halted and resumed and its feed lost on schedule, and a notification service is down or hangs for a
while (`attendance.py`). With --write the result goes into docs/performance.md.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pyarrow.parquet as pq
import yaml
from attendance import Attendance, period

from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.mock_kraken.process import VenueOptions, VenueProcess

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
_EVERY_SECONDS: Final = 10.0
_WARM_SHARE: Final = 0.2
_LATE_SHARE = 0.6
"""Share of the run after which memory is expected to be level."""
_ENDED_SECONDS: Final = 2.0
"""Age from which on the feed has ended."""
_EDGE_SHARE: Final = 0.05
"""Share of the run at each end over which latency is taken."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the run's process holds at one moment."""

    seconds: float
    megabytes: float
    files: int
    threads: int


def read(process: psutil.Process, started: float) -> Reading:
    with process.oneshot():
        return Reading(
            time.monotonic() - started,
            process.memory_info().rss / 1e6,
            process.num_fds(),
            process.num_threads(),
        )


def config_file(folder: Path, venue: VenueProcess, attendance: Attendance | None) -> Path:
    """Write the shipped local configuration, on this venue's feed, recording into the folder."""
    config = yaml.safe_load((ROOT / "configs" / "sandbox_local.yaml").read_text(encoding="utf-8"))
    config["feed"] = {"source": "live", "rest_url": venue.rest_url, "websocket_url": venue.websocket_url}
    config |= {"duration": None, "recording": {"enabled": True, "catalog": str(folder / "recording")}}
    config["state"] = {"directory": str(folder / "state")}
    if attendance is not None:
        attendance.configure(config)
    path = folder / "soak.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def watched(
    folder: Path, catalog: Path, speed: float, attendance: Attendance | None
) -> tuple[list[Reading], dict[str, Any], dict[str, Any], Path]:
    """Run to the end of the data; return the readings, the run's summary, the venue's state and the folder."""
    options = VenueOptions(catalog=catalog, speed=speed, at_end="stop", paused=True)
    with VenueProcess(options) as venue:
        command = [sys.executable, str(ROOT / "run_sandbox.py"), str(config_file(folder, venue, attendance))]
        child = subprocess.Popen([*command, "--out", str(folder / "runs")], cwd=ROOT)
        process, readings = psutil.Process(child.pid), []
        venue.control.wait_for_subscriptions(6)
        venue.control.resume()
        started = time.monotonic()
        state_path = folder / "state" / "sandbox_local.json"
        attended = (
            contextlib.nullcontext()
            if attendance is None
            else attendance.attending(venue.control, state_path)
        )
        with attended:
            while venue.control.state()["feed"]["state"] != "ended" and child.poll() is None:
                time.sleep(_EVERY_SECONDS)
                readings.append(read(process, started))
        state = venue.control.state()
        time.sleep(2.0)
        child.terminate()
        if child.wait(300) != 143:
            raise SystemExit(f"the run ended with {child.returncode}")
    (run,) = (folder / "runs").iterdir()
    return readings, json.loads((run / "summary.json").read_text(encoding="utf-8")), state, run


def lag_ms(run: Path) -> tuple[float, float]:
    """Return the median age of the newest book event, in ms, over the first and the last part of the run."""
    ages = pq.read_table(run / "metrics.parquet", columns=["feed_age_seconds"])["feed_age_seconds"].to_numpy()
    ages = ages[np.isfinite(ages) & (ages < _ENDED_SECONDS)]
    edge = max(1, round(len(ages) * _EDGE_SHARE))
    return 1e3 * float(np.median(ages[:edge])), 1e3 * float(np.median(ages[-edge:]))


def report(
    hours: float, speed: float, activity: float, given: Path | None, folder: Path, *, is_attended: bool
) -> str:
    catalog = given or folder / "catalog"
    if given is None:
        print("simulating", hours, "hours", flush=True)
        write_sample(catalog, SimulationConfig(duration_seconds=round(hours * 3600), activity=activity))
    attendance = Attendance(folder, period(speed)) if is_attended else None
    readings, summary, state, run = watched(folder, catalog, speed, attendance)
    level = [reading for reading in readings if reading.seconds >= _WARM_SHARE * readings[-1].seconds]
    late = [reading for reading in readings if reading.seconds >= _LATE_SHARE * readings[-1].seconds]
    before, after = lag_ms(run)
    fills = sum(figures["fills"] for figures in summary["symbols"].values())
    orders = sum(figures["orders_placed"] for figures in summary["symbols"].values())
    sent = state["counts"]["books"] + state["counts"]["trades"]
    rows = [
        ("book changes and trades sent by the venue", f"{sent:,}"),
        ("sent and not received", f"{sent - summary['events']:,}"),
        ("orders placed, fills", f"{orders:,}, {fills:,}"),
        ("memory at the start and after each fifth", _memory(readings)),
        (
            "slope of memory after the first fifth, over the last two",
            f"{_slope(level, speed):+.2f}, {_slope(late, speed):+.2f} MB an hour of data",
        ),
        ("open files after a fifth, at the end", f"{level[0].files}, {level[-1].files}"),
        ("threads after a fifth, at the end", f"{level[0].threads}, {level[-1].threads}"),
        ("age of the newest book event, first and last twentieth", f"{before:.1f} ms, {after:.1f} ms"),
        *([] if attendance is None else attendance.rows(run, summary)),
    ]
    head = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}): {hours:g} hours of "
        f"SIMULATED data of three pairs, of {activity:g} times the usual activity, at {speed:g} times their speed, "
        f"recorded into a catalog meanwhile{', attended' if is_attended else ''}."
    )
    return "\n".join([head, "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _memory(readings: list[Reading]) -> str:
    shown = (readings[round(share * (len(readings) - 1) / 5)] for share in range(6))
    return ", ".join(f"{reading.megabytes:,.0f}" for reading in shown) + " MB"


def _slope(readings: list[Reading], speed: float) -> float:
    """Return by how many megabytes the memory grows an hour of data."""
    hours = [reading.seconds * speed / 3600 for reading in readings]
    return float(np.polyfit(hours, [reading.megabytes for reading in readings], 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--activity", type=float, default=1.0)
    parser.add_argument("--catalog", type=Path, metavar="DIR")
    parser.add_argument("--attended", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(
            arguments.hours,
            arguments.speed,
            arguments.activity,
            arguments.catalog,
            Path(folder),
            is_attended=arguments.attended,
        )
    print(text)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
