"""Read access to a symbol for other components: current values, and changes of its quotes."""

from collections.abc import Callable
from typing import Any

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.state import GuardState, guard_state
from mm_nautilus.trading.closing import Closing
from mm_nautilus.trading.market import Market
from mm_nautilus.trading.messages import MarketSample, QuoteState
from mm_nautilus.trading.position import Position
from mm_nautilus.trading.tape import TradeFilter
from mm_nautilus.trading.working_order import Grounds, OrderCounts, QuoteSide


class SymbolViews(Market):
    """Views of a `SymbolState`, which sets the attributes they read."""

    position: Position
    closing: Closing
    trades: TradeFilter
    counts: OrderCounts
    bid: QuoteSide
    ask: QuoteSide
    sides: tuple[QuoteSide, ...]
    reservation_price: float | None
    cap_lots: int | None
    on_quotes_changed: list[Callable[[QuoteState], None]]
    on_trade_counted: list[Callable[[Any], None]]
    _reported_ns: int
    _count_due_ns: float
    _before_count: Callable[[int], None]

    def current_reservation_price(self) -> float | None:
        """Return the reservation price at the current book and position; the mid if the model has none."""
        raise NotImplementedError

    @property
    def warnings(self) -> list[str]:
        """Warnings about exits and about fills by old or repeated trades."""
        return self.closing.warnings + self.trades.warnings

    def grounds(self, price_ticks: int | None, size_lots: int, now_ns: int) -> Grounds:
        """Return the inputs of an order command sent now for a total size; a market order has no target price."""
        is_sound = self.book_guard.touch_defect is None
        by_signal = self.params.quoting == "signal"
        entry, decided = self.position.entry, self.position.exit
        return Grounds(
            now_ns,
            price_ticks,
            size_lots,
            self.book.best_bid_ticks if is_sound else None,
            self.book.best_ask_ticks if is_sound else None,
            self.mid_price,
            self.reservation_price,
            self.position.lots,
            self.cap_lots,
            None if entry is None else entry.entry_price,
            None if entry is None else entry.trailing_stop(self.params),
            self.volatility.volatility_pct,
            self.book.imbalance() if by_signal else None,
            self.flow.value if by_signal and self.params.use_trade_flow else None,
            None if decided is None else decided.trigger_price,
        )

    def count_at(self, now_ns: int) -> OrderCounts:
        """Return the counts, to add something that happens now; who asked is called before."""
        if now_ns >= self._count_due_ns:
            self._before_count(now_ns)
        return self.counts

    def call_before_count(self, due_ns: int, callback: Callable[[int], None]) -> None:
        """Call `callback` before anything that happens at `due_ns` or later is counted, with the time it happens.

        It is called before each such count until this is called again. A timer is no alternative, see
        `call_before_next_touch`.
        """
        self._count_due_ns, self._before_count = due_ns, callback

    def sample(self) -> MarketSample:
        """Return the current market, position and reservation price."""
        return self.grounds(None, 0, 0).market(self.spec)

    def report_ns(self, now_ns: int) -> int:
        """Return the time to report for a change of quotes; it never goes backward.

        A book event that waited in a queue is older than the timer event processed before it.
        """
        self._reported_ns = max(self._reported_ns, now_ns)
        return self._reported_ns

    def follow_clock(self) -> None:
        """Let the next reported time be earlier than the last one: the wall clock was set."""
        self._reported_ns = 0

    def quote_state(self, now_ns: int, level: int = 1) -> QuoteState:
        """Return the working orders of a level, 1 for the nearest, and the reasons for missing ones."""
        bid, ask = self.sides[2 * level - 2 : 2 * level]
        best_bid, best_ask = self.touch or (None, None)
        digits = self.spec.price_precision
        return QuoteState(
            self.report_ns(now_ns),
            self.instrument_id,
            *self._resting(bid),
            *self._resting(ask),
            bid.stats.current,
            ask.stats.current,
            self.reservation_price,
            level,
            None if best_bid is None else round(best_bid, digits),
            None if best_ask is None else round(best_ask, digits),
        )

    def _resting(self, side: QuoteSide) -> tuple[float | None, float | None]:
        """Return price and open size of a side's order at the venue, None for both without one."""
        order = side.order
        if order is None or not order.is_resting:
            return None, None
        price = round(order.resting.price_ticks * self.tick, self.spec.price_precision)
        return price, round(order.resting.size_lots * self.lot, self.spec.size_precision)

    def publish_quotes(self, now_ns: int, *, force: bool = False) -> None:
        """Publish the quotes to the listeners if they have changed, or always with `force`."""
        sides = self.sides
        for index in range(0, len(sides), 2):
            bid, ask = sides[index], sides[index + 1]
            if bid.has_changed or ask.has_changed or force:
                bid.has_changed = ask.has_changed = False
                if self.on_quotes_changed:
                    state = self.quote_state(now_ns, bid.level + 1)
                    for callback in self.on_quotes_changed:
                        callback(state)

    @property
    def is_halted(self) -> bool:
        """Whether the symbol is halted until a resume command."""
        return self.guards.halt is not None

    def guard_state(self, now_ns: int) -> GuardState:
        """Return what the symbol is doing and why."""
        bid, ask = self.bid.stats.current, self.ask.stats.current
        if self.book_guard.last_event_ns is None:
            bid = ask = bid or NotQuoting.NO_BOOK
        return guard_state(self.guards.halt, bid, ask, self.book_guard.age_seconds(now_ns))

    @property
    def indicators(self) -> dict[str, float | int | None]:
        """v1.4.0's indicators, computed when they are read.

        ``reservation_price`` (or mid) and ``trailing_stop_price`` in quote currency, one-minute ``volatility_pct``,
        ``imbalance`` of the book and ``trade_flow`` in [-1, 1], ``pnl_symbol``, realised net of fees in quote currency,
        and ``trades_symbol``. A value is None if it does not exist yet: a stop that is not armed, a volatility before
        its first estimate, the imbalance of an invalid book, trade flow if the configuration uses no trades.
        """
        volatility = self.volatility
        return {
            "reservation_price": self.current_reservation_price(),
            "trailing_stop_price": self.trailing_stop_price,
            "volatility_pct": volatility.volatility_pct if volatility.is_known else None,
            "imbalance": self.imbalance(),
            "trade_flow": self.flow.value if self.takes_trades else None,
            "pnl_symbol": float(self.position.realized),
            "trades_symbol": self.counts.trades,
        }

    @property
    def trailing_stop_price(self) -> float | None:
        """The trailing stop in quote currency, None while it is off or not armed."""
        entry = self.position.entry
        return None if entry is None else entry.trailing_stop(self.params)
