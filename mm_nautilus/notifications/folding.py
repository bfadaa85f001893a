"""Fold repeated messages into one, and hold back what is beyond the hour's limit: both are counted and said."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

FOLD_SECONDS: Final = 60.0
"""Messages of one kind and symbol within this time are folded into one."""
MOST_AN_HOUR: Final = 30
"""Most messages an hour; halts, summaries and the end of the run are always sent."""
_HOUR_SECONDS: Final = 3_600.0
_ALWAYS: Final = frozenset({"halt", "summary", "end"})


class Draft(NamedTuple):
    """A message before it is one; `key` is its kind and what it is about."""

    ts_event: int
    kind: str
    about: str
    level: str
    words: str
    lines: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What is folded together."""
        return self.kind, self.about


@dataclass(slots=True)
class _Folded:
    """Messages of one key that wait for their minute to end."""

    sent_at: float
    count: int = 0
    last: Draft | None = None


class Folding:
    """Decide what is sent now and what later as one message; times are seconds of a clock that is never set.

    Attributes
    ----------
    folded, left_out
        How many messages went into a later one, and how many were beyond the hour's limit.
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], _Folded] = {}
        self._sent: deque[float] = deque()
        self._left_out: Counter[str] = Counter()
        self._left_out_ns = 0
        self.folded = self.left_out = 0

    def add(self, draft: Draft, now: float) -> Iterator[Draft]:
        """Yield a draft if it is sent at once."""
        if draft.kind == "summary":  # each has the figures of a period of its own
            yield draft
            return
        known = self._keys.get(draft.key)
        if known is None or (now - known.sent_at >= FOLD_SECONDS and not known.count):
            self._keys[draft.key] = _Folded(now)
            yield from self._within_limit(draft, now)
            return
        known.count += 1
        known.last = draft

    def due(self, now: float, *, is_over: bool = False) -> Iterator[Draft]:
        """Yield what is sent now of the messages that wait; at the end of a run that is all."""
        for key, folded in list(self._keys.items()):
            is_due = is_over or now - folded.sent_at >= FOLD_SECONDS
            if is_due and folded.last is not None:
                self._keys[key] = _Folded(now)
                self.folded += folded.count - 1
                yield from self._within_limit(_with_count(folded.last, folded.count), now)
            elif is_due:
                del self._keys[key]
        if self._left_out and (is_over or self._has_room(now)):
            yield self._left_out_draft(now)

    @property
    def next_at(self) -> float | None:
        """When something may be due, None if nothing waits."""
        times = [folded.sent_at + FOLD_SECONDS for folded in self._keys.values() if folded.count]
        if self._left_out and self._sent:
            times.append(self._sent[0] + _HOUR_SECONDS)
        return min(times, default=None)

    def _has_room(self, now: float) -> bool:
        while self._sent and now - self._sent[0] >= _HOUR_SECONDS:
            self._sent.popleft()
        return len(self._sent) < MOST_AN_HOUR

    def _within_limit(self, draft: Draft, now: float) -> Iterator[Draft]:
        if draft.kind in _ALWAYS:
            yield draft
        elif self._has_room(now):
            self._sent.append(now)
            yield draft
        else:
            self._left_out[draft.kind] += 1
            self.left_out += 1
            self._left_out_ns = draft.ts_event

    def _left_out_draft(self, now: float) -> Draft:
        kinds = ", ".join(f"{kind}: {count}" for kind, count in self._left_out.items())
        count = sum(self._left_out.values())
        self._left_out.clear()
        self._sent.append(now)
        words = f"{count} messages were left out"
        line = f"they were beyond {MOST_AN_HOUR} an hour: {kinds}"
        return Draft(self._left_out_ns, "left out", "", "warning", words, (line,))


def _with_count(draft: Draft, count: int) -> Draft:
    if count == 1:
        return draft
    line = f"{count} of these since the one before; this is the last"
    return draft._replace(lines=(*draft.lines, line))
