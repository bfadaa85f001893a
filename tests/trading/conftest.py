"""An engine for each test, disposed of before the next one is made."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scripting import Outcome, make_engine


@pytest.fixture
def run() -> Iterator[Callable[..., Outcome]]:
    """Run components over scripted market data and return what they left."""
    last: list[Outcome] = []

    def dispose() -> None:
        while last:
            last.pop().engine.dispose()

    def simulate(strategy: Any, data: list[Any], *, actors: Any = (), **venue: Any) -> Outcome:
        dispose()
        outcome = Outcome(make_engine(**venue))
        last.append(outcome)
        for actor in actors:
            outcome.engine.add_actor(actor)
        for each in strategy if isinstance(strategy, list) else [strategy]:
            outcome.engine.add_strategy(each)
        outcome.engine.add_data(data)
        outcome.engine.run()
        outcome.read()
        return outcome

    yield simulate
    dispose()
