"""What the page and the terminal show: one document of plain values, each with the text people read."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from mm_nautilus.live_view.curve import Point
from mm_nautilus.live_view.state import (
    Fill,
    GuardNote,
    LiveState,
    Market,
    Metrics,
    Quotes,
    Snapshot,
    SymbolInfo,
    SymbolSnapshot,
)
from mm_nautilus.metrics.daily import DailyView, DayResult
from mm_nautilus.metrics.ledger import AccountSnapshot
from mm_nautilus.report.money import amount_decimals, is_dollar, signed_amount, unsigned_amount
from mm_nautilus.report.rows import NONE, size_text
from mm_nautilus.risk.state import QuotingState
from mm_nautilus.system.moments import moment

type Document = dict[str, Any]

ENDED: Final = frozenset({"completed", "interrupted", "failed"})
"""States of a run after its end."""


class Label(NamedTuple):
    """Name of a figure."""

    key: str
    """Its name in the document."""
    text: str
    meaning: str
    """What it is, with its unit."""


ACCOUNT_FIGURES: Final = (
    Label(
        "trading_pnl",
        "trading PnL, net of fees",
        "Trading profit since the first start, marked at mid, net of fees, in the report currency",
    ),
    Label(
        "today", "today's trading PnL", "Change of trading PnL on the last UTC day, in the report currency"
    ),
    Label(
        "fees",
        "fees",
        "Fees of all symbols since the first start, at the present mids, in the report currency; trading PnL is net of "
        "them",
    ),
    Label("roi", "trading PnL, % of the start", "Trading PnL in % of the equity at the start"),
    Label("drawdown", "largest drawdown", "Maximum drawdown of trading PnL, in % of the equity at the start"),
    Label("equity", "equity", "Value of all balances, marked at mid, in the report currency"),
    Label(
        "revaluation",
        "revaluation of the start",
        "Change in value of the starting balances by prices alone, in the report currency; no trading profit",
    ),
    Label("fills", "fills", "Number of executions of all symbols since the first start"),
    Label("trades", "trades", "Number of executions of all symbols that reduced a position"),
    Label("win_rate", "win rate", "Share of all trades with a profit, %"),
    Label(
        "open_positions", "open positions", "Number of symbols whose net position since the start is not zero"
    ),
)

SYMBOL_FIGURES: Final = (
    Label("mid", "mid", "Middle of the last sound book at the moment of the quotes, in quote currency"),
    Label(
        "touch", "best bid / ask", "The market's best prices at the moment of the quotes, in quote currency"
    ),
    Label("bid", "our bid", "Price and open size of each level's bid, or the reason for not quoting"),
    Label("ask", "our ask", "Price and open size of each level's ask, or the reason for not quoting"),
    Label("reservation", "reservation", "Reservation price of the last quotes, in quote currency"),
    Label("trailing_stop", "trailing stop", "Price at which it closes the position, in quote currency"),
    Label("volatility", "volatility", "One-minute volatility of the mid, %, and what it was measured from"),
    Label("inventory", "inventory", "Net position since the start, in base currency"),
    Label("realized_pnl", "realized PnL", "Net of fees, in quote currency"),
    Label("total_pnl", "total PnL", "Realized and unrealized, marked at mid, net of fees, in quote currency"),
    Label("average_pnl", "average PnL", "Realized PnL per trade, in quote currency"),
    Label("fees", "fees", "Fees charged by the venue, in quote currency"),
    Label("fills", "fills", "Executions, number"),
    Label("trades", "trades", "Number of executions that reduced a position, with wins and losses"),
    Label("win_rate", "win rate", "Share of trades with a profit, %"),
)

FILL_COLUMNS: Final = (
    Label("time", "UTC", "Time of the execution, UTC"),
    Label("symbol", "symbol", "The pair"),
    Label("side", "side", "Whether we bought or sold, and whether the order made or took liquidity"),
    Label("price", "price", "In quote currency"),
    Label("quantity", "quantity", "In base currency"),
    Label("fee", "fee", "In quote currency"),
    Label("pnl", "PnL", "Change of realized PnL, net of fees, in quote currency"),
    Label("position", "position", "Net position after it, in base currency"),
    Label("purpose", "for", "Purpose of the order"),
)

DAY_COLUMNS: Final = (
    Label("day", "UTC day", "The day; one without a run has no row, and the next start has its change"),
    Label("trading_pnl", "trading PnL", "Change of trading PnL, net of fees, in the report currency"),
    Label("fees", "fees", "Fees of the day's fills, converted when they were charged"),
    Label("fills", "fills", "Executions, number"),
    Label("trades", "trades", "Number of executions that reduced a position"),
)
_MOST_DAYS: Final = 31

type Figure = dict[str, Any]


def _figure(value: float | None, text: str, exact: str | None = None) -> Figure:
    return {"value": value, "text": text} | ({} if exact is None else {"exact": exact})


def _count(value: int) -> Figure:
    return _figure(value, f"{value:,}")


def _percentage(value: float, decimals: int = 1) -> Figure:
    return _figure(value, f"{value:,.{decimals}f} %")


def _money(exact: str, write: Callable[[float, str], str] = signed_amount) -> Figure:
    """Return an amount such as ``-0.01250000 USDT``, or an unknown one."""
    if not exact:
        return _figure(None, NONE)
    number, currency = exact.split(maxsplit=1)
    return _figure(float(number), write(float(number), currency), exact)


def _price(value: float | None, info: SymbolInfo, more_decimals: int = 0) -> Figure:
    if value is None or math.isnan(value):
        return _figure(None, NONE)
    return _figure(value, f"{value:,.{info.price_decimals + more_decimals}f} {info.quote}")


def _volatility(pct: float, source: str) -> Figure:
    return _figure(None, source) if math.isnan(pct) else _figure(pct, f"{pct:.3g} % ({source})")


def _quote(price: float | None, size: float | None, reason: str | None, info: SymbolInfo) -> Figure:
    """Return a working order, or why there is none."""
    if price is None or size is None:
        return {"value": None, "size": None, "text": f"none: {reason}" if reason else "none yet"}
    text = f"{size_text(size)} {info.base} at {_price(price, info)['text']}"
    return {
        "value": price,
        "size": size,
        "price": f"{price:,.{info.price_decimals}f}",
        "text": f"{text}, to be cancelled: {reason}" if reason else text,
    }


def age_text(seconds: float | None) -> str:
    """Return the greatest possible age of a feed's last event in words."""
    return "nothing yet" if seconds is None else f"at most {seconds:,.1f} s"


def length_text(seconds: float) -> str:
    """Return a length of time, such as ``2 d 03:04:05``."""
    days, rest = divmod(int(seconds), 86_400)
    clock = f"{rest // 3_600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def _clock_text(ts_ns: int) -> str:
    return f"{moment(ts_ns):%H:%M:%S}"


# -- Symbols and account ------------------------------------------------------------------------------------


def _symbol(symbol: SymbolSnapshot) -> Document:
    figures = {} if symbol.row is None else _row_figures(symbol.row, symbol.info)
    if symbol.market is not None:
        figures |= _market_figures(symbol.market, symbol.info)
    return {
        "symbol": symbol.info.symbol,
        "base_currency": symbol.info.base,
        "currency": symbol.info.quote,
        "price_decimals": symbol.info.price_decimals,
        "state": symbol.state or "waiting",
        "reason": symbol.reason,
        "feed_age_seconds": symbol.feed_age_seconds,
        "figures": figures | _quote_figures(symbol.quotes, symbol.info),
        "as_of_ms": None if symbol.row is None else symbol.row["ts_event"] // 1_000_000,
        "quotes_as_of_ms": None if symbol.market is None else symbol.market.ts_event // 1_000_000,
    }


def _market_figures(market: Market, info: SymbolInfo) -> Document:
    """Return the market at the moment of the quotes."""
    bid, ask = _price(market.best_bid, info), _price(market.best_ask, info)
    digits = bid["text"].removesuffix(f" {info.quote}")
    text = NONE if market.best_bid is None else f"{digits} / {ask['text']}"
    return {
        "mid": _price(market.mid_price, info, 1),
        "touch": {"value": None, "bid": market.best_bid, "ask": market.best_ask, "text": text},
        "reservation": _price(market.reservation_price, info, 2),
        "inventory_cap": _size(market.inventory_cap, info),
    }


def _size(size: float | None, info: SymbolInfo) -> Figure:
    return _figure(size, NONE if size is None else f"{size_text(size)} {info.base}")


def _quote_figures(levels: Mapping[int, Quotes], info: SymbolInfo) -> Document:
    """Return the nearest quotes, those further out under ``outer``."""
    nearest, *outer = [quotes for _, quotes in sorted(levels.items())] or [Quotes()]
    figures = {"bid": _bid(nearest, info), "ask": _ask(nearest, info)}
    if outer:
        figures["bid"]["outer"] = [_bid(quotes, info) for quotes in outer]
        figures["ask"]["outer"] = [_ask(quotes, info) for quotes in outer]
    return figures


def _bid(quotes: Quotes, info: SymbolInfo) -> Figure:
    return _quote(quotes.bid_price, quotes.bid_size, quotes.bid_reason, info)


def _ask(quotes: Quotes, info: SymbolInfo) -> Figure:
    return _quote(quotes.ask_price, quotes.ask_size, quotes.ask_reason, info)


def _row_figures(row: Metrics, info: SymbolInfo) -> Document:
    inventory = row["inventory"].partition(" ")[0]
    trades = f"{row['trades']:,} ({row['wins']:,} won, {row['losses']:,} lost)"
    return {
        "mid": _price(row["mid_price"], info, 1),
        "reservation": _price(row["reservation_price"], info, 2),
        "trailing_stop": _price(row["trailing_stop_price"], info, 1),
        "volatility": _volatility(row["volatility_pct"], row["volatility_source"]),
        "inventory": _figure(
            float(inventory), f"{size_text(float(inventory))} {info.base}", row["inventory"]
        ),
        "realized_pnl": _money(row["realized_pnl"]),
        "total_pnl": _money(row["total_pnl"]),
        "total_pnl_report": _money(row["total_pnl_report"]),
        "average_pnl": _money(row["average_pnl"]),
        "fees": _money(row["fees"], unsigned_amount),
        "fills": _count(row["fills"]),
        "trades": _figure(row["trades"], trades),
        "wins": _count(row["wins"]),
        "losses": _count(row["losses"]),
        "win_rate": _percentage(row["win_rate"]) if row["trades"] else _figure(row["win_rate"], NONE),
    }


def _account(
    account: AccountSnapshot | None, symbols: tuple[SymbolSnapshot, ...], daily: DailyView
) -> Document:
    rows = [symbol.row for symbol in symbols if symbol.row is not None]
    trades, wins = sum(row["trades"] for row in rows), sum(row["wins"] for row in rows)
    totals = {
        "fills": _count(sum(row["fills"] for row in rows)),
        "trades": _count(trades),
        "win_rate": _percentage(100 * wins / trades) if trades else _figure(None, NONE),
    }
    if account is None:
        return {"figures": totals, "balances": {}}
    code = account.report_currency
    money = {
        "equity": _money(f"{account.equity:f} {code}", unsigned_amount),
        "trading_pnl": _money(f"{account.trading_pnl:f} {code}"),
        "today": _money(f"{daily.days[-1].trading_pnl:f} {code}" if daily.days else ""),
        "fees": _money(f"{account.fees:f} {code}", unsigned_amount),
        "revaluation": _money(f"{account.revaluation:f} {code}"),
        "roi": _percentage(account.roi_pct, 3),
        "drawdown": _percentage(account.max_drawdown_pct, 3),
        "open_positions": _count(account.open_positions),
    }
    balances = {code: f"{amount:f}" for code, amount in account.balances.items()}
    return {"figures": totals | money, "balances": balances}


def _guard(note: GuardNote) -> Document:
    return {
        "ts_ms": note.ts_event // 1_000_000,
        "time": _clock_text(note.ts_event),
        "symbol": note.symbol,
        "state": note.state,
        "text": note.text,
    }


def state_document(snapshot: Snapshot) -> Document:
    """Return everything but the fills, the lines over time and the log."""
    run = snapshot.run
    states = [symbol.state for symbol in snapshot.symbols]
    return {
        "run": {
            "id": f"{run.started_ns}",
            "name": run.name,
            "folder": run.folder,
            "started": f"{moment(run.started_ns):%Y-%m-%d %H:%M:%S} UTC",
            "report_currency": run.report_currency,
            "simulated_data": run.is_simulated,
            "feed": run.feed,
            "venue": run.venue,
            "fees": run.fees,
        },
        "status": snapshot.status,
        "status_text": snapshot.status_text,
        "has_ended": snapshot.status in ENDED,
        "is_halted": bool(states) and all(state == QuotingState.HALTED for state in states),
        "feed_connected": snapshot.is_connected,
        "uptime_seconds": snapshot.uptime_seconds,
        "account": _account(snapshot.account, snapshot.symbols, snapshot.daily),
        "symbols": [_symbol(symbol) for symbol in snapshot.symbols],
        "guards": [_guard(note) for note in snapshot.guards],
        "fills_seen": snapshot.fills_seen,
    }


# -- Fills and lines ----------------------------------------------------------------------------------------


def fill_documents(snapshot: Snapshot) -> list[Document]:
    """Return the last executions, the newest first."""
    infos = {symbol.info.symbol: symbol.info for symbol in snapshot.symbols}
    return [_fill(fill, infos[fill.symbol]) for fill in snapshot.fills]


@lru_cache(maxsize=64)
def _fill(fill: Fill, info: SymbolInfo) -> Document:
    quote = info.quote
    return {
        "id": fill.correlation_id,
        "ts_ms": fill.ts_event // 1_000_000,
        "time": _clock_text(fill.ts_event),
        "symbol": fill.symbol,
        "side": f"{fill.side} {fill.liquidity.lower()}",
        "price": f"{fill.price:,f} {quote}",
        "price_value": float(fill.price),
        "quantity": f"{size_text(float(fill.quantity))} {info.base}",
        "fee": unsigned_amount(float(fill.fee), quote),
        "pnl": signed_amount(float(fill.realized_change), quote),
        "position": f"{size_text(float(fill.position))} {info.base}",
        "purpose": fill.purpose.replace("_", " "),
    }


def days_document(snapshot: Snapshot) -> Document:
    """Return the results of the last days, the last one first, and the sum of all before; None if there is nothing."""
    shown, currency = snapshot.daily.last(_MOST_DAYS), snapshot.run.report_currency
    earlier = None if shown.earlier == DayResult("") else _day(shown.earlier, currency)
    return {"days": [_day(day, currency) for day in reversed(shown.days)], "earlier": earlier}


def _day(result: DayResult, currency: str) -> Document:
    fees = "" if result.fees is None else f"{result.fees:f} {currency}"
    return {
        "day": result.day or "before",
        "trading_pnl": _money(f"{result.trading_pnl:f} {currency}"),
        "fees": _money(fees, unsigned_amount),
        "fills": _count(result.fills),
        "trades": _count(result.trades),
    }


def prices_document(state: LiveState) -> Document:
    """Return each symbol's market and nearest quotes over the last minutes, as columns."""
    names = ("ms", "best_bid", "best_ask", "bid", "ask")
    return {
        symbol: dict(zip(names, map(list, zip(*points, strict=True)), strict=True))
        if points
        else {name: [] for name in names}
        for symbol, points in state.prices().items()
    }


def curve_document(state: LiveState) -> Mapping[str, Any]:
    """Return equity and trading PnL over time, as columns of milliseconds since the epoch and of amounts."""
    equity, trading_pnl = state.curves.points()
    currency = state.run.report_currency
    return {
        "currency": currency,
        "decimals": amount_decimals(currency),
        "is_dollar": is_dollar(currency),
        "equity": _columns(equity),
        "trading_pnl": _columns(trading_pnl),
    }


def _columns(points: list[Point]) -> dict[str, list[float]]:
    return {
        "ms": [ts_ns // 1_000_000 for ts_ns, _ in points],
        "value": [round(value, 8) for _, value in points],
    }
