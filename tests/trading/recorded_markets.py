"""Runs of the real engine with a recorder in it, and what the recorder left."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.common import DataActor, DataActorConfig, FileWriterConfig, LoggerConfig, LogLevel
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import AccountType, ActorId, BookType, InstrumentId, NautilusDataType, OmsType
from scripting import MAKER, SECOND, SPECS, TAKER, ns

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_recorder import CatalogRecorder, RecordingOptions
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, TradeBlock

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "catalog"
NEVER = 1_000_000.0
"""Minutes after which nothing in a test is rotated."""

type Row = tuple[Any, ...]


def recorder(catalog: Path, specs: Any = None, **options: Any) -> CatalogRecorder:
    """Return a recorder of the scripted markets, or of others; by default it never begins new files."""
    given = {"rotate_minutes": NEVER, **options}
    return CatalogRecorder(RecordingOptions(catalog, **given), SPECS.values() if specs is None else specs)


def play(catalog: Path, *actors: Any, strategies: Sequence[Any] = (), log: Path | None = None) -> None:
    """Let a backtest node play a catalog to actors and strategies; errors go to the file `log`, if given."""
    logging = LoggerConfig(bypass_logging=True)
    if log is not None:
        to_file = FileWriterConfig(directory=str(log.parent), file_name=log.stem)
        logging = LoggerConfig(stdout_level=LogLevel.OFF, fileout_level=LogLevel.ERROR, file_config=to_file)
    ids = [InstrumentId.from_str(spec.instrument_id) for spec in CatalogReader(catalog).instruments()]
    kinds = (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    venue = BacktestVenueConfig(
        name="KRAKEN",
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        book_type=BookType.L2_MBP,
        starting_balances=["10000 USDT", "10000 XRP", "1 BTC"],
        fee_model=MakerTakerFeeModel(MAKER, TAKER),
    )
    config = BacktestRunConfig(
        id="play",
        venues=[venue],
        data=[BacktestDataConfig(kind, str(catalog.resolve()), instrument_ids=ids) for kind in kinds],
        engine=BacktestEngineConfig(
            logging=logging,
            data_engine=DataEngineConfig(emit_quotes_from_book=True),
        ),
        chunk_size=20_000,
        raise_exception=True,
        dispose_on_completion=False,
    )
    node = BacktestNode([config])
    node.build()
    for actor in actors:
        node.add_actor("play", actor)
    for strategy in strategies:
        node.add_strategy("play", strategy)
    node.run()
    node.dispose()


class Director(DataActor):
    """Call functions at given seconds of a script: what a feed would do besides sending data."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("DIRECTOR-001")))

    def __init__(self, script: dict[float, Callable[[], None]]) -> None:
        super().__init__()
        self.script = script

    def on_start(self) -> None:
        for at in self.script:
            self.clock.set_time_alert_ns(str(at), ns(at))

    def on_time_event(self, event: Any) -> None:
        self.script[float(event.name)]()


class Pacer(DataActor):
    """Let the recorder's thread catch up every simulated minute, as it does in real time."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("PACER-001")))

    def __init__(self, recording: CatalogRecorder) -> None:
        super().__init__()
        self.recording = recording

    def on_start(self) -> None:
        self.clock.set_timer_ns("pace", 60 * SECOND)

    def on_time_event(self, _event: Any) -> None:
        self.wait()

    def wait(self) -> None:
        """Wait until everything handed over is in the logs."""
        writer = self.recording._writer
        while writer is not None and writer.failure is None and writer.waiting_bytes:
            time.sleep(0.001)


def delta_rows(catalog: Path, instrument_id: str) -> list[Row]:
    """Return all book changes, one tuple a row, in the order of `DeltaBlock`."""
    return _rows(CatalogReader(catalog).iter_deltas(instrument_id), DeltaBlock)


def trade_rows(catalog: Path, instrument_id: str) -> list[Row]:
    """Return all trades, one tuple a row, in the order of `TradeBlock`."""
    return _rows(CatalogReader(catalog).iter_trades(instrument_id), TradeBlock)


def _rows(blocks: Any, kind: Any) -> list[Row]:
    names = kind.__dataclass_fields__
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for block in blocks:
        for name in names:
            values = getattr(block, name)
            columns[name] += values.tolist() if isinstance(values, np.ndarray) else list(values)
    return list(zip(*columns.values(), strict=True))


def book_states(rows: Sequence[Row]) -> list[tuple[int, dict[tuple[int, int], int]]]:
    """Return time of receipt and whole book after each group that changes it; sizes by side and price."""
    states: list[tuple[int, dict[tuple[int, int], int]]] = []
    book: dict[tuple[int, int], int] = {}
    for _, moment, action, side, price, size, flags, _ in rows:
        if action == Action.CLEAR:
            book.clear()
        elif size:
            book[side, price] = size
        else:
            book.pop((side, price), None)
        if flags & Flag.LAST and (not states or states[-1][1] != book):
            states.append((moment, dict(book)))
    return states


def files(catalog: Path, kind: str, instrument_id: str = "XRP/USDT.KRAKEN") -> list[Path]:
    """Return the files of one instrument and type, in time order."""
    return sorted((catalog / "data" / kind / instrument_id.replace("/", "")).glob("*.parquet"))
