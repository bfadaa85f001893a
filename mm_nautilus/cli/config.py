"""The `config` commands: begin, check and show a configuration, print its schema and its reference."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_nautilus.cli.completion import config_symbols
from mm_nautilus.cli.config_init import init_command
from mm_nautilus.cli.console import print_json, print_line, running_own_code
from mm_nautilus.cli.options import AsJson, ConfigFile, Overrides
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.plain_text import counted
from mm_nautilus.system.whole_file import reason, write_whole

if TYPE_CHECKING:
    from mm_nautilus.checks.config_source import AnyLoadedConfig
    from mm_nautilus.checks.merged_config import MergedValue


app = typer.Typer(
    help="Create, check, show and explain configurations.\n\n"
    "Example: mm-nautilus config show configs/backtest.yaml",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("init")(init_command)


@app.command("show")
def show_command(
    *,
    file: ConfigFile,
    overrides: Overrides = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol",
            metavar="SYMBOL",
            help="Show only this symbol's parameters; may be repeated.",
            autocompletion=config_symbols,
        ),
    ] = None,
    given: Annotated[bool, typer.Option("--given", help="Leave out defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the configuration in force, merged per symbol.

    A value comes from the file (FILE:LINE), from --set, or is a default. The output is itself a configuration.

    Example: mm-nautilus config show configs/backtest.yaml --symbol BTC/USDT --given
    """
    from mm_nautilus.checks.config_source import load_any_config  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.checks.merged_config import common_values, symbol_values, values_text  # noqa: PLC0415

    loaded = load_any_config(file, overrides or ())
    chosen = _chosen(loaded, symbols or [])
    common = _wanted(common_values(loaded), given=given)
    merged = {symbol: _wanted(symbol_values(loaded, symbol), given=given) for symbol in chosen}
    if as_json:
        print_json({"file": str(file), "kind": loaded.kind} | _document(common, merged))
        return
    typer.echo(values_text([*common, *(value for values in merged.values() for value in values)]), nl=False)


def _wanted(values: "list[MergedValue]", *, given: bool) -> "list[MergedValue]":
    return [value for value in values if not (given and value.is_default)]


def _chosen(loaded: "AnyLoadedConfig", names: list[str]) -> list[str]:
    from mm_nautilus.system.near_names import nearest  # noqa: PLC0415

    known = list(loaded.config.strategy.symbols)
    problems = []
    for name in names:
        if name not in known:
            close = nearest(name, known)
            hint = "" if close is None else f" (did you mean {close}?)"
            problems.append(f"--symbol must be one of {', '.join(known)}, was {name!r}{hint}")
    if problems:
        raise ConfigError(problems)
    return names or known


def _document(common: "list[MergedValue]", merged: "dict[str, list[MergedValue]]") -> dict[str, Any]:
    def entry(value: "MergedValue") -> dict[str, Any]:
        return {"value": value.value, "source": value.source}

    return {
        "values": {".".join(value.path): entry(value) for value in common},
        "symbols": {
            symbol: {value.path[-1]: entry(value) for value in values} for symbol, values in merged.items()
        },
    }


@app.command()
def check(
    *,
    file: ConfigFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a configuration, its catalog and its folders.

    A file with a feed is a sandbox's. Warnings are printed too and leave the exit code at 0; an error makes it 2.

    Example: mm-nautilus config check configs/backtest.yaml --set strategy.gamma=0.3
    """
    from mm_nautilus.checks.config_source import load_any_config  # noqa: PLC0415 (keeps --help fast)

    loaded = load_any_config(file, overrides or [])
    with running_own_code(as_json=as_json):
        warnings = _warnings(loaded)
    quoted = list(loaded.config.strategy.symbols)
    venue = loaded.config.venue.name
    if as_json:
        found = {"file": str(file), "kind": loaded.kind, "venue": venue, "symbols": quoted}
        print_json({**found, "warnings": warnings})
        return
    for text in warnings:
        print_line(text, err=True)
    print_line(
        f"{file}: no errors, {counted(len(warnings), 'warning')}; quotes {', '.join(quoted)} at {venue}"
    )


def _warnings(loaded: "AnyLoadedConfig") -> list[str]:
    """Return the risks of a configuration, those on the catalog that it names included, or raise what refuses a run."""
    from mm_nautilus.checks.own_code import names_own_code  # noqa: PLC0415
    from mm_nautilus.config.run import RunConfig  # noqa: PLC0415
    from mm_nautilus.runs.folder import refuse_unwritable_folders  # noqa: PLC0415

    found = loaded.all_warnings()
    with loaded.placing():
        refuse_unwritable_folders(loaded.config)
        if isinstance(loaded.config, RunConfig):
            from mm_nautilus.runs.inputs import prepare  # noqa: PLC0415

            inputs = prepare(loaded.config)
            found += [loaded.located(risk) for risk in inputs.warnings.values()]
            if inputs.code.pricing:
                from mm_nautilus.runs.pricing_trial import try_pricing  # noqa: PLC0415

                try_pricing(inputs)
        elif names_own_code(loaded.config):
            from mm_nautilus.runs.inputs import import_own_code  # noqa: PLC0415 (the engine takes a second to load)

            import_own_code(loaded.config)
        if not isinstance(loaded.config, RunConfig):
            from mm_nautilus.notifications.services import service_problems  # noqa: PLC0415

            found += [
                f"Warning: {text}; a run is refused here"
                for text in service_problems(loaded.config.notify.urls)
            ]
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
