"""Size and place quotes at given prices, and decide what to do with working orders."""

import math
from enum import StrEnum
from typing import Final, NamedTuple

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.levels import ONE_LEVEL, Level
from mm_nautilus.pricing.models import normalised_inventory, quote_ticks
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import PricedQuote

MIN_SKEWED_SHARE: Final = 0.1
"""Smallest share of the full size that inventory skew leaves of a quote (v1.4.0)."""
REDUCING_IMBALANCE: Final = 0.2
"""Imbalance beyond which the signal rule opens the side that reduces the position (v1.4.0)."""
_LOT_ROUNDING: Final = 1e-9
"""Tolerance for binary rounding of a size to whole lots, as a share of a lot."""


class Quote(NamedTuple):
    """One order: price in ticks, size in lots.

    Attributes
    ----------
    price_ticks, size_lots
        Of a target, or of a working order.
    room_lots
        Of a target: the largest size within the inventory cap and the venue's largest order.
    """

    price_ticks: int
    size_lots: int
    room_lots: int = 0


class SizeLimits(NamedTuple):
    """Order sizes of one symbol in lots, at current prices.

    Attributes
    ----------
    full_lots
        One full quote.
    cap_lots
        Largest position on either side.
    min_lots
        The venue's smallest order size.
    min_notional_units
        The venue's smallest order value, in ticks times lots.
    target_lots
        Signed target position.
    max_lots, max_notional_units
        The venue's largest order, in lots and in ticks times lots.
    moves_with_mid
        Whether the sizes change with the mid price: amounts in base currency do not, all others do.
    """

    full_lots: int
    cap_lots: int
    min_lots: int
    min_notional_units: float = 0.0
    target_lots: int = 0
    max_lots: float = math.inf
    max_notional_units: float = math.inf
    moves_with_mid: bool = False

    def min_lots_at(self, price_ticks: int) -> int:
        """Return the venue's smallest order at a price of at least one tick; never less than one lot."""
        return max(1, self.min_lots, math.ceil(self.min_notional_units / price_ticks - _LOT_ROUNDING))

    def within_max(self, lots: int, price_ticks: int) -> int:
        """Return `lots`, limited to the venue's largest order at a price of at least one tick."""
        if lots <= self.max_lots and lots * price_ticks <= self.max_notional_units:
            return lots
        return math.floor(min(self.max_lots, self.max_notional_units / price_ticks))

    def piece_of(self, lots: int, price_ticks: int) -> int:
        """Return the size of the first of several orders for `lots`, all within the venue's minimum and maximum.

        Parameters
        ----------
        lots
            Total size, at least the venue's minimum order.
        price_ticks
            Price of at least one tick.
        """
        most, smallest = self.within_max(lots, price_ticks), self.min_lots_at(price_ticks)
        if most in (0, lots):
            return most
        further = math.ceil(lots / most) - 1
        piece = min(most, lots - further * smallest)
        return piece if piece >= smallest else most


class QuoteInputs(NamedTuple):
    """Touch, position and sizes from which prices become orders.

    Attributes
    ----------
    best_bid_ticks, best_ask_ticks
        The market's touch in ticks.
    tick
        Price increment in quote currency.
    position_lots
        Signed position since the start in lots.
    """

    best_bid_ticks: int
    best_ask_ticks: int
    tick: float
    position_lots: int
    limits: SizeLimits

    @property
    def q(self) -> float:
        """Distance of the position from its target as a share of the cap, in [-1, 1]."""
        return normalised_inventory(self.position_lots - self.limits.target_lots, self.limits.cap_lots)


class QuotePlan(NamedTuple):
    """The target quotes, or why a side has none, and their reservation price.

    Attributes
    ----------
    bid, ask
        A `Quote` or the reason for none.
    reservation_price
        Centre of the quotes in quote currency: the fair price, moved against the inventory.
    bid_price, ask_price
        The quotes' prices before rounding to ticks and limiting to the touch, in quote currency.
    """

    bid: Quote | NotQuoting
    ask: Quote | NotQuoting
    reservation_price: float
    bid_price: float
    ask_price: float
    outer: tuple[Quote | NotQuoting, ...] = ()

    @property
    def targets(self) -> tuple[Quote | NotQuoting, ...]:
        """All levels' quotes in the order of `outer`."""
        return self.bid, self.ask, *self.outer


def plan_quotes(
    params: SymbolParams,
    inputs: QuoteInputs,
    priced: PricedQuote,
    levels: tuple[Level, ...] = ONE_LEVEL,
) -> QuotePlan:
    """Return the target quotes at given prices, touch and inventory.

    Parameters
    ----------
    levels
        The quotes of a side, nearest first, with their widths in quote currency.
    """
    reservation, nearest = priced.reservation_price, levels[0]
    bid_price = reservation - priced.bid_width - nearest.width
    ask_price = reservation + priced.ask_width + nearest.width
    bid_ticks, ask_ticks = quote_ticks(
        bid_price, ask_price, inputs.best_bid_ticks, inputs.best_ask_ticks, inputs.tick
    )
    if params.order_optimization:
        bid_ticks = min(bid_ticks, inputs.best_bid_ticks + 1)
        ask_ticks = max(ask_ticks, inputs.best_ask_ticks - 1)
    q = inputs.q
    bid = _sized(params, inputs, bid_ticks, q, direction=1, share=nearest.size)
    ask = _sized(params, inputs, ask_ticks, -q, direction=-1, share=nearest.size)
    outer: list[Quote | NotQuoting] = []
    taken = [_size_of(bid), _size_of(ask)]
    for level in levels[1:]:
        further = level.width - nearest.width
        ticks = quote_ticks(
            bid_price - further,
            ask_price + further,
            inputs.best_bid_ticks,
            inputs.best_ask_ticks,
            inputs.tick,
        )
        bid_ticks, ask_ticks = min(ticks[0], bid_ticks - 1), max(ticks[1], ask_ticks + 1)
        sides = (
            _sized(params, inputs, bid_ticks, q, direction=1, share=level.size, taken=taken[0]),
            _sized(params, inputs, ask_ticks, -q, direction=-1, share=level.size, taken=taken[1]),
        )
        taken = [lots + _size_of(side) for lots, side in zip(taken, sides, strict=True)]
        outer += sides
    return QuotePlan(bid, ask, reservation, bid_price, ask_price, tuple(outer))


def _size_of(target: Quote | NotQuoting) -> int:
    return target.size_lots if isinstance(target, Quote) else 0


def _sized(
    params: SymbolParams,
    inputs: QuoteInputs,
    price_ticks: int,
    away: float,
    *,
    direction: int,
    share: float = 1.0,
    taken: int = 0,
) -> Quote | NotQuoting:
    """Size a quote that would take the position up (`direction` 1) or down (-1), `away` from its target or to it.

    `share` is the level's size in full quotes, `taken` what nearer levels take of the room for the position.
    """
    limits = inputs.limits
    wanted = limits.full_lots if share == 1.0 else _whole_lots(limits.full_lots * share)
    if away > 0:
        wanted = _whole_lots(wanted * max(1.0 - away * params.inventory_skew, MIN_SKEWED_SHARE))
    if price_ticks <= 0:
        return NotQuoting.BELOW_ONE_TICK
    room = limits.cap_lots - direction * inputs.position_lots - taken
    smallest = limits.min_lots_at(price_ticks)
    if room < smallest:
        return NotQuoting.INVENTORY_CAP
    room = limits.within_max(room, price_ticks)
    size = min(wanted, room)
    return Quote(price_ticks, size, room) if size >= smallest else NotQuoting.BELOW_MINIMUM_SIZE


def _whole_lots(lots: float) -> int:
    return math.floor(lots + _LOT_ROUNDING)


def signal_sides(
    params: SymbolParams, imbalance: float, trade_flow: float, position_lots: int
) -> tuple[bool, bool]:
    """Return whether v1.4.0's signal rule opens the bid and the ask.

    Parameters
    ----------
    params
        Thresholds, and whether trade flow must confirm.
    imbalance
        ``(bid depth - ask depth) / (sum)`` over the top ten levels, in [-1, 1].
    trade_flow
        ``(buy volume - sell volume) / (sum)`` over the last 50 trades, in [-1, 1].
    position_lots
        Signed position; its reducing side opens at an imbalance beyond 0.2 against it.
    """
    flow = params.trade_flow_threshold
    confirms_buy = not params.use_trade_flow or trade_flow > flow
    confirms_sell = not params.use_trade_flow or trade_flow < -flow
    buy = imbalance > params.imbalance_threshold and confirms_buy
    sell = imbalance < -params.imbalance_threshold and confirms_sell
    buy = buy or (position_lots < 0 and imbalance > REDUCING_IMBALANCE)
    sell = sell or (position_lots > 0 and imbalance < -REDUCING_IMBALANCE)
    return buy, sell


class OrderAction(StrEnum):
    """What to do about one side's order."""

    NOTHING = "nothing"
    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"


def decide_action(
    working: Quote | None,
    target: Quote | NotQuoting,
    *,
    tolerance_ticks: float,
    size_tolerance: float,
    may_amend: bool,
) -> OrderAction:
    """Return the action that brings a side's settled order to its target with the fewest commands.

    Parameters
    ----------
    working
        The settled order with its open size, or None. Do not call this while a command is in flight.
    tolerance_ticks
        Largest distance between working and target price at which the order is kept, ticks.
    size_tolerance
        Largest difference between open and target size, as a share of the target size.
    may_amend
        Whether amends are enabled and the order has not been amended too often.

    Returns
    -------
    OrderAction
        `CANCEL` also if the order is to be replaced: the new one waits for the cancel, so that a side has one order.
    """
    if working is None:
        return OrderAction.PLACE if isinstance(target, Quote) else OrderAction.NOTHING
    if not isinstance(target, Quote):
        return OrderAction.CANCEL
    keeps_price = abs(working.price_ticks - target.price_ticks) <= tolerance_ticks
    keeps_size = size_is_right(working, target, size_tolerance)
    if keeps_price and keeps_size:
        return OrderAction.NOTHING
    # A larger size at the same price would keep its queue position in the simulation but not at a real venue.
    jumps_queue = working.price_ticks == target.price_ticks and target.size_lots > working.size_lots
    return OrderAction.AMEND if may_amend and not jumps_queue else OrderAction.CANCEL


def size_is_right(working: Quote, target: Quote, size_tolerance: float) -> bool:
    """Return whether an order may keep its open size: near the target and within the inventory cap."""
    near = abs(working.size_lots - target.size_lots) <= size_tolerance * target.size_lots
    return near and working.size_lots <= target.room_lots
