"""One symbol: its market, its position, and what it wants to quote; it sends nothing itself."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Self

from nautilus_trader.model import (
    AggressorSide,
    InstrumentId,
    LiquiditySide,
    PositionSide,
    Price,
    Quantity,
)

from mm_nautilus.calibration.figures import SymbolCalibration
from mm_nautilus.calibration.market_figures import MarketFigures
from mm_nautilus.calibration.volatility import MINUTE_NS, MinuteCloses
from mm_nautilus.config.amount import Amount
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.exits import ExitReason, exit_alerts
from mm_nautilus.pricing.fair_price import fair_price_ticks
from mm_nautilus.pricing.live_model import LiveModel
from mm_nautilus.pricing.no_action_band import NoActionBand, no_action_band
from mm_nautilus.pricing.quote_model import QuoteFigures, QuoteModel, quote_figures
from mm_nautilus.pricing.quotes import (
    NotQuoting,
    Quote,
    QuoteInputs,
    QuotePlan,
    SizeLimits,
    plan_quotes,
    reservation_price_at,
    signal_sides,
)
from mm_nautilus.pricing.trade_flow import TradeFlow
from mm_nautilus.risk.gate import SymbolGuards
from mm_nautilus.risk.limits import SECOND_NS, BookCondition, LogThrottle, book_condition
from mm_nautilus.risk.state import GuardState, guard_state
from mm_nautilus.trading.book import OwnBook, SizedBook
from mm_nautilus.trading.messages import MarketSample, QuoteState
from mm_nautilus.trading.position import Position
from mm_nautilus.trading.tape import TradeFilter
from mm_nautilus.trading.working_order import Grounds, QuoteSide

__all__ = ["SymbolState"]


class _Size(NamedTuple):
    """An amount of the configuration, ready for reckoning in floats."""

    value: float
    currency: str

    @classmethod
    def of(cls, amount: Amount) -> Self:
        """Return an amount, its digits made binary once and for all."""
        return cls(float(amount.value), amount.currency)


class _Sizes:
    """A full quote, the cap and the target; and the cap in full quotes where one currency makes that a constant."""

    def __init__(self, params: SymbolParams, report_currency: str) -> None:
        full, cap = params.size(report_currency), params.inventory_cap(report_currency)
        self.full, self.cap = _Size.of(full), _Size.of(cap)
        self.target = _Size.of(params.target(report_currency))
        self.quotes_at_cap = float(cap.value / full.value) if full.currency == cap.currency else None

    @property
    def currencies(self) -> set[str]:
        """The currencies of the amounts that count."""
        return {size.currency for size in (self.full, self.cap, self.target) if size.value}


@dataclass(slots=True)
class OrderCounts:
    """What was sent and received for a symbol.

    Attributes
    ----------
    placed, amended, cancelled
        Order commands sent.
    fills, maker_fills
        Executions, and those of them that provided liquidity.
    rejected, denied
        Orders and amends refused by the venue, and by the engine's own risk checks.
    exits_refused
        Those of the refused orders that were to close the position.
    old_trades, repeated_trades
        Trades left out because they were too old when they came, or had come before.
    phantom_fills
        Executions by such trades, which the simulated venue takes for new ones.
    """

    placed: int = 0
    amended: int = 0
    cancelled: int = 0
    fills: int = 0
    maker_fills: int = 0
    rejected: int = 0
    denied: int = 0
    exits_refused: int = 0
    old_trades: int = 0
    repeated_trades: int = 0
    phantom_fills: int = 0


def _order_limits(spec: InstrumentSpec) -> tuple[tuple[int, float], tuple[float, float]]:
    """Return the venue's smallest and its largest order: each in lots, and as a value in ticks times lots."""
    unit = spec.price_increment * spec.size_increment
    least = max(1, math.ceil((spec.min_quantity or 0) / spec.size_increment))
    most = math.inf if spec.max_quantity is None else spec.max_quantity // spec.size_increment
    most_value = math.inf if spec.max_notional is None else spec.max_notional / unit
    return (least, float((spec.min_notional or 0) / unit)), (float(most), float(most_value))


class SymbolState:
    """Everything the strategy knows of one symbol.

    Parameters
    ----------
    instrument
        The engine's instrument.
    spec
        The same as plain values.
    params
        The symbol's merged parameters.
    report_currency
        Currency of bare amounts.
    rate
        Value of one unit of a currency in another one, None while unknown.
    market
        What the quote model takes from a calibration, None where it takes nothing, or not yet.
    calibration
        What was measured of the symbol, None where nothing was.

    Attributes
    ----------
    position
        Its position since the start.
    guards, pause
        What may keep the symbol from being quoted, and why neither side is to be quoted as of the last `check_risk`.
    needs_requote, next_requote_ns
        Whether quotes have to be planned at the next event, and from when on at any event.
    exit_refusal
        Why the last exit was refused, empty where none was.
    kept_for
        Why the strategy stopped with a position that it was to close, empty where it did not.
    has_plan
        Whether both sides' targets are what would be planned now.
    """

    def __init__(
        self,
        instrument: Any,
        spec: InstrumentSpec,
        params: SymbolParams,
        report_currency: str,
        rate: Callable[[str, str], float | None],
        *,
        market: MarketFigures | None = None,
        calibration: SymbolCalibration | None = None,
    ) -> None:
        self.instrument_id: InstrumentId = instrument.id
        self.name, self.spec, self.params = spec.symbol, spec, params
        self.tick, self.lot = float(spec.price_increment), float(spec.size_increment)
        self.base_currency, self.quote_currency = instrument.base_currency, instrument.quote_currency
        self.margin_rate = float(instrument.margin_init)
        self._lot_raw = instrument.size_increment.raw
        self._rate = rate
        self._calibration = calibration
        # Market
        self.model = LiveModel(params, market)
        self.book = self._make_book(instrument)
        self.flow = TradeFlow()
        self.closes = MinuteCloses(params.volatility_lookback)
        self.mid_price: float | None = None
        self.reservation_price: float | None = None
        self.figures: QuoteFigures | None = None
        self._figures_are_assumed = True
        self._sound_ticks: tuple[int, int] | None = None
        self.book_events = 0
        # Position
        self.position = Position(instrument.quote_currency.precision)
        self.flatten: ExitReason | None = None
        self.exit_order_id: Any = None
        self.exit_retry_ns = 0
        self.exit_refusal, self.exit_refusal_log = "", LogThrottle(MINUTE_NS)
        self.kept_for = ""
        self.last_filled_order = ""
        # Quotes
        self.guards = SymbolGuards(params)
        self.book_guard, self.drawdown = self.guards.book, self.guards.drawdown
        self.pause: NotQuoting | None = None
        self.bid, self.ask = QuoteSide(is_bid=True), QuoteSide(is_bid=False)
        self.counts = OrderCounts()
        self.trades = TradeFilter(self.guards, self.counts)
        self.cap_lots: int | None = None
        self.needs_requote, self.next_requote_ns, self._reported_ns = True, 0, 0
        self.has_plan = False
        self.on_quotes_changed: list[Callable[[QuoteState], None]] = []
        self._sizes = _Sizes(params, report_currency)
        self._least, self._most = _order_limits(spec)
        self._has_band = self._may_have_band()
        self._band: NoActionBand | None = None
        self._exit_alerts = (-math.inf, math.inf)
        self._planned: tuple[QuoteInputs, QuoteModel, QuotePlan] | None = None
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

    def _may_have_band(self) -> bool:
        """Return whether quotes follow from the symbol's own mid and position alone."""
        params, sizes = self.params, self._sizes
        own = {self.spec.base, self.spec.quote}
        return (
            params.quoting == "two_sided"
            and params.entry_order == "maker"
            and isinstance(self.book, OwnBook)
            and not isinstance(self.book, SizedBook)
            and sizes.quotes_at_cap is not None
            and sizes.currencies <= own
        )

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

    def _lots_of(self, amount: _Size) -> int | None:
        """Return an amount of any currency as whole lots, rounded towards zero."""
        value = amount.value
        if amount.currency != self.spec.base:
            rate = (
                self.mid_price
                if amount.currency == self.spec.quote
                else self._rate(self.spec.base, amount.currency)
            )
            if not rate:
                return None
            value /= rate
        lots = math.floor(abs(value) / self.lot + 1e-9)
        return lots if value >= 0 else -lots

    # -- Market -----------------------------------------------------------------------------------------

    @property
    def touch(self) -> tuple[float, float] | None:
        """Best bid and best ask in quote currency, None unless the book is sound."""
        if self.book_guard.condition is not BookCondition.SOUND:
            return None
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        return (bid * self.tick, ask * self.tick)  # type: ignore[operator]

    def on_book(self, ts_ns: int) -> bool:
        """Take the book's touch in after an event, and return whether an order may have to move.

        An event that leaves the touch alone, or within the band in which nothing can follow, costs next to nothing.
        """
        self.book_events += 1
        guard = self.book_guard
        is_due = self.needs_requote or ts_ns >= self.next_requote_ns or guard.is_stale(ts_ns)
        if not self.book.read() and not is_due:
            guard.last_event_ns = ts_ns
            return False
        if self._call_after_ns is not None and ts_ns > self._call_after_ns:
            self._callback(ts_ns)
        self.has_plan = False
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        band = self._band
        if is_due or band is None or bid is None or ask is None or bid >= ask:
            if guard.is_gap(ts_ns):
                self.closes.begin_anew()
                self._record_touch(ts_ns)
            guard.on_event(ts_ns, book_condition(bid, ask))
            self._follow_touch(ts_ns)
            return True
        guard.last_event_ns = ts_ns
        price = self._follow_touch(ts_ns)
        lowest, highest = self._exit_alerts
        return not (
            band.lowest_sum <= bid + ask <= band.highest_sum
            and ask > band.ask_above
            and bid < band.bid_below
            and lowest < price < highest
        )

    def _follow_touch(self, ts_ns: int) -> float:
        """Follow mid, minute closes and the position's extremes; return the price one could exit at, 0 if flat."""
        touch = self.touch
        if touch is None:
            return 0.0
        self._sound_ticks = (self.book.best_bid_ticks, self.book.best_ask_ticks)  # type: ignore[assignment]
        self.mid_price = 0.5 * (touch[0] + touch[1])
        self.closes.update(ts_ns, self.mid_price)
        entry = self.position.entry
        return 0.0 if entry is None else entry.observe(*touch)

    @property
    def last_event_ns(self) -> int | None:
        """Time of the book's last event, nanoseconds since the epoch; None before the first."""
        return self.book_guard.last_event_ns

    def is_gap(self, now_ns: int) -> bool:
        """Return whether no book event has come for longer than a gap takes."""
        return self.book_guard.is_gap(now_ns)

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

    # -- Position ---------------------------------------------------------------------------------------

    def hold_position(self, portfolio: Any, now_ns: int) -> None:
        """Take the engine's net position over, in whole lots."""
        lots: int = round(portfolio.net_position(self.instrument_id) / self.spec.size_increment)
        self.position.hold(lots, now_ns)

    def average_inventory(self, now_ns: int) -> float:
        """Return the time-weighted mean of the absolute position, in base currency."""
        return self.position.average_lots(now_ns) * self.lot

    def follow_position(self, event: Any) -> None:
        """Follow the entry of the position after an execution, as its position event tells."""
        lots = 0 if event.side == PositionSide.FLAT else self.lots(event.quantity)
        last_price = float(event.last_px)
        smallest = self.min_lots_at(self._exit_ticks or round(last_price / self.tick))
        self.position.follow(
            "long" if event.side == PositionSide.LONG else "short",
            event.avg_px_open,
            lots,
            last_price,
            smallest,
        )

    def count_fill(self, event: Any) -> None:
        """Count one execution."""
        self.last_filled_order = event.client_order_id.value
        is_maker = event.liquidity_side == LiquiditySide.MAKER
        self.counts.fills += 1
        self.counts.maker_fills += is_maker
        self.counts.phantom_fills += is_maker and self.trades.is_phantom(event)

    def inventory_cap_value(self) -> float | None:
        """Return the cap on the position in quote currency: what the symbol's drawdown is a share of."""
        lots = self._lots_of(self._sizes.cap)
        return None if lots is None or self.mid_price is None else lots * self.lot * self.mid_price

    @property
    def order_limits(self) -> SizeLimits:
        """The venue's smallest and largest order."""
        return SizeLimits(0, 0, *self._least, 0, *self._most)

    def min_lots_at(self, price_ticks: int) -> int:
        """Return the venue's smallest order at a price, in lots."""
        return self.order_limits.min_lots_at(price_ticks)

    def exit_piece(self, lots: int) -> int:
        """Return how many of the lots that are to be closed the first order takes, at the dearer side of the book."""
        return self.order_limits.piece_of(lots, self.book.best_ask_ticks or self.book.best_bid_ticks or 1)

    @property
    def _exit_ticks(self) -> int | None:
        return self.book.best_ask_ticks if self.position.lots < 0 else self.book.best_bid_ticks

    @property
    def least_exit_lots(self) -> int:
        """The smallest exit the venue takes at the touch, in lots."""
        return self.min_lots_at(self._exit_ticks or 1)

    @property
    def is_closable(self) -> bool:
        """Whether there is a touch to exit at and the position is no smaller than the venue's smallest order."""
        return self._exit_ticks is not None and abs(self.position.lots) >= self.least_exit_lots

    @property
    def fee_share(self) -> float:
        """The higher of the two fees as a share of value, for reckoning what a buy may cost."""
        return max(0.0, self.params.maker_fee_pct or 0.0, self.params.taker_fee_pct or 0.0) / 100.0

    # -- Quotes -----------------------------------------------------------------------------------------

    def check_risk(self, now_ns: int) -> bool:
        """Ask the guards, and return whether there is something new to report of a pause."""
        self.pause = self.guards.reason(now_ns)
        return self.pause is not self.guards.reported

    def plan(self, now_ns: int) -> None:
        """Plan both sides' quotes, or say why a side has none; the guards have been asked."""
        self.reservation_price = self._planned = self._band = None
        bid, ask = self._targets(now_ns)
        self.bid.target, self.ask.target = (
            self._timed(self.bid, bid, now_ns),
            self._timed(self.ask, ask, now_ns),
        )
        self.has_plan = self._planned is not None

    def _targets(self, now_ns: int) -> tuple[Quote | NotQuoting, Quote | NotQuoting]:
        if self.pause is not None:
            return self.pause, self.pause
        if self.position.exit is not None:
            return NotQuoting.EXITING, NotQuoting.EXITING
        limits = self.size_limits()
        if limits is None:
            self.next_requote_ns = now_ns  # Another pair's book brings the rate, not an event of this one.
            return NotQuoting.NO_CONVERSION_RATE, NotQuoting.NO_CONVERSION_RATE
        self.cap_lots = limits.cap_lots
        model = self._present_model(limits)
        if isinstance(model, NotQuoting):
            return model, model
        inputs = self._inputs(limits)
        plan = plan_quotes(self.params, inputs, model)
        self._planned = (inputs, model, plan)
        self.reservation_price = plan.reservation_price
        if self.params.quoting == "signal":
            return self._signalled(plan)
        return plan.bid, plan.ask

    def keep_band(self) -> None:
        """Note how far the touch may move before an order has to; after the plan has been carried out."""
        self._band = None
        if not self._has_band or self._planned is None:
            return
        standing = (
            (side.working or side.stats.current) if side.is_settled else None for side in (self.bid, self.ask)
        )
        self._band = no_action_band(self.params, *self._planned, *standing)
        entry = self.position.entry
        self._exit_alerts = (-math.inf, math.inf) if entry is None else exit_alerts(entry, self.params)

    def forget_plan(self) -> None:
        """Take back what was planned: the sides are to have no orders."""
        self.has_plan, self._planned, self._band = False, None, None

    def keeps_plan(self, side: QuoteSide, now_ns: int) -> bool:
        """Return whether the last plan still holds for a side that has been confirmed, and set its target by it.

        The other side must have nothing to do: one that waits for a balance is tried again at every event.
        """
        planned = self._planned
        other = self.ask if side.is_bid else self.bid
        is_waiting = other.order is None and isinstance(other.target, Quote)
        if (
            planned is None
            or not self.has_plan
            or is_waiting
            or self.is_halted
            or self.needs_attention(now_ns)
        ):
            return False
        side.target = self._timed(side, planned[2].bid if side.is_bid else planned[2].ask, now_ns)
        return True

    def _inputs(self, limits: SizeLimits) -> QuoteInputs:
        bid, ask = self.book.best_bid_ticks or 0, self.book.best_ask_ticks or 0
        return QuoteInputs(bid, ask, self._fair_ticks(bid, ask), self.tick, self.position.lots, limits)

    def _fair_ticks(self, bid_ticks: int, ask_ticks: int) -> float:
        """Return what quotes are centred on before inventory moves them, in ticks."""
        table = None if self._calibration is None else self._calibration.microprice
        return fair_price_ticks(self.params.fair_price, bid_ticks, ask_ticks, self.book.sizes, table)

    def _present_model(self, limits: SizeLimits) -> QuoteModel | NotQuoting:
        """Return the quote model at the present volatility, or why there is none."""
        if self.model.is_waiting:
            return NotQuoting.WARMING_UP
        quotes_at_cap = self._quotes_at_cap(limits)
        if quotes_at_cap is None:
            return NotQuoting.BELOW_MINIMUM_SIZE
        return self.model.at(self.closes.volatility_pct, quotes_at_cap) or NotQuoting.MODEL_REFUSED

    def _quotes_at_cap(self, limits: SizeLimits) -> float | None:
        """Return the cap in full quotes, None where a full quote is less than a lot.

        Two amounts of one currency have one ratio; that of others moves with prices, and is taken to two digits after
        the point so that the model is not computed anew with every tick.
        """
        if self._sizes.quotes_at_cap is not None:
            return self._sizes.quotes_at_cap
        return round(limits.cap_lots / limits.full_lots, 2) if limits.full_lots > 0 else None

    def _signalled(self, plan: QuotePlan) -> tuple[Quote | NotQuoting, Quote | NotQuoting]:
        if self.params.use_trade_flow and not self.flow.is_warm:
            return NotQuoting.WARMING_UP, NotQuoting.WARMING_UP
        imbalance = self.book.imbalance()
        buy, sell = signal_sides(self.params, imbalance, self.flow.value, self.position.lots)
        return (
            plan.bid if buy else NotQuoting.NO_CONFIRMATION,
            plan.ask if sell else NotQuoting.NO_CONFIRMATION,
        )

    def _timed(self, side: QuoteSide, target: Quote | NotQuoting, now_ns: int) -> Quote | NotQuoting:
        """Send nothing new after a fill or a refusal on a side; an order that is still right works on."""
        if not isinstance(target, Quote):
            return target
        if now_ns < side.retry_at_ns:
            return self._kept(side, target) or NotQuoting.ORDER_REFUSED
        if now_ns < self.cooldown_until_ns(side):
            return self._kept(side, target) or NotQuoting.COOLDOWN
        return target

    def _kept(self, side: QuoteSide, target: Quote) -> Quote | None:
        """Return the settled order where it is near its target and no larger."""
        working = side.working
        if working is None:
            return None
        near = abs(working.price_ticks - target.price_ticks) <= self.tolerance_ticks
        fits = working.size_lots <= target.room_lots
        return working._replace(room_lots=target.room_lots) if near and fits else None

    def cooldown_until_ns(self, side: QuoteSide) -> int:
        """Return when a side's cooldown ends."""
        if side.last_fill_ns is None:
            return 0
        return side.last_fill_ns + round(self.params.cooldown_seconds * SECOND_NS)

    @property
    def tolerance_ticks(self) -> float:
        """Requote tolerance in ticks at the present mid."""
        return self.params.requote_tolerance_bps / 10_000.0 * (self.mid_price or 0.0) / self.tick

    def size_limits(self) -> SizeLimits | None:
        """Return sizes in lots at present prices, None while a conversion lacks a price."""
        sizes = self._sizes
        size, cap = self._lots_of(sizes.full), self._lots_of(sizes.cap)
        target = self._lots_of(sizes.target) if sizes.target.value else 0
        if size is None or cap is None or target is None:
            return None
        moves = sizes.currencies != {self.spec.base}
        return SizeLimits(size, cap, *self._least, target, *self._most, moves)

    def schedule(self, now_ns: int) -> None:
        """Note when the targets may change although the touch does not; until then nothing has to be planned."""
        self.needs_requote = False
        closing = self.position.exit is not None or self.flatten is not None
        if self.params.quoting == "signal" or (closing and self.position.lots != 0):
            self.next_requote_ns = now_ns
            return
        due = (now_ns // MINUTE_NS + 1) * MINUTE_NS
        for side in (self.bid, self.ask):
            for at_ns in (side.retry_at_ns, self.cooldown_until_ns(side)):
                if at_ns > now_ns:
                    due = min(due, at_ns)
        self.next_requote_ns = self.guards.next_ns(now_ns, due)

    def needs_attention(self, now_ns: int) -> bool:
        """Return whether something may have changed without a book event: a pause over, the feed silent."""
        is_due = self.needs_requote or now_ns >= self.next_requote_ns
        return is_due or self.book_guard.is_stale(now_ns) or self.guards.is_tape_stale(now_ns)

    def is_at_rest(self, now_ns: int) -> bool:
        """Return whether nothing is left to be done before the next book event, which a gap keeps waiting."""
        position = self.position
        closes = (position.exit is not None or self.flatten is not None) and position.lots != 0
        is_silent = self.last_event_ns is None or self.is_gap(now_ns)
        return is_silent and not (closes and self.is_closable)

    # -- Figures of the model ---------------------------------------------------------------------------

    def estimate_anew(self, now_ns: int) -> bool:
        """Estimate the quote model's figures where that is due, and return whether there are new ones.

        While the feed is silent the estimate waits.

        Raises
        ------
        CalibrationError
            If they cannot be estimated, or no model can be made of them; the last ones stay in force.
        """
        waits = self.model.rolling is None or self.book_guard.is_stale(now_ns)
        limits = None if waits else self.size_limits()
        quotes_at_cap = None if limits is None else self._quotes_at_cap(limits)
        if quotes_at_cap is None:
            return False
        is_new = self.model.estimate_anew(now_ns, self.closes.volatility_pct, quotes_at_cap)
        self.needs_requote = self.needs_requote or is_new
        return is_new

    @property
    def has_new_figures(self) -> bool:
        """Whether the first figures are still to be noted, or the volatility in them has been measured since."""
        return self.figures is None or (self._figures_are_assumed and self.closes.volatility_pct > 0)

    def note_figures(self) -> QuoteFigures | None:
        """Compute and keep what the quotes are like now; None without a sound book, sizes or a model."""
        touch, limits = self.touch, self.size_limits()
        quotes_at_cap = None if limits is None else self._quotes_at_cap(limits)
        if touch is None or quotes_at_cap is None or self.mid_price is None:
            return None
        if self.model.is_waiting or self.model.at(self.closes.volatility_pct, quotes_at_cap) is None:
            return None
        spread = ((touch[1] - touch[0]) / self.mid_price * 10_000.0, "present spread")
        if self._calibration is not None:
            spread = (self._calibration.spread.median_spread_bps, "median spread")
        self._figures_are_assumed = self.closes.volatility_pct <= 0
        self.figures = quote_figures(
            self.params,
            self.model.market,
            volatility_pct=self.closes.volatility_pct,
            quotes_at_cap=quotes_at_cap,
            mid_price=self.mid_price,
            tick=self.tick,
            spread=spread,
        )
        return self.figures

    # -- Views ------------------------------------------------------------------------------------------

    @property
    def warnings(self) -> list[str]:
        """What somebody should know of the position: that it could not be closed, or was not."""
        found = []
        position = f"{self.position.lots * self.spec.size_increment:f} {self.spec.base}"
        if self.exit_refusal:
            count = self.counts.exits_refused
            found.append(
                f"Warning: {self.name}: {count} orders that were to close the position were refused, the last one as "
                f"{self.exit_refusal}"
            )
        if self.counts.phantom_fills:
            found.append(
                f"Warning: {self.name}: {self.counts.phantom_fills} fills came by trades that were too old or had come "
                "before; the simulated venue fills quotes by them, and the figures contain them"
            )
        if self.kept_for:
            found.append(
                f"Warning: {self.name}: flatten_on_stop kept the position of {position}: {self.kept_for}"
            )
        return found

    @property
    def order_counts(self) -> dict[str, int]:
        """`OrderCounts` by name."""
        return asdict(self.counts)

    def grounds(self, price_ticks: int | None, size_lots: int, now_ns: int) -> Grounds:
        """Return what an order command is sent on now.

        Parameters
        ----------
        price_ticks
            The wanted price, None at market.
        size_lots
            The order's whole size.
        now_ns
            Nanoseconds since the epoch.
        """
        is_sound = self.book_guard.condition is BookCondition.SOUND
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
            self.closes.volatility_pct,
            self.book.imbalance() if by_signal else None,
            self.flow.value if by_signal and self.params.use_trade_flow else None,
            None if decided is None else decided.trigger_price,
        )

    def sample(self) -> MarketSample:
        """Return market, position and reservation price as they are now, in prices and sizes."""
        return self.grounds(None, 0, 0).market(self.spec)

    def report_ns(self, now_ns: int) -> int:
        """Return the time of a change of quotes or reasons: none is reported to be older than the one before it.

        An event that has waited for its turn is older than the clock was at the last look.
        """
        self._reported_ns = max(self._reported_ns, now_ns)
        return self._reported_ns

    def follow_clock(self) -> None:
        """Take any time for the next change's: the wall clock was set."""
        self._reported_ns = 0

    def quote_state(self, now_ns: int) -> QuoteState:
        """Return the working orders and the reasons for missing ones."""
        bid, ask = self.bid, self.ask
        return QuoteState(
            self.report_ns(now_ns),
            self.instrument_id,
            *self._resting(bid),
            *self._resting(ask),
            bid.stats.current,
            ask.stats.current,
            self.reservation_price,
        )

    def _resting(self, side: QuoteSide) -> tuple[float | None, float | None]:
        """Return price and open size of the order the venue has, if it has one."""
        order = side.order
        if order is None or not order.is_resting:
            return None, None
        price = round(order.price_ticks * self.tick, self.spec.price_precision)
        return price, round(order.open_lots * self.lot, self.spec.size_precision)

    def tell_quotes(self, now_ns: int, *, in_any_case: bool = False) -> None:
        """Tell who listens what changed of the quotes, if anything did."""
        if self.bid.has_changed or self.ask.has_changed or in_any_case:
            self.bid.has_changed = self.ask.has_changed = False
            if self.on_quotes_changed:
                state = self.quote_state(now_ns)
                for callback in self.on_quotes_changed:
                    callback(state)

    @property
    def is_halted(self) -> bool:
        """Whether the symbol is not quoted until somebody resumes."""
        return self.guards.halt is not None

    def guard_state(self, now_ns: int) -> GuardState:
        """Return what the symbol is doing and why."""
        bid, ask = self.bid.stats.current, self.ask.stats.current
        if self.book_guard.last_event_ns is None:
            bid = ask = bid or NotQuoting.NO_BOOK
        return guard_state(self.guards.halt, bid, ask, self.book_guard.age_seconds(now_ns))

    @property
    def indicators(self) -> dict[str, float | None]:
        """Reservation price (or mid) and trailing stop price, in quote currency; None where there is none."""
        entry = self.position.entry
        trail = None if entry is None else entry.trailing_stop(self.params)
        return {"reservation_price": self._reservation_now(), "trailing_stop_price": trail}

    def _reservation_now(self) -> float | None:
        """Return the reservation price at the present book and position, the mid where there is no model."""
        limits = self.size_limits()
        model = None if self.touch is None or limits is None else self._present_model(limits)
        if limits is None or not isinstance(model, QuoteModel):
            return self.mid_price
        return reservation_price_at(self._inputs(limits), model)
