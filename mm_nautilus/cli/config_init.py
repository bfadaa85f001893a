"""The `config init` command."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mm_nautilus.cli.console import ending_on_signals, print_line, refuse_targets, write_target
from mm_nautilus.cli.options import Force, SymbolList, catalog_place, may_be_shipped, symbol_names
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.store_url import CatalogPath, StoreUrl

if TYPE_CHECKING:
    from decimal import Decimal

    from mm_nautilus.runs.starter import Starter

type Values = dict[tuple[str, ...], Any]

_DEFAULT_CATALOG: Final = Path("catalog")
_THIS: Final = "`mm-nautilus config init`"
_COMMON_WORDS: Final = (
    "Comments say what a key means and, in brackets, what is allowed. A key behind a `#` shows its default: take "
    "the `#` away and change it. What symbols have in common stands under `strategy`; under `symbols` each one "
    "may have any of the strategy's parameters of its own, and comments there say why a value is proposed.",
    "Expected fills, partial ones included, are counted on the beginning of the catalog's data, with the queue at the "
    "touch, the quote's size, its cap, its cooldown and its latency. A backtest of the same data has half to twice as "
    "many: exits, balances and quotes that volatility widens are left out. `venue.fees` is where another tier goes.",
)


def init_command(
    *,
    symbols: SymbolList = None,
    catalog: Annotated[
        CatalogPath | None,
        typer.Option(
            metavar="DIR",
            help="The catalog to run on, or to take a sandbox's sizes from.",
            parser=catalog_place,
            show_default=str(_DEFAULT_CATALOG),
        ),
    ] = None,
    maker_fee: Annotated[
        float | None,
        typer.Option(
            metavar="PCT",
            help="Maker fee, % of value, instead of the instruments' own; asked for on a terminal.",
        ),
    ] = None,
    taker_fee: Annotated[float | None, typer.Option(metavar="PCT", help="Taker fee, likewise.")] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Begin a sandbox's configuration instead of a backtest's.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; printed where none is given.", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Write a starting configuration for symbols of a catalog.

    Widths, sizes and stops are proposed from spreads, takers and volatility at the data's beginning, and from fees.

    Example: mm-nautilus config init --symbols XRP/USDT,BTC/USDT --maker-fee 0.02 --out configs/mine.yaml
    """
    names = symbol_names(symbols)
    refuse_targets({"--out": out}, force=force)
    folder = may_be_shipped(catalog or _DEFAULT_CATALOG)
    with ending_on_signals("interrupted; nothing was written"):
        starter = _starter(folder, names, maker_fee, taker_fee, is_sandbox=sandbox)
        text = (_sandbox_text if sandbox else _backtest_text)(starter, folder, out)
    if out is None:
        for words in starter.expectations:
            print_line(words, err=True)
        typer.echo(text, nl=False)
        return
    write_target(out, text)
    for words in starter.expectations:
        print_line(words)
    refusals = [] if sandbox else _refusals(out)
    run = f"mm-nautilus sandbox {out} --venue local" if sandbox else f"mm-nautilus backtest {out}"
    print_line(f"written to {out}; next: mm-nautilus config check {out}{'' if refusals else f', {run}'}")
    for refusal in refusals:
        print_line(f"warning: a backtest would be refused: {refusal}", err=True)


def _starter(
    catalog: CatalogPath,
    names: list[str] | None,
    maker: float | None,
    taker: float | None,
    *,
    is_sandbox: bool,
) -> "Starter":
    from mm_nautilus.runs.starter import StarterFees, starter_config, starter_sandbox  # noqa: PLC0415 (--help)

    fees = StarterFees(maker, taker)  # refuses bad ones before it asks for others
    if sys.stdin.isatty() and sys.stderr.isatty():
        own_maker, own_taker = _own_fees(catalog, names)
        fees = StarterFees(_asked("maker", maker, own_maker), _asked("taker", taker, own_taker))
    return (starter_sandbox if is_sandbox else starter_config)(catalog, names, fees)


def _own_fees(catalog: CatalogPath, names: list[str] | None) -> tuple[str, str]:
    """Return the maker and the taker fee of the instruments in words."""
    from mm_nautilus.data.catalog import CatalogReader  # noqa: PLC0415

    def words(rates: "list[Decimal | None]") -> str:
        texts = ("0.1, as it names none" if rate is None else f"{float(100 * rate):g}" for rate in rates)
        return " or ".join(dict.fromkeys(texts))

    specs = CatalogReader(catalog).choose(names)
    return words([spec.maker_fee_rate for spec in specs]), words([spec.taker_fee_rate for spec in specs])


def _asked(name: str, given: float | None, own: str) -> float | None:
    """Return a given fee, or the answer at the terminal."""
    if given is not None:
        return given
    question = f"{name} fee, % of value (Enter takes the catalog's {own})"
    text = typer.prompt(question, "", show_default=False, err=True)
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise ConfigError(f"the {name} fee must be a number, % of value, was {text!r}") from None


def _refusals(file: Path) -> list[str]:
    """Return why a backtest of a configuration would be refused, if it would."""
    from mm_nautilus.checks.config_source import load_config  # noqa: PLC0415
    from mm_nautilus.runs.inputs import prepare  # noqa: PLC0415

    loaded = load_config(file)
    try:
        with loaded.placing():
            prepare(loaded.config)
    except ConfigError as error:
        return error.problems
    return []


def _backtest_text(starter: "Starter", catalog: CatalogPath, out: Path | None) -> str:
    from mm_nautilus.config.run import RunConfig  # noqa: PLC0415
    from mm_nautilus.config.template import template_text  # noqa: PLC0415 (keeps --help fast)

    values: Values = {("catalog",): _path_beside(catalog, out), **starter.values}
    data = "SIMULATED data" if starter.simulated else "recorded data"
    words = [f"A backtest on {data}, begun by {_THIS}.", *starter.expectations, starter.sizes, *_COMMON_WORDS]
    return template_text(RunConfig, values, words, starter.notes)


def _sandbox_text(starter: "Starter", catalog: CatalogPath, out: Path | None) -> str:
    from mm_nautilus.config.sandbox import SandboxConfig  # noqa: PLC0415
    from mm_nautilus.config.template import template_text  # noqa: PLC0415

    feed: Values = {("feed", "source"): "live", ("feed", "catalog"): _path_beside(catalog, out)}
    data = "the SIMULATED catalog below" if starter.simulated else "the catalog below"
    words = [
        f"A sandbox run, begun by {_THIS}: paper trading on Kraken's public feed, without an account.",
        f"`--venue local` plays {data} instead of listening to Kraken, without a network. Sizes, widths and fees are "
        "taken from that catalog; at the start all is checked against the pairs the venue lists.",
        "The run's name also names its state file: independent runs need different names.",
        *starter.expectations,
        starter.sizes,
        *_COMMON_WORDS,
    ]
    return template_text(SandboxConfig, {**_run_name(out), **feed, **starter.values}, words, starter.notes)


def _run_name(out: Path | None) -> Values:
    """Return the file's name as the run's, if it can be one."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from mm_nautilus.config.run import RunName  # noqa: PLC0415

    if out is None:
        return {}
    try:
        return {("name",): TypeAdapter(RunName).validate_python(out.stem)}
    except ValidationError:
        return {}


def _path_beside(folder: CatalogPath, out: Path | None) -> str:
    """Return a path relative to the folder of `out`; a URL as it is."""
    if isinstance(folder, StoreUrl):
        return str(folder)
    return os.path.relpath(folder, Path() if out is None else out.parent)
