"""Which data a search trains on, which it tests on, and the equal periods that results are cut into."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.rows import Ints
from mm_nautilus.system.moments import SECOND_NS, moment

LEAST_PERIODS: Final = 30
"""Periods that a training and all tests together need: with fewer nothing can be told from luck."""
_PERIODS: Final = 120
"""Periods that all tests together are cut into, where these would not become too short."""
_LEAST_PERIOD_SECONDS: Final = 30.0
"""Shortest period: the longest horizon of the mark-outs, by which it is known what a fill was worth."""
LEAST_SHARE: Final = 0.25
MOST_SHARE: Final = 0.9
"""Shares of a span that may come before its first test."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, nanoseconds since the epoch; its end belongs to the next one."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / SECOND_NS

    def edges(self, period_ns: int) -> Ints:
        """Return the edges of its periods, nanoseconds since the epoch; the first has what no whole one is left for."""
        count = (self.end_ns - self.start_ns) // period_ns
        edges = self.end_ns - period_ns * np.arange(count, -1, -1, dtype=np.int64)
        edges[0] = self.start_ns
        return edges


@dataclass(frozen=True, slots=True)
class Fold:
    """What is trained on, and what follows it and is tested on."""

    train: Window
    test: Window


@dataclass(frozen=True, slots=True)
class Windows:
    """The folds of a search, and the length of the periods that results are cut into, nanoseconds."""

    folds: tuple[Fold, ...]
    period_ns: int


def embargo_seconds(symbols: Iterable[SymbolParams], unbounded_position_seconds: float) -> float:
    """Return the time to leave out between a training and its test.

    It is the longest age of a position and, after that, the longest window of a volatility estimate: then no estimate
    of the test reaches back into the time of a position that the training opened.

    `symbols` are the merged parameters of every symbol, at every extreme of a space that searches these, and
    `unbounded_position_seconds` is the age to reckon with where ``max_position_seconds`` is null, for example the
    longest of a run.
    """
    ages, estimates = [0.0], [0.0]
    for params in symbols:
        bound = params.max_position_seconds
        ages.append(unbounded_position_seconds if bound is None else bound)
        estimates.append(60.0 * params.volatility_lookback)
        if params.is_calibrated and params.recalibrate_minutes is not None:
            estimates.append(60.0 * params.recalibrate_window_minutes)
    return max(ages) + max(estimates)


def longest_position_seconds(ts_ns: Ints, signed_lots: Ints, end_ns: int) -> float:
    """Return how old the oldest position of one symbol became; one that is open at `end_ns` ends there.

    `ts_ns` has the moments of the fills in ascending order, nanoseconds since the epoch, and `signed_lots` their
    quantities, negative where we sold. A position ends when it is flat or turns to the other side.
    """
    sides = np.sign(np.cumsum(signed_lots))
    changes = np.flatnonzero(np.diff(sides, prepend=0))
    ages = np.diff(ts_ns[changes], append=end_ns)[sides[changes] != 0]
    return float(ages.max(initial=0)) / SECOND_NS


def make_windows(span: Window, folds: int, gap_seconds: float, train_share: float = 0.5) -> Windows:
    """Split a span into one training and one test, or into folds that walk forward.

    The first ``train_share`` of the span is only trained on; the rest is cut into `folds` equal tests. Each training
    begins with the span, so that it has all that came before, and ends ``gap_seconds`` ahead of its test. All tests
    together are the same time whatever the number of folds. A ConfigError says what `folds` and `train_share` may be,
    or how long the span has to be.
    """
    if folds < 1 or not LEAST_SHARE <= train_share <= MOST_SHARE or not 0.0 <= gap_seconds < math.inf:
        shares = f"train_share between {LEAST_SHARE} and {MOST_SHARE}"
        allowed = f"folds must be at least 1, {shares} and the embargo 0 s or more"
        raise ConfigError(f"{allowed}, was {folds}, {train_share} and {gap_seconds} s")
    needed = _needed_seconds(folds, gap_seconds, train_share)
    if span.seconds < needed:
        raise ConfigError(
            f"the data must be at least {_words(needed)} long for {folds} fold{'s' if folds > 1 else ''} with an "
            f"embargo of {_words(gap_seconds)} between training and test, was {_words(span.seconds, math.floor)} from "
            f"{moment(span.start_ns).isoformat()} to {moment(span.end_ns).isoformat()}"
        )
    tested_ns = round((span.end_ns - span.start_ns) * (1.0 - train_share))
    starts = [span.end_ns - tested_ns + tested_ns * number // folds for number in range(folds + 1)]
    gap_ns = math.ceil(gap_seconds * SECOND_NS)
    found = (
        Fold(Window(span.start_ns, start - gap_ns), Window(start, end)) for start, end in pairwise(starts)
    )
    period_ns = max(round(_LEAST_PERIOD_SECONDS * SECOND_NS), tested_ns // max(_PERIODS, folds))
    return Windows(tuple(found), period_ns)


def _needed_seconds(folds: int, gap_seconds: float, train_share: float) -> float:
    """Return the shortest span of which every training and all tests have `LEAST_PERIODS`, and each test one."""
    test_share = 1.0 - train_share
    tests = _LEAST_PERIOD_SECONDS * folds * math.ceil(LEAST_PERIODS / folds) / test_share
    training = (_LEAST_PERIOD_SECONDS * LEAST_PERIODS + gap_seconds) / train_share
    # Where periods are longer, the gap still has to leave as many to the first training.
    gap = gap_seconds / (train_share - test_share * LEAST_PERIODS / max(_PERIODS, folds))
    return max(tests, training, gap)


def _words(seconds: float, whole: Callable[[float], int] = math.ceil) -> str:
    """Return a length of time in words, in whole minutes that are not less, or with `math.floor` not more."""
    minutes = whole(seconds / 60.0)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count) or "0 min"


def period_results(
    ts_ns: Sequence[int] | Ints, totals: NDArray[np.float64], edges: Ints
) -> NDArray[np.float64]:
    """Return what each period added to a running total.

    `ts_ns` has the moments of the totals, nanoseconds since the epoch, and `edges` are those of a `Window`. At an edge
    the total is what it was last known to be; at the first edge it is 0, as at a run's start, and what comes after the
    last edge, as a run winds down, belongs to the last period: periods add up to the last total. The total to take is
    ``trading_pnl`` of a run's equity: marked at mid, net of fees, in the report currency, without the revaluation of
    the starting balances.
    A ValueError says that there is not one finite total a moment, or the moments do not ascend.
    """
    moments, values = np.asarray(ts_ns, dtype=np.int64), np.asarray(totals, dtype=np.float64)
    if moments.shape != values.shape or not np.isfinite(values).all() or (np.diff(moments) < 0).any():
        raise ValueError(
            f"one finite total for each of the ascending moments is needed, was {values.shape} for {moments.shape}"
        )
    places = np.searchsorted(moments, edges, side="right")
    places[0], places[-1] = 0, len(moments)
    return np.diff(np.concatenate([[0.0], values])[places])
