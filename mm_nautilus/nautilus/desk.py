"""One symbol's desk: its market, position, guards and orders, and what it wants to quote."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

from nautilus_trader.model import AggressorSide, InstrumentId, LiquiditySide, Price, Quantity

from mm_nautilus.core.amount import Amount
from mm_nautilus.core.calibration import SymbolCalibration
from mm_nautilus.core.config import SymbolParams
from mm_nautilus.core.exits import Exit, ExitReason, PositionEntry, PositionSide
from mm_nautilus.core.fair_price import fair_price_ticks
from mm_nautilus.core.guard_state import GuardState, guard_state
from mm_nautilus.core.guards import SECOND_NS, BookCondition, Spell, book_condition
from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.core.ledger import PositionResults
from mm_nautilus.core.live_model import LiveModel
from mm_nautilus.core.quote_model import MarketFigures, QuoteFigures, QuoteModel, quote_figures
from mm_nautilus.core.quoting import (
    NotQuoting,
    Quote,
    QuoteInputs,
    SizeLimits,
    plan_quotes,
    quote_centre,
    signal_sides,
)
from mm_nautilus.core.slots import QuoteSlot
from mm_nautilus.core.symbol_guards import SymbolGuards
from mm_nautilus.core.tally import ReasonTally
from mm_nautilus.core.trade_flow import TradeFlow
from mm_nautilus.core.volatility import MINUTE_NS, MinuteCloses
from mm_nautilus.nautilus.book import OwnBook, SizedBook
from mm_nautilus.nautilus.market_moment import MarketMoment
from mm_nautilus.nautilus.messages import MarketSample, QuoteState

__all__ = ["SideDesk", "SymbolDesk", "Targets"]

type Targets = tuple[Quote | NotQuoting, Quote | NotQuoting]

_MOST_TRADES: Final = 64
"""Trades of a live feed that are remembered; a venue repeats its last fifty at once."""
_SAME_MOMENT_NS: Final = 100_000_000
"""Longest time between a trade and the execution that the simulated venue makes of it."""


class _Size(NamedTuple):
    """An amount of the configuration, ready for reckoning in floats."""

    value: float
    currency: str

    @classmethod
    def of(cls, amount: Amount) -> Self:
        """Return an amount, its digits made binary once and for all."""
        return cls(float(amount.value), amount.currency)


class _Sizes(NamedTuple):
    """A full quote, the cap and the target; and the cap in full quotes where one currency makes that a constant."""

    full: _Size
    cap: _Size
    target: _Size
    quotes_at_cap: float | None

    @classmethod
    def of(cls, params: SymbolParams, report_currency: str) -> Self:
        """Return the sizes of a symbol's parameters."""
        full, cap = params.size(report_currency), params.inventory_cap(report_currency)
        target = params.target(report_currency)
        quotes_at_cap = float(cap.value / full.value) if full.currency == cap.currency else None
        return cls(_Size.of(full), _Size.of(cap), _Size.of(target), quotes_at_cap)


@dataclass(slots=True)
class SideDesk:
    """One side of a symbol: its order, its last fill and why it is not quoted.

    Attributes
    ----------
    is_bid
        Which side.
    has_changed
        Whether order or reason have changed since they were last published.
    """

    is_bid: bool
    slot: QuoteSlot = field(default_factory=QuoteSlot)
    tally: ReasonTally = field(default_factory=ReasonTally)
    last_fill_ns: int | None = None
    has_changed: bool = False

    def set_reason(self, reason: NotQuoting | None, now_ns: int) -> None:
        """Note why the side is not quoted from now on; None while it is."""
        if reason is not self.tally.current:
            self.tally.set(reason, now_ns)
            self.has_changed = True


@dataclass(slots=True)
class DeskCounts:
    """What a desk has sent and received.

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


class SymbolDesk:
    """Everything the strategy knows of one symbol; sends nothing itself.

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
    realized, cycle_realized
        Realised PnL net of fees in quote currency: since the first start, and of the open position alone.
    earlier_realized
        What of `realized` this engine's portfolio does not know, from before a restart.
    entry_lots
        Unsigned size of the position that `entry` tells of, in lots.
    has_unbooked_fill
        Whether an execution's position event is still to come.
    guards
        What may keep the symbol from being quoted.
    pause
        Why neither side is to be quoted, as of the last `review`.
    exit_refusals, exit_refusal
        Spells of refused exits, and the reason of the last one.
    kept_for
        Why the strategy stopped with a position that it was to close, empty where it did not.
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
        self.spec = spec
        self.params = params
        self.tick = float(spec.price_increment)
        self.lot = float(spec.size_increment)
        self._lot_raw = instrument.size_increment.raw
        self.flow = TradeFlow()
        self.closes = MinuteCloses(params.volatility_lookback)
        self.model = LiveModel(params, market)
        self._sized_book = self._make_sized_book(instrument)
        self.book = self._sized_book or OwnBook(instrument.id, instrument.price_increment.raw)
        self.figures: QuoteFigures | None = None
        self._figures_are_assumed = True
        self.guards = SymbolGuards(params)
        self.book_guard, self.drawdown = self.guards.book, self.guards.drawdown
        self.pause: NotQuoting | None = None
        self.bid, self.ask, self.counts = SideDesk(is_bid=True), SideDesk(is_bid=False), DeskCounts()
        self.entry: PositionEntry | None = None
        self.entry_lots = 0
        self.position_lots = 0
        self.has_unbooked_fill = False
        self.realized = self.cycle_realized = Decimal(0)
        self.earlier_realized = 0.0
        self.mid_price: float | None = None
        self.centre: float | None = None
        self.cap_lots: int | None = None
        self.exit: Exit | None = None
        self.exit_order_id: Any = None
        self.exit_retry_ns = 0
        self.exit_refusals, self.exit_refusal = Spell(MINUTE_NS), ""
        self.flatten: ExitReason | None = None
        self.kept_for = ""
        self.is_dirty = True
        self.due_ns = self._told_ns = 0
        self.book_events = 0
        self.base_currency = instrument.base_currency
        self.quote_currency = instrument.quote_currency
        self.margin_rate = float(instrument.margin_init)
        self.results = PositionResults(instrument.quote_currency.precision)
        self.last_filled_order = ""
        self._sound_ticks: tuple[int, int] | None = None
        self._rate = rate
        self._sizes = _Sizes.of(params, report_currency)
        self._calibration = calibration
        self._least, self._most = _order_limits(spec)
        self._inventory_lot_ns = self._inventory_since_ns = 0
        self._first_ns: int | None = None
        self._watch_ns: int | None = None
        self._last_trades: deque[tuple[Any, bool]] = deque(maxlen=_MOST_TRADES)
        self._look: Callable[[int], None] = lambda _ns: None

    def _make_sized_book(self, instrument: Any) -> SizedBook | None:
        """Return a book that reads sizes where something depends on them; reading them costs time."""
        takes_sizes, rolling = self.params.fair_price != "mid", self.model.rolling
        if not takes_sizes and rolling is None:
            return None
        return SizedBook(
            instrument.id,
            instrument.price_increment.raw,
            self._lot_raw,
            moves_with_size=takes_sizes,
            record=None if rolling is None else self._record_touch,
        )

    def _record_touch(self, ts_ns: int) -> None:
        """Keep a touch for the next estimate of the market's figures."""
        book, rolling = self._sized_book, self.model.rolling
        if book is None or rolling is None:
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

    @property
    def takes_trades(self) -> bool:
        """Whether anything here depends on the trade tape."""
        by_signal = self.params.quoting == "signal" and self.params.use_trade_flow
        return by_signal or self.model.rolling is not None

    def is_fresh(self, trade: Any) -> bool:
        """Return whether a trade is neither too old to be counted nor has come before, and count it where it is."""
        is_old = self.guards.is_old(trade.ts_event, trade.ts_init)
        is_repeated = self.guards.is_repeated(trade.trade_id.value)
        self.counts.old_trades += is_old
        self.counts.repeated_trades += is_repeated and not is_old
        is_fresh = not is_old and not is_repeated
        if self.guards.feed is not None:
            self._last_trades.append((trade, is_fresh))
        return is_fresh

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
    def mark(self) -> Decimal | None:
        """The exact mid of the last sound book in quote currency, None before the first."""
        if self._sound_ticks is None:
            return None
        return sum(self._sound_ticks) * self.spec.price_increment / 2

    def mark_price(self) -> Price:
        """Return `mark` as the engine's price: half a tick needs one digit more than the instrument's prices."""
        return Price.from_decimal_dp(self.mark or Decimal(0), self.spec.price_precision + 1)

    def capital(self) -> float | None:
        """Return the cap on the position in quote currency: what the symbol's drawdown is a share of."""
        lots = self._lots_of(self._sizes.cap)
        return None if lots is None or self.mid_price is None else lots * self.lot * self.mid_price

    def needs_attention(self, now_ns: int) -> bool:
        """Return whether something may have changed without a book event: a pause over, the feed silent."""
        is_due = self.is_dirty or now_ns >= self.due_ns
        return is_due or self.book_guard.is_stale(now_ns) or self.guards.is_tape_stale(now_ns)

    def is_at_rest(self, now_ns: int) -> bool:
        """Return whether nothing is left to be done before the next book event, which a gap keeps waiting."""
        closes = (self.exit is not None or self.flatten is not None) and self.position_lots != 0
        is_silent = self.last_event_ns is None or self.is_gap(now_ns)
        return is_silent and not (closes and self.is_closable)

    def observe(self, ts_ns: int) -> None:
        """Take the book's touch into account: condition, mid, minute closes and the position's extremes."""
        if self._watch_ns is not None and ts_ns > self._watch_ns:
            self._look(ts_ns)
        if self.book_guard.is_gap(ts_ns):
            self.closes.begin_anew()
            self._record_touch(ts_ns)
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        self.book_guard.on_event(ts_ns, book_condition(bid, ask))
        touch = self.touch
        if touch is None:
            return
        self._sound_ticks = (bid, ask)  # type: ignore[assignment]
        self.mid_price = 0.5 * (touch[0] + touch[1])
        self.closes.update(ts_ns, self.mid_price)
        if self.entry is not None:
            self.entry.observe(*touch)

    # -- Position ---------------------------------------------------------------------------------------

    def signed_lots(self, portfolio: Any) -> int:
        """Return the engine's net position in whole lots."""
        lots: int = round(portfolio.net_position(self.instrument_id) / self.spec.size_increment)
        return lots

    def set_entry(self, side: PositionSide, average_price: float, lots: int, last_price: float) -> None:
        """Follow the position after an execution; a flip, and an add to what could not be closed, begin anew.

        Parameters
        ----------
        side
            The position's side.
        average_price, last_price
            Its average price and the execution's, in quote currency.
        lots
            Its unsigned size, 0 where it is closed.
        """
        before, self.entry_lots = self.entry_lots, lots
        if lots == 0:
            self.entry = self.exit = None
        elif self.entry is None or self.entry.side != side:
            self.entry, self.exit = PositionEntry.opened(average_price, side), None
        elif before < self.min_lots_at(self._exit_ticks or round(last_price / self.tick)) <= lots:
            self.entry = PositionEntry.grown_from_remainder(average_price, side, last_price)
            self.exit = None
        else:
            self.entry.average(average_price, min(1.0, before / lots))

    def book_position(self, cycle_realized: Decimal, *, is_flat: bool) -> None:
        """Follow what the position has realised since it opened, in quote currency.

        Between an execution and the position event that tells what it did, entry and PnL are still the old ones;
        an execution that flips the position is told by two events, of which only the second completes it.
        """
        self.realized += cycle_realized - self.cycle_realized
        self.cycle_realized = Decimal(0) if is_flat else cycle_realized
        self.has_unbooked_fill = self.has_unbooked_fill and is_flat != (self.position_lots == 0)

    def ends_loss_streak(self, quantity: Decimal, cycle_realized: Decimal) -> bool:
        """Take in a position's unsigned size and realised PnL; return whether a streak of losses has its limit."""
        result = self.results.on_position(quantity, cycle_realized)
        return result is not None and self.guards.losses.add(self.last_filled_order, result)

    def count_fill(self, event: Any) -> None:
        """Count one execution."""
        self.last_filled_order = event.client_order_id.value
        is_maker = event.liquidity_side == LiquiditySide.MAKER
        self.counts.fills += 1
        self.counts.maker_fills += is_maker
        self.counts.phantom_fills += is_maker and self._is_of_left_out_trade(event)

    def _is_of_left_out_trade(self, event: Any) -> bool:
        """Return whether the last trade that has just gone through the filled order's price should not have come.

        The simulated venue is shown every trade of the feed, whatever its age, and fills quotes by it.
        """
        for trade, is_fresh in reversed(self._last_trades):
            if event.ts_event - trade.ts_init >= _SAME_MOMENT_NS:
                return False
            if trade.price <= event.last_px if event.is_buy else trade.price >= event.last_px:
                return not is_fresh
        return False

    def set_position(self, lots: int, now_ns: int) -> None:
        """Note a new net position and the time the last one was held."""
        if self._first_ns is None:
            self._first_ns = self._inventory_since_ns = now_ns
        self._inventory_lot_ns += abs(self.position_lots) * (now_ns - self._inventory_since_ns)
        self._inventory_since_ns = now_ns
        self.position_lots = lots

    def average_inventory(self, now_ns: int) -> float:
        """Return the time-weighted mean of the absolute position, in base currency."""
        if self._first_ns is None or now_ns <= self._first_ns:
            return 0.0
        held = self._inventory_lot_ns + abs(self.position_lots) * (now_ns - self._inventory_since_ns)
        return held / (now_ns - self._first_ns) * self.lot

    # -- Quotes -----------------------------------------------------------------------------------------

    def review(self, now_ns: int) -> bool:
        """Ask the guards, and return whether there is something new to tell of a pause."""
        self.pause = self.guards.reason(now_ns)
        return self.pause is not self.guards.told

    def targets(self, now_ns: int) -> Targets:
        """Return the wanted bid and ask, or why a side has none; the guards have been asked."""
        self.centre = None
        if self.pause is not None:
            return self.pause, self.pause
        if self.exit is not None:
            return NotQuoting.EXITING, NotQuoting.EXITING
        limits = self.size_limits()
        if limits is None:
            self.due_ns = now_ns  # Another pair's book brings the rate, not an event of this one.
            return NotQuoting.NO_CONVERSION_RATE, NotQuoting.NO_CONVERSION_RATE
        self.cap_lots = limits.cap_lots
        model = self._present_model(limits)
        if isinstance(model, NotQuoting):
            return model, model
        plan = plan_quotes(self.params, self._inputs(limits), model)
        self.centre = plan.centre
        bid, ask = plan.bid, plan.ask
        if self.params.quoting == "signal":
            bid, ask = self._signalled(bid, ask)
        return self._timed(self.bid, bid, now_ns), self._timed(self.ask, ask, now_ns)

    def _inputs(self, limits: SizeLimits) -> QuoteInputs:
        bid, ask = self.book.best_bid_ticks or 0, self.book.best_ask_ticks or 0
        return QuoteInputs(bid, ask, self._fair_ticks(bid, ask), self.tick, self.position_lots, limits)

    def _fair_ticks(self, bid_ticks: int, ask_ticks: int) -> float:
        """Return what quotes are centred on before inventory moves them, in ticks."""
        sizes = (0, 0) if self._sized_book is None else self._sized_book.sizes
        table = None if self._calibration is None else self._calibration.microprice
        return fair_price_ticks(self.params.fair_price, bid_ticks, ask_ticks, sizes, table)

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
        self.is_dirty = self.is_dirty or is_new
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

    def _signalled(self, bid: Quote | NotQuoting, ask: Quote | NotQuoting) -> Targets:
        if self.params.use_trade_flow and not self.flow.is_warm:
            return NotQuoting.WARMING_UP, NotQuoting.WARMING_UP
        imbalance = self.book.imbalance()
        buy, sell = signal_sides(self.params, imbalance, self.flow.value, self.position_lots)
        return bid if buy else NotQuoting.NO_CONFIRMATION, ask if sell else NotQuoting.NO_CONFIRMATION

    def _timed(self, side: SideDesk, target: Quote | NotQuoting, now_ns: int) -> Quote | NotQuoting:
        """Send nothing new after a fill or a refusal on a side; an order that is still right works on."""
        if not isinstance(target, Quote):
            return target
        if now_ns < side.slot.retry_at_ns:
            return self._kept(side.slot, target) or NotQuoting.ORDER_REFUSED
        if now_ns < self.cooldown_until_ns(side):
            return self._kept(side.slot, target) or NotQuoting.COOLDOWN
        return target

    def _kept(self, slot: QuoteSlot, target: Quote) -> Quote | None:
        """Return the settled order where it is near its target and no larger."""
        working = slot.working
        if working is None:
            return None
        near = abs(working.price_ticks - target.price_ticks) <= self.tolerance_ticks
        fits = working.size_lots <= target.room_lots
        return working._replace(room_lots=target.room_lots) if near and fits else None

    def cooldown_until_ns(self, side: SideDesk) -> int:
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
        return SizeLimits(size, cap, *self._least, target, *self._most)

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
    def least_exit_lots(self) -> int:
        """The smallest exit the venue takes at the touch, in lots."""
        return self.min_lots_at(self._exit_ticks or 1)

    @property
    def is_closable(self) -> bool:
        """Whether there is a touch to exit at and the position is no smaller than the venue's smallest order."""
        return self._exit_ticks is not None and abs(self.position_lots) >= self.least_exit_lots

    @property
    def _exit_ticks(self) -> int | None:
        """The touch one can exit at, in ticks."""
        return self.book.best_ask_ticks if self.position_lots < 0 else self.book.best_bid_ticks

    @property
    def fee_share(self) -> float:
        """The higher of the two fees as a share of value, for reckoning what a buy may cost."""
        return max(0.0, self.params.maker_fee_pct or 0.0, self.params.taker_fee_pct or 0.0) / 100.0

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

    def next_due_ns(self, now_ns: int) -> int:
        """Return when the targets may change although the touch does not."""
        closing = self.exit is not None or self.flatten is not None
        if self.params.quoting == "signal" or (closing and self.position_lots != 0):
            return now_ns
        due = (now_ns // MINUTE_NS + 1) * MINUTE_NS
        for side in (self.bid, self.ask):
            for at_ns in (side.slot.retry_at_ns, self.cooldown_until_ns(side)):
                if at_ns > now_ns:
                    due = min(due, at_ns)
        return self.guards.next_ns(now_ns, due)

    # -- Views ------------------------------------------------------------------------------------------

    @property
    def warnings(self) -> list[str]:
        """What somebody should know of the position: that it could not be closed, or was not."""
        symbol, found = self.spec.symbol, []
        position = f"{self.position_lots * self.spec.size_increment:f} {self.spec.base}"
        if self.exit_refusal:
            count = self.counts.exits_refused
            found.append(
                f"Warning: {symbol}: {count} orders that were to close the position were refused, the last one as "
                f"{self.exit_refusal}"
            )
        if self.counts.phantom_fills:
            found.append(
                f"Warning: {symbol}: {self.counts.phantom_fills} fills came by trades that were too old or had come "
                "before; the simulated venue fills quotes by them, and the figures contain them"
            )
        if self.kept_for:
            found.append(
                f"Warning: {symbol}: flatten_on_stop kept the position of {position}: {self.kept_for}"
            )
        return found

    @property
    def order_counts(self) -> dict[str, int]:
        """`DeskCounts` by name."""
        return asdict(self.counts)

    def moment(self) -> MarketMoment:
        """Return market, position and centre of the quotes as they are now, in the desk's own units."""
        is_sound, entry = self.book_guard.condition is BookCondition.SOUND, self.entry
        return MarketMoment(
            self.book.best_bid_ticks if is_sound else None,
            self.book.best_ask_ticks if is_sound else None,
            self.mid_price,
            self.centre,
            self.position_lots,
            self.cap_lots,
            None if entry is None else entry.entry_price,
            None if entry is None else entry.trailing_stop(self.params),
        )

    def sample(self) -> MarketSample:
        """Return market, position and centre of the quotes as they are now, in prices and sizes."""
        return self.moment().sample(self.spec)

    def watch(self, at_ns: int | None, look: Callable[[int], None]) -> None:
        """Have `look` called with the time of the first change of the touch after a moment, ahead of the change.

        The mid that was in force at that moment can be read then. A timer would do as well, but every timer makes the
        simulated venue process what is in flight, and so changes the run that it was to observe.

        Parameters
        ----------
        at_ns
            The moment, nanoseconds since the epoch; None calls it no more.
        look
            What to call.
        """
        self._watch_ns, self._look = at_ns, look

    @property
    def last_event_ns(self) -> int | None:
        """Time of the book's last event, nanoseconds since the epoch; None before the first."""
        return self.book_guard.last_event_ns

    def is_gap(self, now_ns: int) -> bool:
        """Return whether no book event has come for longer than a gap takes."""
        return self.book_guard.is_gap(now_ns)

    def told_ns(self, now_ns: int) -> int:
        """Return the time of a change of quotes or reasons: none is told to be older than what was told before it.

        An event that has waited for its turn is older than the clock was at the last look.
        """
        self._told_ns = max(self._told_ns, now_ns)
        return self._told_ns

    def follow_clock(self) -> None:
        """Take any time for the next change's: the wall clock was set."""
        self._told_ns = 0

    def quote_state(self, now_ns: int) -> QuoteState:
        """Return the working orders and the reasons for missing ones."""
        bid, ask = self.bid, self.ask
        return QuoteState(
            self.told_ns(now_ns),
            self.instrument_id,
            *self._resting(bid.slot),
            *self._resting(ask.slot),
            bid.tally.current,
            ask.tally.current,
            self.centre,
        )

    def _resting(self, slot: QuoteSlot) -> tuple[float | None, float | None]:
        """Return price and open size of the order the venue has, if it has one."""
        if not slot.is_resting:
            return None, None
        price = round(slot.price_ticks * self.tick, self.spec.price_precision)
        return price, round(slot.open_lots * self.lot, self.spec.size_precision)

    @property
    def is_halted(self) -> bool:
        """Whether the symbol is not quoted until somebody resumes."""
        return self.guards.halt is not None

    def guard_state(self, now_ns: int) -> GuardState:
        """Return what the symbol is doing and why."""
        bid, ask = self.bid.tally.current, self.ask.tally.current
        if self.book_guard.last_event_ns is None:
            bid = ask = bid or NotQuoting.NO_BOOK
        return guard_state(self.guards.halt, bid, ask, self.book_guard.age_seconds(now_ns))

    @property
    def indicators(self) -> dict[str, float | None]:
        """Reservation price (or mid) and trailing stop price, in quote currency; None where there is none."""
        trail = self.entry.trailing_stop(self.params) if self.entry is not None else None
        return {"reservation_price": self._centre(), "trailing_stop_price": trail}

    def _centre(self) -> float | None:
        """Return what quotes are centred on at the present book and position, the mid where there is no model."""
        limits = self.size_limits()
        model = None if self.touch is None or limits is None else self._present_model(limits)
        if limits is None or not isinstance(model, QuoteModel):
            return self.mid_price
        return quote_centre(self._inputs(limits), model)
