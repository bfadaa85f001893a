"""Pass a run's figures to its live view, as plain values: nothing of the engine leaves the engine's thread."""

import time
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Protocol

from nautilus_trader.model import InstrumentId

from mm_nautilus.live_view.curve import Curves
from mm_nautilus.live_view.state import Fill, GuardNote, LiveState, Quotes, RunInfo, SymbolInfo
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics, metrics_row
from mm_nautilus.report.session import fee_words
from mm_nautilus.runs.sandbox_inputs import SandboxInputs
from mm_nautilus.runs.summary import assumptions
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    ACCOUNT_TOPIC,
    COMMANDS_TOPIC,
    EVENTS_TOPIC,
    FeedConnection,
    GuardChange,
    QuoteState,
    StrategyStarted,
)
from mm_nautilus.trading.messages import Fill as FillEvent

_QUOTES: Final = attrgetter(*Quotes._fields)
_FILL: Final = attrgetter(*Fill._fields[:-1])
"""The live view's fields of quotes and, except the order's id, of a fill: they have the same names."""


class Screen(Protocol):
    """Shows a running session on a thread of its own."""

    def begin(self, state: LiveState) -> None:
        """Begin to show a state."""

    def end(self) -> None:
        """End the display."""


def live_state(inputs: SandboxInputs, folder: Path, curves: Curves) -> LiveState:
    """Return the state of a run that a page and a screen show."""
    config, specs = inputs.config, inputs.specs
    run = RunInfo(
        name=config.name,
        folder=str(folder),
        report_currency=config.report_currency,
        is_simulated=any(spec.simulated for spec in specs.values()),
        feed=config.feed.source,
        venue=config.venue.name,
        fees=fee_words(assumptions(config, specs), config.report_currency),
        started_ns=time.time_ns(),
    )
    pairs = specs.items()
    infos = [SymbolInfo(name, s.base, s.quote, s.price_precision) for name, s in pairs]
    return LiveState(run, infos, curves=curves)


class LiveViewBridge(GuardedActor):
    """Subscribe to strategy and metrics actor, and keep their last messages in a live view's state."""

    actor_name = "LIVE-VIEW-001"

    def __init__(self, state: LiveState, specs: Mapping[str, InstrumentSpec]) -> None:
        super().__init__()
        self._state = state
        self._symbols = {InstrumentId.from_str(spec.instrument_id): name for name, spec in specs.items()}

    def on_start(self) -> None:
        """Subscribe to metrics, quotes, fills, account snapshots, changes of guards and the feed's connection."""
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(EVENTS_TOPIC, self._on_message)
        self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        self._state.on_connection(is_connected=True)
        self._state.set_status("running")

    def on_data(self, data: Any) -> None:
        """Show one symbol's metrics."""
        if isinstance(data.data, SymbolMetrics):
            self._state.on_metrics(metrics_row(data.data))

    def _on_message(self, message: object) -> None:
        match message:
            case FillEvent():
                self._state.on_fill(Fill._make((*_FILL(message), message.order_id)))
            case GuardChange():
                note = GuardNote(message.ts_event, message.symbol, message.state.value, message.text)
                self._state.on_guard(note)
            case StrategyStarted():
                for view in message.views.values():
                    view.on_quotes_changed.append(self.listener(self._show_quotes))

    def _on_command(self, message: object) -> None:
        if isinstance(message, FeedConnection):
            self._state.on_connection(is_connected=message.is_connected)

    def _show_quotes(self, state: QuoteState) -> None:
        self._state.on_quotes(self._symbols[state.instrument_id], Quotes(*_QUOTES(state)), state.level)

    def _on_account(self, message: object) -> None:
        if isinstance(message, tuple):
            self._state.on_account(message[1])

    def show_end(self, now_ns: int, actor: MetricsActor, status: str, text: str) -> None:
        """Show the figures at the end of the run, which nothing publishes, and how and why it ended."""
        metrics, account = actor.figures(now_ns)
        for each in metrics:
            self._state.on_metrics(metrics_row(each))
        if account is not None:
            self._state.on_account(account)
        self._state.set_status(status, text)
