"""What to change where quotes were not filled or not there: their distance, halts, and limits that were reached."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from mm_nautilus.pricing.not_quoting import HALTS, NotQuoting
from mm_nautilus.pricing.quote_model import short_number
from mm_nautilus.report.run_facts import RunFacts

LEAST_SHARE_PCT: Final = 10.0
"""Share of the time from which on a limit that keeps a side without a quote is mentioned."""
_MOST_IDLE_SHARE_PCT: Final = 90.0
"""Share of the time without a quote on either side from which on a symbol counts as hardly quoted."""


def no_fills(run: RunFacts) -> str | None:
    """Advise where a symbol had no fill: how far its quotes stood, and how far takers reached."""
    idle = {name: symbol for name, symbol in run.symbols.items() if not symbol.figures["fills"]}
    if not idle:
        return None
    name, symbol = next(iter(idle.items()))
    others = "" if len(idle) == 1 else f" ({len(idle) - 1} more: {', '.join(list(idle)[1:])})"
    model, reach = symbol.figures["quote_model"], symbol.figures.get("taker_reach")
    longest = _longest_reason(symbol.figures, run.seconds)
    if model is None:
        return f"{name} had no fill and was never quoted{longest}{others}"
    if _idle_share_pct(symbol.figures, run.seconds) >= _MOST_IDLE_SHARE_PCT:
        return f"{name} had no fill and was hardly ever quoted{longest}{others}"
    distance = model["half_width_bps"]
    text = f"{name} had no fill: its quotes stood {short_number(distance)} bps out"
    if reach is None or not reach["trades"]:
        return f"{text}, and no trade of a taker was seen; run longer{longest}{others}"
    text += (
        f", and takers reached {short_number(reach['usual_bps'])} bps in 99 of 100 trades, "
        f"{short_number(reach['most_bps'])} bps at most"
    )
    if distance > reach["usual_bps"]:
        return f"{text}; {_within_reach(reach['usual_bps'], model['maker_fee_bps'])}{others}"
    return f"{text}; others were ahead in the queue, so quote nearer or run longer{longest}{others}"


def _within_reach(reach_bps: float, fee_bps: float) -> str:
    """Return how to quote where takers come, or that it does not pay."""
    if reach_bps <= fee_bps:
        return f"quotes in their reach earn no more than the maker fee of {short_number(fee_bps)} bps, so pay less"
    width = short_number(2 * reach_bps / 100)
    return f"quote nearer, about {width} % wide (min_spread_pct, min_edge_bps, gamma)"


def _idle_share_pct(figures: Mapping[str, Any], seconds: float) -> float:
    """Return for which share of the time the side that was quoted more was not quoted, %."""
    return min(
        share_pct(sum(entry["seconds"] for entry in side.values()), seconds)
        for side in figures["not_quoting"].values()
    )


def _longest_reason(figures: Mapping[str, Any], seconds: float) -> str:
    """Return what kept a side without a quote longest, where it did for a good part of the time."""
    held: dict[str, float] = {}
    for side in figures["not_quoting"].values():
        for reason, entry in side.items():
            held[reason] = max(held.get(reason, 0.0), entry["seconds"])
    if not held:
        return ""
    reason, most = max(held.items(), key=lambda item: item[1])
    share = share_pct(most, seconds)
    return "" if share < LEAST_SHARE_PCT else f"; not quoted {share:.0f} % of the time: {reason}"


_ADVICE_ON_LIMITS: Final[Mapping[str, str]] = {
    NotQuoting.INSUFFICIENT_BALANCE: "start with larger balances or quote smaller sizes",
    NotQuoting.ACTION_RATE_CAP: "raise requote_tolerance_bps, which sends less, or max_order_actions_per_second",
    NotQuoting.WAITING_FOR_POINTS: "raise requote_tolerance_bps or min_quote_life_seconds, which spend less",
    NotQuoting.REFUSED_TOO_OFTEN: "the log says why orders were refused",
    NotQuoting.ORDER_REFUSED: "the log says why orders were refused",
}


def halted(run: RunFacts) -> str | None:
    """Say which guard halted a symbol and at which limit, or that an operator did."""
    found = _longest_halt(run)
    if found is None:
        return None
    reason, words = found
    limit = _HALT_LIMITS.get(reason)
    if limit is None:
        return f"{words}. {_HALT_ADVICE[NotQuoting(reason)]}"
    values = {symbol.params.get(limit.key) for symbol in run.symbols.values()} - {None}
    value = f" {next(iter(values))}{limit.unit}" if len(values) == 1 else ""
    return f"{words}, at {limit.key}{value}. Mend what lost before mm-nautilus resume"


def halted_by_losses(run: RunFacts) -> bool:
    """Return whether the halt that `halted` tells of followed from losses."""
    found = _longest_halt(run)
    return found is not None and found[0] in _HALT_LIMITS


def _longest_halt(run: RunFacts) -> tuple[str, str] | None:
    return _kept_out(run, lambda reason, _share: reason in HALTS)


class _Limit(NamedTuple):
    key: str
    unit: str


_HALT_LIMITS: Final[Mapping[str, _Limit]] = {
    NotQuoting.HALTED_DRAWDOWN: _Limit("max_drawdown_pct", " % of max_inventory"),
    NotQuoting.HALTED_ACCOUNT_DRAWDOWN: _Limit("max_account_drawdown_pct", " % of the equity"),
    NotQuoting.HALTED_LOSS_STREAK: _Limit("max_consecutive_losses", ""),
}
"""Limits of halts that follow from losses."""
_HALT_ADVICE: Final[Mapping[str, str]] = {
    NotQuoting.HALTED_REFUSALS: "The log says why orders were refused",
    NotQuoting.KILL_SWITCH: "An operator or a program asked for it",
}


def limits_exhausted(run: RunFacts) -> str | None:
    """Advise where the balances, the rate of orders or refusals kept a side without a quote."""
    found = _kept_out(run, lambda reason, share: reason in _ADVICE_ON_LIMITS and share >= LEAST_SHARE_PCT)
    if found is None:
        return None
    reason, words = found
    return f"{words}; {_ADVICE_ON_LIMITS[reason]}"


def _kept_out(run: RunFacts, is_grave: Callable[[str, float], bool]) -> tuple[str, str] | None:
    """Return the reason that kept a side without a quote longest, and which sides for how long."""
    found: dict[str, tuple[float, dict[str, list[str]]]] = {}
    for name, symbol in run.symbols.items():
        for side, reasons in symbol.figures["not_quoting"].items():
            for reason, entry in reasons.items():
                share = share_pct(entry["seconds"], run.seconds)
                if is_grave(reason, share):
                    most, where = found.get(reason, (0.0, {}))
                    where.setdefault(name, []).append(side)
                    found[reason] = (max(most, share), where)
    if not found:
        return None
    reason, (share, where) = max(found.items(), key=lambda item: item[1][0])
    both = len(run.symbols[next(iter(where))].figures["not_quoting"])
    words = [name if len(sides) == both else f"{name} {sides[0]}" for name, sides in where.items()]
    return (
        reason,
        f"{reason} left {', '.join(words)} without a quote for up to {share:.0f} % of the time",
    )


def share_pct(seconds: float, of_seconds: float) -> float:
    """Return which share of a time another is, %, at most all of it."""
    return min(100.0, 100.0 * seconds / of_seconds) if of_seconds > 0 else 0.0
