"""Build the engine and the components of one run from its inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
)
from nautilus_trader.common import FileWriterConfig, LoggerConfig, LogLevel
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.model import InstrumentId, NautilusDataType

from mm_nautilus.core.config import MarketMakerConfig
from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.core.run_config import RunConfig
from mm_nautilus.nautilus.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.nautilus.strategy import MarketMaker
from mm_nautilus.nautilus.venue import fee_rates, simulated_venue
from mm_nautilus.runs.control import RunControl
from mm_nautilus.runs.inputs import RunInputs
from mm_nautilus.runs.recorder import RunRecorder

__all__ = ["RUN_ID", "RunParts", "build_parts", "strategy_config"]

RUN_ID: Final = "backtest"
"""The engine's name of the run."""
_CHATTY_COMPONENTS: Final = (
    "nautilus_portfolio::manager",
    "nautilus_portfolio::portfolio",
    "nautilus_execution::engine",
    "nautilus_trading::strategy",
)
"""Parts of the engine that log several lines an order; only their warnings are kept."""


@dataclass(frozen=True, slots=True)
class RunParts:
    """The components of one run."""

    node: BacktestNode
    strategy: MarketMaker
    metrics: MetricsActor
    recorder: RunRecorder
    control: RunControl

    def failure_text(self) -> str | None:
        """Return the first exception that a callback raised, with its traceback, or None."""
        for component in (self.strategy, self.metrics, self.recorder, self.control):
            for failure in component.failures:
                return f"{failure.callback} raised {failure.error!r}\n{failure.traceback}"
        return None


def build_parts(
    inputs: RunInputs,
    folder: Path,
    *,
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
    on_progress
        Called with the share of the data done, 0..1.
    interrupted
        Returns whether the run is to end now.
    """
    config = inputs.config
    node = BacktestNode([_node_config(inputs, folder)])
    node.build()
    strategy = MarketMaker(strategy_config(config, inputs.specs))
    strategy.wait_until(inputs.quote_ns)
    metrics = MetricsActor(MetricsActorConfig(interval_seconds=config.metrics.interval_seconds))
    recorder = RunRecorder(folder, lambda: metrics.ledger)
    control = RunControl(
        start_ns=inputs.data_ns,
        end_ns=inputs.end_ns,
        flatten=config.strategy.flatten_on_stop,
        on_progress=on_progress,
        interrupted=interrupted,
    )
    for actor in (metrics, recorder, control):
        node.add_actor(RUN_ID, actor)
    node.add_strategy(RUN_ID, strategy)
    return RunParts(node, strategy, metrics, recorder, control)


def strategy_config(config: RunConfig, specs: Mapping[str, InstrumentSpec]) -> MarketMakerConfig:
    """Return the strategy's configuration with the venue and the fees of this run filled in."""
    given = config.strategy.model_dump(exclude_unset=True)
    given["venue"] = config.venue.name
    for symbol, rates in fee_rates(config.venue, specs).items():
        params = config.strategy.for_symbol(symbol)
        for name, rate in zip(("maker_fee_pct", "taker_fee_pct"), rates, strict=True):
            if getattr(params, name) is None:
                given["symbols"][symbol][name] = float(100 * rate)
    return MarketMakerConfig.model_validate(given)


def _node_config(inputs: RunInputs, folder: Path) -> BacktestRunConfig:
    config = inputs.config
    ids = [InstrumentId.from_str(spec.instrument_id) for spec in inputs.specs.values()]
    data = [
        BacktestDataConfig(
            kind,
            str(config.catalog.resolve()),
            instrument_ids=ids,
            start_time=inputs.data_ns,
            end_time=inputs.end_ns,
            optimize_file_loading=True,
        )
        for kind in (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    ]
    return BacktestRunConfig(
        id=RUN_ID,
        venues=[simulated_venue(config.venue, inputs.specs, book_data="deltas")],
        data=data,
        engine=BacktestEngineConfig(
            logging=_logging(config, folder),
            # Market orders, marks and conversions need quotes, which come from the managed books.
            data_engine=DataEngineConfig(emit_quotes_from_book=True, emit_quotes_from_book_depths=True),
        ),
        chunk_size=config.chunk_rows,
        raise_exception=True,
        dispose_on_completion=False,
    )


def _logging(config: RunConfig, folder: Path) -> LoggerConfig:
    return LoggerConfig(
        stdout_level=LogLevel.OFF,
        fileout_level=LogLevel.from_str(config.output.log_level),
        file_config=FileWriterConfig(directory=str(folder), file_name="run"),
        component_levels=dict.fromkeys(_CHATTY_COMPONENTS, "WARNING"),
        is_colored=False,
    )
