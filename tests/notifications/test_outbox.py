"""Messages wait in a file until each service has them."""

import json
import stat
from decimal import Decimal
from pathlib import Path

import pytest

from mm_nautilus.notifications.events import Figures, Message, SymbolFigures
from mm_nautilus.notifications.outbox import KEPT_DAYS, Outbox

DAY = 86_400 * 1_000_000_000


def message(number: int) -> Message:
    return Message(f"id{number}", number, "halt", "failure", f"title {number}", "body")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.notifications.json"


def test_each_service_gets_each_message_once_in_order_over_restarts(path: Path) -> None:
    outbox = Outbox(path, ["A", "B"])
    for number in range(3):
        outbox.put([message(number)])
    outbox.taken("A", message(0))
    again = Outbox(path, ["A", "B"])
    assert (again.next("A"), again.next("B")) == (message(1), message(0))
    for number in range(3):
        assert again.next("B") == message(number)
        again.taken("B", message(number))
    assert again.next("B") is None
    assert again.counts()["A"]["waiting"] == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_periods_base_is_kept_exactly(path: Path) -> None:
    base = Figures(
        7, "USDT", Decimal("-1.10"), Decimal("0.30"), 0.5, (SymbolFigures("A/B", 1, 0, "1 B", "2 A"),)
    )
    Outbox(path, ["A"]).put([message(0)], base)
    outbox = Outbox(path, ["A"])
    outbox.put([message(1)])
    again = Outbox(path, ["A"])
    assert again.base == base
    assert again.next("A") == message(0)


def test_messages_for_a_service_that_is_no_longer_named_are_dropped_with_a_word(path: Path) -> None:
    Outbox(path, ["A", "B"]).put([message(0), message(1)])
    outbox = Outbox(path, ["B"])
    assert outbox.notes == ["notifications: 2 messages for A dropped: notify.urls no longer has it"]
    assert outbox.next("B") == message(0)


def test_order_stays_over_restarts_when_the_clock_was_set_back(path: Path) -> None:
    outbox = Outbox(path, ["A", "B"])
    outbox.put([message(9), message(5)])
    outbox.taken("A", message(9))
    outbox.put([message(1)])
    again = Outbox(path, ["A", "B"])
    for number in (5, 1):
        assert again.next("A") == message(number)
        again.taken("A", message(number))
    for number in (9, 5, 1):
        assert again.next("B") == message(number)
        again.taken("B", message(number))


def test_what_is_too_old_or_too_much_is_dropped_and_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_nautilus.notifications.outbox.MOST_WAITING", 20)
    outbox = Outbox(path, ["A"])
    dropped = [outbox.put([message(number)]) for number in range(22)]
    assert sum(dropped) == 2
    assert outbox.next("A") == message(2)
    assert outbox.drop_old("A", KEPT_DAYS * DAY + 10) == 8
    assert outbox.counts()["A"] == {"sent": 0, "waiting": 12, "dropped": 10}


WHOLE = {"message": message(0)._asdict(), "waiting_for": ["A"]}
DAMAGED = [
    *("", "[]", "\x00", "[" * 100_000, '{"version": 2}', '{"version": 1, "messages": [{}]}'),
    json.dumps({"version": 1, "messages": [WHOLE, {}], "base": None}),
    json.dumps({"version": 1, "messages": [WHOLE], "base": {}}),
    json.dumps({"version": 1, "messages": [WHOLE | {"waiting_for": "A"}], "base": None}),
    json.dumps({"version": 1, "messages": [{"message": [None] * 6, "waiting_for": ["A"]}], "base": None}),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_kept_aside_and_said(path: Path, content: str) -> None:
    path.write_text(content)
    outbox = Outbox(path, ["A"])
    (note,) = outbox.notes
    assert "cannot be read (it is damaged)" in note
    assert outbox.next("A") is None
    assert path.with_name(f"{path.name}.damaged").read_text() == content


def test_a_file_that_cannot_be_put_aside_is_said_and_ends_nothing(path: Path) -> None:
    path.write_text("{")
    (path.with_name(f"{path.name}.damaged") / "full").mkdir(parents=True)
    (note,) = Outbox(path, ["A"]).notes
    assert "could not be put aside (Is a directory)" in note


def test_a_folder_that_cannot_be_written_is_noted_and_messages_wait_in_memory(path: Path) -> None:
    outbox = Outbox(path.parent / "missing" / "x.json", ["A"])
    outbox.put([message(0)])
    assert outbox.failure is not None
    assert outbox.next("A") == message(0)
