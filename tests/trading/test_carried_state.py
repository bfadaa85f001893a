"""Positions, results and halts that a live node takes over from the session before."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from live_scripting import BALANCES, LOOK, LiveScript, Session
from nautilus_trader.core import UUID4
from nautilus_trader.model import (
    AccountId,
    ClientOrderId,
    LiquiditySide,
    Money,
    OrderFilled,
    OrderSide,
    OrderType,
    Position,
    PositionId,
    Quantity,
    StrategyId,
    TradeId,
    TraderId,
    VenueOrderId,
)
from scripting import (
    BTC_USDT,
    PAIRS,
    SPECS,
    XRP_BTC,
    XRP_USDT,
    Outcome,
    Watched,
    book,
    config,
    iid,
    make_engine,
    trade,
)

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.runs.restoration import RestorationError, opening_fills
from mm_nautilus.trading.saved_account import SavedAccount, SavedPosition

CALM, NEAR = (2.3495, 2.3505), (2.3496, 2.3506)
PROMPT = {
    "requote_tolerance_bps": 0.0,
    "requote_size_tolerance_pct": 0.0,
    "max_order_actions_per_second": 1000,
}
"""Quotes follow every book: an order that was kept where it was near enough would be gone after a restart."""
AMOUNTS = (
    *("fills", "trades", "wins", "losses", "win_rate", "realized_pnl", "unrealized_pnl", "total_pnl"),
    *("average_pnl", "fees", "realized_pnl_report", "unrealized_pnl_report", "total_pnl_report"),
    *("inventory", "mid_price"),
)
LEAST = Decimal("1e-8")
XRP_AND_USDT = ("10000 USDT", "10000 XRP")


def live(given: Any, script: Any, **options: Any) -> Session:
    """Play a script on a live node; nothing may fail."""
    session = LiveScript(given, script, **{"balances": XRP_AND_USDT} | options).run()
    assert [*session.strategy.failures, *session.metrics.failures] == []
    return session


def bought(amount: float = 10.0) -> list[Any]:
    """Return a script whose trade fills the bid at 2.34882 when the best bid is 2.3495."""
    return [book(0, *CALM), trade(1, 2.348, amount, "sell"), book(2, *NEAR)]


def sold(amount: float = 10.0) -> list[Any]:
    """Return a script whose trade fills the ask at 2.35118."""
    return [book(0, *CALM), trade(1, 2.352, amount, "buy"), book(2, *NEAR)]


def walk(steps: int) -> list[Any]:
    """Return books that leave the calm one by 0.001 USDT each, too little to cross a quote that follows."""
    sign = 1 if steps > 0 else -1
    return [book(0, *(price + sign * 0.001 * n for price in CALM)) for n in range(1, abs(steps) + 1)]


def row(session: Session, symbol: str = XRP_USDT) -> Any:
    return next(item for item in session.rows if item.symbol == symbol)


# -- Average prices -----------------------------------------------------------------------------------------


def position_of(symbol: str, fills: list[tuple[Quantity, Any]]) -> Position:
    """Return the engine's position after some fills."""
    pair, position = PAIRS[symbol], None
    for number, (quantity, price) in enumerate(fills):
        event = OrderFilled(
            TraderId("T-001"),
            StrategyId("S-001"),
            pair.id,
            ClientOrderId("O-1"),
            VenueOrderId("V-1"),
            AccountId("KRAKEN-001"),
            TradeId(f"T-{number}"),
            OrderSide.BUY,
            OrderType.MARKET,
            quantity,
            price,
            pair.quote_currency,
            LiquiditySide.MAKER,
            UUID4(),
            0,
            0,
            False,
            position_id=PositionId("P-1"),
            commission=Money(0, pair.quote_currency),
        )
        if position is None:
            position = Position(pair, event)
        else:
            position.apply(event)
    assert position is not None
    return position


def opened(symbol: str, lots: int, average: float) -> Position:
    """Return the engine's position after the fills that restore one."""
    lot, decimals = SPECS[symbol].size_increment, SPECS[symbol].size_precision
    fills = opening_fills(lots, lot, average)
    return position_of(symbol, [(Quantity.from_decimal_dp(n * lot, decimals), price) for n, price in fills])


@settings(max_examples=300)
@given(
    st.sampled_from([(XRP_USDT, 0.5, 1e5, 1), (XRP_BTC, 1e-6, 0.5, 10**6)]),
    st.floats(0.0, 1.0),
    st.integers(0, 10**12),
)
def test_the_engine_averages_the_fills_to_the_saved_price(pair, share, more):
    symbol, low, high, least = pair
    average = low + share * (high - low)
    position = opened(symbol, least + more, average)
    assert abs(position.avg_px_open - average) <= 2 * math.ulp(average)
    assert position.quantity.as_decimal() == (least + more) * SPECS[symbol].size_increment


@given(st.floats(1e-8, 1e-4), st.integers(1, 1000))
def test_a_position_of_few_lots_misses_by_less_than_the_engines_price_step(average, lots):
    position = opened(XRP_BTC, lots, average)
    assert abs(Decimal(position.avg_px_open) - Decimal(average)) < Decimal("1e-16")


# -- Splitting a session ------------------------------------------------------------------------------------

MARKETS = {
    XRP_USDT: (2.35, 0.0002, 10.0),
    BTC_USDT: (94_000.0, 8.0, 0.0002),
    XRP_BTC: (0.000025, 0.00000001, 10.0),
}
"""Mid, step of the mid and size of a quote."""


def three_pairs(**changes: Any) -> dict[str, Any]:
    pairs = {
        XRP_USDT: {},
        BTC_USDT: {"position_size": "0.0002 BTC", "max_inventory": "0.0007 BTC"},
        XRP_BTC: {"max_inventory": "35 XRP"},
    }
    return config(max_inventory="35 XRP") | PROMPT | {"symbols": pairs} | changes


def market(symbol: str, steps: int) -> Any:
    """Return a book around a mid that is some steps away from the first."""
    mid, step, _ = MARKETS[symbol]
    tick = float(SPECS[symbol].price_increment)
    mid = round((mid + steps * step) / tick) * tick
    return book(0, mid - 5 * tick, mid + 5 * tick, symbol=symbol)


def taker(number: int, symbol: str, steps: int, side: str, share: float) -> Any:
    """Return a trade that reaches a quote and fills a share of it."""
    mid, step, amount = MARKETS[symbol]
    price = (mid + steps * step) * (0.99 if side == "sell" else 1.01)
    return trade(number, price, amount * share, side, symbol=symbol)


_STRIDE = 4
STEPS = st.lists(
    st.tuples(
        st.sampled_from(list(MARKETS)),
        st.integers(-40, 40),
        st.sampled_from(["buy", "sell"]),
        st.sampled_from([1.0, 1.0, 0.6180339, 0.314159]),
    ),
    min_size=4,
    max_size=9,
)


def script_of(steps: list[Any]) -> list[list[Any]]:
    """Return the events of each step: one market walks away from where it was, then one of its quotes is filled.

    No book crosses a quote that is already there, which a restart would have taken away. Each step shows all markets
    twice, so that a session that begins with it knows all prices when it quotes.
    """
    path = dict.fromkeys(MARKETS, 0)
    events: list[list[Any]] = []
    for number, (symbol, move, side, share) in enumerate(steps):
        step = [market(name, at + shift) for shift in (2, 0) for name, at in path.items()]
        for taken in [*range(_STRIDE, abs(move), _STRIDE), abs(move)]:
            step.append(market(symbol, path[symbol] + int(math.copysign(taken, move))))
        path[symbol] += move
        # After an exit that the walk's end has brought, quotes are back before the trade, without a timer's help.
        step += [market(symbol, path[symbol] + shift) for shift in (1, 0)]
        step.append(taker(number, symbol, path[symbol], side, share))
        path[symbol] += 3
        events.append([*step, market(symbol, path[symbol])])
    return events


def average(price: Any) -> Any:
    """Return an average price for comparison: two fills that make it may miss its last bits."""
    return pytest.approx(price, rel=1e-15, abs=0)


def figures(session: Session) -> dict[str, Any]:
    """Return everything that must not depend on restarts, to the last digit."""
    ledger = session.metrics.ledger
    assert ledger is not None
    saved = json.loads(session.states["metrics"]["metrics"])
    account = session.snapshot
    return {
        "balances": session.balances,
        "ledger": ledger.state(),
        "symbols": saved["symbols"],
        "starting": saved["account"]["starting_balances"],
        "start_rates": saved["account"]["start_rates"],
        "positions": {
            symbol: (position.is_long, str(position.quantity), average(position.avg_px_open))
            for symbol, position in session.positions.items()
        },
        "cycles": {p.symbol: p.realized for p in session.account.positions},
        "entries": {
            symbol: {
                name: average(value) if name.endswith("price") else value for name, value in entry.items()
            }
            for symbol, entry in session.strategy.position_entries.items()
        },
        "realized": {name: symbol.position.realized for name, symbol in session.strategy.symbols.items()},
        "rows": {item.symbol: {name: getattr(item, name) for name in AMOUNTS} for item in session.rows},
        "equity": (account.equity, account.trading_pnl, account.revaluation, account.start_equity),
    }


@pytest.mark.long
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would play live sessions for minutes
)
@given(STEPS, st.data(), st.booleans())
def test_a_session_that_is_split_anywhere_gives_the_same_figures(steps, data, cash):
    events = script_of(steps)
    cut = data.draw(st.integers(1, len(events) - 1), label="cut")
    given = three_pairs(stop_loss_pct=0.45, take_profit_pct=0.45)
    whole = live(given, [event for step in events for event in step], balances=BALANCES, cash=cash)
    first = live(given, [event for step in events[:cut] for event in step], balances=BALANCES, cash=cash)
    second = live(
        given, [event for step in events[cut:] for event in step], after=first, balances=BALANCES, cash=cash
    )
    assert figures(second) == figures(whole)
    assert_money_adds_up(second)


def assert_money_adds_up(session: Session) -> None:
    """Change of equity is trading PnL plus revaluation, within the engine's rounding of each fill."""
    account = session.snapshot
    fills = sum(item.fills for item in session.rows)
    difference = account.equity - account.start_equity - account.trading_pnl - account.revaluation
    assert abs(difference) <= (fills + 6) * LEAST * 100_000


# -- What may happen to a carried position ------------------------------------------------------------------

FIRST = {"long": bought(), "short": sold(), "small long": bought(4.0), "small short": sold(4.0)}
LATER: dict[str, tuple[str, list[Any], int, str]] = {
    "add to a long": ("long", bought(), 20, ""),
    "add to a short": ("short", sold(), -20, ""),
    "part of a long": ("long", sold(4.0), 6, ""),
    "part of a short": ("short", bought(4.0), -6, ""),
    "all of a long": ("long", sold(), 0, ""),
    "all of a short": ("short", bought(), 0, ""),
    "flip of a long": ("small long", sold(), -6, ""),
    "flip of a short": ("small short", bought(), 6, ""),
    "stop of a long": ("long", walk(-6), 0, "stop_loss"),
    "stop of a short": ("short", walk(6), 0, "stop_loss"),
    "profit of a long": ("long", walk(6), 0, "take_profit"),
    "profit of a short": ("short", walk(-6), 0, "take_profit"),
}
ONCE_EACH = {
    *("add to a long", "part of a short", "all of a long", "flip of a short"),
    *("stop of a long", "profit of a short"),
}
"""The other side of each is long."""


@pytest.mark.parametrize("cash", [True, pytest.param(False, marks=pytest.mark.long)], ids=["cash", "margin"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ONCE_EACH else pytest.mark.long) for name in LATER]
)
def test_a_carried_position_is_traded_like_one_that_was_never_interrupted(name, cash):
    """Fills, results, fees, balances and what is left are those of one session; exits are reduce-only as always."""
    first, script, left, exit_reason = LATER[name]
    given = config(stop_loss_pct=0.2, take_profit_pct=0.2, **PROMPT)
    whole = live(given, [*FIRST[first], *script], cash=cash)
    carried = live(given, FIRST[first], cash=cash)
    assert carried.account.positions[0].quantity * (-1 if "short" in first else 1) in (10, 4)
    session = live(given, script, after=carried, cash=cash)
    assert figures(session) == figures(whole)
    assert row(session).inventory == f"{left:.6f} XRP"
    assert session.strategy.exit_reasons == ([exit_reason] if exit_reason else [])
    assert len(exits := session.of(exit_reason)) == bool(exit_reason)
    assert all(order.is_reduce_only for order in exits)


def test_the_extremes_of_an_earlier_session_arm_the_trailing_stop():
    """The best bid was 2.3555, 0.28 % above the entry, before the restart; 2.3515 is below the trail of that."""
    given = config(use_trailing_stop=True, trailing_stop_activation=0.2, trailing_stop_distance=0.15)
    carried = live(given, [*bought(), *walk(6)])
    script = [book(0, 2.3515, 2.3525)]
    session = live(given, script, after=carried)
    assert session.strategy.exit_reasons == ["trailing_stop"]
    assert row(session).inventory == "0.000000 XRP"
    unaware = replace(carried, states=carried.states | {"strategy": {}})
    assert live(given, script, after=unaware).strategy.exit_reasons == []


def test_entries_are_there_before_the_first_event():
    carried = live(config(), [*bought(), book(3, 2.3508, 2.3518)])
    seen: list[Any] = []
    session = live(config(), [lambda script: seen.append(script.strategy.position_entries)], after=carried)
    expected = {"entry_price": 2.34882, "highest_price": 2.3508, "lowest_price": 2.34882, "side": "long"}
    assert seen == [{XRP_USDT: expected}]
    assert session.strategy.position_entries == {XRP_USDT: expected}
    assert row(session).inventory == "10.000000 XRP"


def test_a_carried_position_counts_against_the_cap():
    given = config(max_inventory="10 XRP")
    session = live(given, [book(0, *CALM)], after=live(given, bought()))
    quotes = [order for order in session.of("quote") if not order.is_closed or order.is_canceled]
    assert {order.side for order in quotes} == {OrderSide.SELL}
    assert session.strategy.symbols[XRP_USDT].bid.stats.counts[NotQuoting.INVENTORY_CAP] == 1


def test_a_cooldown_goes_on_after_a_restart():
    given = config(cooldown_seconds=3600.0)
    session = live(given, [book(0, *CALM)], after=live(given, bought()))
    assert {order.side for order in session.of("quote")} == {OrderSide.SELL}


def test_drawdown_counts_what_was_lost_before_the_restart():
    """Each round trip loses 0.0234 USDT, 0.02 % of the cap; neither alone is worth a halt."""
    given = config(max_drawdown_pct=0.03)
    round_trip = [*bought(), *sold()]
    first = live(given, round_trip)
    assert not live(given, [*round_trip, LOOK, LOOK]).strategy.symbols[XRP_USDT].is_halted
    second = live(given, [*round_trip, LOOK, LOOK], after=first)
    assert second.strategy.symbols[XRP_USDT].is_halted
    assert row(second).realized_pnl == "-0.04680000 USDT"


def backtested(given: Any, script: list[Any], **venue: Any) -> Session:
    """Return what a backtest left, to go on from with a live node."""
    engine = make_engine([XRP_USDT], balances=XRP_AND_USDT, **venue)
    strategy, metrics = Watched(given), MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    engine.add_actor(metrics)
    engine.add_strategy(strategy)
    engine.add_data(script)
    engine.run()
    outcome = Outcome(engine)
    outcome.read()
    states = {"strategy": strategy.on_save(), "metrics": metrics.on_save()}
    account = SavedAccount(outcome.balances, tuple(strategy.persistence.positions))
    engine.dispose()
    return Session(strategy, metrics, states=states, account=account)


@pytest.mark.parametrize("flatten", [False, True])
def test_a_halted_symbol_stays_so_and_its_carried_position_is_closed_where_configured(flatten):
    """The order that closes it was still on its way to the venue when the first session ended."""
    given = config(max_drawdown_pct=0.2, flatten_on_halt=flatten, cooldown_seconds=3600.0)
    fall = [book(at, 2.3195, 2.3205) for at in (7, 8)]
    script = [book(0, *CALM), trade(6, 2.348, 10, "sell"), book(6.5, *CALM), *fall]
    carried = backtested(given, script, latency_ms=(5000.0, 0.0, 0.0))
    assert carried.strategy.symbols[XRP_USDT].is_halted
    assert carried.strategy.symbols[XRP_USDT].position.lots == 10_000_000
    session = live(given, [book(0, 2.3195, 2.3205), book(1, 2.3196, 2.3206)], after=carried)
    assert session.strategy.symbols[XRP_USDT].is_halted
    assert session.of("quote") == []
    assert len(session.of("halt")) == flatten
    assert row(session).inventory == ("0.000000 XRP" if flatten else "10.000000 XRP")


# -- Three sessions -----------------------------------------------------------------------------------------


def test_equity_is_measured_from_the_first_start_however_often_the_run_restarts():
    given = three_pairs()
    books = [market(symbol, shift) for shift in (1, 0) for symbol in MARKETS]
    script = [*books, taker(1, XRP_USDT, 0, "sell", 1.0), *books]
    first = live(given, script, balances=BALANCES)
    risen = [market(XRP_USDT, 3), market(BTC_USDT, 3), market(XRP_BTC, 3)]
    second = live(given, [*books, taker(2, XRP_BTC, 0, "buy", 0.6), *risen], after=first)
    third = live(given, [*books, taker(3, BTC_USDT, 0, "buy", 0.5), *risen], after=second)
    assert {item.symbol: item.fills for item in third.rows} == dict.fromkeys(MARKETS, 1)
    start = 10_000 + 10_000 * Decimal("2.3502") + 94_008
    assert [session.snapshot.start_equity for session in (first, second, third)] == [start] * 3
    assert third.snapshot.revaluation == 10_000 * Decimal("0.0004") + 16
    assert_money_adds_up(third)
    assert third.snapshot.trading_pnl != 0


# -- Starts that find nothing, or the wrong thing -----------------------------------------------------------


def test_without_open_positions_a_restart_is_a_start_with_the_saved_balances():
    carried = live(config(), [*bought(), *sold()])
    assert carried.account.positions == ()
    script = LiveScript(config(), [book(0, *CALM)], after=carried)
    session = script.run()
    assert script.restorer is None
    assert session.balances == carried.balances
    assert session.balances["USDT"] == Decimal("10000") - Decimal("0.0234")
    assert row(session).trades == 1


def test_the_engine_shows_a_restored_position_as_one_filled_order():
    seen: list[Any] = []

    def look(script: LiveScript) -> None:
        seen.extend(script.strategy.cache.orders())
        seen.append(script.strategy.portfolio.realized_pnl(iid(XRP_USDT)))

    live(config(), [look], after=live(config(), bought()))
    order, realized = seen
    assert order.client_order_id.value == "RESTORED-1"
    assert order.is_closed
    assert str(realized) == "-0.02348820 USDT"


def test_an_engine_that_does_not_hold_what_was_saved_is_not_traded_on():
    carried = live(config(), bought())
    script = LiveScript(config(), [book(0, *CALM)], after=carried, balances=XRP_AND_USDT, restores=False)
    session = script.run()
    assert script.restorer is not None
    assert [type(failure.error) for failure in script.restorer.failures] == [RestorationError]
    text = str(script.restorer.failures[0].error)
    assert "XRP/USDT must be 10.000000 XRP at 2.34882 USDT, was 0" in text
    assert "USDT must be 9976.48831180, was 10000.48831180" in text
    assert session.orders == []
    assert session.states["strategy"] == carried.states["strategy"], "nothing of the saved state may be lost"
    assert session.states["metrics"] == carried.states["metrics"]


def test_a_position_of_another_size_or_price_is_told():
    account = live(config(), bought()).account
    wrong = replace(account.positions[0], quantity=Decimal("9.5"), average_price=2.4)
    other = SavedPosition(BTC_USDT, "BTC", "USDT", Decimal("0.1"), 94_000.0, Decimal(0))
    found: list[str] = []

    def compare(script: LiveScript) -> None:
        assert script.restorer is not None
        assert script.restorer.differences() == []
        for positions in ((wrong,), (other,)):
            script.restorer._account = SavedAccount(account.balances, positions)
            found.extend(script.restorer.differences())

    live(config(), [compare], after=live(config(), bought()))
    assert found == [
        "XRP/USDT must be 9.5 XRP at 2.4 USDT, was 10.000000 at 2.34882",
        "BTC/USDT must be 0.1 BTC at 94000.0 USDT, was 0",
        "XRP/USDT.KRAKEN must be 0, was 10.0",
    ]
