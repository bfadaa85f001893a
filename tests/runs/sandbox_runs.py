"""Start the sandbox command as its user does, and look at what it left."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from recomputation import expected_balances
from whole_runs import ROOT

from mm_nautilus.config.amount import Amount
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.report.journal import journal_files

COMMAND = [sys.executable, str(ROOT / "run_sandbox.py")]
CATALOG = ROOT / "catalog"
STRATEGY = """\
strategy:
  min_spread_pct: 0.02
  cooldown_seconds: 0.3
  max_order_actions_per_second: 200
  symbols:
    XRP/USDT: {position_size: 8 XRP, max_inventory: 80 XRP}
    BTC/USDT: {position_size: 0.0005 BTC, max_inventory: 0.005 BTC}
    XRP/BTC: {position_size: 25 XRP, max_inventory: 250 XRP}
"""
VENUE = """\
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP, 0.01 BTC]
  fees: {maker_fee_pct: 0.1, taker_fee_pct: 0.1}
  latency: {insert_ms: 20, amend_ms: 20, cancel_ms: 20}
"""
LOCAL = f"feed: {{source: local, catalog: {CATALOG}, speed: 20}}\n"
LONGEST_WAIT = 120.0
"""Patience with a busy machine, seconds."""


def configuration(folder: Path, feed: str = LOCAL, more: str = "") -> Path:
    """Write a configuration whose outputs stay in a folder, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.yaml"
    outputs = (
        f"state: {{directory: {folder / 'state'}}}\noutput: {{directory: {folder / 'runs'}, report: false}}\n"
    )
    path.write_text(f"name: probe\nduration: 60s\n{feed}{VENUE}{STRATEGY}{outputs}{more}", encoding="utf-8")
    return path


def ending(folder: Path, seconds: int) -> list[str]:
    """Return options of a run that ends once it has worked through some seconds of data, however long that takes."""
    catalog = folder / "played"
    write_sample(catalog, SimulationConfig(duration_seconds=seconds))
    return ["--set", f"feed.catalog={catalog}", "--set", "feed.at_end=stop", "--duration", "10m"]


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the command; its standard output is to be read line by line."""
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command prints until a line has these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the command never said {words!r}")


def wait_for_fill(
    process: subprocess.Popen[Any],
    folder: Path,
    *,
    count: int = 1,
    file: str = "journal.jsonl",
    words: str = '"type": "fill"',
) -> None:
    """Wait until a run has written its first fills to the journal, or to another file in other words."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        files = list(folder.glob(f"runs/*/{file}"))
        if files and files[0].read_text(encoding="utf-8").count(words) >= count:
            return
        if process.poll() is not None:
            pytest.fail(f"the run ended with {process.returncode}: {process.communicate()}")
        time.sleep(0.05)
    pytest.fail(f"the run wrote fewer than {count} fills within {LONGEST_WAIT} seconds")


def wait_for_file(path: Path) -> None:
    """Wait for what another process writes after the one that was ended by a signal."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not path.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"{path.name} was not written within {LONGEST_WAIT} seconds")
        time.sleep(0.05)


@dataclass(frozen=True)
class Left:
    """What one run has left in its folder."""

    folder: Path

    @classmethod
    def only(cls, parent: Path) -> "Left":
        """Return what the only run in a folder has left."""
        (folder,) = (parent / "runs").iterdir()
        return cls(folder)

    @property
    def summary(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def fills(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "fills.parquet")

    @property
    def journal_fills(self) -> list[dict[str, Any]]:
        files = journal_files(self.folder / "journal.jsonl")
        lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
        return [line for line in lines if line["type"] == "fill"]

    @property
    def balances(self) -> dict[str, Decimal]:
        """Balances at the end, as the engine's account has them."""
        return {code: Decimal(text) for code, text in self.summary["equity"]["balances"].items()}

    def assert_money_adds_up(self) -> None:
        """Compare the balances with those at the start and the fills, to the last decimal."""
        start = [Amount(Decimal(text), code) for code, text in self.summary["start"]["balances"].items()]
        assert self.balances == expected_balances(start, self.fills)
        fills = self.fills.set_index("trade_id")
        assert len(fills) == len(self.journal_fills)
        for line in self.journal_fills:
            told = line["fill"]
            row = fills.loc[told["trade_id"]]
            assert (row.symbol, row.side, row.liquidity) == (
                told["symbol"],
                told["side"],
                told["liquidity"],
            )
            assert (row.price, row.quantity, row.commission) == tuple(
                Decimal(told[name]) for name in ("price", "quantity", "fee")
            )

    def assert_shows_no_quotes(self) -> None:
        """Check that the table of quotes ends without any, with a reason for each side."""
        last = (
            pd.read_parquet(self.folder / "quotes.parquet")
            .groupby(["symbol", "level"], observed=True)
            .tail(1)
        )
        assert len(last) >= len(self.summary["symbols"])
        assert last[["bid_price", "ask_price"]].isna().all(axis=None)
        assert last[["bid_reason", "ask_reason"]].notna().all(axis=None)

    def assert_ended(self, status: str) -> None:
        """Check the end: how it is called, that no order is left, and that the money adds up."""
        assert self.summary["status"] == status
        assert self.summary["open_orders"] == 0
        assert list(self.folder.glob("*.parts")) == []
        self.assert_money_adds_up()
