"""Run one trial: a backtest of one configuration over one window, of which little is kept."""

import hashlib
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.errors import DataError, InterruptedRunError, MarketMakingError, RunFailedError
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.search.windows import Window, longest_position_seconds, period_results
from mm_nautilus.system.moments import moment
from mm_nautilus.system.raised import raised_text

_MICROSECOND_NS: Final = 1_000
_FILL_COLUMNS: Final = (
    *("ts_event", "symbol", "side", "price", "quantity"),
    *("commission", "commission_currency", "liquidity", "purpose"),
)
"""What a digest of fills depends on."""


@dataclass(frozen=True, slots=True)
class TrialTask:
    """What one trial runs; it can be sent to another process."""

    values: Mapping[str, Any]
    """A configuration for `read_config`; its paths are absolute, its ``start``, ``end`` and ``output`` are replaced."""
    window: Window
    period_ns: int
    """Length of the periods that the result is cut into, nanoseconds."""
    with_traces: bool = False
    """Whether an objective needs them."""
    folder: Path | None = None
    """Where the run's folder ``<time>-<name>`` is kept; None keeps nothing."""


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What one trial came to; it can be sent to another process."""

    figures: Mapping[str, Any] | None = None
    """The run's completed summary; None if it failed."""
    periods: tuple[float, ...] = ()
    """What each period of the window added to the PnL, report currency: marked at mid, net of fees."""
    fills_digest: str = ""
    """Two runs with equal digests have equal fills."""
    longest_position_seconds: float = 0.0
    """Age of the oldest position of any symbol; one that is open at the end of the window ends there."""
    seconds: float = 0.0
    """Wall time of the trial."""
    error: str | None = None
    """Why it failed, in one line; None if it completed."""


def run_trial(task: TrialTask) -> TrialOutcome:
    """Run a trial in this process and return its outcome; an error of the run is part of that.

    A signal that stops the run ends the process: it raises SystemExit with the code of a command that it would end.
    """
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="mm-nautilus-trial-") as folder:
            return _outcome(task, task.folder or Path(folder), started)
    except InterruptedRunError as stopped:
        raise SystemExit(stopped.exit_code) from stopped
    except RunFailedError as failed:
        return _failed(failed.reason if task.folder is None else str(failed), started)
    except MarketMakingError as refused:
        return _failed(str(refused), started)
    except Exception as error:
        return _failed(raised_text(error), started)


def _failed(text: str, started: float) -> TrialOutcome:
    return TrialOutcome(seconds=time.perf_counter() - started, error="; ".join(text.splitlines()))


def _outcome(task: TrialTask, directory: Path, started: float) -> TrialOutcome:
    run = run_backtest(trial_values(task, directory))
    fills = pq.read_table(run.folder / "fills.parquet")
    return TrialOutcome(
        figures=run.summary,
        periods=_periods(run.folder / "equity.parquet", task),
        fills_digest=fills_digest(fills),
        longest_position_seconds=_oldest_position_seconds(fills, task.window.end_ns),
        seconds=time.perf_counter() - started,
    )


def trial_values(task: TrialTask, directory: Path) -> dict[str, Any]:
    """Return the configuration that a trial runs, which writes its folder of results into a directory.

    It writes no page and no journal, and unless its folder is kept, no log but of errors.
    """
    output = dict(task.values.get("output") or {})
    output |= {"directory": str(directory), "report": False, "journal": "none", "traces": task.with_traces}
    if task.folder is None:
        output["log_level"] = "ERROR"
    return {**task.values, **window_values(task.window), "output": output}


def window_values(window: Window) -> dict[str, str]:
    """Return ``start`` and ``end`` of a configuration that runs a window: moments of whole microseconds within it."""
    start, after_end = (-(-edge // _MICROSECOND_NS) for edge in (window.start_ns, window.end_ns))
    edges = {"start": start, "end": after_end - 1}  # a run's end belongs to it
    return {key: moment(edge * _MICROSECOND_NS).isoformat() for key, edge in edges.items()}


def _periods(path: Path, task: TrialTask) -> tuple[float, ...]:
    equity = pq.read_table(path, columns=["ts_event", "trading_pnl"])
    if not equity.num_rows:
        raise DataError("the run has no PnL in its report currency, for which a price is missing")
    times, totals = _plain(equity.column(0)).to_pylist(), equity.column(1).cast(pa.float64()).to_pylist()
    results = period_results(times, np.array(totals), task.window.edges(task.period_ns))
    return tuple(results.tolist())


def fills_digest(fills: pa.Table) -> str:
    """Return what any change of any fill changes: the first digits of the SHA-256 of its rows as text."""
    columns = [fills.column(name) for name in _FILL_COLUMNS]
    texts = [map(_text, _plain(column).to_pylist()) for column in columns]
    lines = [",".join(row) for row in (_FILL_COLUMNS, *zip(*texts, strict=True))]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:16]


def _plain(column: Any) -> Any:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _text(value: Any) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _oldest_position_seconds(fills: pa.Table, end_ns: int) -> float:
    names = ("symbol", "ts_event", "side", "quantity")
    by_symbol: dict[str, list[tuple[int, Decimal]]] = {}
    for symbol, ts_ns, side, size in zip(
        *(_plain(fills.column(name)).to_pylist() for name in names), strict=True
    ):
        by_symbol.setdefault(symbol, []).append((ts_ns, size if side == "BUY" else -size))
    return max((_oldest_of_symbol(changes, end_ns) for changes in by_symbol.values()), default=0.0)


def _oldest_of_symbol(changes: list[tuple[int, Decimal]], end_ns: int) -> float:
    times, sizes = zip(*changes, strict=True)
    digits = [int(size.scaleb(18)) for size in sizes]
    lots = math.gcd(*digits)
    return longest_position_seconds(np.array(times), np.array([size // lots for size in digits]), end_ns)
