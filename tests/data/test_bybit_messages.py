"""Bybit's `ob500` archives and captures of its streams through the import."""

import json
import zipfile
from functools import partial

import pytest
from modelled_market import (
    MS,
    SPEC,
    T0_MS,
    Message,
    assert_rebuilt,
    assert_refused,
    assert_round_trip,
    assert_waits,
    counts,
    edited,
    modelled_market,
    pairs,
    refusals,
    rows_of,
    write,
)
from nautilus_trader.model import AggressorSide

from mm_nautilus.data import csv_files
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.readers.bybit import BybitReader

NAME = "BTCUSDT"


def book(kind, update, bids, asks, at_ms, *, symbol=NAME, topic="orderbook.500"):
    data = {"s": symbol, "b": bids, "a": asks, "u": update, "seq": update * 7}
    ts = T0_MS + at_ms
    return json.dumps({"topic": f"{topic}.{symbol}", "type": kind, "ts": ts, "data": data, "cts": ts - 3})


SMALL = [
    book("snapshot", 100, [["100.00", "1.50000"]], [["100.02", "0.3"]], 0),
    book("delta", 101, [["100.01", "1"]], [], 100),
    book("delta", 102, [["100.01", "0"]], [["100.03", "5"]], 200),
]


def archived(folder, lines):
    path = folder / "2024-08-08_BTCUSDT_ob500.data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.stem, "\n".join([*lines, ""]))
    return path


def test_a_market_is_rebuilt_from_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 1000)
    messages = modelled_market()[0]
    lines = [
        book(
            "snapshot" if m.is_snapshot else "delta",
            number,
            pairs(m.bids),
            pairs(m.asks),
            m.event_ns // MS - T0_MS,
        )
        for number, m in enumerate(messages, 1000)
    ]
    report = import_files(BybitReader(), [archived(tmp_path, lines)], SPEC, tmp_path / "c")
    one_clock = [Message(m.event_ns, m.event_ns, m.is_snapshot, m.bids, m.asks, m.book) for m in messages]
    assert_rebuilt(tmp_path / "c", one_clock)
    assert {row[7] - row[6] for row in rows_of(tmp_path / "c")[0]} == {3 * MS}
    assert (report.groups, report.snapshots, report.exchange) == (150, 2, "bybit")
    assert report.notes[0].startswith("one clock: the time of receipt is the exchange's time plus a latency")
    assert_round_trip(tmp_path / "c", tmp_path / "flat")


def test_a_capture_has_trades_and_a_local_time(tmp_path):
    sold = {
        "T": T0_MS + 150,
        "s": NAME,
        "S": "Sell",
        "v": "0.020",
        "p": "100.00",
        "i": "2a74ac78-691c-5b54-9dbe-5aafe8364627",
    }
    trades = json.dumps(
        {"topic": f"publicTrade.{NAME}", "type": "snapshot", "ts": T0_MS + 151, "data": [sold]}
    )
    answer = '{"success": true, "op": "subscribe"}'
    lines = [
        f"{(T0_MS + at) * MS + 9_000} {words}" for at, words in ((0, answer), (0, SMALL[0]), (151, trades))
    ]
    report = import_files(BybitReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c")
    assert rows_of(tmp_path / "c")[1] == [
        ("100.00", "0.02000", AggressorSide.SELL, sold["i"], (T0_MS + 150) * MS, (T0_MS + 151) * MS + 9_000)
    ]
    assert report.notes == ()
    assert counts(report) == {FindingKind.OTHER_MESSAGE: 1}


@pytest.mark.parametrize(
    ("between", "words"),
    [
        ([], "line 4: u must be 103, the update after the one before, was 104"),
        ([SMALL[-1][:60]], "line 4: the line must be one whole JSON message"),
    ],
)
def test_a_gap_is_refused_and_skipping_waits_for_the_next_snapshot(tmp_path, between, words):
    lines = [
        *SMALL,
        *between,
        book("delta", 104, [["100.01", "3"]], [], 300),
        book("delta", 105, [["100.01", "4"]], [], 400),
        book("delta", 1, [["100.01", "5"]], [], 450),
        book("snapshot", 1, [["99.00", "1"]], [["101.00", "1"]], 500),
        book("delta", 2, [["99.01", "1"]], [], 600),
    ]
    prices = ["0.00", "99.00", "101.00", "99.01"]
    assert_waits(BybitReader, archived(tmp_path, lines), words, left_out=3, prices=prices)


replaced = partial(edited, SMALL)
MALFORMED = {
    "cut": ([*SMALL[:-1], SMALL[-1][:40]], "line 3: the line must be one whole JSON message"),
    "seconds": (
        replaced(2, f'"ts": {T0_MS + 100}', f'"ts": {T0_MS // 1000}'),
        "line 2: ts must be milliseconds since 1970 (13 digits; 10 are seconds), was `1723161255`",
    ),
    "off the tick": (
        replaced(2, "100.01", "100.015"),
        "line 2: price must be a multiple of 0.01, was `100.015`",
    ),
    "exponent": (replaced(3, '"5"', '"5e-9"'), "line 3: size must be a multiple of 0.00001, was `5e-9`"),
    "empty size": (replaced(3, '"5"', '""'), "line 3: size must be a number that is not negative, was empty"),
    "no size": (replaced(3, '"5"', "null"), "line 3: size must be a number that is not negative, was empty"),
    "no bids": (replaced(2, '"b"', '"x"'), "line 2: b must not be missing"),
    "no update id": (replaced(2, '"u"', '"x"'), "line 2: u must not be missing"),
    "no data": (replaced(2, '"data"', '"x"'), "line 2: data must not be missing"),
    "unknown type": (
        replaced(2, '"delta"', '"change"'),
        "line 2: type must be snapshot or delta, was `change`",
    ),
    "another symbol": (
        replaced(2, "BTCUSDT", "ETHUSDT"),
        "line 2: s must be BTCUSDT as in the first message, was ETHUSDT",
    ),
    "two depths": (
        replaced(2, "orderbook.500", "orderbook.50"),
        "line 2: topic must be orderbook.500 as before",
    ),
    "no snapshot": (SMALL[1:], "line 1: a message of type snapshot must come before deltas"),
}


test_malformed_messages_are_refused = refusals(BybitReader, archived, MALFORMED)


def test_cut_and_foreign_archives_are_refused(tmp_path):
    path = archived(tmp_path, SMALL)
    path.write_bytes(path.read_bytes()[:-30])
    assert_refused(BybitReader(), path, "is damaged and cannot be decompressed")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("b", "x")
    assert_refused(BybitReader(), path, "must hold one file, was 2 (a, b); extract the one to import")
