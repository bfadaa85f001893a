"""Captures of hftbacktest's collector at Binance through the import, against the market they were made of."""

import gzip
import json
from functools import partial

import pytest
from modelled_market import (
    MS,
    SPEC,
    T0_MS,
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
    text,
    write,
)

from mm_nautilus.data import csv_files
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.readers.hftbacktest import HftbacktestReader
from mm_nautilus.market.rows import Side

NAME = "BTCUSDT"


def line(local_ns, message, stream=None):
    body = json.dumps(message if stream is None else {"stream": f"btcusdt@{stream}", "data": message})
    return f"{local_ns} {body}"


def change(first, last, bids, asks, at_ms=0, local_ns=None, before=None, symbol=NAME):
    event = T0_MS + at_ms
    previous = {} if before is None else {"pu": before, "T": event}
    message = {
        "e": "depthUpdate",
        "E": event,
        "s": symbol,
        "U": first,
        "u": last,
        **previous,
        "b": bids,
        "a": asks,
    }
    return line(local_ns or event * MS + 5_000, message, "depth@100ms")


def snapshot(last, bids, asks, at_ms=0, local_ns=None):
    return line(local_ns or (T0_MS + at_ms) * MS, {"lastUpdateId": last, "bids": bids, "asks": asks})


def trade(number, price, size, at_ms, *, buyer_makes=False, **fields):
    message = {
        "e": "trade",
        "E": T0_MS + at_ms,
        "s": NAME,
        "t": number,
        "p": price,
        "q": size,
        "T": T0_MS + at_ms,
    }
    return line((T0_MS + at_ms) * MS + 5_000, {**message, "m": buyer_makes, "M": True, **fields}, "trade")


BOOK = ([["100.00", "1.50000"], ["99.99", "2"]], [["100.02", "0.3"]])
SMALL = [
    snapshot(100, *BOOK),
    change(101, 103, [["100.01", "1"]], [], 100),
    trade(7, "100.02", "0.10000", 150),
    change(104, 104, [["100.01", "0"]], [["100.03", "5"]], 200),
    trade(8, "100.00", "0.2", 250, buyer_makes=True),
]


def capture_of(messages, trades, *, futures=False):
    """The market as the collector writes it; a second snapshot follows a lost message."""
    lines, update = [], 1000
    for message in messages:
        if message.is_snapshot:
            update += 50
            lines.append(
                (
                    message.local_ns,
                    snapshot(update, pairs(message.bids), pairs(message.asks), 0, message.local_ns),
                )
            )
            continue
        first, last = update + 1, update + len(message.bids) + len(message.asks)
        at_ms = message.event_ns // MS - T0_MS
        before = update if futures else None
        levels = (pairs(message.bids), pairs(message.asks))
        lines.append((message.local_ns, change(first, last, *levels, at_ms, message.local_ns, before)))
        update = last
    for number, sold in enumerate(trades):
        at_ms = sold.event_ns // MS - T0_MS
        values = text(sold.ticks, SPEC.price_increment), text(sold.lots, SPEC.size_increment)
        words = trade(number, *values, at_ms, buyer_makes=sold.side == Side.ASK).partition(" ")[2]
        lines.append((sold.local_ns, f"{sold.local_ns} {words}"))
    return [words for _, words in sorted(lines, key=lambda entry: entry[0])]


@pytest.mark.parametrize("futures", [False, True])
def test_a_market_is_rebuilt_from_its_capture(tmp_path, monkeypatch, futures):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 1000)
    messages, trades = modelled_market()
    messages = messages[: len(messages) // 2]
    end = messages[-1].local_ns
    trades = [sold for sold in trades if sold.local_ns < end]
    path = write(tmp_path, capture_of(messages, trades, futures=futures))
    report = import_files(HftbacktestReader(), [path], SPEC, tmp_path / "c")
    assert_rebuilt(tmp_path / "c", messages)
    stored = rows_of(tmp_path / "c")[1]
    assert [(row[3], row[4], row[5]) for row in stored] == [
        (str(number), sold.event_ns, sold.local_ns) for number, sold in enumerate(trades)
    ]
    assert (report.snapshots, report.exchange, report.source_symbol) == (1, "binance", NAME)
    assert_round_trip(tmp_path / "c", tmp_path / "flat")


def test_how_a_capture_was_saved_changes_nothing(tmp_path):
    path = write(tmp_path, SMALL)
    import_files(HftbacktestReader(), [path], SPEC, tmp_path / "a")
    (tmp_path / "b.gz").write_bytes(gzip.compress(path.read_bytes()))
    write(tmp_path, SMALL, "crlf.txt", "\r\n")
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n\n")
    parts = [words.split(" ", 1) for words in SMALL]
    bodies = [json.loads(body) for _, body in parts]
    bare = [f"{at} {json.dumps(body.get('data', body))}" for (at, _), body in zip(parts, bodies, strict=True)]
    write(tmp_path, bare, "bare.txt")
    for name in ("b.gz", "crlf.txt", "bom.txt", "bare.txt"):
        report = import_files(HftbacktestReader(), [tmp_path / name], SPEC, tmp_path / f"of_{name}")
        assert report.findings == ()
        assert rows_of(tmp_path / f"of_{name}") == rows_of(tmp_path / "a")


def test_changes_before_an_older_snapshot_are_applied_after_it(tmp_path):
    """The snapshot is asked for after the stream began, and its answer may be older than changes received before."""
    early = change(95, 100, [["100.00", "9"]], [], -200)
    newer = change(101, 103, [["100.01", "1"]], [], -100)
    lines = [early, newer, *SMALL[:1], *SMALL[2:]]
    report = import_files(HftbacktestReader(), [write(tmp_path, lines)], SPEC, tmp_path / "a")
    import_files(HftbacktestReader(), [write(tmp_path, SMALL)], SPEC, tmp_path / "b")
    levels = [[row[:4] for row in rows_of(tmp_path / name)[0]] for name in ("a", "b")]
    assert levels[0] == levels[1]
    assert counts(report) == {FindingKind.OTHER_MESSAGE: 1}


@pytest.mark.parametrize(
    ("between", "words"),
    [
        ([], "line 6: U must be 105, the update after the one before, was 106"),
        ([SMALL[-1][:60]], "line 6: the line must be one whole JSON message"),
    ],
)
def test_a_gap_is_refused_and_skipping_waits_for_the_next_snapshot(tmp_path, between, words):
    lines = [
        *SMALL,
        *between,
        change(106, 106, [["100.01", "3"]], [], 300),
        change(107, 107, [["100.01", "4"]], [], 400),
        snapshot(107, [["99.00", "1"]], [["101.00", "1"]], 500),
        change(108, 108, [["99.01", "1"]], [], 600),
    ]
    prices = ["0.00", "99.00", "101.00", "99.01"]
    assert_waits(HftbacktestReader, write(tmp_path, lines), words, left_out=2, prices=prices)


def test_the_next_day_goes_on_where_the_first_ended(tmp_path):
    first, second = (
        write(tmp_path, SMALL, "a.txt"),
        write(tmp_path, [change(105, 105, [["99.98", "1"]], [], 400)], "b.txt"),
    )
    report = import_files(HftbacktestReader(), [second, first], SPEC, tmp_path / "c")
    assert (report.groups, report.findings) == (4, ())
    lost = write(tmp_path, [change(106, 106, [["99.98", "1"]], [], 400)], "b.txt")
    assert_refused(HftbacktestReader(), lost, "a depth snapshot (lastUpdateId, bids, asks) must come before")


def test_trades_that_no_book_saw_and_other_streams_are_left_out(tmp_path):
    ticker = line(
        (T0_MS + 300) * MS,
        {"e": "bookTicker", "u": 1, "s": NAME, "b": "1", "B": "2", "a": "3", "A": "4"},
        "bookTicker",
    )
    lines = [*SMALL, trade(9, "100.00", "1", 300, X="INSURANCE_FUND"), ticker]
    report = import_files(HftbacktestReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c")
    assert (report.trades, counts(report)) == (2, {FindingKind.OTHER_MESSAGE: 2})


def test_one_of_several_symbols_must_be_named(tmp_path):
    other = change(1, 1, [], [["7", "1"]], 50, symbol="ETHUSDT")
    path = write(tmp_path, [SMALL[0], SMALL[1], other, *SMALL[2:]])
    assert_refused(
        HftbacktestReader(),
        path,
        "line 3: s must be BTCUSDT as in the first message, was ETHUSDT (of several symbols",
    )
    report = import_files(HftbacktestReader(), [path], SPEC, tmp_path / "c", source_symbol=NAME)
    assert counts(report) == {FindingKind.OTHER_SYMBOL: 1}


replaced = partial(edited, SMALL)
EVENT = str(T0_MS + 100)
MALFORMED = {
    "cut": ([*SMALL[:-1], SMALL[-1][:60]], "line 5: the line must be one whole JSON message, was `{"),
    "no local time": (
        replaced(2, SMALL[1].partition(" ")[0] + " ", ""),
        "line 2: the line must be a local time and",
    ),
    "local time in another unit": (
        replaced(2, SMALL[1].partition(" ")[0], EVENT),
        "line 2: the local time must be nanoseconds since 1970 (19 digits; 13 are milliseconds), was `1723161255100`",
    ),
    "event time in another unit": (
        replaced(2, f'"E": {EVENT}', f'"E": {EVENT}000'),
        "line 2: E must be milliseconds since 1970 (13 digits; 16 are microseconds), was `1723161255100000`",
    ),
    "no time": (replaced(3, '"T": ', '"x": '), "malformed rows: 1; line 3: T must not be missing"),
    "a text for a time": (
        replaced(2, f'"E": {EVENT}', '"E": "noon"'),
        "line 2: E must be a whole number, was `noon`",
    ),
    "off the tick": (
        replaced(2, "100.01", "100.001"),
        "line 2: price must be a multiple of 0.01, was `100.001`",
    ),
    "off the lot": (
        replaced(3, "0.10000", "0.000001"),
        "line 3: size must be a multiple of 0.00001, was `0.000001`",
    ),
    "exponent": (replaced(2, "100.01", "1e-3"), "line 2: price must be a multiple of 0.01, was `1e-3`"),
    "empty price": (
        replaced(2, "100.01", ""),
        "line 2: price must be a number that is not negative, was empty",
    ),
    "empty trade price": (replaced(3, "100.02", ""), "line 3: p must not be empty"),
    "swapped": (
        replaced(2, '["100.01", "1"]', '["0.00001", "100.01"]'),
        "line 2: price must be a multiple of 0.01",
    ),
    "no levels": (replaced(2, '"a": []', '"c": []'), "line 2: a must not be missing"),
    "levels that are none": (
        replaced(2, '["100.01", "1"]', '"100.01"'),
        "malformed rows: 1; line 2: levels must be pairs of price and size",
    ),
    "single prices": (
        replaced(2, '["100.01", "1"]', '["100.01"]'),
        "line 2: levels must be pairs of price and size",
    ),
    "no id": (replaced(3, '"t": 7', '"x": 7'), "line 3: t must not be missing"),
    "no update id": (replaced(2, '"U": 101', '"V": 101'), "line 2: U must not be missing"),
    "no side": (replaced(3, '"m": false', '"m": "buy"'), "line 3: m must be true or false, was `buy`"),
    "repeated id": (replaced(5, '"t": 8', '"t": 7'), "line 5: trade id 7 was used before"),
    "not a message": (
        replaced(2, SMALL[1].partition(" ")[2], '{"hello": 1}'),
        "line 2: the message must be one of",
    ),
    "out of order": (
        replaced(4, SMALL[3].partition(" ")[0], str(T0_MS * MS + 1)),
        "line 4: the local time must be at least 2024-08-08",
    ),
    "no snapshot": (SMALL[1:], "line 1: a depth snapshot (lastUpdateId, bids, asks) must come before"),
    "an empty line": ([SMALL[0], "", *SMALL[1:]], "line 2: the line is empty"),
    "another format": (
        ["a,b,c", "1,2,3"],
        "is no Binance capture that this command reads; line 1: the line is none",
    ),
}


test_malformed_captures_are_refused = refusals(HftbacktestReader, write, MALFORMED)


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = tmp_path / "btcusdt.gz"
    path.write_bytes(gzip.compress("\n".join(SMALL).encode())[:-20])
    assert_refused(HftbacktestReader(), path, "is cut off: its compressed data ends early")
