import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.pricing.models import (
    full_width_pct,
    normalised_inventory,
    quote_ticks,
    reservation_price,
    volatility_multiplier,
)

amounts = st.floats(-1e6, 1e6, allow_nan=False)
caps = st.floats(0.01, 1e6)
gammas = st.floats(0.01, 1.0)
volatilities = st.floats(0.0, 5.0)


def quotes_around(reservation, full_width, best_bid_ticks, best_ask_ticks, tick):
    half_width = 0.5 * full_width
    return quote_ticks(
        reservation - half_width, reservation + half_width, best_bid_ticks, best_ask_ticks, tick
    )


# -- Inventory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inventory", "cap", "q"),
    [
        (50, 100, 0.5),
        (-25, 100, -0.25),
        (0, 100, 0.0),
        (250, 100, 1.0),
        (-250, 100, -1.0),
        (50, 0, 0.0),
        (50, -100, 0.0),
        (math.inf, 100, 1.0),
    ],
)
def test_inventory_is_a_share_of_its_cap_between_minus_one_and_one(inventory, cap, q):
    assert normalised_inventory(inventory, cap) == q


# -- Reservation price --------------------------------------------------------------------------------


def test_golden_reservation_price():
    assert reservation_price(100.0, 50.0, 100.0, 0.1, 0.5) == 99.9875
    assert reservation_price(100.0, -50.0, 100.0, 0.1, 0.5) == pytest.approx(100.0125, abs=1e-12)


@pytest.mark.parametrize(
    ("inventory", "cap", "volatility"), [(0, 100, 0.5), (50, 0, 0.5), (50, -1, 0.5), (50, 100, 0.0)]
)
def test_reservation_price_is_the_mid_without_inventory_cap_or_volatility(inventory, cap, volatility):
    assert reservation_price(2.35, inventory, cap, 0.1, volatility) == 2.35


def test_shift_at_real_one_minute_volatility_is_a_small_part_of_a_basis_point():
    shifts_bps = [
        (100.0 - reservation_price(100.0, 1, 1, 0.1, volatility)) * 100 for volatility in (0.06, 0.12)
    ]

    assert shifts_bps == pytest.approx([0.036, 0.144], rel=1e-6)


def test_inventory_beyond_the_cap_counts_as_full():
    full = reservation_price(100.0, 100.0, 100.0, 0.1, 0.5)

    assert full < 100.0
    assert reservation_price(100.0, 1e9, 100.0, 0.1, 0.5) == full


@settings(max_examples=150)
@given(first=amounts, second=amounts, cap=caps, gamma=gammas, volatility=volatilities)
def test_reservation_price_falls_as_inventory_grows(first, second, cap, gamma, volatility):
    low, high = sorted((first, second))

    prices = [reservation_price(100.0, inventory, cap, gamma, volatility) for inventory in (low, high)]

    assert prices[0] >= prices[1]


@settings(max_examples=150)
@given(inventory=amounts, cap=caps, gamma=gammas, volatility=volatilities)
def test_long_and_short_shift_the_price_equally_and_against_the_inventory(inventory, cap, gamma, volatility):
    mid = 100.0

    long_price = reservation_price(mid, abs(inventory), cap, gamma, volatility)
    short_price = reservation_price(mid, -abs(inventory), cap, gamma, volatility)

    assert mid - long_price == pytest.approx(short_price - mid, abs=1e-9)
    assert long_price <= mid <= short_price


@settings(max_examples=100)
@given(gamma=gammas, factor=st.floats(1.0, 5.0), volatility=volatilities)
def test_more_risk_aversion_or_volatility_shifts_more(gamma, factor, volatility):
    shift = 100.0 - reservation_price(100.0, 1, 2, gamma, volatility)

    assert 100.0 - reservation_price(100.0, 1, 2, gamma * factor, volatility) >= shift - 1e-9
    assert 100.0 - reservation_price(100.0, 1, 2, gamma, volatility * factor) >= shift - 1e-9


# -- Width --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volatility", "base", "cap", "factor"),
    [
        (0.0, 0.5, 1.5, 1.0),
        (0.25, 0.5, 1.5, 1.0),
        (0.5, 0.5, 1.5, 1.0),
        (0.6, 0.5, 1.5, 1.2),
        (0.75, 0.5, 1.5, 1.5),
        (50.0, 0.5, 1.5, 1.5),
        (50.0, 0.5, 1.0, 1.0),
        (1e300, 5e-324, 2.0, 2.0),
    ],
)
def test_volatility_multiplier_is_clamped(volatility, base, cap, factor):
    assert volatility_multiplier(volatility, base, cap) == pytest.approx(factor)


@settings(max_examples=100)
@given(first=volatilities, second=volatilities, base=st.floats(0.01, 5), cap=st.floats(1, 10))
def test_volatility_multiplier_never_falls_with_volatility_nor_leaves_its_range(first, second, base, cap):
    low, high = (volatility_multiplier(value, base, cap) for value in sorted((first, second)))

    assert 1.0 <= low <= high <= cap


@pytest.mark.parametrize(
    ("min_spread", "multiplier", "fee", "edge", "width"),
    [
        (0.05, 1.0, 0.25, None, 0.05),  # without an edge fees do not count, as in v1.4.0
        (0.05, 1.5, 0.25, None, 0.075),
        (0.05, 1.0, 0.02, 0.0, 0.05),  # two fees are 0.04 %: the width pays them
        (0.05, 1.0, 0.02, 2.0, 0.06),  # 2 bps of edge are 0.02 %
        (0.05, 1.0, 0.25, 0.0, 0.5),
        (0.05, 1.0, 0.25, 3.0, 0.53),
        (0.05, 1.0, -0.01, 1.0, 0.05),  # a rebate cannot narrow below min_spread
        (0.01, 1.0, -0.01, 4.0, 0.02),  # but it pays for a part of the edge
    ],
)
def test_width_covers_the_minimum_and_with_an_edge_the_fees(min_spread, multiplier, fee, edge, width):
    assert full_width_pct(min_spread, multiplier, fee, edge) == pytest.approx(width)


# -- Ticks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reservation", "width", "expected"),
    [
        (100.0, 0.02, (9999, 10001)),  # exactly on ticks: not moved
        (100.0, 0.021, (9998, 10002)),  # off ticks: away from the mid
        (100.005, 0.02, (9999, 10002)),
        (99.97, 0.02, (9996, 10000)),  # shifted down: the ask stops one tick above the best bid
        (100.03, 0.02, (10000, 10004)),  # shifted up: the bid stops one tick below the best ask
        (-50.0, 0.02, (-5001, 10000)),
    ],
)
def test_quotes_round_away_from_the_mid_and_stop_at_the_touch(reservation, width, expected):
    assert quotes_around(reservation, width, best_bid_ticks=9999, best_ask_ticks=10001, tick=0.01) == expected


def test_a_width_of_nothing_on_a_tick_still_keeps_bid_below_ask():
    assert quotes_around(1.0, 0.0, best_bid_ticks=98, best_ask_ticks=102, tick=0.01) == (99, 101)


def test_a_market_one_tick_above_zero():
    assert quotes_around(0.015, 0.0001, best_bid_ticks=1, best_ask_ticks=2, tick=0.01) == (1, 2)


@settings(max_examples=200)
@given(
    bid=st.integers(1, 10**7),
    spread=st.integers(1, 1000),
    shift=st.floats(-0.5, 0.5),
    width=st.floats(0.0, 0.05),
    tick=st.sampled_from([1e-8, 1e-5, 0.01, 0.1, 5.0]),
)
def test_quotes_never_cross_the_book_or_each_other_and_are_never_narrower(bid, spread, shift, width, tick):
    ask = bid + spread
    mid = 0.5 * (bid + ask) * tick

    our_bid, our_ask = quotes_around(mid * (1 + shift), mid * width, bid, ask, tick)

    assert our_bid <= ask - 1
    assert our_ask >= bid + 1
    assert our_bid < our_ask
    assert (our_ask - our_bid) * tick >= mid * width * (1 - 1e-12) - 1e-8 * tick


@settings(max_examples=200)
@given(
    bid=st.integers(1000, 4 * 10**6),
    spread=st.integers(1, 40),
    width_pct=st.sampled_from(["0.03", "0.05", "0.1", "0.2", "1"]),
    tick=st.sampled_from(["0.00000001", "0.00001", "0.01", "0.1"]),
)
def test_ticks_agree_with_exact_arithmetic(bid, spread, width_pct, tick):
    ask = bid + spread
    mid, half = Fraction(2 * bid + spread, 2), Fraction(2 * bid + spread, 4) * Fraction(width_pct) / 100
    exact = (min(math.floor(mid - half), ask - 1), max(math.ceil(mid + half), bid + 1))
    mid_price = 0.5 * (bid + ask) * float(tick)

    assert quotes_around(mid_price, mid_price * float(width_pct) / 100, bid, ask, float(tick)) == exact


@pytest.mark.parametrize("mid_ticks", [2_000_000, 9_000_000, 40_000_000, 200_000_000])
def test_prices_of_many_ticks_stay_on_the_tick_they_are_on(mid_ticks):
    mid = 0.5 * (2 * mid_ticks) * 0.01

    bid, ask = quotes_around(mid, mid * 0.1 / 100, mid_ticks - 1, mid_ticks + 1, 0.01)

    assert (bid, ask) == (mid_ticks - mid_ticks // 2000, mid_ticks + mid_ticks // 2000)
