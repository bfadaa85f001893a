"""Definition of an instrument: increments, order limits, fees and margins as exact values."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

type Kind = Literal["spot", "perpetual", "future"]
"""What is traded: the base currency itself, or a linear contract on it, settled in the quote currency."""

QUOTED: Final = "only spot pairs and linear perpetuals and futures of multiplier 1 are quoted"

LARGEST_FEE_PCT: Final = 5
"""Largest absolute fee or rebate accepted anywhere, % of the traded value."""

ORDER_LIMITS: Final = ("min_quantity", "min_notional", "max_quantity", "max_notional")
"""Names of the fields with a venue's order limits."""


def decimal_places(value: Decimal) -> int:
    """Return the number of decimal places that `value` is written with.

    Trailing zeros count, so ``Decimal("0.10")`` has two.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"a finite decimal is needed, was {value}")
    return max(0, -exponent)


def names_currencies(symbol: str, base: str, quote: str) -> bool:
    """Return whether a symbol can belong to these currencies.

    A symbol with a slash must be ``BASE/QUOTE``; any other must name the base before the quote, as ``BTCUSDT``,
    ``BTC-USD`` and ``tBTC:UST`` do.
    """
    if "/" in symbol:
        return symbol == f"{base}/{quote}"
    return quote in symbol.partition(base)[2] if base in symbol else False


@dataclass(frozen=True)
class InstrumentSpec:
    """A spot currency pair, or a linear contract of one unit of the base currency, at a venue.

    Parameters
    ----------
    symbol
        The venue's name of the pair, for example ``XRP/USDT``.
    base, quote
        Currency codes. Sizes are amounts of `base`, prices are `quote` per unit of `base`.
    price_increment, size_increment
        Smallest step of a price (tick), in `quote`, and of a size (lot), in `base`; the written digits are the
        precision.
    min_quantity, max_quantity, min_notional, max_notional
        Smallest and largest order: its size in `base`, its value in `quote`; None if the venue sets no limit.
    maker_fee_rate, taker_fee_rate
        Fees as a fraction of the traded value (0.0025 is 0.25 %), None if unknown.
    simulated
        Whether the data stored with this instrument is simulated.
    kind
        What is traded.
    margin_init_rate, margin_maint_rate
        Initial and maintenance margin at leverage 1, as a fraction of the value (1 is all of it); leverage divides
        them.
    expires_ns
        When a future is settled, nanoseconds since the epoch; None for the others.

    Raises
    ------
    ValueError
        If an increment or a limit of orders is not positive, a fee is beyond `LARGEST_FEE_PCT`, a margin is negative
        or above 1, or base and quote are the same or not those of a symbol ``BASE/QUOTE``.
    """

    symbol: str
    venue: str
    base: str
    quote: str
    price_increment: Decimal
    size_increment: Decimal
    min_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    maker_fee_rate: Decimal | None = None
    taker_fee_rate: Decimal | None = None
    simulated: bool = False
    max_quantity: Decimal | None = None
    max_notional: Decimal | None = None
    kind: Kind = "spot"
    margin_init_rate: Decimal = Decimal(1)
    margin_maint_rate: Decimal = Decimal(1)
    expires_ns: int | None = None

    def __post_init__(self) -> None:
        for name in ("price_increment", "size_increment", *ORDER_LIMITS):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                raise ValueError(f"{name} of {self.symbol} must be a positive number, was {value}")
        for name in ("maker_fee_rate", "taker_fee_rate"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and abs(100 * value) <= LARGEST_FEE_PCT):
                most = Decimal(LARGEST_FEE_PCT) / 100
                raise ValueError(
                    f"{name} of {self.symbol} must be a fraction between -{most} and {most}, was {value}"
                )
        for name in ("margin_init_rate", "margin_maint_rate"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} of {self.symbol} must be a fraction between 0 and 1, was {value}")
        if self.base == self.quote:
            raise ValueError(f"base and quote of {self.symbol} must differ, was {self.base} for both")
        if "/" in self.symbol and not names_currencies(self.symbol, self.base, self.quote):
            raise ValueError(
                f"base and quote of {self.symbol} must be those of its symbol, was {self.base} and {self.quote}"
            )

    @property
    def instrument_id(self) -> str:
        """The engine's instrument id: symbol and venue joined by a dot."""
        return f"{self.symbol}.{self.venue}"

    @cached_property
    def price_precision(self) -> int:
        """Decimal places of a price."""
        return decimal_places(self.price_increment)

    @cached_property
    def size_precision(self) -> int:
        """Decimal places of a size."""
        return decimal_places(self.size_increment)
