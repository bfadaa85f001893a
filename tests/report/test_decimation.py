import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.report.figures import min_max_rows, thinned_rows

values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), max_size=400)


@given(values, st.integers(1, 40))
def test_no_peak_is_lost_and_the_ends_stay(points, buckets):
    series = np.array(points, dtype=np.float64)

    rows = min_max_rows(series, buckets)

    assert (np.diff(rows) > 0).all()
    assert len(rows) <= max(2 * buckets + 2, 0)
    if len(series):
        assert rows[0] == 0
        assert rows[-1] == len(series) - 1
    if not np.isnan(series).all():
        assert np.nanmax(series[rows]) == np.nanmax(series)
        assert np.nanmin(series[rows]) == np.nanmin(series)


def test_each_stretch_has_its_lowest_and_its_highest_point():
    series = np.array([0.0, 5.0, -5.0, 0.0, 1.0, 9.0, 2.0, 0.5])

    assert min_max_rows(series, 2).tolist() == [0, 1, 2, 5, 7]


def test_a_stretch_without_numbers_stays_a_gap():
    series = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan, 4.0, 5.0, 6.0])

    assert np.isnan(series[min_max_rows(series, 3)]).any()


def test_a_short_series_is_kept():
    assert min_max_rows(np.array([3.0, 1.0, 2.0]), 2).tolist() == [0, 1, 2]
    assert min_max_rows(np.array([]), 2).tolist() == []


@given(st.integers(0, 5000), st.integers(2, 300))
def test_thinned_rows_are_spread_evenly(count, most):
    rows = thinned_rows(count, most)

    assert len(rows) == min(count, most)
    if count > 1:
        assert (rows[0], rows[-1]) == (0, count - 1)
        steps = np.diff(rows)
        assert steps.max() - steps.min() <= 1


def test_too_few_places_are_refused():
    with pytest.raises(ValueError, match="buckets must be at least 1, was 0"):
        min_max_rows(np.array([1.0]), 0)
    with pytest.raises(ValueError, match="most must be at least 2, was 1"):
        thinned_rows(5, 1)
