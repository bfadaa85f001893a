"""What a search makes large or small, read from the summary of a trial's run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from mm_nautilus.errors import ConfigError
from mm_nautilus.system.near_names import known_names

type Figures = Mapping[str, Any]

MARK_OUT_SECONDS: Final = 30.0
"""Horizon of the mark-out objective: the longest that a run measures."""
_BPS: Final = 10_000.0
_HOUR_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure of a run that a search optimises."""

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    """Empty for the report currency."""
    value: Callable[[Figures], float | None]
    """Reads it from a completed summary; None where the run has none, so that the trial ranks last."""
    needs_traces: bool = False
    """Whether it exists only with ``output.traces``."""

    @property
    def meaning(self) -> str:
        """What the figure is, one sentence or more."""
        return " ".join((self.value.__doc__ or "").split())


def _pnl_bps(summary: Figures) -> float | None:
    """PnL net of fees as a share of turnover: total PnL of all symbols, marked at mid, by the value of all fills."""
    return _known(summary["total"]["pnl_turnover_bps"])


def _pnl(summary: Figures) -> float | None:
    """Total PnL of all symbols net of fees, marked at mid, without the revaluation of the starting balances."""
    return _known(summary["total"]["total_pnl"])


def _mark_out_bps(summary: Figures) -> float | None:
    """PnL of maker fills after the mark-out: spread captured minus adverse selection, 30 s after the fill.

    It is before fees and a share of the fills' value. It leaves out what happens to a position later, and so has less
    noise than the PnL.
    """
    value = mark_out = 0.0
    for symbol in summary["symbols"].values():
        if symbol["fills"] and (symbol["fill_quality"] is None or symbol["turnover_report"] is None):
            return None
        if symbol["fills"]:
            rate = symbol["turnover_report"] / symbol["turnover"]
            makers = symbol["fill_quality"]["maker"]
            quality = next(found for found in makers if found["seconds"] == MARK_OUT_SECONDS)
            value += rate * quality["value"]
            mark_out += rate * quality["mark_out"]
    return _BPS * mark_out / value if value else None


def _drawdown_pct(summary: Figures) -> float | None:
    """Largest fall of the account's trading PnL and funding from its best, % of the equity at the start."""
    return None if summary["equity"] is None else _known(summary["equity"]["max_drawdown_pct"])


def _inventory(summary: Figures) -> float | None:
    """Inventory deviation: the mean over time of the absolute position, added up over symbols at their last mids.

    An inventory_target other than 0 is not subtracted.
    """
    held = [symbol["average_inventory_report"] for symbol in summary["symbols"].values()]
    return None if None in held else float(sum(held))


def _order_actions(summary: Figures) -> float | None:
    """Orders placed, amended and cancelled, an hour."""
    total = summary["total"]
    count = sum(total[name] for name in ("orders_placed", "orders_amended", "orders_cancelled"))
    seconds = summary["period"]["seconds"]
    return _HOUR_SECONDS * count / seconds if seconds > 0 else None


def _known(figure: float | None) -> float | None:
    return None if figure is None else float(figure)


OBJECTIVES: Final[Mapping[str, Objective]] = {
    objective.name: objective
    for objective in (
        Objective("pnl_bps", "maximize", "bps", _pnl_bps),
        Objective("pnl", "maximize", "", _pnl),
        Objective("mark_out_bps", "maximize", "bps", _mark_out_bps, needs_traces=True),
        Objective("drawdown_pct", "minimize", "%", _drawdown_pct),
        Objective("inventory", "minimize", "", _inventory),
        Objective("order_actions", "minimize", "per hour", _order_actions),
    )
}
"""Every objective by its name."""


def chosen_objectives(names: Sequence[str]) -> list[Objective]:
    """Return objectives by their names; a ConfigError names those unknown or given twice, or says there is none."""
    unknown = [
        f"an objective must be one of {known_names(name, OBJECTIVES)}, was {name}"
        for name in names
        if name not in OBJECTIVES
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    repeated = [f"an objective must be given once, was {name} several times" for name in twice]
    none = [] if names else [f"one of {', '.join(OBJECTIVES)} must be given as an objective, was none"]
    if unknown or repeated or none:
        raise ConfigError(unknown + repeated + none)
    return [OBJECTIVES[name] for name in names]
