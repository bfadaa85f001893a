"""Which quotes are wanted, and what to do with the orders that are there."""

import math
from enum import StrEnum
from typing import Final, NamedTuple

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.models import normalised_inventory, quote_ticks
from mm_nautilus.pricing.quote_model import QuoteModel

__all__ = [
    "HALTS",
    "MIN_SKEWED_SHARE",
    "UNSAFE_BOOK",
    "NotQuoting",
    "OrderAction",
    "Quote",
    "QuoteInputs",
    "QuotePlan",
    "SizeLimits",
    "decide_action",
    "plan_quotes",
    "reservation_price_at",
    "signal_sides",
    "size_is_right",
]

MIN_SKEWED_SHARE: Final = 0.1
"""Smallest share of the full size that inventory skew leaves of a quote (v1.4.0)."""
REDUCING_IMBALANCE: Final = 0.2
"""Imbalance beyond which the signal rule opens the side that reduces the position (v1.4.0)."""
_BPS: Final = 10_000.0
_LOT_ROUNDING: Final = 1e-9
"""Share of a lot by which a size may miss it through binary rounding and still count as whole."""


class NotQuoting(StrEnum):
    """Why a side is not quoted."""

    WARMING_UP = "warming up"
    MODEL_REFUSED = "quote model refused"
    COOLDOWN = "cooldown"
    INVENTORY_CAP = "inventory cap"
    BELOW_MINIMUM_SIZE = "below minimum size"
    BELOW_ONE_TICK = "price below one tick"
    INSUFFICIENT_BALANCE = "insufficient balance"
    NO_CONFIRMATION = "no confirmation"
    NO_CONVERSION_RATE = "no conversion rate"
    ONE_SIDED_BOOK = "one-sided book"
    CROSSED_BOOK = "crossed book"
    NO_BOOK = "no book yet"
    STALE_BOOK = "stale book"
    BOOK_RECOVERING = "book recovering"
    FEED_DISCONNECTED = "feed disconnected"
    AWAITING_SNAPSHOT = "waiting for a snapshot"
    STALE_TAPE = "stale tape"
    CLOCK_STEP = "clock step"
    VENUE_MAINTENANCE = "venue in maintenance"
    VENUE_CANCEL_ONLY = "venue takes cancels only"
    VENUE_REDUCE_ONLY = "venue takes reductions only"
    VENUE_NO_MARKET_ORDERS = "venue takes no market orders"
    VENUE_STATE_UNKNOWN = "venue in an unknown state"
    PAIR_NOT_OPEN = "pair not open yet"
    PAIR_DELISTED = "pair delisted"
    REFUSED_TOO_OFTEN = "too many refused orders"
    EXITING = "exiting"
    KILL_SWITCH = "halted by the kill switch"
    HALTED_DRAWDOWN = "halted after a drawdown"
    HALTED_ACCOUNT_DRAWDOWN = "halted after the account's drawdown"
    HALTED_LOSS_STREAK = "halted after a loss streak"
    HALTED_REFUSALS = "halted after refused orders"
    STOPPING = "stopping"
    ORDER_REFUSED = "order refused, waiting"
    ACTION_RATE_CAP = "action rate cap"


UNSAFE_BOOK: Final = frozenset(
    {
        NotQuoting.ONE_SIDED_BOOK,
        NotQuoting.CROSSED_BOOK,
        NotQuoting.NO_BOOK,
        NotQuoting.STALE_BOOK,
        NotQuoting.FEED_DISCONNECTED,
        NotQuoting.AWAITING_SNAPSHOT,
        NotQuoting.STALE_TAPE,
        NotQuoting.CLOCK_STEP,
        NotQuoting.VENUE_MAINTENANCE,
        NotQuoting.VENUE_CANCEL_ONLY,
        NotQuoting.VENUE_REDUCE_ONLY,
        NotQuoting.VENUE_NO_MARKET_ORDERS,
        NotQuoting.VENUE_STATE_UNKNOWN,
        NotQuoting.PAIR_NOT_OPEN,
        NotQuoting.PAIR_DELISTED,
    }
)
"""Reasons for which a working quote is dangerous to leave."""

HALTS: Final = frozenset(
    {
        NotQuoting.KILL_SWITCH,
        NotQuoting.HALTED_DRAWDOWN,
        NotQuoting.HALTED_ACCOUNT_DRAWDOWN,
        NotQuoting.HALTED_LOSS_STREAK,
        NotQuoting.HALTED_REFUSALS,
    }
)
"""Reasons that hold until somebody resumes, also over a restart."""


class Quote(NamedTuple):
    """One order: price in ticks, size in lots.

    Attributes
    ----------
    price_ticks, size_lots
        What is wanted, or what works at the venue.
    room_lots
        The largest size that keeps the position within its cap and that the venue takes; of a wanted order.
    """

    price_ticks: int
    size_lots: int
    room_lots: int = 0


class SizeLimits(NamedTuple):
    """Sizes of one symbol in lots, at the present prices.

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
        Signed position that quotes lean towards.
    max_lots, max_notional_units
        The venue's largest order, in lots and in ticks times lots.
    moves_with_mid
        Whether the sizes change with the symbol's mid, as amounts of money do and amounts of base currency do not.
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
        """Return so many lots, or the venue's largest order at a price of at least one tick where that is less."""
        if lots <= self.max_lots and lots * price_ticks <= self.max_notional_units:
            return lots
        return math.floor(min(self.max_lots, self.max_notional_units / price_ticks))

    def piece_of(self, lots: int, price_ticks: int) -> int:
        """Return the first of the orders that trade so many lots, none too large and none that leaves too little.

        Parameters
        ----------
        lots
            What is to be traded, no less than the venue's smallest order.
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
    """What a quote plan depends on besides the parameters and the model.

    Attributes
    ----------
    best_bid_ticks, best_ask_ticks
        The market's touch in ticks.
    fair_ticks
        What quotes are centred on before inventory moves them, in ticks.
    tick
        Price increment in quote currency.
    position_lots
        Signed position since the start in lots.
    limits
        Sizes in lots.
    """

    best_bid_ticks: int
    best_ask_ticks: int
    fair_ticks: float
    tick: float
    position_lots: int
    limits: SizeLimits

    @property
    def mid_price(self) -> float:
        """The mid in quote currency."""
        return 0.5 * (self.best_bid_ticks + self.best_ask_ticks) * self.tick

    @property
    def q(self) -> float:
        """Distance of the position from its target as a share of the cap, in [-1, 1]."""
        return normalised_inventory(self.position_lots - self.limits.target_lots, self.limits.cap_lots)


class QuotePlan(NamedTuple):
    """The wanted quotes, or why a side has none, and the price they stand around.

    Attributes
    ----------
    bid, ask
        A `Quote` or the reason for none.
    reservation_price
        What the quotes are centred on, in quote currency: the fair price, moved against the inventory.
    bid_price, ask_price
        The quotes before they are rounded to ticks and kept from crossing, in quote currency.
    """

    bid: Quote | NotQuoting
    ask: Quote | NotQuoting
    reservation_price: float
    bid_price: float
    ask_price: float


def reservation_price_at(inputs: QuoteInputs, model: QuoteModel) -> float:
    """Return the reservation price, in quote currency: the fair price, moved against the inventory.

    It is ``fair * (1 - q * skew)``, below the fair price where the position is above its target.
    """
    return inputs.fair_ticks * inputs.tick * (1.0 - inputs.q * model.skew_bps / _BPS)


def plan_quotes(params: SymbolParams, inputs: QuoteInputs, model: QuoteModel) -> QuotePlan:
    """Return the quotes that prices, inventory and the model call for.

    Parameters
    ----------
    params
        The symbol's parameters.
    inputs
        Market and position.
    model
        Width and skew.
    """
    reservation = reservation_price_at(inputs, model)
    full_width = inputs.mid_price * model.full_width_pct / 100.0
    bid_ticks, ask_ticks = quote_ticks(
        reservation, full_width, inputs.best_bid_ticks, inputs.best_ask_ticks, inputs.tick
    )
    return QuotePlan(
        _sized(params, inputs, bid_ticks, direction=1),
        _sized(params, inputs, ask_ticks, direction=-1),
        reservation,
        reservation - 0.5 * full_width,
        reservation + 0.5 * full_width,
    )


def _sized(
    params: SymbolParams, inputs: QuoteInputs, price_ticks: int, *, direction: int
) -> Quote | NotQuoting:
    """Size a quote that would take the position up (`direction` 1) or down (-1)."""
    limits = inputs.limits
    wanted, away = limits.full_lots, direction * inputs.q
    if away > 0:
        wanted = _whole_lots(wanted * max(1.0 - away * params.inventory_skew, MIN_SKEWED_SHARE))
    if price_ticks <= 0:
        return NotQuoting.BELOW_ONE_TICK
    room, smallest = limits.cap_lots - direction * inputs.position_lots, limits.min_lots_at(price_ticks)
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
        Thresholds, and whether trade flow has to confirm.
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
    """Return what brings a side's settled order to its target with the fewest commands.

    Parameters
    ----------
    working
        The order at the venue with its open size, or None. Orders in flight are not settled: wait for them.
    target
        The wanted quote or the reason for none.
    tolerance_ticks
        Largest distance between working and wanted price, in ticks, at which the order is kept.
    size_tolerance
        Largest difference between open and wanted size, as a share of the wanted size.
    may_amend
        Whether the venue amends and this order has not been amended too often.

    Returns
    -------
    OrderAction
        `CANCEL` where a replacement has to wait for the cancel to be confirmed: never two orders a side.
    """
    if working is None:
        return OrderAction.PLACE if isinstance(target, Quote) else OrderAction.NOTHING
    if not isinstance(target, Quote):
        return OrderAction.CANCEL
    keeps_price = abs(working.price_ticks - target.price_ticks) <= tolerance_ticks
    keeps_size = size_is_right(working, target, size_tolerance)
    if keeps_price and keeps_size:
        return OrderAction.NOTHING
    # A larger size at the same price would keep the queue place in the simulation but not at a real venue.
    jumps_queue = working.price_ticks == target.price_ticks and target.size_lots > working.size_lots
    return OrderAction.AMEND if may_amend and not jumps_queue else OrderAction.CANCEL


def size_is_right(working: Quote, target: Quote, size_tolerance: float) -> bool:
    """Return whether an order's open size may stay: near the wanted one and within the position's cap."""
    near = abs(working.size_lots - target.size_lots) <= size_tolerance * target.size_lots
    return near and working.size_lots <= target.room_lots
