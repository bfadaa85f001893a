"""How large an order the account's balance allows."""

import math
from collections.abc import Mapping
from typing import Any, Final

from nautilus_trader.model import Currency

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import OrderState, QuoteSide, WorkingOrder

__all__ = ["Affordability", "most_ticks"]

_LOT_ROUNDING: Final = 1e-9
"""Share of a lot by which a balance may miss it through binary rounding and still pay for it."""
_SWEEP_SHARE: Final = 0.05
"""Headroom of a marketable buy on a cash account: what sweeping the book may cost above the best ask. A balance
that a fill would overdraw ends the whole run."""


def most_ticks(symbol: SymbolState) -> int:
    """Return the price a marketable buy is reckoned with, in ticks."""
    return math.ceil((symbol.book.best_ask_ticks or 1) * (1.0 + _SWEEP_SHARE))


def _fee_share(symbol: SymbolState) -> float:
    """Return the higher of the two fees as a share of value, for reckoning what a buy may cost."""
    return max(0.0, symbol.params.maker_fee_pct or 0.0, symbol.params.taker_fee_pct or 0.0) / 100.0


def _value(symbol: SymbolState, quote: Quote, *, is_buy: bool) -> float:
    """Return what an order needs of its balance: quote currency for a bid, base currency for an ask."""
    return quote.size_lots * symbol.lot * (quote.price_ticks * symbol.tick if is_buy else 1.0)


def _is_locked(order: WorkingOrder) -> bool:
    """Whether the account already sets something aside for an order: a quote's value, from its acceptance on."""
    return order.side is not None and not order.is_marketable and order.is_resting


def _claim(order: WorkingOrder, currency: Currency) -> float:
    """Return what an order will still take of a balance beyond what the account has locked for it.

    The account locks a resting order's value, from the moment it is accepted, without its fee.
    """
    symbol, is_buy = order.symbol, order.is_buy
    if currency != (symbol.quote_currency if is_buy else symbol.base_currency):
        return 0.0
    if order.side is None or order.is_marketable:
        locked, all_in = 0.0, _value(symbol, order.sent, is_buy=is_buy)
    else:
        resting = order.resting
        locked = _value(symbol, resting, is_buy=is_buy) if order.is_resting else 0.0
        all_in = max(locked, _value(symbol, order.pending or resting, is_buy=is_buy))
    return all_in * (1.0 + (_fee_share(symbol) if is_buy else 0.0)) - locked


class Affordability:
    """Limit orders to what the free balance pays for, or on margin secures.

    Parameters
    ----------
    balances
        The account's balances.
    live
        The orders that are not closed yet, by their id.
    """

    def __init__(self, balances: Balances, live: Mapping[Any, WorkingOrder]) -> None:
        self._balances = balances
        self._live = live

    def limited(self, symbol: SymbolState, side: QuoteSide, quote: Quote) -> Quote | NotQuoting:
        """Shrink a quote to what is free; below the venue's minimum there is none."""
        if self._is_covered(symbol, side, quote):
            return quote
        takes = symbol.params.entry_order == "taker"
        price_ticks = most_ticks(symbol) if takes else quote.price_ticks
        free = self.free_lots(symbol, price_ticks, is_buy=side.is_bid, own=side)
        if free is None or free >= quote.size_lots:
            return quote
        smallest = symbol.sizes.order_limits.min_lots_at(quote.price_ticks)
        return quote._replace(size_lots=free) if free >= smallest else NotQuoting.INSUFFICIENT_BALANCE

    def _is_covered(self, symbol: SymbolState, side: QuoteSide, quote: Quote) -> bool:
        """Return whether a quote takes no more of its balance than the side's settled order has locked already."""
        working = side.working
        if working is None:
            return False
        by_price = side.is_bid or not self._balances.is_cash
        return _value(symbol, quote, is_buy=by_price) <= _value(symbol, working, is_buy=by_price)

    def would_deny(self, symbol: SymbolState, side: QuoteSide, quote: Quote) -> bool:
        """Return whether the engine would refuse an amend whose open part is neither too large nor too dear.

        It judges the whole order, also the part that is filled already.
        """
        filled = 0 if side.order is None else side.order.filled_lots
        if filled == 0:
            return False
        whole = quote.size_lots + filled
        if symbol.sizes.order_limits.within_max(whole, quote.price_ticks) < whole:
            return True
        free = self.free_lots(symbol, quote.price_ticks, is_buy=side.is_bid, own=side)
        return free is not None and free < whole

    def free_lots(
        self, symbol: SymbolState, price_ticks: int, *, is_buy: bool, own: QuoteSide | None = None
    ) -> int | None:
        """Return how many lots the free balance pays for at a price, None where nothing limits them.

        What the order of the side `own` has locked is free for its amendment.
        """
        if not self._balances.is_cash:
            return self._free_margin_lots(symbol, price_ticks, is_buy=is_buy, own=own)
        currency = symbol.quote_currency if is_buy else symbol.base_currency
        own_order = None if own is None else own.order
        free = self._balances.free(currency)
        free -= sum(_claim(order, currency) for order in self._live.values() if order is not own_order)
        if own_order is not None and own_order.state is OrderState.WORKING:
            free += _value(symbol, own_order.resting, is_buy=is_buy)
        if is_buy:
            free /= price_ticks * symbol.tick * (1.0 + _fee_share(symbol))
        return max(0, math.floor(free / symbol.lot + _LOT_ROUNDING))

    def _free_margin_lots(
        self, symbol: SymbolState, price_ticks: int, *, is_buy: bool, own: QuoteSide | None
    ) -> int | None:
        """Return how many lots a margin account's free balance secures, besides those that reduce the position."""
        rate = symbol.margin_rate / self._balances.leverage
        if rate == 0.0:
            return None
        own_order = None if own is None else own.order
        free = self._balances.free(symbol.quote_currency)
        for order in self._live.values():
            same = order.symbol.quote_currency == symbol.quote_currency
            if order is not own_order and same and not _is_locked(order):
                free -= rate * _value(order.symbol, order.sent, is_buy=True)
        if own_order is not None and own_order.state is OrderState.WORKING:
            free += rate * _value(symbol, own_order.resting, is_buy=True)
        secured = math.floor(
            free / (price_ticks * symbol.tick * (rate + _fee_share(symbol))) / symbol.lot + _LOT_ROUNDING
        )
        reducing = max(0, -symbol.position.lots if is_buy else symbol.position.lots)
        return max(secured, reducing, 0)
