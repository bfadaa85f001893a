"""The market maker: market events in, quotes and exits out."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Self

from nautilus_trader.model import (
    InstrumentId,
    OrderAccepted,
    OrderCanceled,
    OrderCancelRejected,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderModifyRejected,
    OrderRejected,
    OrderUpdated,
)

from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.pricing.exits import ExitReason, check_exit, exit_text
from mm_nautilus.pricing.quotes import NotQuoting
from mm_nautilus.risk.limits import SECOND_NS
from mm_nautilus.risk.state import Halt, QuotingState
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.book import holds_single_orders
from mm_nautilus.trading.drawdowns import Drawdowns
from mm_nautilus.trading.fail_fast import GuardedStrategy
from mm_nautilus.trading.feed_monitor import FeedMonitor
from mm_nautilus.trading.fills import FillBook
from mm_nautilus.trading.messages import (
    COMMANDS_TOPIC,
    EVENTS_TOPIC,
    ClockState,
    FeedConnection,
    FeedRequest,
    Fill,
    FirstPrices,
    GuardChange,
    HaltQuoting,
    MarketGap,
    ResumeQuoting,
    StartQuoting,
    StateChanged,
    StopQuoting,
    StrategyStarted,
    VenueChange,
)
from mm_nautilus.trading.orders import OrderManager
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.persistence import restore_symbol, saved_position, saved_symbol
from mm_nautilus.trading.recalibration import ModelReview
from mm_nautilus.trading.saved_account import SavedPosition
from mm_nautilus.trading.setup import build_symbols, engine_config, validated
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import WorkingOrder

__all__ = ["MarketMaker"]

_GUARD_TIMER: Final = "market-maker-guards"
_START_ALERT: Final = "market-maker-start"
_STATE_KEY: Final = "market_maker"
_NEVER_NS: Final = 2**63 - 1
_OUTCOMES: Final = frozenset(
    {
        OrderAccepted,
        OrderUpdated,
        OrderFilled,
        OrderCanceled,
        OrderExpired,
        OrderRejected,
        OrderDenied,
        OrderModifyRejected,
        OrderCancelRejected,
    }
)
"""Order events that tell what became of a command. The others come while the engine is still inside of it."""


class MarketMaker(GuardedStrategy):
    """Quote both sides of any number of symbols around a reservation price; exit on stops; obey the guards.

    Parameters
    ----------
    config
        The configuration, or a mapping of the same shape. A strategy whose configuration has errors starts,
        logs them as errors and does not quote.
    takes_over
        Whether positions that a live node finds before the strategy starts are its own. The configuration has to
        name the venue then.

    Attributes
    ----------
    config_warnings
        What validation had to say, errors first.
    """

    def __new__(cls, config: MarketMakerConfig | Mapping[str, Any], *, takes_over: bool = False) -> Self:
        """Hand the engine's own options to its base class."""
        return super().__new__(cls, engine_config(config, takes_over=takes_over))  # type: ignore[call-arg]

    def __init__(self, config: MarketMakerConfig | Mapping[str, Any], *, takes_over: bool = False) -> None:
        del takes_over
        super().__init__()
        self.config_warnings: list[str] = []
        self.settings = validated(config, self.config_warnings)
        self._symbols: dict[InstrumentId, SymbolState] = {}
        self._stopping: NotQuoting | None = None
        self._restored: dict[str, Any] = {}
        self._start_ns = 0
        self._has_started = self._is_priced = False
        self._book_depth: int | None = None
        self._is_live = self._pauses_in_gaps = self._is_paused = False
        self._followed: frozenset[str] = frozenset()

    # -- Start ------------------------------------------------------------------------------------------

    def hold_until(self, start_ns: int) -> None:
        """Only follow the books before a moment: a backtest that starts in mid-recording has to build them first.

        Parameters
        ----------
        start_ns
            First moment at which quotes are sent and anything is counted, nanoseconds since the epoch.
        """
        self._start_ns = start_ns

    def hold_until_started(self) -> None:
        """Only follow the books until `StartQuoting` comes: after a restart the engine has to be as it was saved."""
        self._start_ns = _NEVER_NS

    def follow_live_feed(self, book_depth: int) -> None:
        """Quote only on books that a live feed has sent whole since it was connected; the node needs a `LiveWatch`.

        Parameters
        ----------
        book_depth
            Levels a side to subscribe to, one of the numbers that the venue offers.
        """
        self._is_live, self._book_depth = True, book_depth

    def pause_in_gaps(self) -> None:
        """Do nothing, once quotes are pulled, while no book changes for longer than a gap takes; for backtests.

        Actors that spend time in gaps too hear of it as `MarketGap`.
        """
        self._pauses_in_gaps = True

    def follow_touch(self, symbols: Collection[str]) -> None:
        """Take from the engine's own books what changes the touch, and no more, where quotes depend on no more.

        For backtests: a live feed is watched event by event.

        Parameters
        ----------
        symbols
            Those whose data announce no breaks: the engine tells nothing of a book that is emptied.
        """
        self._followed = frozenset(symbols)

    def on_start(self) -> None:
        """Resolve the instruments and subscribe; or say why the strategy does not quote."""
        settings = self.settings
        found = None
        if settings is not None:
            found = build_symbols(settings, self.cache, self.config_warnings)
        for text in self.config_warnings:
            (self.log.warning if text.startswith("Warning:") else self.log.error)(text)
        if settings is None or found is None:
            self.settings = None
            self.log.error("MM: configuration has errors, not quoting")
            return
        self._symbols = found.by_id
        symbols = tuple(self._symbols.values())
        balances = Balances(self.portfolio, symbols[0].instrument_id.venue)
        self._drawdowns = Drawdowns(balances, found.rates, symbols, settings)
        self._models = ModelReview(self.log, self.config_warnings)
        self._fills = FillBook(self.cache)
        self.orders = OrderManager(
            self,
            balances,
            amend_orders=settings.amend_orders,
            max_actions_per_second=settings.max_order_actions_per_second,
        )
        self.feed = FeedMonitor(self, settings.book_data, self._book_depth, is_live=self._is_live)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        for symbol in symbols:
            if symbol.name in self._followed and symbol.may_follow_touch:
                symbol.follow_touch(self.cache)
            self.feed.subscribe(symbol)
        self._timer = PausingTimer(self.clock, _GUARD_TIMER, SECOND_NS, may_pause=self._pauses_in_gaps)
        if self._start_ns <= self.clock.timestamp_ns():
            self._start_quoting(settings)
        elif self._start_ns != _NEVER_NS:
            self.clock.set_time_alert_ns(_START_ALERT, self._start_ns)

    def _start_quoting(self, settings: MarketMakerConfig) -> None:
        """Take up what was saved and announce the strategy."""
        self._has_started = True
        self._restore()
        self._drawdowns.begin()
        started = StrategyStarted(
            str(self.strategy_id),
            self.portfolio,
            settings.report_currency,
            dict(self._symbols),
            self.catch_up,
        )
        self.publish_message(EVENTS_TOPIC, started)
        now_ns = self.clock.timestamp_ns()
        for symbol in self._symbols.values():
            self._listen(symbol, now_ns)
        self._tell_first_prices(now_ns)
        self._tell_state_change()

    def _tell_first_prices(self, now_ns: int) -> None:
        """Tell once that every symbol has had a sound book, the moment that equity is measured from."""
        if all(symbol.mid_price is not None for symbol in self._symbols.values()):
            self._is_priced = True
            self._drawdowns.note_start()
            self.publish_message(EVENTS_TOPIC, FirstPrices(now_ns))

    # -- Market events ----------------------------------------------------------------------------------

    def on_book_deltas(self, deltas: Any) -> None:
        """Apply level changes to the symbol's own book, and requote where that can change an order."""
        symbol = self._symbols.get(deltas.instrument_id)
        if symbol is None:
            return
        if symbol.follows_touch:
            if deltas.ts_init != symbol.last_event_ns:  # else a quote has told of it
                self._follow(symbol, deltas.ts_init)
            return
        if symbol.book_events == 0 and holds_single_orders(deltas):
            self._refuse_single_orders(symbol)
            return
        symbol.book.apply_deltas(deltas)
        if self._is_live:
            self.feed.on_book(symbol, deltas)
        self._follow(symbol, deltas.ts_init)

    def _refuse_single_orders(self, symbol: SymbolState) -> None:
        """Leave a symbol alone whose book is made of orders: a level would count as its last order."""
        del self._symbols[symbol.instrument_id]
        self.log.error(
            f"MM: {symbol.name} not quoting: its book must hold the total size of each level, was single orders "
            "with their ids (market-by-order data)"
        )

    def on_book_depth(self, depth: Any) -> None:
        """Replace the symbol's own book by a snapshot, and requote where that can change an order."""
        symbol = self._symbols.get(depth.instrument_id)
        if symbol is None:
            return
        symbol.book.apply_depth(depth)
        self._follow(symbol, depth.ts_init)

    def on_quote(self, quote: Any) -> None:
        """Replace the symbol's own book by its best quotes, and requote where that can change an order."""
        symbol = self._symbols.get(quote.instrument_id)
        if symbol is None:
            return
        symbol.book.apply_quote(quote)
        # Quotes that the engine makes from a book carry the venue's time alone.
        self._follow(symbol, self.clock.timestamp_ns() if symbol.follows_touch else quote.ts_init)

    def _follow(self, symbol: SymbolState, now_ns: int) -> None:
        if self._is_paused:
            self._end_gap()
        if symbol.on_book(now_ns):
            self._requote(symbol, now_ns)

    def on_trade(self, trade: Any) -> None:
        """Add a trade to the symbol's tape."""
        symbol = self._symbols.get(trade.instrument_id)
        if symbol is not None and self.feed.takes_trade(symbol, trade):
            symbol.add_trade(trade)

    def _requote(self, symbol: SymbolState, now_ns: int) -> None:
        """Ask the guards, check the exits, then quote; or pull the quotes and close the position."""
        if now_ns < self._start_ns:
            symbol.needs_requote = True
            return
        if not self._is_priced:
            self._tell_first_prices(now_ns)
        symbol.schedule(now_ns)
        halt = symbol.guards.halt
        blocked = self._stopping or (None if halt is None else halt.reason)
        if symbol.check_risk(now_ns) and blocked is None:
            self._tell_pause(symbol, now_ns)
        self._check_exit(symbol)
        if blocked is not None or symbol.position.exit is not None:
            self._pull_and_exit(symbol, blocked or NotQuoting.EXITING, now_ns)
            self._listen(symbol, now_ns)
            return
        symbol.plan(now_ns)
        self.orders.align(symbol, symbol.bid, now_ns)
        self.orders.align(symbol, symbol.ask, now_ns)
        symbol.keep_band()
        symbol.tell_quotes(now_ns)
        self._listen(symbol, now_ns)

    def _listen(self, symbol: SymbolState, now_ns: int) -> None:
        """Hear of changes behind the touch too where something is due at the next event, or before the next look.

        A timer would do as well, but every timer makes the simulated venue process what is in flight.
        """
        if symbol.follows_touch:
            is_near = symbol.needs_requote or symbol.next_requote_ns < self._timer.next_ns(now_ns)
            self.feed.hear_all(symbol, is_near or self._is_paused)

    def _pull_and_exit(self, symbol: SymbolState, reason: NotQuoting, now_ns: int) -> None:
        """Keep both sides without orders, and close the position where that was decided."""
        symbol.forget_plan()
        self.orders.pull(symbol, reason, now_ns)
        symbol.tell_quotes(now_ns)
        decided = symbol.position.exit
        purpose = symbol.flatten or (None if decided is None else decided.reason)
        if purpose is None or not symbol.guards.is_feed_believed:
            return
        if purpose is not ExitReason.STOP or symbol.guards.doubt(now_ns) is None:
            self.orders.close_position(symbol, purpose, now_ns)

    def _check_exit(self, symbol: SymbolState) -> None:
        """Decide on an exit once; it stands until the position is closed.

        What is left below the venue's smallest order cannot be closed by itself and is quoted on.
        """
        touch, position = symbol.touch, symbol.position
        if touch is None or position.entry is None or not symbol.guards.is_feed_believed:
            return
        if not symbol.is_closable:
            position.exit = None if symbol.exit_order_id is None else position.exit
            return
        if position.exit is not None:
            return
        decision = check_exit(position.entry, *touch, symbol.params)
        if decision is not None:
            position.exit = decision
            self.log.info(exit_text(position.entry, decision, max(6, symbol.spec.price_precision)))

    # -- Order and position events ----------------------------------------------------------------------

    def on_order_event(self, event: Any) -> None:
        """Note what became of one of our orders, and act on it."""
        order = self.orders.find(event) if self._symbols and type(event) in _OUTCOMES else None
        if order is None:
            return
        if isinstance(event, OrderFilled):
            self._on_fill(event, order)
            return
        symbol, now_ns = order.symbol, event.ts_init
        is_confirmed = self.orders.on_event(event, order)
        self._check_refusals(symbol, now_ns)
        if order.side is not None:
            order.side.has_changed = True
        if not self.is_running():
            return
        side = order.side
        if is_confirmed and side is not None and not self._stopping and symbol.keeps_plan(side, now_ns):
            self.orders.align(symbol, side, now_ns)
            symbol.keep_band()
            symbol.tell_quotes(now_ns)
            self._listen(symbol, now_ns)
        else:
            self._requote(symbol, now_ns)

    def _on_fill(self, event: Any, order: WorkingOrder) -> None:
        """Note an execution; the position event that follows tells what it did."""
        symbol = order.symbol
        self._fills.note(event, order)
        phantoms = symbol.counts.phantom_fills
        symbol.count_fill(event)
        if symbol.counts.phantom_fills != phantoms:
            self.log.warning(f"MM: {symbol.name} was filled by a trade that was left out: {event.last_qty}")
        symbol.hold_position(self.portfolio, event.ts_init)
        is_closed = self.cache.is_order_closed(event.client_order_id)
        self.orders.on_filled(event, order, is_closed=is_closed)
        symbol.needs_requote = True
        if order.side is not None:
            order.side.has_changed = True

    def on_position_event(self, event: Any) -> None:
        """Book what an execution did, tell it once it is complete, and act on the new position."""
        symbol = self._symbols.get(event.instrument_id)
        if symbol is None:
            return
        now_ns = event.ts_init
        symbol.hold_position(self.portfolio, now_ns)
        symbol.follow_position(event)
        fill = self._fills.booked(symbol, event)
        if fill is not None:
            self.publish_message(EVENTS_TOPIC, fill)
            self._check_losses(symbol, fill, now_ns)
        if self.is_running():
            self._requote(symbol, now_ns)
        self._tell_state_change()  # last: whoever saves waits for a disk

    # -- Guards -----------------------------------------------------------------------------------------

    def on_time_event(self, event: Any) -> None:
        """Look once a second at what no book event would tell: silence, drawdown, the end of a pause."""
        if event.name == _START_ALERT and self.settings is not None:
            self._start_quoting(self.settings)
        # A live engine's timers keep their old schedule when the wall clock is set.
        now_ns = self.clock.timestamp_ns()
        if now_ns < self._start_ns:
            return
        if self._timer.ticks(event):
            self._on_second(now_ns)

    def _on_second(self, now_ns: int) -> None:
        for symbol in self._symbols.values():
            if symbol.follows_touch and symbol.look_at_book(now_ns):
                self._follow(symbol, now_ns)
        for breach in self._drawdowns.breaches():
            self._halt(breach.symbols, breach.reason, breach.text, now_ns)
        for symbol in self._symbols.values():
            if not symbol.guards.is_clock_settled:
                # A clock that was set back may not come to them for hours.
                symbol.exit_retry_ns = symbol.next_requote_ns = now_ns
            self._models.review(symbol, now_ns)
            if self._is_live and self._stopping is None:
                self.feed.ask_again(symbol, now_ns)
            if symbol.needs_attention(now_ns):
                self._requote(symbol, now_ns)
            else:
                self._listen(symbol, now_ns)
        if self._pauses_in_gaps:
            self._pause_at_rest(now_ns)

    def _pause_at_rest(self, now_ns: int) -> None:
        """Stop looking once a second where that finds nothing new before the next book event."""
        symbols = self._symbols.values()
        if not self.orders.is_idle or all(symbol.last_event_ns is None for symbol in symbols):
            return
        if all(symbol.is_at_rest(now_ns) for symbol in symbols):
            self._is_paused = True
            self._timer.pause()
            for symbol in symbols:
                self._listen(symbol, now_ns)
            self.publish_message(EVENTS_TOPIC, MarketGap(is_over=False))

    def _end_gap(self) -> None:
        """Look once a second again."""
        self._is_paused = False
        self._timer.resume()
        self.publish_message(EVENTS_TOPIC, MarketGap(is_over=True))

    def _check_refusals(self, symbol: SymbolState, now_ns: int) -> None:
        if symbol.guards.refusals.is_exhausted and not symbol.is_halted:
            text = f"a storm of them again after {symbol.params.max_refused_orders_pauses} pauses in a row"
            self._halt([symbol], NotQuoting.HALTED_REFUSALS, text, now_ns)

    def _check_losses(self, symbol: SymbolState, fill: Fill, now_ns: int) -> None:
        losses = symbol.guards.losses
        if fill.trade_pnl is not None and losses.add(fill.order_id, fill.trade_pnl):
            text = f"{losses.length} losing orders in a row"
            self._halt([symbol], NotQuoting.HALTED_LOSS_STREAK, text, now_ns)

    def _halt(
        self,
        symbols: Iterable[SymbolState],
        reason: NotQuoting,
        text: str,
        now_ns: int,
        *,
        flatten: bool | None = None,
    ) -> None:
        """Stop quoting symbols until somebody resumes; cancel their quotes and, if wanted, close their positions."""
        has_changed = False
        for symbol in symbols:
            halt = Halt(reason, text, symbol.params.flatten_on_halt if flatten is None else flatten)
            if not symbol.guards.takes(halt):
                continue
            has_changed = True
            symbol.guards.halt = halt
            symbol.flatten = ExitReason.HALT if halt.flatten else symbol.flatten
            if self.is_running():
                self._requote(symbol, now_ns)
            self._tell_guard(symbol, QuotingState.HALTED, f"{reason}: {text}", now_ns)
        if has_changed:
            self._tell_state_change()  # last: whoever saves waits for a disk

    def _tell_pause(self, symbol: SymbolState, now_ns: int) -> None:
        text = symbol.guards.pause_text(symbol.pause, now_ns)
        if text is not None:
            state = QuotingState.QUOTING if symbol.pause is None else QuotingState.PAUSED
            self._tell_guard(symbol, state, text, now_ns)

    def _tell_guard(self, symbol: SymbolState, state: QuotingState, text: str, now_ns: int) -> None:
        """Log and publish a change of a guard."""
        log = self.log.info if state is QuotingState.QUOTING else self.log.warning
        line = symbol.guards.line(f"MM: {symbol.name} {text}", now_ns)
        if line is not None:
            log(line)
        self.publish_message(EVENTS_TOPIC, GuardChange(now_ns, symbol.name, state, text))

    # -- Commands ---------------------------------------------------------------------------------------

    def _on_command(self, command: object) -> None:
        match command:
            case StartQuoting():
                self._start_now()
            case HaltQuoting(reason, flatten):
                self.halt_quoting(reason, flatten=flatten)
            case ResumeQuoting(reason):
                self.resume_quoting(reason)
            case StopQuoting(reason, flatten):
                self.stop_quoting(reason, flatten=flatten)
            case FeedConnection():
                self.feed.on_connection(command, self._symbols.values(), self.clock.timestamp_ns())
                self._requote_all()
            case ClockState():
                self.feed.on_clock(command, self._symbols.values(), self.clock.timestamp_ns())
                self._requote_all()
            case VenueChange():
                self.feed.on_venue(command, self._symbols.values(), self.clock.timestamp_ns())
                self._requote_all()
            case FeedRequest() if command.instrument_id in self._symbols:
                self.feed.on_request(command)

    def _requote_all(self) -> None:
        now_ns = self.clock.timestamp_ns()
        for symbol in self._symbols.values():
            self._requote(symbol, now_ns)

    def _start_now(self) -> None:
        if self._start_ns == _NEVER_NS and self.settings is not None:
            self._start_ns = self.clock.timestamp_ns()
            self._start_quoting(self.settings)

    def halt_quoting(self, reason: str, *, flatten: bool | None = None) -> None:
        """Halt everything until `resume_quoting`, also over a restart.

        Parameters
        ----------
        reason
            Who or what wants it.
        flatten
            Whether positions are closed at market; None takes ``kill_switch_flatten``.
        """
        if flatten is None:
            flatten = self.settings is not None and self.settings.kill_switch_flatten
        now_ns = self.clock.timestamp_ns()
        self._halt(self._symbols.values(), NotQuoting.KILL_SWITCH, reason, now_ns, flatten=flatten)

    def resume_quoting(self, reason: str) -> None:
        """Quote again, whatever the halts were for; drawdowns are measured from now on.

        Parameters
        ----------
        reason
            Who or what wants it.
        """
        now_ns = self.clock.timestamp_ns()
        self._drawdowns.rearm()
        for symbol in self._symbols.values():
            was_halted = symbol.is_halted
            symbol.guards.rearm()
            symbol.flatten = None if self._stopping is None else symbol.flatten
            if was_halted:
                self._tell_guard(symbol, QuotingState.QUOTING, f"resumed by {reason}", now_ns)
        self._requote_all()
        self._tell_state_change()

    def stop_quoting(self, reason: str, *, flatten: bool) -> None:
        """Cancel everything, quote no more and, if asked to, close the positions at market."""
        self.log.info(f"MM: winding down: {reason}")
        self._stopping = NotQuoting.STOPPING
        for symbol in self._symbols.values():
            symbol.flatten = ExitReason.STOP if flatten else symbol.flatten
        self._requote_all()

    def on_stop(self) -> None:
        """Cancel everything, close the positions if so configured, and report why sides were not quoted."""
        now_ns = self.clock.timestamp_ns()
        self._stopping = NotQuoting.STOPPING
        for symbol in self._symbols.values():
            self.cancel_all_orders(symbol.instrument_id)
            if self.settings is not None and self.settings.flatten_on_stop and symbol.position.lots != 0:
                doubt = symbol.guards.doubt(now_ns)
                if doubt is None:
                    self.orders.close_at_last(symbol, now_ns)
                else:
                    symbol.kept_for = f"prices are not believed ({doubt})"
            for text in symbol.warnings:
                self.log.warning(f"MM: {text}")
            if not symbol.book_events and not self._is_live and self.settings is not None:
                self.log.error(
                    f"MM: {symbol.name} never had a book: book_data must be the kind of book that the data holds "
                    f"(deltas, depth or quotes), was {self.settings.book_data}"
                )
            for name, side in (("bid", symbol.bid), ("ask", symbol.ask)):
                side.stats.close(symbol.report_ns(now_ns))
                self.log.info(f"MM: {symbol.name} {name} not quoted: {side.stats.to_dict()}")
            symbol.tell_quotes(now_ns, in_any_case=True)

    # -- State ------------------------------------------------------------------------------------------

    def on_save(self) -> dict[str, bytes]:
        """Return entries, extremes, figures and halts as one JSON document.

        A strategy that did not get to quote hands back what it was loaded with.
        """
        if not self._has_started:
            return {_STATE_KEY: json.dumps(self._restored).encode()}
        symbols = {symbol.name: saved_symbol(symbol) for symbol in self._symbols.values()}
        return {_STATE_KEY: json.dumps({"symbols": symbols} | self._drawdowns.save()).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Keep a saved document; it is applied when the strategy starts."""
        if _STATE_KEY in state:
            self._restored = json.loads(bytes(state[_STATE_KEY]))

    def _restore(self) -> None:
        now_ns = self.clock.timestamp_ns()
        for symbol in self._symbols.values():
            symbol.hold_position(self.portfolio, now_ns)
            known = self.portfolio.realized_pnl(symbol.instrument_id)
            symbol.position.realized = Decimal(0) if known is None else known.as_decimal()
            saved = self._restored.get("symbols", {}).get(symbol.name)
            if saved is not None:
                restore_symbol(symbol, saved, now_ns)
            self._fills.take_over(symbol)
            halt = symbol.guards.halt
            if halt is not None:
                self._tell_guard(symbol, QuotingState.HALTED, f"is still {halt.reason}: {halt.text}", now_ns)
        self._drawdowns.restore(self._restored)

    def catch_up(self) -> Iterator[Fill]:
        """Book executions whose events reached no callback, and yield what they did; for the end of a run.

        Such are those of orders that were sent, or filled, while the strategy stopped, and what came after a callback
        had failed. The engine's positions have them.
        """
        now_ns = self.clock.timestamp_ns()
        for symbol in self._symbols.values():
            yield from self._fills.missed(symbol, now_ns)
            if self.settings is not None and self.settings.flatten_on_stop and symbol.is_closable:
                symbol.kept_for = (
                    symbol.kept_for or "what was to close it did not get to the venue, or found no liquidity"
                )

    @property
    def is_settled(self) -> bool:
        """Whether positions, entries and PnL are of one moment: no execution's position event is still to come."""
        return not any(symbol.position.awaits_event for symbol in self._symbols.values())

    def _tell_state_change(self) -> None:
        if self.is_settled:
            self.publish_message(EVENTS_TOPIC, StateChanged(self.strategy_id.value))

    @property
    def saved_positions(self) -> list[SavedPosition]:
        """The open positions."""
        found = (saved_position(symbol) for symbol in self._symbols.values())
        return [position for position in found if position is not None]

    # -- Views ------------------------------------------------------------------------------------------

    @property
    def symbols(self) -> Mapping[str, SymbolState]:
        """What is known of each symbol."""
        return {symbol.name: symbol for symbol in self._symbols.values()}

    @property
    def run_warnings(self) -> list[str]:
        """What validation said, and what has happened since that somebody should know."""
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
    def indicators(self) -> dict[str, dict[str, float | None]]:
        """``reservation_price`` and ``trailing_stop_price`` of each symbol, in its quote currency."""
        return {symbol.name: symbol.indicators for symbol in self._symbols.values()}
