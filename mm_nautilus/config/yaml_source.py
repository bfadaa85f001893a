"""Parse YAML into plain values with line numbers, without YAML 1.1's surprising conversions."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mm_nautilus.config.problems import shown, shown_key

_MOST_DEPTH: Final = 20
MOST_VALUES: Final = 20_000
"""Most values a text may expand to; nested aliases would otherwise grow without limit."""

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
    """A problem of the text itself."""

    line: int
    """Line of the text, from 1."""
    message: str
    """What is wrong, with the value given and what is allowed."""
    column: int | None = None
    """Column of the line, from 1, of a syntax error."""


@dataclass(slots=True)
class YamlText:
    """A parsed text."""

    value: Any = None
    """Its mappings, lists and scalars; None if it is empty or cannot be read."""
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Line of each value, from 1, by its path: that of its key, or of the value if it has no key."""
    problems: list[SourceProblem] = field(default_factory=list)
    """Everything wrong with the text."""


def scalar_value(text: str) -> Any:
    """Return what an unquoted scalar means: null, true, false, a plain decimal number, or else a text.

    What YAML 1.1 would also convert to a number or boolean (``no``, ``1_000``, ``1:30``, ``010``, dates) stays a text,
    which is then refused for a key that takes no text.
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


class _Composer(yaml.SafeLoader):
    """Composes nodes without implicit tags; `scalar_value` interprets the scalars."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> None:
        return None

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if getattr(event, "tag", None) == "!" and node is not None:
            node.tag = event.tag
        return node


@dataclass(slots=True)
class _Reader:
    """Converts nodes to plain values and stores their lines."""

    read: YamlText
    most_values: int
    count: int = 0

    def value(self, node: yaml.Node, path: tuple[str, ...], line: int) -> Any:
        """Return one value; an alias has the lines of the original."""
        self._count(node)
        if len(path) > _MOST_DEPTH:
            raise _too_deep(_line(node))
        self.read.lines[path] = line
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        return [
            self.value(inner, (*path, str(index)), _line(inner)) for index, inner in enumerate(node.value)
        ]

    def _count(self, node: yaml.Node) -> None:
        self.count += 1
        if self.count > self.most_values:
            raise _StopReadingError(
                _line(node), f"a text must hold at most {self.most_values} values, was more"
            )
        if node.tag is not None:
            self._refuse(node, f"values must have no YAML tag, was {node.tag.removeprefix('tag:')}")

    def _refuse(self, node: yaml.Node, message: str) -> None:
        self.read.problems.append(SourceProblem(_line(node), message))

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        firsts: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            here, line = (*path, key), _line(key_node)
            first = firsts.setdefault(key, line)
            value = self.value(value_node, here, line)
            if key in found:
                again = f"was given again as {shown(value)} (first in line {first})"
                self._refuse(key_node, f"key {shown_key(key)} must be given once, {again}")
            found[key] = value
        return found

    def _key(self, node: yaml.Node) -> str | None:
        """Return a key, or None and record a problem if it is not text."""
        self._count(node)
        if not isinstance(node, yaml.ScalarNode):
            text = "a key must be text, was a list or a mapping"
        elif node.style is None and node.value == _MERGE_KEY:
            text = "merge keys must be written out (parameters of all symbols go above `symbols`), was <<"
        elif isinstance(key := _scalar(node), str):
            return key
        else:
            text = f"a key must be text, was {shown(key)}"
        self._refuse(node, text)
        return None


def _scalar(node: yaml.ScalarNode) -> Any:
    return scalar_value(node.value) if node.style is None else node.value


def _line(place: yaml.Node | yaml.Event) -> int:
    return 1 if place.start_mark is None else place.start_mark.line + 1


def _too_deep(line: int) -> _StopReadingError:
    return _StopReadingError(line, f"values must be nested at most {_MOST_DEPTH} deep, was deeper")


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


def read_yaml(text: str, most_values: int = MOST_VALUES) -> YamlText:
    """Read one YAML document of at most so many values and keys after expanding aliases."""
    read = YamlText()
    try:
        root = _root(text)
        if root is not None:
            read.value = _Reader(read, most_values).value(root, (), _line(root))
    except yaml.YAMLError as error:
        read.problems.append(_syntax_problem(error, text))
    except _StopReadingError as stop:
        read.problems.append(stop.problem)
    return read


def _root(text: str) -> yaml.Node | None:
    composer = _Composer(text)
    try:
        root = composer.get_node() if composer.check_node() else None
    except RecursionError:
        raise _too_deep(composer.line + 1) from None
    if composer.check_node():
        line = _line(composer.peek_event())  # type: ignore[no-untyped-call]
        raise _StopReadingError(line, "the text must be one YAML document, was a second one")
    return root
