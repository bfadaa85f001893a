"""Answer requests to a run from a thread of its own, without delaying the engine."""

import asyncio
import importlib.util
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from mm_nautilus.errors import ConfigError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

_BACKLOG: Final = 64
_GRACE_SECONDS: Final = 1
_LAST_WORDS_SECONDS: Final = 0.5
"""Time for browsers to receive the last state."""
_STOP_SECONDS: Final = 1.5
_LOOK_SECONDS: Final = 0.1
_LOGGER: Final = "uvicorn.error"


class Served(NamedTuple):
    """What is served, in words for people."""

    noun: str
    """For example ``the live page``."""
    key: str
    """Its section of a configuration, for example ``web``."""
    option: str
    """The command's option for its port."""
    extra: str
    """What installs its packages."""
    packages: tuple[str, ...]


type Loop = Callable[[Callable[[], bool]], Awaitable[None]]
"""What is done beside answering, on the same thread, until the function it is given says that the run is over."""


class Server:
    """A server of an ASGI application: it holds its port from the start, and answers once it has begun.

    The first fault while it serves is reported, and ends neither the run nor, where it can be helped, the server.
    """

    def __init__(self, served: Served, host: str, listener: socket.socket) -> None:
        self._served = served
        self._listener = listener
        self.port = int(listener.getsockname()[1])
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"
        self.failure: str | None = None
        """The first fault."""
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._on_failure: Callable[[str], None] = lambda _text: None

    @classmethod
    def open(cls, served: Served, host: str, port: int) -> Self:
        """Take the port; raises ConfigError if it cannot be had."""
        return cls(served, host, _listener(served, host, port))

    def begin(self, app: "ASGIApp", on_failure: Callable[[str], None], beside: Loop | None = None) -> None:
        """Begin to answer, and to do what is done beside; without it, nothing is.

        `on_failure` receives the first thing that goes wrong, on another thread.
        """
        # An extra, and only needed where something is served; imported here, before the engine begins to trade.
        import uvicorn  # noqa: PLC0415

        from mm_nautilus.live_view.connections import BACKLOG, BoundedConnection  # noqa: PLC0415

        self._on_failure = on_failure
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=BoundedConnection,
                backlog=BACKLOG,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        name = self._served.noun.removeprefix("the ").replace(" ", "-")
        self._thread = threading.Thread(
            target=self._serve, args=(server, beside or _until_over), name=name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Show the last state, which takes half a second, close all connections and release the port."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
        self._listener.close()

    def _serve(self, server: "uvicorn.Server", beside: Loop) -> None:
        """Serve to the end; runs on the server's own thread."""
        logger, handler = logging.getLogger(_LOGGER), _LogHandler(self._report)
        logger.propagate = False
        logger.addHandler(handler)
        try:
            asyncio.run(self._answer(server, beside))
        except Exception as error:
            first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            self._report(f"{type(first).__name__}: {first}")
        finally:
            logger.removeHandler(handler)
            logger.propagate = not any(isinstance(other, _LogHandler) for other in logger.handlers)

    async def _answer(self, server: "uvicorn.Server", beside: Loop) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self._report(_fault(context)))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run(server, beside))
            group.create_task(server.serve(sockets=[self._listener]))

    async def _run(self, server: "uvicorn.Server", beside: Loop) -> None:
        try:
            await beside(self._is_over.is_set)
        finally:
            server.should_exit = True
        if server.server_state.connections:
            await asyncio.sleep(_LAST_WORDS_SECONDS)
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    def _report(self, text: str) -> None:
        if self.failure is None:
            self.failure = text
            self._on_failure(f"{self._served.noun} failed, the run continues: {text}")


async def _until_over(is_over: Callable[[], bool]) -> None:
    while not is_over():
        await asyncio.sleep(_LOOK_SECONDS)


def refuse_missing_packages(served: Served) -> None:
    """Raise ConfigError if a package is missing, with the extra that installs it."""
    if any(importlib.util.find_spec(package) is None for package in served.packages):
        *others, last = served.packages
        needed = f"{', '.join(others)} and {last}"
        raise ConfigError(
            f"{served.noun} needs {needed}; install them with: pip install 'mm-nautilus[{served.extra}]'"
        )


def _fault(context: Mapping[str, Any]) -> str:
    """Return a fault of the event loop in words."""
    error = context.get("exception")
    return f"{context['message']}{'' if error is None else f': {type(error).__name__}: {error}'}"


class _LogHandler(logging.Handler):
    """Passes the errors of the server of one thread on."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._report = report
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass an error on."""
        if record.thread == self._thread:
            error = record.exc_info[1] if record.exc_info else None
            self._report(record.getMessage() if error is None else f"{type(error).__name__}: {error}")


def _listener(served: Served, host: str, port: int) -> socket.socket:
    """Return a socket that listens already, so that no other process can take the port."""
    place = f"{served.key}: {host} port {port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(
            f"{place}: {served.noun}'s host must be an address of this machine: {error.strerror}"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{place}: {served.noun} cannot listen there: {error.strerror}; give another port ({served.option}), 0 "
            "takes a free one"
        ) from error
    return listener
