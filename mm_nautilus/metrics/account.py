"""Value an account at mid prices in the report currency, converted through the traded pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nautilus_trader.model import Venue

from mm_nautilus.market.rates import Rates
from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.risk.limits import DrawdownGuard
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.symbol_views import SymbolViews

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class SymbolPnl:
    """PnL of one symbol, exact, net of fees, marked at mid.

    Parameters
    ----------
    realized, unrealized
        From the engine's portfolio, in the symbol's quote currency.
    funding
        Funding payments, in quote currency; no part of the others.
    realized_report, total_report, funding_report, fees_report
        In the report currency; None while a price for the conversion is missing.
    """

    realized: Decimal
    unrealized: Decimal
    position: Decimal
    realized_report: Decimal | None
    total_report: Decimal | None
    funding: Decimal
    funding_report: Decimal | None
    fees_report: Decimal | None

    @property
    def total(self) -> Decimal:
        """Realised and unrealised PnL in quote currency."""
        return self.realized + self.unrealized


def net_position(portfolio: Any, view: SymbolViews) -> Decimal:
    """Return a symbol's net position since the start in base currency, rounded to whole lots.

    The engine stores it as a binary float: 3.104382 XRP may come back as 3.104382000000015.
    """
    position: Decimal = portfolio.net_position(view.instrument_id)
    return position.quantize(view.spec.size_increment)


class AccountValuer:
    """Value one venue's account and the symbols traded on it."""

    def __init__(
        self, portfolio: Any, venue: str, views: Mapping[str, SymbolViews], report_currency: str
    ) -> None:
        self._portfolio = portfolio
        self._balances = Balances(portfolio, Venue(venue))
        self._views = views
        self._report_currency = report_currency
        pairs = {symbol: (view.spec.base, view.spec.quote) for symbol, view in views.items()}
        self._rates = Rates(pairs, lambda symbol: views[symbol].last_mid, Decimal(1))
        self._starting = self._balances.totals()
        self._start_rates: dict[str, Decimal] | None = None
        self._drawdown = DrawdownGuard(None)

    @property
    def starting_balances(self) -> dict[str, Decimal]:
        """Balances when the strategy started for the first time, by currency."""
        return dict(self._starting)

    def state(self) -> dict[str, Any]:
        """Return the bases of equity and drawdown for `restore`, amounts as decimal text."""
        rates = self._start_rates
        return {
            "starting_balances": _as_text(self._starting),
            "start_rates": None if rates is None else _as_text(rates),
            "peak_pnl": self._drawdown.peak,
            "max_drawdown_pct": self._drawdown.max_drawdown_pct,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned: the balances and rates at the first start."""
        self._starting = _as_amounts(state["starting_balances"])
        rates = state["start_rates"]
        self._start_rates = None if rates is None else _as_amounts(rates)
        self._drawdown.peak = state["peak_pnl"]
        self._drawdown.max_drawdown_pct = state["max_drawdown_pct"]

    def rate(self, currency: str) -> Decimal | None:
        """Return the value of one unit of a currency in the report currency."""
        return self._rates.rate(currency, self._report_currency)

    def symbol_pnl(self, symbol: str, realized: Decimal, funding: Decimal, fees: Decimal) -> SymbolPnl:
        """Return a symbol's PnL, of what it realised, its funding and its fees in quote currency.

        In the report currency, both legs of the position are valued at the rates that the account's equity uses. The
        pair's own mid may differ from these rates, so converting the total PnL as one amount would not add up to the
        change in equity.
        """
        view = self._views[symbol]
        spec, mark = view.spec, view.last_mid
        instrument_id = view.instrument_id
        position = net_position(self._portfolio, view)
        unrealized = _ZERO
        if mark is not None:
            money = self._portfolio.unrealized_pnl(instrument_id, price=view.last_mid_price())
            unrealized = _ZERO if money is None else money.as_decimal()
        base_rate, quote_rate = self.rate(spec.base), self.rate(spec.quote)
        if base_rate is None or quote_rate is None or mark is None:
            return SymbolPnl(realized, unrealized, position, None, None, funding, None, None)
        total = (realized + unrealized) * quote_rate
        if self._balances.is_cash:
            total += position * (base_rate - mark * quote_rate)
        return SymbolPnl(
            realized,
            unrealized,
            position,
            realized * quote_rate,
            total,
            funding,
            funding * quote_rate,
            fees * quote_rate,
        )

    def snapshot(
        self, pnls: Mapping[str, SymbolPnl], *, counts_for_drawdown: bool = True
    ) -> AccountSnapshot | None:
        """Return the account's values, None while a price to value a balance is missing.

        Parameters
        ----------
        pnls
            `symbol_pnl` of every symbol at the same time.
        counts_for_drawdown
            Whether this is a point of the equity curve, which updates the drawdown.
        """
        balances = self._balances.totals()
        rates = {code: self.rate(code) for code in balances}
        totals = [pnl.total_report for pnl in pnls.values()]
        if any(rate is None for rate in rates.values()) or any(total is None for total in totals):
            return None
        known = {code: rate for code, rate in rates.items() if rate is not None}
        start_rates = self._start_rates = self._start_rates or known
        start_equity = sum((amount * start_rates[code] for code, amount in self._starting.items()), _ZERO)
        trading = sum((total for total in totals if total is not None), _ZERO)
        funding = sum((pnl.funding_report or _ZERO for pnl in pnls.values()), _ZERO)
        if counts_for_drawdown:
            self._drawdown.update(float(trading + funding), float(start_equity))
        return AccountSnapshot(
            report_currency=self._report_currency,
            balances=balances,
            prices=known,
            values=self._values(balances, known, pnls),
            start_equity=start_equity,
            revaluation=sum(
                (amount * (known[code] - start_rates[code]) for code, amount in self._starting.items()), _ZERO
            ),
            trading_pnl=trading,
            funding=funding,
            fees=sum((pnl.fees_report or _ZERO for pnl in pnls.values()), _ZERO),
            max_drawdown_pct=self._drawdown.max_drawdown_pct,
            open_positions=sum(pnl.position != 0 for pnl in pnls.values()),
        )

    def _values(
        self, balances: Mapping[str, Decimal], rates: Mapping[str, Decimal], pnls: Mapping[str, SymbolPnl]
    ) -> dict[str, Decimal]:
        """Return the value of every balance; a margin account's unrealised PnL is added to its currency."""
        values = {code: amount * rates[code] for code, amount in balances.items()}
        if not self._balances.is_cash:
            for symbol, pnl in pnls.items():
                quote = self._views[symbol].spec.quote
                # The account may not hold the quote currency yet, but its rate is known.
                rate = self.rate(quote) or _ZERO
                values[quote] = values.get(quote, _ZERO) + pnl.unrealized * rate
        return values


def _as_text(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {code: str(amount) for code, amount in amounts.items()}


def _as_amounts(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {code: Decimal(text) for code, text in texts.items()}
