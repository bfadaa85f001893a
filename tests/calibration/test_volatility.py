import math
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.calibration.volatility import (
    FINE_NS,
    MINUTE_NS,
    VolatilityEstimate,
    VolatilitySource,
    volatility_pct,
)

prices = st.floats(0.01, 1e6, allow_nan=False)


def alternating(count: int) -> list[float]:
    """Closes that go up 1 % and back, so that every other return is 0.01."""
    return [100.0 if index % 2 == 0 else 101.0 for index in range(count)]


# -- The estimate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_volatility_is_zero_until_21_closes_exist(count):
    assert volatility_pct(alternating(count)) == 0.0


def test_volatility_exists_with_the_21st_close():
    assert volatility_pct(alternating(21)) > 0.5


def test_it_is_the_population_standard_deviation_of_returns_in_percent():
    # Returns 0 %, 1 %, 0 %: the population deviation is 0.4714.., the sample's would be 0.5774...
    assert volatility_pct([100.0, 100.0, 101.0, 101.0], lookback=3) == pytest.approx(math.sqrt(2) / 3)


def test_only_the_last_returns_count():
    calm = [100.0] * 21

    assert volatility_pct([1.0, 50.0, 7.0, *calm]) == 0.0


def test_a_steady_trend_has_no_volatility():
    assert volatility_pct([100.0 * 1.01**minute for minute in range(21)]) == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=100)
@given(closes=st.lists(prices, min_size=6, max_size=12), scale=st.floats(0.001, 1000))
def test_estimate_agrees_with_the_library_and_ignores_the_price_scale(closes, scale):
    returns = [after / before - 1 for before, after in zip(closes[-6:], closes[-5:], strict=False)]

    result = volatility_pct(closes, lookback=5)

    assert result == pytest.approx(100 * statistics.pstdev(returns), rel=1e-9, abs=1e-9)
    assert volatility_pct([scale * close for close in closes], lookback=5) == pytest.approx(
        result, rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize("close", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_close_that_is_no_price_is_refused(close, position):
    closes = [100.0, 101.0, 102.0]
    closes[position] = close

    with pytest.raises(ValueError, match="closes must be positive and finite, was"):
        volatility_pct(closes, lookback=2)


def test_a_lookback_below_one_is_refused():
    with pytest.raises(ValueError, match="lookback must be at least 1, was 0"):
        volatility_pct([100.0, 101.0], lookback=0)


# -- Minute closes ------------------------------------------------------------------------------------


def test_the_last_mid_of_a_minute_is_its_close():
    closes = VolatilityEstimate(lookback=20)

    closes.update(0, 100.0)
    closes.update(59_999_999_999, 101.0)
    closes.update(60_000_000_000, 105.0)
    closes.update(120_000_000_000, 90.0)

    assert closes.returns == (105.0 / 101.0 - 1.0,)


def test_minutes_without_an_event_close_at_the_last_mid():
    closes = VolatilityEstimate(lookback=20)
    closes.update(0, 100.0)

    closes.update(4 * MINUTE_NS, 110.0)

    assert closes.returns == (0.0, 0.0, 0.0)


def test_what_the_mid_did_over_a_gap_is_no_return_and_those_before_it_stay():
    closes = VolatilityEstimate(lookback=4)
    for minute, mid in enumerate([100.0, 101.0, 100.5]):
        closes.update(minute * MINUTE_NS, mid)
    closes.restart()
    for minute, mid in enumerate([200.0, 201.0, 203.0, 201.0], start=600):
        closes.update(minute * MINUTE_NS + 5, mid)

    assert closes.returns == (101.0 / 100.0 - 1.0, 201.0 / 200.0 - 1.0, 203.0 / 201.0 - 1.0)
    assert closes.source is not VolatilitySource.MINUTE_RETURNS
    closes.update(604 * MINUTE_NS, 202.0)
    assert closes.source is VolatilitySource.MINUTE_RETURNS
    joined = [100.0, 101.0, 101.0 * 201 / 200, 101.0 * 203 / 200, 101.0 * 201 / 200]
    assert closes.volatility_pct == pytest.approx(volatility_pct(joined, 4))


def test_a_long_silence_keeps_no_more_than_is_needed():
    closes = VolatilityEstimate(lookback=20)
    closes.update(0, 100.0)

    closes.update(10**9 * MINUTE_NS, 110.0)

    assert closes.returns == (0.0,) * 20


def test_a_price_that_is_older_than_the_last_opens_no_minute():
    closes = VolatilityEstimate(lookback=20)
    closes.update(5 * MINUTE_NS, 100.0)

    closes.update(2 * MINUTE_NS, 99.0)
    closes.update(5 * MINUTE_NS, 101.0)

    assert closes.returns == ()


def test_the_estimate_appears_with_the_21st_minute_and_not_before():
    closes = VolatilityEstimate(lookback=20)
    estimates = []

    for minute, mid in enumerate(alternating(22)):
        closes.update(minute * MINUTE_NS, mid)
        estimates.append((closes.source, closes.volatility_pct))

    assert all(source is not VolatilitySource.MINUTE_RETURNS for source, _ in estimates[:21])
    assert estimates[21] == (VolatilitySource.MINUTE_RETURNS, pytest.approx(volatility_pct(alternating(21))))
    assert closes.since_ns == 21 * MINUTE_NS


@settings(max_examples=100)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3 * MINUTE_NS), prices), min_size=1, max_size=40),
    lookback=st.integers(1, 6),
)
def test_closes_are_the_mids_that_a_replay_finds_at_every_minute_end(steps, lookback):
    closes, history, now = VolatilityEstimate(lookback), [], 0

    for gap, mid in steps:
        now += gap
        closes.update(now, mid)
        history.append((now, mid))

    first, last = history[0][0] // MINUTE_NS, history[-1][0] // MINUTE_NS
    expected = [
        [mid for ts, mid in history if ts < (minute + 1) * MINUTE_NS][-1] for minute in range(first, last)
    ]
    wanted = expected[-(lookback + 1) :]
    assert list(closes.returns) == [after / before - 1.0 for before, after in pairwise(wanted)]
    assert (closes.source is VolatilitySource.MINUTE_RETURNS) == (len(expected) > lookback)
    if len(expected) > lookback:
        assert closes.volatility_pct == volatility_pct(expected, lookback)


# -- Until there are enough minutes -------------------------------------------------------------------


def walk(estimate: VolatilityEstimate, seconds: int, step: float = 0.001, start_ns: int = 0) -> None:
    """Move the mid up and down by a share of it at every second."""
    for second in range(seconds):
        estimate.update(start_ns + second * 1_000_000_000, 100.0 * (1 + step * (second // 5 % 2)))


@pytest.mark.parametrize("offset_seconds", [0, 3, 31, 59])
def test_a_volatility_is_known_within_a_minute_of_the_first_price(offset_seconds):
    estimate = VolatilityEstimate(lookback=20)
    start_ns = 7 * MINUTE_NS + offset_seconds * 1_000_000_000

    walk(estimate, 40, start_ns=start_ns)
    assert not estimate.is_known
    walk(estimate, 20, start_ns=start_ns + 40 * 1_000_000_000)

    assert estimate.source is VolatilitySource.FINE_RETURNS
    assert start_ns < estimate.since_ns < start_ns + MINUTE_NS


def test_returns_over_five_seconds_are_scaled_to_a_minute_by_the_square_root_of_time():
    estimate = VolatilityEstimate(lookback=20)
    mids = [100.0, 100.1, 99.9, 100.2, 100.2, 100.0, 99.8, 100.1, 100.3, 100.2]

    for index, mid in enumerate(mids):
        estimate.update(index * FINE_NS, mid)
    estimate.update(len(mids) * FINE_NS, 1.0)  # closes the last interval, and is in none itself

    returns = [after / before - 1 for before, after in pairwise(mids)]
    assert estimate.volatility_pct == pytest.approx(100 * statistics.pstdev(returns) * math.sqrt(12))


def test_a_random_walk_has_the_same_volatility_by_either_clock():
    generator, log_price, estimates = random.Random(7), 0.0, {}
    estimate = VolatilityEstimate(lookback=400)

    for second in range(401 * 60):
        log_price += generator.gauss(0, 1e-4)
        estimate.update(second * 1_000_000_000, 100 * math.exp(log_price))
        estimates[estimate.source] = estimate.volatility_pct

    expected = 100 * 1e-4 * math.sqrt(60)
    assert estimates[VolatilitySource.FINE_RETURNS] == pytest.approx(expected, rel=0.1)
    estimate.update(402 * MINUTE_NS, 100.0)
    assert estimate.source is VolatilitySource.MINUTE_RETURNS
    assert estimate.volatility_pct == pytest.approx(expected, rel=0.1)


def test_a_calibrations_volatility_holds_until_the_minutes_are_there():
    estimate = VolatilityEstimate(lookback=2, calibrated_pct=0.07)

    walk(estimate, 119)
    assert (estimate.source, estimate.volatility_pct) == (VolatilitySource.CALIBRATION, 0.07)
    estimate.load_calibrated(0.08, 119)
    assert (estimate.source, estimate.volatility_pct) == (VolatilitySource.CALIBRATION, 0.08)
    walk(estimate, 70, start_ns=2 * MINUTE_NS)

    assert estimate.source is VolatilitySource.MINUTE_RETURNS
    estimate.load_calibrated(0.09, 200)
    assert estimate.volatility_pct != 0.09


def test_bars_from_before_the_start_give_way_to_minutes_of_our_own_one_by_one():
    estimate = VolatilityEstimate(lookback=3)
    walk(estimate, 50)
    assert estimate.source is VolatilitySource.FINE_RETURNS

    estimate.load_bars([100.0, 101.0, 100.0, 102.0, 101.0], 50)
    assert (estimate.source, estimate.since_ns) == (VolatilitySource.HISTORY, 50)
    assert estimate.volatility_pct == volatility_pct([101.0, 100.0, 102.0, 101.0], 3)
    for minute, mid in enumerate([100.0, 100.0, 103.0, 101.0, 100.0], start=1):
        estimate.update(minute * MINUTE_NS, mid)
        own = minute - 1
        assert (estimate.source is VolatilitySource.MINUTE_RETURNS) == (own >= 3)


def test_too_few_bars_are_left_out():
    estimate = VolatilityEstimate(lookback=3)

    estimate.load_bars([100.0, 101.0, 100.0], 50)

    assert not estimate.is_known
    assert estimate.returns == ()
