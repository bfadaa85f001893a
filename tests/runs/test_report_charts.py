"""What the charts of a report show is what the summary says, of whole backtests and of paper trading."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from whole_runs import FinishedRun

from mm_nautilus.report.charts import (
    actions_figure,
    equity_figure,
    equity_paths,
    fill_quality_figure,
    points_figure,
    reasons_figure,
)
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.exits import ExitEntry, exit_entries, trail_paths
from mm_nautilus.report.guard_changes import read_guard_log, state_times
from mm_nautilus.report.page import page_parts
from mm_nautilus.report.run_files import RunFiles, times
from mm_nautilus.report.symbol_view import reason_shares, symbol_traces
from mm_nautilus.risk.rate_limit import kraken_rules
from mm_nautilus.risk.state import QuotingState

Runs = Callable[..., FinishedRun]

TRAILING = (
    "strategy.use_trailing_stop=true",
    "strategy.trailing_stop_activation=0.05",
    "strategy.trailing_stop_distance=0.04",
)
CENT = 0.005


@pytest.fixture(params=["backtest", "sandbox"])
def run(request: pytest.FixtureRequest, finished_run: Runs) -> FinishedRun:
    if request.param == "sandbox":
        found: FinishedRun = request.getfixturevalue("paper_run")
        return found
    return finished_run("v1_4.yaml", *TRAILING)


@pytest.fixture
def files(run: FinishedRun) -> RunFiles:
    return read_run(run.outcome.folder)


def span_of(files: RunFiles) -> tuple[int, int]:
    moments = times(files.table("market", ["ts_event"]))
    return int(moments[0]), int(moments[-1])


def named(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a figure's traces by their names, which have to differ."""
    found = {trace["name"]: trace for trace in figure["data"]}
    assert len(found) == len(figure["data"])
    return found


def test_lines_of_money_end_at_the_summarys_figures(run: FinishedRun, files: RunFiles) -> None:
    lines = {name: trace["y"] for name, trace in named(equity_figure(equity_paths(files))).items()}
    equity = run.summary["equity"]
    assert lines["equity"][-1] == pytest.approx(equity["end"], abs=CENT)
    assert lines["equity without fees"][-1] == pytest.approx(equity["end"] + equity["fees"], abs=CENT)
    assert lines["without trading"][-1] == pytest.approx(equity["start"] + equity["revaluation"], abs=CENT)
    assert lines["trading PnL, all"][-1] == pytest.approx(equity["trading_pnl"], abs=CENT)
    assert lines["all, before fees"][-1] == pytest.approx(equity["trading_pnl_before_fees"], abs=CENT)
    deepest = -min(lines["drawdown, all"])
    assert 100 * deepest / equity["start"] == pytest.approx(equity["max_drawdown_pct"], abs=1e-4)
    for symbol, figures in run.summary["symbols"].items():
        net = figures["total_pnl_report"]
        assert lines[symbol][-1] == pytest.approx(net, abs=CENT)
        assert lines[f"{symbol}, before fees"][-1] == pytest.approx(net + figures["fees_report"], abs=CENT)
        assert max(lines[f"{symbol}, drawdown"]) <= 0


def test_bars_of_orders_add_up_to_the_counts(run: FinishedRun, files: RunFiles) -> None:
    traces = named(actions_figure(files, *span_of(files)))
    symbols = run.summary["symbols"]
    minutes = len(traces["placed"]["x"])
    assert minutes <= 360  # as many as there are bars, so that each bar is one minute
    for kind in ("placed", "amended", "cancelled", "rejected", "denied"):
        assert sum(traces[kind]["y"]) == sum(figures[f"orders_{kind}"] for figures in symbols.values())
    for symbol, figures in symbols.items():
        requotes = traces[symbol]["y"]
        assert requotes[-1] == requotes[-2]
        assert sum(requotes[:-1]) == figures["orders_placed"] + figures["orders_amended"]


def test_lines_of_points_add_up_to_what_was_spent(finished_run: Runs) -> None:
    """A starter's points are spent as they are given back: no command is refused, and quotes wait."""
    run = finished_run("v1_4.yaml", "venue.rate_limit={kraken: starter}", "end=2025-12-13T12:12:00Z")
    files = read_run(run.outcome.folder)
    traces = named(points_figure(files, *span_of(files), kraken_rules("starter")))
    assert set(traces.pop("given back, each pair")["y"]) == {60.0}
    assert traces.keys() == run.summary["symbols"].keys()
    for symbol, figures in run.summary["symbols"].items():
        assert sum(traces[symbol]["y"][:-1]) == figures["rate_points"] > 0
        assert figures["rate_limited"] == 0
    assert run.symbol("XRP/USDT")["points_wait_seconds"] > 60
    assert "points" in page_parts(files)["figures"]


def test_no_minute_of_a_run_that_quotes_is_without_orders(finished_run: Runs) -> None:
    files = read_run(finished_run("v1_4.yaml", *TRAILING).outcome.folder)
    traces = named(actions_figure(files, *span_of(files)))
    assert min(traces["placed"]["y"][:30]) > 0


def test_bars_of_reasons_are_the_summarys_seconds(run: FinishedRun) -> None:
    symbols = run.summary["symbols"]
    drawn = Counter()
    for trace in reasons_figure(symbols)["data"]:
        for side, seconds in zip(trace["y"], trace["x"], strict=True):
            drawn[side, trace["name"]] += seconds
    told = {
        (f"{symbol} {side}", reason): entry["seconds"]
        for symbol, figures in symbols.items()
        for side, reasons in figures["not_quoting"].items()
        for reason, entry in reasons.items()
    }
    assert {key: seconds for key, seconds in drawn.items() if key in told or seconds} == told


def test_shares_without_a_quote_add_up_to_the_same_seconds(run: FinishedRun, files: RunFiles) -> None:
    for symbol, figures in run.summary["symbols"].items():
        traces = symbol_traces(files, symbol)
        start_ns, end_ns = (
            min(int(traces.quotes_ns[0]), span_of(files)[0]),
            int(traces.quotes_ns[-1]),
        )
        shares = reason_shares(traces, start_ns, end_ns, 50)
        assert shares.min() >= 0
        assert shares.sum(axis=0).max() <= 100.0 + 1e-6
        seconds = dict(zip(traces.reasons, shares.mean(axis=1) / 50 * (end_ns - start_ns) / 1e9, strict=True))
        told: Counter[str] = Counter()
        for reasons in figures["not_quoting"].values():
            for reason, entry in reasons.items():
                told[reason] += entry["seconds"]
        assert seconds == pytest.approx(dict(told), abs=1e-6)


def test_parts_of_a_fill_add_up_to_what_was_left(run: FinishedRun) -> None:
    traces = named(fill_quality_figure(run.summary["symbols"]))
    count = len(traces["net of fees"]["y"])
    assert count >= 6
    for index in range(count):
        spread, adverse, fees = (
            traces[name]["y"][index] for name in ("spread captured", "adverse selection", "fees")
        )
        assert traces["mark-out, before fees"]["y"][index] == pytest.approx(spread + adverse)
        assert traces["net of fees"]["y"][index] == pytest.approx(spread + adverse + fees)
        symbol, after = (axis[index] for axis in traces["net of fees"]["x"])
        told = run.summary["symbols"][symbol]["fill_quality"]["maker"]
        (quality,) = [quality for quality in told if f"{quality['seconds']:g} s" == after]
        assert traces["net of fees"]["y"][index] == quality["net_bps"]


def test_every_exit_is_listed_once_and_moved_as_the_prices_say(run: FinishedRun, files: RunFiles) -> None:
    entries = exit_entries(files)
    counted = Counter(entry.reason for entry in entries)
    assert counted == {reason: totals["count"] for reason, totals in run.summary["exits"].items()}
    assert counted["trailing_stop"] > 0
    assert [entry.ts_ns for entry in entries] == sorted(entry.ts_ns for entry in entries)
    for entry in entries:
        before = position_before(run, entry)
        assert before * (1 if entry.is_long else -1) >= entry.quantity - 1e-9
        assert entry.entry_price is not None
        assert entry.price == pytest.approx(entry.entry_price, rel=0.02)
        gain = (entry.price - entry.entry_price) * (1 if entry.is_long else -1)
        assert entry.move_bps == pytest.approx(10_000 * gain / entry.entry_price)


def position_before(run: FinishedRun, entry: ExitEntry) -> float:
    fills = run.table("fills")
    rows = fills[(fills.symbol == entry.symbol) & (fills.ts_event.astype("int64") < entry.ts_ns)]
    signed = rows.quantity.where(rows.side == "BUY", -rows.quantity)
    return float(signed.sum())


def test_trailing_stops_only_come_nearer_and_end_with_their_exit(files: RunFiles) -> None:
    paths = trail_paths(files, exit_entries(files))
    assert 0 < len(paths) <= 5
    for path in paths:
        assert path.exit.reason == "trailing_stop"
        assert path.seconds[-1] == pytest.approx(0.0, abs=1e-6)
        armed = path.trail_bps[~np.isnan(path.trail_bps)]
        assert len(armed) > 0
        assert (np.diff(armed) >= -1e-6).all()


def test_states_of_guards_add_up_to_the_period(run: FinishedRun, files: RunFiles) -> None:
    log = read_guard_log(files)
    assert log is not None
    assert log.is_whole
    assert log.entries
    start_ns, end_ns = span_of(files)
    found = state_times(log, run.summary["symbols"], start_ns, end_ns)
    assert list(found) == list(run.summary["symbols"])
    for states in found.values():
        assert sum(seconds for seconds, _ in states.values()) == pytest.approx((end_ns - start_ns) / 1e9)
        assert states[QuotingState.QUOTING][0] > 0.8 * (end_ns - start_ns) / 1e9
