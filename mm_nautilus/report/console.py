"""A run's summary as tables on a terminal."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mm_nautilus.core.quote_model import short_number
from mm_nautilus.report.money import signed_amount, unsigned_amount

__all__ = ["print_summary", "status_line", "summary_view"]

type Symbol = Mapping[str, Any]
type Figure = tuple[str, Callable[[Symbol], str]]

_NONE: Final = "-"


def _count(name: str) -> Callable[[Symbol], str]:
    return lambda symbol: f"{symbol[name]:,}"


def _signed(name: str) -> Callable[[Symbol], str]:
    return lambda symbol: _amount(symbol[name], symbol["currency"])


def _amount(value: float | None, currency: str) -> str:
    return _NONE if value is None else signed_amount(value, currency)


def _optional(name: str, unit: str, decimals: int = 1) -> Callable[[Symbol], str]:
    return lambda symbol: _NONE if symbol[name] is None else f"{symbol[name]:.{decimals}f}{unit}"


def _base(name: str) -> Callable[[Symbol], str]:
    return lambda symbol: f"{_size_text(symbol[name])} {symbol['base_currency']}"


def _size_text(size: float) -> str:
    """Return a size with up to eight decimals and never with an exponent."""
    text = f"{size:,.8f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _refused(symbol: Symbol) -> str:
    return f"{symbol['orders_rejected']:,} / {symbol['orders_denied']:,}"


_FIGURES: Final[tuple[Figure, ...]] = (
    ("fills", _count("fills")),
    ("trades", _count("trades")),
    ("wins", _count("wins")),
    ("losses", _count("losses")),
    ("win rate", _optional("win_rate", " %")),
    ("realized PnL, net of fees", _signed("realized_pnl")),
    ("total PnL, net of fees", _signed("total_pnl")),
    ("average PnL per trade", _signed("avg_pnl")),
    ("fees", lambda symbol: unsigned_amount(symbol["fees"], symbol["currency"])),
    ("maker share of fills", _optional("maker_share_pct", " %")),
    ("inventory at the end", _base("inventory")),
    ("average inventory, absolute", _base("average_inventory")),
    ("time at the inventory cap", _optional("seconds_at_cap", " s")),
    ("orders placed", _count("orders_placed")),
    ("amended", _count("orders_amended")),
    ("cancelled", _count("orders_cancelled")),
    ("refused by venue / engine", _refused),
    ("quotes per fill", _optional("quotes_per_fill", "", 2)),
)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _symbol_table(symbols: Mapping[str, Symbol]) -> Table:
    table = _table("Symbols", ["", *symbols])
    for name, figure in _FIGURES:
        table.add_row(name, *(figure(symbol) for symbol in symbols.values()))
    return table


def _distance(model: Mapping[str, Any], name: str) -> str:
    return f"{short_number(model[f'{name}_bps'])} bps ({short_number(model[f'{name}_ticks'])} ticks)"


def _spread_text(model: Mapping[str, Any]) -> str:
    return f"{short_number(model['spread_bps'])} bps ({model['spread_source'].removesuffix(' spread')})"


_MODEL_FIGURES: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...]] = (
    ("model", lambda model: str(model["model"])),
    ("distance from the centre", lambda model: _distance(model, "half_width")),
    ("moved by full inventory", lambda model: _distance(model, "skew")),
    ("maker fee", lambda model: f"{model['maker_fee_bps']:g} bps"),
    ("the market's spread", _spread_text),
)


def _model_table(symbols: Mapping[str, Symbol]) -> Table:
    """Return how wide each symbol was quoted and how far its inventory moved the quotes."""
    table = _table("Quote model", ["", *symbols])
    for name, figure in _MODEL_FIGURES:
        models = (symbol["quote_model"] for symbol in symbols.values())
        table.add_row(name, *(_NONE if model is None else figure(model) for model in models))
    return table


def _reason_table(symbols: Mapping[str, Symbol]) -> Table:
    """Return how long each reason kept a side without a quote, bid and ask apart."""
    sides = [(symbol, side) for symbol in symbols for side in ("bid", "ask")]
    table = _table("Not quoting, seconds (times)", ["", *(f"{symbol} {side}" for symbol, side in sides)])
    reasons = {reason for symbol, side in sides for reason in symbols[symbol]["not_quoting"][side]}
    for reason in sorted(reasons):
        cells = (symbols[symbol]["not_quoting"][side].get(reason) for symbol, side in sides)
        table.add_row(
            reason, *(_NONE if cell is None else f"{cell['seconds']:.1f} ({cell['count']})" for cell in cells)
        )
    return table


def _exit_table(exits: Mapping[str, Any]) -> Table:
    table = _table("Exits", ["reason", "count", "trades", "PnL of the trades, net of fees"])
    for reason, totals in exits.items():
        pnl = ", ".join(signed_amount(value, currency) for currency, value in totals["pnl"].items())
        table.add_row(reason.replace("_", " "), str(totals["count"]), str(totals["trades"]), pnl or _NONE)
    if not exits:
        table.add_row("none", "0", "0", _NONE)
    return table


def _equity_text(equity: Mapping[str, Any] | None) -> str:
    if equity is None:
        return "Equity: not known, because a price that values a balance never came"
    currency = equity["currency"]
    return (
        f"Equity {unsigned_amount(equity['start'], currency)} -> {unsigned_amount(equity['end'], currency)} "
        f"({signed_amount(equity['change'], currency)}): "
        f"trading {signed_amount(equity['trading_pnl'], currency)}, "
        f"revaluation of the starting balances {signed_amount(equity['revaluation'], currency)}; "
        f"largest drawdown {equity['max_drawdown_pct']:.3f} %"
    )


def _heading(summary: Mapping[str, Any]) -> str:
    period, venue = summary["period"], summary["venue"]
    data = "SIMULATED data" if summary["simulated_data"] else "recorded data"
    switches = [name.replace("_", " ") for name in ("queue_position", "liquidity_consumption") if venue[name]]
    return (
        f"{summary['name']}: {data}, {period['start']} to {period['end']}\n"
        f"{venue['name']}, {venue['account_type']} account, {' and '.join(switches) or 'no queue model'}, "
        f"order latency {venue['latency']['insert_ms']:g} ms"
    )


def summary_view(summary: Mapping[str, Any]) -> Group:
    """Return a run's summary as something rich can print."""
    timing = (
        f"{summary['events']:,} events, {summary['orders']:,} orders in {summary['elapsed_seconds']:.1f} s "
        f"({summary['events_per_second']:,} events/s)"
    )
    return Group(
        Text(_heading(summary)),
        _symbol_table(summary["symbols"]),
        _model_table(summary["symbols"]),
        _exit_table(summary["exits"]),
        _reason_table(summary["symbols"]),
        Text(_equity_text(summary["equity"])),
        Text(timing),
    )


def status_line(summary: Mapping[str, Any]) -> str:
    """Return a running session's figures on one line: time, equity and PnL, then each symbol's state."""
    symbols: Mapping[str, Symbol] = summary["symbols"]
    fills = sum(symbol["fills"] for symbol in symbols.values())
    parts = [f"{summary['period']['end'][11:19]} {_equity_words(summary['equity'])}, {fills:,} fills"]
    parts += [_symbol_words(name, symbol) for name, symbol in symbols.items()]
    return " | ".join(parts)


def _equity_words(equity: Mapping[str, Any] | None) -> str:
    if equity is None:
        return "equity not known yet"
    currency = equity["currency"]
    return f"equity {unsigned_amount(equity['end'], currency)}, P&L {signed_amount(equity['trading_pnl'], currency)}"


def _symbol_words(name: str, symbol: Symbol) -> str:
    sides = ", ".join(f"{side} {state}" for side, state in symbol["quoting"].items())
    return (
        f"{name} {_amount(symbol['total_pnl'], symbol['currency'])}, {symbol['fills']:,} fills, "
        f"{_base('inventory')(symbol)}, {sides}"
    )


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Print a run's summary."""
    console.print(summary_view(summary))
