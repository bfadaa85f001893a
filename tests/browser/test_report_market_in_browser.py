"""The market chart and the tables of fills and trades of a real run: what they show, and every control of them."""

import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from covered import covered_texts
from playwright.sync_api import Locator, Page
from waiting import wait_until

from mm_nautilus.report.derived import read_run

SYMBOL = "XRP/USDT"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def fills(report: Path) -> pd.DataFrame:
    return pd.read_parquet(report.parent / "fills.parquet")


def shown_span(page: Page) -> tuple[int, int]:
    text = page.get_attribute("[data-view]:not([hidden])", "data-span") or ""
    start, end = map(int, text.split())
    return start, end


def open_symbol(page: Page) -> None:
    page.click(f'[data-tab="{SYMBOL}"]')
    page.wait_for_selector("#view-1[data-span]:not([hidden])")


def points(page: Page, key: str) -> int:
    """Return how many points a trace of the shown figure has."""
    script = "(element, key) => element.data.find(trace => trace.meta.key === key).x.length"
    found: int = page.eval_on_selector("[data-view]:not([hidden])", script, key)
    return found


def column(page: Page, table: str, name: str) -> list[str]:
    """Return the texts of a table's column, as far as its rows are there."""
    headings = [text.strip() for text in page.locator(f"{table} thead th").all_text_contents()]
    cells = page.locator(f"{table} tbody tr > :nth-child({headings.index(name) + 1})")
    return cells.all_text_contents()


def exact(page: Page, table: str, name: str) -> list[str]:
    """Return the exact amounts of a column, which a pointer at rest shows."""
    headings = [text.strip() for text in page.locator(f"{table} thead th").all_text_contents()]
    cells = page.locator(f"{table} tbody tr > :nth-child({headings.index(name) + 1})")
    found: list[str] = cells.evaluate_all("cells => cells.map(cell => cell.title)")
    return found


def heading(page: Page, table: str, name: str) -> Locator:
    return page.locator(f"{table} thead th", has=page.get_by_role("button", name=name, exact=True))


def show_all(page: Page, table: str) -> None:
    more = page.locator(f"{table} .more")
    while more.is_visible():
        more.click()


def number(text: str) -> Decimal:
    return Decimal(re.sub(r"[^0-9.\-]", "", text))


def words(page: Page) -> str:
    return page.locator("#chosen-fill").text_content() or ""


def test_a_figure_opens_at_a_stretch_with_fills_beside_touch_and_trades(
    open_page: Callable, report: Path, fills: pd.DataFrame
) -> None:
    opened = open_page(report)
    page = opened.page
    start, end = shown_span(page)
    assert 60_000 <= end - start <= 900_000
    shown = page.get_attribute('[data-tab][aria-selected="true"]', "data-tab")
    results = read_run(report.parent).summary["answer"]["pairs"]
    assert shown == min(results, key=lambda pair: results[pair]["result"])  # the run lost
    own = fills[fills.symbol == shown]
    within = own[own.ts_event.astype("int64").floordiv(1_000_000).between(start, end)]
    assert points(page, "buys") + points(page, "sells") == len(within) >= 3
    trades = pd.read_parquet(report.parent / "market_trades.parquet")
    trades = trades[(trades.symbol == shown)]
    count = trades.ts_event.astype("int64").floordiv(1_000_000).between(start, end).sum()
    assert points(page, "market_buys") + points(page, "market_sells") == min(count, 500) > 20
    assert min(points(page, key) for key in ("best_bid", "best_ask", "bid", "ask")) > 50
    assert page.locator('[data-seconds][aria-pressed="true"]').count() == 0
    page.click('[data-seconds="0"]')
    page.wait_for_selector('[data-seconds="0"][aria-pressed="true"]')
    assert points(page, "buys") + points(page, "sells") == len(own)
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_all_time_without_a_quote_adds_up_to_the_summarys(open_page: Callable, report: Path) -> None:
    page = open_page(report).page
    open_symbol(page)
    page.click('[data-seconds="0"]')
    page.wait_for_selector('[data-seconds="0"][aria-pressed="true"]')
    shares = page.eval_on_selector(
        "#view-1",
        """element => Object.fromEntries(element.data.filter(trace => trace.meta.key === 'reason')
          .map(trace => [trace.name, trace.y.reduce((sum, y) => sum + y, 0) / trace.y.length]))""",
    )
    start, end = shown_span(page)
    told: dict[str, float] = {}
    for reasons in read_run(report.parent).summary["symbols"][SYMBOL]["not_quoting"].values():
        for reason, entry in reasons.items():
            told[reason] = told.get(reason, 0.0) + entry["seconds"]
    for side in ("bid 2", "ask 2"):  # the bars are of the nearest quotes
        for reason, entry in read_run(report.parent).summary["symbols"][SYMBOL]["not_quoting"][side].items():
            told[reason] -= entry["seconds"]
    found = {reason: share / 50 * (end - start) / 1000 for reason, share in shares.items()}
    assert found == pytest.approx({reason: told[reason] for reason in found}, abs=0.1)


def test_fills_are_gone_through_by_buttons_and_by_keys(
    open_page: Callable, report: Path, fills: pd.DataFrame
) -> None:
    page = open_page(report).page
    open_symbol(page)
    own = fills[fills.symbol == SYMBOL].reset_index(drop=True)
    start, end = shown_span(page)
    page.get_by_role("button", name="Next fill").click()
    wait_until(page, "document.querySelector('#chosen-fill').textContent.startsWith('Fill ')")
    (first,) = re.findall(r"^Fill (\d+) of", words(page))
    moments = own.ts_event.astype("int64") // 1_000_000
    assert start <= moments[int(first) - 1] <= end
    assert int(first) == 1 or moments[int(first) - 2] < start
    page.locator("#view-1").focus()
    chosen = int(first)
    for key, by in (("ArrowRight", 1), ("ArrowRight", 1), ("ArrowLeft", -1)):
        page.keyboard.press(key)
        chosen += by
        wait_until(page, f"document.querySelector('#chosen-fill').textContent.startsWith('Fill {chosen} of')")
        assert points(page, "chosen") == 1
        start, end = shown_span(page)
        assert start <= moments[chosen - 1] <= end
    fill = own.loc[chosen - 1]
    done = "bought" if fill.side == "BUY" else "sold"
    assert f"{done} {fill.quantity.normalize():,f} XRP at {fill.price.normalize():f}" in words(page)
    assert "spread captured " in words(page)
    assert "mark-out after 30 s " in words(page)
    page.get_by_role("button", name="Previous fill").click()
    wait_until(page, f"document.querySelector('#chosen-fill').textContent.startsWith('Fill {chosen - 1} of')")


def test_trades_are_those_of_the_summary_to_the_last_digit(
    open_page: Callable, report: Path, fills: pd.DataFrame
) -> None:
    page = open_page(report).page
    symbols = read_run(report.parent).summary["symbols"]
    table = "[data-rows-of=trades]"
    for symbol, figures in symbols.items():
        page.locator(f"{table} [data-filter=symbol]").select_option(symbol)
        show_all(page, table)
        own = fills[(fills.symbol == symbol)]
        results = [amount for amount in own.trade_pnl if amount is not None]
        realized = Decimal(figures["exact"]["realized_pnl"].split()[0])
        listed = [number(text) for text in exact(page, table, "PnL")]
        shown = column(page, table, "PnL")
        for text, amount in zip(shown, listed, strict=True):
            digits = len(text.partition(".")[2])
            assert abs(number(text) - amount) <= Decimal(10) ** -digits / 2
            assert number(text) != 0 or amount == 0
        ((_, most),) = Counter(len(text.partition(".")[2]) for text in shown).most_common(1)
        assert most >= 0.8 * len(shown)
        assert listed == sorted(results)
        assert len(listed) == figures["trades"]
        status = page.locator(f"{table} [role=status]").text_content() or ""
        assert "the worst first" in status
        total = page.locator(f"{table} [role=status] [title]").get_attribute("title") or ""
        assert number(total) == sum(results) == realized + own.open_fees.iloc[-1]
        assert f"({figures['wins']} won, {figures['losses']} lost)" in status
        assert len(column(page, table, "side")) == figures["trades"]


def test_tables_are_sorted_by_value_with_the_mouse_and_the_keyboard(
    open_page: Callable, report: Path, fills: pd.DataFrame
) -> None:
    page = open_page(report).page
    table = "[data-rows-of=fills]"
    page.locator(f"{table} [data-filter=symbol]").select_option(SYMBOL)
    own = fills[fills.symbol == SYMBOL]
    assert page.locator(f"{table} tbody tr").count() == min(
        10, len(own)
    )  # rows are made as they are asked for
    show_all(page, table)
    assert heading(page, table, "time, UTC").get_attribute("aria-sort") == "ascending"
    quantities = [amount.normalize() for amount in own.quantity]
    heading(page, table, "quantity").get_by_role("button").click()
    show_all(page, table)
    assert heading(page, table, "quantity").get_attribute("aria-sort") == "ascending"
    assert heading(page, table, "time, UTC").get_attribute("aria-sort") == "none"
    assert [number(text) for text in column(page, table, "quantity")] == sorted(quantities)
    page.keyboard.press("Enter")
    assert heading(page, table, "quantity").get_attribute("aria-sort") == "descending"
    assert [number(text) for text in column(page, table, "quantity")] == sorted(quantities, reverse=True)
    heading(page, table, "PnL").get_by_role("button").press("Space")
    texts = column(page, table, "PnL")
    known = [number(text) for text in texts if text != "-"]
    assert known == sorted(known)
    assert texts[len(known) :] == ["-"] * (len(own) - len(known))  # what is not known comes last
    page.locator(f"{table} [data-filter=reason]").select_option("trailing stop")
    assert set(column(page, table, "reason")) == {"trailing stop"}


def test_prices_are_sorted_within_a_symbol(open_page: Callable, report: Path) -> None:
    page = open_page(report).page
    table = "[data-rows-of=trades]"
    heading(page, table, "exit price").get_by_role("button").click()
    show_all(page, table)
    symbols = column(page, table, "symbol")
    assert symbols == sorted(symbols)
    assert len(set(symbols)) > 1
    for symbol in set(symbols):
        prices = [
            number(text)
            for text, own in zip(column(page, table, "exit price"), symbols, strict=True)
            if own == symbol
        ]
        assert prices == sorted(prices)
    assert "first" not in (page.locator(f"{table} [role=status]").text_content() or "")


@pytest.mark.parametrize("table", ["fills", "trades"])
def test_a_row_opens_the_chart_at_its_fill(open_page: Callable, report: Path, table: str) -> None:
    page = open_page(report).page
    section = f"[data-rows-of={table}]"
    page.locator(f"{section} [data-filter=symbol]").select_option("BTC/USDT")
    name = "PnL" if table == "trades" else "time, UTC"
    expected, at = column(page, section, name)[2], page.locator(f"{section} tbody tr").nth(2)
    time = (at.locator("th").text_content() or "").strip()
    at.locator("button").press("Enter")
    wait_until(page, "document.querySelector('#chosen-fill').textContent.startsWith('Fill ')")
    assert page.get_attribute('[data-tab][aria-selected="true"]', "data-tab") == "BTC/USDT"
    assert time in words(page)
    assert expected in words(page)
    assert page.evaluate("document.activeElement.dataset.symbol") == "BTC/USDT"
    wait_until(page, "document.querySelector('#market').getBoundingClientRect().top < 200")
    start, end = shown_span(page)
    clock = pd.Timedelta(time).value // 1_000_000
    assert start % DAY_MS - 1_000 <= clock <= end % DAY_MS + 1_000


def test_a_rule_of_exits_lists_its_trades_and_a_trail_opens_the_chart(
    open_page: Callable, report: Path
) -> None:
    page = open_page(report).page
    exits = read_run(report.parent).summary["exits"]
    page.locator('#exits [data-reason="trailing stop"]').click()
    show_all(page, "[data-rows-of=trades]")
    listed = dict(
        zip(
            page.locator("#exits tbody th").all_text_contents(),
            page.locator("#exits tbody td:nth-child(3)").all_text_contents(),
            strict=True,
        )
    )
    *rules, total = (int(text.replace(",", "")) for text in listed.values())
    assert list(listed)[-1] == "all"
    assert "quote fill" in listed
    assert (
        sum(rules)
        == total
        == sum(found["trades"] for found in read_run(report.parent).summary["symbols"].values())
    )
    reasons = column(page, "[data-rows-of=trades]", "reason")
    assert reasons == ["trailing stop"] * exits["trailing_stop"]["trades"]
    panels = page.locator("#exits .panels figure")
    assert panels.count() == min(12, exits["trailing_stop"]["count"])
    button = panels.last.locator("[data-moment]")
    symbol, moment = button.get_attribute("data-symbol"), int(button.get_attribute("data-moment") or 0)
    button.click()
    wait_until(page, f"document.activeElement.dataset.symbol === '{symbol}'")
    start, end = shown_span(page)
    assert start < moment < end
    clock = pd.Timestamp(moment, unit="ms").strftime("%H:%M:%S")
    assert re.match(rf"Fill \d+ of [\d,]+, {clock} UTC", words(page))
    assert "trailing stop" in words(page)
    (chosen,) = re.findall(r"^Fill (\d+) of", words(page))
    page.get_by_role("button", name="Previous fill").click()
    wait_until(
        page, f"document.querySelector('#chosen-fill').textContent.startsWith('Fill {int(chosen) - 1} of')"
    )
    page.click('[data-seconds="0"]')
    page.wait_for_selector('[data-seconds="0"][aria-pressed="true"]')
    assert not words(page).startswith("Fill ")
    assert points(page, "chosen") == 0


def test_symbols_are_switched_by_keys_and_show_the_same_window(open_page: Callable, report: Path) -> None:
    page = open_page(report).page
    page.click('[data-seconds="60"]')
    page.wait_for_selector('[data-seconds="60"][aria-pressed="true"]')
    assert page.locator('[data-seconds][aria-pressed="true"]').count() == 1
    shown, tab = shown_span(page), page.locator('[data-tab][aria-selected="true"]')
    name = tab.text_content()
    tab.press("ArrowRight")
    wait_until(page, f"document.activeElement.dataset.tab !== '{name}'")
    wait_until(
        page, f"document.querySelector('[data-view]:not([hidden])').dataset.span === '{shown[0]} {shown[1]}'"
    )
    assert page.get_attribute('[data-tab][aria-selected="true"]', "data-tab") != name
    assert page.locator('[data-tab][tabindex="0"]').count() == 1
    assert page.locator(".modebar-btn:not([tabindex='-1'])").count() == 0


def test_fills_of_both_sides_are_drawn_alike(open_page: Callable, report: Path) -> None:
    page = open_page(report).page
    script = "(element, key) => element.data.find(trace => trace.meta.key === key).marker.size"
    for seconds in ("0", "60"):
        page.click(f'[data-seconds="{seconds}"]')
        page.wait_for_selector(f'[data-seconds="{seconds}"][aria-pressed="true"]')
        sizes = {page.eval_on_selector("[data-view]:not([hidden])", script, key) for key in ("buys", "sells")}
        assert len(sizes) == 1


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1280])
def test_no_control_lies_over_another_while_all_are_used(
    open_page: Callable, report: Path, width: int
) -> None:
    opened = open_page(report, width=width)
    page = opened.page
    page.get_by_role("button", name="Next fill").click()
    wait_until(page, "document.querySelector('#chosen-fill').textContent.startsWith('Fill ')")
    for table in ("fills", "trades"):
        page.locator(f"[data-rows-of={table}] .more").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("window.scrollTo(0, 0)")  # what is scrolled lies under the navigation, which is meant
    assert covered_texts(page) == []
    assert opened.complaints == []


@pytest.mark.long
def test_without_traces_tables_are_there_and_lead_nowhere(
    open_page: Callable, backtest: Callable[..., Path]
) -> None:
    folder = backtest("bare", "output.traces=false")
    opened = open_page(folder / "report.html")
    page = opened.page
    figures: dict[str, Any] = read_run(folder).summary["symbols"]
    show_all(page, "[data-rows-of=trades]")
    assert len(column(page, "[data-rows-of=trades]", "PnL")) == sum(
        found["trades"] for found in figures.values()
    )
    assert page.locator("[data-rows-of] tbody button, [data-view]").count() == 0
    assert set(column(page, "[data-rows-of=fills]", "mid")) == {"-"}
    assert opened.complaints == []
