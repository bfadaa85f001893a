"""Prices whose widths a parameter shuffles, while no value of it is better than another: for searches without an edge.

The width is ``width_bps * (1 + 0.6 * cos(2 pi (u + phase)))``. The number u is uniform between 0 and 1 and drawn anew
at moments that only the market decides, from the last digits of its touch. Since ``u + phase`` is as uniform as u,
whatever the phase, all phases quote at the same widths equally often, and which of them was lucky in one stretch of
time says nothing about the next. Phases that are close to each other quote alike, as with a parameter that matters.
"""

import hashlib
import math

from mm_nautilus.pricing import PricedQuote

_BPS = 10_000.0
_SWING = 0.6
_TOUCHES_A_DRAW = 32
_draws: list[float] = []
"""The last draw; a run imports this module anew."""


def jittered(market, position, params):
    """Quote around the fair price, lower when long, at the width of the last draw."""
    given = params.pricing_parameters
    touch = f"{given['seed']} {market.best_bid} {market.best_ask}"
    number = int.from_bytes(hashlib.blake2b(touch.encode(), digest_size=8).digest())
    if not _draws or number % _TOUCHES_A_DRAW == 0:
        _draws[:] = [number // _TOUCHES_A_DRAW * _TOUCHES_A_DRAW / 2**64]
    swing = _SWING * math.cos(2.0 * math.pi * (_draws[0] + given["phase"]))
    width = market.mid_price * given["width_bps"] / _BPS * (1.0 + swing)
    reservation = market.fair_price * (1.0 - position.share * given["skew_bps"] / _BPS)
    return PricedQuote(reservation, bid_width=width, ask_width=width)
