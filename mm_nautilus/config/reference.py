"""Generate the JSON schema and the reference tables from the configuration model."""

import json
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.config.problems import allowed_text, describe, shown
from mm_nautilus.config.rate_limit import RateLimitConfig
from mm_nautilus.config.run import (
    FeeConfig,
    FeeScheduleConfig,
    FundingConfig,
    LatencyConfig,
    MetricsConfig,
    OutputConfig,
    RunConfig,
    VenueConfig,
    as_yaml_values,
)
from mm_nautilus.config.sandbox import (
    FeedConfig,
    PrometheusConfig,
    RecordingConfig,
    SandboxConfig,
    StateConfig,
    WebConfig,
)
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams

_PER_SYMBOL: Final = frozenset(SymbolParams.model_fields)

_SECTIONS: Final[tuple[tuple[str, str, type[BaseModel], str], ...]] = (
    ("A backtest", "", RunConfig, "Keys of the file's first level."),
    ("A sandbox run", "", SandboxConfig, "Keys of the file's first level; `feed` makes it a sandbox's."),
    ("The feed", "feed", FeedConfig, "Of a sandbox run."),
    ("State", "state", StateConfig, "Of a sandbox run."),
    ("Recording", "recording", RecordingConfig, "Of a sandbox run."),
    ("The live page", "web", WebConfig, "Of a sandbox run; [the live view](live-view.md) says more."),
    (
        "The Prometheus endpoint",
        "prometheus",
        PrometheusConfig,
        "Of a sandbox run; [its page](prometheus.md) says more.",
    ),
    (
        "Notifications",
        "notify",
        NotifyConfig,
        "Of a sandbox run; [notifications](notifications.md) says more.",
    ),
    ("The venue", "venue", VenueConfig, "The simulated venue of a backtest or a sandbox run."),
    ("Fees", "venue.fees", FeeConfig, "Also under `venue.symbol_fees.SYMBOL`. Both keys must be given."),
    (
        "Fee schedule",
        "venue.fee_schedule",
        FeeScheduleConfig,
        "One of `published` and `tiers` must be given. A tier has `volume`, `maker_fee_pct` and `taker_fee_pct`.",
    ),
    (
        "Rate limit",
        "venue.rate_limit",
        RateLimitConfig,
        "What [a venue's limit on order commands](venue-limits.md) is; also under `strategy.rate_limit`.",
    ),
    ("Funding", "funding", FundingConfig, "Of [perpetuals](perpetuals.md#funding) in a backtest."),
    ("Latency", "venue.latency", LatencyConfig, "Time between a command and the venue acting on it."),
    (
        "Parameters of all symbols and of each",
        "strategy",
        SymbolParams,
        "Given under `strategy` for all symbols, and under `strategy.symbols.SYMBOL` where one differs.",
    ),
    ("The strategy as a whole", "strategy", MarketMakerConfig, "Given once, under `strategy`."),
    ("Metrics", "metrics", MetricsConfig, "Per-symbol metrics on the message bus."),
    ("Output", "output", OutputConfig, "What a run writes."),
)


def schema_text(*, sandbox: bool = False) -> str:
    """Return the JSON schema of a backtest's or a sandbox run's configuration, as the checked-in file has it."""
    schema = (SandboxConfig if sandbox else RunConfig).model_json_schema(mode="validation")
    # Descriptions are docstrings of attributes: join their lines to one paragraph.
    plain = json.loads(json.dumps(schema).replace(r"\n", " "))
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **plain}, indent=2) + "\n"


def reference() -> str:
    """Return Markdown tables of every key: path, default, what is allowed, meaning."""
    return "\n".join(line for section in _SECTIONS for line in _section(*section)).rstrip("\n") + "\n"


def _section(title: str, prefix: str, model: type[BaseModel], words: str) -> Iterator[str]:
    yield from (f"### {title}", "", words, "")
    yield "| Key | Default | Allowed | Meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if model is not MarketMakerConfig or name not in _PER_SYMBOL:
            yield _row(f"{prefix}.{name}" if prefix else name, model, name, field)
    yield ""


def _row(path: str, model: type[BaseModel], name: str, field: FieldInfo) -> str:
    description = describe(model, (name,))
    if description is None or field.description is None:
        raise ValueError(f"every key must have a description, was {path} without one")
    allowed = allowed_text(description)
    cells = (f"`{path}`", _default_text(field), allowed, field.description)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |".replace("\n", " ")


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return "its keys' defaults"
    default = as_yaml_values(default)
    return f"`{default}`" if isinstance(default, str) else f"`{shown(default)}`"
