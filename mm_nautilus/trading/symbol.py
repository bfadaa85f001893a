"""One symbol's market, position and target quotes; it sends no orders itself."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from nautilus_trader.model import LiquiditySide, OrderAccepted, OwnOrderBook, PositionSide

from mm_nautilus.calibration.figures import SymbolCalibration
from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.calibration.volatility import VolatilitySource, one_minute_pct
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import MarketMakingError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.exits import exit_alerts
from mm_nautilus.pricing.fair_price import fair_price_ticks
from mm_nautilus.pricing.levels import ONE_LEVEL, Level, levels_of, priced_levels
from mm_nautilus.pricing.no_action_band import NoActionBand, no_action_band
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import MarketView, OwnPricing, PositionView, PricedQuote, PricingModel
from mm_nautilus.pricing.quote_model import QuoteMetrics
from mm_nautilus.pricing.quotes import Quote, QuoteInputs, QuotePlan, plan_quotes, signal_sides
from mm_nautilus.risk.limits import touch_defect
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.book import OthersBook, SizedBook
from mm_nautilus.trading.closing import Closing
from mm_nautilus.trading.messages import QuoteState
from mm_nautilus.trading.moods import SymbolMoods
from mm_nautilus.trading.position import Position
from mm_nautilus.trading.sizes import Sizes
from mm_nautilus.trading.symbol_views import SymbolViews
from mm_nautilus.trading.tape import TradeFilter
from mm_nautilus.trading.working_order import OrderCounts, QuoteSide

_LEAST_SILENCE_NS: Final = 5 * SECOND_NS
"""Shortest `stale_after_seconds` that checking the book once a second is precise enough for."""


class SymbolState(SymbolViews):
    """State of one symbol: market, position, targets and guards.

    Parameters
    ----------
    market, own_orders
        As for `Market`, the first as its `inputs`.
    report_currency, rate
        As for `Sizes`.
    pricing
        Custom pricing model, which replaces the configured one.

    Attributes
    ----------
    guards, pause
        The risk guards, and the reason why neither side may be quoted as of the last `check_risk`.
    needs_requote, next_requote_ns
        Whether to plan quotes at the next event, and the time from which any event must plan them.
    bid, ask, sides
        The nearest level's sides, and all: bid, ask, bid 2, ask 2 and so on, outwards.
    closing
        The exit of the position.
    has_plan
        Whether both sides' targets are current.
    moods, dependents
        Adjustments by market moods, and the symbols whose quotes depend on this position.
    """

    def __init__(
        self,
        instrument: Any,
        spec: InstrumentSpec,
        params: SymbolParams,
        report_currency: str,
        rate: Callable[[str, str], float | None],
        *,
        market: ModelInputs | None = None,
        calibration: SymbolCalibration | None = None,
        pricing: PricingModel | None = None,
        own_orders: Callable[[], OwnOrderBook | None] | None = None,
    ) -> None:
        measured = None if calibration is None else one_minute_pct(calibration.volatility.volatility_bps)
        super().__init__(
            instrument, spec, params, market, calibrated_volatility_pct=measured, own_orders=own_orders
        )
        self.sizes = Sizes(spec, params, report_currency, rate)
        self.calibration = calibration
        self.pricing: PricingModel = pricing or self.model
        self.position = Position(instrument.quote_currency.precision)
        self.drawdown = self.guards.drawdown
        self.pause: NotQuoting | None = None
        levels = levels_of(params)
        self._levels = ONE_LEVEL if levels == ONE_LEVEL else levels
        self.sides = tuple(
            QuoteSide(is_bid=is_bid, level=number)
            for number in range(len(levels))
            for is_bid in (True, False)
        )
        self.bid, self.ask = self.sides[:2]
        self.counts, self._count_due_ns, self._before_count = OrderCounts(), math.inf, lambda _ns: None
        self.closing = Closing(self, self.position, self.sizes, self.counts)
        self.trades = TradeFilter(self.name, self.guards, self.counts)
        self.quote_metrics: QuoteMetrics | None = None
        self.quoted_source: VolatilitySource | None = None
        self.reservation_price: float | None = None
        self.cap_lots: int | None = None
        self.needs_requote, self.next_requote_ns, self._reported_ns = True, 0, 0
        self.size_tolerance = params.requote_size_tolerance_pct / 100.0
        self.min_quote_life_ns = round(params.min_quote_life_seconds * SECOND_NS)
        self._hanging_ns = round(params.hanging_max_age_seconds * SECOND_NS)
        self._cooldown_ns = round(params.cooldown_seconds * SECOND_NS)
        self.has_plan = False
        self.moods = SymbolMoods(params, self, self.position, calibration)
        self.dependents: list[SymbolState] = []
        self.on_quotes_changed: list[Callable[[QuoteState], None]] = []
        self.on_trade_counted: list[Callable[[Any], None]] = []
        self._planned: tuple[QuoteInputs, float | None, QuotePlan] | None = None
        # Quotes depend on the symbol's own mid price and position only.
        self._may_keep_band = (
            params.quoting == "two_sided"
            and params.entry_order == "maker"
            and not isinstance(self.book, SizedBook)
            and self.sizes.follow_own_mid
            and self._levels is ONE_LEVEL
            and not params.order_optimization
            and not params.hanging_orders
        )
        self._band: NoActionBand | None = None
        self._is_band_due = False
        self._exit_alerts = (-math.inf, math.inf)

    # -- Market -----------------------------------------------------------------------------------------

    def on_book(self, ts_ns: int) -> bool:
        """Read the touch after a book event, and return whether an order may have to change.

        An event that leaves the touch unchanged, or within the no-action band, is cheap.
        """
        self.book_events += 1
        guard = self.book_guard
        is_due = self.needs_requote or ts_ns >= self.next_requote_ns or guard.is_stale(ts_ns)
        if not self.book.read(ts_ns) and not is_due:
            guard.last_event_ns = ts_ns
            return False
        if self._call_after_ns is not None and ts_ns > self._call_after_ns:
            self._callback(ts_ns)
        self.has_plan = False
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        if self._is_band_due and not is_due:
            self._find_band(ts_ns)
        band = self._band
        if is_due or band is None or bid is None or ask is None or bid >= ask:
            if guard.is_gap(ts_ns):
                self.volatility.restart()
                if self.trend is not None:
                    self.trend.restart()
                self._record_touch(ts_ns)
            guard.on_event(ts_ns, touch_defect(bid, ask))
            self._take_touch(ts_ns)
            return True
        guard.last_event_ns = ts_ns
        price = self._take_touch(ts_ns)
        lowest, highest = self._exit_alerts
        return not (
            band.lowest_sum <= bid + ask <= band.highest_sum
            and ask > band.ask_above
            and bid < band.bid_below
            and lowest < price < highest
        )

    def read_others(self, event: Any, book: OthersBook) -> None:
        """Read the book again after an order event that it is newer than; an older one still shows the old order.

        Raises
        ------
        MarketMakingError
            If the engine keeps no book of own orders.
        """
        guard, event_ns = self.book_guard, self.book_guard.last_event_ns
        if isinstance(event, OrderAccepted) and not book.knows_own_orders:
            raise MarketMakingError(
                "manage_own_order_books of the execution engine must be true with own_orders_in_book, was false"
            )
        if guard.is_gap(event.ts_init):
            return  # the book's next event ends the gap
        if event.ts_event <= book.venue_ns and book.read(event.ts_init):
            self.has_plan = False
            guard.on_event(event.ts_init, touch_defect(book.best_bid_ticks, book.best_ask_ticks))
            guard.last_event_ns = event_ns
            self._take_touch(event.ts_init)

    def _take_touch(self, ts_ns: int) -> float:
        """Update the market and the position's extreme prices; return the current exit price, 0 if flat."""
        touch, entry = self._follow_touch(ts_ns), self.position.entry
        return 0.0 if touch is None or entry is None else entry.observe(*touch)

    # -- Position ---------------------------------------------------------------------------------------

    def hold_position(self, portfolio: Any, now_ns: int) -> None:
        """Set the position to the engine's net position, in whole lots."""
        lots: int = round(portfolio.net_position(self.instrument_id) / self.spec.size_increment)
        self.position.hold(lots, now_ns)
        for symbol in self.dependents:
            symbol.needs_requote = True

    def hold_share(self, balances: Balances) -> None:
        """Lean towards a share of the account if the target is one."""
        share, pair = self.params.target_share, (self.base_currency, self.quote_currency)
        if share is not None:
            self.sizes.target_base = lambda mid_price: balances.share_position(
                pair, self.position.lots * self.lot, share, mid_price
            )

    def average_inventory(self, now_ns: int) -> float:
        """Return the time-weighted mean of the absolute position, in base currency."""
        return self.position.average_lots(now_ns) * self.lot

    def follow_position(self, event: Any) -> None:
        """Update the position's entry from the position event of an execution."""
        lots = 0 if event.side == PositionSide.FLAT else self.lots(event.quantity)
        last_price = float(event.last_px)
        smallest = self.sizes.order_limits.min_lots_at(
            self.closing.touch_ticks or round(last_price / self.tick)
        )
        self.position.follow(
            "long" if event.side == PositionSide.LONG else "short",
            event.avg_px_open,
            lots,
            last_price,
            smallest,
            now_ns=event.ts_init,
        )

    def count_fill(self, event: Any) -> bool:
        """Count an execution, and return whether an old or repeated trade caused it."""
        is_maker = event.liquidity_side == LiquiditySide.MAKER
        is_phantom = is_maker and self.trades.is_phantom(event)
        counts = self.count_at(event.ts_init)
        counts.fills += 1
        counts.maker_fills += is_maker
        counts.phantom_fills += is_phantom
        return is_phantom

    # -- Quotes -----------------------------------------------------------------------------------------

    def check_risk(self, now_ns: int) -> bool:
        """Check the guards, and return whether a pause has to be reported."""
        self.pause = self.guards.reason(now_ns)
        return self.pause is not self.guards.reported

    def plan(self, now_ns: int) -> None:
        """Set both sides' targets: a quote, or the reason for none; call `check_risk` before."""
        self.reservation_price = self._planned = self._band = None
        self._is_band_due = False
        for side, target in zip(self.sides, self._targets(now_ns), strict=True):
            side.target = self._timed(side, target, now_ns)
        self.has_plan = self._planned is not None

    def _targets(self, now_ns: int) -> Sequence[Quote | NotQuoting]:
        blocked = self.pause or (None if self.position.exit is None else NotQuoting.EXITING)
        if blocked is not None:
            return self._all(blocked)
        limits = self.sizes.at(self.mid_price)
        if limits is None:
            self.next_requote_ns = now_ns  # The conversion rate comes from another pair's book.
            return self._all(NotQuoting.NO_CONVERSION_RATE)
        self.cap_lots = limits.cap_lots
        bid, ask = self.book.best_bid_ticks or 0, self.book.best_ask_ticks or 0
        inputs = QuoteInputs(bid, ask, self.tick, self.position.lots, limits)
        priced = self._priced(inputs)
        if isinstance(priced, NotQuoting):
            return self._all(priced)
        width_factor = 1.0
        if self.moods.is_on:
            scaled = self.moods.scaled(limits, priced, now_ns)
            if scaled is None:
                return self._all(NotQuoting.EXTREME_VOLATILITY)
            limits, priced, width_factor = scaled
            inputs = inputs._replace(limits=limits)
        levels = self._levels_at(0.5 * (bid + ask) * self.tick, width_factor)
        plan = plan_quotes(self.params, inputs, priced, levels)
        if self.moods.is_on:
            plan = self.moods.allowed(plan)
        self._planned = (inputs, priced.skew_bps, plan)
        self.reservation_price = plan.reservation_price
        if self.params.quoting == "signal":
            return self._signalled(plan)
        missing = len(self.sides) - 2 - len(plan.outer)
        return plan.targets + (NotQuoting.WARMING_UP,) * missing

    def _all(self, reason: NotQuoting) -> tuple[NotQuoting, ...]:
        return (reason,) * len(self.sides)

    def _levels_at(self, mid_price: float, width_factor: float) -> tuple[Level, ...]:
        """Return the levels at a mid; the first alone while the volatility that spaces the others is not known."""
        known = self.volatility.volatility_pct if self.volatility.is_known else None
        return priced_levels(self.params, self._levels, mid_price, known, width_factor)

    def keep_band(self) -> None:
        """Request the no-action band of the current plan; call it after the orders have been sent."""
        planned = self._planned
        self._band = None
        self._is_band_due = self._may_keep_band and planned is not None and planned[1] is not None

    def _find_band(self, now_ns: int) -> None:
        self._is_band_due = False
        if self._planned is None:
            return
        inputs, skew_bps, plan = self._planned
        if skew_bps is None:
            return
        standing = (
            (side.working or side.stats.current) if side.is_settled else None for side in (self.bid, self.ask)
        )
        self._band = no_action_band(self.params, inputs, skew_bps, plan, *standing)
        entry = self.position.entry
        self._exit_alerts = (
            (-math.inf, math.inf) if entry is None else exit_alerts(entry, self.params, now_ns)
        )

    def forget_plan(self) -> None:
        """Drop the current plan, because the sides are to have no orders."""
        self.has_plan, self._planned, self._band, self._is_band_due = False, None, None, False

    def keeps_plan(self, side: QuoteSide, now_ns: int) -> bool:
        """Return whether the last plan still holds for a side after a confirmation, and set the side's target from it.

        It does not hold while another side has work left: a side without balance is retried at every event.
        """
        planned = self._planned
        is_waiting = any(
            other.waits_for_orders or (other.order is None and isinstance(other.target, Quote))
            for other in self.sides
            if other is not side
        )
        if (
            planned is None
            or not self.has_plan
            or is_waiting
            or self.is_halted
            or self.needs_attention(now_ns)
        ):
            return False
        plan, index = planned[2], 2 * side.level + (not side.is_bid)
        targets = (plan.bid, plan.ask, *plan.outer)
        target = targets[index] if index < len(targets) else NotQuoting.WARMING_UP
        side.target = self._timed(side, target, now_ns)
        return True

    def _priced(self, inputs: QuoteInputs) -> PricedQuote | NotQuoting:
        limits, tick, lot = inputs.limits, self.tick, self.lot
        quotes_at_cap = self.sizes.quotes_at_cap(limits)
        if quotes_at_cap is None:
            return NotQuoting.BELOW_MINIMUM_SIZE
        bid, ask = inputs.best_bid_ticks, inputs.best_ask_ticks
        table = None if self.calibration is None else self.calibration.microprice
        fair_ticks = fair_price_ticks(self.params.fair_price, bid, ask, self.book.sizes, table)
        mid_price = 0.5 * (bid + ask) * tick
        return self.pricing(
            MarketView(
                self.name,
                bid * tick,
                ask * tick,
                mid_price,
                fair_ticks * tick,
                self.volatility.volatility_pct,
            ),
            PositionView(
                inputs.position_lots * lot,
                limits.target_lots * lot,
                limits.cap_lots * lot,
                inputs.q,
                quotes_at_cap,
            ),
            self.params,
        )

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
        """Return no target in the cooldown after a fill or refusal, unless the side's order already fits it."""
        if not isinstance(target, Quote):
            return target
        if side.hangs_since_ns is not None:
            target = self._hanging(side, target, side.hangs_since_ns + self._hanging_ns > now_ns)
        if now_ns < side.retry_at_ns:
            return self._kept(side, target) or NotQuoting.ORDER_REFUSED
        if now_ns < self.cooldown_until_ns(side):
            return self._kept(side, target) or NotQuoting.COOLDOWN
        return target

    def _hanging(self, side: QuoteSide, target: Quote, is_young: bool) -> Quote:
        """Return a hanging order as its own target; the ordinary one if it has become too old, too far or too large."""
        working = side.working
        if working is None:
            return target
        off_bps = 10_000.0 * abs(working.price_ticks * self.tick / (self.mid_price or math.inf) - 1.0)
        if (
            is_young
            and off_bps <= self.params.hanging_max_distance_bps
            and working.size_lots <= target.room_lots
        ):
            return working._replace(room_lots=target.room_lots)
        side.hangs_since_ns = None
        return target

    def _kept(self, side: QuoteSide, target: Quote) -> Quote | None:
        """Return the side's working order if it is within tolerance of the target and not larger, else None."""
        working = side.working
        if working is None:
            return None
        near = abs(working.price_ticks - target.price_ticks) <= self.tolerance_ticks
        fits = working.size_lots <= target.room_lots
        return working._replace(room_lots=target.room_lots) if near and fits else None

    def same_sides(self, side: QuoteSide) -> Iterator[QuoteSide]:
        """Yield the other levels of a side."""
        return (other for other in self.sides if other.is_bid is side.is_bid and other is not side)

    def opposite(self, side: QuoteSide) -> QuoteSide:
        """Return the other side of a level."""
        return self.sides[2 * side.level + side.is_bid]

    def room_lots(self, others: Iterable[QuoteSide], *, is_bid: bool) -> int:
        """Return the size that the position's cap leaves a new order if the orders of other levels are filled."""
        taken = sum(other.worst_case_lots for other in others)
        return (self.cap_lots or 0) - (self.position.lots if is_bid else -self.position.lots) - taken

    def cooldown_until_ns(self, side: QuoteSide) -> int:
        """Return the end of a side's cooldown, nanoseconds since the epoch."""
        if side.last_fill_ns is None:
            return 0
        return side.last_fill_ns + self._cooldown_ns

    @property
    def may_follow_touch(self) -> bool:
        """Whether quotes depend on best prices only: not on depth, sizes or inputs that are still estimated."""
        by_touch = self.params.quoting == "two_sided" and not isinstance(self.book, SizedBook)
        return by_touch and self.book_guard.stale_after_ns >= _LEAST_SILENCE_NS

    @property
    def tolerance_ticks(self) -> float:
        """Requote tolerance in ticks at the current mid price."""
        return self.params.requote_tolerance_bps / 10_000.0 * (self.mid_price or 0.0) / self.tick

    def schedule(self, now_ns: int) -> None:
        """Set the next time at which targets may change without a change of the touch."""
        self.needs_requote = False
        if self.params.quoting == "signal" or self.closing.is_wanted:
            self.next_requote_ns = now_ns
            return
        due = self.volatility.next_ns(now_ns)
        for side in self.sides:
            if side.hangs_since_ns is not None:
                due = min(due, max(now_ns + 1, side.hangs_since_ns + self._hanging_ns))
            for at_ns in (side.retry_at_ns, self.cooldown_until_ns(side)):
                if at_ns > now_ns:
                    due = min(due, at_ns)
        if self.moods.is_on:
            due = self.moods.next_ns(now_ns, due)
        if self.position.entry is not None:
            due = self.position.entry.next_ns(self.params, now_ns, due)
        self.next_requote_ns = self.guards.next_ns(now_ns, due)

    def needs_attention(self, now_ns: int) -> bool:
        """Return whether something may have changed without a book event: the end of a pause, a stale feed."""
        is_due = self.needs_requote or now_ns >= self.next_requote_ns
        return is_due or self.book_guard.is_stale(now_ns) or self.guards.is_tape_stale(now_ns)

    def is_at_rest(self, now_ns: int) -> bool:
        """Return whether nothing can change before the next book event, so that timers may pause."""
        is_silent = self.book_guard.last_event_ns is None or self.book_guard.is_gap(now_ns)
        return is_silent and not (self.closing.is_wanted and self.closing.is_possible)

    # -- Views ------------------------------------------------------------------------------------------

    def current_reservation_price(self) -> float | None:
        """Return the reservation price at the current book and position; the mid if the model has none.

        A custom model may keep a state, so it is not called here; its last price is returned.
        """
        if isinstance(self.pricing, OwnPricing):
            last = self.pricing.last.get(self.name)
            return self.mid_price if last is None else last[1].reservation_price
        limits = self.sizes.at(self.mid_price)
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        if self.touch is None or limits is None or bid is None or ask is None:
            return self.mid_price
        priced = self._priced(QuoteInputs(bid, ask, self.tick, self.position.lots, limits))
        return self.mid_price if isinstance(priced, NotQuoting) else priced.reservation_price
