"""The command line's frame: which commands there are, and how errors leave the process."""

import sys
from collections.abc import Sequence

import typer

from mm_nautilus.cli.backtest import backtest_command
from mm_nautilus.cli.calibrate import calibrate_command
from mm_nautilus.cli.config import app as config_app
from mm_nautilus.cli.data import data_app
from mm_nautilus.cli.halt import halt_command, resume_command
from mm_nautilus.cli.sandbox import sandbox_command
from mm_nautilus.cli.venue import venue_command
from mm_nautilus.errors import MarketMakingError

__all__ = ["app", "main"]

app = typer.Typer(
    name="mm-nautilus",
    help="Market making on NautilusTrader: data, backtests and reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest")(backtest_command)
app.command("sandbox")(sandbox_command)
app.command("halt")(halt_command)
app.command("resume")(resume_command)
app.command("venue")(venue_command)
app.command("calibrate")(calibrate_command)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")


@app.callback()
def _root() -> None:
    """Market making on NautilusTrader: data, backtests and reports."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave the process with its exit code.

    Errors raised on purpose are printed to stderr, one line a problem, each starting with ``error: ``.

    Parameters
    ----------
    arguments
        The words after the program's name; None takes those of the process.

    Raises
    ------
    SystemExit
        Always: 0 after success, 2 for a wrong command line, else what the error says.
    """
    try:
        app(args=arguments, prog_name="mm-nautilus")
    except MarketMakingError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(error.exit_code)
