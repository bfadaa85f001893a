"""What a trade was worth to its maker some time later."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mm_nautilus.calibration.figures import MarkOut
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.market.rows import Ints

HORIZONS_SECONDS: Final = (1.0, 5.0, 30.0)
"""Times after a trade at which the mid is looked at, seconds."""

_BPS: Final = 10_000.0
_LEAST_STRETCHES: Final = 2


def mark_outs(
    ts_ns: Ints,
    price_ticks: ArrayLike,
    is_buy: NDArray[np.bool_],
    touches: TouchSeries,
    horizons_seconds: Sequence[float] = HORIZONS_SECONDS,
) -> list[MarkOut]:
    """Return the mean mark-out of trades at several horizons, as their makers see it.

    A mark-out is ``(trade price - mid h seconds later) / trade price``, with the sign turned where the taker sold, in
    bps: positive where the maker could have closed at the mid with a gain, before fees. Trades whose horizon ends after
    the window, ahead of the first touch or beyond the beginning of a gap are left out. Every trade weighs the same.
    Trades close in time share most of what happens next, so standard errors are those of `clustered_mean`; a horizon
    whose trades fall into fewer than two stretches has no error, and is left out.

    Times are in nanoseconds since the epoch, prices in ticks, whole or not; `is_buy` is whether the taker bought. A
    ValueError says that columns differ in length, a price is not positive and finite or a horizon is not positive.
    """
    prices = np.asarray(price_ticks, dtype=np.float64)
    if not len(ts_ns) == len(prices) == len(is_buy):
        raise ValueError(f"trades must have equal columns, was {[len(ts_ns), len(prices), len(is_buy)]}")
    if not (np.isfinite(prices) & (prices > 0)).all():
        raise ValueError("price_ticks must be positive and finite")
    signs = np.where(is_buy, 1.0, -1.0)
    found = [_mark_out(ts_ns, prices, signs, touches, seconds) for seconds in horizons_seconds]
    return [entry for entry in found if entry is not None]


def _mark_out(
    ts_ns: Ints,
    prices: NDArray[np.float64],
    signs: NDArray[np.float64],
    touches: TouchSeries,
    seconds: float,
) -> MarkOut | None:
    if not seconds > 0:
        raise ValueError(f"horizons_seconds must be positive, was {seconds}")
    later = ts_ns + round(seconds * 1e9)
    mids, stretch = touches.mid_at(later), touches.stretch_at(later)
    kept = (later <= touches.end_ns) & ~np.isnan(mids)
    kept &= (stretch >= 0) & (stretch == touches.stretch_at(ts_ns))
    gains = _BPS * (signs * (prices - mids) / prices)[kept]
    mean, error = clustered_mean(gains, np.ones(len(gains)), later[kept], seconds)
    if error is None:
        return None
    return MarkOut(seconds=seconds, mark_out_bps=mean, standard_error_bps=error, trades=len(gains))


def clustered_mean(
    values: NDArray[np.float64], weights: NDArray[np.float64], ts_ns: Ints, seconds: float
) -> tuple[float, float | None]:
    """Return a weighted mean over trades that share a future, and its standard error.

    What is summed over stretches of twice the horizon is taken as independent (Liang and Zeger, Biometrika 73(1),
    1986, for a ratio of sums): ``sqrt(n/(n-1) * sum over stretches of (sum of w*(x - mean))^2) / sum of w``.

    Weights are positive; `ts_ns` are the ends of the trades' horizons, nanoseconds since the epoch, and `seconds` the
    horizon. The mean is NaN without trades, the error None where they fall into fewer than two stretches.
    """
    if not len(values):
        return float("nan"), None
    mean = float((weights * values).sum() / weights.sum())
    stretches, stretch = np.unique(ts_ns // round(2e9 * seconds), return_inverse=True)
    if len(stretches) < _LEAST_STRETCHES:
        return mean, None
    sums = np.bincount(stretch, weights=weights * (values - mean))
    correction = len(stretches) / (len(stretches) - 1)
    return mean, float(np.sqrt(correction * (sums**2).sum()) / weights.sum())
