"""One measured workload in a process of its own; prints its figures as one JSON line.

Usage: python benchmarks/workloads.py MODE CATALOG

MODE is one of those at the end of this file, or ``grid-1-2-3``: the engine's grid with each symbol's requote threshold
in basis points. ``replay`` sends what a run of ``record`` has left beside the catalog.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
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
    OrderStatus,
    Price,
    Quantity,
    TimeInForce,
    Venue,
)
from nautilus_trader.trading import GridMarketMakerConfig, Strategy

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.runs.assembly import fee_model, simulated_venue, strategy_config
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.trading.instruments import currency_pair
from mm_nautilus.trading.strategy import MarketMaker
from mm_nautilus.trading.working_order import QUOTE

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
RUN_ID = "benchmark"
CHUNK_ROWS = 50_000
QUIET_EVENTS = 300_000

type Figures = dict[str, Any]


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


class Recorded(MarketMaker):
    """The market maker, which keeps its order commands and their times."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.sent: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}

    def _keep(self, kind: str, order_id: Any, **values: Any) -> None:
        number = self._numbers.setdefault(order_id, len(self._numbers))
        self.sent.append({"ns": self.clock.timestamp_ns(), "kind": kind, "order": number} | values)

    def submit_order(self, order: Any, *args: Any, **kwargs: Any) -> None:
        price = None if order.tags != [QUOTE] else str(order.price)
        self._keep(
            "place",
            order.client_order_id,
            instrument=str(order.instrument_id),
            is_buy=order.is_buy,
            price=price,
            quantity=str(order.quantity),
        )
        super().submit_order(order, *args, **kwargs)

    def modify_order(self, order_id: Any, quantity: Any = None, price: Any = None, **kwargs: Any) -> None:
        size = None if quantity is None else str(quantity)
        self._keep("amend", order_id, price=str(price), quantity=size)
        super().modify_order(order_id, quantity=quantity, price=price, **kwargs)

    def cancel_order(self, order_id: Any, *args: Any, **kwargs: Any) -> None:
        self._keep("cancel", order_id)
        super().cancel_order(order_id, *args, **kwargs)


class Replay(Listener):
    """Send recorded order commands at the first book events from their times on, and nothing else."""

    def __init__(self, instrument_ids: list[InstrumentId], commands: Iterable[dict[str, Any]]) -> None:
        super().__init__(instrument_ids)
        self._commands = iter(commands)
        self._order_ids: list[Any] = []
        self._next = next(self._commands, None)

    def __new__(cls, instrument_ids: list[InstrumentId], _commands: Any) -> "Replay":
        return super().__new__(cls, instrument_ids)  # type: ignore[return-value]

    def on_book_deltas(self, deltas: Any) -> None:
        while self._next is not None and self._next["ns"] <= deltas.ts_init:
            self._send(self._next)
            self._next = next(self._commands, None)

    def _send(self, command: dict[str, Any]) -> None:
        kind = command["kind"]
        if kind == "cancel":
            self.cancel_order(self._order_ids[command["order"]])
            return
        price = None if command["price"] is None else Price.from_str(command["price"])
        quantity = None if command["quantity"] is None else Quantity.from_str(command["quantity"])
        if kind == "amend":
            self.modify_order(self._order_ids[command["order"]], quantity=quantity, price=price)
            return
        instrument = InstrumentId.from_str(command["instrument"])
        side = OrderSide.BUY if command["is_buy"] else OrderSide.SELL
        if price is None:
            make, options = self.order_factory.market, {"time_in_force": TimeInForce.IOC, "reduce_only": True}
            order = make(instrument, side, quantity, **options)
        else:
            order = self.order_factory.limit(instrument, side, quantity, price, post_only=True)
        self._order_ids.append(order.client_order_id)
        self.submit_order(order)


def engine_config() -> BacktestEngineConfig:
    return BacktestEngineConfig(
        logging=LoggerConfig(bypass_logging=True),
        data_engine=DataEngineConfig(emit_quotes_from_book=True),
        run_analysis=False,
    )


def loaded(catalog: Path, *changes: str) -> tuple[RunConfig, dict[str, Any]]:
    """Return the configuration that goes with a catalog, and the catalog's instruments."""
    specs = {spec.symbol: spec for spec in CatalogReader(catalog).instruments()}
    is_recorded = any(spec.venue == "BINANCE" for spec in specs.values())
    name = "binance.yaml" if is_recorded else "v1_4.yaml"
    return load_config(CONFIGS / name, [f"catalog={catalog}", *changes]).config, specs


def ids(specs: dict[str, Any]) -> list[InstrumentId]:
    return [InstrumentId.from_str(spec.instrument_id) for spec in specs.values()]


def timed(run: Callable[[], Any]) -> tuple[Any, Figures]:
    """Run something and return what it returned with the time it took on the clock and of the processor."""
    started, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, {"cpu": time.process_time() - cpu, "seconds": time.perf_counter() - started}


def node_run(
    catalog: Path, add: Callable[[BacktestNode, RunConfig, dict[str, Any]], None], *, starts: bool = True
) -> Figures:
    """Run a catalog through a node with what `add` puts into it."""
    config, specs = loaded(catalog)
    data = [
        BacktestDataConfig(kind, str(catalog), instrument_ids=ids(specs), optimize_file_loading=True)
        for kind in (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    ]
    run = BacktestRunConfig(
        id=RUN_ID,
        venues=[simulated_venue(config.venue, fee_model(config.venue, specs, "USDT"), book_data="deltas")],
        data=data,
        engine=engine_config(),
        chunk_size=CHUNK_ROWS,
        dispose_on_completion=False,
    )
    node = BacktestNode([run])
    node.build()
    add(node, config, specs)
    if not starts:
        return {}
    (result,), figures = timed(node.run)
    orders = node.get_engine_cache(RUN_ID).orders()
    commands = Counter(order.instrument_id.symbol.value for order in orders)
    commands.update(
        order.instrument_id.symbol.value for order in orders if order.status == OrderStatus.CANCELED
    )
    return figures | {"events": result.iterations, "fills": filled(orders), "commands": dict(commands)}


def filled(orders: Iterable[Any]) -> int:
    return sum(len(order.trade_ids) for order in orders)


def listen(catalog: Path, *, starts: bool = True) -> Figures:
    """Measure a strategy that only subscribes."""
    return node_run(
        catalog, lambda node, _config, specs: node.add_strategy(RUN_ID, Listener(ids(specs))), starts=starts
    )


def market_maker(catalog: Path) -> Figures:
    """Measure the market maker with its metrics actor."""
    return made(catalog, MarketMaker)[1]


def record(catalog: Path) -> Figures:
    """Leave the market maker's order commands beside the catalog."""
    maker, figures = made(catalog, Recorded)
    commands_of(catalog).write_text(json.dumps(maker.sent), encoding="utf-8")
    return figures


def made[Maker: MarketMaker](catalog: Path, kind: type[Maker]) -> tuple[Maker, Figures]:
    kept: list[Maker] = []

    def add(node: BacktestNode, config: RunConfig, specs: dict[str, Any]) -> None:
        node.add_actor(RUN_ID, MetricsActor())
        kept.append(kind(strategy_config(config, specs)))
        kept[0].conditions.followed = specs
        kept[0].conditions.pauses_in_gaps = True
        node.add_strategy(RUN_ID, kept[0])

    figures = node_run(catalog, add)
    counts = {name: symbol.counts for name, symbol in kept[0].symbols.items()}
    commands = {name: count.placed + count.amended + count.cancelled for name, count in counts.items()}
    return kept[0], figures | {"commands": commands}


def commands_of(catalog: Path) -> Path:
    return catalog.with_name(f"{catalog.name}.commands.json")


def replay(catalog: Path) -> Figures:
    """Measure the market maker's order commands without the market maker: the engine's floor for Python."""
    commands = json.loads(commands_of(catalog).read_text(encoding="utf-8"))
    figures = node_run(
        catalog, lambda node, _config, specs: node.add_strategy(RUN_ID, Replay(ids(specs), commands))
    )
    return figures | {"commands": {"all": len(commands)}}


def grid(catalog: Path, thresholds_bps: Iterable[int]) -> Figures:
    """Measure the engine's own grid market maker, compiled code, one level a side on every symbol."""

    def add(node: BacktestNode, _config: RunConfig, specs: dict[str, Any]) -> None:
        # It listens to quotes, which the engine makes from books that somebody subscribes to.
        node.add_strategy(RUN_ID, Listener(ids(specs)))
        for number, (symbol, bps) in enumerate(zip(sorted(specs), thresholds_bps, strict=True)):
            spec = specs[symbol]
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


def whole_run(catalog: Path) -> Figures:
    """Measure the whole command without its page: engine, recorder, tables, journal and folder as configured."""
    with tempfile.TemporaryDirectory() as folder:
        config, _ = loaded(catalog, f"output.directory={folder}", "output.report=false")
        outcome, figures = timed(lambda: run_backtest(config))
    symbols = outcome.summary["symbols"].items()
    kinds = ("orders_placed", "orders_amended", "orders_cancelled")
    return figures | {
        "events": outcome.summary["events"],
        "fills": sum(found["fills"] for _, found in symbols),
        "commands": {name: sum(found[kind] for kind in kinds) for name, found in symbols},
    }


def quiet(catalog: Path, *, with_market_maker: bool) -> Figures:
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
        maker = MarketMaker(params)
        maker.conditions.followed = ["BTC/USDT"]
        engine.add_strategy(maker)
    else:
        engine.add_strategy(Listener([instrument.id]))
    _, figures = timed(engine.run)
    engine.dispose()
    return figures | {"events": QUIET_EVENTS}


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


MODES: dict[str, Callable[[Path], Figures]] = {
    "prepare": lambda catalog: listen(catalog, starts=False),
    "listen": listen,
    "market-maker": market_maker,
    "record": record,
    "replay": replay,
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
    grid_bps = [int(text) for text in mode.split("-")[1:]] if mode.startswith("grid-") else None
    figures = MODES[mode](catalog) if grid_bps is None else grid(catalog, grid_bps)
    figures["peak_mb"] = peak_memory_mb()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
