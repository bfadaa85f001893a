"""The live page and its sign-in as HTML: all that a browser needs, in one answer."""

from typing import Any, NamedTuple

from mm_nautilus.live_view.document import ACCOUNT_FIGURES, FILL_COLUMNS, SYMBOL_FIGURES
from mm_nautilus.report.html import digest, html, source, templates


class Page(NamedTuple):
    """A page's text, and the policy to send with it: its own script and style, requests to where it came from."""

    html: str
    policy: str


def live_page(name: str, *, can_halt: bool, resume_words: str) -> Page:
    """Return the live page of a run, with or without a halt button; `resume_words` are the command that clears a halt.

    What it shows comes from the server while it is open.
    """
    labels = {
        "account": [label._asdict() for label in ACCOUNT_FIGURES],
        "symbol": [label._asdict() for label in SYMBOL_FIGURES],
        "fill": [label._asdict() for label in FILL_COLUMNS],
    }
    return _page(
        "live.html.jinja", "live.js", name=name, can_halt=can_halt, labels=labels, resume_words=resume_words
    )


def sign_in_page(token_variable: str) -> Page:
    """Return the page that asks for the token, which is found in an environment variable."""
    return _page("sign_in.html.jinja", "sign_in.js", token_variable=token_variable)


def _page(template: str, script_name: str, **parts: Any) -> Page:
    environment = templates("mm_nautilus.live_view", "mm_nautilus.report")
    style = source(environment, "page.css", "live.css")
    script = source(environment, "theme.js", script_name)
    policy = (
        f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    text = html(environment, template, style=style, scripts=[script], policy=policy, **parts)
    return Page(text, f"{policy}; frame-ancestors 'none'")
