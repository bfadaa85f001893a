"""Turn errors of the models into texts that name the key, the value given and what is allowed."""

import reprlib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeIs, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.fields import Allowed, finite_number
from mm_nautilus.system.near_names import nearest
from mm_nautilus.system.plain_text import without_passwords

MISSING: Final = "Missing required config"
"""v1.4.0's text for a missing required key."""

REQUIRED: Final = (
    "position_size_usd",
    "max_inventory",
    "stop_loss_pct",
    "take_profit_pct",
    "cooldown_seconds",
)
"""Keys that v1.4.0 requires in a flat configuration, and whose errors say "must be positive"."""
_BETWEEN_TEXT: Final = ("gamma", "inventory_skew")
_KEY: Final = "[key]"
_CONTRADICTIONS: Final = "contradictions"
"""Error type of a model whose keys are valid but contradict each other."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or risk of a configuration."""

    path: tuple[str, ...]
    """Keys that lead to the value, empty for the whole configuration."""
    message: str
    """The text without the path: what is wrong, the value given and what is allowed."""
    is_warning: bool = False
    """Whether it is a risk, which does not prevent a run."""

    @property
    def symbol(self) -> str | None:
        """The symbol it concerns, None if it concerns all symbols or none."""
        for parent, name in zip(self.path, self.path[1:], strict=False):
            if parent == "symbols":
                return name
        return None

    def text(self) -> str:
        """Return the message as `validate` reports it: with the symbol, and ``Warning:`` before a risk."""
        symbol = "" if self.symbol is None else f"{shown_key(self.symbol)}: "
        return f"{'Warning: ' if self.is_warning else ''}{symbol}{self.message}"

    def located(self) -> str:
        """Return the message with the dotted path of its key before it, and ``Warning:`` before a risk."""
        dotted = ".".join(shown_key(part) for part in self.path)
        return f"{'Warning: ' if self.is_warning else ''}{dotted}{': ' if dotted else ''}{self.message}"

    def under(self, *parents: str) -> "Problem":
        """Return the problem with its path below `parents`."""
        return Problem((*parents, *self.path), self.message, self.is_warning)


def refuse(problems: Iterable[Problem]) -> None:
    """Raise a PydanticCustomError with all problems, their paths relative to the model; do nothing without problems."""
    found = tuple(problems)
    if found:
        text = "; ".join(problem.message for problem in found)
        raise PydanticCustomError(_CONTRADICTIONS, "{text}", {"text": text, "problems": found})


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """The model's type and limits of the value at one path."""

    annotation: Any
    """The type without its metadata and without None."""
    metadata: tuple[Any, ...]
    """Limits and other metadata of the type and of the field."""
    nullable: bool
    """Whether null is allowed."""


NOT_SHOWN: Final = "what was given is not shown, as it may be a secret"
_SECRET_SECTIONS: Final = frozenset({"notify", "web", "prometheus"})
"""Sections with names of secrets: somebody may have put the secret itself there."""
_OTHER_NAMES: Final = dict.fromkeys(
    ("notification", "notifications", "notifier", "alerts", "apprise"), "notify"
)
"""Keys that mean another one to which they are not similar."""


class _ShortRepr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > 4000:
            return f"a whole number of {x.bit_length()} bits"
        return super().repr_int(x, level)

    def repr_NoneType(self, x: None, level: int) -> str:  # noqa: N802 - reprlib looks for this name
        del x, level
        return "null"

    def repr_bool(self, x: bool, level: int) -> str:
        del level
        return "true" if x else "false"

    def repr_str(self, x: str, level: int) -> str:
        # Not shortened here: in a shortened address a password could not be recognised.
        return super().repr_str(without_passwords(x), level)


_SHORT: Final = _ShortRepr(maxlevel=3, maxstring=60, maxother=60, maxlong=40)


def shown(value: Any) -> str:
    """Format a value for messages: as YAML, on one line, shortened."""
    if isinstance(value, float):
        return repr(float(value))
    if value is None or isinstance(value, int):
        return _SHORT.repr(value)
    if isinstance(value, Amount | Path | Decimal | Real):
        return without_passwords(str(value))
    return " ".join(_SHORT.repr(value).split())


def _was(value: Any, *, may_be_secret: bool) -> str:
    """Return the end of a message that says what was given, unless it is, or has in it, a text that may be a secret."""
    if may_be_secret and value == "":
        return ", was empty"
    return f"; {NOT_SHOWN}" if may_be_secret and _has_text(value) else f", was {shown(value)}"


def _has_text(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_text(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_has_text(one) for one in value)
    return isinstance(value, str | bytes | Path)


def shown_key(key: str) -> str:
    """Format a key for messages: printable, on one line, shortened."""
    key = without_passwords(key)
    text = key if key.isprintable() and key == key.strip() else repr(key)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_section(annotation: Any) -> TypeIs[type[BaseModel]]:
    """Return whether a type is a section: a mapping with keys of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _unwrap(annotation: Any, metadata: Iterable[Any] = ()) -> KeyDescription:
    found, nullable = list(metadata), False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *inner = get_args(annotation)
            found.extend(inner)
        elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
            rest = [part for part in get_args(annotation) if part is not type(None)]
            annotation, nullable = Union[tuple(rest)], True  # noqa: UP007 - built from a list of types
        else:
            return KeyDescription(annotation, tuple(found), nullable)


def describe(model: type[BaseModel], path: Iterable[str]) -> KeyDescription | None:
    """Return type and limits of the value at `path`, None if `model` has no such key."""
    current: KeyDescription | None = KeyDescription(model, (), False)
    for part in path:
        current = None if current is None else _step(current.annotation, part)
    return current


def _step(annotation: Any, part: str) -> KeyDescription | None:
    if is_section(annotation):
        field: FieldInfo | None = annotation.model_fields.get(part)
        return None if field is None else _unwrap(field.annotation, field.metadata)
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return _unwrap(arguments[0] if part == _KEY else arguments[1])
    if get_origin(annotation) is list:
        return _unwrap(arguments[0])
    return None


def _limit(description: KeyDescription, kind: type[Any], name: str) -> Any:
    return next((getattr(item, name) for item in description.metadata if isinstance(item, kind)), None)


def _range_text(description: KeyDescription) -> str:
    at_least, above = _limit(description, Ge, "ge"), _limit(description, Gt, "gt")
    at_most, below = _limit(description, Le, "le"), _limit(description, Lt, "lt")
    if at_least is not None and at_most is not None:
        return f"between {at_least} and {at_most}"
    texts = (("at least", at_least), ("above", above), ("at most", at_most), ("below", below))
    return " and ".join(f"{word} {limit}" for word, limit in texts if limit is not None)


def _kind_text(description: KeyDescription) -> str:
    annotation = description.annotation
    if get_origin(annotation) is Literal:
        *others, last = (str(choice) for choice in get_args(annotation))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(annotation) is list:
        return "a list with at least one entry"
    if get_origin(annotation) is dict:
        some = " with at least one of them" if _limit(description, MinLen, "min_length") else ""
        return f"a mapping of symbols{some}"
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}
    return names.get(annotation, "a mapping of keys")


def allowed_text(description: KeyDescription) -> str:
    """Return the allowed values of a key in words, with limits; the description is that of `describe`."""
    words = next((item.text for item in description.metadata if isinstance(item, Allowed)), None)
    text = words or f"{_kind_text(description)} {_range_text(description)}".strip()
    return f"{text}, or null" if description.nullable else text


def _not_positive(value: Any) -> bool:
    """Return whether v1.4.0's "must be positive" fits a refused value."""
    if isinstance(value, str):
        try:
            value = Amount.parse(value)
        except ValueError:
            return False
    if isinstance(value, Amount):
        return value.value <= 0
    number = finite_number(value)
    return number is not None and number <= 0


def _value_message(
    name: str, value: Any, description: KeyDescription | None, error_type: str, *, may_be_secret: bool
) -> str:
    if description is None:
        return f"{name} is not allowed{_was(value, may_be_secret=may_be_secret)}"
    if name in REQUIRED and value is None:
        return f"{MISSING}: {name}"
    if name in REQUIRED and _not_positive(value):
        plain = value if isinstance(value, str) else shown(value)
        return f"{name} must be positive, got {plain}"
    if error_type in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        verb = "got" if name in _BETWEEN_TEXT else "was"
        null = ", or null" if description.nullable else ""
        return f"{name} must be {_range_text(description)}{null}, {verb} {shown(value)}"
    return f"{name} must be {allowed_text(description)}{_was(value, may_be_secret=may_be_secret)}"


def _homes(model: type[BaseModel], name: str, prefix: tuple[str, ...] = ()) -> list[str]:
    """Return the places where `model` has a key `name`: at the top or under a section's dotted path."""
    home = f"under {'.'.join(prefix)}" if prefix else "at the top"
    found = [home] if name in model.model_fields else []
    for key, field in model.model_fields.items():
        inner = _unwrap(field.annotation).annotation
        if is_section(inner):
            found.extend(_homes(inner, name, (*prefix, key)))
    return found


def _unknown_message(model: type[BaseModel], path: tuple[str, ...], value: Any) -> str:
    name, parent = path[-1], describe(model, path[:-1])
    known = list(parent.annotation.model_fields) if parent is not None else []
    other = _OTHER_NAMES.get(name.casefold())
    likely, homes = other if other in known else nearest(name, known), _homes(model, name)
    if likely is not None:
        hint = f" (did you mean {likely}?)"
    elif homes:
        hint = f" (it belongs {' or '.join(homes)})"
    elif len(known) <= 12:
        hint = f" (known here: {', '.join(known)})"
    else:
        hint = " (no known key is similar; the configuration reference lists them)"
    # Nobody knows what the key was to hold: a text may be a token.
    return f"unknown key {shown_key(name)}{hint}{_was(value, may_be_secret=True)}"


def _from_error(model: type[BaseModel], error: Mapping[str, Any]) -> list[Problem]:
    path = tuple(str(part) for part in error["loc"])
    kind, value = error["type"], error["input"]
    if kind == _CONTRADICTIONS:
        return [problem.under(*path) for problem in error["ctx"]["problems"]]
    if kind == "missing":
        message = f"{MISSING}: {path[-1]}"
    elif kind == "extra_forbidden":
        message = _unknown_message(model, path, value)
    else:
        may_be_secret = path[:1] != () and path[0] in _SECRET_SECTIONS
        is_key = path[-1:] == (_KEY,)
        description = describe(model, (*path[:-2], _KEY) if is_key else path)
        name = "a key here" if is_key else _name(error["loc"])
        message = _value_message(name, value, description, kind, may_be_secret=may_be_secret)
        path = path[:-1] if is_key else path
    return [Problem(path, message)]


def _name(location: tuple[int | str, ...]) -> str:
    """Return a value's name in messages: its key, with an index for an entry of a list."""
    if not location:
        return "a configuration"
    *parents, last = location
    return f"{parents[-1]}[{last}]" if isinstance(last, int) else shown_key(last)


def check_model[Model: BaseModel](
    model: type[Model], data: Mapping[str, Any]
) -> tuple[Model | None, list[Problem]]:
    """Read plain mappings with text keys, lists and scalars as a model.

    Returns the model, None if there are problems, and the problems in the order of the model's keys; contradictions are
    reported only if every key is valid.
    """
    try:
        return model.model_validate(data), []
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
    return None, [problem for error in errors for problem in _from_error(model, error)]
