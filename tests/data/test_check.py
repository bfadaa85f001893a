"""The catalog check finds each planted defect and nothing in good data."""

import json
import shutil
from decimal import Decimal

import numpy as np
import pyarrow.parquet as pq
import pytest

from mm_nautilus.data import check
from mm_nautilus.data.book_tops import BookReplay
from mm_nautilus.data.catalog import catalog_contents
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.check import check_catalog
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock

T0 = 1_723_161_255_000_000_000
SECOND = 1_000_000_000
XRP = InstrumentSpec("XRP/USDT", "KRAKEN", "XRP", "USDT", Decimal("0.0001"), Decimal("0.01"))
BTC = InstrumentSpec("BTC/USDT", "KRAKEN", "BTC", "USDT", Decimal("0.1"), Decimal("0.0001"), simulated=True)
ID = XRP.instrument_id

# One row a delta: seconds, action, side, price in ticks, size in lots, flags.
OPENING = [
    (0, Action.CLEAR, 0, 0, 0, Flag.SNAPSHOT),
    (0, Action.ADD, Side.BID, 20_000, 5, Flag.SNAPSHOT),
    (0, Action.ADD, Side.ASK, 20_002, 5, Flag.SNAPSHOT | Flag.LAST),
]
QUIET = [(second, Action.UPDATE, Side.BID, 19_999, second, Flag.LAST) for second in range(1, 10)]
TAPE = [(second, 20_002, f"t{second}") for second in range(10)]


def delta_block(rows):
    seconds, *columns = np.array(rows, dtype=np.int64).T
    times = T0 + seconds * SECOND
    return DeltaBlock(times, times, *columns, np.arange(len(rows)))


def trade_block(rows):
    times = np.array([T0 + int(second * SECOND) for second, _, _ in rows], dtype=np.int64)
    prices = np.array([price for _, price, _ in rows], dtype=np.int64)
    ones = np.ones(len(rows), dtype=np.int64)
    return TradeBlock(times, times, prices, ones, ones, [name for _, _, name in rows])


def build(folder, book=(*OPENING, *QUIET), tape=TAPE, spec=XRP):
    with staged_catalog(folder) as writer:
        writer.write_instrument(spec)
        if book:
            writer.write_block(spec, delta_block(book))
        if tape:
            writer.write_block(spec, trade_block(tape))
    return folder


def problems(folder, **options):
    return [(problem.kind, problem.text) for problem in check_catalog(folder, **options).problems]


def files(folder, kind="order_book_deltas"):
    return sorted((folder / "data" / kind / "XRPUSDT.KRAKEN").glob("*.parquet"))


def rewrite(path, order):
    pq.write_table(pq.read_table(path).take(order), path)


def test_good_data_is_clean_and_described(tmp_path):
    build(tmp_path / "c", spec=BTC)
    calls = []
    report = check_catalog(build(tmp_path / "c"), on_progress=lambda *call: calls.append(call))

    assert report.ok
    assert report.notes == ()
    btc, xrp = report.instruments
    assert (btc.simulated, xrp.simulated) == (True, False)
    assert (xrp.book.files, xrp.book.rows, xrp.book.groups, xrp.trades.rows) == (1, 12, 10, 10)
    assert (xrp.book.first, xrp.book.last) == (T0, T0 + 9 * SECOND)
    assert (xrp.book.longest_gap_seconds, xrp.book.longest_gap_at) == (1.0, T0)
    assert xrp.outside.compared == 10
    assert calls[-1] == (44, 44)
    assert json.loads(json.dumps(report.to_dict()))["instruments"][1]["book"]["groups"] == 10


def test_a_silent_book_is_a_gap_and_a_silent_tape_a_note(tmp_path):
    report = check_catalog(build(tmp_path / "c", tape=[TAPE[0], TAPE[9]]), gap_seconds=0.9)
    (problem,) = report.problems
    assert problem.kind == "gap"
    assert problem.text.endswith(
        "silences of the book, the longest 1.0 s: 9, first at 2024-08-08T23:54:15.000000Z"
    )
    assert "silences of the tape, the longest 9.0 s: 1, first" in report.notes[0]
    assert check_catalog(tmp_path / "c", gap_seconds=1.0).ok


@pytest.mark.parametrize("bid", [20_002, 20_003])
def test_crossed_and_locked_books(tmp_path, bid):
    book = [
        *OPENING,
        (1, Action.UPDATE, Side.BID, bid, 1, Flag.LAST),
        (2, Action.DELETE, Side.BID, bid, 0, Flag.LAST),
    ]
    assert problems(build(tmp_path / "c", book, TAPE[:3])) == [
        ("crossed", f"{ID} has crossed states of the book: 1, first at 2024-08-08T23:54:16.000000Z")
    ]


def test_a_book_with_an_empty_side_is_noted(tmp_path):
    book = [*OPENING, (1, Action.DELETE, Side.BID, 20_000, 0, Flag.LAST)]
    report = check_catalog(build(tmp_path / "c", book, TAPE[:1]))
    assert report.ok
    assert report.notes == (
        f"{ID} has states of the book with an empty side: 1, first at 2024-08-08T23:54:16.000000Z",
    )


def test_groups_without_the_last_flag(tmp_path):
    book = [*OPENING, (1, Action.UPDATE, Side.BID, 19_999, 1, 0), *QUIET[1:]]
    assert [kind for kind, _ in problems(build(tmp_path / "middle", book))] == ["unfinished"]
    book = [*OPENING, *QUIET[:-1], (9, Action.UPDATE, Side.BID, 19_999, 1, 0)]
    assert problems(build(tmp_path / "end", book)) == [
        (
            "unfinished",
            f"{ID} has groups of book changes without the last-flag: 1, first at 2024-08-08T23:54:24.000000Z",
        )
    ]


def test_a_book_without_a_snapshot(tmp_path):
    assert [kind for kind, _ in problems(build(tmp_path / "c", [*OPENING[1:], *QUIET]))] == ["no_snapshot"]


def test_snapshots_that_leave_the_book_before_them_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "_BATCH_ROWS", 4)
    again = [(second, *row[1:]) for second in (3, 5) for row in OPENING]
    assert check_catalog(build(tmp_path / "good", [*OPENING, *again])).ok
    bad = [row for row in [*OPENING, *again] if row[:2] != (5, Action.CLEAR)]
    (problem,) = problems(build(tmp_path / "bad", bad))
    assert problem == (
        "uncleared",
        f"{ID} has snapshots that do not clear the previous book: 1, first at 2024-08-08T23:54:20.000000Z",
    )


def test_deletes_of_unknown_levels_are_noted(tmp_path):
    book = [*OPENING, (1, Action.DELETE, Side.BID, 7, 0, Flag.LAST)]
    report = check_catalog(build(tmp_path / "c", book, TAPE[:1]))
    assert (report.ok, report.notes) == (True, (f"{ID} has deletes of levels that were not in the book: 1",))


@pytest.mark.parametrize("kind", ["order_book_deltas", "trades"])
def test_unsorted_rows(tmp_path, kind):
    folder = build(tmp_path / "c")
    (path,) = files(folder, kind)
    count = pq.read_metadata(path).num_rows
    order = list(range(count))
    order[count - 2], order[count - 3] = order[count - 3], order[count - 2]
    rewrite(path, order)
    assert problems(folder)[0][0] == "unsorted"
    assert problems(folder)[0][1].endswith(": 1, first at 2024-08-08T23:54:22.000000Z")


def test_overlapping_files(tmp_path):
    folder = build(tmp_path / "c")
    (path,) = files(folder, "trades")
    shutil.copy(path, path.with_name(path.name.replace("15-000000000Z_", "15-000000001Z_")))
    kinds = [kind for kind, _ in problems(folder)]
    assert kinds == ["overlap", "wrong_span", "unsorted", "duplicated_id"]


def test_rows_outside_the_span_of_the_name(tmp_path):
    folder = build(tmp_path / "c")
    (path,) = files(folder)
    path.rename(path.with_name(path.name.replace("24-000000000Z.", "23-000000000Z.")))
    assert [kind for kind, _ in problems(folder)] == ["wrong_span"]


def test_repeated_trade_ids(tmp_path):
    tape = [*TAPE, (9, 20_002, "t3")]
    assert [kind for kind, _ in problems(build(tmp_path / "c", tape=tape))] == ["duplicated_id"]


def test_data_without_instrument_and_instruments_without_data(tmp_path):
    folder = build(tmp_path / "c")
    shutil.rmtree(folder / "data" / "currency_pair")
    assert [kind for kind, _ in problems(folder)] == ["no_instruments", "no_instrument", "no_instrument"]
    with staged_catalog(folder) as writer:
        writer.write_instrument(BTC)
    assert [kind for kind, _ in problems(folder)] == [
        "no_instrument",
        "no_instrument",
        "no_deltas",
        "no_trades",
    ]


@pytest.mark.parametrize(
    ("second", "price", "outside"),
    [
        (5, 20_002, False),
        (5, 20_022, False),
        (5, 20_023, True),
        (5, 19_979, True),
        (5, 19_981, False),
        (0, 21_000, True),
        (9, 21_000, True),
    ],
)
def test_trades_outside_the_book(tmp_path, second, price, outside):
    tape = [*TAPE[: second + 1], (second, price, "odd"), *TAPE[second + 1 :]]
    found = problems(build(tmp_path / "c", tape=tape))
    assert [kind for kind, _ in found] == (["outside_book"] if outside else [])
    if outside:
        at = f"2024-08-08T23:54:{15 + second}.000000Z"
        assert f"{ID} has trades outside the book: 1, first at {at}, up to " in found[0][1]


def test_a_trade_may_be_seen_one_lag_before_or_after_its_book(tmp_path):
    moved = [
        (5, Action.CLEAR, 0, 0, 0, Flag.SNAPSHOT),
        (5, Action.ADD, Side.BID, 21_000, 5, Flag.SNAPSHOT),
        (5, Action.ADD, Side.ASK, 21_002, 5, Flag.SNAPSHOT | Flag.LAST),
    ]
    tape = [(4.1, 21_002, "early"), (5.9, 20_000, "late")]
    folder = build(tmp_path / "c", [*OPENING, *QUIET[:4], *moved, *QUIET[6:]], tape)
    assert problems(folder) == []
    strict = check_catalog(folder, trade_book_lag_seconds=0.5)
    assert strict.instruments[0].outside.count == 2


def slow_book(pace, seconds=200):
    """Return a book and trades of a market that falls 1 bps a second, told of every `pace` seconds."""
    book, tape = list(OPENING), []
    for second in range(1, seconds):
        bid = 20_000 - 2 * second
        if second % pace == 0:
            book += [
                (second, Action.CLEAR, 0, 0, 0, Flag.SNAPSHOT),
                (second, Action.ADD, Side.BID, bid, 5, Flag.SNAPSHOT),
                (second, Action.ADD, Side.ASK, bid + 2, 5, Flag.SNAPSHOT | Flag.LAST),
            ]
        tape.append((second, bid, f"t{second}"))
    return book, tape


def test_a_slow_book_is_looked_at_for_as_long_as_it_takes(tmp_path):
    folder = build(tmp_path / "slow", *slow_book(20))
    assert problems(folder, trade_book_lag_seconds=1.0)[0][0] == "outside_book"
    report = check_catalog(folder)
    assert report.ok
    assert 18 <= report.instruments[0].outside.window_seconds <= 24


def test_a_book_that_freezes_once_is_not_a_slow_one(tmp_path):
    book, tape = slow_book(1, 1_000)
    frozen = [row for row in book if not 100 <= row[0] < 130]
    assert [kind for kind, _ in problems(build(tmp_path / "c", frozen, tape))] == ["outside_book"]


@pytest.mark.parametrize(
    ("first", "last", "begin"), [(0, 4, 4), (5, 9, 0)], ids=["ends early", "begins late"]
)
def test_a_book_that_is_shorter_than_its_tape_has_a_gap(tmp_path, first, last, begin):
    book = [*((first, *row[1:]) for row in OPENING), *(row for row in QUIET if first < row[0] <= last)]
    tape = [
        (second, 20_002 if first - 1 <= second <= last + 1 else 21_000, f"t{second}") for second in range(10)
    ]
    report = check_catalog(build(tmp_path / "c", book, tape), gap_seconds=3.0)
    assert [problem.kind for problem in report.problems] == ["gap"]
    assert report.notes == (f"{ID} has trades without a book to compare them with: 4",)
    found = report.instruments[0].book
    assert (found.gaps.count, found.gaps.first, found.longest_gap_seconds) == (1, T0 + begin * SECOND, 5.0)


def test_a_tape_that_ends_early_is_a_silent_one(tmp_path):
    report = check_catalog(build(tmp_path / "c", tape=TAPE[:3]), gap_seconds=3.0)
    assert report.ok
    assert "silences of the tape, the longest 7.0 s: 1, first" in report.notes[0]


def test_trades_without_a_known_taker_are_noted_and_compared(tmp_path):
    folder = build(tmp_path / "c", tape=())
    tape = trade_block(TAPE)
    tape.aggressor[::3] = Side.NONE
    with staged_catalog(folder) as writer:
        writer.write_block(XRP, tape)
    report = check_catalog(folder)
    assert report.ok
    assert report.notes == (f"{ID} has trades without a known taker: 4",)
    assert report.instruments[0].outside.compared == len(TAPE)


def test_trades_before_the_first_book_are_noted(tmp_path):
    folder = build(tmp_path / "c", tape=[(-5, 99, "x"), *TAPE])
    report = check_catalog(folder)
    assert (report.ok, report.notes) == (True, (f"{ID} has trades without a book to compare them with: 1",))


def test_damage_is_one_problem_and_the_rest_is_still_checked(tmp_path):
    folder = build(build(tmp_path / "c", spec=BTC))
    (path,) = files(folder)
    path.write_bytes(path.read_bytes()[:-40])
    report = check_catalog(folder)
    assert [(problem.kind, problem.instrument_id) for problem in report.problems] == [("damaged", ID)]
    assert str(path) in report.problems[0].text
    assert [entry.trades.rows for entry in report.instruments] == [10, 10]


def test_damaged_pages_stop_only_that_type(tmp_path):
    folder = build(tmp_path / "c", tape=[*TAPE, (9, 99_999, "far")])
    (path,) = files(folder)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(bytes(data))
    report = check_catalog(folder)
    assert [problem.kind for problem in report.problems] == ["damaged"]
    assert (report.instruments[0].book.complete, report.instruments[0].trades.rows) == (False, 11)


def test_a_damaged_instrument_is_one_problem(tmp_path):
    folder = build(tmp_path / "c")
    (path,) = (folder / "data" / "currency_pair").rglob("*.parquet")
    path.write_bytes(b"")
    assert problems(folder)[0][0] == "damaged"


def test_folders_that_are_no_catalog(tmp_path):
    with pytest.raises(DataError, match="holds no catalog"):
        check_catalog(tmp_path)


def test_contents_are_listed_without_reading_rows(tmp_path):
    folder = build(tmp_path / "c", spec=BTC)
    book, tape = catalog_contents(build(folder, tape=()))[:2]
    assert book == {
        "instrument": "BTC/USDT.KRAKEN",
        "type": "book changes",
        "files": 1,
        "rows": 12,
        "first": "2024-08-08T23:54:15.000000Z",
        "last": "2024-08-08T23:54:24.000000Z",
        "source": "simulated",
        "refused": "",
    }
    assert (tape["type"], tape["rows"]) == ("trades", 10)
    assert catalog_contents(folder)[3]["first"] == ""


def test_the_replayed_touch_equals_a_plain_book():
    generator = np.random.default_rng(5)
    rows, bids, asks, expected = [], {}, {}, []
    for step in range(20_000):
        side = Side.BID if generator.random() < 0.5 else Side.ASK
        price = int(generator.integers(1, 60) if side == Side.BID else generator.integers(61, 120))
        levels = bids if side == Side.BID else asks
        if generator.random() < 0.5:
            rows.append((step, Action.DELETE, side, price, 0, Flag.LAST))
            levels.pop(price, None)
        else:
            rows.append((step, Action.UPDATE, side, price, 1, Flag.LAST))
            levels[price] = 1
        expected.append((max(bids, default=0), min(asks, default=0)))
    tops = BookReplay().apply(delta_block(rows))
    assert list(zip(tops.bid.tolist(), tops.ask.tolist(), strict=True)) == expected
