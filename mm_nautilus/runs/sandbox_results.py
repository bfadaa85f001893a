"""Write the folder of a sandbox run: its summary as it goes, its tables and page at the end, what went wrong."""

import faulthandler
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mm_nautilus.checks.config_source import resolved_yaml
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.errors import InterruptedRunError, RunFailedError
from mm_nautilus.report.run_files import RunFiles
from mm_nautilus.runs.components import first_fault, last_figures, raised_by
from mm_nautilus.runs.failures import Failure, note_failed, run_failed
from mm_nautilus.runs.finish import only_writer, write_completed
from mm_nautilus.runs.folder import begun_run_folder, write_summary
from mm_nautilus.runs.sandbox_inputs import SandboxInputs
from mm_nautilus.runs.sandbox_node import SandboxParts
from mm_nautilus.runs.session import StopCause, StopController
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.runs.state_file import StateFile
from mm_nautilus.runs.summary import run_summary
from mm_nautilus.runs.venue_watch import VenueWatch

__all__ = ["SandboxResults"]

_MOST_PARTS_IN_HURRY: Final = 150
"""Parts of tables that are joined after a signal, about a day's; they take a second or two, a week's ten."""


class SandboxResults:
    """The folder of one sandbox run and its summary.

    Parameters
    ----------
    inputs
        What the run was prepared from.
    session
        Why the run ends.
    signals
        Where SIGINT, SIGTERM and SIGHUP arrive.
    state
        The run's state file, or None where it keeps none.
    web
        Returns what the summary says of the live page, which may fail at any time; None where there is none.
    watch
        Knows what the venue takes.

    Attributes
    ----------
    folder
        The run's folder, begun by the constructor.
    summary
        The figures as last written.
    """

    def __init__(
        self,
        inputs: SandboxInputs,
        session: StopController,
        signals: SignalListener,
        *,
        state: StateFile | None,
        web: Callable[[], Mapping[str, Any] | None],
        watch: VenueWatch,
    ) -> None:
        self._inputs = inputs
        self._config = inputs.config
        self._session = session
        self._signals = signals
        self._web = web
        self._watch = watch
        self._start = _start_summary(inputs.config, state)
        self.folder: Path = begun_run_folder(inputs.config)
        self.summary: dict[str, Any] = {
            "name": inputs.config.name,
            "status": "starting",
            "folder": self.folder.name,
            "web": web(),
        }
        self._write_summary()

    def _write_summary(self) -> None:
        """Replace the summary, whole or not at all."""
        write_summary(self.folder, self.summary)

    # -- As the run goes --------------------------------------------------------------------------------

    def summarise(self, parts: SandboxParts, now_ns: int, status: str) -> None:
        """Write the summary with the figures of a moment.

        Parameters
        ----------
        parts
            The run's components.
        now_ns
            The moment, nanoseconds since the epoch.
        status
            How the run is: ``running``, or how it ended.
        """
        start_ns = parts.control.start_ns or now_ns
        figures = run_summary(
            self._config,
            self._inputs.specs,
            parts,
            (start_ns, now_ns),
            now_ns,
            events=parts.control.events,
            elapsed_seconds=(now_ns - start_ns) / 1e9,
            warnings=self._inputs.warnings,
        )
        stop = self._session.stop
        self.summary = figures | {
            "status": status,
            "open_orders": parts.open_orders,
            "stop": None if stop is None else {"cause": stop.cause.value, "text": stop.text},
            "start": self._start,
            "feed": {**_feed_summary(self._inputs), "venue": self._watch.to_dict()},
            "web": self._web(),
        }
        self._write_summary()

    # -- At the end -------------------------------------------------------------------------------------

    def save(
        self,
        parts: SandboxParts,
        now_ns: int,
        error: Exception | None,
        show_last: Callable[[str], None],
    ) -> Exception | None:
        """Save all there is, each part whatever becomes of the others.

        Parameters
        ----------
        parts
            The run's components, of which none works any more.
        now_ns
            When the run ended, nanoseconds since the epoch.
        error
            What the engine raised, if anything.
        show_last
            Shows how the run ended, given its status.

        Returns
        -------
        Exception or None
            The first thing that went wrong.
        """
        faults = [error, *(raised_by(step) for step in last_figures(parts, now_ns))]
        if parts.saver is not None:
            faults.append(raised_by(parts.saver.save_last))
        status = self._status(parts, first_fault(faults))
        faults.append(raised_by(lambda: self.summarise(parts, now_ns, status)))
        faults.append(raised_by(lambda: show_last(status)))
        in_hurry = self._signals.received is not None and self._parts_of_tables() > _MOST_PARTS_IN_HURRY
        faults.append(raised_by(lambda: parts.recorder.close(in_hurry=in_hurry)))
        traces = parts.traces
        if traces is not None:
            faults.append(raised_by(lambda: traces.close(now_ns, in_hurry=in_hurry)))
        if not in_hurry:
            faults.append(raised_by(self._complete_summary))
        error = first_fault(faults)
        if error is not None:
            note_failed(self.folder, self.summary)
        return error

    def fail(self, error: Exception) -> RunFailedError:
        """Note what broke a run outside of its callbacks, and return what is to be told of it.

        Parameters
        ----------
        error
            What was raised, before the engine was there or after it was gone.
        """
        note_failed(self.folder, self.summary)
        return run_failed(self.folder, error)

    def _status(self, parts: SandboxParts, error: Exception | None) -> str:
        if error is not None or parts.failure() is not None:
            return "failed"
        if self._signals.received is not None:
            return "interrupted"
        stop = self._session.stop
        return "failed" if stop is None or stop.cause is StopCause.FAILURE else "completed"

    def _parts_of_tables(self) -> int:
        return sum(1 for _ in self.folder.glob("*.parts/*.parquet"))

    def _complete_summary(self) -> None:
        """Add to the summary what only the tables tell, which are closed now."""
        is_resumed = bool(self._start["is_resumed"])
        files = RunFiles(self.folder, self.summary, resolved_yaml(self._config))
        self.summary = write_completed(files, is_resumed=is_resumed)

    def write_report(self) -> None:
        """Write the page; after a signal in a process of its own, as there are only seconds to leave.

        That process also joins the tables' parts where there was no time for it.
        """
        if not self._config.output.report:
            return
        if self._signals.received is None:
            from mm_nautilus.report.page import write_report  # noqa: PLC0415 (it loads plotly)

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

    def abandon(self) -> None:
        """Note that the process ends under an engine that hangs: what is on the disk is all there is to save."""
        with (self.folder / "failure.txt").open("w", encoding="utf-8") as file:
            file.write("the engine did not stop after a signal; where each thread was:\n")
            file.flush()
            faulthandler.dump_traceback(file)
        self.summary["status"] = "interrupted"
        self.summary["stop"] = {"cause": StopCause.SIGNAL.value, "text": "the engine did not stop in time"}
        self._write_summary()

    def raise_for(self, parts: SandboxParts, error: Exception | None) -> None:
        """Raise what ended the run early, if anything did, with what was saved.

        Raises
        ------
        RunFailedError
            If the run failed.
        InterruptedRunError
            If a signal ended it.
        """
        failure = parts.failure() or self._engine_failure(parts, error)
        if failure is not None:
            raise run_failed(self.folder, failure) from error
        if self._signals.received is not None:
            name = signal.Signals(self._signals.received).name
            saved = f"everything up to then was saved in {self.folder}"
            raise InterruptedRunError(
                f"interrupted by {name}: quotes cancelled, {saved}", self._signals.exit_code
            )

    def _engine_failure(self, parts: SandboxParts, error: Exception | None) -> Failure | None:
        stop = self._session.stop
        if error is not None and parts.control.start_ns is None:
            seconds = self._config.feed.connect_timeout_seconds
            return (
                f"the venue could not be connected to within {seconds} seconds: tried "
                f"{self._inputs.feed.address}: {error}"
            )
        if error is not None:
            return error
        if stop is None and self._signals.received is None:
            return "the engine stopped without being asked to; its log tells more"
        return stop.text if stop is not None and stop.cause is StopCause.FAILURE else None


def _start_summary(config: SandboxConfig, state: StateFile | None) -> Mapping[str, Any]:
    """Return what the run began with."""
    saved = None if state is None else state.account
    begun = {amount.currency: amount.value for amount in config.venue.starting_balances}
    balances = begun if saved is None else saved.balances
    return {
        "state_file": None if state is None else str(state.path),
        "is_resumed": saved is not None,
        "balances": {code: f"{amount:f}" for code, amount in balances.items()},
        "positions": [] if saved is None else [str(position) for position in saved.positions],
    }


def _feed_summary(inputs: SandboxInputs) -> Mapping[str, Any]:
    feed, address = inputs.config.feed, inputs.feed.address
    local = {
        "catalog": None if feed.catalog is None else str(feed.catalog),
        "speed": feed.speed,
        "at_end": feed.at_end,
    }
    return {
        "source": feed.source,
        "rest_url": address.rest_url,
        "websocket_url": address.websocket_url,
        "book_depth": feed.book_depth,
        **(local if feed.source == "local" else {}),
    }
