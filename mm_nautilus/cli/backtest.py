"""The `backtest` command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.console import (
    ending_on_signals,
    print_json,
    print_run,
    progress_bar,
    shipped_file,
)
from mm_nautilus.cli.options import BacktestFile, Overrides, RunsFolder, output_words

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
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print nothing but errors, and the JSON with --json.")
    ] = False,
) -> None:
    """Backtest the market maker on a Parquet catalog.

    Example: mm-nautilus backtest configs/aggressive.yaml --set strategy.gamma=0.5 --json
    """
    from mm_nautilus.checks.config_source import load_config  # noqa: PLC0415 (keeps --help fast)

    words = [*(overrides or ()), *output_words(out)]
    loaded = load_config(config or shipped_file(_DEFAULT_CONFIG), words)
    with loaded.placing():
        outcome = _run(loaded.config, shows_progress=not (quiet or as_json))
    if not quiet:
        _print_outcome(outcome, list(dict.fromkeys([*loaded.warnings, *outcome.warnings])))
    if as_json:
        print_json(outcome.summary)
    elif not quiet:
        print_run(outcome.summary)


def _run(config: "RunConfig", *, shows_progress: bool) -> "RunOutcome":
    from mm_nautilus.runs.backtest import run_backtest  # noqa: PLC0415

    with ending_on_signals("interrupted before the run began; nothing was written"):
        if not shows_progress:
            return run_backtest(config)
        with progress_bar(f"backtest {config.name}") as advance:
            return run_backtest(config, on_progress=lambda share: advance(share, 1.0))


def _print_outcome(outcome: "RunOutcome", warnings: list[str]) -> None:
    for warning in warnings:
        typer.echo(warning, err=True)
    typer.echo(f"written to {outcome.folder}", err=True)
