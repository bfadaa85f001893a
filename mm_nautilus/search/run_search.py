"""Run a search: the configuration as it was, the trials of every fold, the tests of the winners, and the verdict.

Each fold's winner is the best of its trials by the first objective; of several objectives, the best of their Pareto
front in the first one. Winners are run on their tests, and up to four more of the best for the page, which are never
chosen among. What has ended is in the storage at once, so that a search that is interrupted, fails or is killed goes on
where it was.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from mm_nautilus.checks.config_source import read_config, resolved_yaml
from mm_nautilus.config.run import as_yaml_values
from mm_nautilus.errors import ConfigError, RunFailedError, StoppedRunError
from mm_nautilus.runs.folder import new_run_folder
from mm_nautilus.runs.inputs import import_own_code
from mm_nautilus.runs.signals import signal_words
from mm_nautilus.search.page import write_search_page
from mm_nautilus.search.plan import Draft, Plan, read_document
from mm_nautilus.search.processes import is_worker_alive, only_process, registered_worker
from mm_nautilus.search.results import BEST, Result, Row, trials_table, write_trials
from mm_nautilus.search.runners import Runner
from mm_nautilus.search.search_files import SEARCH
from mm_nautilus.search.study import (
    JOURNAL,
    STORAGE_ERRORS,
    Asked,
    FoldStudy,
    Told,
    kept_results,
    open_storage,
)
from mm_nautilus.search.trial import TrialOutcome, TrialTask, window_values
from mm_nautilus.search.verdict import TestResults, TrainingResults, Verdict, judge
from mm_nautilus.system.ending_signals import ending_signals, handled_by
from mm_nautilus.system.plain_text import counted, without_passwords
from mm_nautilus.system.whole_file import failure_text, write_files, write_whole

type OnProgress = Callable[[float, float, str], None]
"""Called with the runs done, those there are in all, and the best value so far in words."""
type _Job = tuple[TrialTask, Callable[[TrialOutcome], None]]
"""A run, and what takes its outcome."""
type Role = Literal["train", "test"]

_TESTED: Final = 5
"""Most trials of a fold that are run on its test: the winner, and others for the page."""
_LOOK_SECONDS: Final = 0.2
"""Longest time until a signal is seen."""
_WRITE_SECONDS: Final = 10.0
"""Shortest time between two writes of the files while trials run."""
_LOOKS: Final = "looks"
_MEND: Final = "mend the strategy, the configuration or the space, and begin a new search"
_STATES: Final = ("completed", "failed", "refused")


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What a search came to: ``search.json``, and its folder."""

    document: Mapping[str, Any]
    folder: Path


class _SignalledError(Exception):
    """A signal has come."""


class _SameAgainError(RunFailedError):
    """A resumed search would fail with the same."""


def run_search(draft: Draft, runner: Runner, on_progress: OnProgress) -> SearchOutcome:
    """Run a new search in a folder ``<time>-<name>``; the runner's context has been entered.

    Raises
    ------
    ConfigError
        If the data is too short, or the storage cannot be used; nothing has been written.
    RunFailedError
        If the configuration as it was, every trial, or the test of a winner fails, or the storage does.
    StoppedRunError
        If a signal ended it; all trials that had ended are saved.
    """
    directory = draft.options.directory
    if draft.options.storage is not None:
        with open_storage(draft.options.storage, directory):
            pass
    plan = draft.plan(_unbounded_position_seconds(draft, runner))
    with _noted_signals() as signals:
        folder = new_run_folder(directory, plan.name)
        plan.save(folder)
        return _run(plan, folder, runner, on_progress, signals, earlier={"id": folder.resolve().name})


def resume_search(plan: Plan, folder: Path, runner: Runner, on_progress: OnProgress) -> SearchOutcome:
    """Run what an earlier search has left to do; errors as of `run_search`, and a ConfigError of a lost storage."""
    with _noted_signals() as signals:
        return _run(plan, folder, runner, on_progress, signals, earlier=read_document(folder))


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Yield the list of the signals that come in the block, which end nothing by themselves."""
    signals: list[int] = []
    with handled_by(lambda number, _frame: signals.append(number), ending_signals()):
        yield signals


def _run(
    plan: Plan,
    folder: Path,
    runner: Runner,
    on_progress: OnProgress,
    signals: Sequence[int],
    *,
    earlier: Mapping[str, Any],
) -> SearchOutcome:
    """Run a search; `earlier` is its ``search.json`` as far as there is one, whose trials the storage must have."""
    name, counts = earlier["id"], earlier.get("trials", {})
    known = sum(counts[state] for state in _STATES if state in counts)
    with (
        open_storage(plan.storage, folder, must_exist=known > 0) as storage,
        registered_worker(folder) as worker,
    ):
        with _storage_failures(folder), only_process(folder):
            if (kept := kept_results(storage, name)) < known:
                where = folder / JOURNAL if plan.storage is None else without_passwords(plan.storage)
                raise ConfigError(f"{where} must have the {counted(known, 'trial')} of {name}, had {kept}")
            studies = [
                FoldStudy(plan, fold, storage, name, worker) for fold in range(len(plan.windows.folds))
            ]
            for study in studies:
                study.prepare(lambda worker: is_worker_alive(folder, worker))
        with _storage_failures(folder):
            return _Search(plan, folder, name, studies, runner, on_progress, signals).outcome()


@contextmanager
def _storage_failures(folder: Path) -> Iterator[None]:
    """Say of a storage that fails what is saved and how to go on."""
    try:
        yield
    except STORAGE_ERRORS as error:
        said = str(error.__cause__ or error).partition("\n")[0]
        cause = failure_text(error) if isinstance(error, OSError) else said
        what = f"what had ended is saved; `mm-nautilus search --resume {folder}` goes on"
        raise RunFailedError(f"the search could not be saved: {cause}; {what}") from error


def _unbounded_position_seconds(draft: Draft, runner: Runner) -> float:
    """Return how old a position of the configuration as it was becomes, 0 where its age is bounded."""
    task = draft.unbounded
    if task is None:
        return 0.0
    outcome = runner.submit(task).result()
    if outcome.error is not None:
        raise RunFailedError(f"the configuration as it was cannot be searched: {outcome.error}")
    return outcome.longest_position_seconds


@dataclass(slots=True)
class _Search:
    """One process's work on a search."""

    _plan: Plan
    _folder: Path
    _name: str
    """Name of its folder at its begin, and of its studies in the storage."""
    _studies: Sequence[FoldStudy]
    _runner: Runner
    _on_progress: OnProgress
    _signals: Sequence[int]
    _written: float = 0.0
    """When the files were written, seconds of the monotonic clock."""

    @property
    def _folds(self) -> int:
        return len(self._studies)

    def outcome(self) -> SearchOutcome:
        """Run to the end, and return what was found."""
        self._write("running")
        try:
            self._play(self._training_jobs())
            winners = self._winners()
            self._play(self._test_jobs(winners))
            verdict = self._verdict(winners)
        except _SignalledError:
            raise self._stopped() from None
        except RunFailedError as failed:
            self._give_up("failed")
            how = _MEND if isinstance(failed, _SameAgainError) else self._resumed()
            raise RunFailedError(f"{failed}; {self._saved()}; {how}") from failed
        self._write_best(winners[-1])
        document = self._write("completed", winners, verdict)
        with only_process(self._folder):
            write_search_page(self._folder)
        return SearchOutcome(document, self._folder)

    # -- Ends that come early

    def _stopped(self) -> StoppedRunError:
        number = self._signals[0]
        document = self._give_up("interrupted")
        words = f"{signal_words(number)}: {self._saved()}; {self._resumed()}"
        return StoppedRunError(words, 128 + number, SearchOutcome(document, self._folder))

    def _give_up(self, status: str) -> dict[str, Any]:
        for study in self._studies:
            study.abandon()
        return self._write(status)

    def _saved(self) -> str:
        ended = sum(len(study.told()) for study in self._studies)
        return f"what had ended ({counted(ended, 'trial')}) is saved in {self._folder}"

    def _resumed(self) -> str:
        return f"`mm-nautilus search --resume {self._folder}` goes on"

    # -- Running

    def _play(self, jobs: Iterator[_Job]) -> None:
        """Run jobs, as many side by side as the runner has room for.

        A signal ends it, and so does a RunFailedError of the runner, which can run no other trial, or of what takes an
        outcome. Trials that ended at the same time are kept.
        """
        running: dict[Future[TrialOutcome], Callable[[TrialOutcome], None]] = {}
        while True:
            while len(running) < self._runner.jobs and (job := next(jobs, None)) is not None:
                task, take = job
                running[self._runner.submit(task)] = take
            if not running:
                return
            ended, _ = wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            failures = []
            for future in ended:
                try:
                    outcome, take = future.result(), running.pop(future)
                    if not self._signals or outcome.error is None:  # else the signal may have ended the trial
                        take(outcome)
                except RunFailedError as failed:
                    failures.append(failed)
            if failures:
                raise failures[0]
            if self._signals:
                raise _SignalledError
            if ended:
                self._report()

    def _report(self) -> None:
        """Tell how many runs have ended and the best value of the last training; now and then write the files."""
        done = sum(study.ended + study.notes for study in self._studies)
        total = self._folds * (self._plan.trials + 2 + min(self._plan.trials, _TESTED))
        objective = self._plan.objectives[0]
        best = self._studies[-1].best_value()
        unit = objective.unit or self._plan.report_currency
        words = "" if best is None else f"best {objective.name} {best:.4g} {unit}"
        self._on_progress(min(done, total), total, words)
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self._write("running")

    def _training_jobs(self) -> Iterator[_Job]:
        """Yield the configuration as it was on every window, then trials, of each fold in turn."""
        for fold in range(self._folds):
            for role in ("train", "test"):
                yield from self._noted_job(fold, role, None)
        left = list(range(self._folds))
        while left:
            for fold in list(left):
                with only_process(self._folder):
                    asked = self._studies[fold].ask()
                if asked is None:
                    left.remove(fold)
                else:
                    yield self._trial_job(fold, asked)

    def _trial_job(self, fold: int, asked: Asked) -> _Job:
        def take(outcome: TrialOutcome) -> None:
            self._studies[fold].tell(asked, Result.of(outcome, self._plan.objectives))

        return self._plan.task(asked.point, self._plan.windows.folds[fold].train), take

    def _test_jobs(self, winners: Sequence[Told]) -> Iterator[_Job]:
        """Yield the tests of the winners, which another process may find better ones than meanwhile, and of others."""
        for fold, winner in enumerate(winners):
            yield from self._noted_job(fold, "test", winner)
            others = [told for told in self._studies[fold].best(_TESTED) if told.number != winner.number]
            for told in others[: _TESTED - 1]:
                yield from self._noted_job(fold, "test", told, is_needed=False)

    def _noted_job(
        self, fold: int, role: Role, told: Told | None, *, is_needed: bool = True
    ) -> Iterator[_Job]:
        """Yield the run of a trial, or of the configuration as it was, on a window, unless it has been run.

        One that is needed ends the search where it fails.
        """
        study, name = self._studies[fold], _run_name(role, told)
        if study.noted(name) is not None:
            return
        window = getattr(self._plan.windows.folds[fold], role)

        def take(outcome: TrialOutcome) -> None:
            if outcome.error is None:
                study.note(name, Result.of(outcome, self._plan.objectives).plain())
            elif is_needed:
                whose = "the configuration as it was" if told is None else f"the winner, trial {told.number},"
                where = f"the {'training' if role == 'train' else 'test'} of fold {fold + 1}"
                raise _SameAgainError(f"{whose} failed on {where}: {outcome.error}")

        yield self._plan.task({} if told is None else told.point, window), take

    def _result(self, fold: int, role: Role, told: Told | None) -> Result | None:
        noted = self._studies[fold].noted(_run_name(role, told))
        return None if noted is None else Result(**noted)

    # -- What was found

    def _winners(self) -> list[Told]:
        """Return each fold's winner, and count it as a look at the tests."""
        best = [study.best(1) for study in self._studies]
        if not all(best):
            raise _SameAgainError(self._why_none(best.index([])))
        winners = [found[0] for found in best]
        with only_process(self._folder):
            numbers, looks = [told.number for told in winners], self._looks()
            if numbers not in looks:
                self._studies[-1].note(_LOOKS, [*looks, numbers])
        return winners

    def _looks(self) -> list[list[int]]:
        """Return the winners of all folds each time that others were tested."""
        return list(self._studies[-1].noted(_LOOKS) or [])

    def _why_none(self, fold: int) -> str:
        told = self._studies[fold].told()
        errors = [it.result.error for it in told if it.result.state == "failed"]
        refusals = [it.result.error for it in told if it.result.state == "refused"]
        if any(it.result.state == "completed" for it in told):
            return f"no trial of fold {fold + 1} has a {self._plan.objectives[0].name}, as without a fill"
        if errors:
            return f"every trial of fold {fold + 1} failed, the first with: {errors[0]}"
        return f"every point of fold {fold + 1} was refused, the first with: {refusals[0]}"

    def _verdict(self, winners: Sequence[Told]) -> Verdict:
        """Judge the last fold's training and the tests of all folds."""
        last = self._folds - 1
        trials = [it for it in self._studies[last].told() if it.result.state == "completed"]
        numbers = [it.number for it in trials]
        trained = TrainingResults(
            trials=np.column_stack([it.result.periods for it in trials]),
            baseline=self._periods(last, "train", None),
            points=np.array([self._plan.space.units(it.point) for it in trials]),
            winner=numbers.index(winners[last].number),
            count=self._counts()["ever"],
        )
        tested = TestResults(
            winner=np.concatenate([self._periods(fold, "test", won) for fold, won in enumerate(winners)]),
            baseline=np.concatenate([self._periods(fold, "test", None) for fold in range(self._folds)]),
            folds=self._folds,
            looks=len(self._looks()),
        )
        return judge(
            trained,
            tested,
            self._plan.report_currency,
            is_simulated=self._plan.data["simulated"],
            seed=self._plan.seed,
        )

    def _periods(self, fold: int, role: Role, told: Told | None) -> np.ndarray[Any, np.dtype[np.float64]]:
        result = self._result(fold, role, told)
        if result is None:
            raise ValueError(f"{_run_name(role, told)} of fold {fold} has not been run")
        return np.array(result.periods)

    def _counts(self) -> dict[str, int]:
        states = [it.result.state for study in self._studies for it in study.told()]
        counts = {name: states.count(name) for name in _STATES}
        asked = self._plan.trials
        ever = counts["completed"] + counts["failed"]
        return {"asked": asked * self._folds, "asked_per_fold": asked, **counts, "ever": ever}

    # -- Files

    def _write(
        self, status: str, winners: Sequence[Told] = (), verdict: Verdict | None = None
    ) -> dict[str, Any]:
        """Write ``search.json`` and the table of runs, and return the former."""
        objectives, keys = self._plan.objectives, [it.key for it in self._plan.space.dimensions]
        document = {
            "id": self._name,
            "status": status,
            **self._plan.document(),
            "folds": [
                {"winner": won.number, "front": study.front()}
                for won, study in zip(winners, self._studies, strict=True)
            ]
            if winners
            else [{"winner": None, "front": study.front()} for study in self._studies],
            "trials": self._counts(),
            "looks": len(self._looks()),
            "best": None,
            "verdict": None,
        }
        if winners and verdict is not None:
            document["best"] = {
                "fold": self._folds - 1,
                "number": winners[-1].number,
                "parameters": dict(winners[-1].point),
                "fills_digest": winners[-1].result.fills_digest,
            }
            document["verdict"] = {
                "lines": list(verdict.lines),
                "evidence": verdict.is_evidence,
                "checks": [check._asdict() for check in verdict.checks],
                "figures": json.loads(json.dumps(verdict.figures), parse_constant=lambda _name: None),
            }
        text = json.dumps(document, indent=2)
        with only_process(self._folder):
            write_trials(self._folder, trials_table(self._rows(), keys, objectives))
            write_whole(self._folder / SEARCH, text + "\n")
        self._written = time.monotonic()
        return document

    def _rows(self) -> Iterator[Row]:
        base = {it.key: _given(self._plan, it.key) for it in self._plan.space.dimensions}
        for fold, study in enumerate(self._studies):
            for role in ("train", "test"):
                if (result := self._result(fold, role, None)) is not None:
                    yield Row(fold, None, role, base, result)
            for told in study.told():
                yield Row(fold, told.number, "train", told.point, told.result)
                if (result := self._result(fold, "test", told)) is not None:
                    yield Row(fold, told.number, "test", told.point, result)

    def _write_best(self, winner: Told) -> None:
        """Write the configuration of the winner on the last training, and the modules it needs."""
        window = window_values(self._plan.windows.folds[-1].train)
        config = read_config({**self._plan.space.apply(winner.point), **window}).config
        write_files(self._folder, import_own_code(config).sources)
        write_whole(self._folder / BEST, resolved_yaml(config))


def _run_name(role: Role, told: Told | None) -> str:
    return f"{role} {'as it was' if told is None else told.number}"


def _given(plan: Plan, key: str) -> Any:
    """Return the value of a searched key in the configuration as it was; a symbol without one has the common one."""
    values: Any = as_yaml_values(read_config(plan.space.apply({})).config.model_dump())
    strategy = values["strategy"]
    for part in key.split("."):
        values = values[int(part)] if isinstance(values, list) else (values or {}).get(part)
    *parents, name = key.split(".")
    return strategy.get(name) if values is None and len(parents) == 3 else values
