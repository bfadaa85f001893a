"""Why an order stands where it stands: what it was placed on, and what it was amended on since."""

from dataclasses import dataclass
from typing import NamedTuple

from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.nautilus.desk import SymbolDesk
from mm_nautilus.nautilus.market_moment import MarketMoment
from mm_nautilus.nautilus.messages import Decision, OrderOrigin

__all__ = ["Grounds", "OrderTrail", "grounds_of"]


class Grounds(NamedTuple):
    """What an order command is sent on, as the desk has it: hardly any order is filled and asked for more.

    Attributes
    ----------
    now_ns
        Nanoseconds since the epoch.
    price_ticks
        The wanted price, None at market.
    size_lots
        The order's whole size.
    moment
        Market and position.
    volatility_pct
        One-minute volatility, %.
    imbalance, trade_flow
        What v1.4.0's rule looks at, None where it is not in force.
    trigger_price
        The price of the exit rule that fired, None for anything but an exit.
    """

    now_ns: int
    price_ticks: int | None
    size_lots: int
    moment: MarketMoment
    volatility_pct: float
    imbalance: float | None
    trade_flow: float | None
    trigger_price: float | None

    def decision(self, spec: InstrumentSpec) -> Decision:
        """Return it in prices and sizes."""
        price = None if self.price_ticks is None else self.price_ticks * spec.price_increment
        return Decision(
            self.now_ns,
            price,
            self.size_lots * spec.size_increment,
            self.moment.sample(spec),
            *self[4:],
        )


def grounds_of(desk: SymbolDesk, price_ticks: int | None, size_lots: int, now_ns: int) -> Grounds:
    """Return what an order command is sent on.

    Parameters
    ----------
    desk
        The symbol, as it is now.
    price_ticks
        The wanted price, None at market.
    size_lots
        The order's whole size.
    now_ns
        Nanoseconds since the epoch.
    """
    params = desk.params
    by_signal = params.quoting == "signal"
    return Grounds(
        now_ns,
        price_ticks,
        size_lots,
        desk.moment(),
        desk.closes.volatility_pct,
        desk.book.imbalance() if by_signal else None,
        desk.flow.value if by_signal and params.use_trade_flow else None,
        None if desk.exit is None else desk.exit.trigger_price,
    )


@dataclass(slots=True)
class OrderTrail:
    """One order's grounds: those in force at the venue, and those on their way there."""

    _placed_ns: int = 0
    _amends: int = 0
    _held: Grounds | None = None
    _sent: Grounds | None = None
    _origin: OrderOrigin | None = None

    def origin(self, spec: InstrumentSpec) -> OrderOrigin | None:
        """Return what the order rests on, the same object until an amend changes it; None before it is sent."""
        if self._origin is None and self._held is not None:
            self._origin = OrderOrigin(self._held.decision(spec), self._placed_ns, self._amends)
        return self._origin

    def placed(self, grounds: Grounds) -> None:
        """Note that the order was sent."""
        self._held, self._placed_ns = grounds, grounds.now_ns

    def amending(self, grounds: Grounds) -> None:
        """Note that an amend was sent."""
        self._sent = grounds

    def amended(self) -> None:
        """Note that the venue confirmed the amend, if one was sent."""
        if self._sent is not None and self._held is not None:
            self._held, self._origin = self._sent, None
            self._amends += 1
        self._sent = None

    def amend_refused(self) -> None:
        """Note that the venue refused the amend; the order rests on what it rested on."""
        self._sent = None
