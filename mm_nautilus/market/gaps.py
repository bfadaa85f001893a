"""Silences of a recording that count as gaps: time of which nothing is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.market.rows import Ints

__all__ = ["SilenceFinder", "Silences"]


@dataclass(frozen=True, slots=True)
class Silences:
    """The silence ahead of each of some rows, one entry a row.

    Parameters
    ----------
    since_ns
        Time of the row before, nanoseconds since the epoch; the first row of all has its own.
    length_ns
        How long nothing had come, nanoseconds; negative where times go backwards.
    is_gap
        Whether that is longer than what may be.
    """

    since_ns: Ints
    length_ns: Ints
    is_gap: NDArray[np.bool_]


class SilenceFinder:
    """Measure the silences of a stream of rows, block by block.

    Parameters
    ----------
    gap_seconds
        Longest silence that is no gap, seconds; infinity knows none.
    """

    __slots__ = ("_gap_ns", "_last_ns")

    def __init__(self, gap_seconds: float) -> None:
        self._gap_ns = gap_seconds * 1e9
        self._last_ns: int | None = None

    def add(self, ts_ns: Ints) -> Silences:
        """Return the silences ahead of the next rows, at least one."""
        first = ts_ns[0] if self._last_ns is None else self._last_ns
        before = np.append(first, ts_ns)
        self._last_ns = int(ts_ns[-1])
        lengths = np.diff(before)
        return Silences(before[:-1], lengths, lengths > self._gap_ns)
