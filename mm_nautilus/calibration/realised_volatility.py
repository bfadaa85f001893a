"""Volatility of the mid over a window, at several sampling intervals."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.figures import SignaturePoint, VolatilityFigures, VolatilityQuantile
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.calibration.volatility import deviation_pct
from mm_nautilus.errors import CalibrationError

INTERVALS_SECONDS: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Sampling intervals of the signature plot, seconds."""
LONGEST_MODEL_INTERVAL_SECONDS: Final = 60.0
"""Longest interval that the volatility for models is taken at, seconds."""
LEAST_RETURNS: Final = 20
"""Returns that the volatility for models needs: its standard error is 16 % then."""

_LEAST_SIGNATURE_RETURNS: Final = 2
_NORMAL_KURTOSIS: Final = 3.0
_MINUTE_SECONDS: Final = 60.0
_LOOKBACK: Final = 20
"""One-minute returns of an estimate, v1.4.0's."""
_LEAST_ESTIMATES: Final = 60
_QUANTILES: Final = tuple(round(0.05 * step, 2) for step in range(21))
_BPS: Final = 10_000.0

type Floats = NDArray[np.float64]


def volatility_figures(touches: TouchSeries) -> VolatilityFigures:
    """Return the volatility of the mid, for models and by sampling interval.

    Models take the longest interval up to 60 s that has at least 20 returns. Short intervals see the mid
    bounce between prices as ticks and stale quotes make it do, and overstate the volatility of the minutes
    over which inventory is carried (the signature plot of Andersen, Bollerslev, Diebold and Labys, Great
    realizations, Risk, March 2000); long ones leave too few returns.

    Sampling starts at the first row and again after every gap; intervals that a gap or the window cuts off are left
    out. A CalibrationError says that too little was recorded for 20 returns at the shortest interval, or the mid never
    moved between the moments it is sampled at.
    """
    shortest = INTERVALS_SECONDS[0]
    if len(sampled_returns(touches, shortest)) < LEAST_RETURNS:
        raise CalibrationError(
            f"volatility needs a window of at least {LEAST_RETURNS * shortest:g} s, was {touches.seconds:.3g} s"
        )
    points = [signature_point(touches, interval) for interval in INTERVALS_SECONDS]
    signature = [point for point in points if point is not None]
    model_points = [point for point in signature if point.interval_seconds <= LONGEST_MODEL_INTERVAL_SECONDS]
    taken = [point for point in model_points if point.returns >= LEAST_RETURNS][-1]
    if taken.volatility_bps <= 0:
        raise CalibrationError(
            f"volatility needs a mid that moves, but it stood wherever it was sampled in {touches.seconds:.4g} s"
        )
    changes = _BPS * _returns(touches.mid_ticks)[touches.is_step]
    moves = changes[changes != 0]
    minutes = sampled_returns(touches, _MINUTE_SECONDS).tolist()
    return VolatilityFigures(
        volatility_bps=taken.volatility_bps,
        standard_error_bps=taken.standard_error_bps,
        interval_seconds=taken.interval_seconds,
        one_minute_pct=deviation_pct(minutes) if len(minutes) >= _LEAST_SIGNATURE_RETURNS else None,
        event_time_bps=float(moves.std()) if len(moves) else 0.0,
        mid_moves=len(moves),
        signature=signature,
        quantiles=volatility_quantiles(touches),
    )


def signature_point(touches: TouchSeries, interval_seconds: float) -> SignaturePoint | None:
    """Return the volatility from returns over one interval, or None with fewer than two of them.

    ``sigma = sqrt(mean(r^2) / interval)``: realised variance a second, without taking out a drift. Its standard
    error follows from the fourth moment of the returns, ``sigma * sqrt((kurtosis - 1) / (4 n))``, where the
    kurtosis is taken as at least the normal distribution's 3, which gives ``sigma / sqrt(2 n)``.

    A `ValueError` is raised if the interval is not positive.
    """
    if not interval_seconds > 0:
        raise ValueError(f"interval_seconds must be positive, was {interval_seconds}")
    returns = _BPS * sampled_returns(touches, interval_seconds)
    count = len(returns)
    if count < _LEAST_SIGNATURE_RETURNS:
        return None
    variance = float(np.mean(returns**2))
    kurtosis = float(np.mean(returns**4)) / variance**2 if variance > 0 else 0.0
    volatility = float(np.sqrt(variance / interval_seconds))
    return SignaturePoint(
        interval_seconds=interval_seconds,
        volatility_bps=volatility,
        standard_error_bps=volatility * float(np.sqrt((max(kurtosis, _NORMAL_KURTOSIS) - 1) / (4 * count))),
        returns=count,
    )


def sampled_returns(touches: TouchSeries, interval_seconds: float) -> Floats:
    """Return the mid's returns over every whole interval from the start of each stretch on."""
    step_ns = round(interval_seconds * 1e9)
    mids = [touches.mid_at(np.arange(start, end + 1, step_ns)) for start, end in touches.stretches.tolist()]
    return np.concatenate([_returns(sampled) for sampled in mids])


def _returns(mids: Floats) -> Floats:
    returns: Floats = mids[1:] / mids[:-1] - 1.0
    return returns


def volatility_quantiles(touches: TouchSeries) -> list[VolatilityQuantile]:
    """Return the distribution of the one-minute volatility that a strategy would have measured from minute to minute.

    Empty where there are fewer than 60 estimates of 20 returns each, or all are alike.
    """
    returns = sampled_returns(touches, _MINUTE_SECONDS)
    if len(returns) < _LOOKBACK + _LEAST_ESTIMATES - 1:
        return []
    estimates = 100.0 * np.lib.stride_tricks.sliding_window_view(returns, _LOOKBACK).std(axis=1)
    values = np.quantile(estimates, _QUANTILES)
    if values[0] == values[-1]:
        return []
    return [
        VolatilityQuantile(quantile=quantile, volatility_pct=float(value))
        for quantile, value in zip(_QUANTILES, values, strict=True)
    ]
