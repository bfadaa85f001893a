"""Reports of paper trading: of runs that ended, went on from another or were killed, and of clocks that were set."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finished_sandbox import left_run
from sandbox_runs import (
    LONGEST_WAIT,
    Left,
    configuration,
    ending,
    finished,
    start,
    wait_for_file,
    wait_for_fill,
)
from whole_runs import ROOT, FinishedRun

from mm_nautilus.cli import main
from mm_nautilus.errors import DataError
from mm_nautilus.report.charts import equity_paths
from mm_nautilus.report.compare import compare_runs
from mm_nautilus.report.comparison_view import plain_comparison
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.fill_rows import fill_rows
from mm_nautilus.report.page import write_report
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.report.symbol_view import symbol_traces
from mm_nautilus.runs.finish import finish_run, only_writer

TABLES = ("market", "market_trades", "quotes", "mark_outs", "actions", "metrics", "equity", "fills")
REPORT = "output.report=true"
HOUR_NS = 3_600_000_000_000


def visible(page: Path) -> str:
    """Return what a page says, without its scripts, its styles and its tags."""
    text = re.sub(r"<(script|style).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


@pytest.fixture
def copied(paper_run: FinishedRun, tmp_path: Path) -> Path:
    return shutil.copytree(paper_run.outcome.folder, tmp_path / "run")


def change_summary(folder: Path, *without: str, **changes: object) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    kept = {key: value for key, value in summary.items() if key not in without}
    (folder / "summary.json").write_text(json.dumps(kept | changes))


def take_apart(folder: Path, share: float = 1.0) -> None:
    """Put tables back into parts, as a run that goes on has them, with the first share of their rows."""
    for name in TABLES:
        table = pq.read_table(folder / f"{name}.parquet")
        (folder / f"{name}.parquet").unlink()
        parts = folder / f"{name}.parts"
        parts.mkdir()
        kept = table.slice(0, round(share * table.num_rows))
        for number, first in enumerate(range(0, kept.num_rows, 40), start=1):
            pq.write_table(kept.slice(first, 40), parts / f"{number:06d}.parquet")
        (parts / ".000099.parquet.part").write_bytes(b"PAR1 is being written")


# -- Runs that ended ----------------------------------------------------------------------------------


def test_the_page_says_what_the_session_was(paper_run: FinishedRun) -> None:
    page = visible(paper_run.outcome.folder / "report.html")
    assert "Paper trading on a local venue that plays SIMULATED data" in page
    assert "at 20x its speed and then ends, 100 levels" in page
    assert "simulated inside the process: no order left the machine" in page
    assert "end completed: the feed has ended" in page
    assert "start fresh, with its state in " in page
    assert "balances at the start 1000 USDT, 500 XRP, 0.01 BTC" in page
    assert "orders left open 0" in page
    assert "open for quoting" in page
    assert "continued from a saved state" not in page
    assert "had not ended" not in page


def test_warnings_of_validation_are_in_the_summary_and_on_the_page(paper_run: FinishedRun) -> None:
    page = visible(paper_run.outcome.folder / "report.html").replace("&#39;", "'")
    assert len(paper_run.summary["warnings"]) >= 6
    assert len(set(paper_run.summary["warnings"])) == len(paper_run.summary["warnings"])
    for warning in paper_run.summary["warnings"]:
        assert warning in page
    assert "min_spread_pct 0.02 % is below two maker fees" in page


@pytest.mark.long
def test_a_run_that_goes_on_from_another_tells_what_is_whose(tmp_path: Path) -> None:
    path, played = configuration(tmp_path), ending(tmp_path, 100)
    folders = []
    for name in ("first", "second"):
        out = ("--out", str(tmp_path / name / "runs"), "--set", REPORT)
        done = finished(str(path), "--quiet", *played, *out)
        assert done.returncode == 0, done.stderr
        folders.append(Left.only(tmp_path / name).folder)
    first, second = (left_run(folder) for folder in folders)

    page = visible(second.outcome.folder / "report.html")

    assert "start continued from the state in /" in page
    assert "This run continued from a saved state." in page
    assert " XRP at " in page  # the positions it began with
    assert second.symbol("XRP/USDT")["fills"] > len(second.table("fills").query("symbol == 'XRP/USDT'"))
    paths = equity_paths(RunFiles.read(second.outcome.folder))
    assert paths.total.before_fees[-1] == pytest.approx(
        second.summary["equity"]["trading_pnl_before_fees"], abs=0.005
    )
    assert paths.total.net[0] < 0.5 * first.summary["equity"]["trading_pnl"]  # what was lost before is in it
    notes = compare_runs([first.outcome.folder, second.outcome.folder]).notes
    assert any("continued from a saved state" in note for note in notes)
    returns = second.summary["statistics"]["equity"]["Max Drawdown"]
    assert -100 * returns < second.summary["equity"]["max_drawdown_pct"]


# -- Runs that a signal ended ---------------------------------------------------------------------------


@pytest.mark.long
def test_after_a_signal_the_page_is_written_by_a_process_that_stays(tmp_path: Path) -> None:
    process = start(str(configuration(tmp_path)), "--set", REPORT)
    wait_for_fill(process, tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=LONGEST_WAIT)
    left = Left.only(tmp_path)
    wait_for_file(left.folder / "report.html")
    page = visible(left.folder / "report.html")
    assert "This run was interrupted: the figures are those up to then" in page
    assert "end interrupted: interrupted by SIGTERM" in page
    assert "written to " in (left.folder / "report.log").read_text()


HURRIED = """\
import sys
from mm_nautilus.cli import process_main
from mm_nautilus.runs.signals import SignalListener

enter = SignalListener.__enter__

def enter_and_hurry(self):
    entered = enter(self)  # ahead of the engine's import
    from mm_nautilus.runs import winding_down
    winding_down._MOST_PARTS_IN_HURRY = -1
    return entered

SignalListener.__enter__ = enter_and_hurry
process_main(["sandbox", *sys.argv[1:]])
"""


@pytest.mark.long
def test_a_long_run_leaves_its_parts_to_the_process_that_writes_the_page(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HURRIED, str(configuration(tmp_path)), "--quiet", "--set", REPORT],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    wait_for_fill(process, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=LONGEST_WAIT) == 130
    left = Left.only(tmp_path)
    wait_for_file(left.folder / "report.html")
    left.assert_ended("interrupted")
    assert "statistics" in left.summary
    symbols = left.summary["symbols"].values()
    watched = sum(quality[0]["fills"] for told in symbols for quality in told["fill_quality"].values())
    assert watched > 0
    for name in TABLES:
        assert (left.folder / f"{name}.parquet").exists(), name


def test_what_a_run_left_undone_is_done_once(copied: Path) -> None:
    whole = json.loads((copied / "summary.json").read_text())
    rows = {name: pd.read_parquet(copied / f"{name}.parquet") for name in TABLES}
    take_apart(copied)
    bare = {
        symbol: drop(figures, "fill_quality", "fees_report") for symbol, figures in whole["symbols"].items()
    }
    change_summary(copied, "statistics", symbols=bare)

    finish_run(copied)

    assert json.loads((copied / "summary.json").read_text()) == whole
    for name, before in rows.items():
        pd.testing.assert_frame_equal(pd.read_parquet(copied / f"{name}.parquet"), before)
    written = (copied / "summary.json").stat().st_mtime_ns
    finish_run(copied)
    assert (copied / "summary.json").stat().st_mtime_ns == written


def drop(figures: dict[str, object], *names: str) -> dict[str, object]:
    return {key: value for key, value in figures.items() if key not in names}


# -- Runs that go on or were killed ---------------------------------------------------------------------

FREQUENT = """\
import sys
from mm_nautilus.cli import process_main
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.runs import control, recorder, traces

control._REPORT_INTERVAL_NS = recorder._FLUSH_INTERVAL_NS = traces.MINUTE_NS = SECOND_NS
process_main(["sandbox", *sys.argv[1:]])
"""
"""Writes each second what a run writes each minute."""


@pytest.mark.long
def test_a_killed_run_has_a_report_up_to_what_it_wrote(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FREQUENT, str(configuration(tmp_path)), "--quiet"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    wait_for_fill(process, tmp_path)
    left = Left.only(tmp_path)
    wait_for_file(left.folder / "mark_outs.parts" / "000001.parquet")
    deadline = time.monotonic() + LONGEST_WAIT
    while left.summary.get("orders", 0) < 20 and time.monotonic() < deadline:
        time.sleep(0.1)

    end_of_command("report", str(left.folder))  # it goes on
    assert "This run had not ended when this page was made" in visible(left.folder / "report.html")
    process.kill()
    process.wait(timeout=LONGEST_WAIT)
    before = (left.folder / "summary.json").read_bytes()
    end_of_command("report", str(left.folder))

    page = visible(left.folder / "report.html")
    until = left.summary["period"]["end"][:19].replace("T", " ")
    assert f"its figures are those of {until} UTC" in page
    assert "The charts end at the latest at 20" in page
    assert "none was recorded: the run is still running, or its process was killed" in page
    assert "They are computed when a run ends." in page
    assert (left.folder / "summary.json").read_bytes() == before
    assert len(list(left.folder.glob("*.parts"))) == len(TABLES)


def end_of_command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 0


def test_a_second_process_waits_until_the_first_has_finished_the_folder(copied: Path) -> None:
    take_apart(copied)
    change_summary(copied, "statistics", "fill_quality")
    with only_writer(copied):
        other = threading.Thread(target=end_of_command, args=("report", str(copied)))
        other.start()
        other.join(0.5)
        assert other.is_alive()
        assert len(list(copied.glob("*.parts"))) == len(TABLES)
    other.join(LONGEST_WAIT)
    assert list(copied.glob("*.parts")) == []
    assert RunFiles.read(copied).is_complete


def test_a_run_in_its_first_minute_has_no_figures_yet(copied: Path) -> None:
    (copied / "summary.json").write_text(json.dumps({"name": "a", "status": "starting", "folder": "run"}))
    with pytest.raises(DataError, match=r"no figures yet, its run is starting: .* once a minute"):
        write_report(copied)


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_tables_in_parts_are_read_as_far_as_they_go(
    copied: Path, share: float, paper_run: FinishedRun
) -> None:
    take_apart(copied, share)
    change_summary(copied, "statistics", status="running", stop=None)

    page = visible(write_report(copied))

    assert "This run had not ended" in page
    files = RunFiles.read(copied)
    market = files.table("market", ["ts_event", "mid_price"])
    assert market.num_rows == round(share * len(paper_run.table("market")))
    comparison = plain_comparison(compare_runs([copied, paper_run.outcome.folder]))
    assert any(" had not ended: its figures are those of " in note for note in comparison["notes"])


def test_a_fill_that_is_on_the_disk_in_one_table_only_is_left_out(
    copied: Path, paper_run: FinishedRun
) -> None:
    """The tables of a run that goes on are flushed one after the other."""
    rows = pq.read_table(copied / "fills.parquet")
    lost = rows.slice(rows.num_rows - 5)
    pq.write_table(rows.slice(0, rows.num_rows - 5), copied / "fills.parquet")
    change_summary(copied, "statistics", status="running")

    found = read_run(copied).summary

    for symbol, figures in paper_run.summary["symbols"].items():
        count = sum(quality[0]["fills"] for quality in figures["fill_quality"].values())
        kept = sum(quality[0]["fills"] for quality in found["symbols"][symbol]["fill_quality"].values())
        assert kept == count - lost["symbol"].to_pylist().count(symbol)


# -- Clocks that are set ----------------------------------------------------------------------------------


def set_back(folder: Path, by_ns: int) -> None:
    """Set the clock back in the middle of a run's rows."""
    for name in TABLES:
        path = folder / f"{name}.parquet"
        table = pq.read_table(path)
        moments = table["ts_event"].cast(pa.int64()).to_numpy().copy()
        moments[len(moments) // 2 :] -= by_ns
        index = table.schema.get_field_index("ts_event")
        column = pa.array(moments, table.schema.field("ts_event").type)
        pq.write_table(table.set_column(index, table.schema.field("ts_event"), column), path)


@pytest.mark.parametrize("by_ns", [HOUR_NS, 3_000_000_000])
def test_rows_whose_times_step_back_are_drawn_in_their_order(
    copied: Path, paper_run: FinishedRun, by_ns: int
) -> None:
    set_back(copied, by_ns)

    page = visible(write_report(copied))

    assert "The clock was set back during this run, by up to " in page
    files = RunFiles.read(copied)
    for symbol in paper_run.summary["symbols"]:
        traces = symbol_traces(files, fill_rows(files, symbol))
        for moments in (traces.market_ns, traces.quotes_ns, traces.fills.ts_ns, traces.trades.ts_ns):
            assert (np.diff(moments) >= 0).all()
    compare_runs([copied, paper_run.outcome.folder])


def test_a_run_whose_clock_was_not_set_says_nothing_of_it(paper_run: FinishedRun) -> None:
    assert "The clock was set back" not in visible(paper_run.outcome.folder / "report.html")


def test_the_guide_names_every_key_of_a_sandbox_runs_summary(paper_run: FinishedRun) -> None:
    text = (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^### summary\.json$(.*?)^### ", text, re.DOTALL | re.MULTILINE)
    inner = (set(paper_run.summary[name]) for name in ("start", "stop", "feed", "statistics"))
    keys = set(paper_run.summary).union(*inner)
    assert {key for key in keys if f"`{key}`" not in section} == set()
