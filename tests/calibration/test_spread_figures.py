"""Spread, tick and mid, weighted by time."""

import numpy as np
import pytest

from mm_nautilus.calibration.touches import TouchSeries, spread_figures

SECOND = 1_000_000_000


def touches(*rows, end):
    """Return a series of (second, bid, ask)."""
    time, bid, ask = np.array(rows, dtype=np.int64).T
    lots = np.ones(len(rows), dtype=np.int64)
    return TouchSeries(time * SECOND, bid, ask, lots, lots, end * SECOND)


def figures(series, increment=0.5):
    return spread_figures(series, increment, market_orders=3, trades=4)


def test_every_touch_counts_for_as_long_as_it_stood():
    series = touches((0, 99, 101), (1, 999, 1001), (4, 99, 101), end=4)
    found = figures(series)
    mean_mid_ticks = (1 * 100 + 3 * 1000) / 4
    assert found.mid_price == pytest.approx(mean_mid_ticks * 0.5)
    assert found.tick_bps == pytest.approx(10_000 / mean_mid_ticks)
    assert found.median_spread_ticks == 2
    assert found.median_spread_bps == pytest.approx(10_000 * 2 / 1000)
    assert (found.market_orders, found.trades) == (3, 4)


def test_the_median_is_of_time_and_not_of_rows():
    series = touches((0, 98, 102), (1, 99, 101), (2, 98, 102), (3, 99, 100), (9, 98, 102), end=10)
    assert figures(series).median_spread_ticks == 1


def test_the_median_is_the_least_spread_not_exceeded_half_of_the_time():
    assert figures(touches((0, 99, 100), (5, 98, 102), end=10)).median_spread_ticks == 1
    assert figures(touches((0, 99, 100), (4, 98, 102), end=10)).median_spread_ticks == 4


def test_a_series_of_one_moment_is_refused():
    with pytest.raises(ValueError, match="touches must cover some time, was one moment"):
        figures(touches((1, 99, 101), end=1))


@pytest.mark.parametrize("increment", [0.0, -1.0, float("nan")])
def test_an_increment_that_is_none_is_refused(increment):
    with pytest.raises(ValueError, match="price_increment must be positive, was"):
        figures(touches((0, 99, 101), end=1), increment)
