"""One pair at the venue: its book as the feed and as a script have it, and its last trades."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mm_nautilus.mock_kraken.book import BookView, Change, VenueBook
from mm_nautilus.mock_kraken.pairs import Pair

LAST_TRADES: Final = 50
"""Trades that a subscription to trades is answered with."""
_MINUTES_KEPT: Final = 720
_MINUTE_NS: Final = 60_000_000_000


@dataclass(slots=True)
class MinuteBar:
    """The trades of one minute since the epoch: prices in ticks, sizes in lots, value in ticks times lots."""

    minute: int
    open: int
    high: int
    low: int
    close: int = 0
    value: int = 0
    lots: int = 0
    trades: int = 0


class Market:
    """One pair.

    Attributes
    ----------
    pair
        Its names and figures.
    book
        The feed's book.
    script
        The book a test has set instead, or None.
    last_trades
        Rows of the last trades, oldest first.
    next_trade_id
        Number of the next trade. They count from the microseconds since 1970 at the venue's start, so that a venue
        that is started again uses none twice.
    minutes
        Bars of the last minutes that had trades, oldest first.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.book = VenueBook()
        self.script: VenueBook | None = None
        self.last_trades: deque[str] = deque(maxlen=LAST_TRADES)
        self.next_trade_id = time.time_ns() // 1000
        self.minutes: deque[MinuteBar] = deque(maxlen=_MINUTES_KEPT)

    def add_to_minute(self, now_ns: int, ticks: int, lots: int) -> None:
        """Count a trade into the bar of its minute."""
        minute = now_ns // _MINUTE_NS
        if not self.minutes or self.minutes[-1].minute != minute:
            self.minutes.append(MinuteBar(minute, ticks, ticks, ticks))
        bar = self.minutes[-1]
        bar.high, bar.low, bar.close = max(bar.high, ticks), min(bar.low, ticks), ticks
        bar.value, bar.lots, bar.trades = bar.value + ticks * lots, bar.lots + lots, bar.trades + 1

    def is_above_mid(self, ticks: int) -> bool:
        """Return whether a price is nearer to the feed's asks than to its bids; False for a book without a side."""
        touch = self.book.view(1)
        return bool(touch.bids and touch.asks) and 2 * ticks > touch.bids[0][0] + touch.asks[0][0]

    def set_script(self, changes: Iterable[Change]) -> None:
        """Show a book of these levels instead of the feed's."""
        script = VenueBook()
        script.apply(changes)
        self.script = script

    def view(self, depth: int, cross_ticks: int = 0) -> BookView:
        """Return what a subscriber is to see; `cross_ticks` above 0 crosses it."""
        shown = self.book if self.script is None else self.script
        return shown.crossed_view(depth, cross_ticks) if cross_ticks else shown.view(depth)
