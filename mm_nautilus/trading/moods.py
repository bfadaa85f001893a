"""Adjust quotes to market moods: size and width by regime and session, sides by trend and correlation."""

from mm_nautilus.calibration.figures import SymbolCalibration
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.moods import MoodSchedule, aligned_correlation
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import PricedQuote
from mm_nautilus.pricing.quotes import QuotePlan, SizeLimits
from mm_nautilus.trading.market import Market
from mm_nautilus.trading.position import Position


class SymbolMoods:
    """Adjust one symbol's quotes to market moods."""

    def __init__(
        self, params: SymbolParams, market: Market, position: Position, calibration: SymbolCalibration | None
    ) -> None:
        self._market, self._position = market, position
        self._pause, self._lookback = params.correlation_pause, params.volatility_lookback
        self._schedule = MoodSchedule(params, () if calibration is None else calibration.volatility.quantiles)
        self._correlated: tuple[Market, Position] | None = None
        self.is_on = self._schedule.is_on or market.trend is not None or self._pause is not None

    def correlate(self, market: Market, position: Position) -> None:
        """Set market and position of the other pair of ``correlation_pause``."""
        self._correlated = market, position

    def next_ns(self, now_ns: int, due_ns: int) -> int:
        """Return the next time at which a mood may change without a book event, at most `due_ns`."""
        if self._market.trend is not None:
            due_ns = min(due_ns, self._market.trend.next_ns(now_ns))
        return self._schedule.next_ns(now_ns, due_ns)

    def scaled(
        self, limits: SizeLimits, priced: PricedQuote, now_ns: int
    ) -> tuple[SizeLimits, PricedQuote, float] | None:
        """Return sizes and widths times the mood's factors, and the width's factor; None if the mood pauses quoting."""
        mood = self._schedule.mood(now_ns, self._market.volatility.volatility_pct)
        if mood.pauses:
            return None
        sized = limits._replace(full_lots=int(limits.full_lots * mood.size))
        bid_width, ask_width = priced.bid_width * mood.width, priced.ask_width * mood.width
        return sized, priced._replace(bid_width=bid_width, ask_width=ask_width), mood.width

    def allowed(self, plan: QuotePlan) -> QuotePlan:
        """Remove sides stopped by trend or correlation, except one that reduces the position."""
        trend = self._market.trend
        if trend is not None:
            plan = self._without(plan, -trend.direction, NotQuoting.AGAINST_TREND)
        return self._without(plan, self._shared_risk(), NotQuoting.CORRELATED_POSITION)

    def _without(self, plan: QuotePlan, direction: int, reason: NotQuoting) -> QuotePlan:
        if direction == 0 or direction * self._position.lots < 0:
            return plan
        is_ask = direction < 0
        outer = tuple(reason if index % 2 == is_ask else target for index, target in enumerate(plan.outer))
        return plan._replace(ask=reason, outer=outer) if is_ask else plan._replace(bid=reason, outer=outer)

    def _shared_risk(self) -> int:
        """Return 1 if buying adds to the risk of the other pair's position, -1 if selling does, else 0."""
        if self._pause is None or self._correlated is None:
            return 0
        market, position = self._correlated
        mine, theirs = self._market.volatility, market.volatility
        if position.lots == 0 or mine.minute is None or theirs.minute is None:
            return 0
        together = aligned_correlation(
            mine.returns, mine.minute, theirs.returns, theirs.minute, self._lookback
        )
        if together is None or abs(together) <= self._pause.above:
            return 0
        return 1 if together * position.lots > 0 else -1
