"""What a search has left in its folder, for everything that reads it afterwards."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mm_nautilus.errors import DataError
from mm_nautilus.report.money import decimal_text, signed_amount, unsigned_amount
from mm_nautilus.report.rows import NONE
from mm_nautilus.report.run_folders import value_text
from mm_nautilus.search.dimensions import choices
from mm_nautilus.search.windows import Window
from mm_nautilus.system.moments import SECOND_NS, nanoseconds

type Run = Mapping[str, Any]
"""A row of the table of trials."""

SEARCH: Final = "search.json"
"""What a search was and found, in its folder."""
TRIALS: Final = "trials.parquet"
"""Its runs, a row each, in its folder."""
ROLES: Final = {"train": "in sample", "test": "out of sample"}
"""What each role of a run is called."""
PARAMETER: Final = "param:"
_OBJECTIVE: Final = "objective:"
_HOUR_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class SearchObjective:
    """What a search made large or small."""

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    meaning: str

    def value(self, run: Run) -> float:
        """Return a completed run's figure, NaN where it has none."""
        found = run[f"{_OBJECTIVE}{self.name}"]
        return found if found is not None and math.isfinite(found) else math.nan

    def rank(self, run: Run) -> float:
        """Return what is the smaller, the better, and infinite without a figure."""
        found = self.value(run)
        ranked = -found if self.direction == "maximize" else found
        return math.inf if math.isnan(ranked) else ranked


class SearchFiles:
    """A search's folder; a DataError says that a file of it is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        path = folder / SEARCH
        try:
            self._read_document(json.loads(path.read_text(encoding="utf-8")))
            path = folder / TRIALS
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise DataError(f"{folder} has no {path.name}: it must be the folder of a search") from error
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            yaml.YAMLError,
            pa.ArrowException,
        ) as error:
            reason = repr(error) if isinstance(error, KeyError) else str(error).partition("\n")[0]
            raise DataError(f"{path} cannot be read: {reason}") from error
        rows: list[dict[str, Any]] = table.to_pylist()
        self.runs: Sequence[Run] = rows
        self.keys = [name for name in table.column_names if name.startswith(PARAMETER)]
        for key in self.keys:  # a choice of null makes all of them words
            if any(run[key] is None and run["number"] is not None for run in rows):
                for run in rows:
                    run[key] = "null" if run[key] is None else parameter_text(run[key])
        self._completed: dict[tuple[int, str], dict[int | None, Run]] = defaultdict(dict)
        for run in self.runs:
            if run["state"] == "completed":
                self._completed[run["fold"], run["role"]][run["number"]] = run

    def _read_document(self, document: dict[str, Any]) -> None:
        self.document = document
        space = yaml.safe_load(document["space"]["text"])
        self._choices = {f"{PARAMETER}{key}": body for key, body in space.items() if isinstance(body, list)}
        self.logarithmic = {
            f"{PARAMETER}{key}" for key, body in space.items() if isinstance(body, dict) and body.get("log")
        }
        self.currency: str = document["report_currency"]
        self.objectives = [SearchObjective(**given) for given in document["objectives"]]
        windows = document["windows"]
        self.period_ns = round(windows["period_seconds"] * SECOND_NS)
        self.windows = [
            {role: Window(*(_ns(fold[role][end]) for end in ("start", "end"))) for role in ROLES}
            for fold in windows["folds"]
        ]
        self.folds = range(len(self.windows))

    def categories(self, key: str) -> list[str]:
        """Return the values of a parameter of words or amounts: amounts ascend, words are as the space lists them."""
        found = dict.fromkeys(run[key] for run in self.runs if run["number"] is not None)
        given = ["null" if it is None else str(it) for it in self._choices.get(key, ())]
        listed = [value for value in given if value in found]
        return list(choices(key, [*listed, *(value for value in found if value not in listed)]).values)

    def of(self, fold: int, role: str) -> list[Run]:
        """Return the completed trials of a fold, in their order, without the configuration as it was."""
        done = {number: run for number, run in self._completed[fold, role].items() if number is not None}
        return [done[number] for number in sorted(done)]

    def ranked(self, fold: int, objective: SearchObjective) -> list[Run]:
        """Return the trials of a fold's training that have a figure, in their order."""
        return [run for run in self.of(fold, "train") if not math.isnan(objective.value(run))]

    def baseline(self, fold: int, role: str) -> Run | None:
        """Return the run of the configuration as it was, None where there is none."""
        return self._completed[fold, role].get(None)

    def winner(self, fold: int, role: str) -> Run | None:
        """Return the run of a fold's winner, None where there is none."""
        number = self.document["folds"][fold]["winner"]
        return None if number is None else self._completed[fold, role].get(number)

    def hourly(self, objective: SearchObjective, run: Run) -> float:
        """Return a figure that can be compared between windows of different length: PnL is an hour's."""
        hours = self.windows[run["fold"]][run["role"]].seconds / _HOUR_SECONDS
        return objective.value(run) / (hours if objective.name == "pnl" else 1.0)

    def title(self, objective: SearchObjective, *, is_hourly: bool = False) -> str:
        """Return an objective's name and unit."""
        an_hour = " an hour" if is_hourly and objective.name == "pnl" else ""
        return f"{objective.name}{an_hour}, {objective.unit or self.currency}"

    def text(self, objective: SearchObjective, run: Run | None) -> str:
        """Return a figure with its unit."""
        value = math.nan if run is None else objective.value(run)
        if math.isnan(value):
            return NONE
        if not objective.unit:
            return unsigned_amount(value, self.currency)
        return f"{decimal_text(value, 2)} {objective.unit}"

    def money(self, run: Run | None, key: str) -> str:
        """Return an amount of a run; results have a sign."""
        value = None if run is None else run[key]
        write = signed_amount if key == "pnl" else unsigned_amount
        return NONE if value is None else write(value, self.currency)


def _ns(text: str) -> int:
    return nanoseconds(datetime.fromisoformat(text))


def short_key(key: str) -> str:
    """Return a searched key as a page has room for it."""
    return key.removeprefix(PARAMETER).removeprefix("strategy.").removeprefix("symbols.")


def parameter_text(value: Any) -> str:
    """Return a parameter's value as a page has room for it."""
    return f"{value:.6g}" if isinstance(value, float) else value_text(value)
