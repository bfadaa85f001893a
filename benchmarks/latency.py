"""Measure how long an order takes from the venue's frame on: the market maker against a minimal strategy.

Usage: python benchmarks/latency.py [--frames N] [--rounds N] [--write]

A local venue plays the sample's events at 200 a second, then a burst of 5,000 a second, to a live node in a process of
its own. Measured is the time from the moment in the frame's timestamp, which the venue sets as it sends, to the moment
the simulated venue takes the first order command that the frame caused. Both strategies amend far-away orders whenever
the touch moves; the minimal one does nothing else. They take turns. With --write the table goes into
docs/performance.md.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from nautilus_trader.adapters.kraken import KrakenDataClientFactory
from nautilus_trader.adapters.sandbox import SandboxExecutionClientFactory
from nautilus_trader.common import Environment, LoggerConfig
from nautilus_trader.live import (
    LiveDataEngineConfig,
    LiveExecutionEngineConfig,
    LiveNode,
    LiveNodeBuilder,
    LiveNodeConfig,
    LiveRiskEngineConfig,
)
from nautilus_trader.model import (
    BookType,
    InstrumentId,
    Money,
    OrderSide,
    OrderUpdated,
    Price,
    Quantity,
    TraderId,
)
from nautilus_trader.trading import Strategy, StrategyConfig

from mm_nautilus.config.run import FeeConfig, LatencyConfig, VenueConfig
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.mock_kraken.process import VenueOptions, VenueProcess
from mm_nautilus.runs.assembly import ORDER_RATE, fee_model, sandbox_venue
from mm_nautilus.runs.kraken import FeedAddress, data_client_config
from mm_nautilus.runs.restoration import simulated_account_id
from mm_nautilus.trading.book import LocalBook
from mm_nautilus.trading.orders import MAX_AMENDS
from mm_nautilus.trading.setup import Conditions
from mm_nautilus.trading.strategy import MarketMaker

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- latency: begin -->", "<!-- latency: end -->"
SYMBOL: Final = "BTC/USDT"
RATES: Final = {"200 a second": 200.0, "a burst at 5,000 a second": 5_000.0}
STRATEGIES: Final = ("minimal", "market maker")
_AWAY: Final = 0.02
"""Distance of the orders from the mid, so that none is ever filled."""
_SETTLE_SECONDS: Final = 1.0

type Figures = dict[str, Any]


class Stopwatch:
    """Times from frames to the first command each of them caused, in nanoseconds."""

    def __init__(self) -> None:
        self.frame_ns = 0
        self.sent: dict[Any, int] = {}
        self.taken_ns: list[int] = []
        self._measured_ns = 0

    def note_sent(self, order_id: Any) -> None:
        self.sent[order_id] = self.frame_ns

    def note_taken(self, order_id: Any, now_ns: int) -> None:
        frame_ns = self.sent.pop(order_id, None)
        if frame_ns is not None and frame_ns > self._measured_ns:
            self._measured_ns = frame_ns
            self.taken_ns.append(now_ns - frame_ns)


class TimedMaker(MarketMaker):
    """The market maker with a stopwatch."""

    def __init__(self, config: MarketMakerConfig) -> None:
        super().__init__(config)
        self.watch = Stopwatch()

    def on_book_deltas(self, deltas: Any) -> None:
        self.watch.frame_ns = deltas.ts_event
        super().on_book_deltas(deltas)

    def modify_order(self, client_order_id: Any, *args: Any, **kwargs: Any) -> None:
        self.watch.note_sent(client_order_id)
        super().modify_order(client_order_id, *args, **kwargs)

    def on_order_event(self, event: Any) -> None:
        if isinstance(event, OrderUpdated):
            self.watch.note_taken(event.client_order_id, event.ts_event)
        super().on_order_event(event)


class Minimal(Strategy):
    """Follow one book and amend one order whenever the touch moves."""

    def __new__(cls) -> "Minimal":
        return super().__new__(cls, StrategyConfig(order_id_tag="001", log_events=False, log_commands=False))

    def __init__(self) -> None:
        super().__init__()
        self.watch = Stopwatch()
        self.order_id: Any = None
        self.price: Any = None
        self.amends = 0
        self.is_settled = True

    def on_start(self) -> None:
        self.instrument_id = InstrumentId.from_str(KRAKEN_SPOT[SYMBOL].instrument_id)
        self.instrument = self.cache.instrument(self.instrument_id)
        self.book = LocalBook(self.instrument_id, self.instrument.price_increment.raw)
        self.tick = float(self.instrument.price_increment)
        self.size = Quantity(0.001, self.instrument.size_precision)
        self.subscribe_book_deltas(self.instrument_id, BookType.L2_MBP, depth=10, managed=True)

    def on_book_deltas(self, deltas: Any) -> None:
        self.watch.frame_ns = deltas.ts_event
        self.book.apply_deltas(deltas)
        if self.book.read(deltas.ts_init) and self.book.best_bid_ticks is not None and self.is_settled:
            self.quote(self.book.best_bid_ticks)

    def quote(self, best_bid_ticks: int) -> None:
        price = Price(round(best_bid_ticks * (1 - _AWAY)) * self.tick, self.instrument.price_precision)
        if self.order_id is not None and price == self.price:
            return
        self.is_settled, self.price = False, price
        if self.order_id is not None and self.amends < MAX_AMENDS:
            self.amends += 1
            self.watch.note_sent(self.order_id)
            self.modify_order(self.order_id, price=price)
        elif self.order_id is not None:
            self.cancel_order(self.order_id)
        else:
            order = self.order_factory.limit(
                self.instrument_id, OrderSide.BUY, self.size, price, post_only=True
            )
            self.order_id, self.amends = order.client_order_id, 0
            self.submit_order(order)

    def on_order_accepted(self, _event: Any) -> None:
        self.is_settled = True

    def on_order_updated(self, event: Any) -> None:
        self.is_settled = True
        self.watch.note_taken(event.client_order_id, event.ts_event)

    def on_order_modify_rejected(self, _event: Any) -> None:
        self.is_settled = True

    def on_order_canceled(self, _event: Any) -> None:
        self.order_id, self.is_settled = None, True


# -- One arm, in a process of its own -----------------------------------------------------------------------


def maker_config() -> MarketMakerConfig:
    return MarketMakerConfig.model_validate(
        {
            "symbols": {SYMBOL: {}},
            "venue": "KRAKEN",
            "min_spread_pct": 200 * _AWAY,
            "position_size_usd": 100,
            "max_inventory": 1000,
            "requote_tolerance_bps": 0,
            "resume_after_seconds": 0,
            "max_order_actions_per_second": 1000,
            "maker_fee_pct": 0.0,
            "taker_fee_pct": 0.0,
        }
    )


def build_node(address: FeedAddress) -> LiveNode:
    venue = VenueConfig.model_validate(
        {"name": "KRAKEN", "starting_balances": ["100000 USDT", "1 BTC"]}
    ).model_copy(
        update={
            "fees": FeeConfig(maker_fee_pct=0.0, taker_fee_pct=0.0),
            "latency": LatencyConfig(insert_ms=0.0, amend_ms=0.0, cancel_ms=0.0),
        }
    )
    config = LiveNodeConfig(
        environment=Environment.SANDBOX,
        trader_id=TraderId("LATENCY-001"),
        logging=LoggerConfig(bypass_logging=True),
        data_engine=LiveDataEngineConfig(emit_quotes_from_book=True),
        risk_engine=LiveRiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
        exec_engine=LiveExecutionEngineConfig(reconciliation=False, inflight_check_interval_ms=0),
        delay_post_stop_secs=0.3,
    )
    money = [Money.from_str(str(amount)) for amount in venue.starting_balances]
    specs = {SYMBOL: KRAKEN_SPOT[SYMBOL]}
    builder = (
        LiveNodeBuilder.from_config("LATENCY", config)
        .add_data_client(None, KrakenDataClientFactory(), data_client_config(address, 20))
        .add_simulated_exec_client(
            None,
            SandboxExecutionClientFactory(),
            sandbox_venue(venue, fee_model(venue, specs, "USDT"), simulated_account_id("KRAKEN"), money),
        )
    )
    return builder.build()


def run_arm(name: str, address: FeedAddress) -> None:
    """Run one strategy until standard input ends, and print its times."""
    node = build_node(address)
    strategy: TimedMaker | Minimal = Minimal() if name == "minimal" else TimedMaker(maker_config())
    if isinstance(strategy, TimedMaker):
        strategy.conditions = Conditions(is_live=True, book_depth=10)
    node.add_strategy(strategy)
    handle = node.handle()
    threading.Thread(target=lambda: (sys.stdin.read(), handle.stop()), daemon=True).start()
    gc.collect()
    gc.freeze()  # as a sandbox run does
    node.run()
    if getattr(strategy, "failures", None):
        raise SystemExit(strategy.failures[0].traceback)
    print(json.dumps(strategy.watch.taken_ns))


# -- The measurement ----------------------------------------------------------------------------------------


def measured(name: str, rate: float, frames: int) -> list[float]:
    """Return one arm's times at one rate, microseconds."""
    options = VenueOptions(catalog=ROOT / "catalog", symbols=(SYMBOL,), paused=True)
    with VenueProcess(options) as venue:
        command = [sys.executable, __file__, "--arm", name, venue.rest_url, venue.websocket_url]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        venue.control.wait_for_subscriptions(1)
        venue.control.burst(200, 200.0)
        venue.control.burst(frames, rate)
        threading.Event().wait(_SETTLE_SECONDS)
        out, _ = child.communicate()
        if child.returncode:
            raise SystemExit(f"{name} failed")
    return [time_ns / 1e3 for time_ns in json.loads(out.splitlines()[-1])]


def percentile(times: list[float], share: float) -> float:
    return statistics.quantiles(times, n=1000, method="inclusive")[round(share * 1000) - 1]


def figures(rounds: int, frames: int) -> Iterable[tuple[str, str, int, float, float]]:
    """Yield rate, strategy, orders, and the medians over rounds of p50 and p99."""
    for words, rate in RATES.items():
        runs: dict[str, list[list[float]]] = {name: [] for name in STRATEGIES}
        for _ in range(rounds):
            for name in STRATEGIES:
                runs[name].append(measured(name, rate, frames))
                print(words, name, len(runs[name][-1]), percentile(runs[name][-1], 0.5), flush=True)
        for name in STRATEGIES:
            p50 = statistics.median(percentile(times, 0.5) for times in runs[name])
            p99 = statistics.median(percentile(times, 0.99) for times in runs[name])
            yield words, name, sum(map(len, runs[name])), p50, p99


def table(rounds: int, frames: int) -> str:
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}), venue and node on "
        f"the same ones, {SYMBOL} of the SIMULATED sample, {frames:,} frames a round, {rounds} rounds in turns; "
        "medians of the rounds.",
        "",
        "| frames | strategy | orders timed | p50, us | p99, us | p50 above minimal, us |",
        "|---|---|---:|---:|---:|---:|",
    ]
    base = 0.0
    for words, name, count, p50, p99 in figures(rounds, frames):
        base = p50 if name == "minimal" else base
        above = "" if name == "minimal" else f"{p50 - base:,.0f}"
        lines.append(f"| {words} | {name} | {count:,} | {p50:,.0f} | {p99:,.0f} | {above} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--arm", nargs=3, metavar=("STRATEGY", "REST", "WEBSOCKET"))
    arguments = parser.parse_args()
    if arguments.arm:
        name, rest_url, websocket_url = arguments.arm
        run_arm(name, FeedAddress(rest_url, websocket_url))
        return
    text = table(arguments.rounds, arguments.frames)
    print(text)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
