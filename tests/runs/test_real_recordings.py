"""The Binance recordings through import, check and backtest, where they are at hand."""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from recomputation import expected_balances, flows
from whole_runs import ROOT, fills_digest

from mm_nautilus.config.amount import Amount

REALDATA = os.environ.get("MM_REALDATA")
pytestmark = pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")

CLI = [sys.executable, "-m", "mm_nautilus.cli"]
FILLS = (192, "64bdc86864ad04f4")
"""Number of fills and their digest: to be changed only together with the reason for other fills."""
SYMBOLS = {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT"}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "catalog"
    for raw in SYMBOLS:
        files = sorted(str(path) for path in Path(REALDATA or "").glob(f"binance_spot_*_{raw}.csv.gz"))
        definition = ROOT / "configs" / "instruments" / f"binance_{raw.lower()}.yaml"
        done = _run(
            *CLI,
            "data",
            "import",
            "tardis",
            *files,
            "--catalog",
            str(folder),
            "--instrument",
            str(definition),
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def run(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    out = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "run_backtest.py", "configs/binance.yaml"]
    done = _run(*command, "--set", f"catalog={catalog}", "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    (folder,) = out.iterdir()
    return json.loads(done.stdout), folder


def test_catalog_of_the_recordings_is_clean(catalog: Path) -> None:
    done = _run(*CLI, "data", "check", str(catalog), "--json")
    assert done.returncode == 0, done.stdout


def test_recordings_give_fills_and_trades(run: tuple[dict, Path]) -> None:
    summary, _ = run
    assert summary["simulated_data"] is False
    for symbol in SYMBOLS.values():
        assert summary["symbols"][symbol]["fills"] > 0
        assert summary["symbols"][symbol]["trades"] > 0


def test_every_fill_on_the_recordings_is_as_it_has_been(run: tuple[dict, Path]) -> None:
    fills = pd.read_parquet(run[1] / "fills.parquet")
    assert (len(fills), fills_digest(fills)) == FILLS


@pytest.mark.parametrize(
    ("tier", "levels"), [("starter", 1), ("intermediate", 1), ("pro", 1), ("starter", 3)]
)
def test_no_command_is_refused_on_the_recordings(
    catalog: Path, tmp_path: Path, tier: str, levels: int
) -> None:
    given = {
        "catalog": catalog,
        "venue.rate_limit": f"{{kraken: {tier}}}",
        "strategy.levels": levels,
        "strategy.level_spacing_bps": 1,
        "output.report": "false",
        "output.directory": tmp_path,
    }
    sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    done = _run(sys.executable, "run_backtest.py", "configs/binance.yaml", *sets, "--json")
    assert done.returncode == 0, done.stderr
    for figures in json.loads(done.stdout)["symbols"].values():
        assert figures["rate_limited"] == 0
        assert figures["rate_points"] > 300
        assert figures["points_waits"] > 0


def test_money_adds_up_on_the_recordings(run: tuple[dict, Path]) -> None:
    summary, folder = run
    fills = pd.read_parquet(folder / "fills.parquet")
    start = [Amount.parse(text) for text in summary["venue"]["starting_balances"]]
    balances = {code: Decimal(text) for code, text in summary["equity"]["balances"].items()}
    assert balances == expected_balances(start, fills)
    exact = {name: Decimal(text.split()[0]) for name, text in summary["equity"]["exact"].items()}
    slack = Decimal("1e-8") * (len(fills) + 4)
    assert abs(exact["change"] - exact["trading_pnl"] - exact["revaluation"]) <= slack
    for symbol in SYMBOLS.values():
        assert flows(fills, symbol).fees == Decimal(summary["symbols"][symbol]["exact"]["fees"].split()[0])


@pytest.mark.parametrize(("symbol", "fee"), [("BTC/USDT", None), ("ETH/USDT", None), ("BTC/USDT", "0")])
def test_a_first_configuration_trades(catalog: Path, tmp_path: Path, symbol: str, fee: str | None) -> None:
    file, out = tmp_path / "mine.yaml", tmp_path / "runs"
    fees = [] if fee is None else ["--maker-fee", fee]
    made = _run(
        *CLI, "config", "init", "--catalog", str(catalog), "--symbols", symbol, *fees, "--out", str(file)
    )
    assert ("IS EXPECTED TO LOSE" in made.stdout) is (fee is None), made.stderr
    done = _run(*CLI, "backtest", str(file), "--out", str(out), "--quiet", "--json")
    summary = json.loads(done.stdout)
    fills = summary["symbols"][symbol]["fills"]
    *_, an_hour = re.findall(r"about ([\d.,]+) fills", made.stdout)
    assert fills > 0
    expected = float(an_hour.replace(",", "")) * summary["period"]["seconds"] / 3600
    assert expected == pytest.approx(fills, rel=0.15, abs=2)
