"""The exits of a run: each of them, and the paths of its trailing stops."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.report.figures import SERIES, Figure, figure, line, series, significant, x_axis
from mm_nautilus.report.run_files import RunFiles, numbers, texts, times

type Floats = NDArray[np.float64]

_EXITS: Final = frozenset(reason.value for reason in ExitReason)
_PATH_NS: Final = 300 * 1_000_000_000
_BPS: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class ExitEntry:
    """One exit that was filled: orders of one rule that no other execution of the symbol stands between."""

    ts_ns: int
    """When it was filled first, nanoseconds since the epoch."""
    symbol: str
    reason: str
    """The pair and the rule."""
    is_long: bool
    entry_price: float | None
    price: float
    """The position's average price, None where it was not recorded, and the exit's, quote currency."""
    quantity: float
    """What was closed, base currency."""
    trade_id: str | None

    @property
    def move_bps(self) -> float | None:
        """How far the price had moved in the position's favour, bps of the entry, before fees."""
        if self.entry_price is None:
            return None
        return (1.0 if self.is_long else -1.0) * _BPS * (self.price / self.entry_price - 1.0)


def exit_entries(files: RunFiles) -> list[ExitEntry]:
    """Return every exit of a run that was filled, in time order."""
    found = [entry for symbol in files.summary["symbols"] for entry in _exits_of(files, symbol)]
    return sorted(found, key=lambda entry: entry.ts_ns)


def _exits_of(files: RunFiles, symbol: str) -> list[ExitEntry]:
    columns = ["ts_event", "side", "price", "quantity", "purpose", "trade_id"]
    table = files.table("fills", columns, symbol)
    moments, prices, quantities = times(table), numbers(table, "price"), numbers(table, "quantity")
    sides, trades = texts(table, "side"), texts(table, "trade_id")
    purposes = texts(table, "purpose")
    entries = _entry_prices(files, symbol)
    alike = [list(rows) for _, rows in groupby(range(len(purposes)), key=purposes.__getitem__)]
    return [
        ExitEntry(
            ts_ns=int(moments[rows[0]]),
            symbol=symbol,
            reason=str(purposes[rows[0]]),
            is_long=sides[rows[0]] == "SELL",
            entry_price=entries.get(trades[rows[0]]),
            price=float((prices[rows] * quantities[rows]).sum() / quantities[rows].sum()),
            quantity=float(quantities[rows].sum()),
            trade_id=trades[rows[0]],
        )
        for rows in alike
        if purposes[rows[0]] in _EXITS
    ]


def _entry_prices(files: RunFiles, symbol: str) -> dict[str | None, float]:
    """Return the position's average price ahead of each fill, for those that had a position."""
    if not files.has_traces:
        return {}
    table = files.table("market", ["trade_id", "entry_price"], symbol)
    pairs = zip(texts(table, "trade_id"), numbers(table, "entry_price").tolist(), strict=True)
    return {trade_id: price for trade_id, price in pairs if trade_id is not None and not np.isnan(price)}


@dataclass(frozen=True, slots=True)
class TrailPath:
    """A trailing stop from its arming, or five minutes before, to the exit."""

    exit: ExitEntry
    seconds: Floats
    """Time before the exit, negative."""
    price_bps: Floats
    trail_bps: Floats
    """The exit price and the stop, bps from the entry in the position's favour."""


def trail_paths(files: RunFiles, entries: Sequence[ExitEntry]) -> list[TrailPath]:
    """Return the paths of the last trailing stops that were hit."""
    hit = [
        each
        for each in entries
        if each.reason == ExitReason.TRAILING_STOP.value and each.entry_price is not None
    ]
    return [_trail_path(files, entry) for entry in hit[-len(SERIES) :]]


def _trail_path(files: RunFiles, entry: ExitEntry) -> TrailPath:
    columns = ["ts_event", "trade_id", "best_bid", "best_ask", "trailing_stop_price"]
    table = files.table("market", columns, entry.symbol)
    moments, trails = times(table), numbers(table, "trailing_stop_price")
    prices = numbers(table, "best_bid" if entry.is_long else "best_ask")
    # Live, the row of a fill is some milliseconds younger than the fill.
    last = texts(table, "trade_id").index(entry.trade_id) + 1
    at_ns = int(moments[last - 1])
    sign, at = (1.0 if entry.is_long else -1.0), entry.entry_price or np.nan
    unarmed = np.flatnonzero(np.isnan(trails[:last])) + 1
    # A stop that goes back was armed again between two rows: for a new position, or after an add at a loss.
    armed_again = np.flatnonzero(np.diff(sign * trails[:last], prepend=np.nan) < 0)
    first = max(0, *unarmed[-1:], *armed_again[-1:], np.searchsorted(moments, at_ns - _PATH_NS))
    rows = slice(min(first, max(last - 1, 0)), last)
    return TrailPath(
        entry,
        (moments[rows] - at_ns) / 1e9,
        sign * _BPS * (prices[rows] / at - 1.0),
        sign * _BPS * (trails[rows] / at - 1.0),
    )


def trail_figure(paths: Sequence[TrailPath]) -> Figure:
    """Return the figure of trailing stops: the exit price above its stop, until they met."""
    traces: list[Figure] = []
    for number, path in enumerate(paths):
        name = f"{path.exit.symbol} {'long' if path.exit.is_long else 'short'} {number + 1}"
        seconds: list[Any] = significant(path.seconds)
        look: dict[str, Any] = {**series(number), "hover": "%{y:+.2f} bps from the entry"}
        look["legendgroup"] = name
        price, stop = significant(path.price_bps), significant(path.trail_bps)
        traces.append(line(f"{name}: price", seconds, price, width=1, **look))
        traces.append(line(f"{name}: stop", seconds, stop, width=3, is_step=True, **look))
    return figure(
        traces,
        ["bps from the entry"],
        [1],
        pixels=420,
        hovermode="closest",
        xaxis=x_axis(ticksuffix=" s"),
        yaxis={"ticksuffix": " bps"},
    )
