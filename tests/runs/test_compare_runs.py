"""Runs side by side: what differs, the same figures as each run's own, and nothing compared in silence."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from whole_runs import FinishedRun

from mm_nautilus.cli import main
from mm_nautilus.errors import DataError
from mm_nautilus.report.compare import Comparison, compare_runs, comparison_view, plain_comparison
from mm_nautilus.report.figures import sparkline
from mm_nautilus.report.page import render

Runs = Callable[..., FinishedRun]

SHORT = "end=2025-12-13T12:05:00Z"


@pytest.fixture
def first(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml", SHORT)


@pytest.fixture
def second(finished_run: Runs) -> FinishedRun:
    return finished_run(
        "v1_4.yaml", SHORT, "strategy.symbols.XRP/USDT.gamma=0.3", "strategy.use_trailing_stop=true"
    )


@pytest.fixture
def comparison(first: FinishedRun, second: FinishedRun) -> Comparison:
    return compare_runs([first.outcome.folder, second.outcome.folder])


def test_only_parameters_that_differ_are_listed(comparison: Comparison) -> None:
    assert dict(comparison.parameters) == {
        "strategy.symbols.XRP/USDT.gamma": (None, 0.3),
        "strategy.use_trailing_stop": (False, True),
    }


def test_figures_are_those_of_each_summary(
    comparison: Comparison, first: FinishedRun, second: FinishedRun
) -> None:
    rows = {(row.group, row.name): row for row in comparison.figures}
    for index, run in enumerate((first, second)):
        trading = rows["account", "trading PnL, net of fees"].values[index]
        assert trading == {"trading_pnl": run.summary["equity"]["trading_pnl"]}
        assert rows["XRP/BTC", "fills"].values[index] == {"fills": run.symbol("XRP/BTC")["fills"]}
        quality = run.symbol("BTC/USDT")["fill_quality"]["maker"][2]
        assert quality["seconds"] == 5.0
        shown = rows["BTC/USDT", "mark-out after 5 s"].values[index]
        assert shown == {key: quality[key] for key in ("mark_out_bps", "standard_error_bps")}


def test_runs_that_are_alike_are_compared_without_notes(comparison: Comparison) -> None:
    assert comparison.notes == ()


def test_different_periods_are_noted(first: FinishedRun, finished_run: Runs) -> None:
    longer = finished_run("v1_4.yaml", "end=2025-12-13T12:06:00Z")
    comparison = compare_runs([first.outcome.folder, longer.outcome.folder])
    assert comparison.notes == ("these runs cover different periods",)
    assert dict(comparison.parameters).keys() == {"end"}


def test_a_symbol_that_one_run_lacks_has_dashes(first: FinishedRun, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    shutil.copytree(first.outcome.folder, fewer)
    summary = json.loads((fewer / "summary.json").read_text())
    del summary["symbols"]["XRP/BTC"]
    (fewer / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))

    comparison = compare_runs([first.outcome.folder, fewer])

    rows = [row for row in comparison.figures if row.group == "XRP/BTC"]
    assert rows
    assert all(row.texts[1] == "-" and row.values[1] is None for row in rows)
    assert comparison.notes == ("fewer was interrupted",)


def test_curves_end_at_the_runs_trading_pnl(comparison: Comparison, first: FinishedRun) -> None:
    plain = plain_comparison(comparison)
    curve = plain["runs"][0]["curve"]
    assert curve["trading_pnl"][-1] == pytest.approx(first.summary["equity"]["trading_pnl"])
    assert len(curve["ts_ms"]) == len(curve["trading_pnl"])
    json.dumps(plain, allow_nan=False)


def test_terminal_shows_parameters_figures_and_curves(comparison: Comparison, first: FinishedRun) -> None:
    stream = io.StringIO()
    Console(file=stream, width=200).print(comparison_view(comparison))
    text = stream.getvalue()
    assert text.startswith("SIMULATED data")
    assert re.search(r"strategy\.use_trailing_stop\s+false\s+true", text)
    assert re.search(r"fills\s+\d+\s+\d+", text)
    assert re.search(r"[▁▂▃▄▅▆▇█]{10,}", text)
    assert first.outcome.folder.name in text


def test_a_sparkline_goes_from_the_lowest_to_the_highest(comparison: Comparison) -> None:
    line = sparkline(comparison.runs[0].trading_pnl, 20)
    assert len(line) == 20
    assert {"▁", "█"} <= set(line)


def test_terminal_of_ascii_shows_it_all(
    first: FinishedRun, second: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(taken, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(first.outcome.folder), str(second.outcome.folder)])
    assert ended.value.code == 0
    text = taken.getvalue().decode("ascii")
    assert re.search(r"bps \+- \d", text)
    assert re.search(r"\| [1-8]{9,} +\|", text)


@pytest.mark.parametrize("count", [0, 1])
def test_one_run_is_not_enough(first: FinishedRun, count: int) -> None:
    with pytest.raises(DataError, match=f"at least two runs, was {count}"):
        compare_runs([first.outcome.folder] * count)


def test_the_same_run_twice_is_refused(first: FinishedRun) -> None:
    with pytest.raises(DataError, match="must differ"):
        compare_runs([first.outcome.folder, first.outcome.folder / ".." / first.outcome.folder.name])


def test_page_carries_the_same_rows(comparison: Comparison) -> None:
    from mm_nautilus.report.compare import comparison_parts  # noqa: PLC0415

    page = render("compare.html.jinja", **comparison_parts(comparison))
    for row in comparison.figures:
        assert row.name in page
        assert all(f">{text}<" in page for text in row.texts)
    assert "SIMULATED data" in page


# -- The commands -------------------------------------------------------------------------------------------


def test_compare_command_prints_json_and_writes_a_page(
    first: FinishedRun, second: FinishedRun, tmp_path: Path, command: Callable[..., Any]
) -> None:
    page = tmp_path / "both.html"
    words = ["compare", str(first.outcome.folder), str(second.outcome.folder), "--json", "--html", str(page)]

    code, out, err = command(*words)

    assert (code, err) == (0, f"written to {page}\n")
    document = json.loads(out)
    assert document["parameters"]["strategy.use_trailing_stop"] == [False, True]
    assert len(document["runs"]) == 2
    assert page.read_text().startswith("<!DOCTYPE html>")
    code, _, err = command(*words)
    assert code == 2
    assert "--force replaces it" in err


def test_report_command_writes_the_page(first: FinishedRun, command: Callable[..., Any]) -> None:
    path = first.outcome.folder / "report.html"
    path.unlink(missing_ok=True)
    code, out, err = command("report", str(first.outcome.folder))
    assert (code, out, err) == (0, "", f"written to {path}\n")
    code, out, _ = command("report", str(first.outcome.folder), "--json")
    assert code == 0
    assert json.loads(out) == {"report": str(path), "bytes": path.stat().st_size}
