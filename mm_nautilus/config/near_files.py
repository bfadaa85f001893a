"""Suggest the file or folder that a nonexistent path most likely means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mm_nautilus.system.near_names import nearest

__all__ = ["near_file_hint", "near_folder_hint"]

_MOST_NAMES: Final = 12


def near_file_hint(path: Path, patterns: Sequence[str], noun: str, maker: str | None = None) -> str:
    """Return a hint for a missing file: the most similar file beside it, or a list of the files there.

    Parameters
    ----------
    path
        The nonexistent path.
    patterns
        Shell patterns of the files to suggest; hidden files are left out.
    noun
        Name of this kind of file in messages, without an article.
    maker
        Command that writes such a file, named if no similar file exists; None if there is no such command.
    """
    likely, words = _beside(path, patterns, noun)
    return words if likely or maker is None else f"{words}; `{maker}` writes one"


def _beside(path: Path, patterns: Sequence[str], noun: str) -> tuple[bool, str]:
    """Return whether a similar file exists, and the hint."""
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
    """Return a hint for a missing folder: the most similar folder beside it, or the last one by name.

    Parameters
    ----------
    path
        The nonexistent path.
    file
        Name of a file that marks folders of the right kind.
    noun
        Name of this kind of folder in messages, without an article.
    """
    beside = path.parent
    names = sorted(found.parent.name for found in beside.glob(f"*/{file}"))
    likely = nearest(path.name, names)
    if likely is not None:
        return f"did you mean {beside / likely}?"
    return f"the last one there is {beside / names[-1]}" if names else f"there is no {noun} in {beside}"
