"""The `runs` commands: which runs there are."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mm_nautilus.cli.console import output_console, print_json, print_line
from mm_nautilus.cli.options import AsJson

runs_app = typer.Typer(
    name="runs",
    help="List runs.\n\nExample: mm-nautilus runs list",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@runs_app.command("list")
def runs_list(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"),
    sort: Annotated[
        Literal["start", "result", "bps", "drawdown", "fills", "name", "status"],
        typer.Option(help="Order: newest, best or first by name first."),
    ] = "start",
    last: Annotated[
        int | None, typer.Option(metavar="N", help="Only the N that were started last.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs with result, drawdown, fills and status.

    Example: mm-nautilus runs list runs --sort result --last 20
    """
    from mm_nautilus.report.console import PartedTable  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.report.run_list import listed_runs, plain_runs, run_table, sorted_runs  # noqa: PLC0415

    runs, problems = listed_runs(folder)
    for problem in problems:
        print_line(f"note: {problem}", err=True)
    shown = sorted_runs(sorted_runs(runs, "start")[:last], sort)
    if as_json:
        print_json({"runs": plain_runs(shown), "left_out": problems})
    elif shown:
        output_console().print(PartedTable(run_table(shown, folder)))
    else:
        print_line(f"there are no runs in {folder}")
