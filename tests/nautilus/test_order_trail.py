"""What an order rests on, while amends are on their way and when they are refused."""

from decimal import Decimal

import pytest

from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.nautilus.market_moment import MarketMoment
from mm_nautilus.nautilus.messages import Decision, MarketSample
from mm_nautilus.nautilus.order_trail import Grounds, OrderTrail

XRP = KRAKEN_SPOT["XRP/USDT"]
BID, ASK = round(Decimal("2.34") / XRP.price_increment), round(Decimal("2.36") / XRP.price_increment)
LOTS = round(10 / XRP.size_increment)
MOMENT = MarketMoment(BID, ASK, 2.35, 2.349, -LOTS, 4 * LOTS, None, None)


def grounds(now_ns: int) -> Grounds:
    return Grounds(now_ns, BID, LOTS, MOMENT, 0.1, None, None, None)


def decision(ts_event: int) -> Decision:
    sample = MarketSample(2.34, 2.36, 2.35, 2.349, -10.0, 40.0, None, None)
    return Decision(ts_event, Decimal("2.34"), Decimal(10), sample, 0.1, None, None, None)


@pytest.fixture
def trail() -> OrderTrail:
    made = OrderTrail()
    made.placed(grounds(1))
    return made


def test_an_order_that_was_not_sent_rests_on_nothing():
    assert OrderTrail().origin(XRP) is None


def test_an_order_rests_on_what_it_was_placed_on(trail):
    origin = trail.origin(XRP)
    assert (origin.decision, origin.placed_ns, origin.amends) == (decision(1), 1, 0)


def test_an_order_at_market_has_no_price():
    assert grounds(1)._replace(price_ticks=None).decision(XRP).price is None


def test_a_moment_without_a_sound_book_has_no_touch():
    sample = MOMENT._replace(bid_ticks=None, ask_ticks=None, cap_lots=None).sample(XRP)
    assert (sample.best_bid, sample.best_ask, sample.inventory_cap, sample.mid_price) == (
        None,
        None,
        None,
        2.35,
    )


def test_what_an_order_rests_on_is_one_object_until_it_changes(trail):
    assert trail.origin(XRP) is trail.origin(XRP)


def test_an_amend_counts_from_its_confirmation_on(trail):
    before = trail.origin(XRP)
    trail.amending(grounds(5))
    assert trail.origin(XRP) is before
    trail.amended()
    after = trail.origin(XRP)
    assert (after.decision, after.placed_ns, after.amends) == (decision(5), 1, 1)


def test_a_refused_amend_leaves_the_order_where_it_was(trail):
    before = trail.origin(XRP)
    trail.amending(grounds(5))
    trail.amend_refused()
    trail.amended()
    assert trail.origin(XRP) is before


def test_a_confirmation_that_nobody_asked_for_changes_nothing(trail):
    """The venue clamps reduce-only orders by itself."""
    before = trail.origin(XRP)
    trail.amended()
    assert trail.origin(XRP) is before
