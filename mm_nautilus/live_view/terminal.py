"""A running session in a terminal: tables drawn once a second below its messages."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mm_nautilus.live_view.document import (
    ACCOUNT_FIGURES,
    SYMBOL_FIGURES,
    Document,
    age_text,
    fill_documents,
    length_text,
    state_document,
)
from mm_nautilus.live_view.state import LiveState
from mm_nautilus.report.figures import sparkline
from mm_nautilus.report.rows import NONE
from mm_nautilus.system.plain_text import wrapped

_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 0.5
_NAME_WIDTH: Final = 17
_SYMBOL_WIDTH: Final = 33
_ROWS_AROUND: Final = 6
"""Heading, account, and the cursor's row."""
_ROWS_OF_A_FRAME: Final = 4
_MOST_FILLS: Final = 8
_COMPACT_FIGURES: Final = ("mid", "inventory", "total_pnl", "fills")
_FILL_WIDTHS: Final = {
    "time": 0,
    "symbol": 0,
    "side": 0,
    "price": 0,
    "pnl": 0,
    "quantity": 92,
    "position": 110,
}
"""Columns of fills, and the least width of a terminal that has room for them."""
_CURVE_WIDTH: Final = 24
_STYLES: Final = {"quoting": "green", "paused": "yellow", "halted": "bold red"}
_LEFT_OUT: Final = frozenset({"average_pnl", "fees"})
"""Figures that a terminal has no room for; the page and the summary have them."""


class TerminalView:
    """Draw a run's state in a terminal from a thread of its own, and print messages above it.

    The console must take what is drawn without blocking, as the command line's streams do.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._said: deque[str] = deque()
        self._wake = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def say(self, line: str) -> None:
        """Print a message: at once before the view begins and after its end, else soon, above the view."""
        self._said.append(line)
        if self._thread is None or not self._thread.is_alive():
            self._print_said()
        else:
            self._wake.set()

    def begin(self, state: LiveState) -> None:
        """Begin to draw a state."""
        self._is_over = False
        self._thread = threading.Thread(target=self._draw, args=(state,), name="terminal", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Remove the view and leave the terminal as it was found; takes half a second at most."""
        thread, self._is_over = self._thread, True
        self._wake.set()
        if thread is not None:
            thread.join(_STOP_SECONDS)
            if not thread.is_alive():
                self._thread = None

    def _draw(self, state: LiveState) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not self._is_over:
                self._print_said()
                snapshot = state.snapshot()
                document = {**state_document(snapshot), "fills": fill_documents(snapshot)}
                _, trading_pnl = state.curves.points()
                values, (width, height) = [value for _, value in trading_pnl], self._console.size
                live.update(terminal_tables(document, values, width, height), refresh=True)
                self._wake.wait(_SECONDS)
                self._wake.clear()
        self._print_said()

    def _print_said(self) -> None:
        while self._said:
            line = wrapped(self._said.popleft(), self._console.width)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def terminal_tables(document: Document, curve: Sequence[float], width: int, height: int) -> RenderableType:
    """Return what is drawn of a state, its fills and the trading PnL over time: no higher than the terminal."""
    symbols = document["symbols"]
    tables = _symbol_tables(symbols, width)
    rows_left = height - _ROWS_AROUND - sum(table.row_count + _ROWS_OF_A_FRAME for table in tables)
    if rows_left < 0:
        tables = [_compact_table(symbols)]
        rows_left = height - _ROWS_AROUND - len(symbols) - _ROWS_OF_A_FRAME
    reasons = [_reason_line(symbol) for symbol in symbols if symbol["reason"]][: max(0, rows_left)]
    fills = document["fills"][: max(0, min(_MOST_FILLS, rows_left - len(symbols) - _ROWS_OF_A_FRAME))]
    return Group(
        Text(_heading(document), style="bold", no_wrap=True, overflow="ellipsis"),
        Text(_account_words(document, curve), overflow="fold"),
        *tables,
        *reasons,
        *([_fill_table(fills, width)] if fills else []),
    )


def _symbol_tables(symbols: Sequence[Mapping[str, Any]], width: int) -> list[Table]:
    """Return tables of a column a symbol, as many side by side as the terminal is wide."""
    a_row = max(1, (width - _NAME_WIDTH) // _SYMBOL_WIDTH)
    return [_symbol_table(symbols[first : first + a_row]) for first in range(0, len(symbols), a_row)]


def _heading(document: Document) -> str:
    run = document["run"]
    data = "SIMULATED data" if run["simulated_data"] else "live data"
    length = length_text(document["uptime_seconds"])
    state = f"{run['name']}: {document['status']} for {length}"
    return f"{state}, {run['feed']} feed, {data}, simulated fills, {run['fees']}"


def _account_words(document: Document, curve: Sequence[float]) -> str:
    figures = document["account"]["figures"]
    words = [
        f"{label.text.partition(',')[0]} {figures[label.key]['text']}"
        for label in ACCOUNT_FIGURES
        if label.key in figures and label.key != "roi"
    ]
    return "  ".join([*words, sparkline(np.array(curve), _CURVE_WIDTH) if len(curve) > 1 else ""])


def _symbol_table(symbols: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for symbol in symbols:
        table.add_column(symbol["symbol"], justify="right", overflow="fold")
    table.add_row("state", *(_state_text(symbol) for symbol in symbols))
    for label in SYMBOL_FIGURES:
        if label.key not in _LEFT_OUT:
            cells = (_cells(symbol, label.key) for symbol in symbols)
            for level, texts in enumerate(zip_longest(*cells, fillvalue=""), start=1):
                table.add_row(label.text if level == 1 else f"{label.text} {level}", *texts)
    table.add_row("feed age", *(age_text(symbol["feed_age_seconds"]) for symbol in symbols))
    return table


def _compact_table(symbols: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row a symbol, for small terminals."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    labels = [label for label in SYMBOL_FIGURES if label.key in _COMPACT_FIGURES]
    for name in ("", "state", *(label.text for label in labels)):
        table.add_column(name, justify="left" if name in {"", "state"} else "right", no_wrap=True)
    for symbol in symbols:
        cells = (_cells(symbol, label.key)[0] for label in labels)
        table.add_row(symbol["symbol"], _state_text(symbol), *cells)
    return table


def _cells(symbol: Mapping[str, Any], key: str) -> list[str]:
    """Return the texts of a figure: one, or one for each level."""
    figure = symbol["figures"].get(key, {"text": NONE})
    return [figure["text"], *(each["text"] for each in figure.get("outer", ()))]


def _state_text(symbol: Mapping[str, Any]) -> Text:
    return Text(symbol["state"], style=_STYLES.get(symbol["state"], ""))


def _reason_line(symbol: Mapping[str, Any]) -> Text:
    words = f"{symbol['symbol']} {symbol['state']}: {symbol['reason']}"
    return Text(words, no_wrap=True, overflow="ellipsis")


def _fill_table(fills: Sequence[Mapping[str, Any]], width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    columns = [name for name, least in _FILL_WIDTHS.items() if width >= least]
    for name in columns:
        is_number = name in {"price", "quantity", "pnl", "position"}
        heading = {"time": "fills, UTC", "pnl": "PnL"}.get(name, name)
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for fill in fills:
        table.add_row(*(fill[name] for name in columns))
    return table
