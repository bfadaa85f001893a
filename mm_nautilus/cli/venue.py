"""The `venue` command."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from mm_nautilus.cli.completion import catalog_symbols
from mm_nautilus.cli.console import ending_on_signals
from mm_nautilus.cli.options import AsJson, catalog_place, may_be_shipped
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.loopback import is_loopback
from mm_nautilus.system.store_url import CatalogPath

if TYPE_CHECKING:
    from mm_nautilus.mock_kraken.server import VenueAddresses

_DEFAULT_CATALOG = Path("catalog")


class VenueHelp(TyperCommand):
    """The command's help, with what can go wrong on purpose."""

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the faults with what they do."""
        from mm_nautilus.mock_kraken.commands import FAULTS  # noqa: PLC0415 (keeps other commands fast)

        with formatter.section("Faults, as commands of the control server"):
            formatter.write_dl([(name, kind.description().replace("`", "")) for name, kind in FAULTS.items()])


def venue_command(
    *,
    catalog: Annotated[
        CatalogPath | None,
        typer.Argument(
            help="The catalog to play.",
            show_default=str(_DEFAULT_CATALOG),
            parser=catalog_place,
            callback=may_be_shipped,
        ),
    ] = None,
    speed: Annotated[str, typer.Option(help="Data seconds a second, or max.")] = "1",
    at_end: Annotated[Literal["loop", "stop"], typer.Option(help="After the last event.")] = "loop",
    simulate: Annotated[bool, typer.Option("--simulate", help="Play the simulator endlessly.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulator.")] = 20251213,
    symbols: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol",
            metavar="SYMBOL",
            help="Play only this pair; may be repeated.",
            autocompletion=catalog_symbols,
        ),
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Wait for the control command resume.")] = False,
    start_after_subscriptions: Annotated[int, typer.Option(metavar="N", help="One a channel and pair.")] = 0,
    trade_snapshot: Annotated[bool, typer.Option(help="Begin a tape with its last 50 trades.")] = True,
    queue_frames: Annotated[
        int, typer.Option(metavar="N", help="Most frames that wait for a client.")
    ] = 10_000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port, 0 for a free one.")] = 0,
    control_port: Annotated[int, typer.Option(help="The control side's.")] = 0,
    end_with_stdin: Annotated[
        bool, typer.Option("--end-with-stdin", help="End when standard input is closed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a local venue that speaks Kraken's protocols.

    Example: mm-nautilus venue catalog --speed 10
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise ConfigError("the local venue needs aiohttp; install it with: pip install 'mm-nautilus[venue]'")
    with ending_on_signals("interrupted before the venue listened"):
        from mm_nautilus.data.catalog import CatalogReader  # noqa: PLC0415
        from mm_nautilus.mock_kraken.options import VenueOptions, parse_speed  # noqa: PLC0415 (keeps --help fast)
        from mm_nautilus.mock_kraken.server import run_venue  # noqa: PLC0415

        if simulate and catalog is not None:
            raise ConfigError(f"give a catalog or --simulate, not both; was {catalog} and --simulate")
        played = None if simulate else may_be_shipped(catalog or _DEFAULT_CATALOG)
        if played is not None:
            CatalogReader(played).some_instruments()
        options = VenueOptions(
            catalog=played,
            symbols=tuple(symbols or ()),
            seed=seed,
            speed=parse_speed(speed),
            at_end=at_end,
            start_after_subscriptions=start_after_subscriptions,
            paused=paused,
            trade_snapshot=trade_snapshot,
            queue_frames=queue_frames,
            host=host,
            port=port,
            control_port=control_port,
        )
        code = run_venue(
            options,
            lambda addresses: _announce(addresses, host, as_json=as_json),
            end_with_stdin=end_with_stdin,
        )
    raise typer.Exit(code)


def _announce(addresses: "VenueAddresses", host: str, *, as_json: bool) -> None:
    if not is_loopback(host):
        text = "Warning: the venue is open to the network, and anybody who reaches its control side can control it"
        typer.echo(f"{text}: {addresses.control_url}", err=True)
    words = " ".join(f"{name}={url}" for name, url in addresses._asdict().items())
    typer.echo(json.dumps(addresses._asdict()) if as_json else f"the venue listens: {words}")
    sys.stdout.flush()
