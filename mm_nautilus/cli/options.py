"""Options and arguments of several commands."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_nautilus.cli.completion import catalog_symbols, config_files, setting_keys
from mm_nautilus.config.shipped import shipped_file
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.store_url import CATALOG_TEXT, CatalogPath, catalog_path, is_url

if TYPE_CHECKING:
    from mm_nautilus.config.run import OutputConfig


def may_be_shipped[Place: (CatalogPath, Path | None, CatalogPath | None)](path: Place) -> Place:
    """Return the path of a file or folder that may be a shipped one; for arguments' callbacks."""
    return shipped_file(path) if isinstance(path, Path) else path


def catalog_place(text: str) -> CatalogPath:
    """Return where a catalog is; raises ConfigError for a URL that is none of a store."""
    try:
        return catalog_path(text)
    except ValueError:
        raise ConfigError(f"a catalog must be {CATALOG_TEXT}, was {text!r}") from None


def folder_place(text: str) -> Path:
    """Return a folder to write into; raises ConfigError for a URL."""
    if is_url(text):
        raise ConfigError(
            f"--out must be the path of a folder, was {text!r}; copy its files into a store afterwards"
        )
    return Path(text)


_FILE: Any = {"autocompletion": config_files, "callback": may_be_shipped}
ConfigFile = Annotated[Path, typer.Argument(help="YAML file of a run.", show_default=False, **_FILE)]
RunFile = Annotated[Path, typer.Argument(help="The run's YAML file.", **_FILE)]
"""A configuration file with a shipped default."""
RunsFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Parent of the run's folder (output.directory).", parser=folder_place
    ),
]
RunNamed = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="The run's name, part of its folder's (name)."),
]
SandboxNamed = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="The run's name (name); another name has another state file."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one value, as strategy.gamma=0.3; repeatable.",
        autocompletion=setting_keys,
    ),
]


CatalogFolder = Annotated[
    CatalogPath,
    typer.Argument(
        help="The catalog's folder or URL.", show_default=False, parser=catalog_place, callback=may_be_shipped
    ),
]
WrittenCatalog = Annotated[
    CatalogPath, typer.Argument(help="The catalog's folder or URL.", show_default=False, parser=catalog_place)
]
SymbolList = Annotated[
    str | None,
    typer.Option(
        "--symbols",
        metavar="LIST",
        help="Such as XRP/USDT,BTC/USDT; all by default.",
        autocompletion=catalog_symbols,
    ),
]
StartMoment = Annotated[
    str | None,
    typer.Option("--start", metavar="MOMENT", help="First moment used, as 2026-01-01T00:05 (UTC)."),
]
EndMoment = Annotated[str | None, typer.Option("--end", metavar="MOMENT", help="Last moment used.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
GapSeconds = Annotated[float, typer.Option(help="Longest silence that is no gap.", min=0.001)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document alone on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors, and the JSON with --json.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print each fill, and the portfolio once a minute.")]


def trade_lines(
    output: "OutputConfig", *, verbose: bool, quiet: bool, write: Callable[[str], None]
) -> Callable[[str], None]:
    """Return the receiver of a run's lines of fills and portfolio: `write` if they are wanted.

    Raises ConfigError if the options contradict each other, or the run has no such lines.
    """
    if not verbose:
        return lambda _line: None
    if quiet:
        raise ConfigError("--verbose must not be given with --quiet, was given with it")
    if output.journal == "none":
        raise ConfigError(
            "output.journal must be full or fills with --verbose, which prints its lines, was none"
        )
    return write


def output_words(out: Path | None, name: str | None) -> list[tuple[str, str]]:
    """Return the options ``--out`` and ``--name`` of a run as values of its configuration, those that are given."""
    given = (("--out", "output.directory", out), ("--name", "name", name))
    return [
        (option, f"{key}={json.dumps(str(value), ensure_ascii=False)}")
        for option, key, value in given
        if value is not None
    ]


def symbol_names(text: str | None) -> list[str] | None:
    """Return the names of a list with commas, None for None; raises ConfigError if a name is missing."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"--symbols must be symbols separated by commas, was {text!r}")
    return names


def moment_value(option: str, text: str | None) -> datetime | None:
    """Return a date and time, None for None; raises ConfigError for any other text."""
    if text is None:
        return None
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 (keeps --help fast)

    from mm_nautilus.config.fields import MOMENT_TEXT, Moment  # noqa: PLC0415

    try:
        moment: datetime = TypeAdapter(Moment).validate_python(text)
    except ValidationError:
        raise ConfigError(f"{option} must be {MOMENT_TEXT}, was {text!r}") from None
    return moment
