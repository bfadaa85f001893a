"""Frames of Kraken through the import: checksums verified, the view of a subscription rebuilt."""

import json
import os
import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from modelled_market import (
    Message,
    assert_rebuilt,
    assert_refused,
    assert_round_trip,
    counts,
    edited,
    refusals,
    rows_of,
    write,
)
from nautilus_trader.model import AggressorSide

from mm_nautilus.data import csv_files
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.readers.kraken import KrakenReader
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.mock_kraken.book import BookView, Change, VenueBook, view_changes
from mm_nautilus.mock_kraken.frames import (
    HEARTBEAT,
    Digits,
    book_checksum,
    book_frame,
    trade_frame,
    trade_row,
)

T0_US = 1_787_757_376_000_000
SPEC = InstrumentSpec("BTC/USD", "KRAKEN", "BTC", "USD", Decimal("0.1"), Decimal("0.00000001"))
DIGITS = Digits(price_decimals=1, size_decimals=8)
ACK = '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true}'


def iso(us):
    return datetime.fromtimestamp(us // 10**6, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{us % 10**6:06}Z"


def frames(seed=3, count=120):
    """What a subscriber of depth 10 gets of a deeper book: times in microseconds, frames, and the view after each."""
    rng, book, found, us = random.Random(seed), VenueBook(), [], T0_US
    book.apply([Change(ticks <= 700_000, ticks, rng.randint(1, 10**9)) for ticks in range(699_970, 700_030)])
    views = [BookView(), book.view(10)]
    for number in range(count):
        is_snapshot = number in (0, count // 2)
        if number:
            bid, ask = views[-1].bids[0][0], views[-1].asks[0][0]
            moved = [Change(True, bid, 0)] if rng.random() < 0.5 else [Change(False, ask, 0)]
            if ask - bid > 2:
                moved = [Change(rng.random() < 0.5, rng.randint(bid + 1, ask - 1), rng.randint(1, 10**9))]
            book.apply(moved)
            views.append(book.view(10))
        us += rng.randint(1, 10**6)
        changes = views[-1] if is_snapshot else view_changes(views[-2], views[-1], 10)
        raw = book_frame(
            "snapshot" if is_snapshot else "update",
            "BTC/USD",
            changes,
            checksum=book_checksum(views[-1], DIGITS),
            timestamp=iso(us),
            digits=DIGITS,
        )
        found.append((us, raw, views[-1]))
    return found


def messages_of(found, local_ns=lambda us: us * 1000):
    return [
        Message(us * 1000, local_ns(us), False, {}, {}, (dict(view.bids), dict(view.asks)))
        for us, _, view in found
    ]


def trade(us, number, *, buy=True, ticks=700_000):
    row = trade_row(
        "BTC/USD", is_buy=buy, ticks=ticks, lots=5, trade_id=number, timestamp=iso(us), digits=DIGITS
    )
    return trade_frame("update", [row])


def bare(_us, raw):
    return raw


def behind_time(us, raw):
    return f"{us * 1000 + 4_000_000} {raw}"


def wrapped(us, raw):
    return json.dumps({"n": 7, "local_time": iso(us + 4_000), "conn": "a", "raw": raw})


LATE = 4_000_000


@pytest.mark.parametrize(("form", "delay"), [(bare, 0), (behind_time, LATE), (wrapped, LATE)])
def test_a_view_is_rebuilt_from_frames(tmp_path, monkeypatch, form, delay):
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 2000)
    found = frames()
    lines = [form(T0_US - 9, ACK), form(T0_US - 8, HEARTBEAT), *(form(us, raw) for us, raw, _ in found)]
    lines.insert(4, form(found[2][0] - 1, trade(found[2][0] - 1, 12, buy=False)))
    report = import_files(KrakenReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c")
    assert_rebuilt(tmp_path / "c", messages_of(found, lambda us: us * 1000 + delay), SPEC)
    (stored,) = rows_of(tmp_path / "c", SPEC)[1]
    at = (found[2][0] - 1) * 1000
    assert stored == ("70000.0", "0.00000005", AggressorSide.SELL, "12", at, at + delay)
    assert (report.groups, report.snapshots, report.exchange) == (120, 2, "kraken")
    assert counts(report) == {FindingKind.OTHER_MESSAGE: 2}
    assert bool(report.notes) is (delay == 0)
    assert_round_trip(tmp_path / "c", tmp_path / "flat", SPEC)


def test_levels_beyond_the_depth_are_removed(tmp_path):
    found = frames()
    import_files(KrakenReader(), [write(tmp_path, [raw for _, raw, _ in found])], SPEC, tmp_path / "c")
    told = sum(raw.count('"price"') for _, raw, _ in found)
    deltas = rows_of(tmp_path / "c", SPEC)[0]
    left = sum(
        len(dict(before.bids).keys() - dict(after.bids)) + len(dict(before.asks).keys() - dict(after.asks))
        for (_, _, before), (_, raw, after) in pairwise(found)
        if '"snapshot"' not in raw
    )
    deletes = sum(row[3] == "0.00000000" and row[1] is not None for row in deltas)
    assert deletes == left > 0
    assert len(deltas) > told + 2


def test_a_latency_is_added_where_there_is_one_clock(tmp_path):
    found = frames(count=4)
    path = write(tmp_path, [raw for _, raw, _ in found])
    import_files(KrakenReader(), [path], SPEC, tmp_path / "c", latency_ns=3_000_000)
    assert {row[7] - row[6] for row in rows_of(tmp_path / "c", SPEC)[0]} == {3_000_000}


def test_a_snapshot_without_a_time_takes_that_of_the_next_frame(tmp_path):
    """As Kraken sent them before 2026."""
    found = frames(count=20)
    old = found[0][1].replace(f',"timestamp":"{iso(found[0][0])}"', "")
    lines = [old, *(raw for _, raw, _ in found[1:])]
    import_files(KrakenReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c")
    assert_rebuilt(tmp_path / "c", messages_of(found[1:]), SPEC)
    assert rows_of(tmp_path / "c", SPEC)[0][0][6] == found[1][0] * 1000


def test_a_false_checksum_is_refused_and_skipping_waits_for_the_next_snapshot(tmp_path):
    found = frames()
    lines = [raw for _, raw, _ in found]
    del lines[32]
    path = write(tmp_path, lines)
    assert_refused(
        KrakenReader(), path, "books that differ from the venue's checksum: 1; line 33: checksum", SPEC
    )
    report = import_files(KrakenReader(), [path], SPEC, tmp_path / "c", on_bad_rows="skip")
    assert report.groups == 32 + 60
    assert_rebuilt(tmp_path / "c", messages_of(found[:32] + found[60:]), SPEC, moments=92)


def test_zeros_that_a_json_library_left_out_are_filled_up_to_the_digits_of_the_instrument(tmp_path):
    book = VenueBook()
    book.apply(
        [Change(ticks <= 700_000, ticks, 10**7 * (ticks % 5 + 1)) for ticks in range(699_980, 700_020)]
    )
    before = book.view(10)
    book.apply([Change(True, 700_000, 123_000)])
    after = book.view(10)
    lines = []
    for kind, changes, view in (
        ("snapshot", before, before),
        ("update", view_changes(before, after, 10), after),
    ):
        checksum, time = book_checksum(view, DIGITS), iso(T0_US + len(lines))
        raw = book_frame(kind, "BTC/USD", changes, checksum=checksum, timestamp=time, digits=DIGITS)
        lines.append(json.dumps(json.loads(raw)))
    assert "00000," not in lines[0]
    path = write(tmp_path, lines)
    report = import_files(KrakenReader(), [path], SPEC, tmp_path / "c")
    assert (report.groups, report.snapshots) == (2, 1)
    assert rows_of(tmp_path / "c", SPEC)[0][-1][3] == "0.00123000"
    words = "line 1: checksum of the book must be .*; frames must have the digits that the venue wrote"
    other = replace(SPEC, size_increment=Decimal("0.00001"))
    with pytest.raises(DataError, match=words):
        import_files(KrakenReader(), [path], other, tmp_path / "d")


FRAMES = frames(count=5)
SMALL = [raw for _, raw, _ in FRAMES]
SMALL.insert(2, trade(FRAMES[1][0], 12))
replaced = partial(edited, SMALL)
MALFORMED = {
    "bad checksum": (replaced(2, '"checksum":', '"checksum":1'), "line 2: checksum of the book must be "),
    "no checksum": (replaced(2, '"checksum"', '"x"'), "line 2: checksum must not be missing"),
    "no time": (replaced(2, '"timestamp"', '"x"'), "line 2: timestamp must not be missing"),
    "a number for a time": (
        replaced(3, iso(FRAMES[1][0]), "1787757376"),
        "line 3: timestamp must be a time such",
    ),
    "another symbol": (
        replaced(2, "BTC/USD", "ETH/USD"),
        "line 2: symbol must be BTC/USD as in the first message",
    ),
    "off the tick": (
        replaced(3, "70000.0", "70000.05"),
        "line 3: price must be a multiple of 0.1, was `70000.05`",
    ),
    "no price": (
        replaced(2, '"price"', '"px"'),
        "line 2: bids and asks must be lists of levels with price and qty",
    ),
    "no side": (replaced(3, '"side":"buy"', '"side":""'), "line 3: side must be one of buy, sell, was empty"),
    "no id": (replaced(3, '"trade_id"', '"id"'), "line 3: trade_id must not be missing"),
    "unknown type": (
        replaced(2, '"update"', '"change"'),
        "line 2: type must be snapshot or update, was `change`",
    ),
    "no data": (replaced(2, '"data":[{', '"data":3,"x":[{'), "line 2: data must be a list of objects"),
    "cut": (
        [*SMALL[:-1], SMALL[-1][:50]],
        "line 6: the line must be one whole JSON",
    ),
    "no snapshot": (
        SMALL[1:],
        "line 1: a book frame of type snapshot must come before updates",
    ),
    "only heartbeats": ([HEARTBEAT, HEARTBEAT], "none of its first messages has levels or trades"),
    "no time at all": (
        replaced(1, '"timestamp"', '"x"')[:1],
        "is no Kraken frames that this command reads",
    ),
}


test_malformed_frames_are_refused = refusals(KrakenReader, write, MALFORMED, SPEC)


def test_a_wrapper_with_two_times_is_refused(tmp_path):
    raw = frames(count=1)[0][1]
    line = json.dumps({"start": T0_US, "end": T0_US + 1, "raw": raw})
    words = "line 1: one field must be the local time, was 2: start, end; call it local_time"
    assert_refused(KrakenReader(), write(tmp_path, [line]), words, SPEC)
    line = json.dumps({"start": T0_US, "recv": T0_US + 1, "raw": raw})
    import_files(KrakenReader(), [write(tmp_path, [line])], SPEC, tmp_path / "c")
    assert rows_of(tmp_path / "c", SPEC)[0][0][7] == (T0_US + 1) * 1000


REALDATA = os.environ.get("MM_REALDATA")


@pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")
def test_frames_that_kraken_has_sent_have_their_checksums(tmp_path):
    path = Path(REALDATA) / "kraken_v2_frames.jsonl"
    ticks = {
        "ETH/BTC": ("0.000001", 2),
        "BTC/USD": ("0.1", 1),
        "ETH/USD": ("0.01", 1),
        "USDC/USD": ("0.0001", 2),
    }
    for symbol, (tick, groups) in ticks.items():
        spec = InstrumentSpec(symbol, "KRAKEN", *symbol.split("/"), Decimal(tick), Decimal("1e-8"))
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        mine = [json.dumps(line) for line in lines if symbol in line["raw"]]
        if symbol == "BTC/USD":  # a snapshot without a time, and no frame behind it
            mine = [f"{T0_US * 1000} {json.loads(mine[0])['raw']}"]
        report = import_files(
            KrakenReader(), [write(tmp_path, mine)], spec, tmp_path / tick, source_symbol=symbol
        )
        assert (report.groups, report.snapshots) == (groups, 1)
        assert not [finding for finding in report.findings if finding.kind.refused]


def test_a_skipped_trade_costs_no_book(tmp_path):
    lines = replaced(3, '"qty":0.00000005', '"qty":-1')
    report = import_files(KrakenReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c", on_bad_rows="skip")
    assert (report.groups, report.trades) == (5, 0)
    lines = replaced(3, '"side":"buy"', '"side":""')
    report = import_files(KrakenReader(), [write(tmp_path, lines)], SPEC, tmp_path / "d", on_bad_rows="skip")
    assert (report.groups, report.trades) == (5, 0)


def test_a_frame_that_cannot_be_read_is_told_once_and_costs_the_book_up_to_the_next_snapshot(tmp_path):
    found = frames()
    lines = [raw for _, raw, _ in found]
    lines[32] = lines[32][:-20]
    path = write(tmp_path, lines)
    assert_refused(
        KrakenReader(), path, "malformed rows: 1; line 33: the line must be one whole JSON message", SPEC
    )
    report = import_files(KrakenReader(), [path], SPEC, tmp_path / "c", on_bad_rows="skip")
    assert report.groups == 32 + 60
