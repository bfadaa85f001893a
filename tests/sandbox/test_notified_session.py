"""A session calls its owner: each event once, none lost, and the services' URLs are told to nobody."""

import json
import re
import signal
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sandbox_sessions import LeftBehind, configuration, is_held, quotes, session_of
from webhooks import SECRET, Webhook

from mm_nautilus.mock_kraken.process import VenueProcess
from mm_nautilus.notifications.events import Message

SIMULATED = "(SIMULATED market data)"


def overrides(*variables: str) -> list[str]:
    return [f"notify.urls=[{', '.join(variables)}]", "notify.disconnect_seconds=1", "output.log_level=DEBUG"]


def kinds(service: Webhook) -> list[str]:
    """Return the messages' titles without the run's name and what it trades on."""
    return [title.removeprefix("faults: ").removesuffix(f" {SIMULATED}") for title in service.titles]


def api_state(url: str) -> str:
    """Return what the live page says to programs."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", "/api/state")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def waiting(folder: Path, service: str) -> dict[str, Any]:
    """Return the one message that waits for a service."""
    entries = json.loads((folder / "state" / "faults.notifications.json").read_text("utf-8"))["messages"]
    (message,) = [Message(*entry["message"]) for entry in entries if service in entry["waiting_for"]]
    return message._asdict()


def assert_kept_secret(folder: Path, *texts: str) -> None:
    assert not any(SECRET in text for text in texts)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"summary.json", "config.yaml", "faults.notifications.json"} <= {file.name for file in files}
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == []


@pytest.mark.long
def test_halt_resume_loss_and_end_arrive_once_each_while_another_service_hangs(
    venue: VenueProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    config = configuration(tmp_path, venue)
    with Webhook() as service, Webhook("hangs") as hanging:
        monkeypatch.setenv("OWNER", service.url)
        monkeypatch.setenv("HANGING", hanging.url)
        words = [*overrides("OWNER", "HANGING"), "web.enabled=true", "web.port=0"]
        with session_of(config, *words) as session:
            page = re.search(r"http://\S+/", session.read_until("live page: "))
            session.wait_until(quotes, "quotes")
            assert command("halt", config, "--reason", "good night", "--flatten")[0] == 0
            session.wait_until(lambda report: is_held(report, "halted by the kill switch"), "the halt")
            assert "good night" in service.wait_for("halted:")["message"]
            assert command("resume", config)[0] == 0
            before = session.wait_until(quotes, "quotes again")
            service.wait_for("quotes again:")
            venue.control.refuse_reconnect("refused")
            service.wait_for("the feed is disconnected")
            venue.control.clear_faults()
            service.wait_for("connected again")
            after = session.wait_until(quotes, "quotes after the loss")
            assert after["symbols"]["XRP/USDT"]["book_events"] > before["symbols"]["XRP/USDT"]["book_events"]
            hanging.wait_until(lambda one: one.tries > 0, "a message that nobody answers")
            assert page is not None
            shown = api_state(page[0])
            began = time.monotonic()
            assert session.end() == 143
            assert time.monotonic() - began < 5.0
            assert_kept_secret(tmp_path, shown, session.errors, *session.said)
        symbols = "XRP/USDT, BTC/USDT, XRP/BTC"
        left = LeftBehind(tmp_path).summary["notifications"]["services"]
        assert left["OWNER"]["sent"] + left["OWNER"]["waiting"] == 5
        if left["OWNER"]["waiting"]:  # a busy machine had no time left: the next run sends it
            service.messages += [{"title": waiting(tmp_path, "OWNER")["title"]}]
        assert kinds(service) == [
            f"halted: {symbols}",
            f"quotes again: {symbols}",
            "the feed is disconnected",
            "the feed is connected again",
            "the run has ended: interrupted",
        ]
        assert "positions are closed at market" in service.messages[0]["message"]
        assert left["HANGING"]["waiting"] == 5
        assert hanging.messages == []


@pytest.mark.long
def test_what_waited_when_a_session_was_killed_is_sent_by_the_next_one(
    venue: VenueProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    config = configuration(tmp_path, venue)
    outbox = tmp_path / "state" / "faults.notifications.json"
    with Webhook() as service:
        service.shut()
        monkeypatch.setenv("OWNER", service.url)
        with session_of(config, *overrides("OWNER")) as session:
            session.wait_until(quotes, "quotes")
            assert command("halt", config)[0] == 0
            session.wait_until(lambda report: is_held(report, "halted by the kill switch"), "the halt")
            session.wait_until(
                lambda _: outbox.exists() and "halted" in outbox.read_text("utf-8"), "the message"
            )
            session.process.send_signal(signal.SIGKILL)
            assert session.wait() == -signal.SIGKILL
            assert_kept_secret(tmp_path, session.errors, *session.said)
        halt = waiting(tmp_path, "OWNER")
        service.begin()
        with session_of(config, *overrides("OWNER")) as session:
            session.read_until("1 message of earlier runs will be sent")
            service.wait_for("halted:", 2)
            service.wait_for("ended without an end")
            assert session.end() == 143
        assert f"{halt['body']}\nid {halt['id']}" == service.messages[0]["message"]
        assert "ended without an end" in service.messages[1]["title"]
        assert "halted by the kill switch" in service.messages[2]["message"]
        if len(service.messages) == 3:  # a busy machine had no time left: the next run sends it
            service.messages += [{"title": waiting(tmp_path, "OWNER")["title"]}]
        assert kinds(service)[3:] == ["the run has ended: interrupted"]
