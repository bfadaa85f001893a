"""Pass a run's events to its notifier, as plain values: nothing of the engine leaves the engine's thread."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics
from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.notifications.events import (
    EndEvent,
    FeedEvent,
    Figures,
    GuardEvent,
    PeriodEvent,
    SymbolFigures,
)
from mm_nautilus.notifications.notifier import Notifier
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    ACCOUNT_TOPIC,
    COMMANDS_TOPIC,
    EVENTS_TOPIC,
    NOT_CLOSED,
    FeedConnection,
    GuardChange,
)


class NotificationBridge(GuardedActor):
    """Subscribe to guards, connections and figures, and hand them to a notifier.

    Figures are published ones: the first of the run, and the last of each period of the length `every` since the epoch,
    as for the results by UTC day; None wants none.
    """

    actor_name = "NOTIFY-001"

    def __init__(self, notifier: Notifier, every: timedelta | None) -> None:
        super().__init__()
        self._notifier = notifier
        self._every_ns = None if every is None else round(every.total_seconds() * SECOND_NS)
        self._last: tuple[int, AccountSnapshot, tuple[SymbolMetrics, ...]] | None = None
        self._metrics: dict[str, SymbolMetrics] = {}

    def on_start(self) -> None:
        """Subscribe to guards, connections and, for summaries, metrics and account snapshots."""
        self.subscribe_topic(EVENTS_TOPIC, self._on_event)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        if self._every_ns is not None:
            self.subscribe_data(SYMBOL_METRICS)
            self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)

    def _on_event(self, message: object) -> None:
        if isinstance(message, GuardChange):
            state = message.state.value
            text, is_kept = message.text.removesuffix(NOT_CLOSED), message.text.endswith(NOT_CLOSED)
            self._notifier.put(
                GuardEvent(message.ts_event, message.symbol, state, text, message.flattens, is_kept)
            )

    def _on_command(self, message: object) -> None:
        if isinstance(message, FeedConnection):
            self._notifier.put(FeedEvent(self.clock.timestamp_ns(), message.is_connected))

    def on_data(self, data: Any) -> None:
        """Keep one symbol's last metrics."""
        metrics = data.data
        if isinstance(metrics, SymbolMetrics):
            self._metrics[metrics.symbol] = metrics

    def _on_account(self, message: object) -> None:
        """Keep a moment's figures, which follow its metrics; hand over the last ones of a period.

        The snapshot at the first prices has none.
        """
        if self._every_ns is None or not isinstance(message, tuple):
            return
        if not self._metrics or any(each.ts_event != message[0] for each in self._metrics.values()):  # type: ignore[attr-defined]
            return
        before, self._last = self._last, (*message, tuple(self._metrics.values()))
        if before is None:
            self._notifier.put(PeriodEvent(_figures(*self._last), is_over=False))
        elif before[0] // self._every_ns < message[0] // self._every_ns:
            self._notifier.put(PeriodEvent(_figures(*before), is_over=True))

    def end(self, now_ns: int, actor: MetricsActor, summary: Mapping[str, Any]) -> None:
        """Hand over the end of the run, with its last figures; call it when the summary says how it ended.

        An end whose figures cannot be computed is handed over without them, and the exception raised.
        """
        stop, figures = summary.get("stop"), None
        try:
            metrics, account = actor.figures(now_ns)
            figures = None if account is None else _figures(now_ns, account, metrics)
        finally:
            text = "" if stop is None else stop["text"]
            self._notifier.end(EndEvent(now_ns, summary["status"], text, figures))


def _figures(ts_event: int, account: AccountSnapshot, metrics: Iterable[SymbolMetrics]) -> Figures:
    return Figures(
        ts_event=ts_event,
        currency=account.report_currency,
        trading_pnl=account.trading_pnl,
        equity=account.equity,
        max_drawdown_pct=account.max_drawdown_pct,
        symbols=tuple(
            SymbolFigures(each.symbol, each.fills, each.trades, each.fees, each.inventory) for each in metrics
        ),
    )
