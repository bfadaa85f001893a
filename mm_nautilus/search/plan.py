"""What a search is before its first trial, checked as a whole, and as its folder keeps it for a later `--resume`."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any, Final

from mm_nautilus.checks.config_source import (
    LoadedConfig,
    Override,
    load_config,
    read_config,
    read_source,
    source_with,
)
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.problems import Problem, check_model
from mm_nautilus.config.run import RunConfig, as_yaml_values
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.config.yaml_file import read_mapping, yaml_text
from mm_nautilus.errors import ConfigError
from mm_nautilus.runs.folder import write_refusal
from mm_nautilus.runs.inputs import RunInputs, import_own_code, prepare
from mm_nautilus.runs.pricing_trial import try_pricing
from mm_nautilus.search.dimensions import Choices
from mm_nautilus.search.objectives import Objective, chosen_objectives
from mm_nautilus.search.results import data_hash
from mm_nautilus.search.search_files import SEARCH
from mm_nautilus.search.space import Point, Space, grid_space, load_space
from mm_nautilus.search.trial import TrialTask
from mm_nautilus.search.windows import (
    LEAST_SHARE,
    MOST_SHARE,
    Fold,
    Window,
    Windows,
    embargo_seconds,
    make_windows,
)
from mm_nautilus.system.moments import SECOND_NS, moment, nanoseconds
from mm_nautilus.system.near_names import known_names
from mm_nautilus.system.plain_text import without_passwords
from mm_nautilus.system.whole_file import write_files

DEFAULT_TRIALS: Final = 50
"""Points tried in each fold, unless there are fewer or more are asked for."""
CONFIG: Final = Path("config.yaml")
SPACE: Final = Path("space.yaml")
_MICROSECOND_NS: Final = 1_000
_RELATIVE_SQLITE: Final = re.compile(r"^sqlite(\+\w+)?:///(?!/|\?|:|file:|$)")
"""Begin of the address of an SQLite file, up to its path where that is relative."""
_OF_THE_EMBARGO: Final = frozenset(
    {
        *("max_position_seconds", "volatility_lookback", "recalibrate_minutes", "recalibrate_window_minutes"),
        *("use_reservation_price", "reservation_model", "pricing"),
    }
)
"""Parameters that the embargo depends on."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search was asked for."""

    config: Path
    directory: Path
    """Parent of the search's folder."""
    overrides: Sequence[Override] = ()
    space: Path | None = None
    """The YAML file of the space; one of it and `grid` is given."""
    grid: Sequence[str] = ()
    trials: int | None = None
    folds: int = 1
    train_share: float = 0.5
    objectives: Sequence[str] = ("pnl_bps",)
    storage: str | None = None
    """URL of an Optuna RDB; None keeps a journal in the search's folder."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A search whose configuration, space, objectives and windows have been checked."""

    name: str
    space: Space
    objectives: tuple[Objective, ...]
    windows: Windows
    embargo_seconds: float
    trials: int
    """Points to try in each fold."""
    seed: int
    storage: str | None
    report_currency: str
    data: Mapping[str, Any]
    """Catalog, its hash, first and last moment used, and whether it is simulated."""
    created: str
    versions: Mapping[str, str]
    files: Mapping[Path, bytes]
    """Configuration, space as it was given and the user's own modules, by their paths in the folder."""

    @property
    def is_grid(self) -> bool:
        """Whether every point is tried once, so that nothing is sampled."""
        return self.space.size is not None and self.space.size <= self.trials

    @property
    def sampler(self) -> str:
        """Name of what proposes points."""
        return "grid" if self.is_grid else "tpe" if len(self.objectives) == 1 else "nsga2"

    def task(self, point: Point, window: Window) -> TrialTask:
        """Return the run of a point on a window; the empty point is the configuration as it was."""
        needs_traces = any(objective.needs_traces for objective in self.objectives)
        return TrialTask(self.space.apply(point), window, self.windows.period_ns, needs_traces)

    def document(self) -> dict[str, Any]:
        """Return the part of ``search.json`` that `reopen` reads."""
        return {
            "name": self.name,
            "created": self.created,
            "config": str(CONFIG),
            "config_file": str(self.space.source.path.absolute()),
            "files": {str(name): _hash(content) for name, content in self.files.items()},
            "space": {
                "text": self.files[SPACE].decode(),
                "keys": [it.key for it in self.space.dimensions],
            },
            "seed": self.seed,
            "sampler": self.sampler,
            "storage": None if self.storage is None else without_passwords(self.storage),
            "versions": dict(self.versions),
            "data": dict(self.data),
            "report_currency": self.report_currency,
            "objectives": [
                {"name": it.name, "direction": it.direction, "unit": it.unit, "meaning": it.meaning}
                for it in self.objectives
            ],
            "windows": {
                "period_seconds": self.windows.period_ns / SECOND_NS,
                "embargo_seconds": self.embargo_seconds,
                "folds": [
                    {"train": _ends(fold.train), "test": _ends(fold.test)} for fold in self.windows.folds
                ],
            },
        }

    def save(self, folder: Path) -> None:
        """Write the configuration, the space and the user's modules to a search's folder."""
        write_files(folder, self.files)


def _hash(content: bytes) -> str:
    """Return what a change of a file changes: the first digits of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _ends(window: Window) -> dict[str, str]:
    return {
        "start": moment(window.start_ns).isoformat(),
        "end": moment(window.end_ns).isoformat(),
    }


def _plain(value: Any) -> Any:
    """Return a source's values for YAML, with the user's classes and functions as they are written."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, ObjectReference) else as_yaml_values(value)


# -- A new search ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """A search but for its windows, which may need to know how long positions last."""

    options: SearchOptions
    loaded: LoadedConfig[RunConfig]
    inputs: RunInputs
    space: Space
    space_text: str
    objectives: tuple[Objective, ...]
    span: Window

    @property
    def warnings(self) -> Mapping[str, Problem]:
        """Risks of the configuration, by their texts."""
        return {**self.loaded.warnings, **self.inputs.warnings}

    @property
    def unbounded(self) -> TrialTask | None:
        """The run that says how long positions last, None where the configuration and the space bound that.

        It is of the configuration as it was, on the data before the first test.
        """
        if all(params.max_position_seconds is not None for params in self._symbols()):
            return None
        end_ns = self.span.start_ns + round(
            (self.span.end_ns - self.span.start_ns) * self.options.train_share
        )
        window = Window(self.span.start_ns, _whole_microseconds(end_ns))
        return TrialTask(self.space.apply({}), window, window.end_ns - window.start_ns)

    def plan(self, unbounded_position_seconds: float) -> Plan:
        """Return the search; a ConfigError says that the data is too short."""
        options, config = self.options, self.loaded.config
        embargo = embargo_seconds(self._symbols(), unbounded_position_seconds)
        try:
            windows = make_windows(self.span, options.folds, embargo, options.train_share)
        except ConfigError as error:
            if not unbounded_position_seconds:
                raise
            age = f"a position became {unbounded_position_seconds:.0f} s old"
            raise ConfigError(f"{error}; {age}, which strategy.max_position_seconds would bound") from error
        return Plan(
            name=config.name,
            space=self.space,
            objectives=self.objectives,
            windows=_in_microseconds(windows),
            embargo_seconds=embargo,
            trials=_points_to_try(self.space, None if options.grid else options.trials or DEFAULT_TRIALS),
            seed=options.seed,
            storage=_absolute(options.storage),
            report_currency=config.report_currency,
            data={
                "catalog": str(config.catalog),
                "hash": data_hash(config.catalog, self.inputs.specs.values()),
                "start": moment(self.span.start_ns).isoformat(),
                "end": moment(self.span.end_ns).isoformat(),
                "simulated": any(spec.simulated for spec in self.inputs.specs.values()),
            },
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=_versions(),
            files={
                CONFIG: yaml_text(_plain(self.space.source.values)).encode(),
                SPACE: self.space_text.encode(),
                **_modules(self.inputs, self.space),
            },
        )

    def _symbols(self) -> Iterator[SymbolParams]:
        """Yield every symbol's parameters, at every extreme of what the embargo depends on, valid or not."""
        strategy = self.loaded.config.strategy
        for symbol, own in self.space.source.values["strategy"]["symbols"].items():
            searched: dict[str, Sequence[Any]] = {}
            for dimension in self.space.dimensions:
                *parents, name = dimension.key.split(".")
                if name not in _OF_THE_EMBARGO:
                    continue
                if parents == ["strategy", "symbols", symbol]:
                    searched[name] = dimension.extremes()
                elif parents == ["strategy"] and name not in (own or {}):
                    searched.setdefault(name, dimension.extremes())
            for values in product(*searched.values()):
                update = dict(zip(searched, values, strict=True))
                yield strategy.for_symbol(symbol).model_copy(update=update)


def draft(options: SearchOptions) -> Draft:
    """Check a search as a whole; a ConfigError has the problems of its options and its configuration, or its space."""
    problems = list(_option_problems(options))
    try:
        loaded = load_config(options.config, options.overrides)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
        raise ConfigError(problems)
    source = read_source(options.config, options.overrides)
    with loaded.placing():
        inputs = prepare(loaded.config)
    if options.space is None:
        space = grid_space(options.grid, source, _misfits)
        values = {it.key: list(it.values) for it in space.dimensions if isinstance(it, Choices)}
        text = yaml_text(values, compact=True)
    else:
        space = load_space(options.space, source, _misfits)
        text = options.space.read_text(encoding="utf-8-sig")
    span = Window(_whole_microseconds(inputs.quote_ns), _whole_microseconds(inputs.end_ns + 1))
    objectives = tuple(chosen_objectives(options.objectives))
    return Draft(options, loaded, inputs, space, text, objectives, span)


def _misfits(values: Mapping[str, Any]) -> Sequence[str]:
    """Return why a configuration does not fit its catalog, or its pricing functions cannot price the first book."""
    try:
        inputs = prepare(read_config(values).config)
        if inputs.code.pricing:
            try_pricing(inputs)
    except ConfigError as refused:
        return refused.problems
    return ()


def _absolute(storage: str | None) -> str | None:
    """Return a storage's address with an absolute path of an SQLite file, which is the same from every folder."""
    return storage and _RELATIVE_SQLITE.sub(lambda found: f"{found[0]}{Path.cwd()}/", storage)


def _modules(inputs: RunInputs, space: Space) -> dict[Path, bytes]:
    """Return the user's modules of the configuration and of every class and pricing function that is searched."""
    found = dict(inputs.code.sources)
    for dimension in space.dimensions:
        if dimension.key.endswith((".class", ".pricing")):
            for value in dimension.extremes():
                config, _ = check_model(RunConfig, space.apply({dimension.key: value}))
                found |= {} if config is None else import_own_code(config).sources
    return found


def _versions() -> dict[str, str]:
    return {
        name.replace("-", "_"): metadata.version(name)
        for name in ("mm-nautilus", "nautilus_trader", "optuna")
    }


def _option_problems(options: SearchOptions) -> Iterator[str]:
    """Yield what is wrong with the options whatever the files hold."""
    if (options.space is None) == (not options.grid):
        given = "neither" if options.space is None else f"both, {options.space} and {options.grid[0]}"
        yield f"one of SPACE and --grid must be given, was {given}"
    if options.trials is not None and options.trials < 1:
        yield f"--trials must be at least 1, was {options.trials}"
    if options.grid and options.trials is not None:
        yield f"--trials must be left out with --grid, which tries every point once, was {options.trials}"
    if options.folds < 1:
        yield f"--folds must be at least 1, was {options.folds}"
    if not LEAST_SHARE <= options.train_share <= MOST_SHARE:
        yield f"--train-share must be from {LEAST_SHARE} to {MOST_SHARE}, was {options.train_share}"
    if options.seed < 0:
        yield f"--seed must be 0 or more, was {options.seed}"
    try:
        chosen_objectives(options.objectives)
    except ConfigError as error:
        yield from (f"--objective: {text}" for text in error.problems)
    if (refusal := write_refusal(options.directory)[1]) is not None:
        yield f"--out must be a writable folder, was {options.directory}: {os.strerror(refusal)}"


def _points_to_try(space: Space, trials: int | None) -> int:
    """Return how many points of a space are tried in each fold; None asks for all."""
    return min(count for count in (space.size, trials) if count is not None)


def _whole_microseconds(ns: int) -> int:
    return -(-ns // _MICROSECOND_NS) * _MICROSECOND_NS


def _in_microseconds(windows: Windows) -> Windows:
    """Return windows whose edges are whole microseconds, as moments are written."""

    def rounded(window: Window) -> Window:
        return Window(_whole_microseconds(window.start_ns), _whole_microseconds(window.end_ns))

    folds = tuple(Fold(rounded(fold.train), rounded(fold.test)) for fold in windows.folds)
    return Windows(folds, _whole_microseconds(windows.period_ns))


# -- An earlier search ----------------------------------------------------------------------------------------


def find_search(directory: Path, name: str) -> Path:
    """Return the folder of an earlier search by its name in a directory, or by its path.

    A ConfigError names the nearest ones.
    """
    for folder in (directory / name, Path(name)):
        if (folder / SEARCH).is_file():
            return folder
    known = sorted((path.parent.name for path in directory.glob(f"*/{SEARCH}")), reverse=True)
    raise ConfigError(f"--resume must be a search in {directory} ({known_names(name, known)}), was {name}")


def read_document(folder: Path) -> dict[str, Any]:
    """Return ``search.json`` of a search's folder; a ConfigError says that it is damaged."""
    try:
        document: dict[str, Any] = json.loads((folder / SEARCH).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / SEARCH} cannot be read: {error}") from error
    return document


def reopen(folder: Path, trials: int | None = None, storage: str | None = None) -> Plan:
    """Return an earlier search as it was; `trials` raises the number of points to try in each fold.

    A ConfigError says that a file of it is damaged, the catalog or the version of a package is not what it was,
    `trials` is below what it was, or the storage's address is needed again, as its password is not kept.
    """
    document = read_document(folder)
    try:
        return _reopened(folder, document, trials, storage)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder / SEARCH} is not the file of a search: {error!r}") from error


def _reopened(folder: Path, document: Mapping[str, Any], trials: int | None, storage: str | None) -> Plan:
    files = _files_as_they_were(folder, document["files"])
    written = read_mapping(folder / CONFIG, "configuration")
    source = source_with(replace(written, path=Path(document["config_file"])), {})
    others = [
        f"{name} must be {document['versions'].get(name)}, as at the search's begin, was {version}"
        for name, version in _versions().items()
        if document["versions"].get(name) != version
    ]
    if others:
        raise ConfigError(others)
    config = read_config(source.values).config
    data, windows = document["data"], document["windows"]
    asked = document["trials"]["asked_per_fold"]
    if trials is not None and trials < asked:
        raise ConfigError(f"--trials must be at least {asked}, what the search had, was {trials}")
    inputs = prepare(config)
    found = data_hash(config.catalog, inputs.specs.values())
    if found != data["hash"]:
        text = f"the catalog {config.catalog} must be what it was at the search's begin"
        raise ConfigError(f"{text} (hash {data['hash']}), was changed (hash {found})")
    if storage is None and document["storage"] is not None and "***" in document["storage"]:
        text = "--storage must be given again, as passwords are not kept"
        raise ConfigError(f"{text}, was left out ({document['storage']})")
    space = load_space(folder / SPACE, source)
    for name, content in _modules(inputs, space).items():
        if files.get(name) != content:
            raise ConfigError(
                f"{name} must be what it was at the search's begin, {folder / name}, was changed"
            )
    return Plan(
        name=document["name"],
        space=space,
        objectives=tuple(chosen_objectives([given["name"] for given in document["objectives"]])),
        windows=Windows(
            tuple(Fold(*(_window(fold[role]) for role in ("train", "test"))) for fold in windows["folds"]),
            round(windows["period_seconds"] * SECOND_NS),
        ),
        embargo_seconds=windows["embargo_seconds"],
        trials=asked if trials is None else _points_to_try(space, trials),
        seed=document["seed"],
        storage=document["storage"] if storage is None else _absolute(storage),
        report_currency=document["report_currency"],
        data=data,
        created=document["created"],
        versions=document["versions"],
        files=files,
    )


def _files_as_they_were(folder: Path, hashes: Mapping[str, str]) -> dict[Path, bytes]:
    """Return the files that a search's folder has from its begin; a ConfigError names those that were changed."""
    found, changed = {}, []
    for name, known in hashes.items():
        path = folder / name
        found[Path(name)] = content = path.read_bytes() if path.is_file() else b""
        if not path.is_file() or _hash(content) != known:
            what = "was changed" if path.is_file() else "was not there"
            changed.append(f"{path} must be what it was at the search's begin (hash {known}), {what}")
    if changed:
        raise ConfigError(changed)
    return found


def _window(ends: Mapping[str, str]) -> Window:
    return Window(*(nanoseconds(datetime.fromisoformat(ends[name])) for name in ("start", "end")))
