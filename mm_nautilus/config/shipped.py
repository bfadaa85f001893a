"""Find configurations, catalogs and calibrations that come with the repository."""

from pathlib import Path
from typing import Final

__all__ = ["shipped_file"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDERS: Final = frozenset({"calibration", "catalog", "configs"})


def shipped_file(path: Path) -> Path:
    """Return a path, or the shipped file or folder of that name if the path does not exist.

    Parameters
    ----------
    path
        A path relative to the working directory. If it does not exist, but names something in the repository's
        `configs`, `catalog` or `calibration`, that is returned.
    """
    is_named = path.parts[:1] and path.parts[0] in _FOLDERS and ".." not in path.parts
    if not is_named or path.exists() or not (_ROOT / path).exists():
        return path
    return _ROOT / path
