"""The `config show` command."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_nautilus.cli.completion import config_symbols
from mm_nautilus.cli.console import print_json
from mm_nautilus.cli.options import AsJson, ConfigFile, Overrides

if TYPE_CHECKING:
    from mm_nautilus.checks.config_source import AnyLoadedConfig
    from mm_nautilus.checks.merged_config import MergedValue


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
    from mm_nautilus.errors import ConfigError  # noqa: PLC0415
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
