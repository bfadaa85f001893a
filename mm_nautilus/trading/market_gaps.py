"""Gaps in a backtest's data, during which the strategy and its actors pause their timers."""

from collections.abc import Mapping
from typing import Any

from nautilus_trader.model import InstrumentId

from mm_nautilus.trading.feed_monitor import FeedMonitor
from mm_nautilus.trading.messages import EVENTS_TOPIC, MarketGap
from mm_nautilus.trading.orders import OrderManager
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.symbol import SymbolState


class MarketGaps:
    """Pause the one-second timer while it cannot find anything new before the next book event.

    Publishes a `MarketGap` at the begin and at the end, for actors that pause too.

    Parameters
    ----------
    timer
        The strategy's one-second timer; it pauses in a backtest only.
    feed, orders
        The strategy's feed and orders; a gap begins only when no order is open or in flight.
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
        """Begin a gap if every symbol's book has been silent for long enough and nothing is left to do."""
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
        """End the gap and restart the timer; call it before a book changes."""
        self.is_open = False
        self._timer.resume()
        self._strategy.publish_message(EVENTS_TOPIC, MarketGap(is_over=True))
