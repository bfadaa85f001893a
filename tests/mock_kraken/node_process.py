"""The live node of `kraken_node` as a child process, and patience until it has seen what a test waits for."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from mm_nautilus.mock_kraken.process import VenueProcess

SCRIPT = Path(__file__).with_name("kraken_node.py")
_SECONDS = 120.0


class NodeProcess:
    """A node connected to a venue.

    Parameters
    ----------
    venue
        A running venue.
    depths
        Depth of the book subscription of each pair.

    Attributes
    ----------
    log
        Lines the engine logged so far, warnings and errors.
    """

    def __init__(self, venue: VenueProcess, depths: dict[str, int]) -> None:
        self.log: list[str] = []
        self.depths = depths
        replies, answering_end = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(SCRIPT),
                str(answering_end),
                venue.rest_url,
                venue.websocket_url,
                *(f"{symbol}:{depth}" for symbol, depth in depths.items()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(answering_end,),
            text=True,
        )
        os.close(answering_end)
        self._replies: queue.Queue[str] = queue.Queue()
        self._threads = [
            threading.Thread(target=target, args=arguments, daemon=True)
            for target, arguments in ((self._read_log, ()), (self._read_replies, (replies,)))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def report(self) -> dict[str, Any]:
        """Return what the node has seen."""
        self._write("report")
        try:
            line = self._replies.get(timeout=_SECONDS)
        except queue.Empty:
            raise AssertionError("the node is mute:\n" + "\n".join(self.log[-20:])) from None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def wait_until(self, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return the first report of which something holds."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            report = self.report()
            if holds(report):
                return report
            time.sleep(0.02)
        raise AssertionError(f"waited in vain for {what}: {report}\n" + "\n".join(self.log[-20:]))

    def stop(self) -> int:
        """End the node and return its exit code."""
        self._write("stop")
        code = self._process.wait(_SECONDS)
        self._join()
        return code

    def logged(self, words: str) -> list[str]:
        """Return the log's lines with these words."""
        return [line for line in self.log if words.lower() in line.lower()]

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(_SECONDS)

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(line.rstrip())

    def _read_replies(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as replies:
            for line in replies:
                self._replies.put(line)
