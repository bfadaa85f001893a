"""What is searched: the values that parameters may take together, read from YAML or from ``--grid`` and checked.

::

    strategy.gamma: {low: 0.02, high: 1, log: true}
    strategy.min_spread_pct: {low: 0.02, high: 0.1, step: 0.01}
    strategy.symbols.XRP/USDT.position_size: {low: 10 XRP, high: 50 XRP, step: 5 XRP}
    strategy.fair_price: [mid, microprice]
    constraints:
      - trailing_stop_distance < trailing_stop_activation
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, get_origin

import numpy as np

from mm_nautilus.checks.config_source import config_errors, source_with
from mm_nautilus.config.problems import MISSING, check_model, describe, is_section, shown, shown_key
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.strategy import SymbolOverrides, SymbolParams
from mm_nautilus.config.yaml_file import FileMapping, read_mapping
from mm_nautilus.config.yaml_source import read_yaml
from mm_nautilus.errors import ConfigError
from mm_nautilus.search.constraints import Constraint, parse_constraint
from mm_nautilus.search.dimensions import Choices, Dimension, Range, choices
from mm_nautilus.system.near_names import nearest

type Point = Mapping[str, Any]
"""A value for each key of a space."""
type Misfits = Callable[[Mapping[str, Any]], Sequence[str]]
"""Returns why a configuration's plain values, valid by themselves, cannot be run on their data."""
type _Path = tuple[str, ...]

GRID_OPTION: Final = "--grid"
_CONSTRAINTS: Final = "constraints"
_STRATEGY: Final = "strategy"
_SYMBOLS: Final = "symbols"
_POINTS_TRIED: Final = 1_000
"""Points that are looked at to see whether constraints leave any."""
_CONFIGURATIONS_TRIED: Final = 50
"""Points that are looked at to see whether the configuration takes any, or any with a certain value."""
_RUNS_CHECKED: Final = 15
"""Points that are looked at to see whether any with a certain value can be run on its data."""


@dataclass(frozen=True, slots=True)
class Space:
    """The points that are searched around one configuration."""

    source: FileMapping
    """The configuration, from `read_source`."""
    dimensions: tuple[Dimension, ...]
    constraints: tuple[Constraint, ...] = ()

    @property
    def size(self) -> int | None:
        """Number of points without regard to constraints, None where a dimension is continuous."""
        counts = [len(it.values) for it in self.dimensions if isinstance(it, Choices)]
        return math.prod(counts) if len(counts) == len(self.dimensions) else None

    def apply(self, point: Point) -> dict[str, Any]:
        """Return the configuration at a point, as plain values for `read_config`."""
        changed = source_with(self.source, {_path(key): value for key, value in point.items()})
        if changed.problems:
            raise ValueError("; ".join(changed.problems))
        return changed.values

    def refusals(self, point: Point) -> list[str]:
        """Return which constraints a point breaks, or else why the configuration refuses it; empty if it can be run."""
        values = self.apply(point)
        broken = (constraint.broken(values) for constraint in self.constraints)
        found = [text for text in broken if text is not None]
        return found or [problem.located() for problem in config_errors(values)]

    def units(self, point: Point) -> list[float]:
        """Return a point's coordinates, each as a share of its dimension, 0 to 1; for `plateau`."""
        return [unit for dimension in self.dimensions for unit in dimension.units(point[dimension.key])]

    def at(self, shares: Sequence[float]) -> dict[str, Any]:
        """Return the point at a share of each dimension, 0 to 1."""
        return {it.key: it.at(share) for it, share in zip(self.dimensions, shares, strict=True)}

    def sample(self, count: int) -> list[dict[str, Any]]:
        """Return all points of a space of at most `count`, else the corners, if as few, and `count` points at random.

        The same space has the same points each time.
        """
        axes = [it.values for it in self.dimensions if isinstance(it, Choices)]
        if self.size is not None and self.size <= count:
            return list(self._product(axes))
        corners = [it.extremes() for it in self.dimensions]
        shares = np.random.default_rng(0).random((count, len(corners))).tolist()
        exact = self._product(corners) if math.prod(map(len, corners)) <= count else ()
        return [*exact, *(self.at(row) for row in shares)]

    def _product(self, axes: Sequence[Sequence[Any]]) -> Iterator[dict[str, Any]]:
        keys = [dimension.key for dimension in self.dimensions]
        return (dict(zip(keys, values, strict=True)) for values in product(*axes))


def _path(key: str) -> _Path:
    return tuple(part.strip() for part in key.split("."))


def load_space(path: Path, source: FileMapping, misfits: Misfits | None = None) -> Space:
    """Read the YAML file of a space around a configuration from `read_source`, which `load_config` accepts.

    `misfits` is asked about every choice and both ends of every range, unless the rest of the space is refused already.
    A ConfigError has all problems, one per line: file and line, the key, the value given and what is allowed.
    """
    return _Reader(read_mapping(path, "search space"), source, misfits).space()


def grid_space(options: Sequence[str], source: FileMapping, misfits: Misfits | None = None) -> Space:
    """Read the space of ``--grid`` options, each as ``strategy.gamma=0.1,0.3,1``; the rest as of `load_space`."""
    given = FileMapping(Path(GRID_OPTION), {}, {}, [])
    for option in options:
        key, equals, text = (part.strip() for part in option.partition("="))
        read = read_yaml(f"[{text}]")
        if not equals or not key or read.problems or not isinstance(read.value, list) or not read.value:
            example = "KEY.KEY=VALUE,VALUE such as strategy.gamma=0.1,0.3"
            given.problems.append(f"{GRID_OPTION} must be {example}, was {shown(option)}")
        elif key in given.values:
            text = "a key must be given once, was given again"
            given.problems.append(f"{GRID_OPTION} {shown_key(key)}: {text}")
        else:
            given.values[key] = read.value
            given.places[(key,)] = GRID_OPTION
    return _Reader(given, source, misfits).space()


class _Reader:
    """Reads a space and collects everything wrong with it."""

    def __init__(self, given: FileMapping, source: FileMapping, misfits: Misfits | None) -> None:
        self._given = given
        self._source = source
        self._misfits = misfits
        self._known = set(config_errors(source.values))
        self._found: list[tuple[int, str]] = []
        """Line and text of each problem."""

    def space(self) -> Space:
        """Return the space; a ConfigError has all problems in the order of their lines."""
        bodies = {key: body for key, body in self._given.values.items() if key != _CONSTRAINTS}
        read = [self._dimension(key, body) for key, body in bodies.items()]
        dimensions = tuple(dimension for dimension in read if dimension is not None)
        space = Space(self._source, dimensions, tuple(self._constraints()))
        if not read and not self._given.problems:
            self._refuse((), "a search space must have a key, was none")
        self._check_values(dimensions)
        if not self._found and not self._given.problems:
            self._check_points(space)
        if self._misfits is not None and not self._found and not self._given.problems:
            self._check_data(space, self._misfits)
        if self._found or self._given.problems:
            found = [text for _, text in sorted(self._found, key=lambda pair: pair[0])]
            raise ConfigError([*self._given.problems, *found])
        return space

    def _refuse(self, path: _Path, message: str) -> None:
        place = self._given.place(path)
        if place == GRID_OPTION:
            self._found.append((0, f"{place} {message}"))
        else:
            self._found.append((int(place.rpartition(":")[2]), f"{place}: {message}"))

    def _refused(self, changes: Mapping[_Path, Any]) -> list[str]:
        """Return why the configuration, which is valid, is no longer so with some values."""
        changed = source_with(self._source, changes)
        if changed.problems:
            return changed.problems
        found = config_errors(changed.values)
        return [problem.located() for problem in found if problem not in self._known]

    def _dimension(self, key: str, body: Any) -> Dimension | None:
        refusal = self._key_refusal(key, body)
        if refusal is not None:
            self._refuse((key,), refusal)
            return None
        self._check_effect(key)
        if isinstance(body, dict):
            return self._between(key, body)
        if not isinstance(body, list) or not body:
            example = "{low: 0.1, high: 1} or a list of choices"
            text = f"a key of a search must have a range such as {example}, was {shown(body)}"
            self._refuse((key,), f"{key}: {text}")
            return None
        differing = [value for place, value in enumerate(body) if value not in body[:place]]
        if differing != body:
            twice = next(value for value in body if body.count(value) > 1)
            self._refuse((key,), f"{key}: choices must differ, was {shown(twice)} twice")
        return choices(key, differing)

    def _key_refusal(self, key: str, body: Any) -> str | None:
        """Return why a key is not one parameter of the strategy, None if it is."""
        path = _path(key)
        found, changed = describe(RunConfig, path), source_with(self._source, {path: body})
        if changed.problems:
            return f"{key}: {changed.problems[0]}"
        if found is None:  # unknown, unless it is one of pricing_parameters, which a number is a value of
            return "; ".join(self._refused({path: body})) if self._refused({path: 0}) else None
        if path[0] != _STRATEGY:
            return f"{key}: a key of a search must be a parameter of the strategy, was {path[0]}"
        if isinstance(body, dict) and (is_section(found.annotation) or get_origin(found.annotation) is dict):
            example = f"the dotted path of one parameter, such as {_STRATEGY}.gamma"
            return f"{key}: a key of a search must be {example}, was a section with {shown(body)}"
        return None

    def _between(self, key: str, body: Mapping[str, Any]) -> Dimension | None:
        bounds, problems = check_model(Range, body)
        misspelt = {nearest(name, Range.model_fields) for name in body if name not in Range.model_fields}
        for problem in problems:
            if not problem.message.startswith(MISSING):
                self._refuse((key, *problem.path), problem.under(key).located())
            elif problem.path[-1] not in misspelt:
                self._refuse((key,), f"{key}: {problem.path[-1]} must be given, was missing")
        if bounds is None:
            return None
        if bounds.step is None and not self._takes_whole_numbers_only(key, bounds):
            return bounds.continuous(key)
        if bounds.log:
            text = "log must be false for whole numbers (choices may be as uneven as you like), was true"
            self._refuse((key, "log"), f"{key}: {text}")
            return None
        return bounds.stepped(key)

    def _takes_whole_numbers_only(self, key: str, bounds: Range) -> bool:
        """Return whether both bounds can be taken but no number with a half."""
        whole = bounds.whole_bounds
        if whole is None or not all(self._takes(key, bound) for bound in whole):
            return False
        return not self._takes(key, whole[0] + 0.5)

    def _takes(self, key: str, value: Any) -> bool:
        """Return whether a symbol's parameter may have a value whatever the others are, or another key as they are."""
        *parents, name = _path(key)
        of_one = len(parents) == 3 and parents[:2] == [_STRATEGY, _SYMBOLS]
        is_of_symbols = parents == [_STRATEGY] or of_one
        if is_of_symbols and name in SymbolParams.model_fields:
            return not check_model(SymbolOverrides, {name: value})[1]
        return not self._refused({_path(key): value})

    def _check_effect(self, key: str) -> None:
        """Refuse a common parameter that every symbol replaces by its own."""
        parents, name = _path(key)[:-1], _path(key)[-1]
        if parents != (_STRATEGY,) or name not in SymbolParams.model_fields:
            return
        symbols = self._source.values[_STRATEGY][_SYMBOLS]
        searched = {_path(other) for other in self._given.values}
        if all(
            name in (own or {}) or (_STRATEGY, _SYMBOLS, symbol, name) in searched
            for symbol, own in symbols.items()
        ):
            text = f"{name} has no effect, since every symbol has its own ({', '.join(symbols)})"
            self._refuse((key,), f"{key}: {text}")

    def _check_values(self, dimensions: Sequence[Dimension]) -> None:
        """Refuse values that the configuration takes neither by themselves nor with others of the space."""
        taken: dict[_Path, list[Any]] = {}
        refused: list[tuple[str, _Path, Any, list[str]]] = []
        for dimension in dimensions:
            key = dimension.key
            for place, value in self._values(dimension):
                reasons = self._refused({_path(key): value})
                if not reasons:
                    taken.setdefault(_path(key), []).append(value)
                    continue
                refused.append((key, place, value, reasons))
        for key, place, value, reasons in refused:
            others = {path: values for path, values in taken.items() if path != _path(key)}
            is_choice = isinstance(self._given.values[key], list)
            # The end of a range may be out of reach for what it goes with; a choice is there to be taken.
            if (is_choice or not self._takes(key, value)) and not self._is_taken_with(others, key, value):
                self._refuse(place, "; ".join(reasons))

    def _values(self, dimension: Dimension) -> list[tuple[_Path, Any]]:
        """Return the values that are checked one by one, with their paths in the file."""
        key = dimension.key
        body = self._given.values[key]
        if isinstance(dimension, Choices) and isinstance(body, list):
            return [((key, str(body.index(value))), value) for value in dimension.values]
        if isinstance(dimension, Choices):
            low, high = dimension.extremes()
            # A step may leave the whole numbers that both bounds are.
            return [
                ((key, "low"), low),
                *(((key, "step"), value) for value in dimension.values[1:2]),
                ((key, "high"), high),
            ]
        # Where whole numbers are needed, 10 is one; 10.0 is none.
        return [
            ((key, end), int(value) if value.is_integer() else value)
            for end, value in zip(("low", "high"), dimension.extremes(), strict=True)
        ]

    def _is_taken_with(self, others: Mapping[_Path, Sequence[Any]], key: str, value: Any) -> bool:
        """Return whether the configuration takes a value together with some of other keys."""
        random = np.random.default_rng(0)
        return any(
            not self._refused(
                {path: values[int(random.integers(len(values)))] for path, values in others.items()}
                | {_path(key): value}
            )
            for _ in range(_CONFIGURATIONS_TRIED if others else 0)
        )

    def _constraints(self) -> Iterator[Constraint]:
        given = self._given.values.get(_CONSTRAINTS) or []
        if not isinstance(given, list):
            text = f"constraints must be a list such as [gamma <= 0.5], was {shown(given)}"
            self._refuse((_CONSTRAINTS,), text)
            return
        for place, text in enumerate(given):
            try:
                yield parse_constraint(text, self._source.values[_STRATEGY][_SYMBOLS])
            except ValueError as error:
                self._refuse((_CONSTRAINTS, str(place)), f"{_CONSTRAINTS}: {error}")

    def _check_points(self, space: Space) -> None:
        """Refuse a space without any point that meets the constraints and that the configuration takes, or of one."""
        if space.size == 1:
            self._refuse(
                (),
                f"a search space must have at least two points, was {shown(space.at([0.0] * len(space.dimensions)))}",
            )
            return
        points = [space.apply(point) for point in space.sample(_POINTS_TRIED)]
        met, reason = points, ""
        for place, constraint in enumerate(space.constraints):
            try:
                broken = [constraint.broken(values) for values in met]
            except ValueError as error:
                text = f"{_CONSTRAINTS}: {constraint.text}: {error}"
                self._refuse((_CONSTRAINTS, str(place)), text)
                return
            reason = next((text for text in broken if text is not None), reason)
            met = [values for values, text in zip(met, broken, strict=True) if text is None]
        if not met:
            text = f"constraints must leave a point, left none of {len(points):,} tried, such as: {reason}"
            self._refuse((_CONSTRAINTS,), text)
            return
        tried = met[:_CONFIGURATIONS_TRIED]
        if all(config_errors(values) for values in tried):
            text = f"the configuration must take a point, refused all of {len(tried)} tried, such as"
            self._refuse((), f"{text}: {config_errors(tried[0])[0].located()}")

    def _check_data(self, space: Space, misfits: Misfits) -> None:
        """Refuse values with which no point that the configuration takes can be run on its data."""
        shares = np.random.default_rng(0).random((_RUNS_CHECKED, len(space.dimensions))).tolist()
        for dimension in space.dimensions:
            for place, value in self._values(dimension):
                if place[-1] == "step":
                    continue
                chosen = {dimension.key: value}
                reasons: Sequence[str] = ()
                for point in (chosen, *(space.at(row) | chosen for row in shares)):
                    if space.refusals(point):
                        continue
                    found = misfits(space.apply(point))
                    reasons = reasons or found
                    if not found:
                        break
                else:
                    if reasons:
                        is_named = any(f"{_path(dimension.key)[-1]} must" in reason for reason in reasons)
                        which = "" if is_named else f"{dimension.key}: with {shown(value)}, "
                        self._refuse(place, which + "; ".join(reasons))
