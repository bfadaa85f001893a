"""Figures of what was sent and what kept sides without a quote."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.report.figures import HOVER_ANYWHERE, SERIES, Figure, bars, figure, line, significant
from mm_nautilus.report.run_files import RunFiles, numbers, times
from mm_nautilus.report.symbol_view import PATTERNS, REASON_COLOURS

type Floats = NDArray[np.float64]

_MINUTE_NS: Final = 60_000_000_000
_NS_PER_MS: Final = 1_000_000
_MOST_BARS: Final = 360
_REQUOTES: Final = ("placed", "amended")
_KINDS: Final = (
    ("placed", "@s0", ""),
    ("amended", "@s3", "/"),
    ("cancelled", "@s1", "x"),
    ("rejected", "@warn", "."),
    ("denied", "@mid", "|"),
)


def actions_figure(files: RunFiles, start_ns: int, end_ns: int) -> Figure:
    """Return requotes a minute of each symbol, and order actions a minute by kind.

    A run of more minutes than there are bars is drawn in stretches of several minutes, as means a minute.

    Parameters
    ----------
    files
        The run.
    start_ns, end_ns
        The run's span, nanoseconds since the epoch.

    Raises
    ------
    DataError
        If ``actions.parquet`` is missing or damaged.
    """
    first, last = start_ns // _MINUTE_NS, end_ns // _MINUTE_NS
    stretch = -(-(last - first + 1) // _MOST_BARS)
    count = -(-(last - first + 1) // stretch)
    minutes = [(first + number * stretch) * _MINUTE_NS // _NS_PER_MS for number in range(count)]
    width = stretch * _MINUTE_NS // _NS_PER_MS
    names = [name for name, _, _ in _KINDS]
    totals = {name: np.zeros(count) for name in names}
    traces = []
    for number, symbol in enumerate(files.summary["symbols"]):
        table = files.table("actions", ["ts_event", *names], symbol)
        bar = (times(table) // _MINUTE_NS - first) // stretch
        counts = {name: _binned(bar, numbers(table, name), count) / stretch for name in names}
        for name in names:
            totals[name] += counts[name]
        colour, dash = SERIES[number % len(SERIES)]
        requotes = sum((counts[name] for name in _REQUOTES), np.zeros(count))
        traces.append(
            line(
                symbol,
                [*minutes, minutes[-1] + width],
                significant(np.append(requotes, requotes[-1])),
                colour=colour,
                dash=dash,
                is_step=True,
                hover="%{y:.1f} requotes a minute",
            )
        )
    traces += [
        bars(
            name,
            [minute + width / 2 for minute in minutes],
            significant(totals[name]),
            colour=colour,
            pattern=pattern,
            hover="%{y:.1f} a minute",
            row=2,
            width=width,
        )
        for name, colour, pattern in _KINDS
    ]
    titles = ("requotes (placed + amended) a minute", "order actions a minute, all symbols")
    return figure(
        traces,
        titles,
        (1, 1),
        pixels=520,
        barmode="stack",
        bargap=0,
        hoverdistance=HOVER_ANYWHERE,
        yaxis={"rangemode": "tozero"},
    )


def _binned(rows: NDArray[np.int64], values: Floats, count: int) -> Floats:
    sums: Floats = np.bincount(np.clip(rows, 0, count - 1), weights=values, minlength=count)
    return sums


def reasons_figure(symbols: Mapping[str, Any]) -> Figure:
    """Return the time in each reason for not quoting, one bar a side of a symbol.

    Parameters
    ----------
    symbols
        A summary's symbols.
    """
    sides = [(symbol, side) for symbol in symbols for side in ("bid", "ask")]
    names = [f"{symbol} {side}" for symbol, side in sides]
    reasons = sorted({reason for symbol, side in sides for reason in symbols[symbol]["not_quoting"][side]})
    traces = [
        bars(
            reason,
            _seconds(symbols, sides, reason),
            names,
            colour=REASON_COLOURS[number % len(REASON_COLOURS)],
            pattern=PATTERNS[number % len(PATTERNS)],
            hover="%{x:,.1f} s",
            orientation="h",
        )
        for number, reason in enumerate(reasons)
    ]
    return figure(
        traces,
        ["seconds without a quote"],
        [1],
        pixels=140 + 34 * len(sides),
        barmode="stack",
        hovermode="closest",
        xaxis={
            "gridcolor": "@grid",
            "linecolor": "@axis",
            "automargin": True,
            "tickformat": ",d",
            "anchor": "y",
        },
        yaxis={"autorange": "reversed", "type": "category"},
    )


def _seconds(symbols: Mapping[str, Any], sides: Sequence[tuple[str, str]], reason: str) -> list[float]:
    found = (symbols[symbol]["not_quoting"][side].get(reason) for symbol, side in sides)
    return [0.0 if entry is None else entry["seconds"] for entry in found]
