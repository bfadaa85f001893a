"""A live node on the engine's own Kraken client that records what a venue sends; run as a process of its own.

Arguments are the venue's two addresses, the catalog to record into, the catalog whose instruments are recorded, and
the depth of the books. A line on stdin says after how many events the node is to stop; one line of JSON on stdout says
how it ended.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from nautilus_trader.adapters.kraken import KrakenDataClientConfig, KrakenDataClientFactory
from nautilus_trader.common import DataActor, DataActorConfig, Environment, LoggerConfig, LogLevel
from nautilus_trader.live import LiveNode
from nautilus_trader.model import ActorId, BookType, InstrumentId, TraderId

from mm_nautilus.cli.frame import leave_at_once
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_recorder import CatalogRecorder, RecordingOptions


class Subscriber(DataActor):
    """Subscribe to what the recorder subscribes to, as a strategy does, and count what comes."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("SUBSCRIBER-001")))

    def __init__(self, instrument_ids: list[str], depth: int) -> None:
        super().__init__()
        self.instrument_ids, self.depth = instrument_ids, depth
        self.events = 0

    def on_start(self) -> None:
        for text in self.instrument_ids:
            instrument_id = InstrumentId.from_str(text)
            self.subscribe_book_deltas(instrument_id, BookType.L2_MBP, depth=self.depth, managed=True)
            self.subscribe_trades(instrument_id)

    def on_book_deltas(self, _deltas: Any) -> None:
        self.events += 1

    def on_trade(self, _trade: Any) -> None:
        self.events += 1


def main() -> None:
    rest_url, websocket_url, catalog, played, depth_text = sys.argv[1:]
    specs = CatalogReader(Path(played)).instruments()
    depth = int(depth_text)
    node = (
        LiveNode.builder("RECORD", TraderId("RECORD-001"), Environment.SANDBOX)
        .with_logging(LoggerConfig(stdout_level=LogLevel.ERROR, is_colored=False))
        .with_delay_post_stop_secs(0)
        .with_timeout_connection(20)
        .add_data_client(
            None,
            KrakenDataClientFactory(),
            KrakenDataClientConfig(base_url=rest_url, ws_public_url=websocket_url),
        )
        .build()
    )
    recorder = CatalogRecorder(RecordingOptions(Path(catalog), rotate_minutes=0.05), specs, book_depth=depth)
    subscriber = Subscriber([spec.instrument_id for spec in specs], depth)
    node.add_actor(recorder)
    node.add_actor(subscriber)
    handle = node.handle()

    def stop_when_told() -> None:
        wanted = int(sys.stdin.readline())
        while subscriber.events < wanted:
            time.sleep(0.05)
        handle.stop()

    threading.Thread(target=stop_when_told, daemon=True).start()
    node.run()
    told = {
        "closed": recorder.close(),
        "failure": recorder.failure,
        "exceptions": [str(failure.error) for failure in recorder.failures],
        "events": subscriber.events,
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
    leave_at_once(0)
