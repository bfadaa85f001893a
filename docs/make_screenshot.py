"""Draw the README's picture: the output of a real run of configs/backtest.yaml, as one self-contained SVG.

Run by hand from the repository's folder: ``.venv/bin/python docs/make_screenshot.py``.
"""

import re
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from mm_nautilus.core.config_source import load_config
from mm_nautilus.report.console import summary_view
from mm_nautilus.runs.backtest import run_backtest

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "backtest.svg"
_COLUMNS = 130
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def backtest_summary() -> dict[str, Any]:
    """Run the shipped configuration into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_config(ROOT / "configs" / "backtest.yaml", [f"output.directory={folder}"])
        return run_backtest(loaded.config).summary


def picture(summary: dict[str, Any]) -> str:
    """Return the summary as SVG text."""
    if not summary["simulated_data"]:
        raise ValueError("the picture shows simulated data, was a run on recordings")
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


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(backtest_summary()), encoding="utf-8")
