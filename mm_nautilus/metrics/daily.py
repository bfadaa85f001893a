"""What trading made on each UTC day, over restarts: exact decimals in the report currency."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final

from mm_nautilus.system.moments import SECOND_NS, moment

_DAY_NS: Final = 86_400 * SECOND_NS
_MOST_DAYS: Final = 366
"""Days that are kept apart; earlier ones are kept as one sum."""
_EXACT: Final = Context(prec=200)
"""Adds amounts of a context's 28 digits without rounding, whatever their size."""
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class DayResult:
    """Results of one UTC day.

    Parameters
    ----------
    day
        Its date, such as ``2026-11-29``; empty for the sum of what was before the days that are kept.
    trading_pnl
        Change of the account's trading PnL between its last snapshots of the day before and of this day.
    fees
        Fees of the day's fills, each converted at the rates of its time; None if a rate was not known.
    fills, trades
        Executions, and those of them that reduced a position.
    """

    day: str
    trading_pnl: Decimal = _ZERO
    fees: Decimal | None = _ZERO
    fills: int = 0
    trades: int = 0

    def plus(self, other: "DayResult") -> "DayResult":
        """Return the sum of both under this one's date, exactly."""
        unknown = self.fees is None or other.fees is None
        return replace(
            self,
            trading_pnl=_EXACT.add(self.trading_pnl, other.trading_pnl),
            fees=None if unknown else _EXACT.add(self.fees or _ZERO, other.fees or _ZERO),
            fills=self.fills + other.fills,
            trades=self.trades + other.trades,
        )


_NOTHING: Final = DayResult("")


@dataclass(frozen=True, slots=True)
class DailyView:
    """Results by day at one moment: the days with a run, the last one last, and the sum of what was before them."""

    days: tuple[DayResult, ...] = ()
    earlier: DayResult = _NOTHING

    def last(self, most: int) -> "DailyView":
        """Return the last days, and the sum of all before."""
        days, earlier = self.days[-most:], self.earlier
        for day in self.days[:-most]:
            earlier = earlier.plus(day)
        return DailyView(days, earlier)


class DailyResults:
    """Results by UTC day, of the last year and before; together they are exactly the account's trading PnL.

    A change belongs to the day that the clock says when it is seen: one over a time without a run to the day of the
    next start.

    Attributes
    ----------
    earlier
        Sum of what was before the days that are kept.
    """

    def __init__(self) -> None:
        self.earlier = _NOTHING
        self._days: dict[str, DayResult] = {}
        self._texts: dict[str, str] = {}
        self._counted: Decimal | None = _ZERO

    @property
    def days(self) -> tuple[DayResult, ...]:
        """The days with a run, the last one last."""
        return tuple(self._days[day] for day in sorted(self._days))

    @property
    def view(self) -> DailyView:
        """The results as of now."""
        return DailyView(self.days, self.earlier)

    def add_fill(self, ts_ns: int, fee: Decimal | None, *, is_trade: bool) -> None:
        """Count an execution at a time in nanoseconds since the epoch, and its fee in the report currency."""
        self._add(ts_ns, DayResult("", fees=fee, fills=1, trades=int(is_trade)))

    def add_account(self, ts_ns: int, trading_pnl: Decimal) -> None:
        """Add what the account's trading PnL has changed by since the last call."""
        if self._counted is None:
            self.earlier = replace(self.earlier, trading_pnl=trading_pnl)
        else:
            self._add(ts_ns, DayResult("", trading_pnl=_EXACT.subtract(trading_pnl, self._counted)))
        self._counted = trading_pnl

    def _add(self, ts_ns: int, change: DayResult) -> None:
        day = _date(ts_ns // _DAY_NS)
        self._days[day] = self._days.get(day, DayResult(day)).plus(change)
        self._texts.pop(day, None)
        if len(self._days) > _MOST_DAYS:
            oldest = min(self._days)
            self.earlier = self.earlier.plus(self._days.pop(oldest))
            self._texts.pop(oldest, None)

    # -- Over restarts ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return plain values for `restore`.

        A day's text is kept until it changes: the state is written after every fill.
        """
        for day in self._days.keys() - self._texts.keys():
            self._texts[day] = _text(self._days[day])
        return {
            "trading_pnl": None if self._counted is None else str(self._counted),
            "earlier": _text(self.earlier),
            "days": [self._texts[day] for day in self._days],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        counted = state["trading_pnl"]
        self._counted = None if counted is None else Decimal(counted)
        self.earlier = _result(state["earlier"])
        self._days = {result.day: result for result in map(_result, state["days"])}
        self._texts.clear()

    def begin_after(self, fills: int, trades: int) -> None:
        """Begin after results of which no days are known; their trading PnL is that of the first snapshot."""
        self.earlier = DayResult("", fees=None if fills else _ZERO, fills=fills, trades=trades)
        self._counted = None


@lru_cache(maxsize=2)
def _date(day_number: int) -> str:
    return f"{moment(day_number * _DAY_NS):%Y-%m-%d}"


_NONE: Final = "-"


def _text(result: DayResult) -> str:
    fees = _NONE if result.fees is None else result.fees
    return f"{result.day or _NONE} {result.trading_pnl} {fees} {result.fills} {result.trades}"


def _result(text: str) -> DayResult:
    day, trading_pnl, fees, fills, trades = text.split()
    return DayResult(
        "" if day == _NONE else day,
        Decimal(trading_pnl),
        None if fees == _NONE else Decimal(fees),
        int(fills),
        int(trades),
    )
