"""Text frames of Kraken's WebSocket v2, from plain values.

Sources: Kraken's WebSocket v2 reference (channels `status`, `heartbeat`, `book`, `trade`; requests
`subscribe`, `unsubscribe`, `ping`) and its guide on book checksums; RFC 6455 for `cut_frame`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mm_nautilus.market.kraken_checksum import CHECKSUM_LEVELS, kraken_checksum
from mm_nautilus.mock_kraken.book import BookView, Level

HEARTBEAT: Final = '{"channel":"heartbeat"}'

_FINAL_TEXT: Final = 0x81
_TWO_BYTES_OF_LENGTH: Final = 126


@dataclass(frozen=True, slots=True)
class Digits:
    """How a pair's prices and sizes are written."""

    price_decimals: int
    size_decimals: int
    """Digits after the decimal point, always all of them."""
    units_per_tick: int = 1
    """A tick, as a multiple of the price's last digit: 5 for a tick of 0.05 written with two digits."""

    def price(self, ticks: int) -> str:
        """Return a price of so many ticks as decimal text."""
        return _decimal_text(ticks * self.units_per_tick, self.price_decimals)

    def size(self, lots: int) -> str:
        """Return a size of so many lots as decimal text."""
        return _decimal_text(lots, self.size_decimals)


def _decimal_text(units: int, decimals: int) -> str:
    if decimals == 0:
        return str(units)
    text = str(units).rjust(decimals + 1, "0")
    return f"{text[:-decimals]}.{text[-decimals:]}"


def book_checksum(view: BookView, digits: Digits) -> int:
    """Return the checksum of a book by Kraken's rule."""
    unit = digits.units_per_tick
    best = (side[:CHECKSUM_LEVELS] for side in (view.asks, view.bids))
    return kraken_checksum(*([(ticks * unit, lots) for ticks, lots in side] for side in best))


def book_frame(
    kind: Literal["snapshot", "update"],
    symbol: str,
    levels: BookView,
    *,
    checksum: int,
    timestamp: str,
    digits: Digits,
) -> str:
    """Return a frame of the book channel: whole sides in a snapshot, in an update the levels that changed.

    The checksum is that of the book after the change; 0 lots remove a level.
    """
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}",'
        f'"bids":[{_levels(levels.bids, digits)}],"asks":[{_levels(levels.asks, digits)}],'
        f'"checksum":{checksum},"timestamp":"{timestamp}"}}]}}'
    )


def _levels(levels: Iterable[Level], digits: Digits) -> str:
    return ",".join(f'{{"price":{digits.price(ticks)},"qty":{digits.size(lots)}}}' for ticks, lots in levels)


def trade_row(
    symbol: str, *, is_buy: bool, ticks: int, lots: int, trade_id: int, timestamp: str, digits: Digits
) -> str:
    """Return one trade as it stands in frames; `is_buy` is the taker's side, the id the venue's running number."""
    return (
        f'{{"symbol":"{symbol}","side":"{"buy" if is_buy else "sell"}","price":{digits.price(ticks)},'
        f'"qty":{digits.size(lots)},"ord_type":"market","trade_id":{trade_id},"timestamp":"{timestamp}"}}'
    )


def trade_frame(kind: Literal["snapshot", "update"], rows: Iterable[str]) -> str:
    """Return a frame of the trade channel with rows made by `trade_row`, oldest first."""
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


def status_frame(connection_id: int, system: str = "online") -> str:
    """Return the frame that greets a connection."""
    data = {"api_version": "v2", "connection_id": connection_id, "system": system, "version": "2.0.10"}
    return _compact({"channel": "status", "data": [data], "type": "update"})


def reply_frame(fields: Mapping[str, Any], req_id: Any, *, time_in: str, time_out: str) -> str:
    """Return the answer to a request, with its own number unless it had none, and when it arrived and was answered."""
    numbered = {} if req_id is None else {"req_id": req_id}
    return _compact({**fields, **numbered, "time_in": time_in, "time_out": time_out})


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def cut_frame(text: str) -> bytes:
    """Return the first half of a WebSocket text message of 126 to 65,535 bytes, as on the wire (RFC 6455, section 5.2).

    The header promises the whole message, so a reader waits for the rest.
    """
    payload = text.encode()
    return (
        bytes([_FINAL_TEXT, _TWO_BYTES_OF_LENGTH]) + len(payload).to_bytes(2) + payload[: len(payload) // 2]
    )
