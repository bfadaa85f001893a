"""A calibration as plots: order arrivals by depth with their fits, and volatility by sampling interval."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mm_nautilus.calibration.figures import Calibration, IntensityFit, SignaturePoint, SymbolCalibration
from mm_nautilus.report.calibration import recorded_words, source_words
from mm_nautilus.report.html import plotly_basic, templates

_BID_COLOUR: Final = "#0072b2"
_ASK_COLOUR: Final = "#d55e00"
_VOLATILITY_COLOUR: Final = "#333333"
_FIGURE_HEIGHT: Final = 430
_CURVE_POINTS: Final = 60
_BELOW_SMALLEST: Final = 0.3
"""How far below the smallest measured intensity a fit is drawn, as a share of it."""


def calibration_figure(symbol: SymbolCalibration) -> go.Figure:
    """Return one symbol's figure: intensity by depth for bids and asks, and the signature plot.

    Measured intensities carry one standard deviation of a Poisson count. A fit is a full line over the depths
    it was made from and a dotted one beyond. Depths that no order reached have no point on a logarithmic axis.
    """
    titles = ("sell orders that reach bids", "buy orders that reach asks", "signature of the volatility")
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.08)
    _add_side(figure, 1, symbol.intensity_bid, _BID_COLOUR)
    _add_side(figure, 2, symbol.intensity_ask, _ASK_COLOUR)
    _add_signature(figure, 3, symbol.volatility.signature, symbol.volatility.interval_seconds)
    figure.update_yaxes(type="log", title_text="orders a second", col=1)
    figure.update_yaxes(type="log", matches="y", col=2)
    figure.update_xaxes(title_text="depth from the mid, bps", rangemode="tozero", col=1)
    figure.update_xaxes(title_text="depth from the mid, bps", rangemode="tozero", col=2)
    figure.update_yaxes(title_text="bps per square root of a second", rangemode="tozero", col=3)
    figure.update_xaxes(type="log", title_text="sampling interval, seconds", col=3)
    figure.update_layout(
        template="plotly_white", height=_FIGURE_HEIGHT, showlegend=False, margin={"t": 40, "b": 50}
    )
    return figure


def _add_side(figure: go.Figure, column: int, fit: IntensityFit | None, colour: str) -> None:
    if fit is None:
        _add_note(figure, column, "too few orders")
        return
    reached = [point for point in fit.points if point.arrivals > 0]
    figure.add_trace(
        go.Scatter(
            x=[point.depth_bps for point in reached],
            y=[point.intensity_per_second for point in reached],
            error_y={
                "type": "data",
                "array": [point.intensity_per_second / math.sqrt(point.arrivals) for point in reached],
                "thickness": 1,
            },
            customdata=[point.arrivals for point in reached],
            hovertemplate="%{x:.3f} bps: %{y:.4g} a second, orders %{customdata:,}<extra></extra>",
            mode="markers",
            marker={"color": colour, "size": 6},
            name="measured",
        ),
        row=1,
        col=column,
    )
    lowest = _BELOW_SMALLEST * min(
        (point.intensity_per_second for point in reached), default=fit.a_per_second
    )
    farthest = max([fit.fitted_to_bps, *(point.depth_bps for point in reached)])
    visible_to = min(
        farthest, max(fit.fitted_to_bps, math.log(fit.a_per_second / lowest) / fit.kappa_per_bps)
    )
    for dash, span in (
        ("solid", (fit.fitted_from_bps, fit.fitted_to_bps)),
        ("dot", (0.0, fit.fitted_from_bps)),
        ("dot", (fit.fitted_to_bps, visible_to)),
    ):
        if span[0] < span[1]:
            figure.add_trace(_curve(fit, span, colour, dash), row=1, col=column)
    _add_note(
        figure,
        column,
        f"A {fit.a_per_second:.3g} ± {fit.a_standard_error:.2g} a second<br>"
        f"κ {fit.kappa_per_bps:.3g} ± {fit.kappa_standard_error:.2g} per bps, 1/κ {1 / fit.kappa_per_bps:.3g} bps"
        f"<br>R² {fit.r_squared:.3f}",
    )


def _curve(fit: IntensityFit, span: tuple[float, float], colour: str, dash: str) -> go.Scatter:
    depths: NDArray[np.float64] = np.linspace(*span, _CURVE_POINTS)
    intensities = fit.a_per_second * np.exp(-fit.kappa_per_bps * depths)
    return go.Scatter(
        x=depths.tolist(),
        y=intensities.tolist(),
        mode="lines",
        line={"color": colour, "dash": dash, "width": 2},
        hoverinfo="skip",
        name="fit" if dash == "solid" else "fit, extrapolated",
    )


def _add_note(figure: go.Figure, column: int, text: str, *, at_bottom: bool = False) -> None:
    figure.add_annotation(
        text=text,
        x=0.98,
        y=0.02 if at_bottom else 0.98,
        xref="x domain",
        yref="y domain",
        xanchor="right",
        yanchor="bottom" if at_bottom else "top",
        align="right",
        showarrow=False,
        bgcolor="rgba(255,255,255,0.8)",
        row=1,
        col=column,
    )


def _add_signature(
    figure: go.Figure, column: int, points: Sequence[SignaturePoint], chosen_seconds: float
) -> None:
    if not points:
        _add_note(figure, column, "no figures")
        return
    sizes = [11 if point.interval_seconds == chosen_seconds else 6 for point in points]
    figure.add_trace(
        go.Scatter(
            x=[point.interval_seconds for point in points],
            y=[point.volatility_bps for point in points],
            error_y={
                "type": "data",
                "array": [point.standard_error_bps for point in points],
                "thickness": 1,
            },
            customdata=[point.returns for point in points],
            hovertemplate="%{x:g} s: %{y:.4g} from %{customdata:,} returns<extra></extra>",
            mode="lines+markers",
            line={"color": _VOLATILITY_COLOUR, "width": 1},
            marker={"color": _VOLATILITY_COLOUR, "size": sizes},
            name="volatility",
        ),
        row=1,
        col=column,
    )
    _add_note(figure, column, f"models take the one at {chosen_seconds:g} s", at_bottom=True)


def calibration_page(calibration: Calibration) -> str:
    """Return one HTML page with every symbol's figure; it holds all it needs and opens without a network."""
    page: str = (
        templates("mm_nautilus.report")
        .get_template("calibration.html.jinja")
        .render(
            calibration=calibration,
            heading=f"Calibration from {source_words(calibration.source)}",
            recorded_words=recorded_words,
            figure=_figure_html,
            plotly=Markup(plotly_basic()),  # noqa: S704 - the library itself
        )
    )
    return page


def _figure_html(symbol: SymbolCalibration, number: int) -> Markup:
    buttons = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["sendChartToCloud"]}
    figure = calibration_figure(symbol)
    html = figure.to_html(include_plotlyjs=False, full_html=False, div_id=f"figure-{number}", config=buttons)
    return Markup(html)  # noqa: S704 - made by plotly
