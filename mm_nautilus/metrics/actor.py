"""The actor that publishes per-symbol metrics from the engine's portfolio."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Self

from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId, Currency, InstrumentId, LiquiditySide
from pydantic import BaseModel, ConfigDict, Field

from mm_nautilus.errors import MarketMakingError
from mm_nautilus.metrics.account import AccountValuer, SymbolPnl
from mm_nautilus.metrics.daily import DailyResults
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics, metrics_data
from mm_nautilus.metrics.ledger import AccountSnapshot, SymbolLedger
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.fills import AccountingError
from mm_nautilus.trading.messages import (
    ACCOUNT_TOPIC,
    EVENTS_TOPIC,
    BookingOrder,
    Fill,
    FirstPrices,
    FundingPayment,
    MarketGap,
    StrategyStarted,
)
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.symbol_views import SymbolViews

_TIMER: Final = "metrics"
_STATE_KEY: Final = "metrics"
_ZERO = Decimal(0)


class MetricsActorConfig(BaseModel):
    """Configuration of the `MetricsActor`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    interval_seconds: float = Field(
        10.0,
        ge=0.1,
        le=86_400,
        description="Time between two publications of every symbol's metrics, seconds.",
    )
    actor_id: str = Field("METRICS-001", min_length=1, description="The engine's id of the actor.")


@dataclass(slots=True)
class _SymbolBook:
    """The actor's counts of one symbol."""

    view: SymbolViews
    currency_decimals: int
    fills: int = 0
    maker_fills: int = 0
    fees: Decimal = _ZERO
    closed_cycles: list[Decimal] = field(default_factory=list)
    is_flat: bool = True
    earlier_realized: Decimal = _ZERO


class MetricsActor(GuardedActor):
    """Publish `SymbolMetrics` on a timer and after every fill, and account snapshots on the timer.

    Amounts come from the engine's portfolio, which `StrategyStarted` carries; counts come from `Fill` events. Start the
    actor before the strategies.

    Counts and results survive a restart through `on_save` and `on_load`; PnL that the engine's portfolio realised
    before the actor started is left out.

    Attributes
    ----------
    ledger
        Trades, wins, losses and realised PnL of each symbol; None before the first `StrategyStarted`.
    daily
        Results by UTC day, as of the last fill and the last account snapshot.
    """

    def __new__(cls, config: MetricsActorConfig | None = None) -> Self:
        """Pass the engine's options to its base class."""
        actor_id = (config or MetricsActorConfig()).actor_id
        return super().__new__(cls, DataActorConfig(actor_id=ActorId(actor_id)))

    def __init__(self, config: MetricsActorConfig | None = None) -> None:
        super().__init__()
        self.settings = config or MetricsActorConfig()
        self.ledger: SymbolLedger | None = None
        self.daily = DailyResults()
        self._portfolio: Any = None
        self._valuer: AccountValuer  # with the ledger
        self._books: dict[InstrumentId, _SymbolBook] = {}
        self._report_currency = ""
        self._restored: dict[str, Any] = {}
        self._catch_up: list[Callable[[], Iterator[Fill]]] = []
        self._unbooked: deque[Fill] = deque()
        self._pauses_in_gaps = False

    # -- Events -----------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Subscribe to strategy events and start the timer."""
        self.subscribe_topic(EVENTS_TOPIC, self._on_event, BookingOrder.BOOK)
        self.subscribe_topic(EVENTS_TOPIC, self._on_booked, BookingOrder.PUBLISH)
        interval_ns = round(self.settings.interval_seconds * SECOND_NS)
        self._timer = PausingTimer(self.clock, _TIMER, interval_ns, may_pause=self._pauses_in_gaps)

    def pause_in_gaps(self) -> None:
        """Pause the timer during the strategy's `MarketGap`; for backtests."""
        self._pauses_in_gaps = True

    def _on_event(self, message: object) -> None:
        """Add a strategy or book a fill, before other subscribers receive the event."""
        if isinstance(message, Fill):
            self._unbooked.append(message)
            self._book_all()
            self._check_realized(self._books[message.instrument_id])
        elif isinstance(message, FundingPayment):
            book = self._books[message.instrument_id]
            self._require_ledger().add_funding(message.symbol, message.amount)
            self._check_realized(book)
            self._publish_metrics(book, self._pnl(book), message.ts_event)
        elif isinstance(message, FirstPrices):
            self._publish_account(message.ts_event, self._pnls())
        elif isinstance(message, MarketGap):
            if message.is_over:
                self._timer.resume()
                self._publish_all()
            else:
                self._timer.pause()
        elif isinstance(message, StrategyStarted):
            self._take_on(message)

    def _on_booked(self, message: object) -> None:
        """Publish a symbol's metrics after its fill has been booked and recorded."""
        if isinstance(message, Fill):
            book = self._books[message.instrument_id]
            self._publish_metrics(book, self._pnl(book), message.ts_event)

    def _take_on(self, message: StrategyStarted) -> None:
        """Add a strategy's portfolio and symbols; raise if another strategy quotes one of them."""
        self._portfolio = message.portfolio
        self._catch_up.append(message.catch_up)
        self._report_currency = message.report_currency
        for instrument_id, view in message.views.items():
            if instrument_id in self._books:
                raise MarketMakingError(
                    f"{instrument_id} is quoted by two strategies; only one may quote a symbol"
                )
            decimals = Currency.from_str(view.spec.quote).precision
            self._books[instrument_id] = _SymbolBook(view, decimals)
        views = {book.view.spec.symbol: book.view for book in self._books.values()}
        self.ledger = SymbolLedger(
            views,
            report_currency=message.report_currency,
            currencies={symbol: view.spec.quote for symbol, view in views.items()},
        )
        venue = next(iter(views.values())).spec.venue
        self._valuer = AccountValuer(message.portfolio, venue, views, message.report_currency)
        self._resume()

    def _resume(self) -> None:
        """Restore saved counts and results, and the engine's open positions."""
        ledger = self._require_ledger()
        if self._restored:
            ledger.restore(self._restored["ledger"])
            self._valuer.restore(self._restored["account"])
        for instrument_id, book in self._books.items():
            symbol = book.view.spec.symbol
            saved = self._restored.get("symbols", {}).get(symbol)
            if saved is not None:
                book.fills, book.maker_fills = saved["fills"], saved["maker_fills"]
                book.fees = Decimal(saved["fees"])
            book.is_flat = not self.cache.positions_open(instrument_id=instrument_id)
            book.earlier_realized = (
                self._portfolio_realized(book) - ledger.realized_pnl(symbol) - ledger.funding(symbol)
            )
        self._resume_days(ledger)

    def _resume_days(self, ledger: SymbolLedger) -> None:
        if "daily" in self._restored:
            self.daily.restore(self._restored["daily"])
        elif self._restored:  # a file of before days were kept
            fills = sum(book.fills for book in self._books.values())
            self.daily.begin_after(fills, sum(ledger.trades_by_symbol.values()))

    def on_save(self) -> dict[str, bytes]:
        """Return counts and results as one JSON document; the loaded one if no strategy has started."""
        if self.ledger is None:
            return {_STATE_KEY: json.dumps(self._restored).encode()}
        symbols = {
            book.view.spec.symbol: {
                "fills": book.fills,
                "maker_fills": book.maker_fills,
                "fees": str(book.fees),
            }
            for book in self._books.values()
        }
        document = {
            "ledger": self.ledger.state(),
            "symbols": symbols,
            "account": self._valuer.state(),
            "daily": self.daily.state(),
        }
        return {_STATE_KEY: json.dumps(document).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Store a saved document; it is restored on the first `StrategyStarted`."""
        if _STATE_KEY in state:
            self._restored = json.loads(bytes(state[_STATE_KEY]))

    def _book_all(self) -> None:
        """Book executions that are not booked yet, each exactly once even if a subscriber fails."""
        while self._unbooked:
            self._book(self._unbooked[0])
            self._unbooked.popleft()

    def _book(self, fill: Fill) -> None:
        """Add an execution to counts and results."""
        book, ledger = self._books[fill.instrument_id], self._require_ledger()
        rate = self._valuer.rate(fill.currency)
        if fill.trade_pnl is not None:
            in_report = None if rate is None else fill.trade_pnl * rate
            ledger.record_trade_result(fill.symbol, fill.trade_pnl, in_report)
        fee = None if rate is None else fill.fee * rate
        self.daily.add_fill(fill.ts_event, fee, is_trade=fill.trade_pnl is not None)
        ledger.set_open_fees(fill.symbol, fill.open_fees)
        book.fills += 1
        book.maker_fills += fill.liquidity == LiquiditySide.MAKER.name
        book.fees += fill.fee
        book.is_flat = fill.position == 0
        if fill.cycle_pnl is not None:
            book.closed_cycles = [*book.closed_cycles[-1:], fill.cycle_pnl]

    def on_time_event(self, event: Any) -> None:
        """Publish every symbol's metrics and an account snapshot."""
        if self._timer.ticks(event):
            self._publish_all()

    def _publish_all(self) -> None:
        if self.ledger is None:
            return
        # A live engine's timers keep their old schedule after the wall clock was set.
        now_ns = self.clock.timestamp_ns()
        pnls = self._pnls()
        for book in self._books.values():
            self._publish_metrics(book, pnls[book.view.spec.symbol], now_ns)
        self._publish_account(now_ns, pnls)

    # -- Figures ----------------------------------------------------------------------------------------

    def _require_ledger(self) -> SymbolLedger:
        if self.ledger is None:
            raise MarketMakingError(
                "a fill arrived before StrategyStarted: start the metrics actor before the strategies"
            )
        return self.ledger

    def _check_realized(self, book: _SymbolBook) -> None:
        """Raise `AccountingError` if the portfolio's realised PnL differs from the position events'.

        One difference is a known engine bug and accepted: while the position is flat, and the last two closed
        positions had equal results, the portfolio counts only one of them until the next position opens.
        """
        symbol = book.view.spec.symbol
        ledger = self._require_ledger()
        expected = ledger.realized_pnl(symbol) + ledger.funding(symbol) + book.earlier_realized
        portfolio = self._portfolio_realized(book)
        if portfolio == expected or self._is_known_undercount(book, expected - portfolio):
            return
        raise AccountingError(
            f"realised PnL of {symbol} must be the same in portfolio and position events, was {portfolio} and "
            f"{expected} {book.view.spec.quote}"
        )

    def _portfolio_realized(self, book: _SymbolBook) -> Decimal:
        money = self._portfolio.realized_pnl(book.view.instrument_id)
        return _ZERO if money is None else Decimal(money.as_decimal())

    @staticmethod
    def _is_known_undercount(book: _SymbolBook, difference: Decimal) -> bool:
        cycles = book.closed_cycles
        return book.is_flat and len(cycles) == 2 and cycles[0] == cycles[1] == difference

    def _publish_metrics(self, book: _SymbolBook, pnl: SymbolPnl, ts_ns: int) -> None:
        self.publish_data(SYMBOL_METRICS, metrics_data(self._metrics(book, pnl, ts_ns)))

    def _publish_account(self, ts_event: int, pnls: Mapping[str, SymbolPnl]) -> None:
        snapshot = self._snapshot(pnls, ts_event)
        if snapshot is not None:
            self.publish_message(ACCOUNT_TOPIC, (ts_event, snapshot))

    def _snapshot(self, pnls: Mapping[str, SymbolPnl], ts_ns: int | None) -> AccountSnapshot | None:
        """Return the account, counted in drawdown and days at a time; None leaves it uncounted."""
        if self.ledger is None:
            return None
        snapshot = self._valuer.snapshot(pnls, counts_for_drawdown=ts_ns is not None)
        if snapshot is not None:
            self.ledger.account = snapshot
            if ts_ns is not None:
                self.daily.add_account(ts_ns, snapshot.trading_pnl)
        return snapshot

    def _pnls(self) -> dict[str, SymbolPnl]:
        return {book.view.spec.symbol: self._pnl(book) for book in self._books.values()}

    def _pnl(self, book: _SymbolBook) -> SymbolPnl:
        symbol = book.view.spec.symbol
        ledger = self._require_ledger()
        realized, funding = ledger.realized_pnl(symbol), ledger.funding(symbol)
        return self._valuer.symbol_pnl(symbol, realized, funding, book.fees)

    def _metrics(self, book: _SymbolBook, pnl: SymbolPnl, ts_ns: int) -> SymbolMetrics:
        spec, ledger = book.view.spec, self._require_ledger()
        stats = ledger.get_symbol_stats(spec.symbol)
        quote, report = (spec.quote, book.currency_decimals), (self._report_currency, 8)
        unrealized_report = None
        if pnl.total_report is not None and pnl.realized_report is not None:
            unrealized_report = pnl.total_report - pnl.realized_report
        guards, volatility = book.view.guard_state(ts_ns), book.view.volatility
        return SymbolMetrics(
            ts_event=ts_ns,  # type: ignore[call-arg]
            ts_init=ts_ns,
            instrument_id=book.view.instrument_id,
            symbol=spec.symbol,
            fills=book.fills,
            trades=stats["trades"],
            wins=stats["wins"],
            losses=stats["losses"],
            win_rate=stats["win_rate"],
            realized_pnl=_money(pnl.realized, *quote),
            unrealized_pnl=_money(pnl.unrealized, *quote),
            total_pnl=_money(pnl.total, *quote),
            average_pnl=_money(ledger.average_pnl(spec.symbol), *quote),
            fees=_money(book.fees, *quote),
            funding=_money(pnl.funding, *quote),
            funding_report=_money(pnl.funding_report, *report),
            realized_pnl_report=_money(pnl.realized_report, *report),
            unrealized_pnl_report=_money(unrealized_report, *report),
            total_pnl_report=_money(pnl.total_report, *report),
            inventory=f"{pnl.position:f} {spec.base}",
            mid_price=_price(book.view.last_mid),
            reservation_price=_price(book.view.current_reservation_price()),
            trailing_stop_price=_price(book.view.trailing_stop_price),
            volatility_pct=volatility.volatility_pct if volatility.is_known else float("nan"),
            volatility_source=str(volatility.source),
            volatility_since_ns=volatility.since_ns,
            state=guards.state.value,
            reason=guards.reason,
            feed_age_seconds=_price(guards.feed_age_seconds),
        )

    # -- Views ------------------------------------------------------------------------------------------

    def catch_up(self) -> Iterator[Fill]:
        """Book executions that reached no callback, and yield their fills; call it at the end of a run.

        Such executions happen while a strategy stops, or after a callback has failed.
        """
        self._book_all()
        for missed in self._catch_up:
            for fill in missed():
                self._book(fill)
                yield fill
        for book in self._books.values():
            self._check_realized(book)

    def final(self, ts_ns: int) -> tuple[list[SymbolMetrics], AccountSnapshot | None]:
        """Return `figures` after `catch_up`; call it at the end of a run."""
        deque(self.catch_up(), maxlen=0)
        return self.figures(ts_ns)

    def figures(self, ts_ns: int) -> tuple[list[SymbolMetrics], AccountSnapshot | None]:
        """Return every symbol's metrics and an account snapshot without publishing them."""
        pnls = self._pnls()
        metrics = [self._metrics(book, pnls[book.view.spec.symbol], ts_ns) for book in self._books.values()]
        return metrics, self._snapshot(pnls, ts_ns)

    def portfolio(self) -> dict[str, Any] | None:
        """Return v1.4.0's portfolio dictionary at the current time, None before the first `StrategyStarted`.

        Its drawdown is measured at published account snapshots.
        """
        if self.ledger is None:
            return None
        self._snapshot(self._pnls(), None)
        return self.ledger.to_dict()

    def maker_fills(self, symbol: str) -> int:
        """Return the number of a symbol's maker fills."""
        return next(book.maker_fills for book in self._books.values() if book.view.spec.symbol == symbol)

    @property
    def indicators(self) -> dict[str, Mapping[str, float | int | None]]:
        """The strategies' indicators of each symbol, under v1.4.0's names."""
        return {book.view.spec.symbol: book.view.indicators for book in self._books.values()}


def _money(amount: Decimal | None, currency: str, decimals: int) -> str:
    """Return an amount with its currency, or an empty text if it is unknown."""
    return "" if amount is None else f"{amount.quantize(Decimal(1).scaleb(-decimals)):f} {currency}"


def _price(value: Decimal | float | None) -> float:
    return float("nan") if value is None else float(value)
