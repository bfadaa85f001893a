"""What an import found in its files: counts, line numbers and texts, by file and kind."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from mm_nautilus.market.rows import Ints

_SHOWN_ROWS: Final = 10
"""How many rows of a kind are kept with line number and text."""


class FindingKind(StrEnum):
    """What can be wrong with a row: its name in JSON, in words, and whether an import that refuses bad rows stops."""

    MALFORMED = "malformed", "malformed rows", True
    OUT_OF_ORDER = "out_of_order", "rows out of order", True
    BEFORE_SNAPSHOT = "before_snapshot", "rows before the first snapshot", True
    DUPLICATED_ID = "duplicated_id", "trades with an id that was already used", True
    CROSSED = "crossed", "crossed states of the book", True
    SEQUENCE_GAP = "sequence_gap", "gaps in the venue's numbers of its messages", True
    BAD_CHECKSUM = "bad_checksum", "books that differ from the venue's checksum", True
    DUPLICATED_LEVEL = "duplicated_level", "levels given twice in one message"
    UNKNOWN_DELETE = "unknown_delete", "deletes of levels that are not in the book"
    EVENT_TIME_BACKWARDS = "event_time_backwards", "rows whose exchange time goes backwards"
    ROUNDED_SIZE = "rounded_size", "sizes rounded down to whole lots"
    UNTERMINATED = "unterminated", "last line without a line break (a file may be cut off)"
    HALF_BOOK = "half_book", "one-sided snapshots"
    MADE_ID = "made_id", "trades without an id, which were given one made of their time and number"
    UNKNOWN_TAKER = "unknown_taker", "trades whose taker is not known"
    OTHER_SYMBOL = "other_symbol", "messages of other symbols, left out"
    OTHER_MESSAGE = "other_message", "messages that change neither book nor trades, left out"
    UNNAMED_SYMBOL = "unnamed_symbol", "rows that name no symbol, so that source_symbol cannot be checked"
    NO_ROWS = "no_rows", "day without a row (the file has only a header)"

    label: str
    refused: bool

    def __new__(cls, value: str, label: str, refused: bool = False) -> Self:
        """Make a member of its value, label and whether it is refused."""
        member = str.__new__(cls, value)
        member._value_, member.label, member.refused = value, label, refused
        return member


@dataclass(slots=True)
class Finding:
    """One kind of finding in one file."""

    file: Path
    kind: FindingKind
    count: int = 0
    """How many rows (or states) in all."""
    lines: list[int] = field(default_factory=list)
    """The first line numbers, at most ten; empty where lines are not known."""
    texts: list[str] = field(default_factory=list)
    """What is wrong at each of these lines, with the value and what is allowed."""
    place: str = "line"
    """What `lines` are the numbers of: lines, or rows."""

    @property
    def message(self) -> str:
        """The finding on one line."""
        shown = [f"{self.place} {line}: {text}" for line, text in zip(self.lines, self.texts, strict=True)]
        if self.lines and self.count > len(self.lines):
            shown.append(f"and {self.count - len(self.lines)} more")
        return "; ".join([f"{self.file}: {self.kind.label}: {self.count:,}", *shown])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "file": str(self.file), "refused": self.kind.refused}


class Findings:
    """Findings of all files, in the order they were met."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, FindingKind], Finding] = {}
        self._places: dict[Path, str] = {}

    def name_places(self, file: Path, place: str) -> None:
        """Call the places of a file's findings ``line`` (as those of other files) or ``row``."""
        self._places[file] = place

    def _finding(self, file: Path, kind: FindingKind) -> Finding:
        fresh = Finding(file, kind, place=self._places.get(file, "line"))
        return self._found.setdefault((file, kind), fresh)

    def add(self, file: Path, kind: FindingKind, lines: Ints, text: Callable[[int], str]) -> None:
        """Count rows; `text` gives the words for a position in `lines`, asked for the first ones only."""
        if not len(lines):
            return
        finding = self._finding(file, kind)
        for position, line in enumerate(lines[: _SHOWN_ROWS - len(finding.lines)].tolist()):
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
