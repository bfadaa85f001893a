"""The state of a live view: the last of everything, bounded, and ages that grow."""

import threading
from itertools import pairwise

import pytest
from live_states import (
    CROSS,
    CROSS_FIGURES,
    FIGURES,
    FILL,
    SECOND_NS,
    START_NS,
    XRP,
    Clock,
    account,
    made_state,
    publish_account,
    publish_quotes,
)

from mm_nautilus.live_view.state import MOST_PRICES, GuardNote, Market, Quotes

NAN = float("nan")


def test_nothing_is_known_before_anything_is_published() -> None:
    snapshot = made_state().snapshot()
    assert snapshot.status == "starting"
    assert [symbol.info.symbol for symbol in snapshot.symbols] == [XRP, CROSS]
    assert all(symbol.row is None and symbol.feed_age_seconds is None for symbol in snapshot.symbols)
    assert (snapshot.account, snapshot.fills, snapshot.guards) == (None, (), ())


def test_last_metrics_and_quotes_count() -> None:
    state = made_state()
    state.on_metrics(FIGURES)
    state.on_metrics(FIGURES | {"fills": 4})
    publish_quotes(state, XRP, Quotes(bid_price=2.3, bid_size=8.0, ask_reason="cooldown"))
    first, second = state.snapshot().symbols
    assert first.row is not None
    assert first.row["fills"] == 4
    assert first.quotes == {1: Quotes(bid_price=2.3, bid_size=8.0, ask_reason="cooldown")}
    assert second.row is None


def test_feed_age_grows_while_nothing_comes() -> None:
    clock = Clock()
    state = made_state(clock)
    state.on_metrics(FIGURES)
    clock.now += 7.5
    assert state.snapshot().symbols[0].feed_age_seconds == pytest.approx(7.75)
    assert state.snapshot().uptime_seconds == 7.5
    state.on_metrics(FIGURES | {"feed_age_seconds": 0.5})
    assert state.snapshot().symbols[0].feed_age_seconds == 0.5
    state.on_metrics(FIGURES | {"feed_age_seconds": NAN})
    assert state.snapshot().symbols[0].feed_age_seconds is None


def test_prices_are_bounded_and_a_second_apart() -> None:
    state = made_state()
    for tick in range(4 * (MOST_PRICES + 50)):
        market = Market(START_NS + tick * SECOND_NS // 4, 2.0, 3.0)
        state.on_moment(XRP, market, {1: Quotes(bid_price=1.0 + tick), 2: Quotes(bid_price=0.5)})
        state.keep_price(XRP)
    points = state.prices()[XRP]
    assert (len(points), state.prices()[CROSS]) == (MOST_PRICES, [])
    assert {later[0] - before[0] for before, later in pairwise(points)} == {1_000}
    assert points[-1] == (START_NS // 1_000_000 + (MOST_PRICES + 49) * 1_000, 2.0, 3.0, 2_597.0, None)
    state.on_moment(XRP, Market(START_NS), {})  # the clock was set back
    state.keep_price(XRP)
    state.keep_price(CROSS)
    assert state.prices()[XRP][-1] == (START_NS // 1_000_000, None, None, None, None)


def test_fills_and_guard_changes_are_bounded_and_the_newest_come_first() -> None:
    state = made_state()
    for index in range(200):
        state.on_fill(FILL._replace(correlation_id=f"O-{index}"))
        state.on_guard(GuardNote(START_NS + index, XRP, "paused", f"pause {index}"))
    snapshot = state.snapshot()
    assert [fill.correlation_id for fill in snapshot.fills[:2]] == ["O-199", "O-198"]
    assert (len(snapshot.fills), snapshot.fills_seen, len(snapshot.guards)) == (50, 200, 20)


def test_a_guard_changes_the_state_at_once_and_the_next_metrics_have_the_last_word() -> None:
    state = made_state()
    state.on_metrics(FIGURES)
    state.on_guard(GuardNote(START_NS, XRP, "halted", "halted by the kill switch: a test"))
    symbol = state.snapshot().symbols[0]
    assert (symbol.state, symbol.reason) == ("halted", "halted by the kill switch: a test")
    state.on_guard(GuardNote(START_NS, XRP, "quoting", "resumed: a test"))
    symbol = state.snapshot().symbols[0]
    assert (symbol.state, symbol.reason) == ("quoting", "")
    state.on_metrics(FIGURES)
    assert state.snapshot().symbols[0].reason == "bid: cooldown"


def test_a_change_of_what_a_symbol_does_is_shown_at_once() -> None:
    state = made_state()
    changes = state.changes
    for reason in ("stale book", "stale book", "no book"):
        state.on_state(XRP, "paused", reason)
    symbol = state.snapshot().symbols[0]
    assert (symbol.state, symbol.reason, state.changes) == ("paused", "no book", changes + 1)


def test_what_is_shown_at_once_is_counted() -> None:
    state = made_state()
    seen = [state.changes]
    for publish in (
        lambda: state.set_status("running"),
        lambda: state.on_metrics(FIGURES),
        lambda: state.on_fill(FILL),
        lambda: state.on_metrics(FIGURES | {"fills": 4}),
        lambda: state.on_guard(GuardNote(START_NS, XRP, "paused", "stale book")),
    ):
        publish()
        seen.append(state.changes)
    assert sorted(set(seen)) == seen
    state.on_metrics(FIGURES | {"fills": 4, "mid_price": 2.0})
    publish_quotes(state, XRP, Quotes())
    assert state.changes == seen[-1]


def test_curves_have_the_accounts_figures_in_the_order_of_time() -> None:
    state = made_state()
    for second, equity in enumerate(("1000", "990", "1005")):
        publish_account(state, START_NS + second * SECOND_NS, account(equity, f"{second}"))
    equity, trading_pnl = state.curves.points()
    assert [value for _, value in equity] == [1000.0, 990.0, 1005.0]
    assert trading_pnl == [(START_NS + second * SECOND_NS, float(second)) for second in range(3)]
    assert state.snapshot().account == account("1005", "2")


def test_readers_see_whole_figures_while_another_thread_writes() -> None:
    state = made_state()
    has_ended = threading.Event()

    def write() -> None:
        for index in range(3_000):
            state.on_metrics(FIGURES | {"fills": index, "trades": index})
            state.on_metrics(CROSS_FIGURES | {"fills": index, "trades": index})
            publish_account(state, START_NS + index * SECOND_NS, account(f"{index + 1}"))
        has_ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not has_ended.is_set() or looks == 0:
        looks += 1
        for symbol in state.snapshot().symbols:
            assert symbol.row is None or symbol.row["fills"] == symbol.row["trades"]
        equity, _ = state.curves.points()
        assert equity == sorted(equity)
    writer.join()
    assert state.snapshot().symbols[0].row == FIGURES | {"fills": 2_999, "trades": 2_999}
