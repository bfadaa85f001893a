"""The `notify` command, and what other commands say of notifications; a pasted URL is never repeated."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from webhooks import SECRET, Webhook

CONFIG = "configs/sandbox_local.yaml"
URL = f"json://me:{SECRET}@example.org/{SECRET}?token={SECRET}&x={SECRET}"

type Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])


def test_each_service_gets_a_test_message_and_one_that_did_not_take_it_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Webhook() as good, Webhook(500) as bad:
        monkeypatch.setenv("GOOD", good.url)
        monkeypatch.setenv("BAD", bad.url)
        done = command("notify", CONFIG, "--set", "notify=[GOOD]")
        assert (done.returncode, done.stdout) == (0, "GOOD: taken\n")
        done = command("notify", CONFIG, "--set", "notify=[GOOD, BAD]", "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout) == {
            "GOOD": {"taken": True, "reason": None},
            "BAD": {"taken": False, "reason": "it answered with HTTP status 500"},
        }
        assert len(good.messages) == 2


def test_a_configuration_without_services_is_refused(command: Command) -> None:
    done = command("notify", CONFIG)
    assert done.returncode == 2
    assert "notify.urls must name at least one environment variable, was empty" in done.stderr


@pytest.mark.parametrize("name", ["sandbox", "notify"])
def test_a_variable_that_is_not_set_is_named_before_anything_is_written(
    command: Command, tmp_path: Path, name: str
) -> None:
    words = [
        "--set",
        f"output.directory={tmp_path / 'runs'}",
        "--set",
        f"state.directory={tmp_path / 'state'}",
    ]
    done = command(name, CONFIG, "--set", "notify=[NOT_SET_HERE]", *words)
    assert done.returncode == 2
    assert done.stderr.count("NOT_SET_HERE") == 1
    assert "it was not set" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_doctor_and_config_check_know_what_cannot_be_used(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", URL)
    done = command("doctor", CONFIG, "--set", "notify=[HOOK]")
    assert "notifications" in done.stdout
    assert "to HOOK, which were not contacted" in done.stdout
    done = command("doctor", CONFIG, "--set", "notify=[HOOK, NOT_SET_HERE]")
    assert done.returncode == 1
    assert "NOT_SET_HERE must hold the Apprise URL" in done.stdout
    done = command("config", "check", CONFIG, "--set", "notify=[NOT_SET_HERE]")
    assert done.returncode == 0
    assert "Warning: notify.urls: the environment variable NOT_SET_HERE" in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        f"notify=['{URL}']",
        f"notify='{URL}'",
        f"notify={{url: '{URL}'}}",
        f"notify={{urls: '{URL}'}}",
        f"notify={{urls: [HOOK, '{URL}']}}",
        f"notify={{urls: [{{a: '{URL}'}}]}}",
        f"notify={{'{URL}': 1}}",
        f"notify.urls=['{URL}']",
        f"notify.url={SECRET}",
        f"notify.urls={SECRET}-1",
    ],
)
def test_a_pasted_url_is_refused_and_not_repeated(command: Command, tmp_path: Path, given: str) -> None:
    for words in (
        ["sandbox", CONFIG],
        ["config", "check", CONFIG],
        ["config", "show", CONFIG],
        ["notify", CONFIG],
    ):
        done = command(*words, "--set", given)
        assert done.returncode == 2, words
        assert SECRET not in done.stdout + done.stderr, words
        assert "notify" in done.stderr or "urls" in done.stderr
    file = tmp_path / "run.yaml"
    key, _, value = given.partition("=")
    text = f"{key}: {value}\n" if key == "notify" else f"notify:\n  {key.removeprefix('notify.')}: {value}\n"
    file.write_text(Path(CONFIG).read_text("utf-8") + text, encoding="utf-8")
    done = command("sandbox", file)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr
    assert "run.yaml:" in done.stderr


@pytest.mark.parametrize(("config", "key"), [("configs/backtest.yaml", "notify"), (CONFIG, "notfy")])
def test_a_url_under_a_key_that_is_not_there_is_not_repeated(command: Command, config: str, key: str) -> None:
    done = command("config", "check", config, "--set", f"{key}=['{URL}']")
    assert done.returncode == 2
    assert f"unknown key {key}" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "given",
    [
        f"notifications=['tgram://123:{SECRET}/1']",
        f"name=ntfy://{SECRET}",
        f"web.token_variable=https://discord.com/api/webhooks/1/{SECRET}",
        f"web.token_variable={SECRET}",
        f"web.token={SECRET}",
        f"prometheus.port={SECRET}",
        f"notify.disconnect_seconds=tgram://123:{SECRET}/1",
        f"notify.disconnect_seconds={SECRET}",
        f"strategy.telegram={{bot: '{SECRET}'}}",
        f"strategy.symbols=tgram://{SECRET}",
        f"output.log_level=slack://{SECRET}/a",
    ],
)
def test_what_may_be_a_secret_is_not_repeated_under_any_key(command: Command, given: str) -> None:
    done = command("config", "check", CONFIG, "--set", given)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr


def test_a_key_that_means_notify_is_told(command: Command) -> None:
    done = command("config", "check", CONFIG, "--set", "notifications=[HOOK]")
    assert "unknown key notifications (did you mean notify?)" in done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["notify=[]"], "urls must name at least one environment variable"),
        (["notify.summary_every=10s"], "urls must name at least one environment variable"),
        (
            ["notify={urls: [A], sumary_every: 10s}"],
            "unknown key sumary_every of notify (did you mean summary_every?)",
        ),
        (["notify=''"], "or null, was empty"),
    ],
)
def test_a_mistake_is_told_in_plain_words(command: Command, given: list[str], words: str) -> None:
    done = command("config", "check", CONFIG, *(word for one in given for word in ("--set", one)))
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    "given",
    [["notify=null"], ["notify="], ["notify={}"], ["notify=[A]", "notify.summary_every=10s"]],
)
def test_off_and_a_list_with_keys_beside_it_are_understood(command: Command, given: list[str]) -> None:
    done = command("config", "show", CONFIG, *(word for one in given for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
