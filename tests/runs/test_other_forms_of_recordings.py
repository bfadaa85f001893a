"""The Binance recordings as hftbacktest's events: the same catalog as from Tardis' files, and the same fills."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nautilus_trader.persistence import ParquetDataCatalog
from whole_runs import ROOT, fills_digest

from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.data.readers.hftbacktest import HftbacktestReader

REALDATA = os.environ.get("MM_REALDATA")
pytestmark = [
    pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings"),
    pytest.mark.long,
]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
EVENT = np.dtype(
    [
        ("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"),
        ("order_id", "u8"), ("ival", "i8"), ("fval", "f8"),
    ],
    align=True,
)  # fmt: skip
BOTH, BUY, SELL = (1 << 31) | (1 << 30), 1 << 29, 1 << 28


def _files(symbol: str) -> tuple[Path, Path]:
    folder = Path(REALDATA or "")
    (book,) = folder.glob(f"*incremental_book_L2*{symbol}.csv.gz")
    (trades,) = folder.glob(f"*trades*{symbol}.csv.gz")
    return book, trades


def _events(symbol: str) -> np.ndarray:
    """Return a recording as hftbacktest's converter of Tardis' files does: floats, clears before snapshots."""
    book, trades = (pd.read_csv(path) for path in _files(symbol))
    parts = []
    for table, kind in ((trades, 2), (book, 1)):
        events = np.zeros(len(table), EVENT)
        side = np.where(table["side"].isin(("bid", "buy")), BUY, SELL)
        kinds = np.where(table["is_snapshot"], 4, 1) if kind == 1 else 2
        events["ev"] = kinds | side | BOTH
        for name, column in (("exch_ts", "timestamp"), ("local_ts", "local_timestamp")):
            events[name] = table[column].to_numpy() * 1000
        events["px"], events["qty"] = table["price"], table["amount"]
        parts.append(events)
    is_snapshot = parts[1]["ev"] & 0xFF == 4
    assert is_snapshot[: is_snapshot.sum()].all()  # one, at the beginning
    clears = []
    for side in (BUY, SELL):
        levels = parts[1][is_snapshot & (parts[1]["ev"] & side != 0)]
        clears += [levels[-1:].copy(), levels]
        clears[-2]["ev"], clears[-2]["qty"] = 3 | side | BOTH, 0
    events = np.concatenate([*clears, parts[1][~is_snapshot], parts[0]])
    return events[np.argsort(events["local_ts"], kind="stable")]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("forms")
    for symbol in SYMBOLS:
        source = load_instrument(ROOT / "configs" / "instruments" / f"binance_{symbol.lower()}.yaml", {})
        np.savez_compressed(folder / f"{symbol}.npz", data=_events(symbol))
        for name, reader, files, named in (
            ("tardis", FORMATS["tardis"].make(), _files(symbol), symbol),
            ("npz", HftbacktestReader(), [folder / f"{symbol}.npz"], None),
        ):
            import_files(
                reader,
                files,
                source.spec,
                folder / name,
                off_lot_sizes=source.off_lot_sizes,
                source_symbol=named,
            )
    return folder / "tardis", folder / "npz"


def test_both_catalogs_have_the_same_rows(catalogs: tuple[Path, Path]) -> None:
    stores = [ParquetDataCatalog(str(folder)) for folder in catalogs]
    for symbol in ("BTC/USDT.BINANCE", "ETH/USDT.BINANCE"):
        books, trades = zip(
            *(
                (store.query_order_book_deltas([symbol]), store.query_trade_ticks([symbol]))
                for store in stores
            ),
            strict=True,
        )
        assert books[0] == books[1]
        assert len(books[0]) > 270_000
        rows = [
            [(t.price, t.size, t.aggressor_side, t.ts_event, t.ts_init) for t in ticks] for ticks in trades
        ]  # ids are the only thing that events do not have
        assert rows[0] == rows[1]


def test_both_catalogs_give_the_same_fills(catalogs: tuple[Path, Path], tmp_path: Path) -> None:
    digests = []
    for catalog in catalogs:
        out = tmp_path / catalog.name
        command = [sys.executable, "run_backtest.py", "configs/binance.yaml", "--set", f"catalog={catalog}"]
        sets = ["--set", "output.report=false", "--json", "--out", str(out)]
        done = subprocess.run(
            [*command, *sets], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        (folder,) = out.iterdir()
        fills = pd.read_parquet(folder / "fills.parquet")
        digests.append((len(fills), fills_digest(fills)))
    assert digests[0] == digests[1]
    assert digests[0][0] > 100
