"""A symbol's order sizes: the configured amounts and the venue's limits in whole lots."""

import math
from collections.abc import Callable

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.quotes import SizeLimits

type _Size = tuple[float, str]
"""A configured amount as a float, and its currency."""


def _order_limits(spec: InstrumentSpec) -> tuple[tuple[int, float], tuple[float, float]]:
    """Return the venue's (min, max) order size in lots and (min, max) order value in ticks times lots."""
    unit = spec.price_increment * spec.size_increment
    least = max(1, math.ceil((spec.min_quantity or 0) / spec.size_increment))
    most = math.inf if spec.max_quantity is None else spec.max_quantity // spec.size_increment
    most_value = math.inf if spec.max_notional is None else spec.max_notional / unit
    return (least, float((spec.min_notional or 0) / unit)), (float(most), float(most_value))


class Sizes:
    """A symbol's quote size, inventory cap and target, and the venue's order limits.

    Parameters
    ----------
    report_currency
        Currency of amounts given as bare numbers.
    rate
        Returns the value of one unit of a currency in another, None while unknown.

    Attributes
    ----------
    order_limits
        The venue's smallest and largest order, in lots.
    target_base
        Returns the target position in base currency at a mid, where it is a share of the account; else None.
    follow_own_mid
        Whether all sizes depend on the symbol's own mid price only, and not on another pair's.
    """

    def __init__(
        self,
        spec: InstrumentSpec,
        params: SymbolParams,
        report_currency: str,
        rate: Callable[[str, str], float | None],
    ) -> None:
        full, cap = params.size(report_currency), params.inventory_cap(report_currency)
        self._full, self._cap, self._target = (
            (float(amount.value), amount.currency) for amount in (full, cap, params.target(report_currency))
        )
        self._quotes_at_cap = float(cap.value / full.value) if full.currency == cap.currency else None
        currencies = {code for value, code in (self._full, self._cap, self._target) if value}
        self._moves_with_mid = currencies != {spec.base}
        self.follow_own_mid = (
            params.target_share is None
            and currencies <= {spec.base, spec.quote}
            and self._quotes_at_cap is not None
        )
        self._spec, self._rate = spec, rate
        self.target_base: Callable[[float], float] | None = None
        self._lot = float(spec.size_increment)
        self._least, self._most = _order_limits(spec)
        self.order_limits = SizeLimits(0, 0, *self._least, 0, *self._most)

    def _lots_of(self, amount: _Size, mid_price: float | None) -> int | None:
        """Return an amount in whole lots, rounded towards zero; None while its conversion lacks a price."""
        value, code = amount
        if code != self._spec.base:
            rate = mid_price if code == self._spec.quote else self._rate(self._spec.base, code)
            if not rate:
                return None
            value /= rate
        lots = math.floor(abs(value) / self._lot + 1e-9)
        return lots if value >= 0 else -lots

    def at(self, mid_price: float | None) -> SizeLimits | None:
        """Return sizes in lots at a mid in quote currency, None while a conversion lacks a price."""
        size, cap = self._lots_of(self._full, mid_price), self._lots_of(self._cap, mid_price)
        target = self._lots_of(self._target, mid_price) if self._target[0] else 0
        if size is None or cap is None or target is None:
            return None
        if self.target_base is not None and mid_price:
            target = max(-cap, min(cap, round(self.target_base(mid_price) / self._lot)))
        return SizeLimits(size, cap, *self._least, target, *self._most, self._moves_with_mid)

    def quotes_at_cap(self, limits: SizeLimits) -> float | None:
        """Return the inventory cap in full quotes, None if a full quote is less than a lot.

        With cap and quote in different currencies the ratio moves with prices; it is then rounded to two decimal
        places, so that the model is not recomputed on every tick.
        """
        if self._quotes_at_cap is not None:
            return self._quotes_at_cap
        return round(limits.cap_lots / limits.full_lots, 2) if limits.full_lots > 0 else None

    def cap_value(self, mid_price: float | None) -> float | None:
        """Return the inventory cap's value in quote currency at a mid price, None while a conversion lacks a price."""
        lots = self._lots_of(self._cap, mid_price)
        return None if lots is None or mid_price is None else lots * self._lot * mid_price
