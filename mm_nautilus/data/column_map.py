"""Maps of columns: which column of a table is what, and in which words and units."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from mm_nautilus.config.problems import Problem, check_model, refuse
from mm_nautilus.config.yaml_file import read_mapping
from mm_nautilus.data.reader import RowKind, Words
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.rows import Side

Name = Annotated[StrictStr, Field(min_length=1)]
Texts = Annotated[list[StrictStr], MinLen(1)]
Unit = Literal["s", "ms", "us", "ns", "iso", "ms_or_us"]

UNITS_NS: Final = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
_MAPS: Final = Path(__file__).with_name("maps")
_LEVEL: Final = "{}"
_KEYS: Final = {
    "book": (("price", "size", "side"), ("levels", "id")),
    "whole_books": (("levels",), ("price", "size", "side", "snapshot", "id")),
    "trades": (("price", "size"), ("levels", "snapshot")),
}
"""The keys that a kind needs besides a time, and those that it has no use for."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SideWords(_Section):
    """The texts of the side column."""

    buy: Texts
    sell: Texts
    unknown: list[StrictStr] = []


class SnapshotWords(_Section):
    """The texts of the column that says whether a row belongs to a full book."""

    yes: Texts = ["true", "True", "TRUE", "1"]
    no: Texts = ["false", "False", "FALSE", "0"]


class Levels(_Section):
    """The columns of a whole book in one row; ``{}`` stands for the level's number."""

    bid_price: Name
    bid_size: Name
    ask_price: Name
    ask_size: Name
    first: Annotated[StrictInt, Ge(0)] = 0
    count: Annotated[StrictInt, Ge(1), Le(5000)]

    def columns(self) -> list[tuple[int, str, str]]:
        """Return side, price column and size column of every level."""
        sides = ((Side.BID, self.bid_price, self.bid_size), (Side.ASK, self.ask_price, self.ask_size))
        numbers = range(self.first, self.first + self.count)
        return [
            (side, price.replace(_LEVEL, str(number)), size.replace(_LEVEL, str(number)))
            for side, price, size in sides
            for number in numbers
        ]

    def names(self) -> list[str]:
        """Return the column of every price and size."""
        return [name for _, *names in self.columns() for name in names]


class ColumnMap(_Section):
    """What the columns of a table are; each key names a column unless it says otherwise."""

    name: Name
    """What this kind of file is called in messages and reports."""
    kind: Literal["book", "whole_books", "trades"]
    columns: Texts | None = None
    """All columns in their order, for files without a header."""
    refused: Name | None = None
    """Why such a file cannot be imported."""
    exchange: Name | None = None
    symbol: Name | None = None
    time: Name | None = None
    time_unit: Unit = "us"
    received: Name | None = None
    received_unit: Unit = "us"
    side: Name | None = None
    side_words: SideWords | None = None
    price: Name | None = None
    size: Name | None = None
    snapshot: Name | None = None
    snapshot_words: SnapshotWords = SnapshotWords()
    id: Name | None = None
    levels: Levels | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Problem]:
        if self.refused is not None:
            return
        if self.time is None and self.received is None:
            yield Problem(("time",), "time or received must name a column, was neither")
        needed, foreign = _KEYS[self.kind]
        for key in needed:
            if getattr(self, key) is None:
                yield Problem((key,), f"{key} must be given for kind {self.kind}, was missing")
        for key in foreign:
            if getattr(self, key) is not None:
                yield Problem((key,), f"{key} must be left out for kind {self.kind}, was given")
        yield from self._used_twice()
        if self.columns is not None:
            for name in self.wanted():
                if name not in self.columns:
                    yield Problem(
                        ("columns",), f"columns must hold every column named here, was without {name}"
                    )

    def _used_twice(self) -> Iterator[Problem]:
        """Yield columns that stand for two things, and words that mean two."""
        seen: dict[str, str] = {}
        for key, name in self.roles().items():
            if (other := seen.setdefault(name, key)) != key:
                yield Problem((key,), f"{key} must be another column than {other}, was {name}")
        levels = [] if self.levels is None else self.levels.names()
        counts = Counter([*seen, *levels])
        again = next((name for name in levels if counts[name] > 1), None)
        if again is not None:
            rule = f"with {_LEVEL} for the level's number, was {again} for several"
            yield Problem(
                ("levels",), f"levels must name a column of its own for each price and size, {rule}"
            )
        for key in ("side_words", "snapshot_words"):
            if (words := getattr(self, key)) is None:
                continue
            meant: dict[str, str] = {}
            for meaning in type(words).model_fields:
                for text in getattr(words, meaning):
                    if (other := meant.setdefault(text, meaning)) != meaning:
                        yield Problem(
                            (key, meaning), f"{key} must have each text once, was {text} for {other} too"
                        )

    def roles(self) -> dict[str, str]:
        """Return the columns of single values, by key."""
        keys = ("exchange", "symbol", "time", "received", "snapshot", "id", "side", "price", "size")
        return {key: name for key in keys if (name := getattr(self, key)) is not None}

    def wanted(self) -> list[str]:
        """Return every column that is read."""
        levels = [] if self.levels is None else self.levels.names()
        return list(dict.fromkeys([*self.roles().values(), *levels]))

    @property
    def local(self) -> tuple[str, str]:
        """The column of the time that orders the rows, and its unit."""
        return (self.received, self.received_unit) if self.received else (self.time or "", self.time_unit)

    @property
    def row_kind(self) -> RowKind:
        """What its rows become."""
        return RowKind.TRADES if self.kind == "trades" else RowKind.BOOK

    def sides(self) -> dict[str, int]:
        """Return the texts of the side column and what they mean."""
        words = self.side_words
        if words is None:
            trades = self.kind == "trades"
            words = SideWords(
                buy=["buy" if trades else "bid"],
                sell=["sell" if trades else "ask"],
                unknown=["unknown"] if trades else [],
            )
        found = ((words.buy, Side.BID), (words.sell, Side.ASK), (words.unknown, Side.NONE))
        return {text: side for texts, side in found for text in texts}

    def marks(self) -> dict[str, int]:
        """Return the texts of the snapshot column, and 1 for those of a full book."""
        words = self.snapshot_words
        return {**dict.fromkeys(words.yes, 1), **dict.fromkeys(words.no, 0)}

    def words(self, unit: str) -> Words:
        """Return the columns' names for messages; the unit is that of the time that orders the rows."""
        received, _ = self.local
        yes, no = self.snapshot_words.yes[0], self.snapshot_words.no[0]
        rule = f"{self.snapshot or 'a snapshot'} must be {yes} until the book is known, was {no}"
        return Words(received, self.time or received, rule, self.id or "id", UNITS_NS.get(unit))

    def notes(self) -> tuple[str, ...]:
        """Return what these files lack and which rule stands in for it."""
        found = []
        if self.received is None:
            found.append("one clock: the time of receipt is the exchange's time plus a latency")
        elif self.time is None:
            found.append("no exchange time: the time of receipt stands in for it")
        if self.kind == "trades" and self.id is None:
            found.append("no trade ids: each is made of its time and its number among those of that time")
        if self.kind == "trades" and self.side is None:
            found.append(
                "no side of the taker: trades have no aggressor, and nothing can be said of their flow"
            )
        if self.kind == "book" and self.snapshot is None:
            found.append("no mark of full books: the rows of a file's first time are taken as one")
        if self.levels is not None:
            found.append(
                f"whole books of {self.levels.count} a side: the book between two of them is not known, "
                "nor is it beyond these levels"
            )
        return tuple(found)


def load_map(path: Path) -> ColumnMap:
    """Read a map from a YAML file.

    A `ConfigError` has every problem at once: file and line, the key, what is allowed and what was given.
    """
    given = read_mapping(path, "column map")
    found, problems = check_model(ColumnMap, given.values)
    texts = [*given.problems, *(f"{given.place(problem.path)}: {problem.message}" for problem in problems)]
    if found is None or texts:
        raise ConfigError(texts)
    return found


def shipped_maps(prefix: str = "") -> list[ColumnMap]:
    """Return the maps that come with the package whose file names begin with a prefix."""
    return [load_map(path) for path in sorted(_MAPS.glob(f"{prefix}*.yaml"))]
