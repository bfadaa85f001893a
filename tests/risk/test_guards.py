import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.limits import (
    SECOND_NS,
    ActionBudget,
    BookGuard,
    DrawdownGuard,
    LineLimit,
    LogThrottle,
    touch_defect,
)

SOUND, MISSING, CROSSED = None, NotQuoting.NO_BOOK, NotQuoting.CROSSED_BOOK
DEFECTS = [MISSING, NotQuoting.ONE_SIDED_BOOK, CROSSED]


@pytest.fixture
def guard():
    return BookGuard(stale_after_ns=30 * SECOND_NS, resume_after_ns=SECOND_NS)


# -- The book's condition -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask", "condition"),
    [
        (99, 100, None),
        (100, 100, CROSSED),
        (101, 100, CROSSED),
        (None, 100, NotQuoting.ONE_SIDED_BOOK),
        (100, None, NotQuoting.ONE_SIDED_BOOK),
        (0, None, NotQuoting.ONE_SIDED_BOOK),
        (None, None, MISSING),
    ],
)
def test_condition_of_a_touch(bid, ask, condition):
    assert touch_defect(bid, ask) is condition


# -- Book guard ---------------------------------------------------------------------------------------


def test_a_book_that_never_came_is_missing_but_not_stale(guard):
    assert guard.reason(10**18) == "no book"
    assert not guard.is_stale(10**18)
    assert guard.last_event_ns is None


@pytest.mark.parametrize("at", [0, 100 * SECOND_NS])
def test_the_first_sound_book_is_quoted_on_at_once(guard, at):
    guard.on_event(0, MISSING)

    guard.on_event(at, SOUND)

    assert guard.reason(at) is None
    assert guard.touch_defect is SOUND


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_stops_quoting_and_the_book_recovers(guard, defect):
    guard.on_event(0, SOUND)
    guard.on_event(10, defect)
    during = guard.reason(10)
    guard.on_event(20, SOUND)

    assert during == defect.value
    assert guard.reason(20) == "book recovering"
    assert guard.reason(20 + SECOND_NS - 1) == "book recovering"
    assert guard.resume_at_ns == 20 + SECOND_NS
    assert guard.reason(20 + SECOND_NS) is None


def test_a_new_defect_begins_the_recovery_anew(guard):
    guard.on_event(0, SOUND)
    guard.on_event(1, CROSSED)
    guard.on_event(2, SOUND)
    guard.on_event(3, CROSSED)
    guard.on_event(SECOND_NS, SOUND)

    assert guard.reason(SECOND_NS + 2) == "book recovering"
    assert guard.reason(2 * SECOND_NS) is None


def test_sound_events_during_recovery_do_not_prolong_it(guard):
    guard.on_event(0, SOUND)
    guard.on_event(1, CROSSED)
    guard.on_event(2, SOUND)
    guard.on_event(SECOND_NS, SOUND)

    assert guard.reason(SECOND_NS + 2) is None


def test_silence_makes_a_book_stale_and_it_recovers(guard):
    guard.on_event(0, SOUND)

    before, after = guard.reason(30 * SECOND_NS - 1), guard.reason(30 * SECOND_NS)
    guard.on_event(31 * SECOND_NS, SOUND)

    assert (before, after) == (None, "stale book")
    assert guard.reason(31 * SECOND_NS) == "book recovering"
    assert guard.reason(32 * SECOND_NS) is None


def test_events_keep_a_book_fresh(guard):
    for second in range(100):
        guard.on_event(second * SECOND_NS, SOUND)

    assert guard.reason(100 * SECOND_NS) is None


def test_without_a_pause_quoting_resumes_at_once():
    guard = BookGuard(SECOND_NS, 0)
    guard.on_event(0, SOUND)
    guard.on_event(1, CROSSED)
    guard.on_event(2, SOUND)

    assert guard.reason(2) is None


@settings(max_examples=200)
@given(
    events=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from([SOUND, *DEFECTS])), min_size=1, max_size=25
    ),
    wait=st.integers(0, 15),
)
def test_book_guard_agrees_with_a_replay_of_its_rule(events, wait):
    """May quote: sound and fresh now, and all through the pause or since the first book."""
    guard, stale, resume = BookGuard(10, 5), 10, 5
    now, history = 0, []
    for gap, condition in events:
        now += gap
        guard.on_event(now, condition)
        history.append((now, condition))
    now += wait

    sound_since, started = None, False
    for index, (at, condition) in enumerate(history):
        silent = index > 0 and at - history[index - 1][0] >= stale
        if condition is not SOUND:
            sound_since = None
        elif sound_since is None or silent:
            sound_since = at if started else -math.inf
        started = started or condition is not MISSING
    fresh = now - history[-1][0] < stale
    expected = sound_since is not None and fresh and now >= sound_since + resume

    assert (guard.reason(now) is None) == expected


# -- Drawdown guard -----------------------------------------------------------------------------------


def test_drawdown_guard_fires_once_and_stays_halted():
    guard = DrawdownGuard(limit_pct=10.0)

    fired = [guard.update(pnl, 100.0) for pnl in (5.0, -4.9, -5.0, -50.0, 200.0)]

    assert fired == [False, False, True, False, False]
    assert guard.halted
    assert guard.max_drawdown_pct == 55.0
    assert guard.drawdown_pct == 0.0


def test_the_fall_is_measured_from_the_start_where_there_was_no_profit():
    guard = DrawdownGuard(limit_pct=10.0)

    assert guard.update(-10.0, 100.0)


def test_a_guard_without_limit_measures_and_never_fires():
    guard = DrawdownGuard(None)

    assert not guard.update(-1e9, 100.0)

    assert not guard.halted
    assert guard.max_drawdown_pct == 1e9


@pytest.mark.parametrize("capital", [0.0, -1.0])
def test_a_guard_without_capital_does_not_judge_but_remembers_the_best(capital):
    guard = DrawdownGuard(limit_pct=1.0)
    assert (guard.drawdown_pct, guard.max_drawdown_pct, guard.peak) == (0.0, 0.0, 0.0)

    assert not guard.update(50.0, capital)
    assert not guard.update(-1e9, capital)

    assert guard.max_drawdown_pct == 0.0
    assert guard.update(0.0, 100.0)


def test_a_small_capital_is_judged_like_any_other():
    assert DrawdownGuard(limit_pct=10.0).update(-0.00001, capital=0.0001)


def test_an_unknown_pnl_does_not_halt_or_spoil_the_peak():
    guard = DrawdownGuard(limit_pct=1.0)
    guard.update(3.0, 100.0)

    assert not guard.update(math.nan, 100.0)

    assert (guard.peak, guard.max_drawdown_pct) == (3.0, 0.0)
    assert guard.update(2.0, 100.0)


@settings(max_examples=100)
@given(pnls=st.lists(st.integers(-1000, 1000), min_size=1, max_size=30), limit=st.integers(1, 99))
def test_drawdown_is_the_largest_fall_from_a_peak(pnls, limit):
    guard = DrawdownGuard(float(limit))
    falls, peak = [], 0

    fired = [guard.update(float(pnl), 100.0) for pnl in pnls]

    for pnl in pnls:
        peak = max(peak, pnl)
        falls.append(peak - pnl)
    assert guard.max_drawdown_pct == max(falls)
    assert sum(fired) == (max(falls) >= limit) == guard.halted
    if guard.halted:
        assert fired.index(True) == next(i for i, fall in enumerate(falls) if fall >= limit)


# -- Action budget ------------------------------------------------------------------------------------


def test_budget_counts_a_sliding_second():
    budget = ActionBudget(2)
    budget.spend(0)
    budget.spend(500_000_000)

    assert not budget.allows(999_999_999)
    assert budget.next_ns == 1_000_000_000
    assert budget.allows(1_000_000_000)


def test_an_unused_budget_allows():
    budget = ActionBudget(1)

    assert budget.allows(0)
    assert budget.next_ns == 0


def test_actions_that_pass_the_cap_still_count():
    budget = ActionBudget(2)
    for at in (0, 1, 500):
        budget.spend(at)

    assert not budget.allows(SECOND_NS)
    assert budget.allows(SECOND_NS + 1)


@pytest.mark.parametrize("cap", [0, -1])
def test_a_budget_below_one_action_is_refused(cap):
    with pytest.raises(ValueError, match=f"max_per_second must be at least 1, was {cap}"):
        ActionBudget(cap)


@settings(max_examples=150)
@given(
    gaps=st.lists(st.one_of(st.integers(0, SECOND_NS // 4), st.just(SECOND_NS), st.just(0)), max_size=60),
    cap=st.integers(1, 6),
)
def test_budget_never_allows_more_in_any_second_and_wastes_nothing(gaps, cap):
    budget, now, spent = ActionBudget(cap), 0, []

    for gap in gaps:
        now += gap
        recent = [at for at in spent if now - at < SECOND_NS]
        assert budget.allows(now) == (len(recent) < cap)
        if budget.allows(now):
            budget.spend(now)
            spent.append(now)
        else:
            assert budget.next_ns > now
            assert budget.allows(budget.next_ns)

    windows = Counter({at: sum(at <= other < at + SECOND_NS for other in spent) for at in spent})
    assert all(count <= cap for count in windows.values())


# -- Age, recovery, spells ----------------------------------------------------------------------------


def test_age_of_the_feed(guard):
    assert guard.age_seconds(5) is None
    guard.on_event(SECOND_NS, SOUND)
    assert guard.age_seconds(3 * SECOND_NS) == 2.0
    assert guard.age_seconds(0) == 0.0, "a clock that was set back makes nothing younger than new"


def test_a_recovery_can_be_asked_for(guard):
    guard.on_event(0, SOUND)
    guard.recover(5 * SECOND_NS)
    assert guard.reason(6 * SECOND_NS - 1) == "book recovering"
    assert guard.reason(6 * SECOND_NS) is None


def test_a_recovery_does_not_shorten_one(guard):
    guard.on_event(0, CROSSED)
    guard.on_event(10, SOUND)
    guard.recover(5)
    assert guard.resume_at_ns == 10 + SECOND_NS


def test_a_rearmed_drawdown_measures_from_the_next_pnl():
    drawdown = DrawdownGuard(5.0)
    drawdown.update(10.0, 100.0)
    assert drawdown.update(4.0, 100.0)
    drawdown.rearm()
    assert not drawdown.update(4.0, 100.0)
    assert drawdown.drawdown_pct == 0.0
    assert not drawdown.update(-0.9, 100.0)
    assert drawdown.update(-1.0, 100.0)
    assert drawdown.max_drawdown_pct == 6.0


def test_a_spell_is_told_once():
    spell = LogThrottle(10)
    assert [spell.begins(at) for at in (0, 9, 18, 28, 29)] == [True, False, False, True, False]


def test_lines_beyond_the_limit_are_counted_and_told_with_the_next() -> None:
    limit = LineLimit(2, 60)
    told = [limit.take(text, at) for at, text in enumerate("abcde")]
    assert told == ["a", "b", None, None, None]
    assert limit.take("f", 61) == "f (earlier changes that were not logged: 3)"
    assert limit.take("g", 62) == "g"
    assert limit.take("h", 5) == "h", "a clock that was set back begins anew"
