"""Runs side by side as tables on a terminal."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mm_nautilus.report.compare import Comparison, Curve, value_text
from mm_nautilus.report.money import signed_amount
from mm_nautilus.report.rows import NONE

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH: Final = 40


def _table(title: str, columns: Iterable[str], *, is_numeric: bool = True) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        justify = "right" if index and is_numeric else "left"
        table.add_column(Text(column), justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def sparkline(curve: Curve, width: int = _CURVE_WIDTH) -> str:
    """Return a curve as a line of blocks, from its lowest to its highest point; empty where nothing is known."""
    known = curve.trading_pnl[~np.isnan(curve.trading_pnl)]
    if not len(known):
        return ""
    picked = known[np.linspace(0, len(known) - 1, min(width, len(known))).round().astype(int)]
    low, high = float(known.min()), float(known.max())
    if high <= low:
        return _LEVELS[0] * len(picked)
    levels = ((picked - low) / (high - low) * (len(_LEVELS) - 1)).round().astype(int)
    return "".join(_LEVELS[level] for level in levels.tolist())


def _curve_table(comparison: Comparison) -> Table:
    table = _table("Trading PnL over time, net of fees", ["run", "", "lowest", "highest", "at the end"])
    for run in comparison.runs:
        known = run.curve.trading_pnl[~np.isnan(run.curve.trading_pnl)]
        currency = run.files.summary["report_currency"]
        figures = [known.min(), known.max(), known[-1]] if len(known) else []
        texts = [signed_amount(float(value), currency) for value in figures] or [NONE] * 3
        table.add_row(Text(run.label), sparkline(run.curve), *texts)
    return table


def _parameter_table(comparison: Comparison) -> Table | Text:
    if not comparison.parameters:
        return Text("Parameters: the same in all runs\n")
    labels = (run.label for run in comparison.runs)
    table = _table("Parameters that differ", ["", *labels], is_numeric=False)
    for key, values in comparison.parameters:
        table.add_row(Text(key), *(Text(value_text(value)) for value in values))
    return table


def _figure_tables(comparison: Comparison) -> list[Table]:
    tables: dict[str, Table] = {}
    for row in comparison.figures:
        if row.group not in tables:
            title = "Account" if row.group == "account" else row.group
            tables[row.group] = _table(title, ["", *(run.label for run in comparison.runs)])
        tables[row.group].add_row(row.name, *row.texts)
    return list(tables.values())


def comparison_view(comparison: Comparison) -> Group:
    """Return a comparison as something rich can print."""
    simulated = any(run.files.summary["simulated_data"] for run in comparison.runs)
    heading = [Text("SIMULATED data: these figures say nothing about a market")] if simulated else []
    return Group(
        *heading,
        *(Text(f"note: {note}") for note in comparison.notes),
        _parameter_table(comparison),
        *_figure_tables(comparison),
        _curve_table(comparison),
    )


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison."""
    console.print(comparison_view(comparison))
