"""Write a configuration template: every key with its description, defaults commented out."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mm_nautilus.config.problems import KeyDescription, allowed_text, describe, is_section
from mm_nautilus.config.run import as_yaml_values
from mm_nautilus.config.yaml_file import yaml_pair

_INDENT: Final = "  "
_WIDTH: Final = 100
_SYMBOLS: Final = "symbols"

type Values = Mapping[tuple[str, ...], Any]
type Notes = Mapping[tuple[str, ...], str]


def template_text(
    model: type[BaseModel],
    values: Values,
    heading: Sequence[str],
    notes: Notes = MappingProxyType({}),
) -> str:
    """Return a commented configuration file.

    Descriptions begin with ``# ``; a key at its default begins with ``#`` alone, and uncommenting it changes nothing.
    Values, which must include all required keys, and notes on a symbol's own values are by their path; the heading has
    paragraphs.
    """
    paragraphs = "\n#\n".join("\n".join(_comment(paragraph, 0)) for paragraph in heading)
    return paragraphs + "\n" + "".join(f"{line}\n" for line in _section(model, (), values, notes))


def _section(model: type[BaseModel], path: tuple[str, ...], values: Values, notes: Notes) -> Iterator[str]:
    """Yield the lines of a section's keys, ``symbols`` last."""
    depth = len(path)
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] == _SYMBOLS):
        described, here = describe(model, (name,)), (*path, name)
        if described is None or field.description is None:
            raise ValueError(f"every key must have a description, was {'.'.join(here)} without one")
        yield ""
        yield from _comment(f"{field.description} [{allowed_text(described)}]{_example(described)}", depth)
        inner, is_given = described.annotation, _is_given(here, values)
        if name == _SYMBOLS:
            yield f"{_INDENT * depth}{name}:"
            yield from _symbols(here, values, notes)
        elif is_section(inner) and (is_given or not described.nullable):
            yield f"{_INDENT * depth}{'' if is_given else '#'}{name}:"
            yield from _section(inner, here, values, notes)
        else:
            value = values[here] if here in values else _default(field)
            yield from _pair(name, value, f"{_INDENT * depth}{'' if is_given else '#'}")


def _pair(name: str, value: Any, start: str) -> Iterator[str]:
    """Yield a key with its value; a mapping of mappings has one line for each."""
    if not (isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values())):
        yield f"{start}{yaml_pair(name, value)}"
        return
    yield f"{start}{name}:"
    for key, inner in value.items():
        yield f"{start}{_INDENT}{yaml_pair(key, inner)}"


def _is_given(path: tuple[str, ...], values: Values) -> bool:
    return any(given[: len(path)] == path for given in values)


def _symbols(path: tuple[str, ...], values: Values, notes: Notes) -> Iterator[str]:
    """Yield each symbol's own values, without descriptions."""
    depth = len(path)
    for symbol in dict.fromkeys(given[depth] for given in values if given[:depth] == path):
        yield f"{_INDENT * depth}{symbol}:"
        for given, value in values.items():
            if given[: depth + 1] == (*path, symbol):
                if given in notes:
                    yield from _comment(notes[given], depth + 1)
                yield f"{_INDENT * (depth + 1)}{yaml_pair(given[-1], value)}"


def _default(field: FieldInfo) -> Any:
    return as_yaml_values(field.get_default(call_default_factory=True))


def _example(described: KeyDescription) -> str:
    inner = described.annotation
    if get_origin(inner) is dict:
        entry = get_args(inner)[1]
        return f" For example {{XRP/USDT: {_flow(entry)}}}." if is_section(entry) else ""
    return f" For example {_flow(inner)}." if is_section(inner) and described.nullable else ""


def _flow(model: type[BaseModel]) -> str:
    keys = {name: field.examples[0] for name, field in model.model_fields.items() if field.examples}
    return f"{{{', '.join(yaml_pair(name, value) for name, value in keys.items())}}}"


def _comment(text: str, depth: int) -> list[str]:
    start = f"{_INDENT * depth}# "
    unbroken: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start, **unbroken)
