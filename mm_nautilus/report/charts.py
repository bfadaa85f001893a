"""The charts of a run except its symbols' markets: money, what fills were worth, orders, reasons for not quoting."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.market.rates import Rates
from mm_nautilus.report.figures import (
    HOVER_ANYWHERE,
    Figure,
    bars,
    figure,
    hatching,
    line,
    series,
    significant,
    thin_line,
    x_axis,
)
from mm_nautilus.report.money import amount_decimals
from mm_nautilus.report.run_files import RunFiles, amounts, numbers, times
from mm_nautilus.risk.rate_limit import RateRules

type Floats = NDArray[np.float64]
type Moments = NDArray[np.int64]

_BUCKETS: Final = 750
"""Stretches a line of money is drawn with; each has its lowest and its highest point."""
_MINUTE_NS: Final = 60_000_000_000
_MINUTE_MS: Final = 60_000
_MOST_BARS: Final = 360
EQUITY_VIEWS: Final = {
    "pnl": "trading PnL, net of fees",
    "before-fees": "trading PnL before fees",
    "equity": "equity marked to market",
    "drawdown": "drawdown of trading PnL",
}
"""Views of the equity figure, and their titles."""
EQUITY_BUTTONS: Final = {
    "pnl": "trading PnL",
    "before-fees": "before fees",
    "equity": "equity",
    "drawdown": "drawdown",
}
"""What the buttons of the views say."""
_KINDS: Final = (
    ("placed", "@total", ""),
    ("amended", "@market", "/"),
    ("cancelled", "@touch", "x"),
    ("rejected", "@warn", "."),
    ("denied", "@pause", "|"),
)

# -- Money --------------------------------------------------------------------------------------------------


class ProfitPath(NamedTuple):
    """Profit over time in the report currency, marked at mid."""

    ts_ns: Moments
    """Nanoseconds since the epoch."""
    net: Floats
    """Total PnL since the start, net of fees; NaN while a price for it was missing."""
    fees: Floats
    """Fees charged so far, at the mids of the moment."""

    @property
    def before_fees(self) -> Floats:
        """Profit of the same fills at no cost."""
        return self.net + self.fees

    @property
    def drawdown(self) -> Floats:
        """How far `net` is below its best so far, where the best starts at 0; never positive."""
        known = np.where(np.isnan(self.net), -np.inf, self.net)
        best = np.maximum(np.maximum.accumulate(known), 0.0) if len(known) else known
        return self.net - best


class EquityPaths(NamedTuple):
    """The money of a run over time, in the report currency."""

    currency: str
    equity: Floats
    """Value of all balances at the moments of `total`."""
    revaluation: Floats
    """Change in value of the starting balances by prices alone, at the same moments."""
    total: ProfitPath
    symbols: Mapping[str, ProfitPath]
    """Trading profit of all symbols together, and of each."""


def equity_paths(files: RunFiles) -> EquityPaths:
    """Read a run's money over time; a DataError where a table is missing or damaged."""
    currency, rate = files.summary["report_currency"], _rates_over_time(files)
    table = files.table("equity", ["ts_event", "equity", "trading_pnl", "revaluation"])
    ts_ns = times(table)
    symbols, total_fees = {}, np.zeros(len(ts_ns))
    for symbol, figures in files.summary["symbols"].items():
        rows = files.table("metrics", ["ts_event", "total_pnl_report", "fees"], symbol)
        moments, fees, quote = times(rows), amounts(rows, "fees"), figures["currency"]
        symbols[symbol] = ProfitPath(
            moments, amounts(rows, "total_pnl_report"), fees * rate(quote, currency, moments)
        )
        total_fees = total_fees + _in_force(moments, fees, ts_ns, 0.0) * rate(quote, currency, ts_ns)
    return EquityPaths(
        currency,
        numbers(table, "equity"),
        numbers(table, "revaluation"),
        ProfitPath(ts_ns, numbers(table, "trading_pnl"), total_fees),
        symbols,
    )


def _in_force(moments: Moments, values: Floats, ts_ns: Moments, before: float) -> Floats:
    """Return the last of the values at each moment, and `before` ahead of the first."""
    return np.concatenate([[before], values])[np.searchsorted(moments, ts_ns, side="right")]


def _rates_over_time(files: RunFiles) -> Callable[[str, str, Moments], Floats]:
    """Return a function that gives the value of one unit of a currency in another at moments; NaN where unknown."""
    paths, pairs = {}, {}
    for symbol, figures in files.summary["symbols"].items():
        table = files.table(files.mids, ["ts_event", "mid_price"], symbol)
        ts_ns, mids = times(table), numbers(table, "mid_price")
        known = ~np.isnan(mids)
        paths[symbol] = ts_ns[known], mids[known]
        pairs[symbol] = (figures["base_currency"], figures["currency"])
    rates = Rates(pairs, lambda _symbol: 1.0, 1.0)

    def rate(source: str, target: str, ts_ns: Moments) -> Floats:
        legs = rates.path(source, target)
        found = np.full(len(ts_ns), np.nan if legs is None else 1.0)
        for leg in legs or ():
            mids = _in_force(*paths[leg.symbol], ts_ns, np.nan)
            found = found / mids if leg.inverse else found * mids
        return found

    return rate


def equity_figure(paths: EquityPaths) -> Figure:
    """Return one figure with several views, of which its buttons show one: PnL, before fees, equity, drawdown."""
    currency, total = paths.currency, paths.total
    decimals = amount_decimals(currency)
    whole, fine = f"%{{y:,.{decimals}f}} {currency}", f"%{{y:,.{max(4, decimals)}f}} {currency}"
    start = paths.equity - total.net - paths.revaluation
    moments = total.ts_ns
    net, gross, alone = (
        {"colour": colour, "dash": dash, "hover": whole}
        for colour, dash in (("@total", "solid"), ("@gross", "dash"), ("@muted", "dot"))
    )
    lines = [
        ("pnl", _line("trading PnL, all", moments, total.net, width=2.5, **net)),
        ("before-fees", _line("all, before fees", moments, total.before_fees, width=2.5, **net)),
        ("equity", _line("equity", moments, paths.equity, width=2.5, **net)),
        ("equity", _line("equity without fees", moments, paths.equity + total.fees, **gross)),
        ("equity", _line("without trading", moments, start + paths.revaluation, **alone)),
        ("drawdown", _line("drawdown, all", moments, total.drawdown, width=2.5, **net)),
    ]
    for number, (symbol, path) in enumerate(paths.symbols.items()):
        look: dict[str, Any] = {"hover": fine, **series(number)}
        lines += [
            ("pnl", _line(symbol, path.ts_ns, path.net, **look)),
            ("before-fees", _line(f"{symbol}, before fees", path.ts_ns, path.before_fees, **look)),
            ("drawdown", _line(f"{symbol}, drawdown", path.ts_ns, path.drawdown, **look)),
        ]
    traces = [trace | {"meta": {"view": view}} for view, trace in lines]
    made = figure(
        traces, [f"{EQUITY_VIEWS['pnl']}, {currency}"], [1], pixels=400, hoverdistance=HOVER_ANYWHERE
    )
    return made | {"views": {view: f"{title}, {currency}" for view, title in EQUITY_VIEWS.items()}}


_line = partial(thin_line, _BUCKETS)


# -- Fills --------------------------------------------------------------------------------------------------


def fill_quality_figure(symbols: Mapping[str, Any]) -> Figure:
    """Return, for each symbol and horizon, the parts of a fill that made liquidity, and their sum."""
    entries = [
        (symbol, quality)
        for symbol, figures in symbols.items()
        for quality in figures["fill_quality"]["maker"]
        if quality["seconds"] > 0 and quality["fills"]
    ]
    x = [[symbol for symbol, _ in entries], [f"{quality['seconds']:g} s" for _, quality in entries]]
    traces = [
        *(
            bars(name, x, y, colour=colour, pattern=pattern, hover="%{x}: %{y:+.2f} bps", width=0.6)
            for name, y, colour, pattern in (
                ("spread captured", [quality["spread_bps"] for _, quality in entries], "@gain", ""),
                ("adverse selection", [-quality["adverse_bps"] for _, quality in entries], "@loss", "/"),
                ("fees", [-quality["fees_bps"] for _, quality in entries], "@muted", ""),
            )
        ),
        _mark("mark-out, before fees", x, entries, "mark_out_bps", "diamond"),
        _mark("net of fees", x, entries, "net_bps", "circle"),
    ]
    return figure(
        traces,
        ["maker fills, bps of their value"],
        [1],
        pixels=420,
        barmode="relative",
        hovermode="closest",
        xaxis={
            "type": "multicategory",
            "linecolor": "@axis",
            "anchor": "y",
            "automargin": True,
            "tickangle": 0,
        },
        yaxis={"ticksuffix": " bps"},
    )


def _mark(name: str, x: Sequence[Any], entries: Sequence[tuple[str, Any]], key: str, symbol: str) -> Figure:
    errors = [quality["standard_error_bps"] or 0.0 for _, quality in entries]
    is_shown = key == "mark_out_bps"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(x),
        "y": [quality[key] for _, quality in entries],
        "customdata": [
            [quality["fills"], error] for (_, quality), error in zip(entries, errors, strict=True)
        ],
        "error_y": {"type": "data", "array": errors, "visible": is_shown, "color": "@text", "thickness": 1},
        "marker": {
            "symbol": symbol,
            "size": 12,
            "color": "@paper",
            "line": {"width": 2, "color": "@text"},
        },
        "hovertemplate": (
            f"%{{x}}: {name} %{{y:+.2f}} bps, standard error %{{customdata[1]:.2f}} bps, "
            "fills %{customdata[0]:,}<extra></extra>"
        ),
    }


# -- Orders -------------------------------------------------------------------------------------------------


class _Stretches(NamedTuple):
    """Whole minutes of a run, as many together as there is room for."""

    first: int
    """The first minute since the epoch."""
    minutes: int
    """Minutes in a stretch."""
    number: int

    @classmethod
    def of(cls, start_ns: int, end_ns: int) -> Self:
        """Return the stretches of a span, nanoseconds since the epoch."""
        first, last = start_ns // _MINUTE_NS, end_ns // _MINUTE_NS
        minutes = -(-(last - first + 1) // _MOST_BARS)
        return cls(first, minutes, -(-(last - first + 1) // minutes))

    @property
    def width_ms(self) -> int:
        """Length of each."""
        return self.minutes * _MINUTE_MS

    @property
    def borders_ms(self) -> list[int]:
        """Begin of each, and the end of the last."""
        return [self.first * _MINUTE_MS + number * self.width_ms for number in range(self.number + 1)]

    def means(self, files: RunFiles, names: Sequence[str], symbol: str) -> dict[str, Floats]:
        """Return a symbol's counts of the table of actions, as means a minute of each stretch."""
        table = files.table("actions", ["ts_event", *names], symbol)
        rows = np.clip((times(table) // _MINUTE_NS - self.first) // self.minutes, 0, self.number - 1)
        return {name: np.bincount(rows, numbers(table, name), self.number) / self.minutes for name in names}

    def steps(self, symbol: str, values: Floats, unit: str, number: int) -> Figure:
        """Return a symbol's means as a line of steps, the last of which is as wide as the others."""
        y, hover = significant(np.append(values, values[-1])), f"%{{y:.1f}} {unit} a minute"
        return line(symbol, self.borders_ms, y, is_step=True, hover=hover, **series(number))


def actions_figure(files: RunFiles, start_ns: int, end_ns: int) -> Figure:
    """Return requotes a minute of each symbol, and order actions a minute by kind.

    A run of more minutes than there are bars is drawn in stretches of several minutes, as means a minute.
    """
    stretches = _Stretches.of(start_ns, end_ns)
    width = stretches.width_ms
    names = [name for name, _, _ in _KINDS]
    totals = {name: np.zeros(stretches.number) for name in names}
    traces = []
    for number, symbol in enumerate(files.summary["symbols"]):
        counts = stretches.means(files, names, symbol)
        for name in names:
            totals[name] += counts[name]
        traces.append(stretches.steps(symbol, counts["placed"] + counts["amended"], "requotes", number))
    middles = [begin + width / 2 for begin in stretches.borders_ms[:-1]]
    look: dict[str, Any] = {"hover": "%{y:.1f} a minute", "row": 2, "width": width}
    traces += [
        bars(name, middles, significant(totals[name]), colour=colour, pattern=pattern, **look)
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


def points_figure(files: RunFiles, start_ns: int, end_ns: int, rules: RateRules) -> Figure:
    """Return the points of a rate limit that each symbol spent a minute, and what the limit gives back in one."""
    stretches = _Stretches.of(start_ns, end_ns)
    traces = [
        stretches.steps(symbol, stretches.means(files, ["points"], symbol)["points"], "points", number)
        for number, symbol in enumerate(files.summary["symbols"])
    ]
    given_back = 60.0 * rules.points_per_second
    traces.append(
        line(
            f"given back, {'each pair' if rules.is_per_pair else 'all pairs'}",
            [stretches.borders_ms[0], stretches.borders_ms[-1]],
            [given_back, given_back],
            colour="@warn",
            dash="dash",
            hover="%{y:.1f} points a minute given back",
        )
    )
    return figure(
        traces,
        [f"points spent a minute, {rules.name}"],
        [1],
        pixels=300,
        hoverdistance=HOVER_ANYWHERE,
        yaxis={"rangemode": "tozero"},
    )


def reasons_figure(symbols: Mapping[str, Any]) -> Figure:
    """Return the time in each reason for not quoting, one bar a side of each of a summary's symbols."""
    held = {
        f"{symbol} {side}": reasons
        for symbol, figures in symbols.items()
        for side, reasons in figures["not_quoting"].items()
    }
    known = sorted({reason for reasons in held.values() for reason in reasons})
    traces = [
        bars(
            reason,
            [reasons[reason]["seconds"] if reason in reasons else 0.0 for reasons in held.values()],
            list(held),
            **hatching(number),
            hover="%{x:,.1f} s",
            orientation="h",
        )
        for number, reason in enumerate(known)
    ]
    return figure(
        traces,
        ["seconds without a quote"],
        [1],
        pixels=140 + 34 * len(held),
        barmode="stack",
        hovermode="closest",
        xaxis=x_axis(tickformat=",d"),
        yaxis={"autorange": "reversed", "type": "category"},
    )
