"""What strategy, actor and recorder tell each other over the message bus, and on which topics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from nautilus_trader.model import InstrumentId

from mm_nautilus.core.feed_guard import FeedData
from mm_nautilus.core.guard_state import GuardState, QuotingState
from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.core.venue_state import VenueState

__all__ = [
    "ACCOUNT_TOPIC",
    "CONTROL_TOPIC",
    "FILL_TOPIC",
    "GAP_TOPIC",
    "GUARD_TOPIC",
    "POSITION_TOPIC",
    "QUOTES_TOPIC",
    "RESULT_TOPIC",
    "STATE_TOPIC",
    "STRATEGY_TOPIC",
    "ClockState",
    "Decision",
    "FeedConnection",
    "FeedRequest",
    "FillMessage",
    "FillResult",
    "FirstPrices",
    "GuardChange",
    "Kill",
    "MarketGap",
    "MarketSample",
    "OrderOrigin",
    "QuoteState",
    "Release",
    "Resume",
    "StrategyAnnouncement",
    "SymbolView",
    "VenueChange",
    "WindDown",
]

STRATEGY_TOPIC: Final = "mm.strategy"
"""A strategy announces itself here when it starts, and says when all its symbols have had a price."""
FILL_TOPIC: Final = "mm.fill"
"""Every execution of a strategy's orders."""
POSITION_TOPIC: Final = "mm.position"
"""Every position event of a strategy."""
RESULT_TOPIC: Final = "mm.result"
"""What each execution did to its symbol's figures."""
ACCOUNT_TOPIC: Final = "mm.account"
"""Account snapshots."""
CONTROL_TOPIC: Final = "mm.control"
"""Commands to all strategies."""
STATE_TOPIC: Final = "mm.state"
"""A strategy tells here that something it keeps over a restart has changed, at moments at which all of it fits."""

GAP_TOPIC: Final = "mm.gap"
"""When a strategy that pauses over gaps of the data does so, and when it goes on."""
GUARD_TOPIC: Final = "mm.guard"
"""Every change of a guard: pauses, halts and their ends."""
QUOTES_TOPIC: Final = "mm.quotes"
"""A symbol's working orders, or the reasons why a side has none, whenever they change."""


class MarketSample(NamedTuple):
    """What a strategy knows of one symbol at one moment; prices in quote, sizes in base currency.

    Attributes
    ----------
    best_bid, best_ask
        The touch, None unless the book is sound.
    mid_price
        The mid of the last sound book, None before the first.
    reservation_price
        What the quotes were last planned around, None while none can be planned.
    inventory, inventory_cap
        Signed position since the start, and the largest size it may have, as quotes were last planned with; None
        before.
    entry_price, trailing_stop_price
        Of the open position, None where there is none or it is not armed.
    """

    best_bid: float | None
    best_ask: float | None
    mid_price: float | None
    reservation_price: float | None
    inventory: float
    inventory_cap: float | None
    entry_price: float | None
    trailing_stop_price: float | None


class QuoteState(NamedTuple):
    """One symbol's quotes from a moment on; prices in quote, sizes in base currency.

    Attributes
    ----------
    ts_event
        Nanoseconds since the epoch.
    instrument_id
        The instrument.
    bid_price, bid_size, ask_price, ask_size
        The orders the venue has confirmed, with their open size; None where it has none.
    bid_reason, ask_reason
        Why a side is not quoted, None where it is wanted.
    reservation_price
        What the quotes were last planned around, None while none can be planned.
    """

    ts_event: int
    instrument_id: InstrumentId
    bid_price: float | None
    bid_size: float | None
    ask_price: float | None
    ask_size: float | None
    bid_reason: str | None
    ask_reason: str | None
    reservation_price: float | None


class SymbolView(Protocol):
    """What a strategy shows of one symbol, read when metrics are published."""

    instrument_id: InstrumentId
    spec: InstrumentSpec

    @property
    def mark(self) -> Decimal | None:
        """The exact mid of the last sound book in quote currency, None before the first."""

    def mark_price(self) -> Any:
        """Return `mark` as the engine's price."""

    @property
    def indicators(self) -> Mapping[str, float | None]:
        """``reservation_price`` and ``trailing_stop_price`` in quote currency, None where there is none."""

    @property
    def order_counts(self) -> Mapping[str, int]:
        """Order commands, executions and refusals so far, by name."""

    def sample(self) -> MarketSample:
        """Return market, position and centre of the quotes as they are now."""

    def quote_state(self, now_ns: int) -> QuoteState:
        """Return the working orders and the reasons for missing ones."""

    @property
    def last_event_ns(self) -> int | None:
        """Time of the book's last event, nanoseconds since the epoch; None before the first."""

    def is_gap(self, now_ns: int) -> bool:
        """Return whether no book event has come for longer than a gap takes."""

    def watch(self, at_ns: int | None, look: Callable[[int], None]) -> None:
        """Have `look` called with the time of the first change of the touch after a moment, ahead of the change."""

    def guard_state(self, now_ns: int) -> GuardState:
        """Return what the symbol is doing and why."""


@dataclass(frozen=True, slots=True)
class StrategyAnnouncement:
    """A strategy's portfolio and the symbols it trades.

    Parameters
    ----------
    strategy
        The strategy's id.
    portfolio
        The engine's portfolio; an actor has none of its own.
    report_currency
        Currency of totals.
    views
        What there is to see of each instrument.
    """

    strategy: str
    portfolio: Any
    report_currency: str
    views: Mapping[InstrumentId, SymbolView]


@dataclass(frozen=True, slots=True)
class FirstPrices:
    """All symbols of a strategy have had a sound book by now: equity can be measured from here.

    Parameters
    ----------
    ts_event
        When, nanoseconds since the epoch.
    """

    ts_event: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What an order command was decided on; prices in quote, sizes in base currency.

    Parameters
    ----------
    ts_event
        When, nanoseconds since the epoch.
    price, quantity
        What was wanted of the order: its price, None at market, and its whole size.
    market
        Market, position and centre of the quotes.
    volatility_pct
        One-minute volatility, %.
    imbalance, trade_flow
        What v1.4.0's rule looks at, None where it is not in force.
    trigger_price
        The price of the exit rule that fired, None for anything but an exit.
    """

    ts_event: int
    price: Decimal | None
    quantity: Decimal
    market: MarketSample
    volatility_pct: float
    imbalance: float | None
    trade_flow: float | None
    trigger_price: float | None


@dataclass(frozen=True, slots=True)
class OrderOrigin:
    """What an order rests on.

    Parameters
    ----------
    decision
        The decision that its present price and size are from.
    placed_ns
        When it was sent, nanoseconds since the epoch.
    amends
        How many amends the venue has confirmed.
    """

    decision: Decision
    placed_ns: int
    amends: int


@dataclass(frozen=True, slots=True)
class FillMessage:
    """One execution.

    Parameters
    ----------
    event
        The engine's ``OrderFilled``.
    purpose
        ``quote``, ``entry`` or the reason of an exit.
    origin
        What the order rests on, None where that is not known any more.
    """

    event: Any
    purpose: str
    origin: OrderOrigin | None = None


@dataclass(frozen=True, slots=True)
class FillResult:
    """What one execution did, in exact amounts of the symbol's quote currency.

    Parameters
    ----------
    ts_event
        Nanoseconds since the epoch.
    symbol, side, price, quantity, liquidity
        The execution: ``BUY`` or ``SELL``, price in quote and quantity in base currency, ``MAKER`` or ``TAKER``.
    fee, currency
        What the venue charged, and the quote currency.
    purpose
        ``quote``, ``entry`` or the reason of an exit.
    correlation_id
        Client order id that links signal, order, fill and metrics.
    order_type, trade_id
        ``LIMIT`` or ``MARKET``, and the venue's id of the execution.
    realized_change
        Change of realised PnL, net of fees.
    trade_pnl
        Result of the trade where the execution reduced a position, else None.
    position
        Signed position after it, in base currency.
    symbol_stats
        The symbol's counts and PnL after it.
    """

    ts_event: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    liquidity: str
    fee: Decimal
    currency: str
    purpose: str
    correlation_id: str
    order_type: str
    trade_id: str
    realized_change: Decimal
    trade_pnl: Decimal | None
    position: Decimal
    symbol_stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MarketGap:
    """No book has changed for longer than a gap takes, or, where that is over, one is about to change.

    Parameters
    ----------
    is_over
        Which of the two.
    """

    is_over: bool


@dataclass(frozen=True, slots=True)
class WindDown:
    """Cancel everything and quote no more.

    Parameters
    ----------
    reason
        What is logged.
    flatten
        Whether positions are closed at market.
    """

    reason: str
    flatten: bool


@dataclass(frozen=True, slots=True)
class Release:
    """Begin: the engine is as it was saved. Strategies that were not told to wait for it do nothing."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Halt everything until a `Resume` comes, also over a restart.

    Parameters
    ----------
    reason
        Who or what wants it; logged and published.
    flatten
        Whether positions are closed at market; None leaves it to the configuration.
    """

    reason: str
    flatten: bool | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Clear every halt, whatever caused it, and quote again.

    Parameters
    ----------
    reason
        Who or what wants it; logged and published.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class FeedConnection:
    """A live feed was lost or is back.

    Parameters
    ----------
    is_connected
        Whether it is back.
    """

    is_connected: bool


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """End a subscription to an instrument's data, or begin it anew.

    The engine tells its data client of the end of a subscription only when the last subscriber has ended his. So the
    end comes first, to all of them, and then the beginning.

    Parameters
    ----------
    instrument_id
        The instrument.
    data
        What of it.
    is_wanted
        Whether to subscribe.
    """

    instrument_id: InstrumentId
    data: FeedData
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class VenueChange:
    """What a live venue takes has changed.

    Parameters
    ----------
    states
        What it takes of each pair from now on, by symbol.
    """

    states: Mapping[str, VenueState]


@dataclass(frozen=True, slots=True)
class ClockState:
    """The wall clock was set, or times can be reckoned with again.

    Parameters
    ----------
    is_settled
        Whether they can.
    step_seconds
        How far the clock was set last, positive for forward.
    """

    is_settled: bool
    step_seconds: float


@dataclass(frozen=True, slots=True)
class GuardChange:
    """A guard's change of one symbol's state.

    Parameters
    ----------
    ts_event
        Nanoseconds since the epoch.
    symbol
        The pair.
    state
        What it is doing from now on, as far as guards are concerned.
    text
        Why, with its figures.
    """

    ts_event: int
    symbol: str
    state: QuotingState
    text: str
