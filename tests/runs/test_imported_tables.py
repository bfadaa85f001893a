"""Runs on catalogs from tables, and on those that NautilusTrader itself has written."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model import (
    BookOrder,
    InstrumentId,
    OrderBookDepth,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
)
from nautilus_trader.persistence import ParquetDataCatalog
from rich.console import Console
from typer.testing import CliRunner

from mm_nautilus.cli.app import app
from mm_nautilus.data.check import check_catalog
from mm_nautilus.report.console import summary_view

ROOT = Path(__file__).parents[2]
NAME = "BTC/USDT.BINANCE"
ID = InstrumentId.from_str(NAME)
T0_US = 1_736_500_000_000_000
BOOK = ",".join(
    ["exchange", "symbol", "timestamp", "local_timestamp"]
    + [
        f"{side}[{at}].{field}"
        for at in range(5)
        for side in ("asks", "bids")
        for field in ("price", "amount")
    ]
)
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog of whole books and trades that sweep ever deeper."""
    folder = tmp_path_factory.mktemp("imported")
    books, trades = [BOOK], [TRADES]
    for step in range(300):
        at, mid = T0_US + 100_000 * step, 6_000_000 + (step // 20 % 3) * 100
        cells = [
            f"{(mid + sign * (1 + 90 * level)) / 100:.2f},{1 + (step + level) % 3}"
            for level in range(5)
            for sign in (1, -1)
        ]
        books.append(f"binance,BTCUSDT,{at - 5},{at},{','.join(cells)}")
        side, sign = ("buy", 1) if step % 2 else ("sell", -1)
        price = (mid + sign * 3_000) / 100
        trades.append(f"binance,BTCUSDT,{at + 50_000},{at + 50_005},{step},{side},{price:.2f},0.5")
    files = []
    for name, lines in (("books.csv", books), ("trades.csv", trades)):
        (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8")
        files.append(folder / name)
    definition = ROOT / "configs" / "instruments" / "binance_btcusdt.yaml"
    done = invoke("data", "import", *files, "--catalog", folder / "catalog", "--instrument", definition)
    assert done.exit_code == 0, done.output
    return folder / "catalog"


def backtest(catalog: Path, folder: Path) -> Any:
    text = (
        (ROOT / "configs" / "binance.yaml")
        .read_text(encoding="utf-8")
        .partition("    ETH/USDT:")[0]
        .replace(", 2 ETH", "")
    )
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    return invoke(
        "backtest", folder / "run.yaml", "--set", f"catalog={catalog}", "--out", folder / "runs", "--json"
    )


def depths(deltas: list[Any]) -> OrderBookDepth:
    first = deltas[0]
    sides = {
        side: [
            BookOrder(side, Price.from_str(price), Quantity.from_str("1.00000"), 0)
            for price in (("59999.00", "59998.00") if side == OrderSide.BUY else ("60001.00", "60002.00"))
        ]
        for side in (OrderSide.BUY, OrderSide.SELL)
    }
    return OrderBookDepth(ID, *sides.values(), [1, 1], [1, 1], 0, 0, first.ts_event, first.ts_init)


def quote(deltas: list[Any]) -> QuoteTick:
    prices = (Price.from_str("59999.00"), Price.from_str("60001.00"))
    return QuoteTick(ID, *prices, *[Quantity.from_str("1.00000")] * 2, deltas[0].ts_event, deltas[0].ts_init)


def test_a_run_names_what_its_recordings_lacked(imported: Path, tmp_path: Path) -> None:
    done = backtest(imported, tmp_path)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    (note,) = summary["data_notes"]
    assert note.startswith("BTC/USDT: whole books of 5 a side: the book between two of them is not known")
    (report,) = tmp_path.glob("runs/*/report.html")
    assert note in report.read_text(encoding="utf-8")
    shown = StringIO()
    Console(file=shown, width=200).print(summary_view(summary))
    assert note in shown.getvalue()


def test_a_catalog_that_nautilus_trader_wrote_runs_alike(imported: Path, tmp_path: Path) -> None:
    given = ParquetDataCatalog(str(imported))
    (tmp_path / "mine").mkdir()
    catalog = ParquetDataCatalog(str(tmp_path / "mine"))
    catalog.write_instruments(given.instruments())
    catalog.write_order_book_deltas(given.query_order_book_deltas([NAME]))
    catalog.write_trade_ticks(given.query_trade_ticks([NAME]))
    assert check_catalog(tmp_path / "mine").problems == check_catalog(imported).problems
    found = []
    for number, place in enumerate((imported, tmp_path / "mine")):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = backtest(place, folder)
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout))
    assert found[0]["symbols"]["BTC/USDT"]["fills"] > 0
    assert found[0]["symbols"]["BTC/USDT"]["exact"] == found[1]["symbols"]["BTC/USDT"]["exact"]
    assert found[1]["data_notes"] == []


@pytest.mark.parametrize(
    ("write", "row"),
    [("write_order_book_depths", depths), ("write_quote_ticks", quote)],
    ids=["depths", "quotes"],
)
def test_depths_or_quotes_alone_are_no_book(
    imported: Path, tmp_path: Path, write: str, row: Callable[[list[Any]], Any]
) -> None:
    given = ParquetDataCatalog(str(imported))
    (tmp_path / "mine").mkdir()
    catalog = ParquetDataCatalog(str(tmp_path / "mine"))
    catalog.write_instruments(given.instruments())
    catalog.write_trade_ticks(given.query_trade_ticks([NAME]))
    getattr(catalog, write)([row(given.query_order_book_deltas([NAME]))])
    assert [problem.kind for problem in check_catalog(tmp_path / "mine").problems] == ["no_deltas"]
    done = backtest(tmp_path / "mine", tmp_path)
    assert done.exit_code != 0
    assert f"holds no book changes of {NAME}" in f"{done.output} {done.exception}"
