"""What a run comes to, in four lines: the result, where it was made or lost, why, and what to change.

All of it is computed from a run's figures and fills as plain values. Amounts in several currencies are converted at the
run's last mids, the rates that its equity uses, before they are added.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any, Final

from mm_nautilus.report.advice import suggestions
from mm_nautilus.report.attribution import Parts
from mm_nautilus.report.causes import REST, cause, worded
from mm_nautilus.report.idle_advice import halted
from mm_nautilus.report.money import (
    adding_decimals,
    rounding,
    shared_decimals,
    signed_amount,
    unsigned_amount,
)
from mm_nautilus.report.places import exit_words, hour_words, pair_words, side_words
from mm_nautilus.report.run_facts import RunFacts
from mm_nautilus.report.stretches import Stretches
from mm_nautilus.system.moments import moment
from mm_nautilus.system.plain_text import counted

_BPS: Final = 10_000
_PRECISION: Final = 60
"""Digits of a quotient, as of the sums of an attribution."""
_DIGITS: Final = Decimal("1e-12")
"""Digits of turnover."""
_ROUNDED: Final = "rounding"
"""What parts lack of their sum as they are written."""
_ROUNDING: Final = "the engine rounds what each fill realised"


def answer(run: RunFacts) -> dict[str, Any]:
    """Return a run's answer: the parts of its result, in all and of each pair, its course, advice, and all in words.

    Parts, those of `mm_nautilus.report.attribution.Parts`, always add up to the result, to the last digit of the texts
    under ``exact``.
    """
    with localcontext() as context:
        context.prec = _PRECISION
        compared = _compared(run)
        whole = _figures(run.trading_pnl, run.parts, run.turnover, run.currency)
        pairs = {
            name: _figures(
                symbol.result, run.pairs[name], None if run.is_resumed else symbol.turnover, run.currency
            )
            | {"sides": _sides(symbol.quality)}
            for name, symbol in run.symbols.items()
        }
    rules = suggestions(run)
    missing = _missing(run)
    return {
        "currency": run.currency,
        **whole,
        "funding": None if run.funding is None else float(run.funding),
        "pairs": pairs,
        "by_time": None if run.stretches is None else _by_time(run.stretches),
        "missing": missing,
        "compared": compared,
        "why": _why_words(run),
        "next": [{"rule": name, "text": text} for name, text in rules],
        "lines": [
            _result_line(run, missing),
            _where_line(run),
            _why_line(run, missing),
            _change_line(rules),
            *([] if compared is None else [_compared_line(run, compared)]),
        ],
    }


def _figures(result: Decimal | None, parts: Parts, turnover: Decimal | None, currency: str) -> dict[str, Any]:
    """Return a result and its parts as numbers, as shares of turnover, and exactly."""
    named = parts._asdict()
    amounts = {"result": result, **named}
    worth = None if turnover is None else turnover.quantize(_DIGITS)
    return {
        "result": _number(result),
        "parts": {name: _number(amount) for name, amount in named.items()},
        "turnover": _number(turnover),
        "bps": {
            name: None if amount is None or not turnover else float(_BPS * amount / turnover)
            for name, amount in amounts.items()
        },
        "exact": {
            name: "" if amount is None else f"{amount:f} {currency}"
            for name, amount in {**amounts, "turnover": worth}.items()
        },
    }


def _sides(quality: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what each side's fills were worth at the attribution's horizon; nothing without traces."""
    keys = ("fills", "net_bps", "standard_error_bps")
    return {side: {key: quality[side][key] for key in keys} for side in ("buys", "sells") if side in quality}


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _by_time(stretches: Stretches) -> dict[str, Any]:
    """Return what was made in each stretch, in exact amounts as decimal texts."""
    return {
        "minutes": stretches.minutes,
        "starts": [moment(start).strftime("%Y-%m-%dT%H:%M:%SZ") for start in stretches.starts_ns],
        "total": [f"{amount:f}" for amount in stretches.total],
        "pairs": {pair: [f"{amount:f}" for amount in found] for pair, found in stretches.pairs.items()},
        "before": f"{stretches.before:f}",
    }


def _missing(run: RunFacts) -> list[str]:
    """Return why some of the result is not attributed, or not known."""
    found = []
    unwatched = sum(fill.mid_price is None for symbol in run.symbols.values() for fill in symbol.fills)
    if run.trading_pnl is None and run.symbols:
        found.append("a price that converts the result never came")
    if not run.has_traces and run.fills:
        found.append("spread, adverse selection and inventory are known only with output.traces: true")
    elif unwatched and run.status in {"starting", "running"}:
        found.append(f"the mids of {counted(unwatched, 'fill')} are not on the disk yet")
    elif unwatched:
        found.append(f"{counted(unwatched, 'fill')} came without a mid, while the strategy stopped")
    if run.is_resumed:
        found.append("earlier sessions' fills are in their own folders")
    if run.status in {"starting", "running"}:
        found.append("this run has not ended, and its tables may be a minute away from its figures")
    elif run.status != "completed":
        found.append(f"this run {'was interrupted' if run.status == 'interrupted' else run.status}")
    if not found and run.parts.unattributed:
        found.append(_ROUNDING)
    return found


# -- The lines ----------------------------------------------------------------------------------------------


def _result_line(run: RunFacts, missing: Sequence[str]) -> str:
    result, currency = run.trading_pnl, run.currency
    why = "" if missing == [_ROUNDING] or not missing else f"; {'; '.join(missing)}"
    if result is None:
        return f"Result: not known in {currency}{why}"
    if not run.fills:
        return f"Result: {unsigned_amount(0.0, currency)}, nothing was filled{why}"
    words = [signed_amount(float(result), currency)]
    with localcontext() as context:
        context.prec = _PRECISION
        if run.turnover:
            value = unsigned_amount(float(run.turnover), currency)
            words.append(f"{_signed(float(_BPS * result / run.turnover), 2)} bps of {value} turnover")
        if run.equity_start:
            words.append(f"{_signed(float(100 * result / run.equity_start), 3)} % of the equity at the start")
    if run.funding:
        paid = signed_amount(float(run.funding), currency)
        whole = signed_amount(float(result + run.funding), currency)
        words.append(f"with {paid} of funding {whole}")
    return f"Result: {', '.join(words)}{why}"


def _where_line(run: RunFacts) -> str:
    """Return the pair, the time and, where it is more than chance, the side that lost or made most."""
    if not run.fills or run.trading_pnl is None:
        return f"Where: {'there was no fill' if not run.fills else 'not known, as the result is not'}"
    found = [words for words in (pair_words(run), exit_words(run), hour_words(run), side_words(run)) if words]
    return f"Where: {'; '.join(found)}"


def _why_words(run: RunFacts) -> str:
    """Return in words what decided."""
    if run.trading_pnl is None:
        return "not known, as the result is not"
    if not run.fills:
        return "without a fill nothing is won or lost"
    return cause(run)


def _why_line(run: RunFacts, missing: Sequence[str]) -> str:
    """Return in words what decided, and the sum of all."""
    result, currency = run.trading_pnl, run.currency
    if result is None or not run.fills:
        return f"Why: {_why_words(run)}"
    shown = [(words, float(amount)) for words, amount in worded(run.parts, currency) if amount is not None]
    total = float(result)
    decimals = shared_decimals([total, *(amount for _, amount in shown)], currency)
    if rest := rounding(total, (amount for _, amount in shown), decimals):
        shown.append((_ROUNDED, rest))
    added = " ".join(
        f"{signed_amount(amount, currency, decimals)} {words}" if amount else f"no {words}"
        for words, amount in shown
    )
    is_told = any(words == REST for words, _ in shown) and missing
    reasons = f" ({'; '.join(missing)})" if is_told else ""
    return f"Why: {_why_words(run)}: {signed_amount(total, currency, decimals)} = {added}{reasons}"


def change_words(rules: Sequence[tuple[str, str]]) -> str:
    """Return what to change first, of the rules that apply, and a halt that followed from what lost."""
    if not rules:
        return "nothing stands out; change one value with --set, run again and mm-nautilus compare both"
    (_, text), *others = rules
    return ". Also, ".join([text, *(words for name, words in others if name == halted.__name__)])


def _change_line(rules: Sequence[tuple[str, str]]) -> str:
    return f"Change: {change_words(rules)}"


def _signed(value: float, decimals: int) -> str:
    """Return a number with its sign, and one whose digits are all 0 without any."""
    text = f"{value:+z.{decimals}f}"
    return text if float(text) else text[1:]


# -- The same fills at another fee --------------------------------------------------------------------------


def _compared(run: RunFacts) -> dict[str, float] | None:
    """Return what the same fills make at another fee, None where it is not asked for or not known."""
    turnover, charged = run.turnover, run.parts.fees
    if run.compare_fee_pct is None or not turnover or run.trading_pnl is None or charged is None:
        return None
    before = run.trading_pnl - charged
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
