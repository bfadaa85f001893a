"""Kraken's public API: its pairs, their states, and the addresses for the engine's client.

The engine's client asks for all pairs at once. One pair that it cannot read fails the answer, one tick of zero aborts
the process, and it ignores the states of pairs. So the pairs are read here without the engine, and its client is served
those that a run trades.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

from nautilus_trader.adapters.kraken import KrakenDataClientConfig, KrakenSpotHttpClient

from mm_nautilus.errors import MarketMakingError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.risk.venue_state import VenueState, strictest
from mm_nautilus.trading.instruments import by_symbol, quotable

_HOST: Final = "127.0.0.1"
_SERVER_PATIENCE_SECONDS: Final = 5.0
_WATCH_PATIENCE_SECONDS: Final = 10.0
_MOST_BYTES: Final = 100_000_000
_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
"""Usual names of Kraken's currencies; the engine's client translates these, too."""
_UNKNOWN_PAIR: Final = "EQuery:Unknown asset pair"
_MOST_DECIMALS: Final = 16

type _Entry = tuple[str, Mapping[str, Any]]
"""A pair's key and its description."""


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """A venue's public addresses of REST and WebSocket v2."""

    rest_url: str
    websocket_url: str

    def __str__(self) -> str:
        return f"{self.rest_url} and {self.websocket_url}"


KRAKEN_PUBLIC: Final = FeedAddress("https://api.kraken.com", "wss://ws.kraken.com/v2")


class VenueAnswerError(MarketMakingError):
    """A venue did not answer a request, or not as its protocol says."""


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """The symbols of a venue's pairs, and what it says of the requested ones."""

    symbols: tuple[str, ...]
    entries: Mapping[str, Mapping[str, Any]]
    """Descriptions that the engine's client can read, by the venue's keys."""
    keys: Mapping[str, str]
    """The venue's keys by symbol."""
    states: Mapping[str, VenueState]


def listed_pairs(rest_url: str, symbols: Iterable[str], seconds: float) -> ListedPairs:
    """Ask a venue for its pairs, waiting at most some seconds for each answer; odd entries of others do not matter.

    Raises VenueAnswerError if there is no answer or no pair, or the description of a requested one cannot be used.
    """
    found = _by_symbol(_ask(rest_url, "AssetPairs", {}, seconds))
    if any(symbol not in found for symbol in symbols):
        found = _by_symbol(_ask(rest_url, "AssetPairs", {"aclass_base": "tokenized_asset"}, seconds)) | found
    if not found:
        raise VenueAnswerError("it lists no pairs")
    system = _system_state(rest_url, seconds)
    wanted = {symbol: _readable(symbol, found[symbol]) for symbol in symbols if symbol in found}
    return ListedPairs(
        symbols=tuple(found),
        entries={key: {**entry, "status": VenueState.ONLINE.value} for key, entry in wanted.values()},
        keys={symbol: key for symbol, (key, _) in wanted.items()},
        states={symbol: strictest((system, _state_of(entry))) for symbol, (_, entry) in wanted.items()},
    )


def venue_states(rest_url: str, keys: Mapping[str, str], seconds: float) -> Mapping[str, VenueState]:
    """Ask a venue for the states of pairs, the stricter of its own and the pair's; raises VenueAnswerError."""
    system = _system_state(rest_url, seconds)
    try:
        known = _ask(rest_url, "AssetPairs", {"pair": ",".join(keys.values())}, seconds)
    except VenueAnswerError as error:
        if str(error) != _UNKNOWN_PAIR:
            raise
        # One unknown key fails the answer for all.
        known = _ask(rest_url, "AssetPairs", {}, seconds)
    if not known:
        raise VenueAnswerError("it lists no pairs")
    states = {
        symbol: _state_of(known[key]) if key in known else VenueState.DELISTED for symbol, key in keys.items()
    }
    return {symbol: strictest((system, state)) for symbol, state in states.items()}


def first_mid_of(rest_url: str, key: str, seconds: float) -> float:
    """Return a pair's mid in quote currency; raises VenueAnswerError if there is none."""
    answer = _ask(rest_url, "Depth", {"pair": key, "count": "1"}, seconds)
    try:
        (sides,) = answer.values()
        bid, ask = (Decimal(sides[side][0][0]) for side in ("bids", "asks"))
    except (AttributeError, IndexError, InvalidOperation, KeyError, TypeError, ValueError) as error:
        raise VenueAnswerError("its book has an empty side") from error
    return float((bid + ask) / 2)


def _ask(rest_url: str, method: str, query: Mapping[str, str], seconds: float) -> dict[str, Any]:
    address = f"{rest_url.rstrip('/')}/0/public/{method}" + (f"?{urlencode(query)}" if query else "")
    # The configuration has checked that addresses begin with http.
    request = Request(address, headers={"User-Agent": "mm-nautilus", "Accept": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=seconds) as response:  # noqa: S310
            body = response.read(_MOST_BYTES)
    except HTTPError as error:
        error.close()
        raise VenueAnswerError(f"HTTP status {error.code}") from error
    except URLError as error:
        raise VenueAnswerError(_plain(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise VenueAnswerError(_plain(error)) from error
    try:
        document = json.loads(body)
        errors, result = document["error"], document.get("result")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise VenueAnswerError(f"no answer of Kraken's protocol to {method}") from error
    if errors:
        raise VenueAnswerError(", ".join(map(str, errors)) if isinstance(errors, list) else str(errors))
    if not isinstance(result, dict):
        raise VenueAnswerError(f"no result in its answer to {method}")
    return result


def _plain(reason: object) -> str:
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return text or type(reason).__name__


def _by_symbol(listing: Mapping[str, Any]) -> dict[str, list[_Entry]]:
    """Return key and entry of all pairs with a name, by symbol."""
    found: dict[str, list[_Entry]] = {}
    for key, entry in listing.items():
        name = entry.get("wsname") if isinstance(entry, dict) else None
        if isinstance(name, str) and name.count("/") == 1:
            symbol = "/".join(_NAMES.get(code, code) for code in name.split("/"))
            found.setdefault(symbol, []).append((key, entry))
    return found


def _state_of(entry: object) -> VenueState:
    """Return a pair's state, online if it names none."""
    if not isinstance(entry, dict):
        return VenueState.UNKNOWN
    return VenueState(entry.get("status", VenueState.ONLINE))


def _system_state(rest_url: str, seconds: float) -> VenueState:
    return VenueState(str(_ask(rest_url, "SystemStatus", {}, seconds).get("status")))


def _readable(symbol: str, entries: Sequence[_Entry]) -> _Entry:
    """Return the first usable entry of a pair."""
    faults = [_fault(symbol, entry) for _, entry in entries]
    if None not in faults:
        raise VenueAnswerError(str(faults[0]))
    return entries[faults.index(None)]


def _fault(symbol: str, entry: Mapping[str, Any]) -> str | None:
    """Return what in a pair's entry would break the engine's client, or None."""
    try:
        tick = Decimal(str(entry["tick_size"]))
    except (InvalidOperation, KeyError):
        tick = Decimal(0)
    if not (tick.is_finite() and tick > 0):
        return f"tick_size of {symbol} must be above 0, was {entry.get('tick_size')}"
    for name in ("base", "quote"):
        if not isinstance(entry.get(name), str) or not entry[name]:
            return f"{name} of {symbol} must be a currency's name, was {entry.get(name)!r}"
    for name in ("pair_decimals", "lot_decimals"):
        if not isinstance(entry.get(name), int) or not 0 <= entry[name] <= _MOST_DECIMALS:
            text = f"{name} of {symbol} must be a whole number from 0 to {_MOST_DECIMALS}"
            return f"{text}, was {entry.get(name)!r}"
    return None


async def engine_pairs(
    listing_url: str, timeout_seconds: int
) -> tuple[Mapping[str, InstrumentSpec], Mapping[str, str]]:
    """Return the pairs that the engine's client reads from a list, and why others cannot be quoted, by symbol.

    The client raises a RuntimeError if it cannot read the list.
    """
    client = KrakenSpotHttpClient(base_url=listing_url, timeout_secs=timeout_seconds, max_retries=0)
    specs, refused = quotable(await client.request_instruments())
    return {spec.symbol: spec for spec in specs}, by_symbol(refused)


def data_client_config(address: FeedAddress, timeout_seconds: int) -> KrakenDataClientConfig:
    """Return the configuration of the engine's public data client, which validates checksums of books."""
    return KrakenDataClientConfig(
        base_url=address.rest_url,
        ws_public_url=address.websocket_url,
        timeout_secs=timeout_seconds,
        validate_l2_checksum=True,
    )


@contextmanager
def served_pairs(entries: Mapping[str, Mapping[str, Any]], rest_url: str) -> Iterator[str]:
    """Answer ``AssetPairs`` with these pairs during the block, and redirect other requests to the venue.

    Yields the address.
    """
    for name in ("no_proxy", "NO_PROXY"):  # a proxy would not reach the loopback interface
        known = os.environ.get(name)
        if _HOST not in (known or "").split(","):
            os.environ[name] = _HOST if not known else f"{known},{_HOST}"
    with ThreadingHTTPServer((_HOST, 0), _handler(entries, rest_url.rstrip("/"))) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="listing", daemon=True).start()
        try:
            yield f"http://{_HOST}:{server.server_port}"
        finally:  # a thread would spin on a closed socket
            server.shutdown()


def _handler(entries: Mapping[str, Mapping[str, Any]], rest_url: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SERVER_PATIENCE_SECONDS

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if not asked.path.endswith("/AssetPairs"):
                self.send_response(307)
                self.send_header("Location", f"{rest_url}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            is_other = "aclass_base" in parse_qs(asked.query)
            body = json.dumps({"error": [], "result": {} if is_other else entries}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None: ...

    return Handler


class VenueWatch:
    """Keep the `states` of pairs, by symbol, up to date during the context; the mapping is replaced as a whole.

    While the venue does not answer, its last states apply: the feed has a guard of its own.
    """

    def __init__(
        self, rest_url: str, listed: ListedPairs, interval_seconds: float, say: Callable[[str], None]
    ) -> None:
        self.states: Mapping[str, VenueState] = listed.states
        self._rest_url, self._keys = rest_url, listed.keys
        self._interval_seconds, self._say = interval_seconds, say
        self._asked = self._unanswered = 0
        self._failure = ""
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="venue", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._has_ended.set()  # an open request ends with the process

    def _watch(self) -> None:
        while not self._has_ended.wait(self._interval_seconds):
            self._asked += 1
            try:
                self.states = venue_states(self._rest_url, self._keys, _WATCH_PATIENCE_SECONDS)
            except VenueAnswerError as error:
                self._unanswered += 1
                if not self._failure:
                    self._say(f"the venue's status is unavailable: {error}; its last status applies")
                self._failure = str(error)
            else:
                if self._failure:
                    self._say("the venue's status is available again")
                self._failure = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the states and counts of requests for the summary."""
        return {
            "states": {symbol: state.value for symbol, state in self.states.items()},
            "asked": self._asked,
            "unanswered": self._unanswered,
            "failure": self._failure,
        }
