"""YAML text to plain values that remember their lines, refusing what YAML 1.1 would quietly misread."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from mm_nautilus.config.problems import shown, shown_key

__all__ = ["MOST_VALUES", "SourceProblem", "YamlNode", "plain_value", "read_yaml", "scalar_value"]

_MOST_DEPTH: Final = 20
MOST_VALUES: Final = 20_000
"""Values a text may expand to; aliases of aliases would otherwise grow without limit."""

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SIGNED: Final = r"[-+]?"
_EXPONENT: Final = r"([eE][-+]?[0-9]{1,4})?"
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_DIGITS: Final = r"(([0-9]|[1-9][0-9]{1,39})(\.[0-9]{0,60})?|\.[0-9]{1,60})"
_DECIMAL: Final = re.compile(_SIGNED + _DIGITS + _EXPONENT)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MERGE_KEY: Final = "<<"


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Something wrong with the text itself.

    Parameters
    ----------
    line
        Line of the text, from 1.
    message
        What is wrong, with the value given and what is allowed.
    column
        Column of the line, from 1, where the text cannot be read at all.
    """

    line: int
    message: str
    column: int | None = None


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A value with the line it stands on.

    Parameters
    ----------
    value
        A scalar (text, number, boolean or None), a list of nodes, or nodes by key.
    line
        Line of the key that has the value, or of the value where it has none, from 1.
    """

    value: Any
    line: int

    def lines(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the path and the line of this node and of all below it."""
        yield path, self.line
        for key, inner in self._items():
            yield from inner.lines((*path, key))

    def _items(self) -> Iterator[tuple[str, "YamlNode"]]:
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from ((str(index), inner) for index, inner in enumerate(self.value))


def plain_value(node: YamlNode) -> Any:
    """Return a node's value without lines, as dictionaries, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain_value(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [plain_value(inner) for inner in node.value]
    return node.value


def scalar_value(text: str) -> Any:
    """Return what an unquoted scalar means: null, true, false, a plain decimal number, or else a text.

    What YAML 1.1 would also read as a number or a boolean (``no``, ``1_000``, ``1:30``, ``010``, dates) stays
    a text, and is refused where none belongs.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else text


class _StopReadingError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = SourceProblem(line, message)


@dataclass(slots=True)
class _Reader:
    """Composes nodes from the parser's events."""

    events: Iterator[Event]
    most_values: int
    problems: list[SourceProblem] = field(default_factory=list)
    anchors: dict[str, YamlNode | None] = field(default_factory=dict)
    values: int = 0

    def document(self) -> YamlNode | None:
        """Read the only document, None where there is none."""
        root: YamlNode | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise _StopReadingError(
                        _line(event), "the text must be one YAML document, was a second one"
                    )
                root = self.node(next(self.events), 0)
            elif isinstance(event, StreamEndEvent):
                break
        return root

    def node(self, event: Event, depth: int) -> YamlNode:
        """Read one value, the first event of which is given."""
        self._count(event, 1)
        if depth > _MOST_DEPTH:
            text = f"values must be nested at most {_MOST_DEPTH} deep, was deeper"
            raise _StopReadingError(_line(event), text)
        if isinstance(event, AliasEvent):
            return self._alias(event)
        anchor = event.anchor if isinstance(event, NodeEvent) else None
        if anchor is not None:
            self.anchors[anchor] = None
        node = YamlNode(self._content(event, depth), _line(event))
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def _count(self, event: Event, number: int) -> None:
        self.values += number
        if self.values > self.most_values:
            raise _StopReadingError(
                _line(event), f"a text must hold at most {self.most_values} values, was more"
            )

    def _alias(self, event: AliasEvent) -> YamlNode:
        node = self.anchors.get(str(event.anchor))
        if node is None:
            known = ", ".join(f"*{name}" for name in self.anchors) or "none"
            text = f"an alias must name an anchor that is complete above it ({known}), was *{event.anchor}"
            raise _StopReadingError(_line(event), text)
        self._count(event, sum(1 for _ in node.lines()))
        return node

    def _content(self, event: Event, depth: int) -> Any:
        if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent) and event.tag is not None:
            self.problems.append(
                SourceProblem(
                    _line(event), f"values must have no YAML tag, was {event.tag.removeprefix('tag:')}"
                )
            )
        if isinstance(event, MappingStartEvent):
            return self._mapping(depth)
        if isinstance(event, SequenceStartEvent):
            return list(self._sequence(depth))
        if not isinstance(event, ScalarEvent):
            raise _StopReadingError(_line(event), "a value is missing here")
        return scalar_value(event.value) if event.style is None else event.value

    def _sequence(self, depth: int) -> Iterator[YamlNode]:
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                return
            yield self.node(event, depth + 1)

    def _mapping(self, depth: int) -> dict[str, YamlNode]:
        found: dict[str, YamlNode] = {}
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event, depth)
            value = self.node(next(self.events), depth + 1)
            line = _line(event)
            if key in found:
                again = f"was given again as {shown(plain_value(value))} (first in line {found[key].line})"
                text = f"key {shown_key(key)} must be given once, {again}"
                self.problems.append(SourceProblem(line, text))
            elif key is not None:
                found[key] = YamlNode(value.value, line)
        return found

    def _key(self, event: Event, depth: int) -> str | None:
        """Return a key, or None, with a problem, where it is no text."""
        node = self.node(event, depth + 1)
        if isinstance(event, ScalarEvent) and event.style is None and event.value == _MERGE_KEY:
            text = "merge keys must be written out (parameters of all symbols go above `symbols`), was <<"
        elif isinstance(node.value, str):
            return node.value
        else:
            text = f"a key must be a text, was {shown(plain_value(node))}"
        self.problems.append(SourceProblem(_line(event), text))
        return None


def _line(event: Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1


def _syntax_problem(error: yaml.YAMLError, text: str) -> SourceProblem:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if isinstance(error, yaml.MarkedYAMLError) and mark is not None:
        reason = error.problem or error.context
        hint = " (indent with spaces)" if "\\t" in str(reason) else ""
        return SourceProblem(mark.line + 1, f"not valid YAML: {reason}{hint}", mark.column + 1)
    position = getattr(error, "position", 0)
    before = text[:position] if isinstance(position, int) else ""
    character = text[len(before) : len(before) + 1]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return SourceProblem(line, f"not valid YAML: character {character!r} is not allowed", column)


def read_yaml(text: str, most_values: int = MOST_VALUES) -> tuple[YamlNode | None, list[SourceProblem]]:
    """Read one YAML document.

    Parameters
    ----------
    text
        The document.
    most_values
        Largest number of values and keys, counted as often as aliases repeat them.

    Returns
    -------
    tuple[YamlNode | None, list[SourceProblem]]
        The document's root, None where it has none or cannot be read, and everything wrong with the text.
    """
    try:
        reader = _Reader(iter(yaml.parse(text, Loader=yaml.SafeLoader)), most_values)
        return reader.document(), reader.problems
    except yaml.YAMLError as error:
        return None, [_syntax_problem(error, text)]
    except _StopReadingError as stop:
        return None, [*reader.problems, stop.problem]
