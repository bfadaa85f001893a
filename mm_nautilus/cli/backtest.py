"""The `backtest` command."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.console import (
    ending_on_signals,
    print_json,
    print_run,
    progress_bar,
)
from mm_nautilus.cli.options import (
    BacktestFile,
    Overrides,
    Quiet,
    RunsFolder,
    Verbose,
    output_words,
    trade_lines,
)
from mm_nautilus.config.shipped import shipped_file
from mm_nautilus.errors import StoppedRunError

if TYPE_CHECKING:
    from mm_nautilus.config.run import RunConfig
    from mm_nautilus.runs.winding_down import RunOutcome

__all__ = ["backtest_command"]

_DEFAULT_CONFIG = Path("configs") / "backtest.yaml"


def backtest_command(
    *,
    config: BacktestFile = None,
    overrides: Overrides = None,
    out: RunsFolder = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Backtest the market maker on a Parquet catalog.

    Example: mm-nautilus backtest configs/aggressive.yaml --set strategy.gamma=0.5 --json
    """
    from mm_nautilus.checks.config_source import load_config  # noqa: PLC0415 (keeps --help fast)

    words = [*(overrides or ()), *output_words(out)]
    loaded = load_config(config or shipped_file(_DEFAULT_CONFIG), words)
    say = trade_lines(
        loaded.config.output, verbose=verbose, quiet=quiet, write=lambda line: typer.echo(line, err=as_json)
    )

    def show(outcome: "RunOutcome") -> None:
        if not quiet:
            _print_outcome(outcome, list(dict.fromkeys([*loaded.warnings, *outcome.warnings])))
        if as_json:
            print_json(outcome.summary)
        elif not quiet:
            print_run(outcome.summary)

    try:
        with loaded.placing():
            outcome = _run(loaded.config, say, shows_progress=not (quiet or as_json or verbose))
    except StoppedRunError as stopped:
        show(stopped.outcome)
        raise
    show(outcome)


def _run(config: "RunConfig", say_trades: Callable[[str], None], *, shows_progress: bool) -> "RunOutcome":
    from mm_nautilus.runs.backtest import run_backtest  # noqa: PLC0415

    with ending_on_signals("interrupted before the run began; nothing was written"):
        if not shows_progress:
            return run_backtest(config, say_trades=say_trades)
        with progress_bar(f"backtest {config.name}") as advance:
            return run_backtest(config, on_progress=lambda share: advance(share, 1.0), say_trades=say_trades)


def _print_outcome(outcome: "RunOutcome", warnings: list[str]) -> None:
    for warning in warnings:
        typer.echo(warning, err=True)
    typer.echo(f"written to {outcome.folder}", err=True)
