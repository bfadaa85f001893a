"""The configuration of a sandbox run: feed, simulated venue, strategy, state, recording, live page and output."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from mm_nautilus.config.fields import (
    Allowed,
    CatalogPlace,
    Duration,
    FolderPath,
    RecordedFolder,
    Section,
    VariableName,
    finite_number,
)
from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.config.problems import Problem, refuse
from mm_nautilus.config.run import (
    EXAMPLE_VENUE,
    MetricsConfig,
    OutputConfig,
    RunName,
    TradingConfig,
    VenueConfig,
    venue_problems,
)
from mm_nautilus.config.strategy import MarketMakerConfig

FEED_VENUE: Final = "KRAKEN"
"""The venue whose protocol the feed speaks, live or local."""

_FASTEST: Final = 10_000.0


def _read_speed(value: Any) -> float | str:
    if value == "max":
        return "max"
    number = finite_number(value)
    if number is None or not 0 < number <= _FASTEST:
        raise ValueError(f"a speed must be a number above 0 and at most {_FASTEST:g}, or max")
    return number


Speed = Annotated[
    float | Literal["max"],
    PlainValidator(_read_speed),
    PlainSerializer(lambda value: value, return_type=float | str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": _FASTEST},
                {"type": "string", "enum": ["max"]},
            ]
        }
    ),
    Allowed(f"a number above 0 and at most {_FASTEST:g}, or max"),
]
"""Seconds of data per second, or ``max`` for as fast as it is consumed."""

RestUrl = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$", max_length=300),
    Allowed("an address that begins with http:// or https://, without user and password"),
]
WebSocketUrl = Annotated[
    str,
    StringConstraints(pattern=r"^wss?://[^\s/?#@]+[^\s?#@]*$", max_length=300),
    Allowed("an address that begins with ws:// or wss://, without user and password"),
]


class FeedConfig(Section):
    """Where a sandbox run gets its market data."""

    source: Literal["live", "local"] = Field(..., examples=["live"])
    """live is Kraken's public feed, which needs no account; local starts a venue on this machine that speaks the same
    protocol and plays a catalog."""
    catalog: CatalogPlace | None = None
    """Catalog that the local venue plays: a path relative to the configuration file, or a URL in an object store; null
    plays the simulator, without end."""
    speed: Speed = 1.0
    """Seconds of data that the local venue plays per second; max plays as fast as it is consumed. The strategy's clock,
    cooldowns and latency keep real time."""
    at_end: Literal["loop", "stop"] = "loop"
    """After the last event of the local venue's catalog: loop restarts it, stop ends the run."""
    book_depth: Literal[10, 25, 100, 500, 1000] = 100
    """Levels a side of the book feed. A quote deeper in the book than this is simulated as if no order were ahead of
    it."""
    rest_url: RestUrl | None = None
    """Address of the venue's REST side; null takes Kraken's own."""
    websocket_url: WebSocketUrl | None = None
    """Address of the venue's WebSocket v2; null takes Kraken's own."""
    connect_timeout_seconds: int = Field(20, ge=1, le=300)
    """Longest time that connecting at the start may take, seconds; requests to a venue that does not answer, or lists
    no pairs, are repeated until then."""
    status_interval_seconds: float = Field(5.0, ge=0.2, le=3_600)
    """Time between two requests for the status of the venue and its pairs, seconds."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse(
            Problem((name,), f"{name} must be null with source: local, was {getattr(self, name)}")
            for name in ("rest_url", "websocket_url")
            if self.source == "local" and getattr(self, name) is not None
        )
        return self


class StateConfig(Section):
    """What a sandbox run keeps over restarts."""

    directory: FolderPath | None = Path("state")
    """Folder of the state files, one per run name; relative to the working directory. null keeps nothing: every run
    starts fresh."""


class RecordingConfig(Section):
    """What a sandbox run writes into a catalog of its own."""

    enabled: bool = False
    """Whether received market data and published figures are recorded."""
    catalog: RecordedFolder | None = None
    """Folder of the catalog that is written; relative to the working directory. Needed where recording is enabled."""
    rotate_minutes: float = Field(60.0, ge=1, le=1_440)
    """A new file is started after this time, minutes."""
    rotate_megabytes: float = Field(64.0, ge=1, le=4_096)
    """A new file is started beyond this size, MB."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if self.enabled and self.catalog is None:
            text = "catalog must be the path of a folder with enabled: true, was null"
            refuse([Problem(("catalog",), text)])
        return self


Host = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9.:_-]+$", max_length=253),
    Allowed("an address such as 127.0.0.1, or a host's name"),
]


class WebConfig(Section):
    """The live page of a sandbox run."""

    enabled: bool = False
    """Whether the run serves a page that shows what it does while it does it."""
    host: Host = "127.0.0.1"
    """Address to listen on. Other machines reach the page only through one that is no loopback address, and then it
    needs a token."""
    port: int = Field(8787, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    token_variable: VariableName = Field("MM_NAUTILUS_WEB_TOKEN")
    """Name of the environment variable that holds the page's token, 16 characters or more. The token itself is
    never written to a file."""
    halt: bool = False
    """Whether the page has buttons that halt and resume the run, as mm-nautilus halt and resume do; it then needs
    a token on a loopback address, too."""


class PrometheusConfig(Section):
    """A sandbox run's figures for a Prometheus server."""

    enabled: bool = False
    """Whether the run answers scrapes with its figures, at /metrics."""
    host: Host = "127.0.0.1"
    """Address to listen on. Other machines reach the endpoint only through one that is no loopback address, and then
    every scrape needs a token."""
    port: int = Field(9464, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    token_variable: VariableName = Field("MM_NAUTILUS_METRICS_TOKEN")
    """Name of the environment variable that holds the token of scrapes, 16 characters or more; it opens nothing but
    these figures."""


class SandboxConfig(TradingConfig):
    """One sandbox run: paper trading on a feed."""

    name: RunName = "sandbox"
    """Name of the run; part of its folder's name and of its state file's."""
    duration: Duration | None = None
    """How long the run lasts from the start of quoting on; null runs until it is stopped."""
    feed: FeedConfig = Field(..., examples=[{"source": "live"}])
    """Where the market data comes from."""
    venue: VenueConfig = Field(..., examples=[EXAMPLE_VENUE])
    """The simulated venue that executes the orders, as in a backtest."""
    strategy: MarketMakerConfig = Field(..., examples=[{"symbols": {"XRP/USDT": {}}}])
    """The market maker's parameters, as in a backtest."""
    metrics: MetricsConfig = MetricsConfig()
    """The metrics actor."""
    state: StateConfig = StateConfig()
    """State kept over restarts."""
    recording: RecordingConfig = RecordingConfig()
    """Recording into a catalog."""
    web: WebConfig = WebConfig()
    """The live page."""
    prometheus: PrometheusConfig = PrometheusConfig()
    """Figures for a Prometheus server."""
    notify: NotifyConfig = NotifyConfig()
    """Messages to services such as Telegram, ntfy, email or a webhook."""
    output: OutputConfig = OutputConfig()
    """Where and what the run writes."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse([*venue_problems(self), *_unfit_for_a_feed(self)])
        return self


def _unfit_for_a_feed(config: SandboxConfig) -> Iterator[Problem]:
    venue, book = config.venue, config.strategy.book_data
    if venue.name != FEED_VENUE:
        text = f"name must be {FEED_VENUE}, whose protocol the feed speaks, was {venue.name}"
        yield Problem(("venue", "name"), text)
    if not venue.liquidity_consumption:
        text = (
            "liquidity_consumption must be true in a sandbox, where the engine would otherwise fill new orders "
            "repeatedly from the last trade, was false"
        )
        yield Problem(("venue", "liquidity_consumption"), text)
    if book != "deltas":
        text = f"book_data must be deltas, which is what the feed sends, was {book}"
        yield Problem(("strategy", "book_data"), text)
