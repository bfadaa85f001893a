"""Bybit's messages: its `ob500` archives of books, and captures of its public streams."""

from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, SourceFile
from mm_nautilus.data.readers.message_lines import (
    MalformedMessageError,
    Message,
    field,
    time_of,
    whole_number,
)
from mm_nautilus.data.readers.message_reader import MessageReader
from mm_nautilus.data.readers.message_rows import Stamp, side_of
from mm_nautilus.market.rows import Side

_TAKERS = {"Buy": Side.BID, "Sell": Side.ASK}


class BybitReader(MessageReader):
    """Reads messages of the topics `orderbook` and `publicTrade`; a book's update ids must go on without a gap.

    The time of a book is that of the matching engine (`cts`), or of the message (`ts`) where there is none. Without a
    local time the message's stands for it.
    """

    exchange = "bybit"
    label = "Bybit messages"
    symbol_name = "s"
    event_name = "cts"
    snapshot_rule = "a message of type snapshot must come before deltas"

    def __init__(self) -> None:
        super().__init__()
        self._last: int | None = None
        self._was_known = False
        self._depth: str | None = None

    def knows(self, message: Message) -> bool:
        """Return whether this is a topic's message, or an answer to a request."""
        return isinstance(message.get("topic"), str) or "op" in message

    def subject(self, message: Message) -> tuple[str, int | None] | None:
        """Return symbol and time of messages of books and trades."""
        topic = str(message.get("topic", "")).split(".")
        if topic[0] not in ("orderbook", "publicTrade"):
            return None
        if topic[0] == "orderbook":
            data = field(message, "data")
            if not isinstance(data, dict):
                raise MalformedMessageError("data must be an object with s, b, a and u")
            return str(field(data, "s")), time_of(message, "ts", 13)
        return topic[-1], time_of(message, "ts", 13)

    def take(self, message: Message, stamp: Stamp, symbol: str, file: SourceFile, fit: Fit) -> None:
        """Gather a message's levels or trades."""
        if message["topic"].startswith("orderbook"):
            event = time_of(message, "cts", 13) if "cts" in message else stamp.ts_event
            self._take_book(message, Stamp(stamp.line, event, stamp.ts_init), file, fit)
            return
        trades = field(message, "data")
        if not isinstance(trades, list) or not all(isinstance(trade, dict) for trade in trades):
            raise MalformedMessageError("data must be a list of trades")
        for trade in trades:
            self.hold_to(symbol, trade, " as in the topic")
            at = Stamp(stamp.line, time_of(trade, "T", 13), stamp.ts_init)
            side = side_of(_TAKERS, "S", trade.get("S"))
            self.trades.add_trade(at, side, field(trade, "p"), field(trade, "v"), field(trade, "i"))

    def _take_book(self, message: Message, stamp: Stamp, file: SourceFile, fit: Fit) -> None:
        kind, data = message.get("type"), message["data"]
        if kind not in ("snapshot", "delta"):
            raise MalformedMessageError(f"type must be snapshot or delta, was `{kind}`")
        depth = message["topic"].split(".")[1]
        self._depth = self._depth or depth
        if depth != self._depth:
            raise MalformedMessageError(
                f"topic must be orderbook.{self._depth} as before, was orderbook.{depth}"
            )
        update, bids, asks = whole_number(data, "u"), field(data, "b"), field(data, "a")
        goes_on = self._last is not None and update == self._last + 1
        is_told, self.is_place_lost = self.is_place_lost, False
        if kind == "delta" and self._was_known and not goes_on:
            if self._last is not None and not is_told:
                text = f"u must be {self._last + 1}, the update after the one before, was {update}"
                self.note(FindingKind.SEQUENCE_GAP, stamp.line, text, file, fit)
            self._last = None  # nothing is kept until the next snapshot
            self.leave_out()
            return
        self.book.add_book(stamp, bids, asks, snapshot=kind == "snapshot")
        if kind == "snapshot" or self._was_known:
            self._last, self._was_known = update, True
