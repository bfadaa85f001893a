"""The verdict of a search, and how often it is right: on noise, on strategies that earn anyway, on edges."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from mm_nautilus.search.statistics import stationary_bootstrap
from mm_nautilus.search.verdict import TestResults, TrainingResults, Verdict, judge


class Market(NamedTuple):
    """A made search: how PnL depends on the parameters, and the noise that trials share."""

    profit: float = 0.0
    """Mean PnL a period of every trial, in units of the noise of one."""
    edge: float = 0.0
    """What the best parameters add, at (0.3, 0.3); the configuration as it was is at (0.8, 0.8), where it is 0."""
    likeness: float = 0.3
    """How far apart parameters are whose PnL is still alike, a share of the range."""
    memory: float = 0.0
    """Correlation of a period with the one before."""
    has_jumps: bool = False
    """Whether one period in thirty moves five times as much."""
    trials: int = 40
    training: int = 200
    test: int = 120


def search(market: Market, seed: int) -> tuple[TrainingResults, TestResults]:
    """Return the results of a search that tries at random first and then near what did best, as samplers do."""
    random = np.random.default_rng(seed)
    # A smooth random function of the parameters a period: trials are the more alike, the nearer they are.
    waves, count = random.standard_normal((2, 60)) * math.sqrt(2.0) / market.likeness, 60
    phases = random.uniform(0.0, 2.0 * math.pi, count)
    periods = market.training + market.test
    own, common = (_noise(market, random, periods, width) for width in (count, 1))

    def results(points: np.ndarray) -> np.ndarray:
        shape = math.sqrt(2.0 / count) * np.cos(points @ waves + phases)
        hill = (1.0 - 2.0 * ((points - 0.3) ** 2).sum(axis=1)).clip(0.0)
        return common + own @ shape.T + market.profit + market.edge * hill

    points = random.random((market.trials // 3, 2))
    while len(points) < market.trials:
        means = results(points)[: market.training].mean(axis=0)
        near = points[random.choice(np.argsort(means)[-5:])] + random.normal(0.0, 0.1, 2)
        points = np.vstack([points, near.clip(0.0, 1.0) if random.random() < 0.8 else random.random(2)])
    found, baseline = results(points), results(np.array([[0.8, 0.8]]))[:, 0]
    winner = int(found[: market.training].mean(axis=0).argmax())
    training, test = slice(market.training), slice(market.training, None)
    return (
        TrainingResults(found[training], baseline[training], points, winner, market.trials),
        TestResults(found[test, winner], baseline[test]),
    )


def _noise(market: Market, random: np.random.Generator, periods: int, width: int) -> np.ndarray:
    noise = random.standard_normal((periods, width))
    if market.has_jumps:
        noise[random.random(periods) < 1 / 30] *= 5.0
    for step in range(1, periods if market.memory else 0):
        noise[step] = market.memory * noise[step - 1] + math.sqrt(1.0 - market.memory**2) * noise[step]
    return noise


def verdicts(market: Market, searches: int) -> list[Verdict]:
    return [judge(*search(market, seed), "USDT", seed=seed) for seed in range(searches)]


# -- How often it is right ----------------------------------------------------------------------------

NO_EDGE = {
    "noise": Market(),
    "a strategy that earns": Market(profit=0.3),
    "one that earns much, and trials that are alike": Market(profit=0.6, likeness=1.0),
    "one that earns, with jumps": Market(profit=0.4, has_jumps=True),
    "one that earns, with a memory": Market(profit=0.5, memory=0.4),
    "one that earns, few trials and little data": Market(profit=0.5, trials=6, training=40, test=30),
}


@pytest.mark.long
@pytest.mark.parametrize("market", NO_EDGE.values(), ids=NO_EDGE.keys())
def test_searches_without_an_edge_are_seldom_told_to_have_one(market):
    told = sum(verdict.is_evidence for verdict in verdicts(market, 60))
    assert told / 60 <= 0.05


@pytest.mark.long
def test_a_deflated_sharpe_ratio_of_the_pnl_itself_would_be_wrong_nearly_always():
    market = NO_EDGE["one that earns much, and trials that are alike"]
    wrong = 0
    for seed in range(40):
        trained, tested = search(market, seed)
        nothing = judge(
            replace(trained, baseline=np.zeros(market.training)),
            replace(tested, baseline=np.zeros(market.test)),
            "USDT",
        )
        wrong += nothing.figures["in_sample"]["deflated_sharpe_ratio"] > 0.95
    assert wrong > 30


@pytest.mark.long
@pytest.mark.parametrize(
    ("market", "least"),
    [
        (Market(edge=0.6), 0.85),
        (Market(edge=0.6, profit=0.3), 0.85),
        (Market(edge=0.3, profit=0.3), 0.45),
        (Market(edge=0.3, profit=0.3, training=400, test=320), 0.8),
    ],
    ids=["large", "large, of a strategy that earns", "small", "small, more data"],
)
def test_an_edge_is_found(market, least):
    told = sum(verdict.is_evidence for verdict in verdicts(market, 30))
    assert told / 30 >= least


@pytest.mark.long
def test_a_gain_that_still_loses_money_is_no_evidence():
    found = verdicts(Market(edge=0.6, profit=-0.8), 20)
    assert not any(verdict.is_evidence for verdict in found)
    assert sum("makes money" in verdict.lines[2] for verdict in found) == 20


# -- What it says -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> tuple[TrainingResults, TestResults]:
    """Return a search with a large edge."""
    return search(Market(edge=0.6, profit=0.2), seed=1)


def check(verdict: Verdict, name: str) -> Any:
    return next(check for check in verdict.checks if check.name == name)


def test_evidence_is_three_lines_with_its_figures(found):
    verdict = judge(*found, "USDT")
    assert verdict.is_evidence
    trained, tested = found
    own, gain = tested.winner.sum(), (tested.winner - tested.baseline).sum()
    inside, outside, last = verdict.lines
    assert inside.startswith(
        f"In sample: the best of 40 trials made +${trained.trials[:, trained.winner].sum():.2f}, "
    )
    assert f"{own:.2f}" in outside
    assert f"${gain:.2f} more than the configuration as it was" in outside
    bounds = stationary_bootstrap(tested.winner)
    assert f"(+${bounds.low:.2f} to +${bounds.high:.2f})" in outside
    assert last.startswith(
        "Evidence: the winner makes more PnL than the configuration as it was out of sample with a probability of "
    )
    assert last.endswith(", where 95.0 % are needed")
    assert all(check.holds for check in verdict.checks)


def test_lines_say_which_folds_and_that_data_is_simulated(found):
    trained, tested = found
    verdict = judge(trained, replace(tested, folds=3), "USDT", is_simulated=True)
    inside, outside, last = verdict.lines
    assert inside.startswith(
        "In sample: the best of the last of 3 folds, which had 40 trials together, made +$"
    )
    assert outside.startswith("Out of sample: the winners of the 3 folds made +$")
    assert last.startswith("Evidence on SIMULATED data: the winner makes more PnL than ")
    nothing = judge(trained, replace(tested, baseline=tested.winner), "USDT", is_simulated=True)
    assert nothing.lines[2].startswith("No evidence on SIMULATED data: ")


def test_every_condition_is_needed(found):
    trained, tested = found
    periods, columns = trained.trials.shape
    random = np.random.default_rng(3)
    spoilt = {
        "gain": (
            trained,
            replace(tested, baseline=tested.winner + random.normal(0.0, 0.1, len(tested.winner))),
        ),
        "pnl": (trained, TestResults(tested.winner - 2.0, tested.baseline - 2.0)),
        "luck": (
            replace(trained, baseline=trained.trials[:, trained.winner] - random.normal(0, 1, periods)),
            tested,
        ),
        "periods": (
            replace(trained, trials=trained.trials[:29], baseline=trained.baseline[:29]),
            tested,
        ),
    }
    for name, results in spoilt.items():
        verdict = judge(*results, "USDT")
        assert not verdict.is_evidence
        assert not check(verdict, name).holds
    # A winner with neighbours as bad as the configuration as it was, and trials of which another is best each time.
    alone = np.repeat(trained.baseline[:, None], columns, axis=1) + random.normal(
        0.0, 0.01, (periods, columns)
    )
    alone[:, trained.winner] = trained.trials[:, trained.winner]
    assert not check(judge(replace(trained, trials=alone), tested, "USDT"), "plateau").holds
    turns = (
        trained.baseline[:, None]
        + np.array([np.roll(np.eye(columns)[0], turn) for turn in range(periods)]) * 9
    )
    points = np.linspace(0.0, 1.0, columns)[:, None] * 9
    assert not check(
        judge(replace(trained, trials=turns, points=points), tested, "USDT"), "overfitting"
    ).holds


def test_a_plateau_that_compares_nothing_says_why(found):
    trained, tested = found
    alone = replace(trained, points=np.arange(trained.trials.shape[1])[:, None] * 0.3)
    no_gain = replace(trained, baseline=trained.trials[:, trained.winner] + 0.01)
    for changed, lack in (
        (alone, "too few neighbours to compare it with"),
        (no_gain, "no gain in sample to compare"),
    ):
        verdict = judge(changed, tested, "USDT")
        assert check(verdict, "plateau") == ("plateau", True, f"the winner has {lack}")
        assert verdict.figures["in_sample"]["neighbours_keep"] is None
        assert "neighbours" not in verdict.lines[0]


def test_every_trial_and_every_look_asks_for_more(found):
    trained, tested = found
    once, thrice = judge(trained, tested, "USDT"), judge(trained, replace(tested, looks=3), "USDT")
    assert "98.3 % are needed" in check(thrice, "gain").text
    assert (
        thrice.figures["out_of_sample"]["gain_interval"][0]
        < once.figures["out_of_sample"]["gain_interval"][0]
    )
    more = judge(replace(trained, count=4_000), tested, "USDT")
    assert (
        more.figures["in_sample"]["deflated_sharpe_ratio"]
        < once.figures["in_sample"]["deflated_sharpe_ratio"]
    )
    assert "of 4000 trials" in more.lines[0]


def test_a_search_that_only_found_the_configuration_as_it_was_found_nothing(found):
    trained, tested = found
    verdict = judge(
        TrainingResults(trained.baseline[:, None], trained.baseline, np.zeros((1, 2)), 0, 1),
        replace(tested, winner=tested.baseline),
        "USDT",
    )
    assert not verdict.is_evidence
    assert "made" in verdict.lines[0]
    assert "$0.00 more than the configuration as it was" in verdict.lines[1]
    assert verdict.lines[2] == (
        "No evidence: the winner makes more PnL than the configuration as it was out of sample with a probability "
        "of 50.0 %, where 95.0 % are needed"
    )
    assert verdict.figures["in_sample"]["neighbours_keep"] is None


def test_results_that_do_not_belong_together_are_refused(found):
    trained, tested = found
    for changed, message in (
        ({"baseline": trained.baseline[:-1]}, "one baseline result a period"),
        ({"points": trained.points[:-1]}, "one point a trial"),
        ({"count": 39}, "count must be at least 40"),
    ):
        with pytest.raises(ValueError, match=message):
            judge(replace(trained, **changed), tested, "USDT")
    with pytest.raises(ValueError, match="the same periods"):
        judge(trained, replace(tested, baseline=tested.baseline[:-1]), "USDT")
    with pytest.raises(ValueError, match="looks at least 1"):
        judge(trained, replace(tested, looks=0), "USDT")
