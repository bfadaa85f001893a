import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.calibration.mark_outs import OwnFills, clustered_mean, fill_quality

SECOND_NS = 1_000_000_000
NAN = float("nan")


def fills_of(*rows):
    """Rows of seconds, direction, price, quantity, fee and mid."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    return OwnFills((columns[0] * SECOND_NS).astype(np.int64), *columns[1:])


def test_a_bid_that_was_hit_before_a_fall_lost_its_spread_and_more():
    fills = fills_of((0, 1, 99.0, 10, 0.5, 100.0))

    at_fill, later = fill_quality(fills, {5.0: np.array([98.0])})

    assert (at_fill.seconds, at_fill.spread, at_fill.adverse, at_fill.mark_out) == (0.0, 10.0, 0.0, 10.0)
    assert (later.spread, later.adverse, later.mark_out, later.fees, later.net) == (
        10.0,
        20.0,
        -10.0,
        0.5,
        -10.5,
    )
    assert later.value == 990.0
    assert later.mark_out_bps == pytest.approx(-1e4 * 10 / 990)
    assert later.standard_error_bps is None


def test_an_ask_is_the_mirror_image():
    fills = fills_of((0, -1, 101.0, 10, 0.5, 100.0))

    _, later = fill_quality(fills, {5.0: np.array([102.0])})

    assert (later.spread, later.adverse, later.mark_out, later.net) == (10.0, 20.0, -10.0, -10.5)


def test_a_taker_pays_the_spread():
    at_fill, _ = fill_quality(fills_of((0, 1, 101.0, 2, 0.0, 100.0)), {1.0: np.array([100.0])})

    assert at_fill.spread == -2.0
    assert at_fill.spread_bps == pytest.approx(-1e4 * 2 / 202)


def test_figures_in_bps_are_weighted_by_value():
    fills = fills_of((0, 1, 99.0, 1, 0.0, 100.0), (90, 1, 98.0, 9, 0.0, 100.0))

    _, later = fill_quality(fills, {1.0: np.array([100.0, 100.0])})

    assert later.mark_out_bps == pytest.approx(1e4 * (1 + 18) / (99 + 98 * 9))


def test_fills_without_a_later_mid_are_left_out_of_that_horizon_only():
    fills = fills_of((0, 1, 99.0, 1, 0.1, 100.0), (1, 1, 99.0, 1, 0.1, 100.0), (2, 1, 99.0, 1, 0.1, NAN))

    at_fill, short, long = fill_quality(
        fills, {1.0: np.array([100.0, 100.0, 100.0]), 30.0: np.array([100.0, NAN, NAN])}
    )

    assert [at_fill.fills, short.fills, long.fills] == [2, 2, 1]
    assert long.fees == pytest.approx(0.1)


def test_without_fills_amounts_are_zero_and_there_is_nothing_to_share():
    at_fill, later = fill_quality(fills_of(), {1.0: np.array([])})

    assert (later.fills, later.value, later.spread, later.net) == (0, 0.0, 0.0, 0.0)
    assert at_fill.spread_bps is later.net_bps is later.standard_error_bps is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1000),
            st.sampled_from([-1, 1]),
            st.floats(1, 1000),
            st.floats(0.001, 1000),
            st.floats(-1, 1),
            st.floats(1, 1000),
            st.floats(1, 1000),
        ),
        max_size=20,
    )
)
def test_parts_always_add_up(rows):
    fills = fills_of(*(row[:6] for row in rows))

    for quality in fill_quality(fills, {5.0: np.array([row[6] for row in rows], dtype=np.float64)}):
        scale = 1e-9 * (1 + quality.value + abs(quality.mark_out))
        assert quality.mark_out == pytest.approx(quality.spread - quality.adverse, abs=scale)
        assert quality.net == pytest.approx(quality.mark_out - quality.fees, abs=scale)
        if quality.value:
            parts = quality.spread_bps - quality.adverse_bps - quality.fees_bps
            assert quality.net_bps == pytest.approx(parts, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seconds", [0.0, -1.0, NAN])
def test_a_horizon_that_is_not_positive_is_refused(seconds):
    with pytest.raises(ValueError, match="horizons must be positive"):
        fill_quality(fills_of(), {seconds: np.array([])})


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one mid for each of 1 fills, was 0"):
        fill_quality(fills_of((0, 1, 1, 1, 0, 1)), {1.0: np.array([])})
    with pytest.raises(ValueError, match="equally long"):
        OwnFills(np.array([0]), *(np.array([]) for _ in range(5)))


def test_equal_weights_give_the_plain_mean_and_its_clustered_error():
    values = np.array([1.0, 3.0, 5.0, 7.0])
    moments = np.array([0, 1, 100, 101]) * SECOND_NS

    mean, error = clustered_mean(values, np.ones(4), moments, 5.0)

    assert mean == 4.0
    assert error == pytest.approx(np.sqrt(2 / 1 * ((-4.0) ** 2 + 4.0**2)) / 4)


def test_a_single_stretch_has_a_mean_and_no_error():
    assert clustered_mean(np.array([1.0, 2.0]), np.ones(2), np.array([0, 1]), 30.0) == (1.5, None)
    mean, error = clustered_mean(np.array([]), np.array([]), np.array([], dtype=np.int64), 1.0)
    assert np.isnan(mean)
    assert error is None
