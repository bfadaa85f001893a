"""The `search` command."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mm_nautilus.cli.completion import config_files, search_names
from mm_nautilus.cli.console import ending_on_signals, print_json, print_line, print_table, progress_bar
from mm_nautilus.cli.options import AsJson, Overrides, Quiet, may_be_shipped
from mm_nautilus.errors import ConfigError, StoppedRunError
from mm_nautilus.system.ending_signals import ending_signals
from mm_nautilus.system.plain_text import counted

if TYPE_CHECKING:
    from mm_nautilus.search.run_search import OnProgress, SearchOutcome
    from mm_nautilus.search.runners import Runner
    from mm_nautilus.search.search_files import SearchFiles

_DIRECTORY: Final = Path("searches")
_WORDS: Final = {"config": "CONFIG", "space": "SPACE", "objectives": "--objective", "overrides": "--set"}
"""What settings are called on the command line, where that is another name."""
_FILE: Any = {"autocompletion": config_files, "callback": may_be_shipped, "show_default": False}


_ConfigFile = Annotated[
    Path | None, typer.Argument(help="The YAML file of the run whose parameters are searched.", **_FILE)
]
_SpaceFile = Annotated[Path | None, typer.Argument(help="The YAML file of the values to search.", **_FILE)]
_Grid = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=V,V", help="Values of one key instead of a file, each tried; repeatable."),
]
_Trials = Annotated[
    int | None, typer.Option(metavar="N", help="Points to try in each fold.", show_default="50")
]
_Jobs = Annotated[
    int | None, typer.Option(metavar="N", help="Trials that run at once.", show_default="one a core")
]
_Ray = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Run trials on a Ray cluster: HOST:PORT, auto or local.")
]
_Folds = Annotated[
    int | None, typer.Option(metavar="K", help="Tests, each after its own training.", show_default="1")
]
_TrainShare = Annotated[
    float | None,
    typer.Option(metavar="S", help="Share of the data before the first test.", show_default="0.5"),
]
_Objectives = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Figure to optimise; repeatable.", show_default="pnl_bps"),
]
_Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Database of the trials, for several machines.", show_default="a file"),
]
_Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of the sampler.", show_default="0")]
_Resume = Annotated[
    str | None, typer.Option(metavar="ID", help="Go on with an earlier search.", autocompletion=search_names)
]
_Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Parent of the search's folder.", show_default="searches")
]


def search_command(
    *,
    config: _ConfigFile = None,
    space: _SpaceFile = None,
    grid: _Grid = None,
    trials: _Trials = None,
    jobs: _Jobs = None,
    ray: _Ray = None,
    folds: _Folds = None,
    train_share: _TrainShare = None,
    objective: _Objectives = None,
    storage: _Storage = None,
    seed: _Seed = None,
    resume: _Resume = None,
    out: _Out = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search parameters, and test the best out of sample.

    It ends with a verdict: evidence, or no evidence.

    Example: mm-nautilus search configs/backtest.yaml --grid strategy.min_spread_pct=0.04,0.06
    """
    with ending_on_signals("interrupted before the search began; nothing was written"):
        runner = _runner(jobs, ray)
        directory = out or _DIRECTORY
        settings = {
            **{"config": config, "overrides": overrides, "space": space, "grid": grid, "folds": folds},
            **{"train_share": train_share, "objectives": objective, "seed": seed},
        }
        given = {name: value for name, value in settings.items() if value not in (None, [])}
        if resume is not None:
            search = _resumed(resume, directory, given, trials, storage)
        else:
            search = _new(
                given | {"directory": directory, "trials": trials, "storage": storage}, warns=not quiet
            )
        try:
            with _progress(shows=not (quiet or as_json)) as on_progress, runner:
                outcome = _searched(search, runner, on_progress)
        except StoppedRunError as stopped:
            if as_json:
                print_json(stopped.outcome.document)
            raise
    print_search(outcome, as_json=as_json, quiet=quiet)


type _Search = Callable[["Runner", "OnProgress"], "SearchOutcome"]


def _searched(search: _Search, runner: "Runner", on_progress: "OnProgress") -> "SearchOutcome":
    """Run a search; a signal that comes after it, while its runner ends, can stop nothing and is ignored."""
    try:
        return search(runner, on_progress)
    finally:
        for number in ending_signals():
            signal.signal(number, signal.SIG_IGN)


def _runner(jobs: int | None, ray: str | None) -> "Runner":
    from mm_nautilus.search.runners import pool_runner, ray_runner, usable_cores  # noqa: PLC0415

    if ray is None:
        if jobs is not None and jobs < 1:
            raise ConfigError(f"--jobs must be at least 1, was {jobs}")
        return pool_runner(usable_cores() if jobs is None else jobs)
    if jobs is not None:
        raise ConfigError(f"--jobs must be left out with --ray, whose cluster decides, was {jobs}")
    return ray_runner(ray)


def _new(settings: dict[str, Any], *, warns: bool) -> _Search:
    """Check a new search, and return what runs it; the settings are those of `SearchOptions`."""
    from mm_nautilus.checks.grouped_warnings import grouped_warnings  # noqa: PLC0415
    from mm_nautilus.search.plan import SearchOptions, draft  # noqa: PLC0415
    from mm_nautilus.search.run_search import run_search  # noqa: PLC0415

    if "config" not in settings:
        raise ConfigError("CONFIG must be the YAML file of a run, was left out")
    drafted = draft(SearchOptions(**settings))
    for warning in grouped_warnings(drafted.warnings) if warns else []:
        print_line(warning, err=True)
    return lambda runner, on_progress: run_search(drafted, runner, on_progress)


def _resumed(
    name: str, directory: Path, given: dict[str, Any], trials: int | None, storage: str | None
) -> _Search:
    """Check an earlier search, and return what goes on with it."""
    from mm_nautilus.search.plan import find_search, reopen  # noqa: PLC0415
    from mm_nautilus.search.run_search import resume_search  # noqa: PLC0415

    if given:
        words = [_WORDS.get(name, f"--{name.replace('_', '-')}") for name in given]
        text = "--resume goes on with what the search had, and must stand without what is part of that"
        raise ConfigError(f"{text}, was beside {', '.join(words)}")
    folder = find_search(directory, name)
    plan = reopen(folder, trials, storage)
    return lambda runner, on_progress: resume_search(plan, folder, runner, on_progress)


@contextmanager
def _progress(*, shows: bool) -> "Iterator[OnProgress]":
    """Show a bar with the best value so far."""
    if not shows:
        yield lambda _done, _total, _words: None
        return
    with progress_bar("searching") as advance:
        yield lambda done, total, words: advance(done, total, f"searching, {words}" if words else None)


def print_search(outcome: "SearchOutcome", *, as_json: bool, quiet: bool) -> None:
    """Print what each fold's winner and the configuration as it was did, and the verdict."""
    document = outcome.document
    if as_json:
        print_json(document)
    if quiet or as_json:
        return
    from mm_nautilus.search.search_files import ROLES, SearchFiles  # noqa: PLC0415

    files = SearchFiles(outcome.folder)
    others = [it for it in files.objectives[:1] if it.name != "pnl"]
    rows = []
    for fold in files.folds:
        for words, found in (("as it was", files.baseline), ("winner", files.winner)):
            runs = [found(fold, role) for role in ROLES]
            cells = ([*(files.text(it, run) for it in others), files.money(run, "pnl")] for run in runs)
            rows.append([f"fold {fold + 1}, {words}", *(text for texts in cells for text in texts)])
    names = [f"{name}, {role}" for role in ROLES.values() for name in (*(it.name for it in others), "PnL")]
    print_table(["", *names], rows)
    for line in [*_winner_lines(files), *_failure_lines(files), *document["verdict"]["lines"]]:
        print_line(line)
    print_line(f"written to {outcome.folder / 'report.html'}", err=True)


def _winner_lines(files: "SearchFiles") -> Iterator[str]:
    """Yield the parameters of each fold's winner, and how it was chosen among several objectives."""
    from mm_nautilus.search.search_files import PARAMETER, parameter_text  # noqa: PLC0415

    for fold in files.folds:
        run = files.winner(fold, "train")
        values = [f"{key.removeprefix(PARAMETER)}={parameter_text(run[key])}" for key in files.keys if run]
        whose = f"winner of fold {fold + 1}" if len(files.folds) > 1 else "winner"
        yield f"{whose}: {', '.join(values)}"
    if len(files.objectives) > 1:
        names = ", ".join(it.name for it in files.objectives)
        yield (
            f"Of the trials that no other one beats in all of {names}, the winner has the best "
            f"{files.objectives[0].name}."
        )


def _failure_lines(files: "SearchFiles") -> Iterator[str]:
    """Yield how many trials failed and how many points were refused, with the first reason."""
    ever = counted(files.document["trials"]["ever"], "trial")
    for state, words in {"failed": f"of {ever} failed", "refused": "of the points {was} refused"}.items():
        errors = [run["error"] for run in files.runs if run["state"] == state]
        if errors:
            was, such_as = ("was", "") if len(errors) == 1 else ("were", ", such as")
            yield f"{len(errors)} {words.format(was=was)}{such_as}: {errors[0]}"
