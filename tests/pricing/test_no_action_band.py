"""What the band has to reckon with beside the price; any parameters at all: tests/trading/test_kept_plans.py."""

import math
from collections.abc import Callable

import pytest

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.no_action_band import no_action_band
from mm_nautilus.pricing.pricing_model import MarketView, PositionView
from mm_nautilus.pricing.quote_model import QuoteModel
from mm_nautilus.pricing.quotes import (
    OrderAction,
    Quote,
    QuoteInputs,
    QuotePlan,
    SizeLimits,
    decide_action,
    plan_quotes,
)

type Limits = Callable[[float], SizeLimits]


def dear(_mid_ticks: float) -> SizeLimits:
    """A venue's largest value, which holds fewer lots the dearer they are."""
    return SizeLimits(100_000, 500_000, 1, max_notional_units=5e10)


def in_money(mid_ticks: float) -> SizeLimits:
    """A cap and a target in money, which are fewer lots the dearer they are."""
    lots = 2e12 / mid_ticks
    return SizeLimits(
        math.floor(0.1 * lots), math.floor(lots), 1, target_lots=-math.floor(0.8 * lots), moves_with_mid=True
    )


@pytest.mark.parametrize(
    ("limits", "position", "skew_bps", "size_tolerance_pct"),
    [(dear, 0, 0.0, 0.0), (in_money, -2_800_000, 100.0, 50.0)],
)
def test_nothing_is_asked_for_anywhere_in_the_band(
    limits: Limits, position: int, skew_bps: float, size_tolerance_pct: float
) -> None:
    params = SymbolParams(
        requote_tolerance_bps=5.0, requote_size_tolerance_pct=size_tolerance_pct, inventory_skew=0.0
    )
    model = QuoteModel(4.0, skew_bps)

    def planned(total: int) -> tuple[QuoteInputs, QuotePlan]:
        bid, ask = (total - 1) // 2, (total + 2) // 2
        inputs = QuoteInputs(bid, ask, 0.0001, position, limits(0.5 * total))
        market = MarketView("XRP/USDT", 0.0, 0.0, 0.5 * total * 0.0001, 0.5 * total * 0.0001, 0.0)
        priced = model.priced(market, PositionView(0.0, 0.0, 0.0, inputs.q, 10.0))
        return inputs, plan_quotes(params, inputs, priced)

    inputs, plan = planned(2_000_001)
    band = no_action_band(params, inputs, skew_bps, plan, plan.bid, plan.ask)
    for total in [] if band is None else (math.ceil(band.lowest_sum), math.floor(band.highest_sum)):
        moved = planned(total)[1]
        for working, target in ((plan.bid, moved.bid), (plan.ask, moved.ask)):
            action = decide_action(
                working if isinstance(working, Quote) else None,
                target,
                tolerance_ticks=5.0 / 10_000.0 * 0.5 * total,
                size_tolerance=size_tolerance_pct / 100.0,
                may_amend=True,
            )
            assert action is OrderAction.NOTHING, f"{target} at {total} with {working}, {band}"
