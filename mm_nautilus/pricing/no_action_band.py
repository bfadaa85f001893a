"""How far the touch may move before an order has to.

A plan of quotes and the orders that stand say together for which other touches the same plan would again ask for
nothing. Inside of that band nothing has to be planned. The band is on the safe side: a touch outside of it may still
need nothing, one inside of it never needs anything.
"""

import math
from typing import Final, NamedTuple

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote, QuoteInputs, QuotePlan

__all__ = ["NoActionBand", "no_action_band"]

_LARGEST_MOVE: Final = 0.001
"""Share of the mid by which a band reaches at most: what follows from sizes in money is bounded for that."""
_LARGEST_SKEW_BPS: Final = 500.0
_SLOPE_MARGIN: Final = 1.001
_SIZE_MARGIN: Final = 0.0011
_PRICE_MARGIN: Final = 0.003
_TICK_MARGIN: Final = 1e-6
_ROUNDED_LOTS: Final = 4
"""By how much rounding to whole lots may move a size: that of a full quote, of its share, and of cap and target."""

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
    """What may change while the mid moves by `_LARGEST_MOVE`.

    Attributes
    ----------
    size_lots, room_lots
        A full quote's size and the distance of the position from its cap, either way.
    ticks
        A price, either way, beside what it does in proportion to the mid.
    lean
        Ticks that a price moves with each tick of the mid because the inventory becomes another share of the cap.
    lowest_ticks, highest_ticks
        Where the price of any quote is.
    """

    size_lots: int
    room_lots: int
    ticks: float
    lean: float
    lowest_ticks: int
    highest_ticks: int


def no_action_band(  # noqa: PLR0917 - a plan, what it was made of, and what stands
    params: SymbolParams,
    inputs: QuoteInputs,
    skew_bps: float,
    plan: QuotePlan,
    bid: _Standing,
    ask: _Standing,
) -> NoActionBand | None:
    """Return where nothing has to be sent, None where that cannot be said.

    Parameters
    ----------
    params, inputs, skew_bps, plan
        What was planned, from what; the fair price has to be the mid, and the skew as `PricedQuote` promises it.
    bid, ask
        What each side has after the plan was carried out. A command in flight is waited for whatever the touch does.
    """
    limits = inputs.limits
    margins = _margins(inputs, skew_bps, plan)
    is_on_one_tick = plan.ask_price - plan.bid_price < 2.0 * _TICK_MARGIN * inputs.tick
    if skew_bps > _LARGEST_SKEW_BPS or limits.cap_lots < 1 or margins.lowest_ticks < 1 or is_on_one_tick:
        return None
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
        if not _has_right_size(params, inputs, standing, target, margins, is_bid=is_bid):
            return None
        if not isinstance(standing, Quote):
            continue
        ticks = price / inputs.tick
        low, high = standing.price_ticks - tolerance, standing.price_ticks + tolerance
        if is_bid:  # rounded down
            below, above = ticks - low - margins.ticks, high + 1 - ticks - margins.ticks
            ask_above = low
        else:
            below, above = ticks - low + 1 - margins.ticks, high - ticks - margins.ticks
            bid_below = high
        if below < 0 or above < 0:
            return None
        slope = _SLOPE_MARGIN * (ticks / touch_sum + 0.5 * margins.lean)
        lowest, highest = max(lowest, touch_sum - below / slope), min(highest, touch_sum + above / slope)
    return NoActionBand(lowest, highest, ask_above, bid_below)


def _margins(inputs: QuoteInputs, skew_bps: float, plan: QuotePlan) -> _Margins:
    limits, skew = inputs.limits, skew_bps / 10_000.0
    mid_ticks = 0.5 * (inputs.best_bid_ticks + inputs.best_ask_ticks)
    # The touch may keep a quote from its price, but not beyond the mid.
    lowest = min(mid_ticks, plan.bid_price / inputs.tick) * (1.0 - _PRICE_MARGIN)
    highest = max(mid_ticks, plan.ask_price / inputs.tick) * (1.0 + _PRICE_MARGIN)
    prices = math.floor(lowest) - 1, math.ceil(highest) + 1
    if not limits.moves_with_mid:
        return _Margins(0, 0, _TICK_MARGIN, 0.0, *prices)
    cap = max(1, limits.cap_lots)
    share = (abs(inputs.position_lots) + abs(limits.target_lots)) / cap
    return _Margins(
        math.ceil(_SIZE_MARGIN * (1.0 + share) * limits.full_lots) + _ROUNDED_LOTS,
        math.ceil(_SIZE_MARGIN * cap) + 1,
        # A cap and a target of whole lots move the reservation price by steps.
        _TICK_MARGIN + 2.0 * mid_ticks * skew / cap,
        skew * share,
        *prices,
    )


def _has_right_size(
    params: SymbolParams,
    inputs: QuoteInputs,
    standing: Quote | NotQuoting,
    target: Quote | NotQuoting,
    margins: _Margins,
    *,
    is_bid: bool,
) -> bool:
    """Return whether what a side has keeps its size, or its reason, wherever the mid goes within the band."""
    limits = inputs.limits
    left = limits.cap_lots - inputs.position_lots * (1 if is_bid else -1)
    if standing is NotQuoting.INVENTORY_CAP:
        return left + margins.room_lots < limits.min_lots_at(margins.highest_ticks)
    is_waiting = standing is NotQuoting.COOLDOWN or standing is NotQuoting.ORDER_REFUSED
    if not isinstance(target, Quote) or not (is_waiting or isinstance(standing, Quote)):
        return False
    least_room = limits.within_max(left - margins.room_lots, margins.highest_ticks)
    least = min(target.size_lots - margins.size_lots, least_room)
    if least < limits.min_lots_at(margins.lowest_ticks):
        return False
    if not isinstance(standing, Quote):
        return True
    most = target.size_lots + margins.size_lots
    if target.size_lots == target.room_lots:
        most = max(most, limits.within_max(left + margins.room_lots, margins.lowest_ticks))
    tolerance = params.requote_size_tolerance_pct / 100.0
    return standing.size_lots <= least_room and all(
        abs(standing.size_lots - wanted) <= tolerance * wanted for wanted in (least, most)
    )
