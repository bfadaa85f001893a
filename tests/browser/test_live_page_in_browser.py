"""The live page of real runs in a real browser: it draws, follows, reconnects, asks for the token, and halts."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from contrast import contrast
from covered import covered_texts
from pages import OpenPage, open_in
from playwright.sync_api import Browser, Page, expect
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "correct-horse-battery"  # noqa: S105
VARIABLE = "MM_NAUTILUS_WEB_TOKEN"
PATIENCE_MS = 60_000
FIRST_SCREEN = 600
"""Less than the height of a phone's screen, in pixels."""
SYMBOLS = ["XRP/USDT", "BTC/USDT", "XRP/BTC"]
REFUSED = re.compile(r"net::ERR_|Failed to load resource")
"""What the browser itself says of a server that is gone or asks for a token."""


class LiveRun:
    """A run of the local sandbox with a live page."""

    def __init__(self, folder: Path, *options: str, port: int = 0, token: str | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        environment |= {"PYTHONPATH": str(ROOT)} | ({} if token is None else {VARIABLE: token})
        settings = {
            "feed.speed": "20",
            "metrics.interval_seconds": "0.5",
            "output.directory": str(folder),
            "output.report": "false",
            "strategy.symbols.XRP/USDT.levels": "[{width_bps: 0}, {width_bps: 5}]",
        }
        sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        config = str(ROOT / "configs" / "sandbox_local.yaml")
        command = [sys.executable, "-m", "mm_nautilus.cli", "sandbox", config, "--duration", "1h", *sets]
        self.process = subprocess.Popen(
            [*command, "--web-port", str(port), *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.match(r"live page: (http://127\.0\.0\.1:(\d+)/)", line)
            if found:
                self.url, self.port = found[1], int(found[2])
                return
        pytest.fail("the command never told its page")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_MS / 1_000)


@contextmanager
def live_run(folder: Path, *options: str, port: int = 0, token: str | None = None) -> Iterator[LiveRun]:
    run = LiveRun(folder, *options, port=port, token=token)
    try:
        yield run
    finally:
        run.end()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRun]:
    with live_run(tmp_path_factory.mktemp("live")) as started:
        yield started


@pytest.fixture
def open_url(browser: Browser) -> Iterator[Callable[..., OpenPage]]:
    """Return what opens an address and waits until its script has run."""
    with ExitStack() as stack:

        def open_(url: str, *, width: int = 1280, scheme: Any = "light") -> OpenPage:
            return open_in(browser, stack, url, width=width, scheme=scheme, patience_ms=PATIENCE_MS)

        yield open_


def number(text: str) -> int:
    return int(text.replace(",", ""))


def shown_fills(page: Page) -> int:
    return number(page.inner_text('[data-account="fills"]'))


POINTS = "least => prices['XRP/USDT']?.ms.length >= least"


def wait_for_more_fills(page: Page, before: int) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while shown_fills(page) <= before:
        assert time.monotonic() < deadline, f"the page stayed at {before} fills"
        page.wait_for_timeout(50)


def test_page_draws_everything_and_complains_of_nothing(open_url: Callable, run: LiveRun) -> None:
    opened = open_url(run.url)
    page = opened.page
    wait_for_more_fills(page, 0)
    page.wait_for_selector("#chart[data-points] svg .line")
    assert page.locator("#states strong").all_inner_texts() == SYMBOLS
    assert page.locator("#cards .card h3").all_inner_texts() == SYMBOLS
    assert len(page.get_attribute("#chart svg .line", "d") or "") > 20
    for symbol in SYMBOLS:
        card = page.locator(f'[data-symbol="{symbol}"]')
        base, quote = symbol.split("/")
        expect(card.locator('[data-figure="mid"]')).to_have_text(re.compile(rf"^[\d.,]+ {quote}$"))
        expect(card.locator('[data-figure="inventory"]')).to_have_text(re.compile(rf"^-?[\d.,]+ {base}$"))
        expect(card.locator('[data-figure="touch"]')).to_have_text(
            re.compile(rf"^[\d.,]+ / [\d.,]+ {quote}$")
        )
        expect(card.locator(".inventory .note")).to_have_text(
            re.compile(rf"^(long|short|flat) -?[\d.,]+ {base}, \d+ % of the cap of [\d.,]+ {base}$")
        )
        expect(page.locator(f'[data-quoting="{symbol}"] [data-state]')).to_have_text(
            re.compile("quoting|paused|halted")
        )
        expect(card.locator("[data-age]")).to_have_text(re.compile(r"^at most [\d.]+ s$"))
    bids = page.locator('[data-symbol="XRP/USDT"] [data-figure="bid"]')
    expect(bids).to_have_text(re.compile(r"^[^\n]+\n[^\n]+$"))
    assert "\n" in bids.inner_text()
    expect(page.locator("#fill-rows tr").first.locator("td")).to_have_count(9)
    expect(page.locator("#log")).to_contain_text("[FILL] [market_making]")
    expect(page.locator("#status")).to_have_text("running")
    expect(page.locator("#connection")).to_have_text("connected")
    expect(page.locator("#feed")).to_have_text("feed connected")
    expect(page.locator("#line-title")).to_have_text("Trading PnL")
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#day-rows tr")).to_have_count(1)
    expect(page.locator("#day-rows td").nth(1)).to_have_text(re.compile(r"^[+-]\$[\d.]+$"))
    expect(page.locator('[data-account="fees"]')).to_have_text(re.compile(r"^\$[\d.]+$"))
    expect(page.locator("#data-label")).to_be_visible()
    expect(page.locator("#about")).to_contain_text("simulated fills")
    assert opened.complaints == []
    assert {url.removeprefix(run.url) for url in opened.requests} - {"data:,"} == {"", "events"}


@pytest.mark.long
def test_tooltips_show_units_and_exact_amounts(open_url: Callable, run: LiveRun) -> None:
    page = open_url(run.url).page
    wait_for_more_fills(page, 0)
    total = page.locator('[data-symbol="XRP/USDT"] [data-figure="total_pnl"]')
    expect(total).to_have_attribute("title", re.compile(r"in quote currency\. Exactly: -?\d+\.\d{8} USDT$"))
    expect(page.locator('[data-account="equity"]')).to_have_attribute(
        "title", re.compile(r"Exactly: [\d.]+ USDT")
    )
    untold = page.eval_on_selector_all(
        "[data-figure], [data-account], [data-age], #fill-heads th, #fill-rows td",
        "cells => cells.filter(cell => !cell.title).length",
    )
    assert untold == 0


@pytest.mark.long
def test_line_tells_moment_and_amount_where_it_is_pointed_at(open_url: Callable, run: LiveRun) -> None:
    page = open_url(run.url).page
    page.wait_for_selector("#chart[data-points] svg .line")
    chart = page.locator("#chart svg")
    chart.hover(position={"x": 400, "y": 60})
    expect(page.locator("#reading")).to_have_text(
        re.compile(r"^\d{4}-\d\d-\d\d [\d:]{8} UTC: [+-]?\$[\d.]+ \(USDT\)$")
    )
    page.click('[data-line="equity"]')
    expect(page.locator("#line-title")).to_have_text("Equity")
    page.locator("#chart svg").hover(position={"x": 500, "y": 60})
    expect(page.locator("#reading")).to_have_text(re.compile(r"UTC: \$[\d.]+ \(USDT\)$"))


def test_prices_of_the_last_minutes_show_market_quotes_and_fills(open_url: Callable, run: LiveRun) -> None:
    """A second page begins with what the run has kept, and every page goes on from state to state."""
    page = open_url(run.url).page
    wait_for_more_fills(page, 0)
    for symbol in SYMBOLS:
        chart = page.locator(f'[data-symbol="{symbol}"] .prices')
        for line in ("touch", "mid", "quote.bid", "quote.ask"):
            expect(chart.locator(f"path.{line}").first).to_have_attribute("d", re.compile(r"^M.+[HL]"))
    expect(page.locator(".prices .trade").first).to_be_attached()
    wait_until(page, POINTS, 4)
    again = open_url(run.url).page
    wait_until(again, POINTS, 4)
    before = again.evaluate("prices['XRP/USDT'].ms.length")
    wait_until(again, POINTS, before + 2)
    shown = again.evaluate("prices['XRP/USDT']")
    assert len({len(column) for column in shown.values()}) == 1
    assert shown["ms"] == sorted(shown["ms"])


def test_page_updates_after_a_fill(open_url: Callable, run: LiveRun) -> None:
    opened = open_url(run.url)
    page = opened.page
    before, newest = shown_fills(page), page.inner_text("#fill-rows tr >> nth=0")
    wait_for_more_fills(page, before)
    expect(page.locator("#fill-rows tr").first).not_to_have_text(newest)
    assert opened.requests.count(f"{run.url}events") == 1
    assert opened.complaints == []


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        *(
            pytest.param(*one, marks=pytest.mark.long)
            for one in ((1280, "light"), (1280, "dark"), (390, "light"))
        ),
    ],
)
def test_page_fits_the_screen_and_can_be_read(
    open_url: Callable, run: LiveRun, width: int, scheme: str
) -> None:
    opened = open_url(run.url, width=width, scheme=scheme)
    page = opened.page
    wait_for_more_fills(page, 0)
    page.wait_for_selector("#chart[data-points] svg .line")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert covered_texts(page) == []
    for row in page.locator("#states li").all():  # what it does comes first: all on the first screen
        place = row.bounding_box()
        assert place is not None
        assert place["y"] + place["height"] < FIRST_SCREEN
    widest = page.eval_on_selector_all(
        "#states li, .tile, .card, .card td, .card svg, #chart svg, .day-box, table.days td, .fill-box, #log",
        "elements => Math.max(...elements.map(element => element.getBoundingClientRect().right))",
    )
    assert widest <= width
    if width == 390:
        assert page.eval_on_selector(".fill-box", "box => box.scrollWidth <= box.clientWidth")
    for selector in (
        "body",
        ".note",
        ".tile dt",
        ".chip",
        ".simulated",
        ".card tbody th",
        ".buy, .sell",
        ".gain, .loss",
        "#states .reason",
        ".inventory .note",
        ".key.market",
        ".key.buy",
        ".key.sell",
        "#log",
    ):
        assert contrast(page, selector) >= 4.5, selector
    is_dark = page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert is_dark == (scheme == "dark")
    page.click("#theme")
    assert (page.evaluate("document.documentElement.dataset.theme") == "dark") != is_dark
    assert opened.complaints == []


@pytest.mark.long
def test_page_reconnects_to_the_next_run_on_its_port(open_url: Callable, tmp_path: Path) -> None:
    with live_run(tmp_path) as first:
        opened = open_url(first.url)
        page = opened.page
        wait_for_more_fills(page, 0)
        first_id = page.get_attribute("html", "data-run")
        first_fills = set(page.locator("#fill-rows tr").all_inner_texts())
        first.process.kill()
        expect(page.locator("#connection")).to_have_text("connection lost, reconnecting")
        expect(page.locator("#lost")).to_contain_text("whether it still quotes is not known")
        expect(page.locator("#status")).to_have_text("run unknown")
        expect(page.locator("#feed")).to_have_text("feed unknown")
        age = page.inner_text('[data-age="XRP/USDT"]')
        expect(page.locator('[data-age="XRP/USDT"]')).not_to_have_text(age)
    with live_run(tmp_path, port=first.port):
        page.wait_for_selector(f'html[data-run]:not([data-run="{first_id}"])')
        expect(page.locator("#connection")).to_have_text("connected")
        expect(page.locator("#lost")).to_be_hidden()
        wait_for_more_fills(page, 0)
        assert first_fills.isdisjoint(page.locator("#fill-rows tr").all_inner_texts())
    expect(page.locator("#ended")).to_contain_text("This run has ended (interrupted")
    expect(page.locator("#connection")).to_have_text("run ended, waiting for the next")
    with live_run(tmp_path, port=first.port):
        expect(page.locator("#connection")).to_have_text("connected")
        expect(page.locator("#ended")).to_be_hidden()
    assert [complaint for complaint in opened.complaints if not REFUSED.search(complaint)] == []


@pytest.mark.long
def test_page_asks_for_the_token_halts_the_run_and_resumes_it(open_url: Callable, tmp_path: Path) -> None:
    with live_run(tmp_path, "--web-halt", token=TOKEN) as run:
        opened = open_url(run.url)
        page = opened.page
        assert page.locator("#cards").count() == 0
        page.fill("#token", "not-the-token-at-all")
        page.click("button[type=submit]")
        expect(page.locator("#answer")).to_have_text("This is not the token.")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        wait_for_more_fills(page, 0)
        page.click("#halt")
        page.click("#halt-cancel")
        expect(page.locator("#halt-dialog")).to_be_hidden()
        expect(page.locator("#status")).to_have_text("running")
        expect(page.locator("#resume")).to_be_hidden()
        page.click("#halt")
        page.check('[name="flatten"][value="flatten"]')
        page.click("#halt-confirm")
        expect(page.locator("#halt-dialog")).to_be_hidden()
        expect(page.locator("#status")).to_have_text("halted")
        for symbol in SYMBOLS:
            row = page.locator(f'[data-quoting="{symbol}"]')
            expect(row).to_have_attribute("data-kind", "bad")
            expect(row.locator("[data-state]")).to_have_text("halted")
            expect(row.locator(".reason")).to_have_text("halted by the kill switch: the live page")
            bid = page.locator(f'[data-symbol="{symbol}"] [data-figure="bid"]')
            expect(bid).to_have_text(re.compile("^none: halted"))
        (kept,) = tmp_path.glob("*/sandbox_local.halt")
        assert '"flatten": true' in kept.read_text(encoding="utf-8")
        page.click("#resume")
        assert page.locator("#resume-list li").all_inner_texts() == [
            f"{symbol}: halted by the kill switch: the live page" for symbol in SYMBOLS
        ]
        page.click("#resume-cancel")
        expect(page.locator("#status")).to_have_text("halted")
        page.click("#resume")
        page.click("#resume-confirm")
        expect(page.locator("#resume-dialog")).to_be_hidden()
        expect(page.locator("#status")).to_have_text("running")
        expect(page.locator("#resume")).to_be_hidden()
        wait_for_more_fills(page, shown_fills(page))
        assert not kept.exists()
        assert page.evaluate("document.cookie") == ""
        assert not any(TOKEN in url for url in opened.requests)
        assert [complaint for complaint in opened.complaints if not REFUSED.search(complaint)] == []


def test_page_without_the_option_has_no_halt_button(open_url: Callable, run: LiveRun) -> None:
    page = open_url(run.url).page
    assert page.locator("#halt, #halt-dialog, #resume, #resume-dialog").count() == 0
