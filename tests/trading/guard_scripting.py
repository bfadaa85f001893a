"""What scripts of guards need besides those of markets: commands at given times, and what was told of guards."""

import json
from collections.abc import Mapping
from typing import Any, Self

from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId
from scripting import SECOND, T0, Watched, ns

from mm_nautilus.metrics.data_types import SYMBOL_METRICS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import COMMANDS_TOPIC, EVENTS_TOPIC, GuardChange


class Told(Watched):
    """A market maker that keeps what it logged of its guards: ``[(seconds, symbol, text), ...]``."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.told: list[tuple[float, str, str]] = []
        self.old_trades: list[float] = []

    def publish_message(self, topic: str, message: Any) -> None:
        super().publish_message(topic, message)
        if isinstance(message, GuardChange):
            self.told.append(((message.ts_event - T0) / SECOND, message.symbol, message.text))

    def on_start(self) -> None:
        super().on_start()
        self.feed._log_old_trade = lambda _symbol, trade: self.old_trades.append(  # type: ignore[method-assign]
            (trade.ts_init - T0) / SECOND
        )

    def texts(self, symbol: str) -> list[str]:
        """Return what was told of a symbol, without its opening at the start."""
        return [text for _, of, text in self.told if of == symbol and text != "open for quoting"]


class Commander(GuardedActor):
    """Publish messages on the control topic at given times, and keep what is published of guards and metrics."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("COMMANDER-001")))  # type: ignore[call-arg]

    def __init__(self, commands: Mapping[float, Any]) -> None:
        super().__init__()
        self._commands = commands
        self.changes: list[GuardChange] = []
        self.states: list[tuple[float, str, str, str, float]] = []

    def on_start(self) -> None:
        self.subscribe_topic(EVENTS_TOPIC, self._on_guard)
        self.subscribe_data(SYMBOL_METRICS)
        for at in self._commands:
            self.clock.set_time_alert_ns(str(at), ns(at))

    def on_time_event(self, event: Any) -> None:
        command = self._commands[float(event.name)]
        if callable(command):
            command()
        else:
            self.publish_message(COMMANDS_TOPIC, command)

    def on_data(self, data: Any) -> None:
        row = data.data
        at = (row.ts_init - T0) / SECOND
        self.states.append((at, row.symbol, row.state, row.reason, row.feed_age_seconds))

    def _on_guard(self, change: Any) -> None:
        if isinstance(change, GuardChange):
            self.changes.append(change)

    def state_at(self, at: float, symbol: str) -> tuple[str, str, float]:
        """Return state, reason and feed age of a symbol in the metrics of that time."""
        return next(row[2:] for row in self.states if row[:2] == (at, symbol))


def saved_symbol(mm: Watched, symbol: str) -> dict[str, Any]:
    """Return what the strategy would save of a symbol now."""
    document: dict[str, Any] = json.loads(mm.on_save()["market_maker"])
    found: dict[str, Any] = document["symbols"][symbol]
    return found
