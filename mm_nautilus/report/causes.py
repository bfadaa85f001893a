"""Why a run made or lost money: the part of its result that decided, in words."""

from decimal import Decimal
from typing import Final

from mm_nautilus.report.attribution import HORIZON_SECONDS, Parts
from mm_nautilus.report.money import amount_decimals, unsigned_amount
from mm_nautilus.report.run_facts import RunFacts

REST: Final = "not attributed"
_AFTER: Final = f"{HORIZON_SECONDS:g} s"
_UNKNOWN: Final = "most of it is not attributed"


def worded(parts: Parts, currency: str) -> list[tuple[str, Decimal | None]]:
    """Return the parts with their names; what is not attributed is left out where its digits would all be 0."""
    found: list[tuple[str, Decimal | None]] = [
        ("spread captured", parts.spread_captured),
        ("adverse selection", parts.adverse_selection),
        ("inventory revaluation", parts.inventory_revaluation),
        ("fees" if (parts.fees or 0) <= 0 else "rebates", parts.fees),
    ]
    rest = parts.unattributed
    if rest is not None and abs(rest) >= Decimal(5).scaleb(-amount_decimals(currency) - 1):
        found.append((REST, rest))
    return found


def decisive(parts: Parts, result: Decimal) -> str:
    """Return the name of the part that is the largest cost of a loss, or the largest gain of a profit.

    A profit in spite of quotes that lost net of fees is one of the inventory, however large the spread was.
    """
    net = None if parts.edge is None or parts.fees is None else parts.edge + parts.fees
    if result >= 0 and net is not None and net < 0 < (parts.inventory_revaluation or 0):
        return "inventory_revaluation"
    known = {name: amount for name, amount in parts._asdict().items() if amount is not None}
    return (min if result < 0 else max)(known, key=lambda name: known[name], default="")


def largest_cost(parts: Parts) -> str:
    """Return the name of the part that cost most, an empty text where none cost anything."""
    known = {name: amount for name, amount in parts._asdict().items() if amount}
    name = min(known, key=lambda key: known[key], default="")
    return name if name and known[name] < 0 else ""


def cause(run: RunFacts) -> str:
    """Return in words what decided over a known result: its largest cost, or what made most of it."""
    parts, result = run.parts, run.trading_pnl or Decimal(0)
    name = decisive(parts, result)
    return _lost(name, run) if result < 0 else _made(name, run)


def _lost(name: str, run: RunFacts) -> str:
    edge, spread = run.parts.edge, run.parts.spread_captured
    is_beaten = edge is not None and spread is not None and edge < 0 < spread
    beaten = " by more than the spread they captured" if is_beaten else ""
    words = {
        "fees": _fee_words(run),
        "adverse_selection": f"mids moved against the fills within {_AFTER}{beaten}",
        "inventory_revaluation": (
            f"the inventory lost value as the market moved, more than {_AFTER} after the fills{_edge_words(run)}"
        ),
        "spread_captured": "fills paid the spread in place of earning it, as exits at market do",
    }
    return words.get(name, _UNKNOWN)


def _fee_words(run: RunFacts) -> str:
    edge, fees = run.parts.edge, run.parts.fees or Decimal(0)
    if edge is None:
        return "fees are the largest cost that is known"
    if edge <= 0:
        return f"fees are the largest cost, and the fills lost within {_AFTER} even before them"
    word = "took more than" if -fees > edge else "took most of"
    return (
        f"fees {word} the {unsigned_amount(float(edge), run.currency)} that fills were worth after {_AFTER}"
    )


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
        "fees": "the rebates made it",
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
