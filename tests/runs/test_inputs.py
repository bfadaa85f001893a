"""A run over a part of a recording sees the books that the whole recording has there."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from made_markets import MadeMarket, instrument
from whole_runs import CONFIGS, ROOT, FinishedRun

from mm_nautilus.checks.config_source import load_config, read_config
from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.errors import ConfigError
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.inputs import prepare

Runs = Callable[..., FinishedRun]

START, END = "2025-12-13T12:14:00Z", "2025-12-13T12:16:00Z"


def test_run_from_the_middle_starts_with_a_full_book(finished_run: Runs) -> None:
    whole = _timed_mids(finished_run("v1_4.yaml"))
    part = _timed_mids(finished_run("v1_4.yaml", f"start={START}", f"end={END}"))
    assert len(part) >= 3 * 12
    assert part.equals(whole.loc[part.index])


def _timed_mids(run: FinishedRun) -> pd.Series:
    """Return the mids published by the timer, every ten seconds, by time and symbol."""
    metrics = run.table("metrics")
    timed = metrics[metrics.ts_event.dt.second % 10 == 0]
    timed = timed[timed.ts_event.dt.microsecond == 1_000].drop_duplicates(["ts_event", "symbol"])
    return timed.set_index(["ts_event", "symbol"]).mid_price.sort_index()


def test_nothing_happens_outside_the_period(finished_run: Runs) -> None:
    run = finished_run("v1_4.yaml", f"start={START}", f"end={END}")
    for name in ("metrics", "equity", "fills", "orders"):
        times = run.table(name).iloc[:, 0] if name in {"fills", "orders"} else run.table(name).ts_event
        assert times.min() >= pd.Timestamp(START)
        assert times.max() <= pd.Timestamp(END) + timedelta(seconds=2)
    assert run.summary["period"]["seconds"] == pytest.approx(120, abs=0.1)
    for figures in run.summary["symbols"].values():
        for reasons in figures["not_quoting"].values():
            assert all(reason["seconds"] <= 121 for reason in reasons.values())


def test_a_run_from_the_middle_is_checked_once_a_second(finished_run: Runs) -> None:
    run = finished_run("v1_4.yaml", f"start={START}", f"end={END}", "strategy.max_drawdown_pct=0.01")
    for symbol, figures in run.summary["symbols"].items():
        assert figures["halted"], symbol  # only the timer looks at drawdowns
        assert figures["quote_model"] is not None, symbol


def test_a_catalog_may_have_a_name_that_means_something_in_a_url(finished_run: Runs, tmp_path: Path) -> None:
    span = [f"start={START}", f"end={END}"]
    copied = tmp_path / "#1 why? XRP%2FUSDT" / "back\\slash " / "catalog"
    shutil.copytree(ROOT / "catalog", copied)
    fills = finished_run("v1_4.yaml", *span).table("fills")
    same = finished_run("v1_4.yaml", *span, f"catalog={json.dumps(str(copied))}")
    assert len(fills) > 10
    assert same.table("fills").equals(fills)


def test_other_book_data_is_refused_in_a_run_on_a_catalog(tmp_path: Path) -> None:
    loaded = load_config(CONFIGS / "v1_4.yaml", ["strategy.book_data=quotes", f"output.directory={tmp_path}"])
    with pytest.raises(ConfigError, match=r"book_data must be deltas.*was quotes"):
        run_backtest(loaded.config)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_read_again_only_if_a_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MadeMarket(seconds=60).write(tmp_path, instrument())
    values = {
        "catalog": str(tmp_path),
        "venue": {"name": "MADE", "starting_balances": ["1000 USDT"]},
        "strategy": {"symbols": {"AAA/USDT": {"position_size_usd": 20, "max_inventory": 100}}},
    }
    config = read_config(values).config
    known = prepare(config)
    with monkeypatch.context() as unreadable:
        for name in ("read_batches", "read_blocks"):
            unreadable.delattr(f"mm_nautilus.data.catalog.{name}")
        again = prepare(config)
        assert (again.specs, again.quote_ns, again.end_ns) == (known.specs, known.quote_ns, known.end_ns)
    for path in tmp_path.glob("data/trades/*/*.parquet"):
        content = bytearray(path.read_bytes())
        content[4:200] = bytes(196)
        before = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RefusedRunError, match=r"trades.*is cut off or damaged"):
        prepare(config)


# -- Volatility ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_run_knows_its_volatility_within_a_minute_and_says_what_it_was_measured_from(
    finished_run: Runs,
) -> None:
    run = finished_run("aggressive.yaml")
    metrics = run.table("metrics")
    for symbol, rows in metrics.groupby("symbol"):
        first, known = rows.ts_event.min(), rows[rows.volatility_pct.notna()]
        assert known.ts_event.min() - first < timedelta(minutes=1), symbol
        sources = known.volatility_source.drop_duplicates().tolist()
        assert sources == ["5-second returns", "one-minute returns"]
        since = pd.to_datetime(known.groupby("volatility_source").volatility_since_ns.first(), utc=True)
        assert since["one-minute returns"] - first < timedelta(minutes=22)
        model = run.summary["symbols"][symbol]["quote_model"]
        assert model["volatility_source"] == "one-minute returns"
        assert pd.Timestamp(model["volatility_since"]) == since["one-minute returns"].floor("us")


@pytest.mark.long
def test_a_run_from_the_middle_reads_the_minutes_before_it_for_its_volatility(finished_run: Runs) -> None:
    start = "2025-12-13T12:25:00Z"
    run = finished_run("aggressive.yaml", f"start={start}", "end=2025-12-13T12:26:00Z")
    metrics = run.table("metrics")
    assert metrics.ts_event.min() >= pd.Timestamp(start)
    assert set(metrics.volatility_source) == {"one-minute returns"}
    assert (pd.to_datetime(metrics.volatility_since_ns, utc=True) < pd.Timestamp(start)).all()
    whole = finished_run("aggressive.yaml").table("metrics")
    last = metrics.groupby("symbol").volatility_pct.last()
    at_end = whole[whole.ts_event <= metrics.ts_event.max()].groupby("symbol").volatility_pct.last()
    assert last.to_dict() == pytest.approx(at_end.to_dict())
