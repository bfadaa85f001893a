"""Trade flow: imbalance between buys and sells of recent trades."""

from collections import deque
from typing import Final

TRADE_FLOW_WINDOW: Final = 50
"""Number of trades over which trade flow is computed."""


class TradeFlow:
    """Trade flow, ``(buy volume - sell volume) / (buy volume + sell volume)``, over the last trades."""

    def __init__(self, window: int = TRADE_FLOW_WINDOW) -> None:
        self._signed_sizes: deque[float] = deque(maxlen=window)

    def add(self, size: float, *, is_buy: bool) -> None:
        """Add one trade: its size in base currency and whether the taker bought."""
        self._signed_sizes.append(size if is_buy else -size)

    @property
    def is_warm(self) -> bool:
        """Whether the window is full."""
        return len(self._signed_sizes) == self._signed_sizes.maxlen

    @property
    def value(self) -> float:
        """The flow in [-1, 1]; 0 before the first trade."""
        total = sum(map(abs, self._signed_sizes))
        return sum(self._signed_sizes) / total if total > 0 else 0.0
