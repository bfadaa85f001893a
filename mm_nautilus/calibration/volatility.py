"""One-minute volatility of the mid price."""

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["MINUTE_NS", "MinuteCloses", "deviation_pct", "volatility_pct"]

MINUTE_NS: Final = 60_000_000_000
"""Nanoseconds in a minute."""


def volatility_pct(closes: Sequence[float], lookback: int = 20) -> float:
    """Return the population standard deviation of the last one-minute returns, in %.

    Parameters
    ----------
    closes
        Mid prices at the end of successive minutes, oldest first.
    lookback
        Number of returns used.

    Returns
    -------
    float
        % of price per square root of a minute; 0.0 until ``lookback + 1`` closes exist.

    Raises
    ------
    ValueError
        If `lookback` is less than 1 or a close that is used is no positive finite number.
    """
    if lookback < 1:
        raise ValueError(f"lookback must be at least 1, was {lookback}")
    if len(closes) < lookback + 1:
        return 0.0
    used = list(closes)[-(lookback + 1) :]
    for close in used:
        if not 0 < close < math.inf:
            raise ValueError(f"closes must be positive and finite, was {close}")
    return deviation_pct([after / before - 1.0 for before, after in pairwise(used)])


def deviation_pct(returns: Sequence[float]) -> float:
    """Return the population standard deviation of at least one return, in %."""
    mean = math.fsum(returns) / len(returns)
    return 100.0 * math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / len(returns))


class MinuteCloses:
    """Collect the mid at the end of every minute and keep the volatility estimate.

    A minute without any book event closes at the last known mid: the price was not seen to move. Over a gap of the feed
    that cannot be said: what the mid did from one side of it to the other is no return of a minute.

    Parameters
    ----------
    lookback
        Number of one-minute returns in the estimate.
    """

    __slots__ = ("_last_close", "_last_mid", "_lookback", "_minute", "_returns", "volatility_pct")

    def __init__(self, lookback: int) -> None:
        self._lookback = lookback
        self._returns: deque[float] = deque(maxlen=lookback)
        self._last_close: float | None = None
        self._minute: int | None = None
        self._last_mid = 0.0
        self.volatility_pct = 0.0

    @property
    def returns(self) -> tuple[float, ...]:
        """The one-minute returns kept, oldest first."""
        return tuple(self._returns)

    def update(self, ts_ns: int, mid: float) -> bool:
        """Take in one mid price and return whether a minute closed.

        Parameters
        ----------
        ts_ns
            Time of the price, nanoseconds since the epoch; an earlier one than the last belongs to the last's
            minute.
        mid
            Mid price.
        """
        minute = ts_ns // MINUTE_NS
        closed = self._minute is not None and minute > self._minute
        if closed:
            self._close_minutes(minute)
        self._minute = minute if self._minute is None else max(minute, self._minute)
        self._last_mid = mid
        return closed

    def begin_anew(self) -> None:
        """Take the next price as the first one after a gap; the returns from before it stay."""
        self._minute = self._last_close = None

    def _close_minutes(self, minute: int) -> None:
        passed = minute - (self._minute or 0)
        if self._last_close is not None:
            self._returns.append(self._last_mid / self._last_close - 1.0)
        self._returns.extend([0.0] * min(passed - 1, self._lookback))
        self._last_close = self._last_mid
        if len(self._returns) == self._lookback:
            self.volatility_pct = deviation_pct(self._returns)
