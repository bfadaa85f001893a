"""Frames as Kraken writes them, and checksums against frames that Kraken has sent."""

import json
import os
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.mock_kraken.book import BookView, Change, VenueBook
from mm_nautilus.mock_kraken.frames import (
    HEARTBEAT,
    Digits,
    book_checksum,
    book_frame,
    cut_frame,
    reply_frame,
    status_frame,
    trade_frame,
    trade_row,
)

REALDATA = os.environ.get("MM_REALDATA")
NOW = "2026-11-22T10:11:12.345678Z"
FIVE = Digits(price_decimals=5, size_decimals=6)

GST_SNAPSHOT = (
    '{"channel":"book","type":"snapshot","data":[{"symbol":"GST/USD","bids":['
    '{"price":0.016,"qty":255965.95133811},{"price":0.015,"qty":264465.46682136},'
    '{"price":0.014,"qty":198234.50375152},{"price":0.013,"qty":263077.71115063},'
    '{"price":0.012,"qty":135283.23181445},{"price":0.011,"qty":232726.34707055},'
    '{"price":0.010,"qty":211909.56878553},{"price":0.009,"qty":16666.66666666},'
    '{"price":0.008,"qty":13600.00000000},{"price":0.007,"qty":1000.00000000}],"asks":['
    '{"price":0.017,"qty":94510.50669693},{"price":0.018,"qty":232489.98702916},'
    '{"price":0.019,"qty":244770.01655926},{"price":0.020,"qty":103394.23779803},'
    '{"price":0.021,"qty":120226.44704447},{"price":0.022,"qty":122811.44535027},'
    '{"price":0.023,"qty":185766.68965043},{"price":0.024,"qty":95339.83830809},'
    '{"price":0.025,"qty":32960.86333331},{"price":0.026,"qty":86326.77204454}],"checksum":1931231958}]}'
)
"""A snapshot that Kraken has sent, quoted in public tests."""


def book_data(raw: str) -> dict[str, Any]:
    """Return a book frame's only entry, its numbers as they are written."""
    (data,) = json.loads(raw, parse_float=Decimal, parse_int=Decimal)["data"]
    return data


def digits_of(data: dict[str, Any]) -> Digits:
    """Return with how many digits a frame is written."""
    levels = data["bids"] + data["asks"]
    return Digits(*(max(-level[name].as_tuple().exponent for level in levels) for name in ("price", "qty")))


def changes_of(data: dict[str, Any], digits: Digits) -> list[Change]:
    return [
        Change(
            side == "bids",
            int(level["price"].scaleb(digits.price_decimals)),
            int(level["qty"].scaleb(digits.size_decimals)),
        )
        for side in ("bids", "asks")
        for level in data[side]
    ]


def verified_frames() -> list[list[str]]:
    """Return the verified frames, each update after the snapshot it changes."""
    if not REALDATA:
        return []
    lines = (Path(REALDATA) / "kraken_v2_frames.jsonl").read_text().splitlines()
    raws = [row["raw"] for row in map(json.loads, lines) if row["checksum_verified"]]
    return [[raw] for raw in raws if '"snapshot"' in raw] + [
        [snapshot, raw]
        for raw in raws
        if '"update"' in raw
        for snapshot in raws
        if '"snapshot"' in snapshot and book_data(snapshot)["symbol"] == book_data(raw)["symbol"]
    ]


# -- Checksums ----------------------------------------------------------------------------------------------


def replayed(raws: list[str]) -> tuple[VenueBook, Digits, int]:
    """Return the book after frames, how they are written, and the checksum the last one names."""
    digits = digits_of(book_data(raws[0]))
    book = VenueBook()
    for raw in raws:
        book.apply(changes_of(book_data(raw), digits))
    return book, digits, int(book_data(raws[-1])["checksum"])


@pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")
def test_all_eight_verified_frames_have_our_checksum() -> None:
    cases = verified_frames()
    assert len(cases) == 8
    for raws in cases:
        book, digits, checksum = replayed(raws)
        assert book_checksum(book.view(10), digits) == checksum, raws[-1]


@pytest.mark.skipif(not REALDATA, reason="MM_REALDATA does not name the folder of recordings")
def test_verified_snapshots_are_written_as_kraken_writes_them() -> None:
    for (raw,) in [case for case in verified_frames() if len(case) == 1]:
        book, digits, checksum = replayed([raw])
        data = book_data(raw)
        ours = book_frame(
            "snapshot",
            data["symbol"],
            book.view(10),
            checksum=checksum,
            timestamp=str(data.get("timestamp", NOW)),
            digits=digits,
        )
        assert ours.startswith(raw[: raw.index('"checksum"')])
        assert json.loads(ours)["data"][0] == json.loads(raw)["data"][0] | {
            "timestamp": str(data.get("timestamp", NOW))
        }


def test_a_snapshot_kraken_has_sent_has_our_checksum() -> None:
    book, digits, checksum = replayed([GST_SNAPSHOT])
    assert digits == Digits(3, 8)
    assert book_checksum(book.view(10), digits) == checksum == 1931231958


def test_a_changed_size_changes_the_checksum() -> None:
    book, digits, checksum = replayed([GST_SNAPSHOT])
    book.apply([Change(True, 7, 99_999_999_999)])  # the tenth bid, one unit of the last digit less
    assert book_checksum(book.view(10), digits) != checksum


def test_checksum_covers_ten_levels_and_no_more() -> None:
    book, digits, checksum = replayed([GST_SNAPSHOT])
    book.apply([Change(True, 6, 1), Change(False, 27, 1)])
    assert book_checksum(book.view(25), digits) == checksum


def test_checksum_text_is_asks_then_bids_without_points_and_leading_zeros() -> None:
    view = BookView(bids=((234, 5), (233, 1_000_000)), asks=((235, 70),))
    # 0.00235 and 0.000070; 0.00234 and 0.000005; 0.00233 and 1.000000
    assert book_checksum(view, FIVE) == zlib.crc32(b"23570" + b"2345" + b"2331000000")


def test_ticks_of_several_units_are_written_and_summed_in_units() -> None:
    digits = Digits(price_decimals=2, size_decimals=0, units_per_tick=5)
    assert digits.price(2001) == "100.05"
    assert digits.size(3) == "3"
    assert book_checksum(BookView(asks=((2001, 3),)), digits) == zlib.crc32(b"100053")


@given(units=st.integers(0, 10**15), decimals=st.integers(0, 10))
def test_decimal_text_is_exact_and_has_all_its_digits(units: int, decimals: int) -> None:
    text = Digits(price_decimals=decimals, size_decimals=0).price(units)
    assert Decimal(text) == Decimal(units).scaleb(-decimals)
    assert len(text.partition(".")[2]) == decimals


# -- Frames -------------------------------------------------------------------------------------------------


def test_book_update() -> None:
    text = book_frame(
        "update",
        "XRP/USDT",
        BookView(bids=((235000, 0), (234999, 1))),
        checksum=7,
        timestamp=NOW,
        digits=FIVE,
    )
    assert text == (
        '{"channel":"book","type":"update","data":[{"symbol":"XRP/USDT","bids":[{"price":2.35000,"qty":0.000000},'
        '{"price":2.34999,"qty":0.000001}],"asks":[],"checksum":7,"timestamp":"2026-11-22T10:11:12.345678Z"}]}'
    )


def test_trades() -> None:
    rows = [
        trade_row(
            "XRP/USDT", is_buy=is_buy, ticks=235000, lots=1_500_000, trade_id=9, timestamp=NOW, digits=FIVE
        )
        for is_buy in (True, False)
    ]
    first, second = json.loads(trade_frame("update", rows))["data"]
    assert first == {
        "symbol": "XRP/USDT",
        "side": "buy",
        "price": 2.35,
        "qty": 1.5,
        "ord_type": "market",
        "trade_id": 9,
        "timestamp": NOW,
    }
    assert second == first | {"side": "sell"}
    assert '"price":2.35000,"qty":1.500000' in rows[0]


def test_a_reply_names_the_request_and_its_times() -> None:
    krakens = json.loads(
        '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"ETH/BTC"},'
        '"success":true,"time_in":"2026-08-26T15:16:16.576099Z","time_out":"2026-08-26T15:16:16.576140Z"}'
    )
    times = {name: krakens[name] for name in ("time_in", "time_out")}
    fields = {name: krakens[name] for name in ("method", "result", "success")}
    assert json.loads(reply_frame(fields, None, **times)) == krakens
    assert json.loads(reply_frame(fields, 5, **times)) == krakens | {"req_id": 5}


def test_greeting_and_heartbeat() -> None:
    greeting = json.loads(status_frame(17))
    assert (greeting["channel"], greeting["type"]) == ("status", "update")
    assert greeting["data"] == [
        {"api_version": "v2", "connection_id": 17, "system": "online", "version": "2.0.10"}
    ]
    assert json.loads(HEARTBEAT) == {"channel": "heartbeat"}


@pytest.mark.parametrize("size", [126, 171, 65_535])
def test_cut_message_promises_more_than_it_holds(size: int) -> None:
    begin = cut_frame("x" * size)
    assert begin[:2] == b"\x81\x7e"  # the only frame of a text message, with two bytes of length
    assert int.from_bytes(begin[2:4]) == size
    assert begin[4:] == b"x" * (size // 2)
