"""What was not recorded is no time in which nothing happened: no figure counts it, none looks across it."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_flow import simulated_market

from mm_nautilus.calibration.intensity import market_orders
from mm_nautilus.calibration.mark_outs import mark_outs
from mm_nautilus.calibration.microprice import estimate_microprice
from mm_nautilus.calibration.realised_volatility import sampled_returns, volatility_figures
from mm_nautilus.calibration.touches import TouchSeries, spread_figures
from mm_nautilus.market.gaps import SilenceFinder
from mm_nautilus.market.rows import Side, TradeBlock

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
JUMP_TICKS = 50_000


def shifted(market, ns, ticks):
    """Return a market as it would have been later and at other prices."""
    touches, trades = market
    return (
        replace(
            touches,
            ts_ns=touches.ts_ns + ns,
            bid_ticks=touches.bid_ticks + ticks,
            ask_ticks=touches.ask_ticks + ticks,
            end_ns=touches.end_ns + ns,
        ),
        replace(
            trades,
            ts_event=trades.ts_event + ns,
            ts_init=trades.ts_init + ns,
            price_ticks=trades.price_ticks + ticks,
        ),
    )


def joined(first, second):
    """Return two markets as one with a gap between them, through which the tape goes on."""
    (touches, tape), (later, later_tape) = first, second
    columns = ("ts_ns", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots")
    gap = (touches.end_ns, int(later.ts_ns[0]))
    in_gap = shifted((touches, tape), 1200 * SECOND, 7)[1]
    tapes = (tape, in_gap, later_tape)
    return (
        TouchSeries(
            *(np.append(getattr(touches, name), getattr(later, name)) for name in columns),
            later.end_ns,
            np.array([gap]),
        ),
        TradeBlock(
            *(
                np.concatenate([getattr(part, field.name) for part in tapes])
                for field in fields(TradeBlock)[:-1]
            ),
            [trade_id for part in tapes for trade_id in part.trade_id],
        ),
    )


@pytest.fixture(scope="module")
def markets():
    first = simulated_market(1, seconds=900)
    second = shifted(simulated_market(2, seconds=600), DAY, JUMP_TICKS)
    return first, second, joined(first, second)


def test_time_recorded_is_the_sum_of_the_parts(markets):
    (first, _), (second, _), (both, _) = markets

    assert both.seconds == pytest.approx(first.seconds + second.seconds)
    assert both.row_seconds.sum() == pytest.approx(both.seconds)
    assert (both.end_ns - both.ts_ns[0]) / 1e9 > 86_400


def test_market_orders_are_those_of_both_parts_and_none_of_the_gap(markets):
    parts, both = markets[:2], markets[2]
    apart = [market_orders(trades, touches) for touches, trades in parts]

    found = market_orders(both[1], both[0])

    assert found.depth_bps.tolist() == [depth for orders in apart for depth in orders.depth_bps]
    assert found.ts_ns.tolist() == [ts for orders in apart for ts in orders.ts_ns]


def test_volatility_does_not_take_what_the_mid_did_over_the_gap(markets):
    (first, _), (second, _), (both, _) = markets

    for seconds in (1.0, 60.0):
        expected = [*sampled_returns(first, seconds), *sampled_returns(second, seconds)]
        assert sampled_returns(both, seconds).tolist() == expected
    apart, figures = [volatility_figures(part) for part in (first, second)], volatility_figures(both)
    assert figures.mid_moves == sum(part.mid_moves for part in apart)
    assert figures.one_minute_pct is not None
    assert figures.one_minute_pct < 0.2


def test_mark_outs_are_those_of_both_parts(markets):
    parts, both = markets[:2], markets[2]

    def outs(touches, trades):
        return mark_outs(trades.ts_init, trades.price_ticks, trades.aggressor == Side.BID, touches)

    for first, second, found in zip(*(outs(*part) for part in parts), outs(*both), strict=True):
        assert found.trades == first.trades + second.trades
        sums = first.trades * first.mark_out_bps + second.trades * second.mark_out_bps
        assert found.mark_out_bps == pytest.approx(sums / found.trades)


def test_the_microprice_counts_the_steps_of_both_parts(markets):
    (first, _), (second, _), (both, _) = markets

    figures = estimate_microprice(both, imbalance_buckets=2, most_spread_ticks=1)

    assert np.sum(figures.observations) == len(first) - 1 + len(second) - 1


def test_the_spread_weighs_recorded_time_alone(markets):
    (first, _), (second, _), (both, _) = markets
    means = [spread_figures(part, 1.0, market_orders=0, trades=0).mid_price for part in (first, second)]
    recorded = [first.seconds, second.seconds]

    found = spread_figures(both, 1.0, market_orders=0, trades=0)

    assert found.mid_price == pytest.approx(np.average(means, weights=recorded))


def test_moments_know_their_stretch_and_the_time_recorded_up_to_them():
    touches = TouchSeries(*(np.array([0, 10, 70], dtype=np.int64) + step for step in (0, 1, 2, 3, 4)), 100)
    touches = replace(touches, gaps=np.array([[30, 70], [80, 95]]))
    moments = np.array([0, 30, 31, 69, 70, 71, 80, 95, 100])

    assert touches.stretch_at(moments).tolist() == [0, 0, -1, -1, 1, 1, 1, 2, 2]
    assert touches.stretch_at(moments, before=True).tolist() == [0, 0, -1, -1, -1, 1, 1, -1, 2]
    assert touches.recorded_ns(moments).tolist() == [0, 30, 30, 30, 30, 31, 40, 40, 45]
    assert touches.row_seconds.tolist() == [10e-9, 20e-9, 15e-9]
    assert touches.is_step.tolist() == [True, False]
    assert touches.seconds == 45e-9


@pytest.mark.parametrize("gaps", [[[20, 10]], [[20, 40], [30, 50]], [[-1, 5]], [[5, 101]]])
def test_gaps_that_are_no_part_of_the_window_are_refused(gaps):
    touches = TouchSeries(*(np.array([0, 10], dtype=np.int64) + step for step in (0, 1, 2, 3, 4)), 100)

    with pytest.raises(ValueError, match="gaps of touches must ascend within the window, was"):
        replace(touches, gaps=np.array(gaps))


@given(st.lists(st.integers(-2, 9), min_size=1, max_size=20), st.data())
def test_blocks_have_the_silences_of_their_whole(steps, data):
    times = np.cumsum(steps)
    cut = data.draw(st.integers(1, len(times)))
    finder = SilenceFinder(5e-9)

    found = [finder.add(part) for part in (times[:cut], times[cut:]) if len(part)]

    lengths = [0, *np.diff(times).tolist()]
    assert [length for part in found for length in part.length_ns] == lengths
    assert [bool(gap) for part in found for gap in part.is_gap] == [length > 5 for length in lengths]
    assert [since for part in found for since in part.since_ns] == [times[0], *times[:-1]]
