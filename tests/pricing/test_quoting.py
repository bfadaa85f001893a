import math
from copy import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.models import full_width_pct, reservation_price, volatility_multiplier
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import MarketView, PositionView
from mm_nautilus.pricing.quote_model import QuoteModel, quote_model
from mm_nautilus.pricing.quotes import (
    OrderAction,
    Quote,
    QuoteInputs,
    SizeLimits,
    decide_action,
    plan_quotes,
    signal_sides,
    size_is_right,
)

LIMITS = SizeLimits(full_lots=100, cap_lots=1000, min_lots=1)
MARKET = QuoteInputs(
    best_bid_ticks=9999,
    best_ask_ticks=10001,
    tick=0.01,
    position_lots=0,
    limits=LIMITS,
)


FLAT = QuoteModel(full_width_pct=0.1, skew_bps=0.0)


def model_of(params, volatility_pct=0.0, maker_fee_pct=0.25):
    with_fee = params.model_copy(update={"maker_fee_pct": maker_fee_pct})
    return quote_model(with_fee, None, volatility_pct=volatility_pct, quotes_at_cap=10.0)


def priced(inputs, model, fair_ticks=None):
    """Return what a model asks for at a touch and a position, the fair price in ticks; the mid unless it is given."""
    mid_ticks = 0.5 * (inputs.best_bid_ticks + inputs.best_ask_ticks)
    fair = (mid_ticks if fair_ticks is None else fair_ticks) * inputs.tick
    market = MarketView("XRP/USDT", 0.0, 0.0, mid_ticks * inputs.tick, fair, 0.0)
    return model.priced(market, PositionView(0.0, 0.0, 0.0, inputs.q, 10.0))


def plan(position_lots=0, *, limits=LIMITS, market=MARKET, fair_ticks=None, volatility_pct=0.0, **changes):
    params = SymbolParams(**changes)
    inputs = replace(market, position_lots=position_lots, limits=limits)
    return plan_quotes(params, inputs, priced(inputs, model_of(params, volatility_pct), fair_ticks))


def sizes(quotes):
    return tuple(side.size_lots if isinstance(side, Quote) else side for side in (quotes.bid, quotes.ask))


@st.composite
def situations(draw):
    """Parameters and market of any kind, with a position within its cap."""
    bid = draw(st.integers(1, 200_000))
    ask = bid + draw(st.integers(1, 50))
    cap = draw(st.integers(0, 2000))
    limits = SizeLimits(
        full_lots=draw(st.integers(0, 500)),
        cap_lots=cap,
        min_lots=draw(st.integers(0, 20)),
        min_notional_units=draw(st.sampled_from([0.0, 1000.0, 1e6])),
    )
    inputs = QuoteInputs(
        best_bid_ticks=bid,
        best_ask_ticks=ask,
        tick=draw(st.sampled_from([1e-8, 1e-5, 0.01])),
        position_lots=draw(st.integers(-cap, cap)),
        limits=replace(limits, target_lots=draw(st.integers(-cap, cap))),
    )
    params = SymbolParams(
        maker_fee_pct=draw(st.sampled_from([-0.02, 0.0, 0.25])),
        min_spread_pct=draw(st.sampled_from([1e-9, 0.03, 0.1, 5.0])),
        min_edge_bps=draw(st.sampled_from([None, 0.0, 3.0])),
        inventory_skew=draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])),
        use_reservation_price=draw(st.booleans()),
        gamma=draw(st.sampled_from([0.01, 0.1, 1.0])),
    )
    volatility = draw(st.sampled_from([0.0, 0.1, 0.5, 5.0, 300.0]))
    fair_ticks = draw(st.sampled_from([0.5 * (bid + ask), float(bid), bid + 0.7 * (ask - bid)]))
    return params, inputs, priced(inputs, model_of(params, volatility, params.maker_fee_pct), fair_ticks)


# -- Prices of a plan ---------------------------------------------------------------------------------


def test_flat_quotes_stand_evenly_around_the_mid():
    quotes = plan(min_spread_pct=0.1)

    assert quotes.reservation_price == 100.0
    assert quotes.bid == Quote(9995, 100, room_lots=1000)
    assert quotes.ask == Quote(10005, 100, room_lots=1000)


@pytest.mark.parametrize(("volatility", "half_ticks"), [(0.0, 5), (0.5, 5), (0.6, 6), (0.75, 8), (9.0, 8)])
def test_volatility_widens_quotes_up_to_the_cap(volatility, half_ticks):
    quotes = plan(volatility_pct=volatility, min_spread_pct=0.1)

    assert (quotes.bid.price_ticks, quotes.ask.price_ticks) == (10000 - half_ticks, 10000 + half_ticks)


def test_edge_keeps_quotes_two_maker_fees_apart():
    quotes = plan(min_spread_pct=0.1, min_edge_bps=2.0)

    assert (quotes.bid.price_ticks, quotes.ask.price_ticks) == (9974, 10026)


@pytest.mark.parametrize(("position", "direction"), [(500, -1), (-500, 1)])
def test_reservation_price_moves_the_orders_only_when_switched_on(position, direction):
    off = plan(position, volatility_pct=5.0, gamma=1.0)
    on = plan(position, volatility_pct=5.0, gamma=1.0, use_reservation_price=True)

    assert off.reservation_price == 100.0
    assert on.reservation_price == pytest.approx(100.0 * (1 + direction * 0.125))
    assert (on.bid.price_ticks - off.bid.price_ticks) * direction >= 0
    assert (on.ask.price_ticks - off.ask.price_ticks) * direction >= 0
    assert on.bid.price_ticks != off.bid.price_ticks
    assert on.ask.price_ticks != off.ask.price_ticks


def test_q_is_the_position_as_a_share_of_the_cap():
    quotes = plan(500, volatility_pct=0.5, use_reservation_price=True)

    assert quotes.reservation_price == pytest.approx(99.9875, abs=1e-12)


def test_a_bid_below_one_tick_is_not_quoted():
    quotes = plan(1000, volatility_pct=200.0, gamma=1.0, use_reservation_price=True)

    assert quotes.bid is NotQuoting.BELOW_ONE_TICK
    assert quotes.ask.price_ticks == 10000


@pytest.mark.parametrize(("position", "expected"), [(0, 1), (1000, NotQuoting.BELOW_ONE_TICK)])
def test_one_tick_is_the_lowest_price(position, expected):
    market = replace(MARKET, best_bid_ticks=1, best_ask_ticks=2)

    bid = plan(position, market=market, volatility_pct=7.1, gamma=1.0, use_reservation_price=True).bid

    assert (bid.price_ticks if isinstance(bid, Quote) else bid) == expected


def test_no_cap_means_no_quotes_at_the_mid():
    quotes = plan(50, limits=SizeLimits(100, 0, 1), use_reservation_price=True)

    assert quotes.reservation_price == 100.0
    assert quotes.bid is NotQuoting.INVENTORY_CAP
    assert quotes.ask.size_lots == 50


@settings(max_examples=200)
@given(situation=situations())
def test_quotes_never_cross_and_are_as_wide_as_asked(situation):
    params, inputs, prices = situation
    quotes = plan_quotes(params, inputs, prices)
    bid, ask = quotes.bid, quotes.ask

    if isinstance(bid, Quote):
        assert 1 <= bid.price_ticks < inputs.best_ask_ticks
        assert bid.price_ticks * inputs.tick <= quotes.reservation_price + 1e-6 * inputs.tick
    if isinstance(ask, Quote):
        assert ask.price_ticks > inputs.best_bid_ticks
        assert ask.price_ticks * inputs.tick >= quotes.reservation_price - 1e-6 * inputs.tick
    if isinstance(bid, Quote) and isinstance(ask, Quote):
        width_pct = (
            100
            * (ask.price_ticks - bid.price_ticks)
            / (0.5 * (inputs.best_bid_ticks + inputs.best_ask_ticks))
        )
        assert bid.price_ticks < ask.price_ticks
        assert width_pct >= params.min_spread_pct - 1e-6
        if params.min_edge_bps is not None:
            assert width_pct >= 2 * params.maker_fee_pct + params.min_edge_bps / 100 - 1e-6


@settings(max_examples=150)
@given(situation=situations())
def test_bid_and_ask_are_mirror_images(situation):
    """Negating the position and reflecting the book swaps what is quoted in size."""
    params, inputs, _ = situation
    limits = replace(inputs.limits, min_notional_units=0.0)
    turned = replace(limits, target_lots=-limits.target_lots)
    there = replace(inputs, limits=limits, best_bid_ticks=100_000, best_ask_ticks=100_002)

    back = replace(there, limits=turned, position_lots=-there.position_lots)
    quotes = plan_quotes(params, there, priced(there, FLAT))
    mirrored = plan_quotes(params, back, priced(back, FLAT))

    assert sizes(quotes) == tuple(reversed(sizes(mirrored)))


@settings(max_examples=200)
@given(
    position=st.integers(-1500, 1500),
    gamma=st.floats(0.01, 1.0),
    volatility=st.floats(0.0, 3.0),
    fee=st.sampled_from([-0.02, 0.0, 0.1]),
    edge=st.sampled_from([None, 2.0]),
)
def test_the_simplified_model_is_v1_4s_reservation_price_and_leaves_the_width_alone(
    position, gamma, volatility, fee, edge
):
    params = SymbolParams(use_reservation_price=True, gamma=gamma, min_edge_bps=edge)
    model = model_of(params, volatility, fee)

    reservation = priced(replace(MARKET, position_lots=position), model).reservation_price

    assert reservation == pytest.approx(
        reservation_price(100.0, position, 1000, gamma, volatility), rel=1e-14
    )
    multiplier = volatility_multiplier(volatility, 0.5, 1.5)
    assert model.full_width_pct == full_width_pct(0.1, multiplier, fee, edge)


# -- Fair price and target ----------------------------------------------------------------------------


@pytest.mark.parametrize(("fair_ticks", "expected"), [(10000.0, (9995, 10005)), (10000.8, (9995, 10006))])
def test_quotes_stand_around_the_fair_price_and_are_as_wide_as_before(fair_ticks, expected):
    quotes = plan(fair_ticks=fair_ticks, min_spread_pct=0.1)

    assert quotes.reservation_price == pytest.approx(fair_ticks * 0.01)
    assert (quotes.bid.price_ticks, quotes.ask.price_ticks) == expected


@pytest.mark.parametrize(
    ("position", "target", "q"),
    [(0, 500, -0.5), (500, 500, 0.0), (1000, 500, 0.5), (1000, -500, 1.0), (-1000, 1000, -1.0)],
)
def test_the_reservation_price_leans_towards_the_target(position, target, q):
    limits = replace(LIMITS, target_lots=target)
    quotes = plan(position, limits=limits, use_reservation_price=True, skew_bps_at_max_inventory=20.0)

    assert quotes.reservation_price == pytest.approx(100.0 * (1 - q * 20 / 10_000), rel=1e-12)


@pytest.mark.parametrize(
    ("position", "target", "expected"),
    [
        (0, 500, (100, 75)),  # selling leads away from it
        (500, 500, (100, 100)),
        (700, 500, (90, 100)),
        (0, -500, (75, 100)),
        (1000, 500, (NotQuoting.INVENTORY_CAP, 100)),  # the cap stays around zero
        (-1000, 500, (100, NotQuoting.INVENTORY_CAP)),
    ],
)
def test_the_quote_that_leads_away_from_the_target_shrinks(position, target, expected):
    assert sizes(plan(position, limits=replace(LIMITS, target_lots=target), inventory_skew=0.5)) == expected


# -- Sizes of a plan ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "skew", "expected"),
    [
        (0, 0.5, (100, 100)),
        (1, 0.5, (99, 100)),  # 99.95 lots, rounded down
        (-1, 0.5, (100, 99)),
        (500, 0.5, (75, 100)),
        (-500, 0.5, (100, 75)),
        (500, 0.0, (100, 100)),
        (800, 1.0, (20, 100)),
        (900, 1.0, (10, 100)),
        (950, 1.0, (10, 100)),  # no less than a tenth
        (995, 0.5, (5, 100)),  # no more than the room left
        (1000, 0.5, (NotQuoting.INVENTORY_CAP, 100)),
        (1200, 0.5, (NotQuoting.INVENTORY_CAP, 100)),
        (-1000, 0.5, (100, NotQuoting.INVENTORY_CAP)),
    ],
)
def test_skew_shrinks_only_the_side_that_grows_the_position(position, skew, expected):
    assert sizes(plan(position, inventory_skew=skew)) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (SizeLimits(100, 1000, 100), 100),
        (SizeLimits(99, 1000, 100), NotQuoting.BELOW_MINIMUM_SIZE),
        (SizeLimits(0, 1000, 1), NotQuoting.BELOW_MINIMUM_SIZE),
        (SizeLimits(0, 1000, 0), NotQuoting.BELOW_MINIMUM_SIZE),
        (SizeLimits(100, 99, 100), NotQuoting.INVENTORY_CAP),
        (SizeLimits(100, 0, 0), NotQuoting.INVENTORY_CAP),
    ],
)
def test_a_side_below_the_minimum_says_which_limit_it_met(limits, expected):
    assert sizes(plan(limits=limits)) == (expected, expected)


def test_a_quote_that_skew_shrinks_below_the_minimum_is_not_sent():
    limits = SizeLimits(100, 1000, min_lots=80)

    assert sizes(plan(500, limits=limits)) == (NotQuoting.BELOW_MINIMUM_SIZE, 100)


@pytest.mark.parametrize(
    ("price_ticks", "units", "min_lots", "expected"),
    [
        (100, 0.0, 5, 5),
        (100, 1000.0, 5, 10),
        (100, 1001.0, 5, 11),
        (300, 1000.0, 1, 4),
        (100, 0.0, 0, 1),
        (1, 7.0, 1, 7),
    ],
)
def test_smallest_order_at_a_price_keeps_the_least_notional(price_ticks, units, min_lots, expected):
    assert SizeLimits(0, 0, min_lots, units).min_lots_at(price_ticks) == expected


@pytest.mark.parametrize(
    ("lots", "max_lots", "max_units", "pieces"),
    [
        (178, 120.0, math.inf, [120, 58]),
        (120, 120.0, math.inf, [120]),
        (125, 120.0, math.inf, [115, 10]),  # 10 lots are the smallest order
        (30, math.inf, 1250.0, [10, 10, 10]),  # not 12, 12, 6
        (19, 18.0, math.inf, [18, 1]),  # no division that leaves enough: the rest stays
        (7, math.inf, math.inf, [7]),
    ],
)
def test_what_is_above_the_largest_order_is_traded_in_pieces_that_leave_no_remainder(
    lots, max_lots, max_units, pieces
):
    limits = SizeLimits(0, 0, 10, max_lots=max_lots, max_notional_units=max_units)
    done = []
    while lots:
        done.append(limits.piece_of(lots, 100))
        lots -= done[-1]
    assert done == pieces


@given(st.integers(20, 10_000), st.integers(1, 10), st.integers(20, 500), st.integers(1, 300))
def test_every_piece_is_an_order_that_the_venue_takes(lots, min_lots, max_lots, price_ticks):
    limits = SizeLimits(0, 0, min_lots, max_lots=max_lots, max_notional_units=max_lots * 300.0)
    while lots:
        piece = limits.piece_of(lots, price_ticks)
        assert min_lots <= piece <= max_lots
        assert piece * price_ticks <= limits.max_notional_units
        lots -= piece


def test_least_notional_counts_at_the_quotes_own_price():
    # At 9995 ticks 100 lots are worth 999,500 units, at 10005 they are worth 1,000,500.
    limits = SizeLimits(100, 1000, 1, min_notional_units=1_000_000.0)

    assert sizes(plan(limits=limits, min_spread_pct=0.1)) == (NotQuoting.BELOW_MINIMUM_SIZE, 100)


@settings(max_examples=200)
@given(situation=situations())
def test_no_quote_can_take_the_position_beyond_its_cap(situation):
    params, inputs, prices = situation
    quotes, limits = plan_quotes(params, inputs, prices), inputs.limits

    for quote, sign in ((quotes.bid, 1), (quotes.ask, -1)):
        if isinstance(quote, Quote):
            assert sign * inputs.position_lots + quote.size_lots <= limits.cap_lots
            assert quote.size_lots <= quote.room_lots
            assert limits.min_lots_at(quote.price_ticks) <= quote.size_lots <= limits.full_lots


@settings(max_examples=100)
@given(
    skew=st.floats(0, 1),
    full=st.integers(1, 10_000),
    cap=st.integers(1, 20_000),
    positions=st.lists(st.integers(0, 20_000), min_size=2, max_size=6),
)
def test_the_growing_side_shrinks_monotonically_and_the_other_stays(skew, full, cap, positions):
    limits = SizeLimits(full, cap, 1)
    held = sorted(min(position, cap) for position in positions)
    plans = [plan(position, limits=limits, inventory_skew=skew) for position in held]

    growing = [quotes.bid.size_lots if isinstance(quotes.bid, Quote) else 0 for quotes in plans]

    assert all(after <= before for before, after in pairwise(growing))
    for position, quotes in zip(held, plans, strict=True):
        assert quotes.ask.size_lots == min(full, cap + position)
        exact = Decimal(full) * max(1 - Decimal(position) / cap * Decimal(skew), Decimal("0.1"))
        if isinstance(quotes.bid, Quote):
            assert quotes.bid.size_lots <= min(exact, cap - position) + Decimal("1e-6")
            assert quotes.bid.size_lots > min(exact, cap - position) - 1


# -- v1.4.0's signal ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imbalance", "flow", "position", "expected"),
    [
        (0.11, 0.16, 0, (True, False)),
        (0.10, 0.16, 0, (False, False)),  # at a threshold is not beyond it
        (0.11, 0.15, 0, (False, False)),
        (-0.11, -0.16, 0, (False, True)),
        (-0.10, -0.16, 0, (False, False)),
        (-0.11, -0.15, 0, (False, False)),
        (0.11, -0.16, 0, (False, False)),
        (-0.11, 0.16, 0, (False, False)),
        (-0.21, 0.0, 5, (False, True)),  # long: the ask reduces
        (-0.20, 0.0, 5, (False, False)),
        (0.21, 0.0, 5, (False, False)),
        (0.21, 0.0, -5, (True, False)),  # short: the bid reduces
        (0.20, 0.0, -5, (False, False)),
        (-0.21, 0.0, -5, (False, False)),
        (-0.21, 0.0, 0, (False, False)),
    ],
)
def test_signal_rule(imbalance, flow, position, expected):
    assert signal_sides(SymbolParams(), imbalance, flow, position) == expected


@pytest.mark.parametrize(("imbalance", "expected"), [(0.11, (True, False)), (-0.11, (False, True))])
def test_signal_needs_no_trade_flow_where_that_is_off(imbalance, expected):
    assert signal_sides(SymbolParams(use_trade_flow=False), imbalance, 0.0, 0) == expected


@settings(max_examples=100)
@given(
    imbalance=st.floats(-1, 1),
    flow=st.floats(-1, 1),
    position=st.integers(-3, 3),
    use_flow=st.booleans(),
)
def test_signal_mirrors_and_never_opens_both_sides(imbalance, flow, position, use_flow):
    params = SymbolParams(use_trade_flow=use_flow)

    buy, sell = signal_sides(params, imbalance, flow, position)

    assert not (buy and sell)
    assert signal_sides(params, -imbalance, -flow, -position) == (sell, buy)


# -- Actions ------------------------------------------------------------------------------------------


def decide(working, target, *, tolerance_ticks=2.0, size_tolerance=0.5, may_amend=True):
    return decide_action(
        working, target, tolerance_ticks=tolerance_ticks, size_tolerance=size_tolerance, may_amend=may_amend
    )


WANTED = Quote(100, 10, room_lots=50)


@pytest.mark.parametrize(
    ("working", "target", "action"),
    [
        (None, NotQuoting.COOLDOWN, OrderAction.NOTHING),
        (None, WANTED, OrderAction.PLACE),
        (Quote(100, 10), NotQuoting.STALE_BOOK, OrderAction.CANCEL),
        (Quote(100, 10), WANTED, OrderAction.NOTHING),
        (Quote(98, 10), WANTED, OrderAction.NOTHING),  # within the price tolerance, on either side
        (Quote(102, 10), WANTED, OrderAction.NOTHING),
        (Quote(97, 10), WANTED, OrderAction.AMEND),
        (Quote(103, 10), WANTED, OrderAction.AMEND),
        (Quote(100, 5), WANTED, OrderAction.NOTHING),  # within the size tolerance, on either side
        (Quote(100, 15), WANTED, OrderAction.NOTHING),
        (Quote(100, 16), WANTED, OrderAction.AMEND),
        (Quote(100, 4), WANTED, OrderAction.CANCEL),  # growing in place would jump the queue
        (Quote(101, 4), WANTED, OrderAction.AMEND),
        (Quote(100, 12), Quote(100, 10, room_lots=11), OrderAction.AMEND),  # above the cap's room
    ],
)
def test_action_with_the_fewest_commands(working, target, action):
    assert decide(working, target) is action


@pytest.mark.parametrize("working", [Quote(97, 10), Quote(100, 16), Quote(101, 4)])
def test_where_amends_are_not_allowed_orders_are_replaced(working):
    assert decide(working, WANTED, may_amend=False) is OrderAction.CANCEL


@settings(max_examples=200)
@given(
    working=st.one_of(st.none(), st.builds(Quote, st.integers(1, 40), st.integers(1, 40))),
    target=st.one_of(
        st.sampled_from(NotQuoting),
        st.builds(Quote, st.integers(1, 40), st.integers(1, 40), st.integers(1, 60)),
    ),
    tolerance=st.floats(0, 10),
    size_tolerance=st.floats(0, 1),
    may_amend=st.booleans(),
)
def test_an_order_is_placed_only_without_another_and_kept_only_when_right(
    working, target, tolerance, size_tolerance, may_amend
):
    action = decide(
        working, target, tolerance_ticks=tolerance, size_tolerance=size_tolerance, may_amend=may_amend
    )

    assert (action is OrderAction.PLACE) == (working is None and isinstance(target, Quote))
    assert may_amend or action is not OrderAction.AMEND
    if working is not None and action is OrderAction.NOTHING:
        assert isinstance(target, Quote)
        assert abs(working.price_ticks - target.price_ticks) <= tolerance
        assert size_is_right(working, target, size_tolerance)
        assert working.size_lots <= target.room_lots


def test_a_size_above_the_room_is_never_right():
    assert size_is_right(Quote(100, 12), Quote(100, 10, room_lots=12), 0.5)
    assert not size_is_right(Quote(100, 12), Quote(100, 10, room_lots=11), 0.5)
