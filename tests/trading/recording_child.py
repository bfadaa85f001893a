"""A process that records the shipped catalog and comes to a bad end; run by the tests of crashes.

Arguments are the way it ends, the catalog to record into, and, for some, a number. One line of JSON on stdout says
what happened, where the process lives to tell.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.model import ActorId
from recorded_markets import SAMPLE, Pacer, play, recorder
from scripting import SECOND, config

from mm_nautilus.data import recording_writer
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_recorder import CatalogRecorder
from mm_nautilus.trading.strategy import MarketMaker

SYMBOL = "XRP/USDT"


class Maker(MarketMaker):
    """A market maker that counts its fills."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.fills: list[int] = []

    def on_order_filled(self, event: Any) -> None:
        super().on_order_filled(event)
        self.fills.append(event.ts_event)


class Timer(DataActor):
    """Call something every simulated second with the seconds since the first."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("TIMER-001")))

    def __init__(self, act: Callable[[int], None]) -> None:
        super().__init__()
        self.act = act
        self.seconds = 0

    def on_start(self) -> None:
        self.clock.set_timer_ns("act", SECOND)

    def on_time_event(self, _event: Any) -> None:
        self.seconds += 1
        self.act(self.seconds)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(recording: CatalogRecorder, at_second: int) -> None:
    """Be killed while rows wait in memory and, it may be, in the thread."""
    pacer = Pacer(recording)

    def act(second: int) -> None:
        if second == at_second:
            pacer.wait()
        elif second > at_second and recording._writer is not None and recording._writer.waiting_bytes:
            die()

    play(SAMPLE, recording, pacer, Timer(act))


def killed_while_promoting(recording: CatalogRecorder) -> None:
    """Be killed while another process brings the first files into the catalog."""
    start = recording_writer.start_promotion

    def start_and_die(*arguments: Any) -> None:
        start(*arguments)
        die()

    recording_writer.start_promotion = start_and_die  # type: ignore[assignment]
    play(SAMPLE, recording, Pacer(recording))


def disk_full(recording: CatalogRecorder, kilobytes: int, log: Path) -> None:
    """Trade on while no file may grow beyond a size."""
    maker = Maker(config(SYMBOL, requote_tolerance_bps=0.0))
    failed_after: list[int] = []

    def limit(second: int) -> None:
        if second == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000 * kilobytes, resource.RLIM_INFINITY))
        if recording.failure is not None and not failed_after:
            failed_after.append(len(maker.fills))

    play(SAMPLE, recording, Pacer(recording), Timer(limit), strategies=[maker], log=log)
    closed = recording.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told = {
        "failure": recording.failure,
        "closed": closed,
        "fills": len(maker.fills),
        "fills_before_failure": failed_after[0],
        "exceptions": [str(failure.error) for failure in (*maker.failures, *recording.failures)],
    }
    print(json.dumps(told))  # noqa: T201


def grow(recording: CatalogRecorder) -> None:
    """Tell the memory of this process at every simulated minute."""
    sizes: list[int] = []

    def measure(second: int) -> None:
        if second % 60 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))

    play(Path(sys.argv[3]), recording, Pacer(recording), Timer(measure))
    print(json.dumps({"closed": recording.close(), "sizes": sizes}))  # noqa: T201


def main() -> None:
    mode, catalog = sys.argv[1], Path(sys.argv[2])
    specs = CatalogReader(SAMPLE).instruments()
    match mode:
        case "killed":
            killed(recorder(catalog, specs), int(sys.argv[3]))
        case "killed-while-promoting":
            killed_while_promoting(recorder(catalog, specs, rotate_minutes=10))
        case "disk-full":
            disk_full(recorder(catalog, specs), int(sys.argv[3]), Path(sys.argv[4]))
        case "grow":
            grow(recorder(catalog, specs, rotate_minutes=10))


if __name__ == "__main__":
    main()
