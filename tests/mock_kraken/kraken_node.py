"""A live node on the engine's own Kraken data client, steered by lines on stdin; run as a process of its own.

Each line on stdin is answered with one line of JSON on the file descriptor that the command line names; the
line ``stop`` ends the node. Then come the venue's two addresses, and depths of books as ``SYMBOL:DEPTH``.
"""

import json
import os
import queue
import sys
import threading
from typing import Any, Self, TextIO

from nautilus_trader.adapters.kraken import KrakenDataClientConfig, KrakenDataClientFactory
from nautilus_trader.common import DataActor, DataActorConfig, Environment, LoggerConfig, LogLevel
from nautilus_trader.live import LiveNode
from nautilus_trader.model import ActorId, BookType, InstrumentId, TraderId

from mm_nautilus.cli.frame import leave_at_once

_TIMER = "requests"
_TICK_NS = 20_000_000
_IDLE_TIMEOUT_MS = 2_500


class Watch(DataActor):
    """Counts what arrives and answers requests about it."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("WATCH-001")))

    def __init__(
        self, depths: dict[str, int], requests: "queue.Queue[str]", replies: TextIO, stop: Any
    ) -> None:
        super().__init__()
        self.depths = depths
        self.requests = requests
        self.replies = replies
        self.stop_node = stop
        self.seen: dict[str, dict[str, Any]] = {
            symbol: {"snapshots": [], "updates": 0, "trades": 0, "last_trade": None} for symbol in depths
        }
        self.sockets: list[str] = []

    def on_start(self) -> None:
        for symbol, depth in self.depths.items():
            instrument_id = InstrumentId.from_str(f"{symbol}.KRAKEN")
            self.subscribe_book_deltas(instrument_id, BookType.L2_MBP, depth=depth, managed=True)
            self.subscribe_trades(instrument_id)
        self.subscribe_socket_state()
        self.clock.set_timer_ns(_TIMER, _TICK_NS)

    def on_book_deltas(self, deltas: Any) -> None:
        seen = self.seen[deltas.instrument_id.symbol.value]
        if deltas.is_snapshot:
            seen["snapshots"].append(len(deltas.deltas))
        else:
            seen["updates"] += 1

    def on_trade(self, trade: Any) -> None:
        seen = self.seen[trade.instrument_id.symbol.value]
        seen["trades"] += 1
        seen["last_trade"] = [str(trade.aggressor_side), str(trade.price), str(trade.size)]

    def on_socket_state(self, event: Any) -> None:
        self.sockets.append(str(event.state).rpartition(".")[2])

    def on_time_event(self, _event: Any) -> None:
        while not self.requests.empty():
            line = self.requests.get()
            if line == "stop":
                self.stop_node()
            else:
                self.replies.write(json.dumps(self.report()) + "\n")
                self.replies.flush()

    def report(self) -> dict[str, Any]:
        return {
            "sockets": self.sockets,
            "symbols": {symbol: self.symbol_report(symbol) for symbol in self.depths},
        }

    def symbol_report(self, symbol: str) -> dict[str, Any]:
        instrument_id = InstrumentId.from_str(f"{symbol}.KRAKEN")
        instrument = self.cache.instrument(instrument_id)
        book = self.cache.order_book(instrument_id)
        details = (
            {}
            if instrument is None
            else {
                "price_increment": str(instrument.price_increment),
                "size_increment": str(instrument.size_increment),
                "min_quantity": str(instrument.min_quantity),
                "base": instrument.base_currency.code,
                "quote": instrument.quote_currency.code,
            }
        )
        levels = (
            {}
            if book is None
            else {
                "bids": [[f"{price:f}", f"{size:f}"] for price, size in book.bids_to_dict().items()],
                "asks": [[f"{price:f}", f"{size:f}"] for price, size in book.asks_to_dict().items()],
            }
        )
        return self.seen[symbol] | {"instrument": details} | levels


def main() -> None:
    descriptor, rest_url, websocket_url, *pairs = sys.argv[1:]
    depths = {symbol: int(depth) for symbol, _, depth in (pair.partition(":") for pair in pairs)}
    node = (
        LiveNode.builder("VENUE", TraderId("VENUE-001"), Environment.SANDBOX)
        .with_logging(LoggerConfig(stdout_level=LogLevel.WARNING, is_colored=False))
        .with_delay_post_stop_secs(0)
        .with_timeout_connection(20)
        .add_data_client(
            None,
            KrakenDataClientFactory(),
            KrakenDataClientConfig(
                base_url=rest_url, ws_public_url=websocket_url, ws_idle_timeout_ms=_IDLE_TIMEOUT_MS
            ),
        )
        .build()
    )
    handle = node.handle()
    requests: queue.Queue[str] = queue.Queue()
    node.add_actor(Watch(depths, requests, os.fdopen(int(descriptor), "w"), handle.stop))

    def read() -> None:
        for line in sys.stdin:
            requests.put(line.strip())
        requests.put("stop")

    threading.Thread(target=read, daemon=True).start()
    node.run()


if __name__ == "__main__":
    main()
    leave_at_once(0)
