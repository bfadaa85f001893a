"""Whole sandbox runs: the real Kraken client and the real node against the local venue, without a network."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sandbox_runs import Left, configuration, ending, finished
from whole_runs import ROOT, FinishedRun

from mm_nautilus.checks.config_source import load_sandbox_config
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.market.rows import Flag
from mm_nautilus.metrics.daily import DailyResults

PAIRS = {"XRP/USDT", "BTC/USDT", "XRP/BTC"}
LEAST_ORDER = {"XRP/USDT": 2, "BTC/USDT": 0.00005, "XRP/BTC": 2}
TABLES = ("fills", "metrics", "equity", "market", "market_trades", "quotes", "mark_outs", "actions")
FILES = {"config.yaml", "summary.json", "journal.jsonl", "report.html"} | {
    f"{name}.parquet" for name in TABLES
}


def events_of(reader: CatalogReader) -> int:
    """Count groups of book changes and trades."""
    names = [spec.instrument_id for spec in reader.instruments()]
    groups = sum(int((b.flags & Flag.LAST != 0).sum()) for name in names for b in reader.iter_deltas(name))
    return groups + sum(len(block.ts_init) for name in names for block in reader.iter_trades(name))


@pytest.fixture
def left(paper_run: FinishedRun) -> Left:
    return Left(paper_run.outcome.folder)


def test_run_fills_on_all_pairs_and_the_money_adds_up(left: Left) -> None:
    assert set(left.fills.symbol) == PAIRS
    left.assert_ended("completed")
    for symbol, told in left.summary["symbols"].items():
        assert told["fills"] == sum(left.fills.symbol == symbol)
        assert told["fees"] > 0
        assert told["total_pnl"] == pytest.approx(told["realized_pnl"] + told["unrealized_pnl"], abs=1e-8)


def test_run_leaves_the_files_of_a_backtest(left: Left) -> None:
    written = {path.name for path in left.folder.iterdir()}
    logs = {name for name in written if name.startswith("run_") and name.endswith(".log")}
    assert logs
    assert written - logs == FILES
    assert load_sandbox_config(left.folder / "config.yaml").config.strategy.symbols.keys() == PAIRS
    metrics = pd.read_parquet(left.folder / "metrics.parquet")
    last = metrics.sort_values("ts_event", kind="stable").groupby("symbol").last()
    assert last.fills.to_dict() == {name: told["fills"] for name, told in left.summary["symbols"].items()}
    equity = pd.read_parquet(left.folder / "equity.parquet")
    assert str(equity.equity.iloc[-1].normalize()) in left.summary["equity"]["exact"]["end"]


def test_summary_says_what_it_was(left: Left) -> None:
    summary = left.summary
    assert summary["simulated_data"] is True
    assert summary["stop"] == {"cause": "end of the feed", "text": "the feed has ended"}
    assert summary["feed"]["source"] == "local"
    assert summary["feed"]["rest_url"].startswith("http://127.0.0.1:")
    assert summary["start"]["is_resumed"] is False
    assert summary["venue"]["queue_position"] is True
    assert summary["events"] == events_of(CatalogReader(left.folder.parents[1] / "played"))
    assert summary["period"]["seconds"] >= 14.5


def test_days_kept_over_restarts_are_those_of_the_report(left: Left) -> None:
    """Both are of the account's snapshots; the report has them in digits of a table."""
    document = json.loads((left.folder.parents[1] / "state" / "probe.json").read_text("utf-8"))
    daily = DailyResults()
    daily.restore(document["components"]["metrics"]["metrics"]["daily"])
    told: dict[str, Decimal] = {}
    by_time = left.summary["answer"]["by_time"]
    for start, amount in zip(by_time["starts"], by_time["total"], strict=True):
        told[start[:10]] = told.get(start[:10], Decimal(0)) + Decimal(amount)
    assert {day.day: day.trading_pnl for day in daily.days} == pytest.approx(told, abs=Decimal("1.5e-8"))
    assert sum(day.fills for day in daily.days) == len(left.fills)


def kept_points(folder: Path) -> list[list[float]]:
    """Return the trading PnL over time in a state's folder."""
    points: list[list[float]] = json.loads((folder / "probe.curve").read_text("utf-8"))["trading_pnl"][
        "points"
    ]
    return points


@pytest.mark.parametrize(
    "is_resumed", [True, pytest.param(False, marks=pytest.mark.long)], ids=["resumed", "fresh"]
)
def test_next_run_goes_on_from_the_state_file_and_fresh_does_not(
    paper_run: FinishedRun, tmp_path: Path, command: Callable[..., Any], is_resumed: bool
) -> None:
    folder, before = paper_run.outcome.folder.parents[1], paper_run.summary
    state = shutil.copytree(folder / "state", tmp_path / "state")
    options = () if is_resumed else ("--fresh",)
    words = ("--set", f"state.directory={state}", "--duration", "1s", "--out", tmp_path / "runs")
    first = kept_points(state)
    done = command("sandbox", folder / "run.yaml", *words, *options)
    assert done.returncode == 0, done.stderr
    left = Left.only(tmp_path)
    points = kept_points(state)
    assert points[-1][1] == left.summary["equity"]["trading_pnl"]
    left.assert_money_adds_up()
    assert left.summary["stop"] == {"cause": "duration", "text": "the configured duration is over"}
    start = left.summary["start"]
    assert start["is_resumed"] is is_resumed
    if is_resumed:
        assert start["balances"] == before["equity"]["balances"]
        assert points[: len(first)] == first
        assert first[-1][1] == before["equity"]["trading_pnl"]
        assert "continues from" in done.stdout
        carried = {name: told["fills"] for name, told in before["symbols"].items()}
        told = {name: row["fills"] for name, row in left.summary["symbols"].items()}
        here = left.fills.symbol.value_counts()
        assert told == {name: count + here.get(name, 0) for name, count in carried.items()}
    else:
        assert start["balances"] == {"USDT": "1000", "XRP": "500", "BTC": "0.01"}
        assert points[0][0] > first[-1][0]
        assert len(list(state.glob("probe.*Z.curve"))) == 1
        assert "the earlier file is kept as" in done.stdout


OWN_MODULE = """\
from mm_nautilus import MarketMaker
from mm_nautilus.pricing import PricedQuote


def near(market, position, params):
    return PricedQuote(market.mid_price, 0.0001 * market.mid_price, 0.0001 * market.mid_price)


class Mine(MarketMaker):
    def on_position_event(self, event):
        super().on_position_event(event)
        self.log.info(f"MINE: live {self.conditions.is_live}")
"""


def assert_own_code_traded(left: Left) -> None:
    """Check that the class and the function of the module were used, and that the run's files say so."""
    models = {name: told["quote_model"] for name, told in left.summary["symbols"].items()}
    assert {model["model"] for model in models.values()} == {"mine:near"}
    assert [model["half_width_bps"] for model in models.values()] == pytest.approx([1.0] * 3)
    assert (left.folder / "mine.py").read_text(encoding="utf-8") == OWN_MODULE
    log = "".join(file.read_text(encoding="utf-8") for file in left.folder.glob("run*.log"))
    assert "MINE: live True" in log
    lines = [json.loads(line) for line in (left.folder / "journal.jsonl").read_text("utf-8").splitlines()]
    signals = [line["signal"] for line in lines if line["type"] == "signal"]
    quotes = [signal for signal in signals if signal["purpose"] == "quote"]
    assert quotes
    for signal in quotes:
        assert signal["reservation_price"] == pytest.approx(signal["mid_price"], rel=1e-12)


@pytest.mark.long
def test_feed_that_ends_is_worked_through_and_ends_the_run(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    write_sample(catalog, SimulationConfig(duration_seconds=120))
    feed = f"feed: {{source: local, catalog: {catalog}, speed: max, at_end: stop}}\n"
    more = f"recording: {{enabled: true, catalog: {tmp_path / 'recorded'}}}\n"
    path = configuration(tmp_path, feed, more)
    (tmp_path / "mine.py").write_text(OWN_MODULE, encoding="utf-8")
    sets = (
        "strategy.flatten_on_stop=true",
        "strategy.class=mine:Mine",
        "strategy.pricing=mine:near",
        "strategy.resume_after_seconds=0",  # all of the data may be over within a second
    )
    done = finished(str(path), *(word for one in sets for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
    left = Left.only(tmp_path)
    left.assert_ended("completed")
    assert_own_code_traded(left)
    assert left.summary["stop"]["cause"] == "end of the feed"
    assert left.summary["events"] == events_of(CatalogReader(catalog))
    for symbol, told in left.summary["symbols"].items():  # what is left is below the least order
        assert abs(told["inventory"]) < LEAST_ORDER[symbol]
    recorded = {path.name for path in (tmp_path / "recorded" / "data" / "trades").iterdir()}
    assert recorded == {"XRPUSDT.KRAKEN", "BTCUSDT.KRAKEN", "XRPBTC.KRAKEN"}


@pytest.mark.long
def test_a_session_is_refused_what_is_beyond_the_venues_limit(tmp_path: Path) -> None:
    bucket = "venue.rate_limit={actions: 5, seconds: 60}"
    limit = ("--set", bucket, "--set", "strategy.rate_limit_policy=ignore")
    done = finished(str(configuration(tmp_path)), *ending(tmp_path, 140), "--quiet", *limit)
    assert done.returncode == 0, done.stderr
    left = Left.only(tmp_path)
    told, (log,) = left.summary["symbols"].values(), left.folder.glob("run_*.log")
    refused, points = (sum(figures[key] for figures in told) for key in ("rate_limited", "rate_points"))
    assert sum(figures["orders_rejected"] for figures in told) > 0
    assert log.read_text("utf-8").count(": Too many order commands") == refused > 5
    assert points >= 5


@pytest.mark.long
def test_the_shipped_session_has_nothing_refused_at_its_tier(tmp_path: Path) -> None:
    folders = {
        f"{name}.directory": tmp_path / folder for name, folder in (("output", "runs"), ("state", "state"))
    }
    given = {"feed.source": "local", "feed.speed": 20, "output.report": "false"} | folders
    sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    done = finished(str(ROOT / "configs" / "sandbox.yaml"), "--quiet", *sets, *ending(tmp_path, 140))
    assert done.returncode == 0, done.stderr
    for figures in Left.only(tmp_path).summary["symbols"].values():
        assert figures["rate_points"] > 0
        assert figures["rate_limited"] == 0
