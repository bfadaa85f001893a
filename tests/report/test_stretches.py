"""Stretches of time: how long they are, and what days make of hours."""

from decimal import Decimal

import pytest

from mm_nautilus.report.stretches import HOUR_MINUTES, MINUTE_NS, Stretches, stretch_minutes


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [(0, 1), (599, 1), (600, 5), (3_599, 5), (3_600, 10), (10_799, 10), (10_800, 60), (1e7, 60)],
)
def test_a_longer_run_has_longer_stretches(seconds, minutes):
    assert stretch_minutes(seconds) == minutes


def test_days_are_sums_of_their_hours_and_a_day_without_any_is_nothing():
    hours = [22, 23, 24, 73]
    starts = [hour * HOUR_MINUTES * MINUTE_NS for hour in hours]
    amounts = [Decimal(text) for text in ("1.5", "-0.25", "3", "-7")]

    days = Stretches(HOUR_MINUTES, starts, amounts, {"XRP/USDT": amounts}, Decimal(2)).by_day()

    assert days.minutes == 24 * 60
    assert [start // (days.minutes * MINUTE_NS) for start in days.starts_ns] == [0, 1, 2, 3]
    assert days.total == days.pairs["XRP/USDT"] == [Decimal("1.25"), 3, 0, -7]
    assert days.before == 2
