"""The calibrated quoting models against golden figures, exact arithmetic, their own control problem and each other."""

import math
import re
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.pricing.models import (
    avellaneda_stoikov_gamma,
    avellaneda_stoikov_quotes,
    avellaneda_stoikov_skew,
    avellaneda_stoikov_width,
    glft_gamma,
    glft_half_width,
    glft_quotes,
    glft_skew,
    reservation_price,
)


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


gammas = log_uniform(1e-4, 10)
sigmas = log_uniform(1e-3, 50)
kappas = log_uniform(1e-2, 100)
intensities = log_uniform(1e-2, 1000)
times = log_uniform(1e-3, 100)
inventories = st.floats(-20, 20)
mids = st.floats(1, 1e5)
fee_logs = st.floats(-3, 6)
"""kappa * fee: what matters of a fee is how it compares with 1 / kappa."""

MODELS = {"avellaneda_stoikov": avellaneda_stoikov_quotes, "glft": glft_quotes}
both_models = pytest.mark.parametrize("quotes", MODELS.values(), ids=MODELS)

GOLDEN = {
    "gamma": 0.05,
    "sigma": 10.69,
    "kappa": 0.04235741115084049,
    "intensity": 2.986162360812285,
}
PAPER = {"gamma": 0.1, "sigma": 2.0, "kappa": 1.5}


# -- Golden figures ---------------------------------------------------------------------------------------


def test_golden_glft_half_width_and_skew():
    assert glft_half_width(**GOLDEN) == pytest.approx(20.47208533844371, abs=1e-9)
    assert glft_skew(**GOLDEN) == pytest.approx(9.76326865029227, abs=1e-9)


@pytest.mark.parametrize("q", [-3.0, 0.0, 1.0, 2.5])
def test_golden_glft_quotes(q: float):
    bid, ask = glft_quotes(1000.0, q, **GOLDEN)

    assert bid == pytest.approx(1000.0 - q * 9.76326865029227 - 20.47208533844371, abs=1e-9)
    assert ask == pytest.approx(1000.0 - q * 9.76326865029227 + 20.47208533844371, abs=1e-9)


def test_golden_glft_full_width():
    bid, ask = glft_quotes(100.0, 0.0, gamma=0.01, sigma=0.3, kappa=0.3, intensity=0.9)

    assert ask - bid == pytest.approx(6.6258, abs=5e-5)


def test_golden_avellaneda_stoikov_quotes():
    """Worked by hand: skew 0.1 * 4 * 0.5 = 0.2, width 0.2 + 20 * ln(16/15), reservation 100 - 3 * 0.2."""
    bid, ask = avellaneda_stoikov_quotes(100.0, 3.0, **PAPER, time_left=0.5)

    half = 0.1 + 10 * math.log(16 / 15)
    assert bid == pytest.approx(99.4 - half, abs=1e-12)
    assert ask == pytest.approx(99.4 + half, abs=1e-12)


def test_inventory_counts_from_its_target():
    assert avellaneda_stoikov_quotes(100.0, 3.0, **PAPER, time_left=1.0, target=1.0) == (
        avellaneda_stoikov_quotes(100.0, 2.0, **PAPER, time_left=1.0)
    )
    assert glft_quotes(1000.0, 3.0, **GOLDEN, target=1.0) == glft_quotes(1000.0, 2.0, **GOLDEN)


# -- Exact arithmetic -------------------------------------------------------------------------------------


def exact_arrival_distance(gamma: Decimal, kappa: Decimal) -> Decimal:
    return (1 + gamma / kappa).ln() / gamma


def exact_avellaneda_stoikov_width(gamma: float, sigma: float, kappa: float, time_left: float) -> Decimal:
    with localcontext(prec=80):
        aversion, decay = Decimal(gamma), Decimal(kappa)
        risk = aversion * Decimal(sigma) ** 2 * Decimal(time_left)
        return risk + 2 * exact_arrival_distance(aversion, decay)


def exact_glft(
    gamma: float, sigma: float, kappa: float, intensity: float, fee: float
) -> tuple[Decimal, Decimal]:
    """Return half width and skew as the paper writes them, in 80 digits."""
    with localcontext(prec=80):
        aversion, decay = Decimal(gamma), Decimal(kappa)
        rate = Decimal(intensity) * (-decay * Decimal(fee)).exp()
        growth = ((1 + aversion / decay).ln() * (1 + decay / aversion)).exp()
        skew = (Decimal(sigma) ** 2 * aversion / (2 * decay * rate) * growth).sqrt()
        return Decimal(fee) + exact_arrival_distance(aversion, decay) + skew / 2, skew


@settings(max_examples=150)
@given(gamma=log_uniform(1e-30, 1e6), sigma=sigmas, kappa=log_uniform(1e-6, 1e30), time=times)
def test_avellaneda_stoikov_width_is_accurate_at_any_scale(
    gamma: float, sigma: float, kappa: float, time: float
):
    exact = float(exact_avellaneda_stoikov_width(gamma, sigma, kappa, time))

    assert avellaneda_stoikov_width(gamma, sigma, kappa, time) == pytest.approx(exact, rel=1e-13)


@settings(max_examples=150)
@given(
    gamma=log_uniform(1e-30, 1e6),
    sigma=sigmas,
    kappa=log_uniform(1e-6, 1e30),
    intensity=intensities,
    fee_log=st.floats(0, 50),
)
def test_glft_is_accurate_at_any_scale(
    gamma: float, sigma: float, kappa: float, intensity: float, fee_log: float
):
    fee = fee_log / kappa
    half_width, skew = exact_glft(gamma, sigma, kappa, intensity, fee)

    assert glft_half_width(gamma, sigma, kappa, intensity, fee=fee) == pytest.approx(
        float(half_width), rel=1e-12
    )
    assert glft_skew(gamma, sigma, kappa, intensity, fee=fee) == pytest.approx(float(skew), rel=1e-12)


# -- The control problem itself ---------------------------------------------------------------------------


def solved_distances(
    gamma: float, sigma: float, kappa: float, intensity: float, fee: float, cap: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the problem that GLFT approximates and return its bid and ask distances for q in -cap + 1 .. cap - 1.

    With the value ``-exp(-gamma * (cash + q * s + theta(q)))`` far from the end, the dynamic programming equation is
    ``theta' = -gamma * sigma^2 * q^2 / 2 + sum over sides of max over d of A * exp(-kappa * d) *
    (1 - exp(-gamma * (d - fee + theta(q +- 1) - theta(q)))) / gamma``; the fee is paid at each fill. The largest term
    is at ``d = fee + theta(q) - theta(q +- 1) + ln(1 + gamma / kappa) / gamma`` and is
    ``A * exp(-kappa * d) / (kappa + gamma)``. Explicit steps in time go on until the differences of theta stand.
    """
    q = np.arange(-cap, cap + 1)
    theta = np.zeros(q.size)
    reach = math.log(1 + gamma / kappa) / gamma + fee
    step = 0.2 * (kappa + gamma) / (kappa * intensity)
    for _ in range(100_000):
        distance_bid = reach + theta[:-1] - theta[1:]  # from q to q + 1
        distance_ask = reach + theta[1:] - theta[:-1]  # from q + 1 to q
        change = -0.5 * gamma * sigma**2 * q**2
        change[:-1] += intensity * np.exp(-kappa * distance_bid) / (kappa + gamma)
        change[1:] += intensity * np.exp(-kappa * distance_ask) / (kappa + gamma)
        theta += step * change
        if np.ptp(change) < 1e-9 * intensity / (kappa + gamma):
            return distance_bid[1:], distance_ask[:-1]
    raise AssertionError("the differences of theta did not settle")


@pytest.mark.parametrize("fee", [0.0, 2.0, 5.0, -1.0])
def test_closed_form_is_close_to_the_solved_problem_with_the_fee_paid_at_each_fill(fee: float):
    market = {"gamma": 0.01, "sigma": 0.3, "kappa": 0.3, "intensity": 0.9}
    cap = 30
    bids, asks = solved_distances(**market, fee=fee, cap=cap)
    q = np.arange(1 - cap, cap)
    near = np.abs(q) <= 5

    bid, ask = glft_quotes(np.zeros(q.size), q.astype(float), **market, fee=fee)

    skew = glft_skew(**market, fee=fee)
    assert np.abs(-bid - bids)[near].max() < 0.05 * skew
    assert np.abs(ask - asks)[near].max() < 0.05 * skew


def test_a_fee_shifts_the_solved_problem_as_the_substitution_says():
    market = {"gamma": 0.01, "sigma": 0.3, "kappa": 0.3}
    with_fee = solved_distances(**market, intensity=0.9, fee=5.0, cap=20)
    substituted = solved_distances(**market, intensity=0.9 * math.exp(-0.3 * 5.0), fee=0.0, cap=20)

    for distances, others in zip(with_fee, substituted, strict=True):
        assert distances == pytest.approx(others + 5.0, abs=1e-6)


# -- Properties of the quotes -----------------------------------------------------------------------------


@both_models
@settings(max_examples=100)
@given(mid=mids, target=inventories, gamma=gammas, sigma=sigmas, kappa=kappas, last=times, fee_log=fee_logs)
def test_quotes_at_the_target_are_symmetric_and_never_closer_than_the_fees(
    quotes, mid: float, target: float, gamma: float, sigma: float, kappa: float, last: float, fee_log: float
):
    fee = fee_log / kappa
    bid, ask = quotes(mid, target, gamma, sigma, kappa, last, fee=fee, target=target)

    rounding = 1e-12 * (mid + abs(bid) + abs(ask) + abs(fee))
    assert ask - mid == pytest.approx(mid - bid, abs=rounding)
    assert ask - bid >= 2 * fee - rounding


@both_models
@settings(max_examples=100)
@given(first=inventories, second=inventories, gamma=gammas, sigma=sigmas, kappa=kappas, last=times, mid=mids)
def test_bid_and_ask_fall_as_inventory_grows_and_keep_their_distance(
    quotes, first: float, second: float, gamma: float, sigma: float, kappa: float, last: float, mid: float
):
    low, high = sorted((first, second))
    (low_bid, low_ask), (high_bid, high_ask) = (
        quotes(mid, q, gamma, sigma, kappa, last) for q in (low, high)
    )

    assert high_bid <= low_bid
    assert high_ask <= low_ask
    scale = mid + abs(low_bid) + abs(high_bid) + abs(low_ask) + abs(high_ask)
    assert high_ask - high_bid == pytest.approx(low_ask - low_bid, abs=1e-12 * scale)


@both_models
def test_one_unit_of_inventory_moves_both_quotes_by_the_skew(quotes):
    market = (0.1, 2.0, 1.5, 1.0)
    skew = (
        avellaneda_stoikov_skew(0.1, 2.0, 1.0) if quotes is avellaneda_stoikov_quotes else glft_skew(*market)
    )
    flat, long = quotes(100.0, 0.0, *market), quotes(100.0, 1.0, *market)

    assert skew > 0.1
    assert [before - after for before, after in zip(flat, long, strict=True)] == pytest.approx([skew, skew])


@settings(max_examples=200)
@given(gamma=gammas, sigma=sigmas, kappa=kappas, last=times, fee_log=st.floats(0, 6))
def test_widths_are_positive(gamma: float, sigma: float, kappa: float, last: float, fee_log: float):
    fee = fee_log / kappa

    assert avellaneda_stoikov_width(gamma, sigma, kappa, last) > 0
    assert glft_half_width(gamma, sigma, kappa, last, fee=fee) > fee >= 0


@settings(max_examples=200)
@given(
    gamma=gammas,
    factor=st.floats(1.001, 1000),
    sigma=sigmas,
    kappa=kappas,
    intensity=intensities,
    fee_log=fee_logs,
)
def test_skew_grows_with_gamma(
    gamma: float, factor: float, sigma: float, kappa: float, intensity: float, fee_log: float
):
    """GLFT's grows between the square root of gamma and gamma, Avellaneda and Stoikov's like gamma."""
    fee = fee_log / kappa
    glft = glft_skew(factor * gamma, sigma, kappa, intensity, fee=fee) / glft_skew(
        gamma, sigma, kappa, intensity, fee=fee
    )
    finite = avellaneda_stoikov_skew(factor * gamma, sigma, 1.0) / avellaneda_stoikov_skew(gamma, sigma, 1.0)

    assert math.sqrt(factor) * (1 - 1e-12) <= glft <= factor * (1 + 1e-12)
    assert finite == pytest.approx(factor)


@both_models
@settings(max_examples=50)
@given(gamma=gammas, factor=st.floats(1.0, 100), sigma=sigmas, kappa=kappas, last=times, q=st.floats(0.5, 20))
def test_a_long_position_is_offered_further_below_the_mid_by_the_more_risk_averse(
    quotes, gamma: float, factor: float, sigma: float, kappa: float, last: float, q: float
):
    calm, averse = (quotes(0.0, q, value, sigma, kappa, last) for value in (gamma, factor * gamma))

    rounding = 1e-12 * sum(map(abs, calm + averse))
    assert sum(averse) <= sum(calm) + rounding
    assert sum(calm) <= rounding


# -- Limits -----------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(kappa=kappas, sigma=sigmas, intensity=intensities, time=times)
def test_without_risk_aversion_the_width_is_what_pays_best_against_the_arrivals(
    kappa: float, sigma: float, intensity: float, time: float
):
    gamma = 1e-26

    assert avellaneda_stoikov_width(gamma, sigma, kappa, time) == pytest.approx(2 / kappa, rel=1e-9)
    assert glft_half_width(gamma, sigma, kappa, intensity) == pytest.approx(1 / kappa, rel=1e-6)
    assert glft_half_width(gamma, sigma, kappa, intensity, fee=3 / kappa) == pytest.approx(
        4 / kappa, rel=1e-6
    )
    assert avellaneda_stoikov_skew(gamma, sigma, time) < 1e-18
    assert glft_skew(gamma, sigma, kappa, intensity) < 1e-6 / kappa


@settings(max_examples=100)
@given(gamma=gammas, sigma=sigmas, intensity=intensities, time=times)
def test_where_arrivals_end_at_the_mid_only_the_price_risk_remains(
    gamma: float, sigma: float, intensity: float, time: float
):
    kappa = 1e24

    width = avellaneda_stoikov_width(gamma, sigma, kappa, time)
    assert width == pytest.approx(avellaneda_stoikov_skew(gamma, sigma, time), rel=1e-9)
    assert 0 < glft_half_width(gamma, sigma, kappa, intensity) < 1e-8
    limit = sigma * math.sqrt(math.e * gamma / (2 * kappa * intensity))
    assert glft_skew(gamma, sigma, kappa, intensity) == pytest.approx(limit, rel=1e-9)


def test_without_volatility_inventory_does_not_matter():
    assert glft_skew(0.1, 0.0, 1.5, 1.0) == 0.0
    assert glft_quotes(100.0, 7.0, 0.1, 0.0, 1.5, 1.0) == glft_quotes(100.0, 0.0, 0.1, 0.0, 1.5, 1.0)
    assert avellaneda_stoikov_skew(0.1, 0.0, 1.0) == 0.0


def test_at_the_end_inventory_does_not_matter():
    flat, long = (avellaneda_stoikov_quotes(100.0, q, **PAPER, time_left=0.0) for q in (0.0, 7.0))

    assert flat == long
    assert flat[1] - flat[0] == pytest.approx(20 * math.log(16 / 15))


# -- Fees -------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(gamma=gammas, sigma=sigmas, kappa=kappas, time=times, q=inventories, fee=st.floats(-5, 100))
def test_fee_moves_each_side_of_avellaneda_stoikov_by_itself(
    gamma: float, sigma: float, kappa: float, time: float, q: float, fee: float
):
    bid, ask = avellaneda_stoikov_quotes(1000.0, q, gamma, sigma, kappa, time)
    bid_with_fee, ask_with_fee = avellaneda_stoikov_quotes(1000.0, q, gamma, sigma, kappa, time, fee=fee)

    scale = 1000 + abs(bid) + abs(ask)
    assert bid - bid_with_fee == pytest.approx(fee, abs=1e-12 * scale)
    assert ask_with_fee - ask == pytest.approx(fee, abs=1e-12 * scale)


@settings(max_examples=100)
@given(gamma=gammas, sigma=sigmas, kappa=kappas, intensity=intensities, q=inventories, fee_log=fee_logs)
def test_fee_moves_glft_by_itself_and_thins_the_arrivals(
    gamma: float, sigma: float, kappa: float, intensity: float, q: float, fee_log: float
):
    fee = fee_log / kappa
    thinned = intensity * math.exp(-kappa * fee)
    bid, ask = glft_quotes(0.0, q, gamma, sigma, kappa, thinned)
    bid_with_fee, ask_with_fee = glft_quotes(0.0, q, gamma, sigma, kappa, intensity, fee=fee)

    scale = abs(bid) + abs(ask) + abs(fee)
    assert bid_with_fee == pytest.approx(bid - fee, abs=1e-12 * scale)
    assert ask_with_fee == pytest.approx(ask + fee, abs=1e-12 * scale)
    assert glft_skew(gamma, sigma, kappa, intensity, fee=fee) == pytest.approx(
        glft_skew(gamma, sigma, kappa, thinned)
    )


def test_a_fee_skews_glft_more_and_a_rebate_less():
    rebate, none, fee = (glft_skew(**GOLDEN, fee=value) for value in (-10.0, 0.0, 10.0))

    assert none / rebate == pytest.approx(math.exp(GOLDEN["kappa"] * 5))
    assert fee / none == pytest.approx(math.exp(GOLDEN["kappa"] * 5))


@both_models
def test_a_rebate_beyond_the_half_width_puts_the_bid_above_the_ask(quotes):
    bid, ask = quotes(100.0, 0.0, 0.1, 0.01, 1.5, 1.0, fee=-2.0)

    assert bid > ask


# -- Gamma from the skew ----------------------------------------------------------------------------------


@settings(max_examples=300)
@given(gamma=log_uniform(1e-20, 1e6), sigma=sigmas, kappa=kappas, intensity=intensities, fee_log=fee_logs)
def test_glft_gamma_undoes_the_skew(
    gamma: float, sigma: float, kappa: float, intensity: float, fee_log: float
):
    market = {"sigma": sigma, "kappa": kappa, "intensity": intensity, "fee": fee_log / kappa}

    assert glft_gamma(glft_skew(gamma, **market), **market) == pytest.approx(gamma, rel=2e-12)


@settings(max_examples=300)
@given(skew=log_uniform(1e-40, 1e40), sigma=sigmas, kappa=kappas, intensity=intensities, fee_log=fee_logs)
def test_glft_gamma_gives_the_skew_that_was_asked_for(
    skew: float, sigma: float, kappa: float, intensity: float, fee_log: float
):
    market = {"sigma": sigma, "kappa": kappa, "intensity": intensity, "fee": fee_log / kappa}

    assert glft_skew(glft_gamma(skew, **market), **market) == pytest.approx(skew, rel=2e-12)


@settings(max_examples=100)
@given(skew=log_uniform(1e-10, 1e10), sigma=sigmas, time=times)
def test_avellaneda_stoikov_gamma_undoes_the_skew(skew: float, sigma: float, time: float):
    gamma = avellaneda_stoikov_gamma(skew, sigma, time)

    assert avellaneda_stoikov_skew(gamma, sigma, time) == pytest.approx(skew, rel=1e-12)


def test_golden_gammas():
    assert glft_gamma(9.76326865029227, 10.69, 0.04235741115084049, 2.986162360812285) == pytest.approx(
        0.05, abs=1e-12
    )
    assert avellaneda_stoikov_gamma(0.2, 2.0, 0.5) == pytest.approx(0.1, abs=1e-15)


# -- The simplified model and the strategy's units --------------------------------------------------------


@settings(max_examples=100)
@given(
    mid=mids,
    share=st.floats(-1, 1),
    cap=st.floats(0.01, 1e4),
    gamma=st.floats(0.01, 1),
    volatility_pct=st.floats(0.01, 2),
)
def test_simplified_model_is_avellaneda_stoikov_with_a_horizon_of_100_candles(
    mid: float, share: float, cap: float, gamma: float, volatility_pct: float
):
    absolute_gamma, absolute_sigma = gamma / (cap * mid), mid * volatility_pct / 100
    bid, ask = avellaneda_stoikov_quotes(
        mid, share * cap, absolute_gamma, absolute_sigma, kappa=100 / mid, time_left=100.0
    )

    simplified = reservation_price(mid, share * cap, cap, gamma, volatility_pct)
    assert (bid + ask) / 2 == pytest.approx(simplified, rel=1e-12)


@settings(max_examples=100)
@given(
    mid=mids,
    cap_value=st.floats(10, 1e5),
    quotes_in_cap=st.floats(1, 100),
    gamma=st.floats(0.01, 1),
    volatility_pct=st.floats(0.01, 2),
)
def test_conversion_of_gamma_to_basis_points_and_full_quotes(
    mid: float, cap_value: float, quotes_in_cap: float, gamma: float, volatility_pct: float
):
    """As in docs/maths.md: gamma per bps and full quote is gamma * (quote value / cap value) / 10000."""
    quote_value = cap_value / quotes_in_cap
    sigma_bps = 100 * volatility_pct / math.sqrt(60)  # per square root of a second
    skew_bps = avellaneda_stoikov_skew(gamma * quote_value / cap_value / 10_000, sigma_bps, time_left=6000.0)

    simplified = reservation_price(mid, 1.0, 1.0, gamma, volatility_pct)
    assert skew_bps * quotes_in_cap == pytest.approx((1 - simplified / mid) * 10_000, rel=1e-9, abs=1e-11)


# -- What the maths page says -----------------------------------------------------------------------------

MATHS = Path(__file__).resolve().parents[2] / "docs" / "maths.md"


def models_table() -> str:
    """Return the table of docs/maths.md: lengths in bps, inventory in full quotes."""
    sigma, kappa, intensity, horizon = 6 / math.sqrt(60), 1.0, 0.5, 30.0
    lines = [
        "| gamma | maker fee, bps | `avellaneda_stoikov` width, bps | skew of one quote, bps "
        "| `glft` width, bps | skew of one quote, bps |",
        "|---|---|---|---|---|---|",
    ]
    for gamma in (0.01, 0.1, 1.0):
        for fee in (0.0, 2.0, 5.0):
            finite_width = avellaneda_stoikov_width(gamma, sigma, kappa, horizon) + 2 * fee
            finite_skew = avellaneda_stoikov_skew(gamma, sigma, horizon)
            width = 2 * glft_half_width(gamma, sigma, kappa, intensity, fee=fee)
            skew = glft_skew(gamma, sigma, kappa, intensity, fee=fee)
            lines.append(
                f"| {gamma:g} | {fee:g} | {finite_width:.2f} | {finite_skew:.2f} | {width:.2f} | {skew:.2f} |"
            )
    return "\n".join(lines)


def test_table_of_the_models_is_computed():
    text = MATHS.read_text(encoding="utf-8")

    assert f"<!-- models: begin -->\n{models_table()}\n<!-- models: end -->" in text


@both_models
@pytest.mark.parametrize(("gamma", "kappa"), [(0.01, 0.3), (0.1, 1.0), (0.5, 2.0)])
def test_inventory_spreads_as_the_skew_and_the_decay_of_arrivals_say(quotes, gamma: float, kappa: float):
    """In balance as many fills lead from q to q + 1 as back; the rates are those of the model's own quotes."""
    market = (gamma, 0.8, kappa, 0.9)
    q = np.arange(-200.0, 201.0)
    bid, ask = quotes(np.zeros(q.size), q, *market)
    log_weights = np.append(0.0, np.cumsum(kappa * bid[:-1] + kappa * ask[1:]))
    weights = np.exp(log_weights - log_weights.max())

    skew = bid[0] - bid[1]
    spread = math.sqrt(np.average(q**2, weights=weights))
    assert skew == pytest.approx(bid[-2] - bid[-1])
    assert spread == pytest.approx(1 / math.sqrt(2 * kappa * skew), rel=5e-3)


def test_skew_for_a_spread_of_two_quotes_and_waits_of_the_page():
    assert 1 / math.sqrt(2 * 1.0 * 0.125) == 2.0
    assert 1 / (0.5 * math.exp(-11)) / 3600 == pytest.approx(33, abs=0.5)
    assert glft_skew(**GOLDEN, fee=10 / GOLDEN["kappa"]) / glft_skew(**GOLDEN) == pytest.approx(148, abs=0.5)
    least, converted = 0.01, 0.1 * (20 / 100) / 10_000
    assert least / converted == pytest.approx(5000)


# -- Arrays -----------------------------------------------------------------------------------------------


@both_models
@settings(max_examples=50)
@given(
    rows=st.lists(st.tuples(mids, inventories, inventories), min_size=1, max_size=8),
    gamma=gammas,
    sigma=sigmas,
    kappa=kappas,
    last=times,
    fee_log=fee_logs,
)
def test_arrays_agree_with_numbers(
    quotes, rows: list, gamma: float, sigma: float, kappa: float, last: float, fee_log: float
):
    market = (gamma, sigma, kappa, last)
    fee = fee_log / kappa
    mid, q, target = np.array(rows).T

    bids, asks = quotes(mid, q, *market, fee=fee, target=target)

    one_by_one = [quotes(s, n, *market, fee=fee, target=wanted) for s, n, wanted in rows]
    assert bids.tolist() == [bid for bid, _ in one_by_one]
    assert asks.tolist() == [ask for _, ask in one_by_one]


@both_models
def test_numbers_give_floats_and_arrays_their_shape(quotes):
    market = (0.1, 2, 2, 1)

    assert [type(price) for price in quotes(100, 0, *market)] == [float, float]
    shape = (3, 4)
    assert [price.shape for price in quotes(np.full(shape, 100.0), np.zeros((1, 4)), *market)] == [
        shape,
        shape,
    ]


@both_models
def test_inputs_are_left_alone(quotes):
    mid, q = np.array([100.0, 101.0]), np.array([1.0, -1.0])
    quotes(mid, q, 0.1, 2.0, 1.5, 1.0, fee=0.1, target=1.0)

    assert mid.tolist() == [100.0, 101.0]
    assert q.tolist() == [1.0, -1.0]


# -- What is refused --------------------------------------------------------------------------------------

SOUND = {"gamma": 0.1, "sigma": 2.0, "kappa": 1.5, "fee": 0.0}
POSITIVE = "must be positive and finite"
NOT_NEGATIVE = "must be at least 0 and finite"
NO_GAMMA = "no gamma that can be computed with gives this skew"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("gamma", 0.0, POSITIVE),
        ("gamma", -0.1, POSITIVE),
        ("gamma", math.inf, POSITIVE),
        ("gamma", math.nan, POSITIVE),
        ("kappa", 0.0, POSITIVE),
        ("kappa", -1.5, POSITIVE),
        ("kappa", math.nan, POSITIVE),
        ("sigma", -1.0, NOT_NEGATIVE),
        ("sigma", math.inf, NOT_NEGATIVE),
        ("sigma", math.nan, NOT_NEGATIVE),
        ("fee", math.nan, "must be finite"),
        ("fee", -math.inf, "must be finite"),
    ],
)
def test_absurd_parameters_are_refused(name: str, value: float, rule: str):
    given = SOUND | {name: value}
    for quotes, last in (
        (avellaneda_stoikov_quotes, {"time_left": 1.0}),
        (glft_quotes, {"intensity": 140.0}),
    ):
        with pytest.raises(ValueError, match=f"^{name} {rule}, was {value}$"):
            quotes(100.0, 1.0, **given, **last)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_absurd_intensity_is_refused(value: float):
    with pytest.raises(ValueError, match=f"^intensity must be positive and finite, was {value}$"):
        glft_quotes(100.0, 1.0, **SOUND, intensity=value)


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_absurd_time_left_is_refused(value: float):
    with pytest.raises(ValueError, match=f"^time_left must be at least 0 and finite, was {value}$"):
        avellaneda_stoikov_quotes(100.0, 1.0, **SOUND, time_left=value)


@both_models
@pytest.mark.parametrize("name", ["mid_price", "q", "target"])
@pytest.mark.parametrize("value", [math.nan, np.array([1.0, math.inf])], ids=["number", "array"])
def test_prices_and_inventories_that_are_no_numbers_are_refused(quotes, name: str, value):
    given = {"mid_price": 100.0, "q": 0.0, "target": 0.0} | {name: value}
    with pytest.raises(ValueError, match=f"^{name} must be finite, was .*(nan|inf)"):
        quotes(**given, gamma=0.1, sigma=2.0, kappa=1.5, **last_argument(quotes))


def last_argument(quotes) -> dict[str, float]:
    return {"time_left": 1.0} if quotes is avellaneda_stoikov_quotes else {"intensity": 1.0}


@pytest.mark.parametrize(
    ("quotes", "given", "what"),
    [
        (avellaneda_stoikov_quotes, {"sigma": 1e200}, "the skew is too large"),
        (avellaneda_stoikov_quotes, {"kappa": 5e-324}, "gamma / kappa is too large"),
        (
            avellaneda_stoikov_quotes,
            {"gamma": 1e-320, "kappa": 5e-324, "sigma": 0.0},
            "the width is too large",
        ),
        (avellaneda_stoikov_quotes, {"fee": 1e308, "mid_price": 1e308}, "a quote is too large"),
        (avellaneda_stoikov_quotes, {"q": np.array([0.0, 1e308]), "sigma": 20.0}, "a quote is too large"),
        (glft_quotes, {"sigma": 1e308}, "the skew is too large"),
        (glft_quotes, {"kappa": 5e-324}, "gamma / kappa is too large"),
        (glft_quotes, {"fee": 1000.0}, "the skew is too large"),
        (glft_quotes, {"kappa": 1e300, "fee": 1e300}, "the skew is too large"),
        (glft_quotes, {"q": 1e308, "fee": 10.0}, "a quote is too large"),
    ],
)
def test_what_overflows_is_refused_in_words(quotes, given: dict, what: str):
    mid = np.full(2, 100.0) if isinstance(given.get("q"), np.ndarray) else 100.0
    arguments = {"mid_price": mid, "q": 0.0} | SOUND | last_argument(quotes) | given
    with pytest.raises(ValueError, match=f"^{what} to compute with: .* was "):
        quotes(**arguments)


@pytest.mark.parametrize(
    ("skew", "sigma", "time_left"),
    [(0.1, 0.0, 1.0), (0.1, 2.0, 0.0), (1e-300, 1e300, 1.0), (1e300, 1e-20, 1.0)],
)
def test_no_gamma_gives_a_skew_without_risk(skew: float, sigma: float, time_left: float):
    with pytest.raises(ValueError, match=re.escape(f"{NO_GAMMA}: skew was {skew}, ")):
        avellaneda_stoikov_gamma(skew, sigma, time_left)


@pytest.mark.parametrize(
    ("skew", "sigma", "kappa", "fee"),
    [
        (0.1, 0.0, 1.5, 0.0),
        (1e300, 1e-300, 1.5, 0.0),
        (1e-300, 1e300, 1.5, 0.0),
        (0.1, 2.0, 1e300, 1e300),
        (0.1, 2.0, 1e300, -1e300),
        (1e150, 1.0, 1e300, 0.0),
        (1e-150, 1.0, 1e-300, 0.0),
    ],
)
def test_no_gamma_gives_that_glft_skew(skew: float, sigma: float, kappa: float, fee: float):
    with pytest.raises(ValueError, match=re.escape(f"{NO_GAMMA}: skew was {skew}, ")):
        glft_gamma(skew, sigma, kappa, 1.0, fee=fee)


@pytest.mark.parametrize("skew", [0.0, -1.0, math.nan, math.inf])
def test_a_skew_that_is_not_positive_is_refused(skew: float):
    for solve in (lambda: glft_gamma(skew, 2.0, 1.5, 1.0), lambda: avellaneda_stoikov_gamma(skew, 2.0, 1.0)):
        with pytest.raises(ValueError, match=f"^skew must be positive and finite, was {skew}$"):
            solve()
