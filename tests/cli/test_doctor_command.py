"""The `doctor` command as a user runs it."""

import functools
import json
from pathlib import Path

import pytest

from mm_nautilus.checks.config_source import load_any_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return functools.partial(command, "doctor")


def test_a_sound_environment_is_a_success_and_a_line_a_check(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    *lines, last = out.splitlines()
    assert all(line.split()[0] in {"ok", "warning"} for line in lines)
    assert "configuration" in out
    assert "is clean: 3 instruments" in out
    assert last.startswith(f"{sum(line.startswith('ok') for line in lines)} ok")
    assert list(Path().iterdir()) == []


def test_warnings_of_the_configuration_are_no_problem(run):
    file = ROOT / "configs" / "v1_4.yaml"
    code, out, _ = run(file, "--set", "strategy.take_profit_pct=0.1", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["ok"] is True
    (check,) = [check for check in document["checks"] if check["name"] == "configuration"]
    assert check["state"] == "warning"
    warnings = load_any_config(file, ["strategy.take_profit_pct=0.1"]).all_warnings()
    assert len(warnings) > 6
    assert check["text"].endswith(f"{len(warnings)} warnings: `mm-nautilus config check {file}` has all")


def test_a_problem_is_an_exit_code_of_one(run):
    Path("taken").touch()
    code, out, err = run("--set", "output.directory=taken/runs")
    assert (code, err) == (1, "")
    assert "problem  output.directory" in out
    assert out.splitlines()[-1].endswith("1 problem")
    _, out, _ = run("--set", "output.directory=taken/runs", "--set", "catalog=nowhere")
    assert out.splitlines()[-1].endswith("2 problems")


def test_a_sandbox_is_looked_at_with_its_feed_state_and_recording(run, tmp_path):
    file = ROOT / "configs" / "sandbox_local.yaml"
    code, out, err = run(file, "--set", "state.directory=state", "--json")
    assert (code, err) == (0, "")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert {"feed", "feed.catalog", "state", "state.directory", "recording", "live page"} <= set(checks)
    assert "catalog" not in checks
    assert checks["state"]["text"] == "there is no state/sandbox_local.json yet: the first run starts fresh"
    assert list(Path().iterdir()) == []
