"""Tardis CSV files through the real importer into a real catalog, read back with the engine."""

import codecs
import gzip
import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import AggressorSide, BookAction, BookType, InstrumentId, OrderBook, OrderSide
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data import csv_files, row_streams
from mm_nautilus.data.book_tops import BookReplay
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Flag, Side

BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
T0 = 1_723_161_255_000_000
BTC = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))
ETH = InstrumentSpec("ETH/USDT", "BINANCE", "ETH", "USDT", Decimal("0.01"), Decimal("0.0001"))
ID = BTC.instrument_id


def import_tardis(files, spec, target, **options):
    return import_files(FORMATS["tardis"].make(), files, spec, target, **options)


def book_row(at, side, price, amount, snapshot="false", symbol="BTCUSDT", event=None):
    event = at if event is None else event
    return f"binance,{symbol},{T0 + event},{T0 + at},{snapshot},{side},{price},{amount}"


def trade_row(at, number, side, price, amount, symbol="BTCUSDT"):
    return f"binance,{symbol},{T0 + at - 7},{T0 + at},{number},{side},{price},{amount}"


SNAPSHOT = [
    book_row(0, "bid", "100.00", "1.5", "true"),
    book_row(0, "bid", "99.99", "2", "true"),
    book_row(0, "ask", "100.01", "0.00001", "true"),
]


def write_csv(path, header, rows, end="\n", zipped=False):
    data = (end.join([header, *rows]) + end).encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


def write_book(folder, rows, name="book.csv", **options):
    return write_csv(folder / name, BOOK, rows, **options)


def write_trades(folder, rows, name="trades.csv", **options):
    return write_csv(folder / name, TRADES, rows, **options)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def levels(catalog, instrument_id=ID):
    return [
        (d.action, d.order.side, str(d.order.price), str(d.order.size), d.flags, d.ts_event, d.ts_init)
        for d in ParquetDataCatalog(str(catalog)).query_order_book_deltas([instrument_id])
    ]


def found(report, kind):
    return [(finding.count, finding.lines) for finding in report.findings if finding.kind is kind]


def test_book_rows_become_exact_deltas(tmp_path):
    rows = [
        *SNAPSHOT,
        book_row(100, "bid", "100.00", "0", event=90),
        book_row(100, "ask", "61837.63", "3.78826"),
    ]
    report = import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog")

    t0, t1 = T0 * 1000, (T0 + 100) * 1000
    snapshot = Flag.SNAPSHOT
    assert levels(tmp_path / "catalog") == [
        (BookAction.CLEAR, None, "0.00", "0.00000", snapshot, t0, t0),
        (BookAction.ADD, OrderSide.BUY, "100.00", "1.50000", snapshot, t0, t0),
        (BookAction.ADD, OrderSide.BUY, "99.99", "2.00000", snapshot, t0, t0),
        (BookAction.ADD, OrderSide.SELL, "100.01", "0.00001", snapshot | Flag.LAST, t0, t0),
        (BookAction.DELETE, OrderSide.BUY, "100.00", "0.00000", 0, t1 - 10_000, t1),
        (BookAction.UPDATE, OrderSide.SELL, "61837.63", "3.78826", Flag.LAST, t1, t1),
    ]
    assert (report.deltas, report.trades, report.groups, report.snapshots) == (6, 0, 2, 1)
    assert report.findings == ()


def test_trades_become_exact_ticks(tmp_path):
    rows = [trade_row(10, "a-1", "buy", "61837.63", "0.02"), trade_row(10, "a-2", "sell", "61837.6", "1e-05")]
    import_tardis([write_trades(tmp_path, rows)], BTC, tmp_path / "catalog")

    ticks = ParquetDataCatalog(str(tmp_path / "catalog")).query_trade_ticks([ID])
    assert [
        (str(t.price), str(t.size), t.aggressor_side, str(t.trade_id), t.ts_event, t.ts_init) for t in ticks
    ] == [
        ("61837.63", "0.02000", AggressorSide.BUY, "a-1", (T0 + 3) * 1000, (T0 + 10) * 1000),
        ("61837.60", "0.00001", AggressorSide.SELL, "a-2", (T0 + 3) * 1000, (T0 + 10) * 1000),
    ]


AS_OTHER_PROGRAMS_SAVE = {
    "gzip": gzip.compress,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "byte order mark": lambda data: codecs.BOM_UTF8 + data,
    "byte order mark, gzip": lambda data: gzip.compress(codecs.BOM_UTF8 + data),
    "blank last lines": lambda data: data + b"\n\r\n\n",
    "pandas": lambda data: data.replace(b"true", b"True").replace(b"false", b"False"),
    "spreadsheet": lambda data: data.replace(b"true", b"TRUE").replace(b"false", b"FALSE"),
}


@pytest.mark.parametrize("saved", AS_OTHER_PROGRAMS_SAVE.values(), ids=AS_OTHER_PROGRAMS_SAVE)
def test_how_a_file_was_saved_changes_nothing(tmp_path, saved, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 100)
    rows = [*SNAPSHOT, book_row(100, "bid", "99.98", "1")]
    path = write_book(tmp_path, rows)
    import_tardis([path], BTC, tmp_path / "plain")
    path.write_bytes(saved(path.read_bytes()))
    assert import_tardis([path], BTC, tmp_path / "other").findings == ()
    assert levels(tmp_path / "plain") == levels(tmp_path / "other")


def full_book(at, bid, ask):
    return [book_row(at, side, price, "1", "true") for side, price in (("bid", bid), ("ask", ask))]


def test_every_time_of_snapshot_rows_begins_a_new_book(tmp_path, monkeypatch):
    """A venue that sends whole books, or a reconnection in a quiet market, has no row between two snapshots."""
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 100)
    rows = [
        *full_book(0, "99.99", "100.01"),
        *full_book(200, "99.97", "100.03"),
        *full_book(400, "120", "121"),
        book_row(500, "bid", "119", "1"),
        *full_book(600, "50", "51"),
    ]
    report = import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog")
    assert (report.groups, report.snapshots, report.findings) == (5, 4, ())
    clears = [row[-1] // 1000 - T0 for row in levels(tmp_path / "catalog") if row[0] == BookAction.CLEAR]
    assert clears == [0, 200, 400, 600]
    seen = touches(tmp_path / "catalog", ID)
    assert [touch[1:] for touch in seen] == [
        (9999, 10001), (9997, 10003), (12000, 12100), (12000, 12100), (5000, 5100)
    ]  # fmt: skip
    assert engine_touches(tmp_path / "catalog", ID) == seen
    assert check_catalog(tmp_path / "catalog").instruments[0].book.uncleared.count == 0


def test_snapshot_rows_of_one_time_are_one_book(tmp_path):
    """Two messages that were received at once cannot be told from one, wherever the exchange's time stands."""
    halves = [
        book_row(200, "bid", "50", "1", "true", event=190),
        book_row(200, "ask", "51", "1", "true", event=191),
    ]
    report = import_tardis([write_book(tmp_path, [*SNAPSHOT, *halves])], BTC, tmp_path / "catalog")
    assert (report.groups, report.snapshots, report.findings) == (2, 2, ())
    assert touches(tmp_path / "catalog", ID)[-1][1:] == (5000, 5100)


def test_a_snapshot_of_one_side_is_reported(tmp_path):
    halves = [book_row(200, "bid", "50", "1", "true"), book_row(201, "ask", "51", "1", "true")]
    report = import_tardis([write_book(tmp_path, [*SNAPSHOT, *halves])], BTC, tmp_path / "catalog")
    (finding,) = report.findings
    assert (finding.kind, finding.lines) == (FindingKind.HALF_BOOK, [5, 6])
    assert finding.texts[0] == "it has no asks; rows of another local_timestamp are another book"
    assert touches(tmp_path / "catalog", ID)[-1][1:] == (0, 5100)


def test_row_groups_of_one_file_are_cut_between_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 250)
    rows = [*SNAPSHOT] + [book_row(100 + i // 3, "bid", f"90.{i:02}", "1") for i in range(20)]
    import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog")

    (path,) = (tmp_path / "catalog" / "data" / "order_book_deltas").rglob("*.parquet")
    file = pq.ParquetFile(path)
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    assert len(groups) > 3
    times = [(group["ts_init"][0].value, group["ts_init"][-1].value) for group in groups]
    assert all(after[0] > before[1] for before, after in pairwise(times))
    assert len(levels(tmp_path / "catalog")) == 24


def test_lines_are_counted_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 100)
    rows = [*SNAPSHOT] + [book_row(100 + i, "bid", f"90.{i:02}", "1") for i in range(40)]
    rows[25] = "binance,BTCUSDT,oops"
    rows[30] = ""
    path = write_book(tmp_path, rows, zipped=True)
    with pytest.raises(
        DataError,
        match=r"malformed rows: 2; line 27: a row has 8 fields, was 3: .*; line 32: the line is empty",
    ):
        import_tardis([path], BTC, tmp_path / "catalog")
    report = import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip")
    assert report.files[0].rows_read == 43
    assert report.files[0].rows_kept == 41


BAD_BOOK_ROWS = [
    ("binance,BTCUSDT,1,2", "a row has 8 fields, was 4: `binance,BTCUSDT,1,2`"),
    (book_row(5, "bid", "99", "1") + ",9", "a row has 8 fields, was 9"),
    ("", "the line is empty"),
    (
        book_row(5, "bid", "99", "1").replace(str(T0 + 5), "172316125"),
        "timestamp must be microseconds since 1970",
    ),
    (book_row(5, "bid", "99", "1").replace(str(T0 + 5), "1723161255000005000"), "was `1723161255000005000`"),
    (book_row(5, "bid", "99", "1", "maybe"), "is_snapshot must be true or false, was `maybe`"),
    (book_row(5, "buy", "99", "1"), "side must be one of bid, ask, was `buy`"),
    (book_row(5, "", "99", "1"), "side must be one of bid, ask, was empty"),
    (book_row(5, "bid", "", "1"), "price must be a number that is not negative, was empty"),
    (book_row(5, "bid", "x", "1"), "price must be a number that is not negative, was `x`"),
    (book_row(5, "bid", "nan", "1"), "price must be a number that is not negative, was `nan`"),
    (book_row(5, "bid", "inf", "1"), "price must be a number that is not negative, was `inf`"),
    (book_row(5, "bid", "-99", "1"), "price must be a number that is not negative, was `-99`"),
    (book_row(5, "bid", "9_9", "1"), "price must be a number that is not negative, was `9_9`"),
    (book_row(5, "bid", "0", "1"), "price must be at least 0.01, was `0`"),
    (book_row(5, "bid", "99.005", "1"), "price must be a multiple of 0.01, was `99.005`"),
    (book_row(5, "bid", "99.0000000000000000000001", "1"), "price must be a multiple of 0.01, was `99.000"),
    (book_row(5, "bid", "1e-3", "1"), "price must be a multiple of 0.01, was `1e-3`"),
    (book_row(5, "bid", "1e29", "1"), "price must be less than 100000000000000000 times 0.01, was `1e29`"),
    (book_row(5, "bid", "99", "-1"), "amount must be a number that is not negative, was `-1`"),
    (book_row(5, "bid", "99", "0.000001"), "amount must be a multiple of 0.00001, was `0.000001`"),
    (book_row(5, "bid", "99", "1", symbol="ETHUSDT"), "symbol must be BTCUSDT, was `ETHUSDT`"),
    (
        book_row(5, "bid", "99", "1").replace("binance,", "okex,"),
        "exchange must be binance as in the first row",
    ),
]


@pytest.mark.parametrize(("row", "words"), BAD_BOOK_ROWS)
def test_malformed_book_rows_are_refused_or_skipped(tmp_path, row, words):
    path = write_book(tmp_path, [*SNAPSHOT, row, book_row(9, "bid", "99.97", "1")])
    with pytest.raises(DataError) as caught:
        import_tardis([path], BTC, tmp_path / "catalog")
    assert str(caught.value).startswith(f"{path}: malformed rows: 1; line 5: ")
    assert words in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["book.csv"]

    report = import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip")
    assert found(report, FindingKind.MALFORMED) == [(1, [5])]
    assert report.files[0].rows_kept == 4
    assert len(levels(tmp_path / "catalog")) == 5


BAD_TRADE_ROWS = [
    (trade_row(5, "x" * 37, "buy", "100", "1"), "id must be at most 36 printable characters without spaces"),
    (trade_row(5, "é", "buy", "100", "1"), "id must be at most 36 printable characters"),
    (trade_row(5, "2", "", "100", "1"), "side must be one of buy, sell, unknown, was empty"),
    (trade_row(5, "2", "buy", "100", "0"), "amount must be at least 0.00001, was `0`"),
]


@pytest.mark.parametrize(("row", "words"), BAD_TRADE_ROWS)
def test_malformed_trades_are_refused_or_skipped(tmp_path, row, words):
    path = write_trades(tmp_path, [trade_row(0, "1", "buy", "100", "1"), row])
    with pytest.raises(DataError) as caught:
        import_tardis([path], BTC, tmp_path / "catalog")
    assert "line 3: " in str(caught.value)
    assert words in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trades.csv"]
    assert import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip").trades == 1


def test_trades_without_id_or_taker_are_imported_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 100)
    rows = [
        trade_row(0, "", "buy", "100", "1"),
        trade_row(9, "", "sell", "100", "1"),
        trade_row(9, "K-1", "unknown", "100", "1"),
        trade_row(9, "", "unknown", "100", "1"),
        trade_row(9, "", "unknown", "100", "1"),
    ]
    path = write_trades(tmp_path, rows)
    report = import_tardis([path], BTC, tmp_path / "catalog")
    ticks = ParquetDataCatalog(str(tmp_path / "catalog")).query_trade_ticks([ID])
    assert [str(tick.trade_id) for tick in ticks] == [
        f"{T0}-0", f"{T0 + 9}-0", "K-1", f"{T0 + 9}-2", f"{T0 + 9}-3"
    ]  # fmt: skip
    assert [tick.aggressor_side for tick in ticks][1:] == [
        AggressorSide.SELL,
        *[AggressorSide.NO_AGGRESSOR] * 3,
    ]
    assert [(finding.kind, finding.count) for finding in report.findings] == [
        (FindingKind.MADE_ID, 4),
        (FindingKind.UNKNOWN_TAKER, 3),
    ]
    assert "made of their time and number: 4" in report.findings[0].message


def test_a_file_of_its_header_alone_is_a_quiet_day(tmp_path):
    book, quiet = write_book(tmp_path, SNAPSHOT), write_trades(tmp_path, [])
    quiet_book = write_book(tmp_path, [""], "quiet.csv.gz", zipped=True)
    report = import_tardis([quiet, book, quiet_book], BTC, tmp_path / "catalog")
    assert [(file.path.name, file.rows_read, file.first) for file in report.files] == [
        ("quiet.csv.gz", 0, None), ("book.csv", 3, T0 * 1000), ("trades.csv", 0, None)
    ]  # fmt: skip
    assert {(finding.kind, finding.file.name) for finding in report.findings} == {
        (FindingKind.NO_ROWS, "quiet.csv.gz"), (FindingKind.NO_ROWS, "trades.csv")
    }  # fmt: skip
    assert (report.deltas, report.trades) == (4, 0)
    with pytest.raises(DataError, match=r"nothing to import: no rows, only headers, in .*trades\.csv"):
        import_tardis([quiet], BTC, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_increments_need_not_be_powers_of_ten(tmp_path):
    coarse = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.05"), Decimal("10"))
    rows = [trade_row(0, "1", "buy", "100.05", "30"), trade_row(1, "2", "buy", "100.06", "30")]
    rows.append(trade_row(2, "3", "buy", "100.10", "35"))
    path = write_trades(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        import_tardis([path], coarse, tmp_path / "catalog")
    assert "line 3: price must be a multiple of 0.05, was `100.06`" in str(caught.value)
    assert "line 4: amount must be a multiple of 10, was `35`" in str(caught.value)
    import_tardis([path], coarse, tmp_path / "catalog", on_bad_rows="skip")
    (block,) = CatalogReader(tmp_path / "catalog").iter_trades(ID)
    assert (block.price_ticks.tolist(), block.size_lots.tolist()) == ([2001], [3])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (book_row(5, "bid", "@", "1"), "price must be a number"),
        ("@", "8 fields"),
        ("binance,BTCUSDT,@", "8 fields"),
    ],
)
def test_bytes_that_are_no_text_are_malformed(tmp_path, row, words):
    path = write_book(tmp_path, SNAPSHOT)
    path.write_bytes(path.read_bytes() + row.encode().replace(b"@", b"\xff\xfe") + b"\n")
    with pytest.raises(DataError, match=f"line 5: .*{words}"):
        import_tardis([path], BTC, tmp_path / "catalog")


def test_bytes_that_are_no_text_are_no_trade_id(tmp_path):
    path = write_trades(
        tmp_path, [trade_row(3, "1", "buy", "100", "1"), trade_row(4, "@", "buy", "100", "1")]
    )
    path.write_bytes(path.read_bytes().replace(b"@", b"\xff\xfe"))
    with pytest.raises(DataError, match="line 3: id must be at most"):
        import_tardis([path], BTC, tmp_path / "catalog")


def test_only_the_first_ten_bad_rows_are_shown_with_the_total(tmp_path):
    path = write_book(tmp_path, [*SNAPSHOT, *["junk"] * 25])
    with pytest.raises(DataError) as caught:
        import_tardis([path], BTC, tmp_path / "catalog")
    message = str(caught.value)
    assert "malformed rows: 25" in message
    assert "line 14: " in message
    assert "line 15: " not in message
    assert message.endswith("and 15 more")


def test_rows_out_of_order(tmp_path):
    rows = [*SNAPSHOT, book_row(100, "bid", "99.98", "1"), book_row(99, "bid", "99.97", "1")]
    path = write_book(tmp_path, rows)
    words = f"line 6: local_timestamp must be at least {T0 + 100} as before, was {T0 + 99}"
    with pytest.raises(DataError, match=words):
        import_tardis([path], BTC, tmp_path / "catalog")
    report = import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip")
    assert found(report, FindingKind.OUT_OF_ORDER) == [(1, [6])]
    assert len(levels(tmp_path / "catalog")) == 5


def test_exchange_time_going_backwards_is_only_reported(tmp_path):
    rows = [*SNAPSHOT, book_row(100, "bid", "99.98", "1", event=-50)]
    report = import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog")
    assert found(report, FindingKind.EVENT_TIME_BACKWARDS) == [(1, [5])]


def test_a_book_must_start_with_a_snapshot(tmp_path):
    path = write_book(tmp_path, [book_row(-5, "bid", "1", "1"), *SNAPSHOT])
    with pytest.raises(
        DataError, match="rows before the first snapshot: 1; line 2: is_snapshot must be true"
    ):
        import_tardis([path], BTC, tmp_path / "catalog")
    assert import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip").deltas == 4


def test_crossed_states_are_refused_or_kept_and_reported(tmp_path):
    path = write_book(
        tmp_path, [*SNAPSHOT, book_row(10, "bid", "100.01", "1"), book_row(20, "bid", "100.01", "0")]
    )
    words = r"crossed states of the book: 1; line 5: .* below the best ask, was 100.01 against 100.01"
    with pytest.raises(DataError, match=words):
        import_tardis([path], BTC, tmp_path / "catalog")
    report = import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip")
    assert found(report, FindingKind.CROSSED) == [(1, [5])]
    assert report.deltas == 6


def test_a_cross_within_a_message_is_none(tmp_path):
    rows = [*SNAPSHOT, book_row(10, "bid", "100.01", "1"), book_row(10, "ask", "100.01", "0")]
    rows.append(book_row(10, "ask", "100.02", "1"))
    assert import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog").findings == ()


def test_repeated_levels_and_unknown_deletes_are_reported(tmp_path):
    rows = [
        *SNAPSHOT,
        book_row(10, "bid", "99", "1"),
        book_row(10, "bid", "99", "2"),
        book_row(20, "bid", "7", "0"),
    ]
    report = import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog")
    assert found(report, FindingKind.DUPLICATED_LEVEL) == [(1, [6])]
    assert found(report, FindingKind.UNKNOWN_DELETE) == [(1, [])]


def test_a_level_before_and_in_a_snapshot_of_one_message_is_no_repetition(tmp_path):
    again = [row.replace(str(T0), str(T0 + 10)) for row in SNAPSHOT]
    rows = [*SNAPSHOT, book_row(10, "bid", "99.99", "3"), *again]
    report = import_tardis([write_book(tmp_path, rows)], BTC, tmp_path / "catalog")
    assert (report.findings, report.groups, report.snapshots) == ((), 2, 2)
    actions = [row[0] for row in levels(tmp_path / "catalog")[4:]]
    assert actions == [BookAction.UPDATE, BookAction.CLEAR, *[BookAction.ADD] * 3]


def test_duplicated_trade_ids(tmp_path):
    rows = [trade_row(i, number, "buy", "100", "1") for i, number in enumerate(["1", "2", "1"])]
    path = write_trades(tmp_path, rows)
    with pytest.raises(DataError, match="line 4: id 1 was used before"):
        import_tardis([path], BTC, tmp_path / "catalog")
    assert import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip").trades == 2


def test_repeated_ids_are_noticed_within_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(row_streams, "RECENT_TRADE_IDS", 2)
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 40)  # less than a row
    rows = [trade_row(i, number, "buy", "100", "1") for i, number in enumerate(["1", "2", "3", "1", "3"])]
    with pytest.raises(DataError, match="trades with an id that was already used: 1; line 6: id 3"):
        import_tardis([write_trades(tmp_path, rows)], BTC, tmp_path / "catalog")


def test_sizes_off_the_lot_can_be_rounded_down(tmp_path):
    rows = [*SNAPSHOT, book_row(10, "ask", "200000", "25.426189"), book_row(20, "ask", "300000", "0.000009")]
    report = import_tardis(
        [write_book(tmp_path, rows)], BTC, tmp_path / "catalog", off_lot_sizes="round_down"
    )
    finding = report.findings[0]
    assert (finding.kind, finding.lines) == (FindingKind.ROUNDED_SIZE, [5, 6])
    assert finding.texts[0] == "amount 25.426189 was rounded down to a multiple of 0.00001"
    assert [row[:4] for row in levels(tmp_path / "catalog")[-2:]] == [
        (BookAction.UPDATE, OrderSide.SELL, "200000.00", "25.42618"),
        (BookAction.DELETE, OrderSide.SELL, "300000.00", "0.00000"),
    ]


def test_a_missing_last_line_break_is_reported(tmp_path):
    path = write_book(tmp_path, SNAPSHOT)
    path.write_bytes(path.read_bytes()[:-1])
    report = import_tardis([path], BTC, tmp_path / "catalog")
    assert found(report, FindingKind.UNTERMINATED) == [(1, [])]
    assert report.deltas == 4


def in_unit(digits):
    """Return a file whose times have more or fewer digits than microseconds."""
    moment = str(T0) + "0" * digits if digits > 0 else str(T0)[:digits]
    return "\n".join([BOOK, *SNAPSHOT, ""]).replace(str(T0), moment).encode()


def test_unusable_files_each_give_one_message(tmp_path):
    whole = write_book(tmp_path, SNAPSHOT * 50, zipped=True).read_bytes()
    cases = {
        "cut.csv.gz": (whole[: len(whole) // 2], "cut.csv.gz is cut off: its compressed data ends early"),
        "bad.csv.gz": (
            whole[:30] + bytes(8) + whole[38:],
            "bad.csv.gz is damaged and cannot be decompressed",
        ),
        "none.csv": (b"", "none.csv is empty"),
        "other.csv": (b"time,price\n1,2\n", "first line must be `exchange,symbol,timestamp"),
        "noise.csv": (
            BOOK.encode() + b"\nx\ny\n",
            "first 1000 lines; line 2: a row has 8 fields, was 1: `x`",
        ),
        "seconds.csv": (
            in_unit(-6),
            "timestamp must be microseconds since 1970 (16 digits; 10 are seconds), was",
        ),
        "milliseconds.csv": (in_unit(-3), "(16 digits; 13 are milliseconds), was `1723161255000`"),
        "nanoseconds.csv": (in_unit(3), "(16 digits; 19 are nanoseconds), was `1723161255000000000`"),
        "cr.csv": (
            "\r".join([BOOK, *SNAPSHOT, ""]).encode(),
            "ends lines with a carriage return; they must end",
        ),
        "escape.csv": (b"\x1b]0;gone\x07\x9b\n", r"was `\x1b]0;gone\x07�`"),
        "utf16.csv": (BOOK.encode("utf-16"), "must be UTF-8 text, was UTF-16 or no text; save it as UTF-8"),
        "return.csv": ((BOOK + "\n" + SNAPSHOT[0] + "\na\rb\n").encode(), "carriage return inside a line"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError) as caught:
            import_tardis([tmp_path / name], BTC, tmp_path / "catalog")
        assert words in str(caught.value)
        assert str(caught.value).isprintable()
        assert not (tmp_path / "catalog").exists()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        import_tardis([tmp_path], BTC, tmp_path / "catalog")
    with pytest.raises(DataError, match=r"absent\.csv does not exist"):
        import_tardis([tmp_path / "absent.csv"], BTC, tmp_path / "catalog")
    with pytest.raises(DataError, match="no files"):
        import_tardis([], BTC, tmp_path / "catalog")


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path):
    path = write_book(tmp_path, [book_row(0, "bid", "1", "1")])
    with pytest.raises(DataError, match="no usable row is left of"):
        import_tardis([path], BTC, tmp_path / "catalog", on_bad_rows="skip")
    assert not (tmp_path / "catalog").exists()


def test_the_source_symbol_is_held_to(tmp_path):
    path = write_book(tmp_path, SNAPSHOT)
    with pytest.raises(DataError, match="malformed rows: 3; line 2: symbol must be XBTUSD, was `BTCUSDT`"):
        import_tardis([path], BTC, tmp_path / "catalog", source_symbol="XBTUSD")


def test_days_are_sorted_and_must_not_overlap(tmp_path):
    first = write_book(tmp_path, SNAPSHOT, "z.csv")
    second = write_book(tmp_path, [book_row(50, "bid", "99.9", "1", "true")], "a.csv")
    report = import_tardis([second, first], BTC, tmp_path / "catalog")
    assert [entry.path.name for entry in report.files] == ["z.csv", "a.csv"]
    assert report.snapshots == 2
    with pytest.raises(DataError, match="the files overlap"):
        import_tardis([first, first], BTC, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_catalog_grows_by_instruments_and_days(tmp_path):
    target = tmp_path / "catalog"
    import_tardis([write_book(tmp_path, SNAPSHOT)], BTC, target)
    eth = [row.replace("BTCUSDT", "ETHUSDT") for row in SNAPSHOT[:2]]
    import_tardis([write_book(tmp_path, eth, "eth.csv")], ETH, target)
    later = [book_row(500, "bid", "99", "1", "true"), book_row(500, "ask", "101", "1", "true")]
    import_tardis([write_book(tmp_path, later, "later.csv")], BTC, target)

    assert [spec.instrument_id for spec in CatalogReader(target).instruments()] == [ID, ETH.instrument_id]
    assert len(levels(target)) == 7
    assert len(levels(target, ETH.instrument_id)) == 3


def test_overlap_with_the_catalog_is_refused_and_changes_nothing(tmp_path):
    target = tmp_path / "catalog"
    path = write_book(tmp_path, [*SNAPSHOT, book_row(100, "bid", "99", "1")])
    import_tardis([path], BTC, target)
    before = contents(tmp_path)
    with pytest.raises(DataError, match="already holds data from"):
        import_tardis([path], BTC, target)
    other = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.1"), Decimal("0.00001"))
    with pytest.raises(DataError, match=r"price_increment is 0.01 there, 0.1 here"):
        import_tardis([path], other, target)
    assert contents(tmp_path) == before


def test_an_interrupted_import_leaves_nothing(tmp_path):
    path = write_book(tmp_path, [*SNAPSHOT] + [book_row(9 + i, "bid", "90", "1") for i in range(50)])
    calls = []

    def interrupt(done, total):
        calls.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_tardis([path], BTC, tmp_path / "catalog", on_progress=interrupt)
    assert calls == [(path.stat().st_size, path.stat().st_size)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["book.csv"]


def test_instruments_the_engine_cannot_keep_exactly_are_refused(tmp_path):
    fine = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.01"), Decimal("1E-17"))
    with pytest.raises(DataError, match="size_increment of BTC/USDT must have at most 16 decimal places"):
        import_tardis([write_book(tmp_path, SNAPSHOT)], fine, tmp_path / "catalog")


def test_sizes_of_eight_digits_are_kept_of_every_currency(tmp_path):
    spec = InstrumentSpec("ADA/EUR", "BITSTAMP", "ADA", "EUR", Decimal("0.00001"), Decimal("0.00000001"))
    rows = [
        book_row(1, "bid", "0.7", "1234.56789012", "true"),
        book_row(1, "ask", "0.8", "0.00000001", "true"),
    ]
    import_tardis([write_book(tmp_path, rows)], spec, tmp_path / "catalog")
    reader = CatalogReader(tmp_path / "catalog")
    assert reader.instruments() == [spec]
    lots = np.concatenate([block.size_lots for block in reader.iter_deltas("ADA/EUR.BITSTAMP")])
    assert sorted(lots.tolist())[-2:] == [1, 123_456_789_012]


ROW = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["bid", "ask"]),
    st.integers(1, 10**12),
    st.one_of(st.just(0), st.integers(1, 10**13)),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=30))
def test_rows_survive_the_catalog(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    at, lines, expected = 1, [], []
    for step, side, ticks, lots in rows:
        at += step
        price, size = Decimal(ticks) * BTC.price_increment, Decimal(lots) * BTC.size_increment
        lines.append(book_row(at, side, price.normalize(), size))
        expected.append((at, Side.BID if side == "bid" else Side.ASK, ticks, lots))
    path = write_book(folder, [*SNAPSHOT, *lines])
    import_tardis([path], BTC, folder / "catalog", on_bad_rows="skip")

    blocks = list(CatalogReader(folder / "catalog").iter_deltas(ID, batch_rows=7))
    columns = [np.concatenate([getattr(b, name) for b in blocks]).tolist() for name in ("ts_init", "side")]
    columns += [
        np.concatenate([getattr(b, name) for b in blocks]).tolist() for name in ("price_ticks", "size_lots")
    ]
    stored = list(zip(*columns, strict=True))[4:]
    assert [(ts // 1000 - T0, *rest) for ts, *rest in stored] == expected


REALDATA = os.environ.get("MM_REALDATA")


@pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")
def test_the_binance_recordings_are_clean(tmp_path):
    expected = {"btc": (300_095, 19_904), "eth": (274_753, 14_515)}
    configs = Path(__file__).parents[2] / "configs" / "instruments"
    for base, (deltas, trades) in expected.items():
        source = load_instrument(configs / f"binance_{base}usdt.yaml", {})
        report = import_tardis(
            sorted(Path(REALDATA).glob(f"*{base.upper()}USDT.csv.gz")),
            source.spec,
            tmp_path / "catalog",
            source_symbol=source.source_symbol,
            off_lot_sizes=source.off_lot_sizes,
        )
        assert (report.deltas, report.trades) == (deltas, trades)
        assert not [finding for finding in report.findings if finding.kind.refused]
    checked = check_catalog(tmp_path / "catalog")
    assert checked.problems == ()
    assert [entry.outside.compared for entry in checked.instruments] == [19_904, 14_515]
    for entry in checked.instruments:
        assert touches(tmp_path / "catalog", entry.instrument_id) == engine_touches(
            tmp_path / "catalog", entry.instrument_id
        )


def touches(catalog, instrument_id):
    replay, found = BookReplay(), []
    for block in CatalogReader(catalog).iter_deltas(instrument_id):
        tops = replay.apply(block)
        found += zip(tops.ts_init.tolist(), tops.bid.tolist(), tops.ask.tolist(), strict=True)
    return found


def engine_touches(catalog, instrument_id):
    book, found = OrderBook(InstrumentId.from_str(instrument_id), BookType.L2_MBP), []
    for delta in ParquetDataCatalog(str(catalog)).query_order_book_deltas([instrument_id]):
        book.apply_delta(delta)
        if delta.flags & Flag.LAST:
            prices = (book.best_bid_price(), book.best_ask_price())
            found.append((delta.ts_init, *(round(float(price) * 100) for price in prices)))
    return found
