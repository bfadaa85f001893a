"""Frames of Kraken's WebSocket v2, verified by their checksums."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np

from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, Mask, SourceFile, SourceRows
from mm_nautilus.data.readers.message_lines import (
    MalformedMessageError,
    Message,
    field,
    text_time_of,
    whole_number,
)
from mm_nautilus.data.readers.message_reader import MessageReader
from mm_nautilus.data.readers.message_rows import Stamp, side_of
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.kraken_checksum import CHECKSUM_LEVELS, kraken_checksum
from mm_nautilus.market.rows import Side
from mm_nautilus.market.side_book import SideBook

_DEPTHS: Final = (10, 25, 100, 500, 1000)
_TAKERS: Final = {"buy": Side.BID, "sell": Side.ASK}


@dataclass(frozen=True, slots=True)
class _BookFrame:
    line: int
    checksum: int | None
    """None of a line that could not be read: the book may have changed by it."""
    is_snapshot: bool = False
    digits: tuple[int, int] = (0, 0)
    """Most decimal places of its prices and sizes."""
    depth: int = 0
    """Most levels of a side; 0 where it does not tell."""


class KrakenReader(MessageReader):
    """Reads `book` and `trade` frames, bare, behind a local time, or as a text field of a wrapper.

    After each book frame the ten best levels a side must have the frame's checksum. Levels that better ones push beyond
    the depth of the subscription are removed, as Kraken expects of its subscribers: it tells nothing of them any more.
    """

    exchange = "kraken"
    label = "Kraken frames"
    names = ("price", "qty")
    snapshot_rule = "a book frame of type snapshot must come before updates"

    def __init__(self) -> None:
        super().__init__()
        self._frames: list[_BookFrame] = []
        self._subscribed: dict[str, int] = {}
        self._sides: dict[int, SideBook] = {}
        self._units: list[tuple[int, int]] = []
        """The last written digit of prices and sizes: how many there are in so many ticks, and lots."""
        self._depth = 0
        self._is_known = False

    def knows(self, message: Message) -> bool:
        """Return whether this is a channel's frame, or an answer to a request."""
        is_frame = isinstance(message.get("channel"), str) and "sequence_num" not in message
        return is_frame or isinstance(message.get("method"), str)

    def subject(self, message: Message) -> tuple[str, int | None] | None:
        """Return symbol and time of book and trade frames."""
        channel = message.get("channel")
        if channel not in ("book", "trade") or (channel == "trade" and message.get("type") == "snapshot"):
            return None  # a snapshot of trades tells of those before the subscription
        first = _entries(message)[0]
        # Before 2026 snapshots of books came without a time.
        is_timeless = message.get("type") == "snapshot" and "timestamp" not in first
        return str(field(first, "symbol")), None if is_timeless else text_time_of(first, "timestamp")

    def lose_place(self, line: int) -> None:  # noqa: D102
        self._frames.append(_BookFrame(line, None))

    def take_other(self, message: Message) -> None:
        """Keep the depth of a subscription to a book."""
        result = message.get("result")
        if isinstance(result, dict) and result.get("channel") == "book" and type(result.get("depth")) is int:
            self._subscribed[str(result.get("symbol"))] = result["depth"]
        self.leave_out()

    def take(self, message: Message, stamp: Stamp, symbol: str, file: SourceFile, fit: Fit) -> None:
        """Gather a frame's levels or trades."""
        entries = _entries(message)
        if message["channel"] == "book":
            self._take_book(message, entries, stamp, symbol)
            return
        for entry in entries:
            self.hold_to(symbol, entry, " of all trades of a frame")
            time = text_time_of(entry, "timestamp")
            at = Stamp(stamp.line, time, time if file.has_one_clock else stamp.ts_init)
            side = side_of(_TAKERS, "side", entry.get("side"))
            trade_id = whole_number(entry, "trade_id")
            self.trades.add_trade(at, side, field(entry, "price"), field(entry, "qty"), trade_id)

    def _take_book(self, message: Message, entries: list[Message], stamp: Stamp, symbol: str) -> None:
        kind = message.get("type")
        if kind not in ("snapshot", "update"):
            raise MalformedMessageError(f"type must be snapshot or update, was `{kind}`")
        if len(entries) != 1:
            raise MalformedMessageError(f"a book frame must have one entry, was {len(entries)}")
        checksum = whole_number(entries[0], "checksum")
        try:
            sides = [
                [(level["price"], level["qty"]) for level in field(entries[0], name)]
                for name in ("bids", "asks")
            ]
        except (TypeError, LookupError) as error:
            raise MalformedMessageError("bids and asks must be lists of levels with price and qty") from error
        self.book.add_book(stamp, *sides, snapshot=kind == "snapshot")
        digits, depth = (0, 0), 0
        if kind == "snapshot":
            digits = (_most_decimals(sides, 0), _most_decimals(sides, 1))
            levels = max(len(side) for side in sides)
            least = next((depth for depth in _DEPTHS if levels <= depth), levels)
            depth = max(self._subscribed.get(symbol, 0), least)
        self._frames.append(_BookFrame(stamp.line, checksum, kind == "snapshot", digits, depth))

    def verified(self, rows: SourceRows, bad: frozenset[int], file: SourceFile, fit: Fit) -> SourceRows:
        """Follow the book frame by frame, compare its checksums, and add the deletes of levels beyond its depth.

        From a frame whose book is wrong up to the next snapshot nothing is kept.
        """
        columns = (rows.line, rows.side, rows.price_ticks, rows.size_lots)
        line, side, ticks, lots = (column.tolist() for column in columns)
        keep = np.ones(len(rows), dtype=bool)
        pushed: list[tuple[int, int, int]] = []
        start = 0
        for frame in self._frames:
            stop = start
            while stop < len(line) and line[stop] == frame.line:
                stop += 1
            if frame.checksum is None or frame.line in bad:
                self.is_place_lost = True
            if frame.is_snapshot:
                self._begin(frame, fit.spec)
            if self._is_known:
                for at in range(start, stop):
                    self._sides[side[at]].set(ticks[at], lots[at])
                removed = self._cut()
                self._is_known = frame.checksum is None or self._agrees(frame, file, fit)
                pushed += [(stop, *level) for level in removed if self._is_known and not frame.is_snapshot]
            if self._depth and not self._is_known:
                keep[start:stop] = False
            start = stop
        self._frames.clear()
        return _with_deletes(rows, keep, pushed)

    def _begin(self, frame: _BookFrame, spec: InstrumentSpec) -> None:
        self._sides = {Side.BID: SideBook(is_bid=True), Side.ASK: SideBook(is_bid=False)}
        self._depth, self._is_known = frame.depth, True
        self._units = _units(spec, frame.digits)

    def _cut(self) -> list[tuple[int, int]]:
        """Remove the levels beyond the depth, and return their sides and prices in ticks."""
        removed = []
        for side, book in self._sides.items():
            while len(book) > self._depth:
                ticks = book.ticks_at(-1)
                book.set(ticks, 0)
                removed.append((side, ticks))
        return removed

    def _checksum(self) -> int:
        (tick, per_tick), (lot, per_lot) = self._units
        asks, bids = (
            [
                (ticks * tick // per_tick, lots * lot // per_lot)
                for ticks, lots in book.levels(CHECKSUM_LEVELS)
            ]
            for book in (self._sides[Side.ASK], self._sides[Side.BID])
        )
        return kraken_checksum(asks, bids)

    def _agrees(self, frame: _BookFrame, file: SourceFile, fit: Fit) -> bool:
        checksum = self._checksum()
        agrees = checksum == frame.checksum
        if frame.is_snapshot and not agrees:  # a JSON library may have left out zeros at the end
            written, spec = self._units, fit.spec
            self._units = _units(spec, (spec.price_precision, spec.size_precision))
            agrees = self._checksum() == frame.checksum
            self._units = self._units if agrees else written
        if not agrees and not self.is_place_lost:  # a line that could not be read is told already
            text = f"checksum of the book must be {checksum} after this frame, was {frame.checksum}"
            if frame.is_snapshot:
                text += "; frames must have the digits that the venue wrote"
            self.note(FindingKind.BAD_CHECKSUM, frame.line, text, file, fit)
        self.is_place_lost = False
        return agrees


def _entries(message: Message) -> list[Message]:
    data = field(message, "data")
    if not isinstance(data, list) or not data or not all(isinstance(entry, dict) for entry in data):
        raise MalformedMessageError("data must be a list of objects")
    return data


def _units(spec: InstrumentSpec, decimals: tuple[int, int]) -> list[tuple[int, int]]:
    increments = (spec.price_increment, spec.size_increment)
    return [
        (Fraction(increment) * 10**places).as_integer_ratio()
        for increment, places in zip(increments, decimals, strict=True)
    ]


def _most_decimals(sides: list[list[tuple[Any, Any]]], part: int) -> int:
    return max((len(str(level[part]).partition(".")[2]) for side in sides for level in side), default=0)


def _with_deletes(rows: SourceRows, keep: Mask, pushed: list[tuple[int, int, int]]) -> SourceRows:
    """Return the rows of a mask, and behind others deletes: the row they follow, side, and price in ticks."""
    if pushed:
        at, sides, ticks = np.array(pushed, dtype=np.int64).T
        before, none = SourceRows(*(column[at - 1] for column in rows.columns())), np.zeros_like(at)
        more = replace(before, side=sides, price_ticks=ticks, size_lots=none, snapshot=none == 1)
        columns = zip(rows.columns(), more.columns(), strict=True)
        rows = SourceRows(*(np.insert(column, at, added) for column, added in columns))
        keep = np.insert(keep, at, True)
    return rows if keep.all() else rows.select(keep)
