"""Interface of custom pricing models: market and position in, reservation price and widths out.

All prices are in quote currency, all sizes in base currency. A model needs no engine, ticks or lots: its prices are
rounded away from the reservation price, kept from crossing the book, and sized afterwards.
"""

import math
from collections.abc import Callable
from decimal import localcontext
from numbers import Real
from typing import Final, NamedTuple, Protocol

from mm_nautilus.config.fields import finite_number
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.problems import shown
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import MarketMakingError
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.system.raised import one_line, raised_text

_MOST_MIDS: Final = 10
"""Largest price and width accepted from a model, as a multiple of the mid."""


class MarketView(NamedTuple):
    """One symbol's market, as input of a pricing model.

    Attributes
    ----------
    symbol
        The pair, for example ``XRP/USDT``.
    best_bid, best_ask, mid_price
        The touch of a valid book and its mid price.
    fair_price
        Centre of the quotes while the position is at its target: the mid, or the configured ``fair_price``.
    volatility_pct
        One-minute volatility, %; 0 while it is not known.
    """

    symbol: str
    best_bid: float
    best_ask: float
    mid_price: float
    fair_price: float
    volatility_pct: float


class PositionView(NamedTuple):
    """One symbol's position, as input of a pricing model.

    Attributes
    ----------
    size
        Signed position since the start.
    target
        Signed target position.
    cap
        Largest position on either side.
    share
        Distance of the position from its target as a share of the cap, in [-1, 1]: ``q`` in the formulas.
    quotes_at_cap
        The inventory cap as a number of full quotes.
    """

    size: float
    target: float
    cap: float
    share: float
    quotes_at_cap: float


class PricedQuote(NamedTuple):
    """Output of a pricing model.

    Attributes
    ----------
    reservation_price
        Centre of the quotes.
    bid_width, ask_width
        Distance of each quote from the reservation price, at least 0.
    skew_bps
        Set by a model whose prices depend on mid and position only, else None. It promises, until the volatility
        changes, a reservation price of ``fair_price * (1 - share * skew_bps / 10,000)`` and widths proportional to the
        mid. Orders are then kept without a call of the model while the touch stays within the no-action band.
    """

    reservation_price: float
    bid_width: float
    ask_width: float
    skew_bps: float | None = None


class PricingModel(Protocol):
    """Prices one symbol: any function with this signature.

    It cannot change its arguments, and has a decimal context of its own. It may keep a state, because it is called only
    when quotes are planned: when the touch moves, after fills and order events, and at least once a minute while the
    symbol may be quoted. Returning a reason leaves both sides unquoted.
    """

    def __call__(
        self, market: MarketView, position: PositionView, params: SymbolParams, /
    ) -> PricedQuote | NotQuoting:
        """Return reservation price and widths, or the reason for none."""


class PricingModelError(MarketMakingError):
    """A custom pricing model raised or returned an invalid result; the message names model and symbol."""


class OwnPricing:
    """A custom pricing model with checks on every result.

    Parameters
    ----------
    name
        Name in messages and reports; by default ``module:name``.

    Attributes
    ----------
    last
        The last result of each symbol with the market it was computed for.

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
        """Return what the model returns, numbers of any type as floats.

        Raises
        ------
        PricingModelError
            If the model raises, or returns neither a reason nor finite numbers with a price and widths up to
            `_MOST_MIDS` times the mid; the first wrong one is named.
        """
        try:
            with localcontext():
                quote = self._model(market, position, params)
        except BaseException as error:
            raise PricingModelError(f"{self._of(market)} raised {raised_text(error)}") from error
        if isinstance(quote, NotQuoting):
            return quote
        if not isinstance(quote, PricedQuote):
            raise PricingModelError(
                f"{self._of(market)} must return a PricedQuote or a NotQuoting, was {one_line(repr(quote))}"
            )
        priced = _in_floats(quote)
        fault = _fault(quote, priced, _MOST_MIDS * market.mid_price)
        if fault is not None:
            raise PricingModelError(f"{self._of(market)} returned a wrong quote: {fault}")
        self.last[market.symbol] = market, priced
        return priced

    def _of(self, market: MarketView) -> str:
        return f"the pricing model {self.name} of {market.symbol}"


def _in_floats(quote: PricedQuote) -> PricedQuote:
    price, bid_width, ask_width, skew_bps = quote
    return PricedQuote(
        _as_float(price),
        _as_float(bid_width),
        _as_float(ask_width),
        None if skew_bps is None else _as_float(skew_bps),
    )


def _as_float(value: object) -> float:
    """Return a real number as a float, NaN for anything else; a Decimal is none, as prices are floats."""
    if type(value) is float:
        return value
    number = finite_number(value) if isinstance(value, Real) else None
    return math.nan if number is None else number


def _fault(given: PricedQuote, quote: PricedQuote, most: float) -> str | None:
    """Return what is wrong with the first wrong field of `given`, None if there is none; `quote` has it in floats."""
    price, bid_width, ask_width, skew_bps = quote
    if not 0 < price < math.inf:
        field, allowed = "reservation_price", "a finite positive number"
    elif not 0 <= bid_width < math.inf:
        field, allowed = "bid_width", "a finite number of at least 0"
    elif not 0 <= ask_width < math.inf:
        field, allowed = "ask_width", "a finite number of at least 0"
    elif max(price, bid_width, ask_width) > most:
        field = next(name for name in PricedQuote._fields if getattr(quote, name) > most)
        allowed = f"at most {_MOST_MIDS} times the mid of {most / _MOST_MIDS:g}"
    elif skew_bps is not None and not math.isfinite(skew_bps):
        field, allowed = "skew_bps", "a finite number or None"
    else:
        return None
    value = getattr(given, field)
    return f"{field} must be {allowed}, was {shown(value)} of type {type(value).__name__}"
