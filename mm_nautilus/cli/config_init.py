"""The `config init` command."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mm_nautilus.cli.files import refuse_targets, write_target
from mm_nautilus.cli.options import Force, SymbolList
from mm_nautilus.cli.values import symbol_names
from mm_nautilus.config.shipped import shipped_file
from mm_nautilus.errors import ConfigError

__all__ = ["init_command"]

type Values = dict[tuple[str, ...], Any]

_DEFAULT_CATALOG: Final = Path("catalog")
_THIS: Final = "`mm-nautilus config init`"
_COMMON_WORDS: Final = (
    "Comments say what a key means and, in brackets, what is allowed. A key behind a `#` shows its default: take "
    "the `#` away and change it. What symbols have in common stands under `strategy`; under `symbols` each one "
    "may have any of the strategy's parameters of its own.",
    "Quotes are never closer to each other than two maker fees and min_edge_bps, and exits are a multiple of the "
    "fees. At a base tier's fees takers rarely reach that deep: `venue.fees` is where another tier goes.",
)


def init_command(
    *,
    symbols: SymbolList = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The catalog to run on, or to take a sandbox's sizes from.",
            show_default=str(_DEFAULT_CATALOG),
        ),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Write a sandbox's configuration instead of a backtest's.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; stdout if not given.", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Write a starting configuration for symbols of a catalog.

    Sizes are above the venue's minimums, widths cover two maker fees. Keys at their defaults are commented out.

    Example: mm-nautilus config init --symbols XRP/USDT,BTC/USDT --out configs/mine.yaml
    """
    names = symbol_names(symbols)
    refuse_targets({"--out": out}, force=force)
    text = (_sandbox_text if sandbox else _backtest_text)(
        shipped_file(catalog or _DEFAULT_CATALOG), names, out
    )
    if out is None:
        typer.echo(text, nl=False)
        return
    write_target(out, text)
    refusals = [] if sandbox else _refusals(out)
    run = f"mm-nautilus sandbox {out} --venue local" if sandbox else f"mm-nautilus backtest {out}"
    typer.echo(f"written to {out}; next: mm-nautilus config check {out}{'' if refusals else f', {run}'}")
    for refusal in refusals:
        typer.echo(f"warning: a backtest would be refused: {refusal}", err=True)


def _refusals(file: Path) -> list[str]:
    """Return why a backtest of a configuration would be refused; nothing where it would not."""
    from mm_nautilus.checks.config_source import load_config  # noqa: PLC0415
    from mm_nautilus.runs.inputs import prepare  # noqa: PLC0415

    loaded = load_config(file)
    try:
        with loaded.placing():
            prepare(loaded.config)
    except ConfigError as error:
        return error.problems
    return []


def _backtest_text(catalog: Path, names: list[str] | None, out: Path | None) -> str:
    from mm_nautilus.config.run import RunConfig  # noqa: PLC0415
    from mm_nautilus.config.template import template_text  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.runs.starter import starter_config  # noqa: PLC0415

    starter = starter_config(catalog, names)
    values: Values = {("catalog",): _path_beside(catalog, out), **starter.values}
    data = "SIMULATED data" if starter.simulated else "recorded data"
    words = [f"A backtest on {data}, begun by {_THIS}.", starter.sizes, *_COMMON_WORDS]
    return template_text(RunConfig, values, words)


def _sandbox_text(catalog: Path, names: list[str] | None, out: Path | None) -> str:
    from mm_nautilus.config.sandbox import SandboxConfig  # noqa: PLC0415
    from mm_nautilus.config.template import template_text  # noqa: PLC0415
    from mm_nautilus.runs.starter import starter_sandbox  # noqa: PLC0415

    starter = starter_sandbox(catalog, names)
    feed: Values = {("feed", "source"): "live", ("feed", "catalog"): _path_beside(catalog, out)}
    data = "the SIMULATED catalog below" if starter.simulated else "the catalog below"
    words = [
        f"A sandbox run, begun by {_THIS}: paper trading on Kraken's public feed, without an account.",
        f"`--venue local` plays {data} instead of listening to Kraken, without a network. Sizes and fees are taken "
        "from that catalog; at the start all is checked against the pairs the venue lists.",
        "The run's name also names its state file: independent runs need different names.",
        starter.sizes,
        *_COMMON_WORDS,
    ]
    return template_text(SandboxConfig, {**_run_name(out), **feed, **starter.values}, words)


def _run_name(out: Path | None) -> Values:
    """Return the file's name as the run's, nothing where it cannot be one."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from mm_nautilus.config.run import RunName  # noqa: PLC0415

    if out is None:
        return {}
    try:
        return {("name",): TypeAdapter(RunName).validate_python(out.stem)}
    except ValidationError:
        return {}


def _path_beside(folder: Path, out: Path | None) -> str:
    """Return a path as a file beside `out` names it."""
    return os.path.relpath(folder, Path() if out is None else out.parent)
