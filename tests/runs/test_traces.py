"""What a run records for its report is what happened, and recording it changes nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from whole_runs import CONFIGS, ROOT, FinishedRun

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.book_tops import replay_touches
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.traces import TraceRecorder

Runs = Callable[..., FinishedRun]

TRAILING = (
    "strategy.use_trailing_stop=true",
    "strategy.trailing_stop_activation=0.05",
    "strategy.trailing_stop_distance=0.04",
)
SYMBOLS = ("XRP/USDT", "BTC/USDT", "XRP/BTC")


@pytest.fixture
def run(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml", *TRAILING)


@pytest.mark.long
def test_recording_leaves_the_run_as_it_is(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TraceRecorder, "on_start", lambda _self: None)
    monkeypatch.setattr(TraceRecorder, "on_stop", lambda _self: None)
    sets = [*TRAILING, f"output.directory={tmp_path}", "output.report=false"]

    unwatched = FinishedRun(run.config, run_backtest(load_config(CONFIGS / "v1_4.yaml", sets).config))

    assert len(unwatched.table("market")) == 0
    columns = ["ts_event", "symbol", "side", "price", "quantity", "commission"]
    pd.testing.assert_frame_equal(run.table("fills")[columns], unwatched.table("fills")[columns])
    assert run.summary["equity"]["exact"]["end"] == unwatched.summary["equity"]["exact"]["end"]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_market_is_recorded_once_a_second_and_at_fills(run: FinishedRun, symbol: str) -> None:
    market = run.table("market").query("symbol == @symbol")
    assert market.ts_event.is_monotonic_increasing
    seconds = market[market.trade_id.isna()].ts_event.diff().dt.total_seconds().iloc[2:-1]
    assert (seconds == 1.0).all()
    assert len(seconds) > 1700
    fills = run.table("fills").query("symbol == @symbol")
    at_fills = market[market.trade_id.notna()]
    assert at_fills.trade_id.tolist() == fills.trade_id.tolist()
    assert at_fills.ts_event.tolist() == fills.ts_event.tolist()


def test_reasons_add_up_to_the_summary_to_the_nanosecond(run: FinishedRun) -> None:
    quotes = run.table("quotes")
    checked = 0
    for symbol in SYMBOLS:
        rows = quotes[quotes.symbol == symbol]
        held = rows.ts_event.diff().shift(-1).dt.total_seconds()
        for side in ("bid", "ask"):
            reasons = rows[f"{side}_reason"].astype(object)
            begins = reasons != reasons.shift()
            expected = run.symbol(symbol)["not_quoting"][side]
            assert set(reasons.dropna()) == set(expected)
            for reason, entry in expected.items():
                assert held[reasons == reason].sum() == pytest.approx(entry["seconds"], abs=1e-6)
                assert int((begins & (reasons == reason)).sum()) == entry["count"]
                checked += 1
    assert checked >= 6


def test_actions_a_minute_add_up_to_the_summary(run: FinishedRun) -> None:
    actions = run.table("actions")
    assert (actions.ts_event.dt.second == 0).all()
    assert not actions.duplicated(["ts_event", "symbol"]).any()
    sums = actions.groupby("symbol", observed=True).sum(numeric_only=True)
    for symbol in SYMBOLS:
        for name in ("placed", "amended", "cancelled", "rejected", "denied"):
            assert sums.loc[symbol, name] == run.symbol(symbol)[f"orders_{name}"]
        assert sums.loc[symbol, "fills"] == run.symbol(symbol)["fills"]


def test_actions_belong_to_the_minute_they_happen_in(finished_run: Runs) -> None:
    run = finished_run("aggressive.yaml", "end=2025-12-13T12:05:00Z")
    orders, fills = run.table("orders"), run.table("fills")
    placed = orders.groupby([orders.ts_init.dt.floor("min"), "symbol"]).size()
    filled = fills.groupby([fills.ts_event.dt.floor("min"), fills.symbol.astype(str)]).size()
    # Orders are sent in a minute's first millisecond, too, before the recorder looks.
    assert (orders.ts_init == "2025-12-13T12:04:00.001Z").any()
    actions = run.table("actions")
    keys = [(row.ts_event, str(row.symbol)) for row in actions.itertuples()]
    assert actions.placed.tolist() == [placed.get(key, 0) for key in keys]
    assert actions.fills.tolist() == [filled.get(key, 0) for key in keys]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_mids_after_fills_are_those_of_the_recorded_book(run: FinishedRun, symbol: str) -> None:
    """Replay the catalog's book, which the recorder never sees, and look up what it recorded."""
    reader = CatalogReader(ROOT / "catalog")
    spec = next(spec for spec in reader.instruments() if spec.symbol == symbol)
    blocks = reader.iter_deltas(spec.instrument_id)
    marks = run.table("mark_outs").query("symbol == @symbol")
    moments = marks.ts_event.astype("int64").to_numpy()
    touches = replay_touches(blocks, 0, int(moments.max())).touches
    tick = float(spec.price_increment)
    later = (marks.seconds > 0).to_numpy()
    assert later.sum() > 100
    np.testing.assert_allclose(marks.mid_price[later], touches.mid_at(moments[later]) * tick, rtol=1e-9)
    # Where the book changed at the very time of the fill, the strategy may or may not have seen the change.
    at_fill = marks.mid_price[~later].to_numpy()
    known = [touches.mid_at(moments[~later], before=before) * tick for before in (True, False)]
    assert np.isclose(at_fill, known, rtol=1e-9).any(axis=0).all()
    assert np.isclose(at_fill, known[0], rtol=1e-9).mean() > 0.9


def test_mark_outs_follow_their_fills(run: FinishedRun) -> None:
    marks = run.table("mark_outs").merge(
        run.table("fills"), on=["trade_id", "symbol"], suffixes=("", "_fill")
    )
    waited = (marks.ts_event - marks.ts_event_fill).dt.total_seconds()
    assert waited.tolist() == marks.seconds.tolist()
    end = run.table("market").ts_event.max()
    for seconds in (0.0, 1.0, 5.0, 30.0):
        in_time = run.table("fills").ts_event + pd.Timedelta(seconds=seconds) <= end
        found = (marks.seconds == seconds).sum()
        assert in_time.sum() - 3 <= found <= in_time.sum()


def test_quotes_are_orders_at_prices_of_the_venue(run: FinishedRun) -> None:
    quotes, fills = run.table("quotes"), run.table("fills")
    assert ((quotes.bid_price < quotes.ask_price) | quotes.bid_price.isna() | quotes.ask_price.isna()).all()
    assert (quotes.bid_price.isna() == quotes.bid_size.isna()).all()
    for symbol in SYMBOLS:
        rows = quotes[quotes.symbol == symbol]
        made = fills[(fills.symbol == symbol) & (fills.liquidity == "MAKER") & (fills.side == "BUY")]
        shown = np.round(rows.bid_price.dropna().unique(), 10)
        assert np.isin(np.round(made.price.astype(float), 10), shown).all()


def test_trailing_stops_are_on_the_side_that_protects(run: FinishedRun) -> None:
    market = run.table("market")
    armed = market[market.trailing_stop_price.notna()]
    assert len(armed) > 10
    is_long = armed.inventory > 0
    assert (armed.trailing_stop_price[is_long] > armed.entry_price[is_long]).all()
    assert (armed.trailing_stop_price[~is_long] < armed.entry_price[~is_long]).all()


def test_inventory_stays_under_its_recorded_cap(run: FinishedRun) -> None:
    market = run.table("market").dropna(subset=["inventory_cap"])
    assert (market.inventory.abs() <= market.inventory_cap * 1.02).all()
    assert market.inventory.abs().max() > 0
