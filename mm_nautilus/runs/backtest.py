"""Run one backtest from its configuration and write its folder of results."""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from nautilus_trader.backtest import BacktestNode, BacktestResult

from mm_nautilus.core.config_source import resolved_yaml
from mm_nautilus.core.run_config import RunConfig
from mm_nautilus.errors import InterruptedRunError, RunFailedError
from mm_nautilus.nautilus.instruments import keep_digits
from mm_nautilus.report.derived import complete_summary
from mm_nautilus.report.page import write_report as write_page
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.runs.assembly import RUN_ID, RunParts, build_parts
from mm_nautilus.runs.components import save_last_figures
from mm_nautilus.runs.folder import begun_run_folder
from mm_nautilus.runs.inputs import prepare
from mm_nautilus.runs.signals import SignalWatch
from mm_nautilus.runs.statistics import run_statistics
from mm_nautilus.runs.summary import run_summary
from mm_nautilus.runs.tables import FILLS, ORDERS, POSITIONS, write_report

__all__ = ["BacktestOutcome", "run_backtest"]


@dataclass(frozen=True, slots=True)
class BacktestOutcome:
    """What a backtest leaves.

    Parameters
    ----------
    summary
        The run's figures, as in ``summary.json``.
    folder
        Where everything was written.
    warnings
        Risks that validation named.
    """

    summary: dict[str, Any]
    folder: Path
    warnings: tuple[str, ...]


def run_backtest(config: RunConfig, *, on_progress: Callable[[float], None] | None = None) -> BacktestOutcome:
    """Run a backtest and write its folder: configuration, calibration, summary, tables, journal, log and report.

    Parameters
    ----------
    config
        The run.
    on_progress
        Called with the share of the data done, 0..1.

    Raises
    ------
    ConfigError
        If the configuration does not fit the catalog's instruments; nothing has been written.
    DataError
        If the catalog cannot be used; nothing has been written.
    RunFailedError
        If the run failed; the message says what was saved and where.
    InterruptedRunError
        If a signal ended the run; reports up to then are saved.
    """
    inputs = prepare(config)
    keep_digits(inputs.specs.values())
    folder = begun_run_folder(config)
    with SignalWatch() as signals:
        parts = build_parts(
            inputs,
            folder,
            on_progress=on_progress or (lambda _share: None),
            interrupted=lambda: signals.received is not None,
        )
        started = time.perf_counter()
        result, error = _run(parts.node)
        elapsed_seconds = time.perf_counter() - started
        now_ns = (None if result is None else result.backtest_end) or inputs.end_ns
        events = 0 if result is None else result.iterations
        _save(parts, now_ns, folder)
        summary = run_summary(
            config,
            inputs.specs,
            parts,
            (inputs.quote_ns, inputs.end_ns),
            now_ns,
            events=events,
            elapsed_seconds=elapsed_seconds,
            warnings=inputs.warnings,
        )
        summary["status"] = _status(parts, error, signals)
        summary["statistics"] = run_statistics(result, folder)
        summary = complete_summary(RunFiles(folder, summary, resolved_yaml(config)))
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    parts.node.dispose()
    try:
        if config.output.report:
            write_page(folder)
    finally:
        _raise_for(parts, error, signals, folder)
    return BacktestOutcome(summary, folder, inputs.warnings)


def _run(node: BacktestNode) -> tuple[BacktestResult | None, Exception | None]:
    """Run the engine; what it raises is kept, so that what there is can be saved first."""
    try:
        return node.run()[0], None
    except Exception as error:
        return None, error


def _save(parts: RunParts, now_ns: int, folder: Path) -> None:
    """Record the last figures, which no callback sees any more, and write the engine's reports."""
    save_last_figures(parts, now_ns)
    parts.recorder.close()
    parts.traces.close(now_ns)
    node = parts.node
    orders = node.generate_orders_report(RUN_ID)
    write_report(orders, ORDERS, folder / "orders.parquet")
    write_report(_with_tags(node.generate_fills_report(RUN_ID), orders), FILLS, folder / "fills.parquet")
    write_report(node.generate_positions_report(RUN_ID), POSITIONS, folder / "positions.parquet")


def _with_tags(fills: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    """Return fills with the tags of their orders, which say what the orders were for."""
    if fills.empty:
        return fills
    return fills.assign(tags=fills.index.map(orders["tags"].to_dict()))


def _status(parts: RunParts, error: Exception | None, signals: SignalWatch) -> str:
    if error is not None or parts.failure_text() is not None:
        return "failed"
    return "completed" if signals.received is None else "interrupted"


def _raise_for(parts: RunParts, error: Exception | None, signals: SignalWatch, folder: Path) -> None:
    """Raise what ended the run early, if anything did, with what was saved."""
    saved = f"reports up to then were saved in {folder}"
    failure = parts.failure_text()
    if failure is not None:
        (folder / "failure.txt").write_text(failure, encoding="utf-8")
        first = failure.splitlines()[0]
        raise RunFailedError(
            f"the run failed: {first}; the traceback is in {folder / 'failure.txt'}, {saved}"
        )
    if error is not None:
        raise RunFailedError(f"the run failed: {error}; {saved}") from error
    if signals.received is not None:
        name = signal.Signals(signals.received).name
        raise InterruptedRunError(f"interrupted by {name}: quotes cancelled, {saved}", signals.exit_code)
