"""The live page's server on a real socket: what it answers, whom it refuses, how it ends."""

import http.client
import importlib.util
import json
import logging
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from live_states import CROSS, FIGURES, FILL, RUN, START_NS, XRP, eventful_state

from mm_nautilus.config.sandbox import WebConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.live_view import connections
from mm_nautilus.live_view.app import live_page
from mm_nautilus.live_view.connections import most_connections
from mm_nautilus.live_view.state import GuardNote, LiveState
from mm_nautilus.live_view.web import LivePage
from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch

TOKEN = "correct-horse-battery"  # noqa: S105
VARIABLE = "MM_NAUTILUS_WEB_TOKEN"
PATIENCE_SECONDS = 120.0
MOST_LISTENERS = 32
JSON_TYPE = {"content-type": "application/json"}
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Served:
    """A page that is served, and what talks to it."""

    def __init__(self, page: LivePage, state: LiveState, folder: Path) -> None:
        self.page, self.state, self.folder = page, state, folder
        self.port = int(page.url.rstrip("/").rpartition(":")[2])
        self.kill_switch = KillSwitch(folder / "probe.json")
        self.failures: list[str] = []

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        connection = self.connect()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), given)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        text = answer.read().decode()
        connection.close()
        return Answer(answer.status, found, text)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Post as the page itself does."""
        given = {"origin": self.origin, "content_type": "application/json"} | headers
        return self.ask(path, "POST", body, **given)


class Events:
    """A browser that listens."""

    def __init__(self, served: Served, path: str = "/events", **headers: str) -> None:
        self._connection = served.connect()
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()

    def next(self) -> tuple[str, Any]:
        """Return name and data of the next event."""
        name = ""
        while line := self.answer.readline().decode():
            kind, _, value = line.rstrip("\n").partition(": ")
            if kind == "event":
                name = value
            elif kind == "data":
                return name, json.loads(value)
        return "end", None

    def until(self, name: str, holds: Callable[[Any], bool] = lambda _data: True) -> Any:
        """Return the data of the first event of a name of which something holds."""
        while True:
            found, data = self.next()
            assert found != "end", f"the stream ended before such a {name}"
            if found == name and holds(data):
                return data

    def close(self) -> None:
        self._connection.close()


@contextmanager
def serving(folder: Path, environment: dict[str, str] | None = None, **config: Any) -> Iterator[Served]:
    page = LivePage.open(WebConfig(**{"port": 0, **config}), environment or {})
    try:
        served = Served(page, eventful_state(), folder)
        page.begin(served.state, folder, served.kill_switch, served.failures.append)
        yield served
    finally:
        page.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as page:
        yield page


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, {VARIABLE: TOKEN}, halt=True) as page:
        yield page


# -- What is shown ------------------------------------------------------------------------------------------


def test_page_brings_all_it_needs_and_may_not_ask_others(served: Served) -> None:
    answer = served.ask("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{RUN.name}</h1>" in answer.text
    addresses = set(re.findall(r"https?://[^\s\"']+", answer.text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nobody opens
    assert not any(words in answer.text for words in (" src=", "@import", "url("))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/api/state", "/healthz", "/nothing"])
def test_no_answer_is_kept_framed_or_guessed_at(served: Served, path: str) -> None:
    headers = served.ask(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_state_is_one_document(served: Served) -> None:
    (served.folder / "run_1.log").write_text("first\nlast\n", encoding="utf-8")
    document = json.loads(served.ask("/api/state").text)
    assert document["run"]["name"] == "probe"
    assert document["account"]["figures"]["equity"]["text"] == "$1000.50"
    assert [fill["id"] for fill in document["fills"]] == ["O-1"]
    assert document["curve"]["equity"]["value"] == [1000.0, 999.0, 1000.5]
    assert document["log"] == ["first", "last"]
    assert served.ask("/healthz").text == "ok\n"


def test_a_name_in_the_page_is_no_markup() -> None:
    page = live_page("<script>alert(1)</script>", can_halt=False)
    assert "<script>alert(1)" not in page.html


def test_listeners_get_everything_and_then_a_fill_at_once(served: Served) -> None:
    events = Events(served)
    assert events.answer.getheader("content-type", "").startswith("text/event-stream")
    names = {events.next()[0] for _ in range(6)}
    assert names == {"prices", "state", "fills", "days", "log", "curve"}
    served.state.on_fill(FILL._replace(correlation_id="O-2"))
    fills = events.until("fills", lambda fills: len(fills) == 2)
    assert [fill["id"] for fill in fills] == ["O-2", "O-1"]
    served.state.on_metrics(FIGURES | {"fills": 4})
    state = events.until("state", lambda state: state["symbols"][0]["figures"]["fills"]["value"] == 4)
    assert state["symbols"][0]["symbol"] == XRP
    events.close()


def test_age_of_a_silent_feed_grows_from_state_to_state(served: Served) -> None:
    events = Events(served)
    ages = [events.until("state")["symbols"][0]["feed_age_seconds"] for _ in range(3)]
    assert ages == sorted(set(ages))
    events.close()


def test_only_so_many_listen_and_the_first_makes_room(served: Served) -> None:
    listeners = [Events(served) for _ in range(MOST_LISTENERS + 2)]
    for listener in listeners[2:]:
        listener.until("state")
    for listener in listeners[:2]:
        while listener.next()[0] != "end":
            pass
    served.state.on_fill(FILL._replace(correlation_id="O-2"))
    for listener in listeners[2:]:
        listener.until("fills", lambda fills: len(fills) == 2)
        listener.close()


def test_there_is_nothing_to_change(served: Served) -> None:
    for path in ("/", "/api/state", "/events", "/healthz"):
        assert served.post(path, {}).status == 405
    for path in ("/api/halt", "/sign-in", "/api/resume"):
        assert served.post(path, {"flatten": False, "halted": [XRP]}).status == 404
    assert served.kill_switch.order() is None
    assert not any(f'id="{name}"' in served.ask("/").text for name in ("halt", "resume"))


# -- Who is answered ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", ""])
@pytest.mark.parametrize("path", ["/", "/api/state", "/events", "/healthz"])
def test_other_names_that_point_here_are_not_answered(served: Served, host: str, path: str) -> None:
    answer = served.ask(path, host=host)
    assert answer.status == 421
    assert "probe" not in answer.text


@pytest.mark.parametrize("path", ["/api/state", "/events", "/healthz", "/nothing"])
@pytest.mark.parametrize(
    "wrong", [{}, {"authorization": f"Bearer {TOKEN[:-1]}"}, {"cookie": f"token={TOKEN}"}]
)
def test_every_request_needs_the_token(locked: Served, path: str, wrong: dict[str, str]) -> None:
    answer = locked.ask(path, **wrong)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    right = Events(locked, path, **BEARER)
    assert right.answer.status == (404 if path == "/nothing" else 200)
    right.close()


def test_a_token_in_an_address_is_no_token(locked: Served) -> None:
    for path in (f"/api/state?token={TOKEN}", f"/?token={TOKEN}"):
        assert locked.ask(path).status == 401


def test_without_the_token_there_is_a_sign_in_that_tells_nothing_of_the_run(locked: Served) -> None:
    answer = locked.ask("/")
    assert answer.status == 401
    assert 'type="password"' in answer.text
    assert VARIABLE in answer.text
    assert not any(words in answer.text for words in (RUN.name, XRP, TOKEN, "Halt"))


def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(locked: Served) -> None:
    answer = locked.post("/sign-in", {"token": TOKEN})
    assert answer.status == 204
    cookie, *attributes = (part.strip() for part in answer.headers["set-cookie"].split(";"))
    assert {"httponly", "samesite=strict", "path=/"} <= {attribute.lower() for attribute in attributes}
    assert TOKEN not in cookie
    assert str(locked.port) in cookie.partition("=")[0]
    assert locked.ask("/api/state", cookie=cookie).status == 200
    assert f"<h1>{RUN.name}</h1>" in locked.ask("/", cookie=cookie).text


@pytest.mark.parametrize(
    "body", [{"token": TOKEN + "x"}, {"token": None}, {"token": [TOKEN]}, {}, [TOKEN], {"token": "x" * 9_000}]
)
def test_a_wrong_token_does_not_sign_in(locked: Served, body: Any) -> None:
    answer = locked.post("/sign-in", body)
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_nobody_signs_in_from_elsewhere(locked: Served) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
        assert locked.post("/sign-in", {"token": TOKEN}, **headers).status == 403
    assert locked.ask("/sign-in", "POST", {"token": TOKEN}, **JSON_TYPE).status == 403
    assert locked.post("/sign-in", {"token": TOKEN}, content_type="text/plain").status == 401


@pytest.mark.parametrize("body", [r'{"token": "\ud800"}', "[" * 4_000, '{"token": 1', '{"token": 1e999}'])
def test_odd_texts_are_no_token_and_no_fault(locked: Served, body: str) -> None:
    connection = locked.connect()
    connection.request("POST", "/sign-in", body, {"origin": locked.origin, **JSON_TYPE})
    assert connection.getresponse().status == 401
    connection.close()
    assert locked.failures == []


def test_many_wrong_tokens_do_not_keep_the_right_one_waiting(
    locked: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_nautilus.live_view.app._REFUSAL_SECONDS", 0.1)
    connections = [locked.connect() for _ in range(20)]
    for connection in connections:
        headers = {"origin": locked.origin, **JSON_TYPE}
        connection.request("POST", "/sign-in", json.dumps({"token": "x" * 20}), headers)
    assert locked.post("/sign-in", {"token": TOKEN}).status == 204
    statuses = [connection.getresponse().status for connection in connections]
    assert {401, 429} == set(statuses)
    for connection in connections:
        connection.close()


# -- Connections --------------------------------------------------------------------------------------------

HALF_A_REQUEST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


def opened(served: Served, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS)
    connection.sendall(sent)
    return connection


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def has_ended(connection: socket.socket) -> bool:
    """Wait for what comes next, and return whether that is the end."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_idle_connections_make_room_for_whoever_comes(locked: Served) -> None:
    most = most_connections()
    events = Events(locked, **BEARER)
    idle = [opened(locked, HALF_A_REQUEST if number % 2 else b"") for number in range(most + 20)]
    assert locked.ask("/api/halt", "POST", {"flatten": False}, **BEARER, **JSON_TYPE).status == 200
    for connection in idle[:20]:
        assert has_ended(connection)
    handles = open_files()
    idle += [opened(locked) for _ in range(30)]
    assert locked.ask("/healthz", **BEARER).status == 200
    assert open_files() < handles + 90
    locked.state.on_fill(FILL._replace(correlation_id="O-2"))
    events.until("fills", lambda fills: len(fills) == 2)
    events.close()
    for connection in idle:
        connection.close()
    assert locked.failures == []


def test_connections_may_have_a_quarter_of_the_file_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((64, 16), (256, 64), (1_024, 100), (-1, 100)):
        monkeypatch.setattr(resource, "getrlimit", lambda _kind, soft=soft: (soft, -1))
        assert most_connections() == most


TRICKLES = {
    "nothing": (b"", b""),
    "head": (HALF_A_REQUEST, b"a: b\r\n"),
    "second head": (HALF_A_REQUEST + b"\r\n" + HALF_A_REQUEST, b"a: b\r\n"),
    "body": (
        b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n"
        b"content-type: application/json\r\ncontent-length: 4000\r\n\r\n",
        b" ",
    ),
    "refused body": (b"POST /api/halt HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n\r\n", b" "),
}


@pytest.mark.parametrize("name", TRICKLES)
def test_a_request_that_does_not_arrive_is_not_waited_for(
    locked: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(connections, "_PATIENCE_SECONDS", 0.3)
    begin, more = TRICKLES[name]
    connection = opened(locked, begin)
    connection.settimeout(0.02)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            connection.sendall(more)
            if not connection.recv(65_536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        pytest.fail("the connection is still open")
    connection.close()
    assert locked.ask("/healthz", **BEARER).status == 200
    assert locked.failures == []


def test_a_browser_that_takes_nothing_is_not_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PATIENCE_SECONDS", 0.3)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", served.port))
    connection.settimeout(PATIENCE_SECONDS)
    # The answers are more than sockets hold: requests are read no more, and then the server gives up.
    requests = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200_000
    with pytest.raises(OSError, match=r"Connection reset|Broken pipe"):
        connection.sendall(requests)
    connection.close()
    events = Events(served)  # which is read, and outlives the patience
    for _ in range(2):
        events.until("state")
    events.close()
    assert served.failures == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n\x00\xff\r\n\r\n",
        b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\nGARBAGE\r\n\r\n",
        b"GET /%ED%A0%80?%ff HTTP/1.1\r\nhost: \xed\xa0\x80\r\ncookie: \xff\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 100_000,
    ],
)
def test_what_is_no_request_is_no_fault(served: Served, sent: bytes) -> None:
    connection = opened(served, sent)
    connection.recv(65_536)
    connection.close()
    assert served.ask("/healthz").status == 200
    assert served.failures == []


# -- The kill switch ----------------------------------------------------------------------------------------


def cookie_of(served: Served) -> str:
    return served.post("/sign-in", {"token": TOKEN}).headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("flatten", [True, False])
def test_the_page_halts_through_the_kill_switch(locked: Served, flatten: bool) -> None:
    answer = locked.post("/api/halt", {"flatten": flatten}, cookie=cookie_of(locked))
    assert answer.status == 200
    told = {"reason": "the live page", "flatten": flatten}
    assert json.loads(answer.text) == {"halt_file": str(locked.kill_switch.halt_path), **told}
    assert locked.kill_switch.order() == HaltOrder("the live page", flatten)


def test_a_program_halts_with_the_token_in_a_header(locked: Served) -> None:
    assert locked.ask("/api/halt", "POST", {"flatten": False}, **BEARER, **JSON_TYPE).status == 200
    assert locked.kill_switch.order() == HaltOrder("the live page", flatten=False)


def test_nobody_else_halts(locked: Served) -> None:
    cookie, body = cookie_of(locked), {"flatten": True}
    assert locked.post("/api/halt", body).status == 401
    assert locked.post("/api/halt", body, cookie=cookie, origin="http://evil.example").status == 403
    assert locked.post("/api/halt", body, cookie=cookie, sec_fetch_site="same-site").status == 403
    assert locked.ask("/api/halt", "POST", body, cookie=cookie, **JSON_TYPE).status == 403
    assert locked.post("/api/halt", body, cookie=cookie, content_type="text/plain").status == 400
    for wrong in ({}, {"flatten": "yes"}, {"flatten": None}, [True]):
        assert locked.post("/api/halt", wrong, cookie=cookie).status == 400
    assert locked.ask("/api/halt", cookie=cookie).status == 405
    assert locked.kill_switch.order() is None


def halted(served: Served, *symbols: str) -> None:
    """Let symbols be halted."""
    for symbol in symbols:
        served.state.on_guard(GuardNote(START_NS, symbol, "halted", "halted after a drawdown: 5.02 %"))


def test_the_page_resumes_what_it_has_confirmed(locked: Served) -> None:
    halted(locked, XRP)
    locked.kill_switch.halt(HaltOrder("a test"))
    answer = locked.post("/api/resume", {"halted": [XRP]}, cookie=cookie_of(locked))
    assert answer.status == 200
    assert json.loads(answer.text) == {
        "resume_file": str(locked.kill_switch.resume_path),
        "halted": [XRP],
    }
    assert locked.kill_switch.is_resume_wanted
    assert locked.kill_switch.resume_reason() == "the live page"
    assert locked.kill_switch.order() is None


def test_what_was_halted_since_is_not_resumed(locked: Served) -> None:
    cookie = cookie_of(locked)
    nothing = locked.post("/api/resume", {"halted": []}, cookie=cookie)
    assert (nothing.status, nothing.text) == (409, "nothing is halted\n")
    halted(locked, XRP, CROSS)
    for known in ([], [XRP], [XRP, CROSS, "BTC/USDT"]):
        answer = locked.post("/api/resume", {"halted": known}, cookie=cookie)
        assert answer.status == 409
        assert answer.text == f"other symbols are halted by now, look again: {XRP}, {CROSS}\n"
    assert not locked.kill_switch.is_resume_wanted
    assert locked.post("/api/resume", {"halted": [CROSS, XRP]}, cookie=cookie).status == 200


def test_nobody_else_resumes(locked: Served) -> None:
    halted(locked, XRP)
    cookie, body = cookie_of(locked), {"halted": [XRP]}
    assert locked.post("/api/resume", body).status == 401
    assert locked.post("/api/resume", body, cookie=cookie, origin="http://evil.example").status == 403
    assert locked.post("/api/resume", body, cookie=cookie, sec_fetch_site="same-site").status == 403
    assert locked.ask("/api/resume", "POST", body, cookie=cookie, **JSON_TYPE).status == 403
    assert locked.post("/api/resume", body, cookie=cookie, content_type="text/plain").status == 400
    for wrong in ({}, {"halted": XRP}, {"halted": [1]}, {"halted": None}, [XRP]):
        assert locked.post("/api/resume", wrong, cookie=cookie).status == 400
    assert locked.ask("/api/resume", cookie=cookie).status == 405
    assert not locked.kill_switch.is_resume_wanted


def test_a_resume_that_cannot_be_written_is_told(locked: Served) -> None:
    halted(locked, XRP)
    locked.kill_switch.resume_path.mkdir()
    answer = locked.post("/api/resume", {"halted": [XRP]}, cookie=cookie_of(locked))
    assert answer.status == 500
    assert f"{locked.kill_switch.resume_path} cannot be written" in answer.text
    assert locked.failures == []


def test_a_halt_that_cannot_be_written_is_told(locked: Served) -> None:
    locked.kill_switch.halt_path.mkdir()
    answer = locked.post("/api/halt", {"flatten": False}, cookie=cookie_of(locked))
    assert answer.status == 500
    assert f"{locked.kill_switch.halt_path} cannot be written" in answer.text
    assert locked.failures == []


# -- Beginning and end --------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_refused_before_anything_begins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"127.0.0.1 port {port}: .*\(--web-port\), 0 takes a free one"
        ):
            LivePage.open(WebConfig(port=port), {})


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"web: 192\.0\.2\.1 port 0: the live page cannot listen there"):
        LivePage.open(WebConfig(host="192.0.2.1", port=0), {VARIABLE: TOKEN})
    with pytest.raises(
        ConfigError, match=r"no-such-host\.invalid port 0: .* must be an address of this machine"
    ):
        LivePage.open(WebConfig(host="no-such-host.invalid", port=0), {VARIABLE: TOKEN})


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else known(name))
    with pytest.raises(ConfigError, match=r"pip install 'mm-nautilus\[web\]'"):
        LivePage.open(WebConfig(port=0), {})


def test_the_end_is_shown_and_closes_every_stream_and_the_port(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        streams = [Events(served) for _ in range(3)]
        for stream in streams:
            stream.until("state")
        idle = served.connect()
        idle.connect()
        served.state.on_metrics(FIGURES | {"fills": 99})
        served.state.set_status("completed", "the configured duration is over")
        served.page.close()
        for stream in streams:
            last = stream.until("state", lambda state: state["has_ended"])
            assert last["symbols"][0]["figures"]["fills"]["value"] == 99
            assert stream.next() == ("end", None)
        with pytest.raises(ConnectionRefusedError):
            served.connect().connect()
        idle.close()
        with socket.create_server(("127.0.0.1", served.port)):
            pass
    assert served.failures == []
    assert "live-page" not in {thread.name for thread in threading.enumerate()}


def test_a_page_that_never_began_gives_its_port_back() -> None:
    page = LivePage.open(WebConfig(port=0), {})
    port = int(page.url.rstrip("/").rpartition(":")[2])
    page.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_fault_is_told_once_and_the_server_goes_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = RuntimeError("planted")

    def fail(_self: object) -> None:
        raise broken

    monkeypatch.setattr("mm_nautilus.live_view.publisher.Publisher.document", fail)
    assert [served.ask("/api/state").status for _ in range(3)] == [500] * 3
    assert served.ask("/healthz").status == 200
    assert served.failures == ["the live page failed, the run continues: RuntimeError: planted"]
    assert served.page.summary["failure"] == "RuntimeError: planted"


def test_a_server_that_breaks_is_told_and_its_end_is_quick(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_state: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("mm_nautilus.live_view.publisher.state_document", fail)
    with pytest.raises((http.client.HTTPException, OSError, AssertionError)):
        Events(served).until("state")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not served.failures:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert served.failures == ["the live page failed, the run continues: RuntimeError: planted"]


def test_summary_and_words_say_where_it_is_and_never_the_token(locked: Served) -> None:
    assert locked.page.summary == {
        "url": f"http://127.0.0.1:{locked.port}/",
        "needs_token": True,
        "can_halt": True,
        "failure": None,
    }
    assert locked.page.words == f"live page: http://127.0.0.1:{locked.port}/ (needs the token in {VARIABLE})"


def test_the_servers_own_log_is_left_as_it_was(tmp_path: Path) -> None:
    logger = logging.getLogger("uvicorn.error")
    before = (list(logger.handlers), logger.propagate)
    with serving(tmp_path) as served:
        served.ask("/healthz")
    assert (list(logger.handlers), logger.propagate) == before


def test_the_default_environment_is_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, VARIABLE, TOKEN)
    page = LivePage.open(WebConfig(port=0))
    assert page.summary["needs_token"]
    page.close()
