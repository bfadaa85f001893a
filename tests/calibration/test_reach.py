"""Fills counted on market orders of which all is known, and the width chosen by them."""

import numpy as np
import pytest

from mm_nautilus.calibration.intensity import MarketOrders
from mm_nautilus.calibration.reach import TakerReach, choose_width
from mm_nautilus.calibration.touches import TouchSeries

SECOND = 1_000_000_000
MID = 100_000
"""Ticks: one is a tenth of a bp."""


def reached(*ticks: float, every_seconds: float = 10.0, half_spread: int = 5) -> TakerReach:
    """Return market orders at these distances from the mid, positive for buyers, over an hour."""
    touches = TouchSeries(
        np.array([0]),
        np.array([MID - half_spread]),
        np.array([MID + half_spread]),
        np.array([1]),
        np.array([1]),
        3600 * SECOND,
    )
    away = np.array(ticks)
    times = (np.arange(1, len(ticks) + 1) * every_seconds * SECOND).astype(np.int64)
    return TakerReach(MarketOrders(times, away > 0, np.abs(away) / 10), touches)


def width(half_ticks: float) -> float:
    """Return the full width, % of mid, of quotes that far from the mid."""
    return 2 * half_ticks / 1000


def test_a_quote_is_filled_by_what_goes_beyond_it() -> None:
    reach = reached(20, -21, 19, -30)
    assert [reach.fills_per_hour(width(ticks), 1.0) for ticks in (18, 19, 20, 21, 29, 30)] == [
        4,
        3,
        2,
        1,
        1,
        0,
    ]


def test_prices_are_rounded_away_from_the_mid_and_never_cross() -> None:
    assert reached(20).fills_per_hour(width(18.5), 1.0) == 1
    assert reached(20).fills_per_hour(width(19.5), 1.0) == 0
    assert reached(5, -5).fills_per_hour(width(0.0), 1.0) == 2  # quotes inside the spread come first


def test_a_side_rests_after_a_fill_and_the_other_does_not() -> None:
    reach = reached(20, 20, -20, 20, 20, every_seconds=2.0)
    assert reach.fills_per_hour(width(10), 5.0) == 3  # buyers at 2 and 8 s, a seller at 6 s
    assert reach.fills_per_hour(width(10), 2.0) == 5  # a pause that ends as the next order comes


def test_the_width_that_earns_most_is_chosen_where_one_pays() -> None:
    """Half of the orders go to 20 ticks, the others to 100: 19 ticks times 300 is less than 99 times 150."""
    reach = reached(*[20, 100] * 150)
    free = choose_width(reach, 0.0, 1.0)
    assert (free.pays, free.paying_width_pct) == (True, 0.0)
    assert 90 <= 10 * free.kept_bps <= 100
    assert free.fills_per_hour == 150
    assert choose_width(reached(*[20, 30] * 150), 0.0, 1.0).fills_per_hour == 300


def test_a_fee_is_covered_or_the_loss_is_told() -> None:
    reach = reached(*[20, -100] * 100)
    paid = choose_width(reach, 0.05, 1.0)
    assert paid.pays
    assert paid.kept_bps == pytest.approx(50 * paid.width_pct - 5)
    lost = choose_width(reach, 0.2, 1.0)
    assert (lost.pays, lost.paying_width_pct, lost.paying_fills_per_hour) == (False, 0.4, 0)
    assert lost.fills_per_hour == 100
    assert lost.width_pct == pytest.approx(width(98), rel=0.1)
    assert -20 < lost.kept_bps < -9


def test_a_rebate_pays_at_any_width() -> None:
    rebate = choose_width(reached(*[6, -6] * 100), -0.01, 1.0)
    assert rebate.paying_width_pct == 0
    assert rebate.kept_bps > 1


def test_a_width_that_one_order_reached_is_not_expected_to_trade() -> None:
    """In a quiet market half of what trades at all has to do."""
    busy = choose_width(reached(*[20] * 100, 900), 0.0, 1.0)
    assert busy.width_pct < width(20)
    quiet = choose_width(reached(20, -20, 20, -90, half_spread=5), 0.0, 1.0)
    assert quiet.fills_per_hour == 4


def test_where_nothing_goes_beyond_the_touch_quotes_stand_there() -> None:
    coarse = choose_width(reached(1, -1, 1, half_spread=1), 0.1, 1.0)
    assert coarse.fills_per_hour == 0
    assert coarse.width_pct <= width(1)
