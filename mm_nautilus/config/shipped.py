"""Files and folders that come with the package."""

from pathlib import Path
from typing import Final

__all__ = ["shipped_file"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDERS: Final = frozenset({"calibration", "catalog", "configs"})


def shipped_file(path: Path) -> Path:
    """Return where a file or folder is that may have come with the package.

    Parameters
    ----------
    path
        A path from the working directory. Where nothing is there, and it names something in `configs`, `catalog` or
        `calibration` that the repository has, that is returned.
    """
    is_named = path.parts[:1] and path.parts[0] in _FOLDERS and ".." not in path.parts
    if not is_named or path.exists() or not (_ROOT / path).exists():
        return path
    return _ROOT / path
