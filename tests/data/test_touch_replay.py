"""The touch with its sizes, followed through blocks of book changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.data.book_tops import replay_touches
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side

SECOND = 1_000_000_000
CLEAR = (Action.CLEAR, Side.NONE, 0, 0)


def add(side, price, lots):
    return Action.ADD, side, price, lots


def update(side, price, lots):
    return Action.UPDATE, side, price, lots


def delete(side, price):
    return Action.DELETE, side, price, 0


def block(*groups):
    """Return one block of groups, each a time and its rows."""
    rows = [
        (time, *row, Flag.LAST if index == len(changes) - 1 else 0)
        for time, changes in groups
        for index, row in enumerate(changes)
    ]
    time, action, side, price, lots, flags = np.array(rows, dtype=np.int64).T
    return DeltaBlock(time, time, action, side, price, lots, flags, time)


def table(replayed):
    touches = replayed.touches
    columns = (touches.ts_ns, touches.bid_ticks, touches.ask_ticks, touches.bid_lots, touches.ask_lots)
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]


FULL_BOOK = (0, [CLEAR, add(Side.BID, 99, 5), add(Side.BID, 98, 7), add(Side.ASK, 101, 3)])


def test_only_changes_of_the_touch_are_kept():
    groups = [
        FULL_BOOK,
        (1, [update(Side.BID, 98, 9)]),
        (2, [update(Side.BID, 99, 6)]),
        (3, [add(Side.ASK, 100, 4)]),
        (4, [delete(Side.BID, 99)]),
        (5, [update(Side.ASK, 100, 0)]),
    ]
    replayed = replay_touches([block(*groups)], 0, 10)
    assert table(replayed) == [
        (0, 99, 101, 5, 3),
        (2, 99, 101, 6, 3),
        (3, 99, 100, 6, 4),
        (4, 98, 100, 9, 4),
        (5, 98, 101, 9, 3),
    ]
    assert replayed.touches.end_ns == 10
    assert replayed.unsound_seconds == 0


def test_the_inside_of_a_group_is_not_looked_at():
    groups = [FULL_BOOK, (1, [delete(Side.BID, 99), add(Side.BID, 99, 5)])]
    assert table(replay_touches([block(*groups)], 0, 10)) == [(0, 99, 101, 5, 3)]


def test_a_snapshot_replaces_the_book():
    groups = [FULL_BOOK, (1, [CLEAR, add(Side.BID, 50, 1), add(Side.ASK, 51, 2)])]
    assert table(replay_touches([block(*groups)], 0, 10))[-1] == (1, 50, 51, 1, 2)


def test_of_groups_at_one_time_the_last_counts():
    groups = [FULL_BOOK, (1, [add(Side.BID, 100, 1)]), (1, [delete(Side.BID, 100)])]
    assert table(replay_touches([block(*groups)], 0, 10)) == [(0, 99, 101, 5, 3)]


def test_the_touch_at_the_start_gets_the_start_as_its_time():
    groups = [FULL_BOOK, (5, [add(Side.BID, 100, 1)]), (20, [delete(Side.BID, 100)])]
    assert table(replay_touches([block(*groups)], 10, 30)) == [(10, 100, 101, 1, 3), (20, 99, 101, 5, 3)]


def test_nothing_after_the_end_counts():
    groups = [FULL_BOOK, (5, [add(Side.BID, 100, 1)]), (6, [delete(Side.BID, 100)])]
    replayed = replay_touches([block(*groups)], 0, 5)
    assert table(replayed) == [(0, 99, 101, 5, 3), (5, 100, 101, 1, 3)]


def test_times_without_a_sound_book_are_counted_and_leave_no_row():
    groups = [
        FULL_BOOK,
        (1 * SECOND, [delete(Side.ASK, 101)]),
        (3 * SECOND, [add(Side.ASK, 102, 8)]),
        (4 * SECOND, [add(Side.BID, 102, 1)]),
        (5 * SECOND, [add(Side.BID, 103, 1)]),
    ]
    replayed = replay_touches([block(*groups)], 0, 10 * SECOND)
    assert table(replayed) == [(0, 99, 101, 5, 3), (3 * SECOND, 99, 102, 5, 8)]
    assert replayed.unsound_seconds == pytest.approx(2 + 6)


def test_time_before_the_first_sound_book_is_not_counted():
    groups = [(0, [CLEAR, add(Side.BID, 99, 5)]), (2 * SECOND, [add(Side.ASK, 101, 3)])]
    replayed = replay_touches([block(*groups)], 0, 4 * SECOND)
    assert (table(replayed), replayed.unsound_seconds) == ([(2 * SECOND, 99, 101, 5, 3)], 0)


@pytest.mark.parametrize("groups", [[], [(0, [CLEAR, add(Side.BID, 99, 5)])]])
def test_a_book_that_never_has_two_sides_is_refused(groups):
    with pytest.raises(CalibrationError, match="never has two sides"):
        replay_touches([block(*groups)] if groups else [], 0, 10)


def gaps(groups, start, end):
    touches = replay_touches([block(*groups)], start, end, gap_seconds=10).touches
    return [tuple(gap) for gap in touches.gaps.tolist()], touches


def test_a_gap_lasts_from_the_last_row_until_the_book_is_sound_again():
    deep = (5 * SECOND, [update(Side.BID, 98, 9)])
    clear = (80 * SECOND, [CLEAR, add(Side.BID, 99, 5)])
    sound = (82 * SECOND, [add(Side.ASK, 101, 3)])
    replayed = replay_touches([block(FULL_BOOK, deep, clear, sound)], 0, 90 * SECOND, gap_seconds=10)

    assert replayed.touches.gaps.tolist() == [[5 * SECOND, 82 * SECOND]]
    assert table(replayed) == [(0, 99, 101, 5, 3), (82 * SECOND, 99, 101, 5, 3)]
    assert (replayed.unsound_seconds, replayed.touches.seconds) == (0, 13)


def test_silences_as_long_as_allowed_are_no_gaps_and_neither_is_a_rebuilt_book():
    groups = [FULL_BOOK, (10 * SECOND, [CLEAR]), (20 * SECOND, FULL_BOOK[1])]
    replayed = replay_touches([block(*groups)], 0, 30 * SECOND, gap_seconds=10)

    assert len(replayed.touches.gaps) == 0
    assert replayed.unsound_seconds == 10


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 99, [(0, 50)]), (20, 99, [(20, 50)]), (50, 99, []), (0, 40, [(0, 40)]), (20, 40, [(20, 40)])],
)
def test_gaps_end_where_the_window_does(start, end, expected):
    groups = [FULL_BOOK, *((second * SECOND, [update(Side.BID, 99, second)]) for second in range(50, 100, 9))]

    found, touches = gaps(groups, start * SECOND, end * SECOND)

    assert found == [(begin * SECOND, stop * SECOND) for begin, stop in expected]
    assert int(touches.ts_ns[0]) == start * SECOND


def reference(groups, start, end):
    """Return the touches by sorting the whole book after every group."""
    book, by_time = {Side.BID: {}, Side.ASK: {}}, {}
    for time, changes in groups:
        if time > end:
            break
        for action, side, price, lots in changes:
            if action == Action.CLEAR:
                book = {Side.BID: {}, Side.ASK: {}}
            elif action == Action.DELETE or lots == 0:
                book[side].pop(price, None)
            else:
                book[side][price] = lots
        if book[Side.BID] and book[Side.ASK] and max(book[Side.BID]) < min(book[Side.ASK]):
            bid, ask = max(book[Side.BID]), min(book[Side.ASK])
            by_time[max(time, start)] = (bid, ask, book[Side.BID][bid], book[Side.ASK][ask])
    rows = []
    for time, touch in sorted(by_time.items()):
        if not rows or rows[-1][1:] != touch:
            rows.append((time, *touch))
    return rows


changes = st.one_of(
    st.just(CLEAR),
    st.tuples(
        st.sampled_from([Action.ADD, Action.UPDATE, Action.DELETE]),
        st.just(Side.BID),
        st.integers(1, 12),
        st.integers(0, 3),
    ),
    st.tuples(
        st.sampled_from([Action.ADD, Action.UPDATE, Action.DELETE]),
        st.just(Side.ASK),
        st.integers(9, 20),
        st.integers(0, 3),
    ),
)
streams = st.lists(st.tuples(st.integers(0, 3), st.lists(changes, min_size=1, max_size=4)), max_size=40)


@given(streams, st.integers(0, 30), st.integers(0, 60), st.data())
def test_any_stream_gives_the_touches_of_a_book_that_is_sorted_anew(stream, start, length, data):
    time, groups = 0, [FULL_BOOK]
    for step, rows in stream:
        time += step
        groups.append((time, rows))
    whole = block(*groups)
    cut = data.draw(st.integers(0, len(whole)))
    blocks = [whole.slice(0, cut), whole.slice(cut, len(whole))]
    assert table(replay_touches(blocks, start, start + length)) == reference(groups, start, start + length)


def test_the_touch_stays_right_when_many_prices_have_passed():
    """Enough for the heap of prices to be rebuilt several times."""
    groups = [FULL_BOOK]
    for price in range(1, 10_000):
        groups.append((price, [add(Side.ASK, 200 + price, 1)]))
        groups.append((price, [delete(Side.ASK, 200 + price)]))
    groups.append((20_000, [add(Side.ASK, 100, 1)]))
    assert table(replay_touches([block(*groups)], 0, 30_000)) == [
        (0, 99, 101, 5, 3),
        (20_000, 99, 100, 5, 1),
    ]
