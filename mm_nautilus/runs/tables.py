"""The tables of orders, fills and positions: exact decimals, UTC times, a currency beside every amount.

Those of a backtest are written as orders close, so that the engine need not keep them.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from nautilus_trader.model import OrderFilled, OrderType

from mm_nautilus.runs.row_files import RowFile

_AMOUNT: Final[pa.DataType] = pa.decimal128(38, 18)
_TIME: Final[pa.DataType] = pa.timestamp("ns", tz="UTC")

FILLS: Final = pa.schema(
    {
        "ts_event": _TIME,
        "symbol": pa.string(),
        "side": pa.string(),
        "price": _AMOUNT,
        "quantity": _AMOUNT,
        "commission": _AMOUNT,
        "commission_currency": pa.string(),
        "liquidity": pa.string(),
        "order_type": pa.string(),
        "purpose": pa.string(),
        "client_order_id": pa.string(),
        "trade_id": pa.string(),
    }
)
ORDERS: Final = pa.schema(
    {
        "ts_init": _TIME,
        "ts_last": _TIME,
        "symbol": pa.string(),
        "side": pa.string(),
        "order_type": pa.string(),
        "purpose": pa.string(),
        "status": pa.string(),
        "price": _AMOUNT,
        "quantity": _AMOUNT,
        "filled_quantity": _AMOUNT,
        "client_order_id": pa.string(),
    }
)
_POSITIONS: Final = pa.schema(
    {
        "ts_opened": _TIME,
        "ts_closed": _TIME,
        "symbol": pa.string(),
        "entry": pa.string(),
        "side": pa.string(),
        "peak_quantity": _AMOUNT,
        "quantity": _AMOUNT,
        "average_open_price": pa.float64(),
        "realized_pnl": _AMOUNT,
        "currency": pa.string(),
    }
)
_KEPT_SECONDS: Final = 60
"""How long the engine keeps a closed order: whoever hears late of an execution still finds what its order was for."""

type _Sorted = tuple[tuple[int, str, int], tuple[Any, ...]]


class OrderTables:
    """Write ``orders.parquet`` and ``fills.parquet`` from the engine's orders; have it forget those that are closed.

    Rows stand in the order of their times, those of one moment in that of the order's id. A row is held back while
    an order that is still open may have an earlier one.
    """

    def __init__(self, folder: Path) -> None:
        self._orders = _SortedRows(RowFile(folder / "orders.parquet", ORDERS))
        self._fills = _SortedRows(RowFile(folder / "fills.parquet", FILLS))
        self._taken: set[str] = set()

    def take_closed(self, cache: Any, now_ns: int) -> None:
        """Take the rows of closed orders, then purge these and the account's past states from the engine."""
        open_orders = []
        for order in cache.orders():
            if order.is_closed:
                self._take(order)
            else:
                open_orders.append(order)
        cache.purge_closed_orders(now_ns, _KEPT_SECONDS)
        cache.purge_account_events(now_ns, 0)
        self._taken.intersection_update(known.value for known in cache.client_order_ids_closed())
        self._orders.release(min((order.ts_init for order in open_orders), default=now_ns))
        fills = (fill.ts_event for order in open_orders for fill in _executions(order))
        self._fills.release(min(fills, default=now_ns))

    def _take(self, order: Any) -> None:
        order_id = order.client_order_id.value
        if order_id in self._taken:
            return
        self._taken.add(order_id)
        symbol = order.instrument_id.symbol.value
        tags = order.tags
        purpose = tags[0] if tags else None
        self._orders.add((order.ts_init, order_id, 0), _order_row(order, symbol, purpose))
        for number, fill in enumerate(_executions(order)):
            self._fills.add((fill.ts_event, order_id, number), _fill_row(fill, symbol, purpose))

    def close(self, cache: Any) -> None:
        """Write all that is left, orders that are still open among it, and close the files."""
        with ExitStack() as closing:  # the other is closed where one cannot be
            closing.callback(self._orders.close)
            closing.callback(self._fills.close)
            for order in cache.orders():
                self._take(order)


class _SortedRows:
    """Write rows in the order of their keys, each once no earlier one can come."""

    def __init__(self, file: RowFile) -> None:
        self._file = file
        self._held: list[_Sorted] = []

    def add(self, key: tuple[int, str, int], row: tuple[Any, ...]) -> None:
        self._held.append((key, row))

    def release(self, before_ns: int) -> None:
        """Write the rows of earlier moments, nanoseconds since the epoch."""
        self._held.sort(key=lambda held: held[0])
        count = 0
        for (ts_ns, _, _), row in self._held:
            if ts_ns >= before_ns:
                break
            self._file.append(row)
            count += 1
        del self._held[:count]

    def close(self) -> None:
        with ExitStack() as closing:
            closing.callback(self._file.close)
            self._held.sort(key=lambda held: held[0])
            for _, row in self._held:
                self._file.append(row)


def _executions(order: Any) -> list[Any]:
    if order.filled_qty.is_zero():
        return []
    return [event for event in order.events() if isinstance(event, OrderFilled)]


def _order_row(order: Any, symbol: str, purpose: str | None) -> tuple[Any, ...]:
    return (
        order.ts_init,
        order.ts_last,
        symbol,
        order.side.name,
        order.order_type.name,
        purpose,
        order.status.name,
        order.price.as_decimal() if order.order_type == OrderType.LIMIT else None,
        order.quantity.as_decimal(),
        order.filled_qty.as_decimal(),
        order.client_order_id.value,
    )


def _fill_row(fill: Any, symbol: str, purpose: str | None) -> tuple[Any, ...]:
    commission = fill.commission
    return (
        fill.ts_event,
        symbol,
        fill.order_side.name,
        fill.last_px.as_decimal(),
        fill.last_qty.as_decimal(),
        None if commission is None else commission.as_decimal(),
        None if commission is None else commission.currency.code,
        fill.liquidity_side.name,
        fill.order_type.name,
        purpose,
        fill.client_order_id.value,
        fill.trade_id.value,
    )


def write_positions(cache: Any, path: Path) -> None:
    """Write all positions of a run as they were opened; of one that is open again the closed ones are snapshots."""
    file = RowFile(path, _POSITIONS)
    positions = [*cache.positions(), *cache.position_snapshots()]
    for position in sorted(positions, key=lambda position: position.ts_opened):
        file.append(_position_row(position))
    file.close()


def _position_row(position: Any) -> tuple[Any, ...]:
    realized = position.realized_pnl
    return (
        position.ts_opened,
        position.ts_closed,
        position.instrument_id.symbol.value,
        position.entry.name,
        position.side.name,
        position.peak_qty.as_decimal(),
        position.quantity.as_decimal(),
        position.avg_px_open,
        None if realized is None else realized.as_decimal(),
        None if realized is None else realized.currency.code,
    )
