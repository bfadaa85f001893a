"""The market maker: market events in, quotes and exits out."""

from collections.abc import Mapping, Sequence
from inspect import unwrap
from typing import Any, Final, Self

from nautilus_trader.model import InstrumentId, OrderFilled

from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.errors import MarketMakingError
from mm_nautilus.market.rates import Rates
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import PricingModel
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.command_door import CommandDoor
from mm_nautilus.trading.drawdowns import Drawdowns
from mm_nautilus.trading.fail_fast import GuardedStrategy
from mm_nautilus.trading.feed_monitor import FeedMonitor
from mm_nautilus.trading.fills import FillBook
from mm_nautilus.trading.halts import Halts
from mm_nautilus.trading.messages import (
    COMMANDS_TOPIC,
    EVENTS_TOPIC,
    ClockState,
    FeedConnection,
    FeedRequest,
    FirstPrices,
    HaltQuoting,
    ResumeQuoting,
    StartQuoting,
    StopQuoting,
    StrategyStarted,
    VenueChange,
)
from mm_nautilus.trading.orders import OrderManager
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.persistence import Persistence
from mm_nautilus.trading.recalibration import ModelReview
from mm_nautilus.trading.setup import NEVER_NS, Conditions, build_symbols, engine_config, validated
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import WorkingOrder

_SECOND_TIMER: Final = "market-maker-second"
_START_ALERT: Final = "market-maker-start"


class MarketMaker(GuardedStrategy):
    """Quote both sides of any number of symbols around a reservation price; exit on stops; obey the guards.

    Parameters
    ----------
    config
        The configuration, or a mapping of the same shape. A strategy whose configuration has errors starts,
        logs them as errors and does not quote.
    takes_over
        Whether the strategy owns the positions that a live node finds before it starts. The configuration must then
        name the venue.
    pricing
        Custom pricing model for all symbols, or models by symbol; None imports those that the configuration names.

    Attributes
    ----------
    conditions
        Live or backtest, and the start of quoting; set it before the strategy starts.
    config_warnings
        Errors and warnings of validation, errors first.
    """

    def __new__(
        cls, config: MarketMakerConfig | Mapping[str, Any], *, takes_over: bool = False, **_options: Any
    ) -> Self:
        """Pass the engine's options to its base class."""
        return super().__new__(cls, engine_config(config, takes_over=takes_over))  # type: ignore[call-arg]

    def __init__(
        self,
        config: MarketMakerConfig | Mapping[str, Any],
        *,
        takes_over: bool = False,
        pricing: PricingModel | Mapping[str, PricingModel] | None = None,
    ) -> None:
        del takes_over
        super().__init__()
        self.conditions = Conditions()
        self.config_warnings: list[str] = []
        self.settings, self._pricing = validated(config, self.config_warnings, pricing)
        self.persistence = Persistence(self)
        self._symbols: dict[InstrumentId, SymbolState] = {}
        self._is_set_up = self._is_priced = False

    # -- Start ------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Resolve the instruments and subscribe, or log why the strategy does not quote."""
        settings = self.settings
        found = (
            None
            if settings is None
            else build_symbols(settings, self.cache, self.config_warnings, self._pricing)
        )
        for text in self.config_warnings:
            (self.log.warning if text.startswith("Warning:") else self.log.error)(text)
        if settings is None or found is None:
            self.settings = None
            self.log.error("MM: configuration has errors, not quoting")
            return
        self._make_parts(settings, *found)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        for name, model in self._pricing.items():
            self.log.info(f"MM: {name} is priced by {model.name}")
        for symbol in self._symbols.values():
            if symbol.name in self.conditions.followed and symbol.may_follow_touch:
                symbol.follow_touch(self.cache)
            self.feed.subscribe(symbol)
        if self.conditions.start_ns <= self.clock.timestamp_ns():
            self._start_quoting()
        elif self.conditions.start_ns != NEVER_NS:
            self.clock.set_time_alert_ns(_START_ALERT, self.conditions.start_ns)

    def _make_parts(
        self, settings: MarketMakerConfig, symbols: dict[InstrumentId, SymbolState], rates: Rates[float]
    ) -> None:
        conditions = self.conditions
        balances = Balances(self.portfolio, next(iter(symbols)).venue)
        for symbol in symbols.values():
            symbol.hold_share(balances)
        drawdowns = Drawdowns(balances, rates, tuple(symbols.values()), settings)
        timer = PausingTimer(self.clock, _SECOND_TIMER, SECOND_NS, may_pause=conditions.pauses_in_gaps)
        self.feed = FeedMonitor(
            self,
            settings.book_data,
            conditions.book_depth,
            symbols,
            timer,
            is_live=conditions.is_live,
        )
        door = CommandDoor(
            self,
            symbols.values(),
            settings.rate_limit,
            spends_wisely=settings.rate_limit_policy == "budget",
            answer_ns=conditions.answer_ns,
        )
        self.orders = OrderManager(
            self,
            balances,
            door,
            amend_orders=settings.amend_orders,
            max_actions_per_second=settings.max_order_actions_per_second,
        )
        self.fill_book = FillBook(self, symbols, flattens_on_stop=settings.flatten_on_stop)
        self.halts = Halts(self, symbols, drawdowns, self.persistence, self._requote)
        self._models = ModelReview(self.log, self.config_warnings)
        self._drawdowns, self._timer, self._symbols = drawdowns, timer, symbols
        self._is_set_up = True

    def _start_quoting(self) -> None:
        """Restore the saved state and publish `StrategyStarted`."""
        if self.settings is None:
            return
        now_ns = self.clock.timestamp_ns()
        self.persistence.restore(self._symbols, self._drawdowns, self.portfolio, now_ns)
        for symbol in self._symbols.values():
            self.fill_book.take_over(symbol)
            self.halts.report_restored(symbol, now_ns)
        self._drawdowns.begin()
        started = StrategyStarted(
            str(self.strategy_id),
            self.portfolio,
            self.settings.report_currency,
            dict(self._symbols),
            self.fill_book.catch_up,
        )
        self.publish_message(EVENTS_TOPIC, started)
        for symbol in self._symbols.values():
            self.feed.listen(symbol, now_ns)
        self._publish_first_prices(now_ns)
        self.persistence.publish_change()

    def _publish_first_prices(self, now_ns: int) -> None:
        """Publish `FirstPrices` once every symbol has had a valid book; equity is measured from then on."""
        if all(symbol.mid_price is not None for symbol in self._symbols.values()):
            self._is_priced = True
            self._drawdowns.capital()
            self.publish_message(EVENTS_TOPIC, FirstPrices(now_ns))

    # -- Market events ----------------------------------------------------------------------------------

    def on_book_deltas(self, deltas: Any) -> None:
        """Apply deltas to the symbol's own book, and requote if that can change an order."""
        symbol = self._symbols.get(deltas.instrument_id)
        if symbol is None:
            return
        if symbol.follows_touch:
            if deltas.ts_init != symbol.book_guard.last_event_ns:  # otherwise a quote has already reported it
                self._follow(symbol, deltas.ts_init)
            return
        if symbol.book_events == 0 and self.feed.refuses(symbol, deltas):
            del self._symbols[symbol.instrument_id]
            return
        symbol.book.apply_deltas(deltas)
        if self.feed.is_live:
            self.feed.on_book(symbol, deltas)
        self._follow(symbol, deltas.ts_init)

    def on_book_depth(self, depth: Any) -> None:
        """Replace the symbol's own book by a depth snapshot, and requote if that can change an order."""
        symbol = self._symbols.get(depth.instrument_id)
        if symbol is not None:
            symbol.book.apply_depth(depth)
            self._follow(symbol, depth.ts_init)

    def on_quote(self, quote: Any) -> None:
        """Replace the symbol's touch by a quote, and requote if that can change an order."""
        symbol = self._symbols.get(quote.instrument_id)
        if symbol is not None:
            symbol.book.apply_quote(quote)
            # Quotes that the engine derives from a book carry the venue's time only.
            self._follow(symbol, self.clock.timestamp_ns() if symbol.follows_touch else quote.ts_init)

    def on_trade(self, trade: Any) -> None:
        """Add a trade to trade flow and recalibration."""
        symbol = self._symbols.get(trade.instrument_id)
        if symbol is not None and self.feed.counts_trade(symbol, trade):
            symbol.add_trade(trade)

    def on_funding_rate(self, update: Any) -> None:
        """Await a perpetual's next payment, which the venue makes after all data of its moment."""
        due_ns, symbol = update.next_funding_ns, self._symbols.get(update.instrument_id)
        if symbol is not None and due_ns is not None:
            name = f"market-maker-funding {due_ns} {symbol.name}"
            self.clock.set_time_alert_ns(name, due_ns + 1, lambda _event: self._on_funding(symbol, due_ns))

    def on_historical_bars(self, bars: Sequence[Any]) -> None:
        """Start a symbol's volatility from one-minute bars before the start."""
        symbol = self._symbols.get(bars[0].bar_type.instrument_id) if bars else None
        if symbol is not None:
            self.feed.on_minute_bars(symbol, bars, self.clock.timestamp_ns())
            symbol.needs_requote = True

    def _follow(self, symbol: SymbolState, now_ns: int) -> None:
        if self.feed.is_in_gap:
            self.feed.end_gap()
        if symbol.on_book(now_ns):
            self._requote(symbol, now_ns)

    def _requote(self, symbol: SymbolState, now_ns: int) -> None:
        """Check guards and exits, then align the quotes with their targets, or pull them and exit."""
        if now_ns < self.conditions.start_ns:
            symbol.needs_requote = True
            return
        if not self._is_priced:
            self._publish_first_prices(now_ns)
        symbol.schedule(now_ns)
        halt = symbol.guards.halt
        blocked = self.halts.stopping or (None if halt is None else halt.reason)
        if symbol.check_risk(now_ns) and blocked is None:
            self.halts.report_pause(symbol, now_ns)
        decided = symbol.closing.decide(now_ns)
        if decided is not None:
            self.log.info(decided)
        if blocked is not None or symbol.position.exit is not None:
            self._pull_and_exit(symbol, blocked or symbol.pause or NotQuoting.EXITING, now_ns)
        else:
            symbol.plan(now_ns)
            for side in self.orders.in_turn(symbol):
                self.orders.align(symbol, side, now_ns)
            symbol.keep_band()
        symbol.publish_quotes(now_ns)
        self.feed.listen(symbol, now_ns)

    def _pull_and_exit(self, symbol: SymbolState, reason: NotQuoting, now_ns: int) -> None:
        """Cancel both sides' orders, and close the position if an exit is in force."""
        symbol.forget_plan()
        self.orders.pull(symbol, reason, now_ns)
        purpose = symbol.closing.purpose
        if purpose is None or not symbol.guards.is_feed_trusted:
            return
        if purpose is not ExitReason.STOP or symbol.guards.distrust_reason(now_ns) is None:
            self.orders.close_position(symbol, purpose, now_ns)

    # -- Order and position events ----------------------------------------------------------------------

    def on_order_event(self, event: Any) -> None:
        """Update the order from its event, and requote its side once it is settled."""
        order = self.orders.find(event) if self._symbols else None
        if order is None:
            return
        if order.symbol.others is not None:
            order.symbol.read_others(event, order.symbol.others)
        if isinstance(event, OrderFilled):
            self._on_fill(event, order)
            return
        symbol, side, now_ns = order.symbol, order.side, event.ts_init
        is_confirmed = self.orders.on_event(event, order)
        self.halts.check_refusals(symbol, now_ns)
        if side is not None:
            side.has_changed = True
        if not self.is_running():
            return
        if is_confirmed and side is not None and not self.halts.stopping and symbol.keeps_plan(side, now_ns):
            self.orders.align(symbol, side, now_ns)
            symbol.keep_band()
            symbol.publish_quotes(now_ns)
            self.feed.listen(symbol, now_ns)
        else:
            self._requote(symbol, now_ns)

    def _on_fill(self, event: OrderFilled, order: WorkingOrder) -> None:
        """Record an execution; its position event follows."""
        self.fill_book.note(event, order)
        self.orders.on_filled(event, order, is_closed=self.cache.is_order_closed(event.client_order_id))
        order.symbol.needs_requote = True
        if order.side is not None:
            order.side.has_changed = True

    def on_position_event(self, event: Any) -> None:
        """Book the effect of an execution, publish the complete `Fill`, and requote at the new position."""
        symbol = self._symbols.get(event.instrument_id)
        if symbol is None:
            return
        fill = self.fill_book.booked(symbol, event)
        if fill is not None:
            self.publish_message(EVENTS_TOPIC, fill)
            self.halts.check_losses(symbol, fill, event.ts_init)
        if self.is_running():
            self._requote(symbol, event.ts_init)
        self.persistence.publish_change()  # last: a subscriber writes it to disk, which takes time

    # -- Once a second ----------------------------------------------------------------------------------

    def on_time_event(self, event: Any) -> None:
        """Check once a second what no book event shows: a silent feed, drawdowns, the end of a pause."""
        if event.name == _START_ALERT:
            self._start_quoting()
        # A live engine's timers keep their old schedule after the wall clock was set.
        now_ns = self.clock.timestamp_ns()
        if self._timer.ticks(event) and now_ns >= self.conditions.start_ns:
            self._on_second(now_ns)

    def _on_funding(self, symbol: SymbolState, due_ns: int) -> None:
        """Book and publish a symbol's payment that was due."""
        payment = self.fill_book.funding(symbol, due_ns)
        if payment is not None:
            self.publish_message(EVENTS_TOPIC, payment)

    def _on_second(self, now_ns: int) -> None:
        fees = self.conditions.changed_fees(now_ns)
        for symbol in self._symbols.values():
            if symbol.name in fees:
                symbol.charge(fees[symbol.name])
                symbol.needs_requote = True
            if symbol.follows_touch and symbol.look_at_book(now_ns):
                self._follow(symbol, now_ns)
        self.halts.check_drawdowns(now_ns)
        for symbol in self._symbols.values():
            self._models.review(symbol, now_ns)
            self.feed.look(symbol, now_ns, may_resubscribe=self.halts.stopping is None)
            if symbol.needs_attention(now_ns):
                self._requote(symbol, now_ns)
            else:
                self.feed.listen(symbol, now_ns)
        if self._timer.may_pause and self.orders.is_idle:
            self.feed.begin_gap(now_ns)

    # -- Commands ---------------------------------------------------------------------------------------

    def _on_command(self, command: object) -> None:
        now_ns = self.clock.timestamp_ns()
        match command:
            case StartQuoting() if self.conditions.start_ns == NEVER_NS:
                self.conditions.start_ns = now_ns
                self._start_quoting()
            case HaltQuoting(reason, flatten):
                wanted = self.settings is not None and self.settings.kill_switch_flatten
                self.halts.kill(reason, now_ns, flatten=wanted if flatten is None else flatten)
            case ResumeQuoting(reason):
                self.halts.resume(reason, now_ns)
                self._requote_all()
                self.persistence.publish_change()
            case StopQuoting(reason, flatten):
                self.stop_quoting(reason, flatten=flatten)
            case FeedConnection() | ClockState() | VenueChange():
                self.feed.on_change(command, now_ns)
                self._requote_all()
            case FeedRequest():
                self.feed.on_request(command)

    def _requote_all(self) -> None:
        now_ns = self.clock.timestamp_ns()
        for symbol in self._symbols.values():
            self._requote(symbol, now_ns)

    def stop_quoting(self, reason: str, *, flatten: bool) -> None:
        """Cancel all orders, stop quoting and, if `flatten`, close the positions at market."""
        self.log.info(f"MM: winding down: {reason}")
        self.halts.stop(flatten=flatten)
        self._requote_all()

    def on_stop(self) -> None:
        """Cancel all orders, close the positions if so configured, and log why sides were not quoted."""
        if self.settings is not None and not self._is_set_up and not self.failures:
            started = unwrap(type(self).on_start)
            raise MarketMakingError(
                f"{started.__qualname__} at {started.__code__.co_filename}:{started.__code__.co_firstlineno} must call "
                "super().on_start(), or nothing is traded"
            )
        now_ns = self.clock.timestamp_ns()
        if self._symbols:
            self.halts.stopping = NotQuoting.STOPPING
        for symbol in self._symbols.values():
            self.cancel_all_orders(symbol.instrument_id)
            if self.settings is not None and self.settings.flatten_on_stop:
                self.orders.close_at_last(symbol, now_ns)
            for text in symbol.warnings:
                self.log.warning(f"MM: {text}")
            if not self.failures:
                self.feed.report_missing_book(symbol)
            for side in symbol.sides:
                side.stats.close(symbol.report_ns(now_ns))
                side.wait.end(symbol.report_ns(now_ns))
                self.log.info(f"MM: {symbol.name} {side.name} not quoted: {side.stats.to_dict()}")
            symbol.publish_quotes(now_ns, force=True)

    def end_failed(self, now_ns: int) -> None:
        """Publish when a failed run's quotes were cancelled, and its end; call it once the engine has ended.

        No callback hears of cancels after a failure. A quote that is still at the venue stays shown.
        """
        for symbol in self._symbols.values():
            ended_ns = self.orders.end_cancelled(symbol) or now_ns
            symbol.reservation_price = None
            for side in symbol.sides:
                if side.order is None:
                    side.set_reason(NotQuoting.STOPPING, symbol.report_ns(ended_ns))
            for moment_ns in sorted({ended_ns, now_ns}):
                symbol.publish_quotes(moment_ns, force=True)
            for side in symbol.sides:
                side.stats.close(symbol.report_ns(now_ns))

    # -- State and views --------------------------------------------------------------------------------

    def on_save(self) -> dict[str, bytes]:
        """Return the state to save for a restart."""
        return self.persistence.save()

    def on_load(self, state: dict[str, bytes]) -> None:
        """Store a saved document; it is restored when the strategy starts quoting."""
        self.persistence.load(state)

    @property
    def symbols(self) -> Mapping[str, SymbolState]:
        """State of each symbol, by symbol name."""
        return {symbol.name: symbol for symbol in self._symbols.values()}

    @property
    def run_warnings(self) -> list[str]:
        """Warnings of validation and of the run so far."""
        return [
            *self.config_warnings,
            *(text for symbol in self._symbols.values() for text in symbol.warnings),
        ]

    @property
    def position_entries(self) -> dict[str, dict[str, float | str]]:
        """``{symbol: {entry_price, highest_price, lowest_price, side}}`` of the open positions."""
        entries = ((symbol.name, symbol.position.entry) for symbol in self._symbols.values())
        return {name: entry.to_dict() for name, entry in entries if entry is not None}

    @property
    def indicators(self) -> dict[str, dict[str, float | int | None]]:
        """v1.4.0's indicators of each symbol, see `SymbolViews.indicators`."""
        return {symbol.name: symbol.indicators for symbol in self._symbols.values()}
