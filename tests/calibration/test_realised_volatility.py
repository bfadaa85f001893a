import math
import statistics

import numpy as np
import pytest
from recorded_market import SYMBOLS, needs_recordings, recorded_market
from simulated_flow import simulated_market

from mm_nautilus.calibration.realised_volatility import (
    sampled_returns,
    signature_point,
    volatility_figures,
    volatility_quantiles,
)
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.calibration.volatility import volatility_pct
from mm_nautilus.errors import CalibrationError

SECOND_NS = 1_000_000_000


def touches_with_mids(mids, *, step_seconds=1.0, tail_seconds=0.0):
    """One touch a step whose mid is as given, in whole ticks."""
    bid = np.array(mids, dtype=np.int64) - 1
    ts_ns = (np.arange(len(bid)) * step_seconds * SECOND_NS).astype(np.int64)
    sizes = np.ones(len(bid), dtype=np.int64)
    return TouchSeries(ts_ns, bid, bid + 2, sizes, sizes, int(ts_ns[-1] + tail_seconds * SECOND_NS))


def zigzag(count):
    """A mid of a million ticks that goes up 1 bp and back."""
    return [1_000_000 + 100 * (index % 2) for index in range(count)]


# -- Known volatility ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("tick_bps", "kappa"), [(0.02, 1.0), (4.0, 0.4)])
def test_known_volatility_comes_back_within_its_standard_error(tick_bps, kappa):
    deviations = []
    for seed in range(20):
        touches, _ = simulated_market(seed, volatility_bps=1.2, tick_bps=tick_bps, kappa_per_bps=kappa)
        figures = volatility_figures(touches)
        deviations.append((figures.volatility_bps - 1.2) / figures.standard_error_bps)

    assert max(map(abs, deviations)) < 4
    assert abs(statistics.mean(deviations)) < 0.75
    assert 0.6 < statistics.stdev(deviations) < 1.45


def test_ticks_make_short_intervals_overstate_the_volatility():
    touches, _ = simulated_market(1, volatility_bps=1.2, tick_bps=4.0)
    by_interval = {point.interval_seconds: point for point in volatility_figures(touches).signature}

    assert by_interval[1.0].volatility_bps > 1.2 + 5 * by_interval[1.0].standard_error_bps
    assert abs(by_interval[60.0].volatility_bps - 1.2) < 4 * by_interval[60.0].standard_error_bps


# -- One interval -------------------------------------------------------------------------------------


def test_volatility_is_the_root_mean_square_of_returns_over_the_root_of_the_interval():
    point = signature_point(touches_with_mids([10_000, 10_003, 10_003, 9_999]), 1.0)

    returns = [3.0, 0.0, 1e4 * (9_999 / 10_003 - 1)]
    assert point.returns == 3
    assert point.volatility_bps == pytest.approx(math.sqrt(sum(r * r for r in returns) / 3))


def test_normal_returns_have_the_textbook_standard_error():
    point = signature_point(touches_with_mids(zigzag(201)), 1.0)

    # Returns of one size have a kurtosis of 1; the error is not taken as smaller than the normal's.
    assert point.standard_error_bps == pytest.approx(point.volatility_bps / math.sqrt(2 * 200))


def test_fat_tails_widen_the_standard_error():
    mids = [1_000_000] * 100 + [1_001_000] * 101
    point = signature_point(touches_with_mids(mids), 1.0)

    assert point.standard_error_bps == pytest.approx(point.volatility_bps * math.sqrt((200 - 1) / (4 * 200)))


def test_longer_intervals_take_the_last_mid_in_force():
    touches = touches_with_mids([100, 101, 105, 103, 107], step_seconds=1.0, tail_seconds=1.9)

    assert sampled_returns(touches, 2.0).tolist() == [105 / 100 - 1, 107 / 105 - 1]


def test_a_silent_market_is_sampled_at_its_last_mid():
    assert sampled_returns(touches_with_mids([100, 200], tail_seconds=2.0), 1.0).tolist() == [1.0, 0.0, 0.0]


def test_one_return_is_no_estimate():
    touches = touches_with_mids([100, 101], tail_seconds=0.5)

    assert signature_point(touches, 1.0) is None


def test_an_interval_without_length_is_refused():
    with pytest.raises(ValueError, match=r"interval_seconds must be positive, was 0\.0"):
        signature_point(touches_with_mids([100, 101]), 0.0)


# -- All figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "interval"),
    [(20, 1.0), (99, 1.0), (100, 5.0), (200, 10.0), (650, 30.0), (1200, 60.0), (9000, 60.0)],
)
def test_models_take_the_longest_interval_with_twenty_returns(seconds, interval):
    random = np.random.default_rng(7)
    mids = 1_000_000 + np.cumsum(random.integers(-100, 101, seconds + 1))

    figures = volatility_figures(touches_with_mids(mids))

    assert figures.interval_seconds == interval
    taken = next(point for point in figures.signature if point.interval_seconds == interval)
    assert figures.volatility_bps == taken.volatility_bps
    assert figures.standard_error_bps == taken.standard_error_bps
    assert [point.returns for point in figures.signature] == [
        seconds // length for length in (1, 5, 10, 30, 60, 300) if seconds // length >= 2
    ]


def test_one_minute_volatility_is_the_population_deviation_in_percent():
    mids = [1_000_000, 1_001_000, 1_001_000, 1_000_000]
    figures = volatility_figures(touches_with_mids(mids, step_seconds=60.0))

    returns = [0.1, 0.0, 100 * (1_000_000 / 1_001_000 - 1)]
    assert figures.one_minute_pct == pytest.approx(statistics.pstdev(returns))


def test_one_minute_volatility_needs_two_minutes():
    assert volatility_figures(touches_with_mids(zigzag(120))).one_minute_pct is None
    assert volatility_figures(touches_with_mids(zigzag(121))).one_minute_pct == 0.0


def test_event_time_counts_moves_of_the_mid_only():
    mids = [1_000_000, 1_000_000, 1_000_100, 1_000_100, 1_000_000, *[1_000_000] * 20, 1_000_300]
    figures = volatility_figures(touches_with_mids(mids))

    assert figures.mid_moves == 3
    assert figures.event_time_bps == pytest.approx(
        statistics.pstdev([1.0, 1e4 * (1_000_000 / 1_000_100 - 1), 3.0])
    )


def test_a_short_window_is_refused_in_words():
    with pytest.raises(CalibrationError, match=r"a window of at least 20 s, was 19 s"):
        volatility_figures(touches_with_mids(zigzag(20)))


def test_a_mid_that_never_moves_is_refused_in_words():
    with pytest.raises(CalibrationError, match="needs a mid that moves"):
        volatility_figures(touches_with_mids([100] * 30))


# -- The recordings -----------------------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_recordings_have_a_plausible_volatility(symbol):
    figures = volatility_figures(recorded_market(symbol)[0])

    assert figures.interval_seconds == 30.0
    assert 0.8 < figures.volatility_bps < 2.2
    assert 0.06 < figures.one_minute_pct < 0.2


def test_quantiles_are_those_of_the_strategys_estimate():
    """The mid moves each minute by 1 bp for 50 minutes and by 3 bp for the next 50."""
    steps = [(100 if minute < 50 else 300) * (minute % 2) for minute in range(101)]
    touches = touches_with_mids([1_000_000 + step for step in steps], step_seconds=60.0)
    points = volatility_quantiles(touches)
    assert [point.quantile for point in points[:3]] == [0.0, 0.05, 0.1]
    assert points[0].volatility_pct == pytest.approx(0.01, rel=1e-3)
    assert points[-1].volatility_pct == pytest.approx(0.03, rel=1e-3)
    by_hand = [volatility_pct([1_000_000 + step for step in steps][: end + 1]) for end in range(20, 101)]
    assert points[10].volatility_pct == pytest.approx(float(np.median(by_hand)))
    assert volatility_quantiles(touches_with_mids(zigzag(80), step_seconds=60.0)) == []
