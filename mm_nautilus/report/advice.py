"""What to change after a run: rules, the gravest first."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.calibration.volatility import VolatilitySource
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.pricing.not_quoting import HALTS, NotQuoting
from mm_nautilus.pricing.quote_model import short_number
from mm_nautilus.report.attribution import HORIZON_SECONDS
from mm_nautilus.report.causes import largest_cost
from mm_nautilus.report.money import signed_amount, unsigned_amount
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
LEAST_FILLS: Final = 20
"""Fills below which adverse selection is not judged."""
LEAST_PAIRS: Final = 2
LEAST_LOSS_PCT: Final = 25.0
"""Loss of one pair from which on it is mentioned, % of what the others made; and the other way round."""
_ERRORS: Final = 2.0
"""Standard errors beyond which a mean is hardly chance."""
_WIDEST_PCT: Final = 5.0
"""Largest ``min_spread_pct``."""
_BPS: Final = 10_000


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


def halted(run: RunFacts) -> str | None:
    """Advise where a guard or an operator halted a symbol."""
    found = _kept_out(run, lambda reason, _share: reason in HALTS)
    if found is None:
        return None
    reason, words = found
    return f"{words}; {_HALT_ADVICE[NotQuoting(reason)]}; mend the cause before mm-nautilus resume"


_HALT_ADVICE: Final[Mapping[str, str]] = {
    NotQuoting.HALTED_DRAWDOWN: "its limit is max_drawdown_pct, and a smaller max_inventory loses less",
    NotQuoting.HALTED_ACCOUNT_DRAWDOWN: "its limit is max_account_drawdown_pct, and a smaller max_inventory loses less",
    NotQuoting.HALTED_LOSS_STREAK: "its limit is max_consecutive_losses, and wider quotes or stops lose less often",
    NotQuoting.HALTED_REFUSALS: "the log says why orders were refused",
    NotQuoting.KILL_SWITCH: "an operator or a program asked for it",
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
                share = _share_pct(entry["seconds"], run.seconds)
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


def takes_liquidity(run: RunFacts) -> str | None:
    """Advise where a loss was made with entries that took liquidity."""
    found = [name for name, symbol in run.symbols.items() if symbol.takes_entries and symbol.figures["fills"]]
    if not found or run.trading_pnl is None or run.trading_pnl >= 0:
        return None
    return (
        f"entries of {', '.join(found)} pay the spread and the taker fee; strategy.entry_order=maker waits in the book "
        "in place of that"
    )


def fees_above_width(run: RunFacts) -> str | None:
    """Advise where two maker fees are more than the distance between a symbol's quotes."""
    found = {
        name: symbol.figures["quote_model"]
        for name, symbol in run.symbols.items()
        if _is_narrower_than_fees(symbol)
    }
    if not found:
        return None
    fees = _range([2 * model["maker_fee_bps"] for model in found.values()])
    widths = _range([2 * model["half_width_bps"] for model in found.values()])
    return (
        f"fees are above the width: a round trip pays {fees} bps between quotes {widths} bps apart "
        f"({', '.join(found)}); {_widen_to_fees(run.symbols[name] for name in found)}"
    )


def _widen_to_fees(symbols: Iterable[SymbolFacts]) -> str:
    if all(symbol.has_own_pricing for symbol in symbols):
        return "let pricing quote wider than the fees"
    return "strategy.min_edge_bps=0 widens them to the fees"


def _is_narrower_than_fees(symbol: SymbolFacts) -> bool:
    model = symbol.figures["quote_model"]
    return (
        model is not None
        and not symbol.takes_entries
        and bool(model["maker_fee_bps"] > model["half_width_bps"])
    )


def fees_above_edge(run: RunFacts) -> str | None:
    """Advise where fees took more than a pair's fills were worth after the attribution's horizon."""
    found = {
        name: -fees - edge
        for name, parts in run.pairs.items()
        if (edge := parts.edge) is not None and (fees := parts.fees) is not None and 0 < edge < -fees
        if not _is_narrower_than_fees(run.symbols[name])
    }
    if not found:
        return None
    name = max(found, key=lambda key: found[key])
    symbol, parts = run.symbols[name], run.pairs[name]
    if not symbol.turnover:
        return None
    edge, fees = (_BPS * (amount or 0) / symbol.turnover for amount in (parts.edge, parts.fees))
    text = (
        f"fees take more than the fills of {name} earn: {short_number(float(-fees))} bps of turnover against "
        f"{short_number(float(edge))} bps after {HORIZON_SECONDS:g} s"
    )
    return f"{text}; quote wider by what they lack{_wider(name, symbol, float(-fees - edge))}, or pay less"


def adverse_above_spread(run: RunFacts) -> str | None:
    """Advise where mids moved against a pair's fills by more than these had captured, beyond chance."""
    found = {
        name: parts.edge
        for name, parts in run.pairs.items()
        if parts.edge is not None
        and parts.edge < 0 < (parts.spread_captured or 0)
        and _loses_beyond_chance(run.symbols[name])
    }
    if not found:
        return None
    name = min(found, key=lambda key: found[key])
    quality = run.symbols[name].quality["all"]
    return (
        f"{name} is filled ahead of moves against it: it captured {short_number(quality['spread_bps'])} bps, and "
        f"{HORIZON_SECONDS:g} s later the mid was {short_number(quality['adverse_bps'])} bps worse; quote wider"
        f"{_wider(name, run.symbols[name], -quality['mark_out_bps'])}{_centred(name, run.symbols[name])}"
    )


def _centred(name: str, symbol: SymbolFacts) -> str:
    centre = symbol.better_fair_price
    return f", or centre the quotes with strategy.symbols.{name}.fair_price={centre}" if centre else ""


def _loses_beyond_chance(symbol: SymbolFacts) -> bool:
    quality = symbol.quality.get("all")
    if quality is None or quality["fills"] < LEAST_FILLS or quality["standard_error_bps"] is None:
        return False
    return bool(quality["mark_out_bps"] + _ERRORS * quality["standard_error_bps"] < 0)


def _wider(name: str, symbol: SymbolFacts, lacking_bps: float) -> str:
    """Return the width at which each fill would have captured so much more, as the key of one pair."""
    model = symbol.figures["quote_model"]
    if model is None or symbol.has_own_pricing:
        return ""
    width = 2 * (model["half_width_bps"] + lacking_bps) / 100
    return f" (strategy.symbols.{name}.min_spread_pct={_rounded_up(width)})" if width <= _WIDEST_PCT else ""


def _rounded_up(value: float) -> str:
    """Return a number of two significant digits that is not below the given one."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(round(value / unit, 6)) * unit:.4g}"


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
    "largest gamma": "gamma=null and skew_bps_at_max_inventory, as gamma is at its largest",
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
            has_no_lever = symbol.inventory_lever == "use_reservation_price"
            keys = "and use_reservation_price=true are" if has_no_lever else "is"
            return (
                f"{name} trended by {move:+.2f} %, {abs(move) / usual:.1f} times what its volatility makes likely; "
                f"use_trailing_stop=true {keys} for such markets"
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


def inventory_loses(run: RunFacts) -> str | None:
    """Advise where a run lost, and holding inventory was at least half of its costs."""
    costs = [amount for amount in run.parts if amount is not None and amount < 0]
    lost = run.parts.inventory_revaluation
    is_loss = run.trading_pnl is not None and run.trading_pnl < 0
    if not is_loss or lost is None or lost >= 0 or 2 * lost > sum(costs, Decimal(0)):
        return None
    known = {name: parts.inventory_revaluation or Decimal(0) for name, parts in run.pairs.items()}
    name = min(known, key=lambda key: known[key])
    symbol = run.symbols[name]
    move = "" if symbol.move_pct is None else f" while its mid moved {symbol.move_pct:+.2f} %"
    return (
        f"holding inventory of {name} lost {unsigned_amount(float(-known[name]), run.currency)}{move}; to hold less, "
        f"{_less_inventory({name: symbol})}, or lower strategy.symbols.{name}.max_inventory"
    )


def one_pair_loses(run: RunFacts) -> str | None:
    """Advise where one pair lost a good part of what the others made together."""
    known = {
        name: symbol.result
        for name, symbol in run.symbols.items()
        if symbol.result is not None and symbol.figures["fills"]
    }
    if len(known) < LEAST_PAIRS:
        return None
    name = min(known, key=lambda key: known[key])
    others = sum((amount for key, amount in known.items() if key != name), Decimal(0))
    smaller, larger = sorted([float(-known[name]), float(others)])
    if smaller <= 0 or 100 * smaller < LEAST_LOSS_PCT * larger:
        return None
    lost, made = (signed_amount(float(amount), run.currency) for amount in (known[name], others))
    return (
        f"{name} made {lost}, the other pairs {made}; leave it out (delete it under strategy.symbols) or quote it "
        f"wider (strategy.symbols.{name}.min_spread_pct)"
    )


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
    halted,
    limits_exhausted,
    takes_liquidity,
    fees_above_width,
    fees_above_edge,
    adverse_above_spread,
    exits_lose,
    trend,
    inventory_at_cap,
    inventory_loses,
    one_pair_loses,
    no_fills,
    low_win_rate,
    volatility_warming,
)
"""Rules, the gravest first; a rule's name is its function's."""
_ANSWERS: Final[Mapping[str, frozenset[Rule]]] = {
    "fees": frozenset({takes_liquidity, fees_above_width, fees_above_edge}),
    "adverse_selection": frozenset({adverse_above_spread}),
    "inventory_revaluation": frozenset({trend, inventory_at_cap, inventory_loses, exits_lose}),
    "spread_captured": frozenset({takes_liquidity, exits_lose}),
}
"""Rules about each part of a result; those of the part that cost most come ahead of the others."""


def suggestions(run: RunFacts) -> list[tuple[str, str]]:
    """Return the name and the words of each rule that applies to a run, the most useful first.

    A halt comes first, and where nothing at all was filled, why; then what the largest cost asks for.
    """
    first = {halted} if run.fills else {halted, no_fills}
    asked = _ANSWERS.get(largest_cost(run.parts), frozenset[Rule]())
    order = sorted(RULES, key=lambda rule: 0 if rule in first else 1 if rule in asked else 2)
    return [(rule.__name__, text) for rule in order if (text := rule(run)) is not None]


def _share_pct(seconds: float, of_seconds: float) -> float:
    return min(100.0, 100.0 * seconds / of_seconds) if of_seconds > 0 else 0.0


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
