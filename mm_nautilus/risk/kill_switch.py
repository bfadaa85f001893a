"""The files by which a run is halted and resumed from outside.

Beside a state file ``NAME.json`` there may be ``NAME.halt``: while it exists, and after it until somebody resumes,
nothing is quoted; and ``NAME.resume``: the wish to go on, which the run removes when it does. Both are written
atomically; whatever else stands under a halt file's name halts as well: an empty file, a folder, a pipe, a link to
nowhere.
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

__all__ = ["HaltOrder", "KillSwitch"]

_UNSIGNED: Final = "the halt file"
_LONGEST_TEXT: Final = 200
_MOST_BYTES: Final = 4_096
"""How much of a halt file is read."""


@dataclass(frozen=True, slots=True)
class HaltOrder:
    """What a halt file asks for.

    Parameters
    ----------
    reason
        Who or what wants the halt, in words.
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

    Attributes
    ----------
    halt_path, resume_path
        The two files.
    """

    def __init__(self, state_path: Path) -> None:
        self.halt_path = state_path.with_suffix(".halt")
        self.resume_path = state_path.with_suffix(".resume")

    @property
    def is_resume_wanted(self) -> bool:
        """Whether somebody asks to go on, and nobody to halt."""
        return self.resume_path.exists() and not os.path.lexists(self.halt_path)

    def order(self) -> HaltOrder | None:
        """Return what the halt file asks for, None where there is none; whatever it is, it halts at once."""
        try:
            content = read_at_once(self.halt_path, _MOST_BYTES)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(self.halt_path):
                return None
            return HaltOrder(f"{_UNSIGNED}, which cannot be read: {error.strerror}")
        return _order(content.decode(errors="replace"))

    def halt(self, order: HaltOrder) -> None:
        """Ask for a halt; a wish to resume from before is forgotten.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        asked_at = datetime.now(UTC).isoformat(timespec="seconds")
        document = {"reason": order.reason, "flatten": order.flatten, "asked_at": asked_at}
        _write(self.halt_path, document)
        self.resume_path.unlink(missing_ok=True)

    def resume(self) -> None:
        """Ask to go on: halts of every kind are cleared.

        Raises
        ------
        OSError
            If a file cannot be written or removed.
        """
        _write(self.resume_path, {"asked_at": datetime.now(UTC).isoformat(timespec="seconds")})
        self.halt_path.unlink(missing_ok=True)

    def clear_halt(self) -> None:
        """Remove the halt file, because a resume came in another way.

        Raises
        ------
        OSError
            If the file cannot be removed.
        """
        self.halt_path.unlink(missing_ok=True)

    def take_resume(self) -> None:
        """Remove the wish to go on, which is fulfilled once.

        Raises
        ------
        OSError
            If the file cannot be removed.
        """
        self.resume_path.unlink(missing_ok=True)


def _order(text: str) -> HaltOrder:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        written = _shown(" ".join(text.split()))
        return HaltOrder(f"{_UNSIGNED}: {written}" if written else _UNSIGNED)
    flatten, reason = document.get("flatten"), document.get("reason")
    words = _shown(reason) if isinstance(reason, str) else ""
    return HaltOrder(words or _UNSIGNED, flatten if isinstance(flatten, bool) else None)


def _shown(text: str) -> str:
    """Return a reason as it may be printed, logged and published."""
    return printable(text)[:_LONGEST_TEXT]


def _write(path: Path, document: dict[str, Any]) -> None:
    """Write a file so that it is never seen half written, also after a power cut, and by whichever thread."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{threading.get_native_id()}.tmp")
    replace_file(path, f"{json.dumps(document)}\n".encode(), temporary)
