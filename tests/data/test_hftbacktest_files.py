"""hftbacktest's event arrays through the import, against the market they were made of."""

import zipfile
from itertools import chain

import numpy as np
from modelled_market import (
    SPEC,
    T0_MS,
    assert_rebuilt,
    assert_refused,
    assert_round_trip,
    counts,
    modelled_market,
    refusals,
    rows_of,
)
from nautilus_trader.model import AggressorSide

from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.readers import hftbacktest
from mm_nautilus.data.readers.hftbacktest import HftbacktestReader
from mm_nautilus.market.rows import Side

EVENT = np.dtype(
    [
        ("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"),
        ("order_id", "u8"), ("ival", "i8"), ("fval", "f8"),
    ],
    align=True,
)  # fmt: skip
EXCH, LOCAL, BUY, SELL = (1 << bit for bit in (31, 30, 29, 28))
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
BOTH = EXCH | LOCAL
T0 = T0_MS * 1_000_000


def event(kind, at, px, qty, flags=BOTH):
    return (kind | flags, T0 + at, T0 + at + 5_000, px, qty, 0, 0, 0.0)


def small():
    """A book, a change and a trade of each side."""
    return [
        event(CLEAR | BUY, 0, 100.0, 0.0),
        event(SNAPSHOT | BUY, 0, 100.0, 1.5),
        event(CLEAR | SELL, 0, 100.02, 0.0),
        event(SNAPSHOT | SELL, 0, 100.02, 0.3),
        event(DEPTH | BUY, 1_000, 99.99, 2.0),
        event(TRADE | BUY, 2_000, 100.02, 0.1),
        event(TRADE | SELL, 3_000, 100.0, 0.2),
    ]


def write(folder, rows, name="events.npz"):
    path = folder / name
    np.savez_compressed(path, data=np.array(rows, EVENT))
    return path


def events_of(messages, trades, spec=SPEC):
    """The market as hftbacktest's converters write it: floats, clears before snapshots, order of receipt."""
    tick, lot = float(spec.price_increment), float(spec.size_increment)
    digits = spec.price_precision, spec.size_precision
    rows = []
    for message in messages:
        for side, levels in ((BUY, message.bids), (SELL, message.asks)):
            times = (message.event_ns, message.local_ns)
            values = [
                (round(ticks * tick, digits[0]), round(lots * lot, digits[1]))
                for ticks, lots in levels.items()
            ]
            if message.is_snapshot:
                rows.append((CLEAR | side | BOTH, *times, values[-1][0], 0.0, 0, 0, 0.0))
            kind = SNAPSHOT if message.is_snapshot else DEPTH
            rows += [(kind | side | BOTH, *times, *value, 0, 0, 0.0) for value in values]
    for trade in trades:
        side = {Side.BID: BUY, Side.ASK: SELL, Side.NONE: 0}[trade.side]
        px, qty = round(trade.ticks * tick, digits[0]), round(trade.lots * lot, digits[1])
        rows.append((TRADE | side | BOTH, trade.event_ns, trade.local_ns, px, qty, 0, 0, 0.0))
    return sorted(rows, key=lambda row: row[2])


def test_a_market_is_rebuilt_from_its_events(tmp_path, monkeypatch):
    monkeypatch.setattr(hftbacktest, "_BLOCK_ROWS", 100)
    messages, trades = modelled_market()
    report = import_files(
        HftbacktestReader(), [write(tmp_path, events_of(messages, trades))], SPEC, tmp_path / "c"
    )
    assert_rebuilt(tmp_path / "c", messages)
    deltas, stored = rows_of(tmp_path / "c")
    assert (report.groups, report.snapshots, len(stored)) == (150, 2, len(trades))
    assert [(row[4], row[5]) for row in stored] == [(trade.event_ns, trade.local_ns) for trade in trades]
    assert [row[2] == AggressorSide.BUY for row in stored] == [trade.side == Side.BID for trade in trades]
    assert {row[6] < row[7] for row in deltas} == {True}
    assert {finding.kind for finding in report.findings} <= {FindingKind.MADE_ID, FindingKind.UNKNOWN_DELETE}
    assert "no ids of trades" in report.notes[0]
    assert_round_trip(tmp_path / "c", tmp_path / "flat")


def test_rows_for_the_exchange_alone_tell_nothing_new(tmp_path):
    """hftbacktest's converters split an event whose two clocks disagree on the order into two rows."""
    import_files(HftbacktestReader(), [write(tmp_path, small())], SPEC, tmp_path / "whole")
    split = chain.from_iterable(
        [(row[0] & ~LOCAL, *row[1:]), (row[0] & ~EXCH, *row[1:])] if number > 3 else [row]
        for number, row in enumerate(small())
    )
    import_files(HftbacktestReader(), [write(tmp_path, list(split))], SPEC, tmp_path / "split")
    assert rows_of(tmp_path / "split") == rows_of(tmp_path / "whole")


def test_how_an_array_was_saved_changes_nothing(tmp_path):
    path = write(tmp_path, small())
    import_files(HftbacktestReader(), [path], SPEC, tmp_path / "a")
    np.savez(tmp_path / "plain.npz", np.array(small(), EVENT))
    np.save(tmp_path / "one.npy", np.array(small(), EVENT))
    for name in ("plain.npz", "one.npy"):
        import_files(HftbacktestReader(), [tmp_path / name], SPEC, tmp_path / f"of_{name}")
        assert rows_of(tmp_path / f"of_{name}") == rows_of(tmp_path / "a")


def test_other_events_are_left_out_and_counted(tmp_path):
    rows = [*small(), event(102, 4_000, 0.0001, 0.0), event(5 | BUY, 4_000, 100.0, 1.0)]
    report = import_files(HftbacktestReader(), [write(tmp_path, rows)], SPEC, tmp_path / "c")
    assert counts(report) == {FindingKind.OTHER_MESSAGE: 2, FindingKind.MADE_ID: 2}
    assert report.trades == 2


def test_a_trade_without_a_side_is_kept(tmp_path):
    import_files(
        HftbacktestReader(),
        [write(tmp_path, [*small(), event(TRADE, 4_000, 100.0, 1.0)])],
        SPEC,
        tmp_path / "c",
    )
    assert rows_of(tmp_path / "c")[1][-1][2] == AggressorSide.NO_AGGRESSOR


def changed(number, **fields):
    rows = np.array(small(), EVENT)
    for name, value in fields.items():
        rows[number - 1][name] = value
    return rows


MALFORMED = {
    "off the tick": (changed(5, px=99.995), "row 5: px must be a multiple of 0.01, was 99.995"),
    "nearly a tick": (
        changed(5, px=99.99 + 3e-14),
        "row 5: px must be a multiple of 0.01, was 99.99000000000",
    ),
    "off the lot": (changed(6, qty=0.000001), "row 6: qty must be a multiple of 0.00001, was 1e-06"),
    "price zero": (changed(5, px=0.0), "row 5: px must be at least 0.01, was 0.0"),
    "not a number": (changed(5, px=np.nan), "row 5: px must be a number that is not negative, was nan"),
    "infinite": (changed(5, qty=np.inf), "row 5: qty must be a number that is not negative, was inf"),
    "negative": (changed(5, qty=-1.0), "row 5: qty must be a number that is not negative, was -1.0"),
    "a trade of nothing": (changed(7, qty=0.0), "row 7: qty must be at least 0.00001, was 0.0"),
    "swapped": (changed(5, px=2e-6, qty=99.99), "row 5: px must be a multiple of 0.01, was 2e-06"),
    "microseconds": (
        changed(5, local_ts=(T0 + 6_000) // 1000),
        "row 5: local_ts must be nanoseconds since 1970 (19 digits; 16 are microseconds), was 17231612550000",
    ),
    "no side": (changed(5, ev=DEPTH | BOTH), "row 5: ev must have one of BUY_EVENT (1 << 29) and SELL_EVENT"),
    "two sides": (changed(6, ev=TRADE | BUY | SELL | BOTH), "row 6: ev must have one of BUY_EVENT"),
    "neither clock": (changed(5, ev=DEPTH | BUY), "row 5: ev must have LOCAL_EVENT (1 << 30) or EXCH_EVENT"),
    "a lonely clear": (changed(5, ev=CLEAR | BUY | BOTH), "row 5: DEPTH_CLEAR_EVENT must be followed by"),
    "orders": (
        changed(5, ev=10 | BUY | BOTH),
        "row 5: ev must be an event of a book of levels or a trade, was ADD_ORDER",
    ),
    "out of order": (changed(7, local_ts=T0 + 5_500), "row 7: local_ts must be at least"),
    "no snapshot": (
        np.array(small()[4:], EVENT),
        "row 1: ev must be DEPTH_SNAPSHOT_EVENT until the book is known",
    ),
    "crossed": (changed(5, px=100.02), "the best bid must be below the best ask, was 100.02 against 100.02"),
}


test_malformed_events_are_refused = refusals(HftbacktestReader, write, MALFORMED)


def test_other_arrays_are_refused(tmp_path):
    path = tmp_path / "events.npz"
    without = [name for name in EVENT.names if name != "qty"]
    float_times = [(name, "f8") for name in EVENT.names]
    for array, words in (
        (
            np.zeros((5, 6)),
            "was float64 of shape (5, 6); hftbacktest 1's arrays of six columns must be migrated",
        ),
        (np.array(small(), EVENT)[without], "lacks the field qty; it has ev, exch_ts"),
        (np.array(small(), EVENT).astype(float_times), "field ev must be a whole number, was float64"),
    ):
        np.savez(path, data=array)
        assert_refused(HftbacktestReader(), path, words)
    np.savez(path, a=np.array(small(), EVENT), b=np.array(small(), EVENT))
    assert_refused(HftbacktestReader(), path, "must hold one array, holds 2: a.npy, b.npy")


def test_cut_and_damaged_files_are_refused(tmp_path):
    path = write(tmp_path, small())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert_refused(HftbacktestReader(), path, "is cut off or damaged")
    path.write_bytes(b"")
    assert_refused(HftbacktestReader(), path, "is empty")
    np.save(tmp_path / "one.npy", np.array(small(), EVENT))
    plain = tmp_path / "one.npy"
    plain.write_bytes(plain.read_bytes()[:-70])
    path.unlink()
    assert_refused(HftbacktestReader(), plain, "is cut off: its array ends after 5 of 7 rows")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", b"no array")
    plain.unlink()
    assert_refused(HftbacktestReader(), path, "is cut off or holds no array")


def test_bad_events_can_be_skipped(tmp_path):
    report = import_files(
        HftbacktestReader(), [write(tmp_path, changed(7, qty=0.0))], SPEC, tmp_path / "c", on_bad_rows="skip"
    )
    assert (report.trades, report.files[0].rows_read, report.files[0].rows_kept) == (1, 5, 4)
