"""The command line's frame: which commands there are, and how errors leave the process."""

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from mm_nautilus.cli.backtest import backtest_command
from mm_nautilus.cli.calibrate import calibrate_command
from mm_nautilus.cli.config import app as config_app
from mm_nautilus.cli.data import data_app
from mm_nautilus.cli.doctor import doctor_command
from mm_nautilus.cli.frame import PROGRAM, leave_at_once, open_closed_streams, run_command
from mm_nautilus.cli.halt import halt_command, resume_command
from mm_nautilus.cli.report import compare_command, report_command
from mm_nautilus.cli.sandbox import sandbox_command
from mm_nautilus.cli.streams import take_any_text
from mm_nautilus.cli.venue import venue_command
from mm_nautilus.cli.version import print_version

__all__ = ["app", "main", "process_main"]

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest")(backtest_command)
app.command("sandbox")(sandbox_command)
app.command("halt")(halt_command)
app.command("resume")(resume_command)
app.command("report")(report_command)
app.command("compare")(compare_command)
app.command("venue")(venue_command)
app.command("calibrate")(calibrate_command)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")
app.command("doctor")(doctor_command)


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=print_version, help="Show the version and exit."),
    ] = False,
) -> None:
    """Market making on NautilusTrader: data, backtests and reports.

    Example: mm-nautilus backtest configs/backtest.yaml --set strategy.gamma=0.3

    Exit codes: 0 done, 1 failed, 2 wrong command line, configuration or data, 130 and 143 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave the process with its exit code.

    Errors raised on purpose are printed to stderr, one line a problem, each starting with ``error: ``; with
    ``--json`` they are one JSON object on one line.

    Parameters
    ----------
    arguments
        The words after the program's name; None takes those of the process.

    Raises
    ------
    SystemExit
        Always: 0 after success, 2 for a wrong command line, else what the error says.
    """
    sys.exit(_exit_code(sys.argv[1:] if arguments is None else arguments))


def process_main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do as `main` does in a process that has nothing else to do, and end it at once after a live run.

    Parameters
    ----------
    arguments
        The words after the program's name; None takes those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _exit_code(words)
    if words[:1] == ["sandbox"]:
        leave_at_once(code)
    sys.exit(code)


def _exit_code(words: Sequence[str]) -> int:
    open_closed_streams()
    take_any_text()
    # A run that ends on a signal writes its report in a process of its own, which inherits that signals are blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    return run_command(app, words)
