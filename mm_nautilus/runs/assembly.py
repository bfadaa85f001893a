"""Build the parts that backtests and sandbox runs share, such as the simulated venue, and a backtest's engine."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from nautilus_trader.adapters.sandbox import SandboxExecutionClientConfig
from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.common import FileWriterConfig, LoggerConfig, LogLevel
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.execution import FeeModel, MakerTakerFeeModel, StaticLatencyModel
from nautilus_trader.model import (
    AccountId,
    AccountType,
    BookType,
    InstrumentId,
    Money,
    NautilusDataType,
    OmsType,
    Venue,
)
from nautilus_trader.persistence import ParquetDataCatalog
from nautilus_trader.risk import RiskEngineConfig

from mm_nautilus.checks.fees import with_venue_fees
from mm_nautilus.config.run import LatencyConfig, OutputConfig, TradingConfig, VenueConfig
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.data.funding import write_rates
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.runs.control import RunControl
from mm_nautilus.runs.fee_model import FEE_KEYS, TieredFees
from mm_nautilus.runs.inputs import RunInputs
from mm_nautilus.runs.recorder import RunRecorder
from mm_nautilus.runs.traces import TraceRecorder
from mm_nautilus.trading.fail_fast import CallbackFailure, GuardedActor, GuardedStrategy
from mm_nautilus.trading.instruments import engine_instrument
from mm_nautilus.trading.setup import Conditions
from mm_nautilus.trading.strategy import MarketMaker

RUN_ID: Final = "backtest"
FUNDING: Final = "funding"
"""Name of a run's folder with its funding rates."""
_NS_PER_MS: Final = 1_000_000
ORDER_RATE: Final = "100000/00:00:01"
"""Order commands a second above which the engine's risk checks refuse them: far beyond the strategy's own cap, which
exits and cancels on an unsafe book may exceed."""
_CHATTY_COMPONENTS: Final = (
    "nautilus_portfolio::manager",
    "nautilus_portfolio::portfolio",
    "nautilus_execution::engine",
    "nautilus_trading::strategy",
)
"""They log several lines an order; only their warnings are kept."""
_WARNS_OF_NOTHING: Final = "nautilus_model::types::quantity"
"""Warns whenever the simulated queue before an order becomes shorter than a trade's size, which is no fault."""
_WARNS_OF_SUBSCRIPTIONS: Final = "nautilus_common::clients"
"""Warns that a simulated venue takes no subscription to funding rates, which arrive nevertheless."""
_WARNS_ONCE_A_LEVEL: Final = "nautilus_model::orderbook::book"
"""Warns of every level of every book change with a time before an earlier one: thousands a second after one frame with
a time ahead. The strategy reports it once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts[Node, Control: GuardedActor]:
    """The engine, the strategy and the actors of one run."""

    node: Node
    strategy: MarketMaker
    metrics: MetricsActor
    recorder: RunRecorder
    traces: TraceRecorder | None
    """Records the tables of charts, None in a run without them."""
    fees: FeeModel
    control: Control
    others: Sequence[GuardedActor] = ()
    """Actors that only some runs have."""

    @property
    def actors(self) -> Sequence[GuardedActor]:
        """All but the strategy, in the order of their start."""
        traces = () if self.traces is None else (self.traces,)
        return self.metrics, self.recorder, *traces, *self.others, self.control

    def failure(self) -> CallbackFailure | None:
        """Return the first failure of a callback, or None."""
        components: tuple[GuardedStrategy | GuardedActor, ...] = (self.strategy, *self.actors)
        return next((failure for component in components for failure in component.failures), None)


type BacktestParts = Parts[BacktestNode, RunControl]


def fee_rates(venue: VenueConfig, specs: Mapping[str, InstrumentSpec]) -> dict[str, tuple[Decimal, Decimal]]:
    """Return each symbol's maker and taker fee as fractions of the traded value.

    An entry under ``symbol_fees`` comes before ``fees``, and that before the instrument's own. Raises ConfigError if a
    symbol has none of the three.
    """
    rates = {}
    for symbol, spec in specs.items():
        charged = with_venue_fees(venue, spec)
        if charged.maker_fee_rate is None or charged.taker_fee_rate is None:
            raise ConfigError(
                f"venue.fees must be given for {spec.symbol}, whose instrument has no fees of its own, was null"
            )
        rates[symbol] = charged.maker_fee_rate, charged.taker_fee_rate
    return rates


def answer_ns(latency: LatencyConfig) -> int:
    """Return how long the answer to a command takes, nanoseconds: the engine answers as the command arrives."""
    return round(latency.insert_ms * _NS_PER_MS)


def latency_model(latency: LatencyConfig) -> StaticLatencyModel | None:
    """Return the engine's latency model, None without any latency."""
    if not (latency.insert_ms or latency.amend_ms or latency.cancel_ms):
        return None  # else a live node's simulated client waits on a timer of zero, and is late by it
    return StaticLatencyModel(
        base_latency_nanos=0,
        insert_latency_nanos=round(latency.insert_ms * _NS_PER_MS),
        update_latency_nanos=round(latency.amend_ms * _NS_PER_MS),
        cancel_latency_nanos=round(latency.cancel_ms * _NS_PER_MS),
    )


def fee_model(venue: VenueConfig, specs: Mapping[str, InstrumentSpec], report_currency: str) -> FeeModel:
    """Return the venue's fees: fixed ones, or a `TieredFees` that must follow the strategy."""
    rates = {
        InstrumentId.from_str(specs[symbol].instrument_id): pair
        for symbol, pair in fee_rates(venue, specs).items()
        if venue.fee_schedule is None or symbol in venue.symbol_fees
    }
    if venue.fee_schedule is None:
        makers, takers = zip(*rates.values(), strict=True)
        return MakerTakerFeeModel(max(makers), max(takers), rates)
    return TieredFees(venue.fee_schedule, rates, report_currency)


def _shared_settings(venue: VenueConfig, fees: FeeModel) -> dict[str, Any]:
    """Return the settings of both venues, every realism switch included."""
    is_cash = venue.account_type == "cash"
    return {
        "oms_type": OmsType.NETTING,
        "account_type": AccountType.CASH if is_cash else AccountType.MARGIN,
        "default_leverage": None if is_cash else Decimal(str(venue.leverage)),
        "fee_model": fees,
        "latency_model": latency_model(venue.latency),
        "queue_position": venue.queue_position,
        "liquidity_consumption": venue.liquidity_consumption,
        "trade_execution": True,
        "bar_execution": False,
        "use_reduce_only": True,
    }


def simulated_venue(venue: VenueConfig, fees: FeeModel, *, book_data: str) -> BacktestVenueConfig:
    """Describe the venue to the backtest engine."""
    return BacktestVenueConfig(
        name=venue.name,
        starting_balances=[str(amount) for amount in venue.starting_balances],
        book_type=BookType.L1_MBP if book_data == "quotes" else BookType.L2_MBP,
        allow_cash_borrowing=False,
        use_random_ids=False,
        **_shared_settings(venue, fees),
    )


def sandbox_venue(
    venue: VenueConfig, fees: FeeModel, account_id: AccountId, starting_balances: Sequence[Money]
) -> SandboxExecutionClientConfig:
    """Describe the venue to a live node's simulated execution client."""
    return SandboxExecutionClientConfig(
        venue=Venue(venue.name),
        account_id=account_id,
        starting_balances=starting_balances,
        book_type=BookType.L2_MBP,
        # Ids that count from 1 would repeat after a restart.
        use_random_ids=True,
        **_shared_settings(venue, fees),
    )


def strategy_config(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> MarketMakerConfig:
    """Return the strategy's configuration with the venue, its rate limit and the fees of this run filled in."""
    given = config.strategy.model_dump(exclude_unset=True)
    given["venue"] = config.venue.name
    if config.venue.rate_limit is not None:
        given["rate_limit"] = config.venue.rate_limit.model_dump(exclude_none=True)
    for symbol, rates in fee_rates(config.venue, specs).items():
        params = config.strategy.for_symbol(symbol)
        for name, rate in zip(FEE_KEYS, rates, strict=True):
            if getattr(params, name) is None:
                given["symbols"][symbol][name] = float(100 * rate)
    return MarketMakerConfig.model_validate(given)


def log_config(output: OutputConfig, folder: Path, rotate: tuple[int, int] | None = None) -> LoggerConfig:
    """Return the engine's logging: to a file in the run's folder, nothing to the terminal.

    `rotate` has the bytes of one file and the number of older ones to keep; None keeps one file.
    """
    quiet = [_WARNS_OF_NOTHING, _WARNS_OF_SUBSCRIPTIONS if rotate is None else _WARNS_ONCE_A_LEVEL]
    return LoggerConfig(
        stdout_level=LogLevel.OFF,
        fileout_level=LogLevel.from_str(output.log_level),
        file_config=FileWriterConfig(directory=str(folder), file_name="run", file_rotate=rotate),
        component_levels=dict.fromkeys(_CHATTY_COMPONENTS, "WARNING") | dict.fromkeys(quiet, "ERROR"),
        is_colored=False,
    )


def build_backtest(
    inputs: RunInputs,
    folder: Path,
    *,
    catalog: Mapping[str, Any],
    on_progress: Callable[[float], None],
    interrupted: Callable[[], bool],
    say_trades: Callable[[str], None] = lambda _line: None,
) -> BacktestParts:
    """Return the engine of a backtest with everything added, ready to run.

    `catalog` has the arguments of `engine_catalog`; `on_progress` receives the share of the data done, 0..1;
    `interrupted` returns whether the run must end now.
    """
    config = inputs.config
    fees = fee_model(config.venue, inputs.specs, config.report_currency)
    _write_funding(inputs, folder)  # not within the block: pyarrow looks for pandas while it writes
    with _pandas_unloaded():
        node = BacktestNode([_node_config(inputs, folder, catalog, fees)])
        node.build()
    strategy = inputs.code.strategy(strategy_config(config, inputs.specs))
    strategy.conditions = Conditions(
        start_ns=inputs.quote_ns,
        pauses_in_gaps=True,
        followed=inputs.specs.keys() - inputs.broken,
        answer_ns=answer_ns(config.venue.latency),
    )
    metrics = MetricsActor(MetricsActorConfig(interval_seconds=config.metrics.interval_seconds))
    metrics.pause_in_gaps()
    if isinstance(fees, TieredFees):
        fees.follow(strategy, inputs.specs, config)
    parts = Parts(
        node=node,
        fees=fees,
        strategy=strategy,
        metrics=metrics,
        recorder=RunRecorder(folder, metrics.portfolio, config.output, say=say_trades),
        traces=TraceRecorder(folder) if config.output.traces else None,
        control=RunControl(
            start_ns=inputs.data_ns,
            end_ns=inputs.end_ns,
            flatten=config.strategy.flatten_on_stop,
            on_progress=on_progress,
            interrupted=interrupted,
        ),
    )
    for actor in parts.actors:
        node.add_actor(RUN_ID, actor)
    node.add_strategy(RUN_ID, strategy)
    return parts


@contextmanager
def _pandas_unloaded() -> Iterator[None]:
    """Keep the engine from importing pandas, which takes as long as all else before the first event.

    It would use it for the times below, which are whole nanoseconds, and to log its version.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment] # makes the import fail
    try:
        yield
    finally:
        del sys.modules["pandas"]


def _write_funding(inputs: RunInputs, folder: Path) -> None:
    """Write the funding rates of a run to its folder as a catalog for the engine; without any it writes nothing."""
    for symbol, rates in inputs.funding.items():
        spec = inputs.specs[symbol]
        write_rates(folder / FUNDING, spec, rates)
        ParquetDataCatalog(str((folder / FUNDING).resolve())).write_instruments([engine_instrument(spec)])


def _node_config(
    inputs: RunInputs, folder: Path, catalog: Mapping[str, Any], fees: FeeModel
) -> BacktestRunConfig:
    config = inputs.config
    ids = [InstrumentId.from_str(spec.instrument_id) for spec in inputs.specs.values()]
    data = [
        BacktestDataConfig(
            kind,
            **catalog,
            instrument_ids=ids,
            start_time=inputs.data_ns,
            end_time=inputs.end_ns,
            optimize_file_loading=True,
        )
        for kind in (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    ]
    if inputs.pinned:
        # The engine reads all definitions of each catalog in turn, and the last one counts.
        (folder / "definitions").mkdir()
        definitions = str((folder / "definitions").resolve())
        ParquetDataCatalog(definitions).write_instruments(list(inputs.pinned))
        pinned = [pair.id for pair in inputs.pinned]
        data.append(BacktestDataConfig(NautilusDataType.TradeTick, definitions, instrument_ids=pinned))
    if inputs.funding:
        ids = [InstrumentId.from_str(inputs.specs[symbol].instrument_id) for symbol in inputs.funding]
        rates = str((folder / FUNDING).resolve())
        data.append(BacktestDataConfig(NautilusDataType.FundingRateUpdate, rates, instrument_ids=ids))
    return BacktestRunConfig(
        id=RUN_ID,
        venues=[simulated_venue(config.venue, fees, book_data="deltas")],
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
