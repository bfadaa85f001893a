"""Catalogs: what is written, what is read back, and what a broken one says."""

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model import NautilusDataType
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.data.catalog_fitness import require_data
from mm_nautilus.data.catalog_writer import CatalogWriter, staged_catalog
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock

T0 = 1_723_161_255_000_000_123
XRP = InstrumentSpec(
    "XRP/USDT",
    "KRAKEN",
    "XRP",
    "USDT",
    Decimal("0.00010"),
    Decimal("0.01"),
    min_quantity=Decimal("1"),
    min_notional=Decimal("0.5"),
    max_quantity=Decimal("250000"),
    max_notional=Decimal("99999.5"),
    maker_fee_rate=Decimal("0.0025"),
    taker_fee_rate=Decimal("0.004"),
    simulated=True,
)
BTC = InstrumentSpec("BTC/USDT", "KRAKEN", "BTC", "USDT", Decimal("0.5"), Decimal("0.00000001"))
ID = XRP.instrument_id


def ints(*values):
    return np.array(values, dtype=np.int64)


def deltas(start=T0, prices=(23_500, 23_501)):
    bid, ask = prices
    return DeltaBlock(
        ts_event=ints(start, start, start, start + 10, start + 20) - 3,
        ts_init=ints(start, start, start, start + 10, start + 20),
        action=ints(Action.CLEAR, Action.ADD, Action.ADD, Action.UPDATE, Action.DELETE),
        side=ints(0, Side.BID, Side.ASK, Side.ASK, Side.ASK),
        price_ticks=ints(0, bid, ask, ask + 1, ask + 1),
        size_lots=ints(0, 10**15, 7, 3, 0),
        flags=ints(Flag.SNAPSHOT, Flag.SNAPSHOT, Flag.SNAPSHOT | Flag.LAST, Flag.LAST, Flag.LAST),
        sequence=ints(1, 1, 1, 2, 3),
    )


def trades(start=T0):
    return TradeBlock(
        ints(start, start + 5),
        ints(start, start + 5),
        ints(23_501, 23_500),
        ints(1, 9),
        ints(1, 2),
        ["a", "b"],
    )


@pytest.fixture
def catalog(tmp_path):
    """A catalog that was written in two sessions: two files a type."""
    folder = tmp_path / "catalog"
    for start in (T0, T0 + 1000):
        with staged_catalog(folder) as writer:
            writer.write_instrument(XRP)
            writer.write_block(XRP, deltas(start))
            writer.write_block(XRP, trades(start))
    return folder


def write_book(folder, *starts):
    with staged_catalog(folder) as writer:
        for start in starts:
            writer.write_block(XRP, deltas(start))


def write_both(folder, start):
    with staged_catalog(folder) as writer:
        writer.write_block(XRP, deltas(start))
        writer.write_block(XRP, trades(start))


def book_files(catalog):
    return sorted((catalog / "data" / "order_book_deltas" / "XRPUSDT.KRAKEN").glob("*.parquet"))


def rows(blocks):
    names = ("ts_event", "ts_init", "action", "side", "price_ticks", "size_lots", "flags", "sequence")
    blocks = list(blocks)
    return list(zip(*(np.concatenate([getattr(b, n) for b in blocks]).tolist() for n in names), strict=True))


def test_the_instrument_survives_with_its_written_digits(catalog):
    (spec,) = CatalogReader(catalog).instruments()
    assert spec == XRP
    assert (spec.price_precision, spec.size_precision) == (5, 2)


def test_blocks_survive_and_agree_with_the_engine(catalog):
    stored = rows(CatalogReader(catalog).iter_deltas(ID))
    assert stored == rows([deltas(T0), deltas(T0 + 1000)])

    for row, delta in zip(
        stored, ParquetDataCatalog(str(catalog)).query_order_book_deltas([ID]), strict=True
    ):
        ts_event, ts_init, action, _, ticks, lots, flags, sequence = row
        assert (delta.ts_event, delta.ts_init, delta.flags, delta.sequence) == (
            ts_event,
            ts_init,
            flags,
            sequence,
        )
        assert int(delta.action) == action
        assert delta.order.price.as_decimal() == ticks * XRP.price_increment
        assert delta.order.size.as_decimal() == lots * XRP.size_increment
        assert (delta.order.price.precision, delta.order.size.precision) == (5, 2)


def test_trades_survive_and_agree_with_the_engine(catalog):
    blocks = list(CatalogReader(catalog).iter_trades(ID))
    ticks = ParquetDataCatalog(str(catalog)).query_trade_ticks([ID])
    assert [name for block in blocks for name in block.trade_id] == ["a", "b", "a", "b"]
    assert [str(tick.trade_id) for tick in ticks] == ["a", "b", "a", "b"]
    prices = np.concatenate([block.price_ticks for block in blocks]).tolist()
    assert [tick.price.as_decimal() for tick in ticks] == [p * XRP.price_increment for p in prices]
    assert np.concatenate([block.aggressor for block in blocks]).tolist() == [1, 2, 1, 2]
    assert [tick.aggressor_side.name for tick in ticks] == ["BUY", "SELL", "BUY", "SELL"]


def test_long_numbers_stay_exact(tmp_path):
    block = deltas(prices=(2_000_000_000_001, 2_000_000_000_002))
    with staged_catalog(tmp_path / "catalog") as writer:
        writer.write_instrument(BTC)
        writer.write_block(BTC, block)
    assert rows(CatalogReader(tmp_path / "catalog").iter_deltas(BTC.instrument_id)) == rows([block])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, 10),
        (T0 + 10, None, 7),
        (None, T0 + 10, 4),
        (T0 + 20, T0 + 1000, 4),
        (T0 + 21, T0 + 999, 0),
    ],
)
def test_a_time_span_is_inclusive_on_both_ends(catalog, start, end, expected):
    assert (
        sum(len(block) for block in CatalogReader(catalog).iter_deltas(ID, start, end, batch_rows=2))
        == expected
    )
    engine = ParquetDataCatalog(str(catalog)).query_order_book_deltas([ID], start, end)
    assert len(engine) == expected


def test_one_session_makes_one_file_a_type(tmp_path):
    folder = tmp_path / "catalog"
    with staged_catalog(folder) as writer:
        writer.write_instrument(XRP)
    write_book(folder, T0, T0 + 1000, T0 + 2000)
    (path,) = book_files(folder)
    (file,) = CatalogReader(folder).files(ID, DataKind.DELTAS)
    assert path.suffix == ".parquet"
    assert (file.start, file.end) == CatalogReader(folder).bounds(ID, DataKind.DELTAS)
    expected = [row for start in (T0, T0 + 1000, T0 + 2000) for row in deltas(start).ts_init.tolist()]
    found = [row for block in CatalogReader(folder).iter_deltas(ID) for row in block.ts_init.tolist()]
    assert found == expected
    stored = ParquetDataCatalog(str(folder)).query(NautilusDataType.OrderBookDelta)
    assert [delta.ts_init for delta in stored] == expected


def test_bounds_and_intervals(catalog):
    reader = CatalogReader(catalog)
    assert reader.bounds(ID, DataKind.DELTAS) == (T0, T0 + 1020)
    spans = [(file.start, file.end) for file in reader.files(ID, DataKind.TRADES)]
    assert spans == [(T0, T0 + 5), (T0 + 1000, T0 + 1005)]
    assert reader.bounds("BTC/USDT.KRAKEN", DataKind.TRADES) is None


def test_blocks_must_be_written_in_time_order(tmp_path):
    writer = CatalogWriter(tmp_path / "catalog")
    writer.write_block(XRP, deltas())
    with pytest.raises(ValueError, match=r"book changes of XRP/USDT\.KRAKEN must be written in time order"):
        writer.write_block(XRP, deltas(T0 + 20))
    with pytest.raises(ValueError, match="in time order"):
        writer.write_block(XRP, TradeBlock(*([ints(5, 4)] * 5), ["a", "b"]))


def test_empty_blocks_write_nothing(tmp_path):
    writer = CatalogWriter(tmp_path / "catalog")
    writer.write_block(XRP, deltas().slice(0, 0))
    writer.write_block(XRP, trades().slice(0, 0))
    assert list((tmp_path / "catalog").rglob("*.parquet")) == []


def test_an_instrument_is_written_once_and_never_contradicted(catalog):
    before = sorted(catalog.rglob("*.parquet"))
    with staged_catalog(catalog) as writer:
        writer.write_instrument(XRP)
        writer.write_instrument(XRP)
    assert sorted(catalog.rglob("*.parquet")) == before

    with (
        pytest.raises(DataError, match=r"price_increment is 0\.00010 there, 0\.0001 here"),
        staged_catalog(catalog) as writer,
    ):
        writer.write_instrument(replace(XRP, price_increment=Decimal("0.0001")))
    with (
        pytest.raises(DataError, match=r"share a folder with XRPUSDT\.KRAKEN"),
        staged_catalog(catalog) as writer,
    ):
        writer.write_instrument(replace(XRP, symbol="XRPUSDT"))
    with pytest.raises(DataError, match="simulated is True there"), staged_catalog(catalog) as writer:
        writer.write_instrument(replace(XRP, simulated=False))


def test_a_second_writer_cannot_overlap(catalog):
    with pytest.raises(DataError, match="already holds data from"), staged_catalog(catalog) as writer:
        writer.write_block(XRP, deltas(T0 + 7))
    # New data around old data would tear the old book apart, although no file overlaps.
    with pytest.raises(DataError, match="already holds data from"):
        write_book(catalog, T0 - 1000, T0 + 5000)


def test_a_failed_move_is_undone(catalog, monkeypatch):
    before = {path: path.read_bytes() for path in catalog.rglob("*") if path.is_file()}
    move, calls = Path.replace, []

    def failing(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("disk full")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(DataError, match="catalog cannot be written: disk full"):
        write_both(catalog, T0 + 5000)
    assert len(calls) == 2
    assert {path: path.read_bytes() for path in catalog.rglob("*") if path.is_file()} == before
    assert [entry.name for entry in catalog.parent.iterdir()] == ["catalog"]


def test_targets_that_cannot_be_catalogs(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(DataError, match="is a file; a catalog is a folder"),
        staged_catalog(tmp_path / "file"),
    ):
        pass
    with pytest.raises(DataError, match="cannot be written"), staged_catalog(tmp_path / "file" / "catalog"):
        pass


def test_a_refused_catalog_leaves_no_folders_above_it(tmp_path):
    with pytest.raises(DataError, match="refused"), staged_catalog(tmp_path / "a" / "b" / "c"):
        raise DataError("refused")
    assert list(tmp_path.iterdir()) == []
    write_book(tmp_path / "a" / "b" / "c", T0)
    assert [entry.name for entry in (tmp_path / "a" / "b").iterdir()] == ["c"]


def test_folders_that_are_no_catalog(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name, words in (
        ("absent", "the catalog .*absent does not exist; fill one with"),
        ("empty", r"holds no catalog \(it has no folder `data`\)"),
        ("file", "is a file; a catalog is a folder"),
    ):
        with pytest.raises(DataError, match=words):
            CatalogReader(tmp_path / name)


def damage_empty(catalog):
    book_files(catalog)[0].write_bytes(b"")


def damage_truncate(catalog):
    path = book_files(catalog)[0]
    path.write_bytes(path.read_bytes()[:-100])


def damage_rename(catalog):
    path = book_files(catalog)[0]
    path.rename(path.with_name("part-0.parquet"))


def damage_swap_instrument(catalog):
    with staged_catalog(catalog.parent / "other") as writer:
        writer.write_block(BTC, deltas())
    (path,) = (catalog.parent / "other").rglob("*.parquet")
    path.rename(book_files(catalog)[0])


def damage_kind(catalog):
    path, *_ = (catalog / "data" / "trades").rglob("*.parquet")
    shutil.copy(path, book_files(catalog)[0])


def damage_type(catalog):
    path = book_files(catalog)[0]
    table = pq.read_table(path)
    column = table.schema.get_field_index("price")
    binary = pa.array([b"1"] * len(table), pa.binary())
    pq.write_table(table.set_column(column, "price", binary), path)


def damage_name(catalog):
    path = book_files(catalog)[0]
    schema = pq.read_schema(path)
    metadata = {**schema.metadata, b"instrument_id": b"XRP/US\x84T.KRAKEN"}
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)


def damage_overlap(catalog):
    path = book_files(catalog)[1]
    shutil.copy(path, path.with_name(path.name.replace("000001123Z_", "000001124Z_")))


def damage_drop_book(catalog):
    shutil.rmtree(book_files(catalog)[0].parent)


def damage_drop_trades(catalog):
    shutil.rmtree(catalog / "data" / "trades")


def damage_drop_instruments(catalog):
    shutil.rmtree(catalog / "data" / "currency_pair")


def damage_instrument(catalog):
    (path,) = (catalog / "data" / "currency_pair").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_empty, r"\.parquet is empty \(0 bytes\); remove it and import its data again"),
        (damage_truncate, r"\.parquet is cut off or damaged \(.*\); remove it and import its data again"),
        (damage_rename, r"part-0\.parquet is not named by the time span it holds"),
        (damage_swap_instrument, r"\.parquet holds BTC/USDT\.KRAKEN, not XRP/USDT\.KRAKEN"),
        (damage_kind, r"\.parquet is no file of book changes: its column action must be words, was missing"),
        (damage_type, r"\.parquet is no file of book changes: its column price must be decimals, was binary"),
        (damage_name, r"\.parquet holds XRP/US\ufffdT\.KRAKEN, not XRP/USDT\.KRAKEN"),
        (damage_overlap, r"\.parquet overlaps .*\.parquet in time"),
        (damage_drop_book, r"holds no book changes of XRP/USDT\.KRAKEN; import them"),
        (damage_drop_trades, r"holds no trades of XRP/USDT\.KRAKEN; import them"),
        (damage_drop_instruments, "holds no instruments; fill one with"),
        (damage_instrument, r"currency_pair/.*\.parquet is cut off or damaged"),
    ],
)
def test_broken_catalogs_each_give_one_clear_message(catalog, damage, words):
    damage(catalog)
    with pytest.raises(DataError, match=words) as caught:
        require_data(catalog, ["XRP/USDT"], "KRAKEN", needs_trades=True)
    assert "\n" not in str(caught.value)
    assert str(catalog) in str(caught.value)


def test_a_whole_catalog_passes(catalog):
    assert require_data(catalog, ["XRP/USDT"], "KRAKEN", start=T0, end=T0 + 1, needs_trades=True) == [XRP]
    assert require_data(catalog, [ID]) == [XRP]
    assert require_data(catalog, ["XRP/USDT"]) == [XRP]


def test_every_problem_is_said_at_once(catalog):
    with pytest.raises(DataError) as caught:
        require_data(catalog, ["XPR/USDT", "XRP/USDT", "DOGE/EUR"], "KRAKEN", start=T0 + 10**12)
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("start and end must leave some of what ")
    assert "holds, 2024-08-08T23:54:15.000000Z to 2024-08-08T23:54:15.000001Z, was" in lines[0]
    assert lines[0].endswith("was 2024-08-09T00:10:55.000000Z to open")
    assert lines[1].endswith("holds no instrument XPR/USDT.KRAKEN; did you mean XRP/USDT.KRAKEN?")
    assert lines[2].endswith("holds no instrument DOGE/EUR.KRAKEN; it holds XRP/USDT.KRAKEN")


def test_a_span_that_only_one_symbol_misses_is_told_of_it(catalog):
    with staged_catalog(catalog) as writer:
        writer.write_instrument(BTC)
        writer.write_block(BTC, deltas(T0 + 10**12))
    with pytest.raises(DataError) as caught:
        require_data(catalog, ["XRP/USDT", "BTC/USDT"], "KRAKEN", start=T0 + 10**12)
    (line,) = str(caught.value).split("\n")
    assert "no book changes of XRP/USDT.KRAKEN in the wanted time span; it holds them from 2024-08-08" in line
    assert line.endswith("was 2024-08-09T00:10:55.000000Z to open")


def test_a_mistyped_catalog_is_told_the_one_beside_it(catalog):
    with pytest.raises(DataError, match=rf"does not exist; did you mean {catalog}\?"):
        CatalogReader(catalog.with_name(f"{catalog.name}s"))


def test_instruments_are_chosen_by_name_each_once_and_all_mistakes_at_once(catalog):
    reader = CatalogReader(catalog)
    assert reader.choose(None) == reader.choose(["XRP/USDT", ID]) == [XRP]
    with pytest.raises(DataError) as caught:
        reader.choose(["XRP/UST", "DOGE/EUR"])
    assert len(str(caught.value).split("\n")) == 2


def test_a_symbol_of_several_venues_must_name_one(catalog):
    with staged_catalog(catalog) as writer:
        writer.write_instrument(replace(XRP, venue="BINANCE"))
    with pytest.raises(DataError, match=r"of several venues \(XRP/USDT\.BINANCE, XRP/USDT\.KRAKEN\)"):
        CatalogReader(catalog).instrument("XRP/USDT")


def test_content_outside_the_name_and_damaged_pages_are_named(catalog):
    first, second = book_files(catalog)
    moved = second.with_name(second.name.replace("000001123Z_", "000001124Z_"))
    second.rename(moved)
    with pytest.raises(DataError, match="holds times outside the span its name promises"):
        list(CatalogReader(catalog).iter_deltas(ID))
    data = bytearray(first.read_bytes())
    data[4:200] = bytes(196)
    first.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"\.parquet is cut off or damaged"):
        list(CatalogReader(catalog).iter_deltas(ID))


def test_data_of_a_finer_increment_is_refused(catalog):
    shutil.rmtree(catalog / "data" / "currency_pair")
    with staged_catalog(catalog) as writer:
        writer.write_instrument(replace(XRP, price_increment=Decimal("0.001")))
    with pytest.raises(DataError, match=r"holds a price that is no multiple of .* price_increment 0\.001"):
        list(CatalogReader(catalog).iter_deltas(ID))


def test_an_instrument_the_engine_cannot_read_is_named_by_its_folder(catalog):
    (path,) = (catalog / "data" / "currency_pair").rglob("*.parquet")
    table = pq.read_table(path)
    column = pa.array(["nonsense"], table.schema.field("price_increment").type)
    index = table.schema.get_field_index("price_increment")
    pq.write_table(table.set_column(index, table.schema.field("price_increment"), column), path)
    with pytest.raises(DataError, match=r"the instruments in .*currency_pair cannot be read"):
        CatalogReader(catalog).instruments()


def test_unsorted_files_are_refused(catalog):
    path = book_files(catalog)[0]
    table = pq.read_table(path)
    pq.write_table(table.take([0, 4, 3, 2, 1]), path)
    with pytest.raises(DataError, match=r"holds times outside|is not in time order"):
        list(CatalogReader(catalog).iter_deltas(ID))
    pq.write_table(table.take([0, 3, 2, 1, 4]), path)
    with pytest.raises(DataError, match="is not in time order; import its data again"):
        list(CatalogReader(catalog).iter_deltas(ID))
