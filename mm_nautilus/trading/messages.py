"""What the strategy publishes, and the commands it takes: three topics on the message bus."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from nautilus_trader.model import InstrumentId

from mm_nautilus.calibration.volatility import VolatilityEstimate
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.risk.feed import FeedData
from mm_nautilus.risk.state import GuardState, QuotingState
from mm_nautilus.risk.venue_state import VenueState

__all__ = [
    "ACCOUNT_TOPIC",
    "COMMANDS_TOPIC",
    "EVENTS_TOPIC",
    "BookingOrder",
    "ClockState",
    "Decision",
    "FeedConnection",
    "FeedRequest",
    "Fill",
    "FirstPrices",
    "GuardChange",
    "HaltQuoting",
    "MarketGap",
    "MarketSample",
    "OrderOrigin",
    "QuoteState",
    "ResumeQuoting",
    "StartQuoting",
    "StateChanged",
    "StopQuoting",
    "StrategyStarted",
    "SymbolView",
    "VenueChange",
]

EVENTS_TOPIC: Final = "mm.events"
"""A strategy's facts: `StrategyStarted`, `FirstPrices`, `Fill`, `GuardChange`, `MarketGap` and `StateChanged`."""
ACCOUNT_TOPIC: Final = "mm.account"
"""The metrics actor's account snapshots, each with its time in nanoseconds since the epoch."""
COMMANDS_TOPIC: Final = "mm.commands"
"""Commands to all strategies, and what a live run notices of its feed and clock."""


class BookingOrder(IntEnum):
    """Who takes a `Fill` in before whom: the message bus calls the highest priority first."""

    SAVE = 0
    PUBLISH = 1
    RECORD = 2
    BOOK = 3


class MarketSample(NamedTuple):
    """What a strategy knows of one symbol at one moment; prices in quote, sizes in base currency.

    Attributes
    ----------
    best_bid, best_ask
        The touch, None unless the book is sound.
    mid_price
        The mid of the last sound book, None before the first.
    reservation_price
        What the quotes stand around, None while none can be planned.
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
        What the quotes stand around, None while none can be planned.
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
    """What a strategy shows of one symbol, read when somebody asks.

    Attributes
    ----------
    volatility
        One-minute volatility of its mid.
    on_quotes_changed
        Called with a `QuoteState` whenever a working order, or the reason for none, changes.
    """

    instrument_id: InstrumentId
    spec: InstrumentSpec
    volatility: VolatilityEstimate
    on_quotes_changed: list[Callable[[QuoteState], None]]

    @property
    def last_mid(self) -> Decimal | None:
        """The exact mid of the last sound book in quote currency, None before the first."""

    def last_mid_price(self) -> Any:
        """Return `last_mid` as the engine's price."""

    @property
    def indicators(self) -> Mapping[str, float | int | None]:
        """v1.4.0's indicators, computed when they are read; None where there is none."""

    def current_reservation_price(self) -> float | None:
        """Return the reservation price at the present book and position, the mid where there is none."""

    @property
    def trailing_stop_price(self) -> float | None:
        """The trailing stop in quote currency, None while it is off or not armed."""

    @property
    def order_counts(self) -> Mapping[str, int]:
        """Order commands, executions and refusals so far, by name."""

    def sample(self) -> MarketSample:
        """Return market, position and reservation price as they are now."""

    def quote_state(self, now_ns: int) -> QuoteState:
        """Return the working orders and the reasons for missing ones."""

    @property
    def last_event_ns(self) -> int | None:
        """Time of the book's last event, nanoseconds since the epoch; None before the first."""

    def is_gap(self, now_ns: int) -> bool:
        """Return whether no book event has come for longer than a gap takes."""

    def call_before_next_touch(self, after_ns: int | None, callback: Callable[[int], None]) -> None:
        """Have `callback` called with the time of the first change of the touch after a moment, ahead of it."""

    def guard_state(self, now_ns: int) -> GuardState:
        """Return what the symbol is doing and why."""


@dataclass(frozen=True, slots=True)
class StrategyStarted:
    """A strategy begins to quote: its portfolio and the symbols it trades.

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
    catch_up
        Books the executions that reached no callback and yields them; for the end of a run.
    """

    strategy: str
    portfolio: Any
    report_currency: str
    views: Mapping[InstrumentId, SymbolView]
    catch_up: "Callable[[], Iterator[Fill]]"


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
        Market, position and reservation price.
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
class Fill:
    """One execution and what it did, in exact amounts; published once its position event has been booked.

    Parameters
    ----------
    ts_event
        Nanoseconds since the epoch.
    instrument_id
        The instrument.
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
        Result of the trade where the execution reduced a position, else None.
    open_fees
        Fees of the open position that no trade's result has been charged with yet.
    position
        Signed position after it, in base currency.
    cycle_pnl
        Realised PnL of the position that the execution closed, None where it closed none.
    origin
        What the order rested on, None where that is not known any more.
    market
        Market and position when the execution came, before it was booked; None where nobody looked.
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
    origin: OrderOrigin | None = None
    market: MarketSample | None = None


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
class StateChanged:
    """Something that a strategy keeps over a restart has changed, and all of it is of one moment.

    Parameters
    ----------
    strategy
        The strategy's id.
    """

    strategy: str


@dataclass(frozen=True, slots=True)
class StartQuoting:
    """Begin: the engine is as it was saved. Strategies that do not wait for it do nothing."""


@dataclass(frozen=True, slots=True)
class HaltQuoting:
    """Halt everything until a `ResumeQuoting` comes, also over a restart.

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
class ResumeQuoting:
    """Clear every halt, whatever caused it, and quote again.

    Parameters
    ----------
    reason
        Who or what wants it; logged and published.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class StopQuoting:
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

    The engine informs its data client of the end of a subscription only when the last subscriber has ended his. So the
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
