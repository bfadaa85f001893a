"""Webhooks whose URLs are in the environment."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from webhooks import Webhook

type MakeHook = Callable[..., Webhook]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeHook]:
    """Return a function that begins a webhook for a variable."""
    with ExitStack() as opened:

        def begun(variable: str, mood: str | int = "takes") -> Webhook:
            made = opened.enter_context(Webhook(mood))
            monkeypatch.setenv(variable, made.url)
            return made

        yield begun
