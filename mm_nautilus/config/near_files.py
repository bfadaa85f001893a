"""Suggest the file or folder that a nonexistent path most likely means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mm_nautilus.system.near_names import nearest

_MOST_NAMES: Final = 12


def near_file_hint(path: Path, patterns: Sequence[str], noun: str, maker: str | None = None) -> str:
    """Return a hint for a missing file: the most similar file beside it, or a list of the files there.

    The patterns, of the shell, are those of the files to suggest; hidden files are left out. The noun names this kind
    of file in messages, without an article; the maker is a command that writes one, named if no file is similar.
    """
    folder = path.parent
    found = {file.name for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    names = sorted(name for name in found if not name.startswith("."))
    likely = nearest(path.name, names)
    if likely is not None:
        return f"did you mean {folder / likely}?"
    words = f"there is no {noun} in {folder}" if folder.is_dir() else f"there is no folder {folder}"
    if names:
        more = "" if len(names) <= _MOST_NAMES else ", ..."
        words = f"there are {', '.join(names[:_MOST_NAMES])}{more}"
    return words if maker is None else f"{words}; `{maker}` writes one"


def near_folder_hint(path: Path, file: str, noun: str) -> str:
    """Return a hint for a missing folder: the most similar folder beside it, or the last one by name.

    The file's name marks folders of the right kind, which messages call by the noun, without an article.
    """
    beside = path.parent
    names = sorted(found.parent.name for found in beside.glob(f"*/{file}"))
    likely = nearest(path.name, names)
    if likely is not None:
        return f"did you mean {beside / likely}?"
    return f"the last one there is {beside / names[-1]}" if names else f"there is no {noun} in {beside}"
