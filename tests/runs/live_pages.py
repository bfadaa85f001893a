"""A sandbox run with a live page, and a client of that page."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbox_runs import COMMAND, LONGEST_WAIT
from whole_runs import ROOT

TOKEN = "correct-horse-battery"  # noqa: S105
VARIABLE = "MM_NAUTILUS_WEB_TOKEN"
BEARER = {"authorization": f"Bearer {TOKEN}"}

type Seen = dict[str, list[Any]]
"""Data of a page's events by name, in the order in which they came."""


class LiveRun:
    """A run of a configuration with a live page."""

    def __init__(self, path: Path, *options: str, token: str | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        environment |= {} if token is None else {VARIABLE: token}
        self.process = subprocess.Popen(
            [*COMMAND, str(path), "--web-port", "0", *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.url = self._url()

    def _url(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            found = re.match(r"live page: (http://127\.0\.0\.1:\d+/)", line)
            if found:
                return found[1]
        pytest.fail(f"the command never told its page: {self.process.communicate()[1]}")

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        given = {"content-type": "application/json"} | headers
        request = urllib.request.Request(self.url + path, data, given)  # noqa: S310 - our own page
        with urllib.request.urlopen(request, timeout=LONGEST_WAIT) as answer:  # noqa: S310
            return json.loads(answer.read())

    @staticmethod
    def scrape(url: str) -> str:
        with urllib.request.urlopen(url, timeout=LONGEST_WAIT) as answer:  # noqa: S310 - our own endpoint
            text: str = answer.read().decode()
        return text

    def listen(self, **headers: str) -> Any:
        request = urllib.request.Request(self.url + "events", headers=headers)  # noqa: S310 - our own page
        return urllib.request.urlopen(request, timeout=LONGEST_WAIT)  # noqa: S310

    def ended(self) -> str:
        """Wait for the end and return what was told as an error."""
        said, errors = self.process.communicate(timeout=LONGEST_WAIT)
        self.said.append(said)
        return errors


@contextmanager
def live_run(path: Path, *options: str, token: str | None = None) -> Iterator[LiveRun]:
    run = LiveRun(path, *options, token=token)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
        run.process.communicate()


def events(stream: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and data of server-sent events, until the stream ends."""
    name = ""
    for line in stream:
        kind, _, value = line.decode().rstrip("\n").partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, json.loads(value)
