"""Wait for what a page computes by itself."""

from typing import Any

import pytest
from playwright.sync_api import Page

_LOOKS = 1_200
_LOOK_MS = 50


def wait_until(page: Page, expression: str, arg: Any = None) -> None:
    """Evaluate an expression until it is true.

    Each look is a call of its own: one that waited inside the page would be evaluated by it, which its security
    policy forbids.
    """
    for _ in range(_LOOKS):
        if page.evaluate(expression, arg):
            return
        page.wait_for_timeout(_LOOK_MS)
    pytest.fail(f"it never came to be that {expression}")
