"""A catalog that cannot be used gives one clear message, exit code 2, and nothing is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from whole_runs import ROOT

from mm_nautilus.cli import main


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
    tmp_path: Path, break_it: Callable[[Path], None], words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    catalog, out = tmp_path / "catalog", tmp_path / "out"
    shutil.copytree(ROOT / "catalog", catalog)
    break_it(catalog)
    config = str(ROOT / "configs" / "v1_4.yaml")
    with pytest.raises(SystemExit) as left:
        main(["backtest", config, "--set", f"catalog={catalog}", "--out", str(out)])
    printed, said = capfd.readouterr()
    assert left.value.code == 2, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert errors
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert printed == ""
    assert not out.exists()
