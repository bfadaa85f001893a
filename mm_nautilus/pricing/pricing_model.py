"""Where a model of one's own takes its place: market and position in, a reservation price and widths out.

All prices are in quote currency, all sizes in base currency. A model knows nothing of the engine, of ticks or of lots:
its prices are rounded away from the reservation price and kept from crossing the book, and sized, afterwards.
"""

import math
from collections.abc import Callable
from numbers import Real
from typing import Final, NamedTuple, Protocol

from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import MarketMakingError
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.system.raised import raised_text

__all__ = ["MarketView", "OwnPricing", "PositionView", "PricedQuote", "PricingModel", "PricingModelError"]

_MOST_MIDS: Final = 10
"""Largest price and width that can only be meant, in mids."""


class MarketView(NamedTuple):
    """What a model sees of one symbol's market.

    Attributes
    ----------
    symbol
        The pair, for example ``XRP/USDT``.
    best_bid, best_ask, mid_price
        The touch of a sound book and its middle.
    fair_price
        What quotes are centred on while the position is at its target: the mid, unless the configuration asks for
        another ``fair_price``.
    volatility_pct
        One-minute volatility as measured so far, %; 0 while it is not known.
    """

    symbol: str
    best_bid: float
    best_ask: float
    mid_price: float
    fair_price: float
    volatility_pct: float


class PositionView(NamedTuple):
    """What a model sees of one symbol's position.

    Attributes
    ----------
    size
        Signed position since the start.
    target
        The signed position that quotes lean towards.
    cap
        Largest position on either side.
    share
        Distance of the position from its target as a share of the cap, in [-1, 1]: the models' ``q``.
    quotes_at_cap
        The cap in full quotes.
    """

    size: float
    target: float
    cap: float
    share: float
    quotes_at_cap: float


class PricedQuote(NamedTuple):
    """What a model asks for.

    Attributes
    ----------
    reservation_price
        What the quotes stand around.
    bid_width, ask_width
        Distance of either quote from it, at least 0.
    skew_bps
        Given by a model whose prices follow from the mid and the position alone, None by any other. It promises a
        reservation price of ``fair_price * (1 - share * skew_bps / 10,000)`` and widths in proportion to the mid until
        the volatility changes. Orders are then kept, without asking the model, while the touch stays within the
        no-action band.
    """

    reservation_price: float
    bid_width: float
    ask_width: float
    skew_bps: float | None = None


class PricingModel(Protocol):
    """Prices one symbol: any function with this signature.

    It is called when quotes are planned, and at no other time, so that it may keep a state: when the touch moves, after
    executions and changes of orders, and at least once a minute, while nothing keeps the symbol from being quoted. A
    reason in place of prices leaves both sides without quotes.
    """

    def __call__(
        self, market: MarketView, position: PositionView, params: SymbolParams, /
    ) -> PricedQuote | NotQuoting:
        """Return reservation price and widths, or why there are none."""


class PricingModelError(MarketMakingError):
    """A model of one's own raised, or returned nothing that can be quoted; the message names it and the symbol."""


class OwnPricing:
    """A model of one's own, whose every answer is checked.

    Parameters
    ----------
    model
        The function.
    name
        What messages and reports call it; by default its module and its name.

    Attributes
    ----------
    last
        The last prices of each symbol with the market they were made for.

    Raises
    ------
    TypeError
        If the model cannot be called.
    """

    def __init__(self, model: PricingModel, name: str | None = None) -> None:
        if not callable(model):
            raise TypeError(f"pricing must be a function of market, position and parameters, was {model!r}")
        self._model: Callable[..., object] = model
        self.name = str(ObjectReference.of(model)) if name is None else name
        self.last: dict[str, tuple[MarketView, PricedQuote]] = {}

    def __call__(
        self, market: MarketView, position: PositionView, params: SymbolParams, /
    ) -> PricedQuote | NotQuoting:
        """Return what the model returns.

        Raises
        ------
        PricingModelError
            If the model raises, or returns neither a reason nor prices and widths that are numbers within `_MOST_MIDS`
            times the mid.
        """
        try:
            quote = self._model(market, position, params)
        except Exception as error:
            raise PricingModelError(f"{self._of(market)} raised {raised_text(error)}") from error
        if isinstance(quote, NotQuoting):
            return quote
        if not isinstance(quote, PricedQuote):
            text = f"{self._of(market)} must return a PricedQuote or a NotQuoting, was {quote!r}"
            raise PricingModelError(text)
        if not _can_be_quoted(quote, _MOST_MIDS * market.mid_price):
            raise PricingModelError(
                f"{self._of(market)} must return a reservation price above 0, widths of at least 0, none of them above "
                f"{_MOST_MIDS} times the mid of {market.mid_price:g}, and a finite skew_bps or None, was {quote}"
            )
        self.last[market.symbol] = market, quote
        return quote

    def _of(self, market: MarketView) -> str:
        return f"the pricing model {self.name} of {market.symbol}"


def _can_be_quoted(quote: PricedQuote, most: float) -> bool:
    price, *widths = quote[:3]
    skew_bps = quote.skew_bps
    return (
        all(map(_is_number, quote[:3]))
        and 0 < price <= most
        and all(0 <= each <= most for each in widths)
        and (skew_bps is None or (_is_number(skew_bps) and math.isfinite(skew_bps)))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
