"""Plays a feed to the venue at a speed, with pauses and bursts."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from mm_nautilus.errors import ConfigError
from mm_nautilus.mock_kraken.feed import BookGroup, Event, LapEnd
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.system.moments import SECOND_NS

if TYPE_CHECKING:
    from mm_nautilus.mock_kraken.exchange import Exchange

_READ_AHEAD_EVENTS: Final = 2_000
_EVENTS_BETWEEN_YIELDS: Final = 50
_CALM_FRAMES: Final = 200
"""Frames waiting for a client below which a feed at full speed goes on."""
_MOST_LAG_SECONDS: Final = 5.0
"""How long a feed at full speed waits for a client to take what waits for it."""


class PlayerState(StrEnum):
    """What a player is doing."""

    WAITING = "waiting for subscriptions"
    PAUSED = "paused"
    PLAYING = "playing"
    ENDED = "ended"


class Player:
    """Hand a feed's events to the venue when they are due; they are read in another thread, some thousand ahead."""

    def __init__(self, events: Iterator[Event], exchange: "Exchange", options: VenueOptions) -> None:
        self._events = events
        self._exchange = exchange
        self._speed = options.speed
        self._needed = options.start_after_subscriptions
        self._is_paused = options.paused
        self._has_ended = False
        self._is_waiting = True
        self._changed = asyncio.Event()
        self._burst: _Burst | None = None
        self._base_ns: int | None = None
        self._base_seconds = 0.0
        self._first_ns: int | None = None
        self._time_ns = 0
        self.events_played = 0
        self.laps = 0

    @property
    def state(self) -> PlayerState:
        """What the player is doing."""
        if self._has_ended:
            return PlayerState.ENDED
        if self._is_paused:
            return PlayerState.PAUSED
        return PlayerState.WAITING if self._is_waiting else PlayerState.PLAYING

    def open_books(self) -> None:
        """Play the pairs' snapshots that the feed begins with, so that no subscriber is sent an empty book."""
        opened: set[str] = set()
        for event in self._events:
            if not (isinstance(event, BookGroup) and event.clears) or event.symbol in opened:
                self._events = chain([event], self._events)
                return
            opened.add(event.symbol)
            self._publish(event)

    async def run(self) -> None:
        """Play the feed to its end, or for ever."""
        while self._exchange.subscription_count < self._needed:
            self._exchange.subscribed.clear()
            await self._exchange.subscribed.wait()
        self._is_waiting = False
        count = 0
        ahead = self._read_ahead()
        while batch := await ahead:
            ahead = self._read_ahead()
            for event in batch:
                await self._wait_until_due(event.time_ns)
                self._publish(event)
                count += 1
                if count % _EVENTS_BETWEEN_YIELDS == 0:
                    await self._let_clients_keep_up()
        self._has_ended = True
        self._end_burst()

    def _read_ahead(self) -> asyncio.Future[list[Event]]:
        """Read the next events in another thread, while those before them are played."""
        return asyncio.get_running_loop().run_in_executor(
            None, list, islice(self._events, _READ_AHEAD_EVENTS)
        )

    # -- Commands ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop the feed's time; books stay as they are."""
        self._is_paused = True
        self._wake()

    def resume(self) -> None:
        """Go on from where the feed was paused; nothing is caught up."""
        self._is_paused = False
        self._wake()

    async def burst(self, events: int, per_second: float) -> int:
        """Play the next events at a rate of their own, whatever their times, and return how many.

        They are fewer than asked for only where the feed ended before. A ConfigError says that another burst is under
        way, the feed has ended, or it plays at full speed anyway.
        """
        if self._burst is not None:
            raise ConfigError("a burst is under way already; wait for its end")
        if self._has_ended or self._is_waiting or self._speed == "max":
            raise ConfigError(
                f"a burst needs a feed that has begun and plays at a speed, was {self.state} at {self._speed}"
            )
        self._burst = burst = _Burst(events, 1.0 / per_second, asyncio.get_running_loop().time())
        self._wake()
        await burst.done.wait()
        return events - burst.left

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""
        first_ns = self._time_ns if self._first_ns is None else self._first_ns
        return {
            "state": self.state,
            "speed": self._speed,
            "events": self.events_played,
            "laps": self.laps,
            "seconds": (self._time_ns - first_ns) / SECOND_NS,
        }

    # -- Time -------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._base_ns = None
        self._changed.set()

    async def _wait_until_due(self, time_ns: int) -> None:
        """Return when an event of this time is to be played."""
        clock = asyncio.get_running_loop().time
        while self._speed != "max" or self._is_paused:
            due = self._due_seconds(time_ns, clock())
            if due is not None and due <= clock():
                return
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._changed.wait()

    def _due_seconds(self, time_ns: int, now_seconds: float) -> float | None:
        """Return the event's moment on the loop's clock, None while the feed's time stands still."""
        if self._burst is not None:
            return self._burst.next_seconds
        if self._is_paused or self._speed == "max":
            return None
        if self._base_ns is None:
            self._base_ns = self._time_ns if self.events_played else time_ns
            self._base_seconds = now_seconds
        return self._base_seconds + (time_ns - self._base_ns) / SECOND_NS / self._speed

    def _publish(self, event: Event) -> None:
        self._time_ns = event.time_ns
        if self._first_ns is None:
            self._first_ns = event.time_ns
        if isinstance(event, LapEnd):
            self.laps = event.laps
            return
        self._exchange.publish(event)
        self.events_played += 1
        if self._burst is not None and self._burst.count():
            self._end_burst()

    def _end_burst(self) -> None:
        if self._burst is not None:
            self._burst.done.set()
            self._burst = None
            self._base_ns = None

    async def _let_clients_keep_up(self) -> None:
        """Let the connections' tasks run; at full speed wait for the slowest, but not for one that stands."""
        await asyncio.sleep(0)
        if self._speed != "max":
            return
        for session in list(self._exchange.sessions):
            if len(session.queue) > _CALM_FRAMES:
                try:
                    await asyncio.wait_for(session.drained.wait(), _MOST_LAG_SECONDS)
                except TimeoutError:
                    session.drop_as_lagging()


@dataclass(slots=True)
class _Burst:
    """Events that are played at a rate of their own."""

    left: int
    interval_seconds: float
    next_seconds: float
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self) -> bool:
        """Count one event; return whether it was the last one."""
        self.left -= 1
        self.next_seconds += self.interval_seconds
        return self.left <= 0
