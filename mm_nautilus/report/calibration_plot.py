"""A calibration as plots: order arrivals by depth with their fits, and volatility by sampling interval."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mm_nautilus.calibration.figures import Calibration, IntensityFit, SignaturePoint, SymbolCalibration
from mm_nautilus.report.calibration import goodness_texts, recorded_words, source_words
from mm_nautilus.report.figures import Figure, figure, line, x_axis
from mm_nautilus.report.page import render
from mm_nautilus.system.plain_text import counted

_PIXELS: Final = 400
_CURVE_POINTS: Final = 60
_BELOW_SMALLEST: Final = 0.3
"""How far below the smallest measured intensity a fit is drawn, as a share of it."""
_SIDES: Final = (
    ("bids", "sell orders that reach bids", "@bid", "circle"),
    ("asks", "buy orders that reach asks", "@ask", "diamond"),
)
"""Key, title, colour and mark of each side."""


def calibration_figures(symbol: SymbolCalibration) -> dict[str, Figure]:
    """Return one symbol's figures: intensity by depth as ``bids`` and ``asks``, and ``volatility`` by interval.

    A figure that nothing was measured for is left out. Measured intensities carry one standard deviation of a Poisson
    count. A fit is a full line over the depths it was made from and a dotted one beyond. Depths that no order reached
    have no point on a logarithmic axis, whose range both sides share.
    """
    fits = {"bids": symbol.intensity_bid, "asks": symbol.intensity_ask}
    made: dict[str, Figure] = {}
    for key, title, colour, mark in _SIDES:
        fit = fits[key]
        if fit is not None:
            made[key] = _figure(_side(fit, colour, mark), f"{title}, a second", "depth from the mid, bps")
            made[key]["layout"]["yaxis"] |= {"type": "log", "tickformat": "~g"}
            made[key]["layout"]["xaxis"]["rangemode"] = "tozero"
    shared = [value for found in made.values() for value in _drawn(found)]
    for found in made.values():
        found["layout"]["yaxis"]["range"] = [math.log10(0.8 * min(shared)), math.log10(1.4 * max(shared))]
    points, chosen = symbol.volatility.signature, symbol.volatility.interval_seconds
    if points:
        title = "volatility, bps per square root of a second"
        made["volatility"] = _figure([_signature(points, chosen)], title, "sampling interval, seconds")
        made["volatility"]["layout"]["xaxis"] |= {"type": "log", "tickformat": "~g"}
        made["volatility"]["layout"]["yaxis"]["rangemode"] = "tozero"
        made["volatility"]["layout"]["showlegend"] = False
    return made


def _figure(traces: list[Figure], title: str, x_title: str) -> Figure:
    axis = x_axis(title={"text": x_title, "standoff": 6})
    legend = {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top"}
    return figure(traces, [title], [1], pixels=_PIXELS, xaxis=axis, hovermode="closest", legend=legend)


def _drawn(found: Figure) -> list[float]:
    return [value for trace in found["data"] for value in trace["y"] if value is not None]


def _marks(size: int | list[int], colour: str, mark: str, errors: list[float]) -> dict[str, Any]:
    return {
        "marker": {"color": colour, "size": size, "symbol": mark},
        "error_y": {"type": "data", "array": errors, "thickness": 1, "color": colour},
    }


def _side(fit: IntensityFit, colour: str, mark: str) -> list[Figure]:
    """Return the measured points of a side, its fit and, dotted, what lies beyond the range that it was made from."""
    reached = [point for point in fit.points if point.arrivals > 0]
    errors = [point.intensity_per_second / math.sqrt(point.arrivals) for point in reached]
    measured = line(
        "measured",
        [point.depth_bps for point in reached],
        [point.intensity_per_second for point in reached],
        colour=colour,
        hover="%{x:.3f} bps: %{y:.4g} a second, orders %{customdata:,}",
        customdata=[point.arrivals for point in reached],
        **_marks(6, colour, mark, errors),
    )
    lowest = _BELOW_SMALLEST * min(
        (point.intensity_per_second for point in reached), default=fit.a_per_second
    )
    farthest = max([fit.fitted_to_bps, *(point.depth_bps for point in reached)])
    visible_to = min(
        farthest, max(fit.fitted_to_bps, math.log(fit.a_per_second / lowest) / fit.kappa_per_bps)
    )
    inside = _curve(fit, (fit.fitted_from_bps, fit.fitted_to_bps))
    before, after = (
        _curve(fit, span) if span[0] < span[1] else ([], [])
        for span in ((0.0, fit.fitted_from_bps), (fit.fitted_to_bps, visible_to))
    )
    beyond = [*before[0], None, *after[0]], [*before[1], None, *after[1]]
    look: dict[str, Any] = {"colour": colour, "hover": "", "hoverinfo": "skip", "width": 2}
    return [
        measured | {"mode": "markers"},
        line("fit", *inside, **look),
        line("fit, beyond its range", *beyond, dash="dot", **look),
    ]


def _curve(fit: IntensityFit, span: tuple[float, float]) -> tuple[list[float], list[float]]:
    depths = np.linspace(*span, _CURVE_POINTS)
    return depths.tolist(), (fit.a_per_second * np.exp(-fit.kappa_per_bps * depths)).tolist()


def _signature(points: Sequence[SignaturePoint], chosen_seconds: float) -> Figure:
    sizes = [11 if point.interval_seconds == chosen_seconds else 6 for point in points]
    errors = [point.standard_error_bps for point in points]
    made = line(
        "volatility",
        [point.interval_seconds for point in points],
        [point.volatility_bps for point in points],
        colour="@market",
        hover="%{x:g} s: %{y:.4g} from %{customdata:,} returns",
        width=1,
        customdata=[point.returns for point in points],
        **_marks(sizes, "@market", "circle", errors),
    )
    return made | {"mode": "lines+markers"}


def _fit_words(fit: IntensityFit) -> str:
    r_squared, chi_squared = goodness_texts(fit)
    depths = "" if fit.compared_depths is None else f", compared at {counted(fit.compared_depths, 'depth')}"
    return (
        f"A {fit.a_per_second:.3g} ± {fit.a_standard_error:.2g} a second, "
        f"κ {fit.kappa_per_bps:.3g} ± {fit.kappa_standard_error:.2g} per bps, "
        f"1/κ {1 / fit.kappa_per_bps:.3g} bps, "
        f"R² {r_squared}, χ² per degree of freedom {chi_squared}{depths}"
    )


def _captions(symbol: SymbolCalibration) -> dict[str, str]:
    """Return what stands under each figure, or in place of one that is left out."""
    few = "too few orders for a fit"
    fits = {"bids": symbol.intensity_bid, "asks": symbol.intensity_ask}
    words = {key: f"{title}: {few}" for key, title, *_ in _SIDES if fits[key] is None}
    words |= {key: _fit_words(fit) for key, fit in fits.items() if fit is not None}
    chosen = f"models take the one at {symbol.volatility.interval_seconds:g} s"
    words["volatility"] = chosen if symbol.volatility.signature else "volatility: no figures"
    return words


def calibration_page(calibration: Calibration) -> str:
    """Return one HTML page with every symbol's figures; it holds all it needs and opens without a network."""
    return render(
        "calibration.html.jinja",
        calibration=calibration,
        heading=f"Calibration from {source_words(calibration.source)}",
        recorded_words=recorded_words,
        figures={name: calibration_figures(symbol) for name, symbol in calibration.symbols.items()},
        captions={name: _captions(symbol) for name, symbol in calibration.symbols.items()},
    )
