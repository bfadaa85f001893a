"""One pair's book under random order flow: limit orders, cancels, market orders and informed takers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock
from mm_nautilus.market.side_book import SideBook

MIN_LEVELS: Final = 12
"""Levels a side that are never taken or cancelled below."""
FEED_DELAY_NS: Final = 1_000_000
"""Time between a venue's event and its receipt, nanoseconds."""
TRADE_LEAD_NS: Final = 1_000
"""Time by which a trade precedes the book change it made, nanoseconds."""
INFORMED_SIZE: Final = 4
"""How many times larger an informed taker's order is than an uninformed one's."""
CANCEL_SHARE: Final = 0.25
"""Least share of a level's size that a cancel removes: more rests there, more is withdrawn."""
_MIN_GAP_NS: Final = 10_000
_SLICE_MARGIN_NS: Final = 5_000_000
_BPS: Final = 1e-4


class Kind(IntEnum):
    """What may happen to a book."""

    LIMIT = 0
    CANCEL = 1
    MARKET = 2
    INFORMED = 3
    REFRESH = 4


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Order flow of one pair; every rate is a mean number per second of both sides together."""

    limit_rate: float
    cancel_rate: float
    market_rate: float
    """Limit orders, attempts to cancel, and market orders of uninformed takers."""
    informed_rate: float
    """How often an informed taker looks for quotes that the efficient price has passed."""
    refresh_rate: float
    """How often a maker looks whether the best quote is stale, and pulls it."""
    half_spread_bps: float
    """Least distance of a new limit order from the efficient price, basis points."""
    decay_bps: float
    """The intensity of limit orders falls with their further distance d as ``exp(-d / decay_bps)``."""
    limit_value: float
    limit_spread: float
    market_value: float
    market_spread: float
    """Median value of an order in the currency values are counted in, and the standard deviation of its logarithm."""
    max_levels: int = 40
    """Levels per side beyond which the farthest is dropped."""

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates in the order of `Kind`."""
        return tuple(getattr(self, f"{kind.name.lower()}_rate") for kind in Kind)

    def times(self, factor: float) -> Self:
        """Return the same flow with all rates multiplied."""
        names = (f"{kind.name.lower()}_rate" for kind in Kind)
        return replace(self, **{name: factor * getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class PairSlice:
    """One pair's data over one slice of time; blocks may be empty, and a catalog does not hold the last two."""

    spec: InstrumentSpec
    deltas: DeltaBlock
    trades: TradeBlock
    informed: NDArray[np.bool_]
    """Whether each trade's taker was an informed one."""
    efficient_price: NDArray[np.float64]
    """The efficient price at each step of the slice, in quote currency."""


class _Draw(NamedTuple):
    """The random numbers of one event."""

    ts_ns: int
    kind: int
    is_bid: bool
    distance_bps: float
    limit_value: float
    market_value: float
    share: float


class PairFlow:
    """Evolve one pair's book along its efficient price and record every change and trade.

    Limit orders, cancels and uninformed market orders follow Smith, Farmer, Gillemot and Krishnamurthy
    (Quantitative Finance 3, 2003) and Cont, Stoikov and Talreja (Operations Research 58(3), 2010) in spirit:
    Poisson arrivals whose intensity falls with distance, cancels that grow with what rests.
    Informed takers are those of Glosten and Milgrom (Journal of Financial Economics 14, 1985): they know the
    efficient price and take what is mispriced against it.

    All slices draw from `generator` in order.
    """

    def __init__(self, config: FlowConfig, spec: InstrumentSpec, generator: np.random.Generator) -> None:
        self._config, self._spec = config, spec
        self._tick = float(spec.price_increment)
        self._lot = float(spec.size_increment)
        self._min_lots = math.ceil((spec.min_quantity or spec.size_increment) / spec.size_increment)
        self._prefix = f"SIM-{spec.symbol}-"
        self._generator = generator
        self._bids, self._asks = SideBook(is_bid=True), SideBook(is_bid=False)
        self._deltas: list[tuple[int, ...]] = []
        self._trades: list[tuple[int, ...]] = []
        self._sequence = 0
        self._trade_count = 0
        self._last_ns = 0

    # -- Slices -----------------------------------------------------------------------------------------

    def open(self, ts_ns: int, price: float, value_price: float) -> None:
        """Fill the empty book with limit orders around the efficient price and record the snapshot.

        `value_price` is the value of one unit of base currency in the currency order values are counted in.
        """
        self._last_ns = ts_ns
        for draw in self._draws(np.full(6 * self._config.max_levels, ts_ns)):
            lots = self._in_lots(draw.limit_value, value_price)
            self._add_limit(price, draw.distance_bps, lots, is_bid=draw.is_bid)
        for book in (self._bids, self._asks):
            self._apply(self._deeper(book, 0, self._in_lots(self._config.limit_value, value_price)))
        self._deltas = [(ts_ns, Action.CLEAR, Side.NONE, 0, 0, Flag.SNAPSHOT, 0)]
        for book, side in ((self._bids, Side.BID), (self._asks, Side.ASK)):
            self._deltas += [
                (ts_ns, Action.ADD, side, ticks, lots, Flag.SNAPSHOT, 0) for ticks, lots in book.levels()
            ]
        self._deltas[-1] = (*self._deltas[-1][:5], Flag.SNAPSHOT | Flag.LAST, 0)
        self._sequence = 0

    def run(
        self,
        start_ns: int,
        step_ns: int,
        prices: NDArray[np.float64],
        value_prices: NDArray[np.float64],
        end_ns: int,
    ) -> PairSlice:
        """Evolve the book over one slice and return what happened.

        The slice begins at `start_ns`, and its prices are `step_ns` apart; nothing happens from `end_ns` on. Random
        numbers are drawn for the whole slice whatever its end is, so that a shorter simulation is the beginning of a
        longer one.
        """
        count = self._generator.poisson(sum(self._config.rates) * step_ns * len(prices) / 1e9)
        # The end of the slice is left free, so that the last event's minimum gaps stay inside it.
        last_ns = start_ns + step_ns * len(prices) - _SLICE_MARGIN_NS
        times = np.sort(self._generator.integers(start_ns, last_ns, count))
        efficient, values = prices.tolist(), value_prices.tolist()
        last_step = len(efficient) - 1
        for draw in self._draws(times):
            if draw.ts_ns >= end_ns:
                break
            step = min((draw.ts_ns - start_ns) // step_ns, last_step)
            self._last_ns = max(draw.ts_ns, self._last_ns + _MIN_GAP_NS)
            self._happen(draw, efficient[step], values[step])
        return self._collect(prices[: round((end_ns - start_ns) / step_ns)])

    def _happen(self, draw: _Draw, price: float, value_price: float) -> None:
        """Let one event happen at an efficient price."""
        kind, is_bid = draw.kind, draw.is_bid
        lots = self._in_lots(draw.limit_value, value_price)
        if kind == Kind.LIMIT:
            self._add_limit(price, draw.distance_bps, lots, is_bid=is_bid)
        elif kind == Kind.CANCEL:
            self._cancel(draw.share, lots, is_bid=is_bid)
        elif kind == Kind.REFRESH:
            self._refresh(price, lots, is_bid=is_bid)
        else:
            informed = kind == Kind.INFORMED
            value = draw.market_value * (INFORMED_SIZE if informed else 1)
            wanted = self._in_lots(value, value_price)
            self._take(wanted, price if informed else None, lots, is_buy=is_bid)

    def _draws(self, times_ns: NDArray[np.int64]) -> Iterator[_Draw]:
        config, generator, count = self._config, self._generator, len(times_ns)
        rates = np.array(config.rates)
        kinds = np.searchsorted(np.cumsum(rates / rates.sum()), generator.random(count), side="right")
        limits = config.limit_value * np.exp(config.limit_spread * generator.standard_normal(count))
        markets = config.market_value * np.exp(config.market_spread * generator.standard_normal(count))
        sides, distances = generator.random(count) < 0.5, generator.exponential(config.decay_bps, count)
        shares, kinds = generator.random(count), np.minimum(kinds, len(rates) - 1)
        columns = (times_ns, kinds, sides, distances, limits, markets, shares)
        return map(_Draw._make, zip(*(column.tolist() for column in columns), strict=True))

    def _in_lots(self, value: float, value_price: float) -> int:
        return max(self._min_lots, round(value / value_price / self._lot))

    # -- Events -----------------------------------------------------------------------------------------

    def _sides(self, *, is_bid: bool) -> tuple[SideBook, SideBook]:
        return (self._bids, self._asks) if is_bid else (self._asks, self._bids)

    def _add_limit(self, price: float, distance_bps: float, lots: int, *, is_bid: bool) -> None:
        """Add a limit order at a distance from the efficient price; it never crosses the book."""
        book, other = self._sides(is_bid=is_bid)
        offset = (self._config.half_spread_bps + distance_bps) * _BPS
        if is_bid:
            ticks = math.floor(price * (1.0 - offset) / self._tick)
            ticks = min(ticks, other.ticks_at(0) - 1) if len(other) else ticks
        else:
            ticks = math.ceil(price * (1.0 + offset) / self._tick)
            ticks = max(ticks, other.ticks_at(0) + 1) if len(other) else ticks
        changes = [(book, ticks, book.lots(ticks) + lots)]
        if len(book) >= self._config.max_levels and not book.lots(ticks):
            if book.sign * (ticks - book.ticks_at(-1)) > 0:
                return
            changes.append((book, book.ticks_at(-1), 0))
        self._apply(changes)

    def _cancel(self, share: float, lots: int, *, is_bid: bool) -> None:
        """Withdraw size from a random level; the more levels and the more size, the more goes."""
        book, _ = self._sides(is_bid=is_bid)
        index = int(share * self._config.max_levels)
        if index >= len(book):
            return
        ticks = book.ticks_at(index)
        shown = book.lots(ticks)
        left = max(0, shown - max(lots, round(CANCEL_SHARE * shown)))
        if left > 0 or len(book) > MIN_LEVELS:
            self._apply([(book, ticks, left)])

    def _refresh(self, price: float, lots: int, *, is_bid: bool) -> None:
        """Pull the best quote where the efficient price has come closer to it than makers like."""
        book, _ = self._sides(is_bid=is_bid)
        gap = (book.ticks_at(0) * self._tick - price) * book.sign
        if gap < 0.5 * self._config.half_spread_bps * _BPS * price:
            self._apply([(book, book.ticks_at(0), 0), *self._deeper(book, 1, lots)])

    def _deeper(self, book: SideBook, removed: int, lots: int) -> list[tuple[SideBook, int, int]]:
        """Return new levels behind the farthest one that make up for removed ones on a thin side."""
        missing = MIN_LEVELS - (len(book) - removed)
        worst = book.ticks_at(-1)
        return [(book, worst + book.sign * number, lots) for number in range(1, missing + 1)]

    def _take(self, lots: int, limit_price: float | None, deep_lots: int, *, is_buy: bool) -> None:
        """Take at most `lots` from the touch on; what finds no counterpart is cancelled.

        An informed taker stops at `limit_price`, the efficient price; an uninformed one has None. Levels that make up
        for a side that has become thin have `deep_lots` each.
        """
        book, _ = self._sides(is_bid=not is_buy)
        changes: list[tuple[SideBook, int, int]] = []
        taken: list[tuple[int, int]] = []
        for index in range(len(book) - 1):
            ticks = book.ticks_at(index)
            mispriced = limit_price is None or (limit_price - ticks * self._tick) * book.sign > 0
            if lots <= 0 or not mispriced:
                break
            shown = book.lots(ticks)
            size = min(lots, shown)
            taken.append((ticks, size))
            changes.append((book, ticks, shown - size))
            lots -= size
        if not taken:
            return
        aggressor = Side.BID if is_buy else Side.ASK
        for ticks, size in taken:
            self._trade_count += 1
            row = (self._last_ns, ticks, size, aggressor, self._trade_count, limit_price is not None)
            self._trades.append(row)
        self._last_ns += TRADE_LEAD_NS
        removed = sum(left == 0 for _, _, left in changes)
        self._apply([*changes, *self._deeper(book, removed, deep_lots)])

    # -- Recording --------------------------------------------------------------------------------------

    def _apply(self, changes: list[tuple[SideBook, int, int]]) -> None:
        """Change levels and record them as one atomic group."""
        self._sequence += 1
        last = len(changes) - 1
        for index, (book, ticks, lots) in enumerate(changes):
            known = book.set(ticks, lots)
            action = Action.DELETE if lots <= 0 else Action.UPDATE if known else Action.ADD
            side = Side.BID if book is self._bids else Side.ASK
            flags = Flag.LAST if index == last else 0
            self._deltas.append((self._last_ns, action, side, ticks, lots, flags, self._sequence))

    def _collect(self, prices: NDArray[np.float64]) -> PairSlice:
        deltas = np.array(self._deltas, dtype=np.int64).reshape(-1, 7).T.copy()
        trades = np.array(self._trades, dtype=np.int64).reshape(-1, 6).T.copy()
        self._deltas, self._trades = [], []
        ids = [f"{self._prefix}{number}" for number in trades[4].tolist()]
        return PairSlice(
            self._spec,
            DeltaBlock(deltas[0], deltas[0] + FEED_DELAY_NS, *deltas[1:]),
            TradeBlock(trades[0], trades[0] + FEED_DELAY_NS, trades[1], trades[2], trades[3], ids),
            trades[5].astype(np.bool_),
            prices,
        )
