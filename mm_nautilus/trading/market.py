"""One symbol's market as its feed sends it: book, mid, volatility and trades, in ticks and lots."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model import AggressorSide, InstrumentId, Price, Quantity

from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.calibration.volatility import VolatilityEstimate
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.live_model import LiveModel
from mm_nautilus.pricing.trade_flow import TradeFlow
from mm_nautilus.risk.gate import SymbolGuards
from mm_nautilus.risk.limits import BookCondition
from mm_nautilus.trading.book import OwnBook, SizedBook, Touch, book_imbalance

__all__ = ["Market"]


class Market:
    """A symbol's market.

    Parameters
    ----------
    instrument
        The engine's instrument.
    spec
        The same as plain values.
    params
        The symbol's merged parameters.
    inputs
        What the quote model takes from a calibration, None where it takes nothing, or not yet.
    calibrated_volatility_pct
        One-minute volatility that a calibration measured, %; None where there is none.

    Attributes
    ----------
    guards
        What may keep the symbol from being quoted.
    model
        Its quote model, which may estimate its figures from this market.
    volatility
        One-minute volatility of the mid.
    mid_price
        The mid of the last sound book in quote currency, None before the first.
    follows_touch
        Whether the engine keeps the book.
    hears_all
        Whether changes behind the touch are heard of for the time being, where the engine keeps the book.
    """

    def __init__(
        self,
        instrument: Any,
        spec: InstrumentSpec,
        params: SymbolParams,
        inputs: ModelInputs | None,
        calibrated_volatility_pct: float | None = None,
    ) -> None:
        self.instrument_id: InstrumentId = instrument.id
        self.name, self.spec, self.params = spec.symbol, spec, params
        self.tick, self.lot = float(spec.price_increment), float(spec.size_increment)
        self.base_currency, self.quote_currency = instrument.base_currency, instrument.quote_currency
        self.margin_rate = float(instrument.margin_init)
        self._lot_raw = instrument.size_increment.raw
        self.guards = SymbolGuards(params)
        self.book_guard = self.guards.book
        self.model = LiveModel(params, inputs)
        self.book = self._make_book(instrument)
        self.flow = TradeFlow()
        self.volatility = VolatilityEstimate(params.volatility_lookback, calibrated_volatility_pct)
        self.mid_price: float | None = None
        self.book_events = 0
        self._cache: Any = None
        self._updates, self.follows_touch, self.hears_all = 0, False, False
        self._sound_ticks: tuple[int, int] | None = None
        self._call_after_ns: int | None = None
        self._callback: Callable[[int], None] = lambda _ns: None

    def _make_book(self, instrument: Any) -> OwnBook | SizedBook:
        """Return a book that reads sizes where something depends on them; reading them costs time."""
        tick_raw = instrument.price_increment.raw
        takes_sizes, rolling = self.params.fair_price != "mid", self.model.rolling
        if not takes_sizes and rolling is None:
            return OwnBook(instrument.id, tick_raw)
        record = None if rolling is None else self._record_touch
        return SizedBook(instrument.id, tick_raw, self._lot_raw, moves_with_size=takes_sizes, record=record)

    def _record_touch(self, ts_ns: int) -> None:
        """Keep a touch for the next estimate of the market's figures."""
        book, rolling = self.book, self.model.rolling
        if rolling is None:
            return
        if self.book_guard.last_event_ns is not None and self.book_guard.is_gap(ts_ns):
            rolling.begin_gap(self.book_guard.last_event_ns)
        if book.best_bid_ticks is None or book.best_ask_ticks is None:
            return
        if book.best_bid_ticks < book.best_ask_ticks:
            rolling.add_touch(ts_ns, book.best_bid_ticks, book.best_ask_ticks, *book.sizes)

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
        """Best bid and best ask in quote currency, None unless the book is sound."""
        if self.book_guard.condition is not BookCondition.SOUND:
            return None
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        return (bid * self.tick, ask * self.tick)  # type: ignore[operator]

    def _follow_touch(self, ts_ns: int) -> tuple[float, float] | None:
        """Follow mid and volatility after a change of the touch; return the touch as `touch` does."""
        touch = self.touch
        if touch is not None:
            self._sound_ticks = (self.book.best_bid_ticks, self.book.best_ask_ticks)  # type: ignore[assignment]
            self.mid_price = 0.5 * (touch[0] + touch[1])
            self.volatility.update(ts_ns, self.mid_price)
        return touch

    def follow_touch(self, cache: Any) -> None:
        """Let the engine keep the book, which reports what changes at the touch; the rest is in its cache."""
        self._cache, self.follows_touch = cache, True

    @property
    def last_event_ns(self) -> int | None:
        """Time of the book's last event, nanoseconds since the epoch; None before the first."""
        return self.book_guard.last_event_ns

    def _one_sided_touch(self) -> tuple[Price | None, Quantity | None, Price | None, Quantity | None]:
        book = self._cache.order_book(self.instrument_id)
        return book.best_bid_price(), book.best_bid_size(), book.best_ask_price(), book.best_ask_size()

    def look_at_book(self, now_ns: int) -> bool:
        """Look for what no quote has reported of the engine's book; return whether it is to be followed as an event.

        A quote is made only of a book with two sides, and not of changes behind the touch. The last of those is taken
        to have come now: the book has the venue's times alone. It is an event where the touch is another one, or where
        the book was stale, which has to recover then.
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

    def is_gap(self, now_ns: int) -> bool:
        """Return whether no book event has come for longer than a gap takes."""
        return self.book_guard.is_gap(now_ns)

    def imbalance(self) -> float | None:
        """Return the imbalance of the ten best levels, in [-1, 1]; None unless the book is sound.

        Where the feed has best quotes alone it is that of the two sizes.
        """
        if self.touch is None:
            return None
        if self.follows_touch:
            return book_imbalance(self._cache.order_book(self.instrument_id))
        return self.book.imbalance()

    @property
    def takes_trades(self) -> bool:
        """Whether anything here depends on the trade tape."""
        by_signal = self.params.quoting == "signal" and self.params.use_trade_flow
        return by_signal or self.model.rolling is not None

    def add_trade(self, trade: Any) -> None:
        """Add a trade to the tape; one without a known taker is left out."""
        if trade.aggressor_side == AggressorSide.NO_AGGRESSOR:
            return
        is_buy = trade.aggressor_side == AggressorSide.BUY
        self.flow.add(float(trade.size), is_buy=is_buy)
        if self.model.rolling is not None:
            price, size = self.ticks(trade.price), self.lots(trade.size)
            self.model.rolling.add_trade(trade.ts_event, trade.ts_init, price, size, is_buy=is_buy)

    @property
    def last_mid(self) -> Decimal | None:
        """The exact mid of the last sound book in quote currency, None before the first."""
        if self._sound_ticks is None:
            return None
        return sum(self._sound_ticks) * self.spec.price_increment / 2

    def last_mid_price(self) -> Price:
        """Return `last_mid` as the engine's price: half a tick needs one digit more than the instrument's prices."""
        return Price.from_decimal_dp(self.last_mid or Decimal(0), self.spec.price_precision + 1)

    def call_before_next_touch(self, after_ns: int | None, callback: Callable[[int], None]) -> None:
        """Have `callback` called with the time of the first change of the touch after a moment, ahead of the change.

        The mid that was in force at that moment can be read then. A timer would do as well, but every timer makes the
        simulated venue process what is in flight, and so changes the run that it was to observe.

        Parameters
        ----------
        after_ns
            The moment, nanoseconds since the epoch; None calls it no more.
        callback
            What to call.
        """
        self._call_after_ns, self._callback = after_ns, callback
