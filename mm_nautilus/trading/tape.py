"""A symbol's trades: which of them count, and executions by those that do not."""

from collections import deque
from typing import Any, Final

from mm_nautilus.risk.gate import SymbolGuards

__all__ = ["TradeFilter"]

_MOST_TRADES: Final = 64
"""Trades of a live feed that are remembered; a venue repeats its last fifty at once."""
_SAME_MOMENT_NS: Final = 100_000_000
"""Longest time between a trade and the execution that the simulated venue makes of it."""


class TradeFilter:
    """Leave out trades that are too old when they come, or have come before.

    The simulated venue is shown every trade of a live feed, whatever its age, and fills quotes by it: such executions
    are recognised, as they cannot be prevented.

    Parameters
    ----------
    name
        The pair.
    guards
        What says how old a trade may be, and knows the ids of a live feed's last trades.
    counts
        Where what is left out is counted: ``old_trades`` and ``repeated_trades``.
    """

    def __init__(self, name: str, guards: SymbolGuards, counts: Any) -> None:
        self._name = name
        self._guards = guards
        self._counts = counts
        self._last: deque[tuple[Any, bool]] = deque(maxlen=_MOST_TRADES)

    def takes(self, trade: Any) -> bool:
        """Return whether a trade counts."""
        is_old = self._guards.is_old(trade.ts_event, trade.ts_init)
        is_repeated = self._guards.is_repeated(trade.trade_id.value)
        self._counts.old_trades += is_old
        self._counts.repeated_trades += is_repeated and not is_old
        is_fresh = not is_old and not is_repeated
        if self._guards.feed is not None:
            self._last.append((trade, is_fresh))
        return is_fresh

    @property
    def warnings(self) -> list[str]:
        """What the run's figures contain because of such trades."""
        if not self._counts.phantom_fills:
            return []
        return [
            f"Warning: {self._name}: {self._counts.phantom_fills} fills came from trades that were too old or "
            "repeated; the simulated venue fills quotes from them, and the figures include them"
        ]

    def is_phantom(self, fill: Any) -> bool:
        """Return whether the last trade that has just gone through the filled order's price should not have come."""
        for trade, is_fresh in reversed(self._last):
            if fill.ts_event - trade.ts_init >= _SAME_MOMENT_NS:
                return False
            if trade.price <= fill.last_px if fill.is_buy else trade.price >= fill.last_px:
                return not is_fresh
        return False
