"""What becomes of orders between sending and confirmation, and what the strategy makes of it."""

import pytest
from nautilus_trader.model import OrderSide, OrderStatus
from nautilus_trader.risk import RiskEngineConfig
from scripting import XRP_USDT, Watched, book, config, trade

from mm_nautilus.pricing.not_quoting import NotQuoting

CALM = (2.3495, 2.3505)
LOWER = (2.3455, 2.3465)
BID, ASK = 2.34882, 2.35118


def settled(mm: Watched, outcome) -> None:
    """Check that the sides agree with the engine's orders (as of before the stop)."""
    assert mm.failures == []
    symbol = mm.symbols[XRP_USDT]
    assert symbol.position.lots == round(float(outcome.positions[XRP_USDT]) * 1e6)


def bids(outcome) -> list:
    return [order for order in outcome.orders if order.side == OrderSide.BUY]


def test_a_quote_that_would_take_on_arrival_is_refused_and_sent_again_later(run):
    mm = Watched(config(retry_after_seconds=2.0))
    later = [book(at, *LOWER) for at in (0.05, 0.2, 1, 2, 2.5, 3, 4)]
    outcome = run(mm, [book(0, *CALM), *later], latency_ms=100)
    refused = outcome.events("OrderRejected")
    assert [event.client_order_id for event in refused] == [bids(outcome)[0].client_order_id]
    assert "POST_ONLY" in refused[0].reason
    symbol = mm.symbols[XRP_USDT]
    assert symbol.counts.rejected == 1
    assert symbol.bid.stats.counts[NotQuoting.ORDER_REFUSED] == 1
    assert [sorted(mm.quotes_at(at)) for at in (1, 2, 3)] == [["ask"], ["ask"], ["ask", "bid"]]
    assert mm.quotes_at(4)["bid"] == (2.34482, 10.0)
    settled(mm, outcome)


def test_a_refused_amend_leaves_the_order_until_the_pause_is_over(run):
    mm = Watched(config(retry_after_seconds=2.0))
    up, down = (2.3535, 2.3545), (2.3495, 2.3505)
    moves = [book(1, *up), book(1.05, *down), book(2, 2.3496, 2.3506), book(4, *down), book(5, *down)]
    outcome = run(mm, [book(0, *CALM), *moves], latency_ms=(0, 100, 0))
    refused = outcome.events("OrderModifyRejected")
    assert [event.client_order_id for event in refused] == [bids(outcome)[0].client_order_id]
    assert mm.symbols[XRP_USDT].counts.rejected == 1
    assert mm.quotes_at(5)["bid"] == (BID, 10.0)
    settled(mm, outcome)


def test_a_denied_order_is_not_sent_again_before_the_pause_is_over(run):
    mm = Watched(config(retry_after_seconds=3.0))
    risk = RiskEngineConfig(max_order_submit_rate="1/00:00:20")
    outcome = run(mm, [book(0.5 * i, *CALM) for i in range(20)], risk=risk)
    denied = outcome.events("OrderDenied")
    assert len(denied) == 4  # at 0, 3, 6 and 9 s
    assert mm.symbols[XRP_USDT].counts.denied == 4
    assert mm.symbols[XRP_USDT].ask.order is None
    assert mm.symbols[XRP_USDT].ask.stats.counts[NotQuoting.ORDER_REFUSED] >= 1
    settled(mm, outcome)


def test_the_rest_of_a_partly_filled_quote_stays(run):
    mm = Watched(config())
    outcome = run(mm, [book(0, *CALM), trade(1, 2.348, 3, "sell"), book(2, *CALM), book(3, *CALM)])
    assert mm.quotes_at(3) == {"bid": (BID, 7.0), "ask": (ASK, 10.0)}
    assert len(outcome.orders) == 2
    settled(mm, outcome)


def test_an_amend_keeps_the_rest_of_a_partly_filled_quote(run):
    mm = Watched(config())
    moved = [book(at, 2.3497, 2.3507) for at in (2, 3)]
    outcome = run(mm, [book(0, *CALM), trade(1, 2.348, 3, "sell"), *moved])
    assert mm.quotes_at(3) == {"bid": (2.34902, 7.0), "ask": (2.35138, 10.0)}
    assert [float(order.quantity) for order in bids(outcome)] == [10.0]
    settled(mm, outcome)


@pytest.mark.parametrize(("traded", "left"), [(10.0, []), (4.0, [6.0])])
def test_a_fill_while_the_cancel_is_under_way(run, traded, left):
    mm = Watched(config(amend_orders=False))
    away = [book(at, 2.3504, 2.3514) for at in (1, 2.5, 3)]
    outcome = run(mm, [book(0, *CALM), *away, trade(1.5, 2.348, traded, "sell")], latency_ms=(0, 0, 1000))
    first = bids(outcome)[0]
    assert float(first.filled_qty) == traded
    assert first.status == (OrderStatus.FILLED if not left else OrderStatus.CANCELED)
    assert mm.quotes_at(3)["bid"] == (2.34972, 10.0)
    assert outcome.positions[XRP_USDT] == traded
    settled(mm, outcome)


@pytest.mark.parametrize("traded", [10.0, 4.0])
def test_a_fill_while_the_amend_is_under_way(run, traded):
    mm = Watched(config())
    moved = [book(at, 2.3497, 2.3507) for at in (1, 2.5, 3)]
    outcome = run(mm, [book(0, *CALM), *moved, trade(1.5, 2.348, traded, "sell")], latency_ms=(0, 1000, 0))
    first = bids(outcome)[0]
    assert float(first.filled_qty) == traded
    assert float(first.quantity) == 10.0, "the amend may not add to what has been filled"
    assert mm.quotes_at(3)["bid"] == (2.34902, 10.0 if traded == 10 else 6.0)
    settled(mm, outcome)


def test_a_fill_while_a_smaller_amend_is_under_way_never_grows_the_order(run):
    """The cap leaves 10 - 7 XRP of room: the order is amended down to it while it fills."""
    mm = Watched(config(max_inventory="10 XRP", cooldown_seconds=0.001))
    script = [
        book(0, *CALM),
        trade(1, 2.348, 7, "sell"),
        book(2, 2.3497, 2.3507),
        trade(2.5, 2.348, 2, "sell"),
    ]
    outcome = run(mm, [*script, book(3.5, 2.3497, 2.3507), book(4, 2.3497, 2.3507)], latency_ms=(0, 1000, 0))
    assert sum(fill.size for fill in outcome.fills if fill.side == "buy") <= 10
    assert outcome.positions[XRP_USDT] == 9
    settled(mm, outcome)


def test_an_order_in_flight_is_followed_not_doubled(run):
    mm = Watched(config())
    moves = [book(0.1 * i, 2.3495 + 0.0003 * i, 2.3505 + 0.0003 * i) for i in range(30)]
    outcome = run(mm, moves, latency_ms=1000)
    assert len(bids(outcome)) == 1
    assert (
        len(
            [
                e
                for e in outcome.events("OrderUpdated")
                if e.client_order_id == bids(outcome)[0].client_order_id
            ]
        )
        <= 3
    )
    settled(mm, outcome)


def test_all_orders_carry_their_purpose_and_are_counted(run):
    mm = Watched(config(stop_loss_pct=0.5, cooldown_seconds=3600.0))
    fall = [book(at, 2.337, 2.338) for at in (3, 4)]
    outcome = run(mm, [book(0, *CALM), trade(1, 2.348, 10, "sell"), *fall])
    assert sorted({order.tags[0] for order in outcome.orders}) == ["quote", "stop_loss"]
    counts = mm.symbols[XRP_USDT].counts
    assert (counts.fills, counts.maker_fills) == (2, 1)
    assert counts.placed == len(outcome.orders)
