"""Finish the folder of a run: join the parts of its tables, and complete its summary from them."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# The public `nautilus_trader.analysis` imports plotly, which is not installed, for the tearsheets beside them.
from nautilus_trader._libnautilus.analysis import (  # type: ignore[import-not-found] # it has no stub
    MaxDrawdown,
    ReturnsVolatility,
    SharpeRatio,
    SortinoRatio,
)

from mm_nautilus.report.derived import complete_summary
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.runs.folder import write_summary
from mm_nautilus.runs.tables import join_parts
from mm_nautilus.system.file_lock import take_lock

_ENDED: Final = frozenset({"completed", "interrupted", "failed"})
"""What a summary's status is called after the end; before, its process may still write."""
_DAYS_A_YEAR: Final = 365
"""What daily figures are annualised with: these markets know no weekend."""
_DAY_NS: Final = 86_400_000_000_000


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process finishes a run's folder, and keep others waiting until this one has."""
    if not folder.is_dir():  # whoever reads it says so
        yield
        return
    handle = take_lock(folder, math.inf, flags=os.O_RDONLY)
    try:
        yield
    finally:
        os.close(handle)


def finish_run(folder: Path) -> None:
    """Join the parts of a run's tables and complete its summary, if its end, in a hurry, did not.

    A run that goes on, or was killed, is left as it is. Raises DataError if the folder is not a run's, or a file in it
    is missing or damaged.
    """
    files = RunFiles.read(folder)
    if files.is_complete or files.summary["status"] not in _ENDED:
        return
    for parts in folder.glob("*.parts"):
        join_parts(parts)
    is_resumed = bool(files.summary.get("start", {}).get("is_resumed", False))
    write_completed(files, is_resumed=is_resumed)


def write_completed(files: RunFiles, result: Any = None, *, is_resumed: bool = False) -> dict[str, Any]:
    """Write and return a run's summary, completed from its closed tables.

    `result` is the backtest engine's; `is_resumed` says that the run continued an earlier one, whose result is no
    return of this one.
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
    returns of a UTC day and annualises from the days; a figure that needs more of them is None. If `is_resumed`, the
    first row is what the earlier run had traded.
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
    by_year = (make(_DAYS_A_YEAR) for make in (ReturnsVolatility, SharpeRatio, SortinoRatio))
    found = {each.name: each.calculate_from_returns(returns) for each in (*by_year, MaxDrawdown())}
    return {"days": len({moment // _DAY_NS for moment in returns}), **_plain(found)}


def _plain(statistics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return statistics by name, None if not finite."""
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in sorted(statistics.items())
    }
