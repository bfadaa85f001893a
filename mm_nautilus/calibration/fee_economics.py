"""What a maker fee leaves of a market's spread and order flow."""

import math
from typing import Final

from mm_nautilus.calibration.figures import FeeFigures, IntensityFit

LEAST_FILLS_PER_HOUR: Final = 1.0
"""How often a side must be filled at its best distance for a market to count as one that pays the fee."""

_HOUR_SECONDS: Final = 3600.0
_DAY_HOURS, _YEAR_HOURS = 24.0, 24.0 * 365.0


def best_half_width_bps(maker_fee_bps: float, kappa_per_bps: float) -> float:
    """Return the distance from the mid, bps, at which a maker without inventory risk earns most; at least 0.

    A quote ``d`` away is filled ``A * exp(-kappa * d)`` times a second and keeps ``d - fee`` each time. The product
    is largest at ``d = fee + 1 / kappa``. Without a fee this is the limit of ``(1/gamma) * ln(1 + gamma/kappa)`` for
    gamma to 0, the part of the width in Avellaneda and Stoikov, Quantitative Finance 8(3), 2008, that remains
    when inventory does not matter.

    The fee is in bps of value, negative for a rebate, and kappa in 1 / bps of mid. A ValueError says that the fee is
    not finite, or kappa not positive and finite.
    """
    if not math.isfinite(maker_fee_bps):
        raise ValueError(f"maker_fee_bps must be finite, was {maker_fee_bps}")
    if not 0 < kappa_per_bps < math.inf:
        raise ValueError(f"kappa_per_bps must be positive and finite, was {kappa_per_bps}")
    return max(maker_fee_bps + 1.0 / kappa_per_bps, 0.0)


def fee_figures(maker_fee_bps: float, intensity: IntensityFit, median_spread_bps: float) -> FeeFigures:
    """Return what the maker fee leaves, before any move of the price against the maker.

    A market can pay the fee if a fill at the touch keeps something, or if market orders reach the best distance
    at least `LEAST_FILLS_PER_HOUR` times an hour. The second is a convention: the formula alone always finds a
    distance that earns, however rarely an order gets there.

    The fee is in bps of value, negative for a rebate, and the intensity that of one side of the book. A ValueError says
    that the fee is not finite, or the spread, bps of mid, not positive and finite.
    """
    if not 0 < median_spread_bps < math.inf:
        raise ValueError(f"median_spread_bps must be positive and finite, was {median_spread_bps}")
    distance = best_half_width_bps(maker_fee_bps, intensity.kappa_per_bps)
    fills = intensity.a_per_second * math.exp(-intensity.kappa_per_bps * distance) * _HOUR_SECONDS
    edge = median_spread_bps / 2 - maker_fee_bps
    pays = edge > 0 or fills >= LEAST_FILLS_PER_HOUR
    return FeeFigures(
        maker_fee_bps=maker_fee_bps,
        edge_at_touch_bps=edge,
        best_half_width_bps=distance,
        best_fills_per_hour=fills,
        best_bps_per_hour=fills * (distance - maker_fee_bps),
        pays=pays,
        verdict=_verdict(maker_fee_bps, median_spread_bps / 2, distance, fills, intensity, pays=pays),
    )


def _verdict(
    fee: float, half_spread: float, distance: float, fills: float, intensity: IntensityFit, *, pays: bool
) -> str:
    cost = (
        "without a fee"
        if fee == 0
        else f"before a fee of {fee:.4g} bps"
        if fee > 0
        else f"plus a rebate of {-fee:.4g} bps"
    )
    beyond = f", extrapolated beyond the {intensity.fitted_to_bps:.3g} bps that were fitted"
    reach = beyond if distance > intensity.fitted_to_bps else ""
    facts = (
        f"a fill at the touch earns {half_spread:.3g} bps {cost}, and market orders reach the best distance, "
        f"{distance:.3g} bps from the mid, {_often(fills)} on each side{reach}"
    )
    if pays:
        return f"{facts}: this market's spread and intensity can pay the maker fee, before adverse moves"
    return f"{facts}: this market's spread and intensity cannot pay the maker fee"


def _often(per_hour: float) -> str:
    for hours, name in ((1.0, "an hour"), (_DAY_HOURS, "a day"), (_YEAR_HOURS, "a year")):
        if per_hour * hours >= 1:
            times = per_hour * hours
            return f"{times:,.0f} times {name}" if times >= 10 else f"{times:.1f} times {name}"
    return "less than once a year"
