"""Which file or folder was most likely meant by a path that leads nowhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mm_nautilus.system.near_names import nearest

__all__ = ["near_file_hint", "near_folder_hint"]

_MOST_NAMES: Final = 12


def near_file_hint(path: Path, patterns: Sequence[str], noun: str, maker: str | None = None) -> str:
    """Return the file beside a missing one that is most likely meant, all of them, or that there are none.

    Parameters
    ----------
    path
        The path that leads nowhere.
    patterns
        Which files come into question, as shell patterns; hidden ones never do.
    noun
        What such a file is called, without an article.
    maker
        The command that writes such a file, told where none is near; None where there is no such command.
    """
    likely, words = _beside(path, patterns, noun)
    return words if likely or maker is None else f"{words}; `{maker}` writes one"


def _beside(path: Path, patterns: Sequence[str], noun: str) -> tuple[bool, str]:
    """Return whether a file is near, and what to tell."""
    folder = path.parent
    found = {file.name for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    names = sorted(name for name in found if not name.startswith("."))
    likely = nearest(path.name, names)
    if likely is not None:
        return True, f"did you mean {folder / likely}?"
    if names:
        more = "" if len(names) <= _MOST_NAMES else ", ..."
        return False, f"there are {', '.join(names[:_MOST_NAMES])}{more}"
    if not folder.is_dir():
        return False, f"there is no folder {folder}"
    return False, f"there is no {noun} in {folder}"


def near_folder_hint(path: Path, file: str, noun: str) -> str:
    """Return the folder beside a missing one that is most likely meant, or the last of them by name.

    Parameters
    ----------
    path
        The path that leads nowhere.
    file
        The file that folders of the right kind have.
    noun
        What such a folder is called, without an article.
    """
    beside = path.parent
    names = sorted(found.parent.name for found in beside.glob(f"*/{file}"))
    likely = nearest(path.name, names)
    if likely is not None:
        return f"did you mean {beside / likely}?"
    return f"the last one there is {beside / names[-1]}" if names else f"there is no {noun} in {beside}"
