"""Every feature that can be switched on changes a whole run the way it should."""

import functools
import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from whole_runs import FinishedRun

from mm_nautilus.data.simulator import KRAKEN_SPOT

Runs = Callable[..., FinishedRun]

ENOUGH = "end=2025-12-13T12:12:00Z"
"""A part of the sample in which every feature shows."""
SYMBOLS = ("XRP/USDT", "BTC/USDT", "XRP/BTC")


def _all(run: FinishedRun, figure: str) -> float:
    return sum(run.symbol(symbol)[figure] for symbol in SYMBOLS)


def _seconds(run: FinishedRun, reason: str) -> float:
    sides = (run.symbol(symbol)["not_quoting"][side] for symbol in SYMBOLS for side in ("bid", "ask"))
    return sum(reasons.get(reason, {"seconds": 0.0})["seconds"] for reasons in sides)


@pytest.fixture
def run(finished_run: Runs) -> Runs:
    return functools.partial(finished_run, "v1_4.yaml", ENOUGH)


@pytest.fixture
def plain(run: Runs) -> FinishedRun:
    return run()


@pytest.mark.long
def test_reservation_price_leans_against_the_inventory(run: Runs) -> None:
    settings = (
        "strategy.gamma=null",
        "strategy.skew_bps_at_max_inventory=6",
        "strategy.requote_tolerance_bps=0",
    )
    off = run(*settings)
    on = run(*settings, "strategy.use_reservation_price=true")
    assert not on.table("fills").equals(off.table("fills"))
    assert on.symbol("BTC/USDT")["average_inventory"] < off.symbol("BTC/USDT")["average_inventory"]
    metrics = on.table("metrics")
    inventory = metrics.inventory.str.split().str[0].astype(float)
    lean = (metrics.reservation_price / metrics.mid_price - 1) * np.sign(inventory)
    assert (lean.dropna() <= 1e-12).all()
    assert (lean < -1e-6).any()


def test_trailing_stop_closes_positions_only_where_it_is_switched_on(plain: FinishedRun, run: Runs) -> None:
    on = run(
        "strategy.use_trailing_stop=true",
        "strategy.trailing_stop_activation=0.05",
        "strategy.trailing_stop_distance=0.04",
    )
    assert "trailing_stop" not in plain.summary["exits"]
    assert on.summary["exits"]["trailing_stop"]["count"] > 0
    assert on.table("metrics").trailing_stop_price.notna().any()
    assert plain.table("metrics").trailing_stop_price.isna().all()


@pytest.mark.long
def test_inventory_skew_makes_growing_quotes_smaller(run: Runs) -> None:
    off = run("strategy.inventory_skew=0")
    on = run("strategy.inventory_skew=1")
    assert on.symbol("BTC/USDT")["average_inventory"] < off.symbol("BTC/USDT")["average_inventory"]


@pytest.mark.long
def test_volatility_scaling_widens_quotes_and_costs_fills(run: Runs) -> None:
    settings = ("strategy.volatility_lookback=3", "strategy.volatility_threshold_mult=3")
    calm = run(*settings, "strategy.base_volatility_pct=100")
    scaled = run(*settings, "strategy.base_volatility_pct=0.02")
    assert _all(scaled, "fills") < _all(calm, "fills")


@pytest.mark.long
def test_signal_rule_quotes_only_while_book_and_tape_agree(plain: FinishedRun, run: Runs) -> None:
    signal = run("strategy.quoting=signal")
    assert _seconds(plain, "no confirmation") == 0
    assert _seconds(signal, "no confirmation") > 0
    assert 0 < _all(signal, "fills") < _all(plain, "fills")


@pytest.mark.long
def test_trade_flow_confirms_fewer_signals_than_imbalance_alone(run: Runs) -> None:
    both = run("strategy.quoting=signal")
    imbalance_alone = run("strategy.quoting=signal", "strategy.use_trade_flow=false")
    assert _seconds(both, "no confirmation") > _seconds(imbalance_alone, "no confirmation")


@pytest.mark.long
def test_taker_entries_pay_the_spread_and_provide_no_liquidity(run: Runs) -> None:
    maker = run("strategy.quoting=signal")
    taker = run("strategy.quoting=signal", "strategy.entry_order=taker")
    assert all(
        taker.symbol(symbol)["maker_share_pct"] == 0 for symbol in SYMBOLS if taker.symbol(symbol)["fills"]
    )
    assert _all(maker, "fills") > 0
    assert set(taker.table("orders").order_type) == {"MARKET"}


@pytest.mark.long
def test_cooldown_holds_sides_back(run: Runs) -> None:
    cooldowns = tuple(f"strategy.symbols.{symbol}.cooldown_seconds" for symbol in SYMBOLS)
    short = run(*(f"{key}=0.5" for key in cooldowns))
    long = run(*(f"{key}=60" for key in cooldowns))
    assert _seconds(long, "cooldown") > _seconds(short, "cooldown")
    assert _all(long, "fills") < _all(short, "fills")


@pytest.mark.long
def test_fee_floor_widens_quotes_beyond_two_fees(run: Runs) -> None:
    without = run()
    with_floor = run("strategy.min_edge_bps=2")
    assert _all(with_floor, "fills") < _all(without, "fills")


def test_drawdown_halt_stops_the_symbol_for_good(run: Runs) -> None:
    halted = run("strategy.max_drawdown_pct=0.05", "strategy.flatten_on_halt=true")
    stopped = [symbol for symbol in SYMBOLS if halted.symbol(symbol)["halted"]]
    assert stopped
    assert halted.summary["exits"]["halt"]["count"] > 0
    for symbol in stopped:
        assert abs(halted.symbol(symbol)["inventory"]) < KRAKEN_SPOT[symbol].min_quantity


@pytest.mark.long
def test_account_drawdown_halts_every_symbol(run: Runs) -> None:
    halted = run("strategy.max_account_drawdown_pct=0.01")
    assert all(halted.symbol(symbol)["halted"] for symbol in SYMBOLS)


@pytest.mark.long
def test_flatten_on_stop_ends_without_inventory(run: Runs, plain: FinishedRun) -> None:
    flat = run("strategy.flatten_on_stop=true")
    assert any(plain.symbol(symbol)["inventory"] != 0 for symbol in SYMBOLS)
    assert all(abs(flat.symbol(symbol)["inventory"]) < KRAKEN_SPOT[symbol].min_quantity for symbol in SYMBOLS)
    assert flat.summary["exits"]["stop"]["count"] > 0


@pytest.mark.long
def test_queue_position_costs_fills(run: Runs, plain: FinishedRun) -> None:
    kind = run("venue.queue_position=false")
    assert _all(kind, "fills") > _all(plain, "fills")


@pytest.mark.long
def test_latency_changes_fills(run: Runs, plain: FinishedRun) -> None:
    slow = run(*(f"venue.latency.{name}_ms=1000" for name in ("insert", "amend", "cancel")))
    assert not slow.table("fills").equals(plain.table("fills"))


def test_replacing_instead_of_amending_sends_no_amend(run: Runs, plain: FinishedRun) -> None:
    replaced = run("strategy.amend_orders=false")
    assert _all(plain, "orders_amended") > 0
    assert _all(replaced, "orders_amended") == 0
    assert _all(replaced, "orders_cancelled") > _all(plain, "orders_cancelled")


@pytest.mark.long
def test_leverage_secures_more_quotes(finished_run: Runs) -> None:
    poor = (
        "margin.yaml",
        ENOUGH,
        "venue.starting_balances=[200 USDT]",
        "strategy.max_account_drawdown_pct=null",
    )
    plain, leveraged = (finished_run(*poor, f"venue.leverage={leverage}") for leverage in (1, 3))
    pairs = ("XRP/USDT", "BTC/USDT")

    def seconds(run: FinishedRun) -> float:
        sides = (run.symbol(symbol)["not_quoting"][side] for symbol in pairs for side in ("bid", "ask"))
        return sum(reasons.get("insufficient balance", {"seconds": 0.0})["seconds"] for reasons in sides)

    assert seconds(plain) > 0
    assert seconds(leveraged) == 0
    assert all(run.symbol(symbol)["orders_denied"] == 0 for run in (plain, leveraged) for symbol in pairs)


def test_the_fills_at_another_fee_make_what_a_run_at_that_fee_makes(
    finished_run: Runs, plain: FinishedRun
) -> None:
    end = "end=2025-12-13T12:10:00Z"
    free = finished_run("backtest.yaml", end)
    paid = finished_run("backtest.yaml", end, "venue.fees={maker_fee_pct: 0.1, taker_fee_pct: 0.1}")
    compared = free.summary["answer"]["compared"]
    assert len(paid.table("fills")) == len(free.table("fills")) > 50
    assert compared["fee_pct"] == 0.1
    assert compared["result"] == pytest.approx(paid.summary["equity"]["trading_pnl"], abs=0.005)
    assert compared["fees"] == pytest.approx(paid.summary["equity"]["fees"], abs=0.005)
    line = free.summary["answer"]["lines"][4]
    said = re.fullmatch(
        r"At fees of 0\.1 % a side the same fills would make -\$(\S+): \+\$(\S+) before \$(\S+) of fees", line
    )
    assert said is not None
    loss, before, fees = map(Decimal, said.groups())
    assert before - fees == -loss, "the amounts have as many digits as it takes for them to add up"
    assert (-float(loss), float(fees)) == pytest.approx((compared["result"], compared["fees"]), abs=0.005)
    assert len(plain.summary["answer"]["lines"]) == 4
