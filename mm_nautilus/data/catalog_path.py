"""A catalog's folder by a path that the engine's queries can read."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mm_nautilus.errors import DataError

__all__ = ["engine_path"]

_PLAIN: Final = re.compile(r"[\w/.,:@=+~-]*")


@contextmanager
def engine_path(catalog: Path) -> Iterator[str]:
    """Yield a path by which the engine can read a catalog while the block runs.

    The engine puts the path into a URL as it is, so that ``#`` and ``?`` cut it off and ``%20`` means another folder.
    No way of writing the path helps, as the folder is also opened as it is. A folder with such a name is lent another
    one, a link among the temporary files.

    Raises
    ------
    DataError
        If the folder for temporary files has such a name too.
    """
    folder = str(catalog.resolve())
    if _PLAIN.fullmatch(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mm-nautilus-") as beside:
        link = Path(beside).resolve() / "catalog"
        odd = _PLAIN.sub("", str(link))
        if odd:
            raise DataError(
                f"TMPDIR must be a folder without {odd[0]!r} in its path, as the catalog {catalog} needs a link "
                f"there, was {tempfile.gettempdir()}"
            )
        link.symlink_to(folder, target_is_directory=True)
        yield str(link)
