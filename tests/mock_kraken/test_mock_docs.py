"""What the page about the local venue says is true: its code runs, its tables are complete."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from processes import python

from mm_nautilus.cli import main
from mm_nautilus.cli.app import app
from mm_nautilus.mock_kraken.commands import COMMANDS, FAULTS, Command

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "mock-kraken.md").read_text(encoding="utf-8")
PROGRAMS = {
    block.splitlines()[0].removeprefix("# "): block
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
}
LINES = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def venue_command() -> Any:
    group: Any = typer.main.get_command(app)
    return group.commands["venue"]


@pytest.mark.long
def test_the_example_of_a_test_runs(tmp_path: Path) -> None:
    (tmp_path / "test_with_a_venue.py").write_text(PROGRAMS["test_with_a_venue.py"], encoding="utf-8")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_clients_configuration_is_one() -> None:
    namespace: dict[str, Any] = {}
    exec(PROGRAMS["client.py"], namespace)  # noqa: S102 - our own page
    assert namespace["config"].base_url == "http://127.0.0.1:18080"


@pytest.mark.parametrize("line", LINES)
def test_command_lines_parse(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[:2] == ["mm-nautilus", "venue"]
    venue_command().make_context("venue", words[2:])


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_stands_in_its_table_as_the_server_knows_it(kind: type[Command]) -> None:
    script, _, faults = TEXT.partition("\n## Faults\n")
    parameters = ", ".join(f"`{name}`" for name in kind.parameters())
    row = f"\n| `{kind.name}` | {parameters} | {kind.description()} |".replace("|  |", "| |")
    assert row in (faults if kind.name in FAULTS else script)


def test_the_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["venue", "--help"])
    shown = capsys.readouterr().out.partition("Faults, as commands of the control server:")[2]
    assert re.findall(r"^  (\w+) ", shown, re.MULTILINE) == list(FAULTS)
    assert "A message ends in the middle" in shown
