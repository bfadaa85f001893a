"""The `halt` and `resume` commands: the kill switch of a sandbox run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.errors import ConfigError, MarketMakingError

if TYPE_CHECKING:
    from mm_nautilus.core.kill_switch import KillSwitch

__all__ = ["halt_command", "resume_command"]

_Run = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG_OR_STATE", help="The run's YAML file, or its state file.", show_default=False
    ),
]


def halt_command(
    run: _Run,
    *,
    flatten: Annotated[
        bool | None,
        typer.Option(
            "--flatten/--keep",
            help="Close all positions at market, or keep them; without, as kill_switch_flatten says.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="What is logged and published.")] = "the halt command",
) -> None:
    """Cancel every quote of a sandbox run and quote no more until `mm-nautilus resume`, also over restarts.

    A running session looks several times a second; one that is started later begins halted.
    """
    from mm_nautilus.core.kill_switch import HaltOrder  # noqa: PLC0415 (start-up time of other commands)

    switch = _kill_switch(run)
    try:
        switch.halt(HaltOrder(reason, flatten))
    except OSError as error:
        raise MarketMakingError(f"{switch.halt_path} cannot be written: {error.strerror}") from error
    typer.echo(f"halted by {switch.halt_path}; `mm-nautilus resume {run}` clears it")


def resume_command(run: _Run) -> None:
    """Let a sandbox run quote again after a halt of any kind: kill switch, drawdown, losses or refused orders.

    A running session looks several times a second; otherwise the next one begins without halts.
    """
    switch = _kill_switch(run)
    try:
        switch.resume()
    except OSError as error:
        raise MarketMakingError(f"{switch.resume_path} cannot be written: {error.strerror}") from error
    typer.echo(f"resumed by {switch.resume_path}, which the run removes")


def _kill_switch(run: Path) -> "KillSwitch":
    from mm_nautilus.core.config_source import load_sandbox_config  # noqa: PLC0415
    from mm_nautilus.core.kill_switch import KillSwitch  # noqa: PLC0415

    if run.suffix == ".json":
        if not run.exists():
            raise ConfigError(
                f"the state file {run} does not exist; give a configuration to halt a first start"
            )
        return KillSwitch(run)
    config = load_sandbox_config(run).config
    if config.state.directory is None:
        raise ConfigError(
            f"state.directory of {run} must be a folder for runs to be halted by a file, was null"
        )
    return KillSwitch(config.state.directory / f"{config.name}.json")
