"""A symbol's order book, kept from deltas, depth snapshots or best quotes."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from nautilus_trader.model import (
    BookAction,
    BookType,
    InstrumentId,
    OrderBook,
    OrderStatus,
    OwnOrderBook,
    Price,
    Quantity,
)

_AT_VENUE: Final = {
    OrderStatus.ACCEPTED,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.PENDING_UPDATE,
    OrderStatus.PENDING_CANCEL,
}
_LEVELS: Final = 10
"""Number of levels a side that are read."""


class Touch(NamedTuple):
    """Best prices and their sizes, as the engine's cache has them; None for an empty side."""

    bid_price: Price | None
    bid_size: Quantity | None
    ask_price: Price | None
    ask_size: Quantity | None


def holds_single_orders(deltas: Any) -> bool:
    """Return whether a group of deltas adds two orders at one price, as market-by-order (L3) data does."""
    added: dict[tuple[Any, int], int] = {}
    for delta in deltas.deltas:
        order = delta.order
        if delta.action != BookAction.ADD or order is None:
            continue
        if added.setdefault((order.side, order.price.raw), order.order_id) != order.order_id:
            return True
    return False


def book_imbalance(book: Any) -> float:
    """Return ``(bid depth - ask depth) / (bid depth + ask depth)`` over ten levels, in [-1, 1]; 0 if empty."""
    bids = sum(level.size() for level in book.bids(_LEVELS))
    asks = sum(level.size() for level in book.asks(_LEVELS))
    return _share(bids, asks)


def _share(bids: float, asks: float) -> float:
    return (bids - asks) / (bids + asks) if bids + asks > 0 else 0.0


class LocalBook:
    """A level-2 book, or the best quotes of a feed without depth; its touch is in whole ticks.

    Parameters
    ----------
    tick_raw
        Price increment in the engine's raw fixed-point units.

    Attributes
    ----------
    best_bid_ticks, best_ask_ticks
        The touch as of the last `read`, None for an empty side.
    sizes
        Sizes at best bid and best ask, lots; 0 unless the book is a `SizedBook`.
    """

    def __init__(self, instrument_id: InstrumentId, tick_raw: int) -> None:
        self._book = OrderBook(instrument_id, BookType.L2_MBP)
        self.apply_deltas = self._book.apply_deltas
        self.apply_depth = self._book.apply_depth
        self._tick_raw = tick_raw
        self._quote: Any = None
        self._bid: Any = None
        self._ask: Any = None
        self.best_bid_ticks: int | None = None
        self.best_ask_ticks: int | None = None
        self.sizes = (0, 0)

    def apply_quote(self, quote: Any) -> None:
        """Replace the book by its best quotes."""
        self._quote = quote

    def read(self, ts_ns: int) -> bool:
        """Read the touch at a time in nanoseconds since the epoch; return whether it has changed since the last one."""
        if self._quote is None:
            bid, ask = self._book.best_bid_price(), self._book.best_ask_price()
        else:
            bid, ask = self._quote.bid_price, self._quote.ask_price
        if bid == self._bid and ask == self._ask:
            return False
        self._bid, self._ask = bid, ask
        self.best_bid_ticks = None if bid is None else bid.raw // self._tick_raw
        self.best_ask_ticks = None if ask is None else ask.raw // self._tick_raw
        return True

    def is_at(self, bid_price: Price | None, ask_price: Price | None) -> bool:
        """Return whether these were the best prices at the last `read`."""
        return bool(bid_price == self._bid and ask_price == self._ask)

    def imbalance(self) -> float:
        """Return `book_imbalance`; a feed of best quotes has one level a side."""
        if self._quote is None:
            return book_imbalance(self._book)
        return _share(float(self._quote.bid_size), float(self._quote.ask_size))


class SizedBook(LocalBook):
    """A book that also reads the sizes at the touch.

    Parameters
    ----------
    instrument_id, tick_raw
        As for `LocalBook`.
    lot_raw
        Size increment in the engine's raw fixed-point units.
    moves_with_size
        Whether `read` reports a change of size at the touch as a change.
    record
        Called after every change of price or size at the touch, with its time in nanoseconds since the epoch.

    Attributes
    ----------
    sizes
        Sizes at best bid and best ask as of the last `read`, lots; 0 for an empty side.
    """

    def __init__(
        self,
        instrument_id: InstrumentId,
        tick_raw: int,
        lot_raw: int,
        *,
        moves_with_size: bool,
        record: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(instrument_id, tick_raw)
        self._lot_raw, self._moves_with_size, self._record = lot_raw, moves_with_size, record
        self._bid_size: Any = None
        self._ask_size: Any = None

    def read(self, ts_ns: int) -> bool:
        """Read the touch with its sizes and return whether it has changed since the last time."""
        has_moved = super().read(ts_ns)
        if self._quote is None:
            bid, ask = self._book.best_bid_size(), self._book.best_ask_size()
        else:
            bid, ask = self._quote.bid_size, self._quote.ask_size
        if not has_moved and bid == self._bid_size and ask == self._ask_size:
            return False
        self._bid_size, self._ask_size = bid, ask
        self.sizes = (self._lots(bid), self._lots(ask))
        if self._record is not None:
            self._record(ts_ns)
        return has_moved or self._moves_with_size

    def _lots(self, size: Any) -> int:
        return 0 if size is None else size.raw // self._lot_raw


class OthersBook(SizedBook):
    """A book without our own orders, which a real venue's book includes.

    An order is taken out while the venue has it, unless it accepted it after the book's last change: that book does not
    show it yet, and the size at its price is that of others.

    Parameters
    ----------
    own_orders
        Returns the engine's book of own orders, None before the first order.
    """

    def __init__(self, *args: Any, own_orders: Callable[[], OwnOrderBook | None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._own_orders = own_orders
        self._venue_book = self._book

    @property
    def knows_own_orders(self) -> bool:
        """Whether the engine keeps a book of own orders."""
        return self._own_orders() is not None

    @property
    def venue_ns(self) -> int:
        """The venue's time of the book's last change, nanoseconds since the epoch."""
        return self._venue_book.ts_last

    def read(self, ts_ns: int) -> bool:
        """Read the others' touch with its sizes and return whether it has changed since the last time."""
        own, book = self._own_orders(), self._venue_book
        if own is None:
            self._book = book
        else:
            # The levels are counted before the orders are taken out of them.
            taken = max(len(own.bid_client_order_ids()), len(own.ask_client_order_ids()))
            self._book = book.filtered_view(own, depth=_LEVELS + taken, status=_AT_VENUE, ts_now=book.ts_last)
        return super().read(ts_ns)
