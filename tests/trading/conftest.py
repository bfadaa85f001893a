"""An engine for each test, disposed of before the next one is made."""

from collections.abc import Callable, Iterator

import pytest
from scripting import Outcome, engine_runs


@pytest.fixture
def run() -> Iterator[Callable[..., Outcome]]:
    """Run components over scripted market data and return what they left."""
    with engine_runs() as simulate:
        yield simulate
