"""The folder of one run."""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.system.whole_file import reason, write_files, write_whole


def written_folders(config: RunConfig | SandboxConfig) -> dict[str, Path]:
    """Return the folders that a run writes, by their keys."""
    folders: dict[str, Path | None] = {"output.directory": config.output.directory}
    if isinstance(config, SandboxConfig):
        folders["state.directory"] = config.state.directory
        folders["recording.catalog"] = config.recording.catalog if config.recording.enabled else None
    return {key: folder for key, folder in folders.items() if folder is not None}


def refuse_unwritable_folders(config: RunConfig | SandboxConfig) -> None:
    """Raise a RefusedRunError with all folders of a run that could not be made or written, without making them."""
    problems = [
        _refused(key, folder, os.strerror(refusal))
        for key, folder in written_folders(config).items()
        if (refusal := write_refusal(folder)[1]) is not None
    ]
    if problems:
        raise RefusedRunError(problems)


def _refused(key: str, folder: Path, reason: str | None) -> Problem:
    path = tuple(key.split("."))
    return Problem(path, f"{path[-1]} must be a writable folder, was {folder}: {reason}")


def write_refusal(folder: Path) -> tuple[Path, int | None]:
    """Return a folder, or the nearest one above it that exists, and the system's number for why it is not written.

    Nothing is made. Permissions do not tell all, as nobody can make a folder in ``/proc``: a folder whose name is too
    long is refused for that reason only where others can be made.
    """
    whole = folder.absolute()
    nearest = next(path for path in (whole, *whole.parents) if path.exists())
    if not nearest.is_dir():
        return nearest, errno.ENOTDIR
    if not os.access(nearest, os.W_OK | os.X_OK):
        return nearest, errno.EACCES
    too_long = nearest / ("x" * (os.pathconf(nearest, "PC_NAME_MAX") + 1))
    try:
        too_long.mkdir()
        too_long.rmdir()
    except OSError as error:
        return nearest, None if error.errno == errno.ENAMETOOLONG else error.errno
    return nearest, None


def begun_run_folder(
    config: RunConfig | SandboxConfig, config_text: str, sources: Mapping[Path, bytes]
) -> Path:
    """Make a run's folder with its resolved configuration, calibration and modules, and return it.

    `config_text` is the configuration as YAML, and `sources` has the texts of the user's modules, by paths within the
    folder. Raises RefusedRunError if the folder or a file cannot be made.
    """
    directory = config.output.directory
    folder = new_run_folder(directory, config.name)
    try:
        files = {Path("config.yaml"): config_text.encode(), **sources}
        if config.strategy.calibration is not None:
            files[Path("calibration.yaml")] = config.strategy.calibration.read_bytes()
        write_files(folder, files)
    except OSError as error:
        shutil.rmtree(folder)
        raise RefusedRunError([_refused("output.directory", directory, reason(error))]) from error
    return folder


def new_run_folder(parent: Path, name: str, now: datetime | None = None) -> Path:
    """Make and return a new folder ``<parent>/<time>-<name>`` or, in the same second, ``<time>-<name>-2``.

    The time is UTC. Raises RefusedRunError if it cannot be made.
    """
    first = parent / f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    folder, number = first, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = first.with_name(f"{first.name}-{number}")
        except OSError as error:
            raise RefusedRunError([_refused("output.directory", parent, reason(error))]) from error
        else:
            return folder


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Replace a run's summary atomically."""
    write_whole(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
