"""What the venue plays: groups of changes and trades in the order of time, once or for ever."""

from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock
from mm_nautilus.mock_kraken.book import Change
from mm_nautilus.mock_kraken.exchange import Exchange
from mm_nautilus.mock_kraken.feed import (
    BookGroup,
    Event,
    LapEnd,
    TradeGroup,
    book_groups,
    catalog_feed,
    simulated_feed,
    trade_groups,
)
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.pairs import Market, kraken_pairs

ROOT = Path(__file__).resolve().parents[2]
PAIRS = kraken_pairs(KRAKEN_SPOT.values())
XRP, BTC = KRAKEN_SPOT["XRP/USDT"], KRAKEN_SPOT["BTC/USDT"]


def deltas(*rows: tuple[int, int, int, int, int, int]) -> DeltaBlock:
    """Build a block of rows: time, action, side, ticks, lots, flags."""
    columns = [np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)]
    times, action, side, ticks, lots, flags = columns
    return DeltaBlock(times, times, action, side, ticks, lots, flags, np.zeros(len(rows), np.int64))


def trades(*rows: tuple[int, int, int, int]) -> TradeBlock:
    """Build a block of rows: time, taker's side, ticks, lots."""
    times, aggressor, ticks, lots = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return TradeBlock(times, times, ticks, lots, aggressor, [f"T{number}" for number in range(len(rows))])


SNAPSHOT = (
    (5, Action.CLEAR, Side.NONE, 0, 0, 0),
    (5, Action.ADD, Side.BID, 100, 7, 0),
    (5, Action.ADD, Side.ASK, 102, 8, Flag.LAST),
)


def test_rows_of_a_group_belong_together() -> None:
    block = deltas(*SNAPSHOT, (9, Action.DELETE, Side.BID, 100, 0, Flag.LAST))
    assert list(book_groups(iter([block]), "A/B", shift_ns=1_000)) == [
        BookGroup(1_005, "A/B", True, [Change(True, 100, 7), Change(False, 102, 8)]),
        BookGroup(1_009, "A/B", False, [Change(True, 100, 0)]),
    ]


def test_a_group_may_span_blocks() -> None:
    whole = list(book_groups(iter([deltas(*SNAPSHOT)]), "A/B"))
    cut = list(book_groups(iter([deltas(*SNAPSHOT[:1]), deltas(*SNAPSHOT[1:])]), "A/B"))
    assert cut == whole


def test_a_group_without_an_end_is_not_lost() -> None:
    assert list(book_groups(iter([deltas(*SNAPSHOT[:2])]), "A/B")) == [
        BookGroup(5, "A/B", True, [Change(True, 100, 7)])
    ]


def test_trades_of_one_moment_belong_together_across_blocks() -> None:
    blocks = [
        trades((5, Side.BID, 100, 1)),
        trades((5, Side.BID, 101, 2), (6, Side.ASK, 99, 3), (7, Side.NONE, 99, 3)),
    ]
    assert list(trade_groups(iter(blocks), "A/B")) == [
        TradeGroup(5, "A/B", [(True, 100, 1), (True, 101, 2)]),
        TradeGroup(6, "A/B", [(False, 99, 3)]),
        TradeGroup(7, "A/B", [(None, 99, 3)]),
    ]
    assert list(trade_groups(iter([]), "A/B")) == []


@pytest.mark.parametrize(("ticks", "is_buy"), [(100, False), (101, False), (102, True)])
def test_an_unknown_taker_bought_above_the_mid(ticks: int, is_buy: bool) -> None:
    market = Market(PAIRS["XRP/USDT"])
    assert not market.is_above_mid(ticks)
    market.book.apply([Change(True, 100, 7), Change(False, 102, 8)])
    assert market.is_above_mid(ticks) is is_buy


@pytest.fixture
def small_catalog(tmp_path: Path) -> CatalogReader:
    with staged_catalog(tmp_path / "small") as writer:
        for spec, shift in ((XRP, 0), (BTC, 1)):
            writer.write_instrument(spec)
            rows = [(time + shift, *rest) for time, *rest in SNAPSHOT]
            writer.write_block(spec, deltas(*rows, (20 + shift, Action.ADD, Side.BID, 99, 1, Flag.LAST)))
        writer.write_block(XRP, trades((20, Side.ASK, 100, 1)))
    return CatalogReader(tmp_path / "small")


def played(reader: CatalogReader, *symbols: str, loops: bool = False) -> Iterator[Event]:
    chosen = [PAIRS[symbol] for symbol in symbols or ("XRP/USDT", "BTC/USDT")]
    return catalog_feed(reader, chosen, "loop" if loops else "stop")


def shape(event: Event) -> tuple[int, str]:
    return event.time_ns, type(event).__name__ + ("" if isinstance(event, LapEnd) else f" {event.symbol}")


def test_pairs_are_merged_in_time_and_trades_come_first(small_catalog: CatalogReader) -> None:
    assert [shape(event) for event in played(small_catalog)] == [
        (5, "BookGroup XRP/USDT"),
        (6, "BookGroup BTC/USDT"),
        (20, "TradeGroup XRP/USDT"),
        (20, "BookGroup XRP/USDT"),
        (21, "BookGroup BTC/USDT"),
        (21, "LapEnd"),
    ]


def test_a_looped_catalog_goes_on_in_time(small_catalog: CatalogReader) -> None:
    events = list(islice(played(small_catalog, loops=True), 18))
    assert [event.time_ns for event in events[:6]] == [5, 6, 20, 20, 21, 21]
    assert [event.time_ns for event in events[6:12]] == [21, 22, 36, 36, 37, 37]
    assert [event.laps for event in events if isinstance(event, LapEnd)] == [1, 2, 3]
    without_times = [event[1:] for event in events]
    assert without_times[:5] == without_times[6:11] == without_times[12:17]


def test_only_the_pairs_asked_for_are_played(small_catalog: CatalogReader) -> None:
    events = [event for event in played(small_catalog, "BTC/USDT") if not isinstance(event, LapEnd)]
    assert {event.symbol for event in events} == {"BTC/USDT"}


def test_a_catalog_without_events_is_refused_rather_than_looped(tmp_path: Path) -> None:
    with staged_catalog(tmp_path / "empty") as writer:
        writer.write_instrument(XRP)
    with pytest.raises(DataError, match="holds no book changes of XRP/USDT"):
        next(played(CatalogReader(tmp_path / "empty"), "XRP/USDT", loops=True))


def test_the_sample_is_played_whole() -> None:
    reader = CatalogReader(ROOT / "catalog")
    events = list(catalog_feed(reader, list(PAIRS.values()), "stop"))
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(events))
    for symbol, pair in PAIRS.items():
        instrument_id = pair.spec.instrument_id
        sizes = [
            lots
            for event in events
            if isinstance(event, TradeGroup) and event.symbol == symbol
            for _, _, lots in event.trades
        ]
        stored = [lots for block in reader.iter_trades(instrument_id) for lots in block.size_lots.tolist()]
        assert sizes == stored
        changes = sum(
            len(event.changes) + event.clears
            for event in events
            if isinstance(event, BookGroup) and event.symbol == symbol
        )
        assert changes == sum(len(block) for block in reader.iter_deltas(instrument_id))


def test_the_simulator_is_played_in_time_and_by_its_seed() -> None:
    first, again = (list(islice(simulated_feed(3, list(KRAKEN_SPOT.values())), 2_000)) for _ in range(2))
    assert first == again
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(first))
    assert {event.symbol for event in first if not isinstance(event, LapEnd)} == set(KRAKEN_SPOT)
    other = list(islice(simulated_feed(4, [BTC]), 100))
    assert {event.symbol for event in other if not isinstance(event, LapEnd)} == {"BTC/USDT"}


def test_the_simulator_begins_anew_with_the_next_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_nautilus.mock_kraken.feed._LONGEST_SIMULATION_SECONDS", 10)
    events = []
    for event in simulated_feed(3, [BTC]):
        events.append(event)
        if isinstance(event, LapEnd) and event.laps == 2:
            break
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(events))
    snapshots = [event for event in events if isinstance(event, BookGroup) and event.clears]
    assert len(snapshots) == 2
    assert snapshots[0].changes != snapshots[1].changes


def test_a_catalog_of_full_books_is_not_played_before_the_venue_listens(tmp_path: Path) -> None:
    rows = deltas(*((time + later, *rest) for later in (0, 5, 9) for time, *rest in SNAPSHOT))
    with staged_catalog(tmp_path / "books") as writer:
        writer.write_instrument(XRP)
        writer.write_block(XRP, rows)

    assert Exchange(VenueOptions(catalog=tmp_path / "books", paused=True)).player.events_played == 1
