"""One side of an order book."""

from bisect import bisect_left, insort


class SideBook:
    """One side's levels: total lots by price, best first.

    Keys are prices in ticks with the sign that makes the best one the smallest: negative for bids.
    """

    __slots__ = ("_keys", "_lots", "sign")

    def __init__(self, *, is_bid: bool) -> None:
        self.sign = -1 if is_bid else 1
        self._keys: list[int] = []
        self._lots: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def ticks_at(self, index: int) -> int:
        """Return the price of a level, counted from the touch."""
        return self.sign * self._keys[index]

    def lots(self, ticks: int) -> int:
        """Return the size shown at a price, 0 without a level."""
        return self._lots.get(self.sign * ticks, 0)

    def set(self, ticks: int, lots: int) -> bool:
        """Set a level's size, 0 to remove it, and return whether there was one at this price."""
        key = self.sign * ticks
        known = key in self._lots
        if lots > 0:
            if not known:
                insort(self._keys, key)
            self._lots[key] = lots
        elif known:
            del self._lots[key], self._keys[bisect_left(self._keys, key)]
        return known

    def levels(self, most: int | None = None) -> tuple[tuple[int, int], ...]:
        """Return all levels, or at most so many, as ``(ticks, lots)``, best first."""
        sign, lots = self.sign, self._lots
        return tuple([(sign * key, lots[key]) for key in self._keys[:most]])
