"""Make the documentation's pictures: real runs of the shipped sample, their pages opened in Chromium, one PNG a part.

Run by hand from the repository's folder: ``.venv/bin/python docs/make_pictures.py``. MM_CHROMIUM names the browser
where it is not /usr/bin/chromium. The tables that ``make backtest`` prints are drawn as SVG.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.text import Text

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.report.compare import compare_runs
from mm_nautilus.report.comparison_view import comparison_parts
from mm_nautilus.report.console import summary_view
from mm_nautilus.report.page import render
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.winding_down import RunOutcome

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("MM_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
EVENTFUL = (
    "strategy.use_reservation_price=true",
    "strategy.gamma=1.0",
    "strategy.volatility_lookback=3",
    "strategy.use_trailing_stop=true",
    "strategy.trailing_stop_activation=0.05",
    "strategy.trailing_stop_distance=0.04",
)
"""What gives every section of the page something to show; the figures are of SIMULATED data either way."""
EDGE = ("strategy.min_edge_bps=1",)
"""The tutorial's one changed parameter."""
WIDTH, HEIGHT = 900, 1700
"""Of the window: higher than every section, as Chromium may leave out what reaches beyond it."""
WIDE = 1280
NARROW = 390
LARGEST_BYTES = 200_000
_COLUMNS: Final = 130
_FONTS: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def outcome_of(folder: Path, name: str, *sets: str, file: str = "v1_4.yaml") -> RunOutcome:
    """Run a shipped configuration with changes."""
    given = [*sets, f"output.directory={folder}", f"name={name}"]
    return run_backtest(load_config(ROOT / "configs" / file, given).config)


# -- Pages --------------------------------------------------------------------------------------------------


def opened(page: Page, path: Path) -> Page:
    """Open a page and wait until it is drawn; what only a mouse can use is hidden."""
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.add_style_tag(content=".modebar, nav { display: none !important; }")
    return page


def draw_top(browser: Browser, report: Path) -> None:
    """Take the picture of what a report begins with."""
    page = opened(browser.new_page(viewport={"width": WIDE, "height": HEIGHT}), report)
    page.screenshot(path=IMAGES / "report.png", clip=top_of(page, "#course"))


def draw_report(browser: Browser, report: Path) -> None:
    """Take the pictures of a report's parts."""
    page = opened(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), report)
    page.locator("#figure-equity").screenshot(path=IMAGES / "report-equity.png")
    page.locator('[data-tab="BTC/USDT"]').click()
    page.wait_for_selector("#view-2[data-drawn]")
    page.wait_for_selector("#view-2[data-rows]")
    page.locator("#view-2").screenshot(path=IMAGES / "report-market.png")
    page.locator("#figure-fill-quality").screenshot(path=IMAGES / "report-fill-quality.png")
    page.locator(".panels").screenshot(path=IMAGES / "report-trails.png")
    context = browser.new_context(viewport={"width": NARROW, "height": 844}, color_scheme="dark")
    opened(context.new_page(), report).screenshot(path=IMAGES / "report-phone.png")


def top_of(page: Page, end: str) -> dict[str, float]:
    """Return what lies above an element, as a rectangle."""
    box = page.locator(end).bounding_box()
    if box is None:
        raise ValueError(f"the page has no {end}")
    return {"x": 0, "y": 0, "width": page.evaluate("innerWidth"), "height": box["y"] - 20}


def draw_comparison(browser: Browser, path: Path) -> None:
    """Take the picture of runs side by side."""
    page = opened(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), path)
    page.screenshot(path=IMAGES / "compare.png", clip=top_of(page, "#group-2"))


def searched(folder: Path) -> Path:
    """Run the first search of the page of the search, and return its report."""
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    files = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, block in zip(("maker.yaml", "space.yaml"), files, strict=True):
        (folder / name).write_text(block, encoding="utf-8")
    for line in re.findall(
        r"^mm-nautilus (data simulate .*|search maker.yaml space.yaml .*--jobs.*)$", text, re.MULTILINE
    ):
        command = [sys.executable, "-m", "mm_nautilus.cli", *shlex.split(line)]
        subprocess.run(command, cwd=folder, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})  # noqa: S603
    (report,) = folder.glob("searches/*/*/report.html")
    return report


def draw_search(browser: Browser, report: Path) -> None:
    """Take the picture of one parameter's trials, in and out of sample."""
    page = opened(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), report)
    page.locator("#figure-slice-0").screenshot(path=IMAGES / "search-slice.png")


# -- The terminal -------------------------------------------------------------------------------------------


def terminal_picture(summary: dict[str, Any]) -> str:
    """Return the tables of a run as SVG text."""
    console = Console(record=True, width=_COLUMNS, file=StringIO())
    console.print(Text("$ make backtest"))
    console.print(summary_view(summary))
    return without_web_fonts(console.export_svg(title="make backtest: SIMULATED data", unique_id="backtest"))


def without_web_fonts(svg: str) -> str:
    """Take out rich's fonts, which a viewer would fetch from the network, in favour of its own."""
    svg = re.sub(r"\s*@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!-- Generated with Rich.*?-->", "", svg)
    svg = svg.replace("Fira Code, monospace", _FONTS)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE) + "\n"


# -- All of it ----------------------------------------------------------------------------------------------


def draw_all(parent: Path) -> None:
    """Run what is to be seen, and take all pictures."""
    shipped = outcome_of(parent, "backtest", file="backtest.yaml")
    first, edge, eventful = (
        outcome_of(parent, name, *sets)
        for name, sets in (("first", ()), ("edge", EDGE), ("eventful", EVENTFUL))
    )
    if not first.summary["simulated_data"]:
        raise ValueError("the pictures show simulated data, was a run on recordings")
    comparison = parent / "compare.html"
    parts = comparison_parts(compare_runs([first.folder, edge.folder]))
    comparison.write_text(render("compare.html.jinja", **parts), encoding="utf-8")
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "backtest.svg").write_text(terminal_picture(shipped.summary), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        draw_top(browser, shipped.folder / "report.html")
        draw_report(browser, eventful.folder / "report.html")
        draw_comparison(browser, comparison)
        draw_search(browser, searched(parent))
        browser.close()
    for picture in IMAGES.glob("*.png"):
        if picture.stat().st_size > LARGEST_BYTES:
            raise ValueError(
                f"{picture} must have at most {LARGEST_BYTES} bytes, was {picture.stat().st_size}"
            )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw_all(Path(folder))
