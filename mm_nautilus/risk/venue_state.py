"""What a venue takes at present, of all its pairs or of one, and what a market maker may do then."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from mm_nautilus.pricing.not_quoting import NotQuoting

__all__ = ["VenueState", "strictest", "venue_reason"]


class VenueState(StrEnum):
    """A state that Kraken gives a pair or itself.

    ``unknown`` stands for every word that is none of these: what it allows is not known, so nothing is sent.
    """

    ONLINE = "online"
    LIMIT_ONLY = "limit_only"
    POST_ONLY = "post_only"
    REDUCE_ONLY = "reduce_only"
    CANCEL_ONLY = "cancel_only"
    WORK_IN_PROGRESS = "work_in_progress"
    MAINTENANCE = "maintenance"
    DELISTED = "delisted"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "VenueState":
        return cls.UNKNOWN

    @property
    def takes_quotes(self) -> bool:
        """Whether post-only orders may be sent that enlarge a position."""
        return self not in _NO_QUOTES

    @property
    def takes_market_orders(self) -> bool:
        """Whether orders may be sent that take, as exits do, which only reduce a position."""
        return self in _MARKET_ORDERS


_NO_QUOTES: Final = {
    VenueState.REDUCE_ONLY: NotQuoting.VENUE_REDUCE_ONLY,
    VenueState.CANCEL_ONLY: NotQuoting.VENUE_CANCEL_ONLY,
    VenueState.WORK_IN_PROGRESS: NotQuoting.PAIR_NOT_OPEN,
    VenueState.MAINTENANCE: NotQuoting.VENUE_MAINTENANCE,
    VenueState.DELISTED: NotQuoting.PAIR_DELISTED,
    VenueState.UNKNOWN: NotQuoting.VENUE_STATE_UNKNOWN,
}
_MARKET_ORDERS: Final = frozenset({VenueState.ONLINE, VenueState.REDUCE_ONLY})


def strictest(states: Iterable[VenueState]) -> VenueState:
    """Return what several states that hold at once come to: what one of them forbids is forbidden.

    Where one takes quotes alone and another reductions alone, nothing is left but to cancel.
    """
    known = frozenset(states)
    worst = max(known, key=list(VenueState).index)
    if worst.takes_market_orders and not all(state.takes_market_orders for state in known):
        return VenueState.CANCEL_ONLY
    return worst


def venue_reason(state: VenueState, *, takes: bool) -> NotQuoting | None:
    """Return why a symbol is not quoted in a state of its venue, None where it may be.

    Parameters
    ----------
    state
        The state.
    takes
        Whether the symbol's entries are orders that take.
    """
    if takes and state.takes_quotes and not state.takes_market_orders:
        return NotQuoting.VENUE_NO_MARKET_ORDERS
    return _NO_QUOTES.get(state)
