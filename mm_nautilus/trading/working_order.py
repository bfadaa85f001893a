"""An order, the decision behind it, and the side it belongs to: at most one order a side, in flight or open."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.not_quoting_stats import NotQuotingStats
from mm_nautilus.risk.points_budget import PointsWait
from mm_nautilus.trading.messages import Decision, MarketSample, OrderOrigin

QUOTE = "quote"
"""Purpose of a passive quote."""
ENTRY = "entry"
"""Purpose of a marketable order that the signal rule sends."""


class Grounds(NamedTuple):
    """The inputs of an order command in ticks and lots; converted to a `Decision` only if the order is filled.

    Attributes
    ----------
    now_ns
        Nanoseconds since the epoch.
    price_ticks, size_lots
        The target price, None for a market order, and the order's total size.
    bid_ticks, ask_ticks
        The touch, None if the book is not valid.
    inventory_lots, cap_lots
        Signed position and its largest size.
    volatility_pct
        One-minute volatility, %.
    imbalance, trade_flow
        Inputs of v1.4.0's signal rule, None with ``quoting: two_sided``.
    mid_price, reservation_price, entry_price, trailing_stop_price, trigger_price
        In quote currency, None if there is none; the trigger is the price of an exit rule.
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
        """Return market and position in prices and sizes, at the instrument's precision."""
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
    """An open or in-flight order: a side's quote or entry, or an exit.

    Attributes
    ----------
    symbol, side
        The `SymbolState` it belongs to, and its `QuoteSide`; None for an exit.
    order_id
        The engine's id of the order.
    purpose
        `QUOTE`, `ENTRY` or the reason of an exit.
    resting
        Price and open size as last confirmed; for a new order, as sent.
    sent
        Price and size as sent; for a market order, the highest price assumed for it.
    pending
        Price and size of an insert or amend in flight, or None.
    grounds
        The decision behind its price and size at the venue.
    amends, amends_confirmed
        Number of amends sent, and confirmed.
    cancel_again_ns
        No cancel before this time, after one that was refused.
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
    cancel_again_ns: int = 0
    _placed_ns: int = 0
    _sent_grounds: Grounds | None = None
    _origin: OrderOrigin | None = None

    def __post_init__(self) -> None:
        self._placed_ns = self.grounds.now_ns
        self.pending = self.resting

    @property
    def is_marketable(self) -> bool:
        """Whether it is a market order, which is never amended or cancelled."""
        return self.purpose != QUOTE

    @property
    def is_resting(self) -> bool:
        """Whether the venue has confirmed it."""
        return self.state is not OrderState.PENDING_NEW

    @property
    def worst_case_lots(self) -> int:
        """The largest size that may still be filled, whatever the outcome of commands in flight, in lots."""
        return max(self.resting.size_lots, self.pending.size_lots if self.pending else 0)

    def origin(self, spec: InstrumentSpec) -> OrderOrigin:
        """Return the decision behind the order; the same object until an amend changes it."""
        if self._origin is None:
            self._origin = OrderOrigin(self.grounds.decision(spec), self._placed_ns, self.amends_confirmed)
        return self._origin

    def amending(self, quote: Quote, grounds: Grounds) -> None:
        """Record that an amend was sent; `quote` has the target open size."""
        self.state, self.pending, self._sent_grounds = OrderState.PENDING_AMEND, quote, grounds
        self.amends += 1

    def cancelling(self) -> None:
        """Record that a cancel was sent."""
        self.state = OrderState.PENDING_CANCEL

    def accepted(self) -> None:
        """Record that the venue accepted the order."""
        if self.state is OrderState.PENDING_NEW:
            self.state, self.pending = OrderState.WORKING, None

    def amended(self, price_ticks: int, total_lots: int) -> None:
        """Record that the venue confirmed an amend; `total_lots` includes the filled size."""
        self.resting = Quote(price_ticks, max(0, total_lots - self.filled_lots))
        self.pending = None
        if self._sent_grounds is not None:
            self.grounds, self._sent_grounds, self._origin = self._sent_grounds, None, None
            self.amends_confirmed += 1
        if self.state is OrderState.PENDING_AMEND:
            self.state = OrderState.WORKING

    def amend_refused(self) -> None:
        """Record that the venue refused an amend; the order is unchanged."""
        self.pending = self._sent_grounds = None
        if self.state is OrderState.PENDING_AMEND:
            self.state = OrderState.WORKING

    def cancel_refused(self, again_ns: int = 0) -> None:
        """Record that the venue refused to cancel an order that is still open, and when to try again."""
        self.cancel_again_ns = again_ns
        if self.state is OrderState.PENDING_CANCEL:
            self.state = OrderState.WORKING if self.pending is None else OrderState.PENDING_AMEND

    def filled(self, lots: int) -> None:
        """Record a fill; the caller closes a fully filled order."""
        self.filled_lots += lots
        self.resting = self.resting._replace(size_lots=max(0, self.resting.size_lots - lots))
        if self.pending is not None:
            # The venue deducts fills since then from the size in flight.
            self.pending = self.pending._replace(size_lots=max(0, self.pending.size_lots - lots))


@dataclass(slots=True)
class QuoteSide:
    """One side of a symbol's level: its order, its last fill and why it is not quoted.

    Attributes
    ----------
    level
        Which of the side's quotes it is, 0 for the nearest.
    target
        Its target: a `Quote`, or the reason for none.
    stats
        Counts and durations of the reasons for not quoting.
    wait
        How often and how long its order was off its target for want of points.
    last_fill_ns
        Time of its last execution.
    retry_at_ns
        Earliest time of a new order after a refusal, nanoseconds since the epoch.
    has_changed
        Whether the order or the reason has changed since it was last published.
    hangs_since_ns
        When the level's opposite order was filled, if its own order stays because of it; nanoseconds since the epoch.
    waits_for_orders
        Whether other live orders keep it from its target: they leave less room for the position, or are in its way.
    """

    is_bid: bool
    level: int = 0
    order: WorkingOrder | None = None
    target: Quote | NotQuoting = NotQuoting.NO_BOOK
    stats: NotQuotingStats = field(default_factory=NotQuotingStats)
    wait: PointsWait = field(default_factory=PointsWait)
    last_fill_ns: int | None = None
    retry_at_ns: int = 0
    has_changed: bool = False
    hangs_since_ns: int | None = None
    waits_for_orders: bool = False

    @property
    def name(self) -> str:
        """``bid`` or ``ask``; those of further levels with their number, as in ``bid 2``."""
        name = "bid" if self.is_bid else "ask"
        return f"{name} {self.level + 1}" if self.level else name

    @property
    def worst_case_lots(self) -> int:
        """The largest size of its order that may still be filled, in lots."""
        return 0 if self.order is None else self.order.worst_case_lots

    @property
    def is_settled(self) -> bool:
        """Whether no command is in flight."""
        return self.order is None or self.order.state is OrderState.WORKING

    @property
    def working(self) -> Quote | None:
        """Price and open size of the settled order, or None."""
        order = self.order
        return order.resting if order is not None and order.state is OrderState.WORKING else None

    def set_reason(self, reason: NotQuoting | None, now_ns: int) -> None:
        """Set why the side is not quoted from `now_ns` on; None if it is."""
        if reason is not self.stats.current:
            self.stats.set(reason, now_ns)
            self.has_changed = True


@dataclass(slots=True)
class OrderCounts:
    """Counts of a symbol's order commands, executions and refusals.

    Attributes
    ----------
    placed, amended, cancelled
        Order commands sent.
    fills, maker_fills
        Executions, and those of them as maker.
    trades
        Executions that reduced a position.
    rejected, denied
        Orders and amends refused by the venue, and by the engine's own risk checks.
    rate_limited
        Commands refused because of the venue's rate limit, cancels among them.
    points
        Points of the venue's rate limit that commands have cost.
    exits_refused
        Refused exit orders.
    old_trades, repeated_trades
        Trades left out because they were too old on arrival, or repeated.
    phantom_fills
        Fills that the simulated venue made from such trades.
    """

    placed: int = 0
    amended: int = 0
    cancelled: int = 0
    fills: int = 0
    maker_fills: int = 0
    trades: int = 0
    rejected: int = 0
    denied: int = 0
    rate_limited: int = 0
    points: int = 0
    exits_refused: int = 0
    old_trades: int = 0
    repeated_trades: int = 0
    phantom_fills: int = 0
