"""Build the live node of a sandbox run and its components."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nautilus_trader.adapters.kraken import KrakenDataClientFactory
from nautilus_trader.adapters.sandbox import SandboxExecutionClientFactory
from nautilus_trader.common import Environment
from nautilus_trader.execution import FeeModel
from nautilus_trader.live import (
    LiveDataEngineConfig,
    LiveExecutionEngineConfig,
    LiveNode,
    LiveNodeBuilder,
    LiveNodeConfig,
    LiveRiskEngineConfig,
)
from nautilus_trader.model import InstrumentId, TraderId

from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.data.catalog_recorder import CatalogRecorder
from mm_nautilus.live_view.scrapes import PrometheusEndpoint
from mm_nautilus.live_view.state import LiveState
from mm_nautilus.live_view.web import LivePage
from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.notifications.notifier import Notifier
from mm_nautilus.risk.kill_switch import KillSwitch
from mm_nautilus.runs.assembly import (
    ORDER_RATE,
    Parts,
    answer_ns,
    fee_model,
    latency_model,
    log_config,
    sandbox_venue,
    strategy_config,
)
from mm_nautilus.runs.control import SessionControl, StopController
from mm_nautilus.runs.curve_file import CurveFile, CurveKeeper
from mm_nautilus.runs.fee_model import TieredFees
from mm_nautilus.runs.kraken import FeedAddress, VenueWatch, data_client_config
from mm_nautilus.runs.live_view_bridge import LiveViewBridge, Screen
from mm_nautilus.runs.notification_bridge import NotificationBridge
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.runs.restoration import (
    add_restoration_client,
    money_before_positions,
    restore,
    simulated_account_id,
)
from mm_nautilus.runs.sandbox_inputs import SandboxInputs
from mm_nautilus.runs.state_file import StateFile, StateSaver
from mm_nautilus.runs.traces import TraceRecorder
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.live_watch import LiveWatch
from mm_nautilus.trading.saved_account import SavedAccount
from mm_nautilus.trading.setup import Conditions

_NODE_NAME: Final = "SANDBOX"
_TRADER_ID: Final = "SANDBOX-001"
_LOG_ROTATE: Final = (32_000_000, 8)
"""Bytes of one log file, and how many older ones are kept."""
_PURGE_MINUTES: Final = 2
"""How often, and how long after their end, closed orders are purged. Positions never are: the engine would forget
the realised PnL of closed ones."""
_DISCONNECT_SECONDS: Final = 1.0
_LEAST_POST_STOP_SECONDS: Final = 0.3
_MOST_POST_STOP_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxParts(Parts[LiveNode, SessionControl]):
    """The live node and the components of one sandbox run."""

    saver: StateSaver | None
    """Writes the state file, if there is one."""
    curve: CurveKeeper
    bridge: LiveViewBridge | None
    """Feeds a live view, if there is one."""
    owner: NotificationBridge | None
    """Feeds notifications, if there are any."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Open files, connections and displays beside a run's engine."""

    listing_url: str
    """Where the engine's client reads the pairs."""
    watch: VenueWatch
    state: StateFile | None
    curve: CurveFile
    recording: CatalogRecorder | None
    page: LivePage | None
    endpoint: PrometheusEndpoint | None
    screen: Screen | None
    say_trades: Callable[[str], None]


def kill_switch(config: SandboxConfig, folder: Path) -> KillSwitch:
    """Return a run's kill switch: beside its state file or, without one, in the run's folder."""
    return KillSwitch((config.state.directory or folder) / f"{config.name}.json")


def build_sandbox(
    inputs: SandboxInputs,
    folder: Path,
    session: StopController,
    beside: Beside,
    *,
    live: LiveState | None,
    notifier: Notifier | None,
    kill_signals: Callable[[], int],
    on_report: Callable[[int], None],
) -> SandboxParts:
    """Return the node with everything added, ready to run.

    `kill_signals` returns how many signals have requested a halt; `on_report` is called once a minute, on the engine's
    thread, with the time in nanoseconds since the epoch.
    """
    config, state = inputs.config, beside.state
    saved = None if state is None else state.account
    fees = fee_model(config.venue, inputs.specs, config.report_currency)
    node = _builder(inputs, folder, saved, beside.listing_url, fees).build()
    strategy = inputs.code.strategy(strategy_config(config, inputs.specs), takes_over=True)
    strategy.conditions = Conditions(
        is_live=True,
        book_depth=config.feed.book_depth,
        answer_ns=answer_ns(config.venue.latency),
    )
    metrics = MetricsActor(MetricsActorConfig(interval_seconds=config.metrics.interval_seconds))
    control = SessionControl(
        session,
        strategy,
        [InstrumentId.from_str(spec.instrument_id) for spec in inputs.specs.values()],
        duration_ns=None if config.duration is None else round(config.duration.total_seconds() * SECOND_NS),
        flatten=config.strategy.flatten_on_stop,
        on_report=on_report,
        has_latency=latency_model(config.venue.latency) is not None,
    )
    guard = LiveWatch(
        kill_switch(config, folder),
        max_clock_step_seconds=config.strategy.max_clock_step_seconds,
        kill_signals=kill_signals,
        venue_states=lambda: beside.watch.states,
    )
    saver = None if state is None else StateSaver(state, strategy, metrics)
    curve = CurveKeeper(beside.curve, metrics)
    restorer = None if state is None else restore(state, strategy, metrics, config.venue.name)
    bridge = None if live is None else LiveViewBridge(live, metrics)
    owner = None if notifier is None else NotificationBridge(notifier, config.notify.summary_every)
    if isinstance(fees, TieredFees):
        fees.follow(strategy, inputs.specs, config)
    parts = SandboxParts(
        fees=fees,
        strategy=strategy,
        metrics=metrics,
        recorder=RunRecorder(folder, metrics.portfolio, config.output, say=beside.say_trades, is_live=True),
        traces=TraceRecorder(folder, is_live=True) if config.output.traces else None,
        control=control,
        others=[
            actor
            for actor in (saver, restorer, beside.recording, guard, curve, bridge, owner)
            if actor is not None
        ],
        node=node,
        saver=saver,
        curve=curve,
        bridge=bridge,
        owner=owner,
    )
    for actor in parts.actors:
        node.add_actor(actor)
    node.add_strategy(strategy)
    return parts


def _builder(
    inputs: SandboxInputs, folder: Path, saved: SavedAccount | None, listing_url: str, fees: FeeModel
) -> LiveNodeBuilder:
    config, venue = inputs.config, inputs.config.venue
    is_cash = venue.account_type == "cash"
    first = SavedAccount({amount.currency: amount.value for amount in venue.starting_balances})
    money = money_before_positions(saved or first, is_cash=is_cash)
    takes_over = saved is not None and bool(saved.positions)
    builder = (
        LiveNodeBuilder.from_config(_NODE_NAME, _node_config(config, folder, reconciles=takes_over))
        .add_data_client(
            None,
            KrakenDataClientFactory(),
            data_client_config(
                FeedAddress(listing_url, inputs.feed.address.websocket_url),
                config.feed.connect_timeout_seconds,
            ),
        )
        .add_simulated_exec_client(
            None,
            SandboxExecutionClientFactory(),
            sandbox_venue(venue, fees, simulated_account_id(venue.name), money),
        )
    )
    if saved is not None and takes_over:
        return add_restoration_client(builder, saved, venue.name, is_cash=is_cash)  # type: ignore[no-any-return]
    return builder


def _node_config(config: SandboxConfig, folder: Path, *, reconciles: bool) -> LiveNodeConfig:
    cancelled_after_seconds = config.venue.latency.cancel_ms / 1_000 + _LEAST_POST_STOP_SECONDS
    return LiveNodeConfig(
        environment=Environment.SANDBOX,
        trader_id=TraderId(_TRADER_ID),
        logging=log_config(config.output, folder, _LOG_ROTATE),
        # An error line, such as of a lost connection, must not end the run; a callback that fails does, by its guard.
        shutdown_on_error=False,
        timeout_connection_secs=config.feed.connect_timeout_seconds,
        timeout_disconnection_secs=_DISCONNECT_SECONDS,
        # The engine goes on until the strategy's last cancels are confirmed.
        delay_post_stop_secs=min(cancelled_after_seconds, _MOST_POST_STOP_SECONDS),
        # Market orders, marks and conversions need quotes, which come from the managed books.
        data_engine=LiveDataEngineConfig(emit_quotes_from_book=True),
        risk_engine=LiveRiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
        exec_engine=LiveExecutionEngineConfig(
            reconciliation=reconciles,
            # The simulated venue answers every command; a check would mistake a long latency for a lost one.
            inflight_check_interval_ms=0,
            purge_closed_orders_interval_mins=_PURGE_MINUTES,
            purge_closed_orders_buffer_mins=_PURGE_MINUTES,
            purge_account_events_interval_mins=_PURGE_MINUTES,
            purge_account_events_lookback_mins=_PURGE_MINUTES,
        ),
    )
