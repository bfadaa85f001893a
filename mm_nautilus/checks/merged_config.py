"""The effective configuration: every value, merged for each symbol, with its source."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from mm_nautilus.checks.config_source import DEFAULT_SOURCE, AnyLoadedConfig
from mm_nautilus.config.run import as_yaml_values
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams
from mm_nautilus.config.yaml_file import yaml_pair

_STRATEGY: Final = "strategy"
_SYMBOLS: Final = "symbols"
_PER_SYMBOL: Final = frozenset(SymbolParams.model_fields)
_INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class MergedValue:
    """One effective value."""

    path: tuple[str, ...]
    """The keys that lead to it; a symbol's parameters have the symbol's path, wherever they were given."""
    value: Any
    """The value as plain YAML and JSON data."""
    source: str
    """``FILE:LINE``, ``--set`` or ``default``."""

    @property
    def is_default(self) -> bool:
        """Whether it is a default."""
        return self.source == DEFAULT_SOURCE


def common_values(loaded: AnyLoadedConfig) -> list[MergedValue]:
    """Return the values that are common to all symbols, in the model's order, the strategy's last."""
    found = _section_values(loaded, loaded.config, ())
    return sorted(found, key=lambda value: value.path[0] == _STRATEGY)


def _section_values(
    loaded: AnyLoadedConfig, section: BaseModel, path: tuple[str, ...]
) -> Iterator[MergedValue]:
    for name in type(section).model_fields:
        if isinstance(section, MarketMakerConfig) and (name in _PER_SYMBOL or name == _SYMBOLS):
            continue
        value, here = getattr(section, name), (*path, name)
        if isinstance(value, BaseModel):
            yield from _section_values(loaded, value, here)
        elif isinstance(value, dict) and value:
            for key, entry in value.items():
                yield from _section_values(loaded, entry, (*here, key))
        else:
            plain = as_yaml_values(section.model_dump(include={name}))[name]
            yield MergedValue(here, plain, loaded.source(*here))


def symbol_values(loaded: AnyLoadedConfig, symbol: str) -> list[MergedValue]:
    """Return one symbol's merged parameters, without those that another one replaces; a KeyError for an unknown one."""
    strategy = loaded.config.strategy
    merged = strategy.for_symbol(symbol)
    own, path = strategy.symbols[symbol], (_STRATEGY, _SYMBOLS, symbol)
    levels = ((path, own), ((_STRATEGY,), strategy))
    sourced = (
        (name, value, _source(loaded, levels, merged, name))
        for name, value in as_yaml_values(merged.model_dump()).items()
    )
    return [
        MergedValue((*path, name), value, source) for name, value, source in sourced if source is not None
    ]


def _source(
    loaded: AnyLoadedConfig,
    levels: Iterable[tuple[tuple[str, ...], BaseModel]],
    merged: SymbolParams,
    name: str,
) -> str | None:
    """Return the source of a value from the most specific level, None if the value was replaced."""
    value = getattr(merged, name)
    for path, level in levels:
        if name in level.model_fields_set:
            return loaded.source(*path, name) if getattr(level, name) == value else None
    return DEFAULT_SOURCE if SymbolParams.model_fields[name].default == value else None


def values_text(values: Iterable[MergedValue]) -> str:
    """Return values as YAML, each with its source as a comment.

    The text of `common_values` followed by `symbol_values` of each symbol reads back as an equal configuration.
    """
    lines: list[tuple[str, str]] = []
    above: tuple[str, ...] = ()
    for value in values:
        *parents, name = value.path
        lines.extend((line, "") for line in _new_sections(above, tuple(parents)))
        above = tuple(parents)
        lines.append((f"{_INDENT * len(parents)}{yaml_pair(name, value.value)}", value.source))
    width = max((len(line) for line, source in lines if source), default=0)
    return "".join(f"{line:<{width}}  # {source}\n" if source else f"{line}\n" for line, source in lines)


def _new_sections(above: tuple[str, ...], parents: tuple[str, ...]) -> Iterator[str]:
    """Yield the headings of sections that begin before a value."""
    shared = 0
    while shared < min(len(above), len(parents)) and above[shared] == parents[shared]:
        shared += 1
    for depth in range(shared, len(parents)):
        yield f"{_INDENT * depth}{yaml_pair(parents[depth], {})[:-3]}"
