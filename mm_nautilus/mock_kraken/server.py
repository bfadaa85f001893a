"""The venue on the network: REST and WebSocket on one port, the control side on another."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from mm_nautilus.errors import ConfigError
from mm_nautilus.mock_kraken.commands import COMMANDS
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.rest import answer
from mm_nautilus.mock_kraken.session import Session
from mm_nautilus.mock_kraken.venue import Venue
from mm_nautilus.system.ending_signals import ending_signals
from mm_nautilus.system.loopback import is_loopback, names_loopback

__all__ = ["VenueAddresses", "run_venue", "serve"]

_HEARTBEAT_SECONDS: Final = 1.0
_SHUTDOWN_SECONDS: Final = 1.0
_PORT_RETRY_SECONDS: Final = 0.1
_LARGEST_REQUEST: Final = 1 << 20
_STDIN_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class VenueAddresses:
    """Where a venue listens.

    Parameters
    ----------
    rest_url
        Begin of REST addresses; requests append ``/0/public/...``.
    websocket_url
        WebSocket v2.
    control_url
        The control side.
    """

    rest_url: str
    websocket_url: str
    control_url: str

    def to_dict(self) -> dict[str, str]:
        """Return the addresses as plain values."""
        return {
            "rest_url": self.rest_url,
            "websocket_url": self.websocket_url,
            "control_url": self.control_url,
        }


class VenueServer:
    """Listens for a venue.

    Parameters
    ----------
    venue
        Whose requests to pass on.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._exchange = venue.exchange
        self._options = venue.options
        self._connections = 0
        public, control = web.Application(), web.Application()
        public.router.add_route("*", "/0/public/{method}", self._answer_rest)
        public.router.add_get("/v2", self._answer_websocket)
        public.router.add_route("*", "/{rest:.*}", self._answer_other)
        control.router.add_post("/{command}", self._answer_control)
        self._public = web.AppRunner(public, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._control = web.AppRunner(control, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._site: web.TCPSite | None = None
        self._port = self._options.port
        venue.on_closed = self._set_closed

    async def start(self) -> VenueAddresses:
        """Begin to listen and return where.

        Raises
        ------
        ConfigError
            If a port or the host cannot be used.
        """
        await self._public.setup()
        await self._control.setup()
        try:
            await self._listen()
            site = web.TCPSite(self._control, self._options.host, self._options.control_port)
            await site.start()
        except OSError as error:
            await self.stop()
            raise ConfigError(f"the venue cannot listen on {self._options.host}: {error}") from error
        self._port = self._public.addresses[0][1]
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return VenueAddresses(
            rest_url=f"http://{host}:{self._port}",
            websocket_url=f"ws://{host}:{self._port}/v2",
            control_url=f"http://{host}:{self._control.addresses[0][1]}",
        )

    async def stop(self) -> None:
        """Abort all connections and stop listening."""
        self._exchange.set_silent(is_silent=False)
        for session in list(self._exchange.sessions):
            session.abort()
        await self._public.cleanup()
        await self._control.cleanup()

    async def send_heartbeats(self) -> None:
        """Send a heartbeat each second, for ever."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self._exchange.heartbeat()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._public, self._options.host, self._port, reuse_address=True)
        await self._site.start()

    async def _set_closed(self, is_closed: bool) -> None:
        if is_closed:
            if self._site is not None:
                await self._site.stop()
            return
        while True:
            try:
                await self._listen()
            except OSError:
                # Somebody else has taken the port meanwhile; the venue stays closed until it is free.
                await asyncio.sleep(_PORT_RETRY_SECONDS)
            else:
                return

    # -- Requests ---------------------------------------------------------------------------------------

    async def _answer_rest(self, request: web.Request) -> web.Response:
        self._exchange.note("rest", text=request.path_qs)
        await self._exchange.audible.wait()
        faults = self._exchange.faults
        if faults.unavailable or faults.rest == "unavailable":
            return web.Response(status=503)
        pairs = {symbol: market.pair for symbol, market in self._exchange.markets.items()}
        now_ns = time.time_ns() + faults.clock_skew_ns
        method, levels = request.match_info["method"], self._exchange.book_levels
        return web.json_response(answer(method, request.query, pairs, now_ns, levels, faults=faults))

    async def _answer_other(self, request: web.Request) -> web.Response:
        self._exchange.note("rest", text=request.path_qs)
        return web.json_response(answer("", {}, {}, time.time_ns(), self._exchange.book_levels))

    async def _answer_websocket(self, request: web.Request) -> web.StreamResponse:
        await self._exchange.audible.wait()
        if self._exchange.faults.unavailable:
            self._exchange.note("refused", text=request.path_qs)
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=_LARGEST_REQUEST)
        await socket.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return socket
        self._connections += 1
        session = Session(self._connections, socket, transport, self._options.queue_frames)
        self._exchange.join(session)
        try:
            await self._read(socket, session)
        finally:
            self._exchange.leave(session)
            await session.close()
        return socket

    async def _read(self, socket: web.WebSocketResponse, session: Session) -> None:
        async for message in socket:
            await self._exchange.audible.wait()
            if message.type is WSMsgType.PING:
                await session.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._exchange.receive(session, message.data)

    async def _answer_control(self, request: web.Request) -> web.Response:
        if "Origin" in request.headers:
            return _refusal("commands come from programs, not from pages of a browser", 403)
        if is_loopback(self._options.host) and not names_loopback(request.headers.get("Host")):
            return _refusal("commands are sent to localhost or a loopback address", 421)
        kind = COMMANDS.get(request.match_info["command"])
        if kind is None:
            return _refusal(
                f"command must be one of {', '.join(COMMANDS)}, was {request.match_info['command']}"
            )
        try:
            command = kind.model_validate_json(await request.read() or "{}")
            return web.json_response(await self._venue.perform(command))
        except ValidationError as error:
            return _refusal("\n".join(_problem(kind.name, details) for details in error.errors()))
        except ConfigError as error:
            return _refusal(str(error))


def _problem(command: str, details: Any) -> str:
    where = ".".join(str(part) for part in details["loc"])
    return f"{command}: {where or 'body'}: {details['msg']}, was {details['input']!r}"


def _refusal(text: str, status: int = 400) -> web.Response:
    return web.json_response({"error": text}, status=status)


async def serve(venue: Venue, stop: asyncio.Event, on_listening: Callable[[VenueAddresses], None]) -> None:
    """Serve a venue until `stop` is set.

    Parameters
    ----------
    venue
        The venue.
    stop
        Ends it.
    on_listening
        Called once with the addresses.

    Raises
    ------
    ConfigError, DataError
        If it cannot listen, or its catalog cannot be read on.
    """
    server = VenueServer(venue)
    on_listening(await server.start())
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(server.send_heartbeats()), group.create_task(venue.player.run())]
            await stop.wait()
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    finally:
        await server.stop()


def run_venue(
    options: VenueOptions,
    on_listening: Callable[[VenueAddresses], None],
    *,
    end_with_stdin: bool = False,
) -> int:
    """Run a venue until SIGINT, SIGTERM or SIGHUP, and return the exit code.

    Parameters
    ----------
    options
        What to play and where to listen.
    on_listening
        Called once with the addresses.
    end_with_stdin
        Whether it also ends, with exit code 0, when standard input is closed: as it is when the program at
        its other end has died in whatever way.

    Returns
    -------
    int
        128 + the signal's number; 0 where standard input was closed.

    Raises
    ------
    ConfigError, DataError
        If it cannot listen, or its catalog cannot be played.
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
    await serve(Venue(options), stop, on_listening)
    return code
