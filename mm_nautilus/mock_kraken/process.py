"""A local venue as a child process, for tests and for runs without a network."""

import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Final, Self

from mm_nautilus.errors import RunFailedError
from mm_nautilus.mock_kraken.control import VenueControl
from mm_nautilus.mock_kraken.options import VenueOptions

__all__ = ["VenueOptions", "VenueProcess"]

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0


class VenueProcess:
    """Run a local venue in a process of its own while the context lasts.

    The venue also ends when this process does, in whatever way.

    Parameters
    ----------
    options
        What it plays; without, the simulator.

    Attributes
    ----------
    rest_url
        To be given to the engine's Kraken client as ``base_url``.
    websocket_url
        To be given to it as ``ws_public_url``.
    control
        Steers the venue: scripts and faults.

    Examples
    --------
    >>> with VenueProcess(VenueOptions(catalog=Path("catalog"))) as venue:  # doctest: +SKIP
    ...     venue.control.disconnect()
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
        if self._control is None:
            raise RunFailedError("the venue has not been started")
        return self._control

    @property
    def pid(self) -> int:
        """The process's number; there is none before the start and after the stop."""
        return self._started().pid

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RunFailedError("the venue has not been started")
        return self._process

    def start(self) -> None:
        """Start the venue and wait until it listens.

        Raises
        ------
        RunFailedError
            If it ends instead, with what it said, or takes longer than a minute.
        """
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the process has ended
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_environment(),
            start_new_session=True,
        )
        try:
            words = self._first_line().split()
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
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
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

    def _first_line(self) -> str:
        """Return the line in which the venue says where it listens."""
        process = self._started()
        stdout = process.stdout
        if stdout is None:
            raise RunFailedError("the venue's output cannot be read")
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(_START_SECONDS):
                raise RunFailedError(
                    f"the venue did not listen within {_START_SECONDS:g} seconds{self._said()}"
                )
        line = stdout.readline()
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


def _environment() -> dict[str, str]:
    """Return an environment in which the child finds the very package this process runs."""
    root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": root if not known else os.pathsep.join((root, known))}
