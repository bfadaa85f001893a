"""The `data` commands: import, simulate, list, check and recover catalogs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from mm_nautilus.cli.console import ending_on_signals, print_json, print_line, print_table, progress_bar
from mm_nautilus.cli.options import (
    AsJson,
    CatalogFolder,
    EndMoment,
    Force,
    GapSeconds,
    StartMoment,
    SymbolList,
    WrittenCatalog,
    catalog_place,
    folder_place,
    may_be_shipped,
    moment_value,
    symbol_names,
)
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.moments import GAP_SECONDS, nanoseconds
from mm_nautilus.system.plain_text import counted
from mm_nautilus.system.store_url import CatalogPath, StoreUrl

if TYPE_CHECKING:
    from mm_nautilus.data.check_report import CatalogReport, InstrumentReport
    from mm_nautilus.data.importing import ImportReport
    from mm_nautilus.data.recording_folder import RecoveryReport


data_app = typer.Typer(
    help="Get, list, check and export market data.\n\nExample: mm-nautilus data list catalog",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Text = str | None
_BadRows = Literal["refuse", "skip"]

_INTERRUPTED: Final = "the export was interrupted; nothing was written"


@data_app.command("export")
def export_command(
    *,
    catalog: CatalogFolder,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder to write into; created if needed.",
            show_default=False,
            parser=folder_place,
        ),
    ],
    form: Annotated[
        Literal["tardis", "parquet"],
        typer.Option("--format", help="CSV files that can be imported again, or Parquet tables."),
    ] = "tardis",
    symbols: SymbolList = None,
    start: StartMoment = None,
    end: EndMoment = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a catalog's books and trades as flat files.

    All of them or none.

    tardis: incremental_book_L2 and trades as csv.gz, and the instrument's definition; `data import tardis` reads them
    back. parquet: book changes, trades, and the touch after every change of it. With --start the book begins with the
    last full one before it.

    Example: mm-nautilus data export catalog --symbols XRP/USDT --out flat --format parquet
    """
    names = symbol_names(symbols)
    first, last = moment_value("--start", start), moment_value("--end", end)
    with ending_on_signals(_INTERRUPTED):
        from mm_nautilus.data.export import export_catalog  # noqa: PLC0415 (keeps --help fast)

        with progress_bar("exporting") as on_progress:
            report = export_catalog(
                catalog,
                out,
                form=form,
                names=names,
                start_ns=nanoseconds(first),
                end_ns=nanoseconds(last),
                force=force,
                on_progress=on_progress,
            )
    for note in report.notes:
        print_line(f"note: {note}", err=True)
    if as_json:
        print_json(report.to_dict())
        return
    rows = [(file.name, file.instrument, "" if file.rows is None else file.rows) for file in report.files]
    print_table(("file", "instrument", "rows"), rows)
    print_line(f"written to {report.folder}")


@data_app.command("import")
def import_command(
    context: typer.Context,
    *,
    words: Annotated[
        list[Path],
        typer.Argument(
            metavar="[FORMAT] FILES...",
            help="Files of one instrument, in any order; the format is told by the first one where it is left out.",
            show_default=False,
        ),
    ],
    catalog: Annotated[
        CatalogPath,
        typer.Option(
            metavar="PATH", help="The catalog's folder or URL, created if needed.", parser=catalog_place
        ),
    ],
    instrument: Annotated[
        Path | None,
        typer.Option(help="Its YAML file; flags override keys.", callback=may_be_shipped),
    ] = None,
    symbol: Annotated[_Text, typer.Option(help="Symbol to store it as, such as BTC/USDT.")] = None,
    venue: Annotated[_Text, typer.Option(help="Venue to store it as, such as BINANCE.")] = None,
    base: Annotated[_Text, typer.Option(help="Base currency.")] = None,
    quote: Annotated[_Text, typer.Option(help="Quote currency.")] = None,
    price_increment: Annotated[_Text, typer.Option(help="Smallest price step, such as 0.01.")] = None,
    size_increment: Annotated[_Text, typer.Option(help="Smallest size step (lot), in base currency.")] = None,
    min_quantity: Annotated[_Text, typer.Option(help="Smallest order size, in base currency.")] = None,
    min_notional: Annotated[_Text, typer.Option(help="Smallest order value, in quote currency.")] = None,
    max_quantity: Annotated[_Text, typer.Option(help="Largest order size, in base currency.")] = None,
    max_notional: Annotated[_Text, typer.Option(help="Largest order value, in quote currency.")] = None,
    maker_fee_pct: Annotated[_Text, typer.Option(help="Maker fee in percent of the traded value.")] = None,
    taker_fee_pct: Annotated[_Text, typer.Option(help="Taker fee in percent of the traded value.")] = None,
    type_: Annotated[
        Literal["spot", "perpetual"] | None, typer.Option("--type", help="What it is (spot).")
    ] = None,
    settlement: Annotated[_Text, typer.Option(help="A perpetual's settlement currency (quote).")] = None,
    multiplier: Annotated[_Text, typer.Option(help="A perpetual's multiplier (1).")] = None,
    margin_init_pct: Annotated[
        _Text, typer.Option(help="Initial margin at leverage 1, % of value (100).")
    ] = None,
    margin_maint_pct: Annotated[_Text, typer.Option(help="Maintenance margin, likewise (100).")] = None,
    source_symbol: Annotated[_Text, typer.Option(help="Symbol every row must name, such as BTCUSDT.")] = None,
    off_lot_sizes: Annotated[
        Literal["refuse", "round_down"] | None, typer.Option(help="Sizes that are no whole lots (refuse).")
    ] = None,
    column_map: Annotated[
        Path | None, typer.Option("--map", help="YAML file with the columns of a table.", metavar="FILE")
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(
            help="Time from exchange to receipt, where files have one clock (0).", min=0, max=60_000
        ),
    ] = None,
    on_bad_rows: Annotated[
        _BadRows, typer.Option(help="Refuse and list them, or leave them out.")
    ] = "refuse",
    as_json: AsJson = False,
) -> None:
    """Import recordings of books and trades, all or nothing.

    Formats: tardis; table, any CSV or Parquet table by a map of its columns; hftbacktest; messages of kraken, bybit
    and coinbase; databento. Files may be gzipped.

    Example: mm-nautilus data import tardis btcusdt_*.csv.gz --catalog catalog
    --instrument configs/instruments/binance_btcusdt.yaml
    """
    beside = {"words", "catalog", "instrument", "on_bad_rows", "as_json", "column_map", "latency_ms"}
    params = {key.rstrip("_"): given for key, given in context.params.items() if given is not None}
    flags = {key: given for key, given in params.items() if key not in beside}
    latency_ns = None if latency_ms is None else round(latency_ms * 1e6)
    name, report = _import(
        words, catalog, (instrument, flags), on_bad_rows, column_map=column_map, latency_ns=latency_ns
    )
    if as_json:
        print_json({"format": name, **report.to_dict()})
    else:
        if str(words[0]) != name:
            print_line(f"format: {name}")
        _print_import(report, catalog)


def _import(
    words: list[Path],
    catalog: CatalogPath,
    definition: tuple[Path | None, dict[str, str]],
    on_bad_rows: _BadRows,
    *,
    column_map: Path | None,
    latency_ns: int | None,
) -> tuple[str, "ImportReport"]:
    from mm_nautilus.data.formats import FORMATS, make_reader  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.data.importing import import_files  # noqa: PLC0415
    from mm_nautilus.data.instrument_file import load_instrument  # noqa: PLC0415

    given = str(words[0]) if str(words[0]) in FORMATS else None
    files = words if given is None else words[1:]
    if not files:
        raise ConfigError(f"data import needs files after the format {given}, was given none")
    source = load_instrument(*definition)
    name, reader = make_reader(given, files, column_map)
    text = "the import was interrupted; nothing was written"
    with ending_on_signals(text), progress_bar("importing") as on_progress:
        report = import_files(
            reader,
            files,
            source.spec,
            catalog,
            on_bad_rows=on_bad_rows,
            source_symbol=source.source_symbol,
            off_lot_sizes=source.off_lot_sizes,
            latency_ns=latency_ns,
            on_progress=on_progress,
        )
    return name, report


def _print_import(report: "ImportReport", catalog: CatalogPath) -> None:
    names = ("path", "kind", "rows_read", "rows_kept", "first", "last")
    entries = [file.to_dict() for file in report.files]
    rows = [["" if entry[name] is None else entry[name] for name in names] for entry in entries]
    print_table(("file", "kind", "rows", "kept", "first", "last"), rows)
    for note in report.notes:
        print_line(f"note: {note}")
    for finding in report.findings:
        print_line(f"{'warning' if finding.kind.refused else 'note'}: {finding.message}")
    print_line(
        f"{report.instrument_id} in {catalog}: {counted(report.deltas, 'book change')} in "
        f"{counted(report.groups, 'group')} ({counted(report.snapshots, 'snapshot')}), "
        f"{counted(report.trades, 'trade')}"
    )


@data_app.command("funding")
def funding_command(
    *,
    files: Annotated[list[Path], typer.Argument(help="CSV or CSV.gz files of one perpetual, in any order.")],
    catalog: Annotated[
        CatalogPath,
        typer.Option(metavar="PATH", help="The catalog's folder or URL.", parser=catalog_place),
    ],
    symbol: Annotated[str, typer.Option(help="The perpetual, as the catalog names it.")],
    as_json: AsJson = False,
) -> None:
    """Add a perpetual's funding rates to its catalog, all or nothing.

    The CSV files are Tardis' derivative_ticker or Binance's fundingRate.

    Example: mm-nautilus data funding BTCUSDT-fundingRate-2025-09.csv --catalog catalog --symbol BTCUSDT-PERP
    """
    from mm_nautilus.data.funding_files import import_funding  # noqa: PLC0415 (keeps --help fast)

    with ending_on_signals("the import was interrupted; nothing was written"):
        report = import_funding(files, symbol, catalog)
    if as_json:
        print_json(report.to_dict())
        return
    late = f"; {counted(report.late, 'row')} after its payment left out" if report.late else ""
    print_line(f"{report.instrument_id} in {catalog}: {counted(report.rates, 'funding rate')}{late}")


@data_app.command("check")
def check_command(
    catalog: CatalogFolder, gap_seconds: GapSeconds = GAP_SECONDS, as_json: AsJson = False
) -> None:
    """Check a catalog; exits with 1 if something in it is wrong.

    Example: mm-nautilus data check catalog --gap-seconds 30
    """
    from mm_nautilus.data.check import check_catalog  # noqa: PLC0415

    with progress_bar("checking") as on_progress:
        report = check_catalog(catalog, gap_seconds=gap_seconds, on_progress=on_progress)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_check(report)
    if not report.ok:
        raise typer.Exit(1)


def _print_check(report: "CatalogReport") -> None:
    rows = [row for entry in report.instruments for row in _check_rows(entry)]
    if rows:
        print_table(("instrument", "type", "files", "rows", "groups", "first", "last", "longest gap s"), rows)
    for note in report.notes:
        print_line(f"note: {note}")
    for problem in report.problems:
        print_line(f"problem ({problem.kind}): {problem.text}")
    print_line(f"{report.folder}: {'clean' if report.ok else counted(len(report.problems), 'problem')}")


def _check_rows(entry: "InstrumentReport") -> list[tuple[object, ...]]:
    from mm_nautilus.data.catalog_files import format_time  # noqa: PLC0415

    name = f"{entry.instrument_id}{' (simulated)' if entry.simulated else ''}"
    return [
        (
            name,
            words,
            data.files,
            data.rows,
            data.groups if words == "book changes" else "",
            "" if data.first is None else format_time(data.first),
            "" if data.last is None else format_time(data.last),
            f"{data.longest_gap_seconds:.3f}",
        )
        for words, data in (("book changes", entry.book), ("trades", entry.trades))
    ]


@data_app.command("list")
def list_command(catalog: CatalogFolder, as_json: AsJson = False) -> None:
    """List what a catalog holds, by its files' names and footers.

    Example: mm-nautilus data list catalog
    """
    from mm_nautilus.data.catalog import catalog_contents  # noqa: PLC0415

    contents = catalog_contents(catalog)
    if as_json:
        print_json(contents)
        return
    print_table(
        ("instrument", "type", "files", "rows", "first", "last", "source"),
        [tuple(entry.values())[:-1] for entry in contents],
    )
    for reason in dict.fromkeys(entry["refused"] for entry in contents if entry["refused"]):
        print_line(f"cannot be quoted: {reason}")


@data_app.command("simulate")
def simulate_command(
    catalog: WrittenCatalog,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same data; without it, the sample's.", min=0)
    ] = None,
    minutes: Annotated[float, typer.Option(help="Length of the data, in minutes.", min=1, max=44_640)] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Fill a catalog with simulated data; without options, the sample.

    Example: mm-nautilus data simulate other --seed 7 --minutes 30
    """
    from mm_nautilus.data.simulator import SimulationConfig, write_sample  # noqa: PLC0415

    config = SimulationConfig(duration_seconds=round(minutes * 60))
    config = config if seed is None else config.model_copy(update={"seed": seed})
    words = "the simulation was interrupted; nothing was written"
    with ending_on_signals(words), progress_bar("simulating") as advance:
        write_sample(catalog, config, lambda share: advance(share, 1.0))
    if as_json:
        print_json({"catalog": str(catalog), "minutes": minutes, "seed": config.seed})
        return
    print_line(f"simulated {minutes:g} min with seed {config.seed} into {catalog}")


@data_app.command("recover")
def recover_command(catalog: WrittenCatalog, as_json: AsJson = False) -> None:
    """Move what interrupted recordings have left into their catalog.

    The next recording does the same. In an object store, what interrupted imports have left is removed instead.

    Exits with 1 if a part was put aside: its instrument does not allow its data, or an earlier version left it.

    Example: mm-nautilus data recover recordings/sandbox
    """
    from mm_nautilus.data.catalog import CatalogReader  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.data.catalog_files import waiting_sessions  # noqa: PLC0415
    from mm_nautilus.data.catalog_writer import take_back_imports  # noqa: PLC0415
    from mm_nautilus.data.recording_folder import recover  # noqa: PLC0415

    if isinstance(catalog, StoreUrl):
        taken = take_back_imports(catalog)
        if not taken.imports:
            CatalogReader(catalog).some_instruments()
        if as_json:
            print_json(taken.to_dict())
        else:
            print_line(f"{catalog}: interrupted imports: {taken.imports}, files removed: {len(taken.files)}")
        return
    if not waiting_sessions(catalog):
        CatalogReader(catalog).some_instruments()
    report = recover(catalog)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_recovery(report)
    if report.rejected:
        raise typer.Exit(1)


def _print_recovery(report: "RecoveryReport") -> None:
    for reason in report.rejected:
        print_line(f"problem: a part was not added: {reason}")
    print_line(
        f"{report.catalog}: interrupted recordings: {report.sessions}, rows added: {report.rows:,} in files: "
        f"{report.files}, bytes that could not be read: {report.torn_bytes:,}, books marked as unknown from there "
        f"on: {report.breaks}, files of past days joined: {report.joined}"
    )
