"""Messages that services have yet to take, kept in a file until they have."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter

from mm_nautilus.notifications.events import Figures, Message
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.plain_text import counted
from mm_nautilus.system.private_file import read_at_once, replace_file

KEPT_DAYS: Final = 7
"""Messages that wait for longer are dropped."""
MOST_WAITING: Final = 1_000
"""Most messages that wait for one service; beyond it the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A message, and the services that have yet to take it."""

    message: Message
    waiting_for: list[str]


@dataclass(frozen=True, slots=True)
class _Content:
    """What the file holds."""

    version: Literal[1]
    messages: list[_Entry]
    base: Figures | None
    running_since_ns: int | None = None


_CONTENT: Final = TypeAdapter(_Content)


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
    running_since_ns
        Start of the run that has not ended yet, nanoseconds since the epoch; at the opening, of one that was killed.
    """

    def __init__(self, path: Path, services: Sequence[str]) -> None:
        self.path = path
        self.changed = threading.Condition()
        self.failure: str | None = None
        self.notes: list[str] = []
        self.base: Figures | None = None
        self.running_since_ns: int | None = None
        self._is_closed = False
        self._queues = {name: _Queue() for name in services}
        self._numbers, self._next_number = dict[str, int](), itertools.count()
        self._read()

    def put(self, messages: Sequence[Message], base: Figures | None = None) -> int:
        """Add messages for every service, and keep the figures at the start of a new period, if there are any.

        All is in the file together, or nothing. Returns how many older messages were dropped for these.
        """
        dropped = 0
        with self.changed:
            self.base = base or self.base
            for message in messages:
                self._number(message)
            for queue in self._queues.values():
                queue.messages.extend(messages)
                excess = max(0, len(queue.messages) - MOST_WAITING)
                del queue.messages[:excess]
                queue.dropped += excess
                dropped += excess
            self._write()
            self.changed.notify_all()
        return dropped

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
        """Return how many messages each service has taken from this run, how many wait, and how many were dropped.

        It never waits for the disk: the engine's thread asks.
        """
        return {
            name: {"sent": queue.sent, "waiting": len(queue.messages), "dropped": queue.dropped}
            for name, queue in self._queues.items()
        }

    @property
    def waiting(self) -> int:
        """How many messages wait, each counted once."""
        return len({message.id for queue in self._queues.values() for message in queue.messages})

    def close(self) -> None:
        """Leave the file to the next run."""
        self._is_closed = True

    # -- The file ---------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            content = _CONTENT.validate_json(read_at_once(self.path))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            why = type(error).__name__ if isinstance(error, OSError) else "it is damaged"
            self._put_aside(why)
            return
        self.base, self.running_since_ns = content.base, content.running_since_ns
        gone = Counter[str]()
        for entry in content.messages:
            self._number(entry.message)
            for name in entry.waiting_for:
                if name in self._queues:
                    self._queues[name].messages.append(entry.message)
                else:
                    gone[name] += 1
        for name, count in gone.items():
            text = f"{counted(count, 'message')} for {name} dropped: notify.urls no longer has it"
            self.notes.append(f"notifications: {text}")

    def _put_aside(self, why: str) -> None:
        kept = self.path.with_name(f"{self.path.name}.damaged")
        try:
            self.path.replace(kept)
            place = f"is kept as {kept}"
        except OSError as error:
            place = f"could not be put aside ({error.strerror or error})"
        text = f"{self.path} cannot be read ({why}) and {place}; what waited there is not sent"
        self.notes.append(f"notifications: {text}")

    def _number(self, message: Message) -> None:
        """Remember a message's place in the order in which they were made; clocks may be set back meanwhile."""
        self._numbers[message.id] = next(self._next_number)

    def _write(self) -> None:
        if self._is_closed:
            return
        waiting: dict[str, tuple[Message, list[str]]] = {}
        for name, queue in self._queues.items():
            for message in queue.messages:
                waiting.setdefault(message.id, (message, []))[1].append(name)
        self._numbers = {one: number for one, number in self._numbers.items() if one in waiting}
        entries = [_Entry(*waiting[one]) for one in self._numbers]
        document = _CONTENT.dump_python(_Content(1, entries, self.base, self.running_since_ns), mode="json")
        try:
            replace_file(self.path, f"{json.dumps(document)}\n".encode())
            self.failure = None
        except OSError as error:
            self.failure = f"{self.path} cannot be written: {error.strerror or error}"
