"""Where a run made or lost money: the pair, the time and, where it is more than chance, the side."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import sqrt
from typing import Any, Final

from mm_nautilus.report.attribution import HORIZON_SECONDS
from mm_nautilus.report.money import shared_decimals, signed_amount
from mm_nautilus.report.run_facts import RunFacts
from mm_nautilus.report.stretches import HOUR_MINUTES, MINUTE_NS
from mm_nautilus.system.moments import moment

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
    unit = "hour" if stretches.minutes == HOUR_MINUTES else _minutes(stretches.minutes)
    made = signed_amount(float(amount), run.currency)
    return f"{'worst' if is_loss else 'best'} {unit} {day}{start:%H:%M} to {end:%H:%M} UTC {made}"


def _minutes(number: int) -> str:
    return "minute" if number == 1 else f"{number} minutes"


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
