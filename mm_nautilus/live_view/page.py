"""The live page and its sign-in as HTML: all that a browser needs, in one answer."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mm_nautilus.live_view.document import ACCOUNT_FIGURES, FILL_COLUMNS, SYMBOL_FIGURES

_STYLES: Final = ("page.css", "live.css")
"""The reports' own, and what the live page adds."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Parameters
    ----------
    html
        Its text.
    policy
        The content security policy to send with it: its own script and style, requests to where it came from.
    """

    html: str
    policy: str


def live_page(name: str, *, can_halt: bool, resume_words: str) -> Page:
    """Return the live page; what it shows comes from the server while it is open.

    Parameters
    ----------
    name
        The run's name.
    can_halt
        Whether there is a halt button.
    resume_words
        The command that clears a halt.
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
    """Return the page that asks for the token.

    Parameters
    ----------
    token_variable
        Where the token is found, for those who look for it.
    """
    return _page("sign_in.html.jinja", "sign_in.js", token_variable=token_variable)


def _page(template: str, script_name: str, **parts: Any) -> Page:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("mm_nautilus.live_view"), PackageLoader("mm_nautilus.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = "\n".join(_source(environment, name) for name in _STYLES)
    script = "\n".join(_source(environment, name) for name in ("theme.js", script_name))
    policy = _policy(script, style)
    html = environment.get_template(template).render(
        style=Markup(style),  # noqa: S704 - the package's own
        scripts=[Markup(script)],  # noqa: S704 - the package's own
        policy=policy,
        data=lambda value: Markup(_json(value)),  # noqa: S704 - escaped for where it stands
        **parts,
    )
    return Page(html, f"{policy}; frame-ancestors 'none'")


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None  # noqa: S101 - given above
    return loader.get_source(environment, name)[0]


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> str:
    """Return JSON that can stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
