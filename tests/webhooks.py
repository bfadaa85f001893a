"""A webhook on loopback that takes notifications, or does not, as the test says."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

SECRET = "hunter2-correct-horse-battery"  # noqa: S105 - looked for where it must not be
PATIENCE_SECONDS = 60.0

type Mood = Literal["takes", "hangs", "trickles"] | int
"""What it does with a message; a number is the HTTP status that it answers with."""


class Webhook:
    """Take messages on a loopback address while the context lasts.

    Attributes
    ----------
    messages
        Those taken, in order.
    tries
        Number of messages, also those not taken.
    visits
        Number of requests that bring nothing.
    mood
        What it does with the next ones.
    elsewhere
        The address that a status such as 302 sends to.
    """

    elsewhere = ""

    def __init__(self, mood: Mood = "takes") -> None:
        self.messages: list[dict[str, Any]] = []
        self.tries = self.visits = 0
        self.mood: Mood = mood
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.mood = "takes"
        self.shut()

    @property
    def url(self) -> str:
        """Its Apprise URL, which has a secret."""
        return f"json://me:{SECRET}@127.0.0.1:{self.port}/{SECRET}?+X-Token={SECRET}"

    def begin(self) -> None:
        """Listen, on the same port as before."""
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                webhook._answer(self)

            def do_GET(self) -> None:
                webhook.visits += 1
                self.send_response(200)
                self.end_headers()

            def log_request(self, *_what: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        content = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        self.tries += 1
        mood = self.mood
        if mood == "takes":
            content["at"] = time.time()
            self.messages.append(content)
            request.send_response(200)
            request.end_headers()
        elif mood == "hangs":
            while self.mood == "hangs":
                time.sleep(0.02)
        elif mood == "trickles":
            try:
                while self.mood == "trickles":
                    request.wfile.write(b"H")
                    time.sleep(0.2)
            except OSError:
                pass
        elif self.elsewhere:
            request.send_response(mood)
            request.send_header("Location", self.elsewhere)
            request.end_headers()
        else:
            request.send_error(mood)

    @property
    def titles(self) -> list[str]:
        """Titles of the messages taken."""
        return [message["title"] for message in self.messages]

    def wait_until(self, holds: Callable[[Self], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for something to hold of it."""
        deadline = time.monotonic() + seconds
        while not holds(self):
            assert time.monotonic() < deadline, f"waited in vain for {what}; taken: {self.titles}"
            time.sleep(0.02)

    def wait_for(self, words: str, count: int = 1) -> dict[str, Any]:
        """Return the last of so many messages with these words in title or body."""
        self.wait_until(lambda _: len(self.having(words)) >= count, f"{count} of {words!r}")
        return self.having(words)[count - 1]

    def having(self, words: str) -> list[dict[str, Any]]:
        """Return the messages with these words in title or body."""
        return [one for one in self.messages if words in f"{one['title']}\n{one['message']}"]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
