"""The `backtest` command."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.console import (
    OpenReport,
    ending_on_signals,
    print_line,
    print_outcome,
    progress_bar,
    refuse_unopened,
    running_own_code,
)
from mm_nautilus.cli.options import (
    Overrides,
    Quiet,
    RunFile,
    RunNamed,
    RunsFolder,
    Verbose,
    output_words,
    trade_lines,
)
from mm_nautilus.errors import StoppedRunError

if TYPE_CHECKING:
    from mm_nautilus.config.problems import Problem
    from mm_nautilus.config.run import RunConfig
    from mm_nautilus.runs.winding_down import RunOutcome


def backtest_command(
    *,
    config: RunFile = Path("configs/backtest.yaml"),
    overrides: Overrides = None,
    out: RunsFolder = None,
    name: RunNamed = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    open_report: OpenReport = False,
) -> None:
    """Backtest the market maker on a Parquet catalog.

    Example: mm-nautilus backtest configs/aggressive.yaml --set strategy.gamma=0.5 --json
    """
    refuse_unopened(opens=open_report, as_json=as_json, quiet=quiet)
    from mm_nautilus.checks.config_source import load_config  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.checks.grouped_warnings import grouped_warnings  # noqa: PLC0415

    words = [*(overrides or ()), *output_words(out, name)]
    loaded = load_config(config, words)
    say = trade_lines(
        loaded.config.output, verbose=verbose, quiet=quiet, write=lambda line: print_line(line, err=as_json)
    )

    def warn(warnings: Mapping[str, "Problem"]) -> None:
        for warning in [] if quiet else grouped_warnings({**loaded.warnings, **warnings}):
            print_line(warning, err=True)

    try:
        with loaded.placing(), running_own_code(as_json=as_json):
            outcome = _run(loaded.config, warn, say, shows_progress=not (quiet or as_json or verbose))
    except StoppedRunError as stopped:
        print_outcome(stopped.outcome, as_json=as_json, quiet=quiet)
        raise
    print_outcome(outcome, as_json=as_json, quiet=quiet, opens=open_report)


def _run(
    config: "RunConfig",
    warn: Callable[[Mapping[str, "Problem"]], None],
    say_trades: Callable[[str], None],
    *,
    shows_progress: bool,
) -> "RunOutcome":
    from mm_nautilus.runs.backtest import run_backtest  # noqa: PLC0415

    with ending_on_signals("interrupted before the run began; nothing was written"):
        if not shows_progress:
            return run_backtest(config, on_warnings=warn, say_trades=say_trades)
        with progress_bar(f"running {config.name}") as advance:
            return run_backtest(
                config,
                on_warnings=warn,
                on_progress=lambda share: advance(share, 1.0),
                say_trades=say_trades,
            )
