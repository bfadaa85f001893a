"""A search's report: one HTML page, made from what is in the search's folder, that opens without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mm_nautilus.report.money import signed_amount
from mm_nautilus.report.page import REPORT, render
from mm_nautilus.report.rows import NONE
from mm_nautilus.report.run_folders import value_text
from mm_nautilus.report.session import moment_text
from mm_nautilus.search.charts import search_figures
from mm_nautilus.search.search_files import (
    ROLES,
    Run,
    SearchFiles,
    SearchObjective,
    parameter_text,
    short_key,
)
from mm_nautilus.system.whole_file import write_whole

_FEW_TRIALS: Final = 50
"""Trials that are shown without being asked for."""


def write_search_page(folder: Path) -> Path:
    """Write a search's ``report.html`` from the files in its folder, and return its path.

    A DataError says that a file of the search is missing or damaged, a ConfigError that Optuna is not installed.
    """
    search = SearchFiles(folder)
    path = folder / REPORT
    write_whole(path, render("search.html.jinja", **_parts(search)))
    return path


def _parts(search: SearchFiles) -> dict[str, Any]:
    figures = dict(search_figures(search))
    document = search.document
    trials = list(_trial_rows(search))
    verdict = document["verdict"] or {"lines": ["No verdict: no winner was tested"], "checks": []}
    *found, last = verdict["lines"]
    headline, _, why = last.partition(": ")
    return {
        "search": document,
        "headline": headline,
        "lines": [f"{why[0].upper()}{why[1:]}", *found],
        "checks": verdict["checks"],
        "start": moment_text(document["data"]["start"]),
        "end": moment_text(document["data"]["end"]),
        "keys": [short_key(key) for key in search.keys],
        "objectives": search.objectives,
        "figures": figures,
        "comparison_heads": _comparison_heads(search),
        "comparison": list(_comparison(search)),
        "fold_names": [f"fold {fold + 1}" for fold in search.folds],
        "winners": list(_winners(search)),
        "trials": trials,
        "trial_heads": _trial_heads(search),
        "is_open": len(trials) <= _FEW_TRIALS,
    }


# -- Tables -------------------------------------------------------------------------------------------------


def _other_objectives(search: SearchFiles) -> list[SearchObjective]:
    """Return the objectives that are no column of their own."""
    return [objective for objective in search.objectives if objective.name != "pnl"]


def _comparison_heads(search: SearchFiles) -> list[str]:
    names = ["PnL", *(objective.name for objective in _other_objectives(search)), "fills"]
    pairs = [f"{name}, {whose}" for name in names for whose in ("winner", "as it was")]
    return [*pairs[:2], "PnL, difference", *pairs[2:]]


def _comparison(search: SearchFiles) -> Iterator[tuple[str, list[str]]]:
    """Yield what each fold's winner and the configuration as it was did, in and out of sample."""
    for fold in search.folds:
        for role, words in ROLES.items():
            both = search.winner(fold, role), search.baseline(fold, role)
            pnls = [run["pnl"] for run in both if run is not None and run["pnl"] is not None]
            gain = signed_amount(pnls[0] - pnls[1], search.currency) if len(pnls) == 2 else NONE
            texts = [search.money(run, "pnl") for run in both]
            others = [search.text(objective, run) for objective in _other_objectives(search) for run in both]
            fills = [NONE if run is None else f"{run['fills']:,}" for run in both]
            yield f"fold {fold + 1}, {words}", [*texts, gain, *others, *fills]


def _winners(search: SearchFiles) -> Iterator[tuple[str, list[str]]]:
    """Yield each searched key with its value before the search and in each fold's winner."""
    for key in search.keys:
        runs = [search.baseline(0, "train"), *(search.winner(fold, "train") for fold in search.folds)]
        yield short_key(key), [NONE if run is None else parameter_text(run[key]) for run in runs]


def _trial_heads(search: SearchFiles) -> list[str]:
    objectives = [objective.name for objective in _other_objectives(search)]
    numbers = ["PnL", "PnL out of sample", "fills", "fees", "turnover", "s"]
    return [*(short_key(key) for key in search.keys), *objectives, *numbers]


def _trial_rows(search: SearchFiles) -> Iterator[tuple[str, list[str], str, str]]:
    """Yield name, figures, state and error of the runs of each training, the best first and those that failed last."""
    for fold in search.folds:
        tests = {
            run["number"]: run for run in [*search.of(fold, "test"), search.baseline(fold, "test")] if run
        }
        winner = search.winner(fold, "train")
        found = [run for run in search.runs if (run["fold"], run["role"]) == (fold, "train")]
        for run in sorted(found, key=lambda run: _place(search, run)):
            number, seconds = run["number"], run["seconds"]
            texts = [
                *(parameter_text(run[key]) for key in search.keys),
                *(search.text(objective, run) for objective in _other_objectives(search)),
                *(search.money(one, "pnl") for one in (run, tests.get(number))),
                value_text(run["fills"]),
                *(search.money(run, key) for key in ("fees", "turnover")),
                NONE if seconds is None else f"{seconds:.1f}",
            ]
            state = "winner" if run is winner else run["state"].replace("completed", "")
            name = f"{fold + 1}:\u00a0{'as\u00a0it\u00a0was' if number is None else number}"
            yield name, texts, state, run["error"] or ""


def _place(search: SearchFiles, run: Run) -> tuple[bool, float, int]:
    number = -1 if run["number"] is None else run["number"]
    if run["state"] != "completed":
        return True, 0.0, number
    return False, search.objectives[0].rank(run), number
