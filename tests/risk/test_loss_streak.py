from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.risk.loss_streak import LossStreak


def test_the_limit_fires_once_it_is_reached_and_not_before():
    streak = LossStreak(3)
    assert [streak.add(order, Decimal(-1)) for order in "aabc"] == [False, False, False, True]


def test_without_a_limit_nothing_fires():
    assert not any(LossStreak(None).add(str(order), Decimal(-1)) for order in range(100))


def test_a_streak_goes_on_from_a_saved_length():
    streak = LossStreak(3)
    streak.reset(2)
    assert streak.add("a", Decimal(-1))


def test_a_reset_begins_anew():
    streak = LossStreak(3)
    for order in "ab":
        streak.add(order, Decimal(-1))
    streak.reset()
    assert not streak.add("b", Decimal(-1))
    assert streak.length == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), max_size=60))
def test_length_is_that_of_the_last_orders_that_did_not_win(results):
    """The streak is the number of losing orders after the last winning one, whatever order the parts come in."""
    streak = LossStreak(None)
    orders: list[tuple[int, int]] = []
    for order, pnl in results:
        streak.add(str(order), Decimal(pnl))
        if orders and orders[-1][0] == order:
            orders[-1] = (order, orders[-1][1] + pnl)
        else:
            orders.append((order, pnl))
    length = 0
    for _, pnl in orders:
        length = 0 if pnl > 0 else length + (pnl < 0)
    assert streak.length == length
