"""Binance's messages as hftbacktest's collector writes them: a local time and a message a line."""

from collections import deque
from typing import Any, Final

import numpy as np

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
from mm_nautilus.data.readers.message_rows import Stamp
from mm_nautilus.market.rows import Side

_MOST_HELD: Final = 100_000
"""Changes that wait for a snapshot, at most."""


class BinanceReader(MessageReader):
    """Reads `depthUpdate` and `trade` messages, of a combined stream or bare, and depth snapshots between them.

    The numbers of `depthUpdate` messages must go on without a gap from a depth snapshot's: `U` from the `u` before, of
    spot, `pu` being the `u` before, of futures. Changes that came before a snapshot but are newer than it are applied
    right after it.
    """

    exchange = "binance"
    label = "Binance capture"
    symbol_name = "s"
    event_name = "T"
    snapshot_rule = "a depth snapshot (lastUpdateId, bids, asks) must come before depthUpdate messages"

    def __init__(self) -> None:
        super().__init__()
        self._last: int | None = None
        """The last update in the book; None while the book is not known."""
        self._is_new = False
        """Whether nothing has been applied since the snapshot."""
        self._was_known = False
        self._held: deque[tuple[Stamp, Message]] = deque(maxlen=_MOST_HELD)

    def knows(self, message: Message) -> bool:
        """Return whether this is a stream's message, a depth snapshot, or an answer."""
        is_answer = "method" not in message and not message.keys().isdisjoint(("code", "result"))
        return is_answer or not message.keys().isdisjoint(("stream", "e", "lastUpdateId"))

    def subject(self, message: Message) -> tuple[str, int | None] | None:
        """Return symbol and time of changes, trades and snapshots; snapshots of spot have neither."""
        if "lastUpdateId" in message:
            return "", time_of(message, "T", 13) if "T" in message else None
        body = _body(message)
        kind = body.get("e")
        if kind in ("trade", "depthUpdate"):
            name = "T" if kind == "trade" or "T" in body else "E"  # changes of spot have the latter only
            return str(field(body, "s")), time_of(body, name, 13)
        return None

    def take(self, message: Message, stamp: Stamp, symbol: str, file: SourceFile, fit: Fit) -> None:
        """Gather a trade, or follow the book."""
        if "lastUpdateId" in message:
            self._take_snapshot(message, stamp, file, fit)
            return
        body = _body(message)
        if body["e"] == "trade":
            self._take_trade(body, stamp)
            return
        whole_number(body, "U"), whole_number(body, "u"), field(body, "b"), field(body, "a")
        self._follow(body, stamp, file, fit)

    def _follow(self, body: Message, stamp: Stamp, file: SourceFile, fit: Fit) -> None:
        """Apply a change, or keep it for a snapshot to come."""
        if self._last is not None and not self._goes_on(body):
            if not self.is_place_lost:
                self.note(FindingKind.SEQUENCE_GAP, stamp.line, self._gap(body), file, fit)
            self._last = None
        self.is_place_lost = False
        if self._last is None:
            self._held.append((stamp, body))
        else:
            self._apply(body, stamp)

    def _take_trade(self, body: Message, stamp: Stamp) -> None:
        if body.get("X", "MARKET") != "MARKET":  # insurance fund and the like, which no order book saw
            self.leave_out()
            return
        maker_buys = field(body, "m")
        if not isinstance(maker_buys, bool):
            raise MalformedMessageError(f"m must be true or false, was `{maker_buys}`")
        side = Side.ASK if maker_buys else Side.BID
        self.trades.add_trade(stamp, side, field(body, "p"), field(body, "q"), whole_number(body, "t"))

    def _take_snapshot(self, message: Message, stamp: Stamp, file: SourceFile, fit: Fit) -> None:
        last = whole_number(message, "lastUpdateId")
        bids, asks = field(message, "bids"), field(message, "asks")
        if self._last is not None:  # the book is known, and newer than an answer to a request can be
            self.leave_out()
            return
        older = [held for held in self._held if held[1]["u"] <= last]
        self.leave_out(len(older))
        event = older[-1][0].ts_event if older and "T" not in message else stamp.ts_event
        self.book.add_book(Stamp(stamp.line, event, stamp.ts_init), bids, asks, snapshot=True)
        newer = [held for held in self._held if held[1]["u"] > last]
        self._held.clear()
        self._last, self._is_new, self._was_known = last, True, True
        for held, body in newer:
            self._follow(body, Stamp(held.line, held.ts_event, stamp.ts_init), file, fit)

    def _goes_on(self, body: Message) -> bool:
        """Return whether a change follows the book's last one, or reaches beyond a new snapshot without a gap."""
        last: Any = self._last
        if self._is_new:
            return bool(body["U"] <= last + 1)
        return bool(body["pu"] == last if "pu" in body else body["U"] == last + 1)

    def _apply(self, body: Message, stamp: Stamp) -> None:
        if self._is_new and body["u"] <= (self._last or 0):
            self.leave_out()
            return
        self.book.add_book(stamp, body["b"], body["a"], snapshot=False)
        self._last, self._is_new = body["u"], False

    def _gap(self, body: Message) -> str:
        if "pu" in body and not self._is_new:
            return f"pu must be {self._last}, the update before, was {body['pu']}"
        return f"U must be {(self._last or 0) + 1}, the update after the one before, was {body['U']}"

    def end_file(self, file: SourceFile, fit: Fit) -> None:
        """Note changes of a book that was never known."""
        super().end_file(file, fit)
        if self._held and not self._was_known:
            lines = np.array([stamp.line for stamp, _ in self._held])
            fit.findings.add(file.path, FindingKind.BEFORE_SNAPSHOT, lines, lambda _: self.snapshot_rule)
            self._held.clear()


def _body(message: Message) -> Message:
    data = message.get("data") if "stream" in message else message
    return data if isinstance(data, dict) else {}
