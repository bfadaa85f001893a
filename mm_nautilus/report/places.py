"""Where a run made or lost money: the pair, the time and, where it is more than chance, the side."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import sqrt
from typing import Any, Final

from mm_nautilus.report.attribution import HORIZON_SECONDS
from mm_nautilus.report.money import shared_decimals, signed_amount
from mm_nautilus.report.run_facts import RunFacts
from mm_nautilus.report.run_files import exact_amount
from mm_nautilus.report.stretches import HOUR_MINUTES, MINUTE_NS
from mm_nautilus.system.moments import moment
from mm_nautilus.system.plain_text import counted

_LEAST_FILLS: Final = 10
"""Fills of a side below which the sides are not compared."""
_ERRORS: Final = 2.0
"""Standard errors of their difference by which two sides must differ: about one case in twenty is chance."""
_DAY_SECONDS: Final = 86_400


def pair_words(run: RunFacts) -> str:
    """Return the pair that lost most of a loss or made most of a profit, and what the others did."""
    known = _results(run)
    name = decisive_pair(run)
    if not known or name is None:
        return "not known by pair"
    if len(known) == 1:
        return f"all of it in {name}"
    decimals = shared_decimals([float(amount) for amount in known.values()], run.currency)
    words = {pair: signed_amount(float(amount), run.currency, decimals) for pair, amount in known.items()}
    others = ", ".join(f"{pair} {text}" for pair, text in words.items() if pair != name)
    return f"{name} {words[name]} ({others})"


def exit_words(run: RunFacts) -> str:
    """Return the trades of a loss by what closed them, where exits lost more of it than the pair named."""
    result, found = run.trading_pnl, exit_results(run)
    lost = sum((amount for _, amount in found.values() if amount < 0), Decimal(0))
    worst = min(_results(run).values(), default=Decimal(0))
    if result is None or result >= 0 or lost >= min(worst, result / 2):
        return ""
    trades = sum(int(symbol.figures["trades"]) for symbol in run.symbols.values())
    realized = _realized(run)
    quoted = trades - sum(count for count, _ in found.values())
    rows = [(reason.replace("_", " "), count, amount) for reason, (count, amount) in found.items()]
    if realized is not None and quoted > 0:
        rows.append(("fills of the quotes", quoted, realized - sum(amount for _, amount in found.values())))
    decimals = shared_decimals([float(amount) for *_, amount in rows], run.currency)
    words = [
        f"{counted(count, 'trade')} closed by {name} {signed_amount(float(amount), run.currency, decimals)}"
        for name, count, amount in sorted(rows, key=lambda row: row[2])
    ]
    return ", ".join(words)


def exit_results(run: RunFacts) -> dict[str, tuple[int, Decimal]]:
    """Return the trades that each kind of exit closed and their PnL in the report currency; none not known there."""
    rates = run.rates()
    return {
        reason: (
            int(totals["trades"]),
            sum((Decimal(repr(value)) * rates[code] for code, value in totals["pnl"].items()), Decimal(0)),
        )
        for reason, totals in run.exits.items()
        if totals["pnl"].keys() <= rates.keys()
    }


def _realized(run: RunFacts) -> Decimal | None:
    """Return what all trades made; None where it is not known in the report currency, or has open fees in it."""
    total = Decimal(0)
    for symbol in run.symbols.values():
        amount = exact_amount(symbol.figures["exact"].get("realized_pnl", ""))
        if amount is None or symbol.valuation is None or symbol.figures.get("inventory"):
            return None
        total += amount * symbol.valuation.quote
    return total


def decisive_pair(run: RunFacts) -> str | None:
    """Return the pair that lost most of a loss or made most of a profit."""
    known = _results(run)
    is_loss = (run.trading_pnl or 0) < 0
    return (min if is_loss else max)(known, key=lambda name: known[name], default=None)


def _results(run: RunFacts) -> dict[str, Decimal]:
    """Return the results of the pairs that had fills."""
    return {
        name: symbol.result
        for name, symbol in run.symbols.items()
        if symbol.result is not None and symbol.figures["fills"]
    }


def hour_words(run: RunFacts) -> str:
    """Return the stretch of time that lost most of a loss or made most of a profit."""
    stretches = run.stretches
    if stretches is None or len(stretches.total) < 2:
        return ""
    is_loss = (run.trading_pnl or 0) < 0
    sign = -1 if is_loss else 1
    row = max(range(len(stretches.total)), key=lambda number: sign * stretches.total[number])
    amount = stretches.total[row]
    if sign * amount <= 0:
        return ""
    start = moment(stretches.starts_ns[row])
    end = moment(stretches.starts_ns[row] + stretches.minutes * MINUTE_NS)
    day = f"{start:%Y-%m-%d} " if run.seconds > _DAY_SECONDS else ""
    unit = "hours" if stretches.minutes == HOUR_MINUTES else _minutes(stretches.minutes)
    made = signed_amount(float(amount), run.currency)
    scope = "all pairs: " if len(run.symbols) > 1 else ""
    when = f"{day}{start:%H:%M} to {end:%H:%M} UTC"
    return f"{scope}{'worst' if is_loss else 'best'} of the {unit} {when} {made}"


def _minutes(number: int) -> str:
    return "minutes" if number == 1 else f"{number}-minute stretches"


def side_words(run: RunFacts) -> str:
    """Return the side of the pair named that lost or made money, where the other did not, beyond chance.

    Sides are compared by what their fills were worth after the attribution's horizon, net of fees: over a whole run a
    side's result mostly says which way the market went. It must be so without the market's mean drift, too.
    """
    name = decisive_pair(run)
    sides = {} if name is None else run.symbols[name].quality
    if name is None or not {"buys", "sells"} <= sides.keys():
        return ""
    is_loss = (run.trading_pnl or 0) < 0
    first, second = _ordered(sides, is_loss=is_loss)
    (one, of_one), (other, of_other) = first, second
    move = run.symbols[name].move_pct
    drift_bps = 100 * (move or 0.0) * HORIZON_SECONDS / run.seconds if run.seconds else 0.0
    if not all(_differ(sides["buys"], sides["sells"], drift) for drift in (0.0, drift_bps)):
        return ""
    context = "" if move is None else f", while the mid moved {move:+.2f} %"
    return (
        f"there {one} {of_one['net_bps']:+.2f} bps after {HORIZON_SECONDS:g} s net of fees, "
        f"{other} {of_other['net_bps']:+.2f}{context}"
    )


def _ordered(sides: Mapping[str, Mapping[str, Any]], *, is_loss: bool) -> Iterable[tuple[str, Any]]:
    found = [(name, sides[name]) for name in ("buys", "sells")]
    return sorted(found, key=lambda item: item[1]["net_bps"] or 0.0, reverse=not is_loss)


def _differ(buys: Mapping[str, Any], sells: Mapping[str, Any], drift_bps: float) -> bool:
    """Return whether only one side lost, by more than chance, where a drift of the mid is taken out of both."""
    errors = [side["standard_error_bps"] for side in (buys, sells)]
    if None in errors or min(buys["fills"], sells["fills"]) < _LEAST_FILLS:
        return False
    bought, sold = buys["net_bps"] - drift_bps, sells["net_bps"] + drift_bps
    return bool(bought * sold < 0 and abs(bought - sold) > _ERRORS * sqrt(errors[0] ** 2 + errors[1] ** 2))
