"""Filter a symbol's trades by age and id, and find fills caused by trades that were left out."""

from collections import deque
from typing import Any, Final

from mm_nautilus.risk.gate import SymbolGuards
from mm_nautilus.system.plain_text import counted

_MOST_TRADES: Final = 64
"""Number of live trades kept; Kraken repeats its last 50 after a subscription."""
_SAME_MOMENT_NS: Final = 100_000_000
"""Longest time between a trade and the simulated fill it causes, nanoseconds."""


class TradeFilter:
    """Leave out trades that are too old on arrival or repeated.

    The simulated venue sees every trade of a live feed, whatever its age, and may fill quotes from it. Such fills
    cannot be prevented; they are detected and counted.

    Parameters
    ----------
    guards
        The guards, which hold the largest age of a trade and the ids of recent ones.
    """

    def __init__(self, name: str, guards: SymbolGuards, counts: Any) -> None:
        self._name, self._guards, self._counts = name, guards, counts
        self._last: deque[tuple[Any, bool]] = deque(maxlen=_MOST_TRADES)

    def takes(self, trade: Any) -> bool:
        """Return whether a trade counts."""
        is_old = self._guards.is_old(trade.ts_event, trade.ts_init)
        recent = self._guards.recent_trades
        is_repeated = recent is not None and recent.is_repeated(trade.trade_id.value)
        self._counts.old_trades += is_old
        self._counts.repeated_trades += is_repeated and not is_old
        is_fresh = not is_old and not is_repeated
        if self._guards.feed is not None:
            self._last.append((trade, is_fresh))
        return is_fresh

    @property
    def warnings(self) -> list[str]:
        """A warning about fills caused by such trades, if there were any."""
        if not self._counts.phantom_fills:
            return []
        return [
            f"Warning: {self._name}: {counted(self._counts.phantom_fills, 'fill')} came from trades that were too old "
            "or repeated; the simulated venue fills quotes from them, and the figures include them"
        ]

    def is_phantom(self, fill: Any) -> bool:
        """Return whether a fill was caused by an old or repeated trade."""
        for trade, is_fresh in reversed(self._last):
            if fill.ts_event - trade.ts_init >= _SAME_MOMENT_NS:
                return False
            if trade.price <= fill.last_px if fill.is_buy else trade.price >= fill.last_px:
                return not is_fresh
        return False
