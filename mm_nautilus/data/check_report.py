"""What a check of a catalog found."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mm_nautilus.data.catalog_files import format_time
from mm_nautilus.market.rows import Ints


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    kind
        Its name in JSON, for example ``crossed``.
    instrument_id
        The instrument, or the folder's name where none is defined; empty for the whole catalog.
    text
        What is wrong, with count, first time and value.
    """

    kind: str
    instrument_id: str
    text: str


@dataclass(slots=True)
class Occurrences:
    """How often something was seen, and when first (nanoseconds)."""

    count: int = 0
    first: int | None = None

    def add(self, times: Ints) -> None:
        """Count the times at which it was seen."""
        if len(times):
            self.count += len(times)
            self.first = int(times[0]) if self.first is None else min(self.first, int(times[0]))

    def __str__(self) -> str:
        return f"{self.count}, first at {format_time(self.first or 0)}"


@dataclass(slots=True)
class OutsideTrades(Occurrences):
    """Trades outside the book.

    Parameters
    ----------
    compared
        Trades that could be compared with the book.
    farthest_bps
        The largest distance of any compared trade beyond the touch range, in basis points of its price;
        trades within the tolerance included.
    window_seconds
        How long before and after a trade the book was looked at.
    """

    compared: int = 0
    farthest_bps: float = 0.0
    window_seconds: float = 0.0


@dataclass(slots=True)
class TypeReport:
    """What a catalog holds of one instrument and type.

    Parameters
    ----------
    files, rows
        How many of each.
    first, last
        First and last ``ts_init``, nanoseconds, or None without rows.
    groups
        Atomic groups that end with the last-flag (book changes only).
    gaps, longest_gap_seconds, longest_gap_at
        Silences longer than the threshold, those before the first and after the last row included while the other
        type has rows; the longest silence of all, and when it began (nanoseconds).
    breaks, longest_break_seconds
        Silences that the data itself announces: groups that do nothing but empty the book, as a recording does
        when it ends or its feed is lost. They are no gaps, as no quote can follow an old book there.
    unsorted, crossed, one_sided, unfinished, duplicated_ids
        Rows earlier than the one before; groups that leave the book crossed, or with an empty side; groups
        without the last-flag; trade ids seen shortly before.
    uncleared
        Snapshots that do not clear the book before them, so that its old levels stay (book changes only).
    starts_clear
        Whether the first row clears the book, as a snapshot does (book changes only).
    unknown_takers
        Trades without the taker's side (trades only).
    unknown_deletes
        Deletes of prices that were not in the book; common and harmless in real feeds.
    complete
        Whether every row could be read; figures stop at the first damage otherwise.
    """

    files: int = 0
    rows: int = 0
    first: int | None = None
    last: int | None = None
    groups: int = 0
    gaps: Occurrences = field(default_factory=Occurrences)
    longest_gap_seconds: float = 0.0
    longest_gap_at: int | None = None
    breaks: Occurrences = field(default_factory=Occurrences)
    longest_break_seconds: float = 0.0
    unsorted: Occurrences = field(default_factory=Occurrences)
    crossed: Occurrences = field(default_factory=Occurrences)
    one_sided: Occurrences = field(default_factory=Occurrences)
    unfinished: Occurrences = field(default_factory=Occurrences)
    duplicated_ids: Occurrences = field(default_factory=Occurrences)
    uncleared: Occurrences = field(default_factory=Occurrences)
    starts_clear: bool = True
    unknown_takers: int = 0
    unknown_deletes: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class InstrumentReport:
    """What a catalog holds of one instrument; `outside` compares its trades with its book."""

    instrument_id: str
    simulated: bool
    book: TypeReport
    trades: TypeReport
    outside: OutsideTrades


@dataclass(frozen=True, slots=True)
class CatalogReport:
    """The result of `check_catalog`: all that is wrong are its problems; notes say in words what is harmless."""

    folder: Path
    gap_seconds: float
    instruments: tuple[InstrumentReport, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; times are nanoseconds since 1970."""
        return {**asdict(self), "folder": str(self.folder), "ok": self.ok}
