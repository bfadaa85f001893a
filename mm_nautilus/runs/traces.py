"""Record what a report draws: the market as the strategy saw it, its quotes, and what it sent."""

import heapq
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import AggressorSide, InstrumentId

from mm_nautilus.calibration.mark_outs import HORIZONS_SECONDS
from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import Side, TradeBlock
from mm_nautilus.runs.tables import COMPRESSION, Rows
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.store_url import CatalogPath
from mm_nautilus.system.whole_file import whole_file
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    EVENTS_TOPIC,
    BookingOrder,
    Fill,
    MarketGap,
    MarketSample,
    QuoteState,
    StrategyStarted,
)
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.symbol_views import SymbolViews

MARKET_TRADES_FILE: Final = "market_trades.parquet"
_TIMER: Final = "traces"
_TIME: Final = pa.timestamp("ns", tz="UTC")
_NUMBER: Final = pa.float64()
_NAME: Final = pa.dictionary(pa.int32(), pa.string())

MARKET: Final = pa.schema(
    {
        "ts_event": _TIME,
        "symbol": _NAME,
        "trade_id": pa.string(),
        "best_bid": _NUMBER,
        "best_ask": _NUMBER,
        "mid_price": _NUMBER,
        "reservation_price": _NUMBER,
        "inventory": _NUMBER,
        "inventory_cap": _NUMBER,
        "entry_price": _NUMBER,
        "trailing_stop_price": _NUMBER,
    }
)
"""Once a second and, with its `trade_id`, at every fill."""
MARK_OUTS: Final = pa.schema(
    {"ts_event": _TIME, "symbol": _NAME, "trade_id": pa.string(), "seconds": _NUMBER, "mid_price": _NUMBER}
)
"""The mid at every fill and at each horizon after it, none in a gap of the book."""
QUOTES: Final = pa.schema(
    {
        "ts_event": _TIME,
        "symbol": _NAME,
        "bid_price": _NUMBER,
        "bid_size": _NUMBER,
        "ask_price": _NUMBER,
        "ask_size": _NUMBER,
        "bid_reason": _NAME,
        "ask_reason": _NAME,
        "reservation_price": _NUMBER,
        "level": pa.int64(),
        "best_bid": _NUMBER,
        "best_ask": _NUMBER,
    }
)
"""Whenever a working order, or the reason for not quoting a side, changes; the last row of a symbol is the end."""
MARKET_TRADES: Final = pa.schema(
    {"ts_event": _TIME, "symbol": _NAME, "price": _NUMBER, "size": _NUMBER, "aggressor": _NAME}
)
"""The trades of everybody, when they were received. A backtest's are copied from its catalog at its end, so that
nothing is recorded while it runs; a live run's are those that the strategy counts: none too old, none twice."""
_COUNTS: Final = (
    *("placed", "amended", "cancelled", "rejected", "denied", "fills", "maker_fills"),
    *("rate_limited", "points"),
)
ACTIONS: Final = pa.schema(
    {"ts_event": _TIME, "symbol": _NAME, **dict.fromkeys(_COUNTS, pa.int64())},
)
"""Counts of a minute, for symbols with any."""
_AGGRESSORS: Final = {AggressorSide.BUY: "BUY", AggressorSide.SELL: "SELL"}
_SIDES: Final = {int(Side.BID): "BUY", int(Side.ASK): "SELL"}
"""The taker's side as the engine and as a catalog have it; there is no name for an unknown one."""


def copy_market_trades(
    catalog: CatalogPath, specs: Iterable[InstrumentSpec], span: tuple[int, int], folder: Path
) -> None:
    """Write the market's trades of a backtest into its folder, from its catalog.

    `span` has the first and the last moment, nanoseconds since the epoch. A DataError says that a file of the catalog
    is damaged.
    """
    reader = CatalogReader(catalog)
    with (
        whole_file(folder / MARKET_TRADES_FILE) as unfinished,
        pq.ParquetWriter(unfinished, MARKET_TRADES, compression=COMPRESSION) as writer,
    ):
        for spec in specs:
            for block in reader.iter_trades(spec.instrument_id, *span):
                writer.write_table(_trade_rows(block, spec))


def _trade_rows(block: TradeBlock, spec: InstrumentSpec) -> pa.Table:
    sides = [_SIDES.get(side) for side in block.aggressor.tolist()]
    columns: tuple[Any, ...] = (
        pa.array(block.ts_init).cast(_TIME),
        [spec.symbol] * len(sides),
        np.round(block.price_ticks * float(spec.price_increment), spec.price_precision),
        np.round(block.size_lots * float(spec.size_increment), spec.size_precision),
        sides,
    )
    arrays = [pa.array(values, field.type) for values, field in zip(columns, MARKET_TRADES, strict=True)]
    return pa.table(arrays, schema=MARKET_TRADES)


@dataclass(slots=True)
class _Watched:
    """One symbol, and its fills with horizons to come."""

    view: SymbolViews
    counted: Mapping[str, int]
    """The order counts that have been written."""
    minute_ns: int
    """Start of the minute whose counts are written next."""
    due: list[tuple[int, float, str]] = field(default_factory=list)
    """Heap of (moment in nanoseconds, seconds after the fill, the fill's trade id)."""


class TraceRecorder(GuardedActor):
    """Look at the strategies' symbols once a second and around fills, and listen for changes of their quotes.

    Looking costs the strategy nothing between the seconds; it publishes only what it has changed itself. The timer is
    that of the strategy's guards, so that recording leaves a run as it is.
    """

    actor_name = "TRACES-001"

    def __init__(self, folder: Path, *, is_live: bool = False) -> None:
        super().__init__()
        self._is_live = is_live
        self._market = Rows(folder / "market.parquet", MARKET)
        self._mark_outs = Rows(folder / "mark_outs.parquet", MARK_OUTS)
        self._quotes = Rows(folder / "quotes.parquet", QUOTES)
        self._actions = Rows(folder / "actions.parquet", ACTIONS)
        self._trades = Rows(folder / MARKET_TRADES_FILE, MARKET_TRADES) if is_live else None
        tables = self._market, self._mark_outs, self._quotes, self._actions, self._trades
        self._tables = [rows for rows in tables if rows is not None]
        self._watched: dict[InstrumentId, _Watched] = {}
        self._flushed_minute: int | None = None

    def on_start(self) -> None:
        """Subscribe to strategies and fills, and set the timer."""
        self.subscribe_topic(EVENTS_TOPIC, self._on_message, BookingOrder.RECORD)
        self._timer = PausingTimer(self.clock, _TIMER, SECOND_NS, may_pause=not self._is_live)

    def _on_message(self, message: object) -> None:
        if isinstance(message, Fill):
            self._record_fill(message)
        elif isinstance(message, StrategyStarted):
            self._watch_symbols(message)
        elif isinstance(message, MarketGap) and message.is_over:
            self._timer.resume()
            self._record()  # the market until the gap's end
        elif isinstance(message, MarketGap):
            self._timer.pause()

    def _watch_symbols(self, message: StrategyStarted) -> None:
        """Record a strategy's symbols from now on; what they have sent before is not counted."""
        now_ns = self.clock.timestamp_ns()
        for instrument_id, view in message.views.items():
            watched = self._watched[instrument_id] = _Watched(view, asdict(view.counts), 0)
            self._begin_minute(watched, now_ns)
            view.on_quotes_changed.append(self.listener(self._write_quotes))
            if self._is_live:
                view.on_trade_counted.append(self.listener(self._write_trade))
            self._write_market(view, now_ns, view.sample())

    def _record_fill(self, fill: Fill) -> None:
        """Record the market as the strategy knew it when it was filled, and look again at each horizon."""
        now_ns, trade_id = self.clock.timestamp_ns(), fill.trade_id
        watched = self._watched[fill.instrument_id]
        self._look(watched, now_ns)
        self._write_market(watched.view, now_ns, fill.market or watched.view.sample(), trade_id)
        self._write_mid(watched.view, now_ns, 0.0, trade_id)
        for seconds in HORIZONS_SECONDS:
            heapq.heappush(watched.due, (now_ns + round(seconds * SECOND_NS), seconds, trade_id))
        self._wait(watched)

    def _wait(self, watched: _Watched) -> None:
        """Look again just before the touch changes."""

        def on_look(ts_ns: int) -> None:
            self._look(watched, ts_ns, is_event=True)

        watched.view.call_before_next_touch(watched.due[0][0] if watched.due else None, on_look)

    def _look(self, watched: _Watched, now_ns: int, *, is_event: bool = False, is_end: bool = False) -> None:
        """Write the mid for all horizons that have passed without a change of the touch since.

        With `is_event` a book event of that time follows, with `is_end` none. A mid is known if an event came after it
        before a silence became a gap.
        """
        view, has_looked = watched.view, False
        last_ns, is_gap = view.book_guard.last_event_ns or 0, view.book_guard.is_gap(now_ns)
        while watched.due and watched.due[0][0] < now_ns + (not is_event):
            is_known = watched.due[0][0] <= last_ns or not is_gap
            if not (is_event or is_end or is_gap) and watched.due[0][0] > last_ns:
                break
            due_ns, seconds, trade_id = heapq.heappop(watched.due)
            self._write_mid(view, due_ns, seconds, trade_id, is_known=is_known)
            has_looked = True
        if has_looked:
            self._wait(watched)

    def on_time_event(self, event: Any) -> None:
        """Record the market once a second."""
        if self._timer.ticks(event):
            self._record()

    def _record(self) -> None:
        now_ns = self.clock.timestamp_ns()
        for watched in self._watched.values():
            self._look(watched, now_ns)
            self._write_market(watched.view, now_ns, watched.view.sample())
            self._begin_minute(watched, now_ns)
        if self._is_live:
            self._flush(now_ns)

    def _write_market(
        self, view: SymbolViews, ts_ns: int, sample: MarketSample, trade_id: str | None = None
    ) -> None:
        self._market.append((ts_ns, view.spec.symbol, trade_id, *sample))

    def _write_mid(
        self, view: SymbolViews, ts_ns: int, seconds: float, trade_id: str, *, is_known: bool = True
    ) -> None:
        last_mid = view.last_mid if is_known else None
        mid = None if last_mid is None else float(last_mid)
        self._mark_outs.append((ts_ns, view.spec.symbol, trade_id, seconds, mid))

    def _write_quotes(self, state: QuoteState) -> None:
        ts_ns, instrument_id, *columns = state
        self._quotes.append((ts_ns, self._watched[instrument_id].view.spec.symbol, *columns))

    def _write_trade(self, trade: Any) -> None:
        if self._trades is not None:
            symbol = self._watched[trade.instrument_id].view.spec.symbol
            aggressor = _AGGRESSORS.get(trade.aggressor_side)
            self._trades.append((trade.ts_init, symbol, float(trade.price), float(trade.size), aggressor))

    def _begin_minute(self, watched: _Watched, now_ns: int) -> None:
        """Write the counts of a symbol's minute if it is over, and wait for the end of the one that has begun."""
        minute_ns = now_ns // MINUTE_NS * MINUTE_NS
        if minute_ns == watched.minute_ns:
            return
        if minute_ns > watched.minute_ns:  # else the wall clock was set
            self._write_counts(watched)
        watched.minute_ns = minute_ns

        def on_next_minute(ts_ns: int) -> None:
            self._begin_minute(watched, ts_ns)

        watched.view.call_before_count(minute_ns + MINUTE_NS, self.listener(on_next_minute))

    def _flush(self, now_ns: int) -> None:
        """Bring all rows so far to the disk, once a minute."""
        minute = now_ns // MINUTE_NS
        if self._flushed_minute not in (None, minute):
            for rows in self._tables:
                rows.flush()
        self._flushed_minute = minute

    def _write_counts(self, watched: _Watched) -> None:
        counts, before = asdict(watched.view.counts), watched.counted
        row = [counts[name] - before[name] for name in _COUNTS]
        if any(row):
            watched.counted = counts
            self._actions.append((watched.minute_ns, watched.view.spec.symbol, *row))

    def on_stop(self) -> None:
        """Write the mids of horizons that have passed."""
        now_ns = self.clock.timestamp_ns()
        for watched in self._watched.values():
            self._look(watched, now_ns, is_end=True)

    def close(self, now_ns: int, *, in_hurry: bool = False) -> None:
        """Write the last rows and close the files; for the end of the run."""
        with ExitStack() as closing:  # closes all, also if one fails
            for rows in self._tables:
                closing.callback(rows.leave if in_hurry else rows.close)
            for watched in self._watched.values():
                self._write_market(watched.view, now_ns, watched.view.sample())
                self._write_counts(watched)
