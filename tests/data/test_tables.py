"""Tables by a map of their columns: each shipped map, own maps, and what is wrong with files and maps."""

import codecs
import errno
import gzip
import io
import os
import random
import re
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from modelled_tables import BTC, changes, iso, made_books, made_trades, price, size, wide
from nautilus_trader.model import AggressorSide, BookType, InstrumentId, OrderBook
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data import csv_files
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.data.catalog_writer import CatalogWriter
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.column_map import load_map, shipped_maps
from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.formats import FORMATS, guessed_format, make_reader
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.data.table_columns import times
from mm_nautilus.errors import ConfigError, DataError

ID = BTC.instrument_id
BOOKS, TRADES = made_books(), made_trades()
ASKS_FIRST = [(side, field) for side in ("ask", "bid") for field in ("price", "size")]
BIDS_FIRST = [(side, field) for side in ("bid", "ask") for field in ("price", "size")]


def text(header, rows):
    return "\n".join([*([header] if header else []), *(",".join(map(str, row)) for row in rows), ""])


def header(name):
    (found,) = (it for it in shipped_maps() if it.name == name)
    return ",".join(found.columns)


def tardis_snapshots(levels):
    rows = [
        ["binance", "BTCUSDT", ms * 1000 - 5, ms * 1000, *wide((ms, bids, asks), levels, ASKS_FIRST)]
        for ms, bids, asks in BOOKS
    ]
    return text(header(f"book_snapshot_{levels}"), rows)


def flag(side):
    return "True" if side == "sell" else "False"


SHIPPED = {
    "incremental_book_L2": text(
        header("incremental_book_L2"),
        [
            ["binance", "BTCUSDT", ms * 1000 - 5, ms * 1000, str(first).lower(), side, price(ticks), size(lots)]
            for ms, first, side, ticks, lots in changes(BOOKS)
        ],
    ),
    "trades": text(
        header("trades"),
        [
            ["binance", "BTCUSDT", ms * 1000 - 5, ms * 1000, number, side, price(ticks), size(lots)]
            for ms, number, side, ticks, lots in TRADES
        ],
    ),
    "book_snapshot_5": tardis_snapshots(5),
    "book_snapshot_25": tardis_snapshots(25),
    "Binance spot trades": text(
        "",
        [
            [number, price(ticks), size(lots), "1.0", ms * 1000, flag(side), "True"]
            for ms, number, side, ticks, lots in TRADES
        ],
    ),
    "Binance futures trades": text(
        header("Binance futures trades"),
        [
            [number, price(ticks), size(lots), "1.0", ms, flag(side).lower()]
            for ms, number, side, ticks, lots in TRADES
        ],
    ),
    "Binance spot aggTrades": text(
        "",
        [
            [number, price(ticks), size(lots), number, number, ms, flag(side), "True"]
            for ms, number, side, ticks, lots in TRADES
        ],
    ),
    "Binance futures aggTrades": text(
        header("Binance futures aggTrades"),
        [
            [number, price(ticks), size(lots), number, number, ms, flag(side).lower()]
            for ms, number, side, ticks, lots in TRADES
        ],
    ),
    "Binance futures bookTicker": text(
        header("Binance futures bookTicker"),
        [[at, *wide(book, 1, BIDS_FIRST), book[0], book[0] + 1] for at, book in enumerate(BOOKS)],
    ),
    "Bybit trades": text(
        header("Bybit trades"),
        [
            [f"{ms // 1000}.{ms % 1000:03}", "BTCUSDT", side.title(), size(lots), price(ticks), "ZeroMinusTick",
             f"{number:08}-aaaa-bbbb-cccc-0123456789ab", "1e9", "1", "2"]
            for ms, number, side, ticks, lots in TRADES
        ],
    ),
    "Bybit spot trades": text(
        header("Bybit spot trades"),
        [[number, ms, price(ticks), size(lots), side] for ms, number, side, ticks, lots in TRADES],
    ),
    "Kraken trade archive": text(
        "", [[ms // 1000, price(ticks), size(lots)] for ms, _, _, ticks, lots in TRADES]
    ),
}  # fmt: skip


def stored(folder, name, data):
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def run(path, target, **options):
    name, reader = make_reader(None, [path], options.pop("column_map", None))
    return name, import_files(reader, [path], BTC, target, **options)


def books_at(catalog, moments):
    """Rebuild the book with the engine from the deltas alone; return levels at moments (nanoseconds)."""
    book, found = OrderBook(InstrumentId.from_str(ID), BookType.L2_MBP), {}
    deltas = ParquetDataCatalog(str(catalog)).query_order_book_deltas([ID])
    for moment in moments:
        while deltas and deltas[0].ts_init <= moment:
            book.apply_delta(deltas.pop(0))
        sides = (book.bids(), book.asks())
        found[moment] = tuple({str(level.price): f"{level.size()}" for level in side} for side in sides)
    return found


def expected_levels(side, depth, *, best_high):
    best = sorted(side, reverse=best_high)[:depth]
    return {price(ticks): float(side[ticks] * BTC.size_increment) for ticks in best}


def assert_books(catalog, depth, shift_ns=0):
    moments = sorted(random.Random(1).sample(range(len(BOOKS)), 12))
    found = books_at(catalog, [BOOKS[at][0] * 10**6 + shift_ns for at in moments])
    for at, (bids, asks) in zip(moments, found.values(), strict=True):
        for seen, side, best_high in ((bids, BOOKS[at][1], True), (asks, BOOKS[at][2], False)):
            wanted = expected_levels(side, depth, best_high=best_high)
            assert {name: float(lots) for name, lots in seen.items()} == pytest.approx(wanted)


def assert_trades(catalog, name):
    ticks = ParquetDataCatalog(str(catalog)).query_trade_ticks([ID])
    assert len(ticks) == len(TRADES)
    for tick, (ms, number, side, at, lots) in zip(ticks, TRADES, strict=True):
        assert (str(tick.price), Decimal(str(tick.size))) == (price(at), lots * BTC.size_increment)
        if name == "Kraken trade archive":
            assert tick.aggressor_side == AggressorSide.NO_AGGRESSOR
            assert str(tick.trade_id).startswith(f"{ms // 1000}000000000-")
            continue
        assert tick.ts_init == ms * 10**6
        assert tick.aggressor_side == (AggressorSide.BUY if side == "buy" else AggressorSide.SELL)
        assert str(number) in str(tick.trade_id)


def test_every_shipped_map_is_among_these():
    assert SHIPPED.keys() == {found.name for found in shipped_maps() if found.refused is None}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_map_rebuilds_the_market_and_survives_the_export(tmp_path, name, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 1500)
    path = stored(tmp_path, "given.csv", SHIPPED[name])
    guessed, report = run(path, tmp_path / "catalog")
    assert guessed == (
        "tardis" if name in ("incremental_book_L2", "trades") or "snapshot" in name else "table"
    )
    assert report.files[0].kind == name
    assert not [finding for finding in report.findings if finding.kind.refused]
    if report.trades:
        assert_trades(tmp_path / "catalog", name)
    else:
        assert_books(tmp_path / "catalog", 1 if "bookTicker" in name else 25)
        assert report.snapshots == 1
    export_catalog(tmp_path / "catalog", tmp_path / "flat")
    back = sorted((tmp_path / "flat").glob("*.csv.gz"))
    import_files(FORMATS["tardis"].make(), back, BTC, tmp_path / "back")
    for kind in DataKind:
        assert rows(tmp_path / "catalog", kind) == rows(tmp_path / "back", kind)


def rows(catalog, kind):
    files = CatalogReader(catalog).files(ID, kind)
    return [pq.read_table(file.path).to_pylist() for file in files]


def test_notes_of_what_a_format_lacks_stay_with_the_catalog(tmp_path):
    path = stored(tmp_path, "XBTUSD.csv", SHIPPED["Kraken trade archive"])
    _, report = run(path, tmp_path / "catalog", latency_ns=3_000_000)
    clock, made_ids, no_side, latency = CatalogReader(tmp_path / "catalog").notes(ID)
    assert clock.startswith("one clock: the time of receipt is the exchange's time plus a latency")
    assert latency == "latency added to the one clock: 3 ms"
    assert made_ids.startswith("no trade ids")
    assert no_side.startswith("no side of the taker")
    assert report.notes == (clock, made_ids, no_side, latency)
    assert [finding.kind for finding in report.findings] == [FindingKind.MADE_ID, FindingKind.UNKNOWN_TAKER]
    checked = check_catalog(tmp_path / "catalog")
    assert f"{ID} has {clock}" in checked.notes
    tick = ParquetDataCatalog(str(tmp_path / "catalog")).query_trade_ticks([ID])[0]
    assert tick.ts_init - tick.ts_event == 3_000_000
    assert report.files[0].first == tick.ts_init


def test_check_says_that_the_book_between_whole_books_is_not_known(tmp_path):
    run(stored(tmp_path, "b.csv", SHIPPED["book_snapshot_5"]), tmp_path / "catalog")
    notes = check_catalog(tmp_path / "catalog").notes
    assert any("whole books of 5 a side: the book between two of them is not known" in note for note in notes)


def test_a_latency_is_refused_where_there_are_two_clocks(tmp_path):
    path = stored(tmp_path, "t.csv", SHIPPED["trades"])
    with pytest.raises(DataError, match="exchange and local time are both in"):
        run(path, tmp_path / "catalog", latency_ns=1)


def test_book_depth_is_refused_as_no_book(tmp_path):
    data = "timestamp,percentage,depth,notional\n2024-08-08 00:00:07,-5,1,1\n"
    path = stored(tmp_path, "BTCUSDT-bookDepth-2024-08-08.csv", data)
    with pytest.raises(
        DataError, match="cannot be imported: it is no book: each row is the sum of all sizes"
    ):
        run(path, tmp_path / "catalog")


# -- Own maps -----------------------------------------------------------------------------------------------

OWN_BOOK = """\
name: my book
kind: book
time: at
time_unit: iso
side: s
side_words: {buy: [B], sell: [S]}
price: px
size: qty
snapshot: event
snapshot_words: {yes: [snapshot], no: [update]}
"""
OWN_TRADES = """\
name: my trades
kind: trades
time: at
time_unit: ns
received: got
received_unit: ns
side: is_buyer_maker
side_words: {buy: ["false"], sell: ["true"]}
price: px
size: qty
"""
OWN_WIDE = """\
name: my snapshots
kind: whole_books
time: at
time_unit: ms
levels:
  bid_price: bid_px_{}
  bid_size: bid_sz_{}
  ask_price: ask_px_{}
  ask_size: ask_sz_{}
  count: 5
"""


def own_book():
    rows = [
        [
            iso(ms),
            "B" if side == "bid" else "S",
            price(ticks),
            size(lots),
            "snapshot" if first else "update",
            "x",
        ]
        for ms, first, side, ticks, lots in changes(BOOKS)
    ]
    return text("at,s,px,qty,event,other", rows)


def own_trades():
    rows = [
        [ms * 10**6, ms * 10**6 + 7, str(side == "sell").lower(), price(ticks), size(lots)]
        for ms, _, side, ticks, lots in TRADES
    ]
    return text("at,got,is_buyer_maker,px,qty", rows)


def own_wide():
    names = [
        f"{side}_{field}_{level}" for level in range(5) for side in ("bid", "ask") for field in ("px", "sz")
    ]
    return text(",".join(["at", *names]), [[book[0], *wide(book, 5, BIDS_FIRST)] for book in BOOKS])


OWN = {"book": (OWN_BOOK, own_book), "trades": (OWN_TRADES, own_trades), "wide": (OWN_WIDE, own_wide)}


def as_zip(data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.csv", data)
    return held.getvalue()


def as_parquet(data):
    """Return a CSV text as Parquet with the types that Arrow guesses: floats, whole numbers, timestamps, booleans."""
    held = io.BytesIO()
    table = arrow_csv.read_csv(pa.BufferReader(data))
    pq.write_table(table, held, row_group_size=50)
    return held.getvalue()


def as_narrow_parquet(data):
    """Return a CSV text as Parquet whose fractions have 32 bits."""
    held = io.BytesIO()
    table = pq.read_table(io.BytesIO(as_parquet(data)))
    narrow = [pa.field(it.name, pa.float32() if it.type == pa.float64() else it.type) for it in table.schema]
    pq.write_table(table.cast(pa.schema(narrow)), held)
    return held.getvalue()


SAVED = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zip": as_zip,
    "Parquet": as_parquet,
    "Parquet of floats": as_narrow_parquet,
    "byte order mark": lambda data: codecs.BOM_UTF8 + data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("kind", OWN)
def test_an_own_map_reads_any_table_however_it_is_saved(tmp_path, kind, saved):
    words, made = OWN[kind]
    column_map = stored(tmp_path, "map.yaml", words)
    plain = stored(tmp_path, "plain.csv", made())
    path = stored(tmp_path, "given", SAVED[saved](made().encode()))
    for file, target in ((plain, "plain"), (path, "catalog")):
        _, report = run(file, tmp_path / target, column_map=column_map)
        assert not [finding for finding in report.findings if finding.kind.refused]
    for which in DataKind:
        assert rows(tmp_path / "plain", which) == rows(tmp_path / "catalog", which)
    if kind == "trades":
        ticks = ParquetDataCatalog(str(tmp_path / "catalog")).query_trade_ticks([ID])
        assert ticks[0].ts_init - ticks[0].ts_event == 7
        assert [str(tick.trade_id) for tick in ticks[:2]] == [f"{ticks[0].ts_init}-{n}" for n in (0, 1)]
    else:
        assert_books(tmp_path / "catalog", 25)


def test_a_book_without_marks_begins_with_the_rows_of_its_first_time(tmp_path):
    words = OWN_BOOK.replace("snapshot: event\nsnapshot_words: {yes: [snapshot], no: [update]}\n", "")
    column_map = stored(tmp_path, "map.yaml", words)
    _, report = run(stored(tmp_path, "b.csv", own_book()), tmp_path / "catalog", column_map=column_map)
    assert report.snapshots == 1
    assert "no mark of full books: the rows of a file's first time are taken as one" in report.notes
    assert_books(tmp_path / "catalog", 25)


@pytest.mark.parametrize(("symbol", "counted"), [("BTCUSDT", True), (None, False)])
def test_a_symbol_that_rows_do_not_name_is_said_to_be_unchecked(tmp_path, symbol, counted):
    column_map = stored(tmp_path, "map.yaml", OWN_TRADES)
    path = stored(tmp_path, "t.csv", own_trades())
    _, report = run(path, tmp_path / "catalog", column_map=column_map, source_symbol=symbol)
    found = [finding.count for finding in report.findings if finding.kind is FindingKind.UNNAMED_SYMBOL]
    assert found == ([report.files[0].rows_read] if counted else [])


def test_a_latency_is_added_beside_a_day_without_rows(tmp_path):
    column_map = stored(tmp_path, "map.yaml", OWN_BOOK)
    whole, empty = (
        stored(tmp_path, "a.csv", own_book()),
        stored(tmp_path, "b.csv", "at,s,px,qty,event,other\n"),
    )
    _, reader = make_reader(None, [whole], column_map)
    report = import_files(reader, [whole, empty], BTC, tmp_path / "catalog", latency_ns=1_000_000)
    assert [finding.kind for finding in report.findings] == [FindingKind.NO_ROWS]
    assert "latency added to the one clock: 1 ms" in report.notes


def test_a_table_without_a_header_begins_with_a_time_of_receipt_in_its_own_unit(tmp_path):
    """Its first field is no number."""
    columns = "columns: [pair, at, got, is_buyer_maker, px, qty]\nsymbol: pair\n"
    words = OWN_TRADES.replace("time_unit: ns", "time_unit: ms", 1) + columns
    rows = [["BTCUSDT", ms, ms * 10**6, "true", price(ticks), size(lots)] for ms, _, _, ticks, lots in TRADES]
    column_map = stored(tmp_path, "map.yaml", words)
    _, report = run(stored(tmp_path, "t.csv", text("", rows)), tmp_path / "catalog", column_map=column_map)
    assert (report.trades, report.source_symbol) == (len(TRADES), "BTCUSDT")


def test_a_column_without_a_name_is_no_symbol(tmp_path):
    """Some programs number the rows in one."""
    column_map = stored(tmp_path, "map.yaml", OWN_TRADES)
    data = "".join(f",{line}\n" for line in own_trades().splitlines())
    _, report = run(
        stored(tmp_path, "t.csv", data.replace("\n,", "\n7,")), tmp_path / "a", column_map=column_map
    )
    assert (report.trades, report.exchange, report.source_symbol) == (len(TRADES), "", "")


def test_the_size_that_is_rounded_is_named_beside_levels_that_are_left_out(tmp_path):
    column_map = stored(tmp_path, "map.yaml", OWN_WIDE)
    table = pq.read_table(io.BytesIO(as_parquet(own_wide().encode())))
    for name, value in {"bid_px_4": None, "bid_sz_4": None, "ask_sz_0": 1.234567}.items():
        column = pa.array([value, *table.column(name).to_pylist()[1:]], pa.float64())
        if value is None:  # as pandas writes it
            column = column.fill_null(float("nan"))
        table = table.set_column(table.schema.get_field_index(name), name, column)
    path = tmp_path / "given"
    pq.write_table(table, path)
    _, report = run(path, tmp_path / "catalog", column_map=column_map, off_lot_sizes="round_down")
    (found,) = (it for it in report.findings if it.kind is FindingKind.ROUNDED_SIZE)
    assert found.texts == ["ask_sz_0 1.234567 was rounded down to a multiple of 0.00001"]


def test_a_level_of_words_is_not_left_out(tmp_path):
    column_map = stored(tmp_path, "map.yaml", OWN_WIDE)
    header_line, row = own_wide().splitlines()[:2]
    time, _, _, *others = row.split(",")
    path = stored(
        tmp_path, "w.csv", "\n".join([header_line, row, ",".join([time, "nan", "nan", *others]), ""])
    )
    with pytest.raises(DataError, match="line 3: bid_px_0 must be a number that is not negative, was `nan`"):
        run(path, tmp_path / "catalog", column_map=column_map)


# -- What is wrong with a file ------------------------------------------------------------------------------

ROW = "2025-01-10T09:06:40.900Z,B,99.00,1,update,x\n"
ROWS_BEFORE = len(own_book().splitlines())
"""Lines before a row that is put at the end."""


def bad(*change):
    return lambda good: good + ROW.replace("09:06:40.900", "09:07:40.900").replace(*change)


CASES = {
    "not a time": (bad("2025", "x"), "at must be a time in UTC such as 2024-08-08T23:54:15.123Z, was `x-01"),
    "no such day": (bad("01-10", "02-30"), "at must be a time in UTC such as"),
    "no time": (
        bad("2025-01-10T09:07:40.900Z", ""),
        "at must be a time in UTC such as 2024-08-08T23:54:15.123Z, was empty",
    ),
    "other zone": (bad("Z", "+02:00"), "at must be a time in UTC"),
    "numeric time": (bad("2025-01-10T09:07:40.900Z", "1736500000"), "was `1736500000`"),
    "unknown side": (bad(",B,", ",bid,"), "s must be one of B, S, was `bid`"),
    "no side": (bad(",B,", ",,"), "s must be one of B, S, was empty"),
    "off the tick": (bad("99.00", "99.005"), "px must be a multiple of 0.01, was `99.005`"),
    "exponent off the tick": (bad("99.00", "9e-3"), "px must be a multiple of 0.01, was `9e-3`"),
    "no price": (bad("99.00", ""), "px must be a number that is not negative, was empty"),
    "signed price": (bad("99.00", "+99.00"), "px must be a number that is not negative, was `+99.00`"),
    "point first": (bad("99.00", ".5"), "px must be a number that is not negative, was `.5`"),
    "price zero": (bad("99.00", "0"), "px must be at least 0.01, was `0`"),
    "huge price": (bad("99.00", "1e20"), "px must be less than 100000000000000000 times 0.01, was `1e20`"),
    "off the lot": (bad(",1,", ",0.000001,"), "qty must be a multiple of 0.00001, was `0.000001`"),
    "no size": (bad(",1,", ",,"), "qty must be a number that is not negative, was empty"),
    "not a number": (bad(",1,", ",nan,"), "qty must be a number that is not negative, was `nan`"),
    "unknown event": (bad("update", "delta"), "event must be snapshot or update, was `delta`"),
    "few fields": (bad(",update,x", ""), "a row has 6 fields, was 4"),
    "many fields": (bad(",x", ",x,y"), "a row has 6 fields, was 7"),
    "empty line": (lambda good: good + "\n" + ROW.replace("40.900", "59.900"), "the line is empty"),
    "not ASCII": (bad(",B,", ",\u00df,"), "s must be one of B, S, was `\u00df`"),
    "not UTF-8": (
        lambda good: bad(",B,", ",\u00df,")(good).encode("latin-1"),
        "s must be one of B, S, was `\ufffd`",
    ),
    "swapped": (bad("B,99.00,1", "99.00,B,1"), "s must be one of B, S, was `99.00`"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_row_is_named_by_its_line_and_nothing_is_written(tmp_path, case):
    spoiled, message = CASES[case]
    column_map = stored(tmp_path, "map.yaml", OWN_BOOK)
    path = stored(tmp_path, "given.csv", spoiled(own_book()))
    with pytest.raises(DataError) as caught:
        run(path, tmp_path / "catalog", column_map=column_map)
    assert str(caught.value).startswith(f"{path}: malformed rows: 1; line {ROWS_BEFORE + 1}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["given.csv", "map.yaml"]
    _, report = run(path, tmp_path / "catalog", column_map=column_map, on_bad_rows="skip")
    assert [finding.count for finding in report.findings if finding.kind is FindingKind.MALFORMED] == [1]


def two_in_a_zip(data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, data)
    return held.getvalue()


WHOLE = {
    "cut gzip": (
        OWN_TRADES,
        lambda it: gzip.compress(it)[:-30],
        "is cut off: its compressed data ends early",
    ),
    "damaged zip": (OWN_TRADES, lambda it: as_zip(it)[:-30], "is damaged and cannot be decompressed"),
    "cut Parquet": (OWN_TRADES, lambda it: as_parquet(it)[:-30], "is cut off or damaged"),
    "empty": (OWN_TRADES, lambda _: b"", "is empty"),
    "renamed column": (
        OWN_TRADES,
        lambda it: it.replace(b"px", b"Px", 1),
        "has no column px, which its map names (did you mean Px?)",
    ),
    "renamed Parquet column": (
        OWN_TRADES,
        lambda it: as_parquet(it.replace(b"px", b"prx", 1)),
        "has no column px, which its map names (did you mean prx?)",
    ),
    "missing column": (
        OWN_TRADES,
        lambda it: it.replace(b"is_buyer_maker", b"zz", 1),
        "has no column is_buyer_maker, which its map names (there are at, got, zz, px, qty)",
    ),
    "column twice": (
        OWN_TRADES,
        lambda it: it.replace(b"qty", b"px", 1),
        "column px must be there once, was twice",
    ),
    "seconds": (
        OWN_TRADES,
        lambda it: re.sub(rb"([0-9]{10})[0-9]{9},", rb"\1,", it),
        "line 2: at must be nanoseconds since 1970 (19 digits; 10 are seconds), was",
    ),
    "milliseconds for nanoseconds": (
        OWN_TRADES.replace("time_unit: ns", "time_unit: ms", 1),
        lambda it: it,
        "line 2: at must be milliseconds since 1970 (13 digits; 19 are nanoseconds), was",
    ),
    "a float as time": (
        OWN_TRADES,
        lambda it: as_parquet(it.replace(b"000000,", b"000000.5,", 1)),
        "column at must be whole numbers, texts or timestamps to be a time, was double",
    ),
    "carriage returns": (
        OWN_TRADES,
        lambda it: it.replace(b"\n", b"\r"),
        "ends lines with a carriage return",
    ),
    "semicolons": (
        OWN_TRADES,
        lambda it: it.replace(b",", b";"),
        "must be UTF-8 text with commas between fields: its first line is one field, was `at;got;",
    ),
    "UTF-16": (
        OWN_TRADES,
        lambda it: it.decode().encode("utf-16"),
        "must be UTF-8 text, was UTF-16 or no text; save it as UTF-8",
    ),
    "quotes": (
        OWN_TRADES,
        lambda it: b'"' + it.replace(b",", b'","').replace(b"\n", b'"\n"'),
        'must have fields without quotes, was `"at","got",',
    ),
    "no header": (OWN_TRADES, lambda it: it.split(b"\n", 1)[1], "has no column at, which its map names"),
    "several files in a zip": (OWN_TRADES, two_in_a_zip, "must hold one file, was 2 (a.csv, b.csv)"),
    "out of order": (
        OWN_TRADES,
        lambda it: it + it.split(b"\n")[1] + b"\n",
        "line 42: got must be at least 1736500000980000007 as before, was 1736500000030000007",
    ),
    "header alone": (
        OWN_TRADES,
        lambda it: it.split(b"\n")[0] + b"\n",
        "there is nothing to import: no rows, only headers",
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_an_unusable_table_gives_one_sentence_and_nothing_is_written(tmp_path, case):
    words, spoiled, message = WHOLE[case]
    column_map = stored(tmp_path, "map.yaml", words)
    path = stored(tmp_path, "given", spoiled(own_trades().encode()))
    with pytest.raises(DataError) as caught:
        run(path, tmp_path / "catalog", column_map=column_map)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["given", "map.yaml"]


@pytest.mark.parametrize("failing", [1, 6], ids=["first", "last"])
def test_a_block_that_cannot_be_written_ends_the_import_without_a_trace(tmp_path, monkeypatch, failing):
    """Another thread writes it."""
    write, seen = CatalogWriter.write_table, []

    def filled(self, folder, table):
        seen.append(table)
        if len(seen) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, folder, table)

    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 700)
    monkeypatch.setattr(CatalogWriter, "write_table", filled)
    path = stored(tmp_path, "t.csv", SHIPPED["trades"])
    with pytest.raises(DataError, match="catalog cannot be written: No space left on device"):
        run(path, tmp_path / "catalog")
    assert len(seen) == failing
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_parquet_are_numbered(tmp_path):
    column_map = stored(tmp_path, "map.yaml", OWN_TRADES)
    data = own_trades().replace("100.0", "100.005", 1).encode()
    path = stored(tmp_path, "given", as_parquet(data))
    with pytest.raises(
        DataError, match=r"malformed rows: 1; row \d+: px must be a multiple of 0.01, was `100.005"
    ):
        run(path, tmp_path / "catalog", column_map=column_map)


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (b"100.005", "must be a multiple of 0.01, was `100.005"),
        (
            b"140000.01",
            "must be a text or a double, as a float has too few digits for multiples of 0.01, was",
        ),
    ],
)
def test_floats_of_32_bits_that_are_no_multiple_are_refused_as_written(tmp_path, price, message):
    column_map = stored(tmp_path, "map.yaml", OWN_TRADES)
    path = stored(tmp_path, "given", as_narrow_parquet(own_trades().encode().replace(b"100.0", price, 1)))
    with pytest.raises(DataError, match=rf"malformed rows: 1; row \d+: px {re.escape(message)}"):
        run(path, tmp_path / "catalog", column_map=column_map)


def test_mixed_symbols_are_refused(tmp_path):
    data = SHIPPED["Bybit trades"]
    at = data.rindex("BTCUSDT")
    path = stored(tmp_path, "given.csv", data[:at] + "ETHUSDT" + data[at + 7 :])
    with pytest.raises(DataError, match="line 41: symbol must be BTCUSDT, was `ETHUSDT`"):
        run(path, tmp_path / "catalog")


def test_a_file_of_no_known_format_says_what_to_do(tmp_path):
    path = stored(tmp_path, "own.csv", own_trades())
    with pytest.raises(
        DataError,
        match=r"is of no format that can be told by its beginning .*a table of your own needs --map FILE",
    ):
        guessed_format(path)
    with pytest.raises(
        DataError, match=r"its first line must be .*; a table of your own needs --map FILE"
    ) as caught:
        FORMATS["table"].make().inspect(path)
    assert "percentage" not in str(caught.value)  # of Binance's bookDepth, which is refused
    path = stored(tmp_path, "own.parquet", as_parquet(own_trades().encode()))
    with pytest.raises(DataError, match=r"own.parquet is a Parquet table, .* it needs --map FILE"):
        FORMATS["table"].make().inspect(path)


BEGINNINGS = {
    "kraken": b'{"raw": "{\\"method\\":\\"subscribe\\",\\"result\\":{\\"channel\\":\\"book\\"},\\"success\\":true}"}\n',
    "coinbase": b'{"channel":"l2_data","timestamp":"2025-01-10T09:06:40Z","sequence_num":0,"events":[]}\n',
    "bybit": b'{"topic":"orderbook.500.BTCUSDT","type":"snapshot","ts":1736500000000,"data":{}}\n',
    "hftbacktest": b'1736500000000000000 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate"}}\n',
    "databento": b"DBN\x03",
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_format_is_told_by_its_beginning(tmp_path, name):
    assert guessed_format(stored(tmp_path, "given", BEGINNINGS[name])) == name


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        (pa.array(["9999999999999999999", "1736500000000000000"]), "ns"),
        (pa.array(["9999999999999999", "1736500000000000"]), "us"),
        (pa.array([2**64 - 1, 1_736_500_000_000_000_000], pa.uint64()), "ns"),
        (pa.array([9 * 10**18, 1_736_500_000_000_000], pa.timestamp("us")), "ns"),
        (pa.array([None, 1_736_500_000_000], pa.timestamp("ms", "UTC")), "us"),
    ],
)
def test_a_time_that_no_64_bits_hold_is_malformed_as_any_other(column, unit):
    checked = times(column, unit)
    assert checked.fine.tolist() == [False, True]
    assert checked.values[1] == 1_736_500_000_000_000_000


# -- What is wrong with a map -------------------------------------------------------------------------------

BAD_MAPS = {
    "unknown key": (
        OWN_TRADES.replace("price:", "prise:"),
        r"map.yaml:9: unknown key prise \(did you mean price\?\)",
    ),
    "unit": (
        OWN_TRADES.replace("unit: ns", "unit: minutes", 1),
        "map.yaml:4: time_unit must be s, ms, us, ns, iso or ms_or_us",
    ),
    "missing price": (
        OWN_TRADES.replace("price: px\n", ""),
        "price must be given for kind trades, was missing",
    ),
    "no time": (
        "name: x\nkind: trades\nprice: p\nsize: q\n",
        "time or received must name a column, was neither",
    ),
    "levels of trades": (
        OWN_WIDE.replace("whole_books", "trades"),
        "levels must be left out for kind trades, was given",
    ),
    "one column for all levels": (
        OWN_WIDE.replace("bid_px_{}", "bid_px_0"),
        "map.yaml:5: levels must name a column of its own for each price and size, with {} for the level's number, "
        "was bid_px_0 for several",
    ),
    "column not there": (
        OWN_TRADES + "columns: [at, got, px, qty]\n",
        "columns must hold every column named here, was without is_buyer_maker",
    ),
    "twice": (OWN_TRADES + "price: x\n", "map.yaml:11: key price must be given once"),
    "a list": ("- a\n", "a column map must be a mapping of keys"),
    "one column for two": (
        OWN_TRADES.replace("size: qty", "size: px"),
        "map.yaml:10: size must be another column than price, was px",
    ),
    "one word for two sides": (
        "name: x\nkind: trades\ntime: t\nside: s\nside_words: {buy: [b], sell: [a, b]}\nprice: p\nsize: q\n",
        "map.yaml:5: side_words must have each text once, was b for buy too",
    ),
    "side": (OWN_TRADES.replace("{buy:", "{buys:"), r"unknown key buys \(did you mean buy\?\)"),
}


@pytest.mark.parametrize("case", BAD_MAPS)
def test_a_wrong_map_is_refused_with_its_line(tmp_path, case):
    words, message = BAD_MAPS[case]
    with pytest.raises(ConfigError, match=message):
        load_map(stored(tmp_path, "map.yaml", words))


# -- Recordings ---------------------------------------------------------------------------------------------

REALDATA = os.environ.get("MM_REALDATA")
REAL_BOOK = """\
name: own book
kind: book
symbol: pair
time: exchange_time
time_unit: iso
received: my_time
received_unit: iso
snapshot: full
snapshot_words: {yes: ["true"], no: ["false"]}
side: way
price: level
size: total
"""
REAL_TRADES = """\
name: own trades
kind: trades
symbol: pair
time: exchange_time
time_unit: iso
received: my_time
received_unit: iso
id: number
side: way
price: level
size: total
"""


@pytest.mark.long
@pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")
def test_the_recordings_as_own_parquet_tables_give_the_same_catalog(tmp_path):
    configs = Path(__file__).parents[2] / "configs" / "instruments"
    for base in ("BTC", "ETH"):
        source = load_instrument(configs / f"binance_{base.lower()}usdt.yaml", {})
        options = {"off_lot_sizes": source.off_lot_sizes}
        for kind, words in (("incremental_book_L2", REAL_BOOK), ("trades", REAL_TRADES)):
            (given,) = Path(REALDATA).glob(f"*{kind}*{base}USDT.csv.gz")
            kinds = dict.fromkeys(("price", "amount", "id"), pa.string())
            table = arrow_csv.read_csv(given, convert_options=arrow_csv.ConvertOptions(column_types=kinds))
            names = ["exchange", "pair", "exchange_time", "my_time", "full" if "book" in kind else "number"]
            table = table.rename_columns([*names, "way", "level", "total"])
            for name in ("exchange_time", "my_time"):
                at = table.schema.get_field_index(name)
                table = table.set_column(at, name, table.column(name).cast(pa.timestamp("us", "UTC")))
            if "book" in kind:  # prices as floats
                at = table.schema.get_field_index("level")
                table = table.set_column(at, "level", table.column("level").cast(pa.float64()))
            path = tmp_path / f"{base}_{kind}.parquet"
            pq.write_table(table, path)
            column_map = stored(tmp_path, "map.yaml", words)
            _, reader = make_reader(None, [path], column_map)
            import_files(reader, [path], source.spec, tmp_path / "table", **options)
            import_files(FORMATS["tardis"].make(), [given], source.spec, tmp_path / "tardis", **options)
    folders = (tmp_path / "table", tmp_path / "tardis")
    same = [sorted(path.relative_to(it) for path in it.rglob("*.parquet")) for it in folders]
    assert same[0] == same[1]
    for path in same[0]:
        assert pq.read_table(tmp_path / "table" / path).equals(pq.read_table(tmp_path / "tardis" / path))
    assert len(same[0]) == 6
