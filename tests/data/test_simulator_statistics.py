"""What the simulator makes is what its settings say: prices, intensities, informed flow, steady books."""

from functools import cache

import numpy as np
import pytest
from market_statistics import (
    CATALOG_PAGE,
    NS,
    SIMULATOR_PAGE,
    SYMBOLS,
    markouts_bps,
    simulation,
    triangle_share,
    with_tables,
)

from mm_nautilus.data.order_flow import MIN_LEVELS
from mm_nautilus.data.simulator import FLOWS, EfficientPrices, SimulationConfig
from mm_nautilus.market.rows import Action, Flag, Side

SEEDS = 40
STEPS = 18_000
LONG_SECONDS = 3_600

every_pair = pytest.mark.parametrize("symbol", SYMBOLS)


# -- Efficient prices ----------------------------------------------------------------------------------------


@cache
def paths(jumps_per_hour: float, log_volatility_std: float):
    """Return the logarithms of 40 half-hour paths of both prices: seed, asset, step."""
    config = SimulationConfig(jumps_per_hour=jumps_per_hour, log_volatility_std=log_volatility_std)
    return np.array(
        [
            np.log(EfficientPrices(config, np.random.default_rng(seed)).next_slice(STEPS))
            for seed in range(SEEDS)
        ]
    )


def assert_near(samples, expected, loosest):
    """Check that the mean lies within three standard errors, and that these are small enough to tell."""
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    assert 3 * error < loosest * abs(expected)
    assert abs(np.mean(samples) - expected) < 3 * error


@pytest.mark.parametrize("asset", [0, 1])
@pytest.mark.parametrize("jumps_per_hour", [0.0, 6.0])
@pytest.mark.parametrize("log_volatility_std", [0.0, 0.35])
def test_efficient_price_has_the_configured_volatility(asset, jumps_per_hour, log_volatility_std):
    config = SimulationConfig()
    volatility = (config.xrp_volatility_pct, config.btc_volatility_pct)[asset]
    expected = volatility**2 * np.exp(2 * log_volatility_std**2) + jumps_per_hour / 60 * config.jump_pct**2
    steps = np.diff(paths(jumps_per_hour, log_volatility_std)[:, asset], axis=1) * 100
    assert_near((steps**2).mean(axis=1) * 600, expected, loosest=0.5 if log_volatility_std else 0.2)


def test_one_minute_returns_have_the_volatility_too():
    minutes = np.diff(paths(0.0, 0.0)[:, 0, ::600], axis=1) * 100
    assert_near((minutes**2).mean(axis=1), SimulationConfig().xrp_volatility_pct ** 2, loosest=0.2)


def test_returns_have_the_configured_correlation():
    returns = np.diff(paths(0.0, 0.35), axis=2)
    found = [np.corrcoef(one)[0, 1] for one in returns]
    assert_near(found, SimulationConfig().correlation, loosest=0.01)


def test_jumps_come_as_often_as_configured():
    config = SimulationConfig(jumps_per_hour=60.0, xrp_volatility_pct=1e-6, btc_volatility_pct=1e-6)
    counts = []
    for seed in range(SEEDS):
        path = EfficientPrices(config, np.random.default_rng(seed)).next_slice(STEPS)
        counts.append(np.mean((np.abs(np.diff(np.log(path), axis=1)) > 1e-6).sum(axis=1)))
    assert_near(counts, 30.0, loosest=0.1)


def test_volatility_changes_slowly_over_time():
    def log_variances(log_volatility_std):
        steps = np.diff(paths(0.0, log_volatility_std)[:, 0], axis=1)[:, : 29 * 600]
        return np.log((steps.reshape(SEEDS, 29, 600) ** 2).sum(axis=2))

    changing, constant = log_variances(0.35), log_variances(0.0)
    assert constant.std() < 0.1
    # The logarithm of the variance is twice that of the volatility factor, whose memory is eight minutes.
    assert 0.55 < changing.std() < 0.85
    centred = changing - changing.mean()
    assert np.mean(centred[:, :-1] * centred[:, 1:]) > 0.75 * centred.var()
    assert 0.2 < np.mean(centred[:, :-8] * centred[:, 8:]) / centred.var() < 0.55


def test_book_follows_the_efficient_price():
    found = simulation()
    for symbol in SYMBOLS:
        market = found.markets[symbol]
        times = SimulationConfig().start_ns + np.arange(len(found.efficient[symbol])) * NS // 10
        distance = market.mid_at(times + NS // 10) / found.efficient[symbol] - 1
        assert np.abs(distance).mean() * 1e4 < {"XRP/BTC": 2.5}.get(symbol, 1.5)
        assert abs(distance.mean()) * 1e4 < 0.3


# -- Order flow ----------------------------------------------------------------------------------------------


def limit_orders(symbol, seconds=LONG_SECONDS):
    """Return how far from the efficient price limit orders were placed, and which ones could go anywhere.

    Returns
    -------
    distances
        In bps, of all orders that came alone.
    free
        Whether the other side's touch left room to come as close as the half-spread.
    """
    found = simulation(1, seconds)
    market, deltas = found.markets[symbol], found.deltas[symbol]
    sizes: dict[tuple[int, int], int] = {}
    last = (deltas.flags & Flag.LAST) != 0
    alone = last & np.concatenate(([False], last[:-1]))
    orders = []
    step = (deltas.ts_event - SimulationConfig().start_ns) // (NS // 10)
    efficient = found.efficient[symbol][np.minimum(step, len(found.efficient[symbol]) - 1)]
    price = deltas.price_ticks * market.tick
    away = np.where(deltas.side == Side.BID, efficient - price, price - efficient) / efficient * 1e4
    bid, ask = market.touch_at(deltas.ts_init - 1)
    free = np.where(deltas.side == Side.BID, ask * market.tick > efficient, bid * market.tick < efficient)
    rows = zip(
        deltas.side.tolist(),
        deltas.price_ticks.tolist(),
        deltas.size_lots.tolist(),
        alone.tolist(),
        away,
        free,
        strict=True,
    )
    for side, ticks, lots, single, distance, roomy in rows:
        if single and lots > sizes.get((side, ticks), 0):
            orders.append((distance, roomy))
        sizes[side, ticks] = lots
    distances, roomy = np.array(orders).T
    return distances, roomy.astype(bool)


@pytest.mark.long
@every_pair
def test_intensity_of_limit_orders_falls_exponentially_with_distance(symbol):
    flow, market = FLOWS[symbol], simulation(1, LONG_SECONDS).markets[symbol]
    tick_bps = market.tick / (market.mid_ticks.mean() * market.tick) * 1e4
    width = max(flow.decay_bps / 5, tick_bps)
    # The first tick is left out, to which orders are rounded away from the price.
    edges = flow.half_spread_bps + tick_bps + width * np.arange(6)
    distances, free = limit_orders(symbol)
    counts, _ = np.histogram(distances[free], edges)
    assert counts.min() > 100
    assert (np.diff(counts) < 0).all()
    slope = np.polyfit(edges[:-1], np.log(counts), 1)[0]
    assert -1 / slope == pytest.approx(flow.decay_bps, rel=0.12)


@pytest.mark.long
@every_pair
def test_no_limit_order_is_placed_nearer_than_the_half_spread(symbol):
    # A few are seen a step of the efficient price later than they were placed.
    assert np.mean(limit_orders(symbol)[0] < FLOWS[symbol].half_spread_bps - 1e-6) < 0.005


@pytest.mark.long
@every_pair
def test_limit_and_market_orders_arrive_at_the_configured_rates(symbol):
    flow, found = FLOWS[symbol], simulation(1, LONG_SECONDS)
    # Orders that fall behind a full side are dropped, so that fewer than all are seen.
    seen = len(limit_orders(symbol)[0]) / LONG_SECONDS
    assert 0.75 * flow.limit_rate < seen < 1.03 * flow.limit_rate
    takers = np.unique(found.markets[symbol].trades.ts_init[~found.informed[symbol]])
    expected = flow.market_rate * LONG_SECONDS
    assert abs(len(takers) - expected) < 4 * np.sqrt(expected)


@pytest.mark.long
@pytest.mark.parametrize("symbol", ["XRP/USDT", "BTC/USDT", "XRP/BTC"])
def test_makers_lose_to_informed_takers_and_earn_from_others(symbol):
    found = simulation(1, LONG_SECONDS)
    market, informed = found.markets[symbol], found.informed[symbol]
    gains = markouts_bps(market, 5)
    known = ~np.isnan(gains)
    losing, earning = gains[known & informed], gains[known & ~informed]
    assert len(losing) > 30
    assert losing.mean() < -3 * losing.std() / np.sqrt(len(losing)) < 0
    assert earning.mean() > 3 * earning.std() / np.sqrt(len(earning)) > 0


@pytest.mark.long
@pytest.mark.parametrize("symbol", ["XRP/USDT", "BTC/USDT"])
def test_informed_trades_move_the_price_further_the_longer_one_waits(symbol):
    found = simulation(1, LONG_SECONDS)
    gains = [np.nanmean(markouts_bps(found.markets[symbol], s)[found.informed[symbol]]) for s in (0.01, 1, 5)]
    assert gains[0] > gains[1] > gains[2]


@pytest.mark.parametrize("seed", [None, pytest.param(1, marks=pytest.mark.long)])
def test_triangle_holds_within_the_spread(seed):
    assert triangle_share(simulation(seed, None if seed is None else LONG_SECONDS).markets) > 0.98


@pytest.mark.long
@every_pair
def test_book_stays_as_it_is_over_an_hour(symbol):
    market = simulation(1, LONG_SECONDS).markets[symbol]
    bid, ask = market.touch_at(market.sample_ts)
    measured = {
        "spread": ask - bid,
        "depth": market.bid_depth + market.ask_depth,
        "touch": market.touch_lots,
        "levels": market.bid_levels + market.ask_levels,
    }
    for name, values in measured.items():
        early, _, late = np.array_split(values, 3)
        assert 0.6 < late.mean() / early.mean() < 1.6, name
    assert 0.8 < market.bid_depth.mean() / market.ask_depth.mean() < 1.25


@pytest.mark.long
@every_pair
def test_levels_stay_near_the_price(symbol):
    deltas, market = (found := simulation(1, LONG_SECONDS)).deltas[symbol], found.markets[symbol]
    assert market.bid_levels.mean() >= MIN_LEVELS
    mid = market.mid_at(deltas.ts_init)
    added = deltas.action == Action.ADD
    far = np.abs(deltas.price_ticks * market.tick / mid - 1)[added] * 1e4
    assert far.max() < {"XRP/BTC": 250, "BTC/USDT": 60}.get(symbol, 80)


# -- Documentation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [SIMULATOR_PAGE, CATALOG_PAGE], ids=lambda page: page.name)
def test_tables_of_the_documentation_are_what_the_sample_gives(page):
    assert with_tables(page) == page.read_text(encoding="utf-8"), (
        "run python tests/data/market_statistics.py to write the tables again"
    )
