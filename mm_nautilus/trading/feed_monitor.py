"""Subscriptions and the health of a live feed: connected, complete and fresh; a backtest's data is trusted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nautilus_trader.model import BarType, BookType, InstrumentId

from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.risk.feed import FeedData
from mm_nautilus.risk.venue_state import VenueState
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.book import holds_single_orders
from mm_nautilus.trading.messages import (
    COMMANDS_TOPIC,
    EVENTS_TOPIC,
    ClockState,
    FeedConnection,
    FeedRequest,
    MarketGap,
    VenueChange,
)
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.symbol import SymbolState

_YEAR_MS: Final = 365 * 86_400_000
"""Interval at which the engine publishes copies of its book: never in practice, as its timer would move fills."""

_OLDEST_BAR_MINUTES: Final = 5
"""Oldest last bar, in minutes, with which the venue's bars still count as current."""


class FeedMonitor:
    """Subscribe to market data; on a live feed, trust a book only after a full snapshot.

    Parameters
    ----------
    book_data
        ``deltas``, ``depth`` or ``quotes``.
    book_depth
        Levels a side to subscribe to on a live feed; None for a catalog, which sends what it holds.
    is_live
        Whether to watch connections, snapshots and the age of trades. The node then needs a `LiveWatch`.

    Attributes
    ----------
    is_in_gap
        Whether a backtest's timers pause until the next book event.
    """

    def __init__(
        self,
        strategy: Any,
        book_data: str,
        book_depth: int | None,
        symbols: Mapping[InstrumentId, SymbolState],
        timer: PausingTimer,
        *,
        is_live: bool,
    ) -> None:
        self._strategy, self._symbols, self._timer, self._book_data = strategy, symbols, timer, book_data
        self._book_depth, self.is_live = book_depth, is_live
        self.is_in_gap = False

    def subscribe(self, symbol: SymbolState) -> None:
        """Subscribe to a symbol's book, and to its trades if its configuration uses them."""
        if self.is_live:
            symbol.guards.watch_feed()
        instrument_id = symbol.instrument_id
        if symbol.follows_touch:
            # The engine keeps the book and publishes a quote when a price or size at the touch changes.
            self._strategy.subscribe_book_at_interval(instrument_id, BookType.L2_MBP, interval_ms=_YEAR_MS)
            self._strategy.subscribe_quotes(instrument_id)
        elif self._book_data == "deltas":
            self._subscribe_deltas(instrument_id)
        elif self._book_data == "depth":
            self._strategy.subscribe_book_depth(instrument_id, BookType.L2_MBP)
        else:
            self._strategy.subscribe_quotes(instrument_id)
        if self.is_live or symbol.takes_trades:
            self._strategy.subscribe_trades(instrument_id)
        if symbol.spec.kind == "perpetual":
            self._strategy.subscribe_funding_rates(instrument_id)
        if self.is_live and not symbol.volatility.is_known:
            bars = BarType.from_str(f"{instrument_id}-1-MINUTE-LAST-EXTERNAL")
            self._strategy.request_bars(bars, limit=symbol.params.volatility_lookback + 2)

    def on_minute_bars(self, symbol: SymbolState, bars: Sequence[Any], now_ns: int) -> None:
        """Start a symbol's volatility from the venue's one-minute bars if the last one is recent.

        The current minute is left out. A minute without a bar had no trade and closes at the previous close.
        """
        minute = now_ns // MINUTE_NS
        closes = {bar.ts_event // MINUTE_NS: float(bar.close) for bar in bars}
        known = sorted(each for each in closes if each < minute)
        if not known or known[-1] < minute - _OLDEST_BAR_MINUTES:
            return
        filled = [closes[known[0]]]
        for each in range(known[0] + 1, minute):
            filled.append(closes.get(each, filled[-1]))
        symbol.volatility.load_bars(filled, now_ns)

    def _subscribe_deltas(self, instrument_id: Any) -> None:
        # Managed: the engine needs a book of its own to fill market orders and to mark positions.
        self._strategy.subscribe_book_deltas(
            instrument_id, BookType.L2_MBP, depth=self._book_depth, managed=True
        )

    # -- Backtests: the engine keeps the book -----------------------------------------------------------

    def listen(self, symbol: SymbolState, now_ns: int) -> None:
        """Subscribe to changes behind the touch while a requote is due before the next one-second timer.

        A timer is no alternative: every timer makes the simulated venue process orders in flight, which changes fills.
        A symbol whose book the strategy keeps receives every change anyway.
        """
        if not symbol.follows_touch:
            return
        is_wanted = symbol.needs_requote or symbol.next_requote_ns < self._timer.next_ns(now_ns)
        if is_wanted is symbol.hears_all:
            return
        symbol.hears_all = is_wanted
        if is_wanted:
            self._strategy.subscribe_book_deltas(symbol.instrument_id, BookType.L2_MBP)
        else:
            self._strategy.unsubscribe_book_deltas(symbol.instrument_id)

    def begin_gap(self, now_ns: int) -> None:
        """Pause the timers of the strategy and its actors if they cannot find anything new before the next book event.

        That is so once every symbol's book has been silent for long enough and nothing is left to do.
        """
        symbols = self._symbols.values()
        if any(symbol.book_guard.last_event_ns is not None for symbol in symbols) and all(
            symbol.is_at_rest(now_ns) for symbol in symbols
        ):
            self.is_in_gap = True
            self._timer.pause()
            for symbol in symbols:
                self.listen(symbol, now_ns)
            self._strategy.publish_message(EVENTS_TOPIC, MarketGap(is_over=False))

    def end_gap(self) -> None:
        """Resume the timers; call it before a book changes."""
        self.is_in_gap = False
        self._timer.resume()
        self._strategy.publish_message(EVENTS_TOPIC, MarketGap(is_over=True))

    def refuses(self, symbol: SymbolState, deltas: Any) -> bool:
        """Return whether a symbol's first book is market-by-order data, whose levels would hold one order each."""
        if not holds_single_orders(deltas):
            return False
        self._strategy.log.error(
            f"MM: {symbol.name} not quoting: its book must hold the total size of each level, was single orders "
            "with their ids (market-by-order data)"
        )
        return True

    def report_missing_book(self, symbol: SymbolState) -> None:
        """Log an error for a symbol that received no book in the whole backtest."""
        if not symbol.book_events and not self.is_live:
            self._strategy.log.error(
                f"MM: {symbol.name} never had a book: book_data must be the kind of book that the data holds "
                f"(deltas, depth or quotes), was {self._book_data}"
            )

    # -- Live feeds -------------------------------------------------------------------------------------

    def on_book(self, symbol: SymbolState, deltas: Any) -> None:
        """Record that a live feed cleared the book or sent a snapshot; warn if its timestamps go backward."""
        feed, tape = symbol.guards.feed, symbol.guards.tape
        if feed is None:
            return
        late_seconds = symbol.guards.backward_seconds(deltas.ts_event, deltas.ts_init)
        if late_seconds is not None:
            self._strategy.log.warning(
                f"MM: {symbol.name} has book events dated before earlier ones, this one by "
                f"{late_seconds:.1f} s: the venue's clock was ahead; events are applied in order of arrival"
            )
        if not deltas.is_snapshot:
            return
        if len(deltas.deltas) > 1:
            feed.on_snapshot(deltas.ts_init)
            if tape is not None:
                tape.begin(deltas.ts_init)
        else:
            feed.on_clear()
        symbol.needs_requote = True

    def counts_trade(self, symbol: SymbolState, trade: Any) -> bool:
        """Return whether a trade counts: old or repeated ones, as a venue sends after a reconnect, do not."""
        if symbol.guards.tape is not None:
            symbol.guards.tape.on_trade(trade.ts_init)
        if symbol.trades.takes(trade):
            for callback in symbol.on_trade_counted:
                callback(trade)
            return True
        if symbol.guards.old_trades.begins(trade.ts_init):
            self._log_old_trade(symbol, trade)
        return False

    def _log_old_trade(self, symbol: SymbolState, trade: Any) -> None:
        age_seconds = (trade.ts_init - trade.ts_event) / SECOND_NS
        self._strategy.log.warning(
            f"MM: {symbol.name} ignores trades that are too old or repeated; "
            f"this one is {age_seconds:.1f} s old"
        )

    def look(self, symbol: SymbolState, now_ns: int, *, may_resubscribe: bool) -> None:
        """Check once a second what no event shows: a clock that was set, data to resubscribe."""
        if not symbol.guards.is_clock_settled:
            # After the clock was set back, these times may lie hours ahead.
            symbol.closing.retry_ns = symbol.next_requote_ns = now_ns
        if not self.is_live or not may_resubscribe:
            return
        for data in symbol.guards.data_to_resubscribe(now_ns):
            self._strategy.log.warning(f"MM: {symbol.name} resubscribes to its {data}")
            for is_wanted in (False, True):
                request = FeedRequest(symbol.instrument_id, data, is_wanted)
                self._strategy.publish_message(COMMANDS_TOPIC, request)

    def on_change(self, change: FeedConnection | ClockState | VenueChange, now_ns: int) -> None:
        """Process a change of the connection, the clock or the venue's state."""
        match change:
            case FeedConnection(is_connected):
                self._on_connection(is_connected, now_ns)
            case ClockState():
                self._on_clock(change, now_ns)
            case VenueChange(states):
                self._on_venue(states, now_ns)

    def _on_connection(self, is_connected: bool, now_ns: int) -> None:
        """Distrust every book when the feed disconnects; wait for snapshots when it is back."""
        for symbol in self._symbols.values():
            feed, tape = symbol.guards.feed, symbol.guards.tape
            if feed is None:
                continue
            if is_connected:
                feed.on_connected()
                if tape is not None:
                    tape.on_connected(now_ns)
            else:
                feed.on_disconnected()

    def _on_clock(self, clock: ClockState, now_ns: int) -> None:
        """Pause quoting until the wall clock agrees with the monotonic clock again."""
        if clock.is_settled:
            self._strategy.log.warning("MM: the wall clock has settled")
        else:
            self._strategy.log.warning(f"MM: the wall clock was set by {clock.step_seconds:+.3f} s")
        for symbol in self._symbols.values():
            symbol.guards.is_clock_settled = clock.is_settled
            symbol.follow_clock()
            if clock.is_settled:
                symbol.guards.book.recover(now_ns)

    def _on_venue(self, states: Mapping[str, VenueState], now_ns: int) -> None:
        """Store what the venue accepts for each pair; a pair that opens again waits for `resume_after_seconds`."""
        for symbol in self._symbols.values():
            before, state = symbol.guards.venue, states.get(symbol.name, symbol.guards.venue)
            if state is before:
                continue
            self._strategy.log.warning(f"MM: {symbol.name} is {state} at the venue, was {before}")
            if state.takes_quotes and not before.takes_quotes:
                symbol.guards.book.recover(now_ns)
            symbol.guards.venue = state

    def on_request(self, request: FeedRequest) -> None:
        """Unsubscribe from data, or subscribe again."""
        instrument_id, strategy = request.instrument_id, self._strategy
        if instrument_id not in self._symbols:
            return
        if request.data is FeedData.BOOK and request.is_wanted:
            self._subscribe_deltas(instrument_id)
        elif request.data is FeedData.BOOK:
            strategy.unsubscribe_book_deltas(instrument_id)
        elif request.is_wanted:
            strategy.subscribe_trades(instrument_id)
        else:
            strategy.unsubscribe_trades(instrument_id)
