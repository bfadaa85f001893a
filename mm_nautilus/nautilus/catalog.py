"""Writing and reading Parquet catalogs; a write either lands whole or leaves nothing behind."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nautilus_trader.model import (
    AggressorSide,
    BookAction,
    BookOrder,
    InstrumentId,
    OrderBookDelta,
    OrderSide,
    Price,
    Quantity,
    TradeId,
    TradeTick,
)
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.core.marketdata import (
    ACTION_ADD,
    ACTION_CLEAR,
    ACTION_DELETE,
    ACTION_UPDATE,
    SIDE_BID,
    DeltaBlock,
    TradeBlock,
)
from mm_nautilus.errors import DataError
from mm_nautilus.nautilus.instruments import currency_pair

__all__ = ["CatalogWriter", "staged_catalog"]

_ACTIONS = {ACTION_ADD: BookAction.ADD, ACTION_UPDATE: BookAction.UPDATE, ACTION_DELETE: BookAction.DELETE}


class CatalogWriter:
    """Write instruments, book deltas and trades of array blocks into a catalog folder.

    Blocks of one instrument and type must come in time order, and a block's first ``ts_init`` must be later
    than the last one of the block before it, because each block becomes a file of its own.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._catalog = ParquetDataCatalog(str(folder.resolve()))

    def write_instrument(self, spec: InstrumentSpec) -> None:
        """Write one instrument."""
        self._catalog.write_instruments([currency_pair(spec)])

    def write_deltas(self, spec: InstrumentSpec, block: DeltaBlock) -> None:
        """Write one block of book changes; an empty block writes nothing."""
        if not len(block):
            return
        self._catalog.write_order_book_deltas(_deltas(spec, block))

    def write_trades(self, spec: InstrumentSpec, block: TradeBlock) -> None:
        """Write one block of trades; an empty block writes nothing."""
        if not len(block):
            return
        self._catalog.write_trade_ticks(_trades(spec, block))


def _deltas(spec: InstrumentSpec, block: DeltaBlock) -> list[OrderBookDelta]:
    instrument_id = InstrumentId.from_str(spec.instrument_id)
    price_digits, size_digits = spec.price_precision, spec.size_precision
    tick, lot = float(spec.price_increment), float(spec.size_increment)
    columns = (block.ts_event, block.ts_init, block.action, block.side, block.price_ticks, block.size_lots)
    rows = zip(*(c.tolist() for c in (*columns, block.flags, block.sequence)), strict=True)
    out = []
    for ts_event, ts_init, action, side, ticks, lots, flags, sequence in rows:
        if action == ACTION_CLEAR:
            order = BookOrder(OrderSide.NO_ORDER_SIDE, Price(0.0, price_digits), Quantity(0.0, size_digits), 0)
            book_action = BookAction.CLEAR
        else:
            order_side = OrderSide.BUY if side == SIDE_BID else OrderSide.SELL
            order = BookOrder(order_side, Price(ticks * tick, price_digits), Quantity(lots * lot, size_digits), 0)
            book_action = _ACTIONS[action]
        out.append(OrderBookDelta(instrument_id, book_action, order, flags, sequence, ts_event, ts_init))
    return out


def _trades(spec: InstrumentSpec, block: TradeBlock) -> list[TradeTick]:
    instrument_id = InstrumentId.from_str(spec.instrument_id)
    price_digits, size_digits = spec.price_precision, spec.size_precision
    tick, lot = float(spec.price_increment), float(spec.size_increment)
    columns = (block.ts_event, block.ts_init, block.price_ticks, block.size_lots, block.aggressor)
    return [
        TradeTick(
            instrument_id,
            Price(ticks * tick, price_digits),
            Quantity(lots * lot, size_digits),
            AggressorSide.BUY if aggressor == SIDE_BID else AggressorSide.SELL,
            TradeId(trade_id),
            ts_event,
            ts_init,
        )
        for ts_event, ts_init, ticks, lots, aggressor, trade_id in zip(
            *(c.tolist() for c in columns), block.trade_id, strict=True
        )
    ]


@contextmanager
def staged_catalog(target: Path) -> Iterator[CatalogWriter]:
    """Open a writer beside `target` and move its files into `target` when the block ends without an error.

    Parameters
    ----------
    target
        The catalog's folder; made if it does not exist, added to if it does.

    Raises
    ------
    DataError
        If a file of the same name is already in `target`; nothing is moved then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield CatalogWriter(staging)
        _move_into(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_into(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
        target.chmod(0o755)
        return
    files = [path.relative_to(staging) for path in sorted(staging.rglob("*")) if path.is_file()]
    taken = [str(file) for file in files if (target / file).exists()]
    if taken:
        raise DataError(f"{target} already holds {', '.join(taken)}; remove it first or choose another catalog")
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (staging / file).replace(target / file)
