"""Messages that services have yet to take, kept in a file until they have."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from mm_nautilus.notifications.events import Figures, Message, SymbolFigures
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.private_file import read_at_once, replace_file

KEPT_DAYS: Final = 7
"""Messages that wait for longer are dropped."""
MOST_WAITING: Final = 1_000
"""Most messages that wait for one service; beyond it the oldest are dropped."""
_VERSION: Final = 1


@dataclass(slots=True)
class _Queue:
    """One service's messages, the oldest first."""

    messages: list[Message] = field(default_factory=list)
    sent: int = 0
    dropped: int = 0


class Outbox:
    """Each service's waiting messages, in order, and the figures at the start of the period of summaries.

    The file is for its owner only and holds names of variables, never a URL. It is replaced after each change; the
    lock of the run's state file keeps other processes from it. A file that cannot be written is noted in `failure`, and
    messages then wait in memory. Any thread may call any method.

    Attributes
    ----------
    notes
        What became of the file's content at its opening, in words.
    base
        Figures at the start of the period of summaries.
    """

    def __init__(self, path: Path, services: Sequence[str]) -> None:
        self.path = path
        self.changed = threading.Condition()
        self.failure: str | None = None
        self.notes: list[str] = []
        self.base: Figures | None = None
        self._is_closed = False
        self._queues = {name: _Queue() for name in services}
        self._read()

    def put(self, message: Message) -> int:
        """Add a message for every service; return how many older ones were dropped for it."""
        dropped = 0
        with self.changed:
            for queue in self._queues.values():
                queue.messages.append(message)
                excess = len(queue.messages) - MOST_WAITING
                if excess > 0:
                    del queue.messages[:excess]
                    queue.dropped += excess
                    dropped += excess
            self._write()
            self.changed.notify_all()
        return dropped

    def set_base(self, figures: Figures) -> None:
        """Keep the figures at the start of a period."""
        with self.changed:
            self.base = figures
            self._write()

    def next(self, service: str) -> Message | None:
        """Return a service's oldest message, None if none waits."""
        messages = self._queues[service].messages
        return messages[0] if messages else None

    def taken(self, service: str, message: Message) -> None:
        """Remove a message that a service has taken."""
        with self.changed:
            queue = self._queues[service]
            queue.messages = [waiting for waiting in queue.messages if waiting.id != message.id]
            queue.sent += 1
            self._write()
            self.changed.notify_all()

    def drop_old(self, service: str, now_ns: int) -> int:
        """Drop what has waited for `KEPT_DAYS`, at a moment in nanoseconds since the epoch; return how many."""
        oldest_ns = now_ns - KEPT_DAYS * 86_400 * SECOND_NS
        with self.changed:
            queue = self._queues[service]
            kept = [message for message in queue.messages if message.ts_event >= oldest_ns]
            dropped = len(queue.messages) - len(kept)
            if dropped:
                queue.messages = kept
                queue.dropped += dropped
                self._write()
            return dropped

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many messages each service has taken from this run, how many wait, and how many were dropped."""
        with self.changed:
            return {
                name: {"sent": queue.sent, "waiting": len(queue.messages), "dropped": queue.dropped}
                for name, queue in self._queues.items()
            }

    def close(self) -> None:
        """Leave the file to the next run."""
        self._is_closed = True

    # -- The file ---------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            document = json.loads(read_at_once(self.path))
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}")
            for entry in document["messages"]:
                self._take(Message(**entry["message"]), entry["waiting_for"])
            base = document["base"]
            self.base = None if base is None else _figures(base)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError, AttributeError) as error:
            kept = self.path.with_name(f"{self.path.name}.damaged")
            self.notes.append(
                f"notifications: {self.path} cannot be read ({type(error).__name__}) and is kept as {kept}; what "
                "waited there is not sent"
            )
            self.path.replace(kept)

    def _take(self, message: Message, services: Sequence[str]) -> None:
        for name in services:
            if name in self._queues:
                self._queues[name].messages.append(message)
            else:
                self.notes.append(
                    f"notifications: a message of kind {message.kind} is dropped: notify.urls no longer has {name}"
                )

    def _write(self) -> None:
        if self._is_closed:
            return
        waiting: dict[str, tuple[Message, list[str]]] = {}
        for name, queue in self._queues.items():
            for message in queue.messages:
                waiting.setdefault(message.id, (message, []))[1].append(name)
        entries = sorted(waiting.values(), key=lambda entry: entry[0].ts_event)
        document = {
            "version": _VERSION,
            "messages": [{"message": message._asdict(), "waiting_for": names} for message, names in entries],
            "base": None if self.base is None else _plain(self.base),
        }
        try:
            replace_file(self.path, f"{json.dumps(document)}\n".encode())
            self.failure = None
        except OSError as error:
            self.failure = f"{self.path} cannot be written: {error.strerror or error}"


def _plain(figures: Figures) -> dict[str, Any]:
    amounts = {"trading_pnl": str(figures.trading_pnl), "equity": str(figures.equity)}
    return {**figures._asdict(), **amounts, "symbols": [each._asdict() for each in figures.symbols]}


def _figures(values: Mapping[str, Any]) -> Figures:
    amounts = {name: Decimal(values[name]) for name in ("trading_pnl", "equity")}
    symbols = tuple(SymbolFigures(**each) for each in values["symbols"])
    return Figures(**{**values, **amounts, "symbols": symbols})
