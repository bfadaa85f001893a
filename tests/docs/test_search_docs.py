"""The page of the search: its files are read as they stand, its commands run in their order, its lines come out."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer.main
import yaml
from test_docs import ENVIRONMENT, README, ROOT, blocks, cli_words, program_words, shell_lines

from mm_nautilus.checks.config_source import load_config, read_source
from mm_nautilus.cli.app import app
from mm_nautilus.search.constraints import parse_constraint
from mm_nautilus.search.objectives import OBJECTIVES
from mm_nautilus.search.space import load_space
from mm_nautilus.search.trial import fills_digest

PAGE = ROOT / "docs" / "search.md"
LINES = shell_lines(PAGE)
FILES = ("maker.yaml", "space.yaml")


def between(name: str) -> str:
    """Return what stands between two marks of the page."""
    found = re.search(
        rf"<!-- {name}: begin -->\n(.*?)\n<!-- {name}: end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None, name
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the page's files under the names they are to be saved as."""
    made = tmp_path_factory.mktemp("search")
    for name, block in zip(FILES, blocks(PAGE, "yaml"), strict=True):
        assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
        (made / name).write_text(block, encoding="utf-8")
    return made


@pytest.mark.parametrize("line", LINES)
def test_command_parses(line: str) -> None:
    assert program_words(line) is not None
    command: Any = typer.main.get_command(app)
    words, context = cli_words(line), None
    while hasattr(command, "resolve_command"):
        context = command.make_context(command.name, list(words), parent=context, resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)
    command.make_context(command.name, list(words), parent=context)


def test_the_space_of_the_page_fits_its_configuration(folder: Path) -> None:
    load_config(folder / "maker.yaml")
    space = load_space(folder / "space.yaml", read_source(folder / "maker.yaml"))
    assert [dimension.key for dimension in space.dimensions] == list(yaml.safe_load(blocks(PAGE, "yaml")[1]))
    (block,) = [block for block in blocks(PAGE, "text") if block.startswith("constraints:")]
    for text in yaml.safe_load(block)["constraints"]:
        parse_constraint(text, ["XRP/USDT"])


def test_the_table_of_objectives_is_that_of_the_code() -> None:
    better = {"maximize": "more", "minimize": "less"}
    rows = [
        f"| `{it.name}` | {it.unit or 'report currency'} | {better[it.direction]} | {it.meaning} |"
        for it in OBJECTIVES.values()
    ]
    table = "\n".join(["| objective | unit | better | what it is |", "|---|---|---|---|", *rows])
    assert between("objectives") == table


def test_the_readme_names_the_page() -> None:
    assert "(docs/search.md)" in README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def walked(folder: Path) -> tuple[Path, str]:
    """Run all of the page's commands in their order; return their folder and what they print."""
    program = 'set -e\nmm-nautilus() { "$PYTHON" -m mm_nautilus.cli "$@"; }\n'
    environment = ENVIRONMENT | {"PYTHON": sys.executable, "PATH": os.environ["PATH"], "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", program + "\n".join(LINES)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.long
def test_the_verdict_of_the_page_is_what_comes_out(walked: tuple[Path, str]) -> None:
    folder, printed = walked
    (file,) = (folder / "searches" / "first").glob("*/search.json")
    lines = json.loads(file.read_text(encoding="utf-8"))["verdict"]["lines"]
    assert between("search") == "\n".join(["```text", *lines, "```"])
    assert "\n".join(lines) in printed
    page = file.with_name("report.html").read_text(encoding="utf-8")
    headline, _, reason = lines.pop().partition(": ")
    lines.append(f"{reason[0].upper()}{reason[1:]}")
    assert f"<h1>{headline}</h1>" in page
    assert all(f'<p class="answer">{line}</p>' in page for line in lines)
    assert [
        name for name in ("history-0", "parallel", "slice-2", "folds") if f'id="data-{name}"' not in page
    ] == []


@pytest.mark.long
def test_the_best_configuration_has_the_fills_of_the_winner(walked: tuple[Path, str]) -> None:
    folder, _ = walked
    (search,) = (folder / "searches" / "first").glob("*/search.json")
    (fills,) = (folder / "runs" / "best").glob("*/fills.parquet")
    best = json.loads(search.read_text(encoding="utf-8"))["best"]
    assert fills_digest(pq.read_table(fills)) == best["fills_digest"]
