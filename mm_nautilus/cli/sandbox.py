"""The `sandbox` command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mm_nautilus.cli.console import (
    OpenReport,
    print_line,
    print_outcome,
    refuse_unopened,
    running_own_code,
)
from mm_nautilus.cli.options import (
    AsJson,
    Overrides,
    Quiet,
    RunFile,
    RunsFolder,
    SandboxNamed,
    Verbose,
    output_words,
    trade_lines,
)
from mm_nautilus.errors import StoppedRunError
from mm_nautilus.runs.signals import SignalListener

if TYPE_CHECKING:
    from mm_nautilus.checks.config_source import Override
    from mm_nautilus.live_view.terminal import TerminalView
    from mm_nautilus.runs.winding_down import RunOutcome


def sandbox_command(
    *,
    config: RunFile = Path("configs/sandbox.yaml"),
    overrides: Overrides = None,
    out: RunsFolder = None,
    name: SandboxNamed = None,
    duration: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long to run, as 90s or 2h (duration)."),
    ] = None,
    venue: Annotated[
        Literal["live", "local"] | None,
        typer.Option(help="Kraken's live feed or a local venue (feed.source)."),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Start anew; the earlier state is kept aside."),
    ] = False,
    web: Annotated[
        bool,
        typer.Option("--web", help="Serve a live page on this machine, or at web.host."),
    ] = False,
    web_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Its port, 0 for a free one; implies --web."),
    ] = None,
    web_host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address it listens on; implies --web.",
        ),
    ] = None,
    web_halt: Annotated[
        bool,
        typer.Option(
            "--web-halt",
            help="Put halt and resume buttons on it; implies --web.",
        ),
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="Answer Prometheus scrapes there, 0 for a free one (prometheus.port).",
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print a line a minute instead of tables.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    open_report: OpenReport = False,
) -> None:
    """Trade on paper: a live feed and a simulated venue.

    The terminal shows the run, --web also a page in a browser. A page that other machines reach, or that has halt
    and resume buttons, needs a token in the environment variable MM_NAUTILUS_WEB_TOKEN.

    Example: mm-nautilus sandbox configs/sandbox.yaml --duration 2h --web
    """
    refuse_unopened(opens=open_report, as_json=as_json, quiet=quiet)
    words: list[Override] = [*(overrides or ()), *output_words(out, name)]
    words += [] if duration is None else [("--duration", f"duration={duration}")]
    words += [] if venue is None else [("--venue", f"feed.source={venue}")]
    if metrics_port is not None:
        where = ("prometheus.enabled=true", f"prometheus.port={metrics_port}")
        words += [("--metrics-port", word) for word in where]
    words += _web_words(is_wanted=web, port=web_port, host=web_host, halt=web_halt)
    says = not (quiet or as_json)
    with SignalListener(ends_process=True) as signals:
        try:
            shown = {"plain": plain, "says": says, "quiet": quiet, "verbose": verbose}
            with running_own_code(as_json=as_json):
                outcome = _run(config, words, signals, fresh=fresh, **shown)
        except StoppedRunError as stopped:
            print_outcome(stopped.outcome, as_json=as_json, quiet=quiet)
            raise
    print_outcome(outcome, as_json=as_json, quiet=quiet, opens=open_report)
    signals.raise_received(f"interrupted while the run ended; everything was saved in {outcome.folder}")


def _web_words(*, is_wanted: bool, port: int | None, host: str | None, halt: bool) -> list[tuple[str, str]]:
    words = [("--web", "web.enabled=true")] if is_wanted else []
    words += [] if port is None else [("--web-port", f"web.port={port}")]
    words += [] if host is None else [("--web-host", f"web.host={host}")]
    words += [("--web-halt", "web.halt=true")] if halt else []
    return words if is_wanted or not words else [(words[0][0], "web.enabled=true"), *words]


def _run(
    config: Path,
    overrides: "list[Override]",
    signals: SignalListener,
    *,
    fresh: bool,
    plain: bool,
    says: bool,
    quiet: bool,
    verbose: bool,
) -> "RunOutcome":
    # The imports begin threads, which have to come after the signals are listened to.
    from mm_nautilus.checks.config_source import load_sandbox_config  # noqa: PLC0415
    from mm_nautilus.checks.grouped_warnings import grouped_warnings  # noqa: PLC0415

    loaded = load_sandbox_config(config, overrides)
    # The engine takes a second to import: a mistyped key is reported before.
    from mm_nautilus.runs.sandbox import run_sandbox  # noqa: PLC0415

    signals.raise_received()
    screen = _screen() if says and not plain else None
    say = screen.say if screen is not None else print_line if says else lambda _line: None
    say_trades = trade_lines(
        loaded.config.output,
        verbose=verbose,
        quiet=quiet,
        write=say if says else lambda line: print_line(line, err=True),
    )
    for warning in grouped_warnings(loaded.warnings):
        say(warning)
    with loaded.placing():
        return run_sandbox(loaded.config, signals, fresh=fresh, say=say, screen=screen, say_trades=say_trades)


def _screen() -> "TerminalView | None":
    """Return the view of a terminal, None if stdout is none or a dumb one."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415 (keeps --help fast)

    from mm_nautilus.live_view.terminal import TerminalView  # noqa: PLC0415

    terminal = Console()
    return None if terminal.is_dumb_terminal else TerminalView(terminal)
