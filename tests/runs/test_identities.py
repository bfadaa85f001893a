"""Whole runs of every shipped configuration: each fills as ever, and money adds up."""

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import pytest
from recomputation import CENT_OF_COIN, expected_balances, flows
from whole_runs import FinishedRun, fills_digest

QUICK = {"v1_4.yaml", "margin.yaml"}
"""Runs that `make test` makes, of a cash account and of one with margin."""


def _named(*names: str) -> list[Any]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in names]


CASH = _named("v1_4.yaml", "conservative.yaml", "aggressive.yaml", "v1_4_signal.yaml")
ALL = [*CASH, *_named("margin.yaml")]
FILLS = {
    "backtest.yaml": (224, "c80120cb5f6c0aad"),
    "aggressive.yaml": (392, "e5b84223dbfe47bd"),
    "v1_4.yaml": (299, "45a6e4eefdc8e959"),
    "calibrated.yaml": (1184, "1ef12050d55b418a"),
    "conservative.yaml": (99, "9e014969bf2e560d"),
    "margin.yaml": (78, "df45c1f7161c8baa"),
    "v1_4_signal.yaml": (847, "6b188dbc35728dcb"),
}
UNLIMITED = {
    "backtest.yaml": (242, "e8699f5d6dc0593a"),
    "aggressive.yaml": (424, "74b32196d5efdd54"),
    "calibrated.yaml": (1402, "904fc7e884d48b66"),
    "conservative.yaml": (104, "3c3d65b5bb5b14e0"),
    "margin.yaml": (84, "289790e9425c9ac5"),
}
"""How many fills each run has, and their digest: to be changed only together with the reason for other fills."""

Runs = Callable[..., FinishedRun]


@pytest.fixture
def run(finished_run: Runs, name: str) -> FinishedRun:
    return finished_run(name)


def _exact(text: str) -> Decimal:
    return Decimal(text.split(maxsplit=1)[0])


def _marks(run: FinishedRun) -> dict[str, Decimal]:
    last = run.table("metrics").groupby("symbol").mid_price.last()
    return {symbol: Decimal(str(mid)) for symbol, mid in last.items()}


def _report_rates(run: FinishedRun) -> dict[str, Decimal]:
    marks = _marks(run)
    rates = {"USDT": Decimal(1)}
    rates.update({symbol.partition("/")[0]: mid for symbol, mid in marks.items() if symbol.endswith("/USDT")})
    return rates


def _rounding(run: FinishedRun, symbol: str) -> Decimal:
    """Return how far the engine's rounding of every amount may add up, in the quote currency."""
    return (run.symbol(symbol)["fills"] + 2) * CENT_OF_COIN


def _all_rounding(run: FinishedRun) -> Decimal:
    rates, symbols = _report_rates(run), run.summary["symbols"].items()
    return sum((_rounding(run, name) * rates[figures["currency"]] for name, figures in symbols), Decimal(0))


@pytest.mark.parametrize("name", _named(*FILLS))
def test_every_fill_is_as_it_has_been(finished_run: Runs, name: str) -> None:
    fills = finished_run(name).table("fills")
    assert (len(fills), fills_digest(fills)) == FILLS[name]


@pytest.mark.long
@pytest.mark.parametrize(("name", "expected"), UNLIMITED.items())
def test_the_shipped_rate_limit_is_all_that_changes_a_run(
    finished_run: Runs, name: str, expected: tuple[int, str]
) -> None:
    """Without it the fills are those of before there was one."""
    fills = finished_run(name, "venue.rate_limit=null").table("fills")
    assert (len(fills), fills_digest(fills)) == expected


@pytest.mark.long
@pytest.mark.parametrize("name", [*UNLIMITED, "v1_4_signal.yaml"])
def test_nothing_is_refused_at_the_shipped_tier(finished_run: Runs, name: str) -> None:
    limited = finished_run(name).summary["symbols"].values()
    assert {figures["rate_limited"] for figures in limited} == {0}
    assert sum(figures["rate_points"] for figures in limited) > 500


@pytest.mark.parametrize("name", ALL)
def test_run_completes_with_fills_and_trades(run: FinishedRun) -> None:
    assert run.summary["status"] == "completed"
    assert run.summary["simulated_data"] is True
    for figures in run.summary["symbols"].values():
        assert figures["orders_denied"] == 0
    assert sum(figures["fills"] for figures in run.summary["symbols"].values()) > 0


@pytest.mark.parametrize("name", CASH)
def test_balances_are_the_start_plus_the_fills_to_the_last_digit(run: FinishedRun) -> None:
    expected = expected_balances(run.config.venue.starting_balances, run.table("fills"))
    assert run.balances == expected


@pytest.mark.parametrize("name", ALL)
def test_change_of_equity_is_trading_plus_revaluation(run: FinishedRun) -> None:
    equity = run.summary["equity"]["exact"]
    change, trading, revaluation = (_exact(equity[key]) for key in ("change", "trading_pnl", "revaluation"))
    assert abs(change - trading - revaluation) <= _all_rounding(run)


@pytest.mark.parametrize("name", ALL)
def test_parts_add_up_to_the_trading_pnl_and_pairs_to_the_total(run: FinishedRun) -> None:
    answer = run.summary["answer"]
    whole, *pairs = (
        {part: _exact(found["exact"][part]) for part in found["parts"]}
        for found in (answer, *answer["pairs"].values())
    )
    with localcontext() as context:
        context.prec = 60
        assert sum(whole.values(), Decimal(0)) == _exact(run.summary["equity"]["exact"]["trading_pnl"])
        for parts, figures in zip(pairs, run.summary["symbols"].values(), strict=True):
            assert sum(parts.values(), Decimal(0)) == _exact(figures["exact"]["total_pnl_report"])
        for name in whole.keys() - {"unattributed"}:
            assert sum(parts[name] for parts in pairs) == whole[name]
        rest = sum(parts["unattributed"] for parts in pairs) - whole["unattributed"]
    assert abs(rest) <= len(pairs) * CENT_OF_COIN
    assert abs(whole["unattributed"]) <= _all_rounding(run)


@pytest.mark.parametrize("name", ALL)
def test_stretches_of_time_add_up_to_the_result_and_pairs_to_each(run: FinishedRun) -> None:
    found = run.summary["answer"]["by_time"]
    total, *pairs = (
        [Decimal(text) for text in texts] for texts in (found["total"], *found["pairs"].values())
    )
    assert sum(total) == _exact(run.summary["equity"]["exact"]["trading_pnl"])
    for amounts, figures in zip(pairs, run.summary["symbols"].values(), strict=True):
        assert sum(amounts) == _exact(figures["exact"]["total_pnl_report"])
    for amount, *each in zip(total, *pairs, strict=True):
        assert abs(sum(each) - amount) <= 2 * len(each) * CENT_OF_COIN
    equity = run.table("equity")
    last = equity.ts_event.iloc[-2]  # the last row is written at the end, maybe a moment after it
    equity.loc[equity.index[-1], "ts_event"] = last
    ends = equity.groupby(equity.ts_event.dt.floor(f"{found['minutes']}min")).trading_pnl.last()
    assert [f"{start:%Y-%m-%dT%H:%M:%SZ}" for start in ends.index] == found["starts"]
    digits = Decimal("1e-12")  # those of the table
    assert ends.diff().fillna(ends).tolist() == [amount.quantize(digits) for amount in total]


@pytest.mark.parametrize("name", ALL)
def test_trading_pnl_is_the_sum_over_symbols(run: FinishedRun) -> None:
    total = sum(_exact(figures["exact"]["total_pnl_report"]) for figures in run.summary["symbols"].values())
    trading = _exact(run.summary["equity"]["exact"]["trading_pnl"])
    assert abs(total - trading) <= len(run.summary["symbols"]) * CENT_OF_COIN


@pytest.mark.parametrize("name", ALL)
def test_actor_figures_equal_a_recomputation_from_the_fills(run: FinishedRun) -> None:
    fills, marks = run.table("fills"), _marks(run)
    for symbol, figures in run.summary["symbols"].items():
        moved = flows(fills, symbol)
        assert figures["fills"] == moved.fills
        assert _exact(figures["exact"]["fees"]) == moved.fees
        assert _exact(figures["exact"]["inventory"]) == moved.base
        total = moved.quote - moved.fees + moved.base * marks[symbol]
        assert abs(_exact(figures["exact"]["total_pnl"]) - total) <= _rounding(run, symbol)


@pytest.mark.parametrize("name", ALL)
def test_counts_of_trades_add_up(run: FinishedRun) -> None:
    for symbol, figures in run.summary["symbols"].items():
        trades, wins, losses = (figures[key] for key in ("trades", "wins", "losses"))
        assert trades == _reducing_fills(run, symbol)
        assert wins + losses <= trades
        assert figures["win_rate"] == (round(100 * wins / trades, 1) if trades else 0.0)


def _reducing_fills(run: FinishedRun, symbol: str) -> int:
    fills = run.table("fills")
    position, count = Decimal(0), 0
    for row in fills[fills.symbol == symbol].itertuples():
        change = row.quantity if row.side == "BUY" else -row.quantity
        count += position * change < 0
        position += change
    return count


@pytest.mark.parametrize("name", ALL)
def test_last_row_of_equity_is_the_summary(run: FinishedRun) -> None:
    last = run.table("equity").iloc[-1]
    exact = run.summary["equity"]["exact"]
    assert abs(last.equity - _exact(exact["end"])) <= Decimal("1e-12")
    assert abs(last.trading_pnl - _exact(exact["trading_pnl"])) <= Decimal("1e-12")
    assert last.currency == run.summary["equity"]["currency"] == "USDT"


@pytest.mark.parametrize("name", ALL)
def test_every_order_is_over_and_within_the_rules_of_the_instrument(run: FinishedRun) -> None:
    orders = run.table("orders")
    assert set(orders.status) <= {"FILLED", "CANCELED", "REJECTED"}
    assert len(orders) == run.summary["orders"]


def test_journal_has_a_line_for_every_fill(finished_run: Runs) -> None:
    run = finished_run("v1_4.yaml")
    lines = [json.loads(line) for line in (run.outcome.folder / "journal.jsonl").read_text().splitlines()]
    fills = [line for line in lines if line["type"] == "fill"]
    assert len(fills) == len(run.table("fills"))
    assert {line["correlation_id"] for line in fills} == set(run.table("fills").client_order_id)
    assert lines[-1]["type"] == "portfolio"
