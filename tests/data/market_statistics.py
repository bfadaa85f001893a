"""What a simulated or stored market looks like in numbers.

Run as a program it rewrites the tables of docs/simulator.md and catalog/README.md from the default simulation,
which the shipped sample is.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.data.order_flow import FlowConfig, PairSlice
from mm_nautilus.data.simulator import FLOWS, KRAKEN_SPOT, SimulationConfig, simulate
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, TradeBlock, joined_blocks

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR_PAGE = ROOT / "docs" / "simulator.md"
CATALOG_PAGE = ROOT / "catalog" / "README.md"
SYMBOLS = tuple(KRAKEN_SPOT)
NS = 1_000_000_000
SAMPLE_NS = NS // 10
DEPTH_BPS = 2.5
HORIZONS_SECONDS = (1, 5, 30)
UNITS = {
    "rate": "1/s",
    "bps": "bps",
    "limit_value": "USDT",
    "market_value": "USDT",
    "limit_spread": "log",
    "market_spread": "log",
    "max_levels": "levels",
}


@dataclass(frozen=True)
class Market:
    """One pair's data joined over its slices, with the touch after every group.

    Parameters
    ----------
    ts, bid, ask
        Time of each group in nanoseconds, and the best prices after it in ticks.
    bid_levels, ask_levels
        Levels a side after each group.
    sample_ts, bid_depth, ask_depth
        Times on a regular grid and the lots shown within `DEPTH_BPS` of the mid at them.
    touch_lots
        Mean of the lots at the best bid and the best ask at each of these times.
    """

    spec: InstrumentSpec
    trades: TradeBlock
    ts: NDArray[np.int64]
    bid: NDArray[np.int64]
    ask: NDArray[np.int64]
    bid_levels: NDArray[np.int64]
    ask_levels: NDArray[np.int64]
    sample_ts: NDArray[np.int64]
    bid_depth: NDArray[np.int64]
    ask_depth: NDArray[np.int64]
    touch_lots: NDArray[np.float64]

    @property
    def mid_ticks(self):
        return (self.bid + self.ask) / 2

    @property
    def tick(self):
        return float(self.spec.price_increment)

    @property
    def lot(self):
        return float(self.spec.size_increment)

    def touch_at(self, ts):
        """Return best bid and ask in ticks as known at given times (the first ones before the first)."""
        index = np.maximum(np.searchsorted(self.ts, ts, side="right") - 1, 0)
        return self.bid[index], self.ask[index]

    def mid_at(self, ts):
        bid, ask = self.touch_at(ts)
        return (bid + ask) / 2 * self.tick


def replay(spec: InstrumentSpec, deltas: DeltaBlock, trades: TradeBlock) -> Market:
    """Follow the book through its changes with plain dictionaries, apart from the package's own code."""
    books: dict[int, dict[int, int]] = {1: {}, 2: {}}
    rows, samples = [], []
    due = int(deltas.ts_init[0]) + SAMPLE_NS
    touch = (0, 0)
    columns = (deltas.ts_init, deltas.action, deltas.side, deltas.price_ticks, deltas.size_lots, deltas.flags)
    for ts, action, side, ticks, lots, flags in zip(*(c.tolist() for c in columns), strict=True):
        while due < ts:
            samples.append((due, *_depths(books, *touch)))
            due += SAMPLE_NS
        if action == Action.CLEAR:
            books = {1: {}, 2: {}}
        elif action == Action.DELETE:
            del books[side][ticks]
        else:
            books[side][ticks] = lots
        if flags & Flag.LAST:
            touch = (max(books[1]), min(books[2]))
            rows.append((ts, *touch, len(books[1]), len(books[2])))
    ts, bid, ask, bid_levels, ask_levels = np.array(rows, dtype=np.int64).T
    sample_ts, bid_depth, ask_depth, touch_lots = np.array(samples, dtype=np.int64).reshape(-1, 4).T
    return Market(
        spec, trades, ts, bid, ask, bid_levels, ask_levels, sample_ts, bid_depth, ask_depth, touch_lots / 2
    )


def _depths(books, bid, ask):
    reach = DEPTH_BPS * 1e-4 * (bid + ask) / 2
    mid = (bid + ask) / 2
    near_bids = sum(lots for ticks, lots in books[1].items() if ticks >= mid - reach)
    near_asks = sum(lots for ticks, lots in books[2].items() if ticks <= mid + reach)
    return near_bids, near_asks, books[1][bid] + books[2][ask]


def markouts_bps(market: Market, seconds: float) -> NDArray[np.float64]:
    """Return how far the mid moved in the maker's favour after each trade, from the trade's price, bps.

    A maker who sold earns where the mid is lower later; trades too close to the data's end are NaN.
    """
    trades = market.trades
    later = trades.ts_init + round(seconds * NS)
    price = trades.price_ticks * market.tick
    maker_buys = np.where(trades.aggressor == Side.BID, -1.0, 1.0)
    gain = maker_buys * (market.mid_at(later) - price) / price * 1e4
    return np.where(later <= market.ts[-1], gain, np.nan)


def minute_volatility_pct(market: Market) -> float:
    """Return the standard deviation of one-minute returns of the mid, %."""
    times = np.arange(market.ts[0], market.ts[-1], 60 * NS)
    return float(np.std(np.diff(np.log(market.mid_at(times)))) * 100)


def triangle_share(markets: dict[str, Market]) -> float:
    """Return the share of time in which the two USDT mids imply a price inside XRP/BTC's spread +- a tick."""
    cross = markets["XRP/BTC"]
    times = cross.sample_ts
    implied = markets["XRP/USDT"].mid_at(times) / markets["BTC/USDT"].mid_at(times) / cross.tick
    bid, ask = cross.touch_at(times)
    return float(np.mean((implied >= bid - 1) & (implied <= ask + 1)))


def statistics(market: Market, informed: NDArray[np.bool_], unit_value: float) -> dict[str, float]:
    """Measure one pair.

    Parameters
    ----------
    market
        The replayed pair.
    informed
        Whether each trade's taker was informed.
    unit_value
        Value of one unit of base currency, USDT.
    """
    bid, ask = market.touch_at(market.sample_ts)
    seconds = (market.ts[-1] - market.ts[0]) / NS
    value = market.lot * unit_value
    found = {
        "spread, ticks": float(np.mean(ask - bid)),
        "spread, bps": float(np.mean((ask - bid) / (ask + bid) * 2e4)),
        "size at a touch, USDT": float(market.touch_lots.mean() * value),
        f"depth a side within {DEPTH_BPS} bps, USDT": float(
            (market.bid_depth.mean() + market.ask_depth.mean()) / 2 * value
        ),
        "levels a side": float((market.bid_levels.mean() + market.ask_levels.mean()) / 2),
        "volatility, % a minute": minute_volatility_pct(market),
        "trades a second": len(market.trades) / seconds,
        "value traded, USDT a second": float(market.trades.size_lots.sum() * value / seconds),
        "share of informed trades, %": float(informed.mean() * 100),
    }
    for kind, chosen in (("informed", informed), ("uninformed", ~informed)):
        for horizon in HORIZONS_SECONDS:
            gains = markouts_bps(market, horizon)[chosen]
            found[f"maker's mark-out +{horizon} s, {kind}, bps"] = float(np.nanmean(gains))
    return found


@dataclass(frozen=True)
class Simulation:
    """All pairs of one simulation, joined over its slices."""

    slices: list[list[PairSlice]]
    markets: dict[str, Market]
    deltas: dict[str, DeltaBlock]
    informed: dict[str, NDArray[np.bool_]]
    efficient: dict[str, NDArray[np.float64]]

    def unit_value(self, symbol: str) -> float:
        """Return the mean value of one unit of the pair's base currency, USDT."""
        market = self.markets["BTC/USDT" if symbol == "BTC/USDT" else "XRP/USDT"]
        return float(market.mid_ticks.mean() * market.tick)

    def statistics(self) -> dict[str, dict[str, float]]:
        return {
            symbol: statistics(self.markets[symbol], self.informed[symbol], self.unit_value(symbol))
            for symbol in SYMBOLS
        }


@functools.cache
def simulation(seed: int | None = None, seconds: int | None = None) -> Simulation:
    """Simulate once and keep it for all tests of the process; None is the sample's value."""
    given = {"seed": seed, "duration_seconds": seconds}
    config = SimulationConfig(**{key: value for key, value in given.items() if value is not None})
    slices = list(simulate(config))
    parts = {part.spec.symbol: [row[number] for row in slices] for number, part in enumerate(slices[0])}
    deltas = {symbol: joined_blocks([part.deltas for part in parts[symbol]]) for symbol in parts}
    markets = {
        symbol: replay(
            KRAKEN_SPOT[symbol], deltas[symbol], joined_blocks([part.trades for part in parts[symbol]])
        )
        for symbol in parts
    }
    informed = {symbol: np.concatenate([part.informed for part in parts[symbol]]) for symbol in parts}
    paths = {symbol: np.concatenate([part.efficient_price for part in parts[symbol]]) for symbol in parts}
    return Simulation(slices, markets, deltas, informed, paths)


# -- Tables of the documentation ----------------------------------------------------------------------------


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def statistics_table(found: Simulation) -> str:
    measured = found.statistics()
    rows = [
        (name, *(f"{measured[symbol][name]:,.{_digits(name)}f}" for symbol in SYMBOLS))
        for name in measured[SYMBOLS[0]]
    ]
    share = f"{triangle_share(found.markets) * 100:.1f}"
    rows.append(("time in which the triangle holds, %", share, share, share))
    return table(("", *SYMBOLS), rows)


def _digits(name: str) -> int:
    if name.endswith("USDT") or name.startswith("value"):
        return 0
    return 3 if name.startswith("volatility") else 1 if "%" in name or "levels" in name else 2


def flow_table() -> str:
    names = FlowConfig.__dataclass_fields__
    rows = [
        (f"`{name}`", _unit(name), *(f"{getattr(FLOWS[symbol], name):g}" for symbol in SYMBOLS))
        for name in names
    ]
    return table(("parameter", "unit", *SYMBOLS), rows)


def _unit(name: str) -> str:
    return next(unit for ending, unit in UNITS.items() if name.endswith(ending))


def instrument_table() -> str:
    rows = [
        (
            symbol,
            f"{spec.price_increment:f} {spec.quote}",
            f"{spec.size_increment:f} {spec.base}",
            f"{spec.min_quantity.normalize():f} {spec.base}",
            f"{spec.min_notional:f} {spec.quote}",
            f"{float(spec.maker_fee_rate):.2%}",
            f"{float(spec.taker_fee_rate):.2%}",
        )
        for symbol, spec in KRAKEN_SPOT.items()
    ]
    return table(("", "tick", "lot", "least size", "least value", "maker fee", "taker fee"), rows)


def price_table() -> str:
    config = SimulationConfig()
    rows = [
        (f"`{name}`", str(getattr(config, name)), field.description or "")
        for name, field in SimulationConfig.model_fields.items()
    ]
    return table(("setting", "value", "meaning"), rows)


def rows_table(found: Simulation) -> str:
    rows = []
    for symbol in SYMBOLS:
        deltas, trades = found.deltas[symbol], found.markets[symbol].trades
        groups = int(((deltas.flags & Flag.LAST) != 0).sum())
        rows.append((symbol, f"{len(deltas):,}", f"{groups:,}", f"{len(trades):,}"))
    return table(("pair", "book changes", "groups of them", "trades"), rows)


def tables(page: Path) -> dict[str, str]:
    """Return the tables a page has to hold, by the name in its markers."""
    found = simulation()
    if page == CATALOG_PAGE:
        return {"rows": rows_table(found)}
    return {
        "instruments": instrument_table(),
        "prices": price_table(),
        "flow": flow_table(),
        "statistics": statistics_table(found),
    }


def with_tables(page: Path) -> str:
    """Return a page's text with its tables measured again."""
    text = page.read_text(encoding="utf-8")
    for name, made in tables(page).items():
        marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        text, count = marked.subn(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)
        if count != 1:
            raise ValueError(f"{page.name} must hold the table {name} once, was {count} times")
    return text


if __name__ == "__main__":
    for one in (SIMULATOR_PAGE, CATALOG_PAGE):
        one.write_text(with_tables(one), encoding="utf-8")
