"""What a run records is what it was asked for, and none of it changes what is traded."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from finished_sandbox import sandbox_run
from whole_runs import CONFIGS, FinishedRun

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.report.compare import compare_runs
from mm_nautilus.report.page import write_report
from mm_nautilus.runs import assembly
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.runs.tables import OrderTable

SHORT = "end=2025-12-13T12:08:00Z"
UNLIMITED = "venue.rate_limit=null"
TRACES = {"market.parquet", "quotes.parquet", "mark_outs.parquet", "actions.parquet", "market_trades.parquet"}
TRADING = ("orders", "fills", "positions", "metrics", "equity")

type Runs = Callable[..., FinishedRun]


def kinds(run: FinishedRun) -> Counter[str]:
    lines = (run.outcome.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return Counter(json.loads(line)["type"] for line in lines)


def files(run: FinishedRun) -> set[str]:
    """Return the names of a run's files, but for the log: the engine opens one a process."""
    return {path.name for path in run.outcome.folder.iterdir()} - {"run.log"}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the kinds of lines for people that runs log from now on."""
    found: Counter[str] = Counter()

    def echo(_recorder: RunRecorder, line: str) -> None:
        found[line.partition(" ")[0]] += 1

    monkeypatch.setattr(RunRecorder, "_echo", echo)
    return found


def assert_same_trading(run: FinishedRun, other: FinishedRun) -> None:
    for name in TRADING:
        pd.testing.assert_frame_equal(run.table(name), other.table(name))


def figures(run: FinishedRun, *left_out: str) -> dict[str, Any]:
    skipped = {"elapsed_seconds", "events_per_second", *left_out}
    return {key: value for key, value in run.summary.items() if key not in skipped}


@pytest.fixture(scope="module")
def whole(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml", SHORT)


def test_a_run_records_everything_by_default(whole: FinishedRun) -> None:
    assert files(whole) >= TRACES
    assert set(kinds(whole)) == {"fill", "signal", "order", "metrics", "portfolio", "guard"}
    assert kinds(whole)["fill"] == len(whole.table("fills")) > 50


def test_without_traces_nothing_of_them_is_made(
    whole: FinishedRun, finished_run: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a recorder of traces was made")

    monkeypatch.setattr(assembly, "TraceRecorder", refuse)
    bare = finished_run("v1_4.yaml", SHORT, "output.traces=false")
    assert files(whole) - files(bare) == TRACES
    assert_same_trading(bare, whole)
    assert bare.summary["equity"] == whole.summary["equity"]
    for symbol, found in bare.summary["symbols"].items():
        assert found == whole.symbol(symbol) | {"fill_quality": None}
    page = write_report(bare.outcome.folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<code>output.traces</code> was false") == 3
    assert "data-view=" not in page.partition("</script>")[2].rpartition("<script>")[0]
    compared = compare_runs([whole.outcome.folder, bare.outcome.folder])
    (spread,) = [row for row in compared.figures if (row.group, row.name) == ("XRP/USDT", "spread captured")]
    assert spread.texts[0].endswith(" bps")
    assert spread.texts[1] == "-"


def test_a_journal_of_fills_has_the_same_fills_and_nothing_else(
    whole: FinishedRun, finished_run: Runs, logged: Counter[str], tmp_path: Path
) -> None:
    run = finished_run("v1_4.yaml", SHORT, "output.journal=fills")
    full, fills = (
        (one.outcome.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        for one in (whole, run)
    )
    assert fills == [line for line in full if json.loads(line)["type"] == "fill"]
    assert_same_trading(run, whole)
    assert logged == {"[FILL]": len(fills)}
    page = write_report(run.outcome.folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "journal was not kept in full (output.journal)" in page


def test_a_run_without_a_journal_has_no_file(
    whole: FinishedRun, finished_run: Runs, logged: Counter[str]
) -> None:
    run = finished_run("v1_4.yaml", SHORT, "output.journal=none")
    assert files(whole) - files(run) == {"journal.jsonl"}
    assert_same_trading(run, whole)
    assert figures(run, "records") == figures(whole, "records")
    assert logged == {}


@pytest.mark.long
def test_a_sandbox_run_records_as_little_where_that_is_asked_for(tmp_path: Path) -> None:
    sets = ("output.traces=false", "output.journal=none", "output.report=true")
    run = sandbox_run(tmp_path, *sets, seconds=60)
    left = files(run)
    assert not left & {*TRACES, "journal.jsonl"}
    assert left >= {"fills.parquet", "metrics.parquet", "equity.parquet", "report.html"}
    assert [path for path in left if path.endswith(".parts")] == []
    assert list((tmp_path / "state").glob("*.json")) != []


@pytest.mark.long
@pytest.mark.parametrize("name", ["v1_4.yaml", "margin.yaml"], ids=["cash", "margin"])
def test_forgetting_closed_orders_changes_nothing_but_memory(
    name: str, finished_run: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    purged, kept = finished_run(name, SHORT, UNLIMITED), []
    take = OrderTable.take_closed
    monkeypatch.setattr(
        OrderTable, "take_closed", lambda _tables, cache, _now_ns: kept.append(cache.orders_total_count())
    )
    config = load_config(
        CONFIGS / name, [SHORT, UNLIMITED, "output.report=false", f"output.directory={tmp_path}"]
    ).config
    whole = FinishedRun(config, run_backtest(config))
    assert figures(whole) == figures(purged)
    assert_same_trading(whole, purged)
    assert kept[-1] > 40

    still_there = []

    def counted(tables: OrderTable, cache: Any, now_ns: int) -> None:
        take(tables, cache, now_ns)
        still_there.append(cache.orders_total_count())

    monkeypatch.setattr(OrderTable, "take_closed", counted)
    run_backtest(config)
    assert max(still_there) < kept[-1] / 2
