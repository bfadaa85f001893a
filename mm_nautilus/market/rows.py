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
    """Level-2 order book deltas of one instrument, one row per level.

    Parameters
    ----------
    ts_event, ts_init
        Nanoseconds since the UNIX epoch: when the venue made the change, when it was received. Rows are
        ordered by `ts_init`.
    action
        One of `Action`. A clear row has side `Side.NONE` and zero price and size.
    side
        `Side.BID` or `Side.ASK`.
    price_ticks
        Price as a whole number of price increments.
    size_lots
        The level's new total size as a whole number of size increments; 0 for a delete.
    flags
        Bits `Flag.LAST` and `Flag.SNAPSHOT`.
    sequence
        Sequence number of the group, from the venue or the importer.
    """

    ts_event: Ints
    ts_init: Ints
    action: Ints
    side: Ints
    price_ticks: Ints
    size_lots: Ints
    flags: Ints
    sequence: Ints


@dataclass(frozen=True, slots=True)
class TradeBlock(Columns):
    """Trades of one instrument, one row per trade.

    Parameters
    ----------
    ts_event, ts_init
        Nanoseconds since the UNIX epoch, as in `DeltaBlock`.
    price_ticks, size_lots
        Price and size as whole numbers of increments; the size is positive.
    aggressor
        The taker's side: `Side.BID` when a buyer lifted the ask, `Side.ASK` when a seller hit the bid.
    trade_id
        The venue's id of each trade, unique in the instrument's data.
    """

    ts_event: Ints
    ts_init: Ints
    price_ticks: Ints
    size_lots: Ints
    aggressor: Ints
    trade_id: Sequence[str]


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
