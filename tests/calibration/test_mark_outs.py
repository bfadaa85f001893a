import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_market import SYMBOLS, needs_recordings, recorded_market
from simulated_flow import simulated_market

from mm_nautilus.calibration.mark_outs import mark_outs
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.market.rows import Side

SECOND_NS = 1_000_000_000


def touches_of(mids, *, end_seconds):
    """A new mid every second from 0 on, two ticks wide."""
    bid = np.array(mids, dtype=np.int64) - 1
    sizes = np.ones(len(bid), dtype=np.int64)
    return TouchSeries(
        np.arange(len(bid)) * SECOND_NS, bid, bid + 2, sizes, sizes, round(end_seconds * SECOND_NS)
    )


def seconds(*values):
    return np.array([round(value * SECOND_NS) for value in values], dtype=np.int64)


def test_a_maker_who_sold_gains_when_the_mid_is_lower():
    touches = touches_of([1000, 1000, 990, 990, 990], end_seconds=5)

    (result,) = mark_outs(seconds(0.5, 3.5), [1001, 991], np.array([True, True]), touches, [1.0])

    assert result.mark_out_bps == pytest.approx(1e4 * (1 / 1001 + 1 / 991) / 2)
    assert (result.seconds, result.trades) == (1.0, 2)


def test_a_maker_who_bought_loses_when_the_mid_is_lower():
    touches = touches_of([1000, 1000, 990, 990, 990], end_seconds=5)

    (result,) = mark_outs(seconds(1.5, 3.5), [999, 989], np.array([False, False]), touches, [1.0])

    assert result.mark_out_bps == pytest.approx(1e4 * (-9 / 999 + 1 / 989) / 2)


def test_horizons_beyond_the_window_are_left_out():
    touches = touches_of([1000] * 5, end_seconds=5)
    times, buys = seconds(0, 2, 4, 4.5), np.array([True, False, True, False])

    results = mark_outs(times, [1001, 999, 1001, 999], buys, touches, [0.5, 1.0, 3.0])

    assert [(result.seconds, result.trades) for result in results] == [(0.5, 4), (1.0, 3)]


def test_a_horizon_that_ends_with_the_window_counts():
    touches = touches_of([1000] * 5, end_seconds=5)

    (result,) = mark_outs(seconds(0, 4), [1001, 1001], np.array([True, True]), touches, [1.0])

    assert result.trades == 2


def test_trades_ahead_of_the_first_touch_are_left_out():
    touches = touches_of([1000] * 6, end_seconds=6)
    times = seconds(-1.5, -0.5, 3.5)

    (result,) = mark_outs(times, [2000, 1001, 1001], np.ones(3, dtype=bool), touches, [1.0])

    assert result.trades == 2


def test_one_burst_has_no_standard_error_and_so_no_entry():
    touches = touches_of([1000] * 40, end_seconds=40)

    assert mark_outs(seconds(1.0, 1.1, 1.2), [1001] * 3, np.ones(3, dtype=bool), touches, [5.0]) == []


def test_no_trades_give_no_entry():
    empty = np.array([], dtype=np.int64)

    assert mark_outs(empty, empty, empty.astype(bool), touches_of([1000, 1000], end_seconds=9)) == []


def test_single_trades_far_apart_have_the_textbook_standard_error():
    random = np.random.default_rng(3)
    prices = 10_000 + random.integers(-5, 6, 50)
    touches = touches_of([10_000] * 210, end_seconds=210)

    (result,) = mark_outs(seconds(*range(0, 200, 4)), prices, np.ones(50, dtype=bool), touches, [1.0])

    gains = 1e4 * (prices - 10_000) / prices
    assert result.standard_error_bps == pytest.approx(gains.std(ddof=1) / np.sqrt(50))


def test_trades_of_one_burst_count_as_one_for_the_standard_error():
    touches = touches_of([10_000 + 5 * (index % 3) for index in range(210)], end_seconds=210)
    once, prices = np.arange(0, 200, 4) * SECOND_NS, 10_000 + np.arange(50) % 7

    (single,) = mark_outs(once, prices, np.ones(50, dtype=bool), touches, [1.0])
    (burst,) = mark_outs(np.repeat(once, 9), np.repeat(prices, 9), np.ones(450, dtype=bool), touches, [1.0])

    assert burst.mark_out_bps == pytest.approx(single.mark_out_bps)
    assert burst.standard_error_bps == pytest.approx(single.standard_error_bps)
    assert burst.trades == 450


@pytest.mark.parametrize("horizon", [1.0, 5.0])
def test_uninformed_flow_marks_out_at_its_distance_within_the_standard_error(horizon):
    deviations = []
    for seed in range(20):
        touches, trades = simulated_market(seed)
        buys, rows = trades.aggressor == Side.BID, touches.row_at(trades.ts_init, before=True)
        (result,) = mark_outs(trades.ts_init, trades.price_ticks, buys, touches, [horizon])
        distance = np.abs(trades.price_ticks - touches.mid_ticks[rows]) / trades.price_ticks
        deviations.append((result.mark_out_bps - 1e4 * distance.mean()) / result.standard_error_bps)

    assert np.abs(deviations).max() < 4
    assert abs(np.mean(deviations)) < 0.75
    assert 0.6 < np.std(deviations, ddof=1) < 1.45


@settings(max_examples=50)
@given(
    mids=st.lists(st.integers(900, 1100), min_size=12, max_size=12),
    trades=st.lists(
        st.tuples(st.floats(0, 11), st.integers(900, 1100), st.booleans()), min_size=1, max_size=9
    ),
)
def test_exchanging_buyers_and_sellers_turns_every_sign(mids, trades):
    touches = touches_of(mids, end_seconds=12)
    times, prices, buys = (
        seconds(*(row[0] for row in trades)),
        [row[1] for row in trades],
        [row[2] for row in trades],
    )

    one = mark_outs(times, prices, np.array(buys), touches, [0.5, 2.0])
    other = mark_outs(times, prices, ~np.array(buys), touches, [0.5, 2.0])

    assert [result.mark_out_bps for result in one] == pytest.approx(
        [-result.mark_out_bps for result in other]
    )
    assert [result.standard_error_bps for result in one] == pytest.approx(
        [result.standard_error_bps for result in other]
    )


@pytest.mark.parametrize(
    ("prices", "buys", "horizons", "text"),
    [
        ([1.0], [True], [1.0], r"equal columns, was \[2, 1, 1\]"),
        ([1.0, 0.0], [True, True], [1.0], "price_ticks must be positive and finite"),
        ([1.0, np.nan], [True, True], [1.0], "price_ticks must be positive and finite"),
        ([1.0, 2.0], [True, True], [0.0], r"horizons_seconds must be positive, was 0\.0"),
    ],
)
def test_trades_that_are_none_are_refused(prices, buys, horizons, text):
    with pytest.raises(ValueError, match=text):
        mark_outs(seconds(0, 1), prices, np.array(buys), touches_of([1000] * 3, end_seconds=3), horizons)


@needs_recordings
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_makers_at_the_touch_lose_before_fees_in_the_recordings(symbol):
    touches, trades = recorded_market(symbol)

    results = mark_outs(trades.ts_init, trades.price_ticks, trades.aggressor == Side.BID, touches)

    assert [result.seconds for result in results] == [1.0, 5.0, 30.0]
    assert results[0].mark_out_bps < -2 * results[0].standard_error_bps
    assert results[0].standard_error_bps < results[1].standard_error_bps < results[2].standard_error_bps
