"""What the venue plays: book groups and trades of several pairs in the order of time."""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import chain, count
from operator import itemgetter
from typing import Any, Final, NamedTuple

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.data.catalog_fitness import footer_problems
from mm_nautilus.data.simulator import KRAKEN_SPOT, SimulationConfig, simulate
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock
from mm_nautilus.mock_kraken.book import Change
from mm_nautilus.mock_kraken.options import AtEnd, VenueOptions
from mm_nautilus.mock_kraken.pairs import Pair, kraken_pairs

_BATCH_ROWS: Final = 8_192
"""Rows read at a time of each pair and type; what bounds the memory of playing a catalog."""
_LONGEST_SIMULATION_SECONDS: Final = 31 * 86_400

type Trade = tuple[bool | None, int, int]
"""Whether the taker bought, None where that is not known, price in ticks and size in lots."""
_TAKER_BOUGHT: Final = {Side.BID: True, Side.ASK: False, Side.NONE: None}


class BookGroup(NamedTuple):
    """Book changes of one pair that belong together; one that `clears` empties the book first, as by a snapshot.

    The time is the data's own, nanoseconds, which goes on rising where the data is played again.
    """

    time_ns: int
    symbol: str
    clears: bool
    changes: list[Change]


class TradeGroup(NamedTuple):
    """Trades of one pair at one moment; the time is as of a `BookGroup`."""

    time_ns: int
    symbol: str
    trades: list[Trade]


class LapEnd(NamedTuple):
    """The end of the data, which begins again after it, and how often it has been played to its end."""

    time_ns: int
    laps: int


type Event = BookGroup | TradeGroup | LapEnd


def book_groups(blocks: Iterator[DeltaBlock], symbol: str, shift_ns: int = 0) -> Iterator[BookGroup]:
    """Yield the groups of a pair's book changes in blocks, which may end in the middle of one, `shift_ns` later."""
    clears, changes, time_ns = False, list[Change](), 0
    for block in blocks:
        rows = zip(
            block.ts_init.tolist(),
            block.action.tolist(),
            (block.side == Side.BID).tolist(),
            block.price_ticks.tolist(),
            block.size_lots.tolist(),
            (block.flags & Flag.LAST != 0).tolist(),
            strict=True,
        )
        for time_ns, action, is_bid, ticks, lots, is_last in rows:
            if action == Action.CLEAR:
                clears, changes = True, []
            else:
                changes.append(Change(is_bid, ticks, lots))
            if is_last:
                yield BookGroup(time_ns + shift_ns, symbol, clears, changes)
                clears, changes = False, []
    if clears or changes:
        yield BookGroup(time_ns + shift_ns, symbol, clears, changes)


def trade_groups(blocks: Iterator[TradeBlock], symbol: str, shift_ns: int = 0) -> Iterator[TradeGroup]:
    """Yield a pair's trades in blocks, those of one moment together, `shift_ns` later."""
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

    A ConfigError or DataError says that there is no such pair, or the catalog cannot be played.
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

    A DataError says that there is no book change or trade at all, or a file cannot be read.
    """

    def lap(_number: int, shift_ns: int) -> Iterator[BookGroup | TradeGroup]:
        def streams(read: Callable[..., Any], groups: Callable[..., Any]) -> list[Any]:
            return [
                groups(read(pair.spec.instrument_id, batch_rows=_BATCH_ROWS), pair.symbol, shift_ns)
                for pair in pairs
            ]

        trades, books = streams(reader.iter_trades, trade_groups), streams(reader.iter_deltas, book_groups)
        events: Iterator[BookGroup | TradeGroup] = merge(*trades, *books, key=itemgetter(0))
        first = next(events, None)
        if first is None:
            symbols = ", ".join(pair.symbol for pair in pairs)
            raise DataError(f"{reader.folder} holds no book changes of {symbols}")
        return chain([first], events)

    for event in _laps(lap):
        yield event
        if isinstance(event, LapEnd) and at_end == "stop":
            return


def simulated_feed(seed: int, specs: Sequence[InstrumentSpec]) -> Iterator[Event]:
    """Yield events of the simulator for these pairs without end; after 31 days it begins again with the next seed."""
    wanted = {spec.symbol for spec in specs}

    def lap(number: int, shift_ns: int) -> Iterator[BookGroup | TradeGroup]:
        config = SimulationConfig(seed=seed + number, duration_seconds=_LONGEST_SIMULATION_SECONDS)
        for slices in simulate(config):
            parts = [part for part in slices if part.spec.symbol in wanted]
            streams: list[Iterator[BookGroup | TradeGroup]] = [
                *(trade_groups(iter([part.trades]), part.spec.symbol, shift_ns) for part in parts),
                *(book_groups(iter([part.deltas]), part.spec.symbol, shift_ns) for part in parts),
            ]
            yield from merge(*streams, key=itemgetter(0))

    return _laps(lap)


def _laps(lap: Callable[[int, int], Iterator[BookGroup | TradeGroup]]) -> Iterator[Event]:
    """Yield laps without end, given the number of each from 0 on and how much later it is, nanoseconds."""
    shift_ns = time_ns = 0
    for number in count():
        first_ns = None
        for event in lap(number, shift_ns):
            time_ns = event.time_ns
            first_ns = time_ns if first_ns is None else first_ns
            yield event
        yield LapEnd(time_ns, number + 1)
        shift_ns += time_ns - (first_ns or 0)
