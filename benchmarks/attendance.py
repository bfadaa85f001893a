"""Attend a long sandbox run: watch its page, halt and resume it, cut its feed, and be notified, or not, on schedule."""

import contextlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq

from mm_nautilus.mock_kraken.process import VenueControl
from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch

CHROMIUM: Final = os.environ.get("MM_CHROMIUM", "/usr/bin/chromium")
_FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_STEADY, _TROUBLED = "SOAK_STEADY", "SOAK_TROUBLED"
_LIMIT_SECONDS: Final = 5
"""A longer loss of the feed is notified."""
_LOSS_SECONDS: Final = 15.0
_CYCLE: Final = (
    (10, "service down"),
    (20, "halt"),
    (45, "resume"),
    (60, "service up"),
    (85, "service hangs"),
    (90, "lose the feed"),
    (130, "compare hanging"),
    (200, "service up"),
    (205, "compare answering"),
    (265, "compared"),
)
"""What is done in each cycle, and when, seconds after its start."""
_CYCLE_SECONDS: Final = 270
_RECOVERY_SECONDS: Final = 200.0
"""Longest wait for the messages of the last outage."""


class Service:
    """A webhook on loopback that takes messages, is down, or hangs."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.hangs = False
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.listen()

    @property
    def url(self) -> str:
        return f"json://soak:secret-of-the-soak@127.0.0.1:{self._port}/"

    def listen(self) -> None:
        """Listen, on the same port as before, unless it does."""
        if self._server is not None:
            return
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if service.hangs:
                    while service.hangs:
                        time.sleep(0.1)
                    return
                service.messages.append(content)
                self.send_response(200)
                self.end_headers()

            def log_request(self, *_what: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def shut(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Attendance:
    """The schedule's threads and what they saw.

    Attributes
    ----------
    done
        How often each entry of the schedule was carried out.
    spans
        Stretches of the epoch, seconds, in which the service hung or answered and nothing else happened.
    """

    folder: Path
    period_seconds: float
    steady: Service = field(default_factory=Service)
    troubled: Service = field(default_factory=Service)
    done: Counter[str] = field(default_factory=Counter)
    spans: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {"hanging": [], "answering": []}
    )
    events: int = 0
    longest_silence: float = 0.0
    page_errors: list[str] = field(default_factory=list)
    page_words: str = ""
    began: float = 0.0
    ended: float = 0.0

    def configure(self, config: dict[str, Any]) -> None:
        """Add the page and the services to a configuration, and the services' URLs to the environment."""
        os.environ |= {_STEADY: self.steady.url, _TROUBLED: self.troubled.url}
        config["web"] = {"enabled": True, "port": 0}
        config["notify"] = {
            "urls": [_STEADY, _TROUBLED],
            "disconnect_seconds": _LIMIT_SECONDS,
            "summary_every": f"{round(self.period_seconds)}s",
        }

    @contextlib.contextmanager
    def attending(self, control: VenueControl, state_path: Path) -> Iterator[None]:
        """Do what the schedule says and watch the page, in threads, while the context lasts."""
        over = threading.Event()
        (run,) = (self.folder / "runs").iterdir()
        url = json.loads((run / "summary.json").read_text(encoding="utf-8"))["web"]["url"]
        _wait_for(url)
        threads = [
            threading.Thread(target=self._keep_schedule, args=(control, KillSwitch(state_path), over)),
            threading.Thread(target=self._read_events, args=(url, over), daemon=True),
            threading.Thread(target=self._look_at_page, args=(url, over)),
        ]
        self.began = time.time()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads[::2]:
                thread.join()
            self.ended = time.time()
            self._recover()

    def _recover(self) -> None:
        """Let the troubled service take what waits for it."""
        self.troubled.hangs = False
        self.troubled.listen()
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while len(self.troubled.messages) < len(self.steady.messages) and time.monotonic() < deadline:
            time.sleep(0.5)

    def _keep_schedule(self, control: VenueControl, switch: KillSwitch, over: threading.Event) -> None:
        start, cycle, compared = time.monotonic(), 0, ("", 0.0)
        while True:
            for seconds, what in _CYCLE:
                if over.wait(max(0.0, start + cycle * _CYCLE_SECONDS + seconds - time.monotonic())):
                    return
                if compared[0]:
                    self.spans[compared[0]].append((compared[1], time.time()))
                compared = (what.removeprefix("compare "), time.time()) if "compare " in what else ("", 0.0)
                self._do(what, control, switch)
                self.done[what] += 1
            cycle += 1

    def _do(self, what: str, control: VenueControl, switch: KillSwitch) -> None:
        match what:
            case "halt":
                switch.halt(HaltOrder(f"the soak's halt {self.done[what] + 1}"))
            case "resume":
                switch.resume()
            case "lose the feed":
                control.refuse_reconnect("refused", seconds=_LOSS_SECONDS)
            case "service down":
                self.troubled.shut()
            case "service hangs":
                self.troubled.hangs = True
            case "service up":
                self.troubled.hangs = False
                self.troubled.listen()

    def _read_events(self, url: str, over: threading.Event) -> None:
        """Read the page's stream as a client that is always there."""
        while not over.is_set():
            connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
            with contextlib.suppress(OSError, HTTPException):
                connection.request("GET", "/events")
                answer, last = connection.getresponse(), time.monotonic()
                while (line := answer.readline()) and not over.is_set():
                    if line.startswith(b"data:"):
                        self.events += 1
                        self.longest_silence = max(self.longest_silence, time.monotonic() - last)
                        last = time.monotonic()
            connection.close()
            over.wait(1.0)

    def _look_at_page(self, url: str, over: threading.Event) -> None:
        """Keep the page open in a browser, if there is one."""
        if not Path(CHROMIUM).exists():
            return
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
            page = browser.new_page()
            page.on("pageerror", lambda error: self.page_errors.append(str(error)))
            page.on("console", self._note)
            page.goto(url)
            while not over.is_set():
                page.wait_for_timeout(1_000)
            self.page_words = page.inner_text("body")
            browser.close()

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.page_errors.append(message.text)

    # -- What came of it --------------------------------------------------------------------------------

    def rows(self, run: Path, summary: dict[str, Any]) -> list[tuple[str, str]]:
        """Check that every message has arrived once at both services, and return the report's rows."""
        expected = self._expected()
        found = {name: self._received(service) for name, service in self._services.items()}
        faults = [f"{name} received {dict(kinds)}" for name, kinds in found.items() if kinds != expected]
        for name, service in self._services.items():
            ids = [message["message"].rpartition("\nid ")[2] for message in service.messages]
            faults += [f"{name} received a message twice"] if len(set(ids)) < len(ids) else []
        if [one["message"] for one in self.steady.messages] != [
            one["message"] for one in self.troubled.messages
        ]:
            faults.append("the services received different messages, or in another order")
        told = ", ".join(f"{kind} {count}" for kind, count in expected.items())
        faults = faults or ["each once, in order, by a service that was always up and by the troubled one"]
        waiting = {name: each["waiting"] for name, each in summary["notifications"]["services"].items()}
        down, hanging = self.done["service down"], self.done["service hangs"]
        return [
            (
                "page: events read by a client, longest silence",
                f"{self.events:,}, {self.longest_silence:.1f} s",
            ),
            (
                "page: errors in a browser that had it open",
                f"{len(self.page_errors)} {self.page_errors[:2] or ''}",
            ),
            ("notifications expected", told),
            ("notifications received", "; ".join(faults)),
            ("outages of the troubled service", f"{down} of 50 s down, {hanging} of 115 s hanging"),
            ("messages that wait at the end", str(sum(waiting.values()))),
            *self._comparison(run),
        ]

    @property
    def _services(self) -> dict[str, Service]:
        return {"the steady service": self.steady, "the troubled one": self.troubled}

    def _expected(self) -> Counter[str]:
        number = int(self.ended // self.period_seconds) - int(self.began // self.period_seconds)
        names = {"halt": "halted", "resume": "quotes again", "lose the feed": "disconnected"}
        counts = {name: self.done[what] for what, name in names.items()}
        again = {"connected again": self.done["lose the feed"]}
        return Counter(counts | again | {"summary": number, "ended": 1})

    @staticmethod
    def _received(service: Service) -> Counter[str]:
        words = ("halted", "quotes again", "disconnected", "connected again", "summary", "ended")
        titles = [message["title"] for message in service.messages]
        return Counter(next((word for word in words if word in title), title) for title in titles)

    def _comparison(self, run: Path) -> list[tuple[str, str]]:
        metrics = pq.read_table(run / "metrics.parquet", columns=["ts_event", "feed_age_seconds"])
        times, ages = _seconds(metrics), metrics["feed_age_seconds"].to_numpy()
        fills = _seconds(pq.read_table(run / "fills.parquet", columns=["ts_event"]))
        shown: dict[str, list[str]] = {"ages": [], "fills": []}
        for spans in (self.spans["hanging"], self.spans["answering"]):
            inside = _within(times, spans) & np.isfinite(ages)
            seconds = sum(end - start for start, end in spans)
            percentiles = 1e3 * np.percentile(ages[inside], [50, 99]) if inside.any() else (np.nan, np.nan)
            shown["ages"].append(f"{percentiles[0]:.1f} and {percentiles[1]:.0f} ms")
            shown["fills"].append(f"{60 * _within(fills, spans).sum() / max(seconds, 1):.1f}")
        return [
            (
                "age of the newest book event while a service hangs, while it answers (median and 99 %)",
                ", ".join(shown["ages"]),
            ),
            ("fills a minute while a service hangs, while it answers", ", ".join(shown["fills"])),
        ]


def _seconds(table: Any) -> Any:
    """Return a table's times, seconds since the epoch."""
    return table["ts_event"].to_numpy().astype("datetime64[ns]").astype("int64") / 1e9


def _within(times: Any, spans: list[tuple[float, float]]) -> Any:
    inside = np.zeros(len(times), dtype=bool)
    for start, end in spans:
        inside |= (times >= start) & (times < end)
    return inside


def _wait_for(url: str) -> None:
    """Wait until the page answers: its port is taken before the engine is built."""
    for _ in range(600):
        connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        try:
            connection.request("GET", "/api/state")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        except (OSError, HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    raise SystemExit(f"the live page at {url} did not answer")


def period(speed: float) -> float:
    """Return the wall seconds in which a day of data is played."""
    return timedelta(days=1).total_seconds() / speed
