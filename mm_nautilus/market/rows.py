"""Blocks of market data as arrays, in ticks and lots, independent of file formats."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain, compress
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray


class Action:
    """What a row does to a book."""

    ADD: Final = 1
    UPDATE: Final = 2
    DELETE: Final = 3
    CLEAR: Final = 4


class Side:
    """The side of a level, or of a trade's taker."""

    NONE: Final = 0
    BID: Final = 1
    ASK: Final = 2


class Flag:
    """Bits of a row."""

    LAST: Final = 128
    """Set on the last delta of a group; the book is consistent only after it."""
    SNAPSHOT: Final = 32
    """Set on every delta of a full snapshot, its leading clear included."""


type Ints = NDArray[np.int64]


class Columns:
    """A dataclass of columns of equal length."""

    def __len__(self) -> int:
        return len(self.columns()[0])

    def slice(self, start: int | None, stop: int | None) -> Self:
        """Return rows `start` to `stop` (exclusive) as views."""
        return type(self)(*(column[start:stop] for column in self.columns()))

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the rows of a mask."""
        return type(self)(
            *(
                column[chosen] if isinstance(column, np.ndarray) else list(compress(column, chosen))
                for column in self.columns()
            )
        )

    def columns(self) -> list[Any]:
        """Return all columns, in order."""
        return [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DeltaBlock(Columns):
    """Level-2 order book deltas of one instrument, one row per level, ordered by the time of receipt."""

    ts_event: Ints
    ts_init: Ints
    """Nanoseconds since the UNIX epoch: when the venue made the change, when it was received."""
    action: Ints
    """One of `Action`. A clear row has side `Side.NONE` and zero price and size."""
    side: Ints
    price_ticks: Ints
    size_lots: Ints
    """Whole numbers of increments; the size is the level's new total, 0 for a delete."""
    flags: Ints
    sequence: Ints
    """Sequence number of the group, from the venue or the importer."""


@dataclass(frozen=True, slots=True)
class TradeBlock(Columns):
    """Trades of one instrument, one row per trade; times, price and size as in `DeltaBlock`, the size is positive."""

    ts_event: Ints
    ts_init: Ints
    price_ticks: Ints
    size_lots: Ints
    aggressor: Ints
    """The taker's side: `Side.BID` when a buyer lifted the ask, `Side.ASK` when a seller hit the bid."""
    trade_id: Sequence[str]
    """The venue's id of each trade, unique in the instrument's data."""


def joined_blocks[Block: Columns](blocks: Sequence[Block]) -> Block:
    """Concatenate one or more blocks."""
    if len(blocks) == 1:
        return blocks[0]
    columns = zip(*(block.columns() for block in blocks), strict=True)
    return type(blocks[0])(
        *(
            np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [*chain(*parts)]
            for parts in columns
        )
    )
