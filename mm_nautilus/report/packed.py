"""Columns of numbers as one compressed text that a page carries and its script unpacks when it needs them."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

MISSING: Final = -(2**31)
"""What stands for a gap among whole numbers."""
_LARGEST: Final = 2**31 - 1
_LEVEL: Final = 6


def pack(columns: Mapping[str, tuple[ArrayLike, float]]) -> dict[str, Any]:
    """Return columns as ``{"columns": [...], "data": text}``.

    A column is stored in whole units, as differences from row to row in 32 bits, which wrap around; one that does
    not fit is stored as it is in 64. All are joined, compressed with gzip and written in base 64.

    Parameters
    ----------
    columns
        For each name the numbers, NaN where there is none, and the unit they are whole multiples of.

    Raises
    ------
    ValueError
        If a unit is not positive.
    """
    entries, parts = [], []
    for name, (values, unit) in columns.items():
        if not unit > 0:
            raise ValueError(f"the unit of {name} must be positive, was {unit}")
        numbers = np.asarray(values, dtype=np.float64)
        whole = np.round(numbers / unit)
        fits = bool((np.abs(whole[~np.isnan(whole)]) <= _LARGEST).all())
        parts.append(_differences(whole) if fits else numbers.astype("<f8").tobytes())
        entries.append({"name": name, "unit": unit, "rows": len(numbers), "is_whole": fits})
    data = gzip.compress(b"".join(parts), _LEVEL, mtime=0)
    return {"columns": entries, "data": base64.b64encode(data).decode("ascii")}


def _differences(whole: NDArray[np.float64]) -> bytes:
    units = np.where(np.isnan(whole), MISSING, whole).astype("<i4")
    return np.diff(units, prepend=np.zeros(1, dtype="<i4")).astype("<i4").tobytes()
