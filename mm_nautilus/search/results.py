"""The files of a search's folder: what it is and found, its runs, and the best configuration.

``search.json`` has the keys of `Plan.document` and, from `run_search`, ``id``, ``status`` (``running``, ``completed``,
``interrupted`` or ``failed``), ``folds``, ``trials``, ``looks``, ``best`` and ``verdict``; the last two are null, and
each fold's ``winner`` too, until every test has been run. ``trials.parquet`` has a row a run.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.data.catalog import INSTRUMENT_FOLDERS
from mm_nautilus.data.catalog_files import DataKind, folder_name
from mm_nautilus.data.funding import FUNDING_FOLDER
from mm_nautilus.data.store import StoredPath, open_input, stored
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.search.objectives import Objective
from mm_nautilus.search.search_files import TRIALS
from mm_nautilus.search.space import Point
from mm_nautilus.search.trial import TrialOutcome
from mm_nautilus.system.store_url import CatalogPath
from mm_nautilus.system.whole_file import whole_file

BEST: Final = "best.yaml"
"""The configuration of the last fold's winner with its training's start and end, in its folder."""
_FOOTER_BYTES: Final = 8
"""Length of a Parquet file's last part, which has the length of its footer."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a run: plain values, for the storage of a study."""

    state: Literal["completed", "failed", "refused"]
    started: str
    """Moment in UTC, ISO 8601."""
    error: str | None = None
    seconds: float = 0.0
    objectives: Mapping[str, float | None] | None = None
    """By name; None where the run has no such figure."""
    pnl: float | None = None
    fills: int | None = None
    fees: float | None = None
    turnover: float | None = None
    fills_digest: str | None = None
    periods: Sequence[float] = ()

    @classmethod
    def of(cls, outcome: TrialOutcome, objectives: Iterable[Objective]) -> "Result":
        """Return what is kept of a trial that has just ended."""
        now = datetime.now(UTC).timestamp() - outcome.seconds
        started = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        figures = outcome.figures
        if figures is None:
            return cls("failed", started, outcome.error, outcome.seconds)
        total = figures["total"]
        return cls(
            state="completed",
            started=started,
            seconds=outcome.seconds,
            objectives={it.name: it.value(figures) for it in objectives},
            fills=total["fills"],
            pnl=_number(total["total_pnl"]),
            fees=_number(total["fees"]),
            turnover=_number(total["turnover"]),
            fills_digest=outcome.fills_digest,
            periods=outcome.periods,
        )

    @classmethod
    def refused(cls, reason: str) -> "Result":
        """Return what is kept of a point that the space or the configuration refuses."""
        return cls("refused", datetime.now(UTC).isoformat(timespec="milliseconds"), reason)

    def plain(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return asdict(self)


def _number(amount: Any) -> float | None:
    return None if amount is None else float(amount)


@dataclass(frozen=True, slots=True)
class Row:
    """A run with its place in the search."""

    fold: int
    number: int | None
    """Number of the trial in its fold; None for the configuration as it was."""
    role: Literal["train", "test"]
    point: Point
    result: Result


def trials_table(rows: Iterable[Row], keys: Sequence[str], objectives: Sequence[Objective]) -> pa.Table:
    """Return the runs as a table; a searched key has numbers where all of its values are numbers, else texts."""
    found = sorted(
        rows, key=lambda row: (row.fold, row.role == "test", -1 if row.number is None else row.number)
    )
    results = [row.result for row in found]
    columns: dict[str, Any] = {
        "fold": pa.array([row.fold for row in found], pa.int64()),
        "number": pa.array([row.number for row in found], pa.int64()),
        "role": pa.array([row.role for row in found], pa.string()),
        "state": pa.array([it.state for it in results], pa.string()),
        "error": pa.array([it.error for it in results], pa.string()),
        "started": pa.array(
            [datetime.fromisoformat(it.started) for it in results], pa.timestamp("ms", tz="UTC")
        ),
        "seconds": pa.array([it.seconds for it in results], pa.float64()),
    }
    for key in keys:
        columns[f"param:{key}"] = _parameter([row.point.get(key) for row in found])
    for objective in objectives:
        values = [None if it.objectives is None else it.objectives[objective.name] for it in results]
        columns[f"objective:{objective.name}"] = pa.array(values, pa.float64())
    for name in ("pnl", "fees", "turnover"):
        columns[name] = pa.array([getattr(it, name) for it in results], pa.float64())
    columns["fills"] = pa.array([it.fills for it in results], pa.int64())
    columns["fills_digest"] = pa.array([it.fills_digest for it in results], pa.string())
    columns["periods"] = pa.array([list(it.periods) for it in results], pa.list_(pa.float64()))
    return pa.table(columns)


def _parameter(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def write_trials(folder: Path, table: pa.Table) -> None:
    """Replace the table of runs, whole."""
    with whole_file(folder / TRIALS) as unfinished:
        pq.write_table(table, unfinished)


def data_hash(catalog: CatalogPath, specs: Iterable[InstrumentSpec]) -> str:
    """Return what a change of the instruments' data changes: the first digits of a SHA-256.

    It is of the name, the size and the footer of every file of the instruments' definitions, funding rates, book
    changes and trades. Footers have counts and extremes of every column; the rows themselves are not read, so that it
    takes no time.
    """
    digest = hashlib.sha256()
    root = stored(catalog)
    for path in sorted(_files(root, specs)):
        with open_input(path) as file:
            size = file.size()
            file.seek(max(0, size - _FOOTER_BYTES))
            length = int.from_bytes(file.read(4), "little") + _FOOTER_BYTES
            file.seek(max(0, size - length))
            digest.update(f"{path.relative_to(root)} {size}\n".encode())
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _files(catalog: StoredPath, specs: Iterable[InstrumentSpec]) -> Iterator[StoredPath]:
    for spec in specs:
        for kind in (*INSTRUMENT_FOLDERS, FUNDING_FOLDER, *DataKind):
            yield from (catalog / "data" / kind / folder_name(spec.instrument_id)).glob("*.parquet")
