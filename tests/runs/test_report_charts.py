"""What the charts of a report show is what the summary says, of whole backtests and of paper trading."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from whole_runs import CONFIGS, FinishedRun

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.market.rows import Side
from mm_nautilus.report.charts import (
    actions_figure,
    equity_figure,
    equity_paths,
    fill_quality_figure,
    points_figure,
    reasons_figure,
)
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.exits import MOST_TRAILS, trail_panels, trail_paths
from mm_nautilus.report.fill_rows import FillRows, fill_rows
from mm_nautilus.report.guard_changes import read_guard_log, state_times
from mm_nautilus.report.page import page_parts
from mm_nautilus.report.result_charts import PARTS, bridge_figure, by_day_figure, by_time_figure, shown_parts
from mm_nautilus.report.run_files import RunFiles, times
from mm_nautilus.report.symbol_view import symbol_traces
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


def test_the_bridge_leads_from_nothing_to_the_result(run: FinishedRun, files: RunFiles) -> None:
    answer = run.summary["answer"]
    steps = {
        label.replace("<br>", " "): (base, height)
        for trace in bridge_figure(answer)["data"]
        for label, base, height in zip(trace["x"], trace["base"], trace["y"], strict=True)
    }
    level = 0.0
    for name in shown_parts(answer):
        base, height = steps.pop(PARTS[name])
        assert (base, height) == (pytest.approx(level), answer["parts"][name])
        level += height
    assert steps == {"result": (0.0, answer["result"])}
    assert level == pytest.approx(answer["result"], abs=CENT)


DAY_MS = 86_400_000


def test_bars_by_time_are_stacked_from_pairs_and_add_up_to_the_result(run: FinishedRun) -> None:
    for made in (by_time_figure, by_day_figure):
        traces = named(made(run.summary["answer"]))
        assert sum(traces.pop("all")["y"]) == pytest.approx(run.summary["equity"]["trading_pnl"])
        for symbol, trace in traces.items():
            assert sum(trace["y"]) == pytest.approx(run.symbol(symbol)["total_pnl_report"])

    axis = by_day_figure(run.summary["answer"])["layout"]["xaxis"]
    assert (axis["tick0"], axis["dtick"]) == (traces["XRP/USDT"]["x"][0], DAY_MS)  # a label under each day


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


def test_times_without_a_quote_add_up_to_the_same_seconds(run: FinishedRun, files: RunFiles) -> None:
    for symbol, figures in run.summary["symbols"].items():
        traces = symbol_traces(files, fill_rows(files, symbol))
        lasted = np.diff(traces.quotes_ns) / 1e9
        found: Counter[str] = Counter()
        for codes in (traces.bid_reasons, traces.ask_reasons):
            for code, reason in enumerate(traces.reasons):
                found[reason] += float(lasted[codes[:-1] == code].sum())
        told: Counter[str] = Counter()
        for reasons in figures["not_quoting"].values():
            for reason, entry in reasons.items():
                told[reason] += entry["seconds"]
        assert dict(found) == pytest.approx(dict(told), abs=1e-6)


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


def test_trades_are_the_summarys_to_the_last_digit(run: FinishedRun, files: RunFiles) -> None:
    table = run.table("fills")
    exits: Counter[str] = Counter()
    for symbol, figures in run.summary["symbols"].items():
        rows = fill_rows(files, symbol)
        pnl = rows.trade_pnl[rows.is_trade]
        assert (len(pnl), (pnl > 0).sum(), (pnl < 0).sum()) == tuple(
            figures[name] for name in ("trades", "wins", "losses")
        )
        own = table[table.symbol == symbol]
        results = [amount for amount in own.trade_pnl if amount is not None]
        realized = Decimal(figures["exact"]["realized_pnl"].split()[0])
        assert sum(results) - own.open_fees.iloc[-1] == realized
        assert pnl.tolist() == pytest.approx([float(amount) for amount in results], rel=1e-12)
        assert own.position.iloc[-1] == Decimal(figures["exact"]["inventory"].split()[0])
        # A live strategy hears of a fill a little later.
        assert_trades_follow_from_the_fills(rows, own, 60_000_000_000 if files.is_sandbox else 0)
        for row in np.flatnonzero(rows.is_trade).tolist():
            exits[rows.purposes[row]] += 1
    assert {reason: exits[reason] for reason in exits if reason not in {"quote", "entry"}} == {
        reason: totals["trades"] for reason, totals in run.summary["exits"].items()
    }


def assert_trades_follow_from_the_fills(rows: FillRows, table: Any, most_late_ns: int) -> None:
    """Walk through the fills with an average price of our own."""
    held = cost = Decimal(0)
    openings: list[int] = []
    for row, fill in enumerate(table.itertuples()):
        signed = fill.quantity if fill.side == "BUY" else -fill.quantity
        entry = abs(cost / held) if held else None
        closed = min(abs(signed), abs(held)) if held * signed < 0 else Decimal(0)
        assert rows.is_trade[row] == (closed > 0)
        if closed:
            assert entry is not None
            assert rows.closed[row] == pytest.approx(float(closed), abs=1e-9)
            assert rows.entry_price[row] == pytest.approx(float(entry), rel=1e-9)
            late_ns = [int(rows.opened_ns[row]) - opened_ns for opened_ns in openings]
            assert any(0 <= by_ns <= most_late_ns for by_ns in late_ns)
            gain = (fill.price - entry) * (1 if held > 0 else -1)
            assert rows.move_bps[row] == pytest.approx(float(10_000 * gain / entry), abs=1e-6)
            if fill.commission == 0 and not table.commission[: row + 1].any():
                assert fill.trade_pnl == pytest.approx(gain * closed, abs=Decimal("1e-7"))
        before, held = held, held + signed
        assert fill.position == held
        if before * held <= 0:  # opened, closed or turned round
            cost, openings = held * fill.price, [fill.ts_event.value]
        else:
            cost = cost + signed * fill.price if not closed else cost * held / before
            if abs(before) < abs(signed):  # perhaps a remainder that was too small to close
                openings.append(fill.ts_event.value)


def test_what_fills_were_worth_is_what_the_page_says_of_each(run: FinishedRun, files: RunFiles) -> None:
    for symbol, figures in run.summary["symbols"].items():
        rows = fill_rows(files, symbol)
        for kind, is_kind in (("maker", rows.is_maker), ("taker", ~rows.is_maker)):
            at_fill, *_, last = figures["fill_quality"][kind]
            value = rows.price * rows.quantity
            for quality, bps in ((at_fill, rows.spread_bps), (last, rows.mark_out_bps)):
                known = is_kind & ~np.isnan(bps)
                assert quality["fills"] == known.sum()
                if known.any():
                    mean = (bps * value)[known].sum() / value[known].sum()
                    key = "spread_bps" if quality is at_fill else "mark_out_bps"
                    assert mean == pytest.approx(quality[key], abs=1e-9)


def test_trailing_stops_only_come_nearer_and_end_with_their_exit(run: FinishedRun, files: RunFiles) -> None:
    paths = trail_paths(files, {symbol: fill_rows(files, symbol) for symbol in run.summary["symbols"]})
    assert len(paths) == min(MOST_TRAILS, run.summary["exits"]["trailing_stop"]["count"]) > 0
    for path in paths:
        assert path.seconds[-1] == pytest.approx(0.0, abs=1e-6)
        assert path.seconds[0] >= -300
        armed = path.trail_bps[~np.isnan(path.trail_bps)]
        assert len(armed) > 0
        assert (np.diff(armed) >= -1e-6).all()
        assert abs(path.pnl_bps) < 100
        assert path.pnl_bps < path.move_bps < 100  # fees come between
    panels = trail_panels(paths)
    assert len({tuple(panel["marks"]) for panel in panels}) == 1
    assert all(len(panel["stop"].split()) >= 2 for panel in panels)


def test_the_markets_trades_are_those_of_the_data(run: FinishedRun, files: RunFiles) -> None:
    """A backtest's are its catalog's; a session's came in the order of the data, none of them twice."""
    config = load_config(CONFIGS / "v1_4.yaml").config
    start_ns, end_ns = span_of(files)
    reader = CatalogReader(config.catalog)
    for symbol, figures in run.summary["symbols"].items():
        table = files.table("market_trades", ["ts_event", "price", "size", "aggressor"], symbol)
        found = list(zip(*(table[name].to_pylist() for name in ("price", "size", "aggressor")), strict=True))
        assert len(found) > 10
        if files.is_sandbox:
            assert (np.diff(times(table)) >= 0).all()
            continue
        tick, lot = (float(figures[name]) for name in ("price_increment", "size_increment"))
        rows = [
            (pytest.approx(price * tick), pytest.approx(size * lot), "BUY" if side == Side.BID else "SELL")
            for block in reader.iter_trades(symbol, start_ns, end_ns)
            for price, size, side in zip(block.price_ticks, block.size_lots, block.aggressor, strict=True)
        ]
        assert found == rows


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
