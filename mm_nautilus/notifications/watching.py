"""Decide which of a run's events are worth a message: halts, lost feeds, storms of guards, periods, the end."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.notifications import texts
from mm_nautilus.notifications.events import EndEvent, Event, FeedEvent, Figures, GuardEvent, PeriodEvent
from mm_nautilus.notifications.folding import Draft
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.plain_text import counted

_HALTED: Final = "halted"
_QUOTING: Final = "quoting"
_PAUSED: Final = "paused"
_STILL: Final = "is still "
"""Begins the text of a halt that a run has restored, which the halt file may have reported just before."""
_END_LEVELS: Final = {"completed": "success", "interrupted": "warning"}


@dataclass(slots=True)
class _Symbol:
    """One symbol's state, since when, how long it was in each, and its last changes."""

    state: str
    since_ns: int
    spent: dict[str, float] = field(default_factory=dict)
    changes: deque[float] = field(default_factory=deque)
    halt: str = ""
    """Reason of its last halt."""
    storm: int = 0
    """Changes of a storm so far, 0 without one."""

    def enter(self, state: str, ts_event: int) -> None:
        """Count the time in the present state and enter another."""
        until_ns = max(self.since_ns, ts_event)
        seconds = (until_ns - self.since_ns) / SECOND_NS
        self.spent[self.state] = self.spent.get(self.state, 0.0) + seconds
        self.state, self.since_ns = state, until_ns


class _Group(NamedTuple):
    """What events have in common that are one message."""

    kind: str
    text: str
    flattens: bool
    is_lost: bool
    """Whether the feed was disconnected."""


class Watching:
    """Follow a run's events; times are seconds of a clock that is never set, moments nanoseconds since the epoch.

    Attributes
    ----------
    base
        Figures at the start of the period of summaries, None before the first.
    """

    def __init__(
        self, config: NotifyConfig, symbols: Sequence[str], start_ns: int, base: Figures | None
    ) -> None:
        self._config, self.base = config, base
        self._symbols = {name: _Symbol(_PAUSED, start_ns) for name in symbols}
        self._counted_since_ns = start_ns
        self._lost: tuple[float, int] | None = None
        self._is_loss_told = False
        self._window = 60.0 * config.storm_minutes

    def take(self, events: Sequence[Event], now: float) -> Iterator[Draft]:
        """Yield the messages of events that arrived together; a halt of several symbols is one."""
        groups: dict[_Group, list[GuardEvent]] = {}
        for event in events:
            match event:
                case GuardEvent():
                    kind = self._kind(event)
                    if kind is not None:
                        group = _Group(kind, event.text, event.flattens, self._lost is not None)
                        groups.setdefault(group, []).append(event)
                    yield from self._storm(event, now)
                case FeedEvent():
                    yield from self._feed(event, now)
                case PeriodEvent():
                    yield from self._period(event)
                case EndEvent():
                    yield from self._grouped(groups)
                    groups.clear()
                    yield self._end(event)
        yield from self._grouped(groups)

    def due(self, now: float) -> Iterator[Draft]:
        """Yield what only time shows: a feed that stays lost, the end of a storm."""
        if self._lost is not None and not self._is_loss_told and now >= self._lost[0] + self._limit:
            self._is_loss_told = True
            lines = (
                f"since {texts.utc(self._lost[1])}",
                f"no connection to the feed for more than {self._limit:g} s; nothing is quoted meanwhile",
            )
            yield Draft(self._lost[1], "disconnect", "", "failure", "the feed is disconnected", lines)
        for name, symbol in self._symbols.items():
            if symbol.storm and self._is_calm(symbol, now):
                line = f"it changed state {counted(symbol.storm, 'time')} in all"
                symbol.storm = 0
                yield Draft(
                    symbol.since_ns, "guards", name, "info", f"{name}: guards are calm again", (line,)
                )

    def next_at(self, now: float) -> float | None:
        """Return when something may be due, None if nothing is awaited."""
        times = [now + 1.0] if any(symbol.storm for symbol in self._symbols.values()) else []
        if self._lost is not None and not self._is_loss_told:
            times.append(self._lost[0] + self._limit)
        return min(times, default=None)

    @property
    def _limit(self) -> float:
        return self._config.disconnect_seconds

    def _kind(self, event: GuardEvent) -> str | None:
        """Enter the event's state, and return whether it is a halt or a resume."""
        symbol = self._symbols[event.symbol]
        was_halted = symbol.state == _HALTED
        symbol.enter(event.state, event.ts_event)
        if event.state == _HALTED:
            before, symbol.halt = symbol.halt, event.text.removeprefix(_STILL)
            return None if was_halted and before == symbol.halt else "halt"
        return "resume" if was_halted and event.state == _QUOTING else None

    def _grouped(self, groups: Mapping[_Group, Sequence[GuardEvent]]) -> Iterator[Draft]:
        for group, events in groups.items():
            names = ", ".join(dict.fromkeys(event.symbol for event in events))
            which = "all symbols: " if len(events) == len(self._symbols) > 1 else ""
            lines = [f"{which}{names}", group.text]
            if group.kind == "halt":
                words, level = "halted", "failure"
                closed = "will be closed once the feed is whole" if group.is_lost else "are closed at market"
                lines.append(f"positions {closed}" if group.flattens else "positions are kept")
                lines.append("it quotes again after `mm-nautilus resume`")
            else:
                words, level = (
                    ("resumed; waits for the feed", "warning")
                    if group.is_lost
                    else ("quotes again", "success")
                )
                kept = ", ".join(event.symbol for event in events if event.is_kept)
                lines += [f"positions were not closed before the resume: {kept}"] if kept else []
            yield Draft(events[0].ts_event, group.kind, names, level, f"{words}: {names}", tuple(lines))

    def _storm(self, event: GuardEvent, now: float) -> Iterator[Draft]:
        """Begin a storm at the change that is one too many in the window, and count its changes."""
        symbol = self._symbols[event.symbol]
        symbol.changes.append(now)
        is_calm = self._is_calm(symbol, now)
        if symbol.storm:
            symbol.storm += 1
        elif not is_calm:
            symbol.storm = len(symbol.changes)
            line = (
                f"its guards changed state {counted(symbol.storm, 'time')} within {self._config.storm_minutes:g} "
                f"minutes, the last: {event.text}; the next message comes when they are calm again"
            )
            words = f"{event.symbol}: storm of guards"
            yield Draft(event.ts_event, "guards", event.symbol, "warning", words, (line,))

    def _is_calm(self, symbol: _Symbol, now: float) -> bool:
        while symbol.changes and now - symbol.changes[0] > self._window:
            symbol.changes.popleft()
        return len(symbol.changes) <= self._config.storm_changes

    def _feed(self, event: FeedEvent, now: float) -> Iterator[Draft]:
        if not event.is_connected:
            if self._lost is None:
                self._lost, self._is_loss_told = (now, event.ts_event), False
            return
        lost, self._lost = self._lost, None
        if lost is None:
            return
        if not self._is_loss_told and now - lost[0] < self._limit:
            return
        line = f"after {texts.length(now - lost[0])}, since {texts.utc(lost[1])}"
        yield Draft(event.ts_event, "reconnect", "", "success", "the feed is connected again", (line,))

    def _period(self, event: PeriodEvent) -> Iterator[Draft]:
        """Begin a period at the run's first figures, unless it goes on from an earlier run; sum it up at its end.

        One that is shorter than a quarter of a period is part of the next one.
        """
        base, figures = self.base, event.figures
        if base is None:
            self.base = figures
            self._states(figures.ts_event)  # times in each state count from the same moment
            return
        seconds = (figures.ts_event - base.ts_event) / SECOND_NS
        every = self._config.summary_every
        if not event.is_over or every is None or seconds < every.total_seconds() / 4:
            return
        self.base = figures
        lines = [*texts.period(base, figures), *self._states(figures.ts_event)]
        yield Draft(figures.ts_event, "summary", "", "info", "summary", tuple(lines))

    def _states(self, ts_event: int) -> list[str]:
        """Return the line of how long symbols were halted and paused, and count anew."""
        for symbol in self._symbols.values():
            symbol.enter(symbol.state, ts_event)
        lines = texts.states(
            {name: each.spent for name, each in self._symbols.items()}, self._counted_since_ns
        )
        self._counted_since_ns = ts_event
        for symbol in self._symbols.values():
            symbol.spent = {}
        return lines

    def _end(self, event: EndEvent) -> Draft:
        why = [] if not event.text else [event.text.splitlines()[0]]
        lines = [*why, *texts.totals(event.figures, with_flat=False)]
        level = _END_LEVELS.get(event.status, "failure")
        return Draft(event.ts_event, "end", "", level, f"the run has ended: {event.status}", tuple(lines))
