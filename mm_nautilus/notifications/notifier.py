"""Notify a run's owner from threads of their own: one writes messages, one for each service has them sent."""

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.notifications import texts
from mm_nautilus.notifications.events import EndEvent, Event, Message
from mm_nautilus.notifications.folding import Draft, Folding
from mm_nautilus.notifications.outbox import KEPT_DAYS, Outbox
from mm_nautilus.notifications.services import Sender
from mm_nautilus.notifications.watching import Watching
from mm_nautilus.system.plain_text import counted

OUTBOX_SUFFIX: Final = ".notifications.json"
"""End of the outbox's name, after the run's: it lies beside the state file or, without one, in the run's folder."""
_MOST_EVENTS: Final = 10_000
"""Most events that wait for the thread; it takes them within milliseconds."""
_TOGETHER_SECONDS: Final = 0.5
"""Events that come within this time are looked at together: a halt reaches each symbol in turn."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_BETWEEN_SECONDS: Final = 1.0
"""Pause between two messages to a service: most refuse more than one a second."""


_NO_TIME: Final = "there was no time left at the end"


class NotifiedRun(NamedTuple):
    """What messages say of their run."""

    name: str
    symbols: tuple[str, ...]
    is_simulated: bool


@dataclass(slots=True)
class _Delivery:
    """One service's worker."""

    name: str
    sender: Sender
    failure: str | None = None
    """Why the last message was not taken, None if it was."""
    tries: int = 0


class Notifier:
    """Take events from the engine's thread, and bring messages to the services.

    `put` costs microseconds and never waits. Everything else happens in daemon threads: one decides what is worth a
    message and writes it to the outbox, and one a service has its messages sent in order, each by a process of its own
    (`sending`), so that a service that hangs holds up no other and nothing of the run.

    Parameters
    ----------
    say
        Receives a line for people when a service begins and stops to refuse messages.
    """

    def __init__(
        self,
        config: NotifyConfig,
        outbox: Outbox,
        say: Callable[[str], None],
        *,
        continues: bool,
    ) -> None:
        self._config, self._outbox, self._say, self._continues = config, outbox, say, continues
        self._events: queue.Queue[Event] = queue.Queue(_MOST_EVENTS)
        self._folding = Folding()
        self._lost_events = 0
        self._deliveries = [_Delivery(name, Sender(name)) for name in config.urls]
        self._closing, self._is_over = threading.Event(), threading.Event()
        self._is_written = threading.Event()
        self._has_end = False
        self._said_failure: str | None = None
        self._failure: str | None = None
        for note in outbox.notes:
            say(note)

    @classmethod
    def open(
        cls, config: NotifyConfig, path: Path, say: Callable[[str], None], *, continues: bool
    ) -> "Notifier":
        """Return the notifier of a run whose outbox is this file, with what waits there from an earlier one.

        `continues` says that the run's totals continue those of the earlier one.
        """
        outbox = Outbox(path, config.urls)
        if not continues:
            outbox.base = None
        if outbox.waiting:
            say(f"notifications: {counted(outbox.waiting, 'message')} of earlier runs will be sent")
        return cls(config, outbox, say, continues=continues)

    def start(self, run: NotifiedRun) -> None:
        """Start the threads."""
        self._run, now_ns = run, time.time_ns()
        self._watching = Watching(self._config, run.symbols, now_ns, self._outbox.base)
        killed_ns, self._outbox.running_since_ns = self._outbox.running_since_ns, now_ns
        killed = (
            ()
            if killed_ns is None
            else (self._message(_killed(now_ns, killed_ns, continues=self._continues)),)
        )
        self._outbox.put(killed)
        threading.Thread(target=self._write_on, name="notifications", daemon=True).start()
        for each in self._deliveries:
            threading.Thread(
                target=self._deliver, args=(each,), name=f"notify {each.name}", daemon=True
            ).start()

    def put(self, event: Event) -> None:
        """Take an event; one that finds the queue full is counted, and the next message says so."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self._lost_events += 1

    def end(self, event: EndEvent) -> None:
        """Take the run's end; only the first one counts."""
        if not self._has_end:
            self._has_end = True
            self.put(event)

    def close(self, deadline: float) -> None:
        """Wait until each service has taken its messages or refused one, at most until a monotonic time in seconds.

        Nothing is sent afterwards; what waits is in the outbox's file.
        """
        if self._is_over.is_set():
            return
        self._is_written.wait(max(0.0, deadline - time.monotonic()))
        self._closing.set()
        with self._outbox.changed:
            tries = [each.tries for each in self._deliveries]
            self._outbox.changed.notify_all()

            def is_done() -> bool:
                return all(
                    self._outbox.next(each.name) is None or (each.tries > before and each.failure is not None)
                    for each, before in zip(self._deliveries, tries, strict=True)
                )

            self._outbox.changed.wait_for(is_done, max(0.0, deadline - time.monotonic()))
            self._is_over.set()
            self._outbox.changed.notify_all()
            self._outbox.close()
        for each in self._deliveries:
            each.sender.stop()
            waiting = self._outbox.counts()[each.name]["waiting"]
            if waiting:
                each.failure = each.failure or _NO_TIME
                words = counted(waiting, "message waits", "messages wait")
                self._say(f"notifications: {words} for {each.name} until the next run: {each.failure}")

    @property
    def summary(self) -> dict[str, Any]:
        """What a run's summary says of its notifications."""
        failures = {each.name: each.failure for each in self._deliveries}
        counts = self._outbox.counts()
        return {
            "services": {name: {**counts[name], "failure": failures[name]} for name in counts},
            "folded": self._folding.folded,
            "left_out": self._folding.left_out,
            "lost": self._lost_events,
            "failure": self._failure,
        }

    # -- Writing ----------------------------------------------------------------------------------------

    def _write_on(self) -> None:
        try:
            while not self._is_written.is_set():
                self._look()
        except Exception as error:
            # The run goes on, without messages from now on.
            self._failure = f"{type(error).__name__}: {error}"
            self._say(f"notifications: failed and are not written any more: {self._failure}")
            self._is_written.set()

    def _look(self) -> None:
        """Wait for events, or for what only time shows, and write the messages."""
        now = time.monotonic()
        times = [at for at in (self._folding.next_at, self._watching.next_at(now)) if at is not None]
        events = list(self._arrivals(max(0.0, min(times) - now) if times else None))
        now = time.monotonic()
        is_over = any(isinstance(event, EndEvent) for event in events)
        base = self._watching.base
        drafts = [*self._watching.take(events, now), *self._watching.due(now)]
        ends = [draft for draft in drafts if draft.kind == "end"]
        sent = [one for draft in drafts if draft.kind != "end" for one in self._folding.add(draft, now)]
        messages = [self._message(each) for each in (*sent, *self._folding.due(now, is_over=is_over), *ends)]
        new_base = self._watching.base if self._watching.base is not base else None
        if is_over:
            self._outbox.running_since_ns = None
        if messages or new_base is not None:
            dropped = self._outbox.put(messages, new_base)
            if dropped:
                self._say(f"notifications: too many wait: {counted(dropped, 'message')} dropped")
        self._say_failure()
        if is_over:
            self._is_written.set()

    def _arrivals(self, seconds: float | None) -> Iterator[Event]:
        """Wait so long for an event, None for as long as it takes; yield it and those that come soon after it."""
        with contextlib.suppress(queue.Empty):
            yield (event := self._events.get(timeout=seconds))
            until = time.monotonic() + _TOGETHER_SECONDS
            while not isinstance(event, EndEvent):
                yield (event := self._events.get(timeout=max(0.0, until - time.monotonic())))

    def _message(self, draft: Draft) -> Message:
        lines = list(draft.lines)
        if self._lost_events:
            lines.append(f"events that were not looked at so far: {self._lost_events}")
        return Message(
            id=uuid.uuid4().hex[:10],
            ts_event=draft.ts_event,
            kind=draft.kind,
            level=draft.level,
            title=texts.title(self._run.name, draft.words, is_simulated=self._run.is_simulated),
            body=texts.body(draft.ts_event, *lines),
        )

    def _say_failure(self) -> None:
        failure = self._outbox.failure
        if failure != self._said_failure:
            self._said_failure = failure
            if failure is not None:
                self._say(f"notifications: waiting ones would not survive the process: {failure}")

    # -- Sending ----------------------------------------------------------------------------------------

    def _deliver(self, delivery: _Delivery) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._is_over.is_set():
            message = self._wait_for_message(delivery.name)
            if message is None:
                continue
            why = delivery.sender.send(message)
            if why is not None and self._is_over.is_set():
                return
            has_failed = why is not None
            if has_failed is (delivery.failure is None):
                self._say(_outage_words(delivery.name, why))
            with self._outbox.changed:
                delivery.tries += 1
                delivery.failure = why
                if has_failed:
                    self._outbox.changed.notify_all()
            if not has_failed:
                self._outbox.taken(delivery.name, message)
            rest = pause if has_failed else _BETWEEN_SECONDS
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if has_failed else _FIRST_PAUSE_SECONDS
            if has_failed or self._outbox.next(delivery.name) is not None:
                self._closing.wait(rest)
            if self._closing.is_set() and has_failed:
                time.sleep(_FIRST_PAUSE_SECONDS)

    def _wait_for_message(self, name: str) -> Message | None:
        """Wait for a service's next message; None says that there is none left, or that nothing more is to be sent."""
        with self._outbox.changed:
            self._outbox.changed.wait_for(
                lambda: self._is_over.is_set() or self._outbox.next(name) is not None
            )
            if self._is_over.is_set():
                return None
        dropped = self._outbox.drop_old(name, time.time_ns())
        if dropped:
            self._say(
                f"notifications: {counted(dropped, 'message')} for {name} waited {KEPT_DAYS} days: dropped"
            )
        return self._outbox.next(name)


def _killed(now_ns: int, since_ns: int, *, continues: bool) -> Draft:
    """Return the message of an earlier run that is found not to have ended."""
    words = f"the run of {texts.utc(since_ns)} ended without an end"
    line = (
        f"it was killed, or crashed; this one {'continues from its state' if continues else 'starts fresh'}"
    )
    return Draft(now_ns, "end", "", "failure", words, (line,))


def _outage_words(name: str, why: str | None) -> str:
    if why is None:
        return f"notifications: {name} takes messages again"
    return f"notifications: {name} has not taken a message: {why}; it is tried again, and later ones wait"


def try_services(names: Sequence[str], run: str) -> dict[str, str | None]:
    """Send a run's test message to each service, and return why it was not taken, or None, by the variables' names."""
    now_ns = time.time_ns()
    lines = ("This is a test: what a run has to say will look like this.",)
    message = Message(
        uuid.uuid4().hex[:10], now_ns, "test", "info", f"{run}: test message", texts.body(now_ns, *lines)
    )
    return {name: Sender(name).send(message) for name in names}
