"""What reduced positions, and the trailing stops that were hit: their paths, and small charts of them on one scale."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.report.figures import min_max_rows
from mm_nautilus.report.fill_rows import FillRows, reason_name
from mm_nautilus.report.money import shared_decimals, signed_amount, unsigned_amount
from mm_nautilus.report.rows import NONE
from mm_nautilus.report.run_files import RunFiles, numbers, texts, times
from mm_nautilus.report.tables import Cell, Rows, exit_table
from mm_nautilus.system.moments import SECOND_NS, moment

type Floats = NDArray[np.float64]

MOST_TRAILS: Final = 12
"""Trailing stops that are drawn: the last ones."""
_PATH_NS: Final = 300 * SECOND_NS
_BUCKETS: Final = 60
_BPS: Final = 10_000.0
_WIDTH, _HEIGHT, _LEFT, _EDGE, _DASH = 240.0, 120.0, 34.0, 8.0, 6.0
"""Size of a small chart, the room for its scale, what is left free around it, and a stop of one moment; units of its
drawing."""


@dataclass(frozen=True, slots=True)
class TrailPath:
    """A trailing stop from the opening of its position, or five minutes before, to the first fill of its exit."""

    symbol: str
    ts_ns: int
    """When the exit was filled first, nanoseconds since the epoch."""
    is_long: bool
    move_bps: float
    """How far the prices of its trades were from the entry, bps in the position's favour, before fees."""
    pnl_bps: float
    """What the exit's trades made, net of the fees of both ends, bps of the entry's value."""
    seconds: Floats
    """Time before the exit, negative."""
    price_bps: Floats
    trail_bps: Floats
    """The exit price and, from its arming on, the stop, bps from the entry in the position's favour, before fees."""


def exit_rows(exits: Mapping[str, Any], fills: Mapping[str, FillRows], currencies: Mapping[str, str]) -> Rows:
    """Return what reduced positions: each exit, what quotes and signals did, and all of them, which is their sum.

    Columns are the orders, which only exits have, trades, their PnL and the fees of all fills of that kind; amounts of
    several currencies stand beside each other. `currencies` are the symbols' quote currencies.
    """
    purposes = {purpose for rows in fills.values() for purpose in rows.purposes}
    others = {reason_name(name): _sums(fills, currencies, {name}) for name in sorted(purposes - exits.keys())}
    others = {name: sums for name, sums in others.items() if sums[0]} | {
        "all": _sums(fills, currencies, purposes)
    }
    fees = [_amounts(_sums(fills, currencies, {reason})[2], unsigned_amount) for reason in exits]
    return [
        *((name, [*cells, fee]) for (name, cells), fee in zip(exit_table(exits), fees, strict=True)),
        *(
            (
                name,
                [
                    Cell(NONE),
                    Cell(f"{trades:,}"),
                    _amounts(pnl, signed_amount),
                    _amounts(paid, unsigned_amount),
                ],
            )
            for name, (trades, pnl, paid) in others.items()
        ),
    ]


type _Amounts = dict[str, float]


def _sums(
    fills: Mapping[str, FillRows], currencies: Mapping[str, str], purposes: Set[str]
) -> tuple[int, _Amounts, _Amounts]:
    """Return how many trades fills of some purposes made, their PnL and the fees of all these fills, by currency."""
    trades, pnl, fees = 0, defaultdict[str, float](float), defaultdict[str, float](float)
    for symbol, rows in fills.items():
        own = np.array([purpose in purposes for purpose in rows.purposes], dtype=np.bool_)
        reduced = own & rows.is_trade
        trades += int(reduced.sum())
        if reduced.any():
            pnl[currencies[symbol]] += float(rows.trade_pnl[reduced].sum())
        if own.any():
            fees[currencies[symbol]] += float(rows.fee[own].sum())
    return trades, pnl, fees


def _amounts(amounts: _Amounts, write: Callable[[float, str, int], str]) -> Cell:
    texts = (write(value, code, shared_decimals([value], code)) for code, value in amounts.items())
    return Cell(", ".join(texts) or NONE, (), write is signed_amount and len(amounts) == 1)


def trail_paths(files: RunFiles, fills: Mapping[str, FillRows]) -> list[TrailPath]:
    """Return the paths of the last trailing stops that were hit, in time order.

    One whose moment the market's table lacks is left out: tables of a run that was cut off end at different moments.
    """
    hit = [(rows, group) for rows in fills.values() for group in _trailing_exits(rows)]
    hit.sort(key=lambda found: found[0].ts_ns[found[1][0]])
    paths = (_trail_path(files, rows, group) for rows, group in hit[-MOST_TRAILS:])
    return [path for path in paths if path is not None]


def _trailing_exits(rows: FillRows) -> list[list[int]]:
    """Return the executions of each exit by a trailing stop: no other fill of the symbol stands between them."""
    alike = groupby(range(len(rows.purposes)), key=rows.purposes.__getitem__)
    found = [list(group) for purpose, group in alike if purpose == ExitReason.TRAILING_STOP.value]
    return [group for group in found if not np.isnan(rows.entry_price[group[0]])]


def _trail_path(files: RunFiles, rows: FillRows, group: list[int]) -> TrailPath | None:
    is_long, entry = bool(rows.direction[group[0]] < 0), float(rows.entry_price[group[0]])
    columns = ["ts_event", "trade_id", "best_bid", "best_ask", "trailing_stop_price"]
    table = files.table("market", columns, rows.symbol)
    moments, trails = times(table), numbers(table, "trailing_stop_price").copy()
    prices = numbers(table, "best_bid" if is_long else "best_ask")
    trade_ids, trade_id = texts(table, "trade_id"), rows.trade_ids[group[0]]
    if trade_id not in trade_ids:
        return None
    last = trade_ids.index(trade_id) + 1  # live, the row of a fill is some milliseconds younger than the fill
    at_ns, sign = int(moments[last - 1]), 1.0 if is_long else -1.0
    unarmed = np.flatnonzero(np.isnan(trails[:last])) + 1
    # A stop that goes back was armed again between two rows: for a new position, or after an add at a loss.
    armed_again = np.flatnonzero(np.diff(sign * trails[:last], prepend=np.nan) < 0)
    trails[: max([0, *unarmed[-1:], *armed_again[-1:]])] = np.nan
    since_ns = max(at_ns - _PATH_NS, int(rows.opened_ns[group[0]]))
    part = slice(min(int(np.searchsorted(moments, since_ns)), last - 1), last)
    closed = float(np.nansum(rows.closed[group]))
    return TrailPath(
        rows.symbol,
        int(rows.ts_ns[group[0]]),
        is_long,
        float(np.nansum(rows.move_bps[group] * rows.closed[group])) / closed if closed else np.nan,
        float(_BPS * np.nansum(rows.trade_pnl[group]) / (entry * closed)) if closed else np.nan,
        (moments[part] - at_ns) / 1e9,
        sign * _BPS * (prices[part] / entry - 1.0),
        sign * _BPS * (trails[part] / entry - 1.0),
    )


def trail_panels(paths: Sequence[TrailPath]) -> list[dict[str, Any]]:
    """Return small charts of trailing stops on one scale, with lines as the points of SVG.

    Each has ``title``, ``ms`` (the exit's moment, milliseconds since the epoch), ``symbol``, ``price`` and ``stop``
    (points), ``marks`` (height and text of its scale, bps from the entry) and ``seconds`` (its length).
    """
    values = np.concatenate(
        [[0.0], *(column for path in paths for column in (path.price_bps, path.trail_bps))]
    )
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return [_panel(path, low, max(high, low + 1.0)) for path in paths]


def _panel(path: TrailPath, low: float, high: float) -> dict[str, Any]:
    def down(value: float) -> float:
        return _EDGE + (high - value) / (high - low) * (_HEIGHT - 2 * _EDGE)

    length = max(-float(path.seconds[0]), 1e-9)

    def points(values: Floats, *, is_step: bool) -> str:
        found: list[str] = []
        for row in min_max_rows(values, _BUCKETS).tolist():
            if np.isnan(values[row]):
                continue
            across = _LEFT + (path.seconds[row] + length) / length * (_WIDTH - _LEFT - _EDGE)
            if is_step and found:
                found.append(f"{across:.1f},{found[-1].partition(',')[2]}")
            found.append(f"{across:.1f},{down(values[row]):.1f}")
        if is_step and len(found) == 1:  # armed by the event that hit it
            found.insert(0, f"{_WIDTH - _EDGE - _DASH:.1f},{found[0].partition(',')[2]}")
        return " ".join(found)

    return {
        "title": f"{path.symbol} {moment(path.ts_ns):%H:%M:%S} {'long' if path.is_long else 'short'}",
        "move_bps": path.move_bps,
        "pnl_bps": path.pnl_bps,
        "ms": path.ts_ns // 1_000_000,
        "symbol": path.symbol,
        "price": points(path.price_bps, is_step=False),
        "stop": points(path.trail_bps, is_step=True),
        "marks": [(f"{down(mark):.1f}", f"{mark:+z.0f}") for mark in sorted({low, 0.0, high})],
        "seconds": f"{length:.0f}",
    }
