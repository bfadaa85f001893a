"""How far the touch may move before an order has to.

A plan of quotes and the orders that stand say together for which other touches the same plan would again ask for
nothing. Inside of that band nothing has to be planned. The band is on the safe side: a touch outside of it may still
need nothing, one inside of it never needs anything.
"""

import math
from typing import Final, NamedTuple

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.quote_model import QuoteModel
from mm_nautilus.pricing.quotes import NotQuoting, Quote, QuoteInputs, QuotePlan

__all__ = ["NoActionBand", "no_action_band"]

_LARGEST_MOVE: Final = 0.001
"""Share of the mid by which a band reaches at most: what follows from sizes in money is bounded for that."""
_LARGEST_SKEW_BPS: Final = 100.0
_LEAST_CAP_LOTS: Final = 1000
_SLOPE_MARGIN: Final = 1.01
_SIZE_MARGIN: Final = 0.003
_ROOM_MARGIN: Final = 0.0011
_TICK_MARGIN: Final = 1e-6

type _Standing = Quote | NotQuoting | None
"""What a side has: its settled order, the reason why it has none, or None where a command is in flight."""


class NoActionBand(NamedTuple):
    """The touches at which nothing has to be sent.

    Attributes
    ----------
    lowest_sum, highest_sum
        Of best bid and best ask, in ticks.
    ask_above, bid_below
        The best ask has to stay above the one and the best bid below the other, in ticks.
    """

    lowest_sum: float
    highest_sum: float
    ask_above: int
    bid_below: int


class _Margins(NamedTuple):
    """By how much sizes in lots and prices in ticks may change while the mid moves by `_LARGEST_MOVE`."""

    size_lots: int
    room_lots: int
    ticks: float


def no_action_band(  # noqa: PLR0917 - a plan, what it was made of, and what stands
    params: SymbolParams,
    inputs: QuoteInputs,
    model: QuoteModel,
    plan: QuotePlan,
    bid: _Standing,
    ask: _Standing,
) -> NoActionBand | None:
    """Return where nothing has to be sent, None where that cannot be said.

    Parameters
    ----------
    params, inputs, model, plan
        What was planned, from what; the fair price has to be the mid.
    bid, ask
        What each side has after the plan was carried out. A command in flight is waited for whatever the touch does.
    """
    limits = inputs.limits
    if model.skew_bps > _LARGEST_SKEW_BPS or (limits.moves_with_mid and limits.cap_lots < _LEAST_CAP_LOTS):
        return None
    margins = _margins(inputs, model)
    touch_sum = inputs.best_bid_ticks + inputs.best_ask_ticks
    mid_ticks = 0.5 * touch_sum
    tolerance = math.floor(params.requote_tolerance_bps / 10_000.0 * mid_ticks * (1.0 - _LARGEST_MOVE))
    lowest, highest = touch_sum * (1.0 - _LARGEST_MOVE), touch_sum * (1.0 + _LARGEST_MOVE)
    ask_above, bid_below = 0, 2**62
    for standing, target, price, is_bid in (
        (bid, plan.bid, plan.bid_price, True),
        (ask, plan.ask, plan.ask_price, False),
    ):
        if standing is None:
            continue
        ticks = price / inputs.tick
        if not _has_right_size(params, inputs, standing, target, ticks, margins, is_bid=is_bid):
            return None
        if not isinstance(standing, Quote):
            continue
        low, high = standing.price_ticks - tolerance, standing.price_ticks + tolerance
        if is_bid:  # rounded down
            below, above = ticks - low - margins.ticks, high + 1 - ticks - margins.ticks
            ask_above = low
        else:
            below, above = ticks - low + 1 - margins.ticks, high - ticks - margins.ticks
            bid_below = high
        if below < 0 or above < 0:
            return None
        slope = _SLOPE_MARGIN * ticks / touch_sum
        lowest, highest = max(lowest, touch_sum - below / slope), min(highest, touch_sum + above / slope)
    return NoActionBand(lowest, highest, ask_above, bid_below)


def _margins(inputs: QuoteInputs, model: QuoteModel) -> _Margins:
    limits = inputs.limits
    if not limits.moves_with_mid:
        return _Margins(0, 0, _TICK_MARGIN)
    mid_ticks = 0.5 * (inputs.best_bid_ticks + inputs.best_ask_ticks)
    return _Margins(
        math.ceil(_SIZE_MARGIN * limits.full_lots) + 1,
        math.ceil(_ROOM_MARGIN * limits.cap_lots) + 1,
        # A cap of whole lots moves the reservation price by steps.
        _TICK_MARGIN + mid_ticks * model.skew_bps / 10_000.0 / limits.cap_lots,
    )


def _has_right_size(  # noqa: PLR0917 - as above
    params: SymbolParams,
    inputs: QuoteInputs,
    standing: Quote | NotQuoting,
    target: Quote | NotQuoting,
    price_ticks: float,
    margins: _Margins,
    *,
    is_bid: bool,
) -> bool:
    """Return whether what a side has keeps its size, or its reason, wherever the mid goes within the band."""
    limits, size, room = inputs.limits, margins.size_lots, margins.room_lots
    if standing is NotQuoting.INVENTORY_CAP:
        left = limits.cap_lots - inputs.position_lots * (1 if is_bid else -1)
        return left + room < limits.min_lots_at(max(1, math.ceil(price_ticks * (1.0 + _SIZE_MARGIN)) + 1))
    is_waiting = standing is NotQuoting.COOLDOWN or standing is NotQuoting.ORDER_REFUSED
    if not isinstance(target, Quote) or not (is_waiting or isinstance(standing, Quote)):
        return False
    smallest = limits.min_lots_at(max(1, math.floor(target.price_ticks * (1.0 - _SIZE_MARGIN)) - 1))
    if min(target.size_lots - size, target.room_lots - room) < smallest:
        return False
    if not isinstance(standing, Quote):
        return True
    least = target.size_lots - size
    near = (
        abs(standing.size_lots - target.size_lots) + size <= params.requote_size_tolerance_pct / 100.0 * least
    )
    return near and standing.size_lots + room <= target.room_lots
