"""The fees that the simulated venue charges: fixed ones, or those of the tier that the run's volume has reached."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Self

from nautilus_trader.execution import FeeModel
from nautilus_trader.model import InstrumentId, LiquiditySide, Money

from mm_nautilus.config.run import FeeScheduleConfig, FeeTier, TradingConfig
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rates import Rates
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.strategy import MarketMaker

FEE_KEYS: Final = ("maker_fee_pct", "taker_fee_pct")
"""Keys of a symbol's fees."""
_WINDOW_NS: Final = 30 * 86_400 * SECOND_NS

type FeeRates = Mapping[InstrumentId, tuple[Decimal, Decimal]]


def fee_tiers(fees: FeeModel) -> list[dict[str, Any]] | None:
    """Return the tiers that held, as the summary has them; None with fixed fees."""
    if not isinstance(fees, TieredFees):
        return None
    return [
        {
            "since_ns": use.since_ns,
            "volume": use.volume,
            "maker_fee_pct": use.tier.maker_fee_pct,
            "taker_fee_pct": use.tier.taker_fee_pct,
            "fills": use.fills,
            "unvalued_fills": use.unvalued,
        }
        for use in fees.uses
    ]


def fee_warnings(fees: FeeModel) -> list[str]:
    """Return a warning of fills that a schedule's volume lacks, if there are any."""
    unvalued = sum(use.unvalued for use in fees.uses) if isinstance(fees, TieredFees) else 0
    if not unvalued:
        return []
    return [
        f"Warning: fills that are not in the volume of fee_schedule, as their value had no price: {unvalued:,}"
    ]


class TieredFees(FeeModel):
    """Charge the fees of the tier that the volume of the last thirty days has reached, before each execution.

    `own` has the fees of pairs with fees of their own, as fractions of the value; their volume counts, too. Volumes are
    in the report currency. `uses` are the tiers that held, in the order of time; `told` are, by symbol, those of
    `FEE_KEYS` that the strategy is told of a new tier.
    """

    def __new__(cls, *_args: Any) -> Self:
        """Hide the arguments from the engine's base class."""
        return super().__new__(cls)

    def __init__(self, schedule: FeeScheduleConfig, own: FeeRates, report_currency: str) -> None:
        self._schedule, self._own, self._currency = schedule, own, report_currency
        self._recent: deque[tuple[int, float]] = deque()
        self._volume = 0.0
        self._first_ns: int | None = None
        self._strategy: MarketMaker | None = None
        self._rates: Rates[float] | None = None
        self.uses: list[TierUse] = []
        self.told: dict[str, Sequence[str]] = {}
        self._told_tier = schedule.tier_at(schedule.starting_volume)

    def follow(
        self, strategy: MarketMaker, specs: Mapping[str, InstrumentSpec], config: TradingConfig
    ) -> None:
        """Take time and prices from the strategy, and let it learn of new fees where the configuration gives none."""

        def mid_price(symbol: str) -> float | None:
            state = strategy.symbols.get(symbol)
            return None if state is None else state.mid_price

        self._strategy = strategy
        self._rates = Rates({name: (spec.base, spec.quote) for name, spec in specs.items()}, mid_price, 1.0)
        for symbol in specs.keys() - config.venue.symbol_fees.keys():
            params = config.strategy.for_symbol(symbol)
            self.told[symbol] = [key for key in FEE_KEYS if getattr(params, key) is None]
        strategy.conditions.changed_fees = self.changed

    def get_commission(self, order: Any, fill_quantity: Any, fill_px: Any, instrument: Any) -> Money:
        """Return an execution's fee in quote currency, and count its value."""
        now_ns = order.ts_last if self._strategy is None else self._strategy.clock.timestamp_ns()
        value = fill_quantity.as_decimal() * fill_px.as_decimal()
        use = self._use(now_ns)
        is_maker = order.liquidity_side == LiquiditySide.MAKER
        if instrument.id in self._own:
            rate = self._own[instrument.id][0 if is_maker else 1]
        else:
            pct = use.tier.maker_fee_pct if is_maker else use.tier.taker_fee_pct
            rate = Decimal(repr(pct)) / 100
        use.fills += 1
        self._count(now_ns, value, instrument.quote_currency.code)
        return Money.from_decimal(value * rate, instrument.quote_currency)

    def _count(self, now_ns: int, value: Decimal, currency: str) -> None:
        rate = None if self._rates is None else self._rates.rate(currency, self._currency)
        if rate is None:
            self.uses[-1].unvalued += 1
            return
        self._recent.append((now_ns, float(value) * rate))
        self._volume += self._recent[-1][1]

    def _use(self, now_ns: int) -> "TierUse":
        if self._first_ns is None:
            self._first_ns = now_ns
        volume = self._volume_at(now_ns)
        tier = self._schedule.tier_at(volume)
        if not self.uses or self.uses[-1].tier is not tier:
            self.uses.append(TierUse(now_ns, volume, tier))
        return self.uses[-1]

    def _volume_at(self, now_ns: int) -> float:
        while self._recent and self._recent[0][0] <= now_ns - _WINDOW_NS:
            self._volume -= self._recent.popleft()[1]
        since_ns = 0 if self._first_ns is None else now_ns - self._first_ns
        return self._schedule.starting_volume * max(0.0, 1.0 - since_ns / _WINDOW_NS) + self._volume

    def changed(self, now_ns: int) -> Mapping[str, Mapping[str, float]]:
        """Return the next execution's fees by symbol and key, % of value, if its tier is new since the last call."""
        tier = self._schedule.tier_at(self._volume_at(now_ns))
        if tier is self._told_tier:
            return {}
        self._told_tier = tier
        return {symbol: {key: getattr(tier, key) for key in keys} for symbol, keys in self.told.items()}


@dataclass(slots=True)
class TierUse:
    """A stretch of time in which one tier held."""

    since_ns: int
    """Time of its first execution, nanoseconds since the epoch."""
    volume: float
    """Volume of the thirty days before, in the report currency."""
    tier: FeeTier
    fills: int = 0
    unvalued: int = 0
    """Those of the fills whose value had no price in the report currency and was not counted."""
