"""Why a run made or lost money: the parts of its result that decided, in words."""

from decimal import Decimal
from typing import Final, NamedTuple

from mm_nautilus.report.attribution import HORIZON_SECONDS, Parts
from mm_nautilus.report.money import amount_decimals, signed_amount, unsigned_amount
from mm_nautilus.report.places import decisive_pair
from mm_nautilus.report.run_facts import RunFacts

REST: Final = "not attributed"
_AFTER: Final = f"{HORIZON_SECONDS:g} s"
_UNKNOWN: Final = "most of it is not attributed"
_MOST: Final = Decimal(2) / 3
"""Share of all costs from which on the largest is named alone."""
_LEAST: Final = Decimal("0.2")
"""Share of all costs below which the second is not named."""
_GAINS: Final = {
    "adverse selection": "moves in favour of the fills",
    "inventory revaluation": "inventory that gained value",
}
_FEES: Final = (("maker_fees", "maker"), ("taker_fees", "taker"), ("other_fees", "other"))


class Story(NamedTuple):
    """What cost most in a loss."""

    pair: str | None
    """The pair that it is told of; None for all together."""
    parts: Parts
    costs: tuple[str, ...]
    """The names of the largest, one or two; none where nothing cost anything."""


def worded(parts: Parts, currency: str) -> list[tuple[str, Decimal | None]]:
    """Return the parts with their names; fees of 0, and a rest whose digits would all be 0, are left out."""
    found: list[tuple[str, Decimal | None]] = [
        ("spread captured", parts.spread_captured),
        ("adverse selection", parts.adverse_selection),
        ("inventory revaluation", parts.inventory_revaluation),
    ]
    for name, kind in _FEES:
        amount = getattr(parts, name)
        if amount:
            found.append((f"{kind} {'fees' if amount < 0 else 'rebates'}", amount))
    rest = parts.unattributed
    if rest is not None and abs(rest) >= Decimal(5).scaleb(-amount_decimals(currency) - 1):
        found.append((REST, rest))
    return found


def largest_costs(parts: Parts) -> tuple[str, ...]:
    """Return the names of the one or two parts that explain most of the costs."""
    costs = {name: -amount for name, amount in parts._asdict().items() if amount is not None and amount < 0}
    whole = sum(costs.values(), Decimal(0))
    first, *others = sorted(costs, key=lambda name: costs[name], reverse=True) or [""]
    if not first:
        return ()
    second = others[:1] if costs[first] < _MOST * whole else []
    return (first, *(name for name in second if costs[name] >= _LEAST * whole))


def story(run: RunFacts) -> Story:
    """Return the largest costs of a run, of one pair where that lost at least half and another part most."""
    whole = Story(None, run.parts, largest_costs(run.parts))
    losses = {name: -(symbol.result or 0) for name, symbol in run.symbols.items() if (symbol.result or 0) < 0}
    name = decisive_pair(run)
    if name not in losses or len(run.symbols) == 1 or 2 * losses[name] < sum(losses.values()):
        return whole
    own = Story(name, run.pairs[name], largest_costs(run.pairs[name]))
    return whole if own.costs[:1] == whole.costs[:1] else own


def decisive(parts: Parts, result: Decimal) -> str:
    """Return the name of the part that is the largest cost of a loss, or the largest gain of a profit.

    A profit in spite of quotes that lost net of fees is one of the inventory, however large the spread was.
    """
    net = None if parts.edge is None or parts.fees is None else parts.edge + parts.fees
    if result >= 0 and net is not None and net < 0 < (parts.inventory_revaluation or 0):
        return "inventory_revaluation"
    known = {name: amount for name, amount in parts._asdict().items() if amount is not None}
    return (min if result < 0 else max)(known, key=lambda name: known[name], default="")


def cause(run: RunFacts) -> str:
    """Return in words what decided over a known result: its largest costs, or what made most of it."""
    result = run.trading_pnl or Decimal(0)
    return _lost(run) if result < 0 else _made(decisive(run.parts, result), run)


def _lost(run: RunFacts) -> str:
    pair, parts, costs = story(run)
    if not costs or "unattributed" in costs[:1]:
        return _UNKNOWN
    words = " and ".join(_cost_words(name, run, parts) for name in costs if name != "unattributed")
    inside = "" if pair is None else f"in {pair} "
    return f"{inside}{words}{_against(run, parts)}"


def _cost_words(name: str, run: RunFacts, parts: Parts) -> str:
    lost = signed_amount(float(getattr(parts, name)), run.currency)
    words = {
        "spread_captured": "fills paid the spread in place of earning it, as exits at market do",
        "adverse_selection": f"mids moved against the fills within {_AFTER} (adverse selection",
        "inventory_revaluation": "the inventory lost value as the market moved on (inventory revaluation",
        "maker_fees": "maker fees",
        "taker_fees": "taker fees of the exits" if run.exits else "taker fees",
        "other_fees": "other fees",
    }[name]
    return f"{words} {lost})" if "(" in words else f"{words} {lost}"


def _against(run: RunFacts, parts: Parts) -> str:
    """Return what stood against the costs."""
    gains = {
        _GAINS.get(words, words): amount for words, amount in worded(parts, run.currency) if (amount or 0) > 0
    }
    name = max(gains, key=lambda key: gains[key] or 0, default="")
    if not name or name == REST:
        return ""
    return f", against {signed_amount(float(gains[name] or 0), run.currency)} of {name}"


def _made(name: str, run: RunFacts) -> str:
    costs = sum((amount for amount in run.parts if amount is not None and amount < 0), Decimal(0))
    is_enough = (run.parts.spread_captured or 0) + costs >= 0
    words = {
        "spread_captured": f"the spread captured {'was more than all costs' if is_enough else 'made most of it'}",
        "adverse_selection": f"mids moved in favour of the fills within {_AFTER}",
        "inventory_revaluation": (
            f"the market moved in favour of the inventory, more than {_AFTER} after the fills, which may be chance"
            f"{_edge_words(run)}"
        ),
        "maker_fees": "the rebates made it",
    }
    return words.get(name, _UNKNOWN)


def _edge_words(run: RunFacts) -> str:
    """Return what fills made beside the inventory's value."""
    edge, fees = run.parts.edge, run.parts.fees
    if edge is None or fees is None:
        return ""
    net = edge + fees
    verb = "made" if net >= 0 else "lost"
    return f", while quoting {verb} {unsigned_amount(float(abs(net)), run.currency)} net of fees"
