"""Messages of Coinbase's two feeds through the import."""

import json
from datetime import UTC, datetime
from functools import partial

import pytest
from modelled_market import (
    MS,
    SPEC,
    T0_MS,
    assert_rebuilt,
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

from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.readers.coinbase import CoinbaseReader

NAME = "BTC-USDT"


def iso(ns):
    seconds, rest = divmod(ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09}Z"


def advanced(number, kind, bids, asks, ns, name=NAME):
    updates = [
        {"side": side, "event_time": iso(ns), "price_level": price, "new_quantity": size}
        for side, levels in (("bid", bids), ("offer", asks))
        for price, size in levels
    ]
    events = [{"type": kind, "product_id": name, "updates": updates}]
    message = {
        "channel": "l2_data",
        "client_id": "",
        "timestamp": iso(ns),
        "sequence_num": number,
        "events": events,
    }
    return json.dumps(message)


def advanced_trades(number, trades, ns, kind="update"):
    events = [{"type": kind, "trades": trades}]
    return json.dumps(
        {"channel": "market_trades", "timestamp": iso(ns), "sequence_num": number, "events": events}
    )


def sold(trade_id, price, size, ns, side="BUY"):
    return {
        "trade_id": trade_id,
        "product_id": NAME,
        "price": price,
        "size": size,
        "side": side,
        "time": iso(ns),
    }


T0 = T0_MS * MS
SMALL = [
    advanced(1, "snapshot", [["100.00", "1.50000"]], [["100.02", "0.3"]], T0),
    advanced(2, "update", [["100.01", "1"]], [], T0 + 100),
    advanced_trades(3, [sold("7", "100.01", "0.1", T0 + 150)], T0 + 200),
    advanced(4, "update", [["100.01", "0"]], [["100.03", "5"]], T0 + 300),
]
EXCHANGE = [
    json.dumps({"type": "snapshot", "product_id": NAME, "bids": [["100.00", "1.50000"]], "asks": [["100.02", "0.3"]]}),
    json.dumps({"type": "l2update", "product_id": NAME, "changes": [["buy", "100.01", "1"]], "time": iso(T0 + 100)}),
    json.dumps({"type": "match", "trade_id": 7, "sequence": 5, "maker_order_id": "a", "taker_order_id": "b",
                "time": iso(T0 + 150), "product_id": NAME, "size": "0.1", "price": "100.01", "side": "buy"}),
    json.dumps({"type": "l2update", "product_id": NAME, "time": iso(T0 + 300),
                "changes": [["buy", "100.01", "0"], ["sell", "100.03", "5"]]}),
]  # fmt: skip


def test_a_market_is_rebuilt_from_advanced_trade(tmp_path):
    messages = modelled_market()[0]
    lines = [
        f"{m.local_ns} "
        + advanced(
            number, "snapshot" if m.is_snapshot else "update", pairs(m.bids), pairs(m.asks), m.event_ns
        )
        for number, m in enumerate(messages)
    ]
    report = import_files(CoinbaseReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c")
    assert_rebuilt(tmp_path / "c", messages)
    assert (report.groups, report.snapshots, report.exchange, report.notes) == (150, 2, "coinbase", ())
    assert_round_trip(tmp_path / "c", tmp_path / "flat")


def test_a_market_is_rebuilt_from_exchange(tmp_path):
    lines, messages = [], modelled_market()[0]
    for message in messages:
        if message.is_snapshot:
            body = {"type": "snapshot", "bids": pairs(message.bids), "asks": pairs(message.asks)}
        else:
            sides = (("buy", message.bids), ("sell", message.asks))
            changes = [[word, *pair] for word, levels in sides for pair in pairs(levels)]
            body = {"type": "l2update", "changes": changes, "time": iso(message.event_ns)}
        lines.append(f"{message.local_ns} {json.dumps({**body, 'product_id': NAME})}")
    import_files(CoinbaseReader(), [write(tmp_path, lines)], SPEC, tmp_path / "c")
    assert_rebuilt(tmp_path / "c", messages)


def test_both_feeds_say_the_same_and_a_maker_who_buys_has_a_taker_who_sells(tmp_path):
    import_files(CoinbaseReader(), [write(tmp_path, SMALL)], SPEC, tmp_path / "a")
    import_files(CoinbaseReader(), [write(tmp_path, EXCHANGE)], SPEC, tmp_path / "b")
    books = [[row[:4] for row in rows_of(tmp_path / name)[0]] for name in ("a", "b")]
    assert books[0] == books[1]
    trade = ("100.01", "0.10000", AggressorSide.SELL, "7", T0 + 150, T0 + 150)
    assert rows_of(tmp_path / "a")[1] == rows_of(tmp_path / "b")[1] == [trade]


def test_trades_before_the_subscription_are_left_out(tmp_path):
    first = advanced_trades(0, [sold("1", "99", "1", T0 - 10**9)], T0 - 1, "snapshot")
    report = import_files(CoinbaseReader(), [write(tmp_path, [first, *SMALL])], SPEC, tmp_path / "c")
    assert (report.trades, counts(report)) == (1, {FindingKind.OTHER_MESSAGE: 1})


@pytest.mark.parametrize(
    ("between", "words"),
    [
        ([], "line 5: sequence_num must be 5, the one after the one before, was 6"),
        ([SMALL[-1][:60]], "line 5: the line must be one whole JSON message"),
    ],
)
def test_a_gap_is_refused_and_skipping_waits_for_the_next_snapshot(tmp_path, between, words):
    lines = [
        *SMALL,
        *between,
        advanced(6, "update", [["100.01", "3"]], [], T0 + 400),
        advanced(7, "snapshot", [["99.00", "1"]], [["101.00", "1"]], T0 + 500),
    ]
    prices = ["100.03", "0.00", "99.00", "101.00"]
    assert_waits(CoinbaseReader, write(tmp_path, lines), words, left_out=1, prices=prices)


replaced = partial(edited, SMALL)
MALFORMED = {
    "cut": ([*SMALL[:-1], SMALL[-1][:80]], "line 4: the line must be one whole JSON message"),
    "no time": (replaced(2, '"timestamp"', '"x"'), "line 2: timestamp must not be missing"),
    "a number for a time": (
        replaced(3, iso(T0 + 150), "1723161255"),
        "line 3: time must be a time such as 2026-",
    ),
    "off the tick": (
        replaced(2, "100.01", "100.015"),
        "line 2: price must be a multiple of 0.01, was `100.015`",
    ),
    "no size": (replaced(2, "new_quantity", "x"), "line 2: new_quantity must not be missing"),
    "empty price": (replaced(3, '"price": "100.01"', '"price": ""'), "line 3: price must not be empty"),
    "unknown side": (replaced(2, '"bid"', '"buy"'), "line 2: side must be one of bid, offer, was `buy`"),
    "no taker": (replaced(3, '"BUY"', '""'), "line 3: side must be one of buy, sell, was empty"),
    "another symbol": (
        replaced(2, NAME, "ETH-USDT"),
        "line 2: product_id must be BTC-USDT as in the first message",
    ),
    "no snapshot": (SMALL[1:], "line 1: a snapshot must come before updates"),
    "unknown change": (
        edited(EXCHANGE, 2, '"buy"', '"bid"'),
        "line 2: side must be one of buy, sell, was `bid`",
    ),
    "no changes": (edited(EXCHANGE, 2, '"changes"', '"x"'), "line 2: changes must not be missing"),
}


test_malformed_messages_are_refused = refusals(CoinbaseReader, write, MALFORMED)
