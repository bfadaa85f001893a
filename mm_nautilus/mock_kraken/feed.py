"""What the venue plays: book groups and trades of several pairs in the order of time."""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import count
from operator import itemgetter
from typing import Final, NamedTuple

from mm_nautilus.data.catalog import CatalogReader, DataKind
from mm_nautilus.data.catalog_fitness import footer_problems
from mm_nautilus.data.simulator import KRAKEN_SPOT, SimulationConfig, simulate
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import (
    ACTION_CLEAR,
    FLAG_LAST,
    SIDE_ASK,
    SIDE_BID,
    SIDE_NONE,
    DeltaBlock,
    TradeBlock,
)
from mm_nautilus.mock_kraken.book import Change
from mm_nautilus.mock_kraken.options import AtEnd, VenueOptions
from mm_nautilus.mock_kraken.pairs import Pair, kraken_pairs

__all__ = [
    "BookGroup",
    "Event",
    "LapEnd",
    "Trade",
    "TradeGroup",
    "book_groups",
    "catalog_feed",
    "open_feed",
    "simulated_feed",
    "trade_groups",
]

_BATCH_ROWS: Final = 8_192
"""Rows read at a time of each pair and type; what bounds the memory of playing a catalog."""
_LONGEST_SIMULATION_SECONDS: Final = 31 * 86_400


type Trade = tuple[bool | None, int, int]
"""Whether the taker bought, None where that is not known, price in ticks and size in lots."""
_TAKER_BOUGHT: Final = {SIDE_BID: True, SIDE_ASK: False, SIDE_NONE: None}


class BookGroup(NamedTuple):
    """Book changes of one pair that belong together.

    Parameters
    ----------
    time_ns
        Time of the feed, nanoseconds: the data's own, which goes on rising where a catalog is played again.
    symbol
        The pair.
    clears
        Whether the book is emptied first, as by a snapshot.
    changes
        New sizes of levels.
    """

    time_ns: int
    symbol: str
    clears: bool
    changes: list[Change]


class TradeGroup(NamedTuple):
    """Trades of one pair at one moment.

    Parameters
    ----------
    time_ns, symbol
        As of a `BookGroup`.
    trades
        The trades.
    """

    time_ns: int
    symbol: str
    trades: list[Trade]


class LapEnd(NamedTuple):
    """The end of the data, after which it begins anew.

    Parameters
    ----------
    time_ns
        Time of the feed.
    laps
        How often the data has been played to its end.
    """

    time_ns: int
    laps: int


type Event = BookGroup | TradeGroup | LapEnd


def book_groups(blocks: Iterator[DeltaBlock], symbol: str, shift_ns: int = 0) -> Iterator[BookGroup]:
    """Yield the groups of book changes in blocks, which may end in the middle of one.

    Parameters
    ----------
    blocks
        One pair's book changes in time order.
    symbol
        The pair.
    shift_ns
        Added to the times, nanoseconds.
    """
    clears, changes, time_ns = False, list[Change](), 0
    for block in blocks:
        rows = zip(
            block.ts_init.tolist(),
            block.action.tolist(),
            (block.side == SIDE_BID).tolist(),
            block.price_ticks.tolist(),
            block.size_lots.tolist(),
            (block.flags & FLAG_LAST != 0).tolist(),
            strict=True,
        )
        for time_ns, action, is_bid, ticks, lots, is_last in rows:
            if action == ACTION_CLEAR:
                clears, changes = True, []
            else:
                changes.append(Change(is_bid, ticks, lots))
            if is_last:
                yield BookGroup(time_ns + shift_ns, symbol, clears, changes)
                clears, changes = False, []
    if clears or changes:
        yield BookGroup(time_ns + shift_ns, symbol, clears, changes)


def trade_groups(blocks: Iterator[TradeBlock], symbol: str, shift_ns: int = 0) -> Iterator[TradeGroup]:
    """Yield the trades in blocks, those of one moment together; parameters as of `book_groups`."""
    group: list[Trade] = []
    moment = 0
    for block in blocks:
        rows = zip(
            block.ts_init.tolist(),
            map(_TAKER_BOUGHT.__getitem__, block.aggressor.tolist()),
            block.price_ticks.tolist(),
            block.size_lots.tolist(),
            strict=True,
        )
        for time_ns, is_buy, ticks, lots in rows:
            if group and time_ns != moment:
                yield TradeGroup(moment + shift_ns, symbol, group)
                group = []
            moment = time_ns
            group.append((is_buy, ticks, lots))
    if group:
        yield TradeGroup(moment + shift_ns, symbol, group)


def open_feed(options: VenueOptions) -> tuple[dict[str, Pair], Iterator[Event]]:
    """Return what a venue plays: its pairs by their names, and their events.

    Raises
    ------
    ConfigError, DataError
        If there is no such pair, or the catalog cannot be played.
    """
    if options.catalog is None:
        unknown = [symbol for symbol in options.symbols if symbol not in KRAKEN_SPOT]
        if unknown:
            raise ConfigError(f"symbols must be of {', '.join(KRAKEN_SPOT)}, was {', '.join(unknown)}")
        specs = [KRAKEN_SPOT[symbol] for symbol in options.symbols or KRAKEN_SPOT]
        return kraken_pairs(specs), simulated_feed(options.seed, specs)
    reader = CatalogReader(options.catalog)
    specs = [reader.instrument(symbol) for symbol in options.symbols] or reader.instruments()
    problems = [
        text
        for spec in specs
        for kind in DataKind
        for text in footer_problems(reader.files(spec.instrument_id, kind), spec)
    ]
    if problems:
        raise DataError("\n".join(problems))
    pairs = kraken_pairs(specs)
    return pairs, catalog_feed(reader, list(pairs.values()), options.at_end)


def catalog_feed(reader: CatalogReader, pairs: Sequence[Pair], at_end: AtEnd) -> Iterator[Event]:
    """Yield a catalog's events in the order of ``ts_init``; trades come before book changes of the same time.

    Parameters
    ----------
    reader
        The catalog.
    pairs
        What to play of it.
    at_end
        Whether to begin anew after the last event, without end.

    Raises
    ------
    DataError
        If there is no book change or trade at all, or a file cannot be read.
    """

    def lap(shift_ns: int) -> Iterator[BookGroup | TradeGroup]:
        trades = [
            trade_groups(
                reader.iter_trades(pair.spec.instrument_id, batch_rows=_BATCH_ROWS), pair.symbol, shift_ns
            )
            for pair in pairs
        ]
        books = [
            book_groups(
                reader.iter_deltas(pair.spec.instrument_id, batch_rows=_BATCH_ROWS), pair.symbol, shift_ns
            )
            for pair in pairs
        ]
        return merge(*trades, *books, key=itemgetter(0))

    nothing = f"{reader.folder} holds no book changes of {', '.join(pair.symbol for pair in pairs)}"
    yield from _laps(lap, nothing, at_end)


def _laps(
    lap: Callable[[int], Iterator[BookGroup | TradeGroup]], nothing: str, at_end: AtEnd
) -> Iterator[Event]:
    shift_ns = 0
    for laps in count(1):
        first_ns = last_ns = None
        for event in lap(shift_ns):
            first_ns = event.time_ns if first_ns is None else first_ns
            last_ns = event.time_ns
            yield event
        if first_ns is None or last_ns is None:
            raise DataError(nothing)
        yield LapEnd(last_ns, laps)
        if at_end == "stop":
            return
        shift_ns += last_ns - first_ns


def simulated_feed(seed: int, specs: Sequence[InstrumentSpec]) -> Iterator[Event]:
    """Yield events of the simulator without end; after 31 days it begins anew with the next seed.

    Parameters
    ----------
    seed
        Of the first simulation.
    specs
        Which of the simulated pairs to yield.
    """
    wanted = {spec.symbol for spec in specs}
    shift_ns = 0
    for laps in count(1):
        config = SimulationConfig(seed=seed + laps - 1, duration_seconds=_LONGEST_SIMULATION_SECONDS)
        last_ns = config.start_ns
        for slices in simulate(config):
            parts = [part for part in slices if part.spec.symbol in wanted]
            streams: list[Iterator[BookGroup | TradeGroup]] = [
                *(trade_groups(iter([part.trades]), part.spec.symbol, shift_ns) for part in parts),
                *(book_groups(iter([part.deltas]), part.spec.symbol, shift_ns) for part in parts),
            ]
            for event in merge(*streams, key=itemgetter(0)):
                last_ns = event.time_ns
                yield event
        yield LapEnd(last_ns, laps)
        shift_ns = last_ns - config.start_ns
