"""From each fill in a run's journal back to its order and the signal that caused it, and forward to the metrics."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from whole_runs import FinishedRun

EXITS = ("take_profit", "stop_loss", "trailing_stop")
ENOUGH = "end=2025-12-13T12:12:00Z"
RUNS = {
    "two-sided": ("v1_4.yaml", ENOUGH),
    "signal rule, at market": ("v1_4_signal.yaml", ENOUGH),
    "exits": (
        "v1_4.yaml",
        ENOUGH,
        "strategy.take_profit_pct=0.05",
        "strategy.symbols.BTC/USDT.take_profit_pct=0.05",
        "strategy.symbols.BTC/USDT.stop_loss_pct=0.06",
        "strategy.stop_loss_pct=0.08",
        "strategy.use_trailing_stop=true",
        "strategy.trailing_stop_activation=0.03",
        "strategy.trailing_stop_distance=0.02",
    ),
}

type Runs = Callable[..., FinishedRun]


@dataclass(frozen=True)
class Walk:
    """One fill with the lines that belong to it."""

    signal: dict[str, Any]
    order: dict[str, Any]
    fill: dict[str, Any]
    metrics: dict[str, Any]
    fill_line: dict[str, Any]


def journal(run: FinishedRun) -> list[dict[str, Any]]:
    text = (run.outcome.folder / "journal.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def walks(run: FinishedRun) -> list[Walk]:
    """Follow every fill by its correlation id: back to the last signal and order before it, forward to the metrics."""
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in journal(run):
        if "correlation_id" in line:
            by_id[line["correlation_id"]].append(line)
    return sorted(
        (
            _walk(lines, index)
            for lines in by_id.values()
            for index, line in enumerate(lines)
            if line["type"] == "fill"
        ),
        key=lambda walk: walk.fill["ts_event"],
    )


def _walk(lines: list[dict[str, Any]], index: int) -> Walk:
    """Follow the fill at an index of the lines of one order."""
    before = {line["type"]: line for line in lines[:index]}
    metrics = next(line for line in lines[index:] if line["type"] == "metrics")
    return Walk(
        before["signal"]["signal"],
        before["order"]["order"],
        lines[index]["fill"],
        metrics["metrics"],
        lines[index],
    )


@pytest.fixture(
    params=[
        pytest.param(given, id=name, marks=() if name == "exits" else pytest.mark.long)
        for name, given in RUNS.items()
    ]
)
def run(request: pytest.FixtureRequest, finished_run: Runs) -> FinishedRun:
    return finished_run(*request.param)


def test_every_fill_leads_back_to_its_order_and_its_signal(run: FinishedRun) -> None:
    found = walks(run)
    assert len(found) == len(run.table("fills")) > 0
    for walk in found:
        for name in ("symbol", "side", "purpose"):
            assert walk.signal[name] == walk.order[name] == walk.fill[name]
        assert walk.order["ts_event"] <= walk.signal["ts_event"] < walk.fill["ts_event"]
        assert (walk.order["ts_event"] == walk.signal["ts_event"]) == (walk.order["amends"] == 0)
        assert Decimal(walk.fill["quantity"]) <= Decimal(walk.order["quantity"])
        assert walk.signal["best_bid"] < walk.signal["best_ask"]


def test_a_quote_is_filled_at_the_price_that_its_signal_asked_for(run: FinishedRun) -> None:
    for walk in walks(run):
        if walk.fill["purpose"] != "quote":
            assert walk.signal["price"] is None
            assert walk.order["order_type"] == "MARKET"
            continue
        assert walk.order["order_type"] == "LIMIT"
        assert walk.fill["price"] == walk.signal["price"] == walk.order["price"]
        touch = walk.signal["best_ask"] if walk.fill["side"] == "BUY" else walk.signal["best_bid"]
        beyond = float(walk.signal["price"]) - touch
        assert beyond < 0 if walk.fill["side"] == "BUY" else beyond > 0


def test_the_id_leads_to_the_tables(run: FinishedRun) -> None:
    orders = run.table("orders").set_index("client_order_id")
    fills = run.table("fills").groupby("client_order_id")
    for line in journal(run):
        if line["type"] == "order":
            row = orders.loc[line["correlation_id"]]
            assert (row.symbol, row.side, row.purpose) == tuple(
                line["order"][n] for n in ("symbol", "side", "purpose")
            )
            assert row.ts_init == pd.Timestamp(line["order"]["ts_event"], tz="UTC")
            assert row.order_type == line["order"]["order_type"]
            filled = sum(fills.get_group(line["correlation_id"]).quantity)
            assert filled == row.filled_quantity


def test_the_metrics_after_a_fill_are_those_that_were_published(run: FinishedRun) -> None:
    table = (
        run.table("metrics").drop_duplicates(["symbol", "ts_event", "fills"]).set_index(["symbol", "fills"])
    )
    counted: Counter[str] = Counter()
    for walk in walks(run):
        symbol = walk.fill["symbol"]
        counted[symbol] += 1
        assert walk.metrics["symbol"] == symbol
        assert walk.metrics["fills"] == counted[symbol]
        assert walk.metrics["ts_event"] == walk.fill["ts_event"]
        assert Decimal(walk.metrics["inventory"].split()[0]) == Decimal(
            walk.fill_line["position"]["quantity"]
        )
        pnl = Decimal(walk.metrics["realized_pnl"].split()[0])
        assert float(pnl) == pytest.approx(walk.fill_line["symbol_stats"]["pnl"], abs=1e-12)
        published = table.loc[(symbol, counted[symbol])]
        published = published if isinstance(published, pd.Series) else published.iloc[0]
        assert published.realized_pnl == walk.metrics["realized_pnl"]
        assert published.ts_event == pd.Timestamp(walk.fill["ts_event"], tz="UTC")


def test_what_led_to_a_fill_is_written_once(run: FinishedRun) -> None:
    kinds = Counter(line["type"] for line in journal(run))
    assert kinds["signal"] == kinds["order"] <= kinds["fill"] == kinds["metrics"]
    seen = [
        (line["correlation_id"], json.dumps(line["signal"]))
        for line in journal(run)
        if line["type"] == "signal"
    ]
    assert len(set(seen)) == len(seen)


@pytest.mark.long
def test_the_rule_that_waits_for_a_signal_says_what_it_saw(finished_run: Runs) -> None:
    run = finished_run(*RUNS["signal rule, at market"])
    seen = 0
    for walk in walks(run):
        if walk.fill["purpose"] == "entry":
            sign = 1 if walk.fill["side"] == "BUY" else -1
            params = run.config.strategy.for_symbol(walk.fill["symbol"])
            confirms = (
                sign * walk.signal["imbalance"] > params.imbalance_threshold
                and sign * walk.signal["trade_flow"] > params.trade_flow_threshold
            )
            reduces = sign * walk.signal["inventory"] < 0 and sign * walk.signal["imbalance"] > 0.2
            assert confirms or reduces
            seen += confirms
    assert seen > 0
    assert all(walk.signal["imbalance"] is None for walk in walks(finished_run(*RUNS["two-sided"])))


def test_an_exit_says_what_was_triggered_and_where(finished_run: Runs) -> None:
    found = [walk for walk in walks(finished_run(*RUNS["exits"])) if walk.fill["purpose"] in EXITS]
    assert {walk.fill["purpose"] for walk in found} == set(EXITS)
    for walk in found:
        closes_long = walk.fill["side"] == "SELL"
        assert (walk.signal["inventory"] > 0) == closes_long
        gain = walk.signal["trigger_price"] - walk.signal["entry_price"]
        if walk.fill["purpose"] == "take_profit":
            assert (gain > 0) == closes_long
        if walk.fill["purpose"] == "stop_loss":
            assert (gain < 0) == closes_long
