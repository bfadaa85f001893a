"""One pair at the venue: its book as the feed and as a script have it, its subscribers, and its last trades."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mm_nautilus.mock_kraken.book import BookView, Change, VenueBook
from mm_nautilus.mock_kraken.pairs import Pair
from mm_nautilus.mock_kraken.session import Session

__all__ = ["LAST_TRADES", "BookChannel", "Market"]

LAST_TRADES: Final = 50
"""Trades that a subscription to trades is answered with."""


@dataclass(slots=True)
class BookChannel:
    """All subscriptions to a pair's book of one depth.

    Attributes
    ----------
    view
        What the members hold.
    members
        Who is told every change.
    newcomers
        Who is still to be sent a snapshot.
    """

    view: BookView
    members: set[Session] = field(default_factory=set)
    newcomers: set[Session] = field(default_factory=set)

    def leave(self, session: Session) -> None:
        """Forget a subscriber."""
        self.members.discard(session)
        self.newcomers.discard(session)

    @property
    def is_empty(self) -> bool:
        """Whether nobody subscribes."""
        return not self.members and not self.newcomers


class Market:
    """One pair.

    Parameters
    ----------
    pair
        Its names and figures.

    Attributes
    ----------
    book
        The feed's book.
    script
        The book a test has set instead, or None.
    channels
        Book subscriptions by depth.
    tape
        Who subscribes to trades.
    last_trades
        Rows of the last trades, oldest first.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.book = VenueBook()
        self.script: VenueBook | None = None
        self.channels: dict[int, BookChannel] = {}
        self.tape: set[Session] = set()
        self.last_trades: deque[str] = deque(maxlen=LAST_TRADES)
        self._trade_count = 0

    def next_trade_id(self) -> int:
        """Return a number no trade of the pair has had."""
        self._trade_count += 1
        return self._trade_count

    def is_above_mid(self, ticks: int) -> bool:
        """Return whether a price is nearer to the feed's asks than to its bids; False for a book without a side."""
        touch = self.book.view(1)
        return bool(touch.bids and touch.asks) and 2 * ticks > touch.bids[0][0] + touch.asks[0][0]

    def set_script(self, changes: Iterable[Change]) -> None:
        """Show a book of these levels instead of the feed's."""
        self.script = VenueBook()
        self.script.apply(changes)

    def view(self, depth: int, cross_ticks: int = 0) -> BookView:
        """Return what a subscriber is to see; `cross_ticks` above 0 crosses it."""
        shown = self.book if self.script is None else self.script
        return shown.crossed_view(depth, cross_ticks) if cross_ticks else shown.view(depth)
