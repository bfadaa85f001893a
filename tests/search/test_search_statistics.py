import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mm_nautilus.search.statistics import (
    Moments,
    Plateau,
    block_length,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    moments,
    plateau,
    probabilistic_sharpe_ratio,
    probability_of_overfitting,
    sharpe_ratio,
    stationary_bootstrap,
)

DAYS = 250
SKEWED = Moments(2.5 / math.sqrt(DAYS), -3.0, 10.0, 1250)
"""The worked example of "The deflated Sharpe ratio": five years of days, an annual Sharpe ratio of 2.5."""
VARIANCE = 0.5 / DAYS
"""The annual Sharpe ratios of its trials have a variance of 1/2."""

whole_numbers = st.integers(-3, 3).map(float)


# -- Sharpe ratios ------------------------------------------------------------------------------------


def test_deflated_sharpe_ratio_has_the_papers_worked_example():
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(SKEWED, 100, VARIANCE) == pytest.approx(0.9004, abs=1e-4)
    # Of 46 trials it would have been significant, and with normal returns of 88.
    assert deflated_sharpe_ratio(SKEWED, 46, VARIANCE) == pytest.approx(0.9505, abs=1e-4)
    normal = SKEWED._replace(skewness=0.0, kurtosis=3.0)
    assert deflated_sharpe_ratio(normal, 88, VARIANCE) == pytest.approx(0.9505, abs=1e-4)


def test_probabilistic_sharpe_ratio_has_the_papers_worked_example():
    # Two years of months of a hedge fund index, from "The Sharpe ratio efficient frontier".
    assert probabilistic_sharpe_ratio(Moments(0.458, 0.0, 3.0, 24)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe_ratio(Moments(0.458, -2.448, 10.164, 24)) == pytest.approx(0.913, abs=5e-4)


def test_moments_are_those_of_the_definition():
    found = moments([1.0, 2.0, 3.0, 10.0])
    deviations = np.array([-3.0, -2.0, -1.0, 6.0])
    spread = math.sqrt(50.0 / 4.0)
    assert found.sharpe == pytest.approx(4.0 / math.sqrt(50.0 / 3.0))
    assert found.skewness == pytest.approx((deviations**3).mean() / spread**3)
    assert found.kurtosis == pytest.approx((deviations**4).mean() / spread**4)
    assert found.periods == 4


def test_results_without_spread_are_zero_or_beyond_all_doubt():
    assert sharpe_ratio([0.0, 0.0, 0.0]) == 0.0
    assert probabilistic_sharpe_ratio(moments([0.0] * 9)) == 0.5
    assert probabilistic_sharpe_ratio(moments([0.1] * 9)) == 1.0
    assert probabilistic_sharpe_ratio(moments([-0.1] * 9)) == 0.0
    assert sharpe_ratio(np.array([[1.0, 0.0], [3.0, 0.0]])).tolist() == [pytest.approx(math.sqrt(2.0)), 0.0]


@pytest.mark.parametrize("results", [[1.0], [], [1.0, math.nan], [1.0, math.inf]])
def test_too_few_results_or_no_numbers_are_refused(results):
    for statistic in (sharpe_ratio, moments, block_length, stationary_bootstrap):
        with pytest.raises(ValueError, match="results must be finite"):
            statistic(results)


@given(
    st.lists(whole_numbers, min_size=3, max_size=40).filter(lambda values: len(set(values)) > 1),
    st.floats(1e-6, 1e6),
    st.floats(-1.0, 1.0),
)
def test_a_probabilistic_sharpe_ratio_knows_no_scale_and_falls_with_its_benchmark(results, scale, benchmark):
    found, scaled = moments(results), moments(np.array(results) * scale)
    value = probabilistic_sharpe_ratio(found, benchmark)
    assert probabilistic_sharpe_ratio(scaled, benchmark) == pytest.approx(value, abs=1e-6)
    assert 0.0 <= probabilistic_sharpe_ratio(found, benchmark + 0.1) <= value <= 1.0
    mirrored = moments(-np.array(results))
    assert probabilistic_sharpe_ratio(mirrored, -benchmark) == pytest.approx(1.0 - value, abs=1e-6)


@given(st.integers(1, 10_000), st.floats(0.0, 10.0))
def test_luck_grows_with_trials_and_their_spread(trials, variance):
    expected = expected_maximum_sharpe(trials, variance)
    assert expected >= 0.0
    assert expected_maximum_sharpe(trials + 1, variance) >= expected
    assert expected_maximum_sharpe(trials, 4.0 * variance) == pytest.approx(2.0 * expected)
    assert deflated_sharpe_ratio(SKEWED, trials, variance) <= probabilistic_sharpe_ratio(SKEWED)


def test_luck_is_the_mean_of_the_best_of_normal_numbers():
    best = np.random.default_rng(1).standard_normal((20_000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(50, 1.0) == pytest.approx(best, rel=0.02)
    assert expected_maximum_sharpe(1, 1.0) == 0.0


@pytest.mark.parametrize(("trials", "variance"), [(0, 1.0), (5, -1.0), (5, math.nan), (5, math.inf)])
def test_luck_of_no_trials_is_refused(trials, variance):
    with pytest.raises(ValueError, match="trials must be at least 1"):
        expected_maximum_sharpe(trials, variance)


# -- Overfitting --------------------------------------------------------------------------------------


def columns(*trials: str) -> np.ndarray:
    """Return results of trials, of which each period has + or - a whole number with some noise around it."""
    noise = np.resize([-0.5, 0.5, 0.0], len(trials[0]) * 3)
    return np.array(
        [np.repeat([float(level) for level in trial.split()], 3) for trial in trials]
    ).T + np.resize(noise, (len(trials[0].split()) * 3, 1))


def test_a_trial_that_is_best_in_every_half_is_not_overfitted():
    assert probability_of_overfitting(columns("2 2 2 2", "1 1 1 1", "0 0 0 0"), blocks=4) == 0.0


def test_a_trial_that_is_best_only_where_it_was_chosen_is_overfitted():
    # Of two blocks, whichever trial is better in one is worse in the other.
    assert probability_of_overfitting(columns("2 0", "0 2"), blocks=2) == 1.0


def test_a_made_matrix_has_its_known_share():
    # Two of the six halves choose a trial that is the last of the rest; in the four others all trials are equal.
    made = columns("1 1 -1 -1", "-1 -1 1 1", "0 0 0 0")
    assert probability_of_overfitting(made, blocks=4) == pytest.approx((2 * 1.0 + 4 * 0.5) / 6)
    # With its one good block the first is chosen and no better than the second in the rest; without it both are chosen.
    assert probability_of_overfitting(columns("1 0 0 0", "0 0 0 0"), blocks=4) == 0.5
    # The first half chooses a trial that is the last of the second, which chooses one that is the median of the first.
    assert probability_of_overfitting(columns("2 2", "1 1", "9 -9"), blocks=2) == (1.0 + 0.5) / 2


def test_trials_that_do_not_differ_are_a_coin_toss():
    assert probability_of_overfitting(np.repeat(columns("1 2 0 1"), 5, axis=1), blocks=4) == 0.5
    assert probability_of_overfitting(np.zeros((12, 3)), blocks=4) == 0.5


def test_noise_is_a_coin_toss_and_an_edge_is_not():
    random = np.random.default_rng(5)
    noise = random.standard_normal((240, 40))
    shares = [
        probability_of_overfitting(np.roll(noise, turn, axis=0)[:120], blocks=8) for turn in range(0, 240, 24)
    ]
    assert 0.3 < np.mean(shares) < 0.8
    noise[:, 7] += 0.5
    assert probability_of_overfitting(noise) < 0.01


@pytest.mark.parametrize(
    ("shape", "blocks", "message"),
    [((12, 1), 4, "two trials"), ((5, 3), 4, "six periods"), ((12, 3), 3, "even"), ((12, 3), 0, "even")],
)
def test_a_matrix_too_small_is_refused(shape, blocks, message):
    with pytest.raises(ValueError, match=message):
        probability_of_overfitting(np.ones(shape), blocks)


@settings(max_examples=60)
@given(st.data())
def test_overfitting_is_that_of_every_split_counted_by_hand(data):
    blocks, trials = data.draw(st.sampled_from([2, 4])), data.draw(st.integers(2, 4))
    periods = data.draw(st.integers(3 * blocks, 3 * blocks + 4))
    values = data.draw(arrays(np.float64, (periods, trials), elements=whole_numbers))
    edges = np.linspace(0, periods, blocks + 1).round().astype(int)
    parts = [values[first:last] for first, last in pairwise(edges)]
    shares = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = sharpe_ratio(np.concatenate([parts[part] for part in chosen]))
        outside = sharpe_ratio(np.concatenate([parts[part] for part in range(blocks) if part not in chosen]))
        inside, outside = inside.round(9), outside.round(9)
        share = []
        for best in np.flatnonzero(inside == inside.max()):
            ranks = (outside < outside[best]).sum() + 0.5 * (outside == outside[best]).sum() + 0.5
            logit = math.log(ranks / (trials + 1 - ranks))
            share.append(1.0 if logit < -1e-9 else 0.5 if logit < 1e-9 else 0.0)
        shares.append(np.mean(share))
    assert probability_of_overfitting(values, blocks) == pytest.approx(np.mean(shares))


# -- Bootstrap ----------------------------------------------------------------------------------------


def autoregressive(periods: int, memory: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(periods + 100)
    values = np.zeros_like(noise)
    for step in range(1, len(noise)):
        values[step] = memory * values[step - 1] + noise[step]
    return values[100:]


def test_blocks_are_as_long_as_the_memory_asks_for():
    lengths = [
        np.mean([block_length(autoregressive(2_000, memory, seed)) for seed in range(5)])
        for memory in (0, 0.5, 0.9)
    ]
    assert lengths[0] < 5.0 < lengths[1] < lengths[2]
    # The optimum of an autoregression of the first order (Politis and White 2004, equation 9, corrected).
    for memory, length in zip((0.5, 0.9), lengths[1:], strict=True):
        optimum = (2.0 * memory / (1.0 - memory**2)) ** (2.0 / 3.0) * 2_000 ** (1.0 / 3.0)
        assert length == pytest.approx(optimum, rel=0.35)


@given(st.lists(whole_numbers, min_size=2, max_size=60))
def test_blocks_are_between_one_period_and_a_third_of_all(results):
    assert 1.0 <= block_length(results) <= max(1.0, min(3.0 * math.sqrt(len(results)), len(results) / 3.0))


@settings(max_examples=25)
@given(st.lists(whole_numbers, min_size=2, max_size=40), st.integers(1, 5))
def test_an_interval_contains_its_sum_and_scales_with_it(results, scale):
    found = stationary_bootstrap(results, resamples=400)
    assert found.low <= found.total + 1e-9
    assert found.high >= found.total - 1e-9
    scaled = stationary_bootstrap(np.array(results) * scale, resamples=400)
    assert scaled[:3] == pytest.approx(tuple(scale * bound for bound in found[:3]))
    assert stationary_bootstrap(results, resamples=400) == found


def test_equal_results_leave_no_doubt():
    assert stationary_bootstrap([0.5] * 8)[:3] == (4.0, 4.0, 4.0)


def test_an_interval_is_as_wide_as_theory_has_it():
    memory, periods = 0.6, 1_500
    values = autoregressive(periods, memory, 3)
    found = stationary_bootstrap(values)
    # The variance of the mean of an autoregression is that of its noise by (1 - memory)^2 T.
    expected = 2.0 * 1.645 * math.sqrt(periods) / (1.0 - memory)
    assert found.high - found.low == pytest.approx(expected, rel=0.2)
    independent = stationary_bootstrap(values, mean_block=1.0)
    assert independent.high - independent.low == pytest.approx(
        2.0 * 1.645 * math.sqrt(periods) * values.std(), rel=0.05
    )


@pytest.mark.parametrize(("confidence", "mean_block"), [(0.0, 1.0), (1.0, 1.0), (0.9, 0.5), (0.9, math.nan)])
def test_a_bootstrap_without_sense_is_refused(confidence, mean_block):
    with pytest.raises(ValueError, match="confidence must be between 0 and 1"):
        stationary_bootstrap([1.0, 2.0], confidence=confidence, mean_block=mean_block)


# -- The neighbours of the best -----------------------------------------------------------------------


def test_neighbours_of_a_hill_keep_its_gain_and_those_of_a_spike_do_not():
    points = np.linspace(0.0, 1.0, 41)[:, None]
    hill = 1.0 - (points[:, 0] - 0.5) ** 2
    best = int(hill.argmax())
    found = plateau(points, hill, best, reference=0.75)
    assert found.neighbours == 8
    assert found.kept == pytest.approx(1.0 - 0.0625**2 / 0.25, abs=0.02)
    spike = np.where(np.arange(41) == best, 1.0, 0.1)
    assert plateau(points, spike, best, reference=0.0).kept == pytest.approx(0.1)


def test_neighbours_are_a_quarter_of_a_range_away_at_most():
    steps = np.linspace(0.0, 1.0, 5)  # a quarter apart
    points = [[x, y] for x in steps for y in steps]
    values = [2.0 - 4.0 * max(abs(x - 0.5), abs(y - 0.5)) for x, y in points]
    found = plateau(points, values, 12, reference=0.0)
    assert (found.neighbours, found.kept) == (8, pytest.approx(0.5))
    # Beyond a tenth it is the third nearest that says how far they are: none of those is one that is further.
    found = plateau([[0.5], [0.55], [0.35], [0.3], [0.74], [0.9]], [1.0, 0.8, 0.6, 0.4, 0.0, 0.0], 0, 0.0)
    assert (found.neighbours, found.kept) == (3, pytest.approx(0.6))


def test_neighbours_of_a_coarse_grid_that_are_further_tell_nothing():
    points = [[x, y] for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0)]
    values = [0.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 0.0]
    found = plateau(points, values, 4, reference=0.0)
    assert (found.neighbours, found.kept) == (0, None)
    # Two near ones are no three, and the third one is not brought in from afar.
    found = plateau([[0.0], [0.05], [0.1], [0.26], [1.0]], [1.0, 1.0, 1.0, 1.0, 1.0], 0, reference=0.0)
    assert (found.neighbours, found.kept) == (2, None)


def test_too_few_neighbours_or_no_gain_tell_nothing():
    assert plateau([[0.0], [0.0], [0.1]], [3.0, 3.0, 1.0], 0, reference=0.0) == Plateau(1, None)
    level = [1.0, 1.0, 1.0, 1.0]
    assert plateau([[0.0], [0.1], [0.2], [0.25]], level, 0, reference=1.0) == Plateau(3, None)
    with pytest.raises(ValueError, match="one point for each value"):
        plateau([[0.0]], [1.0, 2.0], 0, reference=0.0)
