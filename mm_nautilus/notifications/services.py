"""The services that a run notifies, known by the environment variables that hold their URLs."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mm_nautilus.errors import ConfigError
from mm_nautilus.notifications.events import Message
from mm_nautilus.notifications.sending import SECONDS

PACKAGE: Final = "apprise"
_MODULE: Final = "mm_nautilus.notifications.sending"
_START_SECONDS: Final = 40.0
"""Longest start of the sending process on a busy machine."""
_NOT_CHECKED: Final = "the services' URLs could not be checked: the process that sends notifications"


def service_problems(variables: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return why some variables' services cannot be notified, one text each, without any value; no network is used.

    Raises ConfigError if Apprise is not installed.
    """
    if not variables:
        return []
    if importlib.util.find_spec(PACKAGE) is None:
        raise ConfigError(f"notifications need {PACKAGE}; install it with: pip install 'mm-nautilus[notify]'")
    unset = {
        name: "was empty" if name in environment else "was not set"
        for name in variables
        if not environment.get(name)
    }
    held = [name for name in variables if name not in unset]
    try:
        unusable = _answer(_started(environment), {"variables": held}) if held else {}
    except OSError as error:
        return [f"{_NOT_CHECKED} could not be started: {error.strerror}"]
    if unusable is None:
        return [f"{_NOT_CHECKED} failed"]
    texts = unset | unusable
    return [
        f"notify.urls: the environment variable {name} must hold the Apprise URL of one service; it {texts[name]}"
        for name in variables
        if name in texts
    ]


def refuse_unusable(variables: Sequence[str]) -> None:
    """Raise a ConfigError with all `service_problems`."""
    problems = service_problems(variables)
    if problems:
        raise ConfigError(problems)


class Sender:
    """Hand messages to one service, each by a process of its own, which `stop` ends.

    Parameters
    ----------
    variable
        Name of the environment variable that holds the service's URL.
    """

    def __init__(self, variable: str) -> None:
        self._variable = variable
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def send(self, message: Message, environment: Mapping[str, str] = os.environ) -> str | None:
        """Hand over a message and return None, or why it was not taken, without any part of the URL."""
        if not environment.get(self._variable):
            return "its variable is not set"
        told = {"title": message.title, "body": f"{message.body}\nid {message.id}", "level": message.level}
        with self._lock:
            if self._is_stopped:
                return _STOPPED
            try:
                self._process = _started(environment)
            except OSError as error:  # too many processes, or no memory for one: it is tried again
                return f"the process that sends it could not be started: {error.strerror}"
        answer = _answer(
            self._process,
            {"variable": self._variable, "message": told, "parent": os.getpid()},
            fails_with=_TOO_LONG,
        )
        return None if answer is None else str(answer)

    def stop(self) -> None:
        """End what is being sent: a service that wakes up later would have it twice."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()


_TOO_LONG: Final = f"it did not answer within {SECONDS:g} s"
_STOPPED: Final = "the run has ended"


def _started(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what libraries print may contain a URL
        start_new_session=True,  # Ctrl-C in the terminal ends the run, whose last message is still sent
        env=dict(environment),
    )


def _answer(process: subprocess.Popen[bytes], request: Mapping[str, Any], fails_with: Any = None) -> Any:
    """Return the answer of the sending process, `fails_with` if it gives none."""
    with process:
        try:
            written, _ = process.communicate(json.dumps(request).encode(), SECONDS + _START_SECONDS)
            return json.loads(written)["answer"]
        except (subprocess.TimeoutExpired, OSError, ValueError, KeyError):
            process.kill()
            return fails_with
