"""Run one backtest from its configuration and write its folder of results."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mm_nautilus.checks.config_source import load_config, read_config
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.catalog import engine_catalog
from mm_nautilus.runs.assembly import RUN_ID, BacktestParts, build_backtest
from mm_nautilus.runs.folder import refuse_unwritable_folders
from mm_nautilus.runs.inputs import RunInputs, prepare
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.runs.summary import run_summary
from mm_nautilus.runs.tables import write_positions
from mm_nautilus.runs.traces import copy_market_trades
from mm_nautilus.runs.winding_down import Run, RunOutcome
from mm_nautilus.trading.instruments import keep_size_digits


def run_backtest(
    config: RunConfig | Mapping[str, Any] | Path | str,
    *,
    on_warnings: Callable[[Mapping[str, Problem]], None] = lambda _warnings: None,
    on_progress: Callable[[float], None] = lambda _share: None,
    say_trades: Callable[[str], None] = lambda _line: None,
) -> RunOutcome:
    """Run a backtest and write its folder: configuration, calibration, summary, tables, journal, log and report.

    `config` is the path of a YAML file, a mapping with its keys, or a `RunConfig`; paths and modules in a mapping are
    relative to the current folder. `on_warnings` is called before the run with the risks that validation found, by
    their texts, `on_progress` with the share of the data done, 0..1, and `say_trades` with the journal's lines for
    people: fills, and the portfolio once a minute.

    Raises
    ------
    ConfigError
        If the configuration has errors or does not fit its instruments, the catalog cannot be used, or a class or
        function cannot be imported; nothing has been written.
    RunFailedError, StoppedRunError
        As of `Run.outcome`.
    """
    if not isinstance(config, RunConfig):
        loaded = read_config(config) if isinstance(config, Mapping) else load_config(Path(config))
        with loaded.placing():
            outcome = run_backtest(
                loaded.config,
                on_warnings=lambda found: on_warnings({**loaded.warnings, **found}),
                on_progress=on_progress,
                say_trades=say_trades,
            )
        return replace(outcome, warnings=tuple(dict.fromkeys([*loaded.warnings, *outcome.warnings])))
    inputs = prepare(config)
    refuse_unwritable_folders(config)
    on_warnings(inputs.warnings)
    keep_size_digits(inputs.specs.values())
    with engine_catalog(config.catalog) as catalog, SignalListener() as signals:
        return _Backtest(inputs, catalog, signals, on_progress, say_trades).outcome()


class _Backtest(Run[BacktestParts]):
    """A run on a catalog."""

    def __init__(
        self,
        inputs: RunInputs,
        catalog: Mapping[str, Any],
        signals: SignalListener,
        on_progress: Callable[[float], None],
        say_trades: Callable[[str], None],
    ) -> None:
        super().__init__(inputs, signals)
        self._inputs, self._catalog = inputs, catalog
        self._on_progress, self._say_trades = on_progress, say_trades
        self._events, self._elapsed_seconds = 0, 0.0

    def play(self) -> RunOutcome:
        parts = build_backtest(
            self._inputs,
            self.folder,
            catalog=self._catalog,
            on_progress=self._on_progress,
            interrupted=lambda: self.signals.received is not None,
            say_trades=self._say_trades,
        )
        result, error, started = None, None, time.perf_counter()
        try:
            result = parts.node.run()[0]
            self._events = result.iterations
        except Exception as raised:  # everything so far is saved first
            error = raised
        self._elapsed_seconds = time.perf_counter() - started
        now_ns = max(parts.strategy.clock.timestamp_ns(), self._inputs.quote_ns)
        error = self.save(
            parts,
            now_ns,
            error,
            lambda: write_positions(parts.node.get_engine_cache(RUN_ID), self.folder / "positions.parquet"),
            lambda: self._copy_market_trades(min(now_ns, self._inputs.end_ns)),
            result=result,
        )
        parts.node.dispose()
        return self.end(parts, error)

    def _copy_market_trades(self, end_ns: int) -> None:
        inputs = self._inputs
        if inputs.config.output.traces:
            span = inputs.quote_ns, end_ns
            copy_market_trades(inputs.config.catalog, inputs.specs.values(), span, self.folder)

    def figures(self, parts: BacktestParts, now_ns: int, status: str) -> dict[str, Any]:
        inputs = self._inputs
        end_ns = inputs.end_ns if status == "completed" else min(now_ns, inputs.end_ns)
        return run_summary(
            inputs,
            parts,
            (inputs.quote_ns, end_ns),
            now_ns,
            status=status,
            events=self._events,
            elapsed_seconds=self._elapsed_seconds,
        )
