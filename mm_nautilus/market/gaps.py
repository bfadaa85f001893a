"""Find gaps in recorded data: silences that are too long to know what happened."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.market.rows import Ints


@dataclass(frozen=True, slots=True)
class Silences:
    """The silence before each row, one entry per row."""

    since_ns: Ints
    """Time of the previous row, nanoseconds since the epoch; for the very first row its own time."""
    length_ns: Ints
    """Time since the previous row, nanoseconds; negative if times go backwards."""
    is_gap: NDArray[np.bool_]
    """Whether it is longer than the longest allowed silence."""


class SilenceFinder:
    """Measure the silences of a stream of rows, block by block; one longer than `gap_seconds` is a gap."""

    __slots__ = ("_gap_ns", "_last_ns")

    def __init__(self, gap_seconds: float) -> None:
        self._gap_ns = gap_seconds * 1e9
        self._last_ns: int | None = None

    def add(self, ts_ns: Ints) -> Silences:
        """Return the silences before the next rows; `ts_ns` has at least one."""
        first = ts_ns[0] if self._last_ns is None else self._last_ns
        before = np.append(first, ts_ns)
        self._last_ns = int(ts_ns[-1])
        lengths = np.diff(before)
        return Silences(before[:-1], lengths, lengths > self._gap_ns)
