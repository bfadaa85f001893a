from dataclasses import fields, replace

import numpy as np
import pytest
from simulated_flow import START_NS, simulated_market

from mm_nautilus.calibration.intensity import fit_intensity, market_orders
from mm_nautilus.calibration.realised_volatility import volatility_figures
from mm_nautilus.calibration.rolling import RollingCalibration
from mm_nautilus.calibration.touches import TouchSeries, spread_figures
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.rows import Side, TradeBlock

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def feed(rolling, touches, trades, until_ns):
    """Hand a market over in time order, as a run does."""
    rows = [
        (int(ts), 0, lambda values=values: rolling.add_touch(*values))
        for ts, values in zip(
            touches.ts_ns,
            zip(
                *(
                    column.tolist()
                    for column in (
                        touches.ts_ns,
                        touches.bid_ticks,
                        touches.ask_ticks,
                        touches.bid_lots,
                        touches.ask_lots,
                    )
                ),
                strict=True,
            ),
            strict=True,
        )
    ]
    rows += [
        (int(ts), 1, lambda values=values, side=side: rolling.add_trade(*values, is_buy=side == Side.BID))
        for ts, side, values in zip(
            trades.ts_init,
            trades.aggressor.tolist(),
            zip(
                trades.ts_event.tolist(),
                trades.ts_init.tolist(),
                trades.price_ticks.tolist(),
                trades.size_lots.tolist(),
                strict=True,
            ),
            strict=True,
        )
    ]
    for at_ns, _, add in sorted(rows, key=lambda row: row[:2]):
        if at_ns <= until_ns:
            add()


def cut(touches, trades, start_ns, end_ns):
    """Return the part of a market between two moments, the touch in force at its start first."""
    first = max(int(touches.row_at(np.array([start_ns]))[0]), 0)
    last = int(touches.row_at(np.array([end_ns]))[0]) + 1
    times = touches.ts_ns[first:last].copy()
    times[0] = max(times[0], start_ns)
    columns = (touches.bid_ticks, touches.ask_ticks, touches.bid_lots, touches.ask_lots)
    inside = (trades.ts_init >= start_ns) & (trades.ts_init <= end_ns)
    ids = [""] * int(inside.sum())
    tape = TradeBlock(*(getattr(trades, field.name)[inside] for field in fields(TradeBlock)[:-1]), ids)
    return TouchSeries(times, *(column[first:last] for column in columns), end_ns), tape


@pytest.fixture(scope="module")
def market():
    return simulated_market(3, seconds=900)


@pytest.mark.parametrize(("minutes", "window"), [(5, 5), (10, 5), (14, 60)])
def test_an_estimate_is_that_of_the_window_alone(market, minutes, window):
    rolling = RollingCalibration(MINUTE, window * MINUTE)
    now_ns = START_NS + minutes * MINUTE
    feed(rolling, *market, now_ns)
    found = rolling.estimate(now_ns)

    touches, tape = cut(*market, now_ns - window * MINUTE, now_ns)
    orders = market_orders(tape, touches)
    tick_bps = spread_figures(touches, 0.01, market_orders=0, trades=0).tick_bps
    fit = fit_intensity(orders.depth_bps, touches.seconds, sides=2, tick_bps=tick_bps)
    figures = (found.a_per_second, found.kappa_per_bps)
    assert figures == pytest.approx((fit.a_per_second, fit.kappa_per_bps), rel=1e-12)
    assert found.volatility_bps == volatility_figures(touches).volatility_bps
    assert found.source.startswith(f"from the {min(minutes, window)} min up to 2023-11-14T22:")


def test_a_gap_in_the_window_is_no_part_of_it(market):
    touches, trades = market
    gap = (START_NS + 400 * SECOND, START_NS + 500 * SECOND)
    outside = (touches.ts_ns <= gap[0]) | (touches.ts_ns >= gap[1])
    columns = ("ts_ns", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots")
    seen = TouchSeries(*(getattr(touches, name)[outside] for name in columns), touches.end_ns)
    begin_ns = int(seen.ts_ns[seen.ts_ns <= gap[0]][-1])
    known = replace(seen, gaps=np.array([[begin_ns, gap[1]]]))
    rolling = RollingCalibration(15 * MINUTE, 15 * MINUTE)
    feed(rolling, *cut(seen, trades, START_NS, gap[0]), gap[0])
    rolling.begin_gap(begin_ns)
    feed(rolling, *cut(seen, trades, gap[1], seen.end_ns), seen.end_ns)
    rolling.begin_gap(begin_ns)  # a gap that is over
    found = rolling.estimate(touches.end_ns)

    orders = market_orders(trades, known)
    tick_bps = spread_figures(known, 0.01, market_orders=0, trades=0).tick_bps
    fit = fit_intensity(orders.depth_bps, known.seconds, sides=2, tick_bps=tick_bps)
    assert found.a_per_second == pytest.approx(fit.a_per_second, rel=1e-12)
    assert found.volatility_bps == volatility_figures(known).volatility_bps
    assert found.source.startswith("from the 13.3 min up to ")


def test_a_window_that_is_all_gap_is_refused_in_words(market):
    rolling = RollingCalibration(MINUTE, MINUTE)
    feed(rolling, *market, START_NS + 10 * SECOND)
    rolling.begin_gap(START_NS + 10 * SECOND)
    with pytest.raises(CalibrationError, match="no book was recorded in the window"):
        rolling.estimate(START_NS + 20 * MINUTE)


def test_known_figures_are_found_again():
    rolling = RollingCalibration(30 * MINUTE, 30 * MINUTE)
    touches, trades = simulated_market(11, a_per_second=0.6, kappa_per_bps=1.4, volatility_bps=1.1)
    feed(rolling, touches, trades, touches.end_ns)
    found = rolling.estimate(touches.end_ns)
    assert found.a_per_second == pytest.approx(0.6, rel=0.2)
    assert found.kappa_per_bps == pytest.approx(1.4, rel=0.15)
    assert found.volatility_bps == pytest.approx(1.1, rel=0.5)


def test_estimates_are_due_an_interval_apart_also_after_a_refusal(market):
    rolling = RollingCalibration(2 * MINUTE, 5 * MINUTE)
    assert rolling.due_ns is None
    feed(rolling, *market, START_NS)
    assert rolling.due_ns == START_NS + 2 * MINUTE
    with pytest.raises(CalibrationError):
        rolling.estimate(START_NS + 2 * MINUTE + 7)
    assert rolling.due_ns == START_NS + 4 * MINUTE + 7


@pytest.mark.parametrize(
    ("trades", "words"),
    [(0, "0 market orders reached"), (5, "1 market order reached"), (None, "no sound book")],
)
def test_a_window_that_holds_too_little_is_refused_in_words(trades, words):
    rolling = RollingCalibration(MINUTE, MINUTE)
    if trades is not None:
        rolling.add_touch(START_NS, 10_000, 10_001, 3, 3)
        for number in range(trades):
            at_ns = START_NS + number * SECOND
            rolling.add_trade(at_ns, at_ns, 10_001, 1, is_buy=True)
    with pytest.raises(CalibrationError, match=words):
        rolling.estimate(START_NS + MINUTE)


def test_memory_is_bounded_by_the_window_even_without_estimates():
    rolling = RollingCalibration(MINUTE, MINUTE)
    lengths = []
    for second in range(1200):
        at_ns = START_NS + second * SECOND
        rolling.add_touch(at_ns, 10_000 + second % 2, 10_005, second, 1)
        rolling.add_trade(at_ns, at_ns, 10_005, 1, is_buy=True)
        lengths.append((len(rolling._touches[0]), len(rolling._trades[0])))
    assert max(touches for touches, _ in lengths) <= 2 * 60 + 2
    assert max(trades for _, trades in lengths) <= 2 * 60 + 2


def test_a_quiet_touch_stays_in_force_after_it_has_left_the_window():
    rolling = RollingCalibration(MINUTE, MINUTE)
    rolling.add_touch(START_NS, 10_000, 10_002, 3, 3)
    for second in range(600):
        at_ns = START_NS + second * SECOND
        rolling.add_trade(at_ns, at_ns, 10_002, 1, is_buy=True)
    touches = rolling.touches(START_NS + 600 * SECOND)
    assert touches.bid_ticks.tolist() == [10_000]
    assert touches.seconds == 60


def test_of_touches_at_one_time_the_last_counts_and_time_never_goes_back():
    rolling = RollingCalibration(MINUTE, MINUTE)
    rolling.add_touch(START_NS, 10_000, 10_001, 1, 1)
    rolling.add_touch(START_NS, 10_000, 10_002, 2, 2)
    rolling.add_touch(START_NS + 5, 10_000, 10_003, 3, 3)
    rolling.add_touch(START_NS + 4, 10_000, 10_004, 4, 4)
    touches = rolling.touches(START_NS + 6)
    assert touches.ts_ns.tolist() == [START_NS, START_NS + 5]
    assert touches.ask_ticks.tolist() == [10_002, 10_004]


def test_trades_before_the_first_touch_are_left_out():
    rolling = RollingCalibration(MINUTE, MINUTE)
    rolling.add_trade(START_NS, START_NS, 10_001, 1, is_buy=True)
    assert rolling.due_ns is None
    assert len(rolling.trades()) == 0
