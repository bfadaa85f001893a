"""A run's summary as tables on a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mm_nautilus.report.money import signed_amount, unsigned_amount
from mm_nautilus.report.rows import (
    FILL_ROWS,
    MODEL_ROWS,
    NONE,
    SYMBOL_ROWS,
    maker_quality,
    pnl_text,
    reason_text,
    size_text,
)

__all__ = ["print_summary", "status_line", "summary_view"]

type Symbol = Mapping[str, Any]

_FILL_TABLE: Final = (
    (0.0, ("spread captured", "fees")),
    (1.0, ("mark-out",)),
    (5.0, ("mark-out",)),
    (30.0, ("mark-out", "net of fees")),
)
"""Horizons, seconds, and the rows of fills that are shown of each."""


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _symbol_table(symbols: Mapping[str, Symbol]) -> Table:
    table = _table("Symbols", ["", *symbols])
    for row in SYMBOL_ROWS:
        table.add_row(row.name, *(row.text(symbol) for symbol in symbols.values()))
    return table


def _fill_part(symbols: Mapping[str, Symbol]) -> Table | Text:
    """Return the table of fills, or why there is none."""
    if any(symbol["fill_quality"] is None for symbol in symbols.values()):
        return Text("Fills that made liquidity: not recorded (output.traces: false)\n")
    return _fill_table(symbols)


def _fill_table(symbols: Mapping[str, Symbol]) -> Table:
    """Return what fills that made liquidity were worth."""
    table = _table("Fills that made liquidity, of their value", ["", *symbols])
    rows = {row.name: row for row in FILL_ROWS}
    for seconds, names in _FILL_TABLE:
        for name in names:
            label = name if seconds == 0 else f"{name} after {seconds:g} s"
            qualities = (maker_quality(symbol, seconds) for symbol in symbols.values())
            table.add_row(label, *(rows[name].text(quality) for quality in qualities if quality is not None))
    return table


def _model_table(symbols: Mapping[str, Symbol]) -> Table:
    """Return how wide each symbol was quoted and how far its inventory moved the quotes."""
    table = _table("Quote model", ["", *symbols])
    for row in MODEL_ROWS:
        models = (symbol["quote_model"] for symbol in symbols.values())
        table.add_row(row.name, *(NONE if model is None else row.text(model) for model in models))
    return table


def _reason_table(symbols: Mapping[str, Symbol]) -> Table:
    """Return how long each reason kept a side without a quote, bid and ask apart."""
    sides = [(symbol, side) for symbol in symbols for side in ("bid", "ask")]
    table = _table("Not quoting, seconds (times)", ["", *(f"{symbol} {side}" for symbol, side in sides)])
    reasons = {reason for symbol, side in sides for reason in symbols[symbol]["not_quoting"][side]}
    for reason in sorted(reasons):
        cells = (symbols[symbol]["not_quoting"][side].get(reason) for symbol, side in sides)
        table.add_row(reason, *map(reason_text, cells))
    return table


def _exit_table(exits: Mapping[str, Any]) -> Table:
    table = _table("Exits", ["reason", "count", "trades", "PnL of the trades, net of fees"])
    for reason, totals in exits.items():
        row = (f"{totals['count']}", f"{totals['trades']}", pnl_text(totals["pnl"]))
        table.add_row(reason.replace("_", " "), *row)
    if not exits:
        table.add_row("none", "0", "0", NONE)
    return table


def _equity_text(equity: Mapping[str, Any] | None) -> str:
    if equity is None:
        return "Equity: unknown, because a balance never had a price"
    currency = equity["currency"]
    return (
        f"Equity {unsigned_amount(equity['start'], currency)} -> {unsigned_amount(equity['end'], currency)} "
        f"({signed_amount(equity['change'], currency)}): "
        f"trading {signed_amount(equity['trading_pnl'], currency)}{_fees_text(equity)}, "
        f"revaluation of the starting balances {signed_amount(equity['revaluation'], currency)}; "
        f"largest drawdown {equity['max_drawdown_pct']:.3f} %"
    )


def _fees_text(equity: Mapping[str, Any]) -> str:
    if equity["fees"] is None:
        return ""
    before, fees, currency = equity["trading_pnl_before_fees"], equity["fees"], equity["currency"]
    return f" ({signed_amount(before, currency)} before {unsigned_amount(fees, currency)} of fees)"


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
        _fill_part(summary["symbols"]),
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
        f"{name} {signed_amount(symbol['total_pnl'], symbol['currency'])}, {symbol['fills']:,} fills, "
        f"{size_text(symbol['inventory'])} {symbol['base_currency']}, {sides}"
    )


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Print a run's summary."""
    console.print(summary_view(summary))
