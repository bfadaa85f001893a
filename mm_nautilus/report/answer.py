"""What a run comes to, in three lines: where the result is from, what made or lost most, and what to try next.

All of it is computed from a run's figures and fills as plain values. Amounts in several currencies are converted at the
run's last mids, the rates that its equity uses, before they are added.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any, Final

from mm_nautilus.report.advice import suggestions
from mm_nautilus.report.money import (
    adding_decimals,
    amount_decimals,
    rounding,
    shared_decimals,
    signed_amount,
    unsigned_amount,
)
from mm_nautilus.report.run_facts import RunFacts, turnover_of
from mm_nautilus.system.plain_text import counted

_BPS: Final = 10_000
_HOUR_NS: Final = 3_600_000_000_000
_DAY_SECONDS: Final = 86_400
_PRECISION: Final = 60
"""Digits of a sum in between; the engine's amounts and the rates between them never have as many."""
_DIGITS: Final = Decimal("1e-12")
"""Digits that parts keep; the rest of them is not attributed."""
_REST: Final = "not attributed"
_ROUNDED: Final = "rounding"
"""What parts lack of their sum as they are written."""
_ROUNDING: Final = "the engine rounds what each fill realised"


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
    rules = suggestions(run)
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
        "next": [{"rule": name, "text": text} for name, text in rules],
        "lines": [
            _result_line(run, parts, turnover, missing),
            _most_line(run, groups),
            _next_line(rules),
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
    """Return both over the fills whose mid is known; None without traces, or where one cannot be converted."""
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
    """Return what the same fills make at another fee, None where it is not asked for or not known."""
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
    decimals = adding_decimals(result, [before, -fees], run.currency)
    made, gross = (signed_amount(amount, run.currency, decimals) for amount in (result, before))
    charged = unsigned_amount(fees, run.currency, decimals)
    return (
        f"At fees of {compared['fee_pct']:g} % a side the same fills would make {made}: "
        f"{gross} before {charged} of fees"
    )


def _missing(run: RunFacts, parts: Mapping[str, Decimal | None]) -> list[str]:
    """Return why some of the result is not attributed, or not known."""
    found = []
    unwatched = sum(fill.mid_price is None for symbol in run.symbols.values() for fill in symbol.fills)
    if run.trading_pnl is None and run.symbols:
        found.append("a price that converts the result never came")
    if not run.has_traces and run.fills:
        found.append("spread and move are known only with output.traces: true")
    elif unwatched:
        found.append(f"{counted(unwatched, 'fill')} came without a mid, while the strategy stopped")
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
    total, amounts = float(result), {words: float(amount) for words, amount in shown}
    decimals = shared_decimals([total, *amounts.values()], currency)
    if rest := rounding(total, amounts.values(), decimals):
        amounts[_ROUNDED] = rest
    line = f"Result: {signed_amount(total, currency, decimals)} = " + " ".join(
        f"{signed_amount(amount, currency, decimals)} {words}" if amount else f"no {words}"
        for words, amount in amounts.items()
    )
    if turnover:
        line += f"; in bps of {unsigned_amount(float(turnover), currency)} turnover: "
        line += _bps_text(
            *(float(_BPS * amount / turnover) for amount in (result, *(part for _, part in shown)))
        )
    return line + why


def _bps_text(total: float, *parts: float) -> str:
    """Return a sum in bps of turnover, with what its parts lack of it as they are written."""
    decimals = next((digits for digits in (1, 2) if not rounding(total, parts, digits)), 1)
    rest = rounding(total, parts, decimals)
    written, *others = (_signed(value, decimals) for value in (total, *parts))
    return f"{written} = {' '.join(others)}" + (f" {_signed(rest, decimals)} {_ROUNDED}" if rest else "")


def _signed(value: float, decimals: int) -> str:
    """Return a number with its sign, and one whose digits are all 0 without any."""
    text = f"{value:+z.{decimals}f}"
    return text if float(text) else text[1:]


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
    """Return the result by pair, and that of this run's fills by side and by the hour of the day."""
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
            hours[fill.ts_ns // _HOUR_NS % 24] += made
    found["side"] = {name: amount.quantize(_DIGITS) for name, amount in sorted(sides.items())}
    found["hour"] = {
        f"{hour:02d}:00 to {hour + 1:02d}:00 UTC": amount.quantize(_DIGITS)
        for hour, amount in sorted(hours.items())
    }
    return found


def _most_line(run: RunFacts, groups: Mapping[str, Mapping[str, Decimal]]) -> str:
    """Return which pair, side and hour made most of a profit, or lost most of a loss."""
    is_loss = (run.trading_pnl or 0) < 0
    verb, sign = ("Lost", -1) if is_loss else ("Made", 1)
    best = (
        max(amounts.items(), key=lambda item: sign * item[1])
        for amounts in groups.values()
        if len(amounts) > 1
    )
    largest = [(name, amount) for name, amount in best if sign * amount > 0]
    if largest:
        words = (
            f"{name} {signed_amount(float(amount), run.currency)}{_other_side(run, groups['side'], name)}"
            for name, amount in largest
        )
        has_hour = any(name.endswith("UTC") for name, _ in largest)
        each_day = " (that hour of every day)" if has_hour and run.seconds > _DAY_SECONDS else ""
        return f"{verb} most: {', '.join(words)}{each_day}"
    every = [name for amounts in groups.values() for name in amounts]
    return f"{verb} most: all of it was {' and '.join(every)}" if every else f"{verb} most: there was no fill"


def _other_side(run: RunFacts, sides: Mapping[str, Decimal], name: str) -> str:
    """Return what the other side made: in a market that went one way the two are large and opposed."""
    if name not in sides:
        return ""
    ((other, amount),) = (item for item in sides.items() if item[0] != name)
    return f" ({other} {signed_amount(float(amount), run.currency)})"


def _next_line(rules: Sequence[tuple[str, str]]) -> str:
    if not rules:
        return (
            "Try next: no rule applies; change one value with --set, run again and mm-nautilus compare both"
        )
    more = "" if len(rules) == 1 else f" ({len(rules) - 1} more in the report)"
    return f"Try next: {rules[0][1]}{more}"
