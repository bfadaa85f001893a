"""Runs side by side: the parameters that differ, the figures, and what each had earned over time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mm_nautilus.errors import DataError
from mm_nautilus.report.console import PartedTable, text_table
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.figures import (
    HOVER_ANYWHERE,
    Figure,
    figure,
    milliseconds,
    min_max_rows,
    series,
    significant,
    sparkline,
    thin_line,
)
from mm_nautilus.report.money import amount_decimals, signed_amount
from mm_nautilus.report.rows import (
    EQUITY_ROWS,
    FILL_ROWS,
    NONE,
    SYMBOL_ROWS,
    Row,
    maker_quality,
    texts,
    with_decimals,
)
from mm_nautilus.report.run_files import RunFiles, numbers, times
from mm_nautilus.report.session import moment_text, short_data_text
from mm_nautilus.system.moments import SECOND_NS

type Floats = NDArray[np.float64]

_FILL_FIGURES: Final = ((0.0, "spread captured"), (1.0, "mark-out"), (5.0, "mark-out"), (30.0, "mark-out"))
_BUCKETS: Final = 400
_CURVE_WIDTH: Final = 40
_UNITS: Final = (("h", 3_600.0), ("min", 60.0), ("s", 1.0))
"""Units of the time since a run's start, the longest first."""


class ComparedRun(NamedTuple):
    """One of the runs: its folder's name, its files, its configuration by dotted keys, and what it had earned."""

    label: str
    files: RunFiles
    parameters: Mapping[str, Any]
    ts_ns: NDArray[np.int64]
    trading_pnl: Floats
    """Trading PnL net of fees over time, report currency, at moments in nanoseconds since the epoch."""


class FigureRow(NamedTuple):
    """One figure of every run."""

    group: str
    """``account`` or a symbol."""
    name: str
    texts: tuple[str, ...]
    """As it is shown, one a run."""
    values: tuple[Mapping[str, Any] | None, ...]
    """The figures themselves, by their keys in the summary; None where a run has none."""


class Comparison(NamedTuple):
    """Runs side by side, in the order given."""

    runs: tuple[ComparedRun, ...]
    parameters: tuple[tuple[str, tuple[Any, ...]], ...]
    """Keys whose values differ, with the value of each run; None where a run lacks the key."""
    figures: tuple[FigureRow, ...]
    notes: tuple[str, ...]
    """Why the runs may not be comparable."""

    @property
    def is_simulated(self) -> bool:
        """Whether any run had simulated data."""
        return any(run.files.summary["simulated_data"] for run in self.runs)


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Read runs and put them side by side.

    A DataError says that there are fewer than two, one is given twice, or a folder is not a run's.
    """
    if len(folders) < 2:
        raise DataError(f"compare needs at least two runs, was {len(folders)}")
    resolved = [folder.resolve() for folder in folders]
    for folder in folders:
        if resolved.count(folder.resolve()) > 1:
            raise DataError(f"the runs to compare must differ, was {folder} twice")
    names = [folder.name for folder in resolved]
    runs = tuple(
        _compared(folder, folder.name if names.count(folder.name) == 1 else str(given))
        for folder, given in zip(resolved, folders, strict=True)
    )
    return Comparison(runs, _differing(runs), tuple(_figures(runs)), tuple(_notes(runs)))


def _compared(folder: Path, label: str) -> ComparedRun:
    files = read_run(folder)
    table = files.table("equity", ["ts_event", "trading_pnl"])
    document = files.config
    document.pop("output", None)  # it says nothing about results
    pnl = numbers(table, "trading_pnl")
    return ComparedRun(label, files, dict(_flat(document)), times(table), pnl)


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, (*path, str(key)))
    else:
        yield ".".join(path), value


def _differing(runs: Sequence[ComparedRun]) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    keys = dict.fromkeys(key for run in runs for key in run.parameters)
    rows = ((key, tuple(run.parameters.get(key) for run in runs)) for key in keys)
    return tuple(
        (key, values)
        for key, values in rows
        if any(value != values[0] for value in values) or any(key not in run.parameters for run in runs)
    )


def _figures(runs: Sequence[ComparedRun]) -> Iterator[FigureRow]:
    summaries = [run.files.summary for run in runs]
    for row in EQUITY_ROWS:
        equities = [summary["equity"] and with_decimals(summary["equity"]) for summary in summaries]
        yield _row("account", row.name, row, equities)
    symbols = dict.fromkeys(symbol for summary in summaries for symbol in summary["symbols"])
    rows = {row.name: row for row in FILL_ROWS}
    for symbol in symbols:
        found = [summary["symbols"].get(symbol) for summary in summaries]
        for row in SYMBOL_ROWS:
            yield _row(symbol, row.name, row, found)
        for seconds, name in _FILL_FIGURES:
            label = name if seconds == 0 else f"{name} after {seconds:g} s"
            qualities = [None if figures is None else maker_quality(figures, seconds) for figures in found]
            yield _row(symbol, label, rows[name], qualities)


def _row(group: str, name: str, row: Row, found: Sequence[Mapping[str, Any] | None]) -> FigureRow:
    return FigureRow(
        group,
        name,
        tuple(texts(row, found)),
        tuple(None if figures is None else {key: figures[key] for key in row.keys} for figures in found),
    )


def _notes(runs: Sequence[ComparedRun]) -> Iterator[str]:
    """Yield what makes a comparison of these runs unfair."""
    summaries = [run.files.summary for run in runs]
    differing: Mapping[str, Sequence[Any]] = {
        "cover different periods": [(s["period"]["start"], s["period"]["end"]) for s in summaries],
        "are partly backtests and partly paper trading": [run.files.is_sandbox for run in runs],
        "have different kinds of data": [short_data_text(s) for s in summaries],
        "report in different currencies": [s["report_currency"] for s in summaries],
        "have different catalogs": [
            run.parameters.get("feed.catalog" if run.files.is_sandbox else "catalog") for run in runs
        ],
    }
    for words, values in differing.items():
        if any(value != values[0] for value in values):
            yield f"these runs {words}"
    folders = [run.files.folder for run in runs]  # they hold copies of modules of one's own
    sources = [
        {str(file.relative_to(each)): file.read_bytes() for file in each.rglob("*.py")} for each in folders
    ]
    for name in sorted({name for found in sources for name in found}):
        texts = [found[name] for found in sources if name in found]
        if any(text != texts[0] for text in texts):
            yield f"these runs have different versions of {name}"
    for run in runs:
        yield from _notes_of(run)


def _notes_of(run: ComparedRun) -> Iterator[str]:
    """Yield what has to be known of one run."""
    summary = run.files.summary
    status = summary["status"]
    if status in {"starting", "running"}:
        yield f"{run.label} had not ended: its figures are those of {moment_text(summary['period']['end'])}"
    elif status != "completed":
        yield f"{run.label} {'was interrupted' if status == 'interrupted' else status}"
    if summary.get("start", {}).get("is_resumed", False):
        yield f"{run.label} continued from a saved state: its fills, trades, orders and money include earlier runs"


def plain_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values: what ``--json`` prints."""
    return {
        "runs": [
            {
                "label": run.label,
                "folder": str(run.files.folder),
                "name": run.files.summary["name"],
                "status": run.files.summary["status"],
                "simulated_data": run.files.summary["simulated_data"],
                "period": run.files.summary["period"],
                "currency": run.files.summary["report_currency"],
                "curve": _plain_curve(run),
            }
            for run in comparison.runs
        ],
        "notes": list(comparison.notes),
        "parameters": {key: list(values) for key, values in comparison.parameters},
        "figures": [
            {"group": row.group, "name": row.name, "values": list(row.values)} for row in comparison.figures
        ],
    }


def _plain_curve(run: ComparedRun) -> dict[str, list[Any]]:
    rows = min_max_rows(run.trading_pnl, _BUCKETS)
    return {"ts_ms": milliseconds(run.ts_ns[rows]), "trading_pnl": significant(run.trading_pnl[rows])}


def value_text(value: Any) -> str:
    """Return a parameter's value as YAML has it, and a dash for none."""
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def comparison_parts(comparison: Comparison) -> dict[str, Any]:
    """Return what the page of a comparison shows."""
    groups: dict[str, list[FigureRow]] = {}
    for row in comparison.figures:
        groups.setdefault(row.group, []).append(row)
    return {
        "labels": [run.label for run in comparison.runs],
        "summaries": [run.files.summary for run in comparison.runs],
        "is_simulated": comparison.is_simulated,
        "notes": comparison.notes,
        "parameters": [
            (key, [value_text(value) for value in values]) for key, values in comparison.parameters
        ],
        "groups": groups,
        "figures": {"curves": _curves_figure(comparison.runs)},
    }


def _curves_figure(runs: Sequence[ComparedRun]) -> Figure:
    """Return the trading PnL of all runs: by time of day where they cover the same period, else since their starts."""
    periods = {tuple(run.files.summary["period"].values()) for run in runs}
    unit, unit_seconds = _unit(run.files.summary["period"]["seconds"] for run in runs)
    traces = []
    for number, run in enumerate(runs):
        currency = run.files.summary["report_currency"]
        look: dict[str, Any] = {
            "hover": f"%{{y:,.{amount_decimals(currency)}f}} {currency}",
            **series(number),
        }
        trace = thin_line(_BUCKETS, run.label, run.ts_ns, run.trading_pnl, width=2, **look)
        if len(periods) > 1 and len(run.ts_ns):
            moments = run.ts_ns[min_max_rows(run.trading_pnl, _BUCKETS)]
            trace["x"] = ((moments - run.ts_ns[0]) / (unit_seconds * SECOND_NS)).round(6).tolist()
        traces.append(trace)
    currencies = ", ".join(dict.fromkeys(run.files.summary["report_currency"] for run in runs))
    made = figure(
        traces, [f"trading PnL, net of fees, {currencies}"], [1], pixels=460, hoverdistance=HOVER_ANYWHERE
    )
    if len(periods) > 1:
        made["layout"]["xaxis"] |= {"type": "linear", "ticksuffix": f" {unit}", "hoverformat": ".3f"}
    return made


def _unit(lengths: Iterable[float]) -> tuple[str, float]:
    """Return the unit in which the longest of so many seconds is more than two, and its seconds."""
    longest = max(lengths)
    return next((unit for unit in _UNITS if longest > 2 * unit[1]), _UNITS[-1])


# -- On a terminal --------------------------------------------------------------------------------------------


def _curve_table(comparison: Comparison) -> Table:
    table = text_table("Trading PnL over time, net of fees", ["run", "", "lowest", "highest", "at the end"])
    for run in comparison.runs:
        known = run.trading_pnl[~np.isnan(run.trading_pnl)]
        currency = run.files.summary["report_currency"]
        figures = [known.min(), known.max(), known[-1]] if len(known) else []
        texts = [signed_amount(float(value), currency) for value in figures] or [NONE] * 3
        table.add_row(Text(run.label), sparkline(known, _CURVE_WIDTH), *texts)
    return table


def _parameter_table(comparison: Comparison) -> PartedTable | Text:
    if not comparison.parameters:
        return Text("Parameters: the same in all runs\n")
    labels = (run.label for run in comparison.runs)
    table = text_table("Parameters that differ", ["", *labels], is_numeric=False)
    for key, values in comparison.parameters:
        table.add_row(Text(key), *(Text(value_text(value)) for value in values))
    return PartedTable(table)


def _figure_tables(comparison: Comparison) -> list[Table]:
    tables: dict[str, Table] = {}
    for row in comparison.figures:
        if row.group not in tables:
            title = "Account" if row.group == "account" else row.group
            tables[row.group] = text_table(title, ["", *(run.label for run in comparison.runs)])
        tables[row.group].add_row(row.name, *row.texts)
    return list(tables.values())


def comparison_view(comparison: Comparison) -> Group:
    """Return a comparison as something rich can print."""
    heading = [Text("SIMULATED data: these figures say nothing about a market")]
    return Group(
        *(heading if comparison.is_simulated else []),
        *(Text(f"note: {note}") for note in comparison.notes),
        _parameter_table(comparison),
        *map(PartedTable, _figure_tables(comparison)),
        PartedTable(_curve_table(comparison)),
    )
