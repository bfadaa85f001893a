"""A pair's book at the venue, and what a subscription of limited depth sees of it."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

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


class _Side:
    """One side's levels; keys are prices with the sign that makes the best one the smallest."""

    __slots__ = ("_keys", "_lots", "_sign")

    def __init__(self, *, is_bid: bool) -> None:
        self._sign = -1 if is_bid else 1
        self._keys: list[int] = []
        self._lots: dict[int, int] = {}

    def set(self, ticks: int, lots: int) -> None:
        """Set a level's size; removing an unknown level changes nothing."""
        key = self._sign * ticks
        if lots > 0:
            if key not in self._lots:
                insort(self._keys, key)
            self._lots[key] = lots
        elif self._lots.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def clear(self) -> None:
        """Remove all levels."""
        self._keys.clear()
        self._lots.clear()

    def best(self, depth: int) -> tuple[Level, ...]:
        """Return the best levels, best first."""
        sign, lots = self._sign, self._lots
        return tuple((sign * key, lots[key]) for key in self._keys[:depth])


class VenueBook:
    """The levels of one pair, in ticks and lots."""

    def __init__(self) -> None:
        self._bids, self._asks = _Side(is_bid=True), _Side(is_bid=False)

    def clear(self) -> None:
        """Remove all levels."""
        self._bids.clear()
        self._asks.clear()

    def apply(self, changes: Iterable[Change]) -> None:
        """Set the sizes of levels, in order."""
        bids, asks = self._bids, self._asks
        for is_bid, ticks, lots in changes:
            (bids if is_bid else asks).set(ticks, lots)

    def view(self, depth: int) -> BookView:
        """Return the best levels a side, as many as `depth`."""
        return BookView(self._bids.best(depth), self._asks.best(depth))

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
    """Return what a subscriber who holds `before` has to be told to hold `after`, both of this depth.

    As at the venue, a level that better ones have pushed beyond the depth is not removed: the subscriber
    is expected to keep no more than `depth` levels a side.
    """
    return BookView(
        _side_changes(before.bids, after.bids, depth, -1), _side_changes(before.asks, after.asks, depth, 1)
    )


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
