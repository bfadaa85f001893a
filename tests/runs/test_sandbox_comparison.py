"""The same events give the same fills, in a sandbox run and in a backtest of what it recorded.

Three things set the two apart, none of which the venue's settings can take away:

- A backtest carries out an order command whose latency is over only after the next event has been matched; a live
  node's simulated venue does so when the time has come. With 20 ms of latency one fill in ten differs on the sample
  at five times its speed, with none hardly any. So there is no latency here.
- A live engine acts a fraction of a millisecond after an event's time, on a busy machine much later, a backtest at it.
  Times that count from a fill, such as cooldowns, end that much later, and a cap on actions a second counts others.
  So there is neither here, and the data are played slowly enough for a busy machine.
- A backtest tells a fill before the strategy sees the event that filled, a live engine after.

The recording goes on while the sandbox leaves, so a backtest of it has fills that come after the other's end; they are
left out. Where sizes depend on the position, one fill that differs changes all that follow. So sizes are fixed here.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sandbox_runs import CATALOG, Left, finished

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.runs.backtest import run_backtest

SPEED, SECONDS = 5, 12
VENUE = """\
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP, 0.01 BTC]
  fees: {maker_fee_pct: 0.1, taker_fee_pct: 0.15}
  latency: {insert_ms: 0, amend_ms: 0, cancel_ms: 0}
"""
STRATEGY = """\
strategy:
  min_spread_pct: 0.02
  cooldown_seconds: 0.0000000001
  retry_after_seconds: 0
  max_refused_orders: null
  max_order_actions_per_second: 1000
  inventory_skew: 0
  resume_after_seconds: 0
  symbols:
    XRP/USDT: {position_size: 8 XRP, max_inventory: 80 XRP}
    BTC/USDT: {position_size: 0.0005 BTC, max_inventory: 0.005 BTC}
    XRP/BTC: {position_size: 25 XRP, max_inventory: 250 XRP}
"""
LEAST_AGREEMENT = 0.9


def matches(one: pd.DataFrame, other: pd.DataFrame) -> Iterator[int]:
    """Yield a row of `other` for each of `one`: the same execution within half a second, used once."""
    used: set[int] = set()
    for row in one.itertuples():
        near = other[(other.ts_event - row.ts_event).abs() < pd.Timedelta("500ms")]
        for index in near.index:
            names = ("symbol", "side", "price", "quantity", "commission", "liquidity", "order_type")
            if index not in used and all(getattr(row, name) == near.loc[index, name] for name in names):
                used.add(index)
                yield index
                break


def agreement(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the share of fills that both have."""
    return sum(1 for _ in matches(one, other)) / max(len(one), len(other), 1)


def fills_before(end: pd.Timestamp, left: Left) -> pd.DataFrame:
    """Return a run's fills up to a moment."""
    return left.fills[left.fills.ts_event < end]


def recorded_run(folder: Path) -> Left:
    """Run a sandbox that records into ``catalog``."""
    feed = f"feed: {{source: local, catalog: {CATALOG}, speed: {SPEED}}}\n"
    more = (
        f"recording: {{enabled: true, catalog: {folder / 'catalog'}}}\n"
        "state: {directory: null}\noutput: {report: false}\n"
    )
    path = folder / "sandbox.yaml"
    path.write_text(f"{feed}{VENUE}{STRATEGY}{more}", encoding="utf-8")
    done = finished(str(path), "--duration", f"{SECONDS}s", "--out", str(folder / "runs"), "--quiet")
    assert done.returncode == 0, done.stderr
    return Left.only(folder)


def backtest(folder: Path, name: str, *overrides: str) -> Left:
    """Play the recording to a backtest with the same venue and strategy."""
    path = folder / "v1_4.yaml"
    path.write_text(f"catalog: {folder / 'catalog'}\n{VENUE}{STRATEGY}", encoding="utf-8")
    loaded = load_config(path, [*overrides, f"output.directory={folder / name}"])
    return Left(run_backtest(loaded.config).folder)


@pytest.mark.long
def test_backtest_of_the_recording_has_the_fills_of_the_sandbox(tmp_path: Path) -> None:
    sandbox = recorded_run(tmp_path)
    end = pd.Timestamp(sandbox.summary["period"]["start"]) + pd.Timedelta(seconds=SECONDS)
    fills = fills_before(end, sandbox)
    assert len(fills) >= 15
    same = backtest(tmp_path, "same")
    assert same.summary["venue"] == sandbox.summary["venue"]
    assert agreement(fills, fills_before(end, same)) >= LEAST_AGREEMENT
    other = backtest(tmp_path, "other", "venue.queue_position=false")
    assert agreement(fills, fills_before(end, other)) < LEAST_AGREEMENT
