"""The halt and resume files, by which other processes control a run.

Both lie beside the state file ``NAME.json``. ``NAME.halt`` halts the run until a resume, also once the file is gone.
``NAME.resume`` asks to resume; the run removes it when it does. Both are written atomically. Anything else with the
halt file's name halts as well: an empty file, a folder, a pipe, a broken link.
"""

import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mm_nautilus.system.plain_text import printable
from mm_nautilus.system.private_file import read_at_once, replace_file

_UNSIGNED: Final = "the halt file"
_UNSIGNED_RESUME: Final = "the resume file"
_LONGEST_TEXT: Final = 200
_MOST_BYTES: Final = 4_096
"""Largest part of a halt file that is read, bytes."""


@dataclass(frozen=True, slots=True)
class HaltOrder:
    """The content of a halt file.

    Parameters
    ----------
    flatten
        Whether positions are closed at market; None leaves it to the configuration.
    """

    reason: str
    flatten: bool | None = None


class KillSwitch:
    """Write, read and remove one run's halt and resume files.

    Parameters
    ----------
    state_path
        The run's state file, ``NAME.json``; it need not exist yet.
    """

    def __init__(self, state_path: Path) -> None:
        self.halt_path = state_path.with_suffix(".halt")
        self.resume_path = state_path.with_suffix(".resume")

    @property
    def is_resume_wanted(self) -> bool:
        """Whether there is a resume file and no halt file."""
        return self.resume_path.exists() and not os.path.lexists(self.halt_path)

    def order(self) -> HaltOrder | None:
        """Return the halt file's order, None without a file; an unreadable file is an order too."""
        try:
            content = read_at_once(self.halt_path, _MOST_BYTES)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(self.halt_path):
                return None
            return HaltOrder(f"{_UNSIGNED}, which cannot be read: {error.strerror}")
        return _order(content.decode(errors="replace"))

    def halt(self, order: HaltOrder) -> None:
        """Write the halt file and remove an earlier resume file.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        asked_at = datetime.now(UTC).isoformat(timespec="seconds")
        document = {"reason": order.reason, "flatten": order.flatten, "asked_at": asked_at}
        _write(self.halt_path, document)
        self.resume_path.unlink(missing_ok=True)

    def resume_reason(self) -> str:
        """Return what the resume file says of who or what asks."""
        try:
            content = read_at_once(self.resume_path, _MOST_BYTES)
        except OSError:  # a folder with this name asks, too
            return _UNSIGNED_RESUME
        reason = _document(content.decode(errors="replace")).get("reason")
        return (_shown(reason) if isinstance(reason, str) else "") or _UNSIGNED_RESUME

    def resume(self, reason: str) -> None:
        """Write the resume file, which clears halts of every kind, and remove the halt file.

        `reason` says who or what asks, such as ``the resume command``.

        Raises
        ------
        OSError
            If a file cannot be written or removed.
        """
        asked_at = datetime.now(UTC).isoformat(timespec="seconds")
        _write(self.resume_path, {"reason": reason, "asked_at": asked_at})
        self.halt_path.unlink(missing_ok=True)


def _document(text: str) -> dict[str, Any]:
    """Return a file's mapping, an empty one if it holds something else."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _order(text: str) -> HaltOrder:
    document = _document(text)
    if not document and text.strip() != "{}":
        written = _shown(" ".join(text.split()))
        return HaltOrder(f"{_UNSIGNED}: {written}" if written else _UNSIGNED)
    flatten, reason = document.get("flatten"), document.get("reason")
    words = _shown(reason) if isinstance(reason, str) else ""
    return HaltOrder(words or _UNSIGNED, flatten if isinstance(flatten, bool) else None)


def _shown(text: str) -> str:
    """Return a reason as printable text, shortened."""
    return printable(text)[:_LONGEST_TEXT]


def _write(path: Path, document: dict[str, Any]) -> None:
    """Write a file atomically, safe against power cuts and several threads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{threading.get_native_id()}.tmp")
    replace_file(path, f"{json.dumps(document)}\n".encode(), temporary)
