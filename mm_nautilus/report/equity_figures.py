"""Figures of the money: equity marked to market, profit of each symbol, and drawdown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.report.decimation import min_max_rows
from mm_nautilus.report.figures import HOVER_ANYWHERE, SERIES, Figure, figure, line, milliseconds, significant
from mm_nautilus.report.mids import MidPaths
from mm_nautilus.report.money import amount_decimals
from mm_nautilus.report.run_files import RunFiles, amounts, numbers, times

type Floats = NDArray[np.float64]
type Moments = NDArray[np.int64]

_BUCKETS: Final = 750
"""Stretches a line is drawn with; each has its lowest and its highest point."""


@dataclass(frozen=True, slots=True)
class ProfitPath:
    """Profit over time in the report currency, marked at mid.

    Parameters
    ----------
    ts_ns
        Moments, nanoseconds since the epoch.
    net
        Total PnL since the start, net of fees; NaN while a price for it was missing.
    fees
        Fees charged so far, at the mids of the moment.
    """

    ts_ns: Moments
    net: Floats
    fees: Floats

    @property
    def before_fees(self) -> Floats:
        """What the same fills would have made had they cost nothing."""
        return self.net + self.fees

    @property
    def drawdown(self) -> Floats:
        """How far `net` is below its best so far, where the best starts at 0; never positive."""
        known = np.where(np.isnan(self.net), -np.inf, self.net)
        best = np.maximum(np.maximum.accumulate(known), 0.0) if len(known) else known
        return self.net - best


@dataclass(frozen=True, slots=True)
class EquityPaths:
    """The money of a run over time, in the report currency.

    Parameters
    ----------
    currency
        The report currency.
    equity
        Value of all balances at the moments of `total`.
    revaluation
        Change in value of the starting balances by prices alone, at the same moments.
    total, symbols
        Trading profit of all symbols together, and of each.
    """

    currency: str
    equity: Floats
    revaluation: Floats
    total: ProfitPath
    symbols: Mapping[str, ProfitPath]


def equity_paths(files: RunFiles) -> EquityPaths:
    """Read a run's money over time.

    Raises
    ------
    DataError
        If a table is missing or damaged.
    """
    currency = files.summary["report_currency"]
    mids = MidPaths(files)
    table = files.table("equity", ["ts_event", "equity", "trading_pnl", "revaluation"])
    ts_ns = times(table)
    symbols, total_fees = {}, np.zeros(len(ts_ns))
    for symbol, figures in files.summary["symbols"].items():
        rows = files.table("metrics", ["ts_event", "total_pnl_report", "fees"], symbol)
        moments, fees = times(rows), amounts(rows, "fees")
        quote = figures["currency"]
        symbols[symbol] = ProfitPath(
            moments, amounts(rows, "total_pnl_report"), fees * mids.rate(quote, currency, moments)
        )
        total_fees = total_fees + _in_force(moments, fees, ts_ns) * mids.rate(quote, currency, ts_ns)
    return EquityPaths(
        currency,
        numbers(table, "equity"),
        numbers(table, "revaluation"),
        ProfitPath(ts_ns, numbers(table, "trading_pnl"), total_fees),
        symbols,
    )


def _in_force(moments: Moments, values: Floats, ts_ns: Moments) -> Floats:
    """Return the last of the values at each moment, 0 ahead of the first."""
    return np.concatenate([[0.0], values])[np.searchsorted(moments, ts_ns, side="right")]


def equity_figure(paths: EquityPaths) -> Figure:
    """Return the figure: equity with and without fees, profit of all symbols, drawdown."""
    currency, total = paths.currency, paths.total
    decimals = amount_decimals(currency)
    whole, fine = f"%{{y:,.{decimals}f}} {currency}", f"%{{y:,.{max(4, decimals)}f}} {currency}"
    start = paths.equity - total.net - paths.revaluation
    moments = total.ts_ns
    net, gross, alone = ("@total", "solid"), ("@gross", "dash"), ("@muted", "dot")
    traces = [
        _line("equity", moments, paths.equity, whole, net, row=1),
        _line("equity without fees", moments, paths.equity + total.fees, whole, gross, row=1),
        _line("without trading", moments, start + paths.revaluation, whole, alone, row=1),
        _line("trading PnL, all", moments, total.net, whole, net, row=2, width=2.5),
        _line("all, before fees", moments, total.before_fees, whole, gross, row=2),
    ]
    for number, (symbol, path) in enumerate(paths.symbols.items()):
        look = SERIES[number % len(SERIES)]
        before = _line(f"{symbol}, before fees", path.ts_ns, path.before_fees, fine, look, row=2, width=0.9)
        drawdown = _line(f"{symbol}, drawdown", path.ts_ns, path.drawdown, fine, look, row=3)
        traces += [
            _line(symbol, path.ts_ns, path.net, fine, look, row=2),
            before | {"visible": "legendonly"},
            drawdown | {"showlegend": False},
        ]
    drawdown = _line("drawdown, all", moments, total.drawdown, whole, net, row=3, width=2.5)
    titles = (
        f"equity marked to market, {currency}",
        f"trading PnL, {currency}",
        f"drawdown of trading PnL, {currency}",
    )
    return figure(
        [*traces, drawdown | {"showlegend": False}],
        titles,
        (3, 3, 2),
        pixels=760,
        hoverdistance=HOVER_ANYWHERE,
    )


def _line(
    name: str,
    ts_ns: Moments,
    values: Floats,
    hover: str,
    look: tuple[str, str],
    *,
    row: int,
    width: float = 1.5,
) -> Figure:
    """Return a line with its colour and dash, of as many points as can be seen."""
    rows = min_max_rows(values, _BUCKETS)
    x, y = milliseconds(ts_ns[rows]), significant(values[rows])
    return line(name, x, y, colour=look[0], dash=look[1], hover=hover, row=row, width=width)
