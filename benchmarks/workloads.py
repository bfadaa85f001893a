"""One measured workload in a process of its own; prints its figures as one JSON line.

Usage: python benchmarks/workloads.py MODE CATALOG
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngine,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
)
from nautilus_trader.common import LoggerConfig
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AccountType,
    BookAction,
    BookOrder,
    BookType,
    InstrumentId,
    Money,
    NautilusDataType,
    OmsType,
    OrderBookDelta,
    OrderBookDeltas,
    OrderSide,
    Price,
    Quantity,
    Venue,
)
from nautilus_trader.trading import GridMarketMakerConfig, Strategy

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.components import strategy_config
from mm_nautilus.runs.simulated_venue import simulated_venue
from mm_nautilus.trading.instruments import currency_pair
from mm_nautilus.trading.strategy import MarketMaker

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "backtest.yaml"
RUN_ID = "benchmark"
CHUNK_ROWS = 50_000
QUIET_EVENTS = 300_000


class Listener(Strategy):
    """Subscribe to every book as the market maker does, and do nothing."""

    def __init__(self, instrument_ids: list[InstrumentId]) -> None:
        super().__init__()
        self.instrument_ids = instrument_ids

    def __new__(cls, _instrument_ids: list[InstrumentId]) -> "Listener":
        return super().__new__(cls)

    def on_start(self) -> None:
        for instrument_id in self.instrument_ids:
            self.subscribe_book_deltas(instrument_id, BookType.L2_MBP, managed=True)

    def on_book_deltas(self, deltas: Any) -> None:
        """Take the event and leave it."""


def engine_config() -> BacktestEngineConfig:
    return BacktestEngineConfig(
        logging=LoggerConfig(bypass_logging=True),
        data_engine=DataEngineConfig(emit_quotes_from_book=True),
        run_analysis=False,
    )


def loaded(catalog: Path) -> tuple[RunConfig, dict[str, Any]]:
    config = load_config(CONFIG, [f"catalog={catalog}"]).config
    return config, {spec.symbol: spec for spec in CatalogReader(catalog).instruments()}


def node_run(catalog: Path, add: Callable[[BacktestNode, RunConfig, dict[str, Any]], None]) -> dict[str, Any]:
    """Run a catalog through a node with what `add` puts into it."""
    config, specs = loaded(catalog)
    ids = [InstrumentId.from_str(spec.instrument_id) for spec in specs.values()]
    data = [
        BacktestDataConfig(kind, str(catalog), instrument_ids=ids, optimize_file_loading=True)
        for kind in (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    ]
    venue = simulated_venue(config.venue, specs, book_data="deltas")
    run = BacktestRunConfig(
        id=RUN_ID,
        venues=[venue],
        data=data,
        engine=engine_config(),
        chunk_size=CHUNK_ROWS,
        dispose_on_completion=False,
    )
    node = BacktestNode([run])
    node.build()
    add(node, config, specs)
    started = time.perf_counter()
    result = node.run()[0]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "events": result.iterations, "orders": result.total_orders}


def listen(catalog: Path) -> dict[str, Any]:
    """Measure a strategy that only subscribes."""
    return node_run(
        catalog,
        lambda node, _config, specs: node.add_strategy(
            RUN_ID, Listener([InstrumentId.from_str(spec.instrument_id) for spec in specs.values()])
        ),
    )


def market_maker(catalog: Path) -> dict[str, Any]:
    """Measure the market maker with its metrics actor."""

    def add(node: BacktestNode, config: RunConfig, specs: dict[str, Any]) -> None:
        node.add_actor(RUN_ID, MetricsActor())
        strategy = MarketMaker(strategy_config(config, specs))
        node.add_strategy(RUN_ID, strategy)
        kept.append(strategy)

    kept: list[MarketMaker] = []
    figures = node_run(catalog, add)
    counts = [desk.counts for desk in kept[0].symbols.values()]
    return figures | {
        "amends": sum(count.amended for count in counts),
        "fills": sum(count.fills for count in counts),
    }


def grid(catalog: Path, bps: int) -> dict[str, Any]:
    """Measure the engine's own grid market maker, compiled code, one level a side on every symbol."""

    def add(node: BacktestNode, _config: RunConfig, specs: dict[str, Any]) -> None:
        # It listens to quotes, which the engine makes from books that somebody subscribes to.
        ids = [InstrumentId.from_str(spec.instrument_id) for spec in specs.values()]
        node.add_strategy(RUN_ID, Listener(ids))
        for number, spec in enumerate(specs.values()):
            base = 25.0 if spec.base == "XRP" else 0.0005
            node.add_builtin_strategy(
                RUN_ID,
                "GridMarketMaker",
                GridMarketMakerConfig(
                    InstrumentId.from_str(spec.instrument_id),
                    Quantity(8 * base, spec.size_precision),
                    order_id_tag=f"{number + 1:03d}",
                    trade_size=Quantity(base, spec.size_precision),
                    num_levels=1,
                    grid_step_bps=3,
                    requote_threshold_bps=bps,
                ),
            )

    return node_run(catalog, add)


def whole_run(catalog: Path) -> dict[str, Any]:
    """Measure the whole command: engine, recorder, reports and folder."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(CONFIG, [f"catalog={catalog}", f"output.directory={folder}"]).config
        started = time.perf_counter()
        summary = run_backtest(config).summary
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "events": summary["events"], "orders": summary["orders"]}


def quiet(catalog: Path, *, with_market_maker: bool) -> dict[str, Any]:
    """Measure book events far from the touch: the ones that change nothing for a market maker."""
    config, specs = loaded(catalog)
    spec = specs["BTC/USDT"]
    engine = BacktestEngine(engine_config())
    engine.add_venue(
        Venue(spec.venue),
        OmsType.NETTING,
        AccountType.CASH,
        [Money.from_str("1000 USDT"), Money.from_str("1 BTC")],
        book_type=BookType.L2_MBP,
        fee_model=MakerTakerFeeModel(Decimal("0.001"), Decimal("0.001")),
        queue_position=True,
        liquidity_consumption=True,
    )
    instrument = currency_pair(spec)
    engine.add_instrument(instrument)
    engine.add_data(quiet_book(instrument.id, spec))
    if with_market_maker:
        params = strategy_config(config, specs).model_dump(exclude_unset=True)
        params["symbols"] = {"BTC/USDT": params["symbols"]["BTC/USDT"]}
        engine.add_actor(MetricsActor())
        engine.add_strategy(MarketMaker(params))
    else:
        engine.add_strategy(Listener([instrument.id]))
    started = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - started
    orders = engine.get_result().total_orders
    engine.dispose()
    return {"seconds": seconds, "events": QUIET_EVENTS, "orders": orders}


def quiet_book(instrument_id: InstrumentId, spec: Any) -> list[OrderBookDeltas]:
    """Return a snapshot and then changes of its ninth and tenth levels, ten a millisecond."""
    start_ns = 1_765_000_000_000_000_000

    def delta(side: OrderSide, level: int, size: float, flags: int, ts_ns: int) -> OrderBookDelta:
        price = 100_000.0 - 0.1 * level if side == OrderSide.BUY else 100_001.0 + 0.1 * level
        order = BookOrder(side, Price(price, spec.price_precision), Quantity(size, spec.size_precision), 0)
        return OrderBookDelta(instrument_id, BookAction.UPDATE, order, flags, 0, ts_ns, ts_ns)

    sides = (OrderSide.BUY, OrderSide.SELL)
    first = [delta(side, level, 1.0, 0, start_ns) for side in sides for level in range(10)]
    last = delta(OrderSide.SELL, 9, 1.0, 128, start_ns)
    groups = [OrderBookDeltas(instrument_id, [*first, last])]
    for number in range(QUIET_EVENTS - 1):
        ts_ns = start_ns + (number + 1) * 100_000
        row = delta(sides[number % 2], 8 + number % 3 % 2, 1.0 + number % 7, 128, ts_ns)
        groups.append(OrderBookDeltas(instrument_id, [row]))
    return groups


MODES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "listen": listen,
    "market-maker": market_maker,
    "whole-run": whole_run,
    "quiet-listen": lambda catalog: quiet(catalog, with_market_maker=False),
    "quiet-market-maker": lambda catalog: quiet(catalog, with_market_maker=True),
}


def peak_memory_mb() -> float:
    """Return this program's own peak; what getrusage tells may be the parent's, from before this one began."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    mode, catalog = sys.argv[1], Path(sys.argv[2])
    is_grid = mode.startswith("grid-")
    figures = grid(catalog, int(mode.removeprefix("grid-"))) if is_grid else MODES[mode](catalog)
    figures["peak_mb"] = peak_memory_mb()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
