"""The reasons for not quoting a side, and groups of them."""

from enum import StrEnum
from typing import Final


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
    NO_BOOK = "no book"
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
    EXTREME_VOLATILITY = "extreme volatility"
    AGAINST_TREND = "against the trend"
    CORRELATED_POSITION = "position in a correlated pair"
    EXITING = "exiting"
    KILL_SWITCH = "halted by the kill switch"
    HALTED_DRAWDOWN = "halted after a drawdown"
    HALTED_ACCOUNT_DRAWDOWN = "halted after the account's drawdown"
    HALTED_LOSS_STREAK = "halted after a loss streak"
    HALTED_REFUSALS = "halted after refused orders"
    STOPPING = "stopping"
    ORDER_REFUSED = "order refused, waiting"
    ACTION_RATE_CAP = "action rate cap"
    WAITING_FOR_POINTS = "waiting for points"


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
"""Reasons for which a working quote must be cancelled at once."""

HALTS: Final = frozenset(
    {
        NotQuoting.KILL_SWITCH,
        NotQuoting.HALTED_DRAWDOWN,
        NotQuoting.HALTED_ACCOUNT_DRAWDOWN,
        NotQuoting.HALTED_LOSS_STREAK,
        NotQuoting.HALTED_REFUSALS,
    }
)
"""Reasons that last until a resume command, also across restarts."""
