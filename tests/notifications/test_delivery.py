"""Messages reach real services on loopback, whatever the services do, and their URLs reach nothing else."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from webhooks import SECRET, Webhook, free_port

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.notifications.events import EndEvent, GuardEvent, Message
from mm_nautilus.notifications.notifier import NotifiedRun, Notifier, try_services
from mm_nautilus.notifications.services import Sender, refuse_unusable, service_problems

SYMBOLS = tuple(f"{code}/USDT" for code in ("AAA", "BBB", "CCC"))

type MakeHook = Callable[..., Webhook]
type Begin = Callable[..., Notifier]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def begin(tmp_path: Path, said: list[str]) -> Begin:
    """Return a function that starts a notifier whose outbox lies in the test's folder."""

    def begun(*variables: str) -> Notifier:
        config = NotifyConfig(urls=list(variables))
        notifier = Notifier.open(config, tmp_path / "outbox.json", said.append, continues=True)
        notifier.start(NotifiedRun("run", SYMBOLS, is_simulated=True))
        return notifier

    return begun


def halt(notifier: Notifier, symbol: str) -> None:
    notifier.put(GuardEvent(time.time_ns(), symbol, "halted", f"why of {symbol}", flattens=False))


def end(notifier: Notifier, seconds: float = 30.0) -> None:
    notifier.end(EndEvent(time.time_ns(), "completed", "over", None))
    notifier.close(time.monotonic() + seconds)


def assert_kept_secret(folder: Path, said: list[str]) -> None:
    assert SECRET not in "".join(said)
    assert not any(SECRET.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_service_that_is_down_for_a_while_gets_all_once_in_order(
    hook: MakeHook, begin: Begin, said: list[str], tmp_path: Path
) -> None:
    service = hook("HOOK")
    service.shut()
    notifier = begin("HOOK")
    for symbol in SYMBOLS:
        halt(notifier, symbol)
    deadline = time.monotonic() + 60
    while not said and time.monotonic() < deadline:
        time.sleep(0.02)
    service.begin()
    service.wait_for("halted", len(SYMBOLS))
    end(notifier)
    assert service.titles == [
        *(f"run: halted: {symbol} (SIMULATED market data)" for symbol in SYMBOLS),
        "run: the run has ended: completed (SIMULATED market data)",
    ]
    assert said == [
        "notifications: HOOK has not taken a message: it cannot be reached, or did not answer; it is tried again, "
        "and later ones wait",
        "notifications: HOOK takes messages again",
    ]
    assert notifier.summary["services"] == {"HOOK": {"sent": 4, "waiting": 0, "dropped": 0, "failure": None}}
    assert_kept_secret(tmp_path, said)


@pytest.mark.parametrize(
    "mood",
    [
        500,
        pytest.param(429, marks=pytest.mark.long),
        pytest.param("hangs", marks=pytest.mark.long),
        pytest.param("trickles", marks=pytest.mark.long),
    ],
)
def test_a_service_that_does_not_take_messages_holds_up_no_other_and_the_next_run_sends_them(
    hook: MakeHook, begin: Begin, said: list[str], tmp_path: Path, mood: str | int
) -> None:
    bad, good = hook("BAD", mood), hook("GOOD")
    notifier = begin("BAD", "GOOD")
    halt(notifier, SYMBOLS[0])
    good.wait_for("halted")
    bad.wait_until(lambda service: service.tries > 0, "a try")
    began = time.monotonic()
    end(notifier, 3.0)
    assert time.monotonic() - began < 4.0
    assert bad.messages == []
    assert notifier.summary["services"]["BAD"]["waiting"] == 2
    if isinstance(mood, int):
        assert notifier.summary["services"]["BAD"]["failure"] == f"it answered with HTTP status {mood}"
    bad.mood = "takes"  # now, and none that was on its way arrives a second time
    again = begin("BAD", "GOOD")
    for each in (bad, good):  # on a busy machine the good one's last message may have waited, too
        each.wait_for("the run has ended")
    again.close(time.monotonic())
    assert [one["message"] for one in bad.messages] == [one["message"] for one in good.messages]
    assert [one["title"].split(" (")[0] for one in good.messages] == [
        f"run: halted: {SYMBOLS[0]}",
        "run: the run has ended: completed",
    ]
    assert_kept_secret(tmp_path, said)


@pytest.mark.long
@pytest.mark.parametrize("mood", ["hangs", "trickles"])
def test_a_service_that_hangs_is_given_up_and_tried_again(hook: MakeHook, begin: Begin, mood: str) -> None:
    service = hook("HOOK", mood)
    notifier = begin("HOOK")
    halt(notifier, SYMBOLS[0])
    service.wait_until(lambda one: one.tries == 2, "another try")
    assert "answer" in notifier.summary["services"]["HOOK"]["failure"]
    service.mood = "takes"
    service.wait_for("halted")
    end(notifier)
    assert len(service.having("halted")) == 1


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1"])
def test_a_host_that_is_not_there_keeps_messages_waiting(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv("HOOK", f"json://{SECRET}@{host}:{free_port()}/{SECRET}")
    notifier = begin("HOOK")
    halt(notifier, SYMBOLS[0])
    end(notifier)
    assert notifier.summary["services"]["HOOK"]["waiting"] == 2
    began = time.monotonic()
    notifier.close(began + 30.0)
    assert time.monotonic() - began < 5.0, "it is closed already"
    assert_kept_secret(tmp_path, said)


def test_a_run_that_was_killed_is_reported_by_the_next_one(hook: MakeHook, begin: Begin) -> None:
    service = hook("HOOK")
    begin("HOOK").close(time.monotonic())  # without an end, as after a kill
    notifier = begin("HOOK")
    (one,) = [service.wait_for("ended without an end")]
    assert "it was killed, or crashed; this one continues from its state" in one["message"]
    end(notifier)
    end(begin("HOOK"))
    assert len(service.having("ended without an end")) == 1


def test_messages_that_wait_are_told_once_with_their_reason(
    hook: MakeHook, begin: Begin, said: list[str]
) -> None:
    hook("HOOK", "hangs")
    hook("OTHER", "hangs")
    end(begin("HOOK", "OTHER"), 0.5)
    words = "until the next run: there was no time left at the end"
    assert said == [f"notifications: 1 message waits for {name} {words}" for name in ("HOOK", "OTHER")]
    begin("HOOK", "OTHER").close(time.monotonic())
    assert "notifications: 1 message of earlier runs will be sent" in said


def test_taking_an_event_costs_microseconds(begin: Begin, hook: MakeHook) -> None:
    hook("HOOK", "hangs")
    notifier = begin("HOOK")
    events = [
        GuardEvent(number, SYMBOLS[0], "paused", "stale book", flattens=False) for number in range(5_000)
    ]
    began = time.perf_counter()
    for event in events:
        notifier.put(event)
    assert (time.perf_counter() - began) / len(events) < 200e-6
    notifier.close(time.monotonic())


def test_a_test_message_says_what_was_not_taken(hook: MakeHook) -> None:
    good = hook("GOOD")
    hook("BAD", 500)
    assert try_services(["GOOD", "BAD"], "run") == {"GOOD": None, "BAD": "it answered with HTTP status 500"}
    (one,) = good.messages
    assert one["title"] == "run: test message"


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(hook: MakeHook, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    service, other = hook("HOOK", status), hook("OTHER")
    service.elsewhere = f"http://127.0.0.1:{other.port}/"
    monkeypatch.setenv("HOOK", f"{service.url}&redirect=yes")
    words = f"it answers with a redirect (HTTP status {status}), which is not followed"
    assert try_services(["HOOK"], "run") == {"HOOK": words}
    assert (service.tries, other.tries, other.visits) == (1, 0, 0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "was not set"),
        ("", "was empty"),
        (f"nonsense-{SECRET}", "holds no URL that Apprise can use"),
        (f"nosuchscheme://{SECRET}@host", "holds no URL that Apprise can use"),
        (f"tgram://{SECRET}", "holds no URL that Apprise can use"),
        (f"json://a/{SECRET}, json://b/{SECRET}", "holds 2 URLs, not one"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(value: str | None, words: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "HOOK"}
    environment |= {} if value is None else {"HOOK": value}
    (problem,) = service_problems(["HOOK"], environment)
    assert problem == (
        f"notify.urls: the environment variable HOOK must hold the Apprise URL of one service; it {words}"
    )


def test_a_missing_extra_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'mm-nautilus\[notify\]'"):
        refuse_unusable(["HOOK"])


def test_a_process_that_cannot_be_started_is_a_message_that_is_not_taken() -> None:
    environment = {"HOOK": f"json://127.0.0.1/{SECRET}", "LARGE": "x" * 4_000_000}
    why = Sender("HOOK").send(Message("1", 1, "halt", "failure", "title", "body"), environment)
    assert why == "the process that sends it could not be started: Argument list too long"
    (problem,) = service_problems(["HOOK"], environment)
    assert problem.endswith("could not be started: Argument list too long")
