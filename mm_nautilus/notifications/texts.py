"""The words of notifications: title and body of each, with currency, time in UTC, and whether data is simulated."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from mm_nautilus.notifications.events import Figures, SymbolFigures
from mm_nautilus.report.money import signed_amount, unsigned_amount
from mm_nautilus.system.moments import moment

_SIMULATED: Final = "SIMULATED market data"


def utc(ts_event: int) -> str:
    """Return a moment, nanoseconds since the epoch, as text."""
    return f"{moment(ts_event):%Y-%m-%d %H:%M:%S} UTC"


def length(seconds: float) -> str:
    """Return a length of time as text, such as ``1 day, 2:03:04`` or ``12.5 s``."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def title(run: str, words: str, *, is_simulated: bool) -> str:
    """Return a message's title."""
    return f"{run}: {words}{f' ({_SIMULATED})' if is_simulated else ''}"


def body(ts_event: int, *lines: str) -> str:
    """Return a message's text, which begins with its time."""
    return "\n".join([utc(ts_event), *lines])


def totals(figures: Figures | None, *, with_flat: bool = True) -> list[str]:
    """Return the lines of an account's totals since the first start, with or without the inventories that are zero."""
    if figures is None:
        return ["figures: none were published"]
    currency = figures.currency
    lines = [
        f"trading PnL in total, net of fees: {signed_amount(float(figures.trading_pnl), currency)}",
        f"equity: {unsigned_amount(float(figures.equity), currency)}",
        f"largest drawdown: {figures.max_drawdown_pct:.2f} % of the equity at the start",
    ]
    held = [each for each in figures.symbols if with_flat or Decimal(each.inventory.split()[0]) != 0]
    return [*lines, *(f"{each.symbol}: inventory {each.inventory}" for each in held)]


def period(base: Figures, now: Figures) -> list[str]:
    """Return the lines of what has happened between two moments."""
    before = {each.symbol: each for each in base.symbols}
    fills = sum(each.fills - _of(before, each).fills for each in now.symbols)
    trades = sum(each.trades - _of(before, each).trades for each in now.symbols)
    pnl = now.trading_pnl - base.trading_pnl
    lines = [
        f"since {utc(base.ts_event)}",
        f"trading PnL, net of fees: {signed_amount(float(pnl), now.currency)}",
        f"fees: {_fees(before, now.symbols)}",
        f"fills: {fills:,}, trades: {trades:,}",
    ]
    return [*lines, *totals(now)]


def _of(before: Mapping[str, SymbolFigures], each: SymbolFigures) -> SymbolFigures:
    return before.get(each.symbol, SymbolFigures(each.symbol, 0, 0, f"0 {_unit(each.fees)}", each.inventory))


def _unit(amount: str) -> str:
    return amount.partition(" ")[2]


def _fees(before: Mapping[str, SymbolFigures], symbols: Sequence[SymbolFigures]) -> str:
    """Return the fees of a period, one amount a currency: amounts of two are not added."""
    sums: dict[str, Decimal] = {}
    for each in symbols:
        change = Decimal(each.fees.split()[0]) - Decimal(_of(before, each).fees.split()[0])
        sums[_unit(each.fees)] = sums.get(_unit(each.fees), Decimal(0)) + change
    return ", ".join(unsigned_amount(float(amount), currency) for currency, amount in sums.items()) or "none"


def states(spent: Mapping[str, Mapping[str, float]], since_ns: int) -> list[str]:
    """Return the line of how long each symbol was halted and paused, seconds by symbol and state."""
    parts = [
        f"{symbol} halted {length(seconds.get('halted', 0))}, paused {length(seconds.get('paused', 0))}"
        for symbol, seconds in spent.items()
    ]
    return [f"since {utc(since_ns)}: {'; '.join(parts)}"]
