"""Exchange rates between currencies, computed from the traded pairs."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple


class Leg(NamedTuple):
    """One pair on the way from one currency to another."""

    symbol: str
    inverse: bool
    """Whether to divide by its price, from quote to base currency."""


class Rates[Number: (float, Decimal)]:
    """Convert between currencies at current mid prices, over at most two pairs.

    Prices are floats for sizing quotes and decimals for accounting.

    Parameters
    ----------
    pairs
        Base and quote currency of each symbol.
    price_of
        Returns the current mid price of a symbol, None while it has none.
    one
        The number 1 in the type of the prices.
    """

    def __init__(
        self,
        pairs: Mapping[str, tuple[str, str]],
        price_of: Callable[[str], Number | None],
        one: Number,
    ) -> None:
        self._pairs = dict(pairs)
        self._price_of: Callable[[str], Number | None] = price_of
        self._one: Number = one
        self._paths: dict[tuple[str, str], tuple[Leg, ...] | None] = {}

    def path(self, source: str, target: str) -> tuple[Leg, ...] | None:
        """Return the shortest chain of pairs from `source` to `target`, None if there is none."""
        key = (source, target)
        if key not in self._paths:
            self._paths[key] = self._find(source, target)
        return self._paths[key]

    def rate(self, source: str, target: str) -> Number | None:
        """Return the value of one unit of `source` in `target`.

        None if no pairs connect the two, or one of these has no price yet.
        """
        path = self.path(source, target)
        if path is None:
            return None
        rate: Number = self._one
        for leg in path:
            price = self._price_of(leg.symbol)
            if price is None:
                return None
            rate = rate / price if leg.inverse else rate * price
        return rate

    def _find(self, source: str, target: str) -> tuple[Leg, ...] | None:
        if source == target:
            return ()
        steps = self._steps_from(source)
        for currency, leg in steps:
            if currency == target:
                return (leg,)
        for currency, leg in steps:
            for last_currency, last_leg in self._steps_from(currency):
                if last_currency == target:
                    return (leg, last_leg)
        return None

    def _steps_from(self, currency: str) -> list[tuple[str, Leg]]:
        pairs = self._pairs.items()
        forward = [(quote, Leg(symbol, False)) for symbol, (base, quote) in pairs if base == currency]
        back = [(base, Leg(symbol, True)) for symbol, (base, quote) in pairs if quote == currency]
        return forward + back
