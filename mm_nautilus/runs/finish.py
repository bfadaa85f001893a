"""Finish the folder of a run: join the parts of its tables, and complete its summary with what these tell."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# The public `nautilus_trader.analysis` imports plotly for the tearsheets beside them.
from nautilus_trader._libnautilus.analysis import (  # type: ignore[import-not-found] # it has no stub
    MaxDrawdown,
    ReturnsVolatility,
    SharpeRatio,
    SortinoRatio,
)

from mm_nautilus.metrics.data_types import metrics_schema
from mm_nautilus.report.derived import complete_summary
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.runs.folder import write_summary
from mm_nautilus.runs.recorder import EQUITY
from mm_nautilus.runs.tables import FILLS, join_parts, parts_folder
from mm_nautilus.runs.traces import ACTIONS, MARK_OUTS, MARKET, QUOTES
from mm_nautilus.system.file_lock import take_lock

_ENDED: Final = frozenset({"completed", "interrupted", "failed"})
"""What a summary's status is called after the end; before, its process may still write."""
_DAYS_A_YEAR: Final = 365
"""What daily figures are annualised with: these markets know no weekend."""
_DAY_NS: Final = 86_400_000_000_000
_STATISTICS: Final[tuple[Callable[[], Any], ...]] = (
    lambda: ReturnsVolatility(_DAYS_A_YEAR),
    lambda: SharpeRatio(_DAYS_A_YEAR),
    lambda: SortinoRatio(_DAYS_A_YEAR),
    MaxDrawdown,
)


def _tables() -> Mapping[str, pa.Schema]:
    """Return the tables of a live run."""
    return {
        "market": MARKET,
        "quotes": QUOTES,
        "mark_outs": MARK_OUTS,
        "actions": ACTIONS,
        "equity": EQUITY,
        "fills": FILLS,
        "metrics": metrics_schema(),
    }


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process finishes a run's folder, and keep others waiting until this one has.

    A folder that is not there is left to whoever reads it to complain of.
    """
    if not folder.is_dir():
        yield
        return
    handle = take_lock(folder, math.inf, flags=os.O_RDONLY)
    try:
        yield
    finally:
        os.close(handle)


def finish_run(folder: Path) -> None:
    """Join the parts of a run's tables and add to its summary what follows from them, where that was left undone.

    A run that a signal ends has only seconds. One that goes on, or was killed, is left as it is. A DataError says that
    the folder is not a run's, or a file in it is missing or damaged.
    """
    files = RunFiles.read(folder)
    if files.is_complete or files.summary["status"] not in _ENDED:
        return
    for name, schema in _tables().items():
        path = folder / f"{name}.parquet"
        if parts_folder(path).is_dir():
            join_parts(path, schema)
    is_resumed = bool(files.summary.get("start", {}).get("is_resumed", False))
    write_completed(files, is_resumed=is_resumed)


def write_completed(files: RunFiles, result: Any = None, *, is_resumed: bool = False) -> dict[str, Any]:
    """Write and return a run's summary, as far as it goes, with what only its tables tell, which are closed.

    `result` is the engine's, None where it has none; `is_resumed` says that the run went on from an earlier one, whose
    result is no return of this one.
    """
    engine: dict[str, Any] = {"positions": {}, "position_returns": {}}
    if result is not None:
        engine = {
            "positions": {currency: _plain(stats) for currency, stats in sorted(result.stats_pnls.items())},
            "position_returns": _plain(result.stats_returns),
        }
    equity = equity_statistics(files.folder / "equity.parquet", is_resumed=is_resumed)
    known = files.summary | {"statistics": {"engine": engine, "equity": equity}}
    summary = complete_summary(replace(files, summary=known))
    write_summary(files.folder, summary)
    return summary


def equity_statistics(path: Path, *, is_resumed: bool = False) -> dict[str, Any]:
    """Return the framework's statistics of returns, applied to what trading made of the equity at the start.

    The revaluation of the starting balances is left out: it is no result of trading. The framework adds up the
    returns of a UTC day and annualises from the days; a figure that needs more of them is None. Of a run that went on
    from another one the first row says what that had traded.
    """
    table = pq.read_table(path, columns=["ts_event", "equity", "trading_pnl", "revaluation"])
    moments = table["ts_event"].cast(pa.int64()).to_numpy()
    equity, trading, revaluation = (
        table[name].cast(pa.float64()).to_numpy() for name in ("equity", "trading_pnl", "revaluation")
    )
    start = (equity - trading - revaluation)[:1]
    traded = np.concatenate([start, start + trading])
    if is_resumed:
        traded, moments = traded[1:], moments[1:]
    is_sound = traded[:-1] > 0
    changes = (traded[1:][is_sound] / traded[:-1][is_sound] - 1.0).tolist()
    returns = dict(zip(moments[is_sound].tolist(), changes, strict=True))
    found = {}
    for make in _STATISTICS:
        statistic = make()
        found[statistic.name] = statistic.calculate_from_returns(returns)
    return {"days": len({moment // _DAY_NS for moment in returns}), **_plain(found)}


def _plain(statistics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return statistics by name, with None where there is no finite figure."""
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in sorted(statistics.items())
    }
