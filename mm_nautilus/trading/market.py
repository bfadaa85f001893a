"""One symbol's market data: book, mid price, volatility and trades, in ticks and lots."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.model import AggressorSide, InstrumentId, OwnOrderBook, Price, Quantity

from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.calibration.volatility import VolatilityEstimate
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.live_model import LiveModel
from mm_nautilus.pricing.moods import TrendFilter
from mm_nautilus.pricing.trade_flow import TradeFlow
from mm_nautilus.risk.gate import SymbolGuards
from mm_nautilus.trading.book import LocalBook, OthersBook, SizedBook, Touch, book_imbalance
from mm_nautilus.trading.instruments import base_currency


class Market:
    """A symbol's market.

    Parameters
    ----------
    inputs
        Calibrated inputs of the quote model, None if it takes none or they are not estimated yet.
    own_orders
        Returns the engine's book of own orders, None before the first order; given only if they are to be taken out of
        the venue's book.

    Attributes
    ----------
    model
        The quote model; it may recalibrate itself from this market.
    volatility
        One-minute volatility of the mid.
    trend
        Its trend filter, None without one.
    mid_price
        Mid price of the last valid book, in quote currency; None before the first.
    follows_touch
        Whether the engine keeps the book and reports only changes at the touch.
    others
        The book if own orders are taken out of it, else None.
    hears_all
        Whether changes behind the touch are subscribed to as well, if the engine keeps the book.
    """

    def __init__(
        self,
        instrument: Any,
        spec: InstrumentSpec,
        params: SymbolParams,
        inputs: ModelInputs | None,
        *,
        calibrated_volatility_pct: float | None,
        own_orders: Callable[[], OwnOrderBook | None] | None,
    ) -> None:
        self.instrument_id: InstrumentId = instrument.id
        self.name, self.spec, self.params = spec.symbol, spec, params
        self.tick, self.lot = float(spec.price_increment), float(spec.size_increment)
        self.base_currency, self.quote_currency = base_currency(instrument), instrument.quote_currency
        self.margin_rate = float(instrument.margin_init)
        self._lot_raw = instrument.size_increment.raw
        self.guards = SymbolGuards(params)
        self.book_guard = self.guards.book
        self.model = LiveModel(params, inputs)
        self.book = self._make_book(instrument, own_orders)
        self.others = self.book if isinstance(self.book, OthersBook) else None
        self.flow = TradeFlow()
        self.volatility = VolatilityEstimate(params.volatility_lookback, calibrated_volatility_pct)
        self.trend = (
            None
            if params.trend_threshold_bps is None
            else TrendFilter(
                params.trend_threshold_bps, params.trend_window_seconds, params.trend_confirmations
            )
        )
        self.mid_price: float | None = None
        self.book_events = 0
        self._cache: Any = None
        self._updates, self.follows_touch, self.hears_all = 0, False, False
        self._sound_ticks: tuple[int, int] | None = None
        self._call_after_ns: int | None = None
        self._callback: Callable[[int], None] = lambda _ns: None

    def _make_book(
        self, instrument: Any, own_orders: Callable[[], OwnOrderBook | None] | None
    ) -> LocalBook | SizedBook:
        """Return a book that reads sizes only if the configuration needs them, because reading them costs time."""
        tick_raw = instrument.price_increment.raw
        takes_sizes, rolling = self.params.fair_price != "mid", self.model.rolling
        if not takes_sizes and rolling is None and own_orders is None:
            return LocalBook(instrument.id, tick_raw)
        record = None if rolling is None else self._record_touch
        options: Any = {"moves_with_size": takes_sizes, "record": record}
        if own_orders is None:
            return SizedBook(instrument.id, tick_raw, self._lot_raw, **options)
        return OthersBook(instrument.id, tick_raw, self._lot_raw, own_orders=own_orders, **options)

    def _record_touch(self, ts_ns: int) -> None:
        """Store the touch as an observation for the next recalibration."""
        book, rolling = self.book, self.model.rolling
        if rolling is None:
            return
        if self.book_guard.last_event_ns is not None and self.book_guard.is_gap(ts_ns):
            rolling.begin_gap(self.book_guard.last_event_ns)
        if book.best_bid_ticks is None or book.best_ask_ticks is None:
            return
        if book.best_bid_ticks < book.best_ask_ticks:
            rolling.add_touch(ts_ns, book.best_bid_ticks, book.best_ask_ticks, *book.sizes)

    def charge(self, fees: Mapping[str, float]) -> None:
        """Price quotes with other fees from now on, ``maker_fee_pct`` or ``taker_fee_pct``."""
        self.params = self.params.model_copy(update=fees)
        self.model.use(self.params)

    # -- Conversions ------------------------------------------------------------------------------------

    def price(self, ticks: int) -> Price:
        """Return whole ticks as the engine's price."""
        return Price(ticks * self.tick, self.spec.price_precision)

    def quantity(self, lots: int) -> Quantity:
        """Return whole lots as the engine's quantity."""
        return Quantity(lots * self.lot, self.spec.size_precision)

    def ticks(self, price: Price) -> int:
        """Return an engine's price as whole ticks."""
        return round(float(price) / self.tick)

    def lots(self, quantity: Quantity) -> int:
        """Return an engine's quantity as whole lots."""
        lots: int = quantity.raw // self._lot_raw
        return lots

    # -- Market -----------------------------------------------------------------------------------------

    @property
    def touch(self) -> tuple[float, float] | None:
        """Best bid and best ask in quote currency, None if the book is empty, one-sided or crossed."""
        if self.book_guard.touch_defect is not None:
            return None
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        return (bid * self.tick, ask * self.tick)  # type: ignore[operator]

    def _follow_touch(self, ts_ns: int) -> tuple[float, float] | None:
        """Update mid price and volatility after a change of the touch, and return the touch as `touch` does."""
        touch = self.touch
        if touch is not None:
            self._sound_ticks = (self.book.best_bid_ticks, self.book.best_ask_ticks)  # type: ignore[assignment]
            self.mid_price = 0.5 * (touch[0] + touch[1])
            self.volatility.update(ts_ns, self.mid_price)
            if self.trend is not None:
                self.trend.update(ts_ns, self.mid_price)
        return touch

    def follow_touch(self, cache: Any) -> None:
        """Let the engine keep the book: it reports changes at the touch, and depth is read from its cache."""
        self._cache, self.follows_touch = cache, True

    def _one_sided_touch(self) -> tuple[Price | None, Quantity | None, Price | None, Quantity | None]:
        book = self._cache.order_book(self.instrument_id)
        return book.best_bid_price(), book.best_bid_size(), book.best_ask_price(), book.best_ask_size()

    def look_at_book(self, now_ns: int) -> bool:
        """Check the engine's book for changes that no quote reported; return whether to process one as an event.

        The engine publishes no quote for a one-sided book or for a change behind the touch. Such a change is dated
        now, because the book knows the venue's times only. It counts as an event if the touch differs from the last
        one, or if the book was stale and has to recover.
        """
        updates = self._cache.book_update_count(self.instrument_id)
        if updates == self._updates:
            return False
        self._updates = updates
        guard, was_stale = self.book_guard, self.book_guard.is_stale(now_ns)
        touch = Touch(*(self._cache.top_of_book(self.instrument_id) or self._one_sided_touch()))
        if self.book.is_at(touch.bid_price, touch.ask_price) and not was_stale:
            if guard.last_event_ns is not None:
                guard.last_event_ns = now_ns
            return False
        self.book.apply_quote(touch)
        return True

    def imbalance(self) -> float | None:
        """Return the imbalance of the ten best levels, in [-1, 1]; None if the book is not valid.

        A feed of best quotes has one level a side.
        """
        if self.touch is None:
            return None
        if self.follows_touch:
            return book_imbalance(self._cache.order_book(self.instrument_id))
        return self.book.imbalance()

    @property
    def takes_trades(self) -> bool:
        """Whether the configuration uses trades."""
        by_signal = self.params.quoting == "signal" and self.params.use_trade_flow
        return by_signal or self.model.rolling is not None

    def add_trade(self, trade: Any) -> None:
        """Add a trade to trade flow and recalibration; a trade of unknown aggressor is left out."""
        if trade.aggressor_side == AggressorSide.NO_AGGRESSOR:
            return
        is_buy = trade.aggressor_side == AggressorSide.BUY
        self.flow.add(float(trade.size), is_buy=is_buy)
        if self.model.rolling is not None:
            price, size = self.ticks(trade.price), self.lots(trade.size)
            self.model.rolling.add_trade(trade.ts_event, trade.ts_init, price, size, is_buy=is_buy)

    @property
    def last_mid(self) -> Decimal | None:
        """The exact mid price of the last valid book, in quote currency; None before the first."""
        if self._sound_ticks is None:
            return None
        return sum(self._sound_ticks) * self.spec.price_increment / 2

    def last_mid_price(self) -> Price:
        """Return `last_mid` as the engine's price, with one more digit than the instrument's for half a tick."""
        return Price.from_decimal_dp(self.last_mid or Decimal(0), self.spec.price_precision + 1)

    def call_before_next_touch(self, after_ns: int | None, callback: Callable[[int], None]) -> None:
        """Call `callback` just before the first change of the touch after a time, with the time of that change.

        The callback can read the mid price that was in force at `after_ns`. A timer is no alternative: every timer
        makes the simulated venue process orders in flight, which changes fills.

        Parameters
        ----------
        after_ns
            Nanoseconds since the epoch; None removes the callback.
        callback
            Takes the time of the change, nanoseconds since the epoch.
        """
        self._call_after_ns, self._callback = after_ns, callback
