"""What the venue plays: book groups and trades of several pairs in the order of time, at a speed, with bursts."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge
from itertools import chain, count, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.data.catalog_fitness import footer_problems
from mm_nautilus.data.simulator import KRAKEN_SPOT, SimulationConfig, simulate
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock
from mm_nautilus.mock_kraken.book import Change
from mm_nautilus.mock_kraken.options import AtEnd, VenueOptions
from mm_nautilus.mock_kraken.pairs import Pair, kraken_pairs
from mm_nautilus.system.moments import SECOND_NS

_BATCH_ROWS: Final = 8_192
"""Rows read at a time of each pair and type; what bounds the memory of playing a catalog."""
_LONGEST_SIMULATION_SECONDS: Final = 31 * 86_400

type Trade = tuple[bool | None, int, int]
"""Whether the taker bought, None where that is not known, price in ticks and size in lots."""
_TAKER_BOUGHT: Final = {Side.BID: True, Side.ASK: False, Side.NONE: None}


class BookGroup(NamedTuple):
    """Book changes of one pair that belong together; one that `clears` empties the book first, as by a snapshot.

    The time is the data's own, nanoseconds, which goes on rising where the data is played again.
    """

    time_ns: int
    symbol: str
    clears: bool
    changes: list[Change]


class TradeGroup(NamedTuple):
    """Trades of one pair at one moment; the time is as of a `BookGroup`."""

    time_ns: int
    symbol: str
    trades: list[Trade]


class LapEnd(NamedTuple):
    """The end of the data, which begins again after it, and how often it has been played to its end."""

    time_ns: int
    laps: int


type Event = BookGroup | TradeGroup | LapEnd


def book_groups(blocks: Iterator[DeltaBlock], symbol: str, shift_ns: int = 0) -> Iterator[BookGroup]:
    """Yield the groups of a pair's book changes in blocks, which may end in the middle of one, `shift_ns` later."""
    clears, changes, time_ns = False, list[Change](), 0
    for block in blocks:
        rows = zip(
            block.ts_init.tolist(),
            block.action.tolist(),
            (block.side == Side.BID).tolist(),
            block.price_ticks.tolist(),
            block.size_lots.tolist(),
            (block.flags & Flag.LAST != 0).tolist(),
            strict=True,
        )
        for time_ns, action, is_bid, ticks, lots, is_last in rows:
            if action == Action.CLEAR:
                clears, changes = True, []
            else:
                changes.append(Change(is_bid, ticks, lots))
            if is_last:
                yield BookGroup(time_ns + shift_ns, symbol, clears, changes)
                clears, changes = False, []
    if clears or changes:
        yield BookGroup(time_ns + shift_ns, symbol, clears, changes)


def trade_groups(blocks: Iterator[TradeBlock], symbol: str, shift_ns: int = 0) -> Iterator[TradeGroup]:
    """Yield a pair's trades in blocks, those of one moment together, `shift_ns` later."""
    group: list[Trade] = []
    moment = 0
    for block in blocks:
        rows = zip(
            block.ts_init.tolist(),
            map(_TAKER_BOUGHT.__getitem__, block.aggressor.tolist()),
            block.price_ticks.tolist(),
            block.size_lots.tolist(),
            strict=True,
        )
        for time_ns, is_buy, ticks, lots in rows:
            if group and time_ns != moment:
                yield TradeGroup(moment + shift_ns, symbol, group)
                group = []
            moment = time_ns
            group.append((is_buy, ticks, lots))
    if group:
        yield TradeGroup(moment + shift_ns, symbol, group)


def open_feed(options: VenueOptions) -> tuple[dict[str, Pair], Iterator[Event]]:
    """Return what a venue plays: its pairs by their names, and their events.

    A ConfigError or DataError says that there is no such pair, or the catalog cannot be played.
    """
    if options.catalog is None:
        unknown = [symbol for symbol in options.symbols if symbol not in KRAKEN_SPOT]
        if unknown:
            raise ConfigError(f"symbols must be of {', '.join(KRAKEN_SPOT)}, was {', '.join(unknown)}")
        specs = [KRAKEN_SPOT[symbol] for symbol in options.symbols or KRAKEN_SPOT]
        return kraken_pairs(specs), simulated_feed(options.seed, specs)
    reader = CatalogReader(options.catalog)
    specs = [reader.instrument(symbol) for symbol in options.symbols] or reader.instruments()
    problems = [
        text
        for spec in specs
        for kind in DataKind
        for text in footer_problems(reader.files(spec.instrument_id, kind), spec)
    ]
    if problems:
        raise DataError("\n".join(problems))
    pairs = kraken_pairs(specs)
    return pairs, catalog_feed(reader, list(pairs.values()), options.at_end)


def catalog_feed(reader: CatalogReader, pairs: Sequence[Pair], at_end: AtEnd) -> Iterator[Event]:
    """Yield a catalog's events in the order of ``ts_init``; trades come before book changes of the same time.

    A DataError says that there is no book change or trade at all, or a file cannot be read.
    """

    def lap(_number: int, shift_ns: int) -> Iterator[BookGroup | TradeGroup]:
        def streams(read: Callable[..., Any], groups: Callable[..., Any]) -> list[Any]:
            return [
                groups(read(pair.spec.instrument_id, batch_rows=_BATCH_ROWS), pair.symbol, shift_ns)
                for pair in pairs
            ]

        trades, books = streams(reader.iter_trades, trade_groups), streams(reader.iter_deltas, book_groups)
        events: Iterator[BookGroup | TradeGroup] = merge(*trades, *books, key=itemgetter(0))
        first = next(events, None)
        if first is None:
            symbols = ", ".join(pair.symbol for pair in pairs)
            raise DataError(f"{reader.folder} holds no book changes of {symbols}")
        return chain([first], events)

    for event in _laps(lap):
        yield event
        if isinstance(event, LapEnd) and at_end == "stop":
            return


def simulated_feed(seed: int, specs: Sequence[InstrumentSpec]) -> Iterator[Event]:
    """Yield events of the simulator for these pairs without end; after 31 days it begins again with the next seed."""
    wanted = {spec.symbol for spec in specs}

    def lap(number: int, shift_ns: int) -> Iterator[BookGroup | TradeGroup]:
        config = SimulationConfig(seed=seed + number, duration_seconds=_LONGEST_SIMULATION_SECONDS)
        for slices in simulate(config):
            parts = [part for part in slices if part.spec.symbol in wanted]
            streams: list[Iterator[BookGroup | TradeGroup]] = [
                *(trade_groups(iter([part.trades]), part.spec.symbol, shift_ns) for part in parts),
                *(book_groups(iter([part.deltas]), part.spec.symbol, shift_ns) for part in parts),
            ]
            yield from merge(*streams, key=itemgetter(0))

    return _laps(lap)


def _laps(lap: Callable[[int, int], Iterator[BookGroup | TradeGroup]]) -> Iterator[Event]:
    """Yield laps without end, given the number of each from 0 on and how much later it is, nanoseconds."""
    shift_ns = time_ns = 0
    for number in count():
        first_ns = None
        for event in lap(number, shift_ns):
            time_ns = event.time_ns
            first_ns = time_ns if first_ns is None else first_ns
            yield event
        yield LapEnd(time_ns, number + 1)
        shift_ns += time_ns - (first_ns or 0)


# -- The player ---------------------------------------------------------------------------------------------


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
