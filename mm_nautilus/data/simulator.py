"""The simulator of order flow: SIMULATED books and trades of three pairs that belong together."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from mm_nautilus.data.catalog_files import refuse_unfinished
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.order_flow import FlowConfig, PairFlow, PairSlice
from mm_nautilus.data.store import stored
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.system.moments import SECOND_NS, nanoseconds
from mm_nautilus.system.store_url import CatalogPath

STEP_SECONDS: Final = 0.1
"""Time between two steps of the efficient prices, seconds."""
_STEPS_PER_MINUTE: Final = 60.0 / STEP_SECONDS
_STEP_NS: Final = round(STEP_SECONDS * SECOND_NS)
_MOST_LOG: Final = 100.0
"""Bound that keeps absurd settings from overflowing; the simulator refuses such prices."""
_SLICE_SECONDS: Final = 600
_STAGGER_NS: Final = 1_000
"""Shift between two pairs' snapshots, so that no two instruments' first events coincide."""
_LEAST_TICKS: Final = 500
"""Least price in ticks; below it a tick is more than 20 basis points."""
_MOST_TICKS: Final = 1_000_000_000

type Floats = NDArray[np.float64]


def _kraken(
    base: str, quote: str, *, tick: str, lot: str, min_quantity: str, min_notional: str
) -> InstrumentSpec:
    return InstrumentSpec(
        symbol=f"{base}/{quote}",
        venue="KRAKEN",
        base=base,
        quote=quote,
        price_increment=Decimal(tick),
        size_increment=Decimal(lot),
        min_quantity=Decimal(min_quantity),
        min_notional=Decimal(min_notional),
        maker_fee_rate=Decimal("0.0025"),
        taker_fee_rate=Decimal("0.0040"),
        simulated=True,
    )


# Kraken's lots have eight decimals; the engine keeps six of XRP, and a finer lot would make balances inexact.
KRAKEN_SPOT: Final[Mapping[str, InstrumentSpec]] = MappingProxyType(
    {
        "XRP/USDT": _kraken(
            "XRP", "USDT", tick="0.00001", lot="0.000001", min_quantity="2.000000", min_notional="0.5"
        ),
        "BTC/USDT": _kraken(
            "BTC", "USDT", tick="0.1", lot="0.00000001", min_quantity="0.00005000", min_notional="0.5"
        ),
        "XRP/BTC": _kraken(
            "XRP", "BTC", tick="0.00000001", lot="0.000001", min_quantity="2.000000", min_notional="0.00002"
        ),
    }
)
"""The instruments simulated: ticks, minimums and fees of Kraken's lowest spot tier."""

_FLOWS: Final[Mapping[str, tuple[Any, ...]]] = {
    "limit_rate": (7.0, 12.0, 6.0),
    "cancel_rate": (7.0, 12.0, 9.0),
    "market_rate": (0.5, 0.6, 0.4),
    "informed_rate": (1.5, 2.0, 0.5),
    "refresh_rate": (2.0, 3.0, 1.0),
    "half_spread_bps": (0.5, 0.1, 0.5),
    "decay_bps": (3.0, 2.0, 10.0),
    "limit_value": (220.0, 400.0, 60.0),
    "limit_spread": (0.8, 0.9, 0.6),
    "market_value": (180.0, 350.0, 90.0),
    "market_spread": (1.4, 1.5, 1.0),
}
FLOWS: Final[Mapping[str, FlowConfig]] = MappingProxyType(
    {
        symbol: FlowConfig(**dict(zip(_FLOWS, values, strict=True)))
        for symbol, values in zip(KRAKEN_SPOT, zip(*_FLOWS.values(), strict=True), strict=True)
    }
)
"""Order flow of each pair; values are counted in USDT."""


class SimulationConfig(BaseModel):
    """What is simulated; the same configuration gives the same data, byte for byte."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    seed: int = Field(default=20251213, ge=0, description="Seed of all random streams.")
    duration_seconds: int = Field(
        default=1800, ge=10, le=31 * 86_400, description="Span of the data, seconds."
    )
    start: AwareDatetime = Field(
        default=datetime(2025, 12, 13, 12, 0, tzinfo=UTC),
        ge=datetime(1970, 1, 1, tzinfo=UTC),
        lt=datetime(2200, 1, 1, tzinfo=UTC),
        strict=False,
        description="First moment of the data.",
    )
    xrp_usdt: float = Field(default=2.35, gt=0, description="First efficient price of XRP, USDT.")
    btc_usdt: float = Field(default=100_000.0, gt=0, description="First efficient price of BTC, USDT.")
    xrp_volatility_pct: float = Field(
        default=0.1, gt=0, le=5, description="Typical volatility of XRP/USDT, % per square root of a minute."
    )
    btc_volatility_pct: float = Field(
        default=0.08, gt=0, le=5, description="Typical volatility of BTC/USDT, % per square root of a minute."
    )
    correlation: float = Field(
        default=0.7, ge=-1, le=1, description="Correlation of the two prices' returns."
    )
    log_volatility_std: float = Field(
        default=0.35,
        ge=0,
        le=2,
        description="Standard deviation of the logarithm of the common volatility factor.",
    )
    log_volatility_minutes: float = Field(
        default=8.0, gt=0, description="Memory of the volatility factor, minutes."
    )
    jumps_per_hour: float = Field(
        default=6.0, ge=0, le=3600, description="Mean number of jumps a price an hour."
    )
    jump_pct: float = Field(default=0.08, ge=0, le=5, description="Standard deviation of a jump, %.")
    activity: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="Factor of all rates of orders and takers: below 1 a quiet market.",
    )

    @property
    def start_ns(self) -> int:
        """First moment of the data, nanoseconds since the epoch."""
        return nanoseconds(self.start)

    @model_validator(mode="after")
    def _check_first_prices(self) -> Self:
        firsts = {
            "XRP/USDT": self.xrp_usdt,
            "BTC/USDT": self.btc_usdt,
            "XRP/BTC": self.xrp_usdt / self.btc_usdt,
        }
        for symbol, price in firsts.items():
            low, high = _price_limits(KRAKEN_SPOT[symbol])
            if not low <= price <= high:
                raise ValueError(
                    f"the first price of {symbol} must be from {low:g} to {high:g}, was {price:g}"
                )
        return self


class EfficientPrices:
    """Draw the paths step by step, in slices that continue each other.

    The logarithm of each price is a random walk whose volatility is ``volatility_pct * exp(v)``, where v is
    an Ornstein-Uhlenbeck process common to both, plus compound Poisson jumps of its own. All slices draw from
    `generator` in order.
    """

    def __init__(self, config: SimulationConfig, generator: np.random.Generator) -> None:
        self._config = config
        self._generator = generator
        self._log_prices = np.log(np.array([config.xrp_usdt, config.btc_usdt]))
        self._log_volatility = generator.normal(0.0, config.log_volatility_std)

    def next_slice(self, steps: int) -> Floats:
        """Return the prices of the next steps of `STEP_SECONDS`, an array of shape (2, steps)."""
        factor = np.exp(self._log_volatilities(steps))
        volatilities_pct = np.array([self._config.xrp_volatility_pct, self._config.btc_volatility_pct])
        scale = volatilities_pct[:, None] / 100.0 / np.sqrt(_STEPS_PER_MINUTE)
        increments = scale * factor * self._correlated_normals(steps) + self._jumps(steps)
        paths = self._log_prices[:, None] + np.cumsum(increments, axis=1)
        self._log_prices = paths[:, -1]
        prices: Floats = np.exp(np.clip(paths, -_MOST_LOG, _MOST_LOG))
        return prices

    def _log_volatilities(self, steps: int) -> Floats:
        config = self._config
        memory = float(np.exp(-1.0 / (config.log_volatility_minutes * _STEPS_PER_MINUTE)))
        noise = self._generator.normal(0.0, config.log_volatility_std * np.sqrt(1.0 - memory**2), steps)
        values, level = np.empty(steps), self._log_volatility
        for step in range(steps):
            level = memory * level + noise[step]
            values[step] = level
        self._log_volatility = level
        return values

    def _correlated_normals(self, steps: int) -> Floats:
        rho = self._config.correlation
        normals = self._generator.standard_normal((2, steps))
        normals[1] = rho * normals[0] + np.sqrt(1.0 - rho**2) * normals[1]
        return normals

    def _jumps(self, steps: int) -> Floats:
        chance = self._config.jumps_per_hour / 3600.0 * STEP_SECONDS
        happens = self._generator.random((2, steps)) < chance
        sizes = self._generator.normal(0.0, self._config.jump_pct / 100.0, (2, steps))
        return np.where(happens, sizes, 0.0)


def simulate(config: SimulationConfig) -> Iterator[list[PairSlice]]:
    """Yield the data of all pairs, slice by slice, so that memory stays flat however long it lasts.

    A `DataError` says that a price wanders to where its tick is too coarse, or beyond what is stored exactly.
    """
    seeds = np.random.SeedSequence(config.seed).spawn(1 + len(KRAKEN_SPOT))
    generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
    prices = EfficientPrices(config, generators[0])
    flows = {
        symbol: PairFlow(FLOWS[symbol].times(config.activity), spec, generator)
        for (symbol, spec), generator in zip(KRAKEN_SPOT.items(), generators[1:], strict=True)
    }
    for done in range(0, config.duration_seconds, _SLICE_SECONDS):
        seconds = min(_SLICE_SECONDS, config.duration_seconds - done)
        start_ns = config.start_ns + done * SECOND_NS
        end_ns = start_ns + seconds * SECOND_NS
        # Whole slices are drawn even where the span ends within one: a shorter run begins as a longer one.
        xrp, btc = prices.next_slice(round(_SLICE_SECONDS / STEP_SECONDS))
        efficient = {"XRP/USDT": xrp, "BTC/USDT": btc, "XRP/BTC": xrp / btc}
        values = {"XRP/USDT": xrp, "BTC/USDT": btc, "XRP/BTC": xrp}
        steps = round(seconds / STEP_SECONDS)
        slices = []
        for number, (symbol, flow) in enumerate(flows.items()):
            spec, price = KRAKEN_SPOT[symbol], efficient[symbol]
            _check_path(spec, price[:steps])
            if done == 0:
                flow.open(start_ns + number * _STAGGER_NS, price[0], values[symbol][0])
            slices.append(flow.run(start_ns, _STEP_NS, price, values[symbol], end_ns))
        yield slices


def _price_limits(spec: InstrumentSpec) -> tuple[float, float]:
    """Return the prices between which ticks are fine enough and still exact."""
    tick = float(spec.price_increment)
    return _LEAST_TICKS * tick, _MOST_TICKS * tick


def _check_path(spec: InstrumentSpec, prices: NDArray[np.float64]) -> None:
    low, high = _price_limits(spec)
    if not (prices.min() >= low and prices.max() <= high):
        raise DataError(
            f"the simulated price of {spec.symbol} left {low:g} to {high:g}; "
            "choose a lower volatility or a shorter span"
        )


def write_sample(
    target: CatalogPath, config: SimulationConfig, on_progress: Callable[[float], None] | None = None
) -> None:
    """Write simulated data as a new catalog, whole or not at all; `on_progress` gets the share done, 0..1.

    Files that are no market data, such as a README, may be in the folder already. A `DataError` says that it holds
    market data, or cannot be written.
    """
    refuse_unfinished(stored(target))
    if any((stored(target) / "data").glob("**/*.parquet")):
        raise DataError(
            f"{target} already holds a catalog; remove {target / 'data'} first or choose another folder"
        )
    report = on_progress or (lambda _share: None)
    with staged_catalog(target) as writer:
        for spec in KRAKEN_SPOT.values():
            writer.write_instrument(spec)
        done = 0
        for slices in simulate(config):
            for part in slices:
                writer.write_block(part.spec, part.deltas)
                writer.write_block(part.spec, part.trades)
            done += _SLICE_SECONDS
            report(min(1.0, done / config.duration_seconds))
