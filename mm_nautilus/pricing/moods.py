"""Market moods: volatility regimes, session hours, trends and correlated pairs."""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from statistics import StatisticsError, correlation
from typing import Final, NamedTuple

from mm_nautilus.calibration.figures import VolatilityQuantile
from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.system.moments import SECOND_NS

_STEP_NS: Final = 5 * SECOND_NS
_STEPS_PER_MINUTE: Final = MINUTE_NS // _STEP_NS
_MINUTES_PER_DAY: Final = 24 * 60
_BPS: Final = 10_000.0


class Mood(NamedTuple):
    """Adjustment of quotes by regime and session.

    Attributes
    ----------
    width, size
        Factors on the quotes' distance from the reservation price and on a full quote's size.
    pauses
        Whether quoting is paused.
    """

    width: float = 1.0
    size: float = 1.0
    pauses: bool = False


_CALM: Final = Mood()


class MoodSchedule:
    """Moods of one symbol by volatility and time of day.

    Parameters
    ----------
    params
        The symbol's ``volatility_regimes`` and ``session_hours``.
    quantiles
        The calibration's distribution of one-minute volatility; needed with ``volatility_regimes``.

    Raises
    ------
    ValueError
        If there are regimes and no distribution.
    """

    def __init__(self, params: SymbolParams, quantiles: Sequence[VolatilityQuantile]) -> None:
        regimes = sorted(params.volatility_regimes or (), key=lambda regime: regime.above_quantile)
        self._above_pct = [quantile_pct(quantiles, regime.above_quantile) for regime in regimes]
        self._moods = [_CALM, *(Mood(regime.width, regime.size, regime.pause) for regime in regimes)]
        self._sessions = [
            (*hours.minutes, Mood(hours.width, hours.size)) for hours in params.session_hours or ()
        ]

    @property
    def is_on(self) -> bool:
        """Whether regimes or sessions are configured."""
        return bool(self._above_pct or self._sessions)

    def mood(self, now_ns: int, volatility_pct: float) -> Mood:
        """Return the factors of the current regime, multiplied by those of open sessions.

        Parameters
        ----------
        volatility_pct
            One-minute volatility, %; 0 while unknown, which is above no quantile.
        """
        width, size, pauses = self._moods[bisect_left(self._above_pct, volatility_pct)]
        minute = now_ns // MINUTE_NS % _MINUTES_PER_DAY
        for start, end, factors in self._sessions:
            if start <= minute < end if start < end else not end <= minute < start:
                width, size = width * factors.width, size * factors.size
        return Mood(width, size, pauses)

    def next_ns(self, now_ns: int, due_ns: int) -> int:
        """Return the next begin or end of a session, at most `due_ns`."""
        minutes = now_ns // MINUTE_NS
        for border in (border for start, end, _ in self._sessions for border in (start, end)):
            ahead = (border - minutes - 1) % _MINUTES_PER_DAY + 1
            due_ns = min(due_ns, (minutes + ahead) * MINUTE_NS)
        return due_ns


def quantile_pct(quantiles: Sequence[VolatilityQuantile], share: float) -> float:
    """Return a quantile of one-minute volatility, %, interpolated between measured ones.

    Raises
    ------
    ValueError
        If there are no measured quantiles.
    """
    if not quantiles:
        raise ValueError("volatility_regimes need a calibration with volatility.quantiles, which it has not")
    at = [point.quantile for point in quantiles]
    index = min(max(1, bisect_right(at, share)), len(at) - 1)
    low, high = quantiles[index - 1], quantiles[index]
    along = min(1.0, max(0.0, (share - low.quantile) / (high.quantile - low.quantile)))
    return low.volatility_pct + along * (high.volatility_pct - low.volatility_pct)


class TrendFilter:
    """Detect a steady trend of the mid price.

    Every 5 seconds a line is fitted to the mids at the ends of the last such intervals, by least squares. A trend is up
    or down once so many slopes in a row were steeper than the threshold in the same direction.

    Parameters
    ----------
    threshold_bps
        Least slope of a trend, bps of mid per minute.
    window_seconds
        Window of the fitted line, at least 15 seconds.
    confirmations
        Number of slopes in a row that make a trend.

    Attributes
    ----------
    direction
        1 up, -1 down, 0 neither or not known yet.
    """

    def __init__(self, threshold_bps: float, window_seconds: float, confirmations: int) -> None:
        self._threshold_bps, self._confirmations = threshold_bps, confirmations
        self._mids: deque[float] = deque(maxlen=math.ceil(window_seconds * SECOND_NS / _STEP_NS))
        self.direction = self._streak = self._index = 0
        self._last_mid = 0.0

    def update(self, ts_ns: int, mid: float) -> None:
        """Add one mid price; times in nanoseconds since the epoch."""
        index = ts_ns // _STEP_NS
        if index > self._index:
            if self._last_mid:
                for _ in range(min(index - self._index, self._mids.maxlen or 0)):
                    self._close()
            self._index = index
        self._last_mid = mid

    def next_ns(self, now_ns: int) -> int:
        """Return the first time after `now_ns` at which the direction may change."""
        return (now_ns // _STEP_NS + 1) * _STEP_NS

    def restart(self) -> None:
        """Clear all prices and slopes after a gap of the feed."""
        self._mids.clear()
        self.direction = self._streak = 0
        self._last_mid = 0.0

    def _close(self) -> None:
        mids = self._mids
        mids.append(self._last_mid)
        count = len(mids)
        if count < (mids.maxlen or 0):
            return
        middle = 0.5 * (count - 1)
        slope = math.fsum((at - middle) * mid for at, mid in enumerate(mids)) / (
            count * (count * count - 1) / 12
        )
        slope_bps = _BPS * _STEPS_PER_MINUTE * slope / self._last_mid
        way = 0 if abs(slope_bps) < self._threshold_bps else 1 if slope_bps > 0 else -1
        self._streak = self._streak + way if way * self._streak > 0 else way
        self.direction = way if abs(self._streak) >= self._confirmations else 0


def aligned_correlation(
    returns: Sequence[float], last_minute: int, others: Sequence[float], others_last_minute: int, count: int
) -> float | None:
    """Return the correlation of two pairs' last one-minute returns, None while one has too few returns.

    Parameters
    ----------
    returns, others
        One-minute returns, oldest first.
    last_minute, others_last_minute
        Minute of each pair's last return, for alignment: at a minute's end one pair is ahead of the other.
    """
    ahead = last_minute - others_last_minute
    mine = list(returns[: len(returns) - max(0, ahead)])[-count:]
    theirs = list(others[: len(others) - max(0, -ahead)])[-count:]
    if len(mine) < count - 1 or len(theirs) < count - 1:
        return None
    both = min(len(mine), len(theirs))
    try:
        return correlation(mine[-both:], theirs[-both:])
    except StatisticsError:  # one price never moved
        return None
