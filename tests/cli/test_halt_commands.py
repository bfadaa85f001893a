"""The kill switch on the command line: which files it writes, and what it refuses."""

import json

import pytest

from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch

CONFIG = """\
name: night
feed: {source: local}
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP]
  fees: {maker_fee_pct: 0.1, taker_fee_pct: 0.1}
strategy: {symbols: {XRP/USDT: {}}}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text(f"{CONFIG}state: {{directory: {tmp_path / 'state'}}}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("options", "flatten", "reason"),
    [
        ([], None, "the halt command"),
        (["--flatten"], True, "the halt command"),
        (["--keep", "--reason", "I want to sleep"], False, "I want to sleep"),
    ],
)
def test_a_halt_is_written_beside_the_state_file_even_before_the_first_start(
    config, tmp_path, command, options, flatten, reason
):
    code, out, _ = command("halt", config, *options)
    switch = KillSwitch(tmp_path / "state" / "night.json")
    assert code == 0
    assert switch.order() == HaltOrder(reason, flatten)
    assert str(switch.halt_path) in out


def test_a_resume_takes_the_halt_back_and_asks_the_run_to_go_on(config, tmp_path, command):
    command("halt", config)
    code, out, _ = command("resume", config)
    switch = KillSwitch(tmp_path / "state" / "night.json")
    assert code == 0
    assert switch.order() is None
    assert switch.is_resume_wanted
    assert str(switch.resume_path) in out


def test_the_words_the_run_was_started_with_name_its_files(config, tmp_path, command):
    words = ("--set", "name=other", "--set", f"state.directory={tmp_path / 'elsewhere'}")
    assert command("halt", config, *words)[0] == 0
    assert KillSwitch(tmp_path / "elsewhere" / "other.json").order() == HaltOrder("the halt command")
    assert command("resume", config, *words)[0] == 0
    assert KillSwitch(tmp_path / "elsewhere" / "other.json").is_resume_wanted
    assert not (tmp_path / "state").exists()


def test_what_was_done_is_told_as_json(config, tmp_path, command):
    _, out, err = command("halt", config, "--flatten", "--reason", "enough", "--json")
    halt_file = str(tmp_path / "state" / "night.halt")
    assert (json.loads(out), err) == ({"halt_file": halt_file, "reason": "enough", "flatten": True}, "")
    _, out, err = command("resume", config, "--json")
    assert (json.loads(out), err) == ({"resume_file": str(tmp_path / "state" / "night.resume")}, "")
    code, out, err = command("halt", tmp_path / "absent.yaml", "--json")
    assert (code, out) == (2, "")
    assert json.loads(err)["exit_code"] == 2


def test_the_state_file_names_the_run_as_well(tmp_path, command):
    state = tmp_path / "night.json"
    state.write_text("{}")
    assert command("halt", state)[0] == 0
    assert json.loads((tmp_path / "night.halt").read_text())["reason"] == "the halt command"


@pytest.mark.parametrize("name", ["halt", "resume"])
def test_a_folder_that_cannot_be_written_to_is_an_error(config, tmp_path, command, name):
    (tmp_path / "state").touch()
    code, _, err = command(name, config)
    assert code == 1
    assert "cannot be written" in err
