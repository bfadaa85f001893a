"""Volatility and order arrivals estimated again and again from the last minutes of a run."""

from array import array
from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np

from mm_nautilus.calibration.intensity import fit_intensity, market_orders
from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.calibration.realised_volatility import volatility_figures
from mm_nautilus.calibration.touches import TouchSeries, spread_figures
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.rows import Side, TradeBlock
from mm_nautilus.system.moments import moment

_SIDES: Final = 2
_COLUMNS: Final = 5


class RollingCalibration:
    """Keep the touches and trades of a sliding window, and estimate what the quoting models take from them.

    Memory is bounded by two windows: 40 bytes a change of the touch, 40 bytes a trade. An estimate looks back over the
    window, nanoseconds; the first one is due an interval after the first touch. `due_ns` is when the next one is,
    nanoseconds since the epoch, None before the first touch.
    """

    def __init__(self, interval_ns: int, window_ns: int) -> None:
        self._interval_ns, self._window_ns = interval_ns, window_ns
        self._touches = tuple(array("q") for _ in range(_COLUMNS))
        self._trades = tuple(array("q") for _ in range(_COLUMNS))
        self._gaps: list[tuple[int, int]] = []
        self._silent_since: int | None = None
        self._trim_ns = 0
        self.due_ns: int | None = None

    def add_touch(self, ts_ns: int, bid_ticks: int, ask_ticks: int, bid_lots: int, ask_lots: int) -> None:
        """Keep the touch of a sound book after a change of its prices or sizes; the last of one time counts.

        A time, nanoseconds since the epoch, before the last one counts as the last one.
        """
        if self.due_ns is None:
            self.due_ns = ts_ns + self._interval_ns
        self._make_room(ts_ns)
        times = self._touches[0]
        ts_ns = max(ts_ns, times[-1]) if times else ts_ns
        if self._silent_since is not None:
            self._gaps.append((self._silent_since, ts_ns))
            self._silent_since = None
        is_replaced = bool(times) and times[-1] == ts_ns
        for column, value in zip(
            self._touches, (ts_ns, bid_ticks, ask_ticks, bid_lots, ask_lots), strict=True
        ):
            if is_replaced:
                column[-1] = value
            else:
                column.append(value)

    def begin_gap(self, since_ns: int) -> None:
        """Take what lies between the book's last event and the next touch as not recorded.

        A gap that a touch has ended stays ended.
        """
        times = self._touches[0]
        if self._silent_since is None and times and since_ns >= times[-1]:
            self._silent_since = since_ns

    def add_trade(self, venue_ns: int, ts_ns: int, price_ticks: int, size_lots: int, *, is_buy: bool) -> None:
        """Keep a trade whose taker is known; those before the first touch are left out.

        Trades of one side and one time of the venue are one order. `ts_ns` is when it came in, on the clock of the
        touches; times as for touches.
        """
        if self.due_ns is None:
            return
        self._make_room(ts_ns)
        times = self._trades[1]
        ts_ns = max(ts_ns, times[-1]) if times else ts_ns
        trade = (venue_ns, ts_ns, price_ticks, size_lots, Side.BID if is_buy else Side.ASK)
        for column, value in zip(self._trades, trade, strict=True):
            column.append(value)

    def _make_room(self, now_ns: int) -> None:
        """Drop what has left the window, once another window has passed since the last time."""
        if now_ns >= self._trim_ns:
            self._trim(now_ns - self._window_ns)
            self._trim_ns = now_ns + self._window_ns

    def _trim(self, start_ns: int) -> None:
        """Drop what lies before a moment, but for the touch that was in force then."""
        passed = max(bisect_right(self._touches[0], start_ns) - 1, 0)
        for column in self._touches:
            del column[:passed]
        self._gaps = [(max(begin, start_ns), end) for begin, end in self._gaps if end > start_ns]
        passed = bisect_left(self._trades[1], start_ns)
        for column in self._trades:
            del column[:passed]

    def estimate(self, now_ns: int) -> ModelInputs:
        """Estimate from the window that ends now; the next estimate is due an interval later either way.

        A CalibrationError says that the window holds too little to estimate from.
        """
        self.due_ns = now_ns + self._interval_ns
        self._trim(now_ns - self._window_ns)
        touches, trades = self.touches(now_ns), self.trades()
        if touches.seconds <= 0:
            raise CalibrationError("no book was recorded in the window")
        orders = market_orders(trades, touches)
        fit = fit_intensity(
            orders.depth_bps,
            touches.seconds,
            sides=_SIDES,
            tick_bps=spread_figures(touches, 1.0, market_orders=len(orders), trades=len(trades)).tick_bps,
            ts_ns=touches.recorded_ns(orders.ts_ns),
        )
        return ModelInputs(
            volatility_figures(touches).volatility_bps,
            fit.a_per_second,
            fit.kappa_per_bps,
            f"from the {touches.seconds / 60:.3g} min up to {moment(now_ns).isoformat(timespec='seconds')}",
        )

    def touches(self, now_ns: int) -> TouchSeries:
        """Return the touches of the window that ends now; a `CalibrationError` is raised if there are none."""
        if not self._touches[0]:
            raise CalibrationError("there has been no sound book yet")
        times, bids, asks, bid_lots, ask_lots = map(np.array, self._touches)
        times[0] = max(times[0], now_ns - self._window_ns)
        end_ns, gaps = max(now_ns, int(times[-1])), list(self._gaps)
        if self._silent_since is not None:
            gaps.append((max(self._silent_since, int(times[0])), end_ns))
        gap_rows = np.array(gaps, dtype=np.int64).reshape(-1, 2)
        return TouchSeries(times, bids, asks, bid_lots, ask_lots, end_ns, gap_rows)

    def trades(self) -> TradeBlock:
        """Return the trades that are kept, without ids."""
        venue_ns, ts_ns, prices, sizes, sides = map(np.array, self._trades)
        return TradeBlock(venue_ns, ts_ns, prices, sizes, sides, [""] * len(ts_ns))
