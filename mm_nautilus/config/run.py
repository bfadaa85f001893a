"""The configuration of a run: data, simulated venue, strategy, metrics and output."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from mm_nautilus.config.fields import (
    STRICT,
    Allowed,
    Balance,
    Finding,
    FolderPath,
    Moment,
    SymbolName,
    VenueName,
    refuse_findings,
)
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import LARGEST_FEE_PCT

__all__ = [
    "EXAMPLE_VENUE",
    "FeeConfig",
    "LatencyConfig",
    "MetricsConfig",
    "OutputConfig",
    "RunConfig",
    "RunName",
    "TradingConfig",
    "VenueConfig",
    "as_yaml_values",
    "venue_findings",
]

DEFAULT_LATENCY_MS: Final = 50.0
"""Order latency assumed where nothing is configured: a retail link to a venue on another continent."""


class FeeConfig(BaseModel):
    """Fees of the simulated venue."""

    model_config = STRICT

    maker_fee_pct: float = Field(
        ...,
        ge=-LARGEST_FEE_PCT,
        le=LARGEST_FEE_PCT,
        examples=[0.1],
        description="Maker fee, % of value; negative is a rebate.",
    )
    taker_fee_pct: float = Field(
        ..., ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT, examples=[0.1], description="Taker fee, % of value."
    )


class LatencyConfig(BaseModel):
    """Time between sending an order command and the venue acting on it."""

    model_config = STRICT

    insert_ms: float = Field(
        default=DEFAULT_LATENCY_MS, ge=0, le=60_000, description="Latency of new orders, milliseconds."
    )
    amend_ms: float = Field(
        default=DEFAULT_LATENCY_MS, ge=0, le=60_000, description="Latency of amendments, milliseconds."
    )
    cancel_ms: float = Field(
        default=DEFAULT_LATENCY_MS, ge=0, le=60_000, description="Latency of cancels, milliseconds."
    )


class VenueConfig(BaseModel):
    """The simulated venue: account, fees, latency and how fills are decided."""

    model_config = STRICT

    name: VenueName = Field(
        ..., examples=["KRAKEN"], description="The venue's name as the instruments have it."
    )
    account_type: Literal["cash", "margin"] = Field(
        default="cash",
        description="cash exchanges base for quote and needs the balance; margin settles PnL only.",
    )
    starting_balances: list[Balance] = Field(
        ...,
        min_length=1,
        examples=[["1000 USDT"]],
        description="Balances at the start, one amount a currency, for example [1000 USDT, 500 XRP].",
    )
    leverage: float = Field(
        default=1.0, ge=1, le=100, description="Leverage of a margin account; a cash account takes 1."
    )
    fees: FeeConfig | None = Field(
        default=None, description="Fees of all pairs; null takes each instrument's own."
    )
    symbol_fees: dict[SymbolName, FeeConfig] = Field(
        default_factory=dict, description="Fees of single pairs, which replace the above."
    )
    latency: LatencyConfig = Field(default=LatencyConfig(), description="Order latency of the venue.")
    queue_position: bool = Field(
        default=True, description="Whether a quote waits behind the size that was displayed when it arrived."
    )
    liquidity_consumption: bool = Field(
        default=True, description="Whether size that filled one of our orders is gone for the others."
    )

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse_findings([*_repeated_balances(self), *_leverage_on_cash(self)])
        return self


def _repeated_balances(venue: VenueConfig) -> list[Finding]:
    found, seen = [], set()
    for index, balance in enumerate(venue.starting_balances):
        if balance.currency in seen:
            text = f"starting_balances must name each currency once, was {balance} as the second of it"
            found.append(Finding((("starting_balances", str(index)),), text))
        seen.add(balance.currency)
    return found


def _leverage_on_cash(venue: VenueConfig) -> list[Finding]:
    if venue.account_type == "margin" or venue.leverage == 1:
        return []
    text = f"leverage must be 1 with account_type: cash, was {venue.leverage}"
    return [Finding((("leverage",), ("account_type",)), text)]


class MetricsConfig(BaseModel):
    """The metrics actor."""

    model_config = STRICT

    interval_seconds: float = Field(
        default=10.0,
        ge=0.1,
        le=86_400,
        description="Time between two publications of every symbol's metrics, seconds.",
    )


class OutputConfig(BaseModel):
    """Where and what a run writes."""

    model_config = STRICT

    directory: FolderPath = Field(
        default=Path("runs"),
        description="Folder that gets one folder a run; relative to the working directory.",
    )
    log_level: Literal["ERROR", "WARNING", "INFO", "DEBUG"] = Field(
        default="INFO", description="Least level of the run's log."
    )
    report: bool = Field(default=True, description="Whether the run writes its `report.html`.")
    traces: bool = Field(
        default=True,
        description="Whether the run writes `market`, `quotes`, `mark_outs` and `actions`, the tables that charts and "
        "fill quality are made of.",
    )
    journal: Literal["full", "fills", "none"] = Field(
        default="full",
        description="What the journal, and the log with it, has of the trading: full has fills, what led to them, "
        "portfolio snapshots and guards; fills has fills alone; none writes no journal.",
    )
    journal_megabytes: float = Field(
        default=16.0,
        ge=0.001,
        le=4_096,
        description="Largest size of a journal file, MB; the next line begins a new one and the full one gets a "
        "number.",
    )
    journal_files: int | None = Field(
        default=64,
        ge=1,
        le=1_000_000,
        description="How many full journal files are kept beside the one that is written; beyond that the oldest is "
        "removed, which the journal and the log tell. null keeps all.",
    )


RunName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$"),
    Allowed("a text of one to sixty letters, digits and _ . -, a letter or digit first"),
]

EXAMPLE_VENUE: Final = {"name": "KRAKEN", "starting_balances": ["1000 USDT"]}
"""Example of a venue, for the schema."""


class TradingConfig(Protocol):
    """What backtests and sandbox runs have in common: a simulated venue and a strategy on it."""

    @property
    def name(self) -> str:
        """Name of the run."""

    @property
    def venue(self) -> VenueConfig:
        """The simulated venue."""

    @property
    def strategy(self) -> MarketMakerConfig:
        """The market maker's parameters."""

    @property
    def output(self) -> OutputConfig:
        """Where and what the run writes."""

    @property
    def report_currency(self) -> str:
        """Currency of totals."""


class RunConfig(BaseModel):
    """One backtest."""

    model_config = STRICT

    name: RunName = Field(default="backtest", description="Name of the run; part of its folder's name.")
    catalog: FolderPath = Field(
        ...,
        examples=["../catalog"],
        description="Folder of the Parquet catalog; relative to the configuration file.",
    )
    start: Moment | None = Field(
        default=None, description="First moment of the data used, with a UTC offset; null takes all."
    )
    end: Moment | None = Field(
        default=None, description="Last moment of the data used, with a UTC offset; null takes all."
    )
    chunk_rows: int = Field(
        default=50_000, ge=1_000, le=10_000_000, description="Rows of market data held in memory at a time."
    )
    venue: VenueConfig = Field(..., examples=[EXAMPLE_VENUE], description="The simulated venue.")
    strategy: MarketMakerConfig = Field(
        ..., examples=[{"symbols": {"XRP/USDT": {}}}], description="The market maker's parameters."
    )
    metrics: MetricsConfig = Field(default=MetricsConfig(), description="The metrics actor.")
    output: OutputConfig = Field(default=OutputConfig(), description="Where and what the run writes.")

    @property
    def report_currency(self) -> str:
        """Currency of totals."""
        return self.strategy.report_currency

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse_findings([*_ends_before_start(self), *venue_findings(self)])
        return self


def _ends_before_start(config: RunConfig) -> list[Finding]:
    if config.start is None or config.end is None or config.start < config.end:
        return []
    text = f"end must be after start ({config.start.isoformat()}), was {config.end.isoformat()}"
    return [Finding((("end",), ("start",)), text)]


def venue_findings(config: TradingConfig) -> list[Finding]:
    """Return the contradictions between a run's venue and its strategy."""
    return [*_unknown_fee_symbols(config), *_other_venue(config)]


def _unknown_fee_symbols(config: TradingConfig) -> list[Finding]:
    configured = ", ".join(config.strategy.symbols)
    return [
        Finding(
            (("venue", "symbol_fees", symbol), ("strategy", "symbols")),
            f"a symbol with its own fees must be one of strategy.symbols ({configured}), was {symbol}",
        )
        for symbol in config.venue.symbol_fees
        if symbol not in config.strategy.symbols
    ]


def _other_venue(config: TradingConfig) -> list[Finding]:
    if config.strategy.venue in (None, config.venue.name):
        return []
    text = f"venue must be venue.name ({config.venue.name}) or not given, was {config.strategy.venue}"
    return [Finding((("strategy", "venue"), ("venue", "name")), text)]


def as_yaml_values(value: Any) -> Any:
    """Turn a model's dump into plain values that YAML and JSON write."""
    if isinstance(value, dict):
        return {str(key): as_yaml_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_yaml_values(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
