"""What the page on calibration says is true: its commands, its options, its figures."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from mm_nautilus.calibration.fee_economics import LEAST_FILLS_PER_HOUR
from mm_nautilus.calibration.figures import SymbolCalibration
from mm_nautilus.calibration.file import load_calibration
from mm_nautilus.calibration.intensity import LEAST_ARRIVALS
from mm_nautilus.calibration.realised_volatility import LEAST_RETURNS
from mm_nautilus.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "calibration.md"
TEXT = PAGE.read_text(encoding="utf-8")
(COMMANDS,) = re.findall(r"^```bash\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that writes the page's tables."""
    spec = importlib.util.spec_from_file_location(
        "measure_calibration", ROOT / "docs" / "measure_calibration.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def between(name: str) -> str:
    (text,) = re.findall(rf"<!-- {name}: begin -->\n(.*?)\n<!-- {name}: end -->", TEXT, re.DOTALL)
    return text


@pytest.mark.parametrize("line", COMMANDS.splitlines())
def test_command_of_the_page_parses(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert (program, name) == ("mm-nautilus", "calibrate")
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, words)


def test_page_explains_every_option() -> None:
    command = typer.main.get_command(app).commands["calibrate"]
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    section = TEXT.partition("## How to use it")[2].partition("\n## ")[0]
    rows = {
        name for cell in re.findall(r"^\| (`--.+?) \| ", section, re.MULTILINE) for name in cell.split(", ")
    }
    assert {name.strip("`") for name in rows} == options


def test_page_explains_every_part_of_a_symbol() -> None:
    section = TEXT.partition("## The figures")[2].partition("\n## ")[0]
    named = {name.split(".")[0] for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", section)}
    assert set(SymbolCalibration.model_fields) - {"start", "end", "seconds"} <= named


def test_table_of_the_sample_is_that_of_the_shipped_file(script: ModuleType) -> None:
    assert between("sample") == script.table(load_calibration(ROOT / "calibration" / "sample.yaml"))


def test_table_of_the_recordings_is_dated_and_has_the_same_rows(script: ModuleType) -> None:
    dated, _, table = between("recordings").partition("\n\n")
    assert re.fullmatch(r"Measured \d{4}-\d{2}-\d{2}\.", dated)

    def names(text: str) -> list[str]:
        return [line.split(" | ")[0] for line in text.splitlines()]

    assert names(table)[2:] == names(between("sample"))[2:]


def test_thresholds_of_the_page_are_those_of_the_code() -> None:
    assert LEAST_FILLS_PER_HOUR == 1
    assert "at least once an hour on each side" in TEXT
    assert f"fewer than {LEAST_ARRIVALS} market orders" in TEXT
    assert f"has {LEAST_RETURNS} returns" in TEXT
    assert f"a window below {LEAST_RETURNS} s" in TEXT
