"""Options and arguments that several commands take."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.completion import catalog_symbols, config_files, setting_keys
from mm_nautilus.config.shipped import shipped_file
from mm_nautilus.errors import ConfigError

if TYPE_CHECKING:
    from mm_nautilus.config.run import OutputConfig


def may_be_shipped(path: Path | None) -> Path | None:
    """Return where a file or folder is that is read, and may have come with the package; for arguments' callbacks."""
    return None if path is None else shipped_file(path)


ConfigFile = Annotated[
    Path,
    typer.Argument(
        help="YAML file of a run.",
        show_default=False,
        autocompletion=config_files,
        callback=may_be_shipped,
    ),
]
"""A configuration file that has to be given."""

BacktestFile = Annotated[
    Path | None,
    typer.Argument(
        help="The run's YAML file.",
        show_default="configs/backtest.yaml",
        autocompletion=config_files,
        callback=may_be_shipped,
    ),
]
"""A configuration file in place of a shipped backtest's."""

RunsFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Parent of the run's folder (output.directory)."),
]
"""Where a run's folder is made, in place of the configuration's folder."""

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one value, as strategy.gamma=0.3; repeatable.",
        autocompletion=setting_keys,
    ),
]
"""Values in place of the file's."""

CatalogFolder = Annotated[Path, typer.Argument(help="The catalog's folder.", callback=may_be_shipped)]
"""A catalog that is read, and has to be given."""

SymbolList = Annotated[
    str | None,
    typer.Option(
        "--symbols",
        metavar="LIST",
        help="Such as XRP/USDT,BTC/USDT; all by default.",
        autocompletion=catalog_symbols,
    ),
]
"""Some of a catalog's symbols."""

StartMoment = Annotated[
    str | None,
    typer.Option("--start", metavar="MOMENT", help="First moment used, as 2026-01-01T00:05 (UTC)."),
]
"""The first moment of a span; unbounded where it is not given."""

EndMoment = Annotated[str | None, typer.Option("--end", metavar="MOMENT", help="Last moment used.")]
"""The last moment of a span; unbounded where it is not given."""

Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
"""Whether existing files may go."""

GapSeconds = Annotated[float, typer.Option(help="Longest silence that is no gap.", min=0.001)]
"""What tells a gap of a recording from a quiet market."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document alone on stdout.")]
"""Output for machines."""


Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors, and the JSON with --json.")]
"""Nothing that is not asked for."""

Verbose = Annotated[bool, typer.Option("--verbose", help="Print each fill, and the portfolio once a minute.")]
"""The journal's lines for people, as they come."""


def trade_lines(
    output: "OutputConfig", *, verbose: bool, quiet: bool, write: Callable[[str], None]
) -> Callable[[str], None]:
    """Return what receives a run's lines of fills and portfolio: `write` where they are wanted.

    A ConfigError says that the options contradict each other, or that the run makes no such lines.
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


def output_words(out: Path | None) -> list[str]:
    """Return the option ``--out`` of a run as a value of its configuration; nothing where it is not given."""
    return [] if out is None else [f"output.directory={json.dumps(str(out), ensure_ascii=False)}"]


def symbol_names(text: str | None) -> list[str] | None:
    """Return the names of a list with commas, None where none is given; a ConfigError says that a name is missing."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"--symbols must be symbols separated by commas, was {text!r}")
    return names


def moment_value(option: str, text: str | None) -> datetime | None:
    """Return a date and time, None where none is given; a ConfigError says that the text is none."""
    if text is None:
        return None
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 (keeps --help fast)

    from mm_nautilus.config.fields import MOMENT_TEXT, Moment  # noqa: PLC0415

    try:
        moment: datetime = TypeAdapter(Moment).validate_python(text)
    except ValidationError:
        raise ConfigError(f"{option} must be {MOMENT_TEXT}, was {text!r}") from None
    return moment
