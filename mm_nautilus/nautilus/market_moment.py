"""Market and position at one moment, taken down quickly and put into prices and sizes when somebody asks."""

from typing import NamedTuple

from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.nautilus.messages import MarketSample

__all__ = ["MarketMoment"]


class MarketMoment(NamedTuple):
    """What a desk knows of its symbol at one moment, in ticks and lots; `MarketSample` says what each is.

    Attributes
    ----------
    bid_ticks, ask_ticks
        The touch in ticks, None unless the book is sound.
    mid_price, reservation_price, entry_price, trailing_stop_price
        In quote currency.
    inventory_lots, cap_lots
        Signed position and its largest size, in lots.
    """

    bid_ticks: int | None
    ask_ticks: int | None
    mid_price: float | None
    reservation_price: float | None
    inventory_lots: int
    cap_lots: int | None
    entry_price: float | None
    trailing_stop_price: float | None

    def sample(self, spec: InstrumentSpec) -> MarketSample:
        """Return it in prices and sizes, rounded to what the instrument has.

        Parameters
        ----------
        spec
            The instrument.
        """
        tick, lot = float(spec.price_increment), float(spec.size_increment)
        price_digits, size_digits = spec.price_precision, spec.size_precision
        return MarketSample(
            None if self.bid_ticks is None else round(self.bid_ticks * tick, price_digits),
            None if self.ask_ticks is None else round(self.ask_ticks * tick, price_digits),
            None if self.mid_price is None else round(self.mid_price, price_digits + 1),
            self.reservation_price,
            round(self.inventory_lots * lot, size_digits),
            None if self.cap_lots is None else round(self.cap_lots * lot, size_digits),
            self.entry_price,
            self.trailing_stop_price,
        )
