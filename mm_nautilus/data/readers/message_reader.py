"""What the readers of venues' messages have in common: lines, symbols, times and findings."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from mm_nautilus.data.csv_files import FIRST_LINES, shown
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, RowBlock, RowKind, SourceFile, SourceRows, Words
from mm_nautilus.data.readers.message_lines import (
    LineBlock,
    MalformedMessageError,
    Message,
    Wrapping,
    line_blocks,
    wrapping_of,
)
from mm_nautilus.data.readers.message_rows import GatheredRows, Stamp
from mm_nautilus.errors import DataError

_GUESSED_LINES: Final = 20


class MessageReader(ABC):
    """Reads files with a venue's messages, one a line; one reader an import, as a book goes on from file to file."""

    exchange: ClassVar[str]
    label: ClassVar[str]
    """What such a file is called in reports."""
    names: ClassVar[tuple[str, str]] = ("price", "size")
    """What messages call price and size."""
    symbol_name: ClassVar[str] = "symbol"
    event_name: ClassVar[str] = "timestamp"
    snapshot_rule: ClassVar[str]
    """What must come before changes of the book."""

    def __init__(self) -> None:
        self.book = GatheredRows(RowKind.BOOK, *self.names)
        self.trades = GatheredRows(RowKind.TRADES, *self.names)
        self.is_place_lost = False
        """Whether a message that does not go on is told of already, as one between was malformed."""
        self._others = 0
        self._timeless: list[tuple[int, Message]] = []

    @abstractmethod
    def knows(self, message: Message) -> bool:
        """Return whether this is a message of the feed, of any kind."""

    @abstractmethod
    def subject(self, message: Message) -> tuple[str, int | None] | None:
        """Return the symbol and the venue's time of a message with levels or trades, None for other messages.

        The symbol is empty and the time None where the message does not name them. A `MalformedMessageError` says what
        is wrong.
        """

    @abstractmethod
    def take(self, message: Message, stamp: Stamp, symbol: str, file: SourceFile, fit: Fit) -> None:
        """Gather a message's levels or trades. A `MalformedMessageError` says what is wrong."""

    def follow(self, message: Message, line: int, file: SourceFile, fit: Fit) -> None:  # noqa: B027
        """Look at every message of the feed, of any symbol and kind."""

    def take_other(self, _message: Message) -> None:
        """Look at a message without levels and trades."""
        self.leave_out()

    def leave_out(self, count: int = 1) -> None:
        """Count messages that are not used."""
        self._others += count

    def lose_place(self, line: int) -> None:
        """Tell of no gap at the next message, as one before it could not be read."""
        self.is_place_lost = True

    def note(self, kind: FindingKind, line: int, text: str, file: SourceFile, fit: Fit) -> None:
        """Note what is wrong with one message."""
        fit.findings.add(file.path, kind, np.array([line]), lambda _: text)

    def hold_to(self, symbol: str, entry: Message, words: str = "") -> None:
        """Raise a `MalformedMessageError` where an entry of a message is not of its symbol."""
        name = entry.get(self.symbol_name)
        if name != symbol:
            raise MalformedMessageError(f"{self.symbol_name} must be {symbol}{words}, was {shown(str(name))}")

    def verified(self, rows: SourceRows, _bad: frozenset[int], _file: SourceFile, _fit: Fit) -> SourceRows:
        """Return the levels of a block to keep; `_bad` are the lines with levels that are malformed."""
        return rows

    def end_file(self, file: SourceFile, fit: Fit) -> None:
        """Note what a file has left open."""
        text = "the message has no time, nor has a later one"
        for number, _ in self._timeless:
            self.note(FindingKind.MALFORMED, number, text, file, fit)
        self._timeless.clear()

    def recognises(self, path: Path, start: bytes) -> bool:
        """Return whether one of the first lines of a file holds a message of the feed."""
        lines = start.split(b"\n")[:_GUESSED_LINES]
        if start.startswith(b"PK"):
            try:
                lines = list(_first_lines(path, _GUESSED_LINES))
            except DataError:
                return False
        try:
            return any(wrapping_of(line, self.knows) is not None for line in lines)
        except MalformedMessageError:  # a wrapper of such messages, of which `inspect` says what is wrong
            return True

    def inspect(self, path: Path) -> SourceFile:
        """Describe a file by its first messages."""
        wrapping, problem, symbol = None, "", ""
        for number, line in enumerate(_first_lines(path, FIRST_LINES), 1):
            try:
                wrapping = wrapping or wrapping_of(line, self.knows)
                if wrapping is None:
                    text = shown(line.decode(errors="replace").rstrip("\r"))
                    raise MalformedMessageError(f"the line is none of its messages: `{text}`")
                local, message = wrapping.unwrap(line)
                found = self.subject(message)
                if found is None:
                    continue
                symbol, time = symbol or found[0], found[1] if local is None else local
                if symbol and time is not None:
                    return self._file(path, wrapping, symbol, time)
            except MalformedMessageError as error:
                problem = problem or f"line {number}: {error}"
        if not problem:
            lack = f"none of its first messages has {'a time' if symbol else 'levels or trades'}"
            problem = "it is empty" if wrapping is None else lack
        raise DataError(f"{path} is no {self.label} that this command reads; {problem}")

    def _file(self, path: Path, wrapping: Wrapping, symbol: str, first_ns: int) -> SourceFile:
        one_clock = not wrapping.has_local_time
        note = ("one clock: the time of receipt is the exchange's time plus a latency",)
        words = Words(
            received="the time" if one_clock else "the local time",
            event=self.event_name,
            snapshot_rule=self.snapshot_rule,
            trade_id="trade id",
            unit_ns=None,
        )
        return SourceFile(
            path,
            (RowKind.BOOK, RowKind.TRADES),
            self.label,
            first_ns,
            (self.exchange, symbol),
            note if one_clock else (),
            has_one_clock=one_clock,
            words=words,
        )

    def read(self, file: SourceFile, fit: Fit) -> Iterator[RowBlock]:
        """Yield the well-formed levels and trades of a file's messages."""
        wrapping = None
        for block in line_blocks(file.path):
            bad: list[int] = []
            texts: list[str] = []
            for number, line in enumerate(block.lines, block.first_line):
                wrapping = wrapping or wrapping_of(line, self.knows)
                try:
                    self._take_line(wrapping or Wrapping(), number, line, file, fit)
                except MalformedMessageError as error:
                    bad.append(number)
                    self.lose_place(number)
                    texts.append(str(error))
            fit.findings.add(
                file.path, FindingKind.MALFORMED, np.array(bad, dtype=np.int64), texts.__getitem__
            )
            yield self._block(block, len(bad), file, fit)
        self.end_file(file, fit)

    def _take_line(self, wrapping: Wrapping, number: int, line: bytes, file: SourceFile, fit: Fit) -> None:
        local, message = wrapping.unwrap(line)
        if not self.knows(message):
            raise MalformedMessageError(
                f"the message must be one of {self.exchange}'s, was `{shown(str(message))}`"
            )
        self.follow(message, number, file, fit)
        found = self.subject(message)
        if found is None:
            self.take_other(message)
            return
        symbol, event = found
        wanted = fit.source[1]
        if symbol and symbol != wanted:
            if not fit.symbol_is_given:
                raise MalformedMessageError(
                    f"{self.symbol_name} must be {shown(wanted)} as in the first message, was {shown(symbol)} "
                    "(of several symbols, name the one to import as source_symbol)"
                )
            fit.findings.count(file.path, FindingKind.OTHER_SYMBOL, 1)
            return
        time = event if local is None else local
        if time is None:  # as of a snapshot: that of the next message
            self._timeless.append((number, message))
            return
        timeless, self._timeless = self._timeless, []
        for line_number, earlier in timeless:
            self.take(earlier, Stamp(line_number, time, time), wanted, file, fit)
        self.take(message, Stamp(number, time if event is None else event, time), wanted, file, fit)

    def _block(self, block: LineBlock, malformed: int, file: SourceFile, fit: Fit) -> RowBlock:
        levels, book, bad = self.book.checked(file.path, fit)
        trades_read, trades, _ = self.trades.checked(file.path, fit)
        fit.findings.count(file.path, FindingKind.OTHER_MESSAGE, self._others)
        self._others = 0
        if not block.terminated:
            fit.findings.count(file.path, FindingKind.UNTERMINATED, 1)
        return RowBlock(
            levels + trades_read + malformed,
            block.bytes_read,
            self.verified(book, bad, file, fit),
            trades,
        )


def _first_lines(path: Path, most: int) -> Iterator[bytes]:
    return islice(chain.from_iterable(block.lines for block in line_blocks(path)), most)
