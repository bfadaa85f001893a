"""The framework's own statistics of a run: as the engine reports them, and of the equity as it was marked."""

import math
from collections.abc import Callable, Mapping
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

__all__ = ["DAYS_A_YEAR", "equity_statistics", "run_statistics"]

DAYS_A_YEAR: Final = 365
"""What daily figures are annualised with: these markets know no weekend."""
_DAY_NS: Final = 86_400_000_000_000
_STATISTICS: Final[tuple[Callable[[], Any], ...]] = (
    lambda: ReturnsVolatility(DAYS_A_YEAR),
    lambda: SharpeRatio(DAYS_A_YEAR),
    lambda: SortinoRatio(DAYS_A_YEAR),
    MaxDrawdown,
)


def run_statistics(result: Any, folder: Path, *, is_resumed: bool = False) -> dict[str, Any]:
    """Return the engine's statistics and those of the marked equity.

    Parameters
    ----------
    result
        The engine's result, or None where the engine failed.
    folder
        The run's folder, with ``equity.parquet``.
    is_resumed
        Whether the run went on from an earlier one, whose result is no return of this one.
    """
    engine: dict[str, Any] = {"positions": {}, "position_returns": {}}
    if result is not None:
        engine = {
            "positions": {currency: _plain(stats) for currency, stats in sorted(result.stats_pnls.items())},
            "position_returns": _plain(result.stats_returns),
        }
    return {"engine": engine, "equity": equity_statistics(folder / "equity.parquet", is_resumed=is_resumed)}


def equity_statistics(path: Path, *, is_resumed: bool = False) -> dict[str, Any]:
    """Return the framework's statistics of returns, applied to what trading made of the equity at the start.

    The revaluation of the starting balances is left out: it is no result of trading. The framework adds up the
    returns of a UTC day and annualises from the days; a figure that needs more of them is None.

    Parameters
    ----------
    path
        The run's ``equity.parquet``.
    is_resumed
        Whether what had been traded at the first row is an earlier run's.
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
