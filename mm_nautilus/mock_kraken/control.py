"""A client of a venue's control side: one method a command, each returning when it has been carried out."""

import json
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from mm_nautilus.errors import ConfigError, RunFailedError

__all__ = ["VenueControl"]

_TIMEOUT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_OK: Final = 200
_BAD_REQUEST: Final = 400

type Number = Decimal | int | str
type Levels = Iterable[tuple[Number, Number]]


class VenueControl:
    """Steer a local venue.

    Parameters
    ----------
    url
        Its control side, such as ``http://127.0.0.1:40001``.

    Notes
    -----
    Faults with ``seconds`` end by themselves after that time; without, by `clear_faults`. Prices and sizes are
    exact: text, whole numbers or decimals. Every method raises `ConfigError` where the venue refuses the
    command and `RunFailedError` where it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url)

    # -- Looking ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return clients, subscriptions, counts, each pair's touch, the feed's position and the faults."""
        return self._send("state")

    def book(self, symbol: str, depth: int = 10) -> dict[str, list[list[str]]]:
        """Return bids and asks as a subscriber of this depth is to see them: ``[price, size]``, best first."""
        return self._send("book", symbol=symbol, depth=depth)

    def requests(self, last: int = 1_000) -> list[dict[str, Any]]:
        """Return the last requests, oldest first."""
        found: list[dict[str, Any]] = self._send("requests", last=last)["requests"]
        return found

    def wait_for_subscriptions(self, count: int, seconds: float = 30.0) -> None:
        """Wait until so many subscriptions exist, one per channel and pair.

        Raises
        ------
        RunFailedError
            If there are fewer after this time.
        """
        deadline = time.monotonic() + seconds
        while (found := self.state()["subscriptions"]) < count:
            if time.monotonic() > deadline:
                raise RunFailedError(
                    f"the venue has {found} of {count} subscriptions after {seconds:g} seconds"
                )
            time.sleep(_POLL_SECONDS)

    # -- Feed and script --------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop the feed's time; heartbeats go on."""
        self._send("pause")

    def resume(self) -> None:
        """Let the feed's time go on."""
        self._send("resume")

    def set_book(self, symbol: str, bids: Levels, asks: Levels) -> None:
        """Show a book of these ``(price, size)`` levels instead of the feed's, until `follow_feed`."""
        self._send("set_book", symbol=symbol, bids=_texts(bids), asks=_texts(asks))

    def follow_feed(self, symbol: str) -> None:
        """Show the feed's book and trades of a pair again."""
        self._send("follow_feed", symbol=symbol)

    def trade(self, symbol: str, side: Literal["buy", "sell"], price: Number, size: Number) -> None:
        """Send a trade; `side` is the taker's."""
        self._send("trade", symbol=symbol, side=side, price=str(price), size=str(size))

    def trade_snapshot(self, *, enabled: bool) -> None:
        """Answer subscriptions to trades with the last 50, or not."""
        self._send("trade_snapshot", enabled=enabled)

    # -- Faults -----------------------------------------------------------------------------------------

    def silence(self, seconds: float | None = None) -> None:
        """Send no byte to anybody; what is asked meanwhile is answered afterwards."""
        self._send("silence", seconds=seconds)

    def deaf(self, seconds: float | None = None, *, channel: Literal["book", "trade"] | None = None) -> None:
        """Forget what is asked on WebSockets, or what is asked of one channel; data and heartbeats go on."""
        self._send("deaf", seconds=seconds, channel=channel)

    def quiet(self, *symbols: str, seconds: float | None = None) -> None:
        """Send no data of these pairs (of all, without names), but heartbeats and answers."""
        self._send("quiet", symbols=list(symbols), seconds=seconds)

    def disconnect(self) -> int:
        """Abort every WebSocket's TCP connection; return how many there were."""
        return int(self._send("disconnect")["clients"])

    def refuse_reconnect(
        self, seconds: float | None = None, how: Literal["unavailable", "refused"] = "unavailable"
    ) -> int:
        """Disconnect everybody and let nobody in: by HTTP 503, or by not listening; return how many."""
        return int(self._send("refuse_reconnect", seconds=seconds, how=how)["clients"])

    def garbage(
        self, kind: Literal["text", "missing_field", "wrong_type"] = "text", symbol: str | None = None
    ) -> None:
        """Send every client a wrong frame: no JSON, a book update without a price, or with a price in words."""
        self._send("garbage", kind=kind, symbol=symbol)

    def send(self, text: str) -> None:
        """Send every client a frame as it is given."""
        self._send("send", text=text)

    def wrong_checksum(self, frames: int = 1, symbol: str | None = None) -> None:
        """Give the next book updates of a pair (of each, without a name) a wrong checksum."""
        self._send("wrong_checksum", frames=frames, symbol=symbol)

    def crossed_book(self, symbol: str, ticks: int = 1, seconds: float | None = None) -> None:
        """Show a best bid so many ticks above the best ask, with a true checksum."""
        self._send("crossed_book", symbol=symbol, ticks=ticks, seconds=seconds)

    def burst(self, events: int, per_second: float = 5_000.0) -> int:
        """Play the feed's next events at a rate; return, when the last one has been sent, how many."""
        return int(self._send("burst", events=events, per_second=per_second)["events"])

    def clock_skew(self, seconds: float) -> None:
        """Shift the venue's clock, and with it every timestamp; 0 sets it right."""
        self._send("clock_skew", seconds=seconds)

    def unknown_symbol(self, symbol: str, how: Literal["refuse", "data"] = "refuse") -> None:
        """Refuse subscriptions of a pair as unknown, or send a trade of a pair that nobody has."""
        self._send("unknown_symbol", symbol=symbol, how=how)

    def system_status(self, status: str, seconds: float | None = None) -> None:
        """Say of the whole venue what it takes, such as ``maintenance``: in a status message, and to REST."""
        self._send("system_status", status=status, seconds=seconds)

    def pair_status(self, symbol: str, status: str, seconds: float | None = None) -> None:
        """List a pair with a status, such as ``cancel_only``, whatever it is."""
        self._send("pair_status", symbol=symbol, status=status, seconds=seconds)

    def odd_pair(self, key: str, **fields: Any) -> None:
        """List one more pair, a copy of the first, with these fields in the place of its own."""
        self._send("odd_pair", key=key, fields=fields)

    def drop_pair(self, symbol: str, seconds: float | None = None) -> None:
        """List a pair no longer."""
        self._send("drop_pair", symbol=symbol, seconds=seconds)

    def rest_fault(self, how: Literal["unavailable", "error", "empty"], seconds: float | None = None) -> None:
        """Answer REST requests with HTTP 503, with an error of the protocol's own, or with an empty list of pairs."""
        self._send("rest_fault", how=how, seconds=seconds)

    def half_message(self, then: Literal["silent", "abort"] = "silent") -> int:
        """Cut a message in the middle on every connection, then say nothing there or abort it."""
        return int(self._send("half_message", then=then)["clients"])

    def clear_faults(self) -> None:
        """End every fault that lasts."""
        self._send("clear_faults")

    # -- Transport --------------------------------------------------------------------------------------

    def _send(self, command: str, **parameters: Any) -> dict[str, Any]:
        connection = HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_TIMEOUT_SECONDS
        )
        try:
            connection.request("POST", f"/{command}", json.dumps(parameters))
            response = connection.getresponse()
            status, body = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise RunFailedError(f"the venue at {self.url} cannot be reached: {error}") from error
        finally:
            connection.close()
        if status not in (_OK, _BAD_REQUEST):
            raise RunFailedError(f"the venue at {self.url} failed at {command} with HTTP status {status}")
        answer: dict[str, Any] = json.loads(body)
        if status == _BAD_REQUEST:
            raise ConfigError(str(answer["error"]))
        return answer


def _texts(levels: Levels) -> Sequence[list[str]]:
    return [[str(price), str(size)] for price, size in levels]
