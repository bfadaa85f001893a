"""A calibration as tables on a terminal."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mm_nautilus.calibration.figures import (
    Calibration,
    CalibrationSource,
    FeeFigures,
    IntensityFit,
    MarkOut,
    MicropriceFigures,
    SignaturePoint,
    SpreadFigures,
    SymbolCalibration,
    VolatilityFigures,
)
from mm_nautilus.report.console import PartedTable, text_table

_NONE: Final = "-"
_PLUS_MINUS: Final = "+-"
_MOST_DECIMALS: Final = 10
_TINY_RATE: Final = 0.001
_MOST_SPREADS: Final = 12
"""Rows of the micro-price that are shown; the file has all of them."""


def _number(value: float, digits: int = 4) -> str:
    """Return a figure with that many significant digits, and never with an exponent."""
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return format(Decimal(f"{value:.{digits}g}"), ",f")


def _measured(value: float, standard_error: float) -> str:
    """Return a figure as precise as its standard error's two digits."""
    if standard_error <= 0:
        return f"{_number(value)} {_PLUS_MINUS} 0"
    decimals = min(max(1 - math.floor(math.log10(standard_error)), 0), _MOST_DECIMALS)
    return f"{value:,.{decimals}f} {_PLUS_MINUS} {standard_error:,.{decimals}f}"


def _seldom(value: float) -> str:
    """Return a rate, or only that it is tiny."""
    return f"below {_TINY_RATE}" if 0 <= value < _TINY_RATE else _number(value, 3)


def source_words(source: CalibrationSource) -> str:
    """Return where the data comes from, with its venue; simulated data is named in capitals."""
    data = "SIMULATED data" if source.simulated else "recorded data"
    return f"{data} of {source.venue} in {source.catalog}"


def _figure_table(title: str, rows: Iterable[tuple[str, str, str]]) -> Table:
    """Return a table of name, value and unit."""
    table = text_table(title, ["", "", ""])
    table.show_header = False
    table.columns[2].justify = "left"
    for row in rows:
        table.add_row(*row)
    return table


def _market_table(spread: SpreadFigures, volatility: VolatilityFigures) -> Table:
    minute = volatility.one_minute_pct
    return _figure_table(
        "Market",
        [
            ("mid, mean over time", _number(spread.mid_price, 6), "quote currency"),
            ("tick", _number(spread.tick_bps), "bps"),
            ("median spread", _number(spread.median_spread_bps), "bps"),
            ("", _number(spread.median_spread_ticks), "ticks"),
            ("market orders", f"{spread.market_orders:,}", ""),
            ("trades", f"{spread.trades:,}", ""),
            (
                f"volatility for models, at {volatility.interval_seconds:g} s",
                _measured(volatility.volatility_bps, volatility.standard_error_bps),
                "bps per square root of a second",
            ),
            ("one-minute volatility", _NONE if minute is None else _number(minute), "%"),
            ("volatility in event time", _number(volatility.event_time_bps), "bps per move of the mid"),
            ("moves of the mid", f"{volatility.mid_moves:,}", ""),
        ],
    )


def _signature_table(points: Sequence[SignaturePoint]) -> Table:
    title = "Signature: volatility by sampling interval, bps per square root of a second"
    table = text_table(title, ["", *(f"{point.interval_seconds:g} s" for point in points)])
    table.add_row(
        "volatility", *(_measured(point.volatility_bps, point.standard_error_bps) for point in points)
    )
    table.add_row("returns", *(f"{point.returns:,}" for point in points))
    return table


def _intensity_table(symbol: SymbolCalibration) -> Table:
    title = "Market orders that reach a depth: A * exp(-kappa * depth), a side"
    table = text_table(title, ["", "both sides", "bids (sell orders)", "asks (buy orders)"])
    columns = [
        _intensity_cells(fit, symbol.spread.tick_bps)
        for fit in (symbol.intensity, symbol.intensity_bid, symbol.intensity_ask)
    ]
    names = (
        "A, a second",
        "kappa, 1/bps",
        "1/kappa, bps",
        "1/kappa, ticks",
        "R squared of the log intensity",
        "chi-squared per degree of freedom",
        "depths compared",
        "fitted depths, bps",
        "market orders",
    )
    for name, *cells in zip(names, *columns, strict=True):
        table.add_row(name, *cells)
    return table


def _intensity_cells(fit: IntensityFit | None, tick_bps: float) -> list[str]:
    if fit is None:
        return ["too few", *[_NONE] * 8]
    reach_bps = 1 / fit.kappa_per_bps
    return [
        _measured(fit.a_per_second, fit.a_standard_error),
        _measured(fit.kappa_per_bps, fit.kappa_standard_error),
        _measured(reach_bps, fit.kappa_standard_error * reach_bps**2),
        _number(reach_bps / tick_bps),
        *goodness_texts(fit),
        _NONE if fit.compared_depths is None else str(fit.compared_depths),
        f"{_number(fit.fitted_from_bps, 3)} to {_number(fit.fitted_to_bps, 3)}",
        f"{fit.arrivals:,}",
    ]


def goodness_texts(fit: IntensityFit) -> tuple[str, str]:
    """Return R squared and chi-squared per degree of freedom of a fit, dashes where there is no degree of freedom."""
    chi_squared, r_squared = fit.chi_squared_per_degree, fit.r_squared
    if chi_squared is None or r_squared is None:  # earlier versions wrote 1.0 for R squared
        return _NONE, _NONE
    return f"{r_squared:.3f}", _number(chi_squared, 3)


def _mark_out_table(mark_outs: Sequence[MarkOut]) -> Table:
    title = "Mark-outs of trades for the maker, before fees, bps"
    table = text_table(title, ["", *(f"after {mark.seconds:g} s" for mark in mark_outs)])
    table.add_row("mean", *(_measured(mark.mark_out_bps, mark.standard_error_bps) for mark in mark_outs))
    table.add_row("trades", *(f"{mark.trades:,}" for mark in mark_outs))
    return table


def _microprice_table(figures: MicropriceFigures) -> Table:
    """Return some buckets of the imbalance, both ends and the middle among them."""
    count = figures.imbalance_buckets
    half = {0, count // 4, (count - 1) // 2}
    shown = sorted(half | {count - 1 - bucket for bucket in half})
    title = "Micro-price minus mid, ticks, by spread and by the bid's share of the size at the touch"
    shares = [f"{index / count:.2f} to {(index + 1) / count:.2f}" for index in shown]
    table = text_table(title, ["spread, ticks", *shares, "observations"])
    names = _spread_names(figures.spread_ticks)
    rows = list(zip(names, figures.adjustment_ticks, figures.observations, strict=True))
    for name, adjustments, observations in rows[:_MOST_SPREADS]:
        cells = (f"{adjustments[bucket]:+z.3f}" for bucket in shown)
        table.add_row(name, *cells, f"{sum(observations):,}")
    if len(rows) > _MOST_SPREADS:
        table.caption = f"wider spreads that only the file has: {len(rows) - _MOST_SPREADS:,}"
    return table


def _spread_names(spreads: Sequence[int]) -> list[str]:
    """Return what each row of the micro-price covers: its spread up to the one before the next row's."""
    spans = ((first, following - 1) for first, following in pairwise(spreads))
    names = [str(first) if first == last else f"{first} to {last}" for first, last in spans]
    return [*names, f"{spreads[-1]} and more"]


def _fee_parts(fees: FeeFigures | None) -> list[Table | Text]:
    if fees is None:
        return [Text("Fees: no maker fee is known; --maker-fee-pct sets one")]
    table = _figure_table(
        "Result after the maker fee, before adverse moves",
        [
            ("maker fee", _number(fees.maker_fee_bps), "bps"),
            ("earned by a fill at the touch", _number(fees.edge_at_touch_bps), "bps"),
            ("best distance from the mid", _number(fees.best_half_width_bps), "bps"),
            ("fills there, a side", _seldom(fees.best_fills_per_hour), "an hour"),
            ("earned there, a side", _seldom(fees.best_bps_per_hour), "bps of a quote's value an hour"),
        ],
    )
    return [table, Text(f"Verdict: {fees.verdict}")]


def recorded_words(symbol: SymbolCalibration) -> str:
    """Return the span of a symbol's figures, and how much of it was recorded."""
    span = f"{symbol.start.isoformat()} to {symbol.end.isoformat()}"
    if not symbol.gaps:
        return f"{span} ({symbol.seconds:,.0f} s)"
    whole = (symbol.end - symbol.start).total_seconds()
    return f"{span} ({symbol.seconds:,.0f} s recorded of {whole:,.0f} s, gaps left out: {symbol.gaps})"


def _symbol_view(name: str, symbol: SymbolCalibration, source: CalibrationSource) -> Group:
    parts: list[PartedTable | Table | Text] = [
        Text(f"{name}: {'SIMULATED data, ' if source.simulated else ''}{recorded_words(symbol)}"),
        _market_table(symbol.spread, symbol.volatility),
    ]
    if symbol.volatility.signature:
        parts.append(PartedTable(_signature_table(symbol.volatility.signature)))
    parts.append(PartedTable(_intensity_table(symbol)))
    if symbol.mark_outs:
        parts.append(PartedTable(_mark_out_table(symbol.mark_outs)))
    if symbol.microprice is not None:
        parts.append(PartedTable(_microprice_table(symbol.microprice)))
    return Group(*parts, *_fee_parts(symbol.fees), Text(""))


def calibration_view(calibration: Calibration) -> Group:
    """Return a calibration as something rich can print: a heading, then tables and a verdict a symbol."""
    heading = f"Calibration from {source_words(calibration.source)}, {calibration.created.isoformat()}\n"
    symbols = calibration.symbols.items()
    return Group(Text(heading), *(_symbol_view(name, symbol, calibration.source) for name, symbol in symbols))
