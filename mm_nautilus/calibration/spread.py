"""Spread, tick and trades of a market, weighted by time."""

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.figures import SpreadFigures
from mm_nautilus.calibration.touches import TouchSeries

_BPS = 10_000.0


def spread_figures(
    touches: TouchSeries, price_increment: float, *, market_orders: int, trades: int
) -> SpreadFigures:
    """Return mid, tick and spread as they were over time, with the counts given.

    Each touch counts for as long as it was known to be in force; the median is the smallest spread that at least half
    of the time did not exceed. The counts are of the same span of time. A ValueError says that the price increment,
    quote currency, is not positive, or the series covers no time.
    """
    if not price_increment > 0:
        raise ValueError(f"price_increment must be positive, was {price_increment}")
    seconds = touches.row_seconds
    if not seconds.sum() > 0:
        raise ValueError("touches must cover some time, was one moment")
    mid_ticks = touches.mid_ticks
    spread_ticks = (touches.ask_ticks - touches.bid_ticks).astype(np.float64)
    mean_mid_ticks = float(np.average(mid_ticks, weights=seconds))
    return SpreadFigures(
        mid_price=mean_mid_ticks * price_increment,
        tick_bps=_BPS / mean_mid_ticks,
        median_spread_bps=_weighted_median(_BPS * spread_ticks / mid_ticks, seconds),
        median_spread_ticks=_weighted_median(spread_ticks, seconds),
        market_orders=market_orders,
        trades=trades,
    )


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
