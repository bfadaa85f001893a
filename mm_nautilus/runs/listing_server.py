"""The pairs that a run trades, served to the engine's client on the loopback interface in place of a venue's list."""

import json
import os
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["ListingServer"]

_HOST: Final = "127.0.0.1"
_PATIENCE_SECONDS: Final = 5.0


class ListingServer:
    """Answer ``AssetPairs`` with some pairs until it is closed.

    The engine's client reads the list of all pairs when it connects, and a single odd one ends the run or the process.

    Parameters
    ----------
    entries
        The pairs, by the venue's own keys.

    Attributes
    ----------
    url
        What the client is given for the venue's REST side.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        _pass_by_proxies()
        self._server = ThreadingHTTPServer((_HOST, 0), _handler(entries))
        self._server.daemon_threads = True
        self.url = f"http://{_HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="listing", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(entries: Mapping[str, Mapping[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_SECONDS

        def do_GET(self) -> None:
            """Answer one request."""
            asked = urlsplit(self.path)
            is_other = "aclass_base" in parse_qs(asked.query)
            document: dict[str, Any] = {"error": [], "result": {} if is_other else entries}
            if not asked.path.endswith("/AssetPairs"):
                document = {"error": ["EGeneral:Unknown method"]}
            body = json.dumps(document).encode()
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
