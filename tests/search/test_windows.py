from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import ConfigError
from mm_nautilus.search.windows import (
    LEAST_PERIODS,
    Window,
    embargo_seconds,
    longest_position_seconds,
    make_windows,
    period_results,
)

HOUR = 3_600 * 10**9
DAY = Window(1_750_000_000 * 10**9, 1_750_000_000 * 10**9 + 24 * HOUR)


def test_one_split_trains_on_the_first_half_and_tests_on_the_second():
    (fold,) = make_windows(DAY, 1, gap_seconds=600.0).folds
    assert fold.test == Window(DAY.start_ns + 12 * HOUR, DAY.end_ns)
    assert fold.train == Window(DAY.start_ns, DAY.start_ns + 12 * HOUR - HOUR // 6)


def test_folds_walk_forward_over_the_same_test_data():
    found = make_windows(DAY, 4, gap_seconds=0.0)
    starts = [12, 15, 18, 21]
    assert [(fold.test.start_ns - DAY.start_ns) / HOUR for fold in found.folds] == starts
    assert [fold.train for fold in found.folds] == [
        Window(DAY.start_ns, fold.test.start_ns) for fold in found.folds
    ]
    assert found.period_ns == 12 * HOUR // 120


@given(
    st.integers(1, 40),
    st.floats(0.0, 50_000.0),
    st.floats(0.25, 0.9),
    st.integers(1_000, 10_000_000),
)
def test_every_split_that_is_not_refused_can_be_judged(folds, gap, share, seconds):
    span = Window(DAY.start_ns, DAY.start_ns + seconds * 10**9)
    try:
        found = make_windows(span, folds, gap, share)
    except ConfigError as refused:
        assume("was" in str(refused))
        return
    tests = [fold.test for fold in found.folds]
    assert tests[-1].end_ns == span.end_ns
    assert all(one.end_ns == two.start_ns for one, two in pairwise(tests))
    assert sum(len(test.edges(found.period_ns)) - 1 for test in tests) >= LEAST_PERIODS
    assert min(len(test.edges(found.period_ns)) for test in tests) >= 2
    for fold in found.folds:
        assert fold.train.start_ns == span.start_ns
        assert fold.test.start_ns - fold.train.end_ns >= gap * 1e9
        assert len(fold.train.edges(found.period_ns)) > LEAST_PERIODS
        assert fold.test.edges(found.period_ns)[-1] == fold.test.end_ns


def test_a_span_too_short_is_refused_with_what_is_needed():
    two_hours = Window(DAY.start_ns, DAY.start_ns + 2 * HOUR)
    with pytest.raises(ConfigError) as refused:
        make_windows(two_hours, 4, gap_seconds=4_800.0)
    needed = "the data must be at least 3 h 34 min long for 4 folds with an embargo of 1 h 20 min between"
    assert refused.value.problems == [
        f"{needed} training and test, was 2 h from 2025-06-15T15:06:40+00:00 to 2025-06-15T17:06:40+00:00"
    ]
    enough = Window(DAY.start_ns, DAY.start_ns + 214 * HOUR // 60)
    assert len(make_windows(enough, 4, gap_seconds=4_800.0).folds) == 4


@pytest.mark.parametrize(
    ("folds", "gap", "share"), [(0, 0.0, 0.5), (1, -1.0, 0.5), (1, 0.0, 0.1), (1, 0.0, 1.0)]
)
def test_a_split_without_sense_is_refused(folds, gap, share):
    with pytest.raises(ConfigError, match="folds must be at least 1"):
        make_windows(DAY, folds, gap, share)


def test_embargo_is_the_longest_position_and_then_the_longest_estimate():
    short = SymbolParams(volatility_lookback=10, max_position_seconds=100.0)
    assert embargo_seconds([short], 5_000.0) == 700.0
    assert embargo_seconds([short, SymbolParams(volatility_lookback=30)], 5_000.0) == 6_800.0
    recalibrated = SymbolParams(
        use_reservation_price=True,
        reservation_model="glft",
        recalibrate_minutes=5.0,
        recalibrate_window_minutes=60.0,
        max_position_seconds=100.0,
    )
    assert embargo_seconds([short, recalibrated], 0.0) == 3_700.0


def test_the_oldest_position_is_the_longest_time_on_one_side():
    seconds = np.array([10, 20, 30, 90, 100, 130]) * 10**9
    lots = np.array([2, 1, -3, -1, 2, -1])  # long from 10 to 30, short from 90 to 100, long until 130
    assert longest_position_seconds(seconds, lots, 500 * 10**9) == 30.0
    assert longest_position_seconds(seconds[:4], lots[:4], 500 * 10**9) == 410.0
    assert longest_position_seconds(seconds[:0], lots[:0], 500 * 10**9) == 0.0


def test_periods_add_up_to_the_whole_window():
    edges = Window(0, 100).edges(30)
    assert edges.tolist() == [0, 40, 70, 100]  # what is left over belongs to the first
    found = period_results([0, 5, 40, 41, 99, 104], np.array([0.5, 1.0, 3.0, 4.0, 2.0, 2.5]), edges)
    assert found.tolist() == [3.0, 1.0, -1.5]
    assert period_results([50], np.array([7.0]), edges).tolist() == [0.0, 7.0, 0.0]
    assert period_results([], np.array([]), edges).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("moments", "totals"), [([1, 2], [1.0]), ([2, 1], [1.0, 1.0]), ([1], [np.nan])])
def test_totals_that_are_no_curve_are_refused(moments, totals):
    with pytest.raises(ValueError, match="one finite total"):
        period_results(moments, np.array(totals), Window(0, 100).edges(30))
