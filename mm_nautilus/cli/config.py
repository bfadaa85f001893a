"""The `config` commands: check a configuration, and print its schema and its reference."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Check configurations; print their schema and reference.", no_args_is_help=True)


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="YAML file; one with a feed is a sandbox's.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY.KEY=VALUE", help="Replace a value, for example strategy.gamma=0.3."
        ),
    ] = None,
) -> None:
    """Check a backtest's or a sandbox's configuration without any market data; every problem is listed at once.

    Warnings are printed too and leave the exit code at 0; an error makes it 2.
    """
    from mm_nautilus.core.config_source import (  # noqa: PLC0415 (start-up time of other commands)
        load_any_config,
    )
    from mm_nautilus.core.validation import check_fees, configured_fees  # noqa: PLC0415

    loaded = load_any_config(file, overrides or [])
    strategy = loaded.config.strategy
    risks = [problem.under("strategy") for problem in check_fees(strategy, configured_fees(loaded.config))]
    warnings = [*loaded.warnings, *(loaded.located(problem) for problem in risks)]
    for text in warnings:
        typer.echo(text, err=True)
    symbols = ", ".join(strategy.symbols)
    typer.echo(f"{file}: no errors, {len(warnings)} warnings; quotes {symbols} at {loaded.config.venue.name}")


@app.command()
def schema(
    *,
    out: Annotated[
        Path | None, typer.Option(help="File to write; printed where none is given.", show_default=False)
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Of a sandbox's configuration instead of a backtest's.")
    ] = False,
) -> None:
    """Print the JSON schema of configurations, which editors check and complete YAML files with."""
    from mm_nautilus.core.config_reference import schema_text  # noqa: PLC0415
    from mm_nautilus.errors import MarketMakingError  # noqa: PLC0415

    text = schema_text(sandbox=sandbox)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MarketMakingError(
            f"--out must be a file that can be written, was {out}: {error.strerror}"
        ) from None


@app.command()
def reference() -> None:
    """Print a table of every key: type, default, what is allowed and meaning, as Markdown."""
    from mm_nautilus.core.config_reference import reference as text  # noqa: PLC0415

    typer.echo(text(), nl=False)
