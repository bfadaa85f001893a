"""What a market maker needs to know about an instrument, as plain exact values."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final

__all__ = ["ORDER_LIMITS", "InstrumentSpec", "decimal_places"]

ORDER_LIMITS: Final = ("min_quantity", "min_notional", "max_quantity", "max_notional")
"""What a venue may say of the least and the largest order."""


def decimal_places(value: Decimal) -> int:
    """Return the number of digits after the decimal point that `value` is written with.

    Trailing zeros count, so ``Decimal("0.10")`` has two.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"a finite decimal is needed, was {value}")
    return max(0, -exponent)


@dataclass(frozen=True)
class InstrumentSpec:
    """A spot currency pair at a venue.

    Parameters
    ----------
    symbol
        The venue's name of the pair, for example ``XRP/USDT``.
    venue
        The venue's name, for example ``KRAKEN``.
    base, quote
        Currency codes. Sizes are amounts of `base`, prices are `quote` per unit of `base`.
    price_increment
        Smallest price step (tick), in `quote`; its written digits are the price precision.
    size_increment
        Smallest size step (lot), in `base`; its written digits are the size precision.
    min_quantity
        Smallest order size in `base`, or None where the venue sets none.
    min_notional
        Smallest order value in `quote`, or None where the venue sets none.
    max_quantity
        Largest order size in `base`, or None where the venue sets none.
    max_notional
        Largest order value in `quote`, or None where the venue sets none.
    maker_fee_rate, taker_fee_rate
        Fees as a fraction of the traded value (0.0025 is 0.25 %), or None where unknown.
    simulated
        Whether the data stored with this instrument was simulated rather than recorded.

    Raises
    ------
    ValueError
        If an increment or a limit of orders is not positive, or base and quote are the same.
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

    def __post_init__(self) -> None:
        for name in ("price_increment", "size_increment", *ORDER_LIMITS):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                raise ValueError(f"{name} of {self.symbol} must be a positive number, was {value}")
        for name in ("maker_fee_rate", "taker_fee_rate"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and -1 < value < 1):
                raise ValueError(f"{name} of {self.symbol} must be a fraction between -1 and 1, was {value}")
        if self.base == self.quote:
            raise ValueError(f"base and quote of {self.symbol} must differ, was {self.base} for both")

    @property
    def instrument_id(self) -> str:
        """The engine's name of the instrument: symbol and venue joined by a dot."""
        return f"{self.symbol}.{self.venue}"

    @cached_property
    def price_precision(self) -> int:
        """Digits after the decimal point of a price."""
        return decimal_places(self.price_increment)

    @cached_property
    def size_precision(self) -> int:
        """Digits after the decimal point of a size."""
        return decimal_places(self.size_increment)
