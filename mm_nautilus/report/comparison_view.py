"""A comparison of runs for people and programs: the answer, the terminal, the page and JSON."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mm_nautilus.report.compare import (
    FEW,
    RESULT,
    ComparedRun,
    Comparison,
    Delta,
    FigureRow,
    trading_result,
    written_decimals,
    written_difference,
)
from mm_nautilus.report.console import PartedTable, text_table
from mm_nautilus.report.figures import (
    HOVER_ANYWHERE,
    SERIES,
    Figure,
    figure,
    milliseconds,
    min_max_rows,
    significant,
    sparkline,
    thin_line,
)
from mm_nautilus.report.money import amount_decimals, signed_amount, unsigned_amount
from mm_nautilus.report.rows import NONE
from mm_nautilus.report.run_folders import halted_symbols, silent_since, silent_words, value_text
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.plain_text import counted, printable

_BUCKETS: Final = 400
_CURVE_WIDTH: Final = 40
_UNITS: Final = (("h", 3_600.0), ("min", 60.0), ("s", 1.0))
"""Units of the time since a run's start, the longest first."""
RANKED: Final = (RESULT, "total PnL, of turnover", "largest drawdown", "fees", "fills")
"""The account's figures in the ranking."""
_MOST_CURVES: Final = 10
_MOST_KEYS: Final = 4


# -- The answer -----------------------------------------------------------------------------------------------


def ranking(comparison: Comparison) -> list[int]:
    """Return the runs from the best result to the worst, by their places; those that cannot be ranked come last."""
    places = range(len(comparison.runs))
    currency = _ranked_currency(comparison)

    def order(place: int) -> tuple[bool, float]:
        run = comparison.runs[place]
        return run.files.summary["report_currency"] == currency, trading_result(run)

    return sorted(places, key=order, reverse=True)


def _ranked_currency(comparison: Comparison) -> str:
    """Return the currency of most results, of several equally frequent ones the baseline's."""
    summaries = [run.files.summary for run in comparison.runs]
    known: list[str] = [summary["report_currency"] for summary in summaries if summary["equity"] is not None]
    base: str = summaries[comparison.baseline]["report_currency"]
    return max([base, *known], key=lambda currency: (known.count(currency), currency == base))


def left_out_of_ranking(comparison: Comparison) -> dict[int, str]:
    """Return the runs whose results cannot be ranked with the others, by their places, and why."""
    currency, found = _ranked_currency(comparison), {}
    for place, run in enumerate(comparison.runs):
        own = run.files.summary["report_currency"]
        if run.files.summary["equity"] is None:
            found[place] = "its result is not known, as a balance never had a price"
        elif own != currency:
            found[place] = f"its result is in {own}, not in {currency}"
    return found


def comparison_answer(comparison: Comparison) -> list[str]:
    """Return in sentences which run is best, by how much, and what differs."""
    left_out = left_out_of_ranking(comparison)
    words = [f"{comparison.runs[place].label} is not ranked: {why}." for place, why in left_out.items()]
    return [" ".join([_best_words(comparison, left_out), *words]), _differing_words(comparison)]


def _best_words(comparison: Comparison, left_out: Iterable[int]) -> str:
    runs, base = comparison.runs, comparison.baseline
    ranked = [place for place in ranking(comparison) if place not in left_out]
    row = next(row for row in comparison.figures if row.name == RESULT)
    if len(ranked) < 2:
        return "No run is called best: fewer than two results are known in one currency."
    first = ranked[0]
    best, written = runs[first], row.texts[first]
    equal = [place for place in ranked if row.texts[place] == written]
    if len(equal) == len(ranked):
        return f"No run is better than another: trading PnL {written} each."
    others = [place for place in ranked if place not in equal]
    other = runs[base if base in others else others[0]]
    digits = written_decimals(written)
    difference = written_difference(trading_result(best), trading_result(other), digits)
    lead = unsigned_amount(float(difference), best.files.summary["report_currency"], digits)
    against = (
        f"the baseline, {other.label} ({row.texts[base]})" if base in others else f"the next, {other.label}"
    )
    called = _listed(
        [f"{runs[place].label}, the baseline" if place == base else runs[place].label for place in equal]
    )
    verb = "Best is" if len(equal) == 1 else "Best are"
    start = "Least was lost by" if trading_result(best) < 0 else verb
    each = "" if len(equal) == 1 else " each"
    return (
        f"{'Not a fair comparison. ' if comparison.unfair else ''}{start} {called}: "
        f"trading PnL {written}{each}, {lead} more than {against}."
    )


def _listed(words: Sequence[str]) -> str:
    """Return words with commas and an ``and``."""
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def _differing_words(comparison: Comparison) -> str:
    keys = [key for key, _ in comparison.parameters]
    rest = _one_kind_words(comparison)
    if not keys:
        return f"All parameters are the same{f' but for {rest}' if rest else ''}."
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    shown = [
        f"{printable(key)} ({', '.join(map(value_text, values))})" if len(values) <= FEW else printable(key)
        for key, values in comparison.parameters[:_MOST_KEYS]
    ]
    return printable(f"What differs: {'; '.join(shown)}{more}{f'; besides, {rest}' if rest else ''}.")


def _one_kind_words(comparison: Comparison) -> str:
    """Return how many parameters only one kind of run has, empty where there are none."""
    count = len(comparison.of_one_kind)
    return f"{counted(count, 'parameter')} that only backtests or only paper trading has" if count else ""


def plain_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values: what ``--json`` prints."""
    return {
        "runs": [
            {
                "label": run.label,
                "folder": str(run.files.folder),
                "name": run.files.summary["name"],
                "status": run.files.summary["status"],
                "halted": list(halted_symbols(run.files.summary)),
                "simulated_data": run.files.summary["simulated_data"],
                "period": run.files.summary["period"],
                "currency": run.files.summary["report_currency"],
                "curve": _plain_curve(run),
            }
            for run in comparison.runs
        ],
        "answer": comparison_answer(comparison),
        "baseline": comparison.runs[comparison.baseline].label,
        "ranking": [comparison.runs[place].label for place in ranking(comparison)],
        "not_ranked": {
            comparison.runs[place].label: why for place, why in left_out_of_ranking(comparison).items()
        },
        "notes": list(comparison.notes),
        "parameters": {key: list(map(_plain_value, values)) for key, values in comparison.parameters},
        "parameters_of_one_kind": list(comparison.of_one_kind),
        "figures": [
            {
                "group": row.group,
                "name": row.name,
                "values": list(row.values),
                "deltas": [None if delta is None else delta._asdict() for delta in row.deltas],
            }
            for row in comparison.figures
        ],
    }


def _plain_value(value: Any) -> Any:
    """Return a parameter as JSON can have it: a number that is none, which YAML can have, as its text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain_curve(run: ComparedRun) -> dict[str, list[Any]]:
    rows = min_max_rows(run.trading_pnl, _BUCKETS)
    return {"ts_ms": milliseconds(run.ts_ns[rows]), "trading_pnl": significant(run.trading_pnl[rows])}


def comparison_parts(comparison: Comparison) -> dict[str, Any]:
    """Return what the page of a comparison shows."""
    groups: dict[str, list[FigureRow]] = {}
    for row in comparison.figures:
        groups.setdefault(row.group, []).append(row)
    return {
        "labels": [run.label for run in comparison.runs],
        "baseline": comparison.baseline,
        "shows_deltas": comparison.shows_deltas,
        "answer": comparison_answer(comparison),
        "ranked": RANKED,
        "ranking": [(comparison.runs[place].label, place) for place in ranking(comparison)],
        "account": {row.name: row for row in groups["account"]},
        "statuses": [_status_words(run) for run in comparison.runs],
        "one_kind": _one_kind_words(comparison),
        "folders": [run.files.folder.name for run in comparison.runs],
        "is_simulated": comparison.is_simulated,
        "notes": comparison.notes,
        "parameters": [
            (key, [value_text(value) for value in values]) for key, values in comparison.parameters
        ],
        "groups": groups,
        "curves_left_out": max(0, len(comparison.runs) - _MOST_CURVES),
        "figures": {"curves": _curves_figure(comparison.runs[:_MOST_CURVES])},
    }


def _status_words(run: ComparedRun) -> str:
    summary = run.files.summary
    silent = silent_since(run.files.folder, summary["status"])
    halted = len(halted_symbols(summary))
    words = summary["status"] if silent is None else silent_words(silent)
    return f"{words}, {halted} halted" if halted else words


def _curves_figure(runs: Sequence[ComparedRun]) -> Figure:
    """Return the trading PnL of all runs: by time of day where they cover the same period, else since their starts."""
    periods = {tuple(run.files.summary["period"].values()) for run in runs}
    unit, unit_seconds = _unit(run.files.summary["period"]["seconds"] for run in runs)
    traces = []
    for number, run in enumerate(runs):
        currency = run.files.summary["report_currency"]
        look: dict[str, Any] = {
            "hover": f"%{{y:,.{amount_decimals(currency)}f}} {currency}",
            **_look(number),
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


def _look(number: int) -> dict[str, str]:
    """Return colour and dash of a run's line: colours come again with another dash."""
    count = len(SERIES)
    return {"colour": SERIES[number % count][0], "dash": SERIES[(number + number // count) % count][1]}


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
        table.add_row(Text(printable(key)), *(Text(printable(value_text(value))) for value in values))
    if comparison.of_one_kind:
        table.caption = f"not shown: {_one_kind_words(comparison)}"
    return PartedTable(table)


def _delta_text(delta: Delta | None) -> Text:
    if delta is None:
        return Text(NONE)
    style = {"better": "green", "worse": "red"}.get(delta.verdict, "")
    return Text(f"{delta.text} {delta.verdict}".rstrip(), style=style)


def _ranking_table(comparison: Comparison) -> Table:
    base = comparison.runs[comparison.baseline].label
    table = text_table("Ranking", ["", RANKED[0], f"against {base}", *RANKED[1:]])
    rows = {row.name: row for row in comparison.figures if row.group == "account"}
    for number, place in enumerate(ranking(comparison), start=1):
        cells = [rows[name].texts[place] for name in RANKED]
        is_base = place == comparison.baseline
        against = Text("baseline") if is_base else _delta_text(rows[RESULT].deltas[place])
        table.add_row(Text(f"{number}. {comparison.runs[place].label}"), cells[0], against, *cells[1:])
    return table


def _figure_tables(comparison: Comparison) -> list[Table]:
    tables: dict[str, Table] = {}
    heads = []
    for place, run in enumerate(comparison.runs):
        has_delta = comparison.shows_deltas and place != comparison.baseline
        heads += [run.label, "difference"] if has_delta else [run.label]
    for row in comparison.figures:
        if row.group not in tables:
            title = "Account" if row.group == "account" else printable(row.group)
            tables[row.group] = text_table(title, ["", *heads])
        cells: list[Text] = []
        for place, (text, delta) in enumerate(zip(row.texts, row.deltas, strict=True)):
            has_delta = comparison.shows_deltas and place != comparison.baseline
            cells += [Text(text), _delta_text(delta)] if has_delta else [Text(text)]
        tables[row.group].add_row(row.name, *cells)
    return list(tables.values())


def comparison_view(comparison: Comparison) -> Group:
    """Return a comparison as something rich can print."""
    heading = [Text("SIMULATED data: these figures say nothing about a market")]
    return Group(
        *(heading if comparison.is_simulated else []),
        *(Text(f"note: {note}") for note in comparison.notes),
        *map(Text, comparison_answer(comparison)),
        PartedTable(_ranking_table(comparison)),
        _parameter_table(comparison),
        *map(PartedTable, _figure_tables(comparison)),
        PartedTable(_curve_table(comparison)),
    )
