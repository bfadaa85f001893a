"""Answer a Prometheus server's scrapes of a run."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from mm_nautilus.config.sandbox import PrometheusConfig
from mm_nautilus.live_view.access import Access, prometheus_access
from mm_nautilus.live_view.server import Served, Server, refuse_missing_packages
from mm_nautilus.live_view.state import LiveState

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PACKAGES: Final = ("prometheus_client", "starlette", "uvicorn")
_ENDPOINT: Final = Served("the Prometheus endpoint", "prometheus", "--metrics-port", "metrics", PACKAGES)
_PATH: Final = "metrics"


class PrometheusEndpoint:
    """A run's endpoint: it holds its port from the start, and answers once there is a run to measure."""

    def __init__(self, config: PrometheusConfig, access: Access, server: Server) -> None:
        self._config = config
        self._access = access
        self._server = server
        self.url = f"{server.url}{_PATH}"
        self.close = server.close

    @classmethod
    def open(cls, config: PrometheusConfig, environment: Mapping[str, str] = os.environ) -> Self:
        """Take the port.

        A ConfigError says that a package is missing, a token is needed and there is none, or the port cannot be had.
        """
        refuse_missing_packages(_ENDPOINT)
        access = prometheus_access(config, environment)
        return cls(config, access, Server.open(_ENDPOINT, config.host, config.port))

    @property
    def summary(self) -> dict[str, Any]:
        """What a run's summary says of its endpoint."""
        return {
            "url": self.url,
            "needs_token": self._access.token is not None,
            "failure": self._server.failure,
        }

    @property
    def words(self) -> str:
        """Where the endpoint is, for people."""
        token = f" (needs the token in {self._config.token_variable})" if self._access.token else ""
        return f"Prometheus endpoint: {self.url}{token}"

    def begin(self, state: LiveState, on_failure: Callable[[str], None]) -> None:
        """Begin to answer; `on_failure` receives the first thing that goes wrong, on another thread."""
        self._server.begin(scrape_app(state, self._access), on_failure)


def scrape_app(state: LiveState, access: Access) -> "Starlette":
    """Return the ASGI application that answers ``GET /metrics`` with a state's figures, and nothing else."""
    # Extras, and only needed where there is an endpoint.
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    from mm_nautilus.live_view.prometheus import RunCollector  # noqa: PLC0415

    collector = RunCollector(state.snapshot)

    async def answer(request: "Request") -> "Response":
        if not access.is_host_allowed(request.headers.get("host")):
            return PlainTextResponse("these figures are for localhost and loopback addresses\n", 421)
        if access.token is not None and not access.is_bearer(request.headers.get("authorization")):
            return PlainTextResponse("a token is needed\n", 401, {"www-authenticate": "Bearer"})
        # No registry: a process's own would outlive the run.
        figures = generate_latest(collector)
        return Response(
            figures, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4, "cache-control": "no-store"}
        )

    return Starlette(routes=[Route(f"/{_PATH}", answer, methods=["GET"])])
