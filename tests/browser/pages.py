"""Pages in the browser, and what they do that nobody asked for."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page


@dataclass
class OpenPage:
    """A page, and what it has complained of or asked for since it was opened."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def open_in(
    browser: Browser, stack: ExitStack, url: str, *, width: int, scheme: Any, patience_ms: float
) -> OpenPage:
    """Open an address in a context of its own and wait until its script has run."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    stack.callback(context.close)
    made = OpenPage(context.new_page())
    page = made.page
    page.set_default_timeout(patience_ms)
    page.on("console", lambda message: made.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on("request", lambda request: made.requests.append(request.url))
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    return made
