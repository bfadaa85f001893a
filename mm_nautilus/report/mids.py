"""The mids of a run over time, and with them the value of one currency in another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.market.rates import Rates
from mm_nautilus.report.run_files import RunFiles, numbers, times

type Floats = NDArray[np.float64]
type Moments = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Path:
    ts_ns: Moments
    mids: Floats

    def at(self, ts_ns: Moments) -> Floats:
        """Return the mid in force at each moment, NaN ahead of the first."""
        row = np.searchsorted(self.ts_ns, ts_ns, side="right") - 1
        if not len(self.mids):
            return np.full(len(ts_ns), np.nan)
        return np.where(row < 0, np.nan, self.mids[row])


class MidPaths:
    """The mid of every symbol of a run, as often as it was recorded.

    Parameters
    ----------
    files
        The run.

    Raises
    ------
    DataError
        If the table of mids is missing or damaged.
    """

    def __init__(self, files: RunFiles) -> None:
        self._paths: dict[str, _Path] = {}
        pairs = {}
        for symbol, figures in files.summary["symbols"].items():
            table = files.table(files.mids, ["ts_event", "mid_price"], symbol)
            ts_ns, mids = times(table), numbers(table, "mid_price")
            known = ~np.isnan(mids)
            self._paths[symbol] = _Path(ts_ns[known], mids[known])
            pairs[symbol] = (figures["base_currency"], figures["currency"])
        self._rates = Rates(pairs, lambda _symbol: 1.0, 1.0)

    def rate(self, source: str, target: str, ts_ns: Moments) -> Floats:
        """Return the value of one unit of `source` in `target` at each moment; NaN where it is not known."""
        path = self._rates.path(source, target)
        if path is None:
            return np.full(len(ts_ns), np.nan)
        rate = np.ones(len(ts_ns))
        for leg in path:
            mids = self._paths[leg.symbol].at(ts_ns)
            rate = rate / mids if leg.inverse else rate * mids
        return rate
