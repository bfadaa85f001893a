import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.calibration.touches import TouchSeries, spread_figures

SECOND_NS = 1_000_000_000


def series(ts, bid=None, ask=None, *, end=None):
    count = len(ts)
    bid = list(range(100, 100 + count)) if bid is None else bid
    ask = [price + 1 for price in bid] if ask is None else ask
    columns = (ts, bid, ask, [1] * count, [2] * count)
    return TouchSeries(
        *(np.array(column, dtype=np.int64) for column in columns), ts[-1] if end is None else end
    )


def test_the_mid_lies_halfway():
    assert series([0, 5], bid=[100, 102], ask=[101, 106]).mid_ticks.tolist() == [100.5, 104.0]


def test_a_touch_is_in_force_from_its_own_moment_on():
    mids = series([10, 20], bid=[100, 200], end=40).mid_at(np.array([9, 10, 19, 20, 35]))

    assert np.isnan(mids[0])
    assert mids[1:].tolist() == [100.5, 100.5, 200.5, 200.5]


def test_before_a_moment_its_own_touch_is_not_in_force():
    mids = series([10, 20], bid=[100, 200]).mid_at(np.array([10, 11, 20, 21]), before=True)

    assert np.isnan(mids[0])
    assert mids[1:].tolist() == [100.5, 100.5, 200.5]


def test_of_rows_with_one_time_the_last_is_in_force():
    touches = series([10, 20, 20, 30], bid=[100, 200, 300, 400])

    assert touches.mid_at(np.array([20])).tolist() == [300.5]
    assert touches.mid_at(np.array([20]), before=True).tolist() == [100.5]


def test_the_window_lasts_to_its_end():
    touches = series([1_000_000_000, 2_000_000_000], end=4_500_000_000)

    assert len(touches) == 2
    assert touches.seconds == 3.5


@settings(max_examples=100)
@given(
    ts=st.lists(st.integers(0, 50), min_size=1, max_size=12).map(sorted),
    moments=st.lists(st.integers(-5, 60), max_size=12),
    before=st.booleans(),
)
def test_the_mid_in_force_is_the_one_a_search_finds(ts, moments, before):
    touches = series(ts)

    found = touches.mid_at(np.array(moments, dtype=np.int64), before=before).tolist()

    for moment, mid in zip(moments, found, strict=True):
        earlier = [row for row, start in enumerate(ts) if start < moment or (start == moment and not before)]
        assert (mid == touches.mid_ticks[earlier[-1]]) if earlier else np.isnan(mid)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bid_lots": np.array([1])}, r"must be equally long and not empty, was \[2, 2, 2, 1, 2\]"),
        ({"ts_ns": np.array([20, 10])}, "ts_ns of touches must ascend"),
        ({"end_ns": 19}, "end_ns must be at least the last touch's 20, was 19"),
        ({"ask_ticks": np.array([101, 101])}, "bid_ticks of touches must be below ask_ticks"),
    ],
)
def test_columns_that_are_no_series_are_refused(change, text):
    good = series([10, 20])
    columns = {name: getattr(good, name) for name in TouchSeries.__slots__}

    with pytest.raises(ValueError, match=text):
        TouchSeries(**(columns | change))


def test_an_empty_series_is_refused():
    with pytest.raises(ValueError, match="not empty"):
        TouchSeries(*([np.array([], dtype=np.int64)] * 5), 0)


# -- The spread, weighted by time --------------------------------------------------------------------------


def figures(*rows, end, increment=0.5):
    """Return the figures of a series of (second, bid, ask)."""
    times, bids, asks = zip(*rows, strict=True)
    touches = series([time * SECOND_NS for time in times], bids, asks, end=end * SECOND_NS)
    return spread_figures(touches, increment, market_orders=3, trades=4)


def test_every_touch_counts_for_as_long_as_it_stood():
    found = figures((0, 99, 101), (1, 999, 1001), (4, 99, 101), end=4)
    mean_mid_ticks = (1 * 100 + 3 * 1000) / 4
    assert found.mid_price == pytest.approx(mean_mid_ticks * 0.5)
    assert found.tick_bps == pytest.approx(10_000 / mean_mid_ticks)
    assert found.median_spread_ticks == 2
    assert found.median_spread_bps == pytest.approx(10_000 * 2 / 1000)
    assert (found.market_orders, found.trades) == (3, 4)


def test_the_median_is_of_time_and_not_of_rows():
    rows = [(0, 98, 102), (1, 99, 101), (2, 98, 102), (3, 99, 100), (9, 98, 102)]
    assert figures(*rows, end=10).median_spread_ticks == 1


def test_the_median_is_the_least_spread_not_exceeded_half_of_the_time():
    assert figures((0, 99, 100), (5, 98, 102), end=10).median_spread_ticks == 1
    assert figures((0, 99, 100), (4, 98, 102), end=10).median_spread_ticks == 4


def test_a_series_of_one_moment_is_refused():
    with pytest.raises(ValueError, match="touches must cover some time, was one moment"):
        figures((1, 99, 101), end=1)


@pytest.mark.parametrize("increment", [0.0, -1.0, float("nan")])
def test_an_increment_that_is_none_is_refused(increment):
    with pytest.raises(ValueError, match="price_increment must be positive, was"):
        figures((0, 99, 101), end=1, increment=increment)
