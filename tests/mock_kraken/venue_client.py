"""A venue served within the test's own event loop, and a client that believes nothing it cannot check."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.process import VenueControl
from mm_nautilus.mock_kraken.server import VenueAddresses, VenueServer, serve

CATALOG = Path(__file__).resolve().parents[2] / "catalog"
SYMBOLS = ("XRP/USDT", "BTC/USDT", "XRP/BTC")
_SECONDS = 120.0


class Served:
    """A venue under test.

    Attributes
    ----------
    addresses
        Where it listens.
    http
        A client session of the test's.
    """

    def __init__(self, addresses: VenueAddresses, http: aiohttp.ClientSession) -> None:
        self.addresses = addresses
        self.http = http

    async def control(self, command: str, *words: Any, **parameters: Any) -> Any:
        """Call a method of the control client, over HTTP."""
        method = getattr(VenueControl(self.addresses.control_url), command)
        return await asyncio.to_thread(partial(method, *words, **parameters))

    async def rest(self, path: str) -> Any:
        """Return the document that answers a REST request."""
        async with self.http.get(self.addresses.rest_url + path) as response:
            return await response.json()

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        """Connect."""
        async with self.http.ws_connect(
            self.addresses.websocket_url, autoping=False, max_msg_size=0
        ) as socket:
            yield Client(socket)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Served]:
    """Serve a venue that plays the sample unless told otherwise."""
    server = VenueServer(VenueOptions(**({"catalog": CATALOG} | options)))
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(server, stop, listening.set_result))
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    async with aiohttp.ClientSession() as http:
        yield Served(listening.result(), http)
    stop.set()
    await task


def on(**options: Any) -> Any:
    """Serve a venue with these options to an asynchronous test."""
    return pytest.mark.parametrize("served", [options], indirect=True, ids=[""])


class Client:
    """A WebSocket client that keeps books, checks every checksum and remembers every trade.

    Attributes
    ----------
    books
        Bids and asks of each pair, price to size, as decimal text.
    updates, snapshots, mismatches
        Book frames by pair, and those whose checksum does not fit.
    trades
        Rows of the trade channel, updates only.
    heartbeats, pongs, received
        How many, and how many frames at all.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.depths: dict[str, int] = {}
        self.books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self.updates = dict.fromkeys(SYMBOLS, 0)
        self.snapshots = dict.fromkeys(SYMBOLS, 0)
        self.mismatches = dict.fromkeys(SYMBOLS, 0)
        self.trades: list[dict[str, Any]] = []
        self.trade_snapshots: list[list[dict[str, Any]]] = []
        self.heartbeats = self.pongs = self.received = self.asked = 0

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return its (first) answer."""
        await self.socket.send_json(request)
        return await self.until(lambda frame: "method" in frame)

    async def subscribe(self, channel: str, *symbols: str, **params: Any) -> list[dict[str, Any]]:
        """Subscribe and return the answers, one a pair."""
        self.depths |= dict.fromkeys(symbols, params.get("depth", 10)) if channel == "book" else {}
        request = {"method": "subscribe", "params": {"channel": channel, "symbol": list(symbols), **params}}
        await self.socket.send_json(request)
        return [await self.until(lambda frame: "method" in frame) for _ in symbols]

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read frames until one of which something holds, and return it."""
        async with asyncio.timeout(_SECONDS):
            while True:
                frame = await self.read()
                if holds(frame):
                    return frame

    async def read(self) -> dict[str, Any]:
        """Read one frame; pongs of the protocol are counted and passed over."""
        message = await self.socket.receive(_SECONDS)
        while message.type is aiohttp.WSMsgType.PONG:
            self.pongs += 1
            message = await self.socket.receive(_SECONDS)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"no text but {message.type!r}")
        self.received += 1
        frame: dict[str, Any] = json.loads(message.data, parse_float=str)
        self._note(frame)
        return frame

    async def catch_up(self) -> None:
        """Read all that the venue has sent so far: it answers in order."""
        self.asked += 1
        await self.socket.send_json({"method": "ping", "req_id": -self.asked})
        await self.until(lambda frame: frame.get("req_id") == -self.asked)

    async def hear_nothing(self) -> None:
        """Read for a moment, in which nothing comes."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.read()

    def _note(self, frame: dict[str, Any]) -> None:
        channel = frame.get("channel")
        self.heartbeats += channel == "heartbeat"
        if channel == "book":
            (data,) = frame["data"]
            self._note_book(data, is_snapshot=frame["type"] == "snapshot")
        elif channel == "trade" and frame["type"] == "update":
            self.trades += frame["data"]
        elif channel == "trade":
            self.trade_snapshots.append(frame["data"])

    def _note_book(self, data: dict[str, Any], *, is_snapshot: bool) -> None:
        symbol = data["symbol"]
        (self.snapshots if is_snapshot else self.updates)[symbol] += 1
        bids, asks = ({}, {}) if is_snapshot else self.books[symbol]
        for levels, told in ((bids, data["bids"]), (asks, data["asks"])):
            for level in told:
                levels[level["price"]] = level["qty"]
                if Decimal(level["qty"]) == 0:
                    del levels[level["price"]]
        depth = self.depths[symbol]
        self.books[symbol] = (_best(bids, depth, reverse=True), _best(asks, depth, reverse=False))
        self.mismatches[symbol] += checksum(*self.books[symbol]) != data["checksum"]

    def levels(self, symbol: str) -> dict[str, list[list[str]]]:
        """Return a book as the control side tells it."""
        bids, asks = self.books[symbol]
        return {
            "bids": [list(level) for level in bids.items()],
            "asks": [list(level) for level in asks.items()],
        }


def _best(levels: dict[str, str], depth: int, *, reverse: bool) -> dict[str, str]:
    ordered = sorted(levels.items(), key=lambda level: Decimal(level[0]), reverse=reverse)
    return dict(ordered[:depth])


def checksum(bids: dict[str, str], asks: dict[str, str]) -> int:
    """Return Kraken's checksum of levels as decimal text, best first."""
    levels = [*list(asks.items())[:10], *list(bids.items())[:10]]
    return zlib.crc32(
        "".join(text.replace(".", "").lstrip("0") for level in levels for text in level).encode()
    )
