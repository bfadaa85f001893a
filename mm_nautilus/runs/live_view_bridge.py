"""Pass a run's figures to its live view, as plain values: nothing of the engine leaves the engine's thread."""

import time
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Protocol

from nautilus_trader.model import InstrumentId

from mm_nautilus.live_view.curve import Curves
from mm_nautilus.live_view.state import Fill, GuardNote, LiveState, Market, Quotes, RunInfo, SymbolInfo
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics, metrics_row
from mm_nautilus.report.session import fee_words
from mm_nautilus.runs.sandbox_inputs import SandboxInputs
from mm_nautilus.runs.summary import assumptions
from mm_nautilus.system.moments import SECOND_NS
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
from mm_nautilus.trading.symbol_views import SymbolViews

_TIMER: Final = "live-view"
_LOOK_NS: Final = SECOND_NS // 4
_LONGEST_TRANSIT_NS: Final = SECOND_NS
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


@dataclass(slots=True)
class _Pair:
    """A symbol, and each level's quotes as last published."""

    view: SymbolViews
    quotes: dict[int, QuoteState] = field(default_factory=dict)
    shown_ns: int = 0

    def market(self, now_ns: int) -> Market | None:
        """Return the market beside the quotes now; None while that would be of no use.

        While a quote that the market has moved through is on its way to another price, which takes an order's latency,
        the moment before stays, for a second at most.
        """
        view = self.view
        touch, nearest = view.touch, self.quotes.get(1)
        if touch is not None and nearest is not None:
            bid, ask, twice_mid = nearest.bid_price, nearest.ask_price, touch[0] + touch[1]
            is_through = (bid is not None and 2 * bid >= twice_mid) or (
                ask is not None and 2 * ask <= twice_mid
            )
            if is_through and abs(now_ns - self.shown_ns) < _LONGEST_TRANSIT_NS and self._is_on_its_way():
                return None
        self.shown_ns = now_ns
        best_bid, best_ask = touch or (None, None)
        cap = None if view.cap_lots is None else view.cap_lots * view.lot
        age = view.book_guard.age_seconds(now_ns)
        return Market(now_ns, best_bid, best_ask, view.mid_price, view.reservation_price, cap, age)

    def _is_on_its_way(self) -> bool:
        return not all(side.is_settled for side in self.view.sides)


class LiveViewBridge(GuardedActor):
    """Subscribe to strategy and metrics actor, and keep their last messages in a live view's state.

    A change of quotes is only kept: a symbol's market is read together with its quotes a few times a second, so that
    the way of an order does not wait for it.
    """

    actor_name = "LIVE-VIEW-001"

    def __init__(self, state: LiveState, metrics: MetricsActor) -> None:
        super().__init__()
        self._state, self._metrics = state, metrics
        self._pairs: dict[InstrumentId, _Pair] = {}

    def on_start(self) -> None:
        """Subscribe to metrics, quotes, fills, account snapshots, changes of guards and the feed's connection."""
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(EVENTS_TOPIC, self._on_message)
        self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        self.clock.set_timer_ns(_TIMER, _LOOK_NS)
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
                for instrument_id, view in message.views.items():
                    self._pairs[instrument_id] = _Pair(view)
                    view.on_quotes_changed.append(self.listener(self._keep_quotes))

    def _on_command(self, message: object) -> None:
        if isinstance(message, FeedConnection):
            self._state.on_connection(is_connected=message.is_connected)

    def _keep_quotes(self, state: QuoteState) -> None:
        self._pairs[state.instrument_id].quotes[state.level] = state

    def on_time_event(self, event: Any) -> None:
        """Show each symbol's quotes and market of this moment, and what it is doing."""
        if event.name == _TIMER:
            now_ns = self.clock.timestamp_ns()
            for pair in self._pairs.values():
                self._show(pair, now_ns)
                self._state.keep_price(pair.view.name)
                guards = pair.view.guard_state(now_ns)
                self._state.on_state(pair.view.name, guards.state.value, guards.reason)

    def _show(self, pair: _Pair, now_ns: int) -> None:
        market = pair.market(now_ns)
        if market is not None:
            quotes = {level: Quotes(*_QUOTES(state)) for level, state in pair.quotes.items()}
            self._state.on_moment(pair.view.name, market, quotes)

    def _on_account(self, message: object) -> None:
        if isinstance(message, tuple):
            self._state.on_account(message[0], message[1], self._metrics.daily.view)

    def show_end(self, now_ns: int, status: str, text: str) -> None:
        """Show the figures at the end of the run, which nothing publishes, and how and why it ended."""
        for pair in self._pairs.values():
            self._show(pair, now_ns)
        metrics, account = self._metrics.figures(now_ns)
        for each in metrics:
            self._state.on_metrics(metrics_row(each))
        if account is not None:
            self._state.on_account(now_ns, account, self._metrics.daily.view)
        self._state.set_status(status, text)
