"""Serve a run's live page from a thread of its own, without delaying the engine."""

import asyncio
import importlib.util
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from mm_nautilus.config.sandbox import WebConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.live_view.access import Access, page_access
from mm_nautilus.live_view.publisher import LogTail
from mm_nautilus.live_view.state import LiveState
from mm_nautilus.risk.kill_switch import KillSwitch

if TYPE_CHECKING:
    import uvicorn

    from mm_nautilus.live_view.publisher import Publisher

_PACKAGES: Final = ("starlette", "uvicorn")
_BACKLOG: Final = 64
_GRACE_SECONDS: Final = 1
_LAST_WORDS_SECONDS: Final = 0.5
"""Time for browsers to receive the last state."""
_STOP_SECONDS: Final = 1.5
_LOGGER: Final = "uvicorn.error"


class LivePage:
    """A live page: it holds its port from the start, and answers once there is a run to show.

    The first fault while it serves is reported, and ends neither the run nor, where it can be helped, the page.
    """

    def __init__(self, config: WebConfig, access: Access, listener: socket.socket) -> None:
        self._config = config
        self._access = access
        self._listener = listener
        self._port = int(listener.getsockname()[1])
        host = f"[{config.host}]" if ":" in config.host else config.host
        self.url = f"http://{host}:{self._port}/"
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._failure: str | None = None
        self._on_failure: Callable[[str], None] = lambda _text: None

    @classmethod
    def open(cls, config: WebConfig, environment: Mapping[str, str] = os.environ) -> Self:
        """Take the port.

        A ConfigError says that a package is missing, a token is needed and there is none, or the port cannot be had.
        """
        if any(importlib.util.find_spec(package) is None for package in _PACKAGES):
            raise ConfigError(
                f"the live page needs {' and '.join(_PACKAGES)}; install them with: pip install 'mm-nautilus[web]'"
            )
        access = page_access(config, environment)
        return cls(config, access, _listener(config))

    @property
    def summary(self) -> dict[str, Any]:
        """What a run's summary says of its page."""
        return {
            "url": self.url,
            "needs_token": self._access.token is not None,
            "can_halt": self._config.halt,
            "failure": self._failure,
        }

    @property
    def words(self) -> str:
        """Where the page is, for people."""
        needs = (
            f" (needs the token in {self._config.token_variable})" if self._access.token is not None else ""
        )
        return f"live page: {self.url}{needs}"

    def begin(
        self, state: LiveState, folder: Path, kill_switch: KillSwitch, on_failure: Callable[[str], None]
    ) -> None:
        """Begin to answer with a state, the log in the run's folder and, where there is a halt button, the kill switch.

        `on_failure` receives the first thing that goes wrong, on another thread.
        """
        # An extra, and only needed where there is a page; imported here, before the engine begins to trade.
        import uvicorn  # noqa: PLC0415

        from mm_nautilus.live_view.app import LiveApp  # noqa: PLC0415
        from mm_nautilus.live_view.connections import BACKLOG, BoundedConnection  # noqa: PLC0415
        from mm_nautilus.live_view.publisher import Publisher  # noqa: PLC0415

        self._on_failure = on_failure
        publisher = Publisher(state, LogTail(folder))
        app = LiveApp(
            state.run.name,
            self._access,
            token_variable=self._config.token_variable,
            port=self._port,
            publisher=publisher,
            kill_switch=kill_switch if self._config.halt else None,
        )
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
        self._thread = threading.Thread(
            target=self._serve, args=(server, publisher), name="live-page", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Show the last state, which takes half a second, close all connections and release the port."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
        self._listener.close()

    def _serve(self, server: "uvicorn.Server", publisher: "Publisher") -> None:
        """Serve to the end; runs on the page's own thread."""
        logger, handler = logging.getLogger(_LOGGER), _LogHandler(self._report)
        was_propagating, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        try:
            asyncio.run(self._answer(server, publisher))
        except Exception as error:
            first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            self._report(f"{type(first).__name__}: {first}")
        finally:
            logger.removeHandler(handler)
            logger.propagate = was_propagating

    async def _answer(self, server: "uvicorn.Server", publisher: "Publisher") -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self._report(_fault(context)))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(server, publisher))
            group.create_task(server.serve(sockets=[self._listener]))

    async def _publish(self, server: "uvicorn.Server", publisher: "Publisher") -> None:
        try:
            await publisher.run(self._is_over.is_set)
        finally:
            server.should_exit = True
        if server.server_state.connections:
            await asyncio.sleep(_LAST_WORDS_SECONDS)
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    def _report(self, text: str) -> None:
        if self._failure is None:
            self._failure = text
            self._on_failure(f"the live page failed, the run continues: {text}")


def _fault(context: Mapping[str, Any]) -> str:
    """Return a fault of the event loop in words."""
    error = context.get("exception")
    return f"{context['message']}{'' if error is None else f': {type(error).__name__}: {error}'}"


class _LogHandler(logging.Handler):
    """Passes the server's errors on."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Pass an error on."""
        error = record.exc_info[1] if record.exc_info else None
        self._report(record.getMessage() if error is None else f"{type(error).__name__}: {error}")


def _listener(config: WebConfig) -> socket.socket:
    """Return a socket that listens already, so that no other process can take the port."""
    place = f"web: {config.host} port {config.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(
            f"{place}: the live page's host must be an address of this machine: {error.strerror}"
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
            f"{place}: the live page cannot listen there: {error.strerror}; give another port (--web-port), 0 takes a "
            "free one"
        ) from error
    return listener
