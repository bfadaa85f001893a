"""Where the centre of our quotes lies, how wide they are, and on which tick they end up."""

import math
from typing import Final

__all__ = [
    "full_width_pct",
    "normalised_inventory",
    "quote_ticks",
    "reservation_price",
    "volatility_multiplier",
]

_TICK_ROUNDING: Final = 1e-9
"""Share of a tick by which a price may miss it through binary rounding and still count as on it."""


def normalised_inventory(inventory: float, max_inventory: float) -> float:
    """Return the inventory as a share of its cap, q in [-1, 1]; 0 where the cap is not positive.

    Parameters
    ----------
    inventory, max_inventory
        In the same unit, whichever it is.
    """
    if max_inventory <= 0:
        return 0.0
    return max(-1.0, min(1.0, inventory / max_inventory))


def reservation_price(
    mid_price: float, inventory: float, max_inventory: float, gamma: float, volatility_pct: float
) -> float:
    """Return v1.4.0's simplified reservation price, ``mid * (1 - q * gamma * sigma^2 * 100)``.

    It is Avellaneda and Stoikov's ``r = s - q * gamma * sigma^2 * (T - t)`` (Quantitative Finance 8(3), 2008,
    eq. 2.6) with prices relative to the mid, q as a share of the cap and a horizon of 100 candles.

    Parameters
    ----------
    mid_price
        Mid price, in quote currency.
    inventory, max_inventory
        Signed position and its cap in the same unit; ``q = inventory / max_inventory`` is kept in [-1, 1].
    gamma
        Risk aversion, without unit.
    volatility_pct
        One-minute volatility in %; ``sigma = volatility_pct / 100``.

    Returns
    -------
    float
        In quote currency: below the mid with a long position, above it with a short one, and the mid itself
        where `max_inventory` is not positive.
    """
    q = normalised_inventory(inventory, max_inventory)
    sigma = volatility_pct / 100.0
    return mid_price * (1.0 - q * gamma * sigma * sigma * 100.0)


def volatility_multiplier(volatility_pct: float, base_volatility_pct: float, cap: float) -> float:
    """Return the factor that widens quotes, ``clamp(volatility / base, 1, cap)``.

    Parameters
    ----------
    volatility_pct, base_volatility_pct
        One-minute volatility now and the one at which widths are not scaled, both in %.
    cap
        Largest factor, at least 1.
    """
    return min(max(volatility_pct / base_volatility_pct, 1.0), cap)


def full_width_pct(
    min_spread_pct: float, multiplier: float, maker_fee_pct: float, min_edge_bps: float | None
) -> float:
    """Return the distance between our bid and ask in % of mid.

    Parameters
    ----------
    min_spread_pct
        Least full width, % of mid.
    multiplier
        Factor of `volatility_multiplier`.
    maker_fee_pct
        Fee of one maker fill, % of value; negative is a rebate.
    min_edge_bps
        What is to be left after two maker fees, basis points of mid; None sets no floor.
    """
    width = min_spread_pct * multiplier
    if min_edge_bps is None:
        return width
    return max(width, 2.0 * maker_fee_pct + min_edge_bps / 100.0)


def quote_ticks(
    centre: float, full_width: float, best_bid_ticks: int, best_ask_ticks: int, tick: float
) -> tuple[int, int]:
    """Return bid and ask as whole ticks, rounded away from the centre and never crossing the book.

    Parameters
    ----------
    centre, full_width
        Centre of the quotes and the distance between them, in quote currency.
    best_bid_ticks, best_ask_ticks
        The market's touch in ticks.
    tick
        Price increment in quote currency.

    Returns
    -------
    tuple[int, int]
        A bid of at most best ask - 1 tick and an ask of at least best bid + 1 tick, the bid below the ask.
    """
    half = 0.5 * full_width
    bid = math.floor((centre - half) / tick + _TICK_ROUNDING)
    ask = math.ceil((centre + half) / tick - _TICK_ROUNDING)
    if bid >= ask:  # A width within the rounding, around a centre on a tick.
        bid, ask = bid - 1, ask + 1
    return min(bid, best_ask_ticks - 1), max(ask, best_bid_ticks + 1)
