"""A damaged catalog gives one clear message, exit code 2, and nothing is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_runs import ROOT


def removed(pattern: str) -> Callable[[Path], None]:
    def break_it(catalog: Path) -> None:
        for folder in list(catalog.glob(pattern)):
            shutil.rmtree(folder)

    return break_it


def cut(kind: str, end: int) -> Callable[[Path], None]:
    def break_it(catalog: Path) -> None:
        path = next((catalog / "data" / kind).rglob("*.parquet"))
        path.write_bytes(path.read_bytes()[:end])

    return break_it


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (cut("order_book_deltas", -200), [".parquet"]),
        (cut("trades", 0), [".parquet", "empty"]),
        (removed("data/currency_pair"), ["instrument"]),
        (removed("data/*/XRPBTC.KRAKEN"), ["XRP/BTC"]),
        (removed("data/trades"), ["trades", "XRP/USDT.KRAKEN"]),
        (removed("data/order_book_deltas/BTCUSDT.KRAKEN"), ["book changes", "BTC/USDT.KRAKEN"]),
    ],
)
def test_broken_catalog_is_refused(
    tmp_path: Path, break_it: Callable[[Path], None], words: list[str], command: Callable[..., Any]
) -> None:
    catalog, out = tmp_path / "catalog", tmp_path / "out"
    shutil.copytree(ROOT / "catalog", catalog)
    break_it(catalog)
    done = command("backtest", ROOT / "configs" / "v1_4.yaml", "--set", f"catalog={catalog}", "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert not out.exists()
