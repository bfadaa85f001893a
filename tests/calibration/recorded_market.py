"""The Binance recordings as the estimators take them, where they are at hand."""

import os
import tempfile
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.data.book_tops import replay_touches
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.market.rows import TradeBlock

REALDATA = os.environ.get("MM_REALDATA")
SYMBOLS = ("BTCUSDT", "ETHUSDT")
needs_recordings = pytest.mark.skipif(
    not REALDATA, reason="MM_REALDATA does not name the folder of recordings"
)


@cache
def recorded_market(symbol: str) -> tuple[TouchSeries, TradeBlock]:
    """Import one recording into a catalog that does not stay, and read it back."""
    definition = Path(__file__).parents[2] / "configs" / "instruments" / f"binance_{symbol.lower()}.yaml"
    source = load_instrument(definition, {})
    files = sorted(Path(REALDATA or "").glob(f"*{symbol}.csv.gz"))
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog"
        import_files(
            FORMATS["tardis"].make(), files, source.spec, catalog, off_lot_sizes=source.off_lot_sizes
        )
        reader, identity = CatalogReader(catalog), source.spec.instrument_id
        deltas = list(reader.iter_deltas(identity))
        trades = list(reader.iter_trades(identity))
    first, last = int(deltas[0].ts_init[0]), int(deltas[-1].ts_init[-1])
    *numbers, ids = ([getattr(block, field.name) for block in trades] for field in fields(TradeBlock))
    tape = TradeBlock(*map(np.concatenate, numbers), [trade_id for part in ids for trade_id in part])
    return replay_touches(deltas, first, last).touches, tape
