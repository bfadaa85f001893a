"""Write what a run publishes as it comes: metrics, equity and fills to Parquet, fills to the journal."""

from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from mm_nautilus.config.run import OutputConfig
from mm_nautilus.metrics.data_types import SYMBOL_METRICS, SymbolMetrics, metrics_row, metrics_schema
from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.report.journal import Journal
from mm_nautilus.runs.tables import FILLS, OrderTable, Rows
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    ACCOUNT_TOPIC,
    EVENTS_TOPIC,
    BookingOrder,
    Fill,
    GuardChange,
    MarketGap,
    OrderOrigin,
)
from mm_nautilus.trading.pausing import PausingTimer

STRATEGY_NAME: Final = "market_making"
"""The strategy's name in the journal (v1.4.0's)."""
_SNAPSHOT_INTERVAL_NS: Final = 60 * SECOND_NS
_TIMER: Final = "recorder"
_INTERVAL_NS: Final = 60 * SECOND_NS
"""Longest time that rows wait in memory in a live run, and that a backtest's engine keeps a closed order."""
_BATCH_LINES: Final = 1_000
"""Lines of the journal that a backtest encodes and writes at once."""
_MEGABYTE: Final = 1_000_000
_IN_JOURNAL: Final = (
    *("ts_event", "symbol", "side", "price", "quantity", "liquidity", "fee", "currency", "purpose"),
    *("trade_pnl", "trade_id"),
)
_FILL_COLUMNS: Final = attrgetter(
    *("ts_event", "symbol", "side", "price", "quantity", "fee", "currency", "liquidity", "order_type"),
    *("purpose", "order_id", "trade_id", "trade_pnl", "open_fees"),
    *("position", "entry_price", "opened_ns"),
)
"""A fill's names of the columns of `FILLS`."""
_METRICS_COLUMNS: Final = itemgetter(*metrics_schema().names)
_EXITS: Final = frozenset(reason.value for reason in ExitReason)

_TIME: Final[pa.DataType] = pa.timestamp("ns", tz="UTC")
_EQUITY: Final[pa.DataType] = pa.decimal128(38, 12)
EQUITY: Final = pa.schema(
    {
        "ts_event": _TIME,
        "currency": pa.string(),
        **dict.fromkeys(("equity", "trading_pnl", "revaluation", "funding"), _EQUITY),
        "max_drawdown_pct": pa.float64(),
    }
)
"""The account, every `metrics.interval_seconds`."""
_EQUITY_DIGITS: Final = Decimal("1e-12")


@dataclass(slots=True)
class ExitTotals:
    """Exits of one kind."""

    count: int = 0
    """Exits, each counted once however many executions it took."""
    trades: int = 0
    """Their executions that reduced a position."""
    pnl: dict[str, Decimal] = field(default_factory=dict)
    """Sum of their trades' results by quote currency."""

    def add(self, result: Fill, *, is_first: bool) -> None:
        """Count one execution; the first of an exit follows one of another purpose."""
        self.count += is_first
        if result.trade_pnl is not None:
            self.trades += 1
            self.pnl[result.currency] = self.pnl.get(result.currency, Decimal(0)) + result.trade_pnl


class RunRecorder(GuardedActor):
    """Subscribe to what the metrics actor publishes and write it to the run's folder.

    `portfolio` returns the portfolio dictionary as of now, None before a strategy has announced itself; `say` receives
    the journal's lines for people, which the log has in any case. A live run writes every line of the journal as it
    comes. A backtest writes them in batches, and takes closed orders from the engine, which then forgets them.
    """

    actor_name = "RECORDER-001"

    def __init__(
        self,
        folder: Path,
        portfolio: Callable[[], dict[str, Any] | None],
        output: OutputConfig,
        *,
        say: Callable[[str], None] = lambda _line: None,
        is_live: bool = False,
    ) -> None:
        super().__init__()
        self._portfolio = portfolio
        self._say, self._is_live = say, is_live
        self._metrics = Rows(folder / "metrics.parquet", metrics_schema())
        self._equity = Rows(folder / "equity.parquet", EQUITY)
        self._fills = Rows(folder / "fills.parquet", FILLS)
        self._tables = self._metrics, self._equity, self._fills
        self._orders = None if is_live else OrderTable(folder)
        self._journal = None
        if output.journal != "none":
            self._journal = Journal(
                folder / "journal.jsonl",
                self._echo,
                rotate_bytes=round(output.journal_megabytes * _MEGABYTE),
                keep_files=output.journal_files,
                batch_lines=1 if is_live else _BATCH_LINES,
            )
        self._full_journal = self._journal if output.journal == "full" else None
        self._links = None if self._full_journal is None else _JournalLinks(self._full_journal)
        self._next_snapshot_ns = 0
        self._mids: dict[str, float] = {}
        self._not_in_journal: deque[Fill] = deque()
        self.exits: dict[str, ExitTotals] = defaultdict(ExitTotals)
        self._last_purposes: dict[str, str] = {}

    def _echo(self, line: str) -> None:
        self.log.info(line)
        self._say(line)

    def on_start(self) -> None:
        """Subscribe to metrics, account snapshots, fills and changes of guards."""
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(EVENTS_TOPIC, self._on_event, BookingOrder.RECORD)
        self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)
        self._timer = PausingTimer(self.clock, _TIMER, _INTERVAL_NS, may_pause=not self._is_live)

    def on_time_event(self, event: Any) -> None:
        """Bring the rows so far to the disk; or, in a backtest, take the closed orders from the engine."""
        if not self._timer.ticks(event):
            return
        if self._orders is not None:
            self._orders.take_closed(self.cache, self.clock.timestamp_ns())
        else:
            for rows in self._tables:
                rows.flush()

    def on_data(self, data: Any) -> None:
        """Write one symbol's metrics."""
        if isinstance(data.data, SymbolMetrics):
            self.write_metrics(data.data)

    def write_metrics(self, metrics: SymbolMetrics) -> None:
        """Write one symbol's metrics; also to the journal if they follow a fill."""
        self._mids[metrics.symbol] = metrics.mid_price
        self._metrics.append(_METRICS_COLUMNS(metrics_row(metrics)))
        if self._links is not None:
            self._links.on_metrics(metrics)

    def _on_event(self, message: object) -> None:
        """Write a fill or a guard's change; pause in a gap of a backtest's data."""
        if isinstance(message, Fill):
            self.write_fill(message)
        elif isinstance(message, GuardChange):
            if self._full_journal is not None:
                self._full_journal.log("guard", asdict(message), STRATEGY_NAME)
        elif isinstance(message, MarketGap):
            (self._timer.resume if message.is_over else self._timer.pause)()

    def write_fill(self, message: Fill) -> None:
        """Write one fill to its table and the journal, there with the next one if that fails; count its exit."""
        if self._journal is not None:
            self._not_in_journal.append(message)
        before = self._last_purposes.get(message.symbol)
        self._last_purposes[message.symbol] = message.purpose
        if message.purpose in _EXITS:
            self.exits[message.purpose].add(message, is_first=message.purpose != before)
        self._fills.append(_FILL_COLUMNS(message))
        self._log_fills()

    def _log_fills(self) -> None:
        """Write the fills that are not in the journal yet, each once."""
        while self._journal is not None and self._not_in_journal:
            if self._links is not None:
                self._links.on_fill(self._not_in_journal[0])
            lines = self._journal.lines
            try:
                self._log_fill(self._journal, self._not_in_journal[0])
            finally:
                if self._journal.lines > lines:
                    self._not_in_journal.popleft()

    def _log_fill(self, journal: Journal, message: Fill) -> None:
        fill = {name: getattr(message, name) for name in _IN_JOURNAL} | {"pnl": message.realized_change}
        position = {"symbol": message.symbol, "quantity": message.position}
        portfolio = self._portfolio()
        stats = {} if portfolio is None else portfolio["symbol_stats"][message.symbol]
        journal.log_fill(fill, message.order_id, STRATEGY_NAME, portfolio, position, stats)

    def _on_account(self, message: object) -> None:
        """Write one point of the equity curve and, once a minute, a snapshot to the journal."""
        if isinstance(message, tuple):
            ts_event, snapshot = message
            self.write_equity(ts_event, snapshot)
            if ts_event >= self._next_snapshot_ns:
                self._next_snapshot_ns = ts_event + _SNAPSHOT_INTERVAL_NS
                self.write_snapshot(ts_event)

    def write_equity(self, ts_event: int, snapshot: AccountSnapshot) -> None:
        """Write one point of the equity curve."""
        self._equity.append(
            (
                ts_event,
                snapshot.report_currency,
                snapshot.equity.quantize(_EQUITY_DIGITS),
                snapshot.trading_pnl.quantize(_EQUITY_DIGITS),
                snapshot.revaluation.quantize(_EQUITY_DIGITS),
                snapshot.funding.quantize(_EQUITY_DIGITS),
                snapshot.max_drawdown_pct,
            )
        )

    def write_snapshot(self, ts_event: int) -> None:
        """Write the portfolio to the journal."""
        portfolio = None if self._full_journal is None else self._portfolio()
        if self._full_journal is not None and portfolio is not None and portfolio["equity"] is not None:
            snapshot = {"ts_event": ts_event, **portfolio}
            self._full_journal.log_portfolio_snapshot(
                STRATEGY_NAME, snapshot, dict(self._mids), portfolio["symbol_stats"]
            )

    def close(self, *, in_hurry: bool = False) -> None:
        """Close the files, after the last rows; in a hurry the parts of tables are left to be joined later."""
        with ExitStack() as closing:  # closes all, also if one fails
            if self._journal is not None:
                closing.callback(self._journal.close)
            if self._orders is not None:
                closing.callback(self._orders.close, self.cache)
            for rows in self._tables:
                closing.callback(rows.leave if in_hurry else rows.close)
            self._log_fills()


class _JournalLinks:
    """Write signals and orders when they are filled, and the metrics of that moment, under the order's id.

    Few orders are ever filled: an order's signal is kept with it and written at its first fill, and again only if the
    order was amended before a later one.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._written: dict[tuple[str, str], OrderOrigin] = {}
        self._awaited: dict[str, tuple[int, str]] = {}

    def on_fill(self, fill: Fill) -> None:
        """Write what led to an execution, unless it was written for the execution before."""
        self._awaited[fill.symbol] = (fill.ts_event, fill.order_id)
        origin, side = fill.origin, (fill.symbol, fill.side)
        if origin is None or self._written.get(side) is origin:
            return
        self._written[side] = origin
        common = {
            "symbol": fill.symbol,
            "side": fill.side,
            "purpose": fill.purpose,
            "price": origin.decision.price,
            "quantity": origin.decision.quantity,
        }
        decision = origin.decision
        signal = {
            "ts_event": decision.ts_event,
            **common,
            **decision.market._asdict(),
            "volatility_pct": decision.volatility_pct,
            "imbalance": decision.imbalance,
            "trade_flow": decision.trade_flow,
            "trigger_price": decision.trigger_price,
        }
        self._journal.log("signal", signal, STRATEGY_NAME, fill.order_id)
        order = {
            "ts_event": origin.placed_ns,
            **common,
            "order_type": fill.order_type,
            "amends": origin.amends,
        }
        self._journal.log("order", order, STRATEGY_NAME, fill.order_id)

    def on_metrics(self, metrics: SymbolMetrics) -> None:
        """Write a symbol's metrics if they are the first after an execution."""
        awaited = self._awaited.pop(metrics.symbol, None)
        if awaited is not None and metrics.ts_event == awaited[0]:  # type: ignore[attr-defined]
            self._journal.log("metrics", metrics_row(metrics), STRATEGY_NAME, awaited[1])
