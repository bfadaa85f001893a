"""What all figures of a page share: colours by name, axes and traces as Plotly's plain data."""

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

type Figure = dict[str, Any]
type Floats = NDArray[np.float64]

SERIES: Final = (("@s0", "solid"), ("@s1", "dash"), ("@s2", "dot"), ("@s3", "dashdot"), ("@s4", "longdash"))
"""Colour and dash of one series after the other. Names that begin with @ stand for a colour of the page's light or dark
palette, which its script puts in; in both a colour has one meaning, which a sign, a dash or a hatching says as well."""
PATTERNS: Final = ("", "/", "x", ".", "\\", "-", "|", "+")
"""Hatchings of one reason after the other."""
REASON_COLOURS: Final = ("@pause", "@touch", "@warn", "@market")
"""Colours of one reason after the other: amber and grey, as pauses and context are."""
_GAP: Final = 0.05
"""Share of a figure's height between two of its rows."""
_TICK_PIXELS: Final = 44
"""Height of the labels under the x axis, which the legend follows."""
_MARGIN_PIXELS: Final = 100
"""Height of what lies around the axes of a figure."""
_NS_PER_MS: Final = 1_000_000
_Y_AXIS: Final = {
    "automargin": True,
    "gridcolor": "@grid",
    "linecolor": "@grid",
    "zerolinecolor": "@axis",
    "fixedrange": True,
    "tickformat": ",.6~f",
}
"""A row's own; its range follows what is shown."""
_ROW_TITLE: Final = {
    "x": 0,
    "xref": "paper",
    "yref": "paper",
    "xanchor": "left",
    "yanchor": "bottom",
    "showarrow": False,
    "align": "left",
    "font": {"size": 12, "color": "@text"},
}
"""A row's title is written above it on the left, where it costs no width."""
HOVER_ANYWHERE: Final = -1
"""Plotly's ``hoverdistance`` for figures all of whose lines span the whole axis: their nearest points, however far."""
_DIGITS: Final = 9

type Rows = NDArray[np.int64]

_LEVELS: Final = "▁▂▃▄▅▆▇█"

MISSING: Final = -(2**31)
"""What stands for a gap among whole numbers."""
_LARGEST: Final = 2**31 - 1
_LEVEL: Final = 6


def milliseconds(ts_ns: NDArray[np.int64]) -> list[int]:
    """Return moments as Plotly's axes take them: milliseconds since the epoch."""
    found: list[int] = (ts_ns // _NS_PER_MS).tolist()
    return found


def significant(values: Floats) -> list[float | None]:
    """Return numbers for JSON: nine significant digits, and None for a gap and for what is infinite."""
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def line(
    name: str,
    x: Sequence[Any],
    y: Sequence[float | None],
    *,
    colour: str,
    hover: str,
    dash: str = "solid",
    row: int = 1,
    is_step: bool = False,
    width: float = 1.5,
    **more: Any,
) -> Figure:
    """Return a line in one of a figure's rows, counted from 1; None among `y` is a gap.

    `colour` is one of the palette, such as ``@bid``, `hover` the tooltip's number with its unit in Plotly's form,
    `dash` Plotly's name, `width` in pixels; `more` are further properties of the trace.
    """
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "yaxis": _axis_name(row),
        "line": {"color": colour, "dash": dash, "width": width, "shape": "hv" if is_step else "linear"},
        "hovertemplate": f"{name}: {hover}<extra></extra>",
        **more,
    }


def thin_line(buckets: int, name: str, ts_ns: Rows, values: Floats, **look: Any) -> Figure:
    """Return a line over time, nanoseconds since the epoch, of the points that `min_max_rows` picks."""
    rows = min_max_rows(values, buckets)
    return line(name, milliseconds(ts_ns[rows]), significant(values[rows]), **look)


def series(number: int) -> dict[str, Any]:
    """Return colour and dash of one series after the other, from 0 on."""
    colour, dash = SERIES[number % len(SERIES)]
    return {"colour": colour, "dash": dash}


def hatching(number: int) -> dict[str, Any]:
    """Return colour and pattern of one reason after the other, from 0 on."""
    return {
        "colour": REASON_COLOURS[number % len(REASON_COLOURS)],
        "pattern": PATTERNS[number % len(PATTERNS)],
    }


def bars(
    name: str,
    x: Sequence[Any],
    y: Sequence[Any],
    *,
    colour: str,
    hover: str,
    pattern: str = "",
    row: int = 1,
    **more: Any,
) -> Figure:
    """Return bars; `pattern` is Plotly's name of a hatching, for print and for the colour blind."""
    return {
        "type": "bar",
        "name": name,
        "x": list(x),
        "y": list(y),
        "yaxis": _axis_name(row),
        "marker": {
            "color": colour,
            "line": {"width": 0},
            "pattern": {
                "shape": pattern,
                "bgcolor": colour,
                "fgcolor": "@paper",
                "size": 6,
                "solidity": 0.25,
            },
        },
        "hovertemplate": f"{hover}<extra>{name}</extra>",
        **more,
    }


def _axis_name(row: int) -> str:
    return "y" if row == 1 else f"y{row}"


def x_axis(last_row: int = 1, **more: Any) -> Figure:
    """Return an x axis in the page's style under the last of a figure's rows."""
    anchor = _axis_name(last_row)
    return {"gridcolor": "@grid", "linecolor": "@axis", "automargin": True, "anchor": anchor, **more}


def figure(
    traces: list[Figure], titles: Sequence[str], heights: Sequence[float], *, pixels: int, **layout: Any
) -> Figure:
    """Return a figure of rows under each other that share their x axis.

    `titles`, with their units, and `heights`, in any unit, are one a row; `pixels` is the height of the whole. `layout`
    has further properties of Plotly's layout, ``xaxis`` among them.
    """
    rows = len(titles)
    space = 1.0 - _GAP * (rows - 1)
    shares = [height / sum(heights) * space for height in heights]
    made: Figure = {
        "height": pixels,
        "paper_bgcolor": "@paper",
        "plot_bgcolor": "@paper",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "@text"},
        "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": -_TICK_PIXELS / (pixels - _MARGIN_PIXELS),
            "yanchor": "top",
            "traceorder": "normal",
        },
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "@paper", "bordercolor": "@axis", "font": {"color": "@text"}},
        "dragmode": "zoom",
        "xaxis": x_axis(rows, type="date", hoverformat="%Y-%m-%d %H:%M:%S.%L UTC"),
        "annotations": [],
        **layout,
    }
    top = 1.0
    for number, (title, share) in enumerate(zip(titles, shares, strict=True), start=1):
        bottom = max(0.0, top - share)
        key = "yaxis" if number == 1 else f"yaxis{number}"
        made[key] = {**_Y_AXIS, "domain": [bottom, top], "anchor": "x"} | made.get(key, {})
        made["annotations"] = [*made["annotations"], {"text": title, "y": top, **_ROW_TITLE}]
        top = bottom - _GAP
    return {"data": traces, "layout": made}


def min_max_rows(values: Floats, buckets: int) -> Rows:
    """Return the rows of a series to draw: of each of so many stretches the lowest and the highest point.

    No peak is lost, and the line covers the same pixels as that of all points as long as a stretch is narrower than one
    of them. The first and the last row are always among them. A stretch without any number, NaN, is kept as one gap. A
    series of no more than twice as many rows as `buckets`, which are at least 1, is kept.
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
    """Return at most so many rows, at least 2, of `count`, evenly spread, the first and the last among them."""
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


def pack(columns: Mapping[str, tuple[ArrayLike, float]]) -> dict[str, Any]:
    """Return columns, each with the unit of its numbers, as ``{"columns": [...], "data": text}``.

    A column, NaN where it has a gap, is stored in whole units, as differences from row to row in 32 bits, which wrap
    around (`_differences`); one that does not fit is stored as it is in 64. All are joined, compressed with gzip and
    written in base 64.
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
    """Return them with small numbers for small steps of either sign, and all lowest bytes before all next ones.

    That is a fifth shorter once it is compressed.
    """
    units = np.where(np.isnan(whole), MISSING, whole).astype("<i4")
    steps = np.diff(units, prepend=np.zeros(1, dtype="<i4")).astype("<i4")
    unsigned = ((steps << 1) ^ (steps >> 31)).astype("<i4")
    return unsigned.view(np.uint8).reshape(-1, 4).T.tobytes()
