"""What a run comes to, in three lines: where the result is from, what made or lost most, and what to try next.

All of it is reckoned from a run's figures and fills as plain values. Amounts in several currencies are converted at the
run's last mids, the rates that its equity uses, before they are added.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from mm_nautilus.calibration.volatility import VolatilitySource
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.pricing.not_quoting import HALTS, NotQuoting
from mm_nautilus.pricing.quote_model import short_number
from mm_nautilus.report.money import amount_decimals, signed_amount, unsigned_amount

__all__ = ["RULES", "AnswerFill", "RunFacts", "SymbolFacts", "Valuation", "answer", "turnover_of"]

type Figures = Mapping[str, Any]

_BPS: Final = 10_000
_HOUR_NS: Final = 3_600_000_000_000
_HOURS: Final = 24
_DAY_SECONDS: Final = 86_400
_PRECISION: Final = 60
"""Digits of a sum on its way; the engine's amounts and the rates between them never have as many."""
_DIGITS: Final = Decimal("1e-12")
"""What parts are told to; what is left out by that stands among what is not attributed."""
_REST: Final = "not attributed"
_ROUNDING: Final = "the engine rounds what each fill realised"

LEAST_TRADES: Final = 20
"""Trades below which a win rate is not judged."""
LOW_WIN_RATE_PCT: Final = 55.0
"""Win rate below which v1.4.0 recommends its reservation price, % of trades."""
LEAST_SHARE_PCT: Final = 10.0
"""Share of the time from which on a limit that keeps a side without a quote is worth a word."""
TREND_FACTOR: Final = 2.0
"""How often its volatility over the same time a mid has to move to have a trend."""
LEAST_TREND_MINUTES: Final = 10.0
"""Length of a run below which no trend is told from chance."""


class Valuation(NamedTuple):
    """What a symbol's money and its base currency were worth at the end, in the report currency.

    Attributes
    ----------
    quote
        One unit of its quote currency.
    base
        One unit of its base currency, as the equity values a position.
    """

    quote: Decimal
    base: Decimal


class AnswerFill(NamedTuple):
    """One execution.

    Attributes
    ----------
    ts_ns
        When, nanoseconds since the epoch.
    is_buy
        Whether we bought.
    price, quantity, fee
        In quote, base and quote currency.
    mid_price
        The mid when it came, in quote currency; None where nobody looked.
    """

    ts_ns: int
    is_buy: bool
    price: Decimal
    quantity: Decimal
    fee: Decimal
    mid_price: Decimal | None

    @property
    def signed(self) -> Decimal:
        """The quantity, negative where we sold."""
        return self.quantity if self.is_buy else -self.quantity


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """One symbol of a run.

    Parameters
    ----------
    figures
        What the summary has of it.
    fills
        This run's executions of it, as far as the summary knows them.
    valuation
        None where a price for it never came.
    move_pct
        How far its mid moved from the first to the last, %, None where there was none.
    uses_trailing_stop
        Whether its trailing stop is switched on.
    """

    figures: Figures
    fills: Sequence[AnswerFill] = ()
    valuation: Valuation | None = None
    move_pct: float | None = None
    uses_trailing_stop: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run, as far as it has got.

    Parameters
    ----------
    currency
        The report currency.
    seconds
        Length of the run.
    symbols
        Its symbols by name.
    exits
        How each kind of exit did, as in the summary; amounts by currency.
    trading_pnl, fees
        Result and fees of all symbols in the report currency, None where a price for the conversion never came.
    is_resumed
        Whether money and counts are since an earlier session's start.
    has_traces
        Whether the mids at fills were recorded.
    status
        As in the summary.
    compare_fee_pct
        Fee of both sides, % of value, at which the fills are reckoned once more; None leaves that out.
    """

    currency: str
    seconds: float
    symbols: Mapping[str, SymbolFacts]
    exits: Mapping[str, Figures] = field(default_factory=dict)
    trading_pnl: Decimal | None = None
    fees: Decimal | None = None
    is_resumed: bool = False
    has_traces: bool = True
    status: str = "completed"
    compare_fee_pct: float | None = None

    @property
    def fills(self) -> int:
        """Executions of all symbols, earlier sessions' too."""
        return sum(int(symbol.figures["fills"]) for symbol in self.symbols.values())

    def rates(self) -> dict[str, Decimal]:
        """Return the value of one unit of each quote currency, as far as it is known."""
        found = {self.currency: Decimal(1)}
        for symbol in self.symbols.values():
            if symbol.valuation is not None:
                found[symbol.figures["currency"]] = symbol.valuation.quote
        return found


def turnover_of(fills: Iterable[AnswerFill]) -> Decimal:
    """Return the sum of the fills' values, in quote currency."""
    return sum((fill.price * fill.quantity for fill in fills), Decimal(0))


def answer(run: RunFacts) -> dict[str, Any]:
    """Return a run's answer: the parts of its result, what made or lost most, what to try next, and all in words.

    The parts always add up to the result, to the last digit of the texts under ``exact``::

        spread_captured = sum of d * n * (m - p)        over fills of n units at the price p, d = 1 bought, -1 sold
        market_move     = sum of d * n * (v - m)        m the mid at the fill, v the value at the end
        fees            = what was charged, negative
        unattributed    = result - the three above
    """
    with localcontext() as context:
        context.prec = _PRECISION
        parts, turnover = _parts(run), _turnover(run)
        groups, compared = _groups(run), _compared(run, turnover)
    result = run.trading_pnl
    spoken = _spoken(run)
    missing = _missing(run, parts)
    return {
        "currency": run.currency,
        "result": None if result is None else float(result),
        "parts": {name: None if amount is None else float(amount) for name, amount in parts.items()},
        "turnover": None if turnover is None else float(turnover),
        "bps": {
            name: None if amount is None or not turnover else float(_BPS * amount / turnover)
            for name, amount in {"result": result, **parts}.items()
        },
        "exact": {
            name: "" if amount is None else f"{amount:f} {run.currency}"
            for name, amount in {"result": result, **parts, "turnover": turnover}.items()
        },
        "by": {
            kind: {name: float(amount) for name, amount in amounts.items()}
            for kind, amounts in groups.items()
        },
        "missing": missing,
        "compared": compared,
        "next": [{"rule": name, "text": text} for name, text in spoken],
        "lines": [
            _result_line(run, parts, turnover, missing),
            _most_line(run, groups),
            _next_line(spoken),
            *([] if compared is None else [_compared_line(run, compared)]),
        ],
    }


# -- Where the result is from -------------------------------------------------------------------------------


def _parts(run: RunFacts) -> dict[str, Decimal | None]:
    fees = None if run.fees is None else (-run.fees).quantize(_DIGITS)
    spread, move = _spread_and_move(run)
    rest = None
    if run.trading_pnl is not None:
        rest = run.trading_pnl - sum((part for part in (spread, move, fees) if part is not None), Decimal(0))
    return {"spread_captured": spread, "market_move": move, "fees": fees, "unattributed": rest}


def _spread_and_move(run: RunFacts) -> tuple[Decimal | None, Decimal | None]:
    """Return both over the fills whose mid is known; None where none is to be had, or one cannot be converted."""
    spread = move = Decimal(0)
    if not run.has_traces:
        return None, None
    for symbol in run.symbols.values():
        if symbol.valuation is None:
            if symbol.fills:
                return None, None
            continue
        quote, base = symbol.valuation
        for fill in symbol.fills:
            if fill.mid_price is not None:
                mid = fill.mid_price * quote
                spread += fill.signed * (mid - fill.price * quote)
                move += fill.signed * (base - mid)
    return spread.quantize(_DIGITS), move.quantize(_DIGITS)


def _turnover(run: RunFacts) -> Decimal | None:
    """Return the value of all fills; None where one cannot be converted, or earlier sessions had others."""
    if run.is_resumed:
        return None
    total = Decimal(0)
    for symbol in run.symbols.values():
        if symbol.valuation is None and symbol.fills:
            return None
        total += turnover_of(symbol.fills) * (symbol.valuation.quote if symbol.valuation else 0)
    return total.quantize(_DIGITS)


def _compared(run: RunFacts, turnover: Decimal | None) -> dict[str, float] | None:
    """Return what the same fills make at another fee, None where nobody asks or it cannot be reckoned."""
    if run.compare_fee_pct is None or not turnover or run.trading_pnl is None or run.fees is None:
        return None
    before = run.trading_pnl + run.fees
    fees = turnover * Decimal(repr(run.compare_fee_pct)) / 100
    return {
        "fee_pct": run.compare_fee_pct,
        "before_fees": float(before),
        "fees": float(fees),
        "result": float(before - fees),
    }


def _compared_line(run: RunFacts, compared: Mapping[str, float]) -> str:
    before, fees, result = (compared[name] for name in ("before_fees", "fees", "result"))
    return (
        f"At fees of {compared['fee_pct']:g} % a side the same fills would make {signed_amount(result, run.currency)}: "
        f"{signed_amount(before, run.currency)} before {unsigned_amount(fees, run.currency)} of fees"
    )


def _missing(run: RunFacts, parts: Mapping[str, Decimal | None]) -> list[str]:
    """Return why some of the result is not attributed, or not known."""
    found = []
    unwatched = sum(fill.mid_price is None for symbol in run.symbols.values() for fill in symbol.fills)
    if run.trading_pnl is None and run.symbols:
        found.append("a price that converts the result never came")
    if not run.has_traces and run.fills:
        found.append("spread and move cannot be told apart without output.traces")
    elif unwatched:
        found.append(
            f"{_count(unwatched, 'fill')} came when nobody looked at the market, as the strategy stopped"
        )
    if run.is_resumed:
        found.append("earlier sessions' fills are in their own folders")
    if run.status in {"starting", "running"}:
        found.append("this run has not ended, and its tables may be a minute away from its figures")
    elif run.status != "completed":
        found.append(f"this run {'was interrupted' if run.status == 'interrupted' else run.status}")
    if not found and parts["unattributed"]:
        found.append(_ROUNDING)
    return found


def _result_line(
    run: RunFacts, parts: Mapping[str, Decimal | None], turnover: Decimal | None, missing: Sequence[str]
) -> str:
    result, currency = run.trading_pnl, run.currency
    shown = [(words, amount) for words, amount in _worded(parts, currency) if amount is not None]
    is_rounding = missing == [_ROUNDING] and not any(words == _REST for words, _ in shown)
    why = "" if is_rounding or not missing else f"; {'; '.join(missing)}"
    if result is None:
        return f"Result: not known in {currency}{why}"
    if not run.fills:
        return f"Result: {unsigned_amount(0.0, currency)}, nothing was filled{why}"
    line = f"Result: {signed_amount(float(result), currency)} = "
    line += " ".join(
        f"{signed_amount(float(amount), currency)} {words}" if amount else f"no {words}"
        for words, amount in shown
    )
    if turnover:
        total, *bps = (
            f"{_BPS * amount / turnover:+.1f}" for amount in (result, *(part for _, part in shown))
        )
        line += (
            f"; in bps of {unsigned_amount(float(turnover), currency)} turnover: {total} = {' '.join(bps)}"
        )
    return line + why


def _worded(parts: Mapping[str, Decimal | None], currency: str) -> list[tuple[str, Decimal | None]]:
    """Return the parts with their names; what is not attributed is left out where its digits would all be 0."""
    move, rest = parts["market_move"], parts["unattributed"]
    found = [
        ("spread captured", parts["spread_captured"]),
        ("adverse move" if move is None or move < 0 else "favourable move", move),
        ("fees" if (parts["fees"] or 0) <= 0 else "rebates", parts["fees"]),
    ]
    if rest is not None and abs(rest) >= Decimal(5).scaleb(-amount_decimals(currency) - 1):
        found.append((_REST, rest))
    return found


# -- What made or lost most ---------------------------------------------------------------------------------


def _groups(run: RunFacts) -> dict[str, dict[str, Decimal]]:
    """Return the result by pair, and that of this run's fills by side and by the hour they came in."""
    found: dict[str, dict[str, Decimal]] = {"pair": {}, "side": {}, "hour": {}}
    sides: dict[str, Decimal] = defaultdict(Decimal)
    hours: dict[int, Decimal] = defaultdict(Decimal)
    for name, symbol in run.symbols.items():
        total = symbol.figures["exact"]["total_pnl_report"]
        if total and symbol.figures["fills"]:
            found["pair"][name] = Decimal(total.split(maxsplit=1)[0])
        if symbol.valuation is None:
            continue
        quote, base = symbol.valuation
        for fill in symbol.fills:
            made = fill.signed * (base - fill.price * quote) - fill.fee * quote
            sides["buys" if fill.is_buy else "sells"] += made
            hours[fill.ts_ns // _HOUR_NS % _HOURS] += made
    found["side"] = {name: amount.quantize(_DIGITS) for name, amount in sorted(sides.items())}
    found["hour"] = {_hour_text(hour): amount.quantize(_DIGITS) for hour, amount in sorted(hours.items())}
    return found


def _hour_text(hour: int) -> str:
    return f"{hour:02d}:00 to {hour + 1:02d}:00 UTC"


def _most_line(run: RunFacts, groups: Mapping[str, Mapping[str, Decimal]]) -> str:
    """Return which pair, side and hour made most of a profit, or lost most of a loss."""
    is_loss = (run.trading_pnl or 0) < 0
    verb, sign = ("Lost", -1) if is_loss else ("Made", 1)
    best = (
        max(amounts.items(), key=lambda item: sign * item[1])
        for amounts in groups.values()
        if len(amounts) > 1
    )
    told = [(name, amount) for name, amount in best if sign * amount > 0]
    if told:
        words = (
            f"{name} {signed_amount(float(amount), run.currency)}{_other_side(run, groups['side'], name)}"
            for name, amount in told
        )
        return f"{verb} most: {', '.join(words)}{_each_day(run, told)}"
    every = [name for amounts in groups.values() for name in amounts]
    return f"{verb} most: all of it was {' and '.join(every)}" if every else f"{verb} most: there was no fill"


def _other_side(run: RunFacts, sides: Mapping[str, Decimal], name: str) -> str:
    """Return what the other side made: in a market that went one way the two are large and opposed."""
    if name not in sides:
        return ""
    ((other, amount),) = (item for item in sides.items() if item[0] != name)
    return f" ({other} {signed_amount(float(amount), run.currency)})"


def _each_day(run: RunFacts, told: Iterable[tuple[str, Decimal]]) -> str:
    has_hour = any(name.endswith("UTC") for name, _ in told)
    return " (that hour of every day)" if has_hour and run.seconds > _DAY_SECONDS else ""


# -- What to try next: rules, the gravest first ---------------------------------------------------------------


def no_fills(run: RunFacts) -> str | None:
    """Speak where a symbol had no fill: how far its quotes stood, and how far takers reached."""
    idle = {name: symbol for name, symbol in run.symbols.items() if not symbol.figures["fills"]}
    if not idle:
        return None
    name, symbol = next(iter(idle.items()))
    others = "" if len(idle) == 1 else f" ({len(idle) - 1} more: {', '.join(list(idle)[1:])})"
    model, reach = symbol.figures["quote_model"], symbol.figures.get("taker_reach")
    longest = _longest_reason(symbol.figures, run.seconds)
    if model is None:
        return f"{name} had no fill and was never quoted{longest}{others}"
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


def _longest_reason(figures: Figures, seconds: float) -> str:
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
    NotQuoting.REFUSED_TOO_OFTEN: "the log says why orders were refused",
    NotQuoting.ORDER_REFUSED: "the log says why orders were refused",
}


def limits_exhausted(run: RunFacts) -> str | None:
    """Speak where a halt, the balances, the rate of orders or refusals kept a side without a quote."""
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
    """Speak where two maker fees are more than the distance between a symbol's quotes."""
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
    ExitReason.STOP_LOSS: "use_reservation_price sheds inventory before its stop; a wider stop_loss_pct fires less",
    ExitReason.TRAILING_STOP: (
        "raise trailing_stop_activation until what it locks in, less trailing_stop_distance, pays a round trip's fees"
    ),
    ExitReason.TAKE_PROFIT: "raise take_profit_pct above a round trip's fees",
}


def exits_lose(run: RunFacts) -> str | None:
    """Speak where stops and targets lost money in all."""
    rates, sums = run.rates(), {}
    for reason, totals in run.exits.items():
        if reason in _ADVICE_ON_EXITS and all(code in rates for code in totals["pnl"]):
            sums[reason] = sum(
                (Decimal(repr(value)) * rates[code] for code, value in totals["pnl"].items()), Decimal(0)
            )
    if not sums or sum(sums.values()) >= 0:
        return None
    reason, worst = min(sums.items(), key=lambda item: item[1])
    times = _count(run.exits[reason]["count"], f"exit by {reason.replace('_', ' ')}", "exits")
    return f"exits lose: {times} made {signed_amount(float(worst), run.currency)}; {_ADVICE_ON_EXITS[reason]}"


def inventory_at_cap(run: RunFacts) -> str | None:
    """Speak where a symbol's inventory was at its cap for a good part of the time."""
    shares = {
        name: share
        for name, symbol in run.symbols.items()
        if (share := _share_pct(symbol.figures["seconds_at_cap"], run.seconds)) >= LEAST_SHARE_PCT
    }
    if not shares:
        return None
    name = max(shares, key=lambda key: shares[key])
    model = run.symbols[name].figures["quote_model"]
    more = ["raise gamma"] if model and model["model"] != "none" else ["use_reservation_price=true"]
    return (
        f"inventory was at its cap {shares[name]:.0f} % of the time ({name}); for aggressive inventory reduction "
        f"{' and '.join(more)}, or raise max_inventory"
    )


def trend(run: RunFacts) -> str | None:
    """Speak where a market went one way, the fills lost by it, and no trailing stop was on."""
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
    """Speak where fewer trades won than v1.4.0 wants to see."""
    trades = sum(symbol.figures["trades"] for symbol in run.symbols.values())
    wins = sum(symbol.figures["wins"] for symbol in run.symbols.values())
    if trades < LEAST_TRADES or 100.0 * wins / trades >= LOW_WIN_RATE_PCT:
        return None
    models = [symbol.figures["quote_model"] for symbol in run.symbols.values()]
    is_off = any(model is not None and model["model"] == "none" for model in models)
    advice = "use_reservation_price=true" if is_off else "raise gamma, or widen the quotes"
    return f"{100.0 * wins / trades:.0f} % of {trades:,} trades won, under {LOW_WIN_RATE_PCT:.0f} %; {advice}"


_WARMING: Final = frozenset({VolatilitySource.UNKNOWN.value, VolatilitySource.FINE_RETURNS.value})


def volatility_warming(run: RunFacts) -> str | None:
    """Speak where a volatility is not yet measured from one-minute returns."""
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
"""What is looked at, the gravest first; a rule's name is its function's."""


def _spoken(run: RunFacts) -> list[tuple[str, str]]:
    return [(rule.__name__, text) for rule in RULES if (text := rule(run)) is not None]


def _next_line(spoken: Sequence[tuple[str, str]]) -> str:
    if not spoken:
        return "Try next: no rule speaks; change one value with --set, run again and mm-nautilus compare both"
    more = "" if len(spoken) == 1 else f" ({len(spoken) - 1} more in the report)"
    return f"Try next: {spoken[0][1]}{more}"


# -- Words --------------------------------------------------------------------------------------------------


def _share_pct(seconds: float, of_seconds: float) -> float:
    return min(100.0, 100.0 * seconds / of_seconds) if of_seconds > 0 else 0.0


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def _count(number: int, word: str, several: str | None = None) -> str:
    first, space, rest = word.partition(" ")
    return f"{number:,} {first if number == 1 else several or f'{first}s'}{space}{rest}"
