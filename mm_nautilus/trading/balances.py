"""Read an account's balances at a cost that does not grow with the number of orders."""

from decimal import Decimal
from typing import Any

from nautilus_trader.model import AccountType, Currency, Venue


class Balances:
    """Read total and free balances without copying the account.

    The engine copies an account with its whole event history on every access, which gets slower with every order.
    The portfolio's equity and locked amounts give the same numbers at a constant cost: a cash account's equity in a
    currency is its total balance.

    Attributes
    ----------
    is_cash
        Whether fills exchange base for quote currency; a margin account settles PnL only.
    leverage
        A margin account's leverage; 1 for a cash account.
    """

    def __init__(self, portfolio: Any, venue: Venue) -> None:
        self._portfolio = portfolio
        self._venue = venue
        account = portfolio.account(venue=venue)
        self.is_cash: bool = account.account_type == AccountType.CASH
        self.leverage: float = 1.0 if self.is_cash else float(account.default_leverage)

    def totals(self) -> dict[str, Decimal]:
        """Return the total balance of each currency, by its code."""
        if self.is_cash:
            amounts = self._portfolio.equity(self._venue)
        else:
            amounts = self._portfolio.account(venue=self._venue).balances_total()
        return dict(sorted((c.code, m.as_decimal()) for c, m in amounts.items()))

    def free(self, currency: Currency) -> float:
        """Return the balance available to new orders: the total less what orders and positions lock.

        A margin account's equity includes unrealised PnL, which orders cannot use. It is 0 on a margin account while
        a position has no price yet, as after a restart before the first book.
        """
        total = self._portfolio.equity(self._venue).get(currency)
        locked = self._portfolio.balances_locked(self._venue).get(currency)
        held = 0.0 if locked is None else locked.as_double()
        if not self.is_cash:
            # The engine records missing prices while it computes the equity above.
            if self._portfolio.missing_price_instruments(self._venue):
                return 0.0
            open_pnl = self._portfolio.unrealized_pnls(self._venue).get(currency)
            held += 0.0 if open_pnl is None else open_pnl.as_double()
        return 0.0 if total is None else total.as_double() - held

    def share_position(
        self, currencies: tuple[Currency, Currency], position: float, share: float, mid_price: float
    ) -> float:
        """Return the position at which the base currency has a share of the value of a pair's two balances.

        Parameters
        ----------
        currencies
            The pair's base and quote currency.
        position
            Signed position since the start, in base currency.
        share
            Share of the value; of a margin account's equity in the quote currency, where the position is all base.
        mid_price
            In quote currency.
        """
        totals = self._portfolio.equity(self._venue)
        base, quote = (
            0.0 if (total := totals.get(each)) is None else total.as_double() for each in currencies
        )
        if not self.is_cash:
            return share * quote / mid_price
        return position + share * (base + quote / mid_price) - base
