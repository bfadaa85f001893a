"""How often takers fill a quote of a width, counted on a recorded market, and the width to propose."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.intensity import MarketOrders
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.system.moments import SECOND_NS

LEAST_FILLS_PER_HOUR: Final = 12.0
"""Fills an hour, both sides together, below which a width is not proposed: one in five minutes."""
_LEAST_SEEN: Final = 5
"""Fewest fills in the record of a width that is proposed."""
_WIDTHS_TRIED: Final = 80
_NARROWEST_PCT: Final = 0.0001
_WIDEST_PCT: Final = 5.0
"""Bounds of proposed widths, % of mid; the upper one is min_spread_pct's."""
_HALF_PCT_IN_BPS: Final = 50.0
_BPS: Final = 10_000.0
_HOUR_SECONDS: Final = 3600.0
_ROUNDING: Final = 1e-6
"""Share of a tick, or of a bp, that binary rounding may be off by."""

type Floats = NDArray[np.float64]


class TakerReach:
    """How far market orders traded, beside the touches that they were made from.

    `seconds` is the length of the record, gaps left out; `ts_ns` the time of each order, ascending.
    """

    def __init__(self, orders: MarketOrders, touches: TouchSeries) -> None:
        self.seconds, self.ts_ns, self._is_buy = touches.seconds, orders.ts_ns, orders.is_buy
        row = touches.row_at(orders.ts_ns, before=True)
        self._mids, self._bids, self._asks = (
            touches.mid_ticks[row],
            touches.bid_ticks[row],
            touches.ask_ticks[row],
        )
        away = np.where(orders.is_buy, 1.0, -1.0) * orders.depth_bps / _BPS
        self._deepest = np.rint(self._mids * (1.0 + away)).astype(np.int64)

    def depth_bps(self) -> Floats:
        """Return how far from the mid each order traded, bps of mid."""
        found: Floats = _BPS * np.abs(self._deepest - self._mids) / self._mids
        return found

    def fills_per_hour(self, width_pct: float, pause_seconds: float) -> float:
        """Return how often an hour takers trade through quotes around the mid, both sides together.

        An order has to go beyond the quote's price: at the price itself other orders have priority. The width is in %
        of mid; a side rests for the pause after a fill.
        """
        half = self._mids * width_pct / 200.0
        bids = np.minimum(np.floor(self._mids - half + _ROUNDING), self._asks - 1)
        asks = np.maximum(np.ceil(self._mids + half - _ROUNDING), self._bids + 1)
        through = np.where(self._is_buy, self._deepest > asks, self._deepest < bids)
        fills, pause_ns = 0, round(pause_seconds * SECOND_NS)
        for side in (self._is_buy, ~self._is_buy):
            times, index = self.ts_ns[through & side].tolist(), 0
            while index < len(times):
                fills += 1
                index = bisect_left(times, times[index] + pause_ns, index + 1)
        return fills * _HOUR_SECONDS / self.seconds


@dataclass(frozen=True, slots=True)
class WidthChoice:
    """A width, and how often and at what gain it is filled; widths in % of mid, fills of both sides together."""

    width_pct: float
    fills_per_hour: float
    kept_bps: float
    """What each fill keeps of its value after the maker fee, before any move of the price, bps; a loss is negative."""
    paying_width_pct: float
    """The least width that covers two maker fees; 0 where there is no fee."""
    paying_fills_per_hour: float

    @property
    def pays(self) -> bool:
        """Whether fills keep something after the maker fee."""
        return self.kept_bps > _ROUNDING


def choose_width(reach: TakerReach, maker_fee_pct: float, pause_seconds: float) -> WidthChoice:
    """Return the width that earns most an hour after fees or, where no width that trades pays, the widest that trades.

    A width trades if it has `LEAST_FILLS_PER_HOUR` and five fills in the record, or half the fills of the narrowest in
    a market where nothing has as many. Widths tried have two digits, over all depths that market orders reached; at
    least one order is needed. The fee is in % of value, negative for a rebate; a side rests for the pause after a fill.
    """
    paying = max(2.0 * maker_fee_pct, 0.0)
    paying_fills = reach.fills_per_hour(paying, pause_seconds)
    choices = []
    for width in _widths(reach, paying):
        fills, kept_bps = (
            reach.fills_per_hour(width, pause_seconds),
            _HALF_PCT_IN_BPS * width - 100.0 * maker_fee_pct,
        )
        choices.append(WidthChoice(width, fills, kept_bps, paying, paying_fills))
    seen = _LEAST_SEEN * _HOUR_SECONDS / reach.seconds
    least = min(max(LEAST_FILLS_PER_HOUR, seen), choices[0].fills_per_hour / 2)
    trading = [choice for choice in choices if choice.fills_per_hour >= least]
    if not trading[-1].fills_per_hour:  # Nothing goes beyond the touch: quote there.
        return choices[0]
    paid = [choice for choice in trading if choice.pays]
    return max(paid, key=lambda choice: choice.fills_per_hour * choice.kept_bps) if paid else trading[-1]


def _widths(reach: TakerReach, paying_pct: float) -> Sequence[float]:
    """Return the widths to try, % of mid, ascending."""
    reached = reach.depth_bps() / _HALF_PCT_IN_BPS
    nearest = max(float(reached.min()) / 2, _NARROWEST_PCT)  # what stops nearest goes beyond this, too
    widths = np.geomspace(nearest, max(float(reached.max()), nearest), _WIDTHS_TRIED)
    tried = [_two_digits(width, ROUND_DOWN) for width in widths.tolist()]
    tried.append(_two_digits(paying_pct, ROUND_UP))
    return sorted({min(max(width, _NARROWEST_PCT), _WIDEST_PCT) for width in tried})


def _two_digits(width_pct: float, rounding: str) -> float:
    return float(Context(prec=2, rounding=rounding).create_decimal(Decimal(repr(width_pct))))
