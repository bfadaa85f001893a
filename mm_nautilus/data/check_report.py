"""What a check of a catalog found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mm_nautilus.data.catalog_files import format_time
from mm_nautilus.market.rows import Ints
from mm_nautilus.system.store_url import CatalogPath


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    """Its name in JSON, for example ``crossed``."""
    instrument_id: str
    """The instrument, or the folder's name where none is defined; empty for the whole catalog."""
    text: str
    """What is wrong, with count, first time and value."""


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
    """Trades outside the book."""

    compared: int = 0
    """Trades that could be compared with the book."""
    farthest_bps: float = 0.0
    """Largest distance of any compared trade beyond the touch range, basis points of its price."""
    window_seconds: float = 0.0
    """How long before and after a trade the book was looked at."""


@dataclass(slots=True)
class TypeReport:
    """What a catalog holds of one instrument and type; times are ``ts_init``, nanoseconds."""

    files: int = 0
    rows: int = 0
    first: int | None = None
    last: int | None = None
    groups: int = 0
    """Groups of book changes that end with the last-flag."""
    gaps: Occurrences = field(default_factory=Occurrences)
    """Silences longer than the threshold; those before the first and after the last row count while the other type has
    rows."""
    longest_gap_seconds: float = 0.0
    longest_gap_at: int | None = None
    breaks: Occurrences = field(default_factory=Occurrences)
    """Silences that the data itself announces by emptying the book, as a recording does when it ends or its feed is
    lost. They are no gaps, as no quote can follow an old book there."""
    longest_break_seconds: float = 0.0
    unsorted: Occurrences = field(default_factory=Occurrences)
    """Rows earlier than the one before."""
    crossed: Occurrences = field(default_factory=Occurrences)
    one_sided: Occurrences = field(default_factory=Occurrences)
    """Groups that leave the book crossed, or with an empty side."""
    unfinished: Occurrences = field(default_factory=Occurrences)
    """Groups without the last-flag."""
    duplicated_ids: Occurrences = field(default_factory=Occurrences)
    """Trade ids seen shortly before."""
    uncleared: Occurrences = field(default_factory=Occurrences)
    """Snapshots that do not clear the book before them, so that its old levels stay."""
    starts_clear: bool = True
    """Whether the first book change clears the book, as a snapshot does."""
    unknown_takers: int = 0
    """Trades without the taker's side."""
    unknown_deletes: int = 0
    """Deletes of prices that were not in the book; common and harmless in real feeds."""
    complete: bool = True
    """Whether every row could be read; the other figures stop at the first damage."""


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

    folder: CatalogPath
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
