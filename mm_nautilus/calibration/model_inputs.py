"""What quote models take from a market, and which figures are accepted."""

import math
from dataclasses import dataclass
from typing import Final

from mm_nautilus.calibration.figures import SymbolCalibration
from mm_nautilus.errors import CalibrationError

_KAPPA_PER_BPS: Final = (0.001, 100.0)
"""Decays that are accepted: market orders reach 1 / kappa deep, 0.01 bps to 10 % of the mid."""
_LARGEST_VOLATILITY_BPS: Final = 100.0
"""Volatility that is accepted, bps per square root of a second: 7.7 % in a minute."""
_LARGEST_MISFIT: Final = 3.0
"""Mean factor by which a fit may miss the counts beside it."""


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """What the calibrated models take from a market."""

    volatility_bps: float
    """Volatility of the mid, bps per square root of a second."""
    a_per_second: float
    """Market orders at the mid, on each side, a second."""
    kappa_per_bps: float
    """Decay of the order arrivals with depth, 1 / bps."""
    source: str
    """Where the figures come from, in words."""


def check_market(market: ModelInputs) -> None:
    """Refuse figures that only wrong units explain.

    A CalibrationError says that kappa lies outside 0.001..100 per bps, the intensity is not positive and finite, or the
    volatility lies outside 0..100 bps per square root of a second.
    """
    least, most = _KAPPA_PER_BPS
    if not least <= market.kappa_per_bps <= most:
        raise CalibrationError(
            f"kappa_per_bps must be between {least:g} and {most:g} per basis point of mid (about 1 on liquid pairs; "
            f"one per unit of price is to be multiplied by mid / 10000), was {market.kappa_per_bps:g}"
        )
    if not 0 < market.a_per_second < math.inf:
        raise CalibrationError(
            f"a_per_second must be positive and finite, arrivals a second, was {market.a_per_second:g}"
        )
    if not 0 <= market.volatility_bps <= _LARGEST_VOLATILITY_BPS:
        raise CalibrationError(
            f"volatility_bps must be between 0 and {_LARGEST_VOLATILITY_BPS:g} basis points of mid per square root of "
            f"a second, was {market.volatility_bps:g}"
        )


def calibrated_inputs(calibration: SymbolCalibration, source: str) -> ModelInputs:
    """Return what models take from a symbol's calibration, `source` in words.

    A CalibrationError says that a figure is refused by `check_market`, or the fit misses the arrivals that were counted
    beside it by a mean factor above 3, as one in other units does.
    """
    fit = calibration.intensity
    market = ModelInputs(calibration.volatility.volatility_bps, fit.a_per_second, fit.kappa_per_bps, source)
    check_market(market)
    misses = [
        abs(math.log(point.intensity_per_second / fit.a_per_second) + fit.kappa_per_bps * point.depth_bps)
        for point in fit.points
        if point.intensity_per_second > 0 and fit.fitted_from_bps <= point.depth_bps <= fit.fitted_to_bps
    ]
    misfit = math.fsum(misses) / len(misses) if misses else 0.0
    if misfit > math.log(_LARGEST_MISFIT):
        raise CalibrationError(
            f"a_per_second {fit.a_per_second:g} and kappa_per_bps {fit.kappa_per_bps:g} must describe the counted "
            f"arrivals beside them to within a factor of {_LARGEST_MISFIT:g} on average, was "
            f"{math.exp(min(misfit, 100.0)):.3g}: are they per second and per basis point of mid?"
        )
    return market
