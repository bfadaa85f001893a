import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_market import SYMBOLS, needs_recordings, recorded_market
from simulated_flow import simulated_market

from mm_nautilus.calibration.intensity import fit_intensity, market_orders
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.rows import Side, TradeBlock

A, KAPPA, COARSE_KAPPA = 0.5, 1.0, 0.4
SEEDS = range(20)


# -- Market orders ------------------------------------------------------------------------------------


def touches_at(*rows):
    """Rows of time, bid and ask."""
    ts_ns, bid, ask = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return TouchSeries(ts_ns, bid, ask, np.ones_like(bid), np.ones_like(bid), int(ts_ns[-1]) + 1000)


def tape(*rows):
    """Rows of time, price, lots and the taker's side; received two after it happened."""
    ts, price, lots, side = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return TradeBlock(ts - 2, ts, price, lots, side, [str(number) for number in range(len(ts))])


STEADY = ((0, 999, 1001),)
ORDERS = {
    # name: (trades, touches, times of the orders, whether they buy, their depths in bps)
    "trades of one side at one time are one order that reached the deepest": (
        [(50, 1001, 1, Side.BID), (50, 1002, 2, Side.BID), (50, 1004, 1, Side.BID)],
        (STEADY, [50], [True], [40.0]),
    ),
    "sell orders reach down": (
        [(50, 999, 1, Side.ASK), (50, 995, 1, Side.ASK)],
        (STEADY, [50], [False], [50.0]),
    ),
    "depth runs from the mid just before, not from that of the order's own moment": (
        [(50, 1003, 1, Side.BID)],
        (((0, 999, 1001), (50, 1001, 1003)), [50], [True], [30.0]),
    ),
    "depth runs from the last mid": (
        [(50, 1003, 1, Side.BID)],
        (((0, 999, 1001), (49, 1001, 1003)), [50], [True], [1e4 / 1002]),
    ),
    "orders of one side are one until the touch changes": (
        [(50, 1001, 1, Side.BID), (60, 1005, 1, Side.BID), (70, 999, 1, Side.ASK), (90, 1001, 1, Side.BID)],
        (((0, 999, 1001), (80, 999, 1001)), [50, 70, 90], [True, False, True], [50.0, 10.0, 10.0]),
    ),
    "trades ahead of the book or without a side are left out": (
        [(10, 1001, 1, Side.BID), (30, 1001, 1, Side.NONE), (40, 1001, 1, Side.BID)],
        (((10, 999, 1001),), [40], [True], [10.0]),
    ),
    "an order behind a stale mid has a negative depth": (
        [(50, 995, 1, Side.BID)],
        (STEADY, [50], [True], [-50.0]),
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_market_orders(name):
    trades, (touches, times, buys, depths) = ORDERS[name]
    orders = market_orders(tape(*trades), touches_at(*touches))
    assert (orders.ts_ns.tolist(), orders.is_buy.tolist()) == (times, buys)
    assert orders.depth_bps == pytest.approx(depths)


def test_sides_at_one_time_are_two_orders():
    trades = tape((50, 1001, 1, Side.BID), (50, 999, 1, Side.ASK))
    assert market_orders(trades, touches_at(*STEADY)).is_buy.tolist() in ([True, False], [False, True])


def test_an_order_that_the_feed_tears_apart_counts_from_its_first_trade():
    touches = touches_at((0, 999, 1001), (51, 1003, 1005))
    whole = tape((50, 1001, 1, Side.BID), (50, 1005, 1, Side.BID))
    torn = replace(whole, ts_init=np.array([50, 52]))

    assert market_orders(torn, touches).depth_bps == pytest.approx(market_orders(whole, touches).depth_bps)


def test_no_trades_are_no_orders():
    block = tape((1, 1, 1, Side.BID)).slice(0, 0)

    assert len(market_orders(block, touches_at((0, 999, 1001)))) == 0


@settings(max_examples=60)
@given(
    changes=st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True).map(sorted),
    rows=st.lists(
        st.tuples(
            st.integers(0, 70),
            st.integers(950, 1050),
            st.integers(1, 9),
            st.sampled_from([Side.BID, Side.ASK]),
        ),
        min_size=1,
        max_size=25,
    ),
)
def test_orders_are_those_that_a_plain_loop_finds(changes, rows):
    touches = touches_at(*((ts, 990 + ts % 7, 1000 + ts % 5) for ts in changes))
    trades = tape(*sorted(rows, key=lambda row: row[0]))
    expected: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for ts, price, _, side in sorted(rows, key=lambda row: row[0]):
        before = [row for row, start in enumerate(changes) if start < ts]
        if before:
            expected.setdefault((before[-1], side), []).append((ts, price))

    orders = market_orders(trades, touches)

    found = sorted(zip(orders.ts_ns, orders.is_buy, orders.depth_bps, strict=True))
    wanted = []
    for (row, side), fills in expected.items():
        mid = touches.mid_ticks[row]
        prices = [price for _, price in fills]
        depth = max(prices) - mid if side == Side.BID else mid - min(prices)
        wanted.append((fills[0][0], side == Side.BID, 1e4 * depth / mid))
    assert np.array(found, dtype=float) == pytest.approx(np.array(sorted(wanted), dtype=float))


# -- Recovery of known parameters ---------------------------------------------------------------------


def fits(tick_bps, kappa, *, timed):
    found = []
    for seed in SEEDS:
        touches, trades = simulated_market(seed, a_per_second=A, kappa_per_bps=kappa, tick_bps=tick_bps)
        orders = market_orders(trades, touches)
        tick = 1e4 / touches.mid_ticks.mean()
        times = orders.ts_ns if timed else None
        found.append(fit_intensity(orders.depth_bps, touches.seconds, sides=2, tick_bps=tick, ts_ns=times))
    return found


def behaves_like_standard_normals(deviations):
    """Twenty standard normals: their mean has an error of 0.22, their deviation one of 0.16."""
    return (
        np.abs(deviations).max() < 4
        and abs(np.mean(deviations)) < 0.75
        and 0.6 < np.std(deviations, ddof=1) < 1.45
    )


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(("tick_bps", "kappa"), [(0.02, KAPPA), (0.5, KAPPA), (4.0, COARSE_KAPPA)])
def test_known_parameters_come_back_within_their_standard_errors(tick_bps, kappa, timed):
    found = fits(tick_bps, kappa, timed=timed)

    kappas = [(fit.kappa_per_bps - kappa) / fit.kappa_standard_error for fit in found]
    rates = [(fit.a_per_second - A) / fit.a_standard_error for fit in found]

    assert behaves_like_standard_normals(kappas), kappas
    assert behaves_like_standard_normals(rates), rates


def test_a_line_through_log_counts_states_errors_that_are_too_small():
    # The counts at ten depths share their orders. Least squares that takes them as independent fails the test
    # that the fit passes: this is what the likelihood of disjoint counts is for.
    kappas, rates = [], []
    for seed in SEEDS:
        touches, trades = simulated_market(seed, a_per_second=A, kappa_per_bps=KAPPA)
        depths = market_orders(trades, touches).depth_bps
        grid = np.linspace(0.7, 3.5, 15)
        logs = np.log([(depths >= depth).sum() / (2 * touches.seconds) for depth in grid])
        (slope, level), covariance = np.polyfit(grid, logs, 1, cov=True)
        slope_error, level_error = np.sqrt(np.diag(covariance))
        kappas.append((-slope - KAPPA) / slope_error)
        rates.append((level - math.log(A)) / level_error)

    assert not behaves_like_standard_normals(kappas)
    assert not behaves_like_standard_normals(rates)
    assert np.std(kappas, ddof=1) > 2


def test_the_fit_agrees_with_generalised_least_squares_on_correlated_log_counts():
    for seed in range(5):
        touches, trades = simulated_market(seed, a_per_second=2 * A, kappa_per_bps=KAPPA, tick_bps=0.001)
        depths = market_orders(trades, touches).depth_bps
        fit = fit_intensity(depths, touches.seconds, sides=2, tick_bps=1e4 / touches.mid_ticks.mean())
        grid = np.linspace(fit.fitted_from_bps, fit.fitted_to_bps, 15)
        counts = np.array([(depths >= depth).sum() for depth in grid], dtype=float)

        # Cov(log N_j, log N_k) = E[N_deeper] / (N_j N_k) = 1 / N_shallower.
        weights = np.linalg.inv(1 / np.maximum.outer(counts, counts))
        design = np.stack([np.ones_like(grid), -grid], axis=1)
        covariance = np.linalg.inv(design.T @ weights @ design)
        level, kappa = covariance @ design.T @ weights @ np.log(counts / (2 * touches.seconds))

        assert kappa == pytest.approx(fit.kappa_per_bps, abs=0.5 * fit.kappa_standard_error)
        assert math.exp(level) == pytest.approx(fit.a_per_second, abs=0.5 * fit.a_standard_error)
        widening = math.sqrt(max(fit.chi_squared_per_degree, 1))
        assert math.sqrt(covariance[1, 1]) * widening == pytest.approx(fit.kappa_standard_error, rel=0.15)


def test_a_point_mass_at_the_touch_does_not_bend_the_fit():
    plain, touched = [], []
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        deep = 0.05 + random.exponential(1 / KAPPA, 900)
        depths = np.floor(deep / 0.1) * 0.1 + 0.05
        plain.append(fit_intensity(depths, 1000.0, tick_bps=0.1, least_depth_bps=0.1))
        # Three orders in four stop at the touch, whatever price they would have paid.
        with_touch = np.concatenate([depths, np.full(2700, 0.05)])
        touched.append(fit_intensity(with_touch, 1000.0, tick_bps=0.1))

    deviations = [(fit.kappa_per_bps - KAPPA) / fit.kappa_standard_error for fit in touched]
    assert behaves_like_standard_normals(deviations)
    assert np.mean([fit.kappa_per_bps for fit in touched]) == pytest.approx(
        np.mean([fit.kappa_per_bps for fit in plain]), rel=0.02
    )


def test_a_fat_tail_hardly_bends_the_fit():
    ranged, whole = [], []
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        tail = 6.0 + random.exponential(20.0, 20)
        depths = np.concatenate([random.exponential(1 / KAPPA, 2000), tail])
        fit = fit_intensity(depths, 1000.0)
        ranged.append(fit.kappa_per_bps)
        beyond = depths[depths >= fit.fitted_from_bps] - fit.fitted_from_bps
        whole.append(1 / beyond.mean())
        assert fit.fitted_to_bps < 4.5
        assert fit.points[-1].depth_bps > 2 * fit.fitted_to_bps

    # One order in a hundred is of the tail. The mean over all depths would be off by a third.
    assert np.mean(ranged) == pytest.approx(KAPPA, rel=0.07)
    assert np.mean(whole) < 0.75 * KAPPA


def test_bursts_widen_the_errors_where_times_are_known():
    random = np.random.default_rng(11)
    moments = np.sort(random.random(60)) * 1000
    times = np.repeat((moments * 1e9).astype(np.int64), 15)
    depths = random.exponential(1.0, len(times))

    plain = fit_intensity(depths, 1000.0)
    timed = fit_intensity(depths, 1000.0, ts_ns=times)

    assert timed.a_per_second == plain.a_per_second
    assert timed.kappa_per_bps == plain.kappa_per_bps
    # Counts of bursts of 15 scatter sqrt(15) times as much as counts of single orders.
    assert 2.0 < timed.a_standard_error / plain.a_standard_error < 5.0


def test_orders_of_a_burst_between_two_books_are_counted_once():
    touches, trades = simulated_market(5, a_per_second=A)
    two = np.repeat(np.arange(len(trades)), 4)
    late = np.tile([0, 1, 2, 3], len(trades))
    burst = TradeBlock(
        *(getattr(trades, name)[two] + late for name in ("ts_event", "ts_init")),
        *(getattr(trades, name)[two] for name in ("price_ticks", "size_lots", "aggressor")),
        [f"{number}" for number in range(len(two))],
    )

    once, often = market_orders(trades, touches), market_orders(burst, touches)

    assert len(often) == len(once)
    assert often.depth_bps == pytest.approx(once.depth_bps)


# -- The fit's figures --------------------------------------------------------------------------------


def exponential_depths(count=2000, seed=3):
    return np.random.default_rng(seed).exponential(1.0, count)


def test_two_sides_share_the_rate():
    one = fit_intensity(exponential_depths(), 1000.0)
    both = fit_intensity(exponential_depths(), 1000.0, sides=2)

    assert both.kappa_per_bps == one.kappa_per_bps
    assert both.a_per_second == pytest.approx(one.a_per_second / 2)
    assert both.a_standard_error == pytest.approx(one.a_standard_error / 2)
    assert [point.intensity_per_second for point in both.points] == pytest.approx(
        [point.intensity_per_second / 2 for point in one.points]
    )


def test_a_law_that_holds_shows_in_the_goodness_of_fit():
    fit = fit_intensity(exponential_depths(), 1000.0)

    assert fit.r_squared > 0.995
    assert 0.1 < fit.chi_squared_per_degree < 2.5


def test_a_law_through_two_depths_has_no_goodness_of_fit():
    depths = np.repeat([1.0, 2.0], [200, 100])

    fit = fit_intensity(depths, 1000.0, tick_bps=1.0)

    assert (fit.r_squared, fit.chi_squared_per_degree, fit.compared_depths) == (None, None, 2)


def test_a_law_that_does_not_hold_shows_in_the_goodness_of_fit():
    depths = np.random.default_rng(3).uniform(0.0, 1.0, 2000)

    fit = fit_intensity(depths, 1000.0, least_depth_bps=0.0)

    assert fit.r_squared < 0.95
    assert fit.chi_squared_per_degree > 20
    assert fit.kappa_standard_error > 4 * fit.kappa_per_bps / math.sqrt(2000)


def test_the_curve_counts_orders_that_reached_each_depth_and_goes_beyond_the_range():
    depths = exponential_depths()

    fit = fit_intensity(depths, 1000.0)

    assert [point.arrivals for point in fit.points] == [
        (depths >= point.depth_bps).sum() for point in fit.points
    ]
    assert all(point.intensity_per_second == point.arrivals / 1000 for point in fit.points)
    assert fit.points[0].depth_bps < fit.fitted_from_bps < fit.fitted_to_bps < fit.points[-1].depth_bps


def test_the_range_starts_beyond_the_median_and_ends_where_one_in_twenty_goes_on():
    depths = np.sort(exponential_depths())

    fit = fit_intensity(depths, 1000.0)

    assert depths[999] < fit.fitted_from_bps <= depths[1000]
    assert fit.arrivals == 1000
    assert (depths >= fit.fitted_to_bps).sum() == 50


def test_a_start_that_is_given_is_kept():
    depths = exponential_depths()

    fit = fit_intensity(depths, 1000.0, least_depth_bps=0.25)

    assert fit.fitted_from_bps == 0.25
    assert fit.arrivals == (depths >= 0.25).sum()


def test_coarse_ticks_keep_the_touch_in_the_range():
    depths = 4.0 * np.array([0.5] * 600 + [1.5] * 120 + [2.5] * 24 + [3.5] * 6)

    fit = fit_intensity(depths, 3600.0, tick_bps=4.0)

    # A fifth goes on from every tick; the tail ends the range one tick on.
    assert fit.fitted_from_bps == pytest.approx(2.0)
    assert fit.arrivals == 750
    assert fit.kappa_per_bps == pytest.approx(math.log(5) / 4, rel=1e-12)
    assert fit.a_per_second == pytest.approx(750 / 3600 * math.sqrt(5), rel=1e-12)
    assert fit.chi_squared_per_degree is None
    assert [(point.depth_bps, point.arrivals) for point in fit.points] == [
        (2.0, 750), (4.0, 150), (6.0, 150), (8.0, 30), (10.0, 30), (12.0, 6), (14.0, 6)
    ]  # fmt: skip


def test_the_spreads_parity_does_not_move_the_rate():
    # Half the time prices lie half a tick from the mid, half the time a whole one: the same law thins both.
    decay = math.exp(-0.25 * 4.0)
    odd = [round(20_000 * decay ** (0.5 + step) * (1 - decay)) for step in range(8)]
    even = [round(20_000 * decay ** (1.0 + step) * (1 - decay)) for step in range(8)]
    depths = np.concatenate(
        [np.repeat(4.0 * (np.arange(8) + 0.5), odd), np.repeat(4.0 * (np.arange(8) + 1.0), even)]
    )

    fit = fit_intensity(depths, 40_000.0, tick_bps=4.0)

    assert fit.kappa_per_bps == pytest.approx(0.25, rel=0.005)
    assert fit.a_per_second == pytest.approx(1.0, rel=0.005)


@settings(max_examples=60)
@given(scale=st.floats(0.01, 100), seconds=st.floats(1, 1e6), seed=st.integers(0, 50))
def test_units_carry_over(scale, seconds, seed):
    depths = exponential_depths(400, seed)
    base = fit_intensity(depths, 1000.0, tick_bps=0.01)

    fit = fit_intensity(scale * depths, seconds, tick_bps=0.01 * scale)

    assert fit.kappa_per_bps == pytest.approx(base.kappa_per_bps / scale, rel=0.02)
    assert fit.a_per_second == pytest.approx(base.a_per_second * 1000 / seconds, rel=0.02)
    assert fit.kappa_standard_error / fit.kappa_per_bps == pytest.approx(
        base.kappa_standard_error / base.kappa_per_bps, rel=0.25
    )


@settings(max_examples=60)
@given(seed=st.integers(0, 1000), tick=st.floats(1e-6, 1e-3))
def test_a_tick_that_goes_to_nothing_is_no_tick(seed, tick):
    depths = exponential_depths(500, seed)

    fine = fit_intensity(depths, 1000.0, tick_bps=tick, least_depth_bps=0.2)
    none = fit_intensity(depths, 1000.0, least_depth_bps=0.2)

    assert fine.kappa_per_bps == pytest.approx(none.kappa_per_bps, rel=5e-3)
    assert fine.a_per_second == pytest.approx(none.a_per_second, rel=5e-3)


# -- What is refused ----------------------------------------------------------------------------------


def test_no_orders_are_too_few():
    with pytest.raises(
        CalibrationError, match="0 market orders reached 0 bps from the mid or more, 30 are needed"
    ):
        fit_intensity([], 600.0)


def test_few_orders_are_too_few():
    with pytest.raises(CalibrationError, match=r"29 market orders .* 30 are needed"):
        fit_intensity(exponential_depths(29), 600.0)


def test_few_orders_beyond_the_touch_are_too_few():
    depths = np.concatenate([np.full(500, 0.001), np.linspace(0.2, 2.0, 12)])

    with pytest.raises(CalibrationError, match=r"12 market orders reached 0\.0015 bps .* 30 are needed"):
        fit_intensity(depths, 600.0, tick_bps=0.002)


@pytest.mark.parametrize("tick_bps", [0.0, 0.01, 4.0])
def test_orders_of_one_depth_show_no_decay(tick_bps):
    with pytest.raises(CalibrationError):
        fit_intensity(np.full(500, 2.0), 600.0, tick_bps=tick_bps)


def test_the_first_price_alone_shows_no_decay():
    depths = np.array([2.0] * 400 + [6.0] * 4)

    with pytest.raises(CalibrationError, match="4 of 404 market orders that reached 2 bps went further"):
        fit_intensity(depths, 600.0, tick_bps=4.0)


def test_an_intensity_that_does_not_decay_is_refused():
    depths = np.concatenate([np.full(300, 5.0), [1.0, 2.0, 3.0]])

    with pytest.raises(CalibrationError, match=r"does not decay: 3 of 303 .* that reached 0\.5 bps stopped"):
        fit_intensity(depths, 600.0, least_depth_bps=0.5)


def test_orders_far_from_the_mid_say_too_little_of_it():
    depths = 60.0 + exponential_depths(300)

    with pytest.raises(CalibrationError, match=r"the intensity at the mid, .* has a standard error of"):
        fit_intensity(depths, 600.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"seconds": 0.0}, r"seconds must be positive and finite, was 0\.0"),
        ({"seconds": math.nan}, "seconds must be positive and finite, was nan"),
        ({"sides": 3}, "sides must be 1 or 2, was 3"),
        ({"tick_bps": -1.0}, r"tick_bps must be at least 0 and finite, was -1\.0"),
        ({"least_depth_bps": -0.1}, r"least_depth_bps must be at least 0 and finite, was -0\.1"),
        ({"depth_bps": [1.0, math.nan]}, "depth_bps must be finite"),
        ({"ts_ns": np.array([1])}, "ts_ns must be as long as depth_bps, 100, was 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        fit_intensity(**({"depth_bps": exponential_depths(100), "seconds": 600.0} | arguments))


# -- The recordings -----------------------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_recordings_have_a_plausible_intensity(symbol):
    touches, trades = recorded_market(symbol)
    orders = market_orders(trades, touches)
    tick = 1e4 / touches.mid_ticks.mean()

    both = fit_intensity(orders.depth_bps, touches.seconds, sides=2, tick_bps=tick, ts_ns=orders.ts_ns)
    sides = [
        fit_intensity(orders.depth_bps[wanted], touches.seconds, tick_bps=tick, ts_ns=orders.ts_ns[wanted])
        for wanted in (orders.is_buy, ~orders.is_buy)
    ]

    assert 0.5 < 1 / both.kappa_per_bps < 1.5
    assert 0.2 < both.a_per_second < 0.8
    assert both.r_squared > 0.95
    for fit in sides:
        difference = fit.kappa_per_bps - both.kappa_per_bps
        assert abs(difference) < 3 * fit.kappa_standard_error
