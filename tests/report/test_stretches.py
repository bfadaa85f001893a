"""Stretches of time: how long they are, and what days make of hours."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.report.stretches import (
    HOUR_MINUTES,
    MINUTE_NS,
    Stretches,
    profit_by_stretch,
    stretch_minutes,
)


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


def test_what_a_run_made_at_its_last_moment_is_in_the_stretch_that_ends_there(tmp_path):
    moments = [datetime.fromtimestamp(second, UTC) for second in (0, 59, 120)]
    times = pa.array(moments, pa.timestamp("ns", tz="UTC"))
    equity = {"ts_event": times, "trading_pnl": [Decimal(0), Decimal(1), Decimal(3)]}
    metrics = {"ts_event": times, "symbol": ["A/B"] * 3, "total_pnl_report": ["0 B", "1 B", "3 B"]}
    for name, table in (("equity", equity), ("metrics", metrics)):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    summary = {
        "symbols": {"A/B": {"exact": {"total_pnl_report": "3 B"}}},
        "period": {"end": moments[-1].isoformat(), "seconds": 120},
        "equity": {"exact": {"trading_pnl": "3 B"}},
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "config.yaml").write_text("name: a\n")

    found = profit_by_stretch(RunFiles.read(tmp_path))

    assert found is not None
    assert list(found.starts_ns) == [0, MINUTE_NS]
    assert list(found.total) == list(found.pairs["A/B"]) == [1, 2]
