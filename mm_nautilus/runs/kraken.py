"""Kraken's public sides: what it says of its pairs and of itself, and where the engine's client connects to.

The engine's client asks for all pairs at once. One pair that it cannot read fails the answer, and one tick of zero
aborts the process; and of what a venue takes at present it tells nothing. So the pairs are read here without the
engine, and its client is served those that a run trades.
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
"""Currencies that Kraken calls otherwise than everybody else; the engine's client translates these, too."""
_UNKNOWN_PAIR: Final = "EQuery:Unknown asset pair"
_MOST_DECIMALS: Final = 16

type _Entry = tuple[str, Mapping[str, Any]]
"""A pair's key and what a venue says of it."""


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """Where a venue's public sides are: the addresses of REST and of WebSocket v2."""

    rest_url: str
    websocket_url: str

    def __str__(self) -> str:
        return f"{self.rest_url} and {self.websocket_url}"


KRAKEN_PUBLIC: Final = FeedAddress("https://api.kraken.com", "wss://ws.kraken.com/v2")
"""Kraken's own, which need no account."""


class VenueAnswerError(MarketMakingError):
    """A venue did not answer, or not what it was asked."""


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """The pairs that a venue lists."""

    symbols: tuple[str, ...]
    entries: Mapping[str, Mapping[str, Any]]
    """What the venue says of those asked for, under its own key for each, as the engine's client can read it."""
    keys: Mapping[str, str]
    """The venue's own key of each of them, by symbol."""
    states: Mapping[str, VenueState]
    """What each of them takes at present, by symbol."""


def listed_pairs(rest_url: str, symbols: Iterable[str], seconds: float) -> ListedPairs:
    """Ask a venue for its pairs, no answer longer than some seconds; what is odd about others changes nothing.

    A VenueAnswerError says that the pairs cannot be had, there is none, or one that matters is described in a way that
    cannot be used.
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
    """Ask a venue what pairs take at present, as far as it and the pairs themselves allow it.

    A VenueAnswerError says that it does not tell.
    """
    system = _system_state(rest_url, seconds)
    try:
        known = _ask(rest_url, "AssetPairs", {"pair": ",".join(keys.values())}, seconds)
    except VenueAnswerError as error:
        if str(error) != _UNKNOWN_PAIR:
            raise
        # One name that is no longer known fails the answer for all.
        known = _ask(rest_url, "AssetPairs", {}, seconds)
    if not known:
        raise VenueAnswerError("it lists no pairs")
    states = {
        symbol: _state_of(known[key]) if key in known else VenueState.DELISTED for symbol, key in keys.items()
    }
    return {symbol: strictest((system, state)) for symbol, state in states.items()}


def first_mid_of(rest_url: str, key: str, seconds: float) -> float:
    """Return a pair's mid in quote currency; a VenueAnswerError says that there is none."""
    answer = _ask(rest_url, "Depth", {"pair": key, "count": "1"}, seconds)
    try:
        (sides,) = answer.values()
        bid, ask = (Decimal(sides[side][0][0]) for side in ("bids", "asks"))
    except (AttributeError, IndexError, InvalidOperation, KeyError, TypeError, ValueError) as error:
        raise VenueAnswerError("its book has an empty side") from error
    return float((bid + ask) / 2)


def _ask(rest_url: str, method: str, query: Mapping[str, str], seconds: float) -> dict[str, Any]:
    address = f"{rest_url.rstrip('/')}/0/public/{method}" + (f"?{urlencode(query)}" if query else "")
    # Addresses begin with http, which the configuration has checked.
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
    """Return key and entry of each pair that has a name, by its symbol; all of them, where several have the same."""
    found: dict[str, list[_Entry]] = {}
    for key, entry in listing.items():
        name = entry.get("wsname") if isinstance(entry, dict) else None
        if isinstance(name, str) and name.count("/") == 1:
            symbol = "/".join(_NAMES.get(code, code) for code in name.split("/"))
            found.setdefault(symbol, []).append((key, entry))
    return found


def _state_of(entry: object) -> VenueState:
    """Return a pair's state; one that says nothing of it is open."""
    return (
        VenueState(entry.get("status", VenueState.ONLINE)) if isinstance(entry, dict) else VenueState.UNKNOWN
    )


def _system_state(rest_url: str, seconds: float) -> VenueState:
    return VenueState(str(_ask(rest_url, "SystemStatus", {}, seconds).get("status")))


def _readable(symbol: str, entries: Sequence[_Entry]) -> _Entry:
    """Return the first entry of a pair that can be used."""
    faults = [_fault(symbol, entry) for _, entry in entries]
    if None not in faults:
        raise VenueAnswerError(str(faults[0]))
    return entries[faults.index(None)]


def _fault(symbol: str, entry: Mapping[str, Any]) -> str | None:
    """Return what of a pair's entry would break the engine's client, None where nothing would."""
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


# -- The engine's client -----------------------------------------------------------------------------------


async def engine_pairs(
    listing_url: str, timeout_seconds: int
) -> tuple[Mapping[str, InstrumentSpec], Mapping[str, str]]:
    """Return the pairs that the engine's client reads from a list of them, and why others cannot be quoted, by symbol.

    The client raises a RuntimeError where it cannot read the list.
    """
    client = KrakenSpotHttpClient(base_url=listing_url, timeout_secs=timeout_seconds, max_retries=0)
    specs, refused = quotable(await client.request_instruments())
    return {spec.symbol: spec for spec in specs}, by_symbol(refused)


def data_client_config(address: FeedAddress, timeout_seconds: int) -> KrakenDataClientConfig:
    """Return the configuration of the engine's public data client, with checksums of books validated."""
    return KrakenDataClientConfig(
        base_url=address.rest_url,
        ws_public_url=address.websocket_url,
        timeout_secs=timeout_seconds,
        validate_l2_checksum=True,
    )


@contextmanager
def served_pairs(entries: Mapping[str, Mapping[str, Any]], rest_url: str) -> Iterator[str]:
    """Answer ``AssetPairs`` with some pairs, by the venue's own keys, during the block; yields the address.

    Other requests are sent on to the venue's own address.

    The engine's client reads the list of all pairs when it connects, and a single odd one ends the run or the process.
    """
    _pass_by_proxies()
    with ThreadingHTTPServer((_HOST, 0), _handler(entries, rest_url.rstrip("/"))) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="listing", daemon=True).start()
        try:
            yield f"http://{_HOST}:{server.server_port}"
        finally:  # a thread whose socket is closed under it would go round and round
            server.shutdown()


def _handler(entries: Mapping[str, Mapping[str, Any]], rest_url: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SERVER_PATIENCE_SECONDS

        def do_GET(self) -> None:
            """Answer one request."""
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

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    return Handler


def _pass_by_proxies() -> None:
    """Let no proxy that the environment names stand before the loopback interface: it would not get there."""
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name)
        if _HOST not in (known or "").split(","):
            os.environ[name] = _HOST if not known else f"{known},{_HOST}"


class VenueWatch:
    """Know what each pair takes, by symbol, until the context is left; `states` is replaced as a whole.

    While the venue does not say, what it said last holds: its connection has a guard of its own.
    """

    def __init__(
        self, rest_url: str, listed: ListedPairs, interval_seconds: float, say: Callable[[str], None]
    ) -> None:
        self.states: Mapping[str, VenueState] = listed.states
        self._rest_url = rest_url
        self._keys = listed.keys
        self._interval_seconds = interval_seconds
        self._say = say
        self._asked = self._unanswered = 0
        self._failure = ""
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="venue", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._has_ended.set()  # a question that is still open ends with the process

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
        """Return what is known as plain values, for the summary."""
        return {
            "states": {symbol: state.value for symbol, state in self.states.items()},
            "asked": self._asked,
            "unanswered": self._unanswered,
            "failure": self._failure,
        }
