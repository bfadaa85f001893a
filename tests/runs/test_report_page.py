"""The report's page: what it shows of unusual runs, and that nothing written in a run can act on it."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_runs import FinishedRun

from mm_nautilus.errors import DataError
from mm_nautilus.report.page import write_report

Runs = Callable[..., FinishedRun]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def run(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml")


@pytest.fixture
def copied(run: FinishedRun, tmp_path: Path) -> Callable[..., Path]:
    """Return what copies the run's folder with changes to its summary."""

    def copy(**changes: Any) -> Path:
        folder = tmp_path / "run"
        shutil.copytree(run.outcome.folder, folder)
        summary = json.loads((folder / "summary.json").read_text())
        (folder / "summary.json").write_text(json.dumps(summary | changes))
        return folder

    return copy


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def visible(page: str) -> str:
    """Return a page without its scripts and styles."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def test_texts_of_a_run_are_escaped_wherever_they_stand(copied: Callable[..., Path]) -> None:
    folder = copied(name=HOSTILE, warnings=[HOSTILE])
    (folder / "config.yaml").write_text(f"name: a # {HOSTILE}\n")

    page = page_of(folder)

    assert HOSTILE not in page
    assert "<img" not in page
    assert page.count("&lt;/script&gt;&lt;script&gt;alert(1)") == 4


def test_names_inside_the_figures_cannot_end_their_script(
    copied: Callable[..., Path], run: FinishedRun
) -> None:
    reasons = {"bid": {HOSTILE: {"count": 1, "seconds": 2.0}}, "ask": {}}
    symbols = {
        symbol: figures | {"not_quoting": reasons} for symbol, figures in run.summary["symbols"].items()
    }

    page = page_of(copied(symbols=symbols))

    assert HOSTILE not in page
    assert "\\u003c/script\\u003e" in page


def test_only_the_pages_own_scripts_may_run_and_nothing_is_fetched(copied: Callable[..., Path]) -> None:
    page = page_of(copied())

    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', page)
    policy = policy.replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = re.findall(r"'sha256-(.+?)'", policy)
    assert allowed == [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    assert not re.findall(r"<(?:script|img|link|iframe)[^>]*\s(?:src|href)=", page)
    assert not re.findall(r"\son\w+=", visible(page))
    assert not re.findall(r'href="(?!#)', visible(page))


def test_simulated_data_is_named_at_the_top(copied: Callable[..., Path]) -> None:
    page = visible(page_of(copied()))
    assert page.index("SIMULATED data: profits and losses") < page.index('id="money"')
    assert "SIMULATED" in page.split("</title>")[0]


def test_recorded_data_is_not_called_simulated(copied: Callable[..., Path]) -> None:
    page = visible(page_of(copied(simulated_data=False)))
    assert "SIMULATED" not in page
    assert "recorded data" in page


@pytest.mark.parametrize(
    ("status", "words"), [("interrupted", "was interrupted"), ("failed", "This run failed")]
)
def test_a_run_that_did_not_end_by_itself_says_so(
    copied: Callable[..., Path], status: str, words: str
) -> None:
    assert words in visible(page_of(copied(status=status)))


def test_equity_that_is_not_known_is_not_drawn(copied: Callable[..., Path]) -> None:
    page = page_of(copied(equity=None))
    assert "a balance never had a price" in page
    assert 'id="figure-equity"' not in page


def test_venue_assumptions_are_spelled_out(copied: Callable[..., Path], run: FinishedRun) -> None:
    venue = run.summary["venue"] | {
        "queue_position": False,
        "symbol_fees": {"XRP/BTC": run.summary["venue"]["fees"]},
    }
    page = visible(page_of(copied(venue=venue)))
    assert "OFF: the first trade at its price fills a quote" in page
    assert "size that filled one of our orders is gone for the others" in page
    assert "fees of XRP/BTC" in page
    assert "new 50 ms, amend 50 ms, cancel 50 ms" in page
    assert "1000 USDT, 500 XRP, 0.01 BTC" in page


def test_a_run_without_fills_has_a_report(finished_run: Runs, tmp_path: Path) -> None:
    idle = finished_run("v1_4.yaml", "strategy.symbols.XRP/USDT.min_spread_pct=4", "end=2025-12-13T12:02:00Z")
    assert idle.symbol("XRP/USDT")["fills"] == 0
    page = visible(write_report(idle.outcome.folder, tmp_path / "report.html").read_text())
    assert "No position was closed by a stop, a target or a halt." in page


def test_a_report_replaces_the_one_before_and_leaves_no_other_file(copied: Callable[..., Path]) -> None:
    folder = copied()
    before = {path.name for path in folder.iterdir()}
    write_report(folder)
    (folder / "report.html").write_text("old")
    assert "old" not in page_of(folder)[:3]
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}


def test_a_missing_table_is_named(copied: Callable[..., Path]) -> None:
    folder = copied()
    (folder / "market.parquet").unlink()
    with pytest.raises(DataError, match=r"market\.parquet cannot be read"):
        write_report(folder)


def test_a_fill_that_is_in_one_table_only_is_refused(run: FinishedRun, copied: Callable[..., Path]) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    from mm_nautilus.report.derived import complete_summary  # noqa: PLC0415
    from mm_nautilus.report.run_files import RunFiles  # noqa: PLC0415

    folder = copied()
    fills = pq.read_table(folder / "fills.parquet")
    pq.write_table(fills.slice(1), folder / "fills.parquet")
    with pytest.raises(DataError, match=r"which fills\.parquet lacks"):
        complete_summary(RunFiles.read(folder))


def test_symbols_of_a_report_are_those_of_its_run(copied: Callable[..., Path], run: FinishedRun) -> None:
    page = page_of(copied())
    assert re.findall(r'data-tab="(.+?)"', page) == list(run.summary["symbols"])
    views = re.findall(r'id="view-data-\d+">(.*?)</script>', page, re.DOTALL)
    for text, symbol in zip(views, run.summary["symbols"], strict=True):
        view = json.loads(text)
        assert view["base"] == symbol.partition("/")[0]
        assert len(view["figure"]["data"]) >= 10
