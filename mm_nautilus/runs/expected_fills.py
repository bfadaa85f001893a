"""Expected fills of a pair's quotes, from a replay of its touch and trades without the engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import Final

import numpy as np

from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.config.run import DEFAULT_LATENCY_MS
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.rows import Side, TradeBlock
from mm_nautilus.pricing.quotes import MIN_SKEWED_SHARE
from mm_nautilus.system.moments import SECOND_NS

_LATENCY_NS: Final = round(DEFAULT_LATENCY_MS * SECOND_NS / 1_000)
_BEHIND_ALL: Final = 2**62
"""Queue ahead of a quote that is worse than the touch, whose levels are not known here, lots."""
_ROUNDING: Final = 1e-6
"""Part of a tick that binary rounding may be off by."""
_HOUR_SECONDS: Final = 3600.0
_BPS: Final = 10_000.0

type Touch = tuple[int, int, int, int]
"""Bid and its size, ask and its size: ticks and lots."""


@dataclass(frozen=True, slots=True)
class QuoteSizes:
    """Sizes of a pair's quotes, lots."""

    quote: int
    cap: int
    """Largest position on either side."""
    least: int
    """The venue's smallest order."""


def expected_fills(
    touches: TouchSeries, trades: TradeBlock, width_pct: float, sizes: QuoteSizes, params: SymbolParams
) -> float:
    """Return the number of executions an hour of quotes around the mid, partial ones included.

    Quotes follow the mid as the strategy's do: with tolerance, cooldown, latency, sizes that shrink towards the cap,
    and the queue at the touch. Left out are exits, balances, widths that volatility or a model changes, and the queue
    behind the touch.

    `width_pct` is the distance between bid and ask, % of mid.
    """
    sides = _QuoteSide(1, sizes, params), _QuoteSide(-1, sizes, params)
    fills = position = 0
    half, cooldown_ns = width_pct / 200.0, round(params.cooldown_seconds * SECOND_NS)
    touch: Touch | None = None
    for now_ns, event in _events(touches, trades):
        if len(event) == 4:
            touch = event
            done = [side.meet(touch) for side in sides]
        else:
            done = [side.trade(*event) for side in sides]
        for side, lots in zip(sides, done, strict=True):
            if lots:
                fills, position = fills + 1, position + side.sign * lots
                side.rests_until_ns = now_ns + cooldown_ns
        if touch is None:
            continue
        mid = 0.5 * (touch[0] + touch[2])
        for side in sides:
            side.arrive(now_ns, touch)
            side.plan(now_ns, touch, mid, mid * half, side.sign * position)
    return fills * _HOUR_SECONDS / touches.seconds


def _events(touches: TouchSeries, trades: TradeBlock) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield touches, and trades as price, size and whether the taker bought; trades first where times are equal."""
    sided = trades.aggressor != Side.NONE
    times = np.concatenate([trades.ts_init[sided], touches.ts_ns])
    is_buy = trades.aggressor[sided] == Side.BID
    events: list[tuple[int, ...]] = [
        *zip(
            trades.price_ticks[sided].tolist(), trades.size_lots[sided].tolist(), is_buy.tolist(), strict=True
        ),
        *zip(
            touches.bid_ticks.tolist(),
            touches.bid_lots.tolist(),
            touches.ask_ticks.tolist(),
            touches.ask_lots.tolist(),
            strict=True,
        ),
    ]
    order = np.argsort(times, kind="stable")
    return zip(times[order].tolist(), map(events.__getitem__, order.tolist()), strict=True)


class _QuoteSide:
    """One side's quote; its prices are ticks times `sign`, so that the higher one is the better on both sides."""

    def __init__(self, sign: int, sizes: QuoteSizes, params: SymbolParams) -> None:
        self.sign = sign
        self.rests_until_ns = 0
        self._sizes = sizes
        self._tolerance = params.requote_tolerance_bps / _BPS
        self._least_share = 1.0 - params.requote_size_tolerance_pct / 100.0
        self._skew = params.inventory_skew
        self._price: int | None = None
        self._lots = self._ahead = 0
        self._sent: tuple[int, int, int] | None = None
        """Arrival of a command at the venue, its price and its lots; 0 cancels."""

    def _own(self, touch: Touch) -> tuple[int, int, int, int]:
        """Return the touch with this side first, prices times `sign`."""
        bid, bid_lots, ask, ask_lots = touch
        return (bid, bid_lots, ask, ask_lots) if self.sign > 0 else (-ask, ask_lots, -bid, bid_lots)

    def trade(self, ticks: int, lots: int, is_buy: int) -> int:
        """Return the lots that a trade executes."""
        price = self.sign * ticks
        if self._price is None or bool(is_buy) is (self.sign > 0) or price > self._price:
            return 0
        if price == self._price:
            waiting = min(self._ahead, lots)
            self._ahead -= waiting
            lots -= waiting
        return self._execute(lots)

    def meet(self, touch: Touch) -> int:
        """Return the lots that a touch executes which has come up to the quote."""
        if self._price is None:
            return 0
        best, lots, opposite, opposite_lots = self._own(touch)
        if opposite <= self._price:
            return self._execute(opposite_lots)
        if best <= self._price:
            self._ahead = min(self._ahead, lots) if best == self._price else 0
        return 0

    def _execute(self, lots: int) -> int:
        done = min(lots, self._lots)
        self._lots -= done
        if not self._lots:
            self._price = self._sent = None  # A command on its way finds no order.
        elif self._sent is not None:
            arrives_ns, price, wanted = self._sent
            self._sent = arrives_ns, price, max(wanted - done, 0)
        return done

    def arrive(self, now_ns: int, touch: Touch) -> None:
        """Carry out the command that has come to the venue; it refuses a price that would take."""
        if self._sent is None or self._sent[0] > now_ns:
            return
        (_, price, lots), self._sent = self._sent, None
        best, best_lots, opposite, _ = self._own(touch)
        if not lots or price >= opposite:
            self._price = None
            return
        if price != self._price or lots > self._lots:
            self._ahead = 0 if price > best else best_lots if price == best else _BEHIND_ALL
        self._price, self._lots = price, lots

    def plan(self, now_ns: int, touch: Touch, mid: float, half_ticks: float, away: int) -> None:
        """Send a command if the quote no longer fits; `away` is the position on this side, lots."""
        if self._sent is not None:
            return
        price = min(floor(self.sign * mid - half_ticks + _ROUNDING), self._own(touch)[2] - 1)
        room, is_resting = self._sizes.cap - away, now_ns < self.rests_until_ns
        size = min(self._size(away), room)
        if self._price is not None and self._lots <= room:
            fits = is_resting or self._lots >= self._least_share * size
            if fits and abs(self._price - price) <= self._tolerance * mid:
                return
        if is_resting or size < self._sizes.least:
            if self._price is None:
                return
            size = 0
        self._sent = now_ns + _LATENCY_NS, price, size

    def _size(self, away: int) -> int:
        full = self._sizes.quote
        if away <= 0:
            return full
        return floor(full * max(1.0 - away / self._sizes.cap * self._skew, MIN_SKEWED_SHARE))
