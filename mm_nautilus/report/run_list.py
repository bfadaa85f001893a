"""The runs of a folder as a table: what each was, what it made and how it ended, from its summary alone."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from rich.table import Table
from rich.text import Text

from mm_nautilus.errors import DataError
from mm_nautilus.report.console import text_table
from mm_nautilus.report.money import signed_amount
from mm_nautilus.report.rows import NONE
from mm_nautilus.report.run_folders import halted_symbols, run_folders, silent_since, silent_words
from mm_nautilus.report.session import short_data_text
from mm_nautilus.report.summary_check import SUMMARY, read_json, refuse_damaged
from mm_nautilus.system.plain_text import printable

type SortKey = Literal["start", "result", "bps", "drawdown", "fills", "name", "status"]

_STAMP: Final = re.compile(r"^(\d{8}T\d{6}Z)-")
_COLUMNS: Final = ("folder", "name", "started, UTC", "kind", "from", "length", "pairs")
_FIGURES: Final = ("trading PnL", "bps", "drawdown", "fills")


class ListedRun(NamedTuple):
    """One run; figures that it has not written yet are None."""

    name: str
    started: datetime
    """When it was started, by its folder's name; for another folder when its summary was last written."""
    kind: str
    """``backtest`` or ``sandbox``."""
    data: str
    """Which kind of data it had; empty while not known."""
    simulated_data: bool | None
    start: str | None
    """First moment of its period, as in the summary."""
    seconds: float | None
    """Length of its period."""
    pairs: tuple[str, ...]
    currency: str
    trading_pnl: float | None
    """Net of fees, in the report currency."""
    pnl_turnover_bps: float | None
    max_drawdown_pct: float | None
    fills: int | None
    status: str
    """As its summary has it."""
    last_written: str | None
    """When its summary was last written, if it had not ended then and is too old for a run that goes on."""
    halted: tuple[str, ...]
    """Symbols that were halted at its end."""
    folder: str


def listed_runs(parent: Path) -> tuple[list[ListedRun], list[str]]:
    """Return the runs of a folder, in no order, and why other folders in it are left out.

    A DataError says that there is no such folder.
    """
    if not parent.is_dir():
        raise DataError(f"a folder of runs is needed, was {parent}")
    folders = run_folders(parent)
    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(_listed(folder))
        except DataError as error:
            problems.append(f"left out: {error}")
    known = {above for folder in folders for above in (folder, folder.parent)}
    foreign = sorted(path.name for path in parent.iterdir() if path.is_dir() and path not in known)
    if foreign:
        problems.append(f"left out, as they have no {SUMMARY}: {', '.join(foreign)}")
    return runs, problems


def _listed(folder: Path) -> ListedRun:
    path = folder / SUMMARY
    summary = read_json(folder)
    refuse_damaged(summary, folder)
    stamp = _STAMP.match(folder.name)
    if stamp is not None:
        started = datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    else:
        started = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    period, equity = summary.get("period"), summary.get("equity")
    symbols = summary.get("symbols") or {}
    total = summary.get("total", {})
    silent = silent_since(folder, summary["status"])
    is_known = "simulated_data" in summary
    return ListedRun(
        name=summary.get("name") or folder.name,
        started=started,
        kind="sandbox" if "web" in summary else "backtest",
        data=short_data_text(summary) if is_known else "",
        simulated_data=summary.get("simulated_data"),
        start=None if period is None else period["start"],
        seconds=None if period is None else period["seconds"],
        pairs=tuple(symbols),
        currency=summary.get("report_currency", ""),
        trading_pnl=None if equity is None else equity["trading_pnl"],
        pnl_turnover_bps=total.get("pnl_turnover_bps"),
        max_drawdown_pct=None if equity is None else equity["max_drawdown_pct"],
        fills=sum(figures["fills"] for figures in symbols.values()) if symbols else None,
        status=summary["status"],
        last_written=None if silent is None else silent.isoformat(timespec="seconds"),
        halted=tuple(halted_symbols(summary)),
        folder=str(folder),
    )


_SORTS: Final[Mapping[str, tuple[Callable[[ListedRun], Any], bool]]] = {
    "start": (lambda run: (run.started, run.folder), True),
    "result": (lambda run: run.trading_pnl, True),
    "bps": (lambda run: run.pnl_turnover_bps, True),
    "drawdown": (lambda run: run.max_drawdown_pct, False),
    "fills": (lambda run: run.fills, True),
    "name": (lambda run: run.name, False),
    "status": (lambda run: run.status, False),
}
"""What runs are sorted by, and whether the greatest comes first."""


def sorted_runs(runs: Sequence[ListedRun], key: SortKey) -> list[ListedRun]:
    """Return runs in an order: the newest, the best or the first by name first; equal ones the newest first.

    Runs of which the figure is not known come last. Results are compared as numbers, whatever their currency.
    """
    newest = sorted(runs, key=_SORTS["start"][0], reverse=True)
    value, is_reversed = _SORTS[key]
    known = [run for run in newest if value(run) is not None]
    return [*sorted(known, key=value, reverse=is_reversed), *(run for run in newest if value(run) is None)]


def plain_runs(runs: Sequence[ListedRun]) -> list[dict[str, Any]]:
    """Return runs as plain values, for ``--json``."""
    return [
        run._asdict()
        | {"started": run.started.isoformat(), "pairs": list(run.pairs), "halted": list(run.halted)}
        for run in runs
    ]


def run_table(runs: Sequence[ListedRun], parent: Path) -> Table:
    """Return runs as a table for the terminal; folders stand as they are called in their parent."""
    table = text_table(None, [*_COLUMNS, *_FIGURES, "status"], is_numeric=False)
    for column in table.columns[len(_COLUMNS) : len(_COLUMNS) + len(_FIGURES)]:
        column.justify = "right"
    for run in runs:
        cells = (str(Path(run.folder).relative_to(parent)), *_cells(run))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _cells(run: ListedRun) -> list[str]:
    pairs = run.pairs[0] if len(run.pairs) == 1 else f"{len(run.pairs)} pairs" if run.pairs else NONE
    kind = f"{run.kind}, {run.data.removesuffix(' data').removesuffix(' feed')}" if run.data else run.kind
    result = None if run.trading_pnl is None else signed_amount(run.trading_pnl, run.currency)
    start = None if run.start is None else f"{datetime.fromisoformat(run.start):%Y-%m-%d}"
    return [
        run.name,
        f"{run.started:%Y-%m-%d %H:%M}",
        kind,
        start or NONE,
        NONE if run.seconds is None else str(timedelta(seconds=round(run.seconds))),
        pairs,
        result or NONE,
        NONE if run.pnl_turnover_bps is None else f"{run.pnl_turnover_bps:+z.2f}",
        NONE if run.max_drawdown_pct is None else f"{run.max_drawdown_pct:.3f} %",
        NONE if run.fills is None else f"{run.fills:,}",
        _status_words(run),
    ]


def _status_words(run: ListedRun) -> str:
    silent = run.last_written
    words = run.status if silent is None else silent_words(datetime.fromisoformat(silent))
    return f"{words}, {len(run.halted)} halted" if run.halted else words
