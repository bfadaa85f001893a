"""The no-action band: how far the touch may move before an order has to change.

From the planned quotes and the working orders follows a range of touches at which planning again would send no command.
Within this band nothing has to be planned. The band is conservative: a touch outside may still need no command, a touch
inside never needs one.
"""

import math
from typing import Final, NamedTuple

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote, QuoteInputs, QuotePlan

_LARGEST_MOVE: Final = 0.001
"""Largest width of a band to either side, as a share of the mid; bounds how far sizes in money can change."""
_LARGEST_SKEW_BPS: Final = 500.0
_SLOPE_MARGIN: Final = 1.001
_SIZE_MARGIN: Final = 0.0011
_PRICE_MARGIN: Final = 0.003
_TICK_MARGIN: Final = 1e-6
_ROUNDED_LOTS: Final = 4
"""Largest effect of rounding to whole lots on a size: of the full quote, its share, the cap and the target."""

type _Standing = Quote | NotQuoting | None
"""State of a side: its settled order, the reason for none, or None while a command is in flight."""


class NoActionBand(NamedTuple):
    """The range of touches at which no command has to be sent.

    Attributes
    ----------
    lowest_sum, highest_sum
        Bounds of best bid plus best ask, in ticks.
    ask_above, bid_below
        The best ask must stay above `ask_above` and the best bid below `bid_below`, in ticks.
    """

    lowest_sum: float
    highest_sum: float
    ask_above: int
    bid_below: int


class _Margins(NamedTuple):
    """Bounds on what may change while the mid moves by `_LARGEST_MOVE`.

    Attributes
    ----------
    size_lots, room_lots
        Change of a full quote's size, and of the distance between position and cap, in either direction.
    ticks
        Change of a price beyond its proportional move with the mid, in either direction.
    lean
        Ticks that a price moves per tick of the mid because the inventory's share of the cap changes.
    lowest_ticks, highest_ticks
        Bounds of the price of any quote.
    """

    size_lots: int
    room_lots: int
    ticks: float
    lean: float
    lowest_ticks: int
    highest_ticks: int


def no_action_band(  # noqa: PLR0917 - a plan, its inputs and the orders
    params: SymbolParams,
    inputs: QuoteInputs,
    skew_bps: float,
    plan: QuotePlan,
    bid: _Standing,
    ask: _Standing,
) -> NoActionBand | None:
    """Return the no-action band of a plan, None if there is none.

    Parameters
    ----------
    params, inputs, skew_bps, plan
        The plan and its inputs. The fair price must be the mid, and the model must set `PricedQuote.skew_bps`.
    bid, ask
        State of each side after the plan was carried out. A side with a command in flight does not limit the band.
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
    # The touch may limit a quote's price, but not beyond the mid.
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
        # Cap and target are whole lots and so move the reservation price in steps.
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
    """Return whether a side's order size, or its reason for no order, holds within the whole band."""
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
