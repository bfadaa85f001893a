"""Gaps of a backtest's data, over which a strategy and its actors have nothing to do."""

from collections.abc import Mapping
from typing import Any

from nautilus_trader.model import InstrumentId

from mm_nautilus.trading.feed_monitor import FeedMonitor
from mm_nautilus.trading.messages import EVENTS_TOPIC, MarketGap
from mm_nautilus.trading.orders import OrderManager
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.symbol import SymbolState

__all__ = ["MarketGaps"]


class MarketGaps:
    """Pause the look once a second while it would find nothing new before the next book event.

    Actors that spend time in gaps too hear of them as `MarketGap`.

    Parameters
    ----------
    strategy
        The strategy that publishes.
    symbols
        Its symbols.
    timer
        The timer of its look, which pauses in a backtest only.
    feed, orders
        What it hears by, and its orders: while one is working or on its way there is no rest.

    Attributes
    ----------
    is_open
        Whether a gap has begun and is not over.
    """

    def __init__(
        self,
        strategy: Any,
        symbols: Mapping[InstrumentId, SymbolState],
        timer: PausingTimer,
        feed: FeedMonitor,
        orders: OrderManager,
    ) -> None:
        self._strategy = strategy
        self._symbols = symbols
        self._timer = timer
        self._feed = feed
        self._orders = orders
        self.is_open = False

    def begin_at_rest(self, now_ns: int) -> None:
        """Begin a gap where no symbol's book has changed for so long and nothing is left to do."""
        symbols = self._symbols.values()
        if not self._timer.may_pause or not self._orders.is_idle:
            return
        if any(symbol.last_event_ns is not None for symbol in symbols) and all(
            symbol.is_at_rest(now_ns) for symbol in symbols
        ):
            self.is_open = True
            self._timer.pause()
            for symbol in symbols:
                self._feed.listen(symbol, now_ns)
            self._strategy.publish_message(EVENTS_TOPIC, MarketGap(is_over=False))

    def end(self) -> None:
        """Look once a second again: a book is about to change."""
        self.is_open = False
        self._timer.resume()
        self._strategy.publish_message(EVENTS_TOPIC, MarketGap(is_over=True))
