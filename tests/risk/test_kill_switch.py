import json
import os
from pathlib import Path

import pytest

from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch


@pytest.fixture
def switch(tmp_path) -> KillSwitch:
    return KillSwitch(tmp_path / "state" / "sandbox.json")


def test_nothing_is_asked_for_at_first(switch):
    assert switch.order() is None
    assert not switch.is_resume_wanted


@pytest.mark.parametrize("flatten", [None, True, False])
def test_a_halt_is_read_as_it_was_written(switch, flatten):
    switch.halt(HaltOrder("somebody said so", flatten))
    assert switch.order() == HaltOrder("somebody said so", flatten)
    assert [path.name for path in switch.halt_path.parent.iterdir()] == ["sandbox.halt"]


@pytest.mark.parametrize(
    ("content", "order"),
    [
        ("", HaltOrder("the halt file")),
        ("stop it\n  please", HaltOrder("the halt file: stop it please")),
        ("[1, 2]", HaltOrder("the halt file: [1, 2]")),
        ('{"flatten": true}', HaltOrder("the halt file", True)),
        ('{"reason": "fire", "flatten": "yes"}', HaltOrder("fire", None)),
        ('{"reason": "cut o', HaltOrder('the halt file: {"reason": "cut o')),
        (b"\xff\xfe", HaltOrder("the halt file: \ufffd\ufffd")),
        ("[" * 100_000, HaltOrder("the halt file: " + "[" * 200)),
        ('{"a":' * 100_000, HaltOrder("the halt file: " + '{"a":' * 40)),
        ('{"reason": [1]}', HaltOrder("the halt file")),
        ('{"reason": "\\u001b[2J\\n\\ud800\\u202e"}', HaltOrder(r"\x1b[2J\n\ud800\u202e")),
        ("\x1b]0;owned\x07", HaltOrder(r"the halt file: \x1b]0;owned\x07")),
    ],
)
def test_a_file_made_by_hand_halts_whatever_is_in_it(switch, content, order):
    switch.halt_path.parent.mkdir()
    switch.halt_path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert switch.order() == order


def make_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/nonexistent"),
        make_loop,
        lambda path: path.symlink_to("/dev/tty"),
        lambda path: path.symlink_to(path.parent),
    ],
    ids=["folder", "pipe", "link to nowhere", "link to itself", "link to a device", "link to a folder"],
)
def test_whatever_has_the_halt_files_name_halts_at_once_and_can_be_replaced(switch, make):
    switch.halt_path.parent.mkdir(parents=True)
    switch.resume("the resume command")
    make(switch.halt_path)
    order = switch.order()
    assert order is not None
    assert order.flatten is None
    assert "the halt file, which cannot be read: " in order.reason
    assert not switch.is_resume_wanted
    if make is not Path.mkdir:
        switch.halt(HaltOrder("x"))
        assert switch.order() == HaltOrder("x")


def test_halt_and_resume_are_nobody_elses_to_read(switch):
    for act in (lambda: switch.halt(HaltOrder("x")), lambda: switch.resume("y")):
        act()
        assert [path.stat().st_mode & 0o777 for path in switch.halt_path.parent.iterdir()] == [0o600]


def test_a_resume_clears_the_halt_and_is_taken_once(switch):
    switch.halt(HaltOrder("x"))
    switch.resume("the resume command")
    assert switch.order() is None
    assert switch.is_resume_wanted
    assert switch.resume_reason() == "the resume command"
    for content in ("", "[]", '{"reason": 5}', "{"):
        switch.resume_path.write_text(content, encoding="utf-8")
        assert switch.resume_reason() == "the resume file"

    switch.resume_path.unlink()
    assert not switch.is_resume_wanted


def test_a_later_halt_outdoes_a_resume_that_nobody_has_taken(switch):
    switch.resume("the resume command")
    switch.halt(HaltOrder("x"))
    assert not switch.is_resume_wanted
    assert not switch.resume_path.exists()


def test_a_halt_made_by_hand_outdoes_a_resume(switch):
    switch.resume("the resume command")
    switch.halt_path.touch()
    assert not switch.is_resume_wanted


def test_a_halt_appears_whole_or_not_at_all(switch, monkeypatch):
    """What the run may see under the file's name is what was renamed to it, after it was brought to the disk."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_replace(path: Path, target: Path) -> Path:
        steps.append("replace")
        assert json.loads(path.read_text())["reason"] == "x"
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("fsync"), fsync(number))[1])
    monkeypatch.setattr(Path, "replace", note_replace)
    switch.halt(HaltOrder("x"))
    assert steps == ["fsync", "replace"]
