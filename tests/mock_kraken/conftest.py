"""Asynchronous tests on a venue that is served in their own event loop."""

import asyncio
import inspect
from collections.abc import Iterator

import pytest
from venue_client import Served, serving

RUNNER = pytest.StashKey[asyncio.Runner]()


@pytest.fixture
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A venue that plays the sample; paused, unless `on` gives other options."""
    options = dict(getattr(request, "param", {"paused": True}))
    if "heartbeat_seconds" in options:
        monkeypatch.setattr(
            "mm_nautilus.mock_kraken.server._HEARTBEAT_SECONDS", options.pop("heartbeat_seconds")
        )
    with asyncio.Runner() as runner:
        venue = serving(**options)
        request.node.stash[RUNNER] = runner
        yield runner.run(venue.__aenter__())
        runner.run(venue.__aexit__(None, None, None))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    pyfuncitem.stash[RUNNER].run(pyfuncitem.obj(**given))
    return True
