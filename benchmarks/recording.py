"""Measure what recording costs the engine's thread and its own, and what bringing an hour into the catalog takes.

Usage: python benchmarks/recording.py [--minutes N] [--pace N]

Simulated data is played to the engine `--pace` times faster than it happened, slowly enough for the recorder's own
thread to have as little to do as in a live run, and each call of the recorder is timed. Then everything is recorded
again as fast as it goes, to see what the files of that time take.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.common import DataActor, DataActorConfig, LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import AccountType, ActorId, BookType, InstrumentId, NautilusDataType, OmsType

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_recorder import CatalogRecorder, RecordingOptions
from mm_nautilus.data.recording_writer import RecordingSession
from mm_nautilus.data.simulator import SimulationConfig, write_sample

NEVER_MINUTES = 1e6
TENTH_NS = 100_000_000
CALLBACKS = ("on_book_deltas", "on_trade", "on_time_event")
OWN_THREAD = "append, in the recording's own thread"


class Pace(DataActor):
    """Sleep a little every tenth of a simulated second."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("PACE-001")))

    def __init__(self, pace: float) -> None:
        super().__init__()
        self.seconds = TENTH_NS / 1e9 / pace

    def on_start(self) -> None:
        self.clock.set_timer_ns("pace", TENTH_NS)

    def on_time_event(self, _event: Any) -> None:
        time.sleep(self.seconds)


def play(catalog: Path, *actors: Any) -> None:
    ids = [InstrumentId.from_str(spec.instrument_id) for spec in CatalogReader(catalog).instruments()]
    kinds = (NautilusDataType.OrderBookDelta, NautilusDataType.TradeTick)
    venue = BacktestVenueConfig(
        name="KRAKEN",
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        book_type=BookType.L2_MBP,
        starting_balances=["10000 USDT"],
        fee_model=MakerTakerFeeModel(Decimal(0), Decimal(0)),
    )
    config = BacktestRunConfig(
        id="recording",
        venues=[venue],
        data=[BacktestDataConfig(kind, str(catalog.resolve()), instrument_ids=ids) for kind in kinds],
        engine=BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True)),
        chunk_size=50_000,
        raise_exception=True,
        dispose_on_completion=False,
    )
    node = BacktestNode([config])
    node.build()
    for actor in actors:
        node.add_actor("recording", actor)
    node.run()
    node.dispose()


def recorder(catalog: Path, played: Path) -> CatalogRecorder:
    specs = CatalogReader(played).instruments()
    return CatalogRecorder(RecordingOptions(catalog, rotate_minutes=NEVER_MINUTES), specs)


def timed(
    method: Callable[..., Any], microseconds: list[float], clock: Callable[[], float]
) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any) -> Any:
        start = clock()
        result = method(*arguments)
        microseconds.append(1e6 * (clock() - start))
        return result

    return call


def measure_calls(played: Path, folder: Path, pace: float) -> dict[str, list[float]]:
    """Return the microseconds of each call of the recorder's callbacks, and of the processor in its own thread."""
    calls: dict[str, list[float]] = {name: [] for name in (*CALLBACKS, OWN_THREAD)}
    with ExitStack() as patches:
        for name in CALLBACKS:
            method = timed(getattr(CatalogRecorder, name), calls[name], time.perf_counter)
            patches.enter_context(patch.object(CatalogRecorder, name, method))
        append = timed(RecordingSession.append, calls[OWN_THREAD], time.thread_time)
        patches.enter_context(patch.object(RecordingSession, "append", append))
        recording = recorder(folder / "paced", played)
        play(played, recording, Pace(pace))
        assert recording.close(), recording.failure
    return calls


def measure_files(played: Path, folder: Path) -> str:
    """Return what the files of all that time take."""
    recording = recorder(folder / "whole", played)
    play(played, recording)
    writer = recording._writer
    assert writer is not None
    while writer.waiting_bytes:
        time.sleep(0.01)
    logs = writer.session.part_bytes
    start = time.perf_counter()
    assert recording.close(), recording.failure
    seconds = time.perf_counter() - start
    paths = list((folder / "whole" / "data").rglob("*.parquet"))
    files = sum(path.stat().st_size for path in paths)
    return f"logs {logs / 1e6:.1f} MB, files {files / 1e6:.1f} MB, brought in within {seconds:.2f} s"


def print_calls(calls: dict[str, list[float]], minutes: float) -> None:
    print(
        "| callback | calls | mean us | median | 99 % | 99.9 % | most |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for name, values in calls.items():
        values.sort()
        shares = (values[int(len(values) * share)] for share in (0.5, 0.99, 0.999))
        columns = [sum(values) / len(values), *shares, values[-1]]
        print(f"| `{name}` | {len(values):,} | " + " | ".join(f"{value:.1f}" for value in columns) + " |")
    events = len(calls["on_book_deltas"]) + len(calls["on_trade"])
    own = sum(calls.pop(OWN_THREAD))
    engine = sum(sum(values) for values in calls.values())
    print(
        f"\n{engine / events:.1f} us an event in the engine's thread, {own / events:.1f} us in the recording's own"
    )
    print(f"{engine / 1e4 / (60 * minutes):.3f} % of the engine's thread at the data's own pace")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what recording costs.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pace", type=float, default=10.0)
    arguments = parser.parse_args()
    minutes = arguments.minutes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = SimulationConfig(duration_seconds=round(60 * minutes))
        write_sample(folder / "played", config, lambda _share: None)
        print_calls(measure_calls(folder / "played", folder, arguments.pace), minutes)
        print(f"{minutes:g} minutes: {measure_files(folder / 'played', folder)}")


if __name__ == "__main__":
    main()
