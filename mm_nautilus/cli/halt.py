"""The `halt` and `resume` commands: the kill switch of a sandbox run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mm_nautilus.cli.completion import sandbox_files
from mm_nautilus.cli.console import print_json, print_line
from mm_nautilus.cli.options import AsJson, Overrides, may_be_shipped
from mm_nautilus.errors import ConfigError, MarketMakingError

if TYPE_CHECKING:
    from mm_nautilus.risk.kill_switch import KillSwitch

_STATE_FILE: Final = ".json"

_Run = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG_OR_STATE",
        help="The run's YAML file, or its state file.",
        show_default=False,
        autocompletion=sandbox_files,
        callback=may_be_shipped,
    ),
]


def halt_command(
    run: _Run,
    *,
    overrides: Overrides = None,
    flatten: Annotated[
        bool | None, typer.Option("--flatten/--keep", help="Close positions, or not (kill_switch_flatten).")
    ] = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason to log and publish.")
    ] = "the halt command",
    as_json: AsJson = False,
) -> None:
    """Cancel a sandbox run's quotes and quote no more until `resume`.

    A running session checks several times a second; one that is started later begins halted. Repeat the run's --set
    options if they change its name or its state.directory.

    Example: mm-nautilus halt configs/sandbox.yaml --flatten --reason "good night"
    """
    from mm_nautilus.risk.kill_switch import HaltOrder  # noqa: PLC0415 (start-up time of other commands)

    switch = _kill_switch(run, overrides or [])
    try:
        switch.halt(HaltOrder(reason, flatten))
    except OSError as error:
        raise MarketMakingError(f"{switch.halt_path} cannot be written: {error.strerror}") from error
    if as_json:
        print_json({"halt_file": str(switch.halt_path), "reason": reason, "flatten": flatten})
    else:
        print_line(f"halted by {switch.halt_path}; `mm-nautilus resume {run}` clears it")


def resume_command(run: _Run, *, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Let a sandbox run quote again after a halt.

    It ends halts of any kind: kill switch, drawdown, losses, refused orders. A running session checks
    several times a second; otherwise the next one begins without halts.

    Example: mm-nautilus resume configs/sandbox.yaml
    """
    switch = _kill_switch(run, overrides or [])
    try:
        switch.resume("the resume command")
    except OSError as error:
        raise MarketMakingError(f"{switch.resume_path} cannot be written: {error.strerror}") from error
    if as_json:
        print_json({"resume_file": str(switch.resume_path)})
    else:
        print_line(f"resumed by {switch.resume_path}, which the run removes")


def _kill_switch(run: Path, overrides: list[str]) -> "KillSwitch":
    from mm_nautilus.checks.config_source import load_sandbox_config  # noqa: PLC0415
    from mm_nautilus.risk.kill_switch import KillSwitch  # noqa: PLC0415

    if run.suffix == _STATE_FILE:
        return KillSwitch(_existing_state(run, overrides))
    loaded = load_sandbox_config(run, overrides)
    directory = loaded.config.state.directory
    if directory is None:
        place = loaded.source("state", "directory")
        raise ConfigError(
            f"{place}: state.directory must be a folder for runs to be halted by a file, was null; without one, "
            "end the run, or send its process SIGUSR1"
        )
    return KillSwitch(directory / f"{loaded.config.name}{_STATE_FILE}")


def _existing_state(file: Path, overrides: list[str]) -> Path:
    if overrides:
        raise ConfigError(
            f"--set is for configurations, was {', '.join(overrides)} with the state file {file}"
        )
    if not file.is_file():
        from mm_nautilus.config.near_files import near_file_hint  # noqa: PLC0415

        raise ConfigError(
            f"the state file {file} must be an existing file, was not found "
            f"({near_file_hint(file, (f'*{_STATE_FILE}',), 'state file')}); give a configuration to halt a first start"
        )
    return file
