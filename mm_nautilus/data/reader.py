"""What a file format gives an import: its files described, and their rows as columns, exact."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.data.catalog_files import format_time
from mm_nautilus.data.findings import Findings
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Columns, Ints

type Mask = NDArray[np.bool_]


class RowKind(StrEnum):
    """What a row is: a level of a book, or a trade."""

    BOOK = "book"
    TRADES = "trades"


@dataclass(frozen=True, slots=True)
class SourceRows(Columns):
    """Well-formed rows of one file and one kind, in the file's order."""

    line: Ints
    """Line number in the file, or the row's number in a file without lines; from 1."""
    ts_event: Ints
    ts_init: Ints
    """Exchange and local time, nanoseconds since 1970; the same where the format has one clock. Book rows of one
    `ts_init` are one message."""
    side: Ints
    """`Side.BID` or `Side.ASK` of a level, of a trade's taker; `Side.NONE` for a trade whose taker is not known."""
    price_ticks: Ints
    """Whole numbers of the price increment, positive."""
    size_lots: Ints
    """Whole numbers of the size increment: a level's new total, 0 for a delete; positive for a trade."""
    snapshot: Mask
    """Whether a book row belongs to a full book; all False for trades."""
    trade_id: NDArray[np.object_]
    """At most 36 printable ASCII characters without spaces; empty for book rows, and for trades that have none."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a file calls its columns, and how it writes times; for messages."""

    received: str = "local_timestamp"
    event: str = "timestamp"
    snapshot_rule: str = "is_snapshot must be true until the book is known, was false"
    trade_id: str = "id"
    unit_ns: int | None = 1000
    """The unit of whole numbers of time, nanoseconds; None where times are texts."""

    def time(self, nanoseconds: int) -> str:
        """Return a time as the file writes it, or nearly so."""
        return format_time(nanoseconds) if self.unit_ns is None else str(nanoseconds // self.unit_ns)

    @property
    def id_unit_ns(self) -> int:
        """The unit of time in the ids that are made for trades: microseconds where the file has no finer times."""
        return 1000 if self.unit_ns == 1000 else 1


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file, as far as its beginning tells."""

    path: Path
    kinds: tuple[RowKind, ...]
    label: str
    """What the format calls this kind of file; shown in reports."""
    first_ns: int | None
    """Local time of its first row, nanoseconds; None if it has none. Files are read in this order."""
    source: tuple[str, str] = ("", "")
    """What its first row calls exchange and symbol, which all rows of the import must name; empty where rows do not
    name it."""
    notes: tuple[str, ...] = ()
    """What the format lacks and which rule stands in for it, a sentence each; kept in the catalog."""
    has_one_clock: bool = False
    """Whether its rows have one time only, to which the latency given is added to make `ts_init`."""
    words: Words = field(default_factory=Words)
    place: Literal["line", "row"] = "line"
    """What `SourceRows.line` counts."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What the rows of an import must fit, and where a reader notes those that do not."""

    spec: InstrumentSpec
    source: tuple[str, str]
    """Exchange and symbol that rows must name, where they name any; empty where none does."""
    findings: Findings
    round_sizes_down: bool = False
    """Whether a size that is no whole number of lots is rounded down and noted, instead of malformed."""
    symbol_is_given: bool = False
    """Whether the user named the symbol, so that a file of several symbols may be read for one of them."""


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Some of a file's rows, in its order."""

    rows_read: int
    """How many rows these come from, with the malformed ones."""
    bytes_read: int
    """How far into the file, as stored, the block reaches."""
    book: SourceRows | None = None
    trades: SourceRows | None = None


class Reader(Protocol):
    """Reads the files of one format."""

    def inspect(self, path: Path) -> SourceFile:
        """Describe a file by its beginning.

        A `DataError` names the file and says that it is missing, empty, damaged or of another format.
        """

    def read(self, file: SourceFile, fit: Fit) -> Iterator[RowBlock]:
        """Yield the well-formed rows of a file block by block, with flat memory.

        Rows that are malformed, rounded or changed are noted in ``fit.findings`` with their line. A `DataError` names
        the file and says that it is cut off or damaged.
        """
