"""The page of the commands has all of them, and the tutorial's commands run in its order."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer.main
from test_docs import ENVIRONMENT, ROOT, blocks, cli_words, program_words, prose, shell_lines

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.cli.app import app

COMMANDS, TUTORIAL = (ROOT / "docs" / f"{name}.md" for name in ("command-line", "tutorial"))
LINES = shell_lines(COMMANDS, TUTORIAL)
OTHER_PROGRAMS = {"make setup", "source .venv/bin/activate"}
NOT_LISTED = {"--help"}


def paths(command: Any, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the commands that do something, by their words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {" ".join(above): command}
    return {
        words: found for name, sub in inner.items() for words, found in paths(sub, (*above, name)).items()
    }


ALL = paths(typer.main.get_command(app))


def section(words: str) -> str:
    """Return what the page says of one command."""
    found = re.search(
        rf"^## {words}$(.*?)(?=^## |\Z)", COMMANDS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"docs/command-line.md has no section {words}"
    return found[1]


# -- The page of the commands -------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ALL)
def test_a_command_has_a_section_with_its_options_and_an_example(words: str) -> None:
    text = section(words)
    long = [name for option in ALL[words].params for name in option.opts if name.startswith("--")]
    assert [name for name in long if f"`{name}" not in text and name not in NOT_LISTED] == []
    assert re.search(rf"^mm-nautilus {words}( |$)", text, re.MULTILINE)


@pytest.mark.parametrize("words", ALL)
def test_a_section_lists_no_option_that_is_not_there(words: str) -> None:
    known = {
        name
        for option in ALL[words].params
        for name in (*option.opts, *getattr(option, "secondary_opts", ()))
    }
    table = [
        line.partition("|")[2].partition("|")[0]
        for line in section(words).splitlines()
        if line.startswith("| `")
    ]
    listed = {name for cell in table for name in re.findall(r"`(--[a-z-]+)", cell)}
    assert listed <= known


def test_every_line_is_of_a_known_kind() -> None:
    assert {line for line in LINES if program_words(line) is None} == OTHER_PROGRAMS


@pytest.mark.parametrize("line", [line for line in LINES if program_words(line) is not None])
def test_example_parses(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words, context = cli_words(line), None
    while hasattr(command, "resolve_command"):
        context = command.make_context(command.name, list(words), parent=context, resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)
    command.make_context(command.name, list(words), parent=context)


def test_the_error_for_machines_is_shown_as_it_is(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = blocks(COMMANDS, "json")
    done = command("config", "check", "configs/v1_4.yaml", "--json", "--set", "strategy.gama=0.2")
    assert done.returncode == 2
    assert json.loads(block) == json.loads(done.stderr)


def test_the_sources_of_the_example_are_the_files_own() -> None:
    loaded = load_config(ROOT / "configs" / "v1_4.yaml")
    for key, path in (
        ("min_spread_pct", ("strategy", "symbols", "BTC/USDT", "min_spread_pct")),
        ("gamma", ("strategy", "gamma")),
    ):
        line = loaded.source(*path).rpartition(":")[2]
        assert re.search(
            rf"^ +{key}: \S+ +# configs/v1_4\.yaml:{line}$", section("config show"), re.MULTILINE
        )


def test_commands_with_json_are_those_that_are_named() -> None:
    with_json = {
        words for words, command in ALL.items() if any("--json" in option.opts for option in command.params)
    }
    said = re.search(
        r"^## Output for machines$(.*?)^## ", COMMANDS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert said is not None
    named = set(re.findall(r"`([a-z ]+)`", said[1].partition("have it")[0].rpartition("\n\n")[2]))
    assert with_json == {words for words in ALL if words in named or words.split()[0] in named & {"data"}}


def test_every_exit_code_is_explained() -> None:
    codes = re.findall(r"^\| (\d+) \| ", COMMANDS.read_text(encoding="utf-8"), re.MULTILINE)
    assert codes == ["0", "1", "2", "129", "130", "143"]


# -- The tutorial -------------------------------------------------------------------------------------------


def save_own_module(folder: Path) -> None:
    """Save the tutorial's pricing function under the name that it is to be saved as."""
    (block,) = blocks(TUTORIAL, "python")
    assert "Save this one as `patient.py`" in TUTORIAL.read_text(encoding="utf-8")
    assert len(block.splitlines()) <= 15
    (folder / "patient.py").write_text(block, encoding="utf-8")


def test_the_pricing_function_of_the_tutorial_prices_a_run(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_own_module(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (line,) = [line for line in shell_lines(TUTORIAL) if "strategy.pricing=" in line]
    words = [word.replace("configs/", f"{ROOT / 'configs'}/") for word in cli_words(line)]
    done = command(*words, "--set", "end=2025-12-13T12:03:00Z", "--quiet")
    assert done.returncode == 0, done.stderr
    (file,) = Path("runs").glob("patient/*/summary.json")
    symbols = json.loads(file.read_text(encoding="utf-8"))["symbols"]
    for symbol in symbols.values():
        assert symbol["quote_model"]["model"] == "patient:patient"
        assert symbol["orders_placed"] > 0
        restless = symbol["quote_model"]["volatility_pct"] > 0.05
        assert symbol["quote_model"]["half_width_bps"] == pytest.approx(4.0 if restless else 2.0)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all of the tutorial's commands in its order, in a copy of what it needs; return the folder."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name in ("configs", "catalog", "calibration"):
        shutil.copytree(ROOT / name, folder / name)
    save_own_module(folder)
    lines = [line for block in blocks(TUTORIAL, "bash") for line in block.splitlines()]
    program = 'set -e\nmm-nautilus() { "$PYTHON" -m mm_nautilus.cli "$@"; }\n'
    script = program + "\n".join(line for line in lines if line not in OTHER_PROGRAMS)
    environment = ENVIRONMENT | {"PYTHON": sys.executable, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.long
def test_the_table_of_the_tutorial_is_what_comes_out(walked: Path) -> None:
    rows = []
    for name in ("first", "fees", "edge", "mine", "model", "patient"):
        (file,) = (walked / "runs" / name).glob("*/summary.json")
        summary = json.loads(file.read_text(encoding="utf-8"))
        fills = sum(symbol["fills"] for symbol in summary["symbols"].values())
        pnl = summary["equity"]["trading_pnl"]
        rows.append(f"| {name} | {fills:,} | {'+' if pnl >= 0 else '-'}${abs(pnl):.2f} |")
    table = "\n".join(["| run | fills | trading PnL, net of fees |", "|---|---:|---:|", *rows])
    text = TUTORIAL.read_text(encoding="utf-8")
    assert f"<!-- tutorial: begin -->\n{table}\n<!-- tutorial: end -->" in text


@pytest.mark.long
def test_the_tutorial_leaves_the_files_it_speaks_of(walked: Path) -> None:
    for name in ("mine.yaml", "calibration/mine.yaml"):
        assert (walked / name).is_file()
    assert len(list(walked.glob("runs/first/*/report.html"))) == 1


@pytest.mark.long
def test_the_tutorials_claims_hold_in_its_runs(walked: Path) -> None:
    (first,), (fees,) = ((walked / "runs" / name).glob("*/summary.json") for name in ("first", "fees"))
    free, paid = (json.loads(file.read_text(encoding="utf-8")) for file in (first, fees))
    for symbol in free["symbols"].values():
        assert min(symbol["fills"], symbol["wins"], symbol["losses"]) > 0
    pnl = {name: symbol["total_pnl_report"] for name, symbol in free["symbols"].items()}
    assert [name for name, amount in pnl.items() if amount < 0] == ["BTC/USDT"]
    exits = {reason: figures["count"] for reason, figures in free["exits"].items()}
    assert exits == {"stop_loss": 1, "take_profit": 1, "trailing_stop": 10}
    assert all(symbol["wins"] == 0 for symbol in paid["symbols"].values())
    fills = [pd.read_parquet(file.parent / "fills.parquet") for file in (first, fees)]
    columns = ["ts_event", "symbol", "side", "price", "quantity", "purpose"]
    assert fills[0][columns].equals(fills[1][columns])


def test_the_tutorial_has_no_amount_that_is_not_recomputed() -> None:
    text = prose(TUTORIAL)
    begin, end = text.index("<!-- tutorial: begin -->"), text.index("<!-- tutorial: end -->")
    assert "$" not in text[:begin] + text[end:]
