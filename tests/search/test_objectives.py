from typing import Any

import pytest

from mm_nautilus.errors import ConfigError
from mm_nautilus.search.objectives import OBJECTIVES, chosen_objectives


def symbol(turnover: float, rate: float, value: float, mark_out: float) -> dict[str, Any]:
    """Return the figures of a symbol whose quote currency is worth `rate` of the report currency."""
    quality = {"seconds": 30.0, "value": value, "mark_out": mark_out}
    early = {"seconds": 5.0, "value": value, "mark_out": 1e9}
    return {
        "fills": 3,
        "turnover": turnover,
        "turnover_report": turnover * rate,
        "average_inventory_report": 7.0,
        "fill_quality": {"maker": [early, quality], "taker": []},
    }


@pytest.fixture
def summary() -> dict[str, Any]:
    return {
        "period": {"seconds": 1_800.0},
        "total": {
            "pnl_turnover_bps": 0.4,
            "total_pnl": 1.5,
            "orders_placed": 10,
            "orders_amended": 20,
            "orders_cancelled": 30,
        },
        "equity": {"max_drawdown_pct": 0.25},
        "symbols": {"XRP/USDT": symbol(2_000.0, 1.0, 1_000.0, 0.3), "XRP/BTC": symbol(0.1, 1e5, 0.02, 5e-6)},
    }


def test_objectives_are_figures_of_a_run(summary):
    assert {name: objective.value(summary) for name, objective in OBJECTIVES.items()} == {
        "pnl_bps": 0.4,
        "pnl": 1.5,
        "mark_out_bps": pytest.approx(1e4 * (0.3 + 0.5) / (1_000.0 + 2_000.0)),
        "drawdown_pct": 0.25,
        "inventory": 14.0,
        "order_actions": 120.0,
    }


def test_what_a_run_does_not_know_is_none(summary):
    summary["total"] |= {"pnl_turnover_bps": None, "total_pnl": None}
    summary["equity"] = None
    summary["symbols"]["XRP/BTC"] |= {"average_inventory_report": None, "fill_quality": None}
    unknown = {name for name, objective in OBJECTIVES.items() if objective.value(summary) is None}
    assert unknown == {"pnl_bps", "pnl", "mark_out_bps", "drawdown_pct", "inventory"}
    for figures in summary["symbols"].values():
        figures |= {"fills": 0, "turnover": 0.0, "turnover_report": 0.0}
    assert OBJECTIVES["mark_out_bps"].value(summary) is None


def test_every_objective_has_a_direction_and_a_meaning():
    assert {objective.name for objective in OBJECTIVES.values() if objective.direction == "maximize"} == {
        *("pnl_bps", "pnl", "mark_out_bps")
    }
    assert all(objective.meaning.endswith(".") for objective in OBJECTIVES.values())


def test_objectives_are_chosen_by_name():
    assert [objective.name for objective in chosen_objectives(["pnl", "inventory"])] == ["pnl", "inventory"]
    with pytest.raises(ConfigError) as refused:
        chosen_objectives(["pnl", "pln", "pnl"])
    names = ", ".join(OBJECTIVES)
    assert refused.value.problems == [
        f"an objective must be one of {names}; did you mean pnl?, was pln",
        "an objective must be given once, was pnl several times",
    ]
    with pytest.raises(ConfigError, match="must be given as an objective, was none"):
        chosen_objectives([])
