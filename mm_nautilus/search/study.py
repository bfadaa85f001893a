"""The trials of one fold: an Optuna study that is asked for points and told results, whoever runs them."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from mm_nautilus.errors import ConfigError
from mm_nautilus.search.dimensions import Choices, Continuous, Dimension
from mm_nautilus.search.objectives import Objective
from mm_nautilus.search.plan import Plan
from mm_nautilus.search.results import Result
from mm_nautilus.search.space import Point
from mm_nautilus.system.file_lock import take_lock
from mm_nautilus.system.raised import one_line

try:
    import optuna
except ModuleNotFoundError as error:
    if error.name != "optuna":
        raise
    hint = "a search needs optuna; install it with: pip install 'mm-nautilus[search]'"
    raise ConfigError(hint) from error
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url

JOURNAL: Final = "study.journal"
_LARGEST_GENERATION: Final = 50
STORAGE_ERRORS: Final = (StorageInternalError, OSError)
"""What is raised where a storage fails while a search runs."""
_RESULT: Final = "result"
_WORKER: Final = "worker"
_REPEATS: Final = "repeats"
"""Attributes of a trial: what it came to, who runs it, and which one has been told with the same point.

One that has ended with neither a result nor another's is lost: its process ended before it did.
"""


optuna.logging.set_verbosity(optuna.logging.ERROR)


# -- Storages -------------------------------------------------------------------------------------------------


@contextmanager
def open_storage(url: str | None, folder: Path, *, must_exist: bool = False) -> Iterator[BaseStorage]:
    """Open a database, or the journal in a search's folder, and close it after the block.

    A ConfigError says that a database refuses, that there is none of such an address, that the journal is damaged, or
    that a file is missing where it `must_exist`.
    """
    if url is None:
        path = folder / JOURNAL
        _check_file(path, must_exist=must_exist)
        lock = _JournalLock(str(path))
        try:
            lock.acquire()  # else the last line may be one that another process is about to finish
            try:
                _cut_unfinished_line(path)
                _check_lines(path)
            finally:
                lock.release()
            journal = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} cannot be read, it is damaged: {one_line(str(error))}") from error
        yield journal
        return
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            _check_file(Path(parsed.database or ""), must_exist=must_exist)
        storage = RDBStorage(url)
    except ConfigError:
        raise
    except Exception as error:  # each driver has errors of its own
        text = "--storage must be the URL of a database that Optuna can use"
        raise ConfigError(f"{text}, was {url}: {one_line(str(error))}") from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _check_file(path: Path, *, must_exist: bool) -> None:
    if must_exist and not path.is_file():
        raise ConfigError(f"{path} must be there, as it has the trials of the search, was not")


class _JournalLock(JournalFileOpenLock):
    """A lock that the system releases when the process is killed; Optuna's own would be waited for."""

    def acquire(self) -> bool:
        self._handle = take_lock(Path(self._lock_file), math.inf)
        return True

    def release(self) -> None:
        os.close(self._handle)


def _cut_unfinished_line(path: Path) -> None:
    """Remove what a process wrote of a journal's last line before it was killed: what follows would be unreadable."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _check_lines(path: Path) -> None:
    """Raise a ValueError if a line is no JSON; of the last one, Optuna would do so after the next."""
    if path.exists():
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number} is no JSON") from error


def kept_results(storage: BaseStorage, name: str) -> int:
    """Return how many trials of a search have a result in a storage."""
    studies = [it for it in storage.get_all_studies() if it.study_name.rpartition("/")[0] == name]
    trials = (trial for it in studies for trial in storage.get_all_trials(it._study_id, deepcopy=False))
    return sum(1 for trial in trials if _is_told(trial))


# -- Points ---------------------------------------------------------------------------------------------------


def _distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension as Optuna's: choices by their places, which ascend where they do."""
    if isinstance(dimension, Continuous):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    last = len(dimension.values) - 1
    return IntDistribution(0, last) if dimension.is_ordered else CategoricalDistribution(range(last + 1))


def _value(dimension: Dimension, param: Any) -> Any:
    return dimension.values[param] if isinstance(dimension, Choices) else param


def _param(dimension: Dimension, value: Any) -> Any:
    return dimension.values.index(value) if isinstance(dimension, Choices) else value


class _SeededSampler(BaseSampler):
    """A sampler that is made anew for each trial: a search that was interrupted goes on as it would have.

    It is seeded with the trial's number, without those before it that were lost, of which `lost_before` says how many.
    """

    def __init__(self, make: Callable[[int], BaseSampler], lost_before: Callable[[int], int]) -> None:
        self._make, self._lost_before = make, lost_before
        self._sampler = make(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler = self._make(trial.number - self._lost_before(trial.number))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)


def _sampler(plan: Plan, fold: int, lost_before: Callable[[int], int]) -> BaseSampler:
    # A generation is a part of the trials, so that there are several.
    nsga2 = partial(NSGAIISampler, population_size=min(_LARGEST_GENERATION, max(10, plan.trials // 5)))
    kinds: dict[str, Callable[..., BaseSampler]] = {
        "grid": RandomSampler,
        "tpe": TPESampler,  # it reckons with trials that still run, as constant_liar is on by default
        "nsga2": nsga2,
    }
    kind = kinds[plan.sampler]

    def make(number: int) -> BaseSampler:
        return kind(seed=int(np.random.SeedSequence([plan.seed, fold, number]).generate_state(1)[0]))

    return _SeededSampler(make, lost_before)


# -- Trials ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial to run."""

    number: int
    point: Point


@dataclass(frozen=True, slots=True)
class Told:
    """A trial that was told."""

    number: int
    point: Point
    result: Result


class FoldStudy:
    """The study of one fold in a storage that other processes may share."""

    def __init__(self, plan: Plan, fold: int, storage: BaseStorage, name: str, worker: str) -> None:
        self._plan, self._worker = plan, worker
        self._objectives: tuple[Objective, ...] = plan.objectives
        self._dimensions = plan.space.dimensions
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{name}/{fold}",
            sampler=_sampler(plan, fold, self._lost_before),
            directions=[it.direction for it in self._objectives],
            load_if_exists=True,
        )
        self._running: dict[tuple[Any, ...], list[Trial]] = {}
        """Trials that this process runs, by their points: the first does, the others wait for it."""
        self._looked_at, self._open = 0, list[FrozenTrial]()
        """How many trials have been looked at, and those of them that had not ended: what has ended stays as it is."""
        self._told: dict[int, Told] = {}
        self._known: dict[tuple[Any, ...], Told] = {}
        """Trials that were told, by their numbers and by their points."""
        self._best = math.inf
        """What of them ranks first by the first objective."""
        self._repeats, self._lost = 0, list[int]()
        """How many that ended repeat another one, and the numbers of those that were lost."""

    # -- What a study remembers beside its trials

    def note(self, name: str, value: Any) -> None:
        """Keep a plain value by a name."""
        self._study.set_user_attr(name, value)

    def noted(self, name: str) -> Any:
        """Return a value that was kept, None if there is none."""
        return self._study.user_attrs.get(name)

    @property
    def notes(self) -> int:
        """Number of values that are kept."""
        return len(self._study.user_attrs)

    # -- Asking and telling

    def prepare(self, is_alive: Callable[[str], bool]) -> None:
        """Enqueue the points that have to be tried: a grid's, and again those of trials whose process is gone."""
        for trial in self._trials(TrialState.RUNNING):
            if is_alive(trial.user_attrs.get(_WORKER, "")):
                continue
            if _RESULT in trial.user_attrs:
                self._end(trial.number, Result(**trial.user_attrs[_RESULT]))
            else:
                self._lose(trial.number, trial.params)
        if self._plan.is_grid:
            params = (_params_of(trial) for trial in self._trials())
            known = {self._key(self._point(each)) for each in params if len(each) == len(self._dimensions)}
            for point in self._plan.space.sample(self._plan.trials):
                if self._key(point) not in known:
                    self._study.enqueue_trial({it.key: _param(it, point[it.key]) for it in self._dimensions})

    @property
    def tried(self) -> int:
        """Number of points tried so far or being tried, refused ones and repeats too."""
        ended = self.ended
        return ended + sum(1 for trial in self._open if trial.state is not TrialState.WAITING)

    @property
    def ended(self) -> int:
        """Number of points tried whose result is known."""
        self._look()
        return len(self._told) + self._repeats

    def ask(self) -> Asked | None:
        """Return the next point to run, None where there is none; what needs no run is told at once.

        While a process asks, no other one may ask or `prepare`, see `only_process`.
        """
        while self._has_more():
            trial = self._study.ask({it.key: _distribution(it) for it in self._dimensions})
            trial.set_user_attr(_WORKER, self._worker)
            point = self._point(trial.params)
            key = self._key(point)
            self._look()
            if key in self._known:
                self._repeat(trial, self._known[key])
            elif key in self._running:
                self._running[key].append(trial)
            elif reasons := self._refusals(point):
                self._keep(trial, Result.refused("; ".join(reasons)))
            else:
                self._running[key] = [trial]
                return Asked(trial.number, point)
        return None

    def tell(self, asked: Asked, result: Result) -> None:
        """Keep what a trial came to, also for those that were proposed with the same point meanwhile."""
        first, *others = self._running.pop(self._key(asked.point))
        self._keep(first, result)
        for other in others:
            self._repeat(other, Told(asked.number, asked.point, result))

    def abandon(self) -> None:
        """Give back the points of trials that this process has not ended: a resumed search runs them."""
        for first, *others in self._running.values():
            self._lose(first.number, first.params)
            for other in others:
                self._study.tell(other, state=TrialState.FAIL)
        self._running.clear()

    def _has_more(self) -> bool:
        if self._plan.is_grid:
            return bool(self._trials(TrialState.WAITING))
        return self.tried < self._plan.trials

    def _refusals(self, point: Point) -> list[str]:
        try:
            return self._plan.space.refusals(point)
        except ValueError as error:  # of a constraint whose sides have two currencies at this point
            return [str(error)]

    def _keep(self, trial: Trial, result: Result) -> None:
        trial.set_user_attr(_RESULT, result.plain())
        self._end(trial.number, result)

    def _repeat(self, trial: Trial, known: Told) -> None:
        trial.set_user_attr(_REPEATS, known.number)
        self._end(trial.number, known.result)

    def _end(self, number: int, result: Result) -> None:
        if result.state == "completed":
            self._study.tell(number, [_figure(it, result) for it in self._objectives])
        else:  # a sampler avoids what was pruned, and forgets what failed
            self._study.tell(
                number, state=TrialState.PRUNED if result.state == "refused" else TrialState.FAIL
            )

    def _lose(self, number: int, params: Mapping[str, Any]) -> None:
        self._study.tell(number, state=TrialState.FAIL)
        if len(params) == len(self._dimensions):
            self._study.enqueue_trial(dict(params))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _look(self) -> None:
        """Note which trials have ended since the last look, and how."""
        trials = self._trials()
        new = [trials[it.number] for it in self._open] + trials[self._looked_at :]
        self._looked_at, self._open = len(trials), [it for it in new if not it.state.is_finished()]
        for trial in new:
            if _is_told(trial):
                point = self._point(trial.params)
                told = Told(trial.number, point, Result(**trial.user_attrs[_RESULT]))
                self._told[trial.number] = told
                self._known.setdefault(self._key(point), told)
                self._best = min(self._best, self._ranks(told)[0])
            elif _is_lost(trial):
                self._lost.append(trial.number)
            elif trial.state.is_finished():
                self._repeats += 1

    def _lost_before(self, number: int) -> int:
        self._look()
        return sum(1 for lost in self._lost if lost < number)

    def _point(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {it.key: _value(it, params[it.key]) for it in self._dimensions}

    def _key(self, point: Point) -> tuple[Any, ...]:
        return tuple(_param(it, point[it.key]) for it in self._dimensions)

    # -- What was found

    def told(self) -> list[Told]:
        """Return every trial that was told, but for those that repeat one, in their order."""
        self._look()
        return [self._told[number] for number in sorted(self._told)]

    def best(self, count: int) -> list[Told]:
        """Return the best trials by the first objective; of several objectives, those of the Pareto front first."""
        front = set(self.front())

        def rank(told: Told) -> tuple[bool, float, int]:
            return told.number not in front, self._ranks(told)[0], told.number

        known = (it for it in self.told() if math.isfinite(self._ranks(it)[0]))
        return sorted(known, key=rank)[:count]

    def best_value(self) -> float | None:
        """Return the best figure of the first objective so far, None without any."""
        self._look()
        best = self._best
        if not math.isfinite(best):
            return None
        return -best if self._objectives[0].direction == "maximize" else best

    def front(self) -> list[int]:
        """Return the numbers of the trials than which none is as good in every objective and better in one."""
        told = [it for it in self.told() if math.isfinite(self._ranks(it)[0])]
        ranks = np.array([self._ranks(it) for it in told])
        return [
            it.number
            for it, own in zip(told, ranks, strict=True)
            if not ((ranks <= own).all(axis=1) & (ranks < own).any(axis=1)).any()
        ]

    def _ranks(self, told: Told) -> tuple[float, ...]:
        """Return a trial's figures so that less is better, infinite where there is none."""
        return tuple(
            -_figure(it, told.result) if it.direction == "maximize" else _figure(it, told.result)
            for it in self._objectives
        )


def _figure(objective: Objective, result: Result) -> float:
    """Return a run's figure; without one it ranks last."""
    value = (result.objectives or {}).get(objective.name)
    last = -math.inf if objective.direction == "maximize" else math.inf
    return last if value is None or not math.isfinite(value) else value


def _is_told(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and _RESULT in trial.user_attrs


def _is_lost(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and not {_RESULT, _REPEATS} & trial.user_attrs.keys()


def _params_of(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return a trial's parameters, also where it waits to be asked for."""
    fixed: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
    return trial.params or fixed
