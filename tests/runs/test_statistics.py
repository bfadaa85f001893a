"""What the report says of the framework's statistics is true."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from whole_runs import FinishedRun

from mm_nautilus.report.statistics_table import statistics_rows
from mm_nautilus.runs.finish import equity_statistics

Runs = Callable[..., FinishedRun]
DAY_NS = 86_400_000_000_000


@pytest.fixture
def run(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml")


def equity_file(folder: Path, ts_ns: np.ndarray, trading: np.ndarray, revaluation: np.ndarray) -> Path:
    equity = 1000.0 + trading + revaluation
    table = pa.table(
        {
            "ts_event": pa.array(ts_ns, pa.timestamp("ns", tz="UTC")),
            **{
                name: pa.array([Decimal(f"{value:.12f}") for value in column], pa.decimal128(38, 12))
                for name, column in (
                    ("equity", equity),
                    ("trading_pnl", trading),
                    ("revaluation", revaluation),
                )
            },
        }
    )
    pq.write_table(table, folder / "equity.parquet")
    return folder / "equity.parquet"


def test_the_engines_pnl_is_the_change_of_a_balance(run: FinishedRun) -> None:
    positions = run.summary["statistics"]["engine"]["positions"]
    start = {amount.currency: amount.value for amount in run.config.venue.starting_balances}
    for currency, stats in positions.items():
        assert stats["PnL (total)"] == pytest.approx(float(run.balances[currency] - start[currency]))


def test_the_engines_positions_include_the_open_ones_and_are_net_of_fees(run: FinishedRun) -> None:
    positions = run.table("positions")
    results = positions.realized_pnl.astype(float)
    for currency, stats in run.summary["statistics"]["engine"]["positions"].items():
        of_currency = results[positions.currency == currency]
        if stats["Expectancy"] is None:
            assert of_currency.empty
            continue
        lost = of_currency[of_currency < 0]
        assert stats["Expectancy"] == pytest.approx(of_currency.mean(), rel=0.05)
        assert stats["Max Loser"] == pytest.approx(lost.min())
        assert stats["Win Rate"] == pytest.approx((of_currency > 0).mean())


def test_the_engines_position_returns_leave_fees_out(run: FinishedRun) -> None:
    """Every trade of this run lost after fees, and yet the engine's returns have winners."""
    assert sum(figures["wins"] for figures in run.summary["symbols"].values()) == 0
    assert run.summary["statistics"]["engine"]["position_returns"]["Profit Factor"] > 1
    assert run.summary["equity"]["profit_factor"] == 0.0
    differing = {row["name"]: row for row in statistics_rows(run.summary)["differing"]}
    assert float(differing["Profit Factor"]["theirs"]) > 1
    assert differing["Profit Factor"]["ours"] == "0.00"
    assert "exclude fees" in differing["Profit Factor"]["why"]


def test_drawdown_of_the_framework_agrees_with_the_summary(run: FinishedRun) -> None:
    equity = run.summary["equity"]
    theirs = run.summary["statistics"]["equity"]["Max Drawdown"]
    pnl = run.table("equity").trading_pnl.astype(float).to_numpy()
    peak = np.maximum.accumulate(np.maximum(pnl, 0.0))
    assert equity["max_drawdown_pct"] == pytest.approx(100 * (peak - pnl).max() / equity["start"])
    assert -100 * theirs == pytest.approx(equity["max_drawdown_pct"], rel=0.02)


def test_daily_figures_are_those_of_compounded_utc_days(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ts_ns = 1_765_584_000_000_000_000 + np.arange(6 * 1440 + 1) * 60_000_000_000
    trading = np.concatenate([[0.0], np.cumsum(rng.normal(0.002, 0.05, 6 * 1440))])
    path = equity_file(tmp_path, ts_ns, trading, revaluation=rng.normal(0, 30, len(ts_ns)))

    found = equity_statistics(path)

    value = pd.Series(1000.0 + np.round(trading, 12), index=pd.to_datetime(ts_ns))
    growth = value / value.shift()
    daily = growth.iloc[1:].groupby(growth.index[1:].floor("D")).prod() - 1
    assert found["days"] == len(daily) == 7
    volatility = daily.std(ddof=1) * np.sqrt(365)
    assert found["Returns Volatility (365 days)"] == pytest.approx(volatility, rel=1e-6)
    assert found["Sharpe Ratio (365 days)"] == pytest.approx(daily.mean() * 365 / volatility, rel=1e-6)
    fall = (value / value.cummax() - 1).min()
    assert found["Max Drawdown"] == pytest.approx(fall, rel=1e-6)


def test_hours_have_no_sharpe_ratio_and_the_table_says_why(run: FinishedRun) -> None:
    equity = run.summary["statistics"]["equity"]
    assert equity["Sharpe Ratio (365 days)"] is None
    rows = {row["name"]: row for row in statistics_rows(run.summary)["equity"]}
    assert rows["Sharpe Ratio (365 days)"]["text"] == "-"
    assert "from the returns of 1 UTC day; more are needed" in rows["Sharpe Ratio (365 days)"]["meaning"]


def test_without_any_equity_nothing_is_claimed(tmp_path: Path) -> None:
    none = np.array([])
    found = equity_statistics(equity_file(tmp_path, none.astype(np.int64), none, none))
    assert found.pop("days") == 0
    assert set(found.values()) <= {None, 0.0}


@pytest.mark.parametrize(("is_resumed", "fall"), [(False, 0.005), (True, 0.003 / 0.998)])
def test_what_an_earlier_run_lost_is_no_return_of_this_one(
    tmp_path: Path, is_resumed: bool, fall: float
) -> None:
    ts_ns = 1_765_584_000_000_000_000 + np.arange(3) * 10_000_000_000
    path = equity_file(tmp_path, ts_ns, np.array([-2.0, -5.0, -4.0]), np.zeros(3))
    assert equity_statistics(path, is_resumed=is_resumed)["Max Drawdown"] == pytest.approx(-fall)
