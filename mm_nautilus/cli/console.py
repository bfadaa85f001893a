"""Output of commands, progress on a terminal, and an orderly end on a signal."""

import json
import shutil
import sys
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, Protocol

import typer

from mm_nautilus.errors import ConfigError, InterruptedRunError, MarketMakingError
from mm_nautilus.system.ending_signals import ending_signals, handled_by
from mm_nautilus.system.plain_text import printable, wrapped
from mm_nautilus.system.whole_file import naming, reason, write_whole

if TYPE_CHECKING:
    from rich.console import Console

    from mm_nautilus.runs.winding_down import RunOutcome


_WIDTH_WITHOUT_TERMINAL = 160
"""Columns of tables that are written to a file or a pipe."""

OpenReport = Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end.")]
_REPORT = "report.html"


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2))


def running_own_code(*, as_json: bool) -> AbstractContextManager[object]:
    """Keep stdout for the JSON document: with ``--json`` what a user's own code prints in the block goes to stderr."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def print_line(text: str, *, err: bool = False) -> None:
    """Print a line that may contain text of a file; on a narrow terminal in several, broken between words."""
    stream, shown = sys.stderr if err else sys.stdout, printable(text)
    if stream.isatty():
        # Not typer's echo: it writes past what a progress bar puts in the stream's place, and so behind the bar.
        print(wrapped(shown, shutil.get_terminal_size().columns), file=stream, flush=True)
    else:
        typer.echo(shown, err=err)


def output_console() -> "Console":
    """Return the console of tables on stdout, of a fixed width if that is no terminal."""
    from rich.console import Console  # noqa: PLC0415 (rich is only loaded where it prints)

    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; numbers are set right."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from mm_nautilus.report.console import PartedTable  # noqa: PLC0415

    table = Table()
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else printable(str(cell))) for cell in row))
    output_console().print(PartedTable(table))


class Advance(Protocol):
    """Moves a progress bar."""

    def __call__(self, done: float, total: float, words: str | None = None, /) -> None:
        """Show what is done of a total, and other words before the bar if they are given."""


@contextmanager
def progress_bar(words: str) -> Iterator[Advance]:
    """Show a bar during the block if stderr is a terminal; yields the function that moves it."""
    if not sys.stderr.isatty():
        yield lambda _done, _total, _words=None: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total, words=None: progress.update(
            task, completed=done, total=total, description=words
        )


@contextmanager
def ending_on_signals(words: str) -> Iterator[None]:
    """Raise an InterruptedRunError with these words on SIGINT, SIGTERM or SIGHUP in the block."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise InterruptedRunError(words, 128 + number)

    with handled_by(end, ending_signals()):
        yield


def refuse_unopened(*, opens: bool, as_json: bool, quiet: bool) -> None:
    """Refuse to open a report beside ``--json`` or ``--quiet``, or without a terminal."""
    if not opens:
        return
    beside = [name for name, is_given in (("--json", as_json), ("--quiet", quiet)) if is_given]
    if beside:
        raise ConfigError(f"--open must stand without --json and --quiet, was beside {' and '.join(beside)}")
    if not sys.stdout.isatty():
        raise ConfigError("--open needs a terminal on stdout, was a pipe or a file")


def print_outcome(outcome: "RunOutcome", *, as_json: bool, quiet: bool, opens: bool = False) -> None:
    """Print a run's figures and their folder, and open its report if wanted."""
    if as_json:
        print_json(outcome.summary)
    elif not quiet:
        _print_figures(outcome)
    if quiet:
        return
    page = outcome.folder / _REPORT
    print_line(f"written to {page if page.is_file() else outcome.folder}", err=True)
    if opens and not page.is_file():
        print_line("there is no report to open (output.report)", err=True)
    elif opens and not webbrowser.open(page.resolve().as_uri()):
        print_line("no browser could be opened", err=True)


def _print_figures(outcome: "RunOutcome") -> None:
    from mm_nautilus.report.console import status_line, summary_view  # noqa: PLC0415 (keeps --help fast)

    if "answer" in outcome.summary:
        output_console().print(summary_view(outcome.summary))
    else:  # a signal left no time to join the tables of a long run
        print_line(status_line(outcome.summary))
        print_line(f"`mm-nautilus report {outcome.folder}` completes its figures", err=True)


def refuse_targets(targets: Mapping[str, Path | None], *, force: bool) -> None:
    """Raise a ConfigError with all files, by their options, that cannot be written; with `force` they may exist."""
    problems, known = [], set()
    for option, path in targets.items():
        if path is None:
            continue
        if path.absolute() in known:
            problems.append(f"{option} must be another file, was {path}")
        known.add(path.absolute())
        if path.is_dir():
            problems.append(f"{option} must be a file, was the folder {path}")
        elif path.exists() and not force:
            problems.append(f"{path} exists; --force replaces it, {option} names another file")
        elif (taken := _taken_folder(path)) is not None:
            problems.append(f"{option} must lie in a folder, was {path}, and {taken} is a file")
    if problems:
        raise ConfigError(problems)


def _taken_folder(path: Path) -> Path | None:
    """Return the file above a path, if there is one."""
    nearest = next((folder for folder in path.parents if folder.exists()), None)
    return None if nearest is None or nearest.is_dir() else nearest


def write_target(path: Path, text: str) -> None:
    """Write a file atomically; raises MarketMakingError if that fails."""
    try:
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise MarketMakingError(f"{path} cannot be written: {reason(error)}") from error
