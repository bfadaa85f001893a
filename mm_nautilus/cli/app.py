"""The command line's commands."""

import platform
import signal
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from mm_nautilus.cli.backtest import backtest_command
from mm_nautilus.cli.calibrate import calibrate_command
from mm_nautilus.cli.config import app as config_app
from mm_nautilus.cli.data import data_app
from mm_nautilus.cli.doctor import doctor_command
from mm_nautilus.cli.frame import PROGRAM, open_closed_streams, run_command
from mm_nautilus.cli.halt import halt_command, resume_command
from mm_nautilus.cli.notify import notify_command
from mm_nautilus.cli.output import run_unhurried
from mm_nautilus.cli.report import compare_command, report_command
from mm_nautilus.cli.runs import runs_app
from mm_nautilus.cli.sandbox import sandbox_command
from mm_nautilus.cli.search import search_command
from mm_nautilus.cli.streams import outlive_terminals, take_any_text
from mm_nautilus.cli.venue import VenueHelp, venue_command
from mm_nautilus.system.ending_signals import ending_signals

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest")(backtest_command)
app.command("search")(search_command)
app.command("sandbox")(sandbox_command)
app.command("halt")(halt_command)
app.command("resume")(resume_command)
app.command("notify")(notify_command)
app.command("report")(report_command)
app.command("compare")(compare_command)
app.command("venue", cls=VenueHelp)(venue_command)
app.command("calibrate")(calibrate_command)
app.add_typer(runs_app, name="runs")
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")
app.command("doctor")(doctor_command)


def print_version(wanted: bool) -> None:
    """Print the versions of package, engine and Python if wanted, and end the command."""
    if wanted:
        package, engine = (metadata.version(name) for name in ("mm-nautilus", "nautilus_trader"))
        typer.echo(f"mm-nautilus {package} (nautilus_trader {engine}, Python {platform.python_version()})")
        raise typer.Exit


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

    Exit codes: 0 done, 1 failed, 2 refused, 129, 130 and 143 ended by a signal.
    """


def exit_code(words: Sequence[str]) -> int:
    """Run a command line without the program's name and return its exit code."""
    open_closed_streams()
    outlive_terminals()
    take_any_text()
    # A run that ends on a signal writes its report in another process, which inherits blocked signals.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ending_signals())
    if words[:1] == ["sandbox"]:
        return run_unhurried(lambda: run_command(app, words))
    return run_command(app, words)
