"""Figures on the report, in the summary, in the terminal's table and recomputed from Parquet are the same."""

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from recomputed_figures import pointer, recomputed_figures
from rich.console import Console
from whole_runs import CONFIGS, FinishedRun

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.report.console import summary_view
from mm_nautilus.report.page import write_report
from mm_nautilus.report.rows import SYMBOL_ROWS
from mm_nautilus.runs.backtest import run_backtest

Runs = Callable[..., FinishedRun]

RUNS = {
    "plain": ("v1_4.yaml",),
    "exits": (
        "v1_4.yaml",
        "strategy.use_trailing_stop=true",
        "strategy.trailing_stop_activation=0.05",
        "strategy.trailing_stop_distance=0.04",
    ),
    "margin": ("margin.yaml",),
    "signal": ("v1_4_signal.yaml",),
}
ON_TERMINAL_ONLY = r"^(Result|Where|Why|Change): | spread$"
"""What a text of the summary has around the words that are on the page."""
LIVE_CLOCK = 1e-3
"""Share of a mean over time that the moments between two looks at a live clock, at either end, may make."""
NOT_IN_PARQUET = (
    *("points_waits", "points_wait_seconds", "points_wait_bps"),
    *("quote_model", "exits_refused", "old_trades", "repeated_trades", "phantom_fills"),
    *("/answer/lines/", "/answer/next/", "/answer/why"),
)
"""What the strategy logged of its model follows from the configuration and the book."""


class Figures(HTMLParser):
    """Collect what stands in elements that name the summary's figures."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[tuple[str, ...], str]] = []
        self.keys: tuple[str, ...] | None = None
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs).get("data-figure")
        self.depth += self.keys is not None
        if named:
            self.keys = tuple(re.split(r" (?=/)", named))
            self.found.append((self.keys, ""))

    def handle_data(self, data: str) -> None:
        if self.keys is not None:
            keys, text = self.found[-1]
            self.found[-1] = (keys, text + data)

    def handle_endtag(self, tag: str) -> None:
        if self.depth:
            self.depth -= 1
        else:
            self.keys = None


def figures_on(page: Path) -> list[tuple[tuple[str, ...], str]]:
    reader = Figures()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader.found


def looked_up(summary: Any, path: str) -> Any:
    for key in path.split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        summary = summary[int(name)] if isinstance(summary, list) else summary[name]
    return summary


def numbers_in(text: str) -> list[tuple[float, float]]:
    """Return the numbers of a text, and half a unit of the last digit that each is shown with."""
    found = []
    for sign, digits, decimals in re.findall(r"([+-]?)\$?((?:\d{1,3},)*\d+)((?:\.\d+)?)", text):
        value = float(f"{'-' if sign == '-' else ''}{digits.replace(',', '')}{decimals}")
        found.append((value, 0.5 * 10.0 ** -max(0, len(decimals) - 1)))
    return found


@pytest.fixture(
    params=["plain", "exits", "margin", pytest.param("signal", marks=pytest.mark.long), "sandbox"]
)
def run(request: pytest.FixtureRequest, finished_run: Runs) -> FinishedRun:
    if request.param == "sandbox":
        found: FinishedRun = request.getfixturevalue("paper_run")
        return found
    name, *sets = RUNS[request.param]
    return finished_run(name, *sets)


@pytest.fixture
def figures(run: FinishedRun, tmp_path: Path) -> list[tuple[tuple[str, ...], str]]:
    return figures_on(write_report(run.outcome.folder, tmp_path / "report.html"))


def test_every_figure_on_the_page_is_the_summarys(
    run: FinishedRun, figures: list[tuple[tuple[str, ...], str]]
) -> None:
    stored = json.loads((run.outcome.folder / "summary.json").read_text())
    assert stored == run.summary
    assert len(figures) > 60
    for keys, text in figures:
        values = [looked_up(stored, key) for key in keys]
        shown = numbers_in(text)
        for value in values:
            if isinstance(value, str):
                assert re.sub(ON_TERMINAL_ONLY, "", value) in text
            elif value is None:
                assert text in {"-", "not known yet"} or "±" not in text
            else:
                assert any(abs(value - number) <= 1.001 * half for number, half in shown), (keys, text, value)


def test_every_figure_on_the_page_follows_from_the_parquet_files(
    run: FinishedRun, figures: list[tuple[tuple[str, ...], str]]
) -> None:
    recomputed = recomputed_figures(run)
    checked = 0
    for keys, _ in figures:
        for key in keys:
            if any(name in key for name in NOT_IN_PARQUET):
                continue
            stored, computed = looked_up(run.summary, key), recomputed[key]
            if stored is None or isinstance(stored, int):
                assert computed == stored, key
            else:
                rel = LIVE_CLOCK if "feed" in run.summary and "average_inventory" in key else 0.0
                assert computed == pytest.approx(stored, rel=rel, abs=_slack(run, key)), key
            checked += 1
    assert checked > 60


def _slack(run: FinishedRun, key: str) -> float:
    """Return what a figure may differ by: half a cent; of a pair in BTC the engine's rounding of each fill."""
    name = key.rsplit("/", 1)[-1]
    if "inventory" in name:
        return 1e-9
    if "XRP/BTC" not in run.summary["symbols"]:
        return 0.005
    figures = run.symbol("XRP/BTC")
    rounding = 1e-8 * (figures["fills"] + 2) / 2
    if key.startswith(("/total/", "/answer/")):  # of which a bitcoin's worth
        btc = figures["fees_report"] / figures["fees"] if figures["fees"] else 1e5
        return 0.005 + rounding * btc
    if "XRP~1BTC" not in key and name != "BTC":
        return 0.005
    if name == "pnl_turnover_bps":
        return 1e4 * rounding / figures["turnover"]
    if name in {"realized_pnl", "total_pnl", "avg_pnl", "fees", "net", "BTC"}:
        return rounding / max(1, figures["trades"]) if name == "avg_pnl" else rounding
    return 0.005


def test_everything_the_summary_has_of_a_symbol_is_on_the_page(
    run: FinishedRun, figures: list[tuple[tuple[str, ...], str]]
) -> None:
    on_page = {key for keys, _ in figures for key in keys}
    for symbol, summary in run.summary["symbols"].items():
        told_elsewhere = {
            *("pnl", "unrealized_pnl", "total_pnl_report"),
            *("fees_report", "turnover_report", "average_inventory_report"),
        }
        for key, value in summary.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and key not in told_elsewhere:
                assert pointer("symbols", symbol, key) in on_page
    for reason in run.summary["exits"]:
        assert pointer("exits", reason, "count") in on_page


def test_the_terminals_table_shows_the_same_texts(
    run: FinishedRun, figures: list[tuple[tuple[str, ...], str]]
) -> None:
    stream = io.StringIO()
    Console(file=stream, width=400).print(summary_view(run.summary))
    lines = stream.getvalue().splitlines()
    texts = dict(figures)
    symbols = list(run.summary["symbols"])
    for row in SYMBOL_ROWS:
        on_page = [texts[tuple(pointer("symbols", symbol, key) for key in row.keys)] for symbol in symbols]
        if row.hides_zero and not any(run.symbol(symbol)[key] for symbol in symbols for key in row.keys):
            continue
        if len(symbols) > 1 and (in_total := tuple(pointer("total", key) for key in row.keys)) in texts:
            on_page.append(texts[in_total])
        line = next(line for line in lines if line.startswith(f" {row.name} "))
        assert re.split(r"\s{2,}", line.strip().removeprefix(row.name).strip()) == on_page
    equity = next(line for line in lines if line.startswith("Equity "))
    for key in ("start", "end", "trading_pnl", "trading_pnl_before_fees", "fees", "revaluation"):
        assert texts[(pointer("equity", key),)] in equity
    for index, line in enumerate(lines[-4:]):
        label = line.partition(": ")[0]
        if label == "Why":  # the sum that follows is the chart beside it
            assert line.startswith(f"Why: {texts[(pointer('answer', 'why'),)].removeprefix(label)}: ")
        else:
            on_page = texts[(pointer("answer", "lines", str(index)),)]
            assert on_page == label + re.sub(ON_TERMINAL_ONLY, "", line)
    for reason in run.summary["exits"]:
        line = next(line for line in lines if line.startswith(f" {reason.replace('_', ' ')} "))
        for key in ("count", "trades"):
            assert texts[(pointer("exits", reason, key),)] in line.split()


def test_a_run_writes_its_report_unless_it_is_told_not_to(tmp_path: Path) -> None:
    for given, expected in (("true", True), ("false", False)):
        sets = [f"output.report={given}", f"output.directory={tmp_path / given}", "end=2025-12-13T12:01:00Z"]
        outcome = run_backtest(load_config(CONFIGS / "v1_4.yaml", sets).config)
        assert (outcome.folder / "report.html").exists() is expected


def test_a_report_made_anew_is_the_same_but_for_its_date(run: FinishedRun, tmp_path: Path) -> None:
    made = [write_report(run.outcome.folder, tmp_path / f"{number}.html").read_text() for number in range(2)]
    without_date = [re.sub(r"Made [\d\- :]+ UTC", "", text) for text in made]
    assert without_date[0] == without_date[1]
