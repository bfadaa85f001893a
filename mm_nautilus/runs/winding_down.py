"""The end of a run after the engine, whatever ended it: what is saved, in which order, and what is reported.

The strategy has cancelled its quotes by then, as the run's control (`control`) or a failed callback
(`trading.fail_fast`) made it.
"""

import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mm_nautilus.checks.config_source import resolved_yaml
from mm_nautilus.errors import DataError, InterruptedRunError, RunFailedError, StoppedRunError
from mm_nautilus.runs.assembly import Parts
from mm_nautilus.runs.control import StopCause
from mm_nautilus.runs.folder import begun_run_folder, write_summary
from mm_nautilus.runs.inputs import Inputs
from mm_nautilus.runs.signals import SignalListener, signal_words
from mm_nautilus.system.near_names import known_names
from mm_nautilus.system.raised import is_in_users_code
from mm_nautilus.system.whole_file import failure_text, remove_unfinished, write_whole
from mm_nautilus.trading.fail_fast import CallbackFailure

if TYPE_CHECKING:
    import pandas as pd

type Failure = CallbackFailure | Exception | str
"""Why a run failed: the exception of a callback or the engine, or words."""

_FILE: Final = "failure.txt"
_MOST_PARTS_IN_HURRY: Final = 150
"""Most parts of tables to join after a signal, about a day's; they take a second or two, a week's ten."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A run's figures, as in ``summary.json``, and its tables as pandas frames, read on request."""

    summary: dict[str, Any]
    folder: Path
    warnings: tuple[str, ...]

    def frame(self, table: str) -> "pd.DataFrame":
        """Return a table; moments are in UTC, money and sizes exact as `decimal.Decimal`.

        Raises DataError if the run has no such table.
        """
        names = sorted(path.stem for path in self.folder.glob("*.parquet"))
        if table not in names:
            raise DataError(f"a table must be one of {known_names(table, names)}, was {table}")
        import pandas as pd  # noqa: PLC0415 (no run's start waits for it)

        return pd.read_parquet(self.folder / f"{table}.parquet")

    @property
    def fills(self) -> "pd.DataFrame":
        """Every execution."""
        return self.frame("fills")

    @property
    def orders(self) -> "pd.DataFrame":
        """Every order of a backtest."""
        return self.frame("orders")

    @property
    def positions(self) -> "pd.DataFrame":
        """Every position of a backtest."""
        return self.frame("positions")

    @property
    def metrics(self) -> "pd.DataFrame":
        """Each symbol's metrics over time."""
        return self.frame("metrics")

    @property
    def equity(self) -> "pd.DataFrame":
        """The account over time."""
        return self.frame("equity")


class Run[RunParts: Parts[Any, Any]]:
    """One run from its folder on, which the constructor makes; `summary` has the figures as last written.

    `is_resumed` says that it continues an earlier one.
    """

    is_live: ClassVar[bool] = False
    """Whether a signal leaves only seconds: a process of its own then writes the page and joins long tables."""

    def __init__(self, inputs: Inputs, signals: SignalListener, *, is_resumed: bool = False) -> None:
        self._run = inputs
        self.signals = signals
        self._is_resumed = is_resumed
        self._config_text = resolved_yaml(inputs.config)
        self.folder: Path = begun_run_folder(inputs.config, self._config_text, inputs.code.sources)
        self.summary: dict[str, Any] = {"name": inputs.config.name}
        self._open_orders: int | None = None

    def play(self) -> RunOutcome:
        """Build the engine, run it to the end, `save` and `end`."""
        raise NotImplementedError

    def figures(self, parts: RunParts, now_ns: int, status: str) -> dict[str, Any]:
        """Return the summary of a moment, nanoseconds since the epoch."""
        raise NotImplementedError

    def failure(self, parts: RunParts, error: Exception | None) -> Failure | None:
        """Return why the run failed, or None; `error` is the first exception at its end."""
        return parts.failure() or error

    def outcome(self) -> RunOutcome:
        """Run to the end, save, and return the outcome.

        Raises RunFailedError, which says what was saved and where, or StoppedRunError if a signal ended the run; all up
        to then is saved.
        """
        try:
            return self.play()
        except (RunFailedError, InterruptedRunError):
            raise
        except Exception as error:  # before the engine began or after it ended
            remove_unfinished(self.folder)
            note_failed(self.folder, self.summary, error)
            raise run_failed(self.folder, error) from error

    def summarise(self, parts: RunParts, now_ns: int, status: str, failure: Failure | None = None) -> None:
        """Write the summary of a moment; `status` is ``running``, or how the run ended, with `failure` if it failed."""
        self.summary = self.figures(parts, now_ns, status)
        if failure is not None:
            self.summary["stop"] = _stop(failure)
        write_summary(self.folder, self.summary)

    def _count_orders(self, parts: RunParts) -> None:
        cache = parts.strategy.cache
        self._open_orders = cache.orders_open_count() + cache.orders_inflight_count()

    def save(
        self,
        parts: RunParts,
        now_ns: int,
        error: Exception | None,
        *also: Callable[[], object],
        result: Any = None,
    ) -> Exception | None:
        """Save everything, each part whether or not the others succeed, and return the first exception.

        No component works any more at `now_ns`, nanoseconds since the epoch; `error` is the engine's exception,
        `result` its result, and `also` are further steps.
        """
        faults = [error]

        def attempt(*steps: Callable[[], object]) -> None:
            faults.extend(raised_by(step) for step in steps)

        attempt(
            lambda: self._count_orders(parts),
            lambda: _write_missed_fills(parts),
            lambda: _write_last_rows(parts, now_ns),
            *also,
        )
        failure = self.failure(parts, first_fault(faults))
        if failure is not None:
            attempt(lambda: parts.strategy.end_failed(now_ns))
        attempt(lambda: self.summarise(parts, now_ns, self._status(failure), failure))
        parts_of_tables = sum(1 for _ in self.folder.glob("*.parts/*.parquet"))
        in_hurry = self._has_seconds and parts_of_tables > _MOST_PARTS_IN_HURRY
        attempt(lambda: parts.recorder.close(in_hurry=in_hurry))
        if (traces := parts.traces) is not None:
            attempt(lambda: traces.close(now_ns, in_hurry=in_hurry))
        if not in_hurry:
            attempt(lambda: self._complete_summary(result))
        return first_fault(faults)

    def end(self, parts: RunParts, error: Exception | None) -> RunOutcome:
        """Write the page and return the outcome, or raise why the run ended early; the engine has ended."""
        error = first_fault([error, raised_by(self._write_page)])
        failure = self.failure(parts, error)
        if failure is not None:
            if error is not None:
                note_failed(self.folder, self.summary, failure)
            raise run_failed(self.folder, failure, self._open_orders) from error
        outcome = RunOutcome(self.summary, self.folder, tuple(self._run.warnings))
        if self.signals.received is not None:
            saved = f"quotes cancelled, everything up to then was saved in {self.folder}"
            words = f"{signal_words(self.signals.received)}: {saved}"
            raise StoppedRunError(words, self.signals.exit_code, outcome)
        return outcome

    @property
    def _has_seconds(self) -> bool:
        return self.is_live and self.signals.received is not None

    def _status(self, failure: Failure | None) -> str:
        if failure is not None:
            return "failed"
        return "completed" if self.signals.received is None else "interrupted"

    def _complete_summary(self, result: Any) -> None:
        """Add to the summary the figures of the tables, which are closed now."""
        from mm_nautilus.report.run_files import RunFiles  # noqa: PLC0415 (no run's start waits for it)
        from mm_nautilus.runs.finish import write_completed  # noqa: PLC0415

        files = RunFiles(self.folder, self.summary, self._config_text)
        self.summary = write_completed(files, result, is_resumed=self._is_resumed)

    def _write_page(self) -> None:
        """Write the page, or leave it to a process of its own, which also joins the tables' parts."""
        if not self._run.config.output.report:
            return
        if not self._has_seconds:
            from mm_nautilus.report.page import write_report  # noqa: PLC0415 (it loads jinja2)
            from mm_nautilus.runs.finish import only_writer  # noqa: PLC0415

            with only_writer(self.folder):
                write_report(self.folder)
            return
        with (self.folder / "report.log").open("w", encoding="utf-8") as log:
            subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "mm_nautilus.cli", "report", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _write_missed_fills(parts: Parts[Any, Any]) -> None:
    for fill in parts.metrics.catch_up():
        parts.recorder.write_fill(fill)


def _write_last_rows(parts: Parts[Any, Any], now_ns: int) -> None:
    metrics, account = parts.metrics.figures(now_ns)
    for row in metrics:
        parts.recorder.write_metrics(row)
    if account is not None:
        parts.recorder.write_equity(now_ns, account)
        parts.recorder.write_snapshot(now_ns)


def raised_by(step: Callable[[], object]) -> Exception | None:
    """Take a step and return its exception."""
    try:
        step()
    except Exception as error:
        return error
    return None


def first_fault(faults: Iterable[Exception | None]) -> Exception | None:
    """Return the first exception, or None."""
    return next((fault for fault in faults if fault is not None), None)


def run_failed(folder: Path, failure: Failure, open_orders: int | None = None) -> RunFailedError:
    """Write why a run failed to ``failure.txt`` in its folder, and return the error to raise.

    `open_orders` is the number of orders left at the end, None before the engine has begun.
    """
    words, details = _told(failure)
    refused = raised_by(lambda: write_whole(folder / _FILE, f"{words}\n{details}"))
    place = f"see {folder / _FILE}" if refused is None else f"{_FILE} could not be written either"
    if refused is None and not isinstance(failure, str):
        place += ", which has the whole traceback"
    quotes = {None: "", 0: "quotes cancelled; "}.get(open_orders, f"{open_orders} orders were still open; ")
    saved = f"{quotes}{place}; what could be saved is in {folder}"
    return RunFailedError(f"the run failed: {words}; {saved}", f"the run failed: {words}")


def note_failed(folder: Path, summary: Mapping[str, Any], failure: Failure) -> None:
    """Write to a run's summary that it failed and why, without its figures if the disk is full."""
    (folder / "summary.json").unlink(missing_ok=True)  # its room is needed where the disk is full
    failed = {**summary, "status": "failed", "stop": _stop(failure)}
    if raised_by(lambda: write_summary(folder, failed)) is not None:
        raised_by(lambda: write_summary(folder, {key: failed[key] for key in ("name", "status")}))


def _stop(failure: Failure) -> dict[str, str]:
    return {"cause": StopCause.FAILURE.value, "text": _told(failure)[0]}


def _told(failure: Failure) -> tuple[str, str]:
    """Return a failure in one line, and its traceback."""
    if isinstance(failure, str):
        first, _, rest = failure.partition("\n")
        return first, rest
    error = failure.error if isinstance(failure, CallbackFailure) else failure
    details = "".join(traceback.format_exception(error))
    if isinstance(error, OSError) and not is_in_users_code(error):
        return failure_text(error), details
    if isinstance(failure, CallbackFailure):
        return failure.text, details
    return str(error) or repr(error), details
