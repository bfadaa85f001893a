"""The ``--version`` option."""

import platform
from importlib import metadata

import typer


def print_version(wanted: bool) -> None:
    """Print the versions of package, engine and Python, and end the command; nothing where it is not wanted."""
    if wanted:
        package, engine = (metadata.version(name) for name in ("mm-nautilus", "nautilus_trader"))
        typer.echo(f"mm-nautilus {package} (nautilus_trader {engine}, Python {platform.python_version()})")
        raise typer.Exit
