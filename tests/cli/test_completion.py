"""What shells complete, asked the way they ask."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mm_nautilus.checks.config_source import load_config, load_sandbox_config
from mm_nautilus.cli import completion
from mm_nautilus.cli.completion import (
    catalog_symbols,
    config_files,
    config_symbols,
    sandbox_files,
    setting_keys,
)
from mm_nautilus.data.catalog import INSTRUMENT_FOLDERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def asked(command, monkeypatch):
    """Return what asks the command as a shell does, through its environment."""

    def ask(how, **told):
        for name, value in {"_MM_NAUTILUS_COMPLETE": how, **told}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["mm-nautilus"])
        monkeypatch.chdir(ROOT)
        done = command()
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return ask


class _Context:
    """What a completion is given of the command line so far."""

    def __init__(self, *args: str, info_name: str = "backtest", **params: object) -> None:
        self.args, self.params, self.info_name = args, params, info_name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mm-nautilus back", ["backtest"]),
        ("mm-nautilus config ch", ["check"]),
        ("mm-nautilus search configs/marg", ["configs/margin.yaml"]),
        ("mm-nautilus backtest configs/marg", ["configs/margin.yaml"]),
        ("mm-nautilus config show configs/v1_4.yaml --symbol BTC", ["BTC/USDT"]),
        ("mm-nautilus backtest configs/v1_4.yaml --set strategy.symbols.XRP/BTC.gam", ["gamma="]),
        ("mm-nautilus data export catalog --symbols XRP/USDT,B", ["XRP/USDT,BTC/USDT"]),
        ("mm-nautilus config init --symbols XRP/US", ["XRP/USDT"]),
        ("mm-nautilus venue catalog --symbol XRP/B", ["XRP/BTC"]),
        ("mm-nautilus ha", ["halt"]),
        ("mm-nautilus halt configs/sandbox_", ["configs/sandbox_local.yaml"]),
        ("mm-nautilus halt configs/sandbox.yaml --fl", ["--flatten"]),
        ("mm-nautilus halt configs/sandbox.yaml --set state.dir", ["state.directory="]),
        ("mm-nautilus config show configs/sandbox.yaml --set feed.at_", ["feed.at_end="]),
    ],
)
def test_a_shell_gets_commands_files_symbols_and_keys(asked, line, expected):
    offered = asked("complete_bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" "))).split()
    assert [word for word in offered if word.endswith(expected[0])] == offered
    assert offered


# -- Shells -------------------------------------------------------------------------------------------------


@pytest.fixture
def shell_environment(tmp_path):
    """Return an environment in which a shell finds the command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "mm-nautilus"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m mm_nautilus.cli "$@"\n')
    command.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path)}


REGISTRATIONS = {
    "bash": "complete -o default -F _mm_nautilus_completion mm-nautilus",
    "zsh": "compdef _mm_nautilus_completion mm-nautilus",
    "fish": "complete --command mm-nautilus",
}
SESSIONS = {
    "bash": """\
eval "$(_MM_NAUTILUS_COMPLETE=source_bash mm-nautilus)"
COMP_WORDS=(mm-nautilus config in) COMP_CWORD=2
_mm_nautilus_completion mm-nautilus
echo "${COMPREPLY[@]}"
""",
    "zsh": """\
autoload -Uz compinit && compinit -u
eval "$(_MM_NAUTILUS_COMPLETE=source_zsh mm-nautilus)"
[[ $_comps[mm-nautilus] == _mm_nautilus_completion ]] || exit 1
_arguments() { print -r -- "$@" }
words=(mm-nautilus config in) CURRENT=3
_mm_nautilus_completion
""",
    "fish": """\
_MM_NAUTILUS_COMPLETE=source_fish mm-nautilus | source
complete -C "mm-nautilus config in"
""",
}
"""What each shell does when Tab is pressed behind `mm-nautilus config in`."""


@pytest.mark.parametrize("shell", REGISTRATIONS)
def test_a_shells_script_registers_the_command(asked, shell):
    assert REGISTRATIONS[shell] in asked(f"source_{shell}")


def test_the_script_of_the_shell_it_is_called_from_is_shown(shell_environment):
    done = subprocess.run(
        ["bash", "-c", "mm-nautilus --show-completion; true"],
        cwd=ROOT,
        env=shell_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert REGISTRATIONS["bash"] in done.stdout


@pytest.mark.parametrize("shell", SESSIONS)
def test_a_shell_completes_with_its_script(shell, shell_environment):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    options = ["-f"] if shell == "zsh" else []
    done = subprocess.run(
        [shell, *options, "-c", SESSIONS[shell]],
        cwd=ROOT,
        env=shell_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "init" in done.stdout
    assert "backtest" not in done.stdout


@pytest.mark.parametrize(
    ("shell", "told", "expected"),
    [
        (
            "zsh",
            {"_TYPER_COMPLETE_ARGS": "mm-nautilus config in"},
            '"init":"Write a starting configuration',
        ),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "mm-nautilus config in", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
            "init\tWrite a starting configuration",
        ),
    ],
)
def test_other_shells_are_answered_in_their_own_way(asked, shell, told, expected):
    assert expected in asked(f"complete_{shell}", **told)


# -- What is completed --------------------------------------------------------------------------------------


def test_files_are_yaml_ones_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yml", "c.txt", ".d.yaml"):
        Path(name).touch()
    Path("folder").mkdir()
    Path("folder/e.yaml").touch()
    assert config_files("") == ["a.yaml", "b.yml", "folder/"]
    assert config_files("a") == ["a.yaml"]
    assert config_files("folder/") == ["folder/e.yaml"]
    assert config_files("nowhere/x") == []
    Path("folder/night.json").touch()
    assert sandbox_files("folder/") == ["folder/e.yaml", "folder/night.json"]


def test_every_key_that_is_completed_can_be_set():
    context: typer.Context = _Context(config=ROOT / "configs" / "v1_4.yaml")  # type: ignore[assignment]
    keys = setting_keys(context, "strategy.")
    assert {"strategy.gamma=", "strategy.symbols.XRP/BTC.gamma=", "strategy.amend_orders="} <= set(keys)
    assert setting_keys(context, "strategy.gamma=0") == []
    loaded = load_config(ROOT / "configs" / "v1_4.yaml")
    for key in setting_keys(context, "venue.latency."):
        value = getattr(loaded.config.venue.latency, key.rstrip("=").rpartition(".")[2])
        changed = load_config(ROOT / "configs" / "v1_4.yaml", [f"{key}{value + 1}"])
        assert changed.config.venue.latency != loaded.config.venue.latency


def test_keys_are_those_of_the_file_or_else_of_the_command():
    sandbox = ROOT / "configs" / "sandbox_local.yaml"
    for given in ({"file": sandbox}, {"run": sandbox, "info_name": "halt"}, {"info_name": "sandbox"}):
        keys = setting_keys(_Context(**given), "")  # type: ignore[arg-type]
        assert {"feed.speed=", "state.directory=", "recording.enabled=", "duration="} <= set(keys)
        assert "chunk_rows=" not in keys
    keys = setting_keys(_Context(), "")  # type: ignore[arg-type]
    assert "chunk_rows=" in keys
    assert "feed.speed=" not in keys
    for key in setting_keys(_Context(file=sandbox), "venue.latency."):  # type: ignore[arg-type]
        name = key.rstrip("=").rpartition(".")[2]
        assert getattr(load_sandbox_config(sandbox, [f"{key}7"]).config.venue.latency, name) == 7


def test_commands_that_have_a_default_catalog_offer_its_symbols(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("init", "venue"):
        assert catalog_symbols(_Context(info_name=name), "BTC") == ["BTC/USDT"]  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    assert catalog_symbols(_Context(info_name="venue"), "BTC") == []  # type: ignore[arg-type]


def test_symbols_are_those_of_every_type_that_can_be_quoted():
    assert set(completion._INSTRUMENTS) == set(INSTRUMENT_FOLDERS)


def test_symbols_of_files_and_catalogs_that_cannot_be_read_are_none(tmp_path):
    (tmp_path / "odd.yaml").write_text("strategy: [")
    (tmp_path / "c" / "data" / "currency_pair" / "X").mkdir(parents=True)
    (tmp_path / "c" / "data" / "currency_pair" / "X" / "x.parquet").write_text("no parquet")
    for given in ({}, {"file": tmp_path / "odd.yaml"}, {"file": tmp_path / "absent.yaml"}):
        assert config_symbols(_Context(**given), "") == []  # type: ignore[arg-type]
    for given in ({}, {"catalog": tmp_path / "c"}, {"catalog": tmp_path / "absent"}):
        assert catalog_symbols(_Context(**given), "") == []  # type: ignore[arg-type]


def test_symbols_that_a_list_has_are_not_offered_again():
    context: typer.Context = _Context(str(ROOT / "catalog"))  # type: ignore[assignment]
    assert catalog_symbols(context, "") == ["BTC/USDT", "XRP/BTC", "XRP/USDT"]
    assert catalog_symbols(context, "XRP/BTC,") == ["XRP/BTC,BTC/USDT", "XRP/BTC,XRP/USDT"]
