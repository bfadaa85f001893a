"""The `report` and `compare` commands: what runs have left in their folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_nautilus.cli.console import output_console, print_json, refuse_targets, write_target
from mm_nautilus.cli.options import AsJson, Force

if TYPE_CHECKING:
    from mm_nautilus.report.compare import Comparison


def report_command(
    *,
    run: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run or a search.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Rebuild report.html of a run or a search from its files.

    It is one page that opens offline.

    Example: mm-nautilus report runs/20251213T120000Z-backtest
    """
    path = _written(run)
    if as_json:
        print_json({"report": str(path), "bytes": path.stat().st_size})
    else:
        typer.echo(f"written to {path}", err=True)


def _written(folder: Path) -> Path:
    # Imported here to keep --help fast.
    from mm_nautilus.report.page import write_report  # noqa: PLC0415
    from mm_nautilus.runs.finish import finish_run, only_writer  # noqa: PLC0415
    from mm_nautilus.search.page import write_search_page  # noqa: PLC0415
    from mm_nautilus.search.search_files import SEARCH  # noqa: PLC0415

    if (folder / SEARCH).is_file():
        return write_search_page(folder)
    with only_writer(folder):
        finish_run(folder)
        return write_report(folder)


def compare_command(
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_DIR...", help="Folders of runs, or of several runs each.", show_default=False
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write the comparison as an HTML page."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="Run the others are compared with; the first by default."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show runs side by side: what differs, figures, PnL.

    Example: mm-nautilus compare runs/20251213T120000Z-backtest runs/20251213T120100Z-backtest --html both.html
    """
    refuse_targets({"--html": html}, force=force)
    # Imported here to keep --help fast.
    from mm_nautilus.report.compare import compare_runs  # noqa: PLC0415
    from mm_nautilus.report.comparison_view import comparison_view, plain_comparison  # noqa: PLC0415

    comparison = compare_runs(runs, baseline)
    if html is not None:
        _write_page(comparison, html)
    if as_json:
        print_json(plain_comparison(comparison))
    else:
        output_console().print(comparison_view(comparison))


def _write_page(comparison: "Comparison", path: Path) -> None:
    from mm_nautilus.report.comparison_view import comparison_parts  # noqa: PLC0415
    from mm_nautilus.report.page import render  # noqa: PLC0415

    write_target(path, render("compare.html.jinja", **comparison_parts(comparison)))
    typer.echo(f"written to {path}", err=True)
