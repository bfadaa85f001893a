"""Serve a run's live page."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from mm_nautilus.config.sandbox import WebConfig
from mm_nautilus.live_view.access import Access, page_access
from mm_nautilus.live_view.publisher import LogTail
from mm_nautilus.live_view.server import Served, Server, refuse_missing_packages
from mm_nautilus.live_view.state import LiveState
from mm_nautilus.risk.kill_switch import KillSwitch

_PAGE: Final = Served("the live page", "web", "--web-port", "web", ("starlette", "uvicorn"))


class LivePage:
    """A live page: it holds its port from the start, and answers once there is a run to show."""

    def __init__(self, config: WebConfig, access: Access, server: Server) -> None:
        self._config = config
        self._access = access
        self._server = server
        self.url = server.url
        self.close = server.close

    @classmethod
    def open(cls, config: WebConfig, environment: Mapping[str, str] = os.environ) -> Self:
        """Take the port.

        A ConfigError says that a package is missing, a token is needed and there is none, or the port cannot be had.
        """
        refuse_missing_packages(_PAGE)
        access = page_access(config, environment)
        return cls(config, access, Server.open(_PAGE, config.host, config.port))

    @property
    def summary(self) -> dict[str, Any]:
        """What a run's summary says of its page."""
        return {
            "url": self.url,
            "needs_token": self._access.token is not None,
            "can_halt": self._config.halt,
            "failure": self._server.failure,
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
        from mm_nautilus.live_view.app import LiveApp  # noqa: PLC0415
        from mm_nautilus.live_view.publisher import Publisher  # noqa: PLC0415

        publisher = Publisher(state, LogTail(folder))
        app = LiveApp(
            state.run.name,
            self._access,
            token_variable=self._config.token_variable,
            port=self._server.port,
            publisher=publisher,
            kill_switch=kill_switch if self._config.halt else None,
        )
        self._server.begin(app, on_failure, publisher.run)
