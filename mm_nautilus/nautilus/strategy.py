"""The market maker: book events in, quotes and exits out."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, Self

from nautilus_trader.model import BookType, InstrumentId, PositionSide, StrategyId
from nautilus_trader.trading import StrategyConfig
from pydantic import ValidationError

from mm_nautilus.core.calibration_file import configured_calibration
from mm_nautilus.core.config import MarketMakerConfig, SymbolParams
from mm_nautilus.core.exits import Exit, ExitReason, PositionEntry, check_exit, exit_text
from mm_nautilus.core.feed_guard import FeedData
from mm_nautilus.core.guard_state import Halt, QuotingState
from mm_nautilus.core.guards import SECOND_NS
from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.core.instrument_checks import check_instruments, market_figures
from mm_nautilus.core.quoting import NotQuoting
from mm_nautilus.core.rates import Rates
from mm_nautilus.core.saved_account import SavedPosition
from mm_nautilus.core.validation import Problem, validate
from mm_nautilus.nautilus.balances import Balances
from mm_nautilus.nautilus.book import holds_single_orders
from mm_nautilus.nautilus.desk import SideDesk, SymbolDesk
from mm_nautilus.nautilus.drawdowns import Drawdowns
from mm_nautilus.nautilus.guarding import GuardedStrategy
from mm_nautilus.nautilus.instruments import by_symbol, quotable, rounded_money
from mm_nautilus.nautilus.messages import (
    CONTROL_TOPIC,
    FILL_TOPIC,
    GAP_TOPIC,
    GUARD_TOPIC,
    POSITION_TOPIC,
    QUOTES_TOPIC,
    STATE_TOPIC,
    STRATEGY_TOPIC,
    ClockState,
    FeedConnection,
    FeedRequest,
    FillMessage,
    FirstPrices,
    GuardChange,
    Kill,
    MarketGap,
    Release,
    Resume,
    StrategyAnnouncement,
    VenueChange,
    WindDown,
)
from mm_nautilus.nautilus.model_review import ModelReview
from mm_nautilus.nautilus.pausing import PausingTimer
from mm_nautilus.nautilus.router import OrderRouter
from mm_nautilus.nautilus.state import restore_desk, saved_desk, saved_position, take_over_position

__all__ = ["MarketMaker"]

_GUARD_TIMER: Final = "market-maker-guards"
_BEGIN_ALERT: Final = "market-maker-begin"
_TAG: Final = "001"
_STATE_KEY: Final = "market_maker"
_NEVER_NS: Final = 2**63 - 1


class MarketMaker(GuardedStrategy):
    """Quote both sides of any number of symbols around a mid or reservation price, and exit on stops.

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
    position_entries
        ``{symbol: {entry_price, highest_price, lowest_price, side}}`` of the open positions.
    """

    def __new__(cls, config: MarketMakerConfig | Mapping[str, Any], *, takes_over: bool = False) -> Self:
        """Hand the engine's own options to its base class."""
        return super().__new__(cls, _engine_config(config, takes_over=takes_over))  # type: ignore[call-arg]

    def __init__(self, config: MarketMakerConfig | Mapping[str, Any], *, takes_over: bool = False) -> None:
        del takes_over
        super().__init__()
        self.config_warnings: list[str] = []
        self.settings: MarketMakerConfig | None = self._validated(config)
        self._desks: dict[InstrumentId, SymbolDesk] = {}
        self._router: OrderRouter | None = None
        self._closing: NotQuoting | None = None
        self._restored: dict[str, Any] = {}
        self._begin_ns = 0
        self._has_begun = False
        self._is_priced = False
        self._book_depth: int | None = None
        self._watches_feed = False
        self._pauses_in_gaps = self._is_paused = False

    def _validated(self, config: MarketMakerConfig | Mapping[str, Any]) -> MarketMakerConfig | None:
        raw: Any = config
        if isinstance(config, MarketMakerConfig):
            raw = config.model_dump(exclude_unset=True)
        self.config_warnings = validate(raw)
        if any(not text.startswith("Warning:") for text in self.config_warnings):
            return None
        if isinstance(config, MarketMakerConfig):
            return config
        try:
            return MarketMakerConfig.model_validate(dict(raw))
        except ValidationError as error:
            self.config_warnings.extend(f"{item['loc']}: {item['msg']}" for item in error.errors())
            return None

    # -- Start ------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Resolve the instruments, subscribe, and announce the strategy; or say why it does not quote."""
        if self.settings is not None:
            self._build_desks(self.settings)
        for text in self.config_warnings:
            (self.log.warning if text.startswith("Warning:") else self.log.error)(text)
        if self.settings is None or not self._desks:
            self.log.error("MM: configuration has errors, not quoting")
            return
        balances = Balances(self.portfolio, next(iter(self._desks)).venue)
        desks = tuple(self._desks.values())
        self._drawdowns = Drawdowns(self.portfolio, balances, self._rates, desks, self.settings)
        self._models = ModelReview(self.log, self.config_warnings)
        self._router = OrderRouter(
            self,
            balances,
            amend_orders=self.settings.amend_orders,
            max_actions_per_second=self.settings.max_order_actions_per_second,
        )
        self.subscribe_topic(CONTROL_TOPIC, self._on_control)
        for desk in self._desks.values():
            self._subscribe(desk, self.settings.book_data)
        self._timer = PausingTimer(self.clock, _GUARD_TIMER, SECOND_NS, may_pause=self._pauses_in_gaps)
        if self._begin_ns <= self.clock.timestamp_ns():
            self._begin(self.settings)
        elif self._begin_ns != _NEVER_NS:
            self.clock.set_time_alert_ns(_BEGIN_ALERT, self._begin_ns)

    def wait_until(self, begin_ns: int) -> None:
        """Only follow the books before a moment: a backtest that starts in mid-recording has to build them first.

        Parameters
        ----------
        begin_ns
            First moment at which quotes are sent and anything is counted, nanoseconds since the epoch.
        """
        self._begin_ns = begin_ns

    def wait_for_release(self) -> None:
        """Only follow the books until a `Release` comes: after a restart the engine has to be as it was saved."""
        self._begin_ns = _NEVER_NS

    def _release(self) -> None:
        if self._begin_ns == _NEVER_NS and self.settings is not None:
            self._begin_ns = self.clock.timestamp_ns()
            self._begin(self.settings)

    def follow_levels(self, depth: int) -> None:
        """Subscribe to so many levels a side: a live feed has to be told, a catalog plays what it holds.

        Parameters
        ----------
        depth
            Levels a side, one of the numbers that the venue offers.
        """
        self._book_depth = depth

    def watch_feed(self) -> None:
        """Quote only on books that a live feed has sent whole since it was connected last.

        The node needs a `LiveGuard`, which tells of connections.
        """
        self._watches_feed = True

    def pause_in_gaps(self) -> None:
        """Do nothing, once quotes are pulled, while no book changes for longer than a gap takes; for backtests.

        Actors that spend time in gaps too hear of it as `MarketGap`.
        """
        self._pauses_in_gaps = True

    def _pause_at_rest(self, now_ns: int) -> None:
        """Stop looking once a second where that finds nothing new before the next book event."""
        router, desks = self._router, self._desks.values()
        if router is None or not router.is_idle or all(desk.last_event_ns is None for desk in desks):
            return
        if all(desk.is_at_rest(now_ns) for desk in desks):
            self._is_paused = True
            self._timer.pause()
            self.publish_message(GAP_TOPIC, MarketGap(is_over=False))

    def _resume(self) -> None:
        """Look once a second again."""
        self._is_paused = False
        self._timer.resume()
        self.publish_message(GAP_TOPIC, MarketGap(is_over=True))

    def _begin(self, settings: MarketMakerConfig) -> None:
        """Take up what was saved and announce the strategy."""
        self._has_begun = True
        self._restore()
        self._drawdowns.begin()
        self._announce(settings)
        self._tell_first_prices(self.clock.timestamp_ns())
        self._tell_change()

    def _build_desks(self, settings: MarketMakerConfig) -> None:
        known, refused = self._instruments(settings.venue)
        calibration, findings = configured_calibration(settings)
        problems = [Problem(finding.keys[0], finding.message) for finding in findings]
        usable = None if findings else calibration
        problems += check_instruments(settings, known, calibration=usable, refused=refused)
        instruments = {
            symbol: self.cache.instrument(InstrumentId.from_str(known[symbol].instrument_id))
            for symbol in settings.symbols
            if symbol in known
        }
        problems += _rounded_money(instruments, settings)
        self.config_warnings.extend(problem.text() for problem in problems)
        if any(not problem.is_warning for problem in problems):
            self.settings = None
            return
        specs = {symbol: known[symbol] for symbol in settings.symbols}
        rates = Rates({s: (spec.base, spec.quote) for s, spec in specs.items()}, self._mid_of, 1.0)
        self._rates = rates
        for symbol, spec in specs.items():
            desk = SymbolDesk(
                instruments[symbol],
                spec,
                _with_fees(settings.for_symbol(symbol), spec),
                settings.report_currency,
                rates.rate,
                market=market_figures(settings, calibration, symbol),
                calibration=None if calibration is None else calibration.symbols.get(symbol),
            )
            self._desks[desk.instrument_id] = desk
            if self._watches_feed:
                desk.guards.watch_feed()
        self._by_symbol = {desk.spec.symbol: desk for desk in self._desks.values()}

    def _instruments(self, venue: str | None) -> tuple[dict[str, InstrumentSpec], dict[str, str]]:
        """Return the venue's pairs, and why its other instruments cannot be quoted, by symbol.

        Without a venue, the pairs are those that only one venue lists.
        """
        specs, refused = quotable(self.cache.instruments())
        listed = Counter(spec.symbol for spec in specs)
        known = {
            spec.symbol: spec
            for spec in specs
            if spec.venue == venue or (venue is None and listed[spec.symbol] == 1)
        }
        here = {name: text for name, text in refused.items() if venue in (None, name.rpartition(".")[2])}
        return known, by_symbol(here)

    def _mid_of(self, symbol: str) -> float | None:
        return self._by_symbol[symbol].mid_price

    def _announce(self, settings: MarketMakerConfig) -> None:
        views = dict(self._desks)
        name = str(self.strategy_id)
        message = StrategyAnnouncement(name, self.portfolio, settings.report_currency, views)
        self.publish_message(STRATEGY_TOPIC, message)

    def _tell_first_prices(self, now_ns: int) -> None:
        """Tell once that every symbol has had a sound book, the moment that equity is measured from."""
        if all(desk.mid_price is not None for desk in self._desks.values()):
            self._is_priced = True
            self._drawdowns.note_start()
            self.publish_message(STRATEGY_TOPIC, FirstPrices(now_ns))

    def _subscribe(self, desk: SymbolDesk, book_data: str) -> None:
        instrument_id = desk.instrument_id
        if book_data == "deltas":
            self._subscribe_deltas(instrument_id)
        elif book_data == "depth":
            self.subscribe_book_depth(instrument_id, BookType.L2_MBP)
        else:
            self.subscribe_quotes(instrument_id)
        if self._watches_feed or desk.takes_trades:
            self.subscribe_trades(instrument_id)

    def _subscribe_deltas(self, instrument_id: InstrumentId) -> None:
        # Managed: the engine's own book gives it the quotes that market orders and marks need.
        self.subscribe_book_deltas(instrument_id, BookType.L2_MBP, depth=self._book_depth, managed=True)

    # -- Market events ----------------------------------------------------------------------------------

    def on_book_deltas(self, deltas: Any) -> None:
        """Apply level changes to the symbol's own book and act on what they changed."""
        desk = self._desks.get(deltas.instrument_id)
        if desk is not None:
            desk.book_events += 1
            if desk.book_events == 1 and holds_single_orders(deltas):
                self._refuse_single_orders(desk)
                return
            desk.book.apply_deltas(deltas)
            if desk.guards.feed is not None:
                if deltas.is_snapshot:
                    self._on_snapshot(desk, deltas)
                late_seconds = desk.guards.backward_seconds(deltas.ts_event, deltas.ts_init)
                if late_seconds is not None:
                    self._log_backward_dates(desk, late_seconds)
            self._follow(desk, deltas.ts_init)

    def _refuse_single_orders(self, desk: SymbolDesk) -> None:
        """Leave a symbol alone whose book is made of orders: a level would count as its last order."""
        del self._desks[desk.instrument_id]
        self.log.error(
            f"MM: {desk.spec.symbol} not quoting: its book must hold the total size of each level, was single orders "
            "with their ids (market-by-order data)"
        )

    def on_book_depth(self, depth: Any) -> None:
        """Replace the symbol's own book by a snapshot and act on what changed."""
        desk = self._desks.get(depth.instrument_id)
        if desk is not None:
            desk.book_events += 1
            desk.book.apply_depth(depth)
            self._follow(desk, depth.ts_init)

    def on_quote(self, quote: Any) -> None:
        """Replace the symbol's own book by its best quotes and act on what changed."""
        desk = self._desks.get(quote.instrument_id)
        if desk is not None:
            desk.book_events += 1
            desk.book.apply_quote(quote)
            self._follow(desk, quote.ts_init)

    def on_trade(self, trade: Any) -> None:
        """Add a trade to the symbol's tape."""
        desk = self._desks.get(trade.instrument_id)
        if desk is None:
            return
        if desk.guards.tape is not None:
            desk.guards.tape.on_trade(trade.ts_init)
        if desk.is_fresh(trade):
            desk.add_trade(trade)
        elif desk.guards.tell_old_trade(trade.ts_init):
            self._log_old_trade(desk, trade)

    def _follow(self, desk: SymbolDesk, ts_ns: int) -> None:
        """Act on a book event; one that leaves the touch alone costs next to nothing."""
        if self._is_paused:
            self._resume()
        changed = desk.book.read() or desk.is_dirty or ts_ns >= desk.due_ns
        if not changed and not desk.book_guard.is_stale(ts_ns):
            desk.book_guard.last_event_ns = ts_ns
            return
        desk.observe(ts_ns)
        self._act(desk, ts_ns)

    def _act(self, desk: SymbolDesk, now_ns: int) -> None:
        """Check exits, then quote."""
        router = self._router
        if router is None:
            return
        if now_ns < self._begin_ns:
            desk.is_dirty = True
            return
        if not self._is_priced:
            self._tell_first_prices(now_ns)
        desk.is_dirty = False
        desk.due_ns = desk.next_due_ns(now_ns)
        halt = desk.guards.halt
        blocked = self._closing or (None if halt is None else halt.reason)
        if desk.review(now_ns) and blocked is None:
            self._tell_pause(desk, now_ns)
        self._check_exit(desk)
        if blocked is not None or desk.exit is not None:
            self._hold(desk, blocked or NotQuoting.EXITING, now_ns)
            return
        bid, ask = desk.targets(now_ns)
        router.align(desk, desk.bid, bid, now_ns)
        router.align(desk, desk.ask, ask, now_ns)
        self._publish_quotes(desk, now_ns)

    def _publish_quotes(self, desk: SymbolDesk, now_ns: int) -> None:
        """Tell what changed of a symbol's quotes, if anything did."""
        if desk.bid.has_changed or desk.ask.has_changed:
            desk.bid.has_changed = desk.ask.has_changed = False
            self.publish_message(QUOTES_TOPIC, desk.quote_state(now_ns))

    def _hold(self, desk: SymbolDesk, reason: NotQuoting, now_ns: int) -> None:
        """Keep both sides without orders, and close the position where that was decided."""
        router = self._router
        assert router is not None  # noqa: S101 - only called while quoting
        desk.centre = None
        router.pull_quotes(desk, reason, now_ns)
        self._publish_quotes(desk, now_ns)
        purpose = desk.flatten or (None if desk.exit is None else desk.exit.reason)
        if purpose is None or not desk.guards.is_feed_believed:
            return
        if purpose is not ExitReason.STOP or desk.guards.doubt(now_ns) is None:
            router.close_position(desk, purpose, now_ns)

    def _check_exit(self, desk: SymbolDesk) -> None:
        """Decide on an exit once; it stands until the position is closed.

        What is left below the venue's smallest order cannot be closed by itself and is quoted on.
        """
        touch = desk.touch
        if touch is None or desk.entry is None or not desk.guards.is_feed_believed:
            return
        if not desk.is_closable:
            desk.exit = None if desk.exit_order_id is None else desk.exit
            return
        if desk.exit is not None:
            return
        decision = check_exit(desk.entry, *touch, desk.params)
        if decision is not None:
            desk.exit = decision
            self._log_exit(desk, decision)

    def _log_exit(self, desk: SymbolDesk, decision: Exit) -> None:
        assert desk.entry is not None  # noqa: S101 - an exit is decided on an entry
        self.log.info(exit_text(desk.entry, decision, max(6, desk.spec.price_precision)))

    # -- Guards -----------------------------------------------------------------------------------------

    def on_time_event(self, event: Any) -> None:
        """Look once a second at what no book event would tell: silence, drawdown, the end of a pause."""
        if event.name == _BEGIN_ALERT and self.settings is not None:
            self._begin(self.settings)
        # A live engine's timers keep their old schedule when the wall clock is set.
        now_ns = self.clock.timestamp_ns()
        if not self._timer.ticks(event) or now_ns < self._begin_ns:
            return
        for breach in self._drawdowns.breaches():
            self._halt(breach.desks, breach.reason, breach.text, now_ns)
        for desk in self._desks.values():
            if not desk.guards.is_clock_settled:
                desk.exit_retry_ns = desk.due_ns = (
                    now_ns  # A clock that was set back may not come to them for hours.
                )
            self._models.review(desk, now_ns)
            if self._closing is None:
                self._ask_anew(desk, now_ns)
            if desk.needs_attention(now_ns):
                self._act(desk, now_ns)
        if self._pauses_in_gaps:
            self._pause_at_rest(now_ns)

    def _check_refusals(self, desk: SymbolDesk, now_ns: int) -> None:
        if desk.guards.refusals.is_exhausted and not desk.is_halted:
            text = f"a storm of them again after {desk.params.max_refused_orders_pauses} pauses in a row"
            self._halt([desk], NotQuoting.HALTED_REFUSALS, text, now_ns)

    def _check_losses(self, desk: SymbolDesk, event: Any) -> None:
        if desk.ends_loss_streak(event.quantity.as_decimal(), event.realized_pnl.as_decimal()):
            text = f"{desk.guards.losses.length} losing orders in a row"
            self._halt([desk], NotQuoting.HALTED_LOSS_STREAK, text, event.ts_init)

    def _halt(
        self,
        desks: Iterable[SymbolDesk],
        reason: NotQuoting,
        text: str,
        now_ns: int,
        *,
        flatten: bool | None = None,
    ) -> None:
        """Stop quoting symbols until somebody resumes; cancel their quotes and, if wanted, close their positions."""
        has_changed = False
        for desk in desks:
            halt = Halt(reason, text, desk.params.flatten_on_halt if flatten is None else flatten)
            if not desk.guards.takes(halt):
                continue
            has_changed = True
            desk.guards.halt = halt
            desk.flatten = ExitReason.HALT if halt.flatten else desk.flatten
            if self.is_running():
                self._act(desk, now_ns)
            self._tell_guard(desk, QuotingState.HALTED, f"{reason}: {text}", now_ns)
        if has_changed:
            self._tell_change()  # last: whoever saves waits for a disk

    def kill(self, reason: str, *, flatten: bool | None = None) -> None:
        """Halt everything until `clear_halts`, also over a restart.

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
        self._halt(self._desks.values(), NotQuoting.KILL_SWITCH, reason, now_ns, flatten=flatten)

    def clear_halts(self, reason: str) -> None:
        """Quote again, whatever the halts were for; drawdowns are measured from now on.

        Parameters
        ----------
        reason
            Who or what wants it.
        """
        now_ns = self.clock.timestamp_ns()
        self._drawdowns.rearm()
        for desk in self._desks.values():
            was_halted = desk.is_halted
            desk.guards.rearm()
            desk.flatten = None if self._closing is None else desk.flatten
            if was_halted:
                self._tell_guard(desk, QuotingState.QUOTING, f"resumed by {reason}", now_ns)
        for desk in self._desks.values():
            self._act(desk, now_ns)
        self._tell_change()

    def _on_snapshot(self, desk: SymbolDesk, deltas: Any) -> None:
        """Note that a live feed emptied the book, or sent it whole."""
        feed = desk.guards.feed
        assert feed is not None  # noqa: S101 - asked for by the caller
        if len(deltas.deltas) > 1:
            feed.on_snapshot(deltas.ts_init)
            if desk.guards.tape is not None:
                desk.guards.tape.begin(deltas.ts_init)
        else:
            feed.on_clear()
        desk.is_dirty = True

    def _on_feed(self, message: FeedConnection) -> None:
        """Pull every quote when the feed is lost; wait for the books when it is back."""
        now_ns = self.clock.timestamp_ns()
        for desk in self._desks.values():
            feed = desk.guards.feed
            if feed is None:
                continue
            if message.is_connected:
                feed.on_connected()
                if desk.guards.tape is not None:
                    desk.guards.tape.on_connected(now_ns)
            else:
                feed.on_disconnected()
            self._act(desk, now_ns)

    def _ask_anew(self, desk: SymbolDesk, now_ns: int) -> None:
        """Ask for what the client does not ask for itself, or no longer checks."""
        for data in desk.guards.to_ask(now_ns):
            self.log.warning(f"MM: {desk.spec.symbol} asks for its {data} anew")
            for is_wanted in (False, True):
                self.publish_message(CONTROL_TOPIC, FeedRequest(desk.instrument_id, data, is_wanted))

    def _on_feed_request(self, request: FeedRequest) -> None:
        if request.instrument_id not in self._desks:
            return
        if request.data is FeedData.BOOK and request.is_wanted:
            self._subscribe_deltas(request.instrument_id)
        elif request.data is FeedData.BOOK:
            self.unsubscribe_book_deltas(request.instrument_id)
        elif request.is_wanted:
            self.subscribe_trades(request.instrument_id)
        else:
            self.unsubscribe_trades(request.instrument_id)

    def _on_clock(self, message: ClockState) -> None:
        """Pull every quote while times cannot be reckoned with."""
        if message.is_settled:
            self.log.warning("MM: the wall clock has settled")
        else:
            self.log.warning(f"MM: the wall clock was set by {message.step_seconds:+.3f} s")
        now_ns = self.clock.timestamp_ns()
        for desk in self._desks.values():
            desk.guards.is_clock_settled = message.is_settled
            desk.follow_clock()
            if message.is_settled:
                desk.guards.book.recover(now_ns)
            self._act(desk, now_ns)

    def _on_venue(self, message: VenueChange) -> None:
        """Follow what the venue takes: pull quotes that it does not, and let those it takes again wait for a while."""
        now_ns = self.clock.timestamp_ns()
        for desk in self._desks.values():
            state = message.states.get(desk.spec.symbol, desk.guards.venue)
            if state is desk.guards.venue:
                continue
            self.log.warning(f"MM: {desk.spec.symbol} is {state} at the venue, was {desk.guards.venue}")
            if state.takes_quotes and not desk.guards.venue.takes_quotes:
                desk.guards.book.recover(now_ns)
            desk.guards.venue = state
            self._act(desk, now_ns)

    def _log_backward_dates(self, desk: SymbolDesk, late_seconds: float) -> None:
        self.log.warning(
            f"MM: {desk.spec.symbol} has book changes that are dated before earlier ones, this one by "
            f"{late_seconds:.1f} s: the venue's clock was ahead; they are taken in the order they come in"
        )

    def _log_old_trade(self, desk: SymbolDesk, trade: Any) -> None:
        age_seconds = (trade.ts_init - trade.ts_event) / SECOND_NS
        self.log.warning(
            f"MM: {desk.spec.symbol} leaves out trades that are too old or have come before; "
            f"this one is {age_seconds:.1f} s old"
        )

    def _tell_pause(self, desk: SymbolDesk, now_ns: int) -> None:
        text = desk.guards.pause_text(desk.pause, now_ns)
        if text is not None:
            state = QuotingState.QUOTING if desk.pause is None else QuotingState.PAUSED
            self._tell_guard(desk, state, text, now_ns)

    def _tell_guard(self, desk: SymbolDesk, state: QuotingState, text: str, now_ns: int) -> None:
        """Log and publish a change of a guard."""
        log = self.log.info if state is QuotingState.QUOTING else self.log.warning
        line = desk.guards.line(f"MM: {desk.spec.symbol} {text}", now_ns)
        if line is not None:
            log(line)
        self.publish_message(GUARD_TOPIC, GuardChange(now_ns, desk.spec.symbol, state, text))

    def _on_control(self, message: object) -> None:
        if isinstance(message, WindDown):
            self.wind_down(message.reason, flatten=message.flatten)
        elif isinstance(message, Release):
            self._release()
        elif isinstance(message, Kill):
            self.kill(message.reason, flatten=message.flatten)
        elif isinstance(message, Resume):
            self.clear_halts(message.reason)
        elif isinstance(message, FeedConnection):
            self._on_feed(message)
        elif isinstance(message, FeedRequest):
            self._on_feed_request(message)
        elif isinstance(message, ClockState):
            self._on_clock(message)
        elif isinstance(message, VenueChange):
            self._on_venue(message)

    def wind_down(self, reason: str, *, flatten: bool) -> None:
        """Cancel everything, quote no more and, if asked to, close the positions at market."""
        self.log.info(f"MM: winding down: {reason}")
        self._closing = NotQuoting.STOPPING
        now_ns = self.clock.timestamp_ns()
        for desk in self._desks.values():
            desk.flatten = ExitReason.STOP if flatten else desk.flatten
            self._act(desk, now_ns)

    # -- Order and position events ----------------------------------------------------------------------

    def on_order_accepted(self, event: Any) -> None:
        """Note that the venue took an order."""
        self._on_order(event, lambda router, live, _now: router.on_accepted(live))

    def on_order_updated(self, event: Any) -> None:
        """Note a confirmed amend."""
        self._on_order(event, lambda router, live, _now: router.on_updated(live, event))

    def on_order_modify_rejected(self, event: Any) -> None:
        """Note a refused amend."""
        self._on_order(event, lambda router, live, now: router.on_amend_refused(live, now))

    def on_order_cancel_rejected(self, event: Any) -> None:
        """Note a refused cancel."""
        self._on_order(event, lambda router, live, _now: router.on_cancel_refused(live))

    def on_order_canceled(self, event: Any) -> None:
        """Note that an order is gone."""
        self._on_order(event, lambda router, live, _now: router.on_closed(event, live))

    def on_order_expired(self, event: Any) -> None:
        """Note that an order is gone."""
        self._on_order(event, lambda router, live, _now: router.on_closed(event, live))

    def on_order_rejected(self, event: Any) -> None:
        """Note that the venue refused an order."""
        self._on_order(event, lambda router, live, now: router.on_refused(event, live, now, denied=False))

    def on_order_denied(self, event: Any) -> None:
        """Note that the engine's risk checks refused an order."""
        self._on_order(event, lambda router, live, now: router.on_refused(event, live, now, denied=True))

    def on_order_filled(self, event: Any) -> None:
        """Book an execution, publish it, and requote."""
        router = self._router
        live = router.find(event) if router is not None else None
        if router is None or live is None:
            return
        self.publish_message(FILL_TOPIC, FillMessage(event, live.purpose, live.trail.origin(live.desk.spec)))
        before = live.desk.counts.phantom_fills
        live.desk.count_fill(event)
        if live.desk.counts.phantom_fills != before:
            self.log.warning(
                f"MM: {live.desk.spec.symbol} was filled by a trade that was left out: {event.last_qty}"
            )
        live.desk.has_unbooked_fill = True
        live.desk.set_position(live.desk.signed_lots(self.portfolio), event.ts_init)
        is_closed = self.cache.is_order_closed(event.client_order_id)
        router.on_filled(live, event, event.ts_init, is_closed=is_closed)
        live.desk.is_dirty = True
        if live.side is not None:
            live.side.has_changed = True

    def _on_order(self, event: Any, note: Any) -> None:
        """Let the router note an event of one of our orders, then act on what it changed."""
        router = self._router
        live = router.find(event) if router is not None else None
        if live is None:
            return
        note(router, live, event.ts_init)
        self._check_refusals(live.desk, event.ts_init)
        if live.side is not None:
            live.side.has_changed = True
        if self.is_running():
            self._act(live.desk, event.ts_init)

    def on_position_event(self, event: Any) -> None:
        """Keep the position's entry, publish the event, and act on the new position."""
        desk = self._desks.get(event.instrument_id)
        if desk is None:
            return
        self.publish_message(POSITION_TOPIC, event)
        is_flat = event.side == PositionSide.FLAT
        desk.set_position(desk.signed_lots(self.portfolio), event.ts_init)
        lots = 0 if is_flat else desk.lots(event.quantity)
        is_long = event.side == PositionSide.LONG
        desk.set_entry("long" if is_long else "short", event.avg_px_open, lots, float(event.last_px))
        desk.book_position(event.realized_pnl.as_decimal(), is_flat=is_flat)
        self._check_losses(desk, event)
        if self.is_running():
            self._act(desk, event.ts_init)
        self._tell_change()  # last: whoever saves waits for a disk

    # -- Stop and state ---------------------------------------------------------------------------------

    def on_stop(self) -> None:
        """Cancel everything, close the positions if so configured, and report why sides were not quoted."""
        if self._router is None:
            return
        now_ns = self.clock.timestamp_ns()
        self._closing = NotQuoting.STOPPING
        for desk in self._desks.values():
            self.cancel_all_orders(desk.instrument_id)
            if self.settings is not None and self.settings.flatten_on_stop and desk.position_lots != 0:
                doubt = desk.guards.doubt(now_ns)
                if doubt is None:
                    self._router.close_at_last(desk, now_ns)
                else:
                    desk.kept_for = f"prices are not believed ({doubt})"
            for text in desk.warnings:
                self.log.warning(f"MM: {text}")
            self._report(desk, now_ns)

    def _report(self, desk: SymbolDesk, now_ns: int) -> None:
        if not desk.book_events and not self._watches_feed and self.settings is not None:
            self.log.error(
                f"MM: {desk.spec.symbol} never had a book: book_data must be the kind of book that the data holds "
                f"(deltas, depth or quotes), was {self.settings.book_data}"
            )
        for side in (desk.bid, desk.ask):
            side.tally.close(desk.told_ns(now_ns))
            self.log.info(f"MM: {desk.spec.symbol} {_name(side)} not quoted: {side.tally.to_dict()}")
        self.publish_message(QUOTES_TOPIC, desk.quote_state(now_ns))

    def on_save(self) -> dict[str, bytes]:
        """Return entries, extremes, figures and halts as one JSON document.

        A strategy that did not get to quote hands back what it was loaded with.
        """
        if not self._has_begun:
            return {_STATE_KEY: json.dumps(self._restored).encode()}
        desks = {desk.spec.symbol: saved_desk(desk) for desk in self._desks.values()}
        return {_STATE_KEY: json.dumps({"symbols": desks} | self._drawdowns.save()).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Keep a saved document; it is applied when the strategy starts."""
        if _STATE_KEY in state:
            self._restored = json.loads(bytes(state[_STATE_KEY]))

    @property
    def is_settled(self) -> bool:
        """Whether positions, entries and PnL are of one moment: no execution's position event is still to come."""
        return not any(desk.has_unbooked_fill for desk in self._desks.values())

    def _tell_change(self) -> None:
        if self.is_settled:
            self.publish_message(STATE_TOPIC, self.strategy_id.value)

    @property
    def saved_positions(self) -> list[SavedPosition]:
        """The open positions."""
        found = (saved_position(desk) for desk in self._desks.values())
        return [position for position in found if position is not None]

    def catch_up(self, realized: Mapping[str, Decimal]) -> None:
        """Take in what happened while the strategy stopped, which no callback tells any more.

        Parameters
        ----------
        realized
            Realised PnL of each symbol since the first start, in its quote currency.
        """
        for desk in self._desks.values():
            desk.set_position(desk.signed_lots(self.portfolio), self.clock.timestamp_ns())
            desk.realized, desk.cycle_realized = realized[desk.spec.symbol], Decimal(0)
            desk.has_unbooked_fill = False
            open_positions = self.cache.positions_open(instrument_id=desk.instrument_id)
            for position in open_positions:
                take_over_position(desk, position)
            if not open_positions:
                desk.entry = desk.exit = None
            elif self.settings is not None and self.settings.flatten_on_stop and desk.is_closable:
                desk.kept_for = (
                    desk.kept_for or "what was to close it did not get to the venue, or found no liquidity"
                )

    def _restore(self) -> None:
        for desk in self._desks.values():
            desk.set_position(desk.signed_lots(self.portfolio), self.clock.timestamp_ns())
            known = self.portfolio.realized_pnl(desk.instrument_id)
            desk.realized = Decimal(0) if known is None else known.as_decimal()
            saved = self._restored.get("symbols", {}).get(desk.spec.symbol)
            if saved is not None:
                restore_desk(desk, saved, self.clock.timestamp_ns())
            for position in self.cache.positions_open(instrument_id=desk.instrument_id):
                take_over_position(desk, position)
            if desk.guards.halt is not None:
                text = f"is still {desk.guards.halt.reason}: {desk.guards.halt.text}"
                self._tell_guard(desk, QuotingState.HALTED, text, self.clock.timestamp_ns())
        self._drawdowns.restore(self._restored)

    # -- Views ------------------------------------------------------------------------------------------

    @property
    def desks(self) -> Mapping[str, SymbolDesk]:
        """The desk of each symbol."""
        return {desk.spec.symbol: desk for desk in self._desks.values()}

    @property
    def run_warnings(self) -> list[str]:
        """What validation said, and what has happened since that somebody should know."""
        return [*self.config_warnings, *(text for desk in self._desks.values() for text in desk.warnings)]

    @property
    def position_entries(self) -> dict[str, dict[str, float | str]]:
        """Entry, extremes and side of each open position."""
        return {
            desk.spec.symbol: _entry_dict(desk.entry)
            for desk in self._desks.values()
            if desk.entry is not None
        }

    @property
    def indicators(self) -> dict[str, dict[str, float | None]]:
        """``reservation_price`` and ``trailing_stop_price`` of each symbol, in its quote currency."""
        return {desk.spec.symbol: desk.indicators for desk in self._desks.values()}


def _engine_config(config: Any, *, takes_over: bool) -> StrategyConfig:
    """Return the engine's own options; ids that it does not take are left to validation, which names them."""
    given = config.model_dump() if isinstance(config, MarketMakerConfig) else config
    ids: dict[str, Any] = {}
    if isinstance(given, Mapping):
        ids = {"order_id_tag": str(given.get("order_id_tag") or _TAG)}
        with suppress(ValueError):
            ids |= {"strategy_id": StrategyId(str(given["strategy_id"]))} if given.get("strategy_id") else {}
        if takes_over:
            names = [f"{symbol}.{given['venue']}" for symbol in given["symbols"]]
            ids |= {"external_order_instrument_ids": [InstrumentId.from_str(name) for name in names]}
    return StrategyConfig(log_events=False, log_commands=False, **{"order_id_tag": _TAG, **ids})


def _rounded_money(instruments: Mapping[str, Any], settings: MarketMakerConfig) -> Iterator[Problem]:
    for symbol in settings.symbols:
        text = rounded_money(instruments[symbol]) if symbol in instruments else None
        if text is not None:
            yield Problem(("symbols", symbol), text)


def _entry_dict(entry: PositionEntry) -> dict[str, float | str]:
    return {
        "entry_price": entry.entry_price,
        "highest_price": entry.highest_price,
        "lowest_price": entry.lowest_price,
        "side": entry.side,
    }


def _name(side: SideDesk) -> str:
    return "bid" if side.is_bid else "ask"


def _with_fees(params: SymbolParams, spec: Any) -> SymbolParams:
    """Fill in the instrument's fees where the configuration leaves them to the venue."""
    fees = {}
    for name in ("maker", "taker"):
        rate = getattr(spec, f"{name}_fee_rate")
        if getattr(params, f"{name}_fee_pct") is None and rate is not None:
            fees[f"{name}_fee_pct"] = float(100 * rate)
    return params.model_copy(update=fees)
