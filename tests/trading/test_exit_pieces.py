"""Exits above the venue's largest order, and what exits leave below its smallest one."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from guard_scripting import Commander, saved_symbol
from nautilus_trader.risk import RiskEngineConfig
from scripting import BTC_USDT, XRP_USDT, Watched, around, book, config, ns, trade, walk

from mm_nautilus.pricing.exits import ExitReason, PositionEntry
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.venue_state import VenueState
from mm_nautilus.trading.messages import ClockState, FeedConnection, HaltQuoting, StopQuoting, VenueChange
from mm_nautilus.trading.setup import Conditions

CALM = (2.3495, 2.3505)
LONG = trade(1, 2.348, 10, "sell")
"""Fills our bid of 10 XRP at 2.34882."""
FALL = [book(2, *CALM), book(3, 2.337, 2.338), book(4, 2.337, 2.338), book(5, 2.337, 2.338)]
ENDING = StopQuoting("enough", flatten=True)
STOPS = {"flatten_on_stop": True}
MOST = {"max_quantity": Decimal(4)}
QUOTE = {"position_size": "4 XRP", "cooldown_seconds": 0.1, "inventory_skew": 0.0}


def calm(start: float, end: float) -> list[Any]:
    """Return ten books a second, in which orders under way arrive."""
    return [book(number / 10, *CALM) for number in range(round(start * 10), round(end * 10))]


def bought(times: int = 3) -> list[Any]:
    """Return the script that buys 4 XRP so many times, half a second apart."""
    trades = [trade(0.45 + 0.5 * number, 2.348, 4, "sell") for number in range(times)]
    return sorted([*calm(0, 2), *trades], key=lambda event: event.ts_init)


def exits(outcome: Any) -> list[tuple[str, str, float, float]]:
    """Return purpose, status, size and seconds of every exit order."""
    return [
        (order.tags[0], order.status.name, float(order.quantity), (order.init_event.ts_init - ns(0)) / 1e9)
        for order in outcome.orders
        if order.is_reduce_only
    ]


@pytest.mark.parametrize(
    ("limits", "pieces"),
    [
        ({"max_quantity": Decimal(4)}, [4.0, 4.0, 4.0]),
        ({"max_quantity": Decimal("5.5")}, [5.5, 4.5, 2.0]),
        ({"max_quantity": Decimal(100)}, [12.0]),
        ({"max_notional": Decimal("11.69")}, [5.0, 5.0, 2.0]),
    ],
)
def test_a_stop_goes_out_in_pieces_of_the_largest_order_and_leaves_none_that_is_too_small(
    run, limits, pieces
):
    """The last case: 5 XRP are worth 11.69 USDT at the ask of 2.338, and 2 XRP are the smallest order."""
    mm = Watched(config(**QUOTE, stop_loss_pct=0.5, max_inventory="12 XRP"))
    outcome = run(mm, [*bought(), *FALL], limits=limits)
    sent = exits(outcome)
    assert [size for _, _, size, _ in sent] == pieces
    assert {(purpose, status, at) for purpose, status, _, at in sent} == {("stop_loss", "FILLED", 3.0)}
    assert outcome.positions[XRP_USDT] == 0
    assert mm.exit_reasons == ["stop_loss"]
    assert outcome.events("OrderDenied") == []


@pytest.mark.parametrize("latency_ms", [0, 100])
@pytest.mark.parametrize(
    ("message", "purpose", "changes"),
    [
        (HaltQuoting("now", flatten=True), "halt", {}),
        (ENDING, "stop", {}),
        (None, "stop", STOPS),
        (None, "take_profit", {"take_profit_pct": 0.4}),
    ],
)
def test_every_kind_of_exit_goes_out_in_pieces(run, message, purpose, changes, latency_ms):
    mm = Watched(config(**QUOTE, **changes))
    rises = purpose == "take_profit"
    rest = [*walk(2, 2.35, 2.361), *(around(3 + at / 10, 2.361) for at in range(9))] if rises else calm(2, 4)
    outcome = run(
        mm, [*bought(), *rest], limits=MOST, latency_ms=latency_ms, actors=[Commander({3.0: message})]
    )
    sent = [order for order in outcome.orders if order.is_reduce_only]
    assert {(order.tags[0], float(order.filled_qty)) for order in sent} == {(purpose, 4.0)}
    assert len(sent) >= 2, "the rise may have sold 4 XRP to a quote that was late"
    for before, after in pairwise(sent):
        assert changes == STOPS or before.ts_closed <= after.ts_init <= before.ts_closed + 1000
    assert outcome.positions[XRP_USDT] == 0
    assert outcome.events("OrderDenied") == []


def test_a_piece_that_a_thin_book_does_not_fill_waits_as_any_exit_does(run):
    mm = Watched(config(**QUOTE, stop_loss_pct=0.5, retry_after_seconds=1.0))
    thin = [book(at, [(2.337, 6.0)], 2.338) for at in (3, 3.4, 4.5)]
    outcome = run(mm, [*bought(), *thin, book(6, 2.337, 2.338)], limits=MOST)
    assert [(size, at) for _, _, size, at in exits(outcome)][:3] == [(4.0, 3.0), (4.0, 3.0), (4.0, 4.0)]
    assert outcome.positions[XRP_USDT] == 0


def test_quotes_stay_within_the_largest_order_wherever_prices_go(run):
    """10 USDT are less than 5 XRP at 2.35, and more at 1.9; amends of what is partly filled count as a whole."""
    mm = Watched(config(position_size="10 USDT", max_inventory="1000 USDT", requote_tolerance_bps=0.0))
    falling = [book(2 + 0.2 * i, 2.35 - 0.05 * i, 2.351 - 0.05 * i) for i in range(10)]
    parts = [trade(4.1 + 0.3 * i, 1.8, 2, "sell") for i in range(6)]
    later = [book(4.2 + 0.3 * i, 1.9 + 0.001 * i, 1.901 + 0.001 * i) for i in range(8)]
    limits = {"max_quantity": Decimal(5), "max_notional": Decimal(10)}
    data = sorted([book(0, *CALM), *falling, *parts, *later], key=lambda event: event.ts_init)
    outcome = run(mm, data, limits=limits)
    assert len(outcome.fills) > 4
    assert max(size for _, quotes in mm.seen for _, size in quotes.values()) == 5.0
    assert outcome.events("OrderDenied") == []
    assert outcome.events("OrderModifyRejected") == []


def test_an_exit_that_is_refused_again_and_again_is_counted_and_told(run):
    """The engine lets two orders through, the quotes at the start, and denies everything after them."""
    denying = RiskEngineConfig(max_order_submit_rate="2/01:00:00")
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=0.5, cooldown_seconds=3600.0))
    outcome = run(mm, [book(0, *CALM), LONG, *FALL], risk=denying)
    denied = outcome.events("OrderDenied")
    assert len(denied) == 3
    assert mm.symbols[XRP_USDT].counts.exits_refused == 3
    assert mm.run_warnings[len(mm.config_warnings) :] == [
        f"Warning: XRP/USDT: 3 exit orders refused, the last one: {denied[-1].reason}"
    ]


# -- Remainders ---------------------------------------------------------------------------------------------

REMAINDER = Decimal("1.9")
CLOSE = {"requote_tolerance_bps": 0.0, "max_order_actions_per_second": 1000, "cooldown_seconds": 0.5}
TRAIL = {"use_trailing_stop": True, "trailing_stop_activation": 0.2, "trailing_stop_distance": 0.15}


def moved(percent: float, sign: int) -> float:
    """Return a mid so many percent in the position's favour."""
    return round(2.35 * (1 + sign * percent / 100), 4)


def to(percent: float, sign: int, events: list[Any]) -> list[Any]:
    """Return the books that lead from the last one to a mid so many percent in the position's favour."""
    last = events[-1]
    mid = float(last.deltas[1].order.price) + 0.0005
    return walk((last.ts_init - ns(0)) / 1e9 + 1.0, mid, moved(percent, sign))


def fill(percent: float, sign: int, events: list[Any]) -> list[Any]:
    """Return a trade through our quote that grows the position, and a book."""
    at = (events[-1].ts_init - ns(0)) / 1e9 + 1.0
    mid = moved(percent, sign)
    return [trade(at, mid - sign * 0.01, 10, "sell" if sign > 0 else "buy"), around(at + 0.5, mid)]


def remainder(sign: int, *path: float) -> list[Any]:
    """Return a script that opens 10 XRP and moves along percentages, at the last of which 8.1 XRP are bid or asked."""
    events: list[Any] = [around(0, 2.35)]
    events += fill(0.0, sign, events)
    for percent in path:
        events += to(percent, sign, events)
    thin_from_ns = events[-1].ts_init - 500_000_000
    return [
        event
        if event.ts_init <= thin_from_ns
        else around((event.ts_init - ns(0)) / 1e9, float(event.deltas[1].order.price) + 0.0005, 8.1)
        for event in events
    ]


def quote_fills(outcome: Any) -> list[float]:
    return [fill.price for fill in outcome.fills if fill.tag == "quote"]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("exit_percent", "add_percent", "reason"),
    [
        (-0.55, -5.0, "stop_loss"),  # the average of remainder and add stands 0.8 % behind the market
        (0.55, 5.0, "take_profit"),  # and 0.8 % ahead of it
    ],
)
def test_a_remainder_does_not_close_what_is_added_to_it(run, sign, exit_percent, add_percent, reason):
    mm = Watched(config(**CLOSE, stop_loss_pct=0.5, take_profit_pct=0.5))
    script = remainder(sign, exit_percent)
    script += to(add_percent, sign, script)
    script += fill(add_percent, sign, script)
    script += fill(add_percent, sign, script)
    outcome = run(mm, script)
    assert mm.exit_reasons == [reason]
    assert outcome.positions[XRP_USDT] == sign * (REMAINDER + 20)
    first, second, third = quote_fills(outcome)
    entry = mm.symbols[XRP_USDT].position.entry
    assert entry.entry_price == pytest.approx((1.9 * first + 10 * second + 10 * third) / 21.9)
    assert entry.reference_price == pytest.approx((11.9 * second + 10 * third) / 21.9)
    assert PositionEntry(**saved_symbol(mm, XRP_USDT)["entry"]) == entry


@pytest.mark.parametrize("sign", [1, -1])
def test_a_remainder_does_not_carry_a_hit_trail_into_the_next_position(run, sign):
    """What is added afterwards has a trail of its own, from its own price on."""
    mm = Watched(config(**CLOSE, **TRAIL))
    script = remainder(sign, 0.6, 0.42)
    script += to(0.35, sign, script)
    script += fill(0.35, sign, script)
    added_at = (script[-1].ts_init - ns(0)) / 1e9
    script += to(0.7, sign, script)
    script += to(0.5, sign, script)
    outcome = run(mm, script)
    assert mm.exit_reasons == ["trailing_stop", "trailing_stop"]
    assert outcome.positions[XRP_USDT] == 0
    _, added = quote_fills(outcome)
    entry = next(entries for at, entries in mm.entries if at == added_at)[XRP_USDT]
    now = moved(0.35, sign) - sign * 0.0005
    assert sign * entry["highest_price" if sign > 0 else "lowest_price"] == pytest.approx(
        max(sign * added, sign * now)
    )
    assert [size for *_, size, _ in exits(outcome)] == [10.0, 11.9]


# -- Times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_settled", [True, False])
def test_an_exit_does_not_wait_for_a_time_that_a_clock_set_back_will_not_come_to(run, is_settled):
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=3600.0, cooldown_seconds=3600.0))
    thin = [book(3 + 0.5 * number, [(2.337, 4.0 + number)], 2.338) for number in range(6)]
    state = ClockState(is_settled=is_settled, step_seconds=-3600.0)
    outcome = run(mm, [book(0, *CALM), LONG, book(2, *CALM), *thin], actors=[Commander({3.2: state})])
    assert [at for *_, at in exits(outcome)] == ([3.0] if is_settled else [3.0, 4.0])
    assert outcome.positions[XRP_USDT] == (6 if is_settled else 0)


def test_a_venue_that_is_closed_is_told_before_an_exit_that_waits(run):
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=3600.0, cooldown_seconds=3600.0))
    thin = [book(3 + 0.5 * number, [(2.337, 4.0 + number)], 2.338) for number in range(6)]
    closed = VenueChange({XRP_USDT: VenueState.CANCEL_ONLY})
    outcome = run(mm, [book(0, *CALM), LONG, book(2, *CALM), *thin], actors=[Commander({4.2: closed})])
    symbol = mm.symbols[XRP_USDT]
    assert (outcome.positions[XRP_USDT], symbol.position.exit.reason) == (6, ExitReason.STOP_LOSS)
    assert symbol.bid.stats.current is NotQuoting.VENUE_CANCEL_ONLY


# -- The end ------------------------------------------------------------------------------------------------


class Fed(Watched):
    """A market maker of a live feed, whose first book is a snapshot."""

    def on_start(self) -> None:
        self.conditions = Conditions(is_live=True, book_depth=10)
        super().on_start()


@pytest.mark.parametrize("winds_down", [False, True])
@pytest.mark.parametrize(
    ("message", "last", "reason"),
    [
        (None, [book(6, *CALM)], None),
        (FeedConnection(is_connected=False), [book(6, *CALM)], "feed disconnected"),
        (None, [book(6, 2.3495, [])], "one-sided book"),
        (None, [book(6, 2.3506, 2.3505)], "crossed book"),
        (None, [book(6, 2.3495, 2.3505, BTC_USDT), book(9, 2.3495, 2.3505, BTC_USDT)], "stale book"),
    ],
)
def test_flattening_at_the_end_never_trades_on_a_feed_that_is_not_believed(
    run, message, last, reason, winds_down
):
    """Another pair's books keep the clock going where this one's have ended."""
    times = {"stale_after_seconds": 3.0, "resume_after_seconds": 0.1, "cooldown_seconds": 3600.0}
    mm = Fed(config(flatten_on_stop=True, **times))
    messages = {3.0: message} | ({6.5 if reason != "stale book" else 8.0: ENDING} if winds_down else {})
    outcome = run(mm, [*calm(0, 1), LONG, book(2, *CALM), *last], actors=[Commander(messages)])
    warnings = mm.run_warnings[len(mm.config_warnings) :]
    if reason is None:
        assert (outcome.positions[XRP_USDT], warnings) == (0, [])
    else:
        assert exits(outcome) == []
        assert warnings == [
            "Warning: XRP/USDT: flatten_on_stop kept the position of 10.000000 XRP: "
            f"prices are not trusted ({reason})"
        ]
