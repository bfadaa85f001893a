"""What a run has published, as far as it is shown: written by the engine's thread, read by others."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

from mm_nautilus.live_view.curve import Curves
from mm_nautilus.metrics.daily import DailyView
from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.risk.state import QuotingState

_MOST_FILLS: Final = 50
_MOST_GUARD_NOTES: Final = 20
MOST_PRICES: Final = 600
"""Points of a symbol's prices that are kept: ten minutes."""
_PRICE_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is, from its start to its end."""

    name: str
    folder: str
    report_currency: str
    is_simulated: bool
    feed: str
    """``live`` or ``local``."""
    venue: str
    fees: str
    """Which fees are assumed, in words."""
    started_ns: int
    """When it began, nanoseconds since the epoch."""


class SymbolInfo(NamedTuple):
    """A pair: its name, its currencies, and the digits after the decimal point of its prices."""

    symbol: str
    base: str
    quote: str
    price_decimals: int


type Metrics = Mapping[str, Any]
"""One symbol's published metrics as plain values: a row of ``metrics.parquet``."""


class Quotes(NamedTuple):
    """Working orders of one level, None where a side has none, and why it is not wanted; prices in quote currency."""

    bid_price: float | None = None
    bid_size: float | None = None
    ask_price: float | None = None
    ask_size: float | None = None
    bid_reason: str | None = None
    ask_reason: str | None = None


_NO_QUOTES: Final = Quotes()


class Market(NamedTuple):
    """A pair's market at the moment of its quotes; prices in quote, amounts in base currency.

    Attributes
    ----------
    ts_event
        Nanoseconds since the epoch.
    best_bid, best_ask
        The touch, None if the book is not sound.
    mid_price
        Mid of the last sound book, None before the first.
    reservation_price
        Centre of the quotes, None while there are none.
    inventory_cap
        Largest position as of the last quotes, None before them.
    feed_age_seconds
        Time since the feed's last event, None before the first.
    """

    ts_event: int
    best_bid: float | None = None
    best_ask: float | None = None
    mid_price: float | None = None
    reservation_price: float | None = None
    inventory_cap: float | None = None
    feed_age_seconds: float | None = None


type PricePoint = tuple[int, float | None, float | None, float | None, float | None]
"""Milliseconds since the epoch, the market's best bid and ask, and our nearest bid and ask."""


class Fill(NamedTuple):
    """One execution; amounts in the symbol's quote currency, quantity and position in its base currency."""

    ts_event: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    liquidity: str
    purpose: str
    fee: Decimal
    realized_change: Decimal
    trade_pnl: Decimal | None
    position: Decimal
    correlation_id: str


class GuardNote(NamedTuple):
    """A guard's change of a symbol's state."""

    ts_event: int
    symbol: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class SymbolSnapshot:
    """What is known of one symbol at one moment."""

    info: SymbolInfo
    row: Metrics | None = None
    """Its last metrics, None before the first."""
    market: Market | None = None
    """Its market at the last moment of its quotes that is known, None before the first."""
    quotes: Mapping[int, Quotes] = field(default_factory=dict)
    """Those of each level at that moment, 1 for the nearest."""
    state: str = ""
    reason: str = ""
    """What it is doing, by the later of its last metrics and its last change of a guard."""
    feed_age_seconds: float | None = None
    """Greatest possible age of the feed's last event; None before the first."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is shown, at one moment."""

    run: RunInfo
    status: str
    status_text: str
    """``starting``, ``running`` or how it ended, and why."""
    is_connected: bool | None
    """Whether the feed is connected; None before the run has begun."""
    uptime_seconds: float
    symbols: tuple[SymbolSnapshot, ...]
    account: AccountSnapshot | None
    """The account's last figures, None before the first."""
    account_ts_ns: int | None
    """When they were published, nanoseconds since the epoch."""
    daily: DailyView
    """Its results by UTC day."""
    fills: tuple[Fill, ...]
    """The last executions, the newest first."""
    fills_seen: int
    """How many executions there have been in this run."""
    guards: tuple[GuardNote, ...]
    """The guards' last changes, the newest first."""


class LiveState:
    """The last of what a run has published, of bounded size; any thread may write and read it.

    Ages are measured on a clock, in seconds, that is never set, so that they grow while nothing comes. The account's
    `curves` are written by others.
    """

    def __init__(
        self,
        run: RunInfo,
        symbols: Sequence[SymbolInfo],
        clock: Callable[[], float] = time.monotonic,
        curves: Curves | None = None,
    ) -> None:
        self.run = run
        self.curves = curves or Curves()
        self._clock = clock
        self._lock = threading.Lock()
        self._symbols = {info.symbol: SymbolSnapshot(info) for info in symbols}
        self._moments: dict[str, tuple[Market | None, Mapping[int, Quotes]]] = dict.fromkeys(
            self._symbols, (None, {})
        )
        self._ages: dict[str, tuple[float | None, float]] = dict.fromkeys(self._symbols, (None, 0.0))
        self._prices: dict[str, deque[PricePoint]] = {
            symbol: deque(maxlen=MOST_PRICES) for symbol in self._symbols
        }
        self._began_at = clock()
        self._status, self._status_text = "starting", ""
        self._is_connected: bool | None = None
        self._account: AccountSnapshot | None = None
        self._account_ts_ns: int | None = None
        self._daily = DailyView()
        self._fills: deque[Fill] = deque(maxlen=_MOST_FILLS)
        self._fills_seen = 0
        self._changes = 0
        self._guards: deque[GuardNote] = deque(maxlen=_MOST_GUARD_NOTES)

    # -- Writing ----------------------------------------------------------------------------------------

    def set_status(self, status: str, text: str = "") -> None:
        """Set the run's status and the reason for it."""
        with self._lock:
            self._status, self._status_text = status, text
            self._changes += 1

    def on_connection(self, *, is_connected: bool) -> None:
        """Record that the feed was lost, or is connected."""
        with self._lock:
            self._is_connected = is_connected
            self._changes += 1

    def on_metrics(self, row: Metrics) -> None:
        """Record one symbol's metrics."""
        name, age, now = row["symbol"], row["feed_age_seconds"], self._clock()
        with self._lock:
            symbol = self._symbols[name]
            self._changes += symbol.row is None or symbol.row["fills"] != row["fills"]
            self._symbols[name] = replace(symbol, row=row, state=row["state"], reason=row["reason"])
            self._ages[name] = (None if math.isnan(age) else age, now)

    def on_moment(self, symbol: str, market: Market, quotes: Mapping[int, Quotes]) -> None:
        """Record one symbol's market and quotes of the same moment; the mapping must not change any more."""
        now = self._clock()
        with self._lock:
            self._moments[symbol] = (market, quotes)
            self._ages[symbol] = (market.feed_age_seconds, now)

    def keep_price(self, symbol: str) -> None:
        """Keep one symbol's last moment among its prices, unless that of less than a second before is there."""
        market, quotes = self._moments[symbol]
        prices = self._prices[symbol]
        if market is None:
            return
        at_ms = market.ts_event // 1_000_000
        if not prices or abs(at_ms - prices[-1][0]) >= _PRICE_MS:
            nearest = quotes.get(1, _NO_QUOTES)
            point = (at_ms, market.best_bid, market.best_ask, nearest.bid_price, nearest.ask_price)
            with self._lock:
                prices.append(point)

    def on_fill(self, fill: Fill) -> None:
        """Record an execution."""
        with self._lock:
            self._fills.appendleft(fill)
            self._fills_seen += 1
            self._changes += 1

    def on_state(self, symbol: str, state: str, reason: str) -> None:
        """Record what a symbol is doing, and why."""
        known = self._symbols[symbol]
        if (known.state, known.reason) != (state, reason):
            with self._lock:
                self._changes += known.state != state
                self._symbols[symbol] = replace(known, state=state, reason=reason)

    def on_account(self, ts_ns: int, account: AccountSnapshot, daily: DailyView) -> None:
        """Record the account's figures of a moment, nanoseconds since the epoch, and its results by day."""
        with self._lock:
            self._account_ts_ns, self._account, self._daily = ts_ns, account, daily

    def on_guard(self, note: GuardNote) -> None:
        """Record a guard's change; it holds until the symbol's next metrics."""
        with self._lock:
            self._guards.appendleft(note)
            self._changes += 1
            reason = "" if note.state == QuotingState.QUOTING else note.text
            self._symbols[note.symbol] = replace(self._symbols[note.symbol], state=note.state, reason=reason)

    # -- Reading ----------------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """How often something has happened that is to be shown at once: fills, their figures, guards, the end."""
        return self._changes

    def snapshot(self) -> Snapshot:
        """Return everything as it is now."""
        now = self._clock()
        with self._lock:
            return Snapshot(
                run=self.run,
                status=self._status,
                status_text=self._status_text,
                is_connected=self._is_connected,
                uptime_seconds=now - self._began_at,
                symbols=tuple(
                    replace(
                        symbol,
                        market=self._moments[name][0],
                        quotes=self._moments[name][1],
                        feed_age_seconds=_age_at(now, *self._ages[name]),
                    )
                    for name, symbol in self._symbols.items()
                ),
                account=self._account,
                account_ts_ns=self._account_ts_ns,
                daily=self._daily,
                fills=tuple(self._fills),
                fills_seen=self._fills_seen,
                guards=tuple(self._guards),
            )

    def prices(self) -> dict[str, list[PricePoint]]:
        """Return each symbol's market and nearest quotes over the last minutes, about one point a second."""
        with self._lock:
            return {symbol: list(points) for symbol, points in self._prices.items()}

    @property
    def last_account(self) -> AccountSnapshot | None:
        """The account's last figures: another object whenever there are new ones."""
        return self._account


def _age_at(now: float, age: float | None, seen_at: float) -> float | None:
    """Return a feed's greatest possible age at a moment, of its age at an earlier one; seconds."""
    return None if age is None else age + max(0.0, now - seen_at)
