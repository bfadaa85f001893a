"""The tables of orders, fills and positions: exact decimals, UTC times, a currency beside every amount."""

from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from mm_nautilus.runs.row_files import RowFile

_AMOUNT: Final = pa.decimal128(38, 18)
_TIME: Final = pa.timestamp("ns", tz="UTC")

_FILLS: Final[dict[str, pa.DataType]] = {
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
FILLS: Final = pa.schema(_FILLS)
_ORDERS: Final[dict[str, pa.DataType]] = {
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
ORDERS: Final = pa.schema(_ORDERS)
_POSITIONS: Final[dict[str, pa.DataType]] = {
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


def write_positions(cache: Any, path: Path) -> None:
    """Write all positions of a run as they were opened; of one that is open again the closed ones are snapshots."""
    file = RowFile(path, pa.schema(_POSITIONS))
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
