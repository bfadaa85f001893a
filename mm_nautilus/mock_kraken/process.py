"""A local venue as a child process, for tests and for runs without a network."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any, Final, Self
from urllib.parse import urlsplit

from mm_nautilus.errors import ConfigError, RunFailedError
from mm_nautilus.mock_kraken.commands import COMMANDS
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.system.plain_text import counted

__all__ = ["VenueOptions", "VenueProcess"]

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_TIMEOUT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


class VenueControl:
    """Steer a local venue by its control side: each command is a method, with its parameters and its answer.

    Faults with ``seconds`` end by themselves after that time; without, by ``clear_faults``. Prices and sizes are exact:
    text, whole numbers or decimals. Every method raises `ConfigError` where the venue refuses the command and
    `RunFailedError` where it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in COMMANDS:
            raise AttributeError(f"the control side has no command {name}")
        return partial(self._send, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *COMMANDS]

    def wait_for_subscriptions(self, count: int, seconds: float = 30.0) -> None:
        """Wait until so many subscriptions exist, one per channel and pair; a RunFailedError says there are fewer."""
        deadline = time.monotonic() + seconds
        while (found := self.state()["subscriptions"]) < count:
            if time.monotonic() > deadline:
                raise RunFailedError(
                    f"the venue has {found} of {counted(count, 'subscription')} after {seconds:g} s"
                )
            time.sleep(_POLL_SECONDS)

    def _send(self, command: str, *words: Any, **parameters: Any) -> Any:
        names = COMMANDS[command].parameters()[: len(words)]
        body = json.dumps(dict(zip(names, words, strict=True)) | parameters, default=str)
        connection = HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_TIMEOUT_SECONDS
        )
        try:
            connection.request("POST", f"/{command}", body)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise RunFailedError(f"the venue at {self.url} cannot be reached: {error}") from error
        finally:
            connection.close()
        if status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(str(json.loads(answer)["error"]))
        if status != HTTPStatus.OK:
            raise RunFailedError(f"the venue at {self.url} failed at {command} with HTTP status {status}")
        return json.loads(answer)


class VenueProcess:
    """Run a local venue in a process of its own while the context lasts; it also ends when this process does.

    Without options it plays the simulator. `rest_url` and `websocket_url` are what the engine's Kraken client takes as
    ``base_url`` and ``ws_public_url``; `control` steers the venue: scripts and faults.
    """

    def __init__(self, options: VenueOptions | None = None) -> None:
        self.options = options or VenueOptions()
        self.rest_url = self.websocket_url = ""
        self._control: VenueControl | None = None
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stop()

    @property
    def control(self) -> VenueControl:
        """The control side's client; there is none before the start and after the stop."""
        return self._running()[1]

    @property
    def pid(self) -> int:
        """The process's number; there is none before the start and after the stop."""
        return self._running()[0].pid

    def _running(self) -> tuple[subprocess.Popen[str], VenueControl]:
        if self._process is None or self._control is None:
            raise RunFailedError("the venue has not been started")
        return self._process, self._control

    def start(self) -> None:
        """Start the venue and wait until it listens.

        A RunFailedError says that it ended instead, with what it said, or takes longer than a minute.
        """
        # The child finds the very package that this process runs.
        paths = filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")))
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the process has ended
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        try:
            words = self._first_line(self._process).split()
        except BaseException:
            self.stop()
            raise
        addresses = dict(word.split("=", 1) for word in words if "=" in word)
        self.rest_url, self.websocket_url = addresses["rest_url"], addresses["websocket_url"]
        self._control = VenueControl(addresses["control_url"])

    def stop(self) -> None:
        """End the venue; does nothing where it is not running."""
        process, self._process, self._control = self._process, None, None
        if process is not None:
            process.terminate()
            with process:  # closes its pipes
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def command(self) -> list[str]:
        """Return the command line of the child."""
        options = self.options
        words = ["--simulate", "--seed", str(options.seed)]
        if options.catalog is not None:
            words = [str(options.catalog.resolve()), "--at-end", options.at_end]
        for symbol in options.symbols:
            words += ["--symbol", symbol]
        words += ["--paused"] if options.paused else []
        words += [] if options.trade_snapshot else ["--no-trade-snapshot"]
        numbers = ("speed", "host", "port", "control_port", "start_after_subscriptions", "queue_frames")
        for name in numbers:
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        return [sys.executable, "-m", "mm_nautilus.cli", "venue", "--end-with-stdin", *words]

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        """Return the line in which the venue says where it listens."""
        if process.stdout is None:
            raise RunFailedError("the venue's output cannot be read")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(_START_SECONDS):
                raise RunFailedError(f"the venue did not listen within {_START_SECONDS:g} s{self._said()}")
        line = process.stdout.readline()
        if not line:
            process.wait(_STOP_SECONDS)
            raise RunFailedError(f"the venue ended with exit code {process.returncode}{self._said()}")
        return line

    def _said(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        text = self._errors.read().strip()
        return f":\n{text}" if text else ""
