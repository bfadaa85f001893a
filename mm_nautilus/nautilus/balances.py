"""Balances of a venue's account at a constant cost."""

from decimal import Decimal
from typing import Any

from nautilus_trader.model import AccountType, Currency, Venue

__all__ = ["Balances"]


class Balances:
    """Read total and free balances without copying the account.

    The engine's account object carries its whole event history and is copied on every access, which costs more
    with every order. The portfolio's equity and locked amounts are the same figures at a constant cost: a cash
    account's equity by currency is its total balance.

    Parameters
    ----------
    portfolio
        The engine's portfolio.
    venue
        The venue whose account is read.
    """

    def __init__(self, portfolio: Any, venue: Venue) -> None:
        self._portfolio = portfolio
        self._venue = venue
        self.is_cash: bool = portfolio.account(venue=venue).account_type == AccountType.CASH

    def totals(self) -> dict[str, Decimal]:
        """Return the total balance of each currency, by its code."""
        if self.is_cash:
            amounts = self._portfolio.equity(self._venue)
        else:
            amounts = self._portfolio.account(venue=self._venue).balances_total()
        return dict(sorted((c.code, m.as_decimal()) for c, m in amounts.items()))

    def free(self, currency: Currency) -> float | None:
        """Return what a new order may use of a currency; None for an account that does not exchange currencies."""
        if not self.is_cash:
            return None
        total = self._portfolio.equity(self._venue).get(currency)
        locked = self._portfolio.balances_locked(self._venue).get(currency)
        held = 0.0 if locked is None else locked.as_double()
        return 0.0 if total is None else total.as_double() - held
