"""What holds of every command there is, also of those that are added later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from processes import python

from mm_nautilus.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    *("nautilus_trader", "numpy", "pandas", "pyarrow", "rich", "jinja2"),
    *("aiohttp", "starlette", "uvicorn", "optuna", "ray"),
)


def paths(command: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield above
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*above, name))


def found(words: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


PATHS = list(paths(typer.main.get_command(app)))

every_command = pytest.mark.parametrize("words", PATHS, ids=lambda words: " ".join(words) or "mm-nautilus")


def test_the_commands_of_this_page_are_there():
    wanted = {
        "backtest",
        "search",
        "calibrate",
        "doctor",
        "sandbox",
        "halt",
        "resume",
        "report",
        "compare",
        "venue",
        "runs list",
    }
    wanted |= {f"config {name}" for name in ("check", "init", "show", "schema")}
    wanted |= {f"data {name}" for name in ("list", "check", "import", "simulate", "export", "recover")}
    assert wanted <= {" ".join(words) for words in PATHS}


@every_command
def test_help_has_an_example_of_the_command(words):
    text = " ".join((found(words).help or "").split())
    assert f"Example: {' '.join(('mm-nautilus', *words))}" in text


@every_command
def test_every_option_says_what_it_does(words):
    for parameter in found(words).params:
        assert parameter.help, f"{parameter.name} of {words}"


@every_command
def test_help_fits_a_terminal(words, command, monkeypatch):
    """80 columns, no summary cut off, no word broken; and 24 lines but for what has more options than that."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = command(*words, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines[1:] if line.endswith("...")]
    shown = " ".join(lines).split()
    told = [found(words).help or "", *(parameter.help or "" for parameter in found(words).params)]
    assert set(" ".join(told).split()) <= set(shown)
    if len(found(words).params) <= 7 and words:
        assert len(lines) <= 24


def test_help_of_no_command_loads_anything_heavy(tmp_path):
    code = f"""
import contextlib, io, sys
from mm_nautilus.cli import main
for words in {PATHS!r}:
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        main([*words, "--help"])
    assert "Example:" in shown.getvalue(), words
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    assert python("-c", code, cwd=tmp_path).stdout == "[]\n"


def test_output_for_machines_is_offered_where_a_machine_may_read():
    for_people = {(), ("data",), ("data", "import"), ("config",), ("config", "init"), ("runs",)}
    without_a_choice = {("config", "schema"), ("config", "reference")}
    for words in PATHS:
        if words not in for_people | without_a_choice:
            options = [name for parameter in found(words).params for name in parameter.opts]
            assert "--json" in options, words
