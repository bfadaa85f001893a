"""The report of a real run in a real browser: it draws, stays silent, fits the screen, and zooms to the second."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from contrast import contrast
from covered import covered_texts
from playwright.sync_api import Page
from waiting import wait_until

FIGURES = ("bridge", "equity", "by-time", "fill-quality", "actions", "reasons")
PAGES = ("report", "paper_report", "comparison")
TEXTS = (
    *(
        "body",
        "h2",
        ".note",
        ".tile dt",
        ".simulated",
        ".meta",
        ".answer b",
        ".amount",
        "td.number",
        "tbody th",
    ),
    *("nav a", "button", ".folded > summary span", ".help > summary", "td.gain", "td.loss"),
)
"""Texts of which each page has some; what it has not is left out."""
DRAWN = """
element => {
  const shapes = element.querySelectorAll('.scatterlayer .js-line, .scatterlayer .point, .barlayer .point path');
  return [...shapes].filter(shape => (shape.getAttribute('d') ?? '').length > 8).length;
}
"""
"""Counts the lines, marks and bars of a figure that have a shape."""


def hover(page: Page, figure: str, *, across: float = 0.5, down: float = 0.2) -> str:
    """Point at a place in a figure, or further right until there is something, and return what its tooltip says."""
    place = page.locator(f"{figure} .nsewdrag").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * across, box["y"] + box["height"] * down
    tooltip = page.locator(f"{figure} .hoverlayer text")
    for step in range(400):
        at = x + 15 * (step % 20)
        page.mouse.move(at - 3, y)
        page.mouse.move(at, y, steps=3)
        page.wait_for_timeout(150)
        if tooltip.count():
            break
    return " ".join(tooltip.all_text_contents())


def unfold_all(page: Page) -> None:
    """Unfold every section, and wait until its figures are drawn."""
    page.eval_on_selector_all("details", "all => all.forEach(details => { details.open = true; })")
    wait_until(
        page,
        "[...document.querySelectorAll('[data-figure-data]')].every(figure => figure.dataset.drawn !== undefined)",
    )


def colour_of(page: Page, selector: str, style: str) -> str:
    found: str = page.eval_on_selector(selector, f"element => getComputedStyle(element).{style}")
    return found


@pytest.fixture
def path_of(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return what makes one of the pages."""
    return request.getfixturevalue


@pytest.mark.parametrize("name", ["report", pytest.param("paper_report", marks=pytest.mark.long)])
def test_every_chart_draws_with_units_and_nothing_is_complained_of_or_fetched(
    open_page: Callable, path_of: Callable[[str], Path], name: str
) -> None:
    opened = open_page(path_of(name))
    page = opened.page
    unfold_all(page)
    assert_no_button_sends_anything(page)
    assert_tooltips_show_units(page)
    for name in FIGURES:
        assert page.eval_on_selector(f"#figure-{name}", DRAWN) > 0, name
    tabs = page.locator("[data-tab]")
    for index in range(tabs.count()):
        tabs.nth(index).click()
        page.wait_for_selector(f"#view-{index + 1}[data-drawn]:not([hidden])")
        assert page.eval_on_selector(f"#view-{index + 1}", DRAWN) > 10
        rows = page.eval_on_selector(
            f"#view-{index + 1}", "element => element._fullLayout._plots.xy4 !== undefined"
        )
        assert rows
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "blob:", "data:"))] == []


def assert_tooltips_show_units(page: Page) -> None:
    assert "USDT" in hover(page, "#figure-equity")
    assert "bps" in hover(page, "#figure-fill-quality", across=0.06, down=0.5)
    assert "a minute" in hover(page, "#figure-actions")
    assert " s" in hover(page, "#figure-reasons", across=0.05, down=0.3)
    text = hover(page, "[data-view]:not([hidden])")
    assert re.search(r"[\d.,]+ (USDT|BTC)", text), text
    assert "UTC" in text


def assert_no_button_sends_anything(page: Page) -> None:
    titles = page.eval_on_selector_all(
        ".modebar-btn", "buttons => buttons.map(button => button.dataset.title)"
    )
    assert titles
    assert {title for title in titles if "hare" in title or "loud" in title} == set()


@pytest.mark.long
def test_dark_and_light_follow_the_system_and_the_button(open_page: Callable, report: Path) -> None:
    page = open_page(report, scheme="dark").page
    unfold_all(page)
    dark = colour_of(page, "body", "backgroundColor")
    assert colour_of(page, "#figure-equity .bg", "fill") == dark
    page.click("#theme")
    wait_until(page, "document.documentElement.dataset.theme === 'light'")
    light = colour_of(page, "body", "backgroundColor")
    assert light == "rgb(255, 255, 255)" != dark
    wait_until(
        page,
        "getComputedStyle(document.querySelector('#figure-reasons .main-svg')).background.includes('255, 255, 255')",
    )
    assert page.eval_on_selector("#figure-reasons", DRAWN) > 0
    page.click("#theme")
    wait_until(page, "document.documentElement.dataset.theme === 'dark'")


@pytest.mark.parametrize(
    ("name", "width"),
    [
        pytest.param(name, width, marks=() if (name, width) == ("report", 390) else pytest.mark.long)
        for name in PAGES
        for width in (1280, 390)
    ],
)
def test_page_fits_the_screen_and_its_text_can_be_read(
    open_page: Callable, path_of: Callable[[str], Path], name: str, width: int
) -> None:
    opened = open_page(path_of(name), width=width)
    page = opened.page
    if name != "comparison":
        unfold_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widest = page.eval_on_selector_all(
        ".figure:not([hidden]) .main-svg",
        "plots => Math.max(...plots.map(plot => plot.getBoundingClientRect().right))",
    )
    assert widest <= width
    assert covered_texts(page) == []
    if width == 1280:
        hidden = "tables => tables.filter(table => table.scrollWidth > table.clientWidth).length"
        assert page.eval_on_selector_all(".wide", hidden) == 0
    found = [selector for selector in TEXTS if page.locator(selector).count()]
    assert len(found) >= 6
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        wait_until(page, f"document.documentElement.dataset.theme === '{scheme}'")
        for selector in found:
            assert contrast(page, selector) >= 4.5, (scheme, selector)
    assert opened.complaints == []


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_first_screen_has_the_answer_and_on_a_wide_one_the_bridge(
    open_page: Callable, report: Path, width: int, height: int
) -> None:
    page = open_page(report, width=width).page
    bottom = "elements => Math.max(...elements.map(element => element.getBoundingClientRect().bottom))"
    labels = page.locator("#verdict b").all_text_contents()
    assert labels == ["Result", "Where", "Why", "Change"]
    assert "more in the report" not in page.locator("#verdict").inner_text()
    needed = "#verdict .result, #verdict .answer" + (", #figure-bridge" if width == 1280 else "")
    assert page.eval_on_selector_all(needed, bottom) <= height
    sign = page.locator(".result .amount").inner_text()[0]
    assert (
        colour_of(page, ".result .amount", "color") == {"+": "rgb(0, 132, 90)", "-": "rgb(179, 18, 43)"}[sign]
    )


def test_buttons_of_the_curve_show_one_view_each(open_page: Callable, report: Path) -> None:
    page = open_page(report).page
    names = "figure => figure.data.map(trace => trace.name)"
    assert "trading PnL, all" in page.eval_on_selector("#figure-equity", names)
    for view, line, title in (
        ("equity", "without trading", "equity marked"),
        ("drawdown", "drawdown, all", "drawdown of"),
        ("before-fees", "all, before fees", "trading PnL before"),
        ("pnl", "trading PnL, all", "trading PnL, net"),
    ):
        page.click(f'[data-show="{view}"]')
        wait_until(page, f"document.querySelector('#figure-equity').dataset.shown === '{view}'")
        shown = page.eval_on_selector("#figure-equity", names)
        assert line in shown
        assert "trading PnL, all" not in shown or view == "pnl"
        assert page.locator("#figure-equity .annotation-text").first.text_content().startswith(title)
        assert page.locator('[aria-pressed="true"][data-show]').get_attribute("data-show") == view


def test_sections_of_reference_are_folded_and_say_their_main_figure(
    open_page: Callable, report: Path
) -> None:
    page = open_page(report).page
    folded = page.locator("details.folded")
    assert folded.count() == page.locator("details.folded:not([open])").count() == 6
    for text in page.locator("details.folded > summary span").all_inner_texts():
        assert text.strip()
    assert page.get_attribute("#figure-actions", "data-drawn") is None
    page.click('nav a[href="#orders"]')
    page.wait_for_selector("#figure-actions[data-drawn]")
    assert page.eval_on_selector("#figure-actions", DRAWN) > 0


@pytest.mark.long
def test_on_paper_the_page_is_light_and_as_wide_as_a_sheet(open_page: Callable, report: Path) -> None:
    page = open_page(report, scheme="dark").page
    widths = "plots => plots.map(plot => plot.getBoundingClientRect().width)"
    shown = ".figure:not([hidden]) .main-svg"
    before = page.eval_on_selector_all(shown, widths)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert max(page.eval_on_selector_all(shown, widths)) <= 720 < max(before)
    assert colour_of(page, "#figure-equity .main-svg", "backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.locator("#exits button").first.is_hidden()
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    wait_until(page, "document.documentElement.dataset.theme === 'dark'")
    wait_until(
        page,
        "before => document.querySelector('.figure:not([hidden]) .main-svg').getBoundingClientRect().width === before",
        before[0],
    )
    assert page.pdf(format="A4").startswith(b"%PDF-")


@pytest.mark.long
def test_paper_trading_says_so_and_shows_its_guards(open_page: Callable, paper_report: Path) -> None:
    page = open_page(paper_report).page
    assert "Paper trading on a local venue" in page.locator("header").inner_text()
    unfold_all(page)
    assert "the feed has ended" in page.locator("#session").inner_text()
    button = page.locator("#not-quoting [data-moment]").first
    assert button.is_visible()
    button.click()
    page.wait_for_selector("[data-view]:not([hidden])[data-span]")


def test_zooming_by_button_and_by_dragging_draws_every_recorded_second(
    open_page: Callable, report: Path
) -> None:
    page = open_page(report).page
    page.click('[data-tab="XRP/USDT"]')
    page.wait_for_selector("#view-1[data-span]:not([hidden])")
    page.click('[data-seconds="0"]')
    page.wait_for_selector('[data-seconds="0"][aria-pressed="true"]')
    overview = page.evaluate("document.querySelector('#view-1').data[0].x.length")
    page.click('[data-seconds="60"]')
    page.wait_for_selector('[data-seconds="60"][aria-pressed="true"]')
    shown = page.evaluate(
        """() => {
          const { data, layout } = document.querySelector('#view-1');
          const [from, to] = document.querySelector('#view-1').dataset.span.split(' ').map(Number);
          const bid = data.find(trace => trace.meta.key === 'best_bid');
          const outer = data.find(trace => trace.meta.level === 2 && trace.meta.key === 'ask');
          return { from, to, x: bid.x, y: bid.y, outer: outer.x.map((x, row) => [x, outer.y[row]]) };
        }"""
    )
    touches = [
        (1000 * moment.timestamp(), bid)
        for name, wanted in (("market", []), ("quotes", [("level", "=", 1)]))
        for table in [
            pq.read_table(report.parent / f"{name}.parquet", filters=[("symbol", "=", "XRP/USDT"), *wanted])
        ]
        for moment, bid in zip(table["ts_event"].to_pylist(), table["best_bid"].to_pylist(), strict=True)
    ]
    recorded = sorted(touch for touch in touches if shown["from"] <= touch[0] <= shown["to"])
    drawn = sorted(
        point
        for point in zip(shown["x"], shown["y"], strict=True)
        if shown["from"] <= point[0] <= shown["to"]
    )
    assert shown["to"] - shown["from"] == 60_000
    assert len(drawn) == len(recorded) >= 60
    assert overview < len(touches)
    for (x, y), (moment, bid) in zip(drawn, recorded, strict=True):
        assert x == pytest.approx(moment, abs=1)
        assert y == pytest.approx(bid, rel=1e-9)
    quotes = pq.read_table(
        report.parent / "quotes.parquet", filters=[("symbol", "=", "XRP/USDT"), ("level", "=", 2)]
    )
    rows = zip(quotes["ts_event"].to_pylist(), quotes["ask_price"].to_pylist(), strict=True)
    asked = [(1000 * moment.timestamp(), ask) for moment, ask in rows if ask is not None]
    asks = [(x, ask) for x, ask in asked if shown["from"] < x < shown["to"]]
    further = [(x, ask) for x, ask in shown["outer"] if ask and shown["from"] < x < shown["to"]]
    assert len(further) == len(asks) > 5
    for (x, y), (moment, ask) in zip(further, asks, strict=True):
        assert x == pytest.approx(moment, abs=1)
        assert y == pytest.approx(ask, rel=1e-9)
    assert_dragging_zooms(page)


def assert_dragging_zooms(page: Page) -> None:
    """Show all by a double click, zoom by dragging over a part, and show all again."""
    rows = int(page.get_attribute("#view-1", "data-rows") or 0)
    place = page.locator("#view-1 .nsewdrag").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    y = box["y"] + 40
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, y)
    wait_until(page, f"Number(document.querySelector('#view-1').dataset.rows) > {5 * rows}")
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, y + 5, steps=6)
    page.mouse.up()
    wait_until(page, "Number(document.querySelector('#view-1').dataset.rows) < 260")
    part = int(page.get_attribute("#view-1", "data-rows") or 0)
    assert part > 100
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, y)
    wait_until(page, f"Number(document.querySelector('#view-1').dataset.rows) > {5 * part}")


@pytest.mark.long
@pytest.mark.parametrize("width", [1280, 390])
def test_comparison_draws_both_curves(open_page: Callable, comparison: Path, width: int) -> None:
    opened = open_page(comparison, width=width)
    assert opened.page.locator("#figure-curves .scatterlayer .js-line").count() == 2
    assert opened.complaints == []
    assert opened.requests == [comparison.as_uri()]
    assert "USDT" in hover(opened.page, "#figure-curves")
