"""The `config` commands: begin, check and show a configuration, print its schema and its reference."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.config_init import init_command
from mm_nautilus.cli.config_show import show_command
from mm_nautilus.cli.console import print_json
from mm_nautilus.cli.options import AsJson, ConfigFile, Overrides
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.whole_file import reason, write_whole

if TYPE_CHECKING:
    from mm_nautilus.checks.config_source import AnyLoadedConfig

app = typer.Typer(
    help="Create, check, show and explain configurations.\n\n"
    "Example: mm-nautilus config show configs/backtest.yaml",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("init")(init_command)
app.command("show")(show_command)


@app.command()
def check(
    *,
    file: ConfigFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a configuration, and a backtest's catalog.

    A file with a feed is a sandbox's. Warnings are printed too and leave the exit code at 0; an error makes it 2.

    Example: mm-nautilus config check configs/backtest.yaml --set strategy.gamma=0.3
    """
    from mm_nautilus.checks.config_source import load_any_config  # noqa: PLC0415 (keeps --help fast)

    loaded = load_any_config(file, overrides or [])
    warnings, quoted = _warnings(loaded), list(loaded.config.strategy.symbols)
    venue = loaded.config.venue.name
    if as_json:
        found = {"file": str(file), "kind": loaded.kind, "venue": venue, "symbols": quoted}
        print_json({**found, "warnings": warnings})
        return
    for text in warnings:
        typer.echo(text, err=True)
    typer.echo(f"{file}: no errors, {len(warnings)} warnings; quotes {', '.join(quoted)} at {venue}")


def _warnings(loaded: "AnyLoadedConfig") -> list[str]:
    """Return the risks of a configuration, those on the catalog that it names included, or raise what refuses a run."""
    from mm_nautilus.checks.own_code import names_own_code  # noqa: PLC0415
    from mm_nautilus.config.run import RunConfig  # noqa: PLC0415

    found = loaded.all_warnings()
    with loaded.placing():
        if isinstance(loaded.config, RunConfig):
            from mm_nautilus.runs.inputs import prepare  # noqa: PLC0415

            found += [loaded.located(risk) for risk in prepare(loaded.config).warnings.values()]
        elif names_own_code(loaded.config):
            from mm_nautilus.runs.own_code import import_own_code  # noqa: PLC0415 (the engine takes a second to load)

            import_own_code(loaded.config)
    return list(dict.fromkeys(found))


@app.command()
def schema(
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; stdout if not given.", show_default=False),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="For a sandbox's configuration instead of a backtest's.")
    ] = False,
) -> None:
    """Print the JSON schema of configurations, for editors of YAML.

    Example: mm-nautilus config schema --out run.schema.json
    """
    from mm_nautilus.config.reference import schema_text  # noqa: PLC0415

    text = schema_text(sandbox=sandbox)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        write_whole(out, text)
    except OSError as error:
        raise ConfigError(f"--out must be a file that can be written, was {out}: {reason(error)}") from None


@app.command()
def reference() -> None:
    """Print a table of every key as Markdown.

    Example: mm-nautilus config reference
    """
    from mm_nautilus.config.reference import reference as text  # noqa: PLC0415

    typer.echo(text(), nl=False)
