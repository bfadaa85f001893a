"""Build the engine and the components of one run from its inputs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
)
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.model import InstrumentId, NautilusDataType
from nautilus_trader.persistence import ParquetDataCatalog
from nautilus_trader.risk import RiskEngineConfig

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.runs.components import ORDER_RATE, Components, log_config, strategy_config
from mm_nautilus.runs.control import RunControl
from mm_nautilus.runs.inputs import RunInputs
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.runs.simulated_venue import simulated_venue
from mm_nautilus.runs.traces import TraceRecorder
from mm_nautilus.trading.setup import Conditions
from mm_nautilus.trading.strategy import MarketMaker

__all__ = ["RUN_ID", "RunParts", "build_parts"]

RUN_ID: Final = "backtest"
"""The engine's name of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts(Components[RunControl]):
    """The engine and the components of one backtest."""

    node: BacktestNode


def build_parts(
    inputs: RunInputs,
    folder: Path,
    *,
    catalog: str,
    on_progress: Callable[[float], None],
    interrupted: Callable[[], bool],
) -> RunParts:
    """Return the engine with everything added, ready to run.

    Parameters
    ----------
    inputs
        The run.
    folder
        The run's folder; the log and what is recorded goes there.
    catalog
        The path by which the engine reads the catalog.
    on_progress
        Called with the share of the data done, 0..1.
    interrupted
        Returns whether the run is to end now.
    """
    config = inputs.config
    with _pandas_unloaded():
        node = BacktestNode([_node_config(inputs, folder, catalog)])
        node.build()
    strategy = MarketMaker(strategy_config(config, inputs.specs))
    strategy.conditions = Conditions(
        start_ns=inputs.quote_ns, pauses_in_gaps=True, followed=inputs.specs.keys() - inputs.broken
    )
    metrics = MetricsActor(MetricsActorConfig(interval_seconds=config.metrics.interval_seconds))
    metrics.pause_in_gaps()
    recorder = RunRecorder(folder, lambda: metrics.ledger, config.output)
    traces = TraceRecorder(folder) if config.output.traces else None
    control = RunControl(
        start_ns=inputs.data_ns,
        end_ns=inputs.end_ns,
        flatten=config.strategy.flatten_on_stop,
        on_progress=on_progress,
        interrupted=interrupted,
    )
    parts = RunParts(
        strategy=strategy, metrics=metrics, recorder=recorder, traces=traces, control=control, node=node
    )
    for actor in parts.actors:
        node.add_actor(RUN_ID, actor)
    node.add_strategy(RUN_ID, strategy)
    return parts


@contextmanager
def _pandas_unloaded() -> Iterator[None]:
    """Keep the engine from importing pandas, which takes as long as all else before the first event.

    It does so to read a time, which is whole nanoseconds here, and for the line of its log that tells the version; it
    goes without where there is none.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment] # what makes an import fail
    try:
        yield
    finally:
        del sys.modules["pandas"]


def _node_config(inputs: RunInputs, folder: Path, catalog: str) -> BacktestRunConfig:
    config = inputs.config
    ids = [InstrumentId.from_str(spec.instrument_id) for spec in inputs.specs.values()]
    data = [
        BacktestDataConfig(
            kind,
            catalog,
            instrument_ids=ids,
            start_time=inputs.data_ns,
            end_time=inputs.end_ns,
            optimize_file_loading=True,
        )
        for kind in (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    ]
    if inputs.pinned:
        # The engine takes all definitions of each catalog in turn, and the last one counts.
        definitions = folder / "definitions"
        definitions.mkdir()
        ParquetDataCatalog(str(definitions.resolve())).write_instruments(list(inputs.pinned))
        pinned = [pair.id for pair in inputs.pinned]
        data.append(
            BacktestDataConfig(NautilusDataType.TradeTick, str(definitions.resolve()), instrument_ids=pinned)
        )
    return BacktestRunConfig(
        id=RUN_ID,
        venues=[simulated_venue(config.venue, inputs.specs, book_data="deltas")],
        data=data,
        engine=BacktestEngineConfig(
            logging=log_config(config.output, folder),
            # Market orders, marks and conversions need quotes, which come from the managed books.
            data_engine=DataEngineConfig(emit_quotes_from_book=True, emit_quotes_from_book_depths=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
        ),
        chunk_size=config.chunk_rows,
        raise_exception=True,
        dispose_on_completion=False,
    )
