"""A sandbox run with one more actor, which answers what is asked on standard input.

Each line there is a JSON list of a command and its arguments, answered on standard output by a line ``REPLY {...}``.
The run itself is the package's, through the engine's own Kraken client.
"""

import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.model import ActorId

from mm_nautilus.checks.config_source import load_sandbox_config
from mm_nautilus.errors import MarketMakingError
from mm_nautilus.report.journal import journal_files
from mm_nautilus.runs import sandbox, sandbox_node
from mm_nautilus.runs.kraken import VenueWatch
from mm_nautilus.runs.sandbox_node import SandboxParts
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.trading import live_watch, messages

_TIMER = "probe"
_LOOK_NS = 20_000_000
_IDLE_TIMEOUT_MS = 6_000
"""When the client gives a silent connection up, instead of its own ten seconds."""


class Probe(DataActor):
    """Answer requests from inside of the engine.

    Parameters
    ----------
    parts
        The run's node and components.
    folder
        The run's folder.
    requests
        The lines that nobody has answered yet.
    clock
        What the live guard takes for the module ``time``.
    watch
        Knows what the venue takes.
    """

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("PROBE-001")))

    def __init__(
        self, parts: SandboxParts, folder: Path, requests: "queue.Queue[str]", clock: Any, watch: VenueWatch
    ) -> None:
        super().__init__()
        self.watch = watch
        self.parts = parts
        self.folder = folder
        self.requests = requests
        self.fake_clock = clock
        self.changes: list[dict[str, Any]] = []
        self.sockets: list[str] = []

    def on_start(self) -> None:
        self.subscribe_socket_state()
        self.subscribe_topic(messages.EVENTS_TOPIC, self._on_guard)
        self.clock.set_timer_ns(_TIMER, _LOOK_NS)

    def _on_guard(self, change: Any) -> None:
        if not isinstance(change, messages.GuardChange):
            return
        self.changes.append(
            {
                "ns": self.clock.timestamp_ns(),  # not the event's time, which orders before it may be later than
                "symbol": change.symbol,
                "state": change.state.value,
                "text": change.text,
            }
        )

    def on_socket_state(self, event: Any) -> None:
        self.sockets.append(str(event.state).rpartition(".")[2])

    def on_time_event(self, _event: Any) -> None:
        while not self.requests.empty():
            command, *arguments = json.loads(self.requests.get())
            try:
                answer = json.dumps({"answer": getattr(self, command)(*arguments)})
            except BaseException:
                answer = json.dumps({"error": traceback.format_exc()})
            _say(f"REPLY {answer}")

    # -- Commands ---------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """Return live orders, guards and figures at this moment."""
        now_ns = self.clock.timestamp_ns()
        symbols = self.parts.strategy.symbols
        return {
            "now_ns": now_ns,
            "orders": [_order(order) for order in self.cache.orders() if not order.is_closed],
            "changes": self.changes,
            "sockets": self.sockets,
            "venue": {name: symbol.guards.venue.value for name, symbol in symbols.items()},
            "unanswered": self.watch.to_dict()["unanswered"],
            "fills": sum(symbol.counts.fills for symbol in symbols.values()),
            "symbols": {name: _symbol(symbol, now_ns) for name, symbol in symbols.items()},
        }

    def history(self, since_ns: int = 0) -> list[dict[str, Any]]:
        """Return the orders that were sent, or closed, since a moment, as far as the engine remembers them."""
        orders = self.cache.orders()
        return [
            _order(order) for order in orders if not order.is_closed or (order.ts_closed or 0) >= since_ns
        ]

    def money(self) -> dict[str, Any]:
        """Return the account's balances and the journal's fills, both of this moment, once every fill is booked."""
        files = journal_files(self.folder / "journal.jsonl")
        lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
        venue = next(iter(self.parts.strategy.symbols.values())).instrument_id.venue
        account = self.parts.strategy.portfolio.account(venue=venue)
        return {
            "is_settled": self.parts.strategy.persistence.is_settled,
            "balances": {c.code: str(money.as_decimal()) for c, money in account.balances_total().items()},
            "fills": [line["fill"] for line in lines if line["type"] == "fill"],
        }

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock, as far as the live guard sees it: what nobody sets falls behind or gets ahead."""
        self.fake_clock.monotonic_ns = lambda: time.monotonic_ns() - round(seconds * 1e9)

    def publish(self, kind: str, values: dict[str, Any]) -> None:
        """Publish a message on the control topic."""
        self.publish_message(messages.COMMANDS_TOPIC, getattr(messages, kind)(**values))


def _symbol(symbol: Any, now_ns: int) -> dict[str, Any]:
    state = symbol.guard_state(now_ns)
    return {
        "state": state.state.value,
        "reason": state.reason,
        "age": state.feed_age_seconds,
        "touch": symbol.touch,
        "position": symbol.position.lots * symbol.lot,
        "old_trades": symbol.counts.old_trades,
        "book_events": symbol.book_events,
    }


def _order(order: Any) -> dict[str, Any]:
    price = getattr(order, "price", None)
    return {
        "id": order.client_order_id.value,
        "symbol": order.instrument_id.symbol.value,
        "side": order.side.name,
        "price": None if price is None else str(price),
        "quantity": str(order.quantity),
        "filled": str(order.filled_qty),
        "tag": order.tags[0] if order.tags else "",
        "is_live": not order.is_closed,
        "status": order.status.name,
        "ts_init": order.ts_init,
        "ts_closed": order.ts_closed,
    }


def _say(line: str) -> None:
    """Print a line at once, as several threads do."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_session(config: Path, overrides: list[str], signals: SignalListener) -> int:
    """Run a configuration with a probe and return the exit code."""
    requests: queue.Queue[str] = queue.Queue()

    def read() -> None:
        # Not sys.stdin: a process that ends while a thread reads from it is aborted.
        while text := os.read(0, 65_536).decode():
            for line in text.splitlines():
                requests.put(line)

    threading.Thread(target=read, daemon=True).start()
    clock = SimpleNamespace(time_ns=time.time_ns, monotonic_ns=time.monotonic_ns)
    live_watch.time = clock  # type: ignore[assignment]
    build, client_config = sandbox.build_sandbox, sandbox_node.data_client_config

    def build_with_probe(inputs: Any, folder: Path, session: Any, beside: Any, **options: Any) -> Any:
        parts = build(inputs, folder, session, beside, **options)
        parts.node.add_actor(Probe(parts, folder, requests, clock, beside.watch))
        return parts

    def impatient_config(*args: Any) -> Any:
        known = client_config(*args)
        names = ("base_url", "ws_public_url", "timeout_secs", "validate_l2_checksum")
        return type(known)(
            ws_idle_timeout_ms=_IDLE_TIMEOUT_MS, **{name: getattr(known, name) for name in names}
        )

    sandbox.build_sandbox = build_with_probe
    sandbox_node.data_client_config = impatient_config
    try:
        loaded = load_sandbox_config(config, overrides)
        sandbox.run_sandbox(loaded.config, signals, say=_say)
    except MarketMakingError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0
