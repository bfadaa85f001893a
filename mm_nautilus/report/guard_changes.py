"""What guards did in a run, from its journal: each change, and the time in each state."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mm_nautilus.errors import DataError
from mm_nautilus.report.journal import journal_files
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.risk.state import QuotingState

_JOURNAL: Final = "journal.jsonl"
_BEGINNING: Final = '{"type": "guard"'
"""How the journal writes a change of a guard; other lines are left unread, as there may be millions."""
_REMOVAL: Final = '{"type": "journal"'
"""How the journal begins the line of files that it has removed."""


@dataclass(frozen=True, slots=True)
class GuardEntry:
    """One change of a guard."""

    ts_ns: int
    """Nanoseconds since the epoch."""
    symbol: str
    state: QuotingState
    """From then on."""
    text: str
    """Why, with its figures."""


@dataclass(frozen=True, slots=True)
class GuardLog:
    """The changes of a run's guards."""

    entries: tuple[GuardEntry, ...]
    """In the order in which they came; times never step back, as in `run_files.times`."""
    is_whole: bool
    """Whether the journal still has its beginning; the oldest files of a long one are removed."""


type StateTime = tuple[float, int]
"""Seconds a symbol was in a state, and how often it came into it."""


def read_guard_log(files: RunFiles) -> GuardLog | None:
    """Return the changes of a run's guards, None where the run's journal has none or is not there any more.

    A DataError says that a line is damaged; the last one of a run that was cut off may be.
    """
    paths = journal_files(files.folder / _JOURNAL)
    if not paths or not files.has_guards:
        return None
    found = [entry for path in paths for entry in _entries_of(path)]
    kept = [entry for entry in found if entry is not None]
    moments = np.array([entry.ts_ns for entry in kept], dtype=np.int64)
    ordered = np.minimum.accumulate(moments[::-1])[::-1].tolist()
    return GuardLog(
        tuple(replace(entry, ts_ns=ts_ns) for ts_ns, entry in zip(ordered, kept, strict=True)),
        is_whole=len(kept) == len(found),
    )


def _entries_of(path: Path) -> Iterator[GuardEntry | None]:
    """Yield each change, and None for each time that files were removed."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.startswith(_REMOVAL):
                    yield None
                elif line.startswith(_BEGINNING) and line.endswith("\n"):
                    yield _entry(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _entry(line: str, where: str) -> GuardEntry:
    try:
        change: Mapping[str, Any] = json.loads(line)["guard"]
        state = QuotingState(change["state"])
        return GuardEntry(int(change["ts_event"]), str(change["symbol"]), state, str(change["text"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} must be a line of a guard, was {line.strip()[:200]!r}") from error


def state_times(
    log: GuardLog, symbols: Iterable[str], start_ns: int, end_ns: int
) -> dict[str, dict[QuotingState, StateTime]]:
    """Return for each symbol how long and how often it was in each state within a span, nanoseconds since the epoch.

    Before its first change a symbol is paused: nothing is quoted without a book. Where the journal's beginning is gone,
    time counts from the first change that is left.
    """
    found = {}
    for symbol in symbols:
        entries = [entry for entry in log.entries if entry.symbol == symbol]
        first_ns = start_ns if log.is_whole else min((entry.ts_ns for entry in entries), default=end_ns)
        found[symbol] = _times_of(entries, max(start_ns, first_ns), end_ns)
    return found


def _times_of(entries: Sequence[GuardEntry], start_ns: int, end_ns: int) -> dict[QuotingState, StateTime]:
    seconds = dict.fromkeys(QuotingState, 0.0)
    counts = dict.fromkeys(QuotingState, 0)
    state, since_ns, is_new = QuotingState.PAUSED, start_ns, True
    for entry in [*entries, GuardEntry(end_ns, "", state, "")]:
        until_ns = min(max(entry.ts_ns, since_ns), end_ns)
        seconds[state] += (until_ns - since_ns) / 1e9
        counts[state] += is_new and until_ns > since_ns
        is_new = entry.state is not state or until_ns == since_ns
        state, since_ns = entry.state, until_ns
    return {name: (seconds[name], counts[name]) for name in QuotingState if counts[name] or seconds[name]}
