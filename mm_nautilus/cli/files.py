"""Files that commands write: checked before the work begins, there whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

from mm_nautilus.errors import ConfigError, MarketMakingError
from mm_nautilus.system.whole_file import naming, reason, write_whole


def target_problems(targets: Mapping[str, Path | None], *, force: bool) -> list[str]:
    """Return why files cannot be written, one text a problem.

    Parameters
    ----------
    targets
        Each file by the option that names it, None where none is given.
    force
        Whether files that exist may be replaced.
    """
    problems = []
    for option, path in targets.items():
        if path is None:
            continue
        if path.is_dir():
            problems.append(f"{option} must be a file, was the folder {path}")
        elif path.exists() and not force:
            problems.append(f"{path} exists; --force replaces it, {option} names another file")
        elif (taken := _taken_folder(path)) is not None:
            problems.append(f"{option} must lie in a folder, was {path}, and {taken} is a file")
    return problems


def _taken_folder(path: Path) -> Path | None:
    """Return what should be a folder above a path and is none."""
    nearest = next((folder for folder in path.parents if folder.exists()), None)
    return None if nearest is None or nearest.is_dir() else nearest


def refuse_targets(targets: Mapping[str, Path | None], *, force: bool) -> None:
    """Raise what `target_problems` finds.

    Raises
    ------
    ConfigError
        If there is anything.
    """
    problems = target_problems(targets, force=force)
    if problems:
        raise ConfigError(problems)


def write_target(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all; one of that name is replaced.

    Raises
    ------
    MarketMakingError
        If it cannot be written.
    """
    try:
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise MarketMakingError(f"{path} cannot be written: {reason(error)}") from error
