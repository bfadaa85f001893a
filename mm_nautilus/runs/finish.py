"""Finish the folder of a run: join the parts of its tables, and complete its summary from them."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from mm_nautilus.metrics.data_types import metrics_schema
from mm_nautilus.report.derived import complete_summary
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.runs.folder import write_summary
from mm_nautilus.runs.recorder import EQUITY
from mm_nautilus.runs.row_files import join_parts, parts_folder
from mm_nautilus.runs.statistics import run_statistics
from mm_nautilus.runs.tables import FILLS
from mm_nautilus.runs.traces import ACTIONS, MARK_OUTS, MARKET, QUOTES
from mm_nautilus.system.file_lock import take_lock

__all__ = ["finish_run", "only_writer", "write_completed"]

_ENDED: Final = frozenset({"completed", "interrupted", "failed"})
"""What a summary's status is called after the end; before, its process may still write."""


def _tables() -> Mapping[str, pa.Schema]:
    """Return the tables of a live run."""
    return {
        "market": MARKET,
        "quotes": QUOTES,
        "mark_outs": MARK_OUTS,
        "actions": ACTIONS,
        "equity": EQUITY,
        "fills": FILLS,
        "metrics": metrics_schema(),
    }


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process finishes a run's folder, and keep others waiting until this one has.

    A folder that is not there is left to whoever reads it to complain of.

    Parameters
    ----------
    folder
        The run's folder.
    """
    if not folder.is_dir():
        yield
        return
    handle = take_lock(folder, math.inf, flags=os.O_RDONLY)
    try:
        yield
    finally:
        os.close(handle)


def finish_run(folder: Path) -> None:
    """Join the parts of a run's tables and add to its summary what follows from them, where that was left undone.

    A run that a signal ends has only seconds. One that goes on, or was killed, is left as it is.

    Parameters
    ----------
    folder
        The run's folder.

    Raises
    ------
    DataError
        If the folder is not a run's, or a file in it is missing or damaged.
    OSError
        If a file cannot be written.
    """
    files = RunFiles.read(folder)
    if files.is_complete or files.summary["status"] not in _ENDED:
        return
    for name, schema in _tables().items():
        path = folder / f"{name}.parquet"
        if parts_folder(path).is_dir():
            join_parts(path, schema)
    is_resumed = bool(files.summary.get("start", {}).get("is_resumed", False))
    write_completed(files, is_resumed=is_resumed)


def write_completed(files: RunFiles, result: Any = None, *, is_resumed: bool = False) -> dict[str, Any]:
    """Write and return a run's summary with what only its tables tell, which are closed.

    Parameters
    ----------
    files
        The run, with the summary as far as it goes.
    result, is_resumed
        As for `run_statistics`.
    """
    statistics = run_statistics(result, files.folder, is_resumed=is_resumed)
    summary = complete_summary(replace(files, summary=files.summary | {"statistics": statistics}))
    write_summary(files.folder, summary)
    return summary
