"""Quotes as the venue sees them: where they stand, how large they are, and when they move."""

import itertools
import random

import pytest
from nautilus_trader.model import OrderSide
from scripting import BTC_USDT, XRP_BTC, XRP_USDT, Watched, book, config, trade, update

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.trading.orders import MAX_AMENDS

# Mid 2.35 and a full width of 0.1 %: half of it is 0.001175, rounded away from the mid.
CALM = (2.3495, 2.3505)
QUOTES = {"bid": (2.34882, 10.0), "ask": (2.35118, 10.0)}


def counts(mm: Watched, reason: NotQuoting, symbol: str = XRP_USDT) -> tuple[int, int]:
    bid, ask = mm.symbols[symbol].bid, mm.symbols[symbol].ask
    return bid.stats.counts.get(reason, 0), ask.stats.counts.get(reason, 0)


def test_two_passive_quotes_stand_around_the_mid(run):
    mm = Watched(config())
    outcome = run(mm, [book(0, *CALM), book(1, *CALM)])
    assert mm.quotes_at(1) == QUOTES
    assert all(order.is_post_only for order in outcome.orders)
    assert [order.tags for order in outcome.orders] == [["quote"], ["quote"]]
    assert mm.symbols[XRP_USDT].counts.placed == 2


def test_a_wide_quote_never_crosses_a_wider_book(run):
    mm = Watched(config(min_spread_pct=0.0001, use_reservation_price=True))
    outcome = run(mm, [book(0, 2.34999, 2.35), book(1, 2.34999, 2.35)])
    assert mm.quotes_at(1) == {"bid": (2.34999, 10.0), "ask": (2.35, 10.0)}
    assert outcome.events("OrderRejected") == []


def test_a_quote_is_kept_within_the_tolerance(run):
    mm = Watched(config(requote_tolerance_bps=2.0))  # 47 ticks at 2.35
    outcome = run(mm, [book(0, *CALM), book(1, 2.3499, 2.3509), book(2, 2.3499, 2.3509)])
    assert mm.quotes_at(2) == QUOTES
    assert len(outcome.orders) == 2
    assert outcome.events("OrderUpdated") == []


def test_a_quote_is_amended_beyond_the_tolerance(run):
    mm = Watched(config(requote_tolerance_bps=1.0))  # 23 ticks at 2.35
    outcome = run(mm, [book(0, *CALM), book(1, 2.3499, 2.3509), book(2, 2.3499, 2.3509)])
    assert mm.quotes_at(2) == {"bid": (2.34922, 10.0), "ask": (2.35158, 10.0)}
    assert len(outcome.orders) == 2
    assert mm.symbols[XRP_USDT].counts.amended == 2


def test_a_quote_is_replaced_where_the_venue_does_not_amend(run):
    mm = Watched(config(amend_orders=False))
    outcome = run(mm, [book(0, *CALM), book(1, 2.3499, 2.3509), book(2, 2.3499, 2.3509)])
    assert mm.quotes_at(2) == {"bid": (2.34922, 10.0), "ask": (2.35158, 10.0)}
    assert len(outcome.orders) == 4
    assert outcome.events("OrderUpdated") == []
    assert mm.symbols[XRP_USDT].counts.cancelled == 2


def test_an_order_is_replaced_after_its_share_of_amends(run):
    moves = [book(at, 2.3495 + 0.001 * (at % 2), 2.3505 + 0.001 * (at % 2)) for at in range(30)]
    mm = Watched(config())
    outcome = run(mm, moves)
    amends = [sum(type(e).__name__ == "OrderUpdated" for e in order.events()) for order in outcome.orders]
    assert max(amends) == MAX_AMENDS
    assert len(outcome.orders) == 4


def test_a_size_is_never_amended_up_at_the_same_price(run):
    # A partial fill leaves 2 of 10, which is replaced rather than topped up.
    mm = Watched(config(cooldown_seconds=1.0))
    events = [book(0, *CALM), trade(1, 2.348, 8, "sell"), book(1.5, *CALM), book(6, *CALM)]
    outcome = run(mm, events)
    assert mm.quotes_at(1.5)["bid"] == (2.34882, 2.0)
    assert mm.quotes_at(6)["bid"] == (2.34882, 10.0)
    assert outcome.events("OrderUpdated") == []
    assert [order.side for order in outcome.orders].count(OrderSide.BUY) == 2


def stormy(then: list) -> list:
    """Return three minute closes, one percent apart, and what follows them."""
    mids = (2.35, 2.3735, 2.35, 2.35)
    return [book(60 * i, mid - 0.0005, mid + 0.0005) for i, mid in enumerate(mids)] + then


STORM = {
    "requote_tolerance_bps": 0.0,
    "volatility_lookback": 2,
    "volatility_threshold_mult": 1.0,
    "gamma": 0.5,
}


@pytest.mark.parametrize(("taker", "at_price", "sign"), [("sell", 2.348, -1), ("buy", 2.352, 1)])
def test_the_reservation_price_moves_quotes_and_fills(run, taker, at_price, sign):
    script = stormy([trade(181, at_price, 10, taker), book(182, *CALM), book(183, *CALM)])
    against = "buy" if taker == "sell" else "sell"
    script += [trade(184, 2.35 + 0.0001 * sign, 10, against), book(185, *CALM)]
    seen = {}
    for switch in (False, True):
        mm = Watched(config(use_reservation_price=switch, **STORM))
        outcome = run(mm, script)
        assert mm.symbols[XRP_USDT].volatility.volatility_pct == pytest.approx(1.0, rel=0.01)
        late = sum(fill.at > 183 for fill in outcome.fills)
        seen[switch] = mm.quotes_at(183), late, outcome.positions[XRP_USDT]
    shift = {side: seen[True][0][side][0] - seen[False][0][side][0] for side in ("bid", "ask")}
    # q = 10/50, gamma 0.5, sigma 1 %: 2.35 * 0.2 * 0.5 * 1e-4 * 100 is 0.00235, more than the half width.
    assert shift["ask" if sign < 0 else "bid"] * sign == pytest.approx(0.00167), "one tick off the touch"
    assert shift["bid" if sign < 0 else "ask"] * sign == pytest.approx(0.00235, abs=0.0001)
    assert (seen[False][1], seen[True][1]) == (0, 1), "only the moved quote is reached"
    assert seen[True][2] == 0


def test_a_flat_reservation_price_is_the_mid(run):
    off, on = Watched(config(**STORM)), Watched(config(use_reservation_price=True, **STORM))
    for mm in (off, on):
        run(mm, stormy([book(181, *CALM)]))
    assert off.quotes_at(181) == on.quotes_at(181) == QUOTES


def test_inventory_skew_shrinks_only_the_growing_side(run):
    mm = Watched(config(inventory_skew=1.0, requote_size_tolerance_pct=0.0))
    run(mm, [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM), book(3, *CALM)])
    assert mm.quotes_at(3) == {"bid": (2.34882, 8.0), "ask": (2.35118, 10.0)}


def test_volatility_widens_the_quotes(run):
    mm = Watched(config(**STORM | {"base_volatility_pct": 0.5, "volatility_threshold_mult": 1.5}))
    run(mm, stormy([book(181, *CALM)]))
    assert mm.quotes_at(181) == {"bid": (2.34823, 10.0), "ask": (2.35177, 10.0)}


def test_an_edge_over_the_fees_widens_the_quotes(run):
    mm = Watched(config(min_edge_bps=10.0))  # two maker fees of 0.1 % and 0.1 %: 0.3 % of 2.35 is 0.00705
    run(mm, [book(0, *CALM), book(1, *CALM)])
    assert mm.quotes_at(1) == {"bid": (2.34647, 10.0), "ask": (2.35353, 10.0)}


def test_a_fill_cools_its_side_down(run):
    mm = Watched(config(cooldown_seconds=5.0))
    times = (2, 4, 5.9, 6.5, 7)
    run(mm, [book(0, *CALM), trade(1, 2.348, 10, "sell")] + [book(at, *CALM) for at in times])
    held = {at: sorted(mm.quotes_at(at)) for at in times}
    assert held == {2: ["ask"], 4: ["ask"], 5.9: ["ask"], 6.5: ["ask", "bid"], 7: ["ask", "bid"]}
    assert counts(mm, NotQuoting.COOLDOWN) == (1, 0)


# -- Signal -------------------------------------------------------------------------------------------------

BIDS_HEAVY = ([(2.3495, 2000.0)], [(2.3505, 1000.0)])
ASKS_HEAVY = ([(2.3495, 1000.0)], [(2.3505, 2000.0)])


def tape(taker: str, start: float = 1.0) -> list:
    """Return the fifty trades that warm the flow up, inside the spread, where nobody rests."""
    return [trade(start + 0.01 * i, 2.35, 1, taker) for i in range(50)]


SIGNAL = {"quoting": "signal", "min_spread_pct": 0.2}


@pytest.mark.parametrize(
    ("sides", "taker", "open_sides"),
    [
        (BIDS_HEAVY, "buy", ["bid"]),
        (ASKS_HEAVY, "sell", ["ask"]),
        (BIDS_HEAVY, "sell", []),
        (ASKS_HEAVY, "buy", []),
    ],
)
def test_the_signal_needs_imbalance_and_flow(run, sides, taker, open_sides):
    mm = Watched(config(**SIGNAL))
    run(mm, [book(0, *sides), *tape(taker), book(2, *sides), book(3, *sides)])
    assert sorted(mm.quotes_at(3)) == open_sides
    assert counts(mm, NotQuoting.WARMING_UP) == (1, 1)
    assert counts(mm, NotQuoting.NO_CONFIRMATION) == ("bid" not in open_sides, "ask" not in open_sides)


def test_the_signal_waits_for_fifty_trades(run):
    mm = Watched(config(**SIGNAL))
    run(mm, [book(0, *BIDS_HEAVY), *tape("buy")[:49], book(2, *BIDS_HEAVY), book(3, *BIDS_HEAVY)])
    assert mm.quotes_at(3) == {}


def test_the_signal_opens_the_reducing_side_without_flow(run):
    mm = Watched(config(**SIGNAL))
    buys = [book(0, *BIDS_HEAVY), *tape("buy"), book(2, *BIDS_HEAVY), trade(3, 2.347, 10, "sell")]
    run(mm, [*buys, book(4, *ASKS_HEAVY), book(5, *ASKS_HEAVY)])
    assert sorted(mm.quotes_at(5)) == ["ask"], "the tape still shows buyers, only the inventory opens the ask"


def test_the_signal_takes_where_it_is_told_to(run):
    mm = Watched(config(**SIGNAL, entry_order="taker", cooldown_seconds=3600.0))
    outcome = run(mm, [book(0, *BIDS_HEAVY), *tape("buy"), book(2, *BIDS_HEAVY), book(3, *BIDS_HEAVY)])
    fills = [(fill.side, fill.price, fill.size, fill.liquidity, fill.tag) for fill in outcome.fills]
    assert fills == [("buy", 2.3505, 10.0, "TAKER", "entry")]
    assert len(outcome.orders) == 1


@pytest.mark.parametrize("acknowledges", [False, True])
def test_a_taker_entry_over_several_levels_is_left_alone_between_its_fills(run, acknowledges):
    thin = ([(2.3495, 2000.0)], [(2.3505, 4.0), (2.3506, 3.0), (2.3507, 100.0)])
    mm = Watched(config(**SIGNAL, entry_order="taker", cooldown_seconds=3600.0))
    data = [book(0, *thin), *tape("buy"), book(2, *thin), book(3, *thin)]
    outcome = run(mm, data, acknowledges=acknowledges)
    assert [fill.size for fill in outcome.fills] == [4.0, 3.0, 3.0]
    assert mm.failures == []
    assert mm.symbols[XRP_USDT].counts.cancelled == mm.symbols[XRP_USDT].counts.amended == 0


def test_a_taker_entry_that_finds_nothing_waits_before_the_next(run):
    thin = ([(2.3495, 2000.0)], [(2.3505, 4.0)])
    mm = Watched(config(**SIGNAL, entry_order="taker"))
    later = [book(at, *thin) for at in (2, 2.1, 2.2, 2.3)]
    outcome = run(mm, [book(0, *thin), *tape("buy"), *later])
    assert [fill.size for fill in outcome.fills] == [4.0]
    assert len(outcome.orders) <= 2


# -- Sizes --------------------------------------------------------------------------------------------------

PRICES = {XRP_USDT: CALM, BTC_USDT: (93999.0, 94001.0), XRP_BTC: (0.00002499, 0.00002501)}


def test_a_size_in_base_currency_is_used_as_it_is(run):
    given = config(position_size="25 XRP", max_inventory="150 XRP")
    mm = Watched(
        given | {"symbols": {XRP_BTC: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}}
    )
    run(mm, [book(at, *PRICES[XRP_BTC], symbol=XRP_BTC) for at in (0, 1)])
    assert {side: amount for side, (_, amount) in mm.quotes_at(1, XRP_BTC).items()} == {
        "bid": 25.0,
        "ask": 25.0,
    }


def test_a_size_in_dollars_is_converted_through_the_other_pair(run):
    given = config(XRP_BTC, position_size=None, position_size_usd=20.0, max_inventory=100.0)
    given["symbols"] = {XRP_BTC: {}, XRP_USDT: {}, BTC_USDT: {}}
    mm = Watched(given)
    run(
        mm,
        [
            book(at, *PRICES[symbol], symbol=symbol)
            for at in (0, 1)
            for symbol in (XRP_USDT, XRP_BTC, BTC_USDT)
        ],
    )
    assert mm.quotes_at(1, XRP_BTC)["bid"][1] == pytest.approx(20 / 2.35, abs=1e-6)
    assert mm.quotes_at(1, BTC_USDT)["bid"][1] == pytest.approx(20 / 94000, abs=1e-8)


def test_a_size_that_cannot_be_converted_is_not_quoted(run):
    given = config(XRP_BTC, position_size=None, position_size_usd=20.0, max_inventory=100.0)
    given["symbols"] = {XRP_BTC: {}, XRP_USDT: {}}
    mm = Watched(given)
    here = [book(at, *PRICES[XRP_BTC], symbol=XRP_BTC) for at in (0, 1, 2)]
    there = [book(3, *CALM), book(6, *CALM), book(6.5, *PRICES[XRP_BTC], symbol=XRP_BTC)]
    run(mm, here + there)
    assert mm.quotes_at(2, XRP_BTC) == {}
    assert counts(mm, NotQuoting.NO_CONVERSION_RATE, XRP_BTC) == (1, 1)
    assert sorted(mm.quotes_at(6.5, XRP_BTC)) == ["ask", "bid"], "the other pair's book came at 3 s"


# -- Whole runs ---------------------------------------------------------------------------------------------


def noisy(seed: int, steps: int = 400) -> list:
    """Return books and trades of a market that jumps about."""
    draw = random.Random(seed)
    mid, events = 2.35, []
    for step in range(steps):
        at = 0.25 * step
        mid = round(mid + draw.choice((-0.0012, -0.0003, 0.0, 0.0, 0.0003, 0.0012)), 5)
        events.append(book(at, [(mid - 0.0005, 50.0)], [(mid + 0.0005, 50.0)]))
        events.append(update(at + 0.05, ("bid", round(mid - 0.0009, 5), float(draw.randint(1, 60)))))
        if draw.random() < 0.5:
            taker = draw.choice(("buy", "sell"))
            away = draw.choice((0.0005, 0.0013, 0.002)) * (1 if taker == "buy" else -1)
            events.append(trade(at + 0.1, round(mid + away, 5), draw.randint(1, 15), taker))
    return events


@pytest.mark.parametrize("latency_ms", [0, 50, 500])
def test_there_is_never_more_than_one_live_order_a_side(run, latency_ms):
    mm = Watched(config(cooldown_seconds=0.5))
    outcome = run(mm, noisy(7), latency_ms=latency_ms)
    assert len(outcome.fills) > 20
    assert mm.failures == []
    for at, side in lives_overlapping(outcome.orders):
        pytest.fail(f"two live orders on side {side} at {at}")
    if latency_ms == 0:
        assert outcome.events("OrderRejected") == []


def lives_overlapping(orders: list) -> list:
    """Return where an order of a side was sent while the one before it still lived."""
    found = []
    for side in (OrderSide.BUY, OrderSide.SELL):
        mine = [order for order in orders if order.side == side and order.tags == ["quote"]]
        for before, after in itertools.pairwise(mine):
            if before.ts_closed is None or before.ts_closed > after.ts_init:
                found.append((after.ts_init, side))
    return found
