"""Pages that hold their own scripts and style, and allow no others."""

import base64
import functools
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mm_nautilus.system.plain_text import counted


@functools.cache
def templates(*packages: str) -> Environment:
    """Return the templates of packages, the first packages' before the others'; texts are escaped.

    A process compiles each template once, which takes a fifth of a second.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def source(environment: Environment, *names: str) -> str:
    """Return the text of scripts or styles that lie beside the templates, one after the other."""
    assert environment.loader is not None  # noqa: S101 - `templates` gives one
    return "\n".join(environment.loader.get_source(environment, name)[0] for name in names)


@functools.cache
def plotly_basic() -> str:
    """Return Plotly's basic bundle, which draws lines, marks and bars; it lies in the package (decision 23)."""
    return (files("mm_nautilus.report") / "plotly" / "plotly-basic.min.js").read_text(encoding="utf-8")


def digest(text: str) -> str:
    """Return what allows a script or a style by its text in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def html(
    environment: Environment, template: str, *, style: str, scripts: list[str], policy: str, **parts: Any
) -> str:
    """Return a page with the package's own style and scripts; what it shows is in `parts`."""
    made: str = environment.get_template(template).render(
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - the package's own, and plotly's
        policy=policy,
        style=Markup(style),  # noqa: S704 - the package's own
        counted=counted,
        **parts,
    )
    return made
