"""What is left and told of a run that failed."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mm_nautilus.errors import RunFailedError
from mm_nautilus.runs.components import raised_by
from mm_nautilus.runs.folder import write_summary
from mm_nautilus.system.whole_file import failure_text, write_whole
from mm_nautilus.trading.fail_fast import CallbackFailure

__all__ = ["Failure", "note_failed", "run_failed"]

type Failure = CallbackFailure | Exception | str
"""What made a run fail: what a callback or the engine raised, or words."""

_FILE: Final = "failure.txt"


def run_failed(folder: Path, failure: Failure) -> RunFailedError:
    """Write what made a run fail to ``failure.txt`` in its folder, and return what is to be told of it.

    Parameters
    ----------
    folder
        The run's folder.
    failure
        What went wrong.
    """
    words, details = _told(failure)
    refused = raised_by(lambda: write_whole(folder / _FILE, f"{words}\n{details}"))
    place = f"see {folder / _FILE}" if refused is None else f"{_FILE} could not be written either"
    return RunFailedError(f"the run failed: {words}; {place}, what could be saved is in {folder}")


def note_failed(folder: Path, summary: Mapping[str, Any]) -> None:
    """Say in a run's summary that it failed, with less of it where that is all there is room for.

    A summary that says otherwise goes.

    Parameters
    ----------
    folder
        The run's folder.
    summary
        What is known of the run.
    """
    (folder / "summary.json").unlink(missing_ok=True)  # its room is needed where the disk is full
    failed = {**summary, "status": "failed"}
    if raised_by(lambda: write_summary(folder, failed)) is not None:
        raised_by(lambda: write_summary(folder, {key: failed[key] for key in ("name", "status")}))


def _told(failure: Failure) -> tuple[str, str]:
    """Return a failure in one line, and its traceback."""
    if isinstance(failure, str):
        first, _, rest = failure.partition("\n")
        return first, rest
    error = failure.error if isinstance(failure, CallbackFailure) else failure
    details = "".join(traceback.format_exception(error))
    if isinstance(error, OSError):
        return failure_text(error), details
    if isinstance(failure, CallbackFailure):
        return f"{failure.callback} raised {error!r}", details
    return str(error) or repr(error), details
