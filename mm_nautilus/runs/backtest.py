"""Run one backtest from its configuration and write its folder of results."""

import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nautilus_trader.backtest import BacktestNode, BacktestResult

from mm_nautilus.checks.config_source import resolved_yaml
from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.catalog_path import engine_path
from mm_nautilus.errors import InterruptedRunError, RunFailedError
from mm_nautilus.runs.assembly import RUN_ID, RunParts, build_parts
from mm_nautilus.runs.components import first_fault, last_figures, raised_by
from mm_nautilus.runs.failures import note_failed, run_failed
from mm_nautilus.runs.folder import begun_run_folder, write_summary
from mm_nautilus.runs.inputs import RunInputs, prepare
from mm_nautilus.runs.signals import SignalWatch
from mm_nautilus.runs.summary import run_summary
from mm_nautilus.runs.tables import write_positions
from mm_nautilus.system.whole_file import remove_unfinished
from mm_nautilus.trading.instruments import keep_size_digits

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
    RefusedRunError
        If the catalog cannot be used, or the configuration does not fit its instruments; nothing has been written.
    RunFailedError
        If the run failed; the message says what was saved and where.
    InterruptedRunError
        If a signal ended the run; reports up to then are saved.
    """
    inputs = prepare(config)
    keep_size_digits(inputs.specs.values())
    with engine_path(config.catalog) as catalog, SignalWatch() as signals:
        folder = begun_run_folder(config)
        try:
            return _Run(inputs, folder, catalog, signals).outcome(on_progress or (lambda _share: None))
        except (RunFailedError, InterruptedRunError):
            raise
        except Exception as error:
            remove_unfinished(folder)
            note_failed(folder, _known(folder) or {"name": config.name})
            raise run_failed(folder, error) from error


class _Run:
    """One backtest from its folder on."""

    def __init__(self, inputs: RunInputs, folder: Path, catalog: str, signals: SignalWatch) -> None:
        self._inputs = inputs
        self._config = inputs.config
        self._folder = folder
        self._catalog = catalog
        self._signals = signals

    def outcome(self, on_progress: Callable[[float], None]) -> BacktestOutcome:
        """Run to the end, save, and return what is left; raises as `run_backtest`."""
        signals, folder = self._signals, self._folder
        parts = build_parts(
            self._inputs,
            folder,
            catalog=self._catalog,
            on_progress=on_progress,
            interrupted=lambda: signals.received is not None,
        )
        started = time.perf_counter()
        result, error = _run(parts.node)
        elapsed_seconds = time.perf_counter() - started
        now_ns = (None if result is None else result.backtest_end) or self._inputs.end_ns
        error = _save(parts, now_ns, folder, error)
        summary = run_summary(
            self._config,
            self._inputs.specs,
            parts,
            (self._inputs.quote_ns, self._inputs.end_ns),
            now_ns,
            events=0 if result is None else result.iterations,
            elapsed_seconds=elapsed_seconds,
            warnings=self._inputs.warnings,
        )
        summary["status"] = _status(parts, error, signals)
        faults = [error, raised_by(lambda: write_summary(folder, summary))]
        faults.append(raised_by(lambda: self._complete(summary, result)))
        parts.node.dispose()
        if self._config.output.report:
            faults.append(raised_by(lambda: _write_page(folder)))
        error = first_fault(faults)
        if error is not None:
            note_failed(folder, summary)
        _raise_for(parts, error, signals, folder)
        return BacktestOutcome(summary, folder, self._inputs.warnings)

    def _complete(self, summary: dict[str, Any], result: BacktestResult | None) -> None:
        """Add to the summary what only the tables tell."""
        from mm_nautilus.report.run_files import RunFiles  # noqa: PLC0415 (no run waits for it to begin)
        from mm_nautilus.runs.finish import write_completed  # noqa: PLC0415

        summary |= write_completed(RunFiles(self._folder, summary, resolved_yaml(self._config)), result)


def _write_page(folder: Path) -> None:
    from mm_nautilus.report.page import write_report  # noqa: PLC0415 (it loads plotly)

    write_report(folder)


def _run(node: BacktestNode) -> tuple[BacktestResult | None, Exception | None]:
    """Run the engine; what it raises is kept, so that what there is can be saved first."""
    try:
        return node.run()[0], None
    except Exception as error:
        return None, error


def _save(parts: RunParts, now_ns: int, folder: Path, error: Exception | None) -> Exception | None:
    """Record the last figures, which no callback sees any more, and write the tables.

    Each part is saved whatever becomes of the others; returned is the first thing that went wrong.
    """
    traces = parts.traces
    steps = (
        *last_figures(parts, now_ns),
        parts.recorder.close,
        *(() if traces is None else (lambda: traces.close(now_ns),)),
        lambda: write_positions(parts.node.get_engine_cache(RUN_ID), folder / "positions.parquet"),
    )
    return first_fault([error, *(raised_by(step) for step in steps)])


def _status(parts: RunParts, error: Exception | None, signals: SignalWatch) -> str:
    if error is not None or parts.failure() is not None:
        return "failed"
    return "completed" if signals.received is None else "interrupted"


def _known(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _raise_for(parts: RunParts, error: Exception | None, signals: SignalWatch, folder: Path) -> None:
    """Raise what ended the run early, if anything did, with what was saved."""
    failure = parts.failure() or error
    if failure is not None:
        raise run_failed(folder, failure) from error
    if signals.received is not None:
        name, saved = signal.Signals(signals.received).name, f"reports up to then were saved in {folder}"
        raise InterruptedRunError(f"interrupted by {name}: quotes cancelled, {saved}", signals.exit_code)
