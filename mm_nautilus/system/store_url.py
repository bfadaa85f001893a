"""Where a catalog is: in a folder, or in an object store under a URL."""

import re
from pathlib import Path, PurePosixPath
from typing import Final, Self

_SEPARATOR: Final = "://"
_URL: Final = re.compile(r"(s3|gs|az)://[a-z0-9][a-z0-9._-]*(/(?!data(/|$))\w[\w.,=+-]*)*/?", re.ASCII)
CATALOG_TEXT: Final = (
    "the path of a folder or a URL such as s3://bucket/path (or gs://, az://), no part of it data"
)


class StoreUrl(PurePosixPath):
    """A path in an object store whose text is a URL, such as ``s3://bucket/path``; it reads nothing."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", _SEPARATOR, 1)

    def absolute(self) -> Self:
        """Return the path: it is relative to nothing."""
        return self

    resolve = absolute


type CatalogPath = Path | StoreUrl


def is_url(text: str) -> bool:
    """Return whether a text is meant as a URL."""
    return _SEPARATOR in text


def catalog_path(text: str) -> CatalogPath:
    """Return a text as the place of a catalog; a ValueError says that it is a URL, but none of `CATALOG_TEXT`.

    The engine takes other characters in a URL for escapes, queries or users, so that no secret fits into one, and finds
    nothing below a folder named data.
    """
    if not is_url(text):
        return Path(text)
    if _URL.fullmatch(text) is None:
        raise ValueError(f"{CATALOG_TEXT} is needed")
    return StoreUrl(text)
