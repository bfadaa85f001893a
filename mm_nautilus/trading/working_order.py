"""One order, the decision it rests on, and the side it belongs to: at most one a side, and those in flight count."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.not_quoting_stats import NotQuotingStats
from mm_nautilus.trading.messages import Decision, MarketSample, OrderOrigin

__all__ = ["ENTRY", "QUOTE", "Grounds", "OrderCounts", "OrderState", "QuoteSide", "WorkingOrder"]

QUOTE = "quote"
"""Purpose of a passive quote."""
ENTRY = "entry"
"""Purpose of a marketable order that the signal rule sends."""


class Grounds(NamedTuple):
    """What an order command is sent on, in ticks and lots: hardly any order is filled and asked for more.

    Attributes
    ----------
    now_ns
        Nanoseconds since the epoch.
    price_ticks
        The wanted price, None at market.
    size_lots
        The order's whole size.
    bid_ticks, ask_ticks
        The touch, None unless the book is sound.
    mid_price, reservation_price, entry_price, trailing_stop_price, trigger_price
        In quote currency, None where there is none; the trigger is that of an exit rule.
    inventory_lots, cap_lots
        Signed position and its largest size.
    volatility_pct
        One-minute volatility, %.
    imbalance, trade_flow
        What v1.4.0's rule looks at, None where it is not in force.
    """

    now_ns: int
    price_ticks: int | None
    size_lots: int
    bid_ticks: int | None
    ask_ticks: int | None
    mid_price: float | None
    reservation_price: float | None
    inventory_lots: int
    cap_lots: int | None
    entry_price: float | None
    trailing_stop_price: float | None
    volatility_pct: float
    imbalance: float | None
    trade_flow: float | None
    trigger_price: float | None

    def market(self, spec: InstrumentSpec) -> MarketSample:
        """Return market and position in prices and sizes, rounded to what the instrument has."""
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

    def decision(self, spec: InstrumentSpec) -> Decision:
        """Return the decision in prices and sizes."""
        return Decision(
            self.now_ns,
            None if self.price_ticks is None else self.price_ticks * spec.price_increment,
            self.size_lots * spec.size_increment,
            self.market(spec),
            self.volatility_pct,
            self.imbalance,
            self.trade_flow,
            self.trigger_price,
        )


class OrderState(StrEnum):
    """Where an order is."""

    PENDING_NEW = "pending new"
    WORKING = "working"
    PENDING_AMEND = "pending amend"
    PENDING_CANCEL = "pending cancel"


@dataclass(slots=True)
class WorkingOrder:
    """An order that is not closed yet: a side's quote or entry, or an exit.

    Attributes
    ----------
    symbol, side
        The `SymbolState` it belongs to, and its `QuoteSide`; None for an exit.
    order_id
        The engine's id of the order.
    purpose
        `QUOTE`, `ENTRY` or the reason of an exit.
    is_buy
        Direction.
    resting
        Price and unfilled size, as last confirmed; of a new order, as it was sent.
    sent
        Price and size as it was sent, with the price that it may cost at most.
    pending
        Price and size of an insert or amend in flight, or None.
    grounds
        The decision that its price and size at the venue rest on.
    state
        Where it is.
    filled_lots
        Filled size in lots.
    amends, amends_confirmed
        How often it was amended: as sent, and as confirmed.
    """

    symbol: Any
    side: "QuoteSide | None"
    order_id: Any
    purpose: str
    is_buy: bool
    resting: Quote
    grounds: Grounds
    sent: Quote
    pending: Quote | None = None
    state: OrderState = OrderState.PENDING_NEW
    filled_lots: int = 0
    amends: int = 0
    amends_confirmed: int = 0
    _placed_ns: int = 0
    _sent_grounds: Grounds | None = None
    _origin: OrderOrigin | None = None

    def __post_init__(self) -> None:
        self._placed_ns = self.grounds.now_ns
        self.pending = self.resting

    @property
    def is_marketable(self) -> bool:
        """Whether the order takes liquidity at once; it is never amended or cancelled."""
        return self.purpose != QUOTE

    @property
    def is_resting(self) -> bool:
        """Whether the venue has confirmed it."""
        return self.state is not OrderState.PENDING_NEW

    @property
    def worst_case_lots(self) -> int:
        """The most that may still be filled, whichever of the commands in flight arrives first."""
        return max(self.resting.size_lots, self.pending.size_lots if self.pending else 0)

    def origin(self, spec: InstrumentSpec) -> OrderOrigin:
        """Return what the order rests on, the same object until an amend changes it."""
        if self._origin is None:
            self._origin = OrderOrigin(self.grounds.decision(spec), self._placed_ns, self.amends_confirmed)
        return self._origin

    def amending(self, quote: Quote, grounds: Grounds) -> None:
        """Note that an amend was sent; its size is the open size wanted."""
        self.state, self.pending, self._sent_grounds = OrderState.PENDING_AMEND, quote, grounds
        self.amends += 1

    def cancelling(self) -> None:
        """Note that a cancel was sent."""
        self.state = OrderState.PENDING_CANCEL

    def accepted(self) -> None:
        """Note that the venue confirmed the insert."""
        if self.state is OrderState.PENDING_NEW:
            self.state, self.pending = OrderState.WORKING, None

    def amended(self, price_ticks: int, total_lots: int) -> None:
        """Note that the venue confirmed an amend; `total_lots` includes what has been filled."""
        self.resting = Quote(price_ticks, max(0, total_lots - self.filled_lots))
        self.pending = None
        if self._sent_grounds is not None:
            self.grounds, self._sent_grounds, self._origin = self._sent_grounds, None, None
            self.amends_confirmed += 1
        if self.state is OrderState.PENDING_AMEND:
            self.state = OrderState.WORKING

    def amend_refused(self) -> None:
        """Note that the venue refused an amend; the order stands as it was."""
        self.pending = self._sent_grounds = None
        if self.state is OrderState.PENDING_AMEND:
            self.state = OrderState.WORKING

    def cancel_refused(self) -> None:
        """Note that the venue refused a cancel of an order that is still open."""
        if self.state is OrderState.PENDING_CANCEL:
            self.state = OrderState.WORKING if self.pending is None else OrderState.PENDING_AMEND

    def filled(self, lots: int) -> None:
        """Note that lots were filled; an order that is done is closed by its caller."""
        self.filled_lots += lots
        self.resting = self.resting._replace(size_lots=max(0, self.resting.size_lots - lots))
        if self.pending is not None:
            # The venue counts what is filled since then against the size in flight.
            self.pending = self.pending._replace(size_lots=max(0, self.pending.size_lots - lots))


@dataclass(slots=True)
class QuoteSide:
    """One side of a symbol: its only order, its last fill and why it is not quoted.

    Attributes
    ----------
    is_bid
        Which side.
    order
        Its order, or None.
    target
        What was last planned for it: a `Quote`, or the reason for none.
    stats
        How often and how long each reason for not quoting held.
    last_fill_ns
        Time of its last execution.
    retry_at_ns
        No new order before this time, after a refusal.
    has_changed
        Whether order or reason have changed since they were last published.
    """

    is_bid: bool
    order: WorkingOrder | None = None
    target: Quote | NotQuoting = NotQuoting.NO_BOOK
    stats: NotQuotingStats = field(default_factory=NotQuotingStats)
    last_fill_ns: int | None = None
    retry_at_ns: int = 0
    has_changed: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether no command is in flight."""
        return self.order is None or self.order.state is OrderState.WORKING

    @property
    def working(self) -> Quote | None:
        """The settled order, or None."""
        order = self.order
        return order.resting if order is not None and order.state is OrderState.WORKING else None

    def set_reason(self, reason: NotQuoting | None, now_ns: int) -> None:
        """Note why the side is not quoted from now on; None while it is."""
        if reason is not self.stats.current:
            self.stats.set(reason, now_ns)
            self.has_changed = True


@dataclass(slots=True)
class OrderCounts:
    """What was sent and received for a symbol.

    Attributes
    ----------
    placed, amended, cancelled
        Order commands sent.
    fills, maker_fills
        Executions, and those of them that provided liquidity.
    trades
        Executions that reduced a position, and so realised a result.
    rejected, denied
        Orders and amends refused by the venue, and by the engine's own risk checks.
    exits_refused
        Those of the refused orders that were to close the position.
    old_trades, repeated_trades
        Trades left out because they were too old when they came, or had come before.
    phantom_fills
        Executions by such trades, which the simulated venue takes for new ones.
    """

    placed: int = 0
    amended: int = 0
    cancelled: int = 0
    fills: int = 0
    maker_fills: int = 0
    trades: int = 0
    rejected: int = 0
    denied: int = 0
    exits_refused: int = 0
    old_trades: int = 0
    repeated_trades: int = 0
    phantom_fills: int = 0
