"""Errors that refuse a run before it begins, with the configuration keys to change."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mm_nautilus.config.problems import Problem
from mm_nautilus.errors import ConfigError, DataError


class RefusedRunError(ConfigError):
    """A configuration does not fit the data, the venue or the folders that it names.

    Each problem has the key to change. The message names the keys; `LoadedConfig.placing` adds their lines.
    """

    def __init__(self, found: Sequence[Problem]) -> None:
        self.found = tuple(found)
        super().__init__([problem.located() for problem in found])


@contextmanager
def refused_for(*key: str) -> Iterator[None]:
    """Turn a `DataError` in the block into a `RefusedRunError`: a problem a line, of the key that names the data."""
    try:
        yield
    except DataError as error:
        raise RefusedRunError([Problem(key, line) for line in str(error).splitlines()]) from error
