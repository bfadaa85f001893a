"""Fewer points that look the same: what is drawn of a long series before anybody zooms into it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Rows = NDArray[np.int64]

_LEVELS: Final = "▁▂▃▄▅▆▇█"


def min_max_rows(values: Floats, buckets: int) -> Rows:
    """Return the rows of a series to draw: of each of so many stretches the lowest and the highest point.

    No peak is lost, and the line covers the same pixels as that of all points as long as a stretch is narrower than
    one of them. The first and the last row are always among them. A stretch without any number is kept as one gap.

    Parameters
    ----------
    values
        The series; NaN where it has a gap.
    buckets
        Number of stretches of equally many rows, at least 1; a series of no more than twice as many rows is kept.

    Raises
    ------
    ValueError
        If `buckets` is less than 1.
    """
    if buckets < 1:
        raise ValueError(f"buckets must be at least 1, was {buckets}")
    count = len(values)
    if count <= 2 * buckets:
        return np.arange(count)
    size = -(-count // buckets)
    padded = np.full(size * -(-count // size), np.nan)
    padded[:count] = values
    blocks = padded.reshape(-1, size)
    firsts = np.arange(len(blocks)) * size
    low = np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    high = np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    rows: Rows = np.unique(np.concatenate([firsts + low, firsts + high, [0, count - 1]]))
    return rows


def thinned_rows(count: int, most: int) -> Rows:
    """Return at most so many rows of `count`, evenly spread, the first and the last among them.

    Raises
    ------
    ValueError
        If `most` is less than 2.
    """
    if most < 2:
        raise ValueError(f"most must be at least 2, was {most}")
    if count <= most:
        return np.arange(count)
    rows: Rows = np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
    return rows


def sparkline(values: Floats, width: int) -> str:
    """Return at most so many points of a line without gaps as blocks, from its lowest to its highest."""
    if not len(values):
        return ""
    picked = values[thinned_rows(len(values), width)]
    low, high = float(values.min()), float(values.max())
    levels = ((picked - low) / ((high - low) or 1.0) * (len(_LEVELS) - 1)).round().astype(int)
    return "".join(_LEVELS[level] for level in levels.tolist())
