import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.not_quoting_stats import NotQuotingStats
from mm_nautilus.system.moments import SECOND_NS

COOLDOWN, HALTED = NotQuoting.COOLDOWN, NotQuoting.KILL_SWITCH
reasons = st.one_of(st.none(), st.sampled_from(NotQuoting))


def test_a_side_that_is_always_quoted_has_no_reasons():
    tally = NotQuotingStats()

    tally.set(None, 5)
    tally.close(10)

    assert tally.to_dict() == {}


def test_a_reason_counts_once_while_it_holds():
    tally = NotQuotingStats()
    for now in (10, 11, 12):
        tally.set(COOLDOWN, now * SECOND_NS)

    tally.set(None, 14 * SECOND_NS)
    tally.set(COOLDOWN, 20 * SECOND_NS)
    tally.set(HALTED, 21 * SECOND_NS)
    tally.close(31 * SECOND_NS)

    assert tally.to_dict() == {
        "cooldown": {"count": 2, "seconds": 5.0},
        "halted by the kill switch": {"count": 1, "seconds": 10.0},
    }


def test_a_reason_that_has_just_set_in_has_held_for_no_time():
    tally = NotQuotingStats()

    tally.set(HALTED, 5)

    assert tally.to_dict() == {"halted by the kill switch": {"count": 1, "seconds": 0.0}}


def test_reasons_are_ordered_by_name():
    tally = NotQuotingStats()
    for now, reason in enumerate((NotQuoting.WARMING_UP, NotQuoting.COOLDOWN, NotQuoting.KILL_SWITCH)):
        tally.set(reason, now)

    assert list(tally.to_dict()) == ["cooldown", "halted by the kill switch", "warming up"]


@pytest.mark.parametrize("closings", [[7], [7, 7], [3, 7]])
def test_closing_twice_counts_no_time_twice(closings):
    tally = NotQuotingStats()
    tally.set(HALTED, 0)

    for now in closings:
        tally.close(now * SECOND_NS)

    assert tally.to_dict() == {"halted by the kill switch": {"count": 1, "seconds": 7.0}}


def test_a_time_before_the_last_one_adds_nothing_and_is_not_counted_again():
    tally = NotQuotingStats()
    tally.set(HALTED, 0)
    tally.set(COOLDOWN, 10)

    tally.set(HALTED, 5)
    tally.close(10)

    assert tally.times_ns == {HALTED: 10, COOLDOWN: 0}


@settings(max_examples=150)
@given(steps=st.lists(st.tuples(st.integers(0, 100), reasons), min_size=1, max_size=30))
def test_times_of_all_reasons_and_of_quoting_add_up_to_the_time_elapsed(steps):
    tally, now, quoted, current = NotQuotingStats(), 0, 0, None
    sets = 0

    for gap, reason in steps:
        now += gap
        quoted += gap if current is None else 0
        sets += reason is not None and reason is not current
        tally.set(reason, now)
        current = reason
    tally.close(now)

    assert quoted + sum(tally.times_ns.values()) == now
    assert sum(tally.counts.values()) == sets


@settings(max_examples=100)
@given(steps=st.lists(st.tuples(st.integers(0, 100), reasons), min_size=1, max_size=30))
def test_times_never_exceed_the_span_whatever_the_order_of_events(steps):
    tally = NotQuotingStats()

    for now, reason in steps:
        tally.set(reason, now)
    tally.close(100)

    assert sum(tally.times_ns.values()) <= 100 - min(now for now, _ in steps)
    assert all(held >= 0 for held in tally.times_ns.values())
