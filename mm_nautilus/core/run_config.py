"""The configuration of a run: data, simulated venue, strategy, metrics and output."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mm_nautilus.core.config import REPORT_CURRENCY, AmountField, MarketMakerConfig

__all__ = [
    "FeeConfig",
    "LatencyConfig",
    "MetricsConfig",
    "OutputConfig",
    "RunConfig",
    "VenueConfig",
]

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)

DEFAULT_LATENCY_MS: Final = 50.0
"""Order latency assumed where nothing is configured: a retail link to a venue on another continent."""


class FeeConfig(BaseModel):
    """Fees of the simulated venue."""

    model_config = _STRICT

    maker_fee_pct: float = Field(..., ge=-5, le=5, description="Maker fee, % of value; negative is a rebate.")
    taker_fee_pct: float = Field(..., ge=-5, le=5, description="Taker fee, % of value.")


class LatencyConfig(BaseModel):
    """Time between sending an order command and the venue acting on it."""

    model_config = _STRICT

    insert_ms: float = Field(DEFAULT_LATENCY_MS, ge=0, le=60_000, description="Latency of new orders, milliseconds.")
    amend_ms: float = Field(DEFAULT_LATENCY_MS, ge=0, le=60_000, description="Latency of amendments, milliseconds.")
    cancel_ms: float = Field(DEFAULT_LATENCY_MS, ge=0, le=60_000, description="Latency of cancels, milliseconds.")


class VenueConfig(BaseModel):
    """The simulated venue: account, fees, latency and how fills are decided."""

    model_config = _STRICT

    name: str = Field(..., min_length=1, description="The venue's name as the catalog's instruments have it.")
    account_type: Literal["cash", "margin"] = Field(
        "cash", description="cash exchanges base for quote and needs the balance; margin settles PnL only."
    )
    starting_balances: list[AmountField] = Field(
        ..., min_length=1, description="Balances at the start, one amount a currency, for example 1000 USDT."
    )
    leverage: float = Field(1.0, ge=1, le=100, description="Leverage of a margin account; a cash account takes 1.")
    fees: FeeConfig | None = Field(None, description="Fees of all pairs; null takes each instrument's own.")
    symbol_fees: dict[str, FeeConfig] = Field(
        default_factory=dict, description="Fees of single pairs, which replace the above."
    )
    latency: LatencyConfig = Field(default_factory=LatencyConfig, description="Order latency of the venue.")
    queue_position: bool = Field(
        True, description="Whether a quote waits behind the size that was displayed when it arrived."
    )
    liquidity_consumption: bool = Field(
        True, description="Whether size that filled one of our orders is gone for the others."
    )


class MetricsConfig(BaseModel):
    """The metrics actor."""

    model_config = _STRICT

    interval_seconds: float = Field(
        10.0, ge=0.1, le=86_400, description="Time between two publications of every symbol's metrics, seconds."
    )


class OutputConfig(BaseModel):
    """Where and what a run writes."""

    model_config = _STRICT

    directory: Path = Field(
        Path("runs"), strict=False, description="Folder that gets one folder a run; relative to the working directory."
    )
    log_level: Literal["ERROR", "WARNING", "INFO", "DEBUG"] = Field("INFO", description="Least level of the run's log.")


class RunConfig(BaseModel):
    """One backtest."""

    model_config = _STRICT

    name: str = Field(
        "backtest", pattern=r"^[A-Za-z0-9_.-]{1,60}$", description="Name of the run; part of its folder's name."
    )
    catalog: Path = Field(
        ..., strict=False, description="Folder of the Parquet catalog; relative to the configuration file."
    )
    start: AwareDatetime | None = Field(
        None, strict=False, description="First moment of the data used, with a UTC offset; null takes all."
    )
    end: AwareDatetime | None = Field(
        None, strict=False, description="Last moment of the data used, with a UTC offset; null takes all."
    )
    chunk_rows: int = Field(
        50_000, ge=1_000, le=10_000_000, description="Rows of market data held in memory at a time."
    )
    venue: VenueConfig = Field(..., description="The simulated venue.")
    strategy: MarketMakerConfig = Field(..., description="The market maker's parameters.")
    metrics: MetricsConfig = Field(default_factory=MetricsConfig, description="The metrics actor.")
    output: OutputConfig = Field(default_factory=OutputConfig, description="Where and what the run writes.")

    @property
    def report_currency(self) -> str:
        """Currency of totals."""
        return self.strategy.report_currency or REPORT_CURRENCY


def as_yaml_values(value: Any) -> Any:
    """Turn a model's dump into plain values that YAML and JSON write."""
    if isinstance(value, dict):
        return {str(key): as_yaml_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_yaml_values(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
