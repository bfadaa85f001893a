"""Pages of comparisons and calibrations in a real browser: they answer, draw, fit the screen and stay silent."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from contrast import contrast
from covered import covered_texts
from test_report_in_browser import DRAWN
from waiting import wait_until

from mm_nautilus.calibration.file import load_calibration
from mm_nautilus.report.calibration_plot import calibration_page
from mm_nautilus.report.compare import compare_runs
from mm_nautilus.report.comparison_view import comparison_parts
from mm_nautilus.report.page import render

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ("body", "h2", ".simulated", ".answer", "nav a", "td.number", "tbody th", "button")
BOXES = "boxes => boxes.every(box => box.getBoundingClientRect().right <= window.innerWidth + 1)"


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.long)])
def test_a_comparison_answers_on_the_first_screen(open_page: Callable, comparison: Path, width: int) -> None:
    opened = open_page(comparison, width=width)
    page = opened.page
    answer = page.locator(".answer").first
    assert answer.inner_text().startswith(("Best is ", "Least was lost by "))
    assert answer.evaluate("line => parseFloat(getComputedStyle(line).fontSize)") >= 16, "the headline"
    names = page.locator("#ranking tbody tr:first-child")
    right = names.locator("td").nth(1).bounding_box()
    assert right is not None
    assert right["x"] + right["width"] <= width, "result and difference are seen without scrolling"
    box = answer.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 500
    ranked = page.locator("#ranking tbody th").all_inner_texts()
    assert sorted(text.split(". ")[1] for text in ranked) == ["eventful", "plain"]
    assert page.eval_on_selector("#figure-curves", DRAWN) > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.eval_on_selector_all(".wide", BOXES)
    assert covered_texts(page) == []
    marked = page.locator("td.gain, td.loss").all_inner_texts()
    assert len(marked) > 3
    assert all(text.endswith(("better", "worse")) for text in marked), "never by colour alone"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        wait_until(page, f"document.documentElement.dataset.theme === '{scheme}'")
        for selector in (*TEXTS, "td.gain", "td.loss"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)
    assert opened.complaints == []
    assert opened.requests == [comparison.as_uri()]


def test_many_runs_scroll_in_their_box_on_a_phone(open_page: Callable, report: Path, tmp_path: Path) -> None:
    for number in range(8):
        shutil.copytree(report.parent, tmp_path / "runs" / f"run-{number}")
    path = tmp_path / "many.html"
    path.write_text(render("compare.html.jinja", **comparison_parts(compare_runs([tmp_path / "runs"]))))
    opened = open_page(path, width=390)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    hidden = "tables => tables.filter(table => table.scrollWidth > table.clientWidth).length"
    assert page.eval_on_selector_all(".wide", hidden) >= 4
    assert page.locator(".answer").first.inner_text().startswith("No run is better than another")
    assert opened.complaints == []


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.long)])
def test_a_calibration_is_drawn_in_both_colours(open_page: Callable, tmp_path: Path, width: int) -> None:
    path = tmp_path / "calibration.html"
    path.write_text(calibration_page(load_calibration(ROOT / "calibration" / "sample.yaml")))
    opened = open_page(path, width=width)
    page = opened.page
    figures = page.locator(".figure")
    assert figures.count() == 9
    for number in range(9):
        assert figures.nth(number).evaluate(DRAWN) > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert covered_texts(page) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        wait_until(page, f"document.documentElement.dataset.theme === '{scheme}'")
        for selector in ("body", "h2", ".simulated", "nav a", "figcaption"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)
    assert opened.complaints == []
    assert opened.requests == [path.as_uri()]
