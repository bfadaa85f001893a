"""From a YAML file, and ``--set`` overrides, to a validated configuration; and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mm_nautilus.core.problems import Problem, check_model, nearest, shown, shown_key
from mm_nautilus.core.run_config import RunConfig, as_yaml_values
from mm_nautilus.core.validation import run_problems
from mm_nautilus.core.yaml_source import SourceProblem, YamlNode, plain_value, read_yaml, scalar_value
from mm_nautilus.errors import ConfigError

__all__ = ["DEFAULT_SOURCE", "OVERRIDE_SOURCE", "LoadedConfig", "load_config", "resolved_yaml"]

DEFAULT_SOURCE: Final = "default"
"""Source of a value that is not given anywhere."""

OVERRIDE_SOURCE: Final = "--set"
"""Source of a value that is given on the command line."""

_LARGEST_FILE: Final = 1_000_000
_MOST_NAMES: Final = 12


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A validated configuration and where its values come from.

    Parameters
    ----------
    config
        The configuration; its catalog is an absolute path.
    warnings
        Risks that show without any market data; each starts with ``Warning:`` and ends with its place.
    sources
        Where each value that is given comes from, by its path: ``FILE:LINE`` or ``--set``.
    """

    config: RunConfig
    warnings: list[str]
    sources: Mapping[tuple[str, ...], str]

    def source(self, *path: str) -> str:
        """Return where the value at `path` comes from: ``FILE:LINE``, ``--set`` or ``default``."""
        return self.sources.get(path, DEFAULT_SOURCE)

    def located(self, problem: Problem) -> str:
        """Return the text of a problem that was found later, with the place of its key."""
        return _placed_text(problem, _place(self.sources, problem.path))


@dataclass(slots=True)
class _Source:
    """What was read so far: the values, where each comes from, and what is wrong with the texts."""

    file: Path
    values: dict[str, Any]
    places: dict[tuple[str, ...], str]
    problems: list[str]

    def place(self, path: tuple[str, ...]) -> str:
        """Return the place of the value at `path`, or of what it should be in."""
        return _place(self.places, path) or f"{self.file}:1"

    def order(self, problem: Problem) -> tuple[bool, int]:
        """Return what problems are sorted by: their lines, overrides last."""
        place = self.place(problem.path)
        if place == OVERRIDE_SOURCE:
            return True, 0
        return False, int(place.rpartition(":")[2])


def _place(places: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> str:
    while path and path not in places:
        path = path[:-1]
    return places.get(path, "")


def _placed_text(problem: Problem, place: str) -> str:
    """Return an error after its place and its path, a warning before its place."""
    if problem.is_warning:
        return f"{problem.text()} ({place})"
    return f"{place}{' ' if place == OVERRIDE_SOURCE else ': '}{problem.located()}"


def load_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read a run's configuration.

    Parameters
    ----------
    path
        A YAML file.
    overrides
        Values that replace those of the file, each as ``strategy.gamma=0.3``: the keys that lead to the
        value, joined by dots, and the value as YAML.

    Raises
    ------
    ConfigError
        With everything that is wrong: one line a problem, with file and line (or ``--set``), the path of the
        key, the value given and what is allowed.
    """
    source = _read_file(path)
    seen: set[str] = set()
    for override in overrides:
        _apply(source, override, seen)
    _resolve_catalog(source)
    checked = check_model(RunConfig, source.values)
    found = sorted(run_problems(checked), key=source.order)
    texts = {problem: _placed_text(problem, source.place(problem.path)) for problem in found}
    errors = source.problems + [text for problem, text in texts.items() if not problem.is_warning]
    if errors or checked.model is None:
        raise ConfigError(errors)
    return LoadedConfig(checked.model, list(texts.values()), dict(source.places))


def _read_file(path: Path) -> _Source:
    text = _decoded(path, _bytes(path))
    root, problems = read_yaml(text)
    texts = [_source_text(path, problem) for problem in problems]
    if root is None or root.value is None:
        raise ConfigError(texts or [f"{path}: a configuration must be a mapping of keys, was an empty file"])
    if not isinstance(root.value, dict):
        message = f"a configuration must be a mapping of keys, was {shown(plain_value(root))}"
        raise ConfigError([*texts, f"{path}:{root.line}: {message}"])
    places = {keys: f"{path}:{line}" for keys, line in root.lines()}
    return _Source(path, plain_value(root), places, texts)


def _source_text(path: Path, problem: SourceProblem) -> str:
    column = "" if problem.column is None else f":{problem.column}"
    return f"{path}:{problem.line}{column}: {problem.message}"


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise ConfigError(_no_such_file(path)) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a configuration must be a YAML file, was a folder") from None
    except OSError as error:
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_FILE:
        raise ConfigError(f"{path}: a configuration must have at most {_LARGEST_FILE} bytes, was larger")
    return content


def _no_such_file(path: Path) -> str:
    folder = path.parent
    names = sorted(file.name for file in folder.glob("*.y*ml")) if folder.is_dir() else []
    likely = nearest(path.name, names)
    if likely is not None:
        hint = f" (did you mean {folder / likely}?)"
    elif names:
        hint = f" (there are {', '.join(names[:_MOST_NAMES])})"
    else:
        hint = f" (there is no YAML file in {folder})"
    return f"{path}: the configuration must be an existing file, was not found{hint}"


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise ConfigError(
            f"{path}:{line}: a configuration must be UTF-8 text, was byte 0x{byte:02x}"
        ) from None


def _apply(source: _Source, override: str, seen: set[str]) -> None:
    """Put one override into the values; what is wrong with it goes to the source's problems."""
    dotted, equals, text = override.partition("=")
    keys = tuple(part.strip() for part in dotted.split("."))
    if not equals or not all(keys):
        example = "KEY.KEY=VALUE such as strategy.gamma=0.3"
        source.problems.append(f"{OVERRIDE_SOURCE} must be {example}, was {shown(override)}")
        return
    prefix = f"{OVERRIDE_SOURCE} {shown_key(dotted.strip())}: "
    if dotted.strip() in seen:
        source.problems.append(f"{prefix}a key must be set once, was set again to {shown(text)}")
        return
    seen.add(dotted.strip())
    root, problems = read_yaml(text)
    node = root or YamlNode(None, 1)
    refusal = problems[0].message if problems else _put(source.values, keys, plain_value(node))
    if refusal is not None:
        source.problems.append(prefix + refusal)
        return
    for path in [known for known in source.places if known[: len(keys)] == keys]:
        del source.places[path]
    source.places.update({path: OVERRIDE_SOURCE for path, _ in node.lines(keys)})
    for length in range(1, len(keys)):
        source.places.setdefault(keys[:length], OVERRIDE_SOURCE)


def _put(values: dict[str, Any], keys: tuple[str, ...], value: Any) -> str | None:
    """Set a value below `values`, or return why it cannot be set there."""
    if keys[:2] == ("strategy", "symbols") and len(keys) > 3:
        refusal = _unknown_symbol(values, keys[2], value)
        if refusal is not None:
            return refusal
    holder: Any = values
    for position, key in enumerate(keys):
        is_last = position == len(keys) - 1
        if isinstance(holder, list):
            if not (key.isdecimal() and key.isascii() and int(key) < len(holder)):
                name = ".".join(keys[:position])
                return (
                    f"an entry of {name} must be a number from 0 to {len(holder) - 1}, was {shown_key(key)}"
                )
            index: Any = int(key)
        elif isinstance(holder, dict):
            index = key
            if not is_last and holder.get(key) is None:
                holder[key] = {}
        else:
            name = ".".join(keys[:position])
            return f"{name} must be a mapping to have a key {shown_key(key)}, was {shown(holder)}"
        if is_last:
            holder[index] = value
        else:
            holder = holder[index]
    return None


def _unknown_symbol(values: Mapping[str, Any], symbol: str, value: Any) -> str | None:
    """Refuse to add a symbol by setting one of its keys, which is a misspelt symbol far more often."""
    strategy = values.get("strategy")
    symbols = strategy.get("symbols") if isinstance(strategy, dict) else None
    if not isinstance(symbols, dict) or symbol in symbols:
        return None
    likely = nearest(symbol, symbols)
    hint = "" if likely is None else f"; did you mean {likely}?"
    known = f"{', '.join(symbols)}{hint}"
    return f"a symbol with keys must be configured ({known}), was {shown_key(symbol)} with {shown(value)}"


def _resolve_catalog(source: _Source) -> None:
    """Make the catalog's path absolute: relative to the file, or to the working directory where it is set."""
    given = source.values.get("catalog")
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        return
    from_file = source.place(("catalog",)) != OVERRIDE_SOURCE
    folder = source.file.parent if from_file else Path()
    source.values["catalog"] = str((folder / given).resolve())


class _Dumper(yaml.SafeDumper):
    """Writes YAML that `load_config` reads back as the same values."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if scalar_value(text) is text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def resolved_yaml(config: RunConfig) -> str:
    """Return a configuration as YAML, defaults included, which `load_config` reads back as an equal one."""
    values = as_yaml_values(config.model_dump())
    values["catalog"] = str(config.catalog.absolute())
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
