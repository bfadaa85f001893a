"""The page of a search in a real browser: it draws everything, stays silent and fits the screen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from contrast import contrast
from covered import covered_texts
from made_search import write_made_search
from test_report_in_browser import DRAWN, hover
from waiting import wait_until

from mm_nautilus.search.page import write_search_page

FIGURES = ("history-0", "history-1", "parallel", "slice-0", "slice-1", "slice-2", "front-0", "folds")
TEXTS = ("body", "h2", ".note", ".simulated", ".answer", "nav a", "td.number", "tbody th", "button")
OUTSIDE = """
width => [...document.querySelectorAll('.main-svg text')]
  .filter(text => text.textContent && !text.closest('.modebar'))
  .filter(text => { const box = text.getBoundingClientRect(); return box.left < 0 || box.right > width; })
  .map(text => text.textContent)
"""
"""Texts of figures that the edge of the screen cuts off."""

SIZES = """
() => {
  const headline = document.querySelector('h1');
  const others = [...document.body.querySelectorAll('*')].filter(it => !it.closest('h1, script'));
  return [headline, ...others].map(element => parseFloat(getComputedStyle(element).fontSize));
}
"""
"""Sizes of letters, those of the headline first."""


@pytest.fixture(scope="module")
def search_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_search_page(write_made_search(tmp_path_factory.mktemp("searches") / "made"))


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.long)])
def test_every_figure_is_drawn_and_nothing_is_cut_off_or_fetched(
    open_page: Callable, search_page: Path, width: int
) -> None:
    opened = open_page(search_page, width=width)
    page = opened.page
    headline = page.locator("h1")
    assert headline.inner_text() == "Evidence on SIMULATED data"
    place = headline.bounding_box()
    assert place is not None
    assert place["y"] + place["height"] < 200
    for name in FIGURES:
        assert page.eval_on_selector(f"#figure-{name}", DRAWN) > 0, name
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE, width) == []
    assert covered_texts(page) == []
    sizes = page.evaluate(SIZES)
    assert sizes.pop(0) > max(sizes)
    if width == 1280:
        hidden = "tables => tables.filter(table => table.scrollWidth > table.clientWidth).length"
        assert page.eval_on_selector_all("section:not(#trials) .wide", hidden) == 0
        assert "55.0 min" in hover(page, "#figure-folds", across=0.1, down=0.25)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        wait_until(page, f"document.documentElement.dataset.theme === '{scheme}'")
        for selector in TEXTS:
            assert contrast(page, selector) >= 4.5, (scheme, selector)
    assert opened.complaints == []
    assert opened.requests == [search_page.as_uri()]
