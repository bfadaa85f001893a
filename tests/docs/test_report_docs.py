"""The report's page of the documentation names all that is on it, its commands run, and its pictures are real."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_docs import ENVIRONMENT, PAGES, README, ROOT, blocks, program_words

from mm_nautilus.report.derived import read_run
from mm_nautilus.report.page import page_parts

REPORT, PERFORMANCE, GUIDE = (
    ROOT / "docs" / f"{name}.md" for name in ("report", "performance", "user-guide")
)
IMAGES = ROOT / "docs" / "images"
PICTURES = sorted(IMAGES.glob("*.png"))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the page's commands in its order, in a copy of what they need; return the folder."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("configs", "catalog"):
        shutil.copytree(ROOT / name, folder / name)
    (block,) = blocks(REPORT, "bash")
    assert all(program_words(line) is not None for line in block.splitlines())
    script = 'set -e\nmm-nautilus() { "$PYTHON" -m mm_nautilus.cli "$@"; }\n' + block
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=ENVIRONMENT | {"PYTHON": sys.executable, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def parts(walked: Path) -> dict[str, Any]:
    """Return what the page of the first run shows."""
    (folder,) = (walked / "runs" / "one").iterdir()
    return page_parts(read_run(folder))


@pytest.mark.long
def test_its_commands_write_what_it_says(walked: Path) -> None:
    assert len(list(walked.glob("runs/*/*/report.html"))) == 2
    assert "min_edge_bps" in (walked / "both.html").read_text(encoding="utf-8")


def named(words: str) -> bool:
    """Return whether the page names something, apart from its unit and the pair."""
    text = REPORT.read_text(encoding="utf-8")
    return words.partition(",")[0] in text or words in text


@pytest.mark.long
def test_every_chart_is_explained(parts: dict[str, Any]) -> None:
    figures = [*parts["figures"].values(), *(view["figure"] for view in parts["views"].values())]
    titles = {note["text"] for figure in figures for note in figure["layout"]["annotations"]}
    assert len(titles) >= 10
    assert {title for title in titles if not named(title)} == set()


@pytest.mark.long
def test_every_line_is_explained(parts: dict[str, Any]) -> None:
    symbols = tuple(parts["views"])
    figures = [parts["figures"][name] for name in ("bridge", "equity", "by-time", "fill-quality")]
    figures += [view["figure"] for view in parts["views"].values()]
    reasons = {reason for view in parts["views"].values() for reason in view["reasons"]}
    names = {trace["name"] for figure in figures for trace in figure["data"]} - reasons - set(symbols)
    for symbol in symbols:
        names = {name.replace(symbol, "...") for name in names}
    text = REPORT.read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.long
def test_every_section_of_the_page_is_explained(parts: dict[str, Any]) -> None:
    templates = sorted((ROOT / "mm_nautilus" / "report" / "templates").glob("section_*.html.jinja"))
    page = "".join(template.read_text(encoding="utf-8") for template in templates)
    text = REPORT.read_text(encoding="utf-8").lower()
    for heading in re.findall(r"<h[23][^>]*>([^<{]+)</h[23]>", page):
        words = heading.lower().replace("what is assumed of the venue", "what was assumed of the venue")
        assert words in text or words in {
            "each exit",
            "where ours differ",
            "trailing stops",
            "warnings",
            "pnl by day",
        }, heading


@pytest.mark.long
def test_statistics_that_differ_are_those_of_the_page(parts: dict[str, Any]) -> None:
    section = (
        REPORT.read_text(encoding="utf-8")
        .partition("## Statistics of the framework")[2]
        .partition("\n## ")[0]
    )
    rows = re.findall(r"^\| ([A-Z][^|]+?) \| ", section, re.MULTILINE)
    assert rows == [row["name"] for row in parts["statistics"]["differing"]]


@pytest.mark.long
def test_guide_names_every_key_of_a_symbol_and_of_fill_quality(walked: Path) -> None:
    (file,) = (walked / "runs" / "one").glob("*/summary.json")
    symbols = json.loads(file.read_text(encoding="utf-8"))["symbols"]
    text = GUIDE.read_text(encoding="utf-8")
    quality = symbols["XRP/USDT"]["fill_quality"]["maker"][1]
    assert {key for key in quality if not key.endswith("_bps") and f"`{key}" not in text} == set()
    told = {
        "fees_report",
        "price_increment",
        "size_increment",
        "quoting",
        "fill_quality",
        "quote_model",
        "halted",
    }
    assert told <= symbols["XRP/USDT"].keys()
    assert {key for key in told if f"`{key}`" not in text} == set()


def test_readme_begins_with_one_picture_of_the_page() -> None:
    pictures = re.findall(r"!\[[^\]]*simulated[^\]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert pictures == ["docs/images/report.png"]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_small_used_and_made_by_the_script(picture: Path) -> None:
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
    assert any(f"images/{picture.name})" in page.read_text(encoding="utf-8") for page in PAGES)
    script = (ROOT / "docs" / "make_pictures.py").read_text(encoding="utf-8")
    stem = picture.stem.removeprefix("report-")
    assert f'"{picture.name}"' in script or f'"{stem}"' in script


def test_a_report_costs_no_more_than_is_promised() -> None:
    text = PERFORMANCE.read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- report: begin -->\n(.*?)\n<!-- report: end -->", text, re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    measured = [[float(cell.replace(",", "")) for cell in row] for row in rows if row[0].strip().isdecimal()]
    assert [row[0] for row in measured] == [6, 12, 24]
    hours, events, _, _, seconds, _, memory_mb, page_mb = measured[-1]
    assert seconds < 20
    assert memory_mb < 1000
    assert page_mb < 15
    assert memory_mb / measured[0][6] < events / measured[0][1] == pytest.approx(hours / 6, rel=0.1)
