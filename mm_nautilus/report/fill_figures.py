"""The figure of what fills were worth: spread captured, adverse selection, fees, and what was left."""

from collections.abc import Mapping, Sequence
from typing import Any

from mm_nautilus.report.figures import Figure, bars, figure


def fill_quality_figure(symbols: Mapping[str, Any]) -> Figure:
    """Return, for each symbol and horizon, the parts of a fill that made liquidity, and their sum.

    Parameters
    ----------
    symbols
        A summary's symbols, with ``fill_quality``.
    """
    entries = [
        (symbol, quality)
        for symbol, figures in symbols.items()
        for quality in figures["fill_quality"]["maker"]
        if quality["seconds"] > 0 and quality["fills"]
    ]
    x = [[symbol for symbol, _ in entries], [f"{quality['seconds']:g} s" for _, quality in entries]]
    traces = [
        _part("spread captured", x, [quality["spread_bps"] for _, quality in entries], "@s0", ""),
        _part("adverse selection", x, [-quality["adverse_bps"] for _, quality in entries], "@ask", "/"),
        _part("fees", x, [-quality["fees_bps"] for _, quality in entries], "@muted", ""),
        _mark("mark-out, before fees", x, entries, "mark_out_bps", "diamond-open"),
        _mark("net of fees", x, entries, "net_bps", "line-ew-open"),
    ]
    return figure(
        traces,
        ["bps of the fills' value"],
        [1],
        pixels=420,
        barmode="relative",
        hovermode="closest",
        xaxis={
            "type": "multicategory",
            "linecolor": "@axis",
            "anchor": "y",
            "automargin": True,
            "tickangle": 0,
        },
        yaxis={"ticksuffix": " bps"},
    )


def _part(name: str, x: Sequence[Any], y: Sequence[float], colour: str, pattern: str) -> Figure:
    return bars(name, x, y, colour=colour, pattern=pattern, hover="%{x}: %{y:+.2f} bps", width=0.6)


def _mark(name: str, x: Sequence[Any], entries: Sequence[tuple[str, Any]], key: str, symbol: str) -> Figure:
    errors = [quality["standard_error_bps"] or 0.0 for _, quality in entries]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(x),
        "y": [quality[key] for _, quality in entries],
        "customdata": [
            [quality["fills"], error] for (_, quality), error in zip(entries, errors, strict=True)
        ],
        "error_y": {
            "type": "data",
            "array": errors,
            "visible": key == "mark_out_bps",
            "color": "@text",
            "thickness": 1,
        },
        "marker": {"symbol": symbol, "size": 12, "color": "@text", "line": {"width": 2, "color": "@text"}},
        "hovertemplate": (
            f"%{{x}}: {name} %{{y:+.2f}} bps, standard error %{{customdata[1]:.2f}} bps, "
            "%{customdata[0]:,} fills<extra></extra>"
        ),
    }
