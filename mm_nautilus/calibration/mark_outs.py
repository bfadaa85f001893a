"""What a trade, and a fill of our own, was worth to its maker some time later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mm_nautilus.calibration.figures import MarkOut
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.market.rows import Ints

type Floats = NDArray[np.float64]

AT_FILL_SECONDS: Final = 0.0
"""The horizon at which nothing has happened yet: every fill, its spread and its fee."""
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
    prices: Floats,
    signs: Floats,
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
    values: Floats, weights: Floats, ts_ns: Ints, seconds: float
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


# -- Our own fills --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnFills:
    """Executions of our orders on one symbol, one row an execution; a ValueError says that columns differ in length."""

    ts_ns: Ints
    """When each was filled, nanoseconds since the epoch."""
    direction: Floats
    """1 where we bought, -1 where we sold."""
    price: Floats
    quantity: Floats
    """In quote and in base currency."""
    fee: Floats
    """What the venue charged, quote currency; negative is a rebate."""
    mid_price: Floats
    """The mid that was known when the fill came, quote currency; NaN where there was none."""

    def __post_init__(self) -> None:
        lengths = [len(column) for column in self._columns]
        if len(set(lengths)) > 1:
            raise ValueError(f"the columns of fills must be equally long, was {lengths}")

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def _columns(self) -> tuple[Any, ...]:
        return (self.ts_ns, self.direction, self.price, self.quantity, self.fee, self.mid_price)

    def where(self, kept: NDArray[np.bool_]) -> "OwnFills":
        """Return the rows for which `kept` is true."""
        return OwnFills(*(column[kept] for column in self._columns))


@dataclass(frozen=True, slots=True)
class FillQuality:
    """What fills were worth some time later, before and after fees.

    Amounts are in quote currency, figures in bps are the same as a share of `value`. It always holds that
    ``mark_out = spread - adverse`` and ``net = mark_out - fees``.
    """

    seconds: float
    """Time after the fill at which the mid is looked at; 0 for the fill itself."""
    fills: int
    value: float
    """How many fills the figures are of, and the sum of their values."""
    spread: float
    """Distance of the price from the mid at the fill, positive where it was in our favour."""
    adverse: float
    """Adverse selection: how far the mid has moved against the fill since then."""
    fees: float
    mark_out: float
    net: float
    """What closing at the mid would have made, before and after the fill's own fee."""
    spread_bps: float | None
    adverse_bps: float | None
    fees_bps: float | None
    mark_out_bps: float | None
    net_bps: float | None
    standard_error_bps: float | None
    """Of `mark_out_bps`; None where fills lie too close together to estimate one."""


def fill_quality(fills: OwnFills, later_mids: Mapping[float, Floats]) -> list[FillQuality]:
    """Return spread captured, adverse selection and fees of fills at the fill itself and at each horizon.

    For a fill of `n` units at the price `p`, in the direction `d` (1 bought, -1 sold), with the mid `m` when it came
    and `m_h` a time `h` later::

        spread   = d * (m - p) * n
        adverse  = d * (m - m_h) * n
        mark_out = d * (m_h - p) * n = spread - adverse
        net      = mark_out - fee

    Fills without a mid are left out, and so are those without a later one, of the horizon that lacks it.

    `later_mids` has, for each horizon in seconds, the mid that long after every fill, quote currency, NaN where the run
    had ended. A ValueError says that a horizon is not positive, or has not one mid a fill.
    """
    found = [_quality(fills, fills.mid_price, AT_FILL_SECONDS)]
    for seconds, later in sorted(later_mids.items()):
        if not seconds > 0:
            raise ValueError(f"horizons must be positive, was {seconds}")
        if len(later) != len(fills):
            raise ValueError(f"later_mids must have one mid for each of {len(fills)} fills, was {len(later)}")
        found.append(_quality(fills, later, seconds))
    return found


def _quality(fills: OwnFills, later: Floats, seconds: float) -> FillQuality:
    kept = ~np.isnan(later) & ~np.isnan(fills.mid_price)
    fills, later = fills.where(kept), later[kept]
    values = fills.price * fills.quantity
    spreads = fills.direction * (fills.mid_price - fills.price) * fills.quantity
    mark_outs = fills.direction * (later - fills.price) * fills.quantity
    value, spread, mark_out, fees = (
        float(column.sum()) for column in (values, spreads, mark_outs, fills.fee)
    )
    error = None
    if seconds > 0:
        later_ns = fills.ts_ns + round(seconds * 1e9)
        _, error = clustered_mean(_BPS * mark_outs / values, values, later_ns, seconds)

    amounts = (spread, spread - mark_out, fees, mark_out, mark_out - fees)
    shares = (_BPS * amount / value if value else None for amount in amounts)
    spread_bps, adverse_bps, fees_bps, mark_out_bps, net_bps = shares
    return FillQuality(
        seconds, len(fills), value, *amounts, spread_bps, adverse_bps, fees_bps, mark_out_bps, net_bps, error
    )
