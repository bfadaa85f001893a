"""Events that the strategy publishes and commands that it takes, on three topics of the message bus."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nautilus_trader.model import InstrumentId

from mm_nautilus.risk.feed import FeedData
from mm_nautilus.risk.state import QuotingState
from mm_nautilus.risk.venue_state import VenueState

if TYPE_CHECKING:
    from mm_nautilus.trading.symbol_views import SymbolViews

EVENTS_TOPIC: Final = "mm.events"
"""Topic of strategy events: `StrategyStarted`, `FirstPrices`, `Fill`, `FundingPayment`, `GuardChange`, `MarketGap` and
`StateChanged`."""
ACCOUNT_TOPIC: Final = "mm.account"
"""Topic of the metrics actor's account snapshots, each with its time in nanoseconds since the epoch."""
COMMANDS_TOPIC: Final = "mm.commands"
"""Topic of commands to all strategies, and of changes of a live feed, clock and venue."""


class BookingOrder(IntEnum):
    """Order in which subscribers receive a `Fill`: the message bus calls the highest priority first."""

    SAVE = 0
    PUBLISH = 1
    RECORD = 2
    BOOK = 3


class MarketSample(NamedTuple):
    """Market and position of one symbol at one moment; prices in quote, sizes in base currency.

    Attributes
    ----------
    best_bid, best_ask
        The touch, None if the book is not valid.
    mid_price
        Mid price of the last valid book, None before the first.
    reservation_price
        Centre of the quotes, None while none can be computed.
    inventory, inventory_cap
        Signed position since the start, and its cap as of the last quotes (None before them).
    entry_price, trailing_stop_price
        Of the open position; None without a position, or while the stop is not armed.
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
    bid_price, bid_size, ask_price, ask_size
        The orders confirmed by the venue, with their open size; None without one.
    bid_reason, ask_reason
        Why a side is not quoted, None if it is.
    reservation_price
        Centre of the quotes, None while none can be computed.
    level
        Which of the sides' quotes these are, 1 for the nearest.
    best_bid, best_ask
        The touch as the strategy knew it then, None if the book is not valid.
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
    level: int = 1
    best_bid: float | None = None
    best_ask: float | None = None


@dataclass(frozen=True, slots=True)
class StrategyStarted:
    """A strategy starts quoting the symbols whose `views` it carries by instrument.

    Parameters
    ----------
    portfolio
        The engine's portfolio; an actor has none of its own.
    report_currency
        Currency of totals.
    catch_up
        Books executions that reached no callback and yields them; call it at the end of a run.
    """

    strategy: str
    portfolio: Any
    report_currency: str
    views: "Mapping[InstrumentId, SymbolViews]"
    catch_up: "Callable[[], Iterator[Fill]]"


@dataclass(frozen=True, slots=True)
class FirstPrices:
    """Every symbol of a strategy has had a valid book; equity is measured from `ts_event` on, ns since the epoch."""

    ts_event: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The inputs of an order command; prices in quote, sizes in base currency.

    Parameters
    ----------
    ts_event
        When, nanoseconds since the epoch.
    price, quantity
        The order's target price, None for a market order, and its total size.
    volatility_pct
        One-minute volatility, %.
    imbalance, trade_flow
        Inputs of v1.4.0's signal rule, None with ``quoting: two_sided``.
    trigger_price
        Price of the exit rule that fired; None for a quote or entry.
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
    """Where an order comes from.

    Parameters
    ----------
    decision
        The decision behind its current price and size.
    placed_ns
        When it was sent, nanoseconds since the epoch.
    amends
        Number of amends that the venue has confirmed.
    """

    decision: Decision
    placed_ns: int
    amends: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution and what it did, in exact amounts; published once its position event has been booked.

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
    order_id, order_type, trade_id
        Client order id, ``LIMIT`` or ``MARKET``, and the venue's id of the execution.
    realized_change
        Change of realised PnL, net of fees, in quote currency.
    trade_pnl
        Result of the trade if the execution reduced a position, else None.
    open_fees
        Fees of the open position that are not yet part of a trade's result.
    position
        Signed position after the execution, in base currency.
    cycle_pnl
        Realised PnL of the position that the execution closed, None if it closed none.
    entry_price, opened_ns
        Average price and opening of the position before the execution; None while flat.
    origin
        Where the order came from, None if that is no longer known.
    market
        Market and position when the execution arrived, before it was booked; None if it was booked late.
    """

    ts_event: int
    instrument_id: InstrumentId
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    liquidity: str
    fee: Decimal
    currency: str
    purpose: str
    order_id: str
    order_type: str
    trade_id: str
    realized_change: Decimal
    trade_pnl: Decimal | None
    open_fees: Decimal
    position: Decimal
    cycle_pnl: Decimal | None = None
    entry_price: float | None = None
    opened_ns: int | None = None
    origin: OrderOrigin | None = None
    market: MarketSample | None = None


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """A venue's funding payment of a perpetual's open position.

    Parameters
    ----------
    ts_event
        When, nanoseconds since the epoch.
    amount, currency
        What was received, negative if paid, and the settlement currency.
    """

    ts_event: int
    instrument_id: InstrumentId
    symbol: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class MarketGap:
    """A gap in a backtest's data has begun, or is over just before the next book change."""

    is_over: bool


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state that the strategy of this id saves for a restart has changed and is consistent."""

    strategy: str


@dataclass(frozen=True, slots=True)
class StartQuoting:
    """Start quoting: the engine's saved state is restored. Strategies that do not wait for this ignore it."""


@dataclass(frozen=True, slots=True)
class HaltQuoting:
    """Halt all symbols until a `ResumeQuoting`, also across restarts.

    The reason says who or what asks for it, and is logged and published. `flatten` is whether positions are closed at
    market; None leaves it to the configuration.
    """

    reason: str
    flatten: bool | None = None


@dataclass(frozen=True, slots=True)
class ResumeQuoting:
    """Clear every halt and quote again; the reason says who or what asks for it, and is logged and published."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopQuoting:
    """Cancel all orders and stop quoting for good, for a logged reason; `flatten` also closes positions at market."""

    reason: str
    flatten: bool


@dataclass(frozen=True, slots=True)
class FeedConnection:
    """A live feed was lost, or is back."""

    is_connected: bool


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """Unsubscribe from an instrument's data, or subscribe again.

    The engine unsubscribes at the venue only when its last subscriber has unsubscribed. To resubscribe, publish the
    request with ``is_wanted=False`` to all strategies first, and then the one with ``is_wanted=True``.
    """

    instrument_id: InstrumentId
    data: FeedData
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class VenueChange:
    """A live venue's status has changed to these `states` of the pairs, by symbol."""

    states: Mapping[str, VenueState]


@dataclass(frozen=True, slots=True)
class ClockState:
    """The wall clock was set by `step_seconds`, positive for forward, or has settled again."""

    is_settled: bool
    step_seconds: float


NOT_CLOSED: Final = "; its position was not closed"
"""End of a `GuardChange`'s text where a resume came before a halt had closed the position."""


@dataclass(frozen=True, slots=True)
class GuardChange:
    """A guard has changed one symbol's state at `ts_event`, nanoseconds since the epoch; the text is the reason.

    `flattens` says that it is a halt that closes the position at market.
    """

    ts_event: int
    symbol: str
    state: QuotingState
    text: str
    flattens: bool = False
