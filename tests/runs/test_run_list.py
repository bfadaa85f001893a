"""The list of runs: each with the figures of its summary, the newest first, and nothing left out in silence."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from whole_runs import FinishedRun

Runs = Callable[..., FinishedRun]
Command = Callable[..., Any]


@pytest.fixture
def first(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml", "end=2025-12-13T12:05:00Z")


def put(run: FinishedRun, folder: Path, pnl: float | None = None, **summary: Any) -> Path:
    """Write a run's summary, with changes, into a folder."""
    folder.mkdir(parents=True)
    told = {**run.summary, **summary}
    if pnl is not None:
        told["equity"] = {**told["equity"], "trading_pnl": pnl}
    (folder / "summary.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def runs(first: FinishedRun, tmp_path: Path) -> Path:
    parent = tmp_path / "runs"
    put(first, parent / "20260101T000000Z-old", 1.5, name="old")
    put(first, parent / "edge" / "20260103T000000Z-new", -2.5, name="new", status="interrupted")
    starting = {"name": "starting", "status": "starting", "folder": "x", "web": None}
    (parent / "20260102T000000Z-live").mkdir()
    (parent / "20260102T000000Z-live" / "summary.json").write_text(json.dumps(starting))
    return parent


def listed(command: Command, *words: object) -> list[dict[str, Any]]:
    code, out, _ = command("runs", "list", *words, "--json")
    assert code == 0
    rows: list[dict[str, Any]] = json.loads(out)["runs"]
    return rows


def test_runs_have_the_figures_of_their_summaries(runs: Path, first: FinishedRun, command: Command) -> None:
    new, live, old = listed(command, runs)
    assert [row["name"] for row in (new, live, old)] == ["new", "starting", "old"], "the newest first"
    assert (old["trading_pnl"], old["currency"], old["status"]) == (1.5, "USDT", "completed")
    assert (new["trading_pnl"], new["status"]) == (-2.5, "interrupted")
    assert old["fills"] == first.summary["total"]["fills"]
    assert old["pnl_turnover_bps"] == first.summary["total"]["pnl_turnover_bps"]
    assert old["max_drawdown_pct"] == first.summary["equity"]["max_drawdown_pct"]
    assert (old["kind"], old["data"], old["simulated_data"]) == ("backtest", "SIMULATED data", True)
    assert old["pairs"] == list(first.summary["symbols"])
    assert old["started"] == "2026-01-01T00:00:00+00:00"
    assert (live["kind"], live["status"], live["trading_pnl"], live["fills"]) == (
        *("sandbox", "starting"),
        *(None, None),
    )


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--sort", "result"], ["old", "new", "starting"]),
        (["--sort", "name"], ["new", "old", "starting"]),
        (["--last", 2], ["new", "starting"]),
        (["--last", 2, "--sort", "name"], ["new", "starting"]),
    ],
)
def test_order_and_number(runs: Path, command: Command, words: list[object], names: list[str]) -> None:
    assert [row["name"] for row in listed(command, runs, *words)] == names


def test_terminal_shows_a_row_a_run(runs: Path, command: Command) -> None:
    code, out, err = command("runs", "list", runs)
    assert (code, err) == (0, "")
    for words in (
        "old",
        "new",
        "starting",
        "+$1.50",
        "-$2.50",
        "interrupted",
        "backtest, SIMULATED",
        "0:05:00",
        "edge/20260103T000000Z-new",
    ):
        assert words in out


def test_damaged_and_foreign_folders_are_named_in_one_line(runs: Path, command: Command) -> None:
    whole = json.loads((runs / "20260101T000000Z-old" / "summary.json").read_text())
    nan = json.dumps(whole | {"equity": {**whole["equity"], "trading_pnl": float("nan")}})
    for name, text in (("damaged", "{"), ("other", '{"a": 1}'), ("list", "[]"), ("nan", nan)):
        (runs / name).mkdir()
        (runs / name / "summary.json").write_text(text)
    (runs / "pictures").mkdir()
    code, out, err = command("runs", "list", runs)
    assert code == 0
    assert "old" in out
    lines = err.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("note: ") for line in lines)
    assert lines[-1] == "note: left out, as they have no summary.json: pictures"
    assert f"left out: {runs / 'damaged'} cannot be read: summary.json is no JSON, from line 1" in err
    assert "nan cannot be read: equity.trading_pnl in summary.json must be a finite number, was NaN" in err


def test_halted_and_silent_runs_are_marked(runs: Path, first: FinishedRun, command: Command) -> None:
    symbols = {name: {**figures, "halted": True} for name, figures in first.summary["symbols"].items()}
    put(first, runs / "20260104T000000Z-halted", name="a\x1b[31m", symbols=symbols)
    killed = runs / "20260102T000000Z-live" / "summary.json"
    written = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert {row["last_written"] for row in listed(command, runs)} == {None}, "written just now"
    os.utime(killed, (written.timestamp(), written.timestamp()))
    rows = {row["folder"].rpartition("-")[2]: row for row in listed(command, runs)}
    assert rows["halted"]["halted"] == list(symbols)
    assert rows["live"]["last_written"] == "2026-01-02T03:04:05+00:00"
    _, out, _ = command("runs", "list", runs)
    assert "completed, 3 halted" in out
    assert "not ended, last written 03:04:05" in out
    assert "\x1b" not in out
    assert r"a\x1b[31m" in out


def test_no_folder_and_no_runs(tmp_path: Path, command: Command) -> None:
    code, out, err = command("runs", "list", tmp_path / "none")
    assert (code, out) == (2, "")
    assert f"a folder of runs is needed, was {tmp_path / 'none'}" in err
    code, out, _ = command("runs", "list", tmp_path)
    assert (code, out) == (0, f"there are no runs in {tmp_path}\n")
    assert command("runs", "list", tmp_path, "--last", 0)[0] == 2


def test_a_thousand_runs_are_listed_in_seconds(runs: Path, command: Command) -> None:
    source = runs / "20260101T000000Z-old" / "summary.json"
    for number in range(1_000):
        folder = runs / f"20250101T000000Z-{number}"
        folder.mkdir()
        (folder / "summary.json").hardlink_to(source)
    began = time.process_time()
    assert len(listed(command, runs)) == 1_003
    assert time.process_time() - began < 20


def test_name_names_the_folder_and_is_checked_as_in_a_file(tmp_path: Path, command: Command) -> None:
    brief = [
        "--set",
        "end=2025-12-13T12:00:20Z",
        "--set",
        "output.report=false",
        "--out",
        tmp_path,
        "--quiet",
    ]
    assert command("backtest", "configs/v1_4.yaml", "--name", "2026", *brief)[0] == 0
    (run,) = listed(command, tmp_path)
    assert (run["name"], run["folder"].endswith("Z-2026")) == ("2026", True)
    for kind in ("backtest", "sandbox"):
        code, _, errors = command(kind, "--name", "a b", "--out", tmp_path)
        assert code == 2
        assert "--name must be a text of one to sixty letters a to z or A to Z, digits and _ . -" in errors
        code, _, errors = command(kind, "--name", "aa", "--set", "name=bb", "--out", tmp_path)
        assert code == 2
        assert "--name and --set name set the same key; give one of them" in errors
    assert len(list(tmp_path.iterdir())) == 1
