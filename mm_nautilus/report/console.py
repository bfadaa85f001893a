"""A run's summary as tables on a terminal, and the lines of its answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mm_nautilus.report.money import rounding, signed_amount, unsigned_amount
from mm_nautilus.report.rows import (
    FILL_ROWS,
    MODEL_ROWS,
    NONE,
    SYMBOL_ROWS,
    maker_quality,
    size_text,
    texts,
    with_decimals,
)
from mm_nautilus.report.session import fee_words, moment_text
from mm_nautilus.report.tables import (
    FEE_COLUMNS,
    Cell,
    Rows,
    exit_table,
    fee_table,
    model_table,
    reason_table,
    symbol_table,
    with_total,
)
from mm_nautilus.system.plain_text import counted

type Symbol = Mapping[str, Any]

_FILL_TABLE: Final = (
    (0.0, ("spread captured", "fees")),
    (1.0, ("mark-out",)),
    (5.0, ("mark-out",)),
    (30.0, ("mark-out", "net of fees")),
)
"""Horizons, seconds, and the rows of fills that are shown of each."""
_WIDEST: Final = 10_000


def text_table(title: str | None, columns: Iterable[str], *, is_numeric: bool = True) -> Table:
    """Return a table without rows; the columns after the first are set right unless they hold words."""
    heading = None if title is None else Text(title, style="table.title")
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if index and is_numeric else "left", overflow="fold")
    return table


class PartedTable:
    """A table that is parted between columns where the terminal is too narrow for it, so that no cell is wrapped.

    The first column is repeated in each part. Where even one column beside it is too wide its rows become lines.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.ascii_only:
            self._write_ascii()
        count, tables = len(self._table.columns) - 1, 0
        while not tables or (self._is_too_wide(console, options, tables) and tables < count):
            tables += 1
        is_too_wide = self._is_too_wide(console, options, tables)
        for part in self._parted(tables):
            yield from _lines(part) if is_too_wide else [part]
        if self._table.caption is not None:
            yield Text(str(self._table.caption))

    def _write_ascii(self) -> None:
        """Put ASCII in place of a sign, as the stream would once the columns have their widths."""
        for cell in (
            cell for column in self._table.columns for cell in column.cells if isinstance(cell, Text)
        ):
            cell.plain = cell.plain.replace("±", "+-")

    def _is_too_wide(self, console: Console, options: ConsoleOptions, tables: int) -> bool:
        unbounded = options.update(max_width=_WIDEST)
        found = (Measurement.get(console, unbounded, table) for table in self._parted(tables))
        return any(each.maximum > options.max_width for each in found)

    def _parted(self, tables: int) -> Iterator[Table]:
        name, *columns = self._table.columns
        size = max(1, -(-len(columns) // tables))
        for first in range(0, max(1, len(columns)), size):
            part = Table(
                title=None if first else self._table.title,
                title_justify="left",
                box=SIMPLE_HEAD,
                pad_edge=False,
            )
            part.add_column(name.header, no_wrap=True)
            kept = columns[first : first + size]
            for column in kept:
                part.add_column(column.header, justify=column.justify, overflow="fold")
            for head, *cells in zip(name.cells, *(column.cells for column in kept), strict=True):
                if any(map(str, cells)):
                    part.add_row(head, *cells)
            yield part


def _lines(table: Table) -> Iterator[Text]:
    """Yield a table of two columns as lines."""
    names, column = table.columns
    if table.title is not None:
        yield Text.assemble("\n", table.title)
    yield Text(f"\n{column.header}")
    for name, cell in zip(names.cells, column.cells, strict=True):
        yield Text.assemble(" ", str(name), ": ", cell if isinstance(cell, Text) else str(cell))


def _figure_table(title: str, columns: Sequence[str], rows: Rows) -> PartedTable:
    table = text_table(title, ["", *columns])
    for name, figures in rows:
        table.add_row(Text(name), *map(_text, figures))
    return PartedTable(table)


def _text(cell: Cell) -> Text:
    """Return a figure, a profit green and a loss red; rich leaves colours out where the terminal has none."""
    return Text(cell.text, style={"gain": "green", "loss": "red"}.get(cell.sign, ""))


def _known(rows: Rows) -> Rows:
    """Return the rows that have a figure."""
    return [(name, cells) for name, cells in rows if any(each.text != NONE for each in cells)]


def _symbol_part(summary: Mapping[str, Any]) -> list[RenderableType]:
    symbols = summary["symbols"]
    rows = [
        row
        for row in SYMBOL_ROWS
        if not row.hides_zero or any(symbol.get(key) for symbol in symbols.values() for key in row.keys)
    ]
    return [_figure_table("Symbols", with_total(symbols), symbol_table(summary, rows))] if symbols else []


def _fill_part(symbols: Mapping[str, Symbol]) -> list[RenderableType]:
    """Return the table of fills, or why there is none; nothing where none made liquidity."""
    if any(symbol["fill_quality"] is None for symbol in symbols.values()):
        return [Text("Fills that made liquidity: not recorded (output.traces: false)\n")]
    rows = {row.name: row for row in FILL_ROWS}

    def qualities(seconds: float) -> list[dict[str, Any] | None]:
        return [maker_quality(symbol, seconds) for symbol in symbols.values()]

    table = _known(
        [
            (
                name if seconds == 0 else f"{name} after {seconds:g} s",
                [
                    Cell(text, is_result=rows[name].is_result)
                    for text in texts(rows[name], qualities(seconds))
                ],
            )
            for seconds, names in _FILL_TABLE
            for name in names
        ]
    )
    return [_figure_table("Fills that made liquidity, of their value", list(symbols), table)] if table else []


def _model_part(symbols: Mapping[str, Symbol]) -> list[RenderableType]:
    """Return how wide each symbol was quoted and how far its inventory moved the quotes, where that was anything."""
    known = [symbol["quote_model"] for symbol in symbols.values() if symbol["quote_model"] is not None]
    unused = set() if any(model["model"] != "none" for model in known) else {"model"}
    unused |= set() if any(model["skew_bps"] for model in known) else {"skew_bps"}
    rows = _known(model_table(symbols, [row for row in MODEL_ROWS if not unused & set(row.keys)]))
    return [_figure_table("Quote model", list(symbols), rows)] if rows else []


def _reason_part(symbols: Mapping[str, Symbol]) -> list[RenderableType]:
    columns, rows = reason_table(symbols)
    return [_figure_table("Not quoting, seconds (times)", columns, rows)] if rows else []


def _exit_part(exits: Mapping[str, Any]) -> list[RenderableType]:
    columns = ["count", "trades", "PnL of the trades, net of fees"]
    return [_figure_table("Exits", columns, exit_table(exits))] if exits else []


def _fee_part(summary: Mapping[str, Any]) -> list[RenderableType]:
    rows = fee_table(summary)
    return [_figure_table("Fee tiers, by the volume of 30 days", list(FEE_COLUMNS), rows)] if rows else []


def _equity_text(equity: Mapping[str, Any] | None) -> str:
    if equity is None:
        return "Equity: unknown, because a balance never had a price"
    currency, decimals = equity["currency"], with_decimals(equity)["decimals"]
    start, end = (unsigned_amount(equity[key], currency, decimals) for key in ("start", "end"))
    change = rounding(equity["end"], [equity["start"]], decimals)
    trading, revaluation = equity["trading_pnl"], equity["revaluation"]
    funding = equity.get("funding") or 0.0
    rest = rounding(change, [trading, revaluation, funding], decimals)
    return (
        f"Equity {start} -> {end} ({signed_amount(change, currency, decimals)}): "
        f"trading {signed_amount(trading, currency, decimals)}{_fees_text(equity, decimals)}, "
        f"revaluation of the starting balances {signed_amount(revaluation, currency, decimals)}"
        f"{f', funding {signed_amount(funding, currency, decimals)}' if funding else ''}"
        f"{f', rounding {signed_amount(rest, currency, decimals)}' if rest else ''}; "
        f"largest drawdown {equity['max_drawdown_pct']:.3f} %"
    )


def _fees_text(equity: Mapping[str, Any], decimals: int) -> str:
    if equity["fees"] is None:
        return ""
    before, fees, currency = equity["trading_pnl_before_fees"], equity["fees"], equity["currency"]
    charged = unsigned_amount(fees, currency, decimals)
    return f" ({signed_amount(before, currency, decimals)} before {charged} of fees)"


def _heading(summary: Mapping[str, Any]) -> str:
    period, venue = summary["period"], summary["venue"]
    data = "SIMULATED data" if summary["simulated_data"] else "recorded data"
    switches = [name.replace("_", " ") for name in ("queue_position", "liquidity_consumption") if venue[name]]
    notes = "".join(f"{note}\n" for note in summary.get("data_notes", ()))
    return (
        f"{summary['name']}: {data}, {moment_text(period['start'])} to {moment_text(period['end'])}\n"
        f"{notes}{venue['name']}, {venue['account_type']} account, {' and '.join(switches) or 'no queue model'}, "
        f"latency {venue['latency']['insert_ms']:g} ms\n"
        f"FEES ASSUMED: {fee_words(venue, summary['report_currency'])}"
    )


def summary_view(summary: Mapping[str, Any]) -> Group:
    """Return a run's summary as something rich can print."""
    timing = (
        f"{counted(summary['events'], 'event')}, {counted(summary['orders'], 'order')} in "
        f"{summary['elapsed_seconds']:.1f} s ({summary['events_per_second']:,} events/s)"
    )
    symbols = summary["symbols"]
    return Group(
        Text(_heading(summary)),
        *_symbol_part(summary),
        *_fill_part(symbols),
        *_model_part(symbols),
        *_exit_part(summary["exits"]),
        *_fee_part(summary),
        *_reason_part(symbols),
        Text(_equity_text(summary["equity"])),
        Text(timing),
        Text(),
        *(Text(line) for line in summary["answer"]["lines"]),
    )


def status_line(summary: Mapping[str, Any]) -> str:
    """Return a running session's figures on one line: time, equity and PnL, then each symbol's state."""
    symbols: Mapping[str, Symbol] = summary["symbols"]
    fills = sum(symbol["fills"] for symbol in symbols.values())
    parts = [
        f"{summary['period']['end'][11:19]} {_equity_words(summary['equity'])}, {counted(fills, 'fill')}"
    ]
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
        f"{name} {signed_amount(symbol['total_pnl'], symbol['currency'])}, {counted(symbol['fills'], 'fill')}, "
        f"{size_text(symbol['inventory'])} {symbol['base_currency']}, {sides}"
    )
