"""What to change after a run: rules, the gravest first."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from mm_nautilus.calibration.volatility import VolatilitySource
from mm_nautilus.report.attribution import HORIZON_SECONDS, Parts, turnover_of
from mm_nautilus.report.causes import story
from mm_nautilus.report.exit_advice import exits_lose, takes_liquidity, trailing_stop_in_fees
from mm_nautilus.report.idle_advice import (
    LEAST_SHARE_PCT,
    halted,
    halted_by_losses,
    limits_exhausted,
    no_fills,
    share_pct,
)
from mm_nautilus.report.money import rounded_up, signed_amount, unsigned_amount
from mm_nautilus.report.places import decisive_pair
from mm_nautilus.report.run_facts import RunFacts, SymbolFacts

LEAST_TRADES: Final = 20
"""Trades below which a win rate is not judged."""
LOW_WIN_RATE_PCT: Final = 55.0
"""Win rate below which v1.4.0 recommends its reservation price, % of trades."""
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


def fees_above_width(run: RunFacts) -> str | None:
    """Advise where two maker fees are more than the distance between a symbol's quotes."""
    found = {name: symbol for name, symbol in run.symbols.items() if _is_narrower_than_fees(symbol)}
    if not found:
        return None
    models = [symbol.figures["quote_model"] for symbol in found.values()]
    fees = _range([2 * model["maker_fee_bps"] for model in models])
    widths = _range([2 * model["half_width_bps"] for model in models])
    moves = max(
        (made.moves_bps for symbol in found.values() if (made := _made_by_quotes(symbol))), default=0.0
    )
    edge = rounded_up(2 * moves) if moves > 0 else "0"
    covered = "the fees and the moves after the fills" if moves > 0 else "the fees"
    now = run.shared("min_edge_bps")
    return (
        f"fees are above the width: a round trip pays {fees} bps between quotes {widths} bps apart "
        f"({', '.join(found)}). {_widen_to_fees(found.values(), edge, covered, now)}"
    )


def _widen_to_fees(symbols: Iterable[SymbolFacts], edge: str, covered: str, now: Any) -> str:
    if all(symbol.has_own_pricing for symbol in symbols):
        return "Let pricing quote wider than the fees"
    return f"strategy.min_edge_bps={edge} (now {now}) widens them to {covered}"


def _is_narrower_than_fees(symbol: SymbolFacts) -> bool:
    model = symbol.figures["quote_model"]
    return (
        model is not None
        and not symbol.takes_entries
        and bool(model["maker_fee_bps"] > model["half_width_bps"])
    )


class _Quoted(NamedTuple):
    """What a pair's fills that made liquidity were worth, in bps of their value."""

    spread_bps: float
    moves_bps: float
    """Of the mid against them, up to the attribution's horizon."""
    fees_bps: float

    @property
    def lacking_bps(self) -> float:
        return self.moves_bps + self.fees_bps - self.spread_bps


def _made_by_quotes(symbol: SymbolFacts) -> _Quoted | None:
    fills = [fill for fill in symbol.fills if fill.is_maker]
    value = turnover_of(fills) * (symbol.valuation.quote if symbol.valuation else 0)
    charged = sum((fill.fee for fill in fills), Decimal(0)) * (
        symbol.valuation.quote if symbol.valuation else 0
    )
    parts = Parts.of(fills, symbol.valuation, charged, None)
    if not value or parts.spread_captured is None or parts.adverse_selection is None:
        return None
    return _Quoted(
        *(
            float(_BPS * amount / value)
            for amount in (parts.spread_captured, -parts.adverse_selection, charged)
        )
    )


def quote_wider(run: RunFacts) -> str | None:
    """Advise where moves and maker fees took more than the quotes of a pair captured, beyond chance."""
    found = {
        name: made
        for name, symbol in run.symbols.items()
        if symbol.quality.get("maker") is not None
        and (made := _made_by_quotes(symbol)) is not None
        and made.lacking_bps > 0
        and _loses_beyond_chance(symbol)
        and _width_pct(symbol, made.lacking_bps) is not None
    }
    name = _worst(run, {name: run.pairs[name].edge or Decimal(0) for name in found})
    if name is None:
        return None
    symbol, made = run.symbols[name], found[name]
    width = _width_pct(symbol, made.lacking_bps)
    costs = [
        f"{bps:.2f} bps of {words}"
        for bps, words in ((made.moves_bps, f"moves within {HORIZON_SECONDS:g} s"), (made.fees_bps, "fees"))
        if bps > 0
    ]
    now = f"{2 * symbol.figures['quote_model']['half_width_bps'] / 100:.3g}"
    return (
        f"quote {name} wider: strategy.symbols.{name}.min_spread_pct={rounded_up(width or 0.0)} (now {now}, % between "
        f"bid and ask). Its quotes captured {made.spread_bps:.2f} bps and must pay {' and '.join(costs)}"
    )


def _worst(run: RunFacts, amounts: Mapping[str, Decimal]) -> str | None:
    """Return the pair that *Why* and *Where* tell of, where it is among these; else that with the least amount."""
    told = story(run).pair or decisive_pair(run)
    return told if told in amounts else min(amounts, key=lambda name: amounts[name], default=None)


def _loses_beyond_chance(symbol: SymbolFacts) -> bool:
    quality = symbol.quality["maker"]
    if quality["fills"] < LEAST_FILLS or quality["standard_error_bps"] is None:
        return False
    return bool(quality["net_bps"] + _ERRORS * quality["standard_error_bps"] < 0)


def _width_pct(symbol: SymbolFacts, lacking_bps: float) -> float | None:
    """Return the width at which each fill would have captured so much more; None for one that cannot be set."""
    model = symbol.figures["quote_model"]
    if model is None or symbol.has_own_pricing or symbol.takes_entries:
        return None
    width = 2 * (model["half_width_bps"] + lacking_bps) / 100
    return float(width) if width <= _WIDEST_PCT else None


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
        if (share := share_pct(symbol.figures["seconds_at_cap"], run.seconds)) >= LEAST_SHARE_PCT
    }
    if not shares:
        return None
    name = max(shares, key=lambda key: shares[key])
    return (
        f"inventory was at its cap {shares[name]:.0f} % of the time ({name}). For aggressive inventory reduction "
        f"{_less_inventory({name: run.symbols[name]})}"
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
    """Advise where inventory revaluation is among the largest costs of a loss."""
    is_loss = run.trading_pnl is not None and run.trading_pnl < 0
    if not is_loss or "inventory_revaluation" not in story(run).costs:
        return None
    lost = {
        name: amount for name, parts in run.pairs.items() if (amount := parts.inventory_revaluation or 0) < 0
    }
    name = _worst(run, {name: Decimal(amount) for name, amount in lost.items()})
    if name is None:
        return None
    symbol = run.symbols[name]
    move = "" if symbol.move_pct is None else f" while its mid moved {symbol.move_pct:+.2f} %"
    smaller = _half_inventory(symbol.params)
    less = (
        _less_inventory({name: symbol})
        if smaller is None
        else f"strategy.symbols.{name}.max_inventory={smaller} (now {_text(symbol.params['max_inventory'])})"
    )
    effect = "" if smaller is None else ", and half of the inventory loses about half"
    paid = unsigned_amount(float(-lost[name]), run.currency)
    return f"hold less of {name}: {less}. Holding it lost {paid}{move}{effect}"


def _text(value: Any) -> str:
    """Return a parameter's value as it is written in a configuration."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _half_inventory(params: Mapping[str, Any]) -> str | None:
    """Return half of ``max_inventory``; None where that is less than a quote, or not to be compared with one."""
    number, _, unit = str(params.get("max_inventory")).partition(" ")
    own = params.get("position_size")
    size, _, of_size = str(params.get("position_size_usd") if own is None else own).partition(" ")
    try:
        half, least = Decimal(number) / 2, Decimal(size)
    except InvalidOperation:
        return None
    return f"{half.normalize():f} {unit}".strip() if unit == of_size and half >= least else None


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
    lost, made = (
        unsigned_amount(float(-known[name]), run.currency),
        signed_amount(float(others), run.currency),
    )
    return (
        f"{name} lost {lost}, the other pairs made {made}. To leave it out, delete it under strategy.symbols"
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
    quote_wider,
    trailing_stop_in_fees,
    exits_lose,
    inventory_loses,
    trend,
    inventory_at_cap,
    one_pair_loses,
    no_fills,
    low_win_rate,
    volatility_warming,
)
"""Rules, the gravest first; a rule's name is its function's."""
_ANSWERS: Final[Mapping[str, frozenset[Rule]]] = {
    "maker_fees": frozenset({takes_liquidity, fees_above_width, quote_wider}),
    "taker_fees": frozenset({takes_liquidity, trailing_stop_in_fees, exits_lose}),
    "adverse_selection": frozenset({quote_wider}),
    "inventory_revaluation": frozenset({inventory_loses, trend, inventory_at_cap}),
    "spread_captured": frozenset({takes_liquidity, trailing_stop_in_fees, exits_lose}),
}
"""Rules about each part of a result; those of the part that cost most come ahead of the others."""
_SAME: Final = ((fees_above_width, quote_wider),)
"""Rules with one remedy, of which only the first that applies is told."""
_OTHERS, _LAST = 8, 9
"""Ranks of rules that no cost asks for, and of symbols without a fill beside others that had some."""
_REMEDIES: Final = frozenset(rule for rules in _ANSWERS.values() for rule in rules)


def suggestions(run: RunFacts) -> list[tuple[str, str]]:
    """Return the name and the words of each rule that applies to a run, the most useful first.

    Where nothing at all was filled, why comes first, as a halt does that no loss led to; then what the largest costs
    ask for, and after it a halt that followed from them.
    """
    costs = story(run).costs
    told = {rule: text for rule in RULES if (text := rule(run)) is not None}
    is_consequence = run.fills and halted_by_losses(run)

    def rank(rule: Rule) -> float:
        if rule is halted:
            return len(costs) if is_consequence else 0
        if rule is no_fills:
            return _LAST if run.fills else 0
        answered = [number for number, name in enumerate(costs) if rule in _ANSWERS.get(name, ())]
        return answered[0] + 0.5 if answered else _OTHERS

    order = sorted(told, key=rank)
    for rules in _SAME:
        order = [rule for rule in order if rule not in rules or rule is next(r for r in order if r in rules)]
    if _REMEDIES & set(order):
        order = [rule for rule in order if rule is not low_win_rate]
    return [(rule.__name__, told[rule]) for rule in order]


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
