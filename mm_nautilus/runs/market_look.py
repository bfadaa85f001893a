"""A quick look at the beginning of a pair's data: what a first configuration goes by."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mm_nautilus.calibration.intensity import market_orders
from mm_nautilus.calibration.reach import TakerReach, WidthChoice, choose_width
from mm_nautilus.calibration.realised_volatility import volatility_figures
from mm_nautilus.calibration.spread import spread_figures
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.calibration.volatility import one_minute_pct
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.touch_replay import replay_touches
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, TradeBlock, joined_blocks
from mm_nautilus.risk.limits import GAP_SECONDS
from mm_nautilus.system.moments import SECOND_NS

_MOST_ROWS: Final = 300_000
_MOST_SECONDS: Final = 3600
_BATCH_ROWS: Final = 20_000
_USUAL_SHARE: Final = 0.99
"""Share of silences of a book that are usual."""


@dataclass(frozen=True, slots=True)
class MarketLook:
    """What the beginning of a pair's data shows."""

    seconds: float
    """Time that was looked at, gaps left out, seconds."""
    spread_pct: float
    """Median spread over time, % of mid."""
    volatility_pct: float
    """One-minute volatility, % of price; 0 where the mid stood."""
    silence_seconds: float
    """The silence of the book that one in a hundred exceeds, seconds."""
    market_orders: int
    """How often takers came."""
    median_trade: int
    """Median size of a trade, lots; 0 without trades."""
    reach_pct: float
    """Distance from the mid that one market order in twenty goes beyond, % of mid; 0 without any."""
    choice: WidthChoice | None
    """The width that market orders speak for; None without any."""


def look_at(
    reader: CatalogReader, spec: InstrumentSpec, maker_fee_pct: float, pause_seconds: float
) -> MarketLook:
    """Measure the first hour of a pair's data, or less of it where that has more than 300,000 rows of book changes.

    Parameters
    ----------
    reader, spec
        The catalog and the instrument.
    maker_fee_pct
        Maker fee, % of value.
    pause_seconds
        How long a side rests after a fill, seconds.

    Raises
    ------
    DataError
        If the data is damaged, or its beginning holds no sound book for any time. That there are book changes is for
        the caller to know.
    """
    blocks = _first_blocks(reader, spec)
    times = np.unique(np.concatenate([block.ts_init for block in blocks]))
    if len(times) == 1:
        raise _no_time(reader, spec)
    first, last = int(times[0]), int(times[-1])
    silence = float(np.quantile(np.diff(times), _USUAL_SHARE)) / SECOND_NS
    # In a quiet market the usual silence may be longer than what elsewhere is a gap.
    gap_seconds = max(GAP_SECONDS, 2.0 * silence)
    touches = replay_touches(blocks, first, last, gap_seconds=gap_seconds).touches
    if touches.seconds <= 0:
        raise _no_time(reader, spec)
    trades = _trades_until(reader, spec, first, last)
    return _measured(spec, touches, trades, silence, (maker_fee_pct, pause_seconds))


def _no_time(reader: CatalogReader, spec: InstrumentSpec) -> CalibrationError:
    return CalibrationError(
        f"{reader.folder} must hold a sound book of {spec.instrument_id} for some time, was one moment of it"
    )


def _first_blocks(reader: CatalogReader, spec: InstrumentSpec) -> list[DeltaBlock]:
    found: list[DeltaBlock] = []
    rows = 0
    for block in reader.iter_deltas(spec.instrument_id, batch_rows=_BATCH_ROWS):
        end_ns = int((found[0] if found else block).ts_init[0]) + _MOST_SECONDS * SECOND_NS
        part = block.slice(0, int(np.searchsorted(block.ts_init, end_ns, side="right")))
        if len(part):
            found.append(part)
        rows += len(part)
        if len(part) < len(block) or rows >= _MOST_ROWS:
            break
    return found


def _trades_until(
    reader: CatalogReader, spec: InstrumentSpec, first_ns: int, last_ns: int
) -> list[TradeBlock]:
    """Return the trades of a span; with an end the reader would go on to the end of each file."""
    found: list[TradeBlock] = []
    for block in reader.iter_trades(spec.instrument_id, start=first_ns):
        part = block.slice(0, int(np.searchsorted(block.ts_init, last_ns, side="right")))
        if len(part):
            found.append(part)
        if len(part) < len(block):
            break
    return found


def _measured(
    spec: InstrumentSpec,
    touches: TouchSeries,
    trade_blocks: list[TradeBlock],
    silence_seconds: float,
    terms: tuple[float, float],
) -> MarketLook:
    reach, median_trade = None, 0
    if trade_blocks:
        trades = joined_blocks(trade_blocks)
        median_trade = int(np.median(trades.size_lots))
        orders = market_orders(trades, touches)
        reach = TakerReach(orders, touches) if len(orders) else None
    count = 0 if reach is None else len(reach.ts_ns)
    spread = spread_figures(touches, float(spec.price_increment), market_orders=count, trades=0)
    return MarketLook(
        seconds=touches.seconds,
        spread_pct=spread.median_spread_bps / 100.0,
        volatility_pct=_one_minute_volatility_pct(touches),
        silence_seconds=silence_seconds,
        market_orders=count,
        median_trade=median_trade,
        reach_pct=0.0 if reach is None else float(np.quantile(reach.depth_bps(), 0.95)) / 100.0,
        choice=None if reach is None else choose_width(reach, *terms),
    )


def _one_minute_volatility_pct(touches: TouchSeries) -> float:
    """Return the volatility of a minute, 0 where too little was recorded or the mid stood."""
    try:
        return one_minute_pct(volatility_figures(touches).volatility_bps)
    except CalibrationError:
        return 0.0
