"""A catalog that cannot be used gives one clear message, exit code 2, and nothing is written."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from whole_runs import ROOT


def _no_folder(catalog: Path) -> None:
    shutil.rmtree(catalog)


def _empty_folder(catalog: Path) -> None:
    shutil.rmtree(catalog)
    catalog.mkdir()


def _a_file(catalog: Path) -> None:
    shutil.rmtree(catalog)
    catalog.write_text("not a folder")


def _truncated_file(catalog: Path) -> None:
    path = next((catalog / "data" / "order_book_deltas").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-200])


def _zero_bytes(catalog: Path) -> None:
    next((catalog / "data" / "trades").rglob("*.parquet")).write_bytes(b"")


def _no_instruments(catalog: Path) -> None:
    shutil.rmtree(catalog / "data" / "currency_pair")


def _other_instrument(catalog: Path) -> None:
    for kind in ("currency_pair", "order_book_deltas", "trades"):
        shutil.rmtree(catalog / "data" / kind / "XRPBTC.KRAKEN")


def _no_trades(catalog: Path) -> None:
    shutil.rmtree(catalog / "data" / "trades")


def _no_book(catalog: Path) -> None:
    shutil.rmtree(catalog / "data" / "order_book_deltas" / "BTCUSDT.KRAKEN")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_no_folder, ["does not exist", "mm-nautilus data"]),
        (_empty_folder, ["holds no catalog", "mm-nautilus data"]),
        (_a_file, ["is a file"]),
        (_truncated_file, [".parquet"]),
        (_zero_bytes, [".parquet", "empty"]),
        (_no_instruments, ["instrument"]),
        (_other_instrument, ["XRP/BTC"]),
        (_no_trades, ["trades", "XRP/USDT.KRAKEN"]),
        (_no_book, ["book changes", "BTC/USDT.KRAKEN"]),
    ],
)
def test_broken_catalog_is_refused(
    tmp_path: Path, break_it: Callable[[Path], None], words: list[str]
) -> None:
    catalog, out = tmp_path / "catalog", tmp_path / "out"
    shutil.copytree(ROOT / "catalog", catalog)
    break_it(catalog)
    command = [sys.executable, "run_backtest.py", "--set", f"catalog={catalog}", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not out.exists()
