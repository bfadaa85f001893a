import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.calibration.volatility import MINUTE_NS, MinuteCloses, volatility_pct

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
    closes = MinuteCloses(lookback=20)

    first = closes.update(0, 100.0)
    second = closes.update(59_999_999_999, 101.0)
    third = closes.update(60_000_000_000, 105.0)
    closes.update(120_000_000_000, 90.0)

    assert (first, second, third) == (False, False, True)
    assert closes.returns == (105.0 / 101.0 - 1.0,)


def test_minutes_without_an_event_close_at_the_last_mid():
    closes = MinuteCloses(lookback=20)
    closes.update(0, 100.0)

    assert closes.update(4 * MINUTE_NS, 110.0)

    assert closes.returns == (0.0, 0.0, 0.0)


def test_what_the_mid_did_over_a_gap_is_no_return_and_those_before_it_stay():
    closes = MinuteCloses(lookback=4)
    for minute, mid in enumerate([100.0, 101.0, 100.5]):
        closes.update(minute * MINUTE_NS, mid)
    closes.begin_anew()
    for minute, mid in enumerate([200.0, 201.0, 203.0, 201.0], start=600):
        closes.update(minute * MINUTE_NS + 5, mid)

    assert closes.returns == (101.0 / 100.0 - 1.0, 201.0 / 200.0 - 1.0, 203.0 / 201.0 - 1.0)
    assert closes.volatility_pct == 0.0
    closes.update(604 * MINUTE_NS, 202.0)
    joined = [100.0, 101.0, 101.0 * 201 / 200, 101.0 * 203 / 200, 101.0 * 201 / 200]
    assert closes.volatility_pct == pytest.approx(volatility_pct(joined, 4))


def test_a_long_silence_keeps_no_more_than_is_needed():
    closes = MinuteCloses(lookback=20)
    closes.update(0, 100.0)

    closes.update(10**9 * MINUTE_NS, 110.0)

    assert closes.returns == (0.0,) * 20


def test_a_price_that_is_older_than_the_last_opens_no_minute():
    closes = MinuteCloses(lookback=20)
    closes.update(5 * MINUTE_NS, 100.0)

    assert not closes.update(2 * MINUTE_NS, 99.0)
    assert not closes.update(5 * MINUTE_NS, 101.0)

    assert closes.returns == ()


def test_the_estimate_appears_with_the_21st_minute_and_not_before():
    closes = MinuteCloses(lookback=20)
    estimates = []

    for minute, mid in enumerate(alternating(22)):
        closes.update(minute * MINUTE_NS, mid)
        estimates.append(closes.volatility_pct)

    assert estimates[:21] == [0.0] * 21
    assert estimates[21] == pytest.approx(volatility_pct(alternating(21)))
    assert estimates[21] > 0.5


@settings(max_examples=100)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3 * MINUTE_NS), prices), min_size=1, max_size=40),
    lookback=st.integers(1, 6),
)
def test_closes_are_the_mids_that_a_replay_finds_at_every_minute_end(steps, lookback):
    closes, history, now = MinuteCloses(lookback), [], 0

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
    assert closes.volatility_pct == volatility_pct(expected, lookback)
