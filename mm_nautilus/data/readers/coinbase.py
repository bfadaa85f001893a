"""Coinbase's messages: `l2_data` of Advanced Trade, `snapshot` and `l2update` of Exchange, and trades of both."""

from typing import Any, Final

from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.reader import Fit, SourceFile
from mm_nautilus.data.readers.message_lines import (
    MalformedMessageError,
    Message,
    field,
    text_time_of,
    whole_number,
)
from mm_nautilus.data.readers.message_reader import MessageReader
from mm_nautilus.data.readers.message_rows import Stamp, side_of
from mm_nautilus.market.rows import Side

_LEVEL_SIDES: Final = {"bid": Side.BID, "offer": Side.ASK}
_CHANGE_SIDES: Final = {"buy": Side.BID, "sell": Side.ASK}
_TAKERS_OF_MAKERS: Final = {"buy": Side.ASK, "sell": Side.BID}
"""Coinbase names the side of the maker's order."""
_CHANNELS: Final = ("l2_data", "market_trades")
_TYPES: Final = ("snapshot", "l2update", "match")


class CoinbaseReader(MessageReader):
    """Reads books and trades of both of Coinbase's feeds; Advanced Trade's `sequence_num` must go on without a gap."""

    exchange = "coinbase"
    label = "Coinbase messages"
    symbol_name = "product_id"
    event_name = "time"
    snapshot_rule = "a snapshot must come before updates"

    def __init__(self) -> None:
        super().__init__()
        self._last: int | None = None
        """The last message's number; None where any may follow."""
        self._is_broken = False

    def knows(self, message: Message) -> bool:
        """Return whether this is a channel's message of Advanced Trade, or one of Exchange."""
        if "channel" in message or "topic" in message:
            return "sequence_num" in message
        return message.get("type") in (*_TYPES, "last_match", "heartbeat", "subscriptions", "ticker", "error")

    def follow(self, message: Message, line: int, file: SourceFile, fit: Fit) -> None:
        """Compare the number of a message with that of the one before; a connection begins with 0."""
        if "sequence_num" not in message:
            return
        before, self._last = self._last, whole_number(message, "sequence_num")
        if before is not None and self._last not in (0, before + 1):
            text = f"sequence_num must be {before + 1}, the one after the one before, was {self._last}"
            if not self.is_place_lost:
                self.note(FindingKind.SEQUENCE_GAP, line, text, file, fit)
            self._is_broken = True  # nothing of the book is kept until the next snapshot
        self.is_place_lost = False

    def subject(self, message: Message) -> tuple[str, int | None] | None:
        """Return product and time of messages with levels or trades; a snapshot of Exchange has no time."""
        if message.get("channel") in _CHANNELS:
            return _product(message), text_time_of(message, "timestamp")
        if "channel" in message or message.get("type") not in _TYPES:
            return None
        is_timeless = message["type"] == "snapshot" and "time" not in message
        return str(field(message, "product_id")), None if is_timeless else text_time_of(message, "time")

    def take(self, message: Message, stamp: Stamp, symbol: str, file: SourceFile, fit: Fit) -> None:
        """Gather a message's levels or trades."""
        if "channel" in message:
            for event in _lists(message, "events", dict):
                self._take_event(message["channel"], event, stamp, symbol, is_alone=file.has_one_clock)
        elif message["type"] == "match":
            self._take_trade(message, stamp)
        elif message["type"] == "snapshot":
            self._take_levels(stamp, field(message, "bids"), field(message, "asks"), snapshot=True)
        else:
            levels = [
                (side_of(_CHANGE_SIDES, "side", level[0] if level else None), *level[1:])
                for level in _lists(message, "changes")
            ]
            self._take_levels(stamp, *_sides(levels), snapshot=False)

    def _take_event(self, channel: str, event: Message, stamp: Stamp, symbol: str, *, is_alone: bool) -> None:
        is_snapshot = event.get("type") == "snapshot"
        if not is_snapshot and event.get("type") != "update":
            raise MalformedMessageError(f"type must be snapshot or update, was `{event.get('type')}`")
        if channel == "market_trades":
            if is_snapshot:  # trades before the subscription
                self.leave_out()
                return
            for trade in _lists(event, "trades", dict):
                self.hold_to(symbol, trade)
                time = text_time_of(trade, "time")
                self._take_trade(trade, Stamp(stamp.line, time, time if is_alone else stamp.ts_init))
            return
        self.hold_to(symbol, event)
        levels = [
            (
                side_of(_LEVEL_SIDES, "side", level.get("side")),
                field(level, "price_level"),
                field(level, "new_quantity"),
            )
            for level in _lists(event, "updates", dict)
        ]
        self._take_levels(stamp, *_sides(levels), snapshot=is_snapshot)

    def _take_levels(self, stamp: Stamp, bids: Any, asks: Any, *, snapshot: bool) -> None:
        self._is_broken = self._is_broken and not snapshot
        if self._is_broken:
            self.leave_out()
        else:
            self.book.add_book(stamp, bids, asks, snapshot=snapshot)

    def _take_trade(self, trade: Message, stamp: Stamp) -> None:
        side = trade.get("side")
        taker = side_of(_TAKERS_OF_MAKERS, "side", side.lower() if isinstance(side, str) else side)
        self.trades.add_trade(
            stamp, taker, field(trade, "price"), field(trade, "size"), field(trade, "trade_id")
        )


def _product(message: Message) -> str:
    events = _lists(message, "events", dict)
    if not events:
        raise MalformedMessageError("events must not be empty")
    if message["channel"] == "l2_data":
        return str(field(events[0], "product_id"))
    trades = _lists(events[0], "trades", dict)
    return str(field(trades[0], "product_id")) if trades else ""


def _lists(message: Message, name: str, kind: type = list) -> list[Any]:
    value = field(message, name)
    if not isinstance(value, list) or not all(isinstance(entry, kind) for entry in value):
        raise MalformedMessageError(f"{name} must be a list of {'lists' if kind is list else 'objects'}")
    return value


def _sides(levels: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Return what follows the side of each level, of bids and of asks."""
    return [[level[1:] for level in levels if level[0] == side] for side in (Side.BID, Side.ASK)]
