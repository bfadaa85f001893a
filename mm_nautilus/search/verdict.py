"""Whether a search found something: "evidence" or "no evidence", with the figure behind it.

**What is tested.** A period's result is the PnL of a run in it, in the report currency: marked at mid, net of fees,
without the revaluation of the starting balances. Periods are equal stretches of time, not trades or days: a maker's
trades come in clusters, and a day has too few of them. Two things have to hold out of sample, in tests that took no
part in choosing the winner: its PnL is above 0, and it is above that of the configuration as it was, run on the same
data. The second is what a search has to be asked. Trials share their market, so that a strategy that earns its spread
has winners that make money whatever parameter is searched; the difference of two runs, period by period, is free of
what they share and asks whether *this parameter* mattered.

**The rule.** Evidence is the conjunction of

1. out of sample, PnL above 0: probabilistic Sharpe ratio at least 95 %, and a one-sided bound of the stationary
   bootstrap above 0, which unlike the former allows for periods that depend on each other;
2. out of sample, PnL above that of the configuration as it was: the same of the differences;
3. in sample, the winner's Sharpe ratio of the differences at least what luck makes of as many trials as the study ever
   ran (deflated Sharpe ratio at least 50 %);
4. the probability of overfitting below 50 %;
5. the winner's neighbours keep at least half of its gain, where there are enough of them.

The second alone is wrong in at most 5 % of all searches without an edge, since the tests are no part of the search; the
others can only make that less. The 5 % are shared by every different winner that the study has had tested on the same
data (Bonferroni), so that searching on until a test succeeds does not help. Decision 19 has what this comes to, and
what else was tried.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.report.money import signed_amount, unsigned_amount
from mm_nautilus.search.statistics import (
    LEAST_NEIGHBOURS,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    moments,
    plateau,
    probabilistic_sharpe_ratio,
    probability_of_overfitting,
    sharpe_ratio,
    stationary_bootstrap,
)
from mm_nautilus.search.windows import LEAST_PERIODS

type Floats = NDArray[np.float64]
type _Figures = Mapping[str, Any]

LEVEL: Final = 0.05
"""Share of searches without an edge that may be told to have one."""
_LEAST_DEFLATED: Final = 0.5
_MOST_OVERFITTING: Final = 0.5
_LEAST_KEPT: Final = 0.5
_AS_IT_WAS: Final = "the configuration as it was"
_ALIKE: Final = 0.1
"""Trials that differ by no more than this share of every dimension count as one where overfitting is looked for."""


@dataclass(frozen=True, slots=True)
class TrainingResults:
    """What the trials did on the data that the winner was chosen on: with several folds, on the last training."""

    trials: Floats
    """PnL of each trial that ended, one row a period and one column a trial."""
    baseline: Floats
    """PnL of the configuration as it was, one a period."""
    points: Floats
    """One row a trial, each coordinate a share of its dimension, from `Space.units`."""
    winner: int
    """Column of the trial that was chosen."""
    count: int
    """Every trial that the study ever ran on this data, of all folds and searches, failed ones too."""


@dataclass(frozen=True, slots=True)
class TestResults:
    """What the winner did on data that took no part in choosing it."""

    __test__ = False  # no test class

    winner: Floats
    """Its PnL, one a period; of several folds, each one's own winner in its own test, one after the other."""
    baseline: Floats
    """PnL of the configuration as it was in the same periods."""
    folds: int = 1
    looks: int = 1
    """How many different winners this study has had tested on this data, this one included."""


class Check(NamedTuple):
    """One condition of the rule."""

    name: str
    holds: bool
    text: str
    """The figure, in words that follow "No evidence:" where it does not hold."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether there is evidence."""

    lines: tuple[str, str, str]
    """What was found in sample, what was left of it out of sample, and the verdict."""
    checks: tuple[Check, ...]
    """The conditions, the weightiest first."""
    figures: Mapping[str, Mapping[str, Any]]
    """Every figure in and out of sample; None where there is none. Amounts are sums in the report currency."""

    @property
    def is_evidence(self) -> bool:
        """Whether every condition holds."""
        return all(check.holds for check in self.checks)


def judge(
    trained: TrainingResults,
    tested: TestResults,
    currency: str,
    *,
    is_simulated: bool = False,
    seed: int = 0,
) -> Verdict:
    """Return whether a search found something; `currency` is the report currency, for the texts.

    A ValueError says that results differ in length where they must not, or `count` or `looks` is too small.
    """
    _check_shapes(trained, tested)
    level = LEVEL / tested.looks
    inside, outside = _in_sample(trained), _out_of_sample(tested, level, seed)
    best = _best_of(trained.count, tested.folds)
    checks = (
        _enough_periods(inside, outside),
        _above_zero("gain", f"the winner makes more PnL than {_AS_IT_WAS}", outside, level),
        _above_zero("pnl", "the winner makes money", outside, level),
        _beyond_luck(inside, best),
        _not_overfitted(inside["overfitting_probability"]),
        _broad(inside["neighbours"], inside["neighbours_keep"]),
    )
    lines = (
        _training_line(inside, best, currency),
        _test_line(outside, tested.folds, currency),
        _last_line(checks, is_simulated=is_simulated),
    )
    return Verdict(lines, checks, {"in_sample": inside, "out_of_sample": outside})


def _check_shapes(trained: TrainingResults, tested: TestResults) -> None:
    periods, columns = trained.trials.shape
    if (len(trained.baseline), len(trained.points)) != (periods, columns):
        raise ValueError(
            f"one baseline result a period and one point a trial are needed for {trained.trials.shape} results, was "
            f"{len(trained.baseline)} and {len(trained.points)}"
        )
    if len(tested.winner) != len(tested.baseline):
        raise ValueError(
            f"winner and baseline must have the same periods, was {len(tested.winner)} and {len(tested.baseline)}"
        )
    if trained.count < columns or tested.looks < 1:
        raise ValueError(
            f"count must be at least {columns} and looks at least 1, was {trained.count} and {tested.looks}"
        )


def _in_sample(trained: TrainingResults) -> _Figures:
    differences = trained.trials - trained.baseline[:, None]
    found = moments(differences[:, trained.winner])
    sharpes = sharpe_ratio(differences)
    known = sharpes[np.isfinite(sharpes)]
    # Without any edge trials differ by the error of a Sharpe ratio at most; what they differ by beyond is no luck.
    error = 1.0 / (found.periods - 1)
    variance = min(error, float(known.var(ddof=1))) if len(known) > 1 else error
    means, reference = trained.trials.mean(axis=0), float(trained.baseline.mean())
    flat = plateau(trained.points, means, trained.winner, reference)
    return {
        "trials": trained.count,
        "periods": found.periods,
        "pnl": float(trained.trials[:, trained.winner].sum()),
        "gain": float(differences[:, trained.winner].sum()),
        "sharpe_ratio": found.sharpe if math.isfinite(found.sharpe) else None,
        "sharpe_ratio_of_luck": expected_maximum_sharpe(trained.count, variance),
        "deflated_sharpe_ratio": deflated_sharpe_ratio(found, trained.count, variance),
        "overfitting_probability": _overfitting(trained),
        "neighbours": flat.neighbours,
        "neighbours_keep": flat.kept,
    }


def _overfitting(trained: TrainingResults) -> float | None:
    """Return the probability of overfitting among trials that are not alike, None where there are too few periods.

    A sampler tries many where it has found a good one. Among those the order is luck even if all of them are good, so
    only one of a neighbourhood counts, the winner in its own. The configuration as it was is one to choose from, too.
    """
    if len(trained.trials) < LEAST_PERIODS:
        return None
    kept = [trained.winner]
    for number, point in enumerate(trained.points):
        if (np.abs(trained.points[kept] - point).max(axis=1, initial=0.0) > _ALIKE).all():
            kept.append(number)
    return probability_of_overfitting(np.column_stack([trained.baseline, trained.trials[:, kept]]))


def _out_of_sample(tested: TestResults, level: float, seed: int) -> _Figures:
    confidence = 1.0 - 2.0 * level
    figures: dict[str, Any] = {"periods": len(tested.winner), "looks": tested.looks, "confidence": confidence}
    for name, results in (("pnl", tested.winner), ("gain", tested.winner - tested.baseline)):
        interval = stationary_bootstrap(results, confidence=confidence, seed=seed)
        figures |= {
            name: interval.total,
            f"{name}_interval": [interval.low, interval.high],
            f"{name}_probability": probabilistic_sharpe_ratio(moments(results)),
        }
    return figures


# -- The conditions -----------------------------------------------------------------------------------------


def _enough_periods(inside: _Figures, outside: _Figures) -> Check:
    least = min(inside["periods"], outside["periods"])
    return Check(
        "periods", least >= LEAST_PERIODS, f"there are {least} periods, where {LEAST_PERIODS} are needed"
    )


def _above_zero(name: str, words: str, outside: _Figures, level: float) -> Check:
    probability, low = outside[f"{name}_probability"], outside[f"{name}_interval"][0]
    is_likely = probability >= 1.0 - level
    text = f"{words} out of sample with a probability of {_percent(probability)}"
    if is_likely and low <= 0.0:
        text = f"{text}, but not if periods depend on each other: the interval of the sum reaches below 0"
        return Check(name, holds=False, text=text)
    return Check(name, is_likely, f"{text}, where {_percent(1.0 - level)} are needed")


def _beyond_luck(inside: _Figures, best: str) -> Check:
    deflated = inside["deflated_sharpe_ratio"]
    beats = f"{best} beats luck in sample with a probability of {_percent(deflated)}"
    text = f"{beats} (deflated Sharpe ratio), where {_percent(_LEAST_DEFLATED)} are needed"
    return Check("luck", deflated >= _LEAST_DEFLATED, text)


def _not_overfitted(probability: float | None) -> Check:
    if probability is None:
        return Check("overfitting", holds=True, text="there are too few periods to look for overfitting")
    splits = f"{_percent(probability)} of all splits of the training have a best trial below the median of the rest"
    text = f"{splits}, where less than {_percent(_MOST_OVERFITTING)} are needed"
    return Check("overfitting", probability < _MOST_OVERFITTING, text)


def _broad(neighbours: int, kept: float | None) -> Check:
    if kept is None:
        has_few = neighbours < LEAST_NEIGHBOURS
        lack = "too few neighbours to compare it with" if has_few else "no gain in sample to compare"
        return Check("plateau", holds=True, text=f"the winner has {lack}")
    text = f"the {neighbours} neighbours of the winner keep {_percent(kept)} of its gain in sample"
    return Check("plateau", kept >= _LEAST_KEPT, f"{text}, where {_percent(_LEAST_KEPT)} are needed")


# -- The lines ----------------------------------------------------------------------------------------------


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _best_of(trials: int, folds: int) -> str:
    if folds > 1:
        return f"the best of the last of {folds} folds, which had {trials} trials together,"
    return "the one trial" if trials == 1 else f"the best of {trials} trials"


def _training_line(inside: _Figures, best: str, currency: str) -> str:
    overfitting, kept = inside["overfitting_probability"], inside["neighbours_keep"]
    parts = [f"deflated Sharpe ratio {_percent(inside['deflated_sharpe_ratio'])}"]
    parts += [] if overfitting is None else [f"probability of overfitting {_percent(overfitting)}"]
    parts += [] if kept is None else [f"neighbours keep {_percent(kept)} of the gain"]
    made = f"{best} made {signed_amount(inside['pnl'], currency)}"
    gain = _more(inside["gain"], currency)
    return f"In sample: {made}, {gain}, in {inside['periods']} periods; {', '.join(parts)}"


def _test_line(outside: _Figures, folds: int, currency: str) -> str:
    whose = f"the winners of the {folds} folds made " if folds > 1 else ""
    pnl = f"{signed_amount(outside['pnl'], currency)} ({_between(outside['pnl_interval'], currency)})"
    gain = f"{_more(outside['gain'], currency)} ({_between(outside['gain_interval'], currency)})"
    confidence = _percent(outside["confidence"])
    return f"Out of sample: {whose}{pnl}, {gain}, in {outside['periods']} periods; intervals of {confidence}"


def _more(gain: float, currency: str) -> str:
    word = "less" if gain < 0 else "more"
    return f"{unsigned_amount(abs(gain), currency)} {word} than {_AS_IT_WAS}"


def _between(interval: list[float], currency: str) -> str:
    low, high = (signed_amount(bound, currency) for bound in interval)
    return f"{low} to {high}"


def _last_line(checks: tuple[Check, ...], *, is_simulated: bool) -> str:
    failed = next((check for check in checks if not check.holds), None)
    gain = next(check for check in checks if check.name == "gain")
    found = f"{'Evidence' if failed is None else 'No evidence'}{' on SIMULATED data' if is_simulated else ''}"
    return f"{found}: {(failed or gain).text}"
