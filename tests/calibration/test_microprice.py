import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_market import SYMBOLS, needs_recordings, recorded_market

from mm_nautilus.calibration.figures import MicropriceFigures
from mm_nautilus.calibration.microprice import LEAST_OBSERVATIONS, estimate_microprice, microprice_adjustment
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.errors import CalibrationError


def touches_from(imbalance, moves_ticks, spread_ticks=None):
    """A touch that changes once a second: its bid share of 1000 lots, its spread, and the moves of the mid."""
    imbalance = np.asarray(imbalance, dtype=float)
    spread = np.ones(len(imbalance), dtype=np.int64) if spread_ticks is None else np.asarray(spread_ticks)
    twice_mid = 2_000_001 + np.concatenate([[0], np.cumsum(2 * np.asarray(moves_ticks)).astype(np.int64)])
    bid = (twice_mid - spread) // 2
    lots = np.rint(1000 * imbalance).astype(np.int64)
    ts_ns = np.arange(len(imbalance)) * 1_000_000_000
    return TouchSeries(ts_ns, bid, bid + spread, lots, 1000 - lots, int(ts_ns[-1]) + 1)


def two_sided_chain(steps, flip, move, seed=1):
    """A heavy side that flips quietly, or pushes the mid a tick its way and is light after that."""
    random = np.random.default_rng(seed).random(steps)
    heavy_bid, imbalance, moves = True, [0.9], []
    for draw in random:
        moves.append((1 if heavy_bid else -1) if draw < move else 0)
        heavy_bid = heavy_bid != (draw < move + flip)
        imbalance.append(0.9 if heavy_bid else 0.1)
    return touches_from(imbalance, moves)


def paper_series(touches, rows, buckets, terms=4000):
    """G* as the paper sums it: Q, R and T of the steps and their mirror images, G1, B and the powers of B."""
    spread = touches.ask_ticks - touches.bid_ticks
    row = np.array(
        [max(i for i, least in enumerate(rows) if least <= max(width, rows[0])) for width in spread]
    )
    share = touches.bid_lots / (touches.bid_lots + touches.ask_lots)
    bucket = np.minimum((share * buckets).astype(int), buckets - 1)
    moves = np.diff(touches.mid_ticks)
    size = len(rows) * buckets
    kinds = sorted(set(moves[moves != 0]) | set(-moves[moves != 0]))
    quiet, moving, sizes = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, len(kinds)))
    for step, move in enumerate(moves):
        for sign in (1, -1):
            ends = [
                row[at] * buckets + (bucket[at] if sign == 1 else buckets - 1 - bucket[at])
                for at in (step, step + 1)
            ]
            (quiet if move == 0 else moving)[ends[0], ends[1]] += 1
            if move:
                sizes[ends[0], kinds.index(sign * move)] += 1
    seen = (quiet + moving).sum(axis=1, keepdims=True)
    inverse = np.linalg.inv(np.eye(size) - quiet / seen)
    first = inverse @ (sizes / seen) @ np.array(kinds)
    onward = inverse @ (moving / seen)
    total, term = np.zeros(size), first
    for _ in range(terms):
        total, term = total + term, onward @ term
    assert np.abs(term).max() < 1e-9
    return total.reshape(len(rows), buckets)


# -- Chains with a known micro-price ------------------------------------------------------------------


def test_a_chain_of_two_states_has_the_micro_price_of_its_counts():
    touches = two_sided_chain(600, flip=0.3, move=0.2)
    moved = int((np.diff(touches.mid_ticks) != 0).sum())
    changed = int((np.diff(touches.bid_lots) != 0).sum())

    table = estimate_microprice(touches, imbalance_buckets=2)

    # g = m (1 - g) - f g + (1 - m - f) g with m moves and f quiet flips: g = m / (2 (m + f)).
    expected = moved / (2 * changed)
    assert table.spread_ticks == [1]
    assert table.adjustment_ticks[0] == pytest.approx([-expected, expected], rel=1e-12)
    assert np.sum(table.observations) == 600


@pytest.mark.parametrize(("flip", "move"), [(0.3, 0.2), (0.05, 0.02), (0.0, 0.5)])
def test_a_known_micro_price_is_found_and_lies_within_the_touch(flip, move):
    table = estimate_microprice(two_sided_chain(20_000, flip, move), imbalance_buckets=2)

    adjustment = table.adjustment_ticks[0][1]
    assert adjustment == pytest.approx(move / (2 * (move + flip)), abs=0.02)
    # The mid goes a tick and the heavy side is gone: fair is at most the half spread away.
    assert adjustment <= 0.5 + 1e-12


def test_the_adjustment_is_where_the_mid_ends_up():
    # Imbalance walks between five states; at the ends the mid may step that way and the walk starts over.
    random = np.random.default_rng(5)

    def step(state):
        if state in {0, 4} and random.random() < 0.5:
            return 2, (1 if state == 4 else -1)
        return int(np.clip(state + random.choice([-1, 1]), 0, 4)), 0

    state, states, moves = 2, [2], []
    for _ in range(40_000):
        state, move = step(state)
        states.append(state)
        moves.append(move)
    table = estimate_microprice(touches_from(0.1 + 0.2 * np.array(states), moves), imbalance_buckets=5)

    # At an end: half a tick for the move, after which the middle is fair, a quarter to stay and a quarter to go
    # back. In between fair is the mean of the neighbours.
    ends = 0.5 / (1 - 0.25 - 0.25 / 2)
    assert table.adjustment_ticks[0] == pytest.approx([-ends, -ends / 2, 0.0, ends / 2, ends], abs=0.03)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), buckets=st.integers(2, 5))
def test_the_solution_is_the_papers_sum(seed, buckets):
    random = np.random.default_rng(seed)
    imbalance = np.clip(np.abs((np.cumsum(random.normal(0, 0.2, 3001)) + 0.5) % 2 - 1), 0.001, 0.999)
    moves = np.where(random.random(3000) < np.abs(imbalance[:-1] - 0.5), np.sign(imbalance[:-1] - 0.5), 0.0)
    moves *= random.integers(1, 4, 3000)
    touches = touches_from(imbalance, moves, np.repeat(random.choice([1, 3, 5], 31), 100)[:3001])

    table = estimate_microprice(touches, imbalance_buckets=buckets)

    assert np.array(table.adjustment_ticks) == pytest.approx(
        paper_series(touches, table.spread_ticks, buckets), abs=1e-6
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), buckets=st.integers(2, 6))
def test_the_table_is_odd_in_the_imbalance_whatever_the_data(seed, buckets):
    random = np.random.default_rng(seed)
    touches = touches_from(random.uniform(0.001, 0.999, 3000), random.integers(-2, 3, 2999))

    table = np.array(estimate_microprice(touches, imbalance_buckets=buckets).adjustment_ticks)

    assert table == pytest.approx(-table[:, ::-1], abs=1e-12)


def test_the_mirror_image_of_a_market_has_the_same_table():
    touches = two_sided_chain(2000, flip=0.2, move=0.1)
    moves = np.diff(touches.mid_ticks)
    mirrored = touches_from(1 - touches.bid_lots / 1000, -moves)

    assert np.array(estimate_microprice(mirrored, imbalance_buckets=2).adjustment_ticks) == pytest.approx(
        np.array(estimate_microprice(touches, imbalance_buckets=2).adjustment_ticks)
    )


# -- Spreads ------------------------------------------------------------------------------------------


def chain_with_spreads(spread_ticks, seed=2):
    touches = two_sided_chain(len(spread_ticks) - 1, flip=0.3, move=0.2, seed=seed)
    return touches_from(touches.bid_lots / 1000, np.diff(touches.mid_ticks), spread_ticks)


def test_spreads_seen_often_have_rows_of_their_own():
    spreads = np.repeat([1, 3, 5] * 4, 150)

    table = estimate_microprice(chain_with_spreads(spreads), imbalance_buckets=2)

    assert table.spread_ticks == [1, 3, 5]
    assert [sum(row) for row in table.observations] == [600, 600, 599]


def test_rare_spreads_share_a_row():
    spreads = np.concatenate(
        [np.full(1000, 1), np.full(60, 3), np.full(70, 5), np.full(20, 9), np.full(850, 1)]
    )

    table = estimate_microprice(chain_with_spreads(spreads), imbalance_buckets=2)

    assert table.spread_ticks == [1, 3]
    assert sum(table.observations[1]) == 150


def test_wide_spreads_that_are_too_rare_even_together_join_the_row_below():
    spreads = np.concatenate([np.full(1000, 1), np.full(40, 3), np.full(40, 301), np.full(920, 1)])

    table = estimate_microprice(chain_with_spreads(spreads), imbalance_buckets=2)

    assert table.spread_ticks == [1]
    assert np.sum(table.observations) == 1999


def test_no_row_begins_beyond_the_widest_spread_allowed():
    spreads = np.repeat([1, 3, 5, 7], 300)

    table = estimate_microprice(chain_with_spreads(spreads), imbalance_buckets=2, most_spread_ticks=4)

    assert table.spread_ticks == [1, 3]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), scale=st.floats(0.5, 30))
def test_every_state_was_seen_often_enough(seed, scale):
    random = np.random.default_rng(seed)
    spreads = 1 + 2 * np.floor(random.exponential(scale, 3000)).astype(np.int64)
    touches = touches_from(random.uniform(0.001, 0.999, 3000), random.integers(-1, 2, 2999), spreads)

    seen = np.array(estimate_microprice(touches, imbalance_buckets=4).observations)

    assert (seen + seen[:, ::-1]).min() >= LEAST_OBSERVATIONS
    assert seen.sum() == 2999


# -- The adjustment -----------------------------------------------------------------------------------

TABLE = MicropriceFigures(
    imbalance_buckets=4,
    spread_ticks=[1, 3],
    adjustment_ticks=[[-0.4, -0.1, 0.1, 0.4], [-1.2, -0.3, 0.3, 1.2]],
    observations=[[100] * 4, [100] * 4],
)


@pytest.mark.parametrize(
    ("spread_ticks", "imbalance", "adjustment"),
    [
        (1, 0.0, -0.4),
        (1, 0.2499, -0.4),
        (1, 0.25, -0.1),
        (1, 0.5, 0.0),
        (1, 0.5001, 0.1),
        (1, 1.0, 0.4),
        (2, 1.0, 0.4),
        (3, 1.0, 1.2),
        (400, 0.3, -0.3),
        (0, 0.3, -0.1),
    ],
)
def test_the_adjustment_is_looked_up_by_bucket_and_nearest_smaller_spread(
    spread_ticks, imbalance, adjustment
):
    assert microprice_adjustment(TABLE, spread_ticks, imbalance) == adjustment


@given(imbalance=st.floats(0, 1).filter(lambda value: (4 * value) % 1 != 0), spread=st.integers(1, 9))
def test_the_adjustment_turns_with_the_book(imbalance, spread):
    if (4 * (1 - imbalance)) % 1 == 0:  # The mirror image is rounded onto a bucket's border.
        return

    assert microprice_adjustment(TABLE, spread, 1 - imbalance) == -microprice_adjustment(
        TABLE, spread, imbalance
    )


@pytest.mark.parametrize("imbalance", [-0.01, 1.01, float("nan")])
def test_an_imbalance_that_is_none_is_refused(imbalance):
    with pytest.raises(ValueError, match=r"imbalance must be between 0 and 1, was "):
        microprice_adjustment(TABLE, 1, imbalance)


# -- What is refused ----------------------------------------------------------------------------------


def test_a_bucket_seen_too_rarely_is_refused_in_words():
    touches = two_sided_chain(2000, flip=0.3, move=0.2)

    with pytest.raises(
        CalibrationError, match=r"bucket 3 of 10 and its mirror image were seen 0 times in 2,000 changes"
    ):
        estimate_microprice(touches)


def test_a_short_window_is_refused_in_words():
    with pytest.raises(CalibrationError, match=r"bucket 1 of 2 .* were seen 99 times in 99 changes"):
        estimate_microprice(two_sided_chain(99, flip=0.3, move=0.2), imbalance_buckets=2)


def test_a_single_touch_is_refused_in_words():
    with pytest.raises(CalibrationError, match="0 times in 0 changes"):
        estimate_microprice(touches_from([0.5], []))


def test_a_mid_that_never_moves_is_refused_in_words():
    touches = touches_from(np.tile([0.2, 0.8], 500), np.zeros(999))

    with pytest.raises(CalibrationError, match="needs a mid that moves, but it stood over 999 changes"):
        estimate_microprice(touches, imbalance_buckets=2)


@pytest.mark.parametrize("turns", [0, 3])
def test_a_side_that_stays_heavy_is_refused_in_words(turns):
    imbalance = np.full(1000, 0.9)
    for turn in range(turns):
        imbalance[300 * turn : 300 * turn + 150] = 0.1
    touches = touches_from(imbalance, np.tile([0, 0, 1], 333))

    with pytest.raises(
        CalibrationError, match=r"changes sides 100 times .* it did so about \d+ times in 999"
    ):
        estimate_microprice(touches, imbalance_buckets=2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"imbalance_buckets": 1}, "imbalance_buckets must be between 2 and 100, was 1"),
        ({"imbalance_buckets": 101}, "imbalance_buckets must be between 2 and 100, was 101"),
        ({"most_spread_ticks": 0}, "most_spread_ticks must be at least 1, was 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        estimate_microprice(two_sided_chain(500, 0.3, 0.2), **arguments)


# -- The recordings -----------------------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_adjustment_rises_with_the_imbalance_in_the_recordings(symbol):
    table = estimate_microprice(recorded_market(symbol)[0])

    for row in table.adjustment_ticks:
        assert (np.diff(row) > 0).all()


@needs_recordings
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_first_half_of_a_recording_predicts_the_second(symbol):
    touches, _ = recorded_market(symbol)
    half = len(touches) // 2

    def part(start, stop):
        columns = (getattr(touches, name)[start:stop] for name in TouchSeries.__slots__[:5])
        return TouchSeries(*columns, int(touches.ts_ns[stop - 1]))

    table, later = estimate_microprice(part(0, half)), part(half, len(touches))
    states = zip(
        (later.ask_ticks - later.bid_ticks).tolist(),
        (later.bid_lots / (later.bid_lots + later.ask_lots)).tolist(),
        strict=True,
    )
    adjustment = np.array([microprice_adjustment(table, *state) for state in states])

    moved = np.flatnonzero(np.diff(later.mid_ticks))
    waiting = np.arange(moved[-1] + 1)
    next_move = later.mid_ticks[moved[np.searchsorted(moved, waiting)] + 1] - later.mid_ticks[waiting]
    certain = np.abs(adjustment[waiting]) > np.median(np.abs(adjustment))
    assert (np.sign(next_move) == np.sign(adjustment[waiting]))[certain].mean() > 0.6
    for seconds in (1, 5):
        horizon_ns = later.ts_ns + seconds * 1_000_000_000
        known = horizon_ns <= later.end_ns
        change = (later.mid_at(horizon_ns) - later.mid_ticks)[known]
        assert ((change - adjustment[known]) ** 2).mean() < 0.97 * (change**2).mean()
