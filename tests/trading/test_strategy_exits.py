"""Stops and profits: when they fire, what is sent, and what becomes of the position and its entry."""

import itertools

import pytest
from nautilus_trader.model import OrderSide, OrderStatus
from scripting import XRP_USDT, Watched, around, book, config, trade, update, walk

from mm_nautilus.pricing.not_quoting import NotQuoting

CALM = (2.3495, 2.3505)
LONG = trade(1, 2.348, 10, "sell")
"""Fills our bid of 10 XRP at 2.34882."""
SHORT = trade(1, 2.352, 10, "buy")
"""Fills our ask of 10 XRP at 2.35118."""
COLD = {"cooldown_seconds": 3600.0}


def exit_orders(outcome):
    return [order for order in outcome.orders if order.is_reduce_only]


@pytest.mark.parametrize(
    ("first", "change", "mid", "reason"),
    [
        (LONG, {"stop_loss_pct": 0.5}, 2.3375, "stop_loss"),
        (SHORT, {"stop_loss_pct": 0.5}, 2.3625, "stop_loss"),
        (LONG, {"take_profit_pct": 0.4}, 2.36, "take_profit"),
        (SHORT, {"take_profit_pct": 0.4}, 2.34, "take_profit"),
    ],
)
def test_stop_and_profit_close_the_whole_position_once(run, first, change, mid, reason):
    mm = Watched(config(**COLD, **change))
    outcome = run(
        mm, [book(0, *CALM), first, *walk(2, 2.35, mid), around(3, mid), around(4, mid), around(5, mid)]
    )
    exits = exit_orders(outcome)
    assert [order.tags for order in exits] == [[reason]]
    assert exits[0].status == OrderStatus.FILLED
    assert exits[0].side == (OrderSide.SELL if first is LONG else OrderSide.BUY)
    assert outcome.positions[XRP_USDT] == 0
    assert mm.exit_reasons == [reason]
    assert mm.position_entries == {}
    assert mm.symbols[XRP_USDT].position.exit is None


@pytest.mark.parametrize(("first", "mid"), [(LONG, 2.3395), (SHORT, 2.3605)])
def test_a_stop_does_not_fire_before_its_price(run, first, mid):
    mm = Watched(config(stop_loss_pct=0.5, **COLD))
    outcome = run(mm, [book(0, *CALM), first, around(2, 2.35), around(3, mid), around(4, mid)])
    assert exit_orders(outcome) == []
    assert mm.exit_reasons == []


TRAILING = {
    "use_trailing_stop": True,
    "trailing_stop_activation": 0.2,
    "trailing_stop_distance": 0.15,
    **COLD,
}


@pytest.mark.parametrize(("first", "sign", "touch"), [(LONG, 1, -0.0005), (SHORT, -1, 0.0005)])
def test_the_trailing_stop_follows_the_price_one_can_exit_at(run, first, sign, touch):
    """A long follows the best bid, a short the best ask; a trade beyond it changes nothing."""
    entry = 2.34882 if sign > 0 else 2.35118
    best = 2.35 + sign * 0.012
    path = [*walk(2, 2.35, best), around(3, best)]
    far = trade(3.5, 2.35 + sign * 0.5, 1, "sell" if sign > 0 else "buy")
    back = best - sign * 0.0030  # 0.127 % below the best
    gone = best - sign * 0.0040  # 0.169 %
    mm = Watched(config(**TRAILING))
    outcome = run(mm, [book(0, *CALM), first, *path, far, around(4, back), around(5, gone), around(6, gone)])
    at_four = next(entries for at, entries in mm.entries if at == 4)[XRP_USDT]
    extreme = at_four["highest_price" if sign > 0 else "lowest_price"]
    assert extreme == pytest.approx(best + touch, abs=1e-9)
    assert at_four["entry_price"] == pytest.approx(entry)
    exits = exit_orders(outcome)
    assert [(order.tags, order.init_event.ts_init // 10**9 % 100) for order in exits] == [
        (["trailing_stop"], 5)
    ]
    assert outcome.positions[XRP_USDT] == 0
    assert mm.exit_reasons == ["trailing_stop"]


def test_an_unarmed_trailing_stop_does_not_fire(run):
    mm = Watched(config(**TRAILING))
    outcome = run(mm, [book(0, *CALM), LONG, around(2, 2.352), around(3, 2.347), around(4, 2.347)])
    assert exit_orders(outcome) == []
    assert mm.indicators[XRP_USDT]["trailing_stop_price"] is None


def test_an_exit_on_a_thin_book_goes_on_with_what_is_left(run):
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=1.0, **COLD))
    thin = [around(3 + 0.1 * i, 2.3375, 4.0) for i in range(5)]
    fresh = [around(5, 2.3374, 4.0), around(6.5, 2.3373, 4.0), around(8, 2.3372, 4.0), around(9, 2.3372, 4.0)]
    outcome = run(mm, [book(0, *CALM), LONG, around(2, 2.35), *thin, *fresh])
    exits = exit_orders(outcome)
    assert sum(float(order.filled_qty) for order in exits) == 10.0
    assert len(exits) <= 6
    for before, after in itertools.pairwise(exits):
        assert before.ts_closed <= after.ts_init, "two exits in flight"
    assert outcome.positions[XRP_USDT] == 0
    assert mm.exit_reasons == ["stop_loss"]
    assert mm.position_entries == {}


def test_an_exit_goes_on_although_the_touch_stands_still(run):
    """What is left is tried again after the pause, not at the next change of price."""
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=1.0, **COLD))
    refills = [update(3.2 + 0.1 * i, ("bid", 2.337, 20.0 + i)) for i in range(25)]
    outcome = run(mm, [book(0, *CALM), LONG, around(2, 2.35), around(3, 2.3375, 4.0), *refills])
    assert [float(order.filled_qty) for order in exit_orders(outcome)] == [4.0, 6.0]
    assert outcome.positions[XRP_USDT] == 0


def test_a_rest_below_the_smallest_order_is_quoted_on(run):
    """The venue takes no order below 2 XRP: 1 XRP that an exit left must not be sent again and again."""
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=1.0, cooldown_seconds=3.0))
    fall = [around(at, 2.3375, 9.0) for at in (3, 3.5)] + [
        around(5 + 0.5 * i, 2.3375, 1000.0) for i in range(12)
    ]
    outcome = run(mm, [book(0, *CALM), LONG, around(1.5, 2.35), *fall])
    assert outcome.events("OrderDenied") == []
    assert outcome.positions[XRP_USDT] == 1
    assert len(exit_orders(outcome)) == 1
    assert mm.symbols[XRP_USDT].position.exit is None
    assert sorted(mm.quotes_at(10.5)) == ["ask", "bid"]


def test_an_exit_with_quotes_in_flight_cancels_them_when_they_arrive(run):
    mm = Watched(config(stop_loss_pct=0.5, requote_tolerance_bps=0.0, cooldown_seconds=0.001))
    moves = [around(2 + 0.1 * i, 2.35 - 0.002 * i) for i in range(20)]
    outcome = run(mm, [book(0, *CALM), LONG, *moves, around(6, 2.31), around(7, 2.31)], latency_ms=500)
    exits = exit_orders(outcome)
    assert exits
    for order in exits:
        assert [o for o in outcome.orders if o.is_reduce_only and o is not order and overlap(o, order)] == []
    assert "exiting" in mm.symbols[XRP_USDT].bid.stats.to_dict()
    assert outcome.events("OrderDenied") == []
    assert mm.failures == []


def overlap(one, other) -> bool:
    return one.ts_init < (other.ts_closed or 2**63) and other.ts_init < (one.ts_closed or 2**63)


def test_an_exit_waits_for_the_balance_its_own_quote_has_locked(run):
    """With 10 XRP bought and all 10 in the ask, the stop has to cancel the ask before it can sell them."""
    mm = Watched(config(stop_loss_pct=0.5, cooldown_seconds=0.001))
    outcome = run(
        mm,
        [
            book(0, *CALM),
            LONG,
            *(around(2 + i, 2.35) for i in range(3)),
            around(5, 2.3375),
            around(6, 2.3375),
        ],
        balances=["100 USDT"],
        latency_ms=(0, 0, 300),
    )
    assert mm.quotes_at(4)["ask"][1] == 10.0
    assert [order.status for order in exit_orders(outcome)] == [OrderStatus.FILLED]
    assert outcome.positions[XRP_USDT] == 0
    assert outcome.events("OrderDenied") == []


def test_an_exit_closes_what_the_balance_pays_for(run):
    """A short of 10 XRP whose proceeds do not buy it back at a higher price is closed in part, without denials."""
    mm = Watched(config(stop_loss_pct=0.5, **COLD))
    up = [around(3 + 0.5 * i, 2.6) for i in range(10)]
    outcome = run(mm, [book(0, *CALM), SHORT, around(2, 2.35), *up], balances=["1 USDT", "10 XRP"])
    assert outcome.events("OrderDenied") == []
    assert -10 < outcome.positions[XRP_USDT] < 0
    assert outcome.balances["USDT"] > 0
    assert mm.exit_reasons == ["stop_loss"]


def test_nothing_is_sent_into_an_empty_side(run):
    mm = Watched(config(stop_loss_pct=0.5, retry_after_seconds=1.0, **COLD))
    bids_gone = [book(3.2 + 0.2 * i, [], 2.338) for i in range(10)]
    outcome = run(
        mm,
        [
            book(0, *CALM),
            LONG,
            around(2, 2.35),
            around(3, 2.3375, 4.0),
            *bids_gone,
            around(6, 2.337),
            around(7, 2.337),
        ],
    )
    assert outcome.events("OrderDenied") == []
    assert outcome.events("OrderRejected") == []
    assert outcome.positions[XRP_USDT] == 0
    assert [float(order.filled_qty) for order in exit_orders(outcome)] == [4.0, 6.0]


# -- Entries ------------------------------------------------------------------------------------------------


def entry_at(mm: Watched, at: float):
    return next(entries for time, entries in mm.entries if time == at).get(XRP_USDT)


def test_the_entry_averages_adds_and_survives_partial_exits(run):
    mm = Watched(config(cooldown_seconds=0.5, max_order_actions_per_second=1000))
    script = [
        book(0, *CALM),
        LONG,  # 10 at 2.34882
        *walk(1.1, 2.35, 2.353),
        around(2, 2.353),
        *walk(3, 2.353, 2.34),
        around(4, 2.34),
        trade(5, 2.33, 10, "sell"),  # 10 more at 2.33883
        around(6, 2.34),
        around(7, 2.34),
        trade(8, 2.345, 5, "buy"),  # sells 5 of 20 at 2.34117
        around(9, 2.34),
    ]
    outcome = run(mm, script)
    assert [(fill.side, fill.size) for fill in outcome.fills] == [("buy", 10.0), ("buy", 10.0), ("sell", 5.0)]
    first, added, reduced = entry_at(mm, 2), entry_at(mm, 6), entry_at(mm, 9)
    assert first["entry_price"] == pytest.approx(2.34882)
    assert first["side"] == "long"
    assert added["entry_price"] == pytest.approx((2.34882 + 2.33883) / 2)
    assert first["highest_price"] < added["entry_price"] + 0.01
    assert added["lowest_price"] == pytest.approx(2.3395)
    assert added["highest_price"] == added["entry_price"], (
        "an add at a loss must not inherit the first lot's profit"
    )
    assert reduced == added, "a partial exit changes neither entry nor extremes"


def test_a_flip_by_one_fill_starts_a_new_entry(run):
    mm = Watched(config(cooldown_seconds=0.5, inventory_skew=0.0))
    script = [
        book(0, *CALM),
        trade(1, 2.348, 4, "sell"),  # long 4 of 10 at 2.34882
        *walk(2, 2.35, 2.355),
        around(3, 2.355),
        trade(4, 2.37, 10, "buy"),  # the ask of 10 at 2.35618 flips it to short 6
        around(5, 2.355),
        around(6, 2.355),
    ]
    outcome = run(mm, script)
    assert entry_at(mm, 3)["side"] == "long"
    flipped = entry_at(mm, 6)
    assert outcome.positions[XRP_USDT] == -6
    assert flipped["side"] == "short"
    assert flipped["entry_price"] == pytest.approx(2.35618)
    assert flipped["highest_price"] == pytest.approx(2.35618), "the long's extremes are forgotten"
    assert all(entries for at, entries in mm.entries if at >= 2)


def test_the_entry_is_gone_when_flat(run):
    mm = Watched(config(cooldown_seconds=0.5))
    outcome = run(
        mm,
        [book(0, *CALM), LONG, around(2, 2.35), around(3, 2.35), trade(4, 2.36, 10, "buy"), around(5, 2.35)],
    )
    assert outcome.positions[XRP_USDT] == 0
    assert entry_at(mm, 3) is not None
    assert mm.position_entries == {}


def test_quoting_goes_on_after_an_exit(run):
    mm = Watched(config(stop_loss_pct=0.5, cooldown_seconds=1.0))
    outcome = run(
        mm, [book(0, *CALM), LONG, around(2, 2.35), *(around(3 + 0.5 * i, 2.3375) for i in range(5))]
    )
    assert exit_orders(outcome)
    assert sorted(mm.quotes_at(5)) == ["ask", "bid"]
    assert mm.symbols[XRP_USDT].bid.stats.counts[NotQuoting.EXITING] == 1


STILL = [around(at, 2.35) for at in range(2, 40, 6)]


@pytest.mark.parametrize("first", [LONG, SHORT])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"max_position_seconds": 20.0}, "time_limit"),
        ({"take_profit_pct": 0.4, "take_profit_decay_seconds": 20.0}, "take_profit"),
    ],
)
def test_age_closes_a_position_in_a_market_that_stands_still(run, first, changes, reason):
    """The mid stays 0.05 % on the profitable side: far from 0.4 %, reached when that has fallen for 18 s."""
    mm = Watched(config(**COLD, **changes))
    outcome = run(mm, [book(0, *CALM), first, *STILL])
    exits = exit_orders(outcome)
    assert mm.exit_reasons == ([] if reason is None else [reason])
    assert [order.tags for order in exits] == ([] if reason is None else [[reason]])
    if reason is None:
        assert outcome.positions[XRP_USDT] != 0
        return
    assert outcome.positions[XRP_USDT] == 0
    seconds = exits[0].init_event.ts_init / 1e9 % 100
    assert 17 <= seconds - 1 <= 21
