"""What to change after a run that lost by taking liquidity: entries at market, and exits that fire too early."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from mm_nautilus.checks.fees import locked_in_pct
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.report.attribution import turnover_of
from mm_nautilus.report.money import rounded_up, signed_amount
from mm_nautilus.report.places import exit_results
from mm_nautilus.report.run_facts import RunFacts
from mm_nautilus.system.plain_text import counted


def takes_liquidity(run: RunFacts) -> str | None:
    """Advise where a loss was made with entries that took liquidity."""
    found = [name for name, symbol in run.symbols.items() if symbol.takes_entries and symbol.figures["fills"]]
    if not found or run.trading_pnl is None or run.trading_pnl >= 0:
        return None
    return (
        f"entries of {', '.join(found)} pay the spread and the taker fee; strategy.entry_order=maker (now taker) waits "
        "in the book in place of that"
    )


def trailing_stop_in_fees(run: RunFacts) -> str | None:
    """Advise where a trailing stop locks in no more than a round trip's fees, and its trades lost."""
    trades, made = exit_results(run).get(ExitReason.TRAILING_STOP, (0, Decimal(0)))
    activation, distance = run.shared("trailing_stop_activation"), run.shared("trailing_stop_distance")
    fees = _round_trip_pct(run)
    if made >= 0 or fees is None or not isinstance(activation, float) or not isinstance(distance, float):
        return None
    locked = locked_in_pct(activation, distance)
    if locked > fees:
        return None
    least = 100 * ((1 + fees / 100) / (1 - distance / 100) - 1)
    return (
        f"let the trailing stop lock in more than fees: strategy.trailing_stop_activation={rounded_up(least)} (now "
        f"{activation:g}, %). It locks in {locked:.2g} % against {fees:.2g} % of fees for a round trip, and the "
        f"{counted(trades, 'trade')} it closed made {signed_amount(float(made), run.currency)}"
    )


def _round_trip_pct(run: RunFacts) -> float | None:
    """Return what an entry by a quote and an exit that took paid together, the most of all pairs, % of value."""
    found = []
    for symbol in run.symbols.values():
        took = [fill for fill in symbol.fills if fill.is_maker is False]
        if took and symbol.figures["quote_model"] is not None:
            taker = float(100 * sum((fill.fee for fill in took), Decimal(0)) / turnover_of(took))
            found.append(taker + symbol.figures["quote_model"]["maker_fee_bps"] / 100)
    return max(found, default=None)


_EXIT_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    ExitReason.STOP_LOSS: ("stop_loss_pct", "a wider stop fires less often and loses more each time"),
    ExitReason.TRAILING_STOP: (
        "trailing_stop_activation",
        "a later one leaves quotes the time to close the position",
    ),
    ExitReason.TAKE_PROFIT: ("take_profit_pct", "it must be above a round trip's fees"),
    ExitReason.TIME_LIMIT: (
        "max_position_seconds",
        "a longer one leaves quotes the time to close the position",
    ),
}
"""The key of each exit, and what to raise it does."""
_WIDER: Final = 3.0
"""Multiple of a round trip's fees that an exit is proposed to stand away at least."""


def exits_lose(run: RunFacts) -> str | None:
    """Advise where stops and targets lost money in all."""
    found = {reason: entry for reason, entry in exit_results(run).items() if reason in _EXIT_KEYS}
    if not found or sum(made for _, made in found.values()) >= 0:
        return None
    if len(found) > 1 and trailing_stop_in_fees(run) is not None:
        del found[ExitReason.TRAILING_STOP]
    reason = min(found, key=lambda name: found[name][1])
    (trades, made), (key, effect) = found[reason], _EXIT_KEYS[reason]
    now, fees = run.shared(key), _round_trip_pct(run)
    paid = "" if fees is None else f", each after {fees:.2g} % of fees for a round trip"
    raised = f"raise {key}"
    if isinstance(now, int | float):
        least = 0.0 if key == "max_position_seconds" else _WIDER * (fees or 0.0)
        raised = f"strategy.{key}={rounded_up(max(2 * now, least))} (now {now:g})"
    return (
        f"{counted(trades, 'trade')} closed by {reason.replace('_', ' ')} made "
        f"{signed_amount(float(made), run.currency)}{paid}. To lose less by it, {raised}: {effect}"
    )
