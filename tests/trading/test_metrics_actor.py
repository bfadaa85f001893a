"""The published figures: what reaches other actors, and that money adds up on whole runs."""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.execution import FeeModel
from nautilus_trader.model import ActorId, Money, NautilusDataType
from nautilus_trader.persistence import ParquetDataCatalog
from scripting import (
    BTC_USDT,
    SPECS,
    XRP_BTC,
    XRP_USDT,
    Outcome,
    Watched,
    book,
    config,
    iid,
    make_engine,
    ns,
    trade,
)
from test_strategy_guards import others, restless

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.metrics.daily import DayResult
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, metrics_data, metrics_row
from mm_nautilus.trading.fills import AccountingError
from mm_nautilus.trading.messages import ACCOUNT_TOPIC, EVENTS_TOPIC, Fill

CALM = (2.3495, 2.3505)
LEAST = Decimal("1e-8")
"""The engine rounds each fill's PnL and each balance to eight digits of the quote currency."""


class Listener(DataActor):
    """Keep what the metrics actor publishes."""

    def __new__(cls):
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("LISTENER-001")))

    def __init__(self) -> None:
        super().__init__()
        self.metrics, self.results, self.accounts = [], [], []

    def on_start(self) -> None:
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(EVENTS_TOPIC, self._keep)
        self.subscribe_topic(ACCOUNT_TOPIC, self.accounts.append)

    def _keep(self, event) -> None:
        if isinstance(event, Fill):
            self.results.append(event)

    def on_data(self, data) -> None:
        self.metrics.append(data.data)


def measured(run, strategy, data, **venue):
    """Run with a metrics actor that publishes every second, and listen to it."""
    actor, listener = MetricsActor(MetricsActorConfig(interval_seconds=1.0)), Listener()
    outcome = run(strategy, data, actors=[actor, listener], **venue)
    assert strategy.failures == []
    return outcome, actor, listener


ROUND_TRIP = [trade(1, 2.348, 10, "sell"), book(2, *CALM), trade(3, 2.352, 10, "buy"), book(4, *CALM)]


def test_metrics_reach_other_actors_on_a_timer_and_after_every_fill(run):
    _, actor, listener = measured(run, Watched(config()), [book(0, *CALM), *ROUND_TRIP, book(5.5, *CALM)])
    assert actor.failures == []
    times = [round((row.ts_event - ns(0)) / 1e9, 3) for row in listener.metrics]
    assert sorted(times) == [1, 1, 2, 3, 3, 4, 5]
    last = listener.metrics[-1]
    assert (last.symbol, last.instrument_id) == (XRP_USDT, iid(XRP_USDT))
    assert (last.fills, last.trades, last.wins, last.losses, last.win_rate) == (2, 1, 0, 1, 0.0)
    # 10 * (2.35118 - 2.34882) less two fees of 0.1 %
    assert last.realized_pnl == "-0.02340000 USDT"
    assert last.fees == "0.04700000 USDT"
    assert (last.unrealized_pnl, last.inventory) == (
        "0.00000000 USDT",
        "0.000000 XRP",
    ) or last.inventory == "0 XRP"
    assert last.mid_price == pytest.approx(2.35)


def test_each_fill_is_told_with_what_it_did(run):
    _, _, listener = measured(run, Watched(config()), [book(0, *CALM), *ROUND_TRIP])
    bought, sold = listener.results
    assert (bought.side, bought.price, bought.quantity) == ("BUY", Decimal("2.34882"), Decimal(10))
    assert (bought.trade_pnl, bought.realized_change) == (None, Decimal("-0.0234882"))
    assert (sold.side, sold.position, sold.trade_pnl) == ("SELL", 0, Decimal("-0.0234"))
    assert sold.realized_change == Decimal("0.0000882")
    assert (sold.purpose, sold.liquidity, sold.currency) == ("quote", "MAKER", "USDT")
    assert [result.order_id for result in listener.results] == [
        "O-20251206-060000-001-001-1",
        "O-20251206-060000-001-001-2",
    ]


# -- Whole runs ---------------------------------------------------------------------------------------------


@dataclass
class Book:
    """A symbol's results recomputed from its fills alone, at average cost."""

    position: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    gross: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    open_fees: Decimal = Decimal(0)
    fills: int = 0
    trades: list = field(default_factory=list)

    def add(self, signed: Decimal, price: Decimal, fee: Decimal) -> None:
        self.fills += 1
        self.fees += fee
        closing = min(abs(signed), abs(self.position)) if signed * self.position < 0 else Decimal(0)
        opening = abs(signed) - closing
        if closing:
            direction = 1 if self.position > 0 else -1
            result = (price - self.price) * closing * direction
            own_fee, entry_fee = fee * closing / abs(signed), self.open_fees * closing / abs(self.position)
            self.gross += result
            self.open_fees -= entry_fee
            self.trades.append(result - own_fee - entry_fee)
        held = abs(self.position) - closing
        if opening:
            self.price = (self.price * held + price * opening) / (held + opening)
            self.open_fees += fee * opening / abs(signed)
        self.position += signed


def recomputed_from(report) -> dict[str, Book]:
    """Return the results of each symbol from the engine's fills report."""
    books = {symbol: Book() for symbol in SPECS}
    for row in report.sort_values("ts_event", kind="stable").itertuples():
        symbol = row.instrument_id.removesuffix(".KRAKEN")
        fee, currency = row.commission.split()
        assert currency == SPECS[symbol].quote
        signed = Decimal(row.last_qty) * (1 if row.order_side == "BUY" else -1)
        books[symbol].add(signed, Decimal(row.last_px), Decimal(fee))
    return books


def three_pairs() -> dict:
    given = config(stop_loss_pct=0.3, take_profit_pct=0.3, cooldown_seconds=0.1, inventory_skew=0.5)
    pairs = {
        XRP_USDT: {},
        BTC_USDT: {"position_size": "0.0002 BTC", "max_inventory": "0.001 BTC"},
        XRP_BTC: {},
    }
    return given | {"symbols": pairs, "use_reservation_price": True}


BALANCES = ("1000 USDT", "500 XRP", "0.01 BTC")


@dataclass
class Whole:
    """What a whole run left, read before its engine was disposed of."""

    report: Any
    rows: list
    account: Any
    listener: Listener
    ledger: Any
    maker_fills: dict[str, int]
    positions: dict[str, Decimal]
    balances: dict[str, Decimal]
    fills: list
    days: tuple[DayResult, ...]


@pytest.fixture(
    scope="module",
    params=[
        (True, 11),
        pytest.param((True, 12), marks=pytest.mark.long),
        (False, 11),
        pytest.param((False, 13), marks=pytest.mark.long),
    ],
    ids=["cash", "cash2", "margin", "margin2"],
)
def whole(request) -> Whole:
    cash, seed = request.param
    strategy, actor, listener = (
        Watched(three_pairs()),
        MetricsActor(MetricsActorConfig(interval_seconds=1.0)),
        Listener(),
    )
    engine = make_engine(cash=cash, balances=BALANCES)
    engine.add_actors([actor, listener])
    engine.add_strategy(strategy)
    engine.add_data([*restless(seed, 250), *others(seed, 250)])
    engine.run()
    assert strategy.failures == actor.failures == []
    outcome = Outcome(engine)
    outcome.read()
    rows, account = actor.final(ns(50))
    makers = {symbol: actor.maker_fills(symbol) for symbol in SPECS}
    report = engine.generate_fills_report()
    left = (
        report,
        rows,
        account,
        listener,
        actor.ledger,
        makers,
        outcome.positions,
        outcome.balances,
        outcome.fills,
        actor.daily.days,
    )
    engine.dispose()
    return Whole(*left)


def test_counts_and_pnl_equal_a_recomputation_from_the_fills(whole):
    for row, (symbol, expected) in zip(whole.rows, recomputed_from(whole.report).items(), strict=True):
        assert row.symbol == symbol
        tolerance = LEAST * (expected.fills + 3)
        assert row.fills == expected.fills > 50
        assert row.trades == len(expected.trades)
        # A result within the engine's rounding of zero may fall on either side of it.
        wins, losses = (sum(sign * result > 2 * LEAST for result in expected.trades) for sign in (1, -1))
        level = row.trades - wins - losses
        assert wins <= row.wins <= wins + level
        assert losses <= row.losses <= losses + level
        assert level < (0.4 if symbol == XRP_BTC else 0.02) * row.trades
        assert abs(number(row.realized_pnl) - (expected.gross - expected.fees)) <= tolerance
        assert number(row.fees) == expected.fees
        assert number(row.inventory) == expected.position
        assert whole.positions[symbol] == expected.position
        assert whole.maker_fills[symbol] == sum(
            fill.symbol == symbol and fill.liquidity == "MAKER" for fill in whole.fills
        )


def test_the_run_has_flips_adds_and_partial_exits(whole):
    positions = {symbol: Decimal(0) for symbol in SPECS}
    kinds = set()
    for result in whole.listener.results:
        before, after = positions[result.symbol], result.position
        kinds.add(
            "flip"
            if before * after < 0
            else "flat"
            if after == 0
            else "add"
            if abs(after) > abs(before)
            else "part"
        )
        positions[result.symbol] = after
    assert kinds == {"flip", "flat", "add", "part"}
    assert positions == whole.positions


def number(amount: str) -> Decimal:
    return Decimal(amount.split(maxsplit=1)[0])


def test_the_change_in_equity_is_trading_profit_and_revaluation(whole):
    rows, account = whole.rows, whole.account
    btc = Decimal(str(next(row.mid_price for row in rows if row.symbol == BTC_USDT)))
    rates = {XRP_USDT: Decimal(1), BTC_USDT: Decimal(1), XRP_BTC: btc}
    tolerance = sum(LEAST * (row.fills + 3) * rates[row.symbol] for row in rows)
    total = sum(number(row.total_pnl_report) for row in rows)
    change = account.equity - account.start_equity
    assert abs(change - (total + account.revaluation)) <= tolerance
    assert abs(total - account.trading_pnl) <= 3 * LEAST
    assert abs(total) > 10 * tolerance, "a change this small would prove little"
    assert dict(account.balances) == dict(sorted(whole.balances.items()))


def test_the_identity_holds_at_every_snapshot(whole):
    assert len(whole.listener.accounts) > 40
    for _, account in whole.listener.accounts:
        difference = account.equity - account.start_equity - account.trading_pnl - account.revaluation
        assert abs(difference) < LEAST * 400 * 100_000  # as many BTC fills as there can be


def test_days_and_fees_are_those_of_the_account_and_its_fills(whole):
    (day,) = whole.days
    results, rows = whole.listener.results, {row.symbol: row for row in whole.rows}
    assert day.day == "2025-12-06"
    assert day.trading_pnl == whole.account.trading_pnl
    assert (day.fills, day.trades) == (len(results), sum(result.trade_pnl is not None for result in results))
    btc = Decimal(str(rows[BTC_USDT].mid_price))
    fees = sum(number(row.fees) * (btc if symbol == XRP_BTC else 1) for symbol, row in rows.items())
    assert whole.account.fees == fees
    assert day.fees == pytest.approx(fees, rel=Decimal("0.01"))  # converted when they were charged


def test_trade_results_add_up_to_realized_pnl(whole):
    ledger = whole.ledger
    for symbol in SPECS:
        changes = sum(result.realized_change for result in whole.listener.results if result.symbol == symbol)
        assert changes == ledger.realized_pnl(symbol)
    stats = ledger.get_all_symbol_stats()
    for symbol, figures in stats.items():
        results = [result.trade_pnl for result in whole.listener.results if result.symbol == symbol]
        trades = [result for result in results if result is not None]
        assert figures["trades"] == len(trades)
        assert figures["trades"] == figures["wins"] + figures["losses"] + sum(
            result == 0 for result in trades
        )


def test_results_in_bitcoin_are_converted_at_the_pairs_own_mid(whole):
    by_symbol = {row.symbol: row for row in whole.rows}
    btc, cross = Decimal(str(by_symbol[BTC_USDT].mid_price)), by_symbol[XRP_BTC]
    assert cross.realized_pnl.endswith(" BTC")
    assert cross.realized_pnl_report.endswith(" USDT")
    assert number(cross.realized_pnl_report) == pytest.approx(number(cross.realized_pnl) * btc, abs=LEAST)
    assert number(cross.realized_pnl) != 0


def test_metrics_go_into_a_catalog_and_come_back_equal(whole, tmp_path):
    """All symbols in one write: a second one over the same span would be dropped without a word."""
    published = whole.listener.metrics
    catalog = ParquetDataCatalog(str(tmp_path))
    catalog.write_custom_data([metrics_data(row) for row in sorted(published, key=lambda row: row.ts_init)])
    back = catalog.query_custom_data(NautilusDataType.Custom("SymbolMetrics"))
    stored = sorted(repr(item.data.to_dict()) for item in back)
    assert stored == sorted(repr(row.to_dict()) for row in published)


def test_a_metrics_row_is_what_the_engine_would_make_of_it(whole):
    for metrics in whole.listener.metrics:
        made, expected = metrics_row(metrics), metrics.to_dict()
        assert repr(sorted(made.items())) == repr(sorted(expected.items()))  # text, since NaN equals nothing


# -- Corners ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cycles", [2, 3, 4])
def test_equal_cycles_in_a_row_are_all_counted(run, cycles):
    """The engine's portfolio forgets one of them while flat (it mends itself with the next position)."""
    data = [book(0, *CALM)]
    for i in range(cycles):
        at = 10 * i
        data += [trade(at + 1, 2.348, 10, "sell"), book(at + 2, *CALM), trade(at + 3, 2.352, 10, "buy")]
        data += [book(at + 4, *CALM), book(at + 8, *CALM)]
    outcome, actor, listener = measured(run, Watched(config()), data)
    assert actor.failures == []
    assert listener.metrics[-1].realized_pnl == f"{Decimal('-0.0234') * cycles:.8f} USDT"
    assert listener.metrics[-1].trades == cycles
    portfolio = outcome.engine.portfolio.realized_pnl(iid(XRP_USDT)).as_decimal()
    assert portfolio == Decimal("-0.0234") * (cycles - 1), (
        "the engine's bug is gone: drop the exception for it"
    )


class ForeignFees(FeeModel):
    """Charge every fill one XRP."""

    def get_commission(self, *_args):
        return Money.from_str("1 XRP")


def test_a_fee_in_another_currency_is_an_error_not_a_sum(run):
    actor = MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    mm = Watched(config())
    run(mm, [book(0, *CALM), *ROUND_TRIP], actors=[actor], fee_model=ForeignFees())
    assert [type(failure.error) for failure in mm.failures] == [AccountingError]
    assert "must be in USDT, was 1" in str(mm.failures[0].error)


def test_an_account_is_not_valued_before_all_prices_are_there(run):
    data = [event for at in range(6) for event in (book(at, *CALM),)]
    data += [book(3.5, 93999.0, 94001.0, symbol=BTC_USDT)]
    given = config() | {
        "symbols": {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}
    }
    _, _, listener = measured(run, Watched(given), data)
    assert [(ts - ns(0)) / 1e9 for ts, _ in listener.accounts] == [3.5, 4, 5]
    assert listener.accounts[0][1].start_equity == 10_000 + 10_000 * Decimal("2.35") + 94_000


@pytest.mark.parametrize("interval_seconds", [0.5, 10.0, 86_400.0])
def test_equity_begins_with_the_first_prices_however_seldom_it_is_published(run, interval_seconds):
    given = config(max_account_drawdown_pct=50.0) | {
        "symbols": {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}
    }
    data = [
        book(0, 2.5, 2.6),
        book(0.2, *CALM),
        book(0.4, 93999.0, 94001.0, symbol=BTC_USDT),
        *(book(0.5 + at, 2.2, 2.201) for at in range(1, 4)),
    ]
    mm, actor = Watched(given), MetricsActor(MetricsActorConfig(interval_seconds=interval_seconds))
    run(mm, data, actors=[actor])
    assert (mm.failures, actor.failures) == ([], [])
    account = actor.figures(ns(4))[1]
    assert account.start_equity == 10_000 + 10_000 * Decimal("2.35") + 94_000
    assert account.revaluation == 10_000 * (Decimal("2.2005") - Decimal("2.35"))
    assert json.loads(mm.on_save()["market_maker"])["start_equity"] == float(account.start_equity)


def test_v14_names_are_there(run):
    _, actor, _ = measured(run, Watched(config()), [book(0, *CALM), *ROUND_TRIP, book(5.5, *CALM)])
    assert actor.indicators[XRP_USDT]["trades_symbol"] == 1
    assert actor.ledger.pnl_by_symbol == {XRP_USDT: pytest.approx(-0.0234)}
    assert actor.ledger.to_dict()["trades"] == 1


def test_final_sees_what_the_stop_did(run):
    """A strategy's last orders fill when neither it nor the actor gets events any more."""
    mm = Watched(config(flatten_on_stop=True))
    thin = [book(at, [(2.3495, 4.0), (2.3494, 100.0)], 2.3505) for at in (2, 3)]
    outcome, actor, _ = measured(run, mm, [book(0, *CALM), ROUND_TRIP[0], *thin])
    assert [fill.size for fill in outcome.fills] == [10.0, 4.0, 6.0]
    for _ in range(2):  # asked for twice, counted once
        row = actor.final(ns(3))[0][0]
        assert number(row.inventory) == outcome.positions[XRP_USDT] == 0
        assert (row.fills, row.trades, row.losses) == (3, 2, 2)
        expected = recomputed_from(outcome.engine.generate_fills_report())[XRP_USDT]
        assert number(row.realized_pnl) == expected.gross - expected.fees
        assert number(row.fees) == expected.fees


class Marked(Watched):
    """Compare a position's own total PnL with the portfolio's at every change of the book."""

    differences: list[float]

    def look(self, now: int) -> None:
        super().look(now)
        symbol = self.symbols[XRP_USDT]
        total = self.portfolio.total_pnl(symbol.instrument_id, price=symbol.last_mid_price())
        if total is not None and symbol.mid_price is not None:
            own = symbol.position.pnl_at(symbol.mid_price, symbol.lot)
            self.differences.append(abs(own - total.as_double()))


def test_what_a_position_makes_of_itself_is_what_the_portfolio_makes_of_it(run):
    mm = Marked(config(cooldown_seconds=0.1, stop_loss_pct=0.3, take_profit_pct=0.2))
    mm.differences = []
    outcome = run(mm, restless(11, 300))
    assert len(outcome.fills) > 10
    assert len(mm.differences) > 200
    assert max(mm.differences) < 1e-7
