"""The venue on the network: REST and WebSocket on one port, the control side on another."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from email.utils import format_datetime
from typing import Any, Final, NamedTuple

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from mm_nautilus.errors import ConfigError
from mm_nautilus.mock_kraken.commands import (
    COMMANDS,
    DropPair,
    OddPair,
    PairStatus,
    RefuseReconnect,
    RestFault,
)
from mm_nautilus.mock_kraken.exchange import Exchange
from mm_nautilus.mock_kraken.frames import HEARTBEAT
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.pairs import Pair, asset_pair
from mm_nautilus.mock_kraken.session import Session
from mm_nautilus.system.ending_signals import ending_signals
from mm_nautilus.system.loopback import is_loopback, names_loopback
from mm_nautilus.system.moments import moment

_HEARTBEAT_SECONDS: Final = 1.0
_SHUTDOWN_SECONDS: Final = 1.0
_PORT_RETRY_SECONDS: Final = 0.1
_LARGEST_REQUEST: Final = 1 << 20
_STDIN_BYTES: Final = 4_096


class VenueAddresses(NamedTuple):
    """Where a venue listens: where REST addresses begin, WebSocket v2, and the control side."""

    rest_url: str
    websocket_url: str
    control_url: str


class VenueServer:
    """Listens for a venue."""

    def __init__(self, options: VenueOptions) -> None:
        self.exchange = Exchange(options)
        self._options = options
        self._connections = 0
        self._public = _runner(
            web.get("/v2", self._answer_websocket), web.route("*", "/{rest:.*}", self._answer_rest)
        )
        self._control = _runner(web.post("/{command}", self._answer_control))
        self._site: web.TCPSite | None = None
        self._port = options.port

    async def start(self) -> VenueAddresses:
        """Begin to listen and return where; a ConfigError says that a port or the host cannot be used."""
        host = self._options.host
        await self._public.setup()
        await self._control.setup()
        try:
            await self._open()
            await web.TCPSite(self._control, host, self._options.control_port).start()
        except OSError as error:
            await self.stop()
            raise ConfigError(f"the venue cannot listen on {host}: {error}") from error
        self._port = self._public.addresses[0][1]
        self.exchange.listen = self._listen
        named = f"[{host}]" if ":" in host else host
        return VenueAddresses(
            rest_url=f"http://{named}:{self._port}",
            websocket_url=f"ws://{named}:{self._port}/v2",
            control_url=f"http://{named}:{self._control.addresses[0][1]}",
        )

    async def stop(self) -> None:
        """Abort all connections and stop listening."""
        self.exchange.audible.set()
        self.exchange.disconnect()
        await self._public.cleanup()
        await self._control.cleanup()

    async def send_heartbeats(self) -> None:
        """Send a heartbeat each second, for ever."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self.exchange.send(self.exchange.sessions, HEARTBEAT)

    async def _open(self) -> None:
        site = web.TCPSite(self._public, self._options.host, self._port, reuse_address=True)
        await site.start()
        self._site = site

    async def _listen(self, is_wanted: bool) -> None:
        if not is_wanted and self._site is not None:
            await self._site.stop()
            self._site = None
        while is_wanted and self._site is None:
            try:
                await self._open()
            except OSError:
                # Another program has taken the port; the venue stays closed until it is free.
                await asyncio.sleep(_PORT_RETRY_SECONDS)

    # -- Requests ---------------------------------------------------------------------------------------

    async def _answer_rest(self, request: web.Request) -> web.Response:
        exchange = self.exchange
        exchange.note("rest", text=request.path_qs)
        await exchange.audible.wait()
        fault = exchange.active(RestFault)
        if exchange.active(RefuseReconnect) or (fault is not None and fault.how == "unavailable"):
            return web.Response(status=503)
        return web.json_response(answer(exchange, request.path.removeprefix("/0/public/"), request.query))

    async def _answer_websocket(self, request: web.Request) -> web.StreamResponse:
        await self.exchange.audible.wait()
        if self.exchange.active(RefuseReconnect):
            self.exchange.note("refused", text=request.path_qs)
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=_LARGEST_REQUEST)
        await socket.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return socket
        self._connections += 1
        session = Session(self._connections, socket, transport, self._options.queue_frames)
        self.exchange.join(session)
        try:
            await self._read(socket, session)
        finally:
            self.exchange.leave(session)
            await session.close()
        return socket

    async def _read(self, socket: web.WebSocketResponse, session: Session) -> None:
        async for message in socket:
            await self.exchange.audible.wait()
            if message.type is WSMsgType.PING:
                await session.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self.exchange.receive(session, message.data)

    async def _answer_control(self, request: web.Request) -> web.Response:
        if "Origin" in request.headers:
            return _refusal("commands come from programs, not from pages of a browser", 403)
        if is_loopback(self._options.host) and not names_loopback(request.headers.get("Host")):
            return _refusal("commands are sent to localhost or a loopback address", 421)
        name = request.match_info["command"]
        if name not in COMMANDS:
            return _refusal(f"command must be one of {', '.join(COMMANDS)}, was {name}")
        try:
            command = COMMANDS[name].model_validate_json(await request.read() or "{}")
            return web.json_response(await command.perform(self.exchange))
        except ValidationError as error:
            return _refusal("\n".join(_problem(name, details) for details in error.errors()))
        except ConfigError as error:
            return _refusal(str(error))


def _runner(*routes: web.RouteDef) -> web.AppRunner:
    application = web.Application()
    application.add_routes(routes)
    return web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)


def _problem(command: str, details: Any) -> str:
    where = ".".join(str(part) for part in details["loc"])
    return f"{command}: {where or 'body'}: {details['msg']}, was {details['input']!r}"


def _refusal(text: str, status: int = 400) -> web.Response:
    return web.json_response({"error": text}, status=status)


async def serve(
    server: VenueServer, stop: asyncio.Event, on_listening: Callable[[VenueAddresses], None]
) -> None:
    """Serve until `stop` is set; `on_listening` gets the addresses.

    A ConfigError or DataError says that it cannot listen, or its catalog cannot be read.
    """
    on_listening(await server.start())
    try:
        async with asyncio.TaskGroup() as group:
            running = (server.send_heartbeats(), server.exchange.player.run())
            tasks = [group.create_task(each) for each in running]
            await stop.wait()
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    finally:
        await server.stop()


def run_venue(
    options: VenueOptions, on_listening: Callable[[VenueAddresses], None], *, end_with_stdin: bool = False
) -> int:
    """Run a venue until SIGINT, SIGTERM or SIGHUP, and return the exit code; errors are those of `serve`.

    With `end_with_stdin` it also ends, with 0, when standard input is closed, as it is when the program at its other
    end has died in whatever way.
    """
    return asyncio.run(_run(options, on_listening, end_with_stdin=end_with_stdin))


async def _run(
    options: VenueOptions, on_listening: Callable[[VenueAddresses], None], *, end_with_stdin: bool
) -> int:
    loop, stop, code = asyncio.get_running_loop(), asyncio.Event(), 0

    def end(number: int) -> None:
        nonlocal code
        code = 128 + number
        stop.set()

    def read_stdin() -> None:
        if not os.read(sys.stdin.fileno(), _STDIN_BYTES):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    for number in ending_signals():
        loop.add_signal_handler(number, end, number)
    if end_with_stdin:
        loop.add_reader(sys.stdin.fileno(), read_stdin)
    await serve(VenueServer(options), stop, on_listening)
    return code


# -- What REST answers --------------------------------------------------------------------------------------


_MOST_LEVELS: Final = 500
_DEFAULT_LEVELS: Final = "100"
_UNKNOWN_PAIR: Final = {"error": ["EQuery:Unknown asset pair"]}


def answer(exchange: Exchange, method: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the document that answers a public request.

    The method is ``AssetPairs``, ``Depth``, ``OHLC``, ``Time`` or ``SystemStatus``; anything else is refused.
    """
    fault = exchange.active(RestFault)
    if fault is not None and fault.how == "error":
        return {"error": ["EService:Unavailable"]}
    now = moment(exchange.now_ns())
    match method:
        case "Time":
            result = {"unixtime": int(now.timestamp()), "rfc1123": format_datetime(now, usegmt=True)}
        case "SystemStatus":
            result = {"status": exchange.system_status, "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        case "AssetPairs" if query.get("aclass_base") == "tokenized_asset" or fault is not None:
            result = {}
        case "AssetPairs":
            return _asset_pairs(exchange, query)
        case "Depth":
            return _depth(exchange, query, int(now.timestamp()))
        case "OHLC":
            return _bars(exchange, query)
        case _:
            return {"error": ["EGeneral:Unknown method"]}
    return _result(result)


def _pair(exchange: Exchange, query: Mapping[str, str]) -> Pair | None:
    """Return the pair that a query names; None where it names none that is known."""
    return _by_any_name(market.pair for market in exchange.markets.values()).get(query["pair"])


def _depth(exchange: Exchange, query: Mapping[str, str], seconds: int) -> dict[str, Any]:
    """Return a pair's best levels; each is dated with the present time, as the times of changes are not kept."""
    count = query.get("count", _DEFAULT_LEVELS)
    if "pair" not in query or not count.isdecimal() or not 1 <= int(count) <= _MOST_LEVELS:
        return {"error": ["EGeneral:Invalid arguments"]}
    pair = _pair(exchange, query)
    if pair is None:
        return _UNKNOWN_PAIR
    sides = exchange.book_levels(pair.symbol, int(count))
    return _result(
        {pair.key: {side: [[*level, seconds] for level in sides[side]] for side in ("asks", "bids")}}
    )


def _bars(exchange: Exchange, query: Mapping[str, str]) -> dict[str, Any]:
    """Return a pair's bars of one minute since the venue began, the last one of the minute that goes on."""
    if query.get("interval", "1") != "1" or "pair" not in query:
        return {"error": ["EGeneral:Invalid arguments"]}
    pair = _pair(exchange, query)
    if pair is None:
        return _UNKNOWN_PAIR
    digits = pair.digits
    rows: list[list[Any]] = [
        [
            60 * bar.minute,
            *(digits.price(ticks) for ticks in (bar.open, bar.high, bar.low, bar.close)),
            digits.price(round(bar.value / bar.lots)),
            digits.size(bar.lots),
            bar.trades,
        ]
        for bar in exchange.markets[pair.symbol].minutes
    ]
    return _result({pair.key: rows, "last": rows[-2][0] if len(rows) > 1 else 0})


def _asset_pairs(exchange: Exchange, query: Mapping[str, str]) -> dict[str, Any]:
    pairs = [
        market.pair
        for symbol, market in exchange.markets.items()
        if exchange.active(DropPair, symbol) is None
    ]
    if "pair" in query:
        known = _by_any_name(pairs)
        names = query["pair"].split(",")
        if any(name not in known for name in names):
            return _UNKNOWN_PAIR
        return _result({known[name].key: _entry(exchange, known[name]) for name in names})
    first = asset_pair(next(iter(exchange.markets.values())).pair)
    odd = {
        fault.key: first | fault.fields for fault in exchange.faults.values() if isinstance(fault, OddPair)
    }
    return _result({pair.key: _entry(exchange, pair) for pair in pairs} | odd)


def _entry(exchange: Exchange, pair: Pair) -> dict[str, Any]:
    fault = exchange.active(PairStatus, pair.symbol)
    return asset_pair(pair) | ({} if fault is None else {"status": fault.status})


def _by_any_name(pairs: Iterable[Pair]) -> dict[str, Pair]:
    return {name: pair for pair in pairs for name in (pair.key, pair.altname, pair.wsname, pair.symbol)}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": [], "result": dict(result)}
