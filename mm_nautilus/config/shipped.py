"""Find configurations, catalogs and calibrations that come with the repository."""

from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDERS: Final = frozenset({"calibration", "catalog", "configs"})


def shipped_file(path: Path) -> Path:
    """Return a path, or where it does not exist, what the repository has of that name.

    The path is relative to the working directory; the repository's `configs`, `catalog` and `calibration` are searched.
    """
    is_named = path.parts[:1] and path.parts[0] in _FOLDERS and ".." not in path.parts
    if not is_named or path.exists() or not (_ROOT / path).exists():
        return path
    return _ROOT / path
