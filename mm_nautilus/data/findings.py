"""What an import found in its files: counts, line numbers and texts, by file and kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from mm_nautilus.market.rows import Ints

__all__ = ["SHOWN_ROWS", "Finding", "FindingKind", "Findings"]

SHOWN_ROWS: Final = 10
"""How many rows of a kind are kept with line number and text."""


class FindingKind(StrEnum):
    """What can be wrong with a row; the value is its name in JSON."""

    MALFORMED = "malformed"
    OUT_OF_ORDER = "out_of_order"
    BEFORE_SNAPSHOT = "before_snapshot"
    DUPLICATED_ID = "duplicated_id"
    CROSSED = "crossed"
    DUPLICATED_LEVEL = "duplicated_level"
    UNKNOWN_DELETE = "unknown_delete"
    EVENT_TIME_BACKWARDS = "event_time_backwards"
    ROUNDED_SIZE = "rounded_size"
    UNTERMINATED = "unterminated"
    HALF_BOOK = "half_book"
    MADE_ID = "made_id"
    UNKNOWN_TAKER = "unknown_taker"
    NO_ROWS = "no_rows"

    @property
    def label(self) -> str:
        """The kind in words, for a number of rows."""
        return _LABELS[self]

    @property
    def refused(self) -> bool:
        """Whether an import that refuses bad rows stops at it; the others are only reported."""
        return self in _REFUSED


_LABELS = {
    FindingKind.MALFORMED: "malformed rows",
    FindingKind.OUT_OF_ORDER: "rows out of order",
    FindingKind.BEFORE_SNAPSHOT: "rows before the first snapshot",
    FindingKind.DUPLICATED_ID: "trades with an id that was already used",
    FindingKind.CROSSED: "crossed states of the book",
    FindingKind.DUPLICATED_LEVEL: "levels given twice in one message",
    FindingKind.UNKNOWN_DELETE: "deletes of levels that are not in the book",
    FindingKind.EVENT_TIME_BACKWARDS: "rows whose exchange time goes backwards",
    FindingKind.ROUNDED_SIZE: "sizes rounded down to whole lots",
    FindingKind.UNTERMINATED: "last lines without a line break (a file may be cut off)",
    FindingKind.HALF_BOOK: "one-sided snapshots",
    FindingKind.MADE_ID: "trades without an id, which were given one made of their time and number",
    FindingKind.UNKNOWN_TAKER: "trades whose taker is not known",
    FindingKind.NO_ROWS: "day without a row (the file has only a header)",
}
_REFUSED = frozenset(
    {
        FindingKind.MALFORMED,
        FindingKind.OUT_OF_ORDER,
        FindingKind.BEFORE_SNAPSHOT,
        FindingKind.DUPLICATED_ID,
        FindingKind.CROSSED,
    }
)


@dataclass(slots=True)
class Finding:
    """One kind of finding in one file.

    Parameters
    ----------
    file
        The file.
    kind
        What was found.
    count
        How many rows (or states) in all.
    lines
        The first line numbers, at most `SHOWN_ROWS`; empty where lines are not known.
    texts
        What is wrong at each of these lines, with the value and what is allowed.
    """

    file: Path
    kind: FindingKind
    count: int = 0
    lines: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """One line that says everything above."""
        shown = [f"line {line}: {text}" for line, text in zip(self.lines, self.texts, strict=True)]
        if self.lines and self.count > len(self.lines):
            shown.append(f"and {self.count - len(self.lines)} more")
        return "; ".join([f"{self.file}: {self.count} {self.kind.label}", *shown])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "file": str(self.file),
            "kind": self.kind.value,
            "count": self.count,
            "lines": list(self.lines),
            "texts": list(self.texts),
            "refused": self.kind.refused,
        }


class Findings:
    """Findings of all files, in the order they were met."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, FindingKind], Finding] = {}

    def add(self, file: Path, kind: FindingKind, lines: Ints, text: Callable[[int], str]) -> None:
        """Count rows; `text` gives the words for a position in `lines`, asked for the first ones only."""
        if not len(lines):
            return
        finding = self._finding(file, kind)
        for position, line in enumerate(lines[: SHOWN_ROWS - len(finding.lines)].tolist()):
            finding.lines.append(line)
            finding.texts.append(text(position))
        finding.count += len(lines)

    def count(self, file: Path, kind: FindingKind, number: int) -> None:
        """Count rows whose lines are not known."""
        if number:
            self._finding(file, kind).count += number

    def all(self) -> list[Finding]:
        """Return every finding."""
        return list(self._found.values())

    def refused(self) -> list[Finding]:
        """Return the findings that stop an import which refuses bad rows."""
        return [finding for finding in self._found.values() if finding.kind.refused]

    def _finding(self, file: Path, kind: FindingKind) -> Finding:
        return self._found.setdefault((file, kind), Finding(file, kind))
