"""What our own fills were worth: spread captured, what the market then took back, and fees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.mark_outs import clustered_mean
from mm_nautilus.market.rows import Ints

type Floats = NDArray[np.float64]

AT_FILL_SECONDS: Final = 0.0
"""The horizon at which nothing has happened yet: every fill, its spread and its fee."""
_BPS: Final = 10_000.0


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
