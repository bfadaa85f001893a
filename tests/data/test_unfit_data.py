"""Instruments that cannot be quoted and data that is not what its instrument says: checked, and refused by runs."""

import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model import (
    BookAction,
    BookOrder,
    CryptoOption,
    CryptoPerpetual,
    Currency,
    CurrencyPair,
    InstrumentId,
    OptionKind,
    OrderBookDelta,
    OrderSide,
    Price,
    Quantity,
    Symbol,
)
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.cli import main
from mm_nautilus.data.catalog import CatalogReader, catalog_contents
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.data.catalog_fitness import require_data
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.errors import DataError

ID = "XRP/USDT.KRAKEN"
LATE = 4_000_000_000_000_000_000
CONFIG = """
venue: {name: KRAKEN, starting_balances: [1000 USDT, 500 XRP], fees: {maker_fee_pct: 0.1, taker_fee_pct: 0.1}}
strategy:
  position_size: 10 XRP
  max_inventory: 100
  take_profit_pct: 0.5
  stop_loss_pct: 0.5
  cooldown_seconds: 1
  symbols: {XRP/USDT: {}}
output: {report: false}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of simulated data."""
    folder = tmp_path_factory.mktemp("made") / "catalog"
    write_sample(folder, SimulationConfig(duration_seconds=60))
    return folder


@pytest.fixture
def catalog(made: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "catalog"))


def backtest(catalog: Path, out: Path) -> int:
    """Run the command in this process and return its exit code."""
    config = out.with_suffix(".yaml")
    config.write_text(f"catalog: {catalog}\n{CONFIG}")
    with pytest.raises(SystemExit) as left:
        main(["backtest", str(config), "--out", str(out), "--quiet"])
    return int(left.value.code or 0)


def stored(catalog: Path, kind: str) -> Path:
    """Return the file of the pair's data of one type."""
    (path,) = (catalog / "data" / kind / "XRPUSDT.KRAKEN").glob("*.parquet")
    return path


def define(catalog: Path, moment: int = 0, tick: str = "0.00001", **options: Any) -> None:
    """Write a definition of the pair, beside those that are there."""
    pair = CurrencyPair(
        InstrumentId.from_str(ID),
        Symbol("XRP/USDT"),
        Currency.from_str(options.pop("base", "XRP")),
        Currency.from_str(options.pop("quote", "USDT")),
        len(tick) - 2,
        options.pop("size_precision", 6),
        Price.from_str(tick),
        Quantity.from_str(options.pop("lot", "0.000001")),
        moment,
        moment,
        **options,
    )
    ParquetDataCatalog(str(catalog)).write_instruments([pair])


def defined_as(**options: Any) -> Callable[[Path], None]:
    def replace(catalog: Path) -> None:
        shutil.rmtree(catalog / "data" / "currency_pair" / "XRPUSDT.KRAKEN")
        define(catalog, **options)

    return replace


def as_perpetual(
    *, settled: str = "USDT", inverse: bool = False, tick: str = "0.00001", since: int = 0, **options: Any
) -> Callable[[Path], None]:
    def replace(catalog: Path) -> None:
        shutil.rmtree(catalog / "data" / "currency_pair" / "XRPUSDT.KRAKEN", ignore_errors=True)
        xrp, usdt, settlement = (Currency.from_str(code) for code in ("XRP", "USDT", settled))
        numbers = (len(tick) - 2, 6, Price.from_str(tick), Quantity.from_str("0.000001"), since, since)
        names = (InstrumentId.from_str(ID), Symbol("XRP/USDT"), xrp, usdt, settlement)
        perpetual = CryptoPerpetual(*names, inverse, *numbers, **options)
        ParquetDataCatalog(str(catalog)).write_instruments([perpetual])

    return replace


def as_option(catalog: Path) -> None:
    shutil.rmtree(catalog / "data" / "currency_pair" / "XRPUSDT.KRAKEN")
    xrp, usdt = Currency.from_str("XRP"), Currency.from_str("USDT")
    names = (InstrumentId.from_str(ID), Symbol("XRP/USDT"), xrp, usdt, usdt, False)
    terms = (OptionKind.CALL, Price.from_str("2.00000"), 0, LATE)
    numbers = (5, 6, Price.from_str("0.00001"), Quantity.from_str("0.000001"), 0, 0)
    ParquetDataCatalog(str(catalog)).write_instruments([CryptoOption(*names, *terms, *numbers)])


def perpetual_and(spoil: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(catalog: Path) -> None:
        spoil(catalog)
        as_perpetual()(catalog)

    return both


def rewritten(kind: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def rewrite(catalog: Path) -> None:
        path = stored(catalog, kind)
        pq.write_table(change(pq.read_table(path)), path)

    return rewrite


def column(table: pa.Table, name: str, change: Callable[[list[Any]], Iterator[Any]]) -> pa.Table:
    field = table.schema.field(name)
    values = pa.array(list(change(table.column(name).to_pylist())), field.type)
    return table.set_column(table.schema.get_field_index(name), field, values)


def by_order(catalog: Path) -> None:
    """Split every level into two orders with ids of their own."""
    path = stored(catalog, "order_book_deltas")
    path.unlink()
    start = CatalogReader(catalog).files(ID, DataKind.TRADES)[0].start
    instrument, rows = InstrumentId.from_str(ID), []
    for order_id in range(1, 9):
        side, price = (OrderSide.BUY, "2.30000") if order_id % 2 else (OrderSide.SELL, "2.30010")
        order = BookOrder(side, Price.from_str(price), Quantity.from_str("5.000000"), order_id)
        rows.append(
            OrderBookDelta(instrument, BookAction.ADD, order, 128 if order_id == 8 else 0, 0, start, start)
        )
    ParquetDataCatalog(str(catalog)).write_order_book_deltas(rows)


def unflagged_end(flags: list[int]) -> Iterator[int]:
    yield from [*flags[:-1], 0]


def one_off_grid(values: list[Decimal]) -> Iterator[Decimal]:
    middle = len(values) // 2
    yield from [*values[:middle], values[middle] + Decimal("0.0000003"), *values[middle + 1 :]]


SPOILT = {
    "multiplier": (
        defined_as(multiplier=Quantity.from_str("10")),
        "not_quotable",
        "multiplier of XRP/USDT.KRAKEN must be 1, was 10",
    ),
    "option": (as_option, "not_quotable", "XRP/USDT.KRAKEN is a CryptoOption; only spot pairs and linear"),
    "inverse": (
        as_perpetual(settled="XRP", inverse=True),
        "not_quotable",
        "XRP/USDT.KRAKEN is an inverse contract: its profit in XRP is not linear in the price; only",
    ),
    "quanto": (
        as_perpetual(settled="BTC"),
        "not_quotable",
        "XRP/USDT.KRAKEN is a quanto contract: its prices are in USDT and its profit in BTC; only",
    ),
    "perpetual's multiplier": (
        as_perpetual(multiplier=Quantity.from_str("0.001")),
        "not_quotable",
        "multiplier of XRP/USDT.KRAKEN must be 1, was 0.001",
    ),
    "perpetual's price digits": (as_perpetual(tick="0.0001"), "precision", "prices of 4 decimal places"),
    "swapped": (
        defined_as(base="USDT", quote="XRP"),
        "not_quotable",
        "must be those of its symbol, was USDT and XRP",
    ),
    "fee": (
        defined_as(info={"maker_fee_rate": "0.0501"}),
        "not_quotable",
        "between -0.05 and 0.05, was 0.0501",
    ),
    "price digits": (defined_as(tick="0.0001"), "precision", "prices of 4 decimal places"),
    "size digits": (defined_as(lot="0.00001", size_precision=5), "precision", "sizes of 5 decimal places"),
    "orders": (by_order, "orders", "was single orders with their ids (market-by-order data)"),
    "perpetual's orders": (perpetual_and(by_order), "orders", "was single orders with their ids"),
    "unfinished": (
        rewritten("order_book_deltas", lambda table: column(table, "flags", unflagged_end)),
        "unfinished",
        "must end with a finished group of book changes",
    ),
    "perpetual's unfinished": (
        perpetual_and(rewritten("order_book_deltas", lambda table: column(table, "flags", unflagged_end))),
        "unfinished",
        "must end with a finished group of book changes",
    ),
    "off the grid": (
        rewritten("order_book_deltas", lambda table: column(table, "price", one_off_grid)),
        "damaged",
        "no multiple of XRP/USDT.KRAKEN's price_increment 0.00001, was 2.",
    ),
    "trades off the grid": (
        rewritten("trades", lambda table: column(table, "size", one_off_grid)),
        "damaged",
        "no multiple of XRP/USDT.KRAKEN's size_increment 0.000001, was ",
    ),
}


@pytest.mark.parametrize(("spoil", "kind", "words"), SPOILT.values(), ids=SPOILT)
def test_the_check_finds_it_and_a_run_is_refused_before_it_writes(
    catalog: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Any, kind: str, words: str
) -> None:
    spoil(catalog)
    found = {problem.kind: problem.text for problem in check_catalog(catalog).problems}
    assert kind in found
    out = tmp_path / "run"
    assert backtest(catalog, out) == 2
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not out.exists()
    if kind != "unfinished":
        assert words in found[kind]


def test_the_others_of_a_catalog_are_listed_and_imported_beside(catalog: Path) -> None:
    as_option(catalog)
    refused = {entry["instrument"]: entry["refused"] for entry in catalog_contents(catalog)}
    assert [name for name, reason in refused.items() if not reason] == ["BTC/USDT.KRAKEN", "XRP/BTC.KRAKEN"]
    assert "CryptoOption" in refused[ID]
    (spec,) = (spec for spec in CatalogReader(catalog).instruments() if spec.symbol == "BTC/USDT")
    with pytest.raises(DataError, match=r"cannot be quoted: XRP/USDT.KRAKEN is a CryptoOption"):
        CatalogReader(catalog).instrument("XRP/USDT", "KRAKEN")
    with staged_catalog(catalog) as writer:
        writer.write_instrument(spec)


def test_order_ids_that_name_levels_do_no_harm(catalog: Path) -> None:
    rewrite = rewritten(
        "order_book_deltas",
        lambda table: table.set_column(
            table.schema.get_field_index("order_id"),
            table.schema.field("order_id"),
            pa.array([int(price * 10**6) for price in table.column("price").to_pylist()], pa.uint64()),
        ),
    )
    rewrite(catalog)
    assert require_data(catalog, ["XRP/USDT"], needs_trades=True)
    assert check_catalog(catalog).ok


def test_a_definition_after_the_data_is_not_used_for_it(catalog: Path, tmp_path: Path) -> None:
    plain = placed_orders(catalog, tmp_path / "plain")
    define(catalog, LATE, tick="0.000001")
    report = check_catalog(catalog)
    assert report.ok
    (note,) = report.notes
    assert "price_increment is 0.00001 before, 0.000001 from then on" in note
    assert note.endswith("after its data; what was in force before is used")
    assert CatalogReader(catalog).instrument("XRP/USDT").price_increment == Decimal("0.00001")
    assert placed_orders(catalog, tmp_path / "again") == plain


def placed_orders(catalog: Path, out: Path) -> list[tuple[Any, ...]]:
    """Return the prices and sizes of a run over a catalog."""
    assert backtest(catalog, out) == 0
    (path,) = out.rglob("orders.parquet")
    rows = pq.read_table(path).to_pylist()
    assert rows
    return [tuple(row[name] for name in ("ts_init", "side", "quantity", "price")) for row in rows]


def test_a_definition_within_the_data_ends_what_a_run_can_use(
    catalog: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    book = CatalogReader(catalog).files(ID, DataKind.DELTAS)[0]
    middle = (book.start + book.end) // 2
    define(catalog, middle, tick="0.00005")
    assert [problem.kind for problem in check_catalog(catalog).problems] == ["redefined"]
    assert backtest(catalog, tmp_path / "run") == 2
    assert "within the data used; end before that, or start then" in capfd.readouterr().err
    assert require_data(catalog, ["XRP/USDT"], end=middle - 1)
    (later,) = require_data(catalog, ["XRP/USDT"], start=middle)
    assert later.price_increment == Decimal("0.00005")


def test_an_instrument_that_is_only_defined_later_is_noted(catalog: Path) -> None:
    defined_as(moment=LATE)(catalog)
    report = check_catalog(catalog)
    assert (report.ok, len(report.notes)) == (True, 1)
    assert f"{ID} is not defined before 2096-10-02" in report.notes[0]


def test_snapshots_instead_of_book_changes_are_named(catalog: Path) -> None:
    folder = catalog / "data" / "order_book_deltas" / "XRPUSDT.KRAKEN"
    shutil.copytree(folder, catalog / "data" / "order_book_depths" / "XRPUSDT.KRAKEN")
    shutil.rmtree(folder)
    with pytest.raises(
        DataError, match="but snapshots of some levels, which only a node of your own can play"
    ):
        require_data(catalog, ["XRP/USDT"])
