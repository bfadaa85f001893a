"""Hand what a run publishes to its live view, as plain values: nothing of the engine leaves the engine's thread."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Self

from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId, InstrumentId

from mm_nautilus.live_view.state import Fill, GuardNote, LiveState, Quotes, SymbolInfo, SymbolRow
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics
from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    ACCOUNT_TOPIC,
    EVENTS_TOPIC,
    GuardChange,
    QuoteState,
    StrategyStarted,
)
from mm_nautilus.trading.messages import Fill as FillEvent

__all__ = ["LiveViewBridge", "symbol_infos"]

_ROW: Final = attrgetter(*SymbolRow._fields)
_QUOTES: Final = attrgetter(*Quotes._fields)
_FILL: Final = attrgetter(*Fill._fields[:-1])
"""What is shown of metrics, of quotes and, but for its order's id, of a fill: the same names there and here."""


def symbol_infos(specs: Mapping[str, InstrumentSpec]) -> list[SymbolInfo]:
    """Return what a live view has to know of the instruments."""
    return [SymbolInfo(symbol, spec.base, spec.quote, spec.price_precision) for symbol, spec in specs.items()]


class LiveViewBridge(GuardedActor):
    """Subscribe to what strategy and metrics actor publish, and keep the last of it in a live view's state.

    Parameters
    ----------
    state
        Where it is kept.
    specs
        The instruments, by symbol.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Hand the engine's own options to its base class."""
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("LIVE-VIEW-001")))  # type: ignore[call-arg]

    def __init__(self, state: LiveState, specs: Mapping[str, InstrumentSpec]) -> None:
        super().__init__()
        self._state = state
        self._symbols = {InstrumentId.from_str(spec.instrument_id): name for name, spec in specs.items()}

    def on_start(self) -> None:
        """Listen to metrics, quotes, fills with their results, account snapshots and changes of guards."""
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(EVENTS_TOPIC, self._on_message)
        self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)
        self._state.set_status("running")

    def on_data(self, data: Any) -> None:
        """Take one symbol's metrics over."""
        if isinstance(data.data, SymbolMetrics):
            self._state.on_metrics(SymbolRow(*_ROW(data.data)))

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

    def _show_quotes(self, state: QuoteState) -> None:
        self._state.on_quotes(self._symbols[state.instrument_id], Quotes(*_QUOTES(state)))

    def _on_account(self, message: object) -> None:
        if isinstance(message, tuple):
            ts_event, snapshot = message
            self._state.on_account(ts_event, snapshot)

    def show_last(
        self, ts_ns: int, metrics: Sequence[SymbolMetrics], account: AccountSnapshot | None
    ) -> None:
        """Show the figures of the end of the run, which nothing publishes.

        Parameters
        ----------
        ts_ns
            Their moment, nanoseconds since the epoch.
        metrics, account
            Each symbol's figures, and the account's.
        """
        for each in metrics:
            self._state.on_metrics(SymbolRow(*_ROW(each)))
        if account is not None:
            self._state.on_account(ts_ns, account)
