"""Per-symbol trade results and account totals, as exact decimals, each in one currency."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mm_nautilus.config.strategy import REPORT_CURRENCY
from mm_nautilus.market.fiat import DOLLARS

_ZERO = Decimal(0)


def quote_currency(symbol: str) -> str:
    """Return the quote currency of a symbol such as ``XRP/BTC``.

    Raises
    ------
    ValueError
        If the symbol has no slash.
    """
    base, slash, quote = symbol.partition("/")
    if not (base and slash and quote):
        raise ValueError(f"symbol must be written base/quote such as XRP/USDT, was {symbol!r}")
    return quote


def _win_rate(wins: int, trades: int) -> float:
    return round(100.0 * wins / trades, 1) if trades else 0.0


@dataclass(slots=True)
class _Results:
    """Realised results of one symbol in its quote currency."""

    currency: str
    trades: int = 0
    wins: int = 0
    losses: int = 0
    pnl: Decimal = _ZERO
    open_fees: Decimal = _ZERO
    funding: Decimal = _ZERO

    @property
    def realized(self) -> Decimal:
        return self.pnl - self.open_fees


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The account at one moment, marked at mid in the report currency.

    Parameters
    ----------
    report_currency
        Currency of all values.
    balances
        Total balance of each currency, in that currency.
    prices
        Value of one unit of each of these currencies.
    values
        Value of each balance; a margin account's unrealised PnL is added to its currency.
    start_equity
        Value of the starting balances when every price was first known.
    revaluation
        Change in value of the starting balances by price moves alone; not trading profit.
    trading_pnl
        Total PnL of all symbols, net of fees, in the report currency.
    max_drawdown_pct
        Largest fall of trading PnL and funding from their peak so far, % of `start_equity`.
    open_positions
        Number of symbols whose net position since the start is not zero.
    funding
        Funding payments of all perpetuals, negative if paid, in the report currency; no part of `trading_pnl`.
    fees
        Fees of all symbols, which `trading_pnl` is net of.
    """

    report_currency: str
    balances: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    values: Mapping[str, Decimal]
    start_equity: Decimal
    revaluation: Decimal
    trading_pnl: Decimal
    max_drawdown_pct: float
    open_positions: int
    funding: Decimal = _ZERO
    fees: Decimal = _ZERO

    @property
    def equity(self) -> Decimal:
        """Value of all balances."""
        return sum(self.values.values(), _ZERO)

    @property
    def roi_pct(self) -> float:
        """Trading PnL as % of the equity at the start; 0 if that was 0."""
        return float(100 * self.trading_pnl / self.start_equity) if self.start_equity else 0.0


class SymbolLedger:
    """Trades, wins, losses and realised PnL of each symbol (v1.4.0's per-pair metrics).

    Parameters
    ----------
    symbols
        Symbols to list from the start, with zeros.
    strategy
        Name of the strategy in `to_dict`.
    currencies
        Quote currency of symbols whose name has no slash.
    """

    def __init__(
        self,
        symbols: Iterable[str] = (),
        *,
        strategy: str = "market_making",
        report_currency: str = REPORT_CURRENCY,
        currencies: Mapping[str, str] | None = None,
    ) -> None:
        self.strategy = strategy
        self.report_currency = report_currency
        self.account: AccountSnapshot | None = None
        self._currencies = dict(currencies or {})
        self._results: dict[str, _Results] = {}
        self._gross_profit = _ZERO
        self._gross_loss = _ZERO
        self._unconverted_trades = 0
        for symbol in symbols:
            self._of(symbol)

    def _of(self, symbol: str) -> _Results:
        if symbol not in self._results:
            self._results[symbol] = _Results(self._currencies.get(symbol) or quote_currency(symbol))
        return self._results[symbol]

    def record_trade_result(
        self, symbol: str, pnl: Decimal | float, report_pnl: Decimal | None = None
    ) -> None:
        """Count one trade: an execution that reduced a position.

        Parameters
        ----------
        pnl
            Its result net of fees, in the symbol's quote currency.
        report_pnl
            The same in the report currency; required for totals if the quote currency differs.

        Raises
        ------
        ValueError
            If `pnl` is not a finite number.
        """
        amount = _decimal(pnl)
        results = self._of(symbol)
        results.trades += 1
        results.wins += amount > 0
        results.losses += amount < 0
        results.pnl += amount
        if results.currency == self.report_currency:
            report_pnl = amount
        if report_pnl is None:
            self._unconverted_trades += 1
        elif report_pnl > 0:
            self._gross_profit += report_pnl
        else:
            self._gross_loss -= report_pnl

    def add_funding(self, symbol: str, amount: Decimal) -> None:
        """Add a funding payment, negative if paid, in the symbol's quote currency."""
        self._of(symbol).funding += amount

    def funding(self, symbol: str) -> Decimal:
        """Return the funding payments so far, in the symbol's quote currency."""
        return self._of(symbol).funding

    def set_open_fees(self, symbol: str, fees: Decimal) -> None:
        """Set the fees of the open position that are not yet part of a trade's result."""
        self._of(symbol).open_fees = fees

    def open_fees(self, symbol: str) -> Decimal:
        """Return the fees of the open position that are not yet part of a trade's result."""
        return self._of(symbol).open_fees

    def realized_pnl(self, symbol: str) -> Decimal:
        """Return the realised PnL net of all fees paid so far, in the symbol's quote currency."""
        return self._of(symbol).realized

    def currency(self, symbol: str) -> str:
        """Return the quote currency of a symbol."""
        return self._of(symbol).currency

    @property
    def symbols(self) -> list[str]:
        """The symbols in order of their first appearance."""
        return list(self._results)

    @property
    def pnl_by_symbol(self) -> dict[str, float]:
        """Realised PnL of each symbol in its own quote currency."""
        return {symbol: float(results.realized) for symbol, results in self._results.items()}

    @property
    def trades_by_symbol(self) -> dict[str, int]:
        """Number of trades of each symbol."""
        return {symbol: results.trades for symbol, results in self._results.items()}

    @property
    def wins_by_symbol(self) -> dict[str, int]:
        """Number of trades with a profit of each symbol."""
        return {symbol: results.wins for symbol, results in self._results.items()}

    @property
    def losses_by_symbol(self) -> dict[str, int]:
        """Number of trades with a loss of each symbol."""
        return {symbol: results.losses for symbol, results in self._results.items()}

    def get_symbol_stats(self, symbol: str) -> dict[str, Any]:
        """Return `symbol, trades, wins, losses, win_rate, pnl, avg_pnl` of one symbol.

        `win_rate` is in % with one decimal; `pnl` is realised, net of fees, in the symbol's quote currency;
        ``avg_pnl = pnl / trades``. A symbol without trades has zeros.
        """
        results = self._results.get(symbol) or _Results(
            self._currencies.get(symbol) or quote_currency(symbol)
        )
        return {
            "symbol": symbol,
            "trades": results.trades,
            "wins": results.wins,
            "losses": results.losses,
            "win_rate": _win_rate(results.wins, results.trades),
            "pnl": float(results.realized),
            "avg_pnl": float(self.average_pnl(symbol)),
        }

    def average_pnl(self, symbol: str) -> Decimal:
        """Return realised PnL per trade in the symbol's quote currency; 0 without trades."""
        results = self._results.get(symbol)
        return results.realized / results.trades if results and results.trades else _ZERO

    def get_all_symbol_stats(self) -> dict[str, dict[str, Any]]:
        """Return `get_symbol_stats` of every symbol."""
        return {symbol: self.get_symbol_stats(symbol) for symbol in self._results}

    def state(self) -> dict[str, Any]:
        """Return counts and results as plain values, amounts as decimal text, for `restore`."""
        results = {
            symbol: {
                "trades": r.trades,
                "wins": r.wins,
                "losses": r.losses,
                "pnl": str(r.pnl),
                "open_fees": str(r.open_fees),
            }
            for symbol, r in self._results.items()
        }
        totals = {
            "gross_profit": str(self._gross_profit),
            "gross_loss": str(self._gross_loss),
            "unconverted_trades": self._unconverted_trades,
        }
        return {"symbols": results, "totals": totals}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; symbols that are no longer listed are left out."""
        for symbol, saved in state["symbols"].items():
            if symbol not in self._results:
                continue
            results = self._of(symbol)
            results.trades, results.wins, results.losses = saved["trades"], saved["wins"], saved["losses"]
            results.pnl, results.open_fees = Decimal(saved["pnl"]), Decimal(saved["open_fees"])
        totals = state["totals"]
        self._gross_profit = Decimal(totals["gross_profit"])
        self._gross_loss = Decimal(totals["gross_loss"])
        self._unconverted_trades = totals["unconverted_trades"]

    @property
    def profit_factor(self) -> float | None:
        """Sum of winning trades over the sum of losing ones, in the report currency.

        None without losses, or if a trade's result could not be converted.
        """
        if self._unconverted_trades or not self._gross_loss:
            return None
        return float(self._gross_profit / self._gross_loss)

    @property
    def average_trade_pnl(self) -> float | None:
        """Mean result of all trades in the report currency; None if a result could not be converted."""
        trades = sum(self.trades_by_symbol.values())
        if self._unconverted_trades:
            return None
        return float((self._gross_profit - self._gross_loss) / trades) if trades else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return v1.4.0's portfolio dictionary; values are in the report currency, named under ``currency``.

        Per-symbol values are in the symbol's quote currency, named under ``currencies``. Account values are None before
        the first `account` snapshot. Amounts are floats for display and, under ``exact``, decimal text with their
        currency.
        """
        trades = sum(self.trades_by_symbol.values())
        return {
            "strategy": self.strategy,
            "currency": self.report_currency,
            "currencies": {symbol: results.currency for symbol, results in self._results.items()},
            **self._account_dict(),
            "pnl_by_symbol": self.pnl_by_symbol,
            "trades": trades,
            "trades_by_symbol": self.trades_by_symbol,
            "win_rate": _win_rate(sum(self.wins_by_symbol.values()), trades),
            "profit_factor": self.profit_factor,
            "avg_trade_pnl": self.average_trade_pnl,
            "symbol_stats": self.get_all_symbol_stats(),
            "exact": self._exact_dict(),
        }

    def _account_dict(self) -> dict[str, Any]:
        account = self.account
        if account is None:
            names = (
                "usdt",
                "assets",
                "asset_values",
                "equity",
                "pnl",
                "roi_pct",
                "max_drawdown_pct",
                "open_positions",
            )
            return dict.fromkeys(names)
        assets = [currency for currency in account.balances if currency != account.report_currency]
        return {
            "usdt": float(account.balances.get(account.report_currency, _ZERO)),
            "assets": {currency: float(account.balances[currency]) for currency in assets},
            "asset_values": {currency: _asset_value(account, currency) for currency in assets},
            "equity": float(account.equity),
            "pnl": float(account.trading_pnl),
            "roi_pct": account.roi_pct,
            "max_drawdown_pct": account.max_drawdown_pct,
            "open_positions": account.open_positions,
        }

    def _exact_dict(self) -> dict[str, Any]:
        exact: dict[str, Any] = {
            "pnl_by_symbol": {symbol: f"{r.realized:f} {r.currency}" for symbol, r in self._results.items()}
        }
        if self.account is not None:
            exact["balances"] = {code: f"{amount:f} {code}" for code, amount in self.account.balances.items()}
            exact["values"] = {
                code: f"{value:f} {self.report_currency}" for code, value in self.account.values.items()
            }
            exact["equity"] = f"{self.account.equity:f} {self.report_currency}"
            exact["pnl"] = f"{self.account.trading_pnl:f} {self.report_currency}"
        return exact


def _asset_value(account: AccountSnapshot, currency: str) -> dict[str, float]:
    """Return v1.4.0's ``amount, price, value_usd`` of a balance; the last key names the report currency."""
    report = account.report_currency
    return {
        "amount": float(account.balances[currency]),
        "price": float(account.prices[currency]),
        f"value_{'usd' if report in DOLLARS else report.lower()}": float(account.values[currency]),
    }


def _decimal(value: Decimal | float) -> Decimal:
    amount = value if isinstance(value, Decimal) else Decimal(str(value))
    if not amount.is_finite():
        raise ValueError(f"pnl must be a finite number, was {value}")
    return amount
