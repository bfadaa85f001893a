"""A pair's book at the venue, and what a subscription of limited depth sees of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from mm_nautilus.market.side_book import SideBook

type Level = tuple[int, int]
"""Price in ticks and size in lots."""

DEPTHS: Final = (10, 25, 100, 500, 1000)
"""Levels a side that a subscription may ask for."""


class Change(NamedTuple):
    """A level's new size: whether it is a bid, its price in ticks and its size in lots, 0 to remove it."""

    is_bid: bool
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class BookView:
    """The best levels of a book, best first, or the changes between two such views: removed ones first, with 0 lots."""

    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether neither side holds anything."""
        return not self.bids and not self.asks


class VenueBook:
    """The levels of one pair, in ticks and lots."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all levels."""
        self._bids, self._asks = SideBook(is_bid=True), SideBook(is_bid=False)

    def apply(self, changes: Iterable[Change]) -> None:
        """Set the sizes of levels, in order."""
        bids, asks = self._bids, self._asks
        for is_bid, ticks, lots in changes:
            (bids if is_bid else asks).set(ticks, lots)

    def view(self, depth: int) -> BookView:
        """Return the best levels a side, as many as `depth`."""
        return BookView(self._bids.levels(depth), self._asks.levels(depth))

    def crossed_view(self, depth: int, cross_ticks: int) -> BookView:
        """Return a view whose best bid lies `cross_ticks` above the best ask, with that ask's size.

        A book without asks is shown as it is.
        """
        view = self.view(depth)
        if not view.asks:
            return view
        ticks, lots = view.asks[0]
        bids = ((ticks + cross_ticks, lots), *view.bids)
        return BookView(bids[:depth], view.asks)


def view_changes(before: BookView, after: BookView, depth: int) -> BookView:
    """Return the changes that turn a subscriber's view of a depth into another.

    As at the venue, a level that better ones have pushed beyond the depth is not removed: the subscriber
    is expected to keep no more than `depth` levels a side.
    """
    bids, asks = (before.bids, after.bids), (before.asks, after.asks)
    return BookView(_side_changes(*bids, depth, -1), _side_changes(*asks, depth, 1))


def _side_changes(
    before: tuple[Level, ...], after: tuple[Level, ...], depth: int, sign: int
) -> tuple[Level, ...]:
    if before == after:
        return ()
    old, new = dict(before), dict(after)
    horizon = sign * after[-1][0] if len(after) >= depth else None
    removed = [
        (ticks, 0) for ticks in old if ticks not in new and (horizon is None or sign * ticks < horizon)
    ]
    return (*removed, *((ticks, lots) for ticks, lots in after if old.get(ticks) != lots))
