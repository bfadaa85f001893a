"""The `data export` command."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from mm_nautilus.cli.console import ending_on_signals, print_json, print_line, print_table, progress_bar
from mm_nautilus.cli.options import AsJson, CatalogFolder, EndMoment, Force, StartMoment, SymbolList
from mm_nautilus.cli.values import moment_value, symbol_names
from mm_nautilus.system.moments import nanoseconds

_INTERRUPTED: Final = "the export was interrupted; nothing was written"


def export_command(
    *,
    catalog: CatalogFolder,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder to write into; created if needed.", show_default=False)
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
    rows = [(file.name, file.instrument_id, "" if file.rows is None else file.rows) for file in report.files]
    print_table(("file", "instrument", "rows"), rows)
    print_line(f"written to {report.folder}")
