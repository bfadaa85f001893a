"""Stoikov's micro-price: where the mid is expected to end up, given the touch's imbalance and spread."""

from bisect import bisect_right
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.figures import MicropriceFigures
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.rows import Ints
from mm_nautilus.system.plain_text import counted

LEAST_OBSERVATIONS: Final = 100
"""How often a bucket of the imbalance and its mirror image must be seen together, at each spread."""
MOST_SPREAD_TICKS: Final = 50
"""Widest spread that may begin a row of its own, ticks."""

_LEAST_BUCKETS, _MOST_BUCKETS = 2, 100
_EVEN: Final = 0.5

type Floats = NDArray[np.float64]


def estimate_microprice(
    touches: TouchSeries, *, imbalance_buckets: int = 10, most_spread_ticks: int = MOST_SPREAD_TICKS
) -> MicropriceFigures:
    """Estimate the micro-price's distance from the mid in every state of the touch.

    Stoikov, Quantitative Finance 18(12), 2018, 1959-1966. A state is a bucket of the imbalance and a spread; one step
    is one change of the touch, none over a gap. With ``Q`` the probabilities of steps that leave the mid, ``R`` those
    of each move ``K`` of it and ``T`` those of the state after a move, all by state, ``G1 = (1 - Q)^-1 R K`` is the
    expected first move, ``B = (1 - Q)^-1 T`` gives the state after it, and the adjustment is the sum of all moves to
    come, ``G* = G1 + B G1 + B^2 G1 + ...``. As there, every step is counted together with its mirror image, bid for
    ask, so that ``G*`` is odd in the imbalance and the sum converges. It is not summed here but solved for: ``G* = G1
    + B G*``, that is ``(1 - Q - T) G* = R K``, among odd functions.

    Spreads share a row with wider ones until every bucket in the row, together with its mirror image, was seen
    `LEAST_OBSERVATIONS` times. Nothing keeps the micro-price between bid and ask: where the mid moves by many
    ticks at once it often lies outside.

    The imbalance has 2 to 100 equal `imbalance_buckets`; no spread wider than `most_spread_ticks` begins a row.

    Raises
    ------
    CalibrationError
        If a bucket is seen too rarely even with all spreads in one row, the mid never moves, or the imbalance
        hardly ever changes sides, so that no expected end is known.
    ValueError
        If an argument is out of range.
    """
    if not _LEAST_BUCKETS <= imbalance_buckets <= _MOST_BUCKETS:
        raise ValueError(
            f"imbalance_buckets must be between {_LEAST_BUCKETS} and {_MOST_BUCKETS}, was {imbalance_buckets}"
        )
    if most_spread_ticks < 1:
        raise ValueError(f"most_spread_ticks must be at least 1, was {most_spread_ticks}")
    spread_ticks, is_step = touches.ask_ticks - touches.bid_ticks, touches.is_step
    buckets = _buckets(touches, imbalance_buckets)
    rows = _spread_rows(
        spread_ticks[:-1][is_step], buckets[:-1][is_step], imbalance_buckets, most_spread_ticks
    )
    row = np.maximum(np.searchsorted(rows, spread_ticks, side="right") - 1, 0)
    state, shape = row * imbalance_buckets + buckets, (len(rows), imbalance_buckets)
    numbers = np.arange(len(rows) * imbalance_buckets).reshape(shape)
    starts, ends = state[:-1][is_step], state[1:][is_step]
    adjustment = _adjustment(starts, ends, np.diff(touches.mid_ticks)[is_step], numbers[:, ::-1].ravel())
    seen = np.bincount(starts, minlength=numbers.size).reshape(shape)
    return MicropriceFigures(
        imbalance_buckets=imbalance_buckets,
        spread_ticks=rows,
        adjustment_ticks=adjustment.reshape(shape).tolist(),
        observations=seen.tolist(),
    )


def microprice_adjustment(table: MicropriceFigures, spread_ticks: int, imbalance: float) -> float:
    """Return how far the micro-price lies from the mid, ticks.

    A spread between two rows takes the smaller row, one outside the nearest. The imbalance of 0.5, the border of two
    buckets where their number is even, gives 0 by symmetry; a ValueError says that it is not in [0, 1].
    """
    if not 0.0 <= imbalance <= 1.0:
        raise ValueError(f"imbalance must be between 0 and 1, was {imbalance}")
    if imbalance == _EVEN:
        return 0.0
    row = max(bisect_right(table.spread_ticks, spread_ticks) - 1, 0)
    bucket = min(int(imbalance * table.imbalance_buckets), table.imbalance_buckets - 1)
    return table.adjustment_ticks[row][bucket]


def _buckets(touches: TouchSeries, count: int) -> Ints:
    share = touches.bid_lots / (touches.bid_lots + touches.ask_lots)
    return np.minimum((share * count).astype(np.int64), count - 1)


def _spread_rows(spread_ticks: Ints, buckets: Ints, count: int, most_spread_ticks: int) -> list[int]:
    """Return the least spread of every row: rows end as soon as each of their buckets was seen often enough."""
    pairs = (count + 1) // 2
    pair = np.minimum(buckets, count - 1 - buckets)
    spreads = np.unique(spread_ticks)
    by_spread = np.zeros((len(spreads), pairs), dtype=np.int64)
    np.add.at(by_spread, (np.searchsorted(spreads, spread_ticks), pair), 1)
    left = by_spread.sum(axis=0)
    if left.min() < LEAST_OBSERVATIONS:
        worst = int(left.argmin())
        raise CalibrationError(
            f"the micro-price needs {LEAST_OBSERVATIONS} changes of the touch from each bucket of the imbalance, but "
            f"bucket {worst + 1} of {count} and its mirror image were seen {counted(left[worst], 'time')} in "
            f"{counted(len(buckets), 'change')}; take a longer window or fewer buckets"
        )
    rows, held = [int(spreads[0])], np.zeros(pairs, dtype=np.int64)
    for spread, seen in zip(spreads.tolist(), by_spread, strict=True):
        full = held.min() >= LEAST_OBSERVATIONS and left.min() >= LEAST_OBSERVATIONS
        if full and spread <= most_spread_ticks:
            rows.append(spread)
            held = np.zeros(pairs, dtype=np.int64)
        held = held + seen
        left = left - seen
    return rows


def _adjustment(before: Ints, after: Ints, moves: Floats, mirror: Ints) -> Floats:
    """Return G* of every state, ticks, from the states before and after every step and the mid's move at it."""
    if not moves.any():
        raise CalibrationError(
            f"the micro-price needs a mid that moves, but it stood over {counted(len(moves), 'change')}"
        )
    starts = np.concatenate([before, mirror[before]])
    ends = np.concatenate([after, mirror[after]])
    share = 1.0 / np.bincount(starts)[starts]
    steps = np.zeros((len(mirror), len(mirror)))
    np.add.at(steps, (starts, ends), share)
    mean_move = np.bincount(starts, weights=share * np.concatenate([moves, -moves]), minlength=len(mirror))
    return _odd_solution(steps, mean_move, mirror, len(moves))


def _odd_solution(steps: Floats, mean_move: Floats, mirror: Ints, count: int) -> Floats:
    """Solve ``(1 - steps) G = mean_move`` among functions that change sign under `mirror`.

    Such a function is known from the states below their mirror images. The only functions that probabilities
    of steps keep are constants, which are none of these, so the half system has one solution. Its least singular
    value is the rate at which the imbalance leaves its side where it does so most slowly: over `count` steps that
    must have happened often, or moves would be summed over spells of which few were seen.
    """
    half = np.flatnonzero(np.arange(len(mirror)) < mirror)
    system = np.eye(len(half)) - steps[np.ix_(half, half)] + steps[np.ix_(half, mirror[half])]
    turns = count * float(np.linalg.norm(system, -2))
    if turns < LEAST_OBSERVATIONS:
        raise CalibrationError(
            f"the micro-price needs an imbalance that changes sides {LEAST_OBSERVATIONS} times from wherever it is, "
            f"but it did so about {counted(round(turns), 'time')} in {counted(count, 'change')} of the touch; take a "
            "longer window"
        )
    found = np.zeros(len(mirror))
    found[half] = np.linalg.solve(system, mean_move[half])
    found[mirror[half]] = -found[half]
    return found
