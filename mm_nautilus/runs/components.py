"""What backtests and sandbox runs are both made of: strategy, actors, log."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nautilus_trader.common import FileWriterConfig, LoggerConfig, LogLevel

from mm_nautilus.config.run import OutputConfig, TradingConfig
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.runs.simulated_venue import fee_rates
from mm_nautilus.runs.traces import TraceRecorder
from mm_nautilus.trading.fail_fast import CallbackFailure, GuardedActor, GuardedStrategy
from mm_nautilus.trading.strategy import MarketMaker

__all__ = [
    "ORDER_RATE",
    "Components",
    "first_fault",
    "last_figures",
    "log_config",
    "raised_by",
    "strategy_config",
]

ORDER_RATE: Final = "100000/00:00:01"
"""Order commands a second at which the engine's own risk checks refuse them: far beyond the strategy's cap, which
exits and cancels because of an unsound book may pass."""

_CHATTY_COMPONENTS: Final = (
    "nautilus_portfolio::manager",
    "nautilus_portfolio::portfolio",
    "nautilus_execution::engine",
    "nautilus_trading::strategy",
)
"""Parts of the engine that log several lines an order; only their warnings are kept."""
_WARNS_OF_NOTHING: Final = "nautilus_model::types::quantity"
"""Warns whenever the simulated queue before an order becomes shorter than what was traded, which is no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components[Control: GuardedActor]:
    """The strategy and the actors of one run.

    Parameters
    ----------
    strategy, metrics, recorder
        As everywhere.
    traces
        What records the tables of charts, None where the run writes none.
    control
        What begins, watches and ends the run.
    others
        Actors that only some runs have.
    """

    strategy: MarketMaker
    metrics: MetricsActor
    recorder: RunRecorder
    traces: TraceRecorder | None
    control: Control
    others: Sequence[GuardedActor] = ()

    @property
    def actors(self) -> Sequence[GuardedActor]:
        """All but the strategy, in the order in which they have to start."""
        traces = () if self.traces is None else (self.traces,)
        return self.metrics, self.recorder, *traces, *self.others, self.control

    def failure(self) -> CallbackFailure | None:
        """Return what a callback raised first, or None."""
        components: tuple[GuardedStrategy | GuardedActor, ...] = (self.strategy, *self.actors)
        return next((failure for component in components for failure in component.failures), None)


def last_figures(parts: Components[Any], now_ns: int) -> tuple[Callable[[], None], ...]:
    """Return the steps that record what no callback sees any more at the end of a run; the caller closes the recorder.

    Parameters
    ----------
    parts
        What ran.
    now_ns
        The run's last moment, nanoseconds since the epoch.
    """
    return lambda: _write_missed_fills(parts), lambda: _write_last_rows(parts, now_ns)


def _write_missed_fills(parts: Components[Any]) -> None:
    for fill in parts.metrics.catch_up():
        parts.recorder.write_fill(fill)


def _write_last_rows(parts: Components[Any], now_ns: int) -> None:
    metrics, account = parts.metrics.figures(now_ns)
    for row in metrics:
        parts.recorder.write_metrics(row)
    if account is not None:
        parts.recorder.write_equity(now_ns, account)
        parts.recorder.write_snapshot(now_ns)


def raised_by(step: Callable[[], object]) -> Exception | None:
    """Take a step and return what it raised, so that what there is can be saved first."""
    try:
        step()
    except Exception as error:
        return error
    return None


def first_fault(faults: Iterable[Exception | None]) -> Exception | None:
    """Return the first of what went wrong, None where nothing did."""
    return next((fault for fault in faults if fault is not None), None)


def strategy_config(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> MarketMakerConfig:
    """Return the strategy's configuration with the venue and the fees of this run filled in."""
    given = config.strategy.model_dump(exclude_unset=True)
    given["venue"] = config.venue.name
    for symbol, rates in fee_rates(config.venue, specs).items():
        params = config.strategy.for_symbol(symbol)
        for name, rate in zip(("maker_fee_pct", "taker_fee_pct"), rates, strict=True):
            if getattr(params, name) is None:
                given["symbols"][symbol][name] = float(100 * rate)
    return MarketMakerConfig.model_validate(given)


_WARNS_ONCE_A_LEVEL: Final = "nautilus_model::orderbook::book"
"""Warns of every level of every book change that is dated before an earlier one: one frame that is dated ahead makes
that thousands a second. The strategy tells it once."""


def log_config(output: OutputConfig, folder: Path, rotate: tuple[int, int] | None = None) -> LoggerConfig:
    """Return the engine's logging: everything to a file in the run's folder, nothing to the terminal.

    Parameters
    ----------
    output
        Least level.
    folder
        The run's folder.
    rotate
        Bytes after which a new file is begun, and how many older ones are kept; None keeps one file.
    """
    quiet = [_WARNS_OF_NOTHING] if rotate is None else [_WARNS_OF_NOTHING, _WARNS_ONCE_A_LEVEL]
    return LoggerConfig(
        stdout_level=LogLevel.OFF,
        fileout_level=LogLevel.from_str(output.log_level),
        file_config=FileWriterConfig(directory=str(folder), file_name="run", file_rotate=rotate),
        component_levels=dict.fromkeys(_CHATTY_COMPONENTS, "WARNING") | dict.fromkeys(quiet, "ERROR"),
        is_colored=False,
    )
