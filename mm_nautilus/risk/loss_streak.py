"""Losing trades in a row."""

from decimal import Decimal

_ZERO = Decimal(0)


class LossStreak:
    """Count consecutive orders that reduced the position at a loss.

    An order may be executed in several parts, each a trade; they count as one, by the sum of their results. An order
    that breaks even neither extends nor ends the streak.

    Parameters
    ----------
    limit
        Length of the streak that fires; None never fires.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.length = 0
        self.reset()

    def reset(self, length: int = 0) -> None:
        """Set the streak to 0, or to a saved length."""
        self.length = self._before = length
        self._order: str | None = None
        self._pnl = _ZERO

    def add(self, order: str, pnl: Decimal) -> bool:
        """Add one trade and return whether the streak has just reached its limit."""
        if order != self._order:
            self._before, self._order, self._pnl = self.length, order, _ZERO
        self._pnl += pnl
        if self._pnl < 0:
            self.length = self._before + 1
        else:
            self.length = 0 if self._pnl > 0 else self._before
        return self._limit is not None and self.length >= self._limit
