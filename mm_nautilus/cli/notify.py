"""The `notify` command: a test message to each service of a sandbox run."""

from pathlib import Path
from typing import Annotated

import typer

from mm_nautilus.cli.completion import sandbox_files
from mm_nautilus.cli.console import print_json, print_line
from mm_nautilus.cli.options import AsJson, Overrides, may_be_shipped
from mm_nautilus.errors import ConfigError


def notify_command(
    config: Annotated[
        Path,
        typer.Argument(
            help="The run's YAML file.",
            show_default=False,
            autocompletion=sandbox_files,
            callback=may_be_shipped,
        ),
    ],
    *,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Send a test message to each service of a sandbox run.

    Says for each environment variable in notify.urls whether its service took the message; exits with 1 if one did not.

    Example: mm-nautilus notify configs/sandbox.yaml --set "notify=[MM_NAUTILUS_NOTIFY]"
    """
    from mm_nautilus.checks.config_source import load_sandbox_config  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.notifications.notifier import try_services  # noqa: PLC0415
    from mm_nautilus.notifications.services import refuse_unusable  # noqa: PLC0415

    loaded = load_sandbox_config(config, overrides or [])
    names = loaded.config.notify.urls
    if not names:
        place = loaded.source("notify", "urls")
        raise ConfigError(
            f"{place}: notify.urls must name at least one environment variable, was empty; put a service's URL into "
            'one, and name it, as in --set "notify=[MM_NAUTILUS_NOTIFY]"'
        )
    refuse_unusable(names)
    refusals = try_services(names, loaded.config.name)
    if as_json:
        print_json({name: {"taken": why is None, "reason": why} for name, why in refusals.items()})
    else:
        for name, why in refusals.items():
            print_line(f"{name}: {'taken' if why is None else f'not taken: {why}'}")
    if any(why is not None for why in refusals.values()):
        raise typer.Exit(1)
