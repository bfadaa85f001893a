"""Whole runs whose journals are set aside every thousand bytes: the lines that belong together are all there."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sandbox_runs import Left, configuration, ending, finished
from whole_runs import ROOT, FinishedRun

from mm_nautilus.report.journal import journal_files

pytestmark = pytest.mark.long

SMALL = "output.journal_megabytes=0.001"
SMALL_BYTES = 1_000

type Line = tuple[str, dict[str, Any]]


def lines_of(folder: Path) -> list[Line]:
    """Return every line with the name of its file, oldest first."""
    return [
        (file.name, json.loads(line))
        for file in journal_files(folder / "journal.jsonl")
        for line in file.read_text("utf-8").splitlines()
    ]


def by_order(lines: list[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for name, line in lines:
        if "correlation_id" in line:
            found[line["correlation_id"]].append((name, line))
    return found


def parted(lines: list[Line]) -> int:
    """Count the fills whose signal is in another file."""
    count = 0
    for linked in by_order(lines).values():
        for position, (name, line) in enumerate(linked):
            if line["type"] == "fill":
                (*_, before) = [file for file, other in linked[:position] if other["type"] == "signal"]
                count += before != name
    return count


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("rotated")
    words = ["--quiet", "--set", SMALL, "--set", "output.journal_files=null"]
    done = finished(str(configuration(folder)), *ending(folder, 140), *words)
    assert done.returncode == 0, done.stderr
    return Left.only(folder)


def test_no_line_of_a_sandbox_run_is_lost_or_split_by_rotation(sandbox: Left) -> None:
    files = journal_files(sandbox.folder / "journal.jsonl")
    assert len(files) > 20
    for file in files:
        content = file.read_bytes()
        assert len(content) <= SMALL_BYTES or content.count(b"\n") == 1
    assert [file.name for file in files[:-1]] == [f"journal-{n:04d}.jsonl" for n in range(1, len(files))]
    sandbox.assert_money_adds_up()


def test_a_fill_of_a_sandbox_run_leads_to_signal_order_and_metrics_in_whatever_file_they_are(
    sandbox: Left,
) -> None:
    lines = lines_of(sandbox.folder)
    fills = 0
    for linked in by_order(lines).values():
        kinds = [line["type"] for _, line in linked]
        assert kinds[:3] == ["signal", "order", "fill"]
        assert kinds.count("fill") == kinds.count("metrics")
        fills += kinds.count("fill")
        told = {(line[line["type"]]["symbol"]) for _, line in linked}
        assert len(told) == 1
    assert fills == len(sandbox.fills) > 0
    assert parted(lines) > 0, "no file ended between a signal and its fill: the test has nothing to show"


def test_a_rotated_journal_has_the_lines_of_one_that_is_not(
    finished_run: Callable[..., FinishedRun],
) -> None:
    whole = finished_run("v1_4.yaml").outcome.folder
    rotated = finished_run("v1_4.yaml", SMALL, "output.journal_files=null").outcome.folder
    assert len(journal_files(whole / "journal.jsonl")) == 1
    assert len(journal_files(rotated / "journal.jsonl")) > 100
    lines = lines_of(rotated)
    assert [line for _, line in lines] == [line for _, line in lines_of(whole)]
    assert parted(lines) > 0


def test_with_a_bound_the_newest_lines_stay_and_the_log_names_what_went(
    finished_run: Callable[..., FinishedRun], tmp_path: Path
) -> None:
    whole = finished_run("v1_4.yaml").outcome.folder
    words = ["configs/v1_4.yaml", "--quiet", "--out", str(tmp_path)]
    words += ["--set", SMALL, "--set", "output.journal_files=7"]
    subprocess.run([sys.executable, str(ROOT / "run_backtest.py"), *words], cwd=ROOT, check=True, timeout=120)
    (bounded,) = tmp_path.iterdir()
    assert len(journal_files(bounded / "journal.jsonl")) == 8
    found = [line for _, line in lines_of(bounded)]
    removed = [name for line in found if line["type"] == "journal" for name in line["removed"]]
    kept = [line for line in found if line["type"] != "journal"]
    assert kept == [line for _, line in lines_of(whole)][-len(kept) :]
    (log,) = bounded.glob("run*.log")
    text = log.read_text(encoding="utf-8")
    assert removed
    assert all(f"[JOURNAL] removed {name}: the oldest beyond the 7 that are kept" in text for name in removed)
    assert "[JOURNAL] removed journal-0001.jsonl" in text
