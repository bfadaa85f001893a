"""Drawdown of each symbol's and of the account's PnL, with their limits."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.rates import Rates
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.limits import DrawdownGuard
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.symbol import SymbolState


class Drawdowns:
    """Drawdown guards of the symbols, each in its quote currency, and of the account in the report currency."""

    def __init__(
        self,
        balances: Balances,
        rates: Rates[float],
        symbols: Sequence[SymbolState],
        settings: MarketMakerConfig,
    ) -> None:
        self._balances = balances
        self._rates = rates
        self._symbols = tuple(symbols)
        self._currency = settings.report_currency
        self._account = DrawdownGuard(settings.max_account_drawdown_pct)
        self._starting: Mapping[str, Decimal] = {}
        self._start_equity: float | None = None

    def breaches(self) -> Iterator[tuple[tuple[SymbolState, ...], NotQuoting, str]]:
        """Mark all positions at mid; yield the symbols to halt, the reason and its text for each limit just reached."""
        total = 0.0
        is_whole = True
        for symbol in self._symbols:
            mid = symbol.mid_price
            pnl = None if mid is None else symbol.position.pnl_at(mid, symbol.lot)
            rate = self._rates.rate(symbol.spec.quote, self._currency)
            if pnl is None or rate is None:
                is_whole = False
                continue
            total += pnl * rate
            if symbol.drawdown.update(pnl, symbol.sizes.cap_value(symbol.mid_price) or 0.0):
                text = f"{symbol.drawdown.drawdown_pct:.2f} % of max_inventory"
                yield (symbol,), NotQuoting.HALTED_DRAWDOWN, text
        capital = self.capital()
        if is_whole and capital is not None and self._account.update(total, capital):
            text = f"{self._account.drawdown_pct:.2f} % of the equity at the start"
            yield self._symbols, NotQuoting.HALTED_ACCOUNT_DRAWDOWN, text

    def begin(self) -> None:
        """Store the starting balances; call it before the first order."""
        self._starting = self._balances.totals()

    def rearm(self) -> None:
        """Restart the account's drawdown at the current PnL."""
        self._account.rearm()

    def save(self) -> dict[str, Any]:
        """Return the account's drawdown and starting equity as JSON values, for `restore`."""
        return {
            "account": {"peak": self._account.peak, "halted": self._account.halted},
            "start_equity": self._start_equity,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore what `save` returned in an earlier run."""
        account = saved.get("account", {})
        self._account.peak = account.get("peak", 0.0)
        self._account.halted = account.get("halted", False)
        self._start_equity = saved.get("start_equity")

    def capital(self) -> float | None:
        """Return the equity at the start in the report currency, None while a price for it is missing.

        Call it once every symbol has a price, so that the balances are valued at those.
        """
        if self._start_equity is None and self._account.limit_pct:
            self._start_equity = self._equity()
        return self._start_equity

    def _equity(self) -> float | None:
        """Value the starting balances, None while a price is missing; currencies that no pair converts are left out."""
        total = 0.0
        for currency, amount in self._starting.items():
            if self._rates.path(currency, self._currency) is None:
                continue
            rate = self._rates.rate(currency, self._currency)
            if rate is None:
                return None
            total += float(amount) * rate
        return total
