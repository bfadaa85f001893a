"""From what the models refuse to texts that name the key, the value given and what is allowed."""

import copy
import difflib
import reprlib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.fields import RULES, Allowed, Finding, finite_number
from mm_nautilus.system.plain_text import without_passwords

__all__ = [
    "MISSING",
    "REQUIRED",
    "Checked",
    "KeyDescription",
    "Problem",
    "allowed_text",
    "check_model",
    "describe",
    "nearest",
    "shown",
    "shown_key",
]

MISSING: Final = "Missing required config"
"""How v1.4.0 reports a key that has to be given."""

REQUIRED: Final = (
    "position_size_usd",
    "max_inventory",
    "stop_loss_pct",
    "take_profit_pct",
    "cooldown_seconds",
)
"""Keys that v1.4.0 requires of a flat configuration, and whose texts say "must be positive"."""
_BETWEEN_TEXT: Final = ("gamma", "inventory_skew")
_KEY: Final = "[key]"
_ROUNDS: Final = 6
"""How often a configuration is repaired to find the contradictions behind faulty keys."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with, or risky about, a configuration.

    Parameters
    ----------
    path
        Keys that lead to the value at fault, empty for the whole.
    message
        What is wrong, with the value given and what is allowed; without the path.
    is_warning
        Whether a run may go on all the same.
    """

    path: tuple[str, ...]
    message: str
    is_warning: bool = False

    @property
    def symbol(self) -> str | None:
        """The symbol whose parameters are concerned, or None where all symbols' or none's are."""
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


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What the model says about the value at one path.

    Parameters
    ----------
    annotation
        The type without its metadata and without None.
    metadata
        Limits and other metadata of the type and of the field.
    nullable
        Whether null is allowed.
    """

    annotation: Any
    metadata: tuple[Any, ...]
    nullable: bool


@dataclass(frozen=True, slots=True)
class Checked[Model: BaseModel]:
    """What a model made of some data.

    Parameters
    ----------
    problems
        Everything wrong with the data, in the order of the model's keys.
    model
        The model read from the data, with defaults in place of what is faulty, to look for risks among the
        rest; None where not even that can be read.
    faulty
        Paths whose values in `model` are not the ones given.
    """

    problems: list[Problem]
    model: Model | None
    faulty: frozenset[tuple[str, ...]]

    def touches(self, finding: Finding) -> bool:
        """Return whether a finding rests on a value that was not the one given."""
        return any(key[: len(path)] == path for key in finding.keys for path in self.faulty)


class _ShortRepr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__(maxlevel=3, maxstring=60, maxother=60, maxlong=40)

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > 4000:
            return f"a whole number of {x.bit_length()} bits"
        return super().repr_int(x, level)

    def repr_str(self, x: str, level: int) -> str:
        # Shortened, an address could not be told from its password any more.
        return super().repr_str(without_passwords(x), level)


_SHORT: Final = _ShortRepr()


def shown(value: Any) -> str:
    """Return a value as messages show it: as YAML writes it, on one line, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, int):
        return _SHORT.repr(value)
    if isinstance(value, Amount | Path | Decimal | Real):
        return str(value)
    return " ".join(_SHORT.repr(value).split())


def shown_key(key: str) -> str:
    """Return a key as messages show it: printable, on one line, shortened."""
    key = without_passwords(key)
    text = key if key.isprintable() and key == key.strip() else repr(key)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` most likely means, or None where none is near; never `name` itself."""
    by_folded = {candidate.casefold(): candidate for candidate in known if candidate != name}
    found = difflib.get_close_matches(name.casefold()[:100], by_folded, n=1)
    return by_folded[found[0]] if found else None


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
    """Return what `model` says about the value at `path`, or None where it has no such key."""
    current: KeyDescription | None = KeyDescription(model, (), False)
    for part in path:
        current = None if current is None else _step(current.annotation, part)
    return current


def _step(annotation: Any, part: str) -> KeyDescription | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
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
    """Return what is allowed at a key, in words and with its limits.

    Parameters
    ----------
    description
        As `describe` returns it.
    """
    words = next((item.text for item in description.metadata if isinstance(item, Allowed)), None)
    text = words or f"{_kind_text(description)} {_range_text(description)}".strip()
    return f"{text}, or null" if description.nullable else text


def _related(key: tuple[str, ...], path: tuple[str, ...]) -> bool:
    shorter = min(len(key), len(path))
    return key[:shorter] == path[:shorter]


def _not_positive(value: Any) -> bool:
    """Return whether v1.4.0's "must be positive" is the right text for a refused value."""
    if isinstance(value, str):
        try:
            value = Amount.parse(value)
        except ValueError:
            return False
    if isinstance(value, Amount):
        return value.value <= 0
    number = finite_number(value)
    return number is not None and number <= 0


def _value_message(name: str, value: Any, description: KeyDescription | None, error_type: str) -> str:
    if description is None:
        return f"{name} is not allowed, was {shown(value)}"
    if name in REQUIRED and value is None:
        return f"{MISSING}: {name}"
    if name in REQUIRED and _not_positive(value):
        plain = value if isinstance(value, str) else shown(value)
        return f"{name} must be positive, got {plain}"
    if error_type in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        verb = "got" if name in _BETWEEN_TEXT else "was"
        null = ", or null" if description.nullable else ""
        return f"{name} must be {_range_text(description)}{null}, {verb} {shown(value)}"
    return f"{name} must be {allowed_text(description)}, was {shown(value)}"


def _homes(model: type[BaseModel], name: str, prefix: tuple[str, ...] = ()) -> list[str]:
    """Return where `model` has a key `name`: at the top or under a section's dotted path."""
    home = f"under {'.'.join(prefix)}" if prefix else "at the top"
    found = [home] if name in model.model_fields else []
    for key, field in model.model_fields.items():
        inner = _unwrap(field.annotation).annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found.extend(_homes(inner, name, (*prefix, key)))
    return found


def _unknown_message(model: type[BaseModel], path: tuple[str, ...], value: Any) -> str:
    name, parent = path[-1], describe(model, path[:-1])
    known = list(parent.annotation.model_fields) if parent is not None else []
    likely, homes = nearest(name, known), _homes(model, name)
    if likely is not None:
        hint = f" (did you mean {likely}?)"
    elif homes:
        hint = f" (it belongs {' or '.join(homes)})"
    elif len(known) <= 12:
        hint = f" (known here: {', '.join(known)})"
    else:
        hint = " (none of the known keys is near; the configuration reference lists them)"
    return f"unknown key {shown_key(name)}{hint}, was {shown(value)}"


def _from_error(model: type[BaseModel], error: Mapping[str, Any]) -> Problem:
    """Translate an error other than a contradiction."""
    path = tuple(str(part) for part in error["loc"])
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return Problem(path, f"{MISSING}: {path[-1]}")
    if kind == "extra_forbidden":
        return Problem(path, _unknown_message(model, path, value))
    if path[-1:] == (_KEY,):
        description = describe(model, (*path[:-2], _KEY))
        return Problem(path[:-1], _value_message("a key here", value, description, kind))
    return Problem(path, _value_message(_name(error["loc"]), value, describe(model, path), kind))


def _name(location: tuple[int | str, ...]) -> str:
    """Return what messages call a value: its key, with a number where it is an entry of a list."""
    if not location:
        return "a configuration"
    *parents, last = location
    return f"{parents[-1]}[{last}]" if isinstance(last, int) else shown_key(last)


def _fault(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the path whose value has to be replaced to make an error go away: never a part of a list."""
    path: list[str] = []
    for part in location:
        if isinstance(part, int):
            break
        path.append(part)
    return tuple(path)


def _faults(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for error in errors:
        start = _fault(error["loc"])
        if error["type"] == RULES:
            found.extend((*start, *key) for finding in error["ctx"]["findings"] for key in finding.keys)
        elif start:
            found.append(start)
    return found


def _model_of(description: KeyDescription | None) -> type[BaseModel] | None:
    annotation = None if description is None else description.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _stand_in(model: type[BaseModel], path: tuple[str, ...]) -> list[Any]:
    """Return the one valid value that stands in for a faulty one, or nothing where it can be left out."""
    parent = _model_of(describe(model, path[:-1]))
    if parent is not None:
        field = parent.model_fields.get(path[-1])
        required = field is not None and field.is_required() and field.examples
        return [copy.deepcopy(field.examples[0])] if required and field and field.examples else []
    entry = _model_of(describe(model, path))
    needs_nothing = entry is not None and not any(
        field.is_required() for field in entry.model_fields.values()
    )
    return [{}] if needs_nothing else []


def _replace(model: type[BaseModel], data: dict[str, Any], fault: tuple[str, ...]) -> None:
    """Put a valid value, or none, in the place of a faulty one."""
    path = fault[:-1] if fault[-1] == _KEY else fault
    holder = data
    for position, part in enumerate(path[:-1], 1):
        inner = holder.get(part)
        if not isinstance(inner, dict):
            path = path[:position]
            break
        holder = inner
    holder.pop(path[-1], None)
    if fault[-1] != _KEY:
        for value in _stand_in(model, path):
            holder[path[-1]] = value


def _copy_mappings(data: Mapping[str, Any], depth: int = 6) -> dict[str, Any]:
    """Copy as deep as models go; what lies deeper is never changed."""
    return {
        key: _copy_mappings(value, depth - 1) if depth and isinstance(value, dict) else value
        for key, value in data.items()
    }


def _new_problems(
    model: type[BaseModel], errors: Iterable[Mapping[str, Any]], before: Checked[Any]
) -> list[Problem]:
    """Translate errors, without those that only the replacing of faulty values has brought about."""
    found: list[Problem] = []
    for error in errors:
        path = tuple(str(part) for part in error["loc"])
        if error["type"] != RULES:
            if not any(_related(path, fault) for fault in before.faulty):
                found.append(_from_error(model, error))
            continue
        for finding in error["ctx"]["findings"]:
            placed = Finding(tuple((*path, *key) for key in finding.keys), finding.message)
            if not before.touches(placed):
                found.append(Problem(placed.keys[0], placed.message))
    return found


def check_model[Model: BaseModel](
    model: type[Model], data: Mapping[str, Any], missing: Iterable[str] = ()
) -> Checked[Model]:
    """Read `data` as a model and report everything wrong with it at once.

    A model looks for contradictions only once each of its keys is valid. So faulty keys are replaced by their
    defaults (or an example) and the data is read again, to report the contradictions among the others too.

    Parameters
    ----------
    model
        The model to read.
    data
        Plain mappings, lists and scalars, with texts as keys; not changed.
    missing
        Keys that have a default and should have been given: what rests on their defaults is not reported.
    """
    problems: list[Problem] = []
    faulty: set[tuple[str, ...]] = {(name,) for name in missing}
    remaining = _copy_mappings(data)
    for _ in range(_ROUNDS):
        try:
            read = model.model_validate(remaining)
        except ValidationError as refused:
            errors = refused.errors(include_url=False)
        else:
            return Checked(problems, read, frozenset(faulty))
        problems.extend(_new_problems(model, errors, Checked([], None, frozenset(faulty))))
        for fault in _faults(errors):
            faulty.add(fault)
            _replace(model, remaining, fault)
    return Checked(problems, None, frozenset(faulty))
