"""The whole command, as its user runs it."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from processes import python
from sandbox_runs import wait_for_fill
from whole_runs import ROOT

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.errors import RunFailedError
from mm_nautilus.runs import backtest
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.trading.strategy import MarketMaker

COMMAND = [sys.executable, str(ROOT / "run_backtest.py")]
BRIEF = ("--set", "end=2025-12-13T12:05:00Z", "--set", "output.report=false")
LASTING = ("configs/v1_4.yaml", "--set", "strategy.requote_tolerance_bps=0", "--set", "output.report=false")
TIMING = ("elapsed_seconds", "events_per_second")


def _only_folder(parent: Path) -> Path:
    (folder,) = parent.iterdir()
    return folder


def test_default_run_prints_tables_and_writes_its_folder(tmp_path: Path) -> None:
    done = python(COMMAND[1], "--set", "end=2025-12-13T12:05:00Z", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    words = ("XRP/USDT", "BTC/USDT", "XRP/BTC", "maker share of fills", "TOTAL", "Result: ", "Change: ")
    assert [word for word in words if word not in done.stdout] == []
    written = {path.name for path in _only_folder(tmp_path).iterdir()}
    engine = {f"{name}.parquet" for name in ("fills", "orders", "positions", "metrics", "equity")}
    traces = {f"{name}.parquet" for name in ("market", "market_trades", "quotes", "mark_outs", "actions")}
    texts = {"config.yaml", "summary.json", "journal.jsonl", "run.log", "report.html"}
    assert written == engine | traces | texts


def test_json_is_the_summary_alone_and_the_resolved_configuration_gives_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.chdir(ROOT)
    cooldown = ("--set", "strategy.cooldown_seconds=4")
    first = command("backtest", "--json", *BRIEF, *cooldown, "--out", tmp_path / "a")
    resolved = _only_folder(tmp_path / "a") / "config.yaml"
    monkeypatch.chdir(tmp_path)
    second = command("backtest", resolved, "--json", "--quiet", "--out", tmp_path / "b")
    assert (str(tmp_path) in first.stderr, second.stderr) == (True, "")
    summaries = [json.loads(done.stdout) for done in (first, second)]
    assert summaries[0] == json.loads((_only_folder(tmp_path / "a") / "summary.json").read_text())
    for summary in summaries:
        for name in TIMING:
            assert summary.pop(name) > 0
    assert summaries[0] == summaries[1]
    wanted = {"fills", "trades", "wins", "losses", "win_rate", "pnl", "currency", "fees", "avg_pnl"}
    assert wanted <= set(summaries[0]["symbols"]["XRP/USDT"])
    assert {"symbols", "equity", "exits", "orders", "events"} <= set(summaries[0])


def test_verbose_prints_the_journals_lines_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.chdir(ROOT)
    words = ("backtest", "--verbose", *BRIEF, "--out", tmp_path)
    code, printed, _ = command(*words)
    assert code == 0
    starts = Counter(line.partition(" ")[0] for line in printed.splitlines())
    journal = (_only_folder(tmp_path) / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = [json.loads(line)["type"] for line in journal]
    assert (starts["[FILL]"], starts["[PORTFOLIO]"]) == (kinds.count("fill"), kinds.count("portfolio"))
    assert printed.index("[FILL]") < printed.index("SIMULATED") < printed.index("Symbols")

    code, printed, errors = command(*words, "--json", "--set", "output.journal=fills")
    assert (code, json.loads(printed)["status"]) == (0, "completed")
    assert (errors.count("[FILL]"), errors.count("[PORTFOLIO]")) == (kinds.count("fill"), 0)


@pytest.mark.parametrize("name", ["backtest", "sandbox"])
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--quiet",), "--verbose must not be given with --quiet, was given with it"),
        (("--set", "output.journal=none"), "output.journal must be full or fills with --verbose, which "),
    ],
)
def test_verbose_without_lines_to_print_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., Any],
    name: str,
    more: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(ROOT)
    code, printed, errors = command(name, "--verbose", *more, "--out", tmp_path / "out")
    assert (code, printed) == (2, "")
    assert errors.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)]
)
def test_signal_saves_the_reports_and_tells_where(tmp_path: Path, number: int, code: int) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--out", str(tmp_path / "runs"), *LASTING],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_fill(process, tmp_path, file="run.log", words="[FILL]")  # the journal is written in batches
    process.send_signal(number)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == code
    folder = _only_folder(tmp_path / "runs")
    words = "stopped by you (SIGINT)" if number == signal.SIGINT else "interrupted by SIGTERM"
    saved = f"quotes cancelled, everything up to then was saved in {folder}"
    assert errors.splitlines()[-1] == f"{words}: {saved}"
    for title in ("Symbols", "Not quoting", "Equity", "Result: ", "Change: "):
        assert title in printed
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    since = pd.Timestamp(summary["period"]["end"]) - pd.read_parquet(folder / "equity.parquet").ts_event.max()
    assert abs(since) < pd.Timedelta(seconds=10), "the period is what was run, not what was requested"
    assert _open_orders(folder) == 0


@pytest.mark.parametrize("step", ["build_backtest", "run_summary", "write_positions"])
def test_a_failure_beside_the_callbacks_shows_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(backtest, step, fail)
    given = ["end=2025-12-13T12:01:00Z", "output.report=false", f"output.directory={tmp_path}"]
    with pytest.raises(RunFailedError, match="planted"):
        run_backtest(load_config(ROOT / "configs" / "v1_4.yaml", given).config)
    folder = _only_folder(tmp_path)
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["status"] == "failed"
    assert "planted" in (folder / "failure.txt").read_text(encoding="utf-8")


def _open_orders(folder: Path) -> int:
    statuses = pd.read_parquet(folder / "orders.parquet").status
    return sum(status not in {"FILLED", "CANCELED", "REJECTED", "DENIED"} for status in statuses)


def test_failing_callback_ends_the_run_and_keeps_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [f"output.directory={tmp_path}", "output.report=false"]
    calls, original = count(1), MarketMaker._on_fill

    def failing(self: MarketMaker, *arguments: Any) -> None:
        if next(calls) == 3:
            raise ZeroDivisionError("planted")
        original(self, *arguments)

    monkeypatch.setattr(MarketMaker, "_on_fill", failing)
    with pytest.raises(RunFailedError, match="planted"):
        run_backtest(load_config(ROOT / "configs" / "v1_4.yaml", given).config)
    folder = _only_folder(tmp_path)
    assert "ZeroDivisionError" in (folder / "failure.txt").read_text()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert _open_orders(folder) == 0
    last = pd.read_parquet(folder / "fills.parquet").ts_event.max()
    assert pd.Timedelta(0) <= pd.Timestamp(summary["period"]["end"]) - last < pd.Timedelta(seconds=1)


def test_runs_in_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    from mm_nautilus.runs.folder import new_run_folder  # noqa: PLC0415

    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    folders = [new_run_folder(tmp_path, "x", now).name for _ in range(3)]
    assert folders == ["20260102T030405Z-x", "20260102T030405Z-x-2", "20260102T030405Z-x-3"]


def test_a_run_loads_no_library_before_it_is_needed(tmp_path: Path) -> None:
    code = """
import sys
from mm_nautilus.cli import process_main
from mm_nautilus.trading.strategy import MarketMaker

on_book_deltas = MarketMaker.on_book_deltas
def first(strategy, deltas):
    MarketMaker.on_book_deltas = on_book_deltas
    print(sorted({"pandas", "jinja2", "rich", "pyarrow.csv"} & set(sys.modules)))
    on_book_deltas(strategy, deltas)
MarketMaker.on_book_deltas = first
try:
    process_main(["backtest", "--quiet", *sys.argv[1:]])
finally:
    print(sorted({"jinja2", "rich"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "--set", "end=2025-12-13T12:01:00Z", *BRIEF[2:], "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n[]\n", ""), "--quiet prints nothing"
