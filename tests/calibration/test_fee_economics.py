"""What a maker fee leaves of a market's spread and order flow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.calibration.fee_economics import LEAST_FILLS_PER_HOUR, best_half_width_bps, fee_figures
from mm_nautilus.calibration.figures import IntensityFit

fees = st.floats(-20, 50)
kappas = st.floats(0.01, 20)


def intensity(a=0.5, kappa=1.0, fitted_to=3.0):
    return IntensityFit(
        a_per_second=a,
        a_standard_error=0.0,
        kappa_per_bps=kappa,
        kappa_standard_error=0.0,
        r_squared=1.0,
        chi_squared_per_degree=None,
        fitted_from_bps=0.0,
        fitted_to_bps=fitted_to,
        arrivals=100,
        points=[],
    )


def test_golden_figures():
    figures = fee_figures(0.5, intensity(a=0.5, kappa=2.0), 3.0)
    assert figures.maker_fee_bps == 0.5
    assert figures.edge_at_touch_bps == 1.0
    assert figures.best_half_width_bps == 1.0
    assert figures.best_fills_per_hour == pytest.approx(3600 * 0.5 * math.exp(-2))
    assert figures.best_bps_per_hour == pytest.approx(0.5 * 3600 * 0.5 * math.exp(-2))


def test_a_market_of_binance_cannot_pay_ten_bps():
    figures = fee_figures(10.0, intensity(a=0.4, kappa=1.0), 0.04)
    assert figures.best_fills_per_hour == pytest.approx(3600 * 0.4 * math.exp(-11))
    assert not figures.pays
    assert figures.verdict == (
        "a fill at the touch earns 0.02 bps before a fee of 10 bps, and market orders reach the best distance, "
        "11 bps from the mid, 211 times a year on each side, extrapolated beyond the 3 bps that were fitted: this "
        "market's spread and intensity cannot pay the maker fee"
    )


def test_a_wide_spread_pays_however_rarely_it_is_hit():
    figures = fee_figures(2.0, intensity(a=1e-5, kappa=1.0, fitted_to=4.0), 6.0)
    assert figures.best_fills_per_hour < LEAST_FILLS_PER_HOUR
    assert figures.pays
    assert figures.verdict.startswith(
        "a fill at the touch earns 3 bps before a fee of 2 bps, and market orders"
    )
    assert "extrapolated" not in figures.verdict
    assert figures.verdict.endswith("can pay the maker fee, before adverse moves")


def test_deep_order_flow_pays_beyond_a_narrow_touch():
    figures = fee_figures(2.0, intensity(a=1.0, kappa=0.5, fitted_to=8.0), 0.1)
    assert figures.edge_at_touch_bps < 0
    assert figures.best_fills_per_hour >= LEAST_FILLS_PER_HOUR
    assert figures.pays


@pytest.mark.parametrize(
    ("fee", "words"),
    [
        (0.0, "bps without a fee, "),
        (-0.5, "plus a rebate of 0.5 bps, "),
        (0.25, "before a fee of 0.25 bps, "),
    ],
)
def test_the_verdict_names_the_fee(fee, words):
    assert words in fee_figures(fee, intensity(), 1.0).verdict


@pytest.mark.parametrize(
    ("fills_per_hour", "words"),
    [
        (1234.0, "1,234 times an hour"),
        (2.5, "2.5 times an hour"),
        (0.5, "12 times a day"),
        (0.01, "88 times a year"),
        (1e-6, "less than once a year"),
    ],
)
def test_the_verdict_says_how_often_in_units_one_can_picture(fills_per_hour, words):
    a = fills_per_hour / 3600 * math.e
    assert f", {words} on each side" in fee_figures(0.0, intensity(a=a, kappa=1.0), 1.0).verdict


def test_a_rebate_beyond_the_reach_of_orders_asks_for_quotes_at_the_mid():
    assert best_half_width_bps(-5.0, 1.0) == 0.0
    assert fee_figures(-5.0, intensity(), 1.0).best_bps_per_hour == pytest.approx(5.0 * 0.5 * 3600)


@given(fees, kappas, st.floats(0, 100))
def test_no_other_distance_earns_more(fee, kappa, other):
    def earned(distance):
        return (distance - fee) * math.exp(-kappa * distance)

    best = earned(best_half_width_bps(fee, kappa))
    assert best >= earned(other) - 1e-9 * (1 + abs(best))


@given(st.floats(0, 30), st.floats(0.001, 5), kappas, st.floats(0.01, 20))
def test_a_higher_fee_never_earns_more(fee, more, kappa, spread):
    low, high = (fee_figures(value, intensity(kappa=kappa), spread) for value in (fee, fee + more))
    assert high.best_bps_per_hour <= low.best_bps_per_hour * (1 + 1e-12)
    assert high.edge_at_touch_bps < low.edge_at_touch_bps
    assert low.pays or not high.pays


@pytest.mark.parametrize("kappa", [0.0, -1.0, math.inf, math.nan])
def test_a_kappa_that_is_no_decay_is_refused(kappa):
    with pytest.raises(ValueError, match="kappa_per_bps must be positive and finite, was"):
        best_half_width_bps(1.0, kappa)


@pytest.mark.parametrize("fee", [math.inf, math.nan])
def test_a_fee_that_is_no_number_is_refused(fee):
    with pytest.raises(ValueError, match="maker_fee_bps must be finite, was"):
        fee_figures(fee, intensity(), 1.0)


@pytest.mark.parametrize("spread", [0.0, -1.0, math.inf, math.nan])
def test_a_spread_that_is_none_is_refused(spread):
    with pytest.raises(ValueError, match="median_spread_bps must be positive and finite, was"):
        fee_figures(1.0, intensity(), spread)
