"""What halts and pauses a symbol besides its book and its drawdown: losses, refusals, the kill switch, a live feed."""

import json
from itertools import pairwise

import pytest
from guard_scripting import Commander, Told, saved_symbol
from nautilus_trader.model import BookOrder, OrderBookDelta, OrderBookDeltas, OrderSide, TradeTick
from nautilus_trader.risk import RiskEngineConfig
from scripting import (
    BTC_USDT,
    XRP_USDT,
    Watched,
    book,
    config,
    iid,
    ns,
    trade,
)

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.venue_state import VenueState
from mm_nautilus.trading.messages import ClockState, FeedConnection, HaltQuoting, ResumeQuoting, VenueChange
from mm_nautilus.trading.setup import Conditions

CALM = (2.3495, 2.3505)
TWO = {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}
SIDES = ["ask", "bid"]


def calm(*times: float, symbol: str = XRP_USDT) -> list:
    prices = CALM if symbol == XRP_USDT else (93999.0, 94001.0)
    return [book(at, *prices, symbol=symbol) for at in times]


def open_orders(outcome) -> list:
    return [order for order in outcome.orders if order.is_open]


# -- Loss streak --------------------------------------------------------------------------------------------


ONE_WAY = {"quoting": "signal", "use_trade_flow": False, "stop_loss_pct": 0.5, "take_profit_pct": 0.5}
"""Bids only: positions are closed by exits, which have a known result."""


def leaning(at: float, mid: float) -> OrderBookDeltas:
    """Return a book with more on its bid side."""
    return book(at, [(round(mid - 0.0005, 5), 3000.0)], [(round(mid + 0.0005, 5), 1000.0)])


def trip(at: float, start: float, end: float) -> list:
    """Buy around one mid and be stopped out, or take profit, around another one."""
    bought = [leaning(at, start), trade(at + 1, start - 0.01, 10, "sell")]
    return [*bought, *(leaning(at + after, end) for after in (2, 3, 9))]


def trips(*mids: float) -> list:
    """Go from each mid to the next one."""
    return [event for i, pair in enumerate(pairwise(mids)) for event in trip(10.0 * i, *pair)]


@pytest.mark.parametrize(("limit", "halts"), [(2, True), (3, True), (4, False), (None, False)])
def test_losing_orders_in_a_row_halt_the_symbol(run, limit, halts):
    mm = Told(config(max_consecutive_losses=limit, **ONE_WAY) | {"symbols": TWO})
    others = calm(*range(30), symbol=BTC_USDT)
    outcome = run(mm, [*trips(2.35, 2.33, 2.31, 2.29), *others])
    symbol = mm.symbols[XRP_USDT]
    assert len(outcome.of("stop_loss")) == (limit if halts else 3)
    assert symbol.is_halted is halts
    assert not mm.symbols[BTC_USDT].is_halted
    text = f"halted after a loss streak: {limit} losing orders in a row"
    assert mm.texts(XRP_USDT) == ([text] if halts else [])
    assert symbol.bid.stats.counts.get(NotQuoting.HALTED_LOSS_STREAK, 0) == halts
    assert saved_symbol(mm, XRP_USDT)["losses_in_a_row"] == (limit if halts else 3)


def test_an_exit_in_several_executions_is_one_loss(run):
    mm = Told(config(max_consecutive_losses=2, **ONE_WAY))
    thin = [(2.337, 4.0), (2.3365, 3.0), (2.336, 1000.0)]
    fall = [book(at, thin, 2.338) for at in (2, 3)]
    outcome = run(mm, [leaning(0, 2.35), trade(1, 2.34, 10, "sell"), *fall])
    assert len([fill for fill in outcome.fills if fill.side == "sell"]) == 3
    assert mm.symbols[XRP_USDT].guards.losses.length == 1
    assert not mm.symbols[XRP_USDT].is_halted


def test_a_winning_order_ends_the_streak(run):
    mm = Told(config(max_consecutive_losses=2, **ONE_WAY))
    outcome = run(mm, trips(2.35, 2.33, 2.35, 2.33))
    assert [order.tags[0] for order in outcome.orders if order.tags[0] != "quote"] == [
        "stop_loss",
        "take_profit",
        "stop_loss",
    ]
    assert mm.symbols[XRP_USDT].guards.losses.length == 1
    assert not mm.symbols[XRP_USDT].is_halted


def test_a_streak_goes_on_over_a_restart(run):
    limits = {"max_consecutive_losses": 2, **ONE_WAY}
    first = Told(config(**limits))
    run(first, trips(2.35, 2.33))
    second = Told(config(**limits))
    second.load(first.save())
    run(second, trip(20.0, 2.35, 2.33))
    assert second.texts(XRP_USDT) == ["halted after a loss streak: 2 losing orders in a row"]


# -- Refused orders -----------------------------------------------------------------------------------------

DENYING = RiskEngineConfig(max_order_submit_rate="1/01:00:00")


def test_a_storm_of_refused_orders_pauses_and_then_halts(run):
    limits = {
        "max_refused_orders": 4,
        "refused_orders_window_seconds": 10.0,
        "refused_orders_pause_seconds": 20.0,
        "max_refused_orders_pauses": 1,
    }
    mm = Told(config(**limits))
    outcome = run(mm, calm(*range(60)), risk=DENYING)
    denied = [(event.ts_init - ns(0)) / 1e9 for event in outcome.events("OrderDenied")]
    # The bid is let through and the ask tried once a second until its fifth refusal; after the pause it is both.
    assert denied == [0, 1, 2, 3, 4, 24, 24, 25, 25, 26, 26]
    assert [(at, text) for at, _, text in mm.told] == [
        (0.0, "open for quoting"),
        (4.0, "paused: too many refused orders"),
        (24.0, "open for quoting again after 20.0 s (too many refused orders)"),
        (26.0, "halted after refused orders: too many again after 1 pause in a row"),
    ]
    assert open_orders(outcome) == []


def test_a_few_refused_orders_do_not_pause(run):
    mm = Told(config(max_refused_orders=4, refused_orders_window_seconds=3.5))
    run(mm, calm(*range(30)), risk=DENYING)
    assert mm.symbols[XRP_USDT].counts.denied == 30
    assert mm.texts(XRP_USDT) == []


def test_refused_amends_count_too(run):
    """A book that moves up and back while the amend is under way: the bid would take on arrival."""
    limits = {
        "max_refused_orders": 1,
        "refused_orders_window_seconds": 30.0,
        "refused_orders_pause_seconds": 5.0,
    }
    mm = Told(config(**limits))
    events = [
        event
        for at in (0, 10)
        for event in (*calm(at), book(at + 1, 2.3535, 2.3545), *calm(at + 1.05, at + 3, at + 8))
    ]
    run(mm, events, latency_ms=(0, 100, 0))
    assert mm.symbols[XRP_USDT].counts.rejected == 2
    assert mm.texts(XRP_USDT)[0] == "paused: too many refused orders"
    assert mm.quotes_at(13) == {}
    assert sorted(mm.quotes_at(18)) == SIDES


# -- HaltQuoting switch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("configured", [True, False])
def test_the_kill_switch_cancels_everything_and_stays(run, asked, configured):
    given = config(kill_switch_flatten=configured, flatten_on_halt=not configured, cooldown_seconds=0.5)
    mm = Told(given | {"symbols": TWO})
    commands = {4.5: HaltQuoting("a test", asked), 6.5: HaltQuoting("again", asked)}
    first = [book(0, *CALM), trade(1, 2.348, 10, "sell"), *calm(2, 3, 4, 5, 6, 7, 8)]
    outcome = run(mm, [*first, *calm(*range(9), symbol=BTC_USDT)], actors=[Commander(commands)])
    flattens = configured if asked is None else asked
    assert sorted(mm.quotes_at(4)) == SIDES
    assert [mm.quotes_at(at) for at in (5, 6, 7, 8)] == [{}] * 4
    assert mm.texts(XRP_USDT) == mm.texts(BTC_USDT) == ["halted by the kill switch: a test"]
    assert outcome.positions[XRP_USDT] == (0 if flattens else 10)
    assert [order.ts_init for order in outcome.of("halt")] == ([ns(4.5)] if flattens else [])
    assert mm.symbols[XRP_USDT].bid.stats.counts[NotQuoting.KILL_SWITCH] == 1


def test_a_kill_that_is_asked_to_flatten_later_does(run):
    mm = Told(config(cooldown_seconds=0.5))
    commands = {4.5: HaltQuoting("a test"), 6.5: HaltQuoting("close it", True)}
    first = [book(0, *CALM), trade(1, 2.348, 10, "sell"), *calm(2, 3, 4, 5, 6, 7, 8)]
    outcome = run(mm, first, actors=[Commander(commands)])
    assert [order.ts_init for order in outcome.of("halt")] == [ns(6.5)]


def test_a_resume_clears_the_kill_switch(run):
    mm = Told(config())
    commands = {1.5: HaltQuoting("a test"), 3.5: ResumeQuoting("a test")}
    run(mm, calm(*range(6)), actors=[Commander(commands)])
    assert [sorted(mm.quotes_at(at)) for at in (1, 2, 3, 4)] == [SIDES, [], [], SIDES]
    assert mm.texts(XRP_USDT) == ["halted by the kill switch: a test", "resumed by a test"]
    assert not mm.symbols[XRP_USDT].is_halted


def test_a_resume_while_nothing_is_halted_says_and_changes_nothing(run):
    mm = Told(config())
    run(mm, calm(*range(4)), actors=[Commander({1.5: ResumeQuoting("a test")})])
    assert mm.texts(XRP_USDT) == []
    assert len(list(mm.cache.orders())) == 2


def test_a_resume_accepts_the_drawdown_there_has_been(run):
    mm = Told(config(max_drawdown_pct=1.0, cooldown_seconds=0.5))
    fall = [book(at, 2.1995, 2.2005) for at in range(3, 12)]
    deeper = [book(at, 2.0495, 2.0505) for at in range(12, 16)]
    start = [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM)]
    run(mm, [*start, *fall, *deeper], actors=[Commander({6.5: ResumeQuoting("a test")})])
    texts = mm.texts(XRP_USDT)
    assert [text.partition(":")[0] for text in texts] == [
        "halted after a drawdown",
        "resumed by a test",
        "halted after a drawdown",
    ]
    assert sorted(mm.quotes_at(11)) == SIDES


def test_a_resume_accepts_the_accounts_drawdown_there_has_been(run):
    mm = Told(config(max_account_drawdown_pct=0.3, cooldown_seconds=3600.0))
    fall = [book(at, 2.1995, 2.2005) for at in range(3, 12)]
    start = [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM)]
    commander = Commander({6.5: ResumeQuoting("a test")})
    run(mm, [*start, *fall], actors=[commander], balances=["200 USDT", "50 XRP"])
    assert [text.partition(":")[0] for text in mm.texts(XRP_USDT)] == [
        "halted after the account's drawdown",
        "resumed by a test",
    ]


def test_a_kill_and_a_drawdown_end_with_the_same_resume(run):
    mm = Told(config(max_drawdown_pct=1.0, cooldown_seconds=0.5))
    fall = [book(at, 2.1995, 2.2005) for at in range(3, 12)]
    start = [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM)]
    run(mm, [*start, *fall], actors=[Commander({5.5: HaltQuoting("a test"), 8.5: ResumeQuoting("a test")})])
    assert [text.partition(":")[0] for text in mm.texts(XRP_USDT)] == [
        "halted after a drawdown",
        "halted by the kill switch",
        "resumed by a test",
    ]
    assert sorted(mm.quotes_at(11)) == SIDES


@pytest.mark.parametrize("flatten", [False, True])
def test_a_kill_survives_a_restart_and_is_told_again(run, flatten):
    first = Told(config())
    run(first, calm(*range(4)), actors=[Commander({1.5: HaltQuoting("a test", flatten)})])
    second = Told(config())
    second.load(first.save())
    commander = Commander({2.5: ResumeQuoting("a test")})
    run(second, calm(*range(6)), actors=[commander])
    assert [second.quotes_at(at) for at in (0, 1, 2)] == [{}, {}, {}]
    assert sorted(second.quotes_at(4)) == SIDES
    assert second.texts(XRP_USDT) == ["is still halted by the kill switch: a test", "resumed by a test"]
    assert json.loads(second.on_save()["market_maker"])["symbols"][XRP_USDT]["halt"] is None


def test_a_kill_while_the_strategy_winds_down_is_too_late_to_quote_again(run):
    mm = Told(config())
    commander = Commander(
        {1.5: lambda: mm.stop_quoting("a test", flatten=False), 2.5: ResumeQuoting("a test")}
    )
    run(mm, calm(*range(6)), actors=[commander])
    assert [mm.quotes_at(at) for at in (2, 3, 4)] == [{}, {}, {}]


# -- A live feed's connections ------------------------------------------------------------------------------


def clear(at: float, symbol: str = XRP_USDT) -> OrderBookDeltas:
    """Return what the engine's adapter sends when a book begins anew."""
    delta = OrderBookDelta.clear(iid(symbol), 0, ns(at), ns(at))
    return OrderBookDeltas(iid(symbol), [delta])


class Live(Told):
    """A market maker on a live feed."""

    def __init__(self, given) -> None:
        super().__init__(given)
        self.conditions = Conditions(is_live=True, book_depth=10)


LOST, BACK = FeedConnection(is_connected=False), FeedConnection(is_connected=True)


def test_the_adapters_clear_and_snapshots_are_told_apart():
    assert clear(0).is_snapshot
    assert len(clear(0).deltas) == 1
    assert book(0, *CALM).is_snapshot
    assert len(book(0, *CALM).deltas) > 1


def test_a_lost_feed_pulls_quotes_at_once_and_a_snapshot_brings_them_back(run):
    mm = Live(config(resume_after_seconds=2.0))
    commander = Commander({4.5: LOST, 6.5: BACK})
    events = [*calm(0, 1, 3, 4), clear(6.6), *calm(8, 9, 10.1, 11)]
    outcome = run(mm, events, actors=[commander], latency_ms=0)
    assert [sorted(mm.quotes_at(at)) for at in (0, 1, 4)] == [[], [], SIDES]
    cancelled = [event.ts_init for event in outcome.events("OrderCanceled")]
    assert cancelled[:2] == [ns(4.5)] * 2
    assert [sorted(mm.quotes_at(at)) for at in (8, 9, 11)] == [[], [], SIDES]
    assert mm.texts(XRP_USDT) == [
        "paused: feed disconnected",
        "paused: waiting for a snapshot",
        "open for quoting again after 5.5 s (waiting for a snapshot)",
    ]


def test_without_a_snapshot_nothing_is_quoted_however_long_the_feed_is_back(run):
    """Updates go on, but of a book that may have changed meanwhile."""
    mm = Live(config(resume_after_seconds=0.0))
    moves = [
        OrderBookDeltas(iid(XRP_USDT), [delta])
        for at in range(7, 40)
        for delta in book(at, 2.3495 + 0.0001 * (at % 3), []).deltas[1:]
    ]
    plain = [_without_snapshot_flag(deltas) for deltas in moves]
    run(mm, [*calm(0, 1, 2), *plain], actors=[Commander({4.5: LOST, 6.5: BACK})])
    assert sorted(mm.quotes_at(2)) == SIDES
    assert [mm.quotes_at(at) for at in range(7, 40)] == [{}] * 33
    assert mm.texts(XRP_USDT) == ["paused: feed disconnected", "paused: waiting for a snapshot"]


def _without_snapshot_flag(deltas: OrderBookDeltas) -> OrderBookDeltas:
    given = deltas.deltas[0]
    size = given.order.size
    order = BookOrder(OrderSide.BUY, given.order.price, size, 0)
    delta = OrderBookDelta(given.instrument_id, given.action, order, 128, 0, given.ts_event, given.ts_init)
    return OrderBookDeltas(deltas.instrument_id, [delta])


def test_a_wrong_checksum_empties_the_book_and_waits_for_it(run):
    mm = Live(config(resume_after_seconds=2.0) | {"symbols": TWO})
    events = [*calm(0, 1, 2, 3), clear(4.2), *calm(6, 7, 8.1, 9), *calm(*range(10), symbol=BTC_USDT)]
    run(mm, events)
    assert [sorted(mm.quotes_at(at)) for at in (3, 6, 7, 9)] == [SIDES, [], [], SIDES]
    assert mm.texts(XRP_USDT) == [
        "paused: waiting for a snapshot",
        "open for quoting again after 3.8 s (waiting for a snapshot)",
    ]
    assert mm.texts(BTC_USDT) == []
    assert sorted(mm.quotes_at(7, BTC_USDT)) == SIDES


def test_no_exit_is_decided_or_sent_on_the_book_of_a_lost_feed(run):
    """A simulated venue would fill it at prices that nobody has seen for a while."""
    mm = Live(config(resume_after_seconds=0.0, cooldown_seconds=0.5))
    commander = Commander({4.5: LOST, 4.6: HaltQuoting("a test", flatten=True), 6.5: BACK})
    events = [
        book(0, *CALM),
        *calm(1),
        trade(1.5, 2.348, 10, "sell"),
        *calm(2, 4, 5),
        clear(6.6),
        *calm(8, 9),
    ]
    outcome = run(mm, events, actors=[commander])
    assert [order.ts_init for order in outcome.of("halt")] == [ns(8)]
    assert outcome.positions[XRP_USDT] == 0


def test_a_resume_before_a_halt_could_close_the_position_says_so(run):
    mm = Live(config(resume_after_seconds=0.0, cooldown_seconds=0.5))
    halt, resume = HaltQuoting("a test", flatten=True), ResumeQuoting("a test")
    commander = Commander({4.5: LOST, 4.6: halt, 4.8: resume, 6.5: BACK})
    events = [book(0, *CALM), *calm(1), trade(1.5, 2.348, 10, "sell"), *calm(2, 4, 5), clear(6.6)]
    outcome = run(mm, events, actors=[commander])
    assert "resumed by a test; its position was not closed" in mm.texts(XRP_USDT)
    assert outcome.positions[XRP_USDT] == 10


def test_a_catalogs_strategy_is_not_told_of_connections(run):
    mm = Told(config())
    run(mm, calm(*range(6)), actors=[Commander({1.5: LOST})])
    assert sorted(mm.quotes_at(5)) == SIDES


# -- The clock ----------------------------------------------------------------------------------------------


def test_a_clock_that_was_set_pauses_everything_until_it_has_settled(run):
    mm = Told(config(resume_after_seconds=2.0) | {"symbols": TWO})
    commands = {
        2.5: ClockState(is_settled=False, step_seconds=60.0),
        5.5: ClockState(is_settled=True, step_seconds=60.0),
    }
    run(mm, [*calm(*range(12)), *calm(*range(12), symbol=BTC_USDT)], actors=[Commander(commands)])
    for symbol in TWO:
        assert [sorted(mm.quotes_at(at, symbol)) for at in (2, 3, 5, 6, 7, 9)] == [
            SIDES,
            [],
            [],
            [],
            [],
            SIDES,
        ]
        assert mm.texts(symbol) == [
            "paused: clock step",
            "open for quoting again after 5.5 s (clock step)",
        ]


# -- What the venue takes -----------------------------------------------------------------------------------


def venue(state: VenueState) -> VenueChange:
    return VenueChange({XRP_USDT: state})


@pytest.mark.parametrize(
    ("state", "quoted", "exits_at"),
    [
        (VenueState.POST_ONLY, SIDES, 8.5),
        (VenueState.LIMIT_ONLY, SIDES, 8.5),
        (VenueState.REDUCE_ONLY, [], 5.5),
        (VenueState.CANCEL_ONLY, [], 8.5),
    ],
)
def test_quotes_and_exits_are_sent_where_the_venue_takes_them(run, state, quoted, exits_at):
    """An exit waits for a venue that takes it; what forbids one does not forbid the other."""
    mm = Told(config(cooldown_seconds=0.5) | {"symbols": TWO})
    commands = {2.5: venue(state), 5.5: HaltQuoting("a test", flatten=True), 8.5: venue(VenueState.ONLINE)}
    events = [*calm(0, 1), trade(1.5, 2.348, 10, "sell"), *calm(2, 3, 4, 5, 6, 7, 8, 9)]
    outcome = run(mm, [*events, *calm(*range(10), symbol=BTC_USDT)], actors=[Commander(commands)])
    assert sorted(mm.quotes_at(4)) == quoted
    assert sorted(mm.quotes_at(4, BTC_USDT)) == SIDES
    assert [order.ts_init for order in outcome.of("halt")] == [ns(exits_at)]
    assert outcome.positions[XRP_USDT] == 0


def test_entries_that_take_wait_for_a_venue_that_takes_them(run):
    mm = Told(config(entry_order="taker", quoting="signal", use_trade_flow=False, cooldown_seconds=60.0))
    commands = {0.5: venue(VenueState.POST_ONLY), 4.5: venue(VenueState.ONLINE)}
    events = [book(0, [(2.3495, 2000.0)], [(2.3505, 2000.0)]), *(leaning(at, 2.35) for at in range(1, 9))]
    outcome = run(mm, events, actors=[Commander(commands)])
    assert [order.ts_init >= ns(4.5) for order in outcome.of("entry")] == [True]
    assert mm.texts(XRP_USDT)[0] == "paused: venue takes no market orders"


# -- Old trades ---------------------------------------------------------------------------------------------


def late_trade(at: float, age: float, amount: float = 1.0) -> TradeTick:
    fresh = trade(at, 2.3505, amount, "buy")
    return TradeTick(
        fresh.instrument_id,
        fresh.price,
        fresh.size,
        fresh.aggressor_side,
        fresh.trade_id,
        ns(at - age),
        ns(at),
    )


def test_old_trades_are_left_out_of_the_tape_and_told_once_a_minute(run):
    signal = {"quoting": "signal", "max_trade_age_seconds": 5.0}
    mm = Told(config(**signal))
    old = [late_trade(0.1 + 0.5 * i, 5.001) for i in range(60)]
    fresh = [late_trade(40 + 0.1 * i, 4.999) for i in range(20)]
    again = [late_trade(110.0, 3600.0)]
    run(mm, sorted([*calm(*range(120)), *old, *fresh, *again], key=lambda event: event.ts_init))
    symbol = mm.symbols[XRP_USDT]
    assert symbol.counts.old_trades == 61
    assert mm.old_trades == [0.1, 110.0]
    assert not symbol.flow.is_warm, "only twenty of the last fifty trades count"


# -- What is published --------------------------------------------------------------------------------------


def test_metrics_tell_state_reason_and_age(run):
    mm = Told(
        config(stale_after_seconds=3.0, resume_after_seconds=2.0, max_inventory="15 XRP") | {"symbols": TWO}
    )
    commander = Commander({14.5: HaltQuoting("a test"), 16.5: ResumeQuoting("a test")})
    metrics = MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    xrp = [*calm(0.5, 1.5, 2.5), *calm(7.5, 8.5, 9.6, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.6, 17.5)]
    xrp += [trade(10.6, 2.348, 10, "sell"), trade(11.6, 2.348, 5, "sell")]
    data = sorted([*xrp, *calm(*range(20), symbol=BTC_USDT)], key=lambda event: event.ts_init)
    run(mm, data, actors=[metrics, commander])
    expected = {
        2.0: ("quoting", "", 0.5),
        5.0: ("quoting", "", 2.5),
        6.0: ("paused", "stale book", 3.5),
        8.0: ("paused", "book recovering", 0.5),
        10.0: ("quoting", "", 0.4),
        13.0: ("quoting", "bid: inventory cap", 0.5),
        15.0: ("halted", "halted by the kill switch: a test", 0.5),
        18.0: ("quoting", "bid: inventory cap", 0.5),
    }
    found = {at: commander.state_at(at, XRP_USDT) for at in expected}
    assert {at: row[:2] for at, row in found.items()} == {at: row[:2] for at, row in expected.items()}
    assert [row[2] for row in found.values()] == pytest.approx([row[2] for row in expected.values()])
    assert commander.state_at(6.0, BTC_USDT)[:2] == ("quoting", "")


def test_metrics_before_the_first_book_say_so(run):
    commander = Commander({})
    metrics = MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    run(
        Watched(config() | {"symbols": TWO}),
        [*calm(0, 3), *calm(2.5, symbol=BTC_USDT)],
        actors=[metrics, commander],
    )
    state, reason, age = commander.state_at(1.0, BTC_USDT)
    assert (state, reason) == ("paused", "no book")
    assert age != age  # not a number
    assert commander.state_at(3.0, BTC_USDT)[0] == "quoting"


def test_every_change_that_is_logged_is_published(run):
    mm = Live(config(resume_after_seconds=2.0))
    commander = Commander({4.5: LOST, 6.5: BACK, 12.5: HaltQuoting("a test")})
    run(mm, [*calm(0, 1, 3, 4), clear(6.6), *calm(8, 9, 10.1, 11, 12, 13)], actors=[commander])
    published = [((c.ts_event - ns(0)) / 1e9, c.symbol, c.text) for c in commander.changes]
    assert published == mm.told
    assert [change.state.value for change in commander.changes] == [
        "quoting",
        "paused",
        "paused",
        "quoting",
        "halted",
    ]
