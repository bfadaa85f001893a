"""What to try next after a run: rules, the gravest first."""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.calibration.volatility import VolatilitySource
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.pricing.not_quoting import HALTS, NotQuoting
from mm_nautilus.pricing.quote_model import short_number
from mm_nautilus.report.money import signed_amount
from mm_nautilus.report.run_facts import RunFacts, SymbolFacts
from mm_nautilus.system.plain_text import counted

LEAST_TRADES: Final = 20
"""Trades below which a win rate is not judged."""
LOW_WIN_RATE_PCT: Final = 55.0
"""Win rate below which v1.4.0 recommends its reservation price, % of trades."""
LEAST_SHARE_PCT: Final = 10.0
"""Share of the time from which on a limit that keeps a side without a quote is mentioned."""
MOST_IDLE_SHARE_PCT: Final = 90.0
"""Share of the time without a quote on either side from which on a symbol counts as hardly quoted."""
TREND_FACTOR: Final = 2.0
"""Multiple of its volatility over the same time from which on a mid's move is a trend."""
LEAST_TREND_MINUTES: Final = 10.0
"""Length of a run below which a trend may be chance."""


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
    if _idle_share_pct(symbol.figures, run.seconds) >= MOST_IDLE_SHARE_PCT:
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
        width = short_number(2 * reach["usual_bps"] / 100)
        return f"{text}; quote nearer, about {width} % wide (min_spread_pct, min_edge_bps, gamma){others}"
    return f"{text}; others were ahead in the queue, so quote nearer or run longer{longest}{others}"


def _idle_share_pct(figures: Mapping[str, Any], seconds: float) -> float:
    """Return for which share of the time the side that was quoted more was not quoted, %."""
    return min(
        _share_pct(sum(entry["seconds"] for entry in side.values()), seconds)
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
    share = _share_pct(most, seconds)
    return "" if share < LEAST_SHARE_PCT else f"; not quoted {share:.0f} % of the time: {reason}"


_ADVICE_ON_LIMITS: Final[Mapping[str, str]] = {
    NotQuoting.INSUFFICIENT_BALANCE: "start with larger balances or quote smaller sizes",
    NotQuoting.ACTION_RATE_CAP: "raise requote_tolerance_bps, which sends less, or max_order_actions_per_second",
    NotQuoting.WAITING_FOR_POINTS: "raise requote_tolerance_bps or min_quote_life_seconds, which spend less",
    NotQuoting.REFUSED_TOO_OFTEN: "the log says why orders were refused",
    NotQuoting.ORDER_REFUSED: "the log says why orders were refused",
}


def limits_exhausted(run: RunFacts) -> str | None:
    """Advise where a halt, the balances, the rate of orders or refusals kept a side without a quote."""
    found: dict[str, tuple[float, list[str]]] = {}
    for name, symbol in run.symbols.items():
        for side, reasons in symbol.figures["not_quoting"].items():
            for reason, entry in reasons.items():
                share = _share_pct(entry["seconds"], run.seconds)
                is_grave = reason in HALTS or (reason in _ADVICE_ON_LIMITS and share >= LEAST_SHARE_PCT)
                if is_grave:
                    most, where = found.get(reason, (0.0, []))
                    found[reason] = (max(most, share), [*where, f"{name} {side}"])
    if not found:
        return None
    reason, (share, where) = max(found.items(), key=lambda item: (item[0] in HALTS, item[1][0]))
    advice = _ADVICE_ON_LIMITS.get(
        reason, "mend what caused it before mm-nautilus resume; smaller sizes lose less"
    )
    return f"{reason} left {', '.join(where)} without a quote for up to {share:.0f} % of the time; {advice}"


def fees_above_width(run: RunFacts) -> str | None:
    """Advise where two maker fees are more than the distance between a symbol's quotes."""
    found = {
        name: model
        for name, symbol in run.symbols.items()
        if (model := symbol.figures["quote_model"]) is not None
        and model["maker_fee_bps"] > model["half_width_bps"]
    }
    if not found:
        return None
    fees = _range([2 * model["maker_fee_bps"] for model in found.values()])
    widths = _range([2 * model["half_width_bps"] for model in found.values()])
    return (
        f"fees are above the width: a round trip pays {fees} bps between quotes {widths} bps apart "
        f"({', '.join(found)}); strategy.min_edge_bps=0 widens them to the fees"
    )


_ADVICE_ON_EXITS: Final[Mapping[str, str]] = {
    ExitReason.STOP_LOSS: "to reduce inventory before its stop {less_inventory}; a wider stop_loss_pct fires less",
    ExitReason.TRAILING_STOP: (
        "raise trailing_stop_activation until what it locks in, less trailing_stop_distance, pays a round trip's fees"
    ),
    ExitReason.TAKE_PROFIT: "raise take_profit_pct above a round trip's fees",
    ExitReason.TIME_LIMIT: "a longer max_position_seconds leaves quotes the time to close the position",
}


def exits_lose(run: RunFacts) -> str | None:
    """Advise where stops and targets lost money in all."""
    rates, sums = run.rates(), {}
    for reason, totals in run.exits.items():
        if reason in _ADVICE_ON_EXITS and all(code in rates for code in totals["pnl"]):
            sums[reason] = sum(
                (Decimal(repr(value)) * rates[code] for code, value in totals["pnl"].items()), Decimal(0)
            )
    if not sums or sum(sums.values()) >= 0:
        return None
    reason, worst = min(sums.items(), key=lambda item: item[1])
    times = f"{counted(run.exits[reason]['count'], 'exit')} by {reason.replace('_', ' ')}"
    advice = _ADVICE_ON_EXITS[reason].format(less_inventory=_less_inventory(run.symbols))
    return f"exits lose: {times} made {signed_amount(float(worst), run.currency)}; {advice}"


_ADVICE_ON_LEVERS: Final[Mapping[str, str]] = {
    "use_reservation_price": "use_reservation_price=true",
    "pricing": "let pricing lean further against inventory",
}


def _less_inventory(symbols: Mapping[str, SymbolFacts]) -> str:
    """Return what would reduce inventory more: a model where one is switched off, else more of it."""
    levers: dict[str, list[str]] = {}
    for name, symbol in symbols.items():
        levers.setdefault(symbol.inventory_lever, []).append(name)
    if "use_reservation_price" in levers:
        levers = {"use_reservation_price": []}
    return " and ".join(
        _ADVICE_ON_LEVERS.get(lever, f"raise {lever}") + (f" ({', '.join(names)})" if len(levers) > 1 else "")
        for lever, names in levers.items()
    )


def inventory_at_cap(run: RunFacts) -> str | None:
    """Advise where a symbol's inventory was at its cap for a good part of the time."""
    shares = {
        name: share
        for name, symbol in run.symbols.items()
        if (share := _share_pct(symbol.figures["seconds_at_cap"], run.seconds)) >= LEAST_SHARE_PCT
    }
    if not shares:
        return None
    name = max(shares, key=lambda key: shares[key])
    return (
        f"inventory was at its cap {shares[name]:.0f} % of the time ({name}); for aggressive inventory reduction "
        f"{_less_inventory({name: run.symbols[name]})}, or raise max_inventory"
    )


def trend(run: RunFacts) -> str | None:
    """Advise where a market went one way, the fills lost by it, and no trailing stop was on."""
    minutes = run.seconds / 60
    if minutes < LEAST_TREND_MINUTES:
        return None
    for name, symbol in run.symbols.items():
        model, move = symbol.figures["quote_model"], symbol.move_pct
        if model is None or move is None or not model["volatility_pct"] or symbol.uses_trailing_stop:
            continue
        usual = model["volatility_pct"] * math.sqrt(minutes)
        if abs(move) >= TREND_FACTOR * usual and _moved_against(symbol):
            return (
                f"{name} trended by {move:+.2f} %, {abs(move) / usual:.1f} times what its volatility makes likely; "
                "use_trailing_stop=true and use_reservation_price=true are for such markets"
            )
    return None


def _moved_against(symbol: SymbolFacts) -> bool:
    """Return whether the market moved against the fills from their mids to the end."""
    if symbol.valuation is None:
        return False
    quote, base = symbol.valuation
    moves = (
        fill.signed * (base - fill.mid_price * quote) for fill in symbol.fills if fill.mid_price is not None
    )
    return sum(moves, Decimal(0)) < 0


def low_win_rate(run: RunFacts) -> str | None:
    """Advise where fewer trades won than v1.4.0 expects."""
    trades = sum(symbol.figures["trades"] for symbol in run.symbols.values())
    wins = sum(symbol.figures["wins"] for symbol in run.symbols.values())
    if trades < LEAST_TRADES or 100.0 * wins / trades >= LOW_WIN_RATE_PCT:
        return None
    advice = f"{_less_inventory(run.symbols)}, or widen the quotes"
    return f"{100.0 * wins / trades:.0f} % of {trades:,} trades won, under {LOW_WIN_RATE_PCT:.0f} %; {advice}"


_WARMING: Final = frozenset({VolatilitySource.UNKNOWN.value, VolatilitySource.FINE_RETURNS.value})


def volatility_warming(run: RunFacts) -> str | None:
    """Advise where a volatility is not yet measured from one-minute returns."""
    found = {
        name: model["volatility_source"]
        for name, symbol in run.symbols.items()
        if (model := symbol.figures["quote_model"]) is not None and model["volatility_source"] in _WARMING
    }
    if not found:
        return None
    sources = " and ".join(dict.fromkeys(found.values()))
    return (
        f"volatility of {', '.join(found)} is not yet measured from one-minute returns (so far: {sources}); run longer "
        "than volatility_lookback + 1 minutes, or name a calibration"
    )


type Rule = Callable[[RunFacts], str | None]

RULES: Final[tuple[Rule, ...]] = (
    no_fills,
    limits_exhausted,
    fees_above_width,
    exits_lose,
    inventory_at_cap,
    trend,
    low_win_rate,
    volatility_warming,
)
"""Rules, the gravest first; a rule's name is its function's."""


def suggestions(run: RunFacts) -> list[tuple[str, str]]:
    """Return the name and the words of each rule that applies to a run."""
    return [(rule.__name__, text) for rule in RULES if (text := rule(run)) is not None]


def _share_pct(seconds: float, of_seconds: float) -> float:
    return min(100.0, 100.0 * seconds / of_seconds) if of_seconds > 0 else 0.0


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
