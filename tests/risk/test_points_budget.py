"""What a budget of a venue's points sends, what it keeps, and what waiting cost."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.points_budget import URGENT, PointsBudget, PointsWait, requote_worth, waits_summary
from mm_nautilus.risk.rate_limit import Command, action_rules, kraken_rules
from mm_nautilus.system.moments import SECOND_NS

RULES = [*map(kraken_rules, ("starter", "intermediate", "pro")), action_rules(5, 1.0)]
AMEND, ADD, CANCEL = (Command.AMEND,), (Command.ADD,), Command.CANCEL


def _quoting(spent: int = 0, age_seconds: float = 0.0) -> tuple[PointsBudget, int]:
    """Return a starter's budget with two orders of an age, so many more points spent, and the time."""
    budget, now_ns = PointsBudget(kraken_rules("starter")), round(age_seconds * SECOND_NS)
    for order_id in ("bid", "ask"):
        assert budget.take(Command.ADD, order_id, 0)
    for _ in range(spent):
        assert budget.take(Command.ADD, "exit", now_ns, rests=False)
    return budget, now_ns


@pytest.mark.parametrize(
    ("working", "is_bid", "worth"),
    [
        (None, True, URGENT),
        (Quote(104, 5), True, 0.5),
        (Quote(96, 5), True, 0.125),
        (Quote(104, 5), False, 0.125),
        (Quote(96, 5), False, 0.5),
        (Quote(100, 1), True, 0.8),
        (Quote(104, 4), True, 0.5),
    ],
)
def test_worth_is_the_distance_in_half_widths_or_the_size_that_is_wrong(
    working: Quote | None, is_bid: bool, worth: float
) -> None:
    """The target stands eight ticks from the mid; what is too near counts four times what is too far."""
    mid = 108 if is_bid else 92
    assert requote_worth(working, Quote(100, 5), mid - 1, mid + 1, is_bid=is_bid) == worth


def test_a_spread_wider_than_the_quote_is_the_unit() -> None:
    assert requote_worth(Quote(104, 5), Quote(100, 5), 92, 108, is_bid=True) == 0.25


def test_the_hurdle_rises_with_what_is_spent() -> None:
    def least_worth(spent: int) -> float:
        budget, now_ns = _quoting(spent, age_seconds=20)
        worths = (number / 100 for number in range(10_000))
        return next(w for w in worths if budget.try_again_ns(AMEND, "bid", w, kept=0, now_ns=now_ns) is None)

    hurdles = [least_worth(spent) for spent in (0, 10, 20, 30, 40)]
    assert hurdles[0] == 0.0
    assert hurdles == sorted(set(hurdles))


def test_an_old_order_is_amended_before_a_young_one() -> None:
    budget, _ = _quoting(20, age_seconds=16)
    assert budget.take(Command.AMEND, "ask", 16 * SECOND_NS)
    asked = {
        order_id: budget.try_again_ns(AMEND, order_id, 2.0, kept=0, now_ns=17 * SECOND_NS)
        for order_id in ("bid", "ask")
    }
    assert asked["bid"] is None
    assert asked["ask"] is not None


@given(
    rules=st.sampled_from(RULES),
    steps=st.lists(
        st.tuples(
            st.integers(0, 20 * SECOND_NS), st.sampled_from(["bid", "ask"]), st.floats(0, 50), st.booleans()
        ),
        max_size=60,
    ),
)
def test_every_order_can_be_cancelled_and_the_position_closed_at_any_time(rules, steps) -> None:  # type: ignore[no-untyped-def]
    """Whatever was sent before, and the moment named for another try is one at which it is sent."""
    budget, now_ns, live, numbers = PointsBudget(rules), 0, {}, itertools.count()
    for pause_ns, side, worth, is_cancelled in steps:
        now_ns += pause_ns
        if is_cancelled and side in live:
            assert budget.take(CANCEL, live[side], now_ns), "a cancel is always taken"
            budget.forget(live.pop(side))
        else:
            order_id, other_id = live.get(side), live.get("ask" if side == "bid" else "bid")
            command = AMEND if side in live else ADD
            wanted = worth if side in live else URGENT

            def ask(at_ns: int, order_id=order_id, other_id=other_id, command=command, wanted=wanted):  # type: ignore[no-untyped-def]
                kept = budget.share(other_id, at_ns)
                return budget.try_again_ns(command, order_id, wanted, kept=kept, now_ns=at_ns)

            for _ in range(20):
                until_ns = ask(now_ns)
                if until_ns is None:
                    break
                assert until_ns > now_ns
                now_ns = until_ns
            assert until_ns is None, "waiting ends"
            live.setdefault(side, next(numbers))
            assert budget.take(command[0], live[side], now_ns)
        needed = sum(budget.cost(CANCEL, order_id, now_ns) for order_id in live.values())
        assert budget.counter.points(now_ns) + needed + 1 <= rules.threshold + 1e-6


def test_waiting_counts_time_and_the_mean_distance() -> None:
    wait, none = PointsWait(), PointsWait()
    assert waits_summary([none]) == {"points_waits": 0, "points_wait_seconds": 0.0, "points_wait_bps": None}
    wait.hold(2.0, 0)
    wait.hold(5.0, 1 * SECOND_NS)
    wait.end(3 * SECOND_NS)
    wait.end(9 * SECOND_NS)
    wait.hold(0.0, 10 * SECOND_NS)
    wait.end(11 * SECOND_NS)
    assert waits_summary([wait, none]) == {
        "points_waits": 2,
        "points_wait_seconds": 4.0,
        "points_wait_bps": 3.0,
    }
