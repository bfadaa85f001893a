"""Read a YAML file and ``--set`` overrides as a validated configuration, and write it back."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from mm_nautilus.calibration.file import configured_calibration
from mm_nautilus.checks.fees import check_fees, configured_fees
from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.checks.validation import strategy_risks
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.problems import Problem, check_model, shown, shown_key
from mm_nautilus.config.run import RunConfig, as_yaml_values
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.config.shipped import shipped_file
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.config.yaml_file import FileMapping, given_path, place_of, read_mapping, yaml_text
from mm_nautilus.config.yaml_source import read_yaml
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.near_names import known_names
from mm_nautilus.system.store_url import is_url

DEFAULT_SOURCE: Final = "default"
"""Source of a default value."""

OVERRIDE_SOURCE: Final = "--set"
"""Source of a value from the command line, unless an option of its own sets it."""

type Override = str | tuple[str, str]
"""One value in place of the file's, ``KEY=VALUE``; after the option that sets it where that is not ``--set``."""

_PATHS_OF_FILES: Final = (("catalog",), ("feed", "catalog"), ("strategy", "calibration"))
"""Keys whose paths are relative to the configuration file."""
_REFERENCES: Final = ("class", "pricing")
"""Keys of the strategy or a symbol that name custom classes and functions."""
_FEED: Final = "feed"
"""Key of sandbox configurations only."""
_CATALOG: Final = "catalog"
"""Key of backtest configurations only."""
_OF_SANDBOXES: Final = frozenset(SandboxConfig.model_fields) - frozenset(RunConfig.model_fields)


@dataclass(frozen=True, slots=True)
class LoadedConfig[Config: (RunConfig, SandboxConfig) = RunConfig]:
    """A validated configuration with the source of each value."""

    config: Config
    """The configuration; its catalog and its calibration are absolute paths."""
    warnings: Mapping[str, Problem]
    """Risks visible without market data, by their texts: each starts with ``Warning:`` and ends with its place."""
    sources: Mapping[tuple[str, ...], str]
    """Source of each given value by its path: ``FILE:LINE``, ``--set`` or another option."""

    @property
    def kind(self) -> Literal["backtest", "sandbox"]:
        """Whether it configures a backtest or a sandbox run."""
        return "sandbox" if isinstance(self.config, SandboxConfig) else "backtest"

    def all_warnings(self) -> list[str]:
        """Return the warnings, including risks of the fees given in the configuration."""
        risks: list[Problem] = check_fees(self.config.strategy, configured_fees(self.config))
        return [*self.warnings, *(self.located(risk.under("strategy")) for risk in risks)]

    def source(self, *path: str) -> str:
        """Return the source of the value at `path`: ``FILE:LINE``, ``--set``, another option or ``default``."""
        return self.sources.get(path, DEFAULT_SOURCE)

    def located(self, problem: Problem) -> str:
        """Return a problem's text with the place of its key."""
        return _placed_text(place_of(self.sources, problem.path), _as_set(self.sources, problem))

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Turn a `RefusedRunError` raised within the block into a ConfigError with the places of the keys."""
        try:
            yield
        except RefusedRunError as error:
            raise ConfigError([self.located(problem) for problem in error.found]) from error


type AnyLoadedConfig = LoadedConfig[RunConfig] | LoadedConfig[SandboxConfig]
"""A configuration of either kind."""


def _as_set(places: Mapping[tuple[str, ...], str], problem: Problem) -> Problem:
    """Return a symbol's error with the path that ``--set`` was given, where that is one for all symbols."""
    path = given_path(places, problem.path)
    if problem.is_warning or path == problem.path or places[path] != OVERRIDE_SOURCE:
        return problem
    return Problem(path, problem.text())


def _placed_text(place: str, problem: Problem) -> str:
    """Return an error with place and path in front, or a warning with its place behind, if it has one."""
    if not place:
        return problem.text() if problem.is_warning else problem.located()
    if problem.is_warning:
        return f"{problem.text()} ({place})"
    if place == OVERRIDE_SOURCE:
        return f"{place} {problem.located()}"
    key = problem.path[-1] if problem.path else ""
    if _is_option(place) and problem.message.startswith(f"{key} "):
        return f"{place}{problem.message.removeprefix(key)}"
    return f"{place}: {problem.located()}"


def _is_option(place: str) -> bool:
    """Return whether a place is an option of the command line: a file's has a line behind a colon."""
    return place.startswith("--") and ":" not in place


def load_config(path: Path, overrides: Sequence[Override] = ()) -> LoadedConfig[RunConfig]:
    """Read a backtest's configuration from a YAML file.

    Overrides replace values of the file, each as ``strategy.gamma=0.3``: the keys that lead to the value, joined by
    dots, and the value as YAML. A ConfigError has all problems, one per line: file and line (or ``--set``), the path of
    the key (or the option in place of both), the value given and what is allowed.
    """
    source = read_source(path, overrides)
    if _FEED in source.values:
        text = "a backtest takes no feed; this is a sandbox's configuration, for mm-nautilus sandbox"
        raise ConfigError(f"{source.place((_FEED,))}: {text}")
    return _loaded(source, RunConfig)


def read_config(values: Mapping[str, Any]) -> LoadedConfig[RunConfig]:
    """Read a backtest's configuration from a mapping; paths are relative to the current folder, errors lack places."""
    config, found = _checked(values, RunConfig)
    errors = [problem.located() for problem in found if not problem.is_warning]
    if errors or config is None:
        raise ConfigError(errors)
    return LoadedConfig(config, {problem.text(): problem for problem in found}, {})


def config_errors(values: Mapping[str, Any]) -> list[Problem]:
    """Return why `read_config` refuses a mapping; empty if it takes it."""
    return [problem for problem in _checked(values, RunConfig)[1] if not problem.is_warning]


def load_sandbox_config(path: Path, overrides: Sequence[Override] = ()) -> LoadedConfig[SandboxConfig]:
    """Read a sandbox run's configuration; parameters and errors as for `load_config`."""
    source = read_source(path, overrides)
    if _FEED not in source.values and _CATALOG in source.values:
        text = "a sandbox needs a feed; this is a backtest's configuration, for mm-nautilus backtest"
        raise ConfigError(f"{source.place((_CATALOG,))}: {text}")
    return _loaded(source, SandboxConfig)


def load_any_config(path: Path, overrides: Sequence[Override] = ()) -> AnyLoadedConfig:
    """Read a configuration of either kind; one with ``feed`` is a sandbox's. Errors as for `load_config`.

    Without ``feed`` and ``catalog``, the other keys decide, so that a misspelt ``feed`` is reported as such.
    """
    source = read_source(path, overrides)
    return _loaded(source, SandboxConfig) if _is_sandbox(source.values) else _loaded(source, RunConfig)


def _is_sandbox(values: Mapping[str, Any]) -> bool:
    return _FEED in values or (_CATALOG not in values and not _OF_SANDBOXES.isdisjoint(values))


def read_source(path: Path, overrides: Sequence[Override] = ()) -> FileMapping:
    """Read a configuration as it is given, unchecked but for its text, for `source_with`.

    Overrides and the ConfigError of a file that cannot be read are as of `load_config`; the text's and the overrides'
    problems are among those of the source.
    """
    source = read_mapping(path, "configuration")
    seen: set[str] = set()
    for override in overrides:
        _apply(source, override, seen)
    _settle(source)
    return source


def _settle(source: FileMapping) -> None:
    """Make paths absolute, and tell custom classes and functions where to look for their modules."""
    for keys in _PATHS_OF_FILES:
        _resolve_path(source, keys)
    _place_references(source.values.get("strategy"), source.path.parent.resolve())


def source_with(source: FileMapping, changes: Mapping[tuple[str, ...], Any]) -> FileMapping:
    """Return a configuration's source with other values, each set at its path as ``--set`` does.

    Paths of files among them are relative to the configuration file. What cannot be set is among the problems. The
    values are for `read_config`, wherever it is called.
    """
    changed = replace(source, values=deepcopy(source.values), problems=list(source.problems))
    for path, value in changes.items():
        refusal = _put(changed.values, path, value)
        if refusal is not None:
            changed.problems.append(refusal)
    _settle(changed)
    return changed


def _place_references(section: Any, folder: Path) -> None:
    """Set the file's folder as the first place to look for modules of custom classes and functions."""
    if not isinstance(section, dict):
        return
    for key in _REFERENCES:
        if isinstance(section.get(key), str):
            with suppress(ValueError):  # the model refuses texts of another form
                section[key] = ObjectReference.parse(section[key], folder)
    symbols = section.get("symbols")
    for symbol in symbols.values() if isinstance(symbols, dict) else ():
        _place_references(symbol, folder)


def _loaded[Config: (RunConfig, SandboxConfig)](
    source: FileMapping, model: type[Config]
) -> LoadedConfig[Config]:
    config, found = _checked(source.values, model)
    placed = [(source.place(problem.path), problem) for problem in found]
    placed.sort(key=lambda pair: _line(pair[0]))
    errors = source.problems + [_placed_text(*pair) for pair in placed if not pair[1].is_warning]
    if errors or config is None:
        raise ConfigError(errors)
    return LoadedConfig(config, {_placed_text(*pair): pair[1] for pair in placed}, source.places)


def _checked[Config: (RunConfig, SandboxConfig)](
    values: Mapping[str, Any], model: type[Config]
) -> tuple[Config | None, list[Problem]]:
    """Read values as a model, and return it with all errors and risks."""
    config, found = check_model(model, values)
    if config is None:
        return None, found
    strategy: MarketMakerConfig = config.strategy
    later = [*strategy_risks(strategy), *configured_calibration(strategy)[1]]
    return config, [problem.under("strategy") for problem in later]


def _line(place: str) -> float:
    """Return a place's line number; infinity for overrides, so that they sort last."""
    return math.inf if _is_option(place) else int(place.rpartition(":")[2])


def _apply(source: FileMapping, override: Override, seen: set[str]) -> None:
    """Apply one override to the values; errors are added to the source's problems."""
    option, words = (OVERRIDE_SOURCE, override) if isinstance(override, str) else override
    dotted, equals, text = words.partition("=")
    keys = tuple(part.strip() for part in dotted.split("."))
    if not equals or not all(keys):
        example = "KEY.KEY=VALUE such as strategy.gamma=0.3"
        source.problems.append(f"{option} must be {example}, was {shown(words)}")
        return
    prefix = f"{option} {shown_key(dotted.strip())}: "
    if dotted.strip() in seen:
        both = f"{option} and {OVERRIDE_SOURCE} {dotted.strip()} set the same key"
        wrong = f"{prefix}a key must be set once, was set again to {shown(text)}"
        source.problems.append(
            wrong if option == OVERRIDE_SOURCE else f"{both}; give one of them, was {text} and another"
        )
        return
    seen.add(dotted.strip())
    read = read_yaml(text)
    refusal = read.problems[0].message if read.problems else _put(source.values, keys, read.value)
    if refusal is not None:
        source.problems.append(prefix + refusal)
        return
    for path in [known for known in source.places if known[: len(keys)] == keys]:
        del source.places[path]
    source.places.update(dict.fromkeys([keys, *((*keys, *path) for path in read.lines)], option))
    for length in range(1, len(keys)):
        source.places.setdefault(keys[:length], option)


def _put(values: dict[str, Any], keys: tuple[str, ...], value: Any) -> str | None:
    """Set a value below `values`, or return why it cannot be set there."""
    if keys[:2] == ("strategy", "symbols") and len(keys) > 3:
        refusal = _unknown_symbol(values, keys[2], value)
        if refusal is not None:
            return refusal
    holder: Any = values
    for position, key in enumerate(keys):
        name, index = ".".join(keys[:position]), int(key) if key.isdecimal() and key.isascii() else -1
        if keys[:position] == ("notify",) and isinstance(holder, list) and index < 0:
            holder = values["notify"] = {"urls": holder}  # the list stands for the section
        if isinstance(holder, list) and not 0 <= index < len(holder):
            return f"an entry of {name} must be a number from 0 to {len(holder) - 1}, was {shown_key(key)}"
        if not isinstance(holder, list | dict):
            return f"{name} must be a mapping to have a key {shown_key(key)}, was {shown(holder)}"
        place: Any = index if isinstance(holder, list) else key
        if position == len(keys) - 1:
            holder[place] = value
        elif isinstance(holder, dict) and holder.get(key) is None:
            holder[key] = {}
        holder = holder[place]
    return None


def _unknown_symbol(values: Mapping[str, Any], symbol: str, value: Any) -> str | None:
    """Refuse an override of a key of an unknown symbol, which is most likely misspelt."""
    strategy = values.get("strategy")
    symbols = strategy.get("symbols") if isinstance(strategy, dict) else None
    if not isinstance(symbols, dict) or symbol in symbols:
        return None
    known = known_names(symbol, symbols)
    return f"a symbol with keys must be configured ({known}), was {shown_key(symbol)} with {shown(value)}"


def _resolve_path(source: FileMapping, keys: tuple[str, ...]) -> None:
    """Make a path absolute: relative to the file, or for an override to the working directory or shipped files.

    A URL stays as it is.
    """
    holder: Any = source.values
    for key in keys[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    given = holder.get(keys[-1]) if isinstance(holder, dict) else None
    if not isinstance(given, str) or not given.strip() or not given.isprintable() or is_url(given):
        return
    from_file = not _is_option(source.place(keys))
    path = source.path.parent / given if from_file else shipped_file(Path(given))
    holder[keys[-1]] = str(path.resolve())


def resolved_yaml(config: RunConfig | SandboxConfig) -> str:
    """Return a configuration as YAML with all defaults; reading it gives an equal configuration."""
    values = as_yaml_values(config.model_dump())
    if isinstance(config, RunConfig):
        values["catalog"] = str(config.catalog.absolute())
    elif config.feed.catalog is not None:
        values["feed"]["catalog"] = str(config.feed.catalog.absolute())
    if config.strategy.calibration is not None:
        values["strategy"]["calibration"] = str(config.strategy.calibration.absolute())
    return yaml_text(values)
