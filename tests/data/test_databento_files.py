"""Databento's DBN files, made here byte by byte, through the import; the engine's own loader reads them the same."""

import json
import random
from decimal import Decimal

import numpy as np
import pytest
from made_dbn import LAST, MBP, NOTHING, SMALL, T0, TRADES, order, orders, write
from modelled_market import (
    Message,
    assert_rebuilt,
    assert_refused,
    assert_round_trip,
    modelled_market,
    refusals,
    rows_of,
)
from nautilus_trader.adapters.databento import DatabentoDataLoader
from nautilus_trader.model import AggressorSide, BookType, InstrumentId, OrderBook

from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.readers import dbn_file
from mm_nautilus.data.readers.databento import DatabentoReader
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Side

SPEC = InstrumentSpec("BTC/USD", "GLBX", "BTC", "USD", Decimal("0.01"), Decimal("1"))


@pytest.fixture
def loader(tmp_path_factory):
    """The engine's loader, which needs a list of publishers that it does not bring."""
    path = tmp_path_factory.mktemp("publishers") / "publishers.json"
    path.write_text(
        json.dumps([{"publisher_id": 1, "dataset": "GLBX.MDP3", "venue": "GLBX", "description": ""}])
    )
    return DatabentoDataLoader(str(path))


def test_orders_are_added_up_to_levels(tmp_path):
    report = import_files(DatabentoReader(), [write(tmp_path, "mbo", orders(*SMALL))], SPEC, tmp_path / "c")
    deltas, trades = rows_of(tmp_path / "c", SPEC)
    assert [(row[2], row[3], row[7] - T0 - 900) for row in deltas[1:]] == [
        ("100.00", "5", 0), ("100.02", "3", 0), ("100.00", "7", 10), ("100.00", "6", 20), ("100.00", "4", 30),
        ("99.99", "4", 30), ("100.02", "0", 40), ("100.03", "1", 40),
    ]  # fmt: skip
    assert trades == [("100.00", "1", AggressorSide.SELL, f"{T0 + 920}-0", T0 + 20, T0 + 920)]
    assert (report.exchange, report.source_symbol, report.snapshots) == ("GLBX.MDP3", "BTCQ4", 1)
    assert [note.split(" ")[0] for note in report.notes] == ["orders", "no"]


def random_orders(count=400):
    rng, live, rows, mid = random.Random(4), {}, [order(0, 0, None, 0, b"R", b"N", 0)], 10_000
    for number in range(1, 30):
        side, price = rng.choice(((b"B", mid - rng.randint(1, 8)), (b"A", mid + rng.randint(1, 8))))
        live[number] = (side, price, rng.randint(1, 9))
        rows.append(order(0, number, price / 100, live[number][2], b"A", side, LAST if number == 29 else 0))
    for at in range(1, count):
        what = rng.random()
        if what < 0.4 or len(live) < 10:
            side, price = rng.choice(((b"B", mid - rng.randint(1, 8)), (b"A", mid + rng.randint(1, 8))))
            live[100 + at] = (side, price, rng.randint(1, 9))
            rows.append(order(at * 1000, 100 + at, price / 100, live[100 + at][2], b"A", side))
            continue
        number = rng.choice(sorted(live))
        side, price, size = live[number]
        if what < 0.7:
            rows.append(order(at * 1000, number, price / 100, size, b"C", side))
            del live[number]
        else:
            price = mid - rng.randint(1, 8) if side == b"B" else mid + rng.randint(1, 8)
            live[number] = (side, price, rng.randint(1, 9))
            rows.append(order(at * 1000, number, price / 100, live[number][2], b"M", side))
    return orders(*rows)


def test_levels_are_those_of_the_engines_own_book_of_orders(tmp_path, monkeypatch, loader):
    monkeypatch.setattr(dbn_file, "_BLOCK_RECORDS", 50)
    path = write(tmp_path, "mbo", random_orders())
    book, messages = OrderBook(InstrumentId.from_str("BTCQ4.GLBX"), BookType.L3_MBO), []
    for delta in loader.load_order_book_deltas(path, price_precision=2):
        book.apply_delta(delta)
        if delta.flags & LAST:
            sides = [
                {round(float(str(level.price)) * 100): round(level.size()) for level in levels}
                for levels in (book.bids(), book.asks())
            ]
            messages.append(Message(delta.ts_event, delta.ts_init, False, {}, {}, tuple(sides)))
    import_files(DatabentoReader(), [path], SPEC, tmp_path / "c")
    assert_rebuilt(tmp_path / "c", messages, SPEC, moments=200)


def books_of(messages, trades):
    """The market as ten levels a side, and its trades between."""
    rows = []
    for message in messages:
        sides = [sorted(side.items(), reverse=number == 0)[:10] for number, side in enumerate(message.book)]
        levels = []
        for number in range(10):
            bid, ask = (side[number] if number < len(side) else None for side in sides)
            prices = [level[0] * 10**7 if level else NOTHING for level in (bid, ask)]
            levels.append((*prices, *(level[1] if level else 0 for level in (bid, ask)), 1, 1))
        rows.append((message, b"A", b"N", NOTHING, 0, levels))
        for trade in trades:
            if trade.local_ns == message.local_ns + 1_000:
                side = b"B" if trade.side == Side.BID else b"A"
                rows.append((trade, b"T", side, trade.ticks * 10**7, trade.lots, levels))
    return np.array(
        [
            (92, 10, 1, 42, at.event_ns, price, size, action, side, LAST, 0, at.local_ns, 0, 0, levels)
            for at, action, side, price, size, levels in rows
        ],
        MBP,
    )


def test_ten_levels_become_differences(tmp_path, monkeypatch, loader):
    monkeypatch.setattr(dbn_file, "_BLOCK_RECORDS", 30)
    messages, trades = modelled_market()
    path = write(tmp_path, "mbp-10", books_of(messages, trades))
    report = import_files(DatabentoReader(), [path], SPEC, tmp_path / "c")
    shown = [
        Message(
            m.event_ns, m.local_ns, m.is_snapshot, {}, {},
            tuple(dict(sorted(side.items(), reverse=not number)[:10]) for number, side in enumerate(m.book)),
        )
        for m in messages
    ]  # fmt: skip
    assert_rebuilt(tmp_path / "c", shown, SPEC)
    assert (report.snapshots, report.trades) == (1, len(trades))
    depths = loader.load_order_book_depth(path, price_precision=2)
    sides = [
        {round(float(str(o.price)) * 100): int(str(o.size)) for o in depths[-1].bids if int(str(o.size))}
    ]
    assert sides[0] == shown[-1].book[0]
    assert_round_trip(tmp_path / "c", tmp_path / "flat", SPEC)


def trade(at, price, size, side, action=b"T"):
    return (12, 0, 1, 42, T0 + at, round(price * 10**9), size, action, side, LAST, 0, T0 + at + 900, 0, at)


def test_trades_are_those_of_the_engines_own_loader(tmp_path, loader):
    rows = np.array([trade(0, 100.25, 3, b"A"), trade(5, 100.5, 1, b"B"), trade(5, 100.75, 2, b"N")], TRADES)
    path = write(tmp_path, "trades", rows)
    report = import_files(DatabentoReader(), [path], SPEC, tmp_path / "c")
    mine = [(*row[:3], row[5]) for row in rows_of(tmp_path / "c", SPEC)[1]]
    theirs = [
        (str(t.price), str(t.size), t.aggressor_side, t.ts_init)
        for t in loader.load_trades(path, price_precision=2)
    ]
    assert mine == theirs
    events = [row[4] - T0 for row in rows_of(tmp_path / "c", SPEC)[1]]
    assert events == [0, 5, 5]  # the engine's loader takes the time of receipt for that of the event
    assert {f.kind for f in report.findings} == {FindingKind.MADE_ID, FindingKind.UNKNOWN_TAKER}


@pytest.mark.parametrize(("plain", "version"), [(True, 2), (True, 1), (False, 1), (True, 3)])
def test_how_a_file_was_saved_changes_nothing(tmp_path, plain, version):
    import_files(DatabentoReader(), [write(tmp_path, "mbo", orders(*SMALL))], SPEC, tmp_path / "a")
    path = write(tmp_path, "mbo", orders(*SMALL), plain=plain, version=version)
    import_files(DatabentoReader(), [path], SPEC, tmp_path / "b")
    assert rows_of(tmp_path / "a", SPEC) == rows_of(tmp_path / "b", SPEC)


def changed(number, **fields):
    rows = orders(*SMALL)
    for name, value in fields.items():
        rows[number - 1][name] = value
    return rows


MALFORMED = {
    "off the tick": (
        changed(4, price=100_005_000_000),
        "row 4: price must be a multiple of 0.01, was 100.005",
    ),
    "no price": (changed(4, price=NOTHING), "row 4: price must not be missing"),
    "negative": (changed(4, price=-(10**9)), "row 4: price must be a number that is not negative, was -1"),
    "nothing": (changed(4, size=0), "row 4: size must be at least 1, was 0"),
    "a damaged side": (changed(4, side=b"\xfe"), "row 4: side must be A or B, was"),
    "no side": (changed(4, side=b"N"), "row 4: side must be A or B, was N"),
    "no time": (
        changed(4, ts_recv=2**64 - 1),
        "row 4: ts_recv must be nanoseconds since 1970 (19 digits), was 1844",
    ),
    "another unit": (
        changed(4, ts_event=T0 // 1000),
        "row 4: ts_event must be nanoseconds since 1970 (19 digits)",
    ),
    "another symbol": (
        changed(4, instrument_id=43),
        "row 4: instrument_id must be 42 of BTCQ4 as in the first row",
    ),
    "a doubtful book": (changed(4, flags=LAST | 4), "row 4: flags must not have 4, by which Databento says"),
    "another record": (changed(4, rtype=10), "row 4: rtype must be 160 of mbo, was 10; the file is damaged"),
    "no clear": (orders(*SMALL[3:]), "row 1: the book must begin with a record of action R (clear)"),
    "out of order": (changed(8, ts_recv=T0 + 905), "row 8: ts_recv must be at least"),
}


test_malformed_records_are_refused = refusals(
    DatabentoReader, lambda folder, rows: write(folder, "mbo", rows), MALFORMED, SPEC
)


def test_other_and_cut_files_are_refused(tmp_path):
    path = write(tmp_path, "mbo", orders(*SMALL), cut=20)
    assert_refused(DatabentoReader(), path, "is cut off: it ends within row 10; download it again", SPEC)
    path.write_bytes(path.read_bytes()[:60])
    assert_refused(DatabentoReader(), path, "is cut off", SPEC)
    plain = write(tmp_path, "mbo", orders(*SMALL), plain=True)
    at = plain.read_bytes().index(b"\x01\0\0\0" + (20240101).to_bytes(4, "little"))
    damaged = plain.read_bytes()[:at] + b"\xff\xff\xff\x7f" + plain.read_bytes()[at + 4 :]
    plain.write_bytes(damaged)  # two thousand million intervals
    assert_refused(
        DatabentoReader(), plain, "is cut off or damaged within its metadata; download it again", SPEC
    )
    plain.unlink()
    path.write_bytes(b"price,size\n")
    assert_refused(DatabentoReader(), path, "is no DBN file: it must start with DBN", SPEC)
    path.unlink()
    path = write(tmp_path, "mbp-1", np.zeros(0, TRADES))
    assert_refused(DatabentoReader(), path, "must be of the schema mbo, mbp-10, trades, was mbp-1", SPEC)


def test_one_of_several_symbols_can_be_named(tmp_path):
    others = [order(at, 9, 7.0, 1, b"A", b"B", instrument=43) for at in (5, 15)]
    path = write(tmp_path, "mbo", orders(*SMALL, *others), symbols={"BTCQ4": 42, "ETHQ4": 43})
    report = import_files(DatabentoReader(), [path], SPEC, tmp_path / "c", source_symbol="BTCQ4")
    assert (FindingKind.OTHER_SYMBOL, 2) in [(f.kind, f.count) for f in report.findings]
    assert len(rows_of(tmp_path / "c", SPEC)[0]) == 9
