"""Nothing of the environment gets into what a run prints or writes, the live page's token least of all.

No command takes a secret and no configuration has a key for one: backtests, catalogs and public feeds need none, and
the token is in the environment.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
from sandbox_runs import Left, configuration, wait_for_file, wait_for_fill
from whole_runs import ROOT

from mm_nautilus.cli.app import app
from mm_nautilus.config.reference import schema_text

PLANTED = "hunter2-correct-horse-battery"
VARIABLE = "MM_NAUTILUS_WEB_TOKEN"
METRICS_VARIABLE = "MM_NAUTILUS_METRICS_TOKEN"
NAMES = (
    *("KRAKEN_API_KEY", "KRAKEN_API_SECRET", "MY_TOKEN", "PASSWORD"),
    *(VARIABLE, METRICS_VARIABLE),
)
WORDS = re.compile(r"secret|password|passphrase|api[-_]?key|credential|token", re.IGNORECASE)
NAME_OF_A_VARIABLE = "token_variable"
"""The one key that speaks of a token: it names the environment variable that has it."""


def test_what_the_environment_holds_is_printed_and_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.chdir(ROOT)
    for name in NAMES:
        monkeypatch.setenv(name, PLANTED)
    run = ["backtest", "--out", tmp_path, "--set", "end=2025-12-13T12:01:00Z"]
    for words in (
        [*run, "--set", "output.log_level=DEBUG"],
        ["doctor"],
        ["config", "show", "configs/v1_4.yaml"],
    ):
        done = command(*words)
        assert done.returncode == 0, done.stderr
        assert PLANTED not in done.stdout + done.stderr
    (folder,) = tmp_path.iterdir()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert PLANTED.encode() not in content, path.name
        assert not any(name.encode() in content for name in NAMES[:2]), path.name


def test_no_option_and_no_key_asks_for_a_secret() -> None:
    pending, options = [typer.main.get_command(app)], []
    while pending:
        command = pending.pop()
        pending += getattr(command, "commands", {}).values()
        options += [name for parameter in command.params for name in parameter.opts]
    assert [name for name in options if WORDS.search(name)] == []
    schemas = [json.loads(schema_text(sandbox=sandbox)) for sandbox in (False, True)]
    models = [model for schema in schemas for model in schema["$defs"].values()]
    keys = {key for model in models for key in model.get("properties", {})}
    assert [key for key in keys if WORDS.search(key)] == [NAME_OF_A_VARIABLE]


ADDRESS = f"https://somebody:{PLANTED}/p@ss@kraken.example/0"


@pytest.mark.parametrize(
    "words",
    [
        [f"feed.rest_url={ADDRESS}"],
        [f"feed.websocket_url=wss{ADDRESS.removeprefix('https')}"],
        [f"feed.rest_url={ADDRESS}{'x' * 300}"],
        [f"feed={{rest_url: ['{ADDRESS}'], nonsense: '{ADDRESS}'}}"],
        [f"web.host={ADDRESS}", f"name={ADDRESS}"],
        [f"feed.catalog={ADDRESS}", "feed.source=local"],
        [f"feed.{ADDRESS}=1"],
        [ADDRESS],
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(
    tmp_path: Path, command: Callable[..., Any], words: list[str]
) -> None:
    path = configuration(tmp_path, "feed: {source: live}\n")
    code, out, err = command("sandbox", path, *(part for word in words for part in ("--set", word)))
    assert code == 2
    said = out + err
    assert "https:/***@" in said.replace("//", "/").replace("wss", "https")
    assert PLANTED not in said
    assert [file.name for file in tmp_path.iterdir()] == ["run.yaml"]


# -- The live page ------------------------------------------------------------------------------------------


def asked(url: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, bytes]:
    """Return the status of an answer, and its headers and content."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=120)
    try:
        content = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, f"{parts.path}?{parts.query}", body, headers | content)
        answer = connection.getresponse()
        return answer.status, str(answer.headers).encode() + answer.read()
    finally:
        connection.close()


def signed_in(url: str, given: str) -> tuple[int, bytes]:
    return asked(f"{url}sign-in", "POST", json.dumps({"token": given}), Origin=url.rstrip("/"))


@pytest.mark.long
def test_the_tokens_of_page_and_scrapes_are_served_printed_and_written_nowhere(tmp_path: Path) -> None:
    environment = os.environ | {VARIABLE: PLANTED, METRICS_VARIABLE: f"{PLANTED}-scrapes"}
    words = ["--duration", "10m", "--web-port", "0", "--metrics-port", "0", "--set", "output.log_level=DEBUG"]
    words += ["--set", "output.report=true"]
    command = [sys.executable, "-m", "mm_nautilus.cli", "sandbox", str(configuration(tmp_path)), *words]
    served = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1] and "live page: " not in lines[-1]:
            lines.append(process.stdout.readline())
        found = re.search(r"live page: (http://\S+/)", lines[-1])
        assert found is not None, lines
        url = found[1]
        assert asked(f"{url}api/state")[0] == 401
        assert asked(f"{url}api/state?token={PLANTED}")[0] == 401
        assert asked(f"{url}api/state", Authorization="Bearer not-the-token-at-all")[0] == 401
        for status, content in (
            asked(url, Authorization=f"Bearer {PLANTED}"),
            asked(f"{url}api/state", Authorization=f"Bearer {PLANTED}"),
            signed_in(url, PLANTED),
        ):
            assert status in (200, 204)
            served.append(content)
        lines.append(process.stdout.readline())
        found = re.search(r"Prometheus endpoint: (http://\S+/metrics)", lines[-1])
        assert found is not None, lines
        assert asked(found[1])[0] == 401
        status, content = asked(found[1], Authorization=f"Bearer {PLANTED}-scrapes")
        assert status == 200
        served.append(content)
        assert signed_in(url, f"{PLANTED}-not")[0] == 401
        wait_for_fill(process, tmp_path)
        process.terminate()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    wait_for_file(Left.only(tmp_path).folder / "report.html")
    assert PLANTED not in "".join(lines) + out + err
    assert not any(PLANTED.encode() in content for content in served)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"summary.json", "journal.jsonl", "config.yaml", "report.html", "probe.json"} <= {
        file.name for file in files
    }
    assert [path.name for path in files if PLANTED.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("too-short-one", "must have at least 16 characters, had 13"),
        ("with spaces in it and long", "must be letters, digits and signs"),
    ],
)
def test_a_token_that_is_refused_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], value: str, words: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    for name, *options in (["sandbox", "--web"], ["doctor", "--set", "web.enabled=true"]):
        code, out, err = command(name, configuration(tmp_path), *options)
        assert code in (1, 2)
        said = out + err
        assert words in said
        assert value not in said
