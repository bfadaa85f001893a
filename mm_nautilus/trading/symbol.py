"""One symbol: its market, its position, and what it wants to quote; it sends nothing itself."""

import math
from collections.abc import Callable
from typing import Any, Final

from nautilus_trader.model import (
    LiquiditySide,
    PositionSide,
)

from mm_nautilus.calibration.figures import SymbolCalibration
from mm_nautilus.calibration.model_inputs import ModelInputs
from mm_nautilus.calibration.volatility import VolatilitySource, one_minute_pct
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.exits import exit_alerts
from mm_nautilus.pricing.fair_price import fair_price_ticks
from mm_nautilus.pricing.no_action_band import NoActionBand, no_action_band
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import MarketView, OwnPricing, PositionView, PricedQuote, PricingModel
from mm_nautilus.pricing.quote_model import QuoteMetrics
from mm_nautilus.pricing.quotes import (
    Quote,
    QuoteInputs,
    QuotePlan,
    plan_quotes,
    signal_sides,
)
from mm_nautilus.risk.limits import SECOND_NS, book_condition
from mm_nautilus.trading.book import SizedBook
from mm_nautilus.trading.closing import Closing
from mm_nautilus.trading.messages import QuoteState
from mm_nautilus.trading.position import Position
from mm_nautilus.trading.sizes import Sizes
from mm_nautilus.trading.symbol_views import SymbolViews
from mm_nautilus.trading.tape import TradeFilter
from mm_nautilus.trading.working_order import OrderCounts, QuoteSide

__all__ = ["SymbolState"]

_LEAST_SILENCE_NS: Final = 5 * SECOND_NS
"""Shortest silence that counts and is found by looking at a book's changes once a second."""


class SymbolState(SymbolViews):
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
    pricing
        A model of one's own in the place of the configured one.

    Attributes
    ----------
    position
        Its position since the start.
    guards, pause
        What may keep the symbol from being quoted, and why neither side is to be quoted as of the last `check_risk`.
    needs_requote, next_requote_ns
        Whether quotes have to be planned at the next event, and from when on at any event.
    closing
        How the position is closed.
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
        market: ModelInputs | None = None,
        calibration: SymbolCalibration | None = None,
        pricing: PricingModel | None = None,
    ) -> None:
        measured = None if calibration is None else one_minute_pct(calibration.volatility.volatility_bps)
        super().__init__(instrument, spec, params, market, measured)
        self.sizes = Sizes(spec, params, report_currency, rate)
        self.calibration = calibration
        self.pricing: PricingModel = pricing or self.model
        self.position = Position(instrument.quote_currency.precision)
        self.drawdown = self.guards.drawdown
        self.pause: NotQuoting | None = None
        self.bid, self.ask = QuoteSide(is_bid=True), QuoteSide(is_bid=False)
        self.counts = OrderCounts()
        self.closing = Closing(self, self.position, self.sizes, self.counts)
        self.trades = TradeFilter(self.name, self.guards, self.counts)
        self.quote_metrics: QuoteMetrics | None = None
        self.quoted_source: VolatilitySource | None = None
        self.reservation_price: float | None = None
        self.cap_lots: int | None = None
        self.needs_requote, self.next_requote_ns, self._reported_ns = True, 0, 0
        self.size_tolerance = params.requote_size_tolerance_pct / 100.0
        self._cooldown_ns = round(params.cooldown_seconds * SECOND_NS)
        self.has_plan = False
        self.on_quotes_changed: list[Callable[[QuoteState], None]] = []
        self._planned: tuple[QuoteInputs, float | None, QuotePlan] | None = None
        # Nothing but the symbol's own mid and position moves its quotes.
        self._may_keep_band = (
            params.quoting == "two_sided"
            and params.entry_order == "maker"
            and not isinstance(self.book, SizedBook)
            and self.sizes.follow_own_mid
        )
        self._band: NoActionBand | None = None
        self._is_band_due = False
        self._exit_alerts = (-math.inf, math.inf)

    # -- Market -----------------------------------------------------------------------------------------

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
        if self._is_band_due and not is_due:
            self._find_band(ts_ns)
        band = self._band
        if is_due or band is None or bid is None or ask is None or bid >= ask:
            if guard.is_gap(ts_ns):
                self.volatility.restart()
                self._record_touch(ts_ns)
            guard.on_event(ts_ns, book_condition(bid, ask))
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

    def _take_touch(self, ts_ns: int) -> float:
        """Follow the market and the position's extremes; return the price one could exit at, 0 where flat."""
        touch, entry = self._follow_touch(ts_ns), self.position.entry
        return 0.0 if touch is None or entry is None else entry.observe(*touch)

    # -- Position ---------------------------------------------------------------------------------------

    def hold_position(self, portfolio: Any, now_ns: int) -> None:
        """Take the engine's net position over, in whole lots."""
        lots: int = round(portfolio.net_position(self.instrument_id) / self.spec.size_increment)
        self.position.hold(lots, now_ns)

    def average_inventory(self, now_ns: int) -> float:
        """Return the time-weighted mean of the absolute position, in base currency."""
        return self.position.average_lots(now_ns) * self.lot

    def follow_position(self, event: Any) -> None:
        """Follow the entry of the position after an execution, by its position event."""
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
        """Count one execution, and return whether a trade that should not have come has made it."""
        is_maker = event.liquidity_side == LiquiditySide.MAKER
        is_phantom = is_maker and self.trades.is_phantom(event)
        self.counts.fills += 1
        self.counts.maker_fills += is_maker
        self.counts.phantom_fills += is_phantom
        return is_phantom

    # -- Quotes -----------------------------------------------------------------------------------------

    def check_risk(self, now_ns: int) -> bool:
        """Ask the guards, and return whether there is something new to report of a pause."""
        self.pause = self.guards.reason(now_ns)
        return self.pause is not self.guards.reported

    def plan(self, now_ns: int) -> None:
        """Plan both sides' quotes, or say why a side has none; the guards have been asked."""
        self.reservation_price = self._planned = self._band = None
        self._is_band_due = False
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
        limits = self.sizes.at(self.mid_price)
        if limits is None:
            self.next_requote_ns = now_ns  # Another pair's book brings the rate, not an event of this one.
            return NotQuoting.NO_CONVERSION_RATE, NotQuoting.NO_CONVERSION_RATE
        self.cap_lots = limits.cap_lots
        bid, ask = self.book.best_bid_ticks or 0, self.book.best_ask_ticks or 0
        inputs = QuoteInputs(bid, ask, self.tick, self.position.lots, limits)
        priced = self._priced(inputs)
        if isinstance(priced, NotQuoting):
            return priced, priced
        plan = plan_quotes(self.params, inputs, priced)
        self._planned = (inputs, priced.skew_bps, plan)
        self.reservation_price = plan.reservation_price
        if self.params.quoting == "signal":
            return self._signalled(plan)
        return plan.bid, plan.ask

    def keep_band(self) -> None:
        """Have it found out how far the touch may move before an order has to; after the plan has been carried out."""
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
        """Take back what was planned: the sides are to have no orders."""
        self.has_plan, self._planned, self._band, self._is_band_due = False, None, None, False

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

    def _priced(self, inputs: QuoteInputs) -> PricedQuote | NotQuoting:
        """Have the pricing model price the symbol, or return why it is not priced."""
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
        return side.last_fill_ns + self._cooldown_ns

    @property
    def may_follow_touch(self) -> bool:
        """Whether its quotes depend on best prices alone: on no depth, no size, no figure that is still measured."""
        by_touch = self.params.quoting == "two_sided" and not isinstance(self.book, SizedBook)
        return by_touch and self.book_guard.stale_after_ns >= _LEAST_SILENCE_NS

    @property
    def tolerance_ticks(self) -> float:
        """Requote tolerance in ticks at the present mid."""
        return self.params.requote_tolerance_bps / 10_000.0 * (self.mid_price or 0.0) / self.tick

    def schedule(self, now_ns: int) -> None:
        """Note when the targets may change although the touch does not; until then nothing has to be planned."""
        self.needs_requote = False
        if self.params.quoting == "signal" or self.closing.is_wanted:
            self.next_requote_ns = now_ns
            return
        due = self.volatility.next_ns(now_ns)
        for side in (self.bid, self.ask):
            for at_ns in (side.retry_at_ns, self.cooldown_until_ns(side)):
                if at_ns > now_ns:
                    due = min(due, at_ns)
        if self.position.entry is not None:
            due = self.position.entry.next_ns(self.params, now_ns, due)
        self.next_requote_ns = self.guards.next_ns(now_ns, due)

    def needs_attention(self, now_ns: int) -> bool:
        """Return whether something may have changed without a book event: a pause over, the feed silent."""
        is_due = self.needs_requote or now_ns >= self.next_requote_ns
        return is_due or self.book_guard.is_stale(now_ns) or self.guards.is_tape_stale(now_ns)

    def is_at_rest(self, now_ns: int) -> bool:
        """Return whether nothing is left to be done before the next book event, which a gap keeps waiting."""
        is_silent = self.last_event_ns is None or self.is_gap(now_ns)
        return is_silent and not (self.closing.is_wanted and self.closing.is_possible)

    # -- Views ------------------------------------------------------------------------------------------

    def current_reservation_price(self) -> float | None:
        """Return the reservation price at the present book and position, the mid where the model has none.

        A model of one's own may keep a state, so that it is not asked by whoever looks: it is its last price then.
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
