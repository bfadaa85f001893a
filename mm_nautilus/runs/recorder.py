"""Write what a run publishes as it comes: metrics and equity to Parquet, fills to the journal."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId

from mm_nautilus.core.exits import ExitReason
from mm_nautilus.core.guards import SECOND_NS
from mm_nautilus.core.ledger import AccountSnapshot, SymbolLedger
from mm_nautilus.nautilus.data_types import SYMBOL_METRICS, SymbolMetrics, metrics_row, metrics_schema
from mm_nautilus.nautilus.guarding import GuardedActor
from mm_nautilus.nautilus.messages import ACCOUNT_TOPIC, RESULT_TOPIC, FillResult
from mm_nautilus.report.journal import Journal

__all__ = ["ExitTotals", "ParquetRows", "RunRecorder"]

STRATEGY_NAME: Final = "market_making"
"""The strategy's name in the journal (v1.4.0's)."""
_SNAPSHOT_INTERVAL_NS: Final = 60 * SECOND_NS
_ROWS_PER_GROUP: Final = 5_000
_EXITS: Final = frozenset(reason.value for reason in ExitReason)

_EQUITY_COLUMNS: Final[dict[str, pa.DataType]] = {
    "ts_event": pa.timestamp("ns", tz="UTC"),
    "currency": pa.string(),
    "equity": pa.decimal128(38, 12),
    "trading_pnl": pa.decimal128(38, 12),
    "revaluation": pa.decimal128(38, 12),
    "max_drawdown_pct": pa.float64(),
}
_EQUITY_DIGITS: Final = Decimal("1e-12")


class ParquetRows:
    """Append rows to a Parquet file in groups, so that memory does not grow with the run.

    Parameters
    ----------
    path
        The file.
    schema
        Its columns.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


@dataclass(slots=True)
class ExitTotals:
    """Exits of one kind.

    Attributes
    ----------
    order_ids
        The exit orders that were filled.
    pnl
        Sum of their trades' results by quote currency.
    """

    order_ids: set[str] = field(default_factory=set)
    trades: int = 0
    pnl: dict[str, Decimal] = field(default_factory=dict)

    def add(self, result: FillResult) -> None:
        """Count one execution of an exit order."""
        self.order_ids.add(result.correlation_id)
        if result.trade_pnl is not None:
            self.trades += 1
            self.pnl[result.currency] = self.pnl.get(result.currency, Decimal(0)) + result.trade_pnl


class RunRecorder(GuardedActor):
    """Subscribe to what the metrics actor publishes and write it to the run's folder.

    Parameters
    ----------
    folder
        The run's folder.
    ledger
        Returns the metrics actor's ledger.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Hand the engine's own options to its base class."""
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("RECORDER-001")))  # type: ignore[call-arg]

    def __init__(self, folder: Path, ledger: Callable[[], SymbolLedger | None]) -> None:
        super().__init__()
        self._ledger = ledger
        self._metrics = ParquetRows(folder / "metrics.parquet", metrics_schema())
        self._equity = ParquetRows(folder / "equity.parquet", pa.schema(_EQUITY_COLUMNS))
        self._journal = Journal(folder / "journal.jsonl", self._echo)
        self._next_snapshot_ns = 0
        self._mids: dict[str, float] = {}
        self.exits: dict[str, ExitTotals] = defaultdict(ExitTotals)

    def _echo(self, line: str) -> None:
        self.log.info(line)

    def on_start(self) -> None:
        """Listen to metrics, account snapshots and results of fills."""
        self.subscribe_data(SYMBOL_METRICS)
        self.subscribe_topic(RESULT_TOPIC, self._on_result)
        self.subscribe_topic(ACCOUNT_TOPIC, self._on_account)

    def on_data(self, data: Any) -> None:
        """Write one symbol's metrics."""
        if isinstance(data.data, SymbolMetrics):
            self.write_metrics(data.data)

    def write_metrics(self, metrics: SymbolMetrics) -> None:
        """Write one symbol's metrics."""
        self._mids[metrics.symbol] = metrics.mid_price
        self._metrics.append(metrics_row(metrics))

    def _on_result(self, message: object) -> None:
        """Write one fill to the journal and count it with its exit."""
        if not isinstance(message, FillResult):
            return
        if message.purpose in _EXITS:
            self.exits[message.purpose].add(message)
        fill = {
            "ts_event": message.ts_event,
            "symbol": message.symbol,
            "side": message.side,
            "price": message.price,
            "quantity": message.quantity,
            "liquidity": message.liquidity,
            "fee": message.fee,
            "currency": message.currency,
            "purpose": message.purpose,
            "pnl": message.realized_change,
            "trade_pnl": message.trade_pnl,
        }
        position = {"symbol": message.symbol, "quantity": message.position}
        self._journal.log_fill(
            fill, message.correlation_id, STRATEGY_NAME, None, position, message.symbol_stats
        )

    def _on_account(self, message: object) -> None:
        """Write one point of the equity curve and, once a minute, a snapshot to the journal."""
        if not isinstance(message, tuple):
            return
        ts_event, snapshot = message
        self.write_equity(ts_event, snapshot)
        if ts_event >= self._next_snapshot_ns:
            self._next_snapshot_ns = ts_event + _SNAPSHOT_INTERVAL_NS
            self.write_snapshot(ts_event)

    def write_equity(self, ts_event: int, snapshot: AccountSnapshot) -> None:
        """Write one point of the equity curve."""
        self._equity.append(
            {
                "ts_event": ts_event,
                "currency": snapshot.report_currency,
                "equity": snapshot.equity.quantize(_EQUITY_DIGITS),
                "trading_pnl": snapshot.trading_pnl.quantize(_EQUITY_DIGITS),
                "revaluation": snapshot.revaluation.quantize(_EQUITY_DIGITS),
                "max_drawdown_pct": snapshot.max_drawdown_pct,
            }
        )

    def write_snapshot(self, ts_event: int) -> None:
        """Write the portfolio to the journal."""
        ledger = self._ledger()
        if ledger is not None and ledger.account is not None:
            stats = ledger.get_all_symbol_stats()
            portfolio = {"ts_event": ts_event, **ledger.to_dict()}
            self._journal.log_portfolio_snapshot(STRATEGY_NAME, portfolio, self._mids, stats)

    def close(self) -> None:
        """Close the files; for the end of the run, after the last rows."""
        self._metrics.close()
        self._equity.close()
        self._journal.close()
