"""The line over time stays short and keeps its peaks."""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.live_view.curve import Curve, Curves

SECOND_NS = 1_000_000_000


def test_a_short_line_is_kept_whole() -> None:
    curve = Curve(4)
    points = [(second * SECOND_NS, float(second % 2)) for second in range(4)]
    for point in points:
        curve.add(*point)
    assert curve.points() == points


def test_there_is_no_line_before_the_first_point() -> None:
    assert Curve().points() == []


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    st.integers(1, 1_000_000),
    st.integers(2, 12),
)
def test_length_is_bounded_and_extremes_and_ends_survive(
    values: list[float], step_seconds: int, most: int
) -> None:
    curve = Curve(most)
    points = [(index * step_seconds * SECOND_NS, value) for index, value in enumerate(values)]
    for point in points:
        curve.add(*point)
    kept = curve.points()
    assert len(kept) <= 2 * most + 2
    assert set(kept) <= set(points)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert min(value for _, value in kept) == min(values)
    assert max(value for _, value in kept) == max(values)


def test_a_week_of_ten_seconds_is_a_few_hundred_points_over_the_whole_week() -> None:
    curve = Curve()
    moments = [index * 10 * SECOND_NS for index in range(7 * 8_640)]
    for index, moment in enumerate(moments):
        curve.add(moment, float(index % 100))
    kept = curve.points()
    assert 200 < len(kept) <= 482
    widest = max(later[0] - earlier[0] for earlier, later in pairwise(kept))
    assert widest < moments[-1] / 100


def test_a_clock_that_was_set_back_adds_to_the_last_stretch() -> None:
    curve = Curve(4)
    for second, value in ((10, 1.0), (11, 2.0), (3, -5.0), (4, 0.0), (12, 1.5)):
        curve.add(second * SECOND_NS, value)
    assert -5.0 in {value for _, value in curve.points()}
    assert len(curve.points()) <= 8


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-1e6, 1e6)), max_size=600))
def test_a_curve_comes_back_and_goes_on(given: list[tuple[int, float]]) -> None:
    curve = Curve()
    for second, value in sorted(given):
        curve.add(second * SECOND_NS, value)
    again = Curve.from_dict(json.loads(json.dumps(curve.to_dict())))
    assert again.points() == curve.points()
    for each in (curve, again):
        for second in range(10**6, 10**6 + 2_000, 10):
            each.add(second * SECOND_NS, float(second % 70))
    assert again.points() == curve.points()
    assert len(again.points()) <= 482


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"stretch_ns": 0, "points": []},
        {"stretch_ns": SECOND_NS, "points": [[1]]},
        {"stretch_ns": SECOND_NS, "points": [[1, math.nan]]},
        {"stretch_ns": SECOND_NS, "points": [["1", 2.0]]},
        {"stretch_ns": SECOND_NS, "points": 7},
    ],
)
def test_what_is_no_curve_is_refused(values: dict[str, Any]) -> None:
    whole = Curves().to_dict()
    with pytest.raises((KeyError, TypeError, ValueError)):
        Curves.from_dict(whole | {"trading_pnl": values})


def test_fewer_than_two_stretches_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, was 1"):
        Curve(1)
