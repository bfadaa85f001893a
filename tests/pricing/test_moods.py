"""Regimes by quantile, sessions by the clock, trends by slope, correlation by minute."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.calibration.figures import VolatilityQuantile
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.moods import Mood, MoodSchedule, TrendFilter, aligned_correlation, quantile_pct

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
MIDNIGHT = 20_428 * 86_400 * SECOND
QUANTILES = [VolatilityQuantile(quantile=q, volatility_pct=v) for q, v in ((0, 0.02), (0.5, 0.06), (1, 0.2))]


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 0.02), (0.25, 0.04), (0.5, 0.06), (0.75, 0.13), (0.95, 0.186)]
)
def test_quantiles_lie_on_lines_between_those_measured(share, expected):
    assert quantile_pct(QUANTILES, share) == pytest.approx(expected)


def test_no_quantile_without_a_distribution():
    with pytest.raises(ValueError, match="need a calibration"):
        quantile_pct([], 0.5)


REGIMES = [
    {"above_quantile": 0.75, "width": 2.0, "size": 0.5},
    {"above_quantile": 0.25, "width": 1.2},
    {"above_quantile": 0.95, "pause": True},
]


@pytest.mark.parametrize(
    ("volatility", "expected"),
    [
        (0.0, Mood()),
        (0.0399, Mood()),
        (0.05, Mood(1.2)),
        (0.14, Mood(2.0, 0.5)),
        (0.19, Mood(1.0, 1.0, pauses=True)),
    ],
)
def test_the_highest_regime_that_is_passed_holds(volatility, expected):
    schedule = MoodSchedule(SymbolParams(volatility_regimes=REGIMES), QUANTILES)
    assert schedule.mood(MIDNIGHT, volatility) == expected


def test_no_regime_holds_while_the_volatility_is_not_known_or_at_its_quantile():
    still = [VolatilityQuantile(quantile=q, volatility_pct=v) for q, v in ((0, 0.0), (1, 0.2))]
    schedule = MoodSchedule(SymbolParams(volatility_regimes=[{"above_quantile": 0, "size": 0.5}]), still)
    assert schedule.mood(MIDNIGHT, 0.0) == Mood()
    assert schedule.mood(MIDNIGHT, 0.001) == Mood(size=0.5)


SESSIONS = [
    {"start": "13:30", "end": "15:00", "width": 2.0},
    {"start": "14:00", "end": "16:00", "size": 0.5, "width": 1.5},
    {"start": "23:00", "end": "01:00", "size": 0.25},
]


@pytest.mark.parametrize(
    ("minute", "width", "size", "next_minute"),
    [
        (0, 1.0, 0.25, 60),
        (60, 1.0, 1.0, 13 * 60 + 30),
        (13 * 60 + 29, 1.0, 1.0, 13 * 60 + 30),
        (13 * 60 + 30, 2.0, 1.0, 14 * 60),
        (14 * 60 + 59, 3.0, 0.5, 15 * 60),
        (15 * 60, 1.5, 0.5, 16 * 60),
        (16 * 60, 1.0, 1.0, 23 * 60),
        (23 * 60 + 1, 1.0, 0.25, 25 * 60),
    ],
)
def test_sessions_hold_from_their_start_to_their_end(minute, width, size, next_minute):
    schedule = MoodSchedule(SymbolParams(session_hours=SESSIONS), [])
    for within in (0, 59 * SECOND):
        now = MIDNIGHT + minute * MINUTE + within
        assert schedule.mood(now, 0.1) == Mood(width, size)
        assert schedule.next_ns(now, now + 10**18) == MIDNIGHT + next_minute * MINUTE
    assert schedule.next_ns(MIDNIGHT, MIDNIGHT + 1) == MIDNIGHT + 1


def fed(trend, slopes_bps):
    """Feed a mid that moves by so many bps each 5 seconds; return the direction after each."""
    mid, found = 100.0, []
    for step, slope in enumerate(slopes_bps):
        trend.update(MIDNIGHT + step * 5 * SECOND, mid)
        found.append(trend.direction)
        mid *= 1 + slope / 1e4
    return found


@pytest.mark.parametrize("way", [1, -1])
def test_a_trend_is_confirmed_by_slopes_in_a_row(way):
    """Three closes make the first slope, at the fourth price; 1 bps in 5 s are 12 bps a minute."""
    trend = TrendFilter(11.9, 15.0, 2)
    assert fed(trend, [way] * 8) == [0, 0, 0, 0, way, way, way, way]
    trend.restart()
    assert trend.direction == 0
    assert fed(TrendFilter(12.1, 15.0, 1), [way] * 8) == [0] * 8


def test_a_turn_ends_a_trend_at_once_and_has_to_be_confirmed():
    found = fed(TrendFilter(5.0, 15.0, 2), [1] * 6 + [-3] * 6)
    assert found[6] == 1
    assert found[-1] == -1
    assert 0 in found[6:]


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=40))
def test_a_trend_of_the_mirrored_prices_is_the_opposite(moves):
    up, down = TrendFilter(8.0, 20.0, 2), TrendFilter(8.0, 20.0, 2)
    log_mid = 0.0
    for step, move in enumerate(moves):
        at = MIDNIGHT + step * 5 * SECOND
        up.update(at, 100.0 + log_mid)
        down.update(at, 100.0 - log_mid)
        log_mid += move / 100
        near = abs(up.direction + down.direction)
        assert near <= 1  # slopes are shares of the last mid, which differs on the two
        assert up.direction * down.direction <= 0


def test_correlation_takes_the_same_minutes_of_both():
    moves = [0.1, -0.2, 0.3, -0.1, 0.2, 0.4]
    assert aligned_correlation(moves, 6, moves, 6, 6) == pytest.approx(1.0)
    assert aligned_correlation(moves, 6, [-move for move in moves[:5]], 5, 6) == pytest.approx(-1.0)
    assert aligned_correlation(moves[:5], 5, moves, 6, 6) == pytest.approx(1.0)
    assert aligned_correlation(moves[:4], 4, moves, 6, 6) is None
    assert aligned_correlation([0.0] * 6, 6, moves, 6, 6) is None
    assert math.isclose(aligned_correlation(moves[1:], 6, moves, 6, 6) or 0.0, 1.0)
