"""Two sessions with two days between them: a run spends nothing on the days, and tells of them what is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_markets import SECOND, T0, MadeMarket, instrument
from whole_runs import FinishedRun

from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.market.rows import Side, TradeBlock
from mm_nautilus.runs.backtest import run_backtest

SYMBOL = "AAA/USDT"
SYMBOL_PARAMS = {"position_size": "0.5 AAA", "max_inventory": "5 AAA", "min_spread_pct": 0.02}
FIRST, SECOND_ONE = 420, 300
"""Lengths of the two sessions, seconds."""
GAP = 2 * 86_400
BEGIN = T0 + (FIRST + GAP) * SECOND


def _run(catalog: Path, folder: Path, **changes: object) -> FinishedRun:
    model = {"use_reservation_price": True, "reservation_model": "glft"}
    given = {
        "name": "gaps",
        "catalog": catalog,
        "venue": {
            "name": "MADE",
            "starting_balances": ["10000 USDT", "100 AAA"],
            "fees": {"maker_fee_pct": 0.0, "taker_fee_pct": 0.0},
            "latency": {"insert_ms": 50, "amend_ms": 50, "cancel_ms": 50},
        },
        "strategy": {
            "recalibrate_minutes": 3.5,
            "recalibrate_window_minutes": 10_000,
            "cooldown_seconds": 1,
            **model,
            "symbols": {SYMBOL: SYMBOL_PARAMS},
        },
        "output": {"directory": folder, "report": False},
        **changes,
    }
    config = RunConfig.model_validate(given)
    return FinishedRun(config, run_backtest(config))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the sessions, and a tape that goes on between them."""
    folder = tmp_path_factory.mktemp("gaps") / "catalog"
    MadeMarket(seconds=FIRST).write(folder, instrument())
    at = T0 + (FIRST + np.array([100, 399, 80_000])) * SECOND
    whole, ids = np.ones(3, dtype=np.int64), ["a", "b", "c"]
    with staged_catalog(folder) as writer:
        writer.write_block(instrument(), TradeBlock(at, at, 100_000 * whole, whole, Side.BID * whole, ids))
    later = MadeMarket(seconds=SECOND_ONE, seed=8, start_ns=BEGIN, mid_ticks=101_000)
    later.write(folder, instrument())
    return folder


@pytest.fixture(scope="module")
def run(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return _run(catalog, tmp_path_factory.mktemp("runs"))


def in_gap(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table's rows that are more than ten seconds from either session."""
    at = table.ts_event.astype("int64")
    return table[(at > T0 + (FIRST + 10) * SECOND) & (at < BEGIN)]


def test_rows_and_lines_follow_the_data_and_not_the_calendar(run: FinishedRun) -> None:
    rows = {name: len(in_gap(run.table(name))) for name in ("market", "metrics", "equity", "quotes")}
    lines = (run.outcome.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    snapshots = sum(json.loads(line)["type"] == "portfolio" for line in lines)

    assert 0 < rows["market"] <= 70
    assert rows["metrics"] <= 9
    assert rows["equity"] <= 9
    assert rows["quotes"] <= 4
    assert len(run.table("market").query("trade_id.isna()")) < FIRST + SECOND_ONE + 80
    assert 0 < snapshots < (FIRST + SECOND_ONE) / 60 + 5


def test_the_second_session_is_looked_at_on_the_same_seconds(run: FinishedRun) -> None:
    market = run.table("market").query("trade_id.isna()")
    at = market.ts_event.astype("int64")
    phases = (at - at.iloc[2]) % SECOND
    # What was so until the end of the gap is recorded when it ends; the first and the last rows are the run's own.
    assert (phases[2:-1][at[2:-1] != BEGIN] == 0).all()
    assert (at[at > BEGIN].diff().iloc[1:-1] == SECOND).all()


def test_the_gap_is_a_stale_book_and_the_seconds_add_up(run: FinishedRun) -> None:
    quotes = run.table("quotes")
    held = quotes.ts_event.diff().shift(-1).dt.total_seconds()
    for side in ("bid", "ask"):
        reasons = quotes[f"{side}_reason"].astype(object)
        told = run.symbol(SYMBOL)["not_quoting"][side]
        for reason, entry in told.items():
            assert held[reasons == reason].sum() == pytest.approx(entry["seconds"], abs=1e-6)
        assert told["stale book"]["seconds"] == pytest.approx(GAP - 30, abs=2)
    assert held.sum() == pytest.approx(run.summary["period"]["seconds"], abs=2)
    lines = (run.outcome.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    guards = [entry["guard"] for entry in entries if entry["type"] == "guard"]
    texts = [guard["text"] for guard in guards if "stale" in guard["text"]]
    assert texts[0] == "paused: stale book"
    assert len(texts) == 2
    assert texts[1].endswith("s (stale book)")


def test_equity_stands_still_until_the_gap_ends(run: FinishedRun) -> None:
    equity = run.table("equity")
    at = equity.ts_event.astype("int64")
    inside = equity[(at > T0 + (FIRST + 1) * SECOND) & (at <= BEGIN)]

    assert len(inside) > 2
    assert int(inside.ts_event.astype("int64").iloc[-1]) == BEGIN
    assert inside.equity.nunique() == 1


def test_mids_of_the_gap_are_not_known_and_all_others_are(run: FinishedRun) -> None:
    marks = run.table("mark_outs")
    at = marks.ts_event.astype("int64")
    last = T0 + FIRST * SECOND - SECOND // 2
    beyond = (at > last) & (at < BEGIN)

    assert beyond.sum() > 0
    assert marks.mid_price[beyond].isna().all()
    assert marks.mid_price[~beyond].notna().all()
    later = run.symbol(SYMBOL)["fill_quality"]["maker"][-1]
    assert later["seconds"] == 30
    assert later["fills"] < run.symbol(SYMBOL)["fills"]


def test_estimates_during_the_run_are_of_what_was_recorded(run: FinishedRun) -> None:
    model = run.symbol(SYMBOL)["quote_model"]
    assert model["estimates"] == 4
    assert "from the 10.5 min up to" in model["source"]


def test_the_first_session_is_traded_as_if_it_were_alone(
    run: FinishedRun, catalog: Path, tmp_path: Path
) -> None:
    alone = _run(catalog, tmp_path, end="2025-12-13T12:06:00Z")
    columns = ["ts_event", "side", "price", "quantity", "liquidity"]
    fills, first = run.table("fills")[columns], alone.table("fills")[columns]

    assert len(first) > 5
    assert fills[: len(first)].equals(first)
    assert (fills.ts_event.astype("int64") > BEGIN).sum() > 5


def test_a_run_that_ends_in_a_gap_closes_its_positions_before(catalog: Path, tmp_path: Path) -> None:
    end = "2025-12-13T12:13:40Z"
    changes = {"flatten_on_stop": True, "cooldown_seconds": 1, "symbols": {SYMBOL: SYMBOL_PARAMS}}

    run = _run(catalog, tmp_path, end=end, strategy=changes)

    sent = run.table("orders").query("purpose == 'stop'").ts_init
    assert sent.min() == pd.Timestamp(end) - pd.Timedelta(seconds=3)
    assert len(in_gap(run.table("market"))) <= 70
