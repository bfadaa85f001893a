"""What commands share: output, progress on a terminal, and an orderly end on a signal."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from mm_nautilus.errors import InterruptedRunError
from mm_nautilus.system.ending_signals import ending_signals, handled_by
from mm_nautilus.system.plain_text import printable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 160
"""Columns of tables that are written to a file or a pipe."""


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2))


def print_line(text: str, *, err: bool = False) -> None:
    """Print a line that may hold what was read from a file, on stdout or on stderr."""
    typer.echo(printable(text), err=err)


def output_console() -> "Console":
    """Return what tables are printed with on stdout, of a fixed width where that is no terminal."""
    from rich.console import Console  # noqa: PLC0415 (rich is only loaded where it prints)

    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; numbers are set right."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else printable(str(cell)) for cell in row))
    output_console().print(table)


@contextmanager
def progress_bar(words: str) -> Iterator[Callable[[float, float], None]]:
    """Show a bar on stderr while the block runs; yields what to call with what is done and what there is.

    Nothing is shown where stderr is no terminal.

    Parameters
    ----------
    words
        What is being done, shown before the bar.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def ending_on_signals(words: str) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP during the block into an error, so that what was begun is cleaned up.

    Parameters
    ----------
    words
        What was interrupted and what became of it.

    Raises
    ------
    InterruptedRunError
        From the block, when one of the signals arrives.
    """

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise InterruptedRunError(words, 128 + number)

    with handled_by(end, ending_signals()):
        yield
