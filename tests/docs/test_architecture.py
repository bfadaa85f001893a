"""What the pages say of the inside is so: modules and functions that they name exist, and floors are the held ones."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

from test_docs import ROOT, every_page, prose

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
FOLDERS = {path.parent.name for path in (ROOT / "mm_nautilus").glob("*/__init__.py")}
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def _is_there(name: str) -> bool:
    """Return whether a path from the root or from the package is there, or a dotted name's module."""
    if name.startswith("mm_nautilus."):
        return find_spec(name.partition(":")[0]) is not None
    return any((folder / name).exists() for folder in (ROOT, ROOT / "mm_nautilus"))


@every_page
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    folders = "|".join(sorted(FOLDERS))
    named = re.findall(
        rf"`((?:mm_nautilus[./][\w./:]+)|(?:(?:{folders}|core|nautilus)/[\w/]+\.py))", prose(page)
    )
    assert [name for name in named if not _is_there(name)] == []


def test_floors_of_the_page_are_those_that_are_held() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| floor \| .*?\n\n", text, re.DOTALL | re.MULTILINE)
    rows = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.strip().splitlines()[2:]]
    assert [floor for floor in rows if floor] == [set(layer.split(" | ")) for layer in CONTRACTS[0]["layers"]]


def test_every_module_that_the_page_names_lies_in_its_floor() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    for floors, words in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+) \|$", text, re.MULTILINE):
        folders = re.findall(r"`(\w+)`", floors)
        for module in re.findall(r"`(\w+\.py)`", words):
            assert any((ROOT / "mm_nautilus" / folder / module).is_file() for folder in folders), module
