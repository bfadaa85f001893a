"""A market made message by message for tests of file formats, with the book after each by plain dictionaries."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model import BookType, InstrumentId, OrderBook
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.findings import FindingKind
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import ImportReport, import_files
from mm_nautilus.errors import DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Flag, Side

T0_MS = 1_723_161_255_000
MS = 1_000_000
SPEC = InstrumentSpec("BTC/USDT", "BINANCE", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))

type Levels = dict[int, int]


@dataclass(frozen=True)
class Message:
    """Changes of a book: levels in ticks and lots, 0 for a delete; times in ns; and both sides after it."""

    event_ns: int
    local_ns: int
    is_snapshot: bool
    bids: Levels
    asks: Levels
    book: tuple[Levels, Levels]


@dataclass(frozen=True)
class Trade:
    event_ns: int
    local_ns: int
    side: int
    ticks: int
    lots: int


def modelled_market(seed: int = 1, messages: int = 150) -> tuple[list[Message], list[Trade]]:
    """Return messages from a snapshot on, never crossed, and trades between them; another snapshot in the middle."""
    rng = random.Random(seed)
    mid, time, found, trades = 6_183_763, T0_MS, [], []
    book: tuple[Levels, Levels] = ({}, {})
    for number in range(messages):
        time += rng.randint(1, 200)
        is_snapshot = number in (0, messages // 2)
        if is_snapshot:
            bids = {mid - step: rng.randint(1, 10**6) for step in range(1, 12)}
            asks = {mid + step: rng.randint(1, 10**6) for step in range(1, 12)}
            book = (dict(bids), dict(asks))
        else:
            mid += rng.choice((-2, -1, 0, 0, 1, 2))
            bids = {ticks: 0 for ticks in book[0] if ticks >= mid}
            asks = {ticks: 0 for ticks in book[1] if ticks <= mid}
            for step in range(1, 3):
                bids.setdefault(mid - step, rng.randint(1, 10**6))
                asks.setdefault(mid + step, rng.randint(1, 10**6))
            if rng.random() < 0.3:
                bids[mid - rng.randint(20, 40)] = 0
            for side, changes in zip(book, (bids, asks), strict=True):
                side.update(changes)
                for ticks in [ticks for ticks, lots in side.items() if not lots]:
                    del side[ticks]
        local = time * MS + 7_000 * rng.randint(1, 100)
        found.append(Message(time * MS, local, is_snapshot, bids, asks, (dict(book[0]), dict(book[1]))))
        if rng.random() < 0.4:
            buys = rng.random() < 0.5
            ticks = min(book[1]) if buys else max(book[0])
            trades.append(
                Trade(time * MS, local + 1_000, Side.BID if buys else Side.ASK, ticks, rng.randint(1, 999))
            )
    return found, trades


def text(multiple: int, increment: Decimal) -> str:
    return str(multiple * increment)


def pairs(levels: Levels, spec: InstrumentSpec = SPEC) -> list[list[str]]:
    return [
        [text(ticks, spec.price_increment), text(lots, spec.size_increment)] for ticks, lots in levels.items()
    ]


def write(folder: Path, lines: list[str], name: str = "messages.txt", end: str = "\n") -> Path:
    path = folder / name
    path.write_text(end.join([*lines, ""]), newline="")
    return path


def edited(lines: list[str], number: int, old: str, new: str) -> list[str]:
    """Lines with a text replaced in one of them, which has it."""
    assert old in lines[number - 1], lines[number - 1]
    return [line.replace(old, new) if at == number else line for at, line in enumerate(lines, 1)]


def counts(report: ImportReport) -> dict[FindingKind, int]:
    return {finding.kind: finding.count for finding in report.findings}


def assert_rebuilt(
    catalog: Path, messages: list[Message], spec: InstrumentSpec = SPEC, moments: int = 40
) -> None:
    """The engine's own book, fed from the catalog, has every level of the model's at random times."""
    rng = random.Random(5)
    chosen = {id(messages[-1])} | {
        id(message) for message in rng.sample(messages, min(moments, len(messages)))
    }
    after = {message.local_ns: message.book for message in messages if id(message) in chosen}
    book, seen = OrderBook(InstrumentId.from_str(spec.instrument_id), BookType.L2_MBP), 0
    for delta in ParquetDataCatalog(str(catalog)).query_order_book_deltas([spec.instrument_id]):
        book.apply_delta(delta)
        if delta.flags & Flag.LAST and delta.ts_init in after:
            sides = [
                {
                    int(Decimal(str(level.price)) / spec.price_increment): round(
                        Decimal(str(level.size())) / spec.size_increment
                    )
                    for level in levels
                }
                for levels in (book.bids(), book.asks())
            ]
            assert sides == list(after[delta.ts_init])
            seen += 1
    assert seen == len(after)


def rows_of(catalog: Path, spec: InstrumentSpec = SPEC) -> tuple[list[tuple], list[tuple]]:
    """All rows of a catalog: of the book, and of the trades."""
    store = ParquetDataCatalog(str(catalog))
    deltas = [
        (
            d.action,
            d.order.side,
            str(d.order.price),
            str(d.order.size),
            d.flags,
            d.sequence,
            d.ts_event,
            d.ts_init,
        )
        for d in store.query_order_book_deltas([spec.instrument_id])
    ]
    trades = [
        (str(t.price), str(t.size), t.aggressor_side, str(t.trade_id), t.ts_event, t.ts_init)
        for t in store.query_trade_ticks([spec.instrument_id])
    ]
    return deltas, trades


def assert_round_trip(catalog: Path, folder: Path, spec: InstrumentSpec = SPEC) -> None:
    """Exported as Tardis' files and imported from them the catalog has the same rows."""
    export_catalog(catalog, folder)
    import_files(FORMATS["tardis"].make(), sorted(folder.glob("*.csv.gz")), spec, folder / "back")
    assert rows_of(folder / "back", spec) == rows_of(catalog, spec)


def assert_refused(reader, path: Path, words: str, spec: InstrumentSpec = SPEC, **options) -> None:
    """The import is refused in one sentence that names the file, and writes nothing."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        import_files(reader, [path], spec, path.parent / "catalog", **options)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.iterdir()) == before


def refusals(
    reader: Callable[[], Any],
    make: Callable[[Path, Any], Path],
    cases: Mapping[str, tuple[Any, str]],
    spec: InstrumentSpec = SPEC,
) -> Callable[..., None]:
    """The test that a file made of each case's lines or rows is refused with its words."""

    @pytest.mark.parametrize(("given", "words"), cases.values(), ids=cases)
    def test(tmp_path, given, words):
        assert_refused(reader(), make(tmp_path, given), words, spec)

    return test


def assert_waits(reader, path: Path, words: str, *, left_out: int, prices: list[str]) -> None:
    """A gap is refused; skipped, it costs messages up to the next snapshot, and these are the book's last prices.

    The words are those of the gap, or of a line that cannot be read in its place.
    """
    assert_refused(reader(), path, words)
    report = import_files(reader(), [path], SPEC, path.parent / "c", on_bad_rows="skip")
    kind = FindingKind.MALFORMED if "JSON" in words else FindingKind.SEQUENCE_GAP
    assert counts(report) == {kind: 1, FindingKind.OTHER_MESSAGE: left_out}
    assert [row[2] for row in rows_of(path.parent / "c")[0]][-4:] == prices
