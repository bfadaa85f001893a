"""The configuration of a run: data, simulated venue, strategy, metrics and output."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mm_nautilus.config.fields import (
    Allowed,
    Balance,
    CatalogPlace,
    FolderPath,
    Moment,
    Section,
    SymbolName,
    VenueName,
    write_duration,
)
from mm_nautilus.config.problems import Problem, refuse
from mm_nautilus.config.rate_limit import RateLimitConfig
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import LARGEST_FEE_PCT

DEFAULT_LATENCY_MS: Final = 50.0
"""Default order latency: a retail connection to a venue on another continent."""


class FeeConfig(Section):
    """Fees of the simulated venue."""

    maker_fee_pct: float = Field(..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.1])
    """Maker fee, % of value; negative is a rebate."""
    taker_fee_pct: float = Field(..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.1])
    """Taker fee, % of value."""


class FeeTier(Section):
    """The fees from a volume on."""

    volume: float = Field(..., ge=0, examples=[0])
    """Volume of the last thirty days from which the tier holds, in the report currency."""
    maker_fee_pct: float = Field(..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.25])
    """Maker fee, % of value; negative is a rebate."""
    taker_fee_pct: float = Field(..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.4])
    """Taker fee, % of value."""


def _tiers(*rows: tuple[float, float, float]) -> list[FeeTier]:
    return [FeeTier(volume=volume, maker_fee_pct=maker, taker_fee_pct=taker) for volume, maker, taker in rows]


PUBLISHED: Final[Mapping[str, Sequence[FeeTier]]] = {
    # Of the pairs quoted in money and stablecoins; as the venue's AssetPairs listed them on 2026-09-04.
    "kraken_spot": _tiers(
        (0, 0.25, 0.40),
        (10_000, 0.20, 0.35),
        (50_000, 0.14, 0.24),
        (100_000, 0.12, 0.22),
        (250_000, 0.10, 0.20),
        (500_000, 0.08, 0.18),
        (1_000_000, 0.06, 0.16),
        (2_500_000, 0.04, 0.14),
        (5_000_000, 0.02, 0.12),
        (10_000_000, 0.00, 0.10),
    )
}
"""Schedules that venues have published, volumes in US dollars."""


class FeeScheduleConfig(Section):
    """Fees by the volume of the last thirty days: a published schedule or tiers of your own."""

    published: Literal["kraken_spot"] | None = Field(None, examples=["kraken_spot"])
    """Schedule that comes with the package, in US dollars: Kraken's spot fees of 2026-09-04; instead of tiers."""
    tiers: list[FeeTier] | None = Field(None, min_length=1)
    """Tiers, the first from a volume of 0 on, volumes ascending."""
    starting_volume: float = Field(0.0, ge=0)
    """Volume of the thirty days before the first execution, in the report currency; it is taken to expire evenly in the
    thirty days after it."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if (self.published is None) == (self.tiers is None):
            both = "both" if self.tiers else "neither"
            refuse([Problem((), f"one of published and tiers must be given, was {both}")])
        volumes = [tier.volume for tier in self.steps]
        if volumes[0] != 0 or any(after <= before for before, after in pairwise(volumes)):
            refuse([Problem(("tiers",), f"tiers must begin at volume 0 and ascend, was {volumes}")])
        return self

    @property
    def steps(self) -> Sequence[FeeTier]:
        """The tiers, volumes ascending."""
        return self.tiers if self.tiers is not None else PUBLISHED[self.published or ""]

    def tier_at(self, volume: float) -> FeeTier:
        """Return the tier that holds at a volume of the last thirty days, in the report currency."""
        return [tier for tier in self.steps if tier.volume <= volume][-1]


class LatencyConfig(Section):
    """Time between sending an order command and the venue acting on it."""

    insert_ms: float = Field(DEFAULT_LATENCY_MS, ge=0, le=60_000)
    """Latency of new orders, milliseconds."""
    amend_ms: float = Field(DEFAULT_LATENCY_MS, ge=0, le=60_000)
    """Latency of amendments, milliseconds."""
    cancel_ms: float = Field(DEFAULT_LATENCY_MS, ge=0, le=60_000)
    """Latency of cancels, milliseconds."""


class VenueConfig(Section):
    """The simulated venue: account, fees, latency and how fills are decided."""

    name: VenueName = Field(..., examples=["KRAKEN"])
    """The venue's name as the instruments have it."""
    account_type: Literal["cash", "margin"] = "cash"
    """cash exchanges base for quote and needs the balance; margin settles PnL only."""
    starting_balances: list[Balance] = Field(..., min_length=1, examples=[["1000 USDT"]])
    """Balances at the start, one amount a currency, for example [1000 USDT, 500 XRP]."""
    leverage: float = Field(1.0, ge=1, le=100)
    """Leverage of a margin account; a cash account takes 1."""
    fees: FeeConfig | None = None
    """Fees of all pairs; null takes each instrument's own."""
    fee_schedule: FeeScheduleConfig | None = None
    """Fees by the volume of the last thirty days, instead of fees; null has none."""
    symbol_fees: dict[SymbolName, FeeConfig] = Field(default_factory=dict)
    """Fees of single pairs, which replace the above."""
    latency: LatencyConfig = LatencyConfig()
    """Order latency of the venue."""
    rate_limit: RateLimitConfig | None = None
    """Rate limit beyond which the venue refuses order commands; null sets none."""
    queue_position: bool = True
    """Whether a quote waits behind the size that was displayed when it arrived."""
    liquidity_consumption: bool = True
    """Whether size that filled one of our orders is gone for the others."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse(_account_problems(self))
        return self


def _account_problems(venue: VenueConfig) -> Iterator[Problem]:
    if venue.fees is not None and venue.fee_schedule is not None:
        yield Problem(("fee_schedule",), "fee_schedule must not be given together with fees, was both")
    seen = set()
    for index, balance in enumerate(venue.starting_balances):
        if balance.currency in seen:
            text = f"starting_balances must name each currency once, was {balance} as the second of it"
            yield Problem(("starting_balances", str(index)), text)
        seen.add(balance.currency)
    if venue.account_type == "cash" and venue.leverage != 1:
        yield Problem(("leverage",), f"leverage must be 1 with account_type: cash, was {venue.leverage}")


class FundingConfig(Section):
    """A constant funding rate of all perpetuals."""

    rate_pct: float = Field(..., gt=-100, lt=100, examples=[0.01])
    """Rate of each payment, % of the position's value; positive is paid by longs to shorts."""
    every_hours: float = Field(8.0, ge=0.01, le=168)
    """Time between two payments, hours, counted from 1970-01-01T00:00Z."""


class MetricsConfig(Section):
    """The metrics actor."""

    interval_seconds: float = Field(10.0, ge=0.1, le=86_400)
    """Time between two publications of every symbol's metrics, seconds."""


class OutputConfig(Section):
    """Where and what a run writes."""

    directory: FolderPath = Path("runs")
    """Folder that gets one folder a run; relative to the working directory."""
    log_level: Literal["ERROR", "WARNING", "INFO", "DEBUG"] = "INFO"
    """Least level of the run's log."""
    report: bool = True
    """Whether the run writes its `report.html`."""
    traces: bool = True
    """Whether the run writes `market`, `market_trades`, `quotes`, `mark_outs` and `actions`, the tables that charts and
    fill quality are made of."""
    compare_fee_pct: float | None = Field(None, ge=-1, le=10)
    """Fee of both sides, % of value, at which a run values its fills a second time; null leaves that out."""
    journal: Literal["full", "fills", "none"] = "full"
    """Content of the journal, and of the log with it: full has fills, the decisions behind them, portfolio snapshots
    and guards; fills has only fills; none writes no journal."""
    journal_megabytes: float = Field(16.0, ge=0.001, le=4_096)
    """Largest size of a journal file, MB; a full one gets a number and a new one is started."""
    journal_files: int | None = Field(64, ge=1, le=1_000_000)
    """Number of full journal files kept beside the current one; after that the oldest is removed, which the journal and
    the log report. null keeps all."""


RunName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$"),
    Allowed("a text of one to sixty letters a to z or A to Z, digits and _ . -, a letter or digit first"),
]

EXAMPLE_VENUE: Final = {"name": "KRAKEN", "starting_balances": ["1000 USDT"]}
"""Example of a venue, for the schema."""


class TradingConfig(Section):
    """Common part of backtest and sandbox configurations: a simulated venue and a strategy on it."""

    if TYPE_CHECKING:  # each kind has these keys at a place of its own
        name: RunName
        venue: VenueConfig
        strategy: MarketMakerConfig
        output: OutputConfig

    @property
    def report_currency(self) -> str:
        """Currency of totals."""
        return self.strategy.report_currency


class RunConfig(TradingConfig):
    """One backtest."""

    name: RunName = "backtest"
    """Name of the run; part of its folder's name."""
    catalog: CatalogPlace = Field(..., examples=["../catalog"])
    """Folder of the Parquet catalog, relative to the configuration file, or its URL in an object store."""
    start: Moment | None = None
    """First moment of the data used, UTC; a date alone is its midnight; null takes all."""
    end: Moment | None = None
    """Last moment of the data used, UTC; a date alone is its midnight; null takes all."""
    chunk_rows: int = Field(50_000, ge=1_000, le=10_000_000)
    """Rows of market data held in memory at a time."""
    venue: VenueConfig = Field(..., examples=[EXAMPLE_VENUE])
    """The simulated venue."""
    funding: FundingConfig | None = None
    """A constant funding rate of perpetuals; null takes the catalog's rates."""
    strategy: MarketMakerConfig = Field(..., examples=[{"symbols": {"XRP/USDT": {}}}])
    """The market maker's parameters."""
    metrics: MetricsConfig = MetricsConfig()
    """The metrics actor."""
    output: OutputConfig = OutputConfig()
    """Where and what the run writes."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        found = list(venue_problems(self))
        if self.start is not None and self.end is not None and self.start >= self.end:
            text = f"end must be after start ({self.start.isoformat()}), was {self.end.isoformat()}"
            found.insert(0, Problem(("end",), text))
        refuse(found)
        return self


def venue_problems(config: TradingConfig) -> Iterator[Problem]:
    """Yield the contradictions between a run's venue and its strategy."""
    configured = ", ".join(config.strategy.symbols)
    for symbol in config.venue.symbol_fees:
        if symbol not in config.strategy.symbols:
            text = f"a symbol with its own fees must be one of strategy.symbols ({configured}), was {symbol}"
            yield Problem(("venue", "symbol_fees", symbol), text)
    if config.strategy.venue not in (None, config.venue.name):
        text = f"venue must be venue.name ({config.venue.name}) or not given, was {config.strategy.venue}"
        yield Problem(("strategy", "venue"), text)
    if config.strategy.own_orders_in_book:
        text = "own_orders_in_book must be false with a simulated venue, whose book never shows our orders, was true"
        yield Problem(("strategy", "own_orders_in_book"), text)
    limit, own = config.venue.rate_limit, config.strategy.rate_limit
    if own not in (None, limit):
        known = "null" if limit is None else limit.words
        text = f"rate_limit must be venue.rate_limit ({known}) or not given, was {own.words}"
        yield Problem(("strategy", "rate_limit"), text)
    elif own is None and limit is not None and config.strategy.rate_limit_policy == "budget":
        yield from limit.problems_of_budget(config.strategy.most_orders, "venue", "rate_limit")


def as_yaml_values(value: Any) -> Any:
    """Convert a model's dump to plain values for YAML and JSON."""
    if isinstance(value, dict):
        return {str(key): as_yaml_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_yaml_values(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return write_duration(value)
    return str(value) if isinstance(value, PurePath) else value
