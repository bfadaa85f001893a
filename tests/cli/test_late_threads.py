"""Threads of the engine that come back while the process leaves: its exit code holds."""

import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from processes import python

ROOT = Path(__file__).resolve().parents[2]
IMPATIENT = """
import asyncio
from nautilus_trader.adapters.kraken import KrakenSpotHttpClient
from mm_nautilus.cli import process_main
from mm_nautilus.runs.kraken import ListedPairs
from mm_nautilus.runs import sandbox_inputs

asked = []

async def impatient(_listing_url, timeout_seconds):
    for _ in range(300):
        client = KrakenSpotHttpClient(base_url={slow_url}, timeout_secs=timeout_seconds, max_retries=0)
        asked.append((client, client.request_instruments()))
    await asyncio.sleep(0.6)
    raise RuntimeError("no patience")

sandbox_inputs.listed_pairs = lambda *_: ListedPairs(('XRP/USDT',), {}, {}, {})
sandbox_inputs.engine_pairs = impatient
process_main({words})
"""
"""A run that is refused while three hundred answers of its venue are still on their way."""


class _Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(random.uniform(0.3, 1.3))
        try:
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:
            return  # whoever asked has left

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class _SlowServer(ThreadingHTTPServer):
    request_queue_size = 400
    daemon_threads = True


@pytest.fixture
def slow_url() -> Iterator[str]:
    """Serve refusals that take about a second each."""
    with _SlowServer(("127.0.0.1", 0), _Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.long
def test_exit_code_of_a_refused_sandbox_holds_whatever_comes_back_meanwhile(slow_url, tmp_path):
    words = ["sandbox", "configs/sandbox.yaml", "--out", str(tmp_path / "runs")]
    words += ["--set", f"feed.rest_url={slow_url}", "--set", f"state.directory={tmp_path / 'state'}"]
    words += ["--set", "feed.connect_timeout_seconds=1"]
    script = IMPATIENT.replace("{words}", repr(words)).replace("{slow_url}", repr(slow_url))
    done = python("-c", script)
    assert done.returncode == 1, done.stderr[-2000:]
    assert "did not list its pairs" in done.stderr
    assert "no patience; nothing was written" in done.stderr
