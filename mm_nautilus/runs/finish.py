"""Finish the folder of a live run that had no time to do so itself."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from mm_nautilus.metrics.data_types import metrics_schema
from mm_nautilus.report.derived import complete_summary
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.runs.recorder import EQUITY
from mm_nautilus.runs.row_files import join_parts, parts_folder
from mm_nautilus.runs.statistics import run_statistics
from mm_nautilus.runs.tables import FILLS
from mm_nautilus.runs.traces import ACTIONS, MARK_OUTS, MARKET, QUOTES
from mm_nautilus.system.whole_file import whole_file

__all__ = ["finish_run", "only_writer", "write_summary"]

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
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
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
    statistics = run_statistics(None, folder, is_resumed=is_resumed)
    summary = complete_summary(
        RunFiles(folder, files.summary | {"statistics": statistics}, files.config_text)
    )
    write_summary(folder, summary)


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Replace a run's summary, whole or not at all."""
    with whole_file(folder / "summary.json") as unfinished:
        unfinished.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
