"""What a page's script makes of the columns that `pack` has packed."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.report.figures import MISSING


def unpack(packed: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return the columns that `pack` has packed; a page's script does the same."""
    data = gzip.decompress(base64.b64decode(packed["data"]))
    found: dict[str, NDArray[np.float64]] = {}
    offset = 0
    for entry in packed["columns"]:
        rows = entry["rows"]
        if entry["is_whole"]:
            planes = np.frombuffer(data, np.uint8, 4 * rows, offset).reshape(4, -1)
            unsigned = planes.T.copy().view("<u4").ravel()
            steps = (unsigned >> 1).astype("<i4") ^ -(unsigned & 1).astype("<i4")
            units = np.cumsum(steps, dtype="<i4")
            found[entry["name"]] = np.where(units == MISSING, np.nan, units * entry["unit"])
            offset += 4 * rows
        else:
            found[entry["name"]] = np.frombuffer(data, "<f8", rows, offset).copy()
            offset += 8 * rows
    return found
