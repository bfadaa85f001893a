"""A market with known volatility and known intensity of market orders, as its feed would show it."""

import numpy as np

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.market.rows import Side, TradeBlock

START_NS = 1_700_000_000_000_000_000
GRID_NS = 100_000_000


def simulated_market(
    seed: int,
    *,
    a_per_second: float = 0.5,
    kappa_per_bps: float = 1.0,
    volatility_bps: float = 1.2,
    tick_bps: float = 0.02,
    seconds: int = 1800,
) -> tuple[TouchSeries, TradeBlock]:
    """A price that diffuses on a grid of 100 ms, a touch of one or two ticks around it, and Poisson orders.

    Each order would trade up to an exponential distance from the mid and trades down to the last whole price
    within it; one that does not reach the touch does not happen. The touch's sizes change after every order.
    """
    random = np.random.default_rng(seed)
    count = seconds * 10
    price = 1e4 / tick_bps * np.exp(np.cumsum(random.normal(0, volatility_bps * 1e-4 * 0.1**0.5, count)))
    wide = random.random(count) < 0.4
    bid = np.where(wide, np.rint(price) - 1, np.floor(price)).astype(np.int64)
    ask = np.where(wide, bid + 2, bid + 1)
    grid_ns = START_NS + GRID_NS * np.arange(count)

    orders = random.poisson(2 * a_per_second * seconds)
    order_ns = np.sort(START_NS + 1 + (random.random(orders) * (seconds * 1e9 - 1e6)).astype(np.int64))
    at = np.searchsorted(grid_ns, order_ns, side="left") - 1
    is_buy = random.random(orders) < 0.5
    mid = (bid[at] + ask[at]) / 2
    reach = random.exponential(1 / kappa_per_bps, orders) * mid * 1e-4
    deepest = np.where(is_buy, np.floor(mid + reach), np.ceil(mid - reach)).astype(np.int64)
    nearest = np.where(is_buy, ask[at], bid[at])
    happens = np.where(is_buy, deepest >= nearest, deepest <= nearest)
    order_ns, at, is_buy = order_ns[happens], at[happens], is_buy[happens]

    trades = _tape(order_ns, nearest[happens], deepest[happens], is_buy)
    rows = np.concatenate([np.arange(count), at])
    ts_ns = np.concatenate([grid_ns, order_ns + 1000])
    order = np.argsort(ts_ns, kind="stable")
    sizes = random.integers(1, 1000, (2, len(rows)))
    touches = TouchSeries(
        ts_ns[order],
        bid[rows[order]],
        ask[rows[order]],
        sizes[0],
        sizes[1],
        START_NS + seconds * 1_000_000_000,
    )
    return touches, trades


def _tape(order_ns: np.ndarray, nearest: np.ndarray, deepest: np.ndarray, is_buy: np.ndarray) -> TradeBlock:
    """Two trades an order: one lot at the touch and three at the deepest price, received a little later."""
    two = np.repeat(np.arange(len(order_ns)), 2)
    second = np.arange(len(two)) % 2 == 1
    return TradeBlock(
        ts_event=order_ns[two],
        ts_init=order_ns[two] + np.where(second, 200, 0),
        price_ticks=np.where(second, deepest[two], nearest[two]),
        size_lots=np.where(second, 3, 1),
        aggressor=np.where(is_buy[two], Side.BID, Side.ASK),
        trade_id=[str(number) for number in range(len(two))],
    )
