"""One-minute volatility of the mid price."""

import math
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final

MINUTE_NS: Final = 60_000_000_000
"""Nanoseconds in a minute."""
FINE_NS: Final = 5_000_000_000
"""Nanoseconds between the closes that are used until there are enough of minutes."""
_LEAST_FINE_RETURNS: Final = 8
"""Returns over `FINE_NS` that make an estimate: it exists after 45 seconds at most."""
_SECONDS_PER_MINUTE: Final = 60.0
_FINE_PER_MINUTE: Final = MINUTE_NS // FINE_NS


class VolatilitySource(StrEnum):
    """What a volatility was measured from."""

    UNKNOWN = "not known yet"
    CALIBRATION = "calibration"
    HISTORY = "one-minute bars before the start"
    FINE_RETURNS = "5-second returns"
    MINUTE_RETURNS = "one-minute returns"


def volatility_pct(closes: Sequence[float], lookback: int = 20) -> float:
    """Return the population standard deviation of the last one-minute returns, % per square root of a minute.

    `closes` are the mids at the end of successive minutes, oldest first: 0.0 until ``lookback + 1`` of them exist. A
    ValueError says that `lookback` is less than 1 or a close that is used is no positive finite number.
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


def volatility_bps(one_minute_pct: float) -> float:
    """Return a one-minute volatility in % as bps per square root of a second."""
    return one_minute_pct * 100.0 / math.sqrt(_SECONDS_PER_MINUTE)


def one_minute_pct(volatility_bps: float) -> float:
    """Return a volatility in bps per square root of a second as % per square root of a minute."""
    return volatility_bps * math.sqrt(_SECONDS_PER_MINUTE) / 100.0


def deviation_pct(returns: Sequence[float]) -> float:
    """Return the population standard deviation of at least one return, in %."""
    mean = math.fsum(returns) / len(returns)
    return 100.0 * math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / len(returns))


class _Closes:
    """Closes at the end of every interval, and the returns between them."""

    __slots__ = ("_close", "_interval_ns", "index", "returns")

    def __init__(self, interval_ns: int, kept: int) -> None:
        self._interval_ns = interval_ns
        self._close: float | None = None
        self.index: int | None = None
        self.returns: deque[float] = deque(maxlen=kept)

    def advance(self, ts_ns: int, last_mid: float) -> int:
        """Close the intervals that have ended by a moment at the last mid; return how many returns that adds."""
        index = ts_ns // self._interval_ns
        passed = 0 if self.index is None else index - self.index
        if self.index is None or passed > 0:
            self.index = index
        if passed <= 0:
            return 0
        added = passed - 1
        if self._close is not None:
            self.returns.append(last_mid / self._close - 1.0)
            added += 1
        self.returns.extend([0.0] * min(passed - 1, self.returns.maxlen or 0))
        self._close = last_mid
        return added

    def restart(self) -> None:
        """Take the next price as the first one after a gap; the returns from before it stay."""
        self._close = self.index = None


class VolatilityEstimate:
    """The best one-minute volatility that there is of a mid price at any time.

    From ``lookback + 1`` closes on it is `volatility_pct` of them. Until then it is the calibration's, else that of
    one-minute bars from before the start, else that of returns over 5 seconds, scaled by the square root of time, which
    exists within a minute of the first price.

    An interval without any book event closes at the last known mid: the price was not seen to move. Over a gap of the
    feed that cannot be said: what the mid did from one side of it to the other is no return of a minute.

    `calibrated_pct` is what a calibration has measured, None where there is none. `volatility_pct` is in % of price per
    square root of a minute, 0 while it is not known; `source` is what it was measured from, and `since_ns` since when,
    nanoseconds since the epoch.
    """

    def __init__(self, lookback: int, calibrated_pct: float | None = None) -> None:
        self._lookback = lookback
        self._minutes = _Closes(MINUTE_NS, lookback)
        self._fine: _Closes | None = _Closes(FINE_NS, lookback * _FINE_PER_MINUTE)
        self._last_mid = 0.0
        self._next_ns = self.since_ns = 0
        self._of_bars = 0
        self.volatility_pct = calibrated_pct or 0.0
        self.source = VolatilitySource.CALIBRATION if self.volatility_pct else VolatilitySource.UNKNOWN

    @property
    def returns(self) -> tuple[float, ...]:
        """The one-minute returns kept, oldest first."""
        return tuple(self._minutes.returns)

    @property
    def minute(self) -> int | None:
        """The minute since the epoch after that of the last return, None before the first price."""
        return self._minutes.index

    @property
    def is_known(self) -> bool:
        """Whether anything has been measured."""
        return self.source is not VolatilitySource.UNKNOWN

    def update(self, ts_ns: int, mid: float) -> None:
        """Add one mid price; one with an earlier time (nanoseconds) than the last belongs to the last's interval."""
        if ts_ns >= self._next_ns:
            self._advance(ts_ns)
            self._next_ns = self.next_ns(ts_ns)
        self._last_mid = mid

    def next_ns(self, now_ns: int) -> int:
        """Return the first moment after `now_ns` at which the estimate may change."""
        step_ns = MINUTE_NS if self._fine is None else FINE_NS
        return (now_ns // step_ns + 1) * step_ns

    def restart(self) -> None:
        """Take the next price as the first one after a gap; the returns from before it stay."""
        self._next_ns = 0
        self._minutes.restart()
        if self._fine is not None:
            self._fine.restart()

    def load_calibrated(self, calibrated_pct: float, now_ns: int) -> None:
        """Start from a calibration's volatility, % per square root of a minute, while no minutes are measured."""
        if self.source not in (VolatilitySource.HISTORY, VolatilitySource.MINUTE_RETURNS):
            self._measure(calibrated_pct, VolatilitySource.CALIBRATION, now_ns)

    def load_bars(self, closes: Sequence[float], now_ns: int) -> None:
        """Start from the closes of one-minute bars that end before the first price, oldest first, all positive.

        Bars too few for an estimate are left out.
        """
        if self.is_known and self.source is not VolatilitySource.FINE_RETURNS:
            return
        returns = [after / before - 1.0 for before, after in pairwise(closes)][-self._lookback :]
        if len(returns) < self._lookback:
            return
        own = self.returns
        self._minutes.returns.extend((*returns, *own))
        self._of_bars = self._lookback - len(own)
        self._fine = None
        self._measure(deviation_pct(self._minutes.returns), VolatilitySource.HISTORY, now_ns)

    def _advance(self, ts_ns: int) -> None:
        fine = self._fine
        added = self._minutes.advance(ts_ns, self._last_mid)
        if added:
            self._of_bars -= added
            if len(self._minutes.returns) == self._lookback:
                by_bars = self._of_bars > 0
                source = VolatilitySource.HISTORY if by_bars else VolatilitySource.MINUTE_RETURNS
                self._measure(deviation_pct(self._minutes.returns), source, ts_ns)
                self._fine = None
                return
        if fine is None or not fine.advance(ts_ns, self._last_mid) or len(fine.returns) < _LEAST_FINE_RETURNS:
            return
        if self.source in (VolatilitySource.UNKNOWN, VolatilitySource.FINE_RETURNS):
            scaled = deviation_pct(fine.returns) * math.sqrt(_FINE_PER_MINUTE)
            self._measure(scaled, VolatilitySource.FINE_RETURNS, ts_ns)

    def _measure(self, volatility: float, source: VolatilitySource, now_ns: int) -> None:
        self.volatility_pct = volatility
        if source is not self.source:
            self.source, self.since_ns = source, now_ns
