"""How far from the mid takers traded during a run, from what the engine's cache has of it."""

from typing import Any, Final

import numpy as np
from nautilus_trader.model import InstrumentId

_USUAL_PCT: Final = 99.0
"""Share of trades that reach no farther than what is called usual, %."""
_BPS: Final = 10_000.0


def taker_reach(
    cache: Any, instrument_id: InstrumentId, since_ns: int
) -> dict[str, float | int | None] | None:
    """Return how far takers reached from the mid that was quoted last before their trade.

    Parameters
    ----------
    cache
        The engine's; it keeps the last trades and quotes, ten thousand of each unless it is told otherwise.
    instrument_id
        The instrument.
    since_ns
        First moment that counts, nanoseconds since the epoch.

    Returns
    -------
    dict or None
        ``trades``, and ``usual_bps`` and ``most_bps``, bps of mid that 99 of 100 trades and all of them stayed within;
        None without any trade after a quote.
    """
    quotes, trades = cache.quotes(instrument_id), cache.trades(instrument_id)
    if not quotes or not trades:
        return None
    quoted_ns = np.array([quote.ts_init for quote in quotes])[::-1]
    mids = np.array([0.5 * (float(quote.bid_price) + float(quote.ask_price)) for quote in quotes])[::-1]
    traded_ns = np.array([trade.ts_init for trade in trades])
    prices = np.array([float(trade.price) for trade in trades])
    rows = np.searchsorted(quoted_ns, traded_ns, side="left") - 1
    kept = (rows >= 0) & (traded_ns >= since_ns)
    if not kept.any():
        return None
    reached = _BPS * np.abs(prices[kept] / mids[rows[kept]] - 1.0)
    return {
        "trades": int(kept.sum()),
        "usual_bps": float(np.percentile(reached, _USUAL_PCT)),
        "most_bps": float(reached.max()),
    }
