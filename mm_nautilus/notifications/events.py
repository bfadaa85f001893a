"""What a run reports to its owner, as plain values: the engine's thread makes them, another one reads them."""

from decimal import Decimal
from typing import NamedTuple


class SymbolFigures(NamedTuple):
    """One symbol's totals since the first start; amounts with their currency, as text."""

    symbol: str
    fills: int
    trades: int
    fees: str
    inventory: str


class Figures(NamedTuple):
    """The account at one moment.

    Attributes
    ----------
    ts_event
        Nanoseconds since the epoch.
    currency
        The report currency, of both amounts.
    trading_pnl, equity
        Trading PnL since the first start, net of fees, and the value of all balances.
    max_drawdown_pct
        Largest fall of trading PnL from its peak so far, % of the equity at the start.
    """

    ts_event: int
    currency: str
    trading_pnl: Decimal
    equity: Decimal
    max_drawdown_pct: float
    symbols: tuple[SymbolFigures, ...]


class GuardEvent(NamedTuple):
    """A symbol's guards have changed; `state` is ``quoting``, ``paused`` or ``halted``.

    `flattens` says that a halt closes the position, `is_kept` that a resume came before a halt had closed it.
    """

    ts_event: int
    symbol: str
    state: str
    text: str
    flattens: bool
    is_kept: bool = False


class FeedEvent(NamedTuple):
    """The feed was lost, or is back."""

    ts_event: int
    is_connected: bool


class EndEvent(NamedTuple):
    """The run has ended: ``completed``, ``interrupted`` or ``failed``, and why; figures are None if there are none."""

    ts_event: int
    status: str
    text: str
    figures: Figures | None


class PeriodEvent(NamedTuple):
    """The last figures of a period that is over, or the first ones of the run, with which a period may begin."""

    figures: Figures
    is_over: bool


type Event = GuardEvent | FeedEvent | PeriodEvent | EndEvent


class Message(NamedTuple):
    """What a service is to show.

    Attributes
    ----------
    id
        Its own; the text ends with it, so that one that comes twice can be told.
    ts_event
        When it was made, nanoseconds since the epoch.
    kind
        ``halt``, ``resume``, ``disconnect``, ``reconnect``, ``guards``, ``summary``, ``end`` or ``left out``.
    level
        ``info``, ``success``, ``warning`` or ``failure``.
    """

    id: str
    ts_event: int
    kind: str
    level: str
    title: str
    body: str
