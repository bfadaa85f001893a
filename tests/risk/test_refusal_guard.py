import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.risk.refusals import RefusalGuard


@pytest.fixture
def guard():
    return RefusalGuard(3, window_ns=10, pause_ns=100, most_pauses=2)


def storm(guard: RefusalGuard, at: int) -> bool:
    return [guard.add(at + i) for i in range(4)][-1]


def test_one_more_within_the_window_pauses(guard):
    assert [guard.add(at) for at in (0, 3, 6, 9)] == [False, False, False, True]
    assert guard.is_paused(9)
    assert guard.is_paused(108)
    assert not guard.is_paused(109)
    assert guard.resume_at_ns == 109


def test_refusals_during_a_pause_are_not_counted(guard):
    storm(guard, 0)
    assert not any(guard.add(at) for at in range(4, 100))
    assert guard.resume_at_ns == 103


def test_storms_in_a_row_exhaust_the_pauses(guard):
    exhausted = []
    for at in (0, 110, 220):
        storm(guard, at)
        exhausted.append(guard.is_exhausted)
    assert exhausted == [False, False, True]


def test_a_storm_long_after_the_last_pause_begins_a_new_row(guard):
    storm(guard, 0)
    storm(guard, 103 + 101)
    assert guard.pauses == 1


@pytest.mark.parametrize(("at", "pauses"), [(103 + 97, 2), (103 + 98, 1)])
def test_a_row_is_continued_up_to_a_pause_after_the_pause(guard, at, pauses):
    storm(guard, 0)
    storm(guard, at)
    assert guard.pauses == pauses


def test_a_reset_forgets_everything(guard):
    for at in (0, 110, 220):
        storm(guard, at)
    guard.reset()
    assert not guard.is_exhausted
    assert not guard.is_paused(221)
    assert not guard.add(222)


@pytest.mark.parametrize(("most", "most_pauses"), [(None, 0), (3, None)], ids=["no storm", "no end"])
def test_null_switches_storms_or_their_end_off(most, most_pauses):
    guard = RefusalGuard(most, window_ns=10, pause_ns=100, most_pauses=most_pauses)
    for at in range(0, 5000, 110):
        storm(guard, at)
    assert not guard.is_exhausted
    assert (guard.pauses > 0) == (most is not None)


@given(st.lists(st.integers(0, 30), max_size=80), st.integers(1, 5), st.integers(1, 40))
def test_a_pause_begins_exactly_where_the_window_holds_too_many(gaps, most, window_ns):
    guard = RefusalGuard(most, window_ns=window_ns, pause_ns=50, most_pauses=None)
    counted: list[int] = []
    now = 0
    for gap in gaps:
        now += gap
        was_paused = guard.is_paused(now)
        begins = guard.add(now)
        if was_paused:
            assert not begins
            continue
        counted.append(now)
        assert begins == (sum(now - at < window_ns for at in counted) > most)
        if begins:
            counted.clear()
