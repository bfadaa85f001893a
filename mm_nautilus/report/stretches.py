"""Trading PnL by time: how much of a result came in each stretch of a run, of all pairs together and of each."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple, Self

from mm_nautilus.report.run_files import RunFiles, exact_amount, exact_amounts, times
from mm_nautilus.system.moments import nanoseconds

MINUTE_NS: Final = 60_000_000_000
HOUR_MINUTES: Final = 60
DAY_MINUTES: Final = 24 * HOUR_MINUTES
_LENGTHS: Final = ((10, 1), (60, 5), (180, 10))
"""Minutes of a run up to which its stretches have so many minutes; those of longer ones are hours."""


class Stretches(NamedTuple):
    """What a run made in each of its stretches, which begin at whole multiples of their length since midnight UTC.

    An amount is the change of the trading PnL, marked at mid, in the report currency. All of them, and `before`, add up
    to the result exactly.
    """

    minutes: int
    """Length of each; the first and the last are shorter where the run begins or ends within them."""
    starts_ns: Sequence[int]
    """Begin of each, nanoseconds since the epoch."""
    total: Sequence[Decimal]
    pairs: Mapping[str, Sequence[Decimal]]
    before: Decimal
    """What earlier sessions had made; 0 for a run that began anew."""

    def by_day(self) -> "Stretches":
        """Return the same in UTC days."""
        days = [start // (DAY_MINUTES * MINUTE_NS) for start in self.starts_ns]
        numbers = range(days[0], days[-1] + 1) if days else range(0)

        def summed(amounts: Sequence[Decimal]) -> list[Decimal]:
            return [
                sum((amount for own, amount in zip(days, amounts, strict=True) if own == day), Decimal(0))
                for day in numbers
            ]

        return Stretches(
            DAY_MINUTES,
            [day * DAY_MINUTES * MINUTE_NS for day in numbers],
            summed(self.total),
            {pair: summed(amounts) for pair, amounts in self.pairs.items()},
            self.before,
        )


def stretch_minutes(seconds: float) -> int:
    """Return the length of the stretches of a run of so many seconds: 1, 5 or 10 minutes, or an hour."""
    return next((minutes for most, minutes in _LENGTHS if seconds < 60 * most), HOUR_MINUTES)


def profit_by_stretch(files: RunFiles) -> Stretches | None:
    """Return a run's trading PnL by stretches of time, None where it was never known.

    A stretch ends with the last row of ``equity.parquet`` in it, the last one with the summary's figures. A DataError
    says that a table is missing or damaged.
    """
    summary = files.summary
    is_resumed = bool(summary.get("start", {}).get("is_resumed", False))
    end_ns = nanoseconds(datetime.fromisoformat(summary["period"]["end"]))
    table = files.table("equity", ["ts_event", "trading_pnl"])
    levels = _Levels.of(times(table).tolist(), table["trading_pnl"].to_pylist())
    if summary["equity"] is None or not levels.moments:
        return None
    minutes = stretch_minutes(summary["period"]["seconds"])
    width = minutes * MINUTE_NS
    first_ns = levels.moments[0]
    last_ns = max(first_ns, min(end_ns, levels.moments[-1]) - 1)  # an end at a whole hour begins no other
    numbers = range(first_ns // width, last_ns // width + 1)
    ends_ns = [levels.last_before((number + 1) * width) for number in numbers]

    def changes(own: _Levels, published: str) -> list[Decimal]:
        begin = own.at(first_ns) if is_resumed else Decimal(0)
        last = exact_amount(published)
        found = [begin, *map(own.at, ends_ns[:-1]), own.at(ends_ns[-1]) if last is None else last]
        return [later - earlier for earlier, later in pairwise(found)]

    pairs = {}
    for symbol, figures in summary["symbols"].items():
        rows = files.table("metrics", ["ts_event", "total_pnl_report"], symbol)
        own = _Levels.of(times(rows).tolist(), exact_amounts(rows, "total_pnl_report"))
        pairs[symbol] = changes(own, figures["exact"]["total_pnl_report"])
    total = changes(levels, summary["equity"]["exact"]["trading_pnl"])
    before = levels.at(first_ns) if is_resumed else Decimal(0)
    return Stretches(minutes, [number * width for number in numbers], total, pairs, before)


class _Levels(NamedTuple):
    """Amounts that hold from a moment on, 0 before the first."""

    moments: list[int]
    amounts: list[Decimal]

    @classmethod
    def of(cls, moments: Sequence[int], amounts: Sequence[Decimal | None]) -> Self:
        known = [row for row, amount in enumerate(amounts) if amount is not None]
        return cls([moments[row] for row in known], [amounts[row] or Decimal(0) for row in known])

    def at(self, ts_ns: int) -> Decimal:
        row = bisect_right(self.moments, ts_ns)
        return self.amounts[row - 1] if row else Decimal(0)

    def last_before(self, ts_ns: int) -> int:
        """Return the last moment before another, or the first there is."""
        return self.moments[max(0, bisect_left(self.moments, ts_ns) - 1)]
