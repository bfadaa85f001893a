"""Flat files: what is written, and that an import reads the same catalog back."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_nautilus.data.book_tops import BookReplay
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "catalog"
US = 1_000
T0 = 1_723_161_255_000_000 * US
BTC = InstrumentSpec(
    "BTC/USDT",
    "KRAKEN",
    "BTC",
    "USDT",
    Decimal("0.10"),
    Decimal("0.00001"),
    min_quantity=Decimal("0.0001"),
    max_quantity=Decimal("120"),
    max_notional=Decimal("5000000"),
    maker_fee_rate=Decimal("0.0025"),
    taker_fee_rate=Decimal("0.004"),
    simulated=True,
)
FULL, LAST = Flag.SNAPSHOT, Flag.LAST

type Row = tuple[int, int, int, int, int, int]
"""Time in microseconds from the start, action, side, price in ticks, size in lots, flags."""

SNAPSHOT: list[Row] = [
    (0, Action.CLEAR, Side.NONE, 0, 0, FULL),
    (0, Action.ADD, Side.BID, 100, 5, FULL),
    (0, Action.ADD, Side.ASK, 110, 7, FULL | LAST),
]


def at(rows: Sequence[Row], us: int) -> list[Row]:
    return [(us, *row[1:]) for row in rows]


def write(
    folder: Path, rows: Sequence[Row], trades: Sequence[tuple[int, int]] = ((5, Side.BID),), scale: int = US
) -> Path:
    times, *columns = np.array(rows, dtype=np.int64).T
    action, side, price, size, flags = columns
    stamps = T0 + times * scale
    with staged_catalog(folder) as writer:
        writer.write_instrument(BTC)
        writer.write_block(
            BTC, DeltaBlock(stamps - US, stamps, action, side, price, size, flags, stamps // US)
        )
        if trades:
            moments = np.array([T0 + us * US for us, _ in trades])
            ones = np.ones(len(trades), dtype=np.int64)
            sides = np.array([taker for _, taker in trades])
            ids = [f"t{number}" for number in range(len(trades))]
            writer.write_block(BTC, TradeBlock(moments, moments, 105 * ones, ones, sides, ids))
    return folder


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def back(folder: Path, flat: Path, name: str = "BTCUSDT") -> Path:
    source = load_instrument(flat / f"{name}.yaml", {})
    import_files(
        FORMATS["tardis"].make(),
        sorted(flat.glob(f"{name}_*.csv.gz")),
        source.spec,
        folder,
        source_symbol=source.source_symbol,
    )
    return folder


def touches(catalog: Path, instrument_id: str) -> list[tuple[int, int, int]]:
    """Return time and touch of every group."""
    replay, found = BookReplay(), []
    for block in CatalogReader(catalog).iter_deltas(instrument_id):
        tops = replay.apply(block)
        found += zip(tops.ts_init.tolist(), tops.bid.tolist(), tops.ask.tolist(), strict=True)
    return found


# -- Tardis -------------------------------------------------------------------------------------------------


def test_tardis_rows_are_written_to_the_letter(tmp_path):
    later = [(7, Action.UPDATE, Side.BID, 101, 123_456, 0), (7, Action.DELETE, Side.ASK, 110, 0, LAST)]
    catalog = write(tmp_path / "c", [*SNAPSHOT, *later], [(5, Side.BID), (6, Side.ASK)])
    report = export_catalog(catalog, tmp_path / "flat")
    stamp = T0 // US
    assert lines(tmp_path / "flat" / "BTCUSDT_incremental_book_L2.csv.gz") == [
        "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount",
        f"kraken,BTCUSDT,{stamp - 1},{stamp},true,bid,10.00,0.00005",
        f"kraken,BTCUSDT,{stamp - 1},{stamp},true,ask,11.00,0.00007",
        f"kraken,BTCUSDT,{stamp + 6},{stamp + 7},false,bid,10.10,1.23456",
        f"kraken,BTCUSDT,{stamp + 6},{stamp + 7},false,ask,11.00,0.00000",
    ]
    assert lines(tmp_path / "flat" / "BTCUSDT_trades.csv.gz")[1:] == [
        f"kraken,BTCUSDT,{stamp + 5},{stamp + 5},t0,buy,10.50,0.00001",
        f"kraken,BTCUSDT,{stamp + 6},{stamp + 6},t1,sell,10.50,0.00001",
    ]
    assert [(file.name, file.rows) for file in report.files] == [
        ("BTCUSDT_incremental_book_L2.csv.gz", 4),
        ("BTCUSDT_trades.csv.gz", 2),
        ("BTCUSDT.yaml", None),
    ]
    assert report.notes == ()


def test_the_definition_is_the_same_instrument_with_its_mark(tmp_path):
    export_catalog(write(tmp_path / "c", SNAPSHOT), tmp_path / "flat")
    source = load_instrument(tmp_path / "flat" / "BTCUSDT.yaml", {})
    assert source.spec == CatalogReader(tmp_path / "c").instrument("BTC/USDT")
    assert source.spec.simulated
    assert source.source_symbol == "BTCUSDT"


def test_the_sample_comes_back_whole(tmp_path):
    export_catalog(SAMPLE, tmp_path / "flat", names=["XRP/BTC"])
    catalog = back(tmp_path / "back", tmp_path / "flat", "XRPBTC")
    assert check_catalog(catalog).ok
    before, after = CatalogReader(SAMPLE), CatalogReader(catalog)
    assert after.instruments() == [before.instrument("XRP/BTC")]
    for reads in ("iter_deltas", "iter_trades"):
        for column, unit in (("ts_init", US), ("ts_event", US), ("price_ticks", 1), ("size_lots", 1)):
            old, new = (
                np.concatenate(
                    [getattr(block, column) // unit for block in getattr(reader, reads)("XRP/BTC.KRAKEN")]
                )
                for reader in (before, after)
            )
            assert (old == new).all(), (reads, column)
    assert [t[1:] for t in touches(catalog, "XRP/BTC.KRAKEN")] == [
        t[1:] for t in touches(SAMPLE, "XRP/BTC.KRAKEN")
    ]


def test_two_exports_are_the_same_bytes(tmp_path):
    catalog = write(tmp_path / "c", SNAPSHOT)
    for name in ("a", "b"):
        export_catalog(catalog, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_catalog_of_full_books_is_one_file_and_comes_back_row_by_row(tmp_path):
    """Books recorded as snapshots, and a snapshot of another tool that goes on at a later time."""
    books = [(us, (0, Action.ADD, Side.BID, 90 + us % 7, 5, FULL)) for us in range(0, 900, 9)]
    rows = [
        *(row for us, bid in books for row in at([SNAPSHOT[0], bid, SNAPSHOT[2]], us)),
        (1_000, Action.CLEAR, Side.NONE, 0, 0, FULL),
        (1_000, Action.ADD, Side.BID, 80, 5, FULL),
        (1_001, Action.ADD, Side.ASK, 85, 5, FULL | LAST),
    ]  # fmt: skip
    catalog = write(tmp_path / "c", rows, [(5, Side.BID), (6, Side.NONE)])
    report = export_catalog(catalog, tmp_path / "flat")
    assert [file.name for file in report.files] == [
        "BTCUSDT_incremental_book_L2.csv.gz", "BTCUSDT_trades.csv.gz", "BTCUSDT.yaml"
    ]  # fmt: skip
    again = back(tmp_path / "back", tmp_path / "flat")
    assert touches(again, BTC.instrument_id)[:100] == touches(catalog, BTC.instrument_id)[:100]
    assert touches(again, BTC.instrument_id)[-1] == touches(catalog, BTC.instrument_id)[-1]
    export_catalog(again, tmp_path / "flat again")
    for file in report.files:
        assert (tmp_path / "flat again" / file.name).read_bytes() == (
            tmp_path / "flat" / file.name
        ).read_bytes()


def test_two_full_books_within_a_microsecond_are_refused(tmp_path):
    rows = [*SNAPSHOT, *at(SNAPSHOT, 1)]
    catalog = write(tmp_path / "c", rows, scale=1)
    with pytest.raises(
        DataError, match=r"two full books within the microsecond \d+, .*; export it as parquet"
    ):
        export_catalog(catalog, tmp_path / "flat")
    assert not (tmp_path / "flat").exists()


def test_what_the_form_cannot_tell_is_noted(tmp_path):
    rows = [
        *SNAPSHOT,
        (3, Action.UPDATE, Side.BID, 101, 1, LAST),
        (4, Action.UPDATE, Side.BID, 102, 1, LAST),
        (3_000, Action.CLEAR, Side.NONE, 0, 0, LAST),
        *at(SNAPSHOT, 5_000),
    ]
    catalog = write(tmp_path / "c", rows, [(5, Side.NONE)], scale=1)
    report = export_catalog(catalog, tmp_path / "flat")
    assert report.notes == (
        "BTC/USDT.KRAKEN: 2 groups of book changes share a microsecond with the previous one and are merged into it",
        "BTC/USDT.KRAKEN: 1 times the book was emptied for a while, which the format cannot express",
    )
    assert ",unknown," in lines(tmp_path / "flat" / "BTCUSDT_trades.csv.gz")[1]


def test_rows_behind_an_unmarked_clear_are_marked(tmp_path):
    """A catalog of another tool may clear a book without calling what follows a snapshot."""
    rows = [
        *SNAPSHOT,
        (2, Action.UPDATE, Side.BID, 105, 1, LAST),
        (4, Action.CLEAR, Side.NONE, 0, 0, LAST),
        (6, Action.ADD, Side.BID, 90, 1, 0),
        (6, Action.ADD, Side.ASK, 95, 1, LAST),
        (8, Action.UPDATE, Side.BID, 91, 1, LAST),
    ]
    catalog = write(tmp_path / "c", rows)
    export_catalog(catalog, tmp_path / "flat")
    marks = [
        line.split(",")[4] for line in lines(tmp_path / "flat" / "BTCUSDT_incremental_book_L2.csv.gz")[1:]
    ]
    assert marks == ["true", "true", "false", "true", "true", "false"]
    assert touches(back(tmp_path / "back", tmp_path / "flat"), BTC.instrument_id)[-1][1:] == (91, 95)


level = st.tuples(st.booleans(), st.integers(1, 6), st.integers(0, 3))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(
        st.tuples(st.sampled_from(["change", "full"]), st.lists(level, min_size=1, max_size=4)), max_size=12
    )
)
def test_any_book_comes_back_with_the_same_touches(tmp_path_factory, groups):
    rows = list(SNAPSHOT)
    for number, (kind, levels) in enumerate(groups, 1):
        us, group = 10 * number, []
        for is_bid, offset, lots in dict.fromkeys((b, o, s) for b, o, s in levels):
            price = 100 - offset if is_bid else 110 + offset
            side = Side.BID if is_bid else Side.ASK
            if kind == "full":
                group.append((us, Action.ADD, side, price, lots + 1, FULL))
            else:
                group.append((us, Action.UPDATE if lots else Action.DELETE, side, price, lots, 0))
        if kind == "full":
            rows.append((us, Action.CLEAR, Side.NONE, 0, 0, FULL))
        rows += group
        rows[-1] = (*rows[-1][:5], rows[-1][5] | LAST)
    folder = tmp_path_factory.mktemp("any")
    catalog = write(folder / "c", rows)
    export_catalog(catalog, folder / "flat")
    assert touches(back(folder / "back", folder / "flat"), BTC.instrument_id) == touches(
        catalog, BTC.instrument_id
    )


# -- Parquet ------------------------------------------------------------------------------------------------


def test_parquet_tables_are_exact_and_say_what_they_hold(tmp_path):
    rows = [*SNAPSHOT, (7, Action.UPDATE, Side.BID, 101, 123_456, LAST)]
    catalog = write(tmp_path / "c", rows, [(5, Side.BID), (6, Side.NONE)])
    report = export_catalog(catalog, tmp_path / "flat", form="parquet")
    assert [file.rows for file in report.files] == [4, 2, 2]
    book = pq.read_table(tmp_path / "flat" / "BTCUSDT_book_changes.parquet").to_pylist()
    assert [row["action"] for row in book] == ["clear", "add", "add", "update"]
    assert [row["side"] for row in book] == [None, "bid", "ask", "bid"]
    assert (book[3]["price"], book[3]["size"]) == (Decimal("10.10"), Decimal("1.23456"))
    assert [row["is_snapshot"] for row in book] == [True, True, True, False]
    assert [row["is_last_of_group"] for row in book] == [False, False, True, True]
    trades = pq.read_table(tmp_path / "flat" / "BTCUSDT_trades.parquet").to_pylist()
    assert [row["taker_side"] for row in trades] == ["buy", None]
    touch = pd.read_parquet(tmp_path / "flat" / "BTCUSDT_touches.parquet")
    assert touch.bid_price.tolist() == [Decimal("10.00"), Decimal("10.10")]
    assert touch.ask_size.tolist() == [Decimal("0.00007")] * 2
    assert touch.ts_init[1] == pd.Timestamp(T0 + 7 * US, tz="UTC")


def test_a_book_that_never_has_two_sides_has_no_touches(tmp_path):
    rows = [SNAPSHOT[0], (0, Action.ADD, Side.BID, 100, 5, FULL | LAST)]
    report = export_catalog(write(tmp_path / "c", rows), tmp_path / "flat", form="parquet")
    assert report.notes == ("BTC/USDT.KRAKEN: no touches: the book never has two sides, uncrossed",)
    assert not (tmp_path / "flat" / "BTCUSDT_touches.parquet").exists()


# -- Spans, targets and refusals ----------------------------------------------------------------------------


def test_a_span_begins_with_the_last_full_book_before_it(tmp_path):
    rows = [
        *SNAPSHOT,
        *at(SNAPSHOT, 50),
        *[(us, Action.UPDATE, Side.BID, 101, us, LAST) for us in (60, 70, 80)],
    ]
    trades = [(us, Side.BID) for us in (55, 65, 75)]
    catalog = write(tmp_path / "c", rows, trades)
    report = export_catalog(catalog, tmp_path / "flat", start_ns=T0 + 65 * US, end_ns=T0 + 75 * US)
    assert [file.rows for file in report.files] == [4, 2, None]
    times = [
        int(line.split(",")[3]) - T0 // US for line in lines(tmp_path / "flat" / report.files[0].name)[1:]
    ]
    assert times == [50, 50, 60, 70]


def test_a_span_without_trades_leaves_their_file_out(tmp_path):
    catalog = write(tmp_path / "c", [*SNAPSHOT, (60, Action.UPDATE, Side.BID, 101, 1, LAST)])
    report = export_catalog(catalog, tmp_path / "flat", start_ns=T0 + 20 * US)
    assert report.notes == ("BTC/USDT.KRAKEN: nothing for BTCUSDT_trades.csv.gz in the span",)
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == [
        "BTCUSDT.yaml",
        "BTCUSDT_incremental_book_L2.csv.gz",
    ]


def test_a_start_before_any_full_book_is_refused(tmp_path):
    rows = [(0, Action.ADD, Side.BID, 100, 5, LAST), (9, Action.ADD, Side.ASK, 110, 5, LAST)]
    with pytest.raises(DataError, match=r"start must come after a full book of BTC/USDT\.KRAKEN"):
        export_catalog(write(tmp_path / "c", rows), tmp_path / "flat", start_ns=T0 + 5 * US)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_an_end_before_the_start_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="end must be after start"):
        export_catalog(write(tmp_path / "c", SNAPSHOT), tmp_path / "flat", start_ns=T0 + US, end_ns=T0)


def test_files_that_exist_are_kept_unless_forced(tmp_path):
    catalog, flat = write(tmp_path / "c", SNAPSHOT), tmp_path / "flat"
    export_catalog(catalog, flat)
    (flat / "BTCUSDT.yaml").write_text("precious")
    (flat / "mine.txt").write_text("mine")
    with pytest.raises(
        ConfigError, match=r"BTCUSDT\.yaml exists; --force replaces it, --out names another folder"
    ):
        export_catalog(catalog, flat)
    assert (flat / "BTCUSDT.yaml").read_text() == "precious"
    export_catalog(catalog, flat, force=True)
    assert (flat / "BTCUSDT.yaml").read_text() != "precious"
    assert (flat / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_instruments_of_one_file_name_are_refused(tmp_path):
    folder = write(tmp_path / "c", SNAPSHOT)
    with staged_catalog(folder) as writer:
        writer.write_instrument(replace(BTC, venue="OTHER"))
    with pytest.raises(DataError, match="would have the same file names; export one at a time"):
        export_catalog(folder, tmp_path / "flat")
    assert export_catalog(folder, tmp_path / "flat", names=["BTC/USDT.KRAKEN"]).files


def test_progress_ends_with_all_rows(tmp_path):
    seen = []
    export_catalog(
        write(tmp_path / "c", SNAPSHOT), tmp_path / "flat", on_progress=lambda *step: seen.append(step)
    )
    assert seen[-1] == (4, 4)
    assert seen == sorted(seen)
