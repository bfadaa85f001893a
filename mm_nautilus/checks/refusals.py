"""Why a run is refused before it begins, by the keys of its configuration."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mm_nautilus.config.problems import Problem
from mm_nautilus.errors import ConfigError, DataError

__all__ = ["RefusedRunError", "refused_for"]


class RefusedRunError(ConfigError):
    """A configuration does not fit the data, the venue or the folders that it names.

    Parameters
    ----------
    found
        What is wrong, each with the key to change. The message tells the keys; whoever read the file, and knows where
        they stand in it, tells that, too (`LoadedConfig.placing`).
    """

    def __init__(self, found: Sequence[Problem]) -> None:
        self.found = tuple(found)
        super().__init__([problem.located() for problem in found])


@contextmanager
def refused_for(*key: str) -> Iterator[None]:
    """Make what data is refused for within the block a problem of the key that names the data.

    Parameters
    ----------
    key
        The keys that lead to the value.

    Raises
    ------
    RefusedRunError
        In place of a DataError, with a problem a line.
    """
    try:
        yield
    except DataError as error:
        raise RefusedRunError([Problem(key, line) for line in str(error).splitlines()]) from error
