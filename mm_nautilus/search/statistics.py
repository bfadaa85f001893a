"""Is a result better than luck: Sharpe ratios of many trials, overfitting, bootstrap, and the best one's neighbours.

A period's result is an amount of money or a return; everything here is the same at another scale. Sharpe ratios are
per period, never annualised.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

type Floats = NDArray[np.float64]

_NORMAL: Final = NormalDist()
_EULER_GAMMA: Final = float(np.euler_gamma)
_LEAST_PERIODS: Final = 2
_CHUNK: Final = 100_000
"""Numbers held at a time while series are resampled: what a processor's cache holds."""
_ROUNDING: Final = 1e-7
"""A standard deviation this small beside the mean is a rounding error of equal values."""
_SAME_PLACE: Final = 1e-9
"""Coordinates that differ by less are equal."""


# -- Sharpe ratios ------------------------------------------------------------------------------------------


class Moments(NamedTuple):
    """What the precision of a Sharpe ratio depends on."""

    sharpe: float
    """Mean by standard deviation, per period."""
    skewness: float
    kurtosis: float
    """Not the excess: 3 for the normal distribution."""
    periods: int


def _checked(results: ArrayLike, dimensions: int = 1) -> Floats:
    values = np.asarray(results, dtype=np.float64)
    if values.ndim != dimensions or len(values) < _LEAST_PERIODS or not np.isfinite(values).all():
        shape = "one number a period" if dimensions == 1 else "one row a period and one column a trial"
        raise ValueError(
            f"results must be finite, {shape}, for {_LEAST_PERIODS} periods or more, was {values.shape}"
        )
    return values


def sharpe_ratio(results: ArrayLike) -> Floats:
    """Return mean by standard deviation of the results, per period, of each column where there are several.

    Equal results have no spread: their ratio is 0 where they are zero, else infinite. A ValueError says that there are
    fewer than two periods, or a result is not finite.
    """
    values = _checked(results, max(1, np.ndim(results)))
    return _ratio(values.mean(axis=0), values.std(axis=0, ddof=1))


def _ratio(mean: Floats, spread: Floats) -> Floats:
    is_constant = spread <= _ROUNDING * np.abs(mean)
    endless = np.where(mean == 0.0, 0.0, np.copysign(np.inf, mean))
    return np.where(is_constant, endless, mean / np.where(is_constant, 1.0, spread))


def moments(results: ArrayLike) -> Moments:
    """Return the moments of one trial's results, a normal's where these are equal; errors as of `sharpe_ratio`."""
    values = _checked(results)
    sharpe, spread = float(sharpe_ratio(values)), float(values.std())
    if not math.isfinite(sharpe) or spread == 0.0:
        return Moments(sharpe, 0.0, 3.0, len(values))
    standard = (values - values.mean()) / spread
    return Moments(sharpe, float((standard**3).mean()), float((standard**4).mean()), len(values))


def probabilistic_sharpe_ratio(found: Moments, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark`, given the one found.

    The standard error allows for skewness and kurtosis::

        PSR = Z((SR - benchmark) * sqrt(T - 1) / sqrt(1 - skewness * SR + (kurtosis - 1) / 4 * SR^2))

    Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15 (2), 2012. Periods are taken
    as independent: they have to be longer than what connects them, such as the age of a position.
    """
    distance = found.sharpe - benchmark
    if not math.isfinite(found.sharpe):
        return 1.0 if distance > 0 else 0.0
    # Never negative for real moments, since kurtosis >= 1 + skewness^2.
    variance = 1.0 - found.skewness * found.sharpe + 0.25 * (found.kurtosis - 1.0) * found.sharpe**2
    if variance <= 0.0:
        return 0.5 if distance == 0.0 else float(distance > 0.0)
    return _NORMAL.cdf(distance * math.sqrt(found.periods - 1) / math.sqrt(variance))


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Return the best Sharpe ratio to expect of independent trials without any edge.

    With Euler's constant g and the quantile function q of the normal distribution::

        SR0 = sqrt(variance) * ((1 - g) * q(1 - 1 / trials) + g * q(1 - 1 / (trials * e)))

    `variance` is that of the Sharpe ratio across trials, per period. Trials that are alike count as fewer; to count all
    of them expects too much of luck rather than too little. A ValueError says that `trials` is below 1, or `variance`
    negative or not finite.

    Bailey and Lopez de Prado, "The deflated Sharpe ratio", Journal of Portfolio Management 40 (5), 2014.
    """
    if trials < 1 or not 0.0 <= variance < math.inf:
        raise ValueError(
            f"trials must be at least 1 and variance finite and not negative, was {trials} and {variance}"
        )
    if trials == 1:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - _EULER_GAMMA) * first + _EULER_GAMMA * second)


def deflated_sharpe_ratio(found: Moments, trials: int, variance: float) -> float:
    """Return the probability that the best of many trials has a Sharpe ratio above what luck makes of as many.

    It is the `probabilistic_sharpe_ratio` of the best trial's moments against `expected_maximum_sharpe`, with the
    latter's errors and source.
    """
    return probabilistic_sharpe_ratio(found, expected_maximum_sharpe(trials, variance))


# -- Overfitting --------------------------------------------------------------------------------------------


def probability_of_overfitting(results: ArrayLike, blocks: int = 12) -> float:
    """Return how often the best trial of one half of the periods is below the median of all trials in the other half.

    Combinatorially symmetric cross-validation: the periods are cut into an even number of blocks, and every choice of
    half of them selects the trial with the best Sharpe ratio, which is then ranked in the rest. A rank at the median
    counts as half, equal trials share their ranks, and where several are best each counts alike, so that trials that do
    not differ have 0.5. Blocks have three periods or more, and differ by one at most where the periods do not divide.

    `results` has one row a period and one column a trial. A ValueError says that there are fewer than six periods or
    two trials, a result is not finite, or `blocks` is odd or below 2.

    Bailey, Borwein, Lopez de Prado and Zhu, "The probability of backtest overfitting", Journal of Computational
    Finance 20 (4), 2017.
    """
    values = _checked(results, 2)
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks must be an even number from 2 up, was {blocks}")
    periods, trials = values.shape
    blocks = min(blocks, periods // 3 // 2 * 2)
    if blocks < 2 or trials < 2:
        raise ValueError(
            f"at least six periods of two trials are needed, was {periods} periods of {trials} trials"
        )
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks), dtype=bool)
    np.put_along_axis(chosen, halves, values=True, axis=1)
    scores = _half_sharpes(values, chosen)
    # The other half of each choice is a choice as well: the one in reverse order.
    return float(_shares_below(scores, scores[::-1]).mean())


def _half_sharpes(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Return the Sharpe ratio of each trial over the blocks of each choice, one row a choice."""
    edges = np.linspace(0, len(values), chosen.shape[1] + 1).round().astype(int)
    rows = chosen.astype(np.float64)
    counts = (rows @ np.diff(edges))[:, None]
    mean = rows @ np.add.reduceat(values, edges[:-1], axis=0) / counts
    squares = rows @ np.add.reduceat(values**2, edges[:-1], axis=0)
    variance = np.maximum(squares - counts * mean**2, 0.0) / (counts - 1.0)
    return _ratio(mean, np.sqrt(variance))


def _shares_below(inside: Floats, outside: Floats) -> Floats:
    """Return, for each row, the share of the best trials inside that lie in the lower half outside."""
    is_best = inside == inside.max(axis=1, keepdims=True)
    shares = _in_lower_half(outside, is_best.argmax(axis=1)[:, None])[:, 0]
    for row in np.flatnonzero(is_best.sum(axis=1) > 1):
        shares[row] = _in_lower_half(outside[row : row + 1], np.flatnonzero(is_best[row])[None]).mean()
    return shares


def _in_lower_half(scores: Floats, columns: NDArray[np.int64]) -> Floats:
    """Return 1 for each of a row's columns that more scores of the row are above than below, 0.5 for the median."""
    own = np.take_along_axis(scores, columns, axis=1)[:, :, None]
    others = scores[:, None, :]
    return 0.5 + 0.5 * np.sign((others > own).sum(axis=2) - (others < own).sum(axis=2))


# -- Bootstrap ----------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """Confidence interval of the sum of some periods' results."""

    low: float
    total: float
    """The sum itself."""
    high: float
    block_length: float
    """Mean length of the blocks that were resampled, periods."""


def block_length(results: ArrayLike) -> float:
    """Return the mean length of blocks that suits the stationary bootstrap of these results, periods.

    The automatic choice of Politis and White, Econometric Reviews 23 (1), 2004, as corrected by Patton, Politis and
    White, Econometric Reviews 28 (4), 2009: from the autocovariances up to twice the lag from which on
    autocorrelations are negligible, weighted by a flat-top window. It is between 1 and the lesser of ``3 * sqrt(T)``
    and ``T / 3``; results without spread have 1. Errors are those of `sharpe_ratio`.
    """
    values = _checked(results)
    periods = len(values)
    centred = values - values.mean()
    run = max(5, math.ceil(math.sqrt(math.log10(periods))))
    last = min(math.ceil(math.sqrt(periods)) + run, periods - 1)
    covariances = np.array([centred[lag:] @ centred[: periods - lag] for lag in range(last + 1)]) / periods
    longest = max(1.0, min(3.0 * math.sqrt(periods), periods / 3.0))
    if covariances[0] <= (_ROUNDING * float(np.abs(values).max())) ** 2:
        return 1.0
    negligible = np.abs(covariances[1:]) < 2.0 * math.sqrt(math.log10(periods) / periods) * covariances[0]
    bandwidth = min(2 * max(1, _first_run(negligible, run)), last)
    lags = np.arange(1, bandwidth + 1)
    weights = np.clip(2.0 * (1.0 - lags / bandwidth), 0.0, 1.0) * 2.0 * covariances[1 : bandwidth + 1]
    slope, spectrum = float(weights @ lags), float(covariances[0] + weights.sum())
    if spectrum == 0.0:
        return longest
    return min(longest, max(1.0, math.cbrt((slope / spectrum) ** 2 * periods)))


def _first_run(negligible: NDArray[np.bool_], run: int) -> int:
    """Return the lag before the first `run` negligible ones in a row, or else the last one that is not negligible."""
    for lag in range(len(negligible) - run + 1):
        if negligible[lag : lag + run].all():
            return lag
    return int(np.flatnonzero(~negligible)[-1]) + 1 if not negligible.all() else 0


def stationary_bootstrap(
    results: ArrayLike,
    *,
    confidence: float = 0.9,
    resamples: int = 2_000,
    seed: int = 0,
    mean_block: float | None = None,
) -> Interval:
    """Return a confidence interval of the sum of the results, which may depend on each other; the mean's is this by T.

    Blocks of random length, geometric with the mean `mean_block` (`block_length` where it is None), are drawn from the
    results, the last of which is followed by the first (Politis and Romano, Journal of the American Statistical
    Association 89, 1994). The interval lies between quantiles of the sums so drawn, widened by ``sqrt(T / (T - 1))``
    since the mean is estimated, too. Half of what `confidence` leaves lies on each side: 0.9 has one-sided bounds of
    95 %.

    A ValueError is as of `sharpe_ratio`, or says that `confidence` is not between 0 and 1, or `mean_block` below 1.
    """
    values = _checked(results)
    length = block_length(values) if mean_block is None else mean_block
    if not 0.0 < confidence < 1.0 or not length >= 1.0:
        raise ValueError(
            f"confidence must be between 0 and 1 and mean_block at least 1, was {confidence} and {length}"
        )
    random, periods = np.random.default_rng(seed), len(values)
    totals, step = np.empty(resamples), max(1, _CHUNK // periods)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        totals[first : first + count] = values[_resampled(random, count, periods, length)].sum(axis=1)
    total = float(values.sum())
    low, high = np.quantile(totals, [0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence])
    wider = math.sqrt(periods / (periods - 1))
    return Interval(
        total + wider * (float(low) - total), total, total + wider * (float(high) - total), length
    )


def _resampled(random: np.random.Generator, count: int, periods: int, length: float) -> NDArray[np.int64]:
    """Return numbers of periods, one row a resampled series."""
    begins = random.random((count, periods)) < 1.0 / length
    begins[:, 0] = True
    places = np.arange(periods)
    begun = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    starts = np.take_along_axis(random.integers(periods, size=(count, periods)), begun, axis=1)
    return (starts + places - begun) % periods


# -- The neighbours of the best -----------------------------------------------------------------------------


LEAST_NEIGHBOURS: Final = 3
"""Neighbours with fewer of which a trial cannot be compared."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """How the trials near the best one do."""

    neighbours: int
    kept: float | None
    """Share of the best trial's gain that their median has: 1 where they do as well, 0 where they gain nothing; None
    with fewer than `LEAST_NEIGHBOURS`, or where the best itself gains nothing."""


def plateau(
    points: ArrayLike,
    values: ArrayLike,
    best: int,
    reference: float,
    *,
    radius: float = 0.1,
    farthest: float = 0.25,
) -> Plateau:
    """Return how much of the gain of trial number `best` over `reference` its neighbours keep.

    A true optimum is broad: what is better only by luck has neighbours that are not. `points` has one row a trial,
    each coordinate as a share of its range, `values` are the higher, the better, and `reference` is the value without a
    search. Neighbours differ by no more than `radius` in any coordinate; where fewer than `LEAST_NEIGHBOURS` trials are
    as near, by no more than the distance at which there are as many, and `farthest` at most. Trials at the best one's
    own point are left out. A ValueError says that there is not one point for each value.
    """
    where, found = np.asarray(points, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if where.ndim != 2 or len(where) != len(found):
        raise ValueError(f"one point for each value is needed, was {where.shape} for {found.shape}")
    distances = np.abs(where - where[best]).max(axis=1, initial=0.0)
    is_near = (distances > _SAME_PLACE) & (distances <= farthest + _SAME_PLACE)
    if is_near.sum() < LEAST_NEIGHBOURS:
        return Plateau(int(is_near.sum()), None)
    nearest = np.sort(distances[is_near])[LEAST_NEIGHBOURS - 1]
    is_near &= distances <= max(radius, nearest) + _SAME_PLACE
    gain = float(found[best]) - reference
    kept = None if gain <= 0.0 else (float(np.median(found[is_near])) - reference) / gain
    return Plateau(int(is_near.sum()), kept)
