"""Catalogs with a market whose figures are known."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from mm_nautilus.data.catalog_writer import staged_catalog
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock

SECOND = 1_000_000_000
T0 = 1_765_627_200 * SECOND
"""2025-12-13T12:00:00Z."""
MID_TICKS = 100_000
TICK_BPS = 0.1


def instrument(symbol: str = "AAA/USDT", venue: str = "MADE", maker_fee: str | None = "0.001"):
    """Return a pair whose tick is a tenth of a basis point at a price of 100."""
    base, quote = symbol.split("/")
    fee = None if maker_fee is None else Decimal(maker_fee)
    return InstrumentSpec(
        symbol,
        venue,
        base,
        quote,
        Decimal("0.001"),
        Decimal("0.01"),
        maker_fee_rate=fee,
        taker_fee_rate=fee,
    )


@dataclass(frozen=True)
class MadeMarket:
    """A mid that walks at random, a spread of two ticks, and takers whose depths are exponential.

    Parameters
    ----------
    seconds
        Length.
    sells_a_second, buys_a_second
        Arrivals at the mid of either side.
    kappa_per_bps
        Decay with depth, 1 / bps.
    volatility_bps
        Of the mid, bps per square root of a second.
    seed
        Of all of it.
    start_ns, mid_ticks
        Where it begins, nanoseconds since the epoch and ticks.
    drift_bps
        Of the mid, bps a second.
    """

    seconds: int = 1200
    sells_a_second: float = 0.4
    buys_a_second: float = 0.7
    kappa_per_bps: float = 1.0
    volatility_bps: float = 1.0
    seed: int = 7
    start_ns: int = T0
    mid_ticks: int = MID_TICKS
    drift_bps: float = 0.0

    def write(self, folder: Path, spec: InstrumentSpec, *, with_trades: bool = True) -> None:
        """Add the market to a catalog as one instrument's data."""
        generator = np.random.default_rng(self.seed)
        drift = 0.5 * self.drift_bps / TICK_BPS
        steps = drift + generator.normal(
            0, self.volatility_bps / TICK_BPS * np.sqrt(0.5), 2 * self.seconds - 1
        )
        mids = self.mid_ticks + np.append(0, np.rint(np.cumsum(steps))).astype(np.int64)
        trades = self._trades(generator, mids)
        with staged_catalog(folder) as writer:
            writer.write_instrument(spec)
            writer.write_block(spec, _book(mids, trades, generator, self.start_ns))
            if with_trades:
                writer.write_block(spec, trades)

    def _trades(self, generator: np.random.Generator, mids: np.ndarray) -> TradeBlock:
        times, sides = [], []
        for side, rate in ((Side.ASK, self.sells_a_second), (Side.BID, self.buys_a_second)):
            count = generator.poisson(rate * self.seconds)
            times.append(generator.integers(1, self.seconds * SECOND, count))
            sides.append(np.full(count, side))
        time, side = np.concatenate(times), np.concatenate(sides)
        depth = np.floor(generator.exponential(1 / self.kappa_per_bps, len(time)) / TICK_BPS).astype(np.int64)
        traded = depth >= 1
        time, side, depth = time[traded], side[traded], depth[traded]
        order = np.argsort(time)
        time, side, depth = time[order], side[order], depth[order]
        price = mids[2 * time // SECOND] + np.where(side == Side.BID, depth, -depth)
        ids = [f"{self.start_ns}-{number}" for number in range(len(time))]
        time = self.start_ns + time
        return TradeBlock(time, time, price, np.ones(len(time), dtype=np.int64), side, ids)


def _book(mids: np.ndarray, trades: TradeBlock, generator: np.random.Generator, start_ns: int) -> DeltaBlock:
    """Return the touch alone: it moves with the mid, and its sizes change a nanosecond after every trade."""
    events = [(int(start_ns + index * SECOND // 2), int(mid)) for index, mid in enumerate(mids)]
    events += [(int(time) + 1, None) for time in trades.ts_init]
    rows, mid = [], None
    for time, moved_to in sorted(events, key=lambda event: event[0]):
        lots = generator.integers(1, 100, 2).tolist()
        group = _moved(mid, moved_to, lots) if moved_to is not None else _resized(mid, lots)
        mid = mid if moved_to is None else moved_to
        rows += [(time, *row, Flag.LAST if index == len(group) - 1 else 0) for index, row in enumerate(group)]
    time, action, side, price, lots, flags = np.array(rows, dtype=np.int64).T
    return DeltaBlock(time, time, action, side, price, lots, flags, time // 1000)


def _moved(before: int | None, mid: int, lots: list[int]) -> list[tuple[int, int, int, int]]:
    gone = (
        [(Action.CLEAR, Side.NONE, 0, 0)]
        if before is None
        else [(Action.DELETE, Side.BID, before - 1, 0), (Action.DELETE, Side.ASK, before + 1, 0)]
    )
    return [*gone, (Action.ADD, Side.BID, mid - 1, lots[0]), (Action.ADD, Side.ASK, mid + 1, lots[1])]


def _resized(mid: int, lots: list[int]) -> list[tuple[int, int, int, int]]:
    return [(Action.UPDATE, Side.BID, mid - 1, lots[0]), (Action.UPDATE, Side.ASK, mid + 1, lots[1])]
