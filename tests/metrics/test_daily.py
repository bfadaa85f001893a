"""Results by UTC day: exact over restarts, whatever the clock does, and a year of them."""

import json
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.metrics.daily import DailyResults, DayResult

DAY_NS = 86_400_000_000_000
MIDNIGHT_NS = 20_786 * DAY_NS
"""2026-11-29, its first moment."""
CENT = Decimal("0.01")


def total(daily: DailyResults) -> Decimal:
    with localcontext(prec=400):
        return sum((day.trading_pnl for day in daily.days), daily.earlier.trading_pnl)


def again(daily: DailyResults) -> DailyResults:
    """Return what comes back after a restart."""
    restored = DailyResults()
    restored.restore(json.loads(json.dumps(daily.state())))
    return restored


def test_a_change_belongs_to_the_day_on_which_it_is_seen() -> None:
    daily = DailyResults()
    daily.add_account(MIDNIGHT_NS - 10, Decimal("1.25"))
    daily.add_account(MIDNIGHT_NS - 1, Decimal("1.00"))
    daily.add_account(MIDNIGHT_NS, Decimal("0.75"))
    daily.add_fill(MIDNIGHT_NS - 1, CENT, is_trade=False)
    daily.add_fill(MIDNIGHT_NS + 1, CENT, is_trade=True)
    daily.add_fill(MIDNIGHT_NS + 2, CENT, is_trade=False)
    assert daily.days == (
        DayResult("2026-11-28", Decimal("1.00"), CENT, 1, 0),
        DayResult("2026-11-29", Decimal("-0.25"), 2 * CENT, 2, 1),
    )
    assert daily.earlier == DayResult("")


def test_days_without_a_run_have_no_row_and_the_next_start_has_their_change() -> None:
    daily = DailyResults()
    daily.add_account(MIDNIGHT_NS, Decimal(3))
    daily = again(daily)
    daily.add_account(MIDNIGHT_NS + 4 * DAY_NS, Decimal(1))
    assert [(day.day, day.trading_pnl) for day in daily.days] == [("2026-11-29", 3), ("2026-12-03", -2)]


def test_a_clock_that_was_set_back_adds_to_the_day_it_says_and_the_order_stays() -> None:
    daily = DailyResults()
    for at_ns, pnl in ((MIDNIGHT_NS, 1), (MIDNIGHT_NS + 400 * DAY_NS, 3), (MIDNIGHT_NS + 9, 7)):
        daily.add_account(at_ns, Decimal(pnl))
        daily = again(daily)
    assert [(day.day, day.trading_pnl) for day in daily.days] == [("2026-11-29", 5), ("2028-01-03", 2)]


def test_a_fee_that_could_not_be_converted_leaves_its_day_without_a_sum() -> None:
    daily = DailyResults()
    for at_ns, fee in ((MIDNIGHT_NS, CENT), (MIDNIGHT_NS, None), (MIDNIGHT_NS + DAY_NS, CENT)):
        daily.add_fill(at_ns, fee, is_trade=False)
    assert [(day.fees, day.fills) for day in again(daily).days] == [(None, 2), (CENT, 1)]


def test_what_a_file_without_days_has_made_comes_before_them() -> None:
    daily = DailyResults()
    daily.begin_after(fills=7, trades=3)
    daily.add_fill(MIDNIGHT_NS, CENT, is_trade=True)  # before the first snapshot
    daily = again(daily)
    daily.add_account(MIDNIGHT_NS, Decimal("12.5"))
    daily = again(daily)
    daily.add_account(MIDNIGHT_NS + 1, Decimal("12.75"))
    assert daily.earlier == DayResult("", Decimal("12.5"), None, 7, 3)
    assert daily.days == (DayResult("2026-11-29", Decimal("0.25"), CENT, 1, 1),)


def test_a_year_of_days_is_kept_and_the_rest_as_one_sum() -> None:
    daily = DailyResults()
    for day in range(400):
        daily.add_fill(MIDNIGHT_NS + day * DAY_NS, CENT, is_trade=True)
        daily.add_account(MIDNIGHT_NS + day * DAY_NS, Decimal(day))
    assert (len(daily.days), daily.days[0].day) == (366, "2027-01-02")
    assert daily.earlier == DayResult("", Decimal(33), 34 * CENT, 34, 34)
    assert total(daily) == 399
    assert len(json.dumps(daily.state())) < 20_000


AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=18)


@pytest.mark.parametrize("divisor", [1, 3])
@given(steps=st.lists(st.tuples(st.integers(-400, 400), AMOUNTS), max_size=60))
def test_days_add_up_exactly_over_restarts(steps: list[tuple[int, Decimal]], divisor: int) -> None:
    daily, last = DailyResults(), Decimal(0)
    for day, amount in steps:
        last = amount / divisor
        daily.add_account(MIDNIGHT_NS + day * DAY_NS, last)
        daily = again(daily)
    assert total(daily) == last
    assert [day.day for day in daily.days] == sorted({day.day for day in daily.days})
