import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.calibration.figures import MicropriceFigures
from mm_nautilus.pricing.fair_price import fair_price_ticks, touch_imbalance, weighted_mid

TABLE = MicropriceFigures(
    imbalance_buckets=4,
    spread_ticks=[1, 4],
    adjustment_ticks=[[-0.4, -0.1, 0.1, 0.4], [-1.5, -0.5, 0.5, 1.5]],
    observations=[[9] * 4, [9] * 4],
)
sizes = st.integers(0, 10**12)


def test_the_weighted_mid_is_each_price_by_the_others_size():
    assert weighted_mid(100.0, 102.0, 300.0, 100.0) == pytest.approx((100 * 100 + 102 * 300) / 400)
    assert weighted_mid(100.0, 102.0, 100.0, 300.0) == pytest.approx(100.5)
    assert weighted_mid(100.0, 102.0, 5.0, 5.0) == 101.0
    assert weighted_mid(100.0, 102.0, 0.0, 0.0) == 101.0


@given(bid=st.integers(1, 10**9), spread=st.integers(1, 10**4), bid_size=sizes, ask_size=sizes)
def test_the_weighted_mid_lies_within_the_touch_on_the_light_side(bid, spread, bid_size, ask_size):
    fair, mid = weighted_mid(bid, bid + spread, bid_size, ask_size), bid + spread / 2
    assert bid <= fair <= bid + spread
    assert (fair - mid) * (bid_size - ask_size) >= 0
    assert 0 <= touch_imbalance(bid_size, ask_size) <= 1


@pytest.mark.parametrize(
    ("kind", "expected"), [("mid", 101.0), ("weighted_mid", 101.6), ("microprice", 101.4)]
)
def test_a_heavy_bid_raises_all_but_the_mid(kind, expected):
    assert fair_price_ticks(kind, 100, 102, (800, 200), TABLE) == pytest.approx(expected)
    assert fair_price_ticks(kind, 100, 102, (200, 800), TABLE) == pytest.approx(202 - expected)


@pytest.mark.parametrize(("spread", "expected"), [(1, 0.1), (3, 0.1), (4, 0.5), (400, 0.5)])
def test_the_microprice_takes_its_states_row(spread, expected):
    fair = fair_price_ticks("microprice", 100, 100 + spread, (600, 400), TABLE)
    assert fair == pytest.approx(100 + spread / 2 + expected)


def test_the_microprice_needs_its_table():
    with pytest.raises(ValueError, match="microprice needs its table"):
        fair_price_ticks("microprice", 100, 101, (1, 1), None)
