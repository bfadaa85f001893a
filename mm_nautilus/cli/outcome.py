"""What a command tells of a run that has ended: tables, the answer, and where the report is."""

import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.console import output_console, print_json, print_line
from mm_nautilus.errors import ConfigError

if TYPE_CHECKING:
    from mm_nautilus.runs.winding_down import RunOutcome

OpenReport = Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end.")]
"""Whether the report is opened."""
_REPORT = "report.html"


def refuse_unopened(*, opens: bool, as_json: bool, quiet: bool) -> None:
    """Refuse to open a report where nobody would look at it.

    Raises
    ------
    ConfigError
        If ``--open`` stands beside ``--json`` or ``--quiet``, or stdout is no terminal.
    """
    if not opens:
        return
    beside = [name for name, is_given in (("--json", as_json), ("--quiet", quiet)) if is_given]
    if beside:
        raise ConfigError(f"--open must stand without --json and --quiet, was beside {' and '.join(beside)}")
    if not sys.stdout.isatty():
        raise ConfigError("--open needs a terminal on stdout, was a pipe or a file")


def print_outcome(outcome: "RunOutcome", *, as_json: bool, quiet: bool, opens: bool = False) -> None:
    """Print a run's figures and where they are, and open its report where that is wanted.

    Parameters
    ----------
    outcome
        What the run has left.
    as_json, quiet, opens
        The command's options: the summary as JSON; nothing but that; the report in a browser.
    """
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
    from mm_nautilus.report.console import print_summary, status_line  # noqa: PLC0415 (keeps --help fast)

    if "answer" in outcome.summary:
        print_summary(outcome.summary, output_console())
    else:  # a signal left no time to join the tables of a long run
        print_line(status_line(outcome.summary))
        print_line(f"`mm-nautilus report {outcome.folder}` completes its figures", err=True)
