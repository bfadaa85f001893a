"""Run the market maker live in a sandbox from its configuration and write its folder of results."""

import faulthandler
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nautilus_trader.live import NodeState

from mm_nautilus.core.sandbox_config import SandboxConfig
from mm_nautilus.errors import InterruptedRunError, MarketMakingError, RunFailedError
from mm_nautilus.nautilus.catalog_recorder import CatalogRecorder, RecordingOptions
from mm_nautilus.nautilus.venue import fee_rates
from mm_nautilus.report.console import status_line
from mm_nautilus.runs.components import save_last_figures
from mm_nautilus.runs.folder import begun_run_folder
from mm_nautilus.runs.sandbox_inputs import (
    SandboxInputs,
    check_not_interrupted,
    open_feed,
    prepare_sandbox,
)
from mm_nautilus.runs.sandbox_node import SandboxParts, build_sandbox
from mm_nautilus.runs.session import WIND_DOWN_SECONDS, Session, StopCause
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.runs.state_file import StateFile, StateFingerprint
from mm_nautilus.runs.summary import run_summary

__all__ = ["SandboxOutcome", "run_sandbox"]

_LOOK_SECONDS: Final = 0.05
_RECORDING_CLOSE_SECONDS: Final = 2.0
"""Longest wait for the recording to be finished; what is left over is brought in by the next one."""
_FEED_LOOK_SECONDS: Final = 0.5
_ENGINE_STOPS_AFTER_SECONDS: Final = WIND_DOWN_SECONDS + 0.5
"""When the engine is told to stop by itself, because what should have told it did not."""
_BACKLOG_SECONDS: Final = 60.0
"""Longest time in which a feed that has ended is worked through."""
_ABANDONED_AFTER_SECONDS: Final = 4.5
"""When the process ends after a signal although the engine still hangs, to keep the promise of five seconds."""


@dataclass(frozen=True, slots=True)
class SandboxOutcome:
    """What a sandbox run leaves.

    Parameters
    ----------
    summary
        The run's figures, as in ``summary.json``.
    folder
        Where everything was written.
    warnings
        Risks that validation named.
    """

    summary: dict[str, Any]
    folder: Path
    warnings: tuple[str, ...]


def run_sandbox(
    config: SandboxConfig,
    signals: SignalListener,
    *,
    fresh: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> SandboxOutcome:
    """Trade on paper until the run is to end, and write its folder as it goes.

    Parameters
    ----------
    config
        The run.
    signals
        Where SIGINT and SIGTERM arrive; entered before, and left after the call.
    fresh
        Whether to start anew instead of going on from the state file, which is kept under another name.
    say
        Receives lines for people: the start, and one a minute.

    Raises
    ------
    ConfigError
        If the configuration does not fit what the venue lists, or the state file cannot be used; nothing has been
        written.
    DataError
        If the catalog that is to be played, or recorded into, cannot be used; nothing has been written.
    RunFailedError
        If the venue cannot be reached or the run failed; the message says what was saved and where.
    InterruptedRunError
        If a signal ended the run; everything up to then is saved.
    """
    with ExitStack() as opened:
        state = _state_file(config, fresh=fresh)
        if state is not None:
            opened.enter_context(state)
            say(_state_line(state))
        feed = opened.enter_context(open_feed(config, signals))
        say(f"{config.name}: {config.feed.source} feed of {feed.address}")
        inputs = prepare_sandbox(config, feed, signals)
        for warning in inputs.warnings:
            say(warning)
        recording = _recording(inputs)
        if recording is not None:
            opened.callback(recording.close, _RECORDING_CLOSE_SECONDS)
        check_not_interrupted(signals)
        return _Run(inputs, signals, say, state, recording).outcome()


def _state_file(config: SandboxConfig, *, fresh: bool) -> StateFile | None:
    directory = config.state.directory
    if directory is None:
        return None
    return StateFile.open(directory, config.name, StateFingerprint.of(config), fresh=fresh)


def _state_line(state: StateFile) -> str:
    if state.account is None:
        kept = "" if state.kept is None else f"; the earlier file is kept as {state.kept}"
        return f"starts anew, with its state in {state.path}{kept}"
    held = ", ".join(str(position) for position in state.account.positions) or "no positions"
    return f"goes on from {state.path}: {held}"


def _recording(inputs: SandboxInputs) -> CatalogRecorder | None:
    config = inputs.config.recording
    if not config.enabled or config.catalog is None:
        return None
    options = RecordingOptions(config.catalog, config.rotate_minutes, config.rotate_megabytes)
    return CatalogRecorder(
        options,
        inputs.specs.values(),
        book_depth=inputs.config.feed.book_depth,
        fee_rates=fee_rates(inputs.config.venue, inputs.specs),
    )


class _Run:
    """One sandbox run from its folder on."""

    def __init__(
        self,
        inputs: SandboxInputs,
        signals: SignalListener,
        say: Callable[[str], None],
        state: StateFile | None,
        recording: CatalogRecorder | None,
    ) -> None:
        self._inputs = inputs
        self._state = state
        self._recording = recording
        self._start = _start_summary(inputs.config, state)
        self._config = inputs.config
        self._signals = signals
        self._say = say
        self._session = Session()
        self._has_returned = threading.Event()
        self._folder = begun_run_folder(self._config)
        self._summary: dict[str, Any] = {
            "name": self._config.name,
            "status": "starting",
            "folder": self._folder.name,
        }
        self._write_summary()

    # -- Parts ------------------------------------------------------------------------------------------

    def outcome(self) -> SandboxOutcome:
        """Run to the end, save, and return what is left; raises as `run_sandbox`."""
        parts = build_sandbox(
            self._inputs,
            self._folder,
            self._session,
            state=self._state,
            recording=self._recording,
            kill_signals=lambda: self._signals.kills,
            on_report=lambda now_ns: self._report(parts, now_ns),
        )
        watchers = [
            threading.Thread(target=self._watch, args=(parts.node.handle(),), name="session", daemon=True),
            threading.Thread(target=self._watch_feed, name="feed", daemon=True),
        ]
        for watcher in watchers:
            watcher.start()
        symbols = ", ".join(self._inputs.specs)
        self._say(f"quoting {symbols}; written to {self._folder}; Ctrl-C ends the run")
        error = self._save(parts, _raised_by(parts.node.run))
        self._has_returned.set()
        for watcher in watchers:
            watcher.join(_LOOK_SECONDS)
        parts.node.dispose()
        self._raise_for(parts, error)
        return SandboxOutcome(self._summary, self._folder, self._inputs.warnings)

    # -- Threads beside the engine's --------------------------------------------------------------------

    def _watch(self, handle: Any) -> None:
        """Carry signals to the session, and stop an engine that does not stop by itself.

        Of the node nothing but its handle may be touched outside of its own thread.
        """
        while not self._has_returned.wait(_LOOK_SECONDS):
            received, received_at = self._signals.received, self._signals.received_at
            if received is not None:
                name = signal.Signals(received).name
                self._session.request_stop(StopCause.SIGNAL, f"interrupted by {name}")
            stop = self._session.stop
            if stop is None:
                continue
            # While it starts the engine forgets a wish to stop that comes at the wrong moment, so it is repeated.
            is_starting = handle.state in (NodeState.IDLE, NodeState.STARTING)
            backlog_seconds = _BACKLOG_SECONDS if stop.cause is StopCause.FEED_END else 0.0
            waited_seconds = time.monotonic() - stop.asked_at
            if is_starting or waited_seconds > _ENGINE_STOPS_AFTER_SECONDS + backlog_seconds:
                handle.stop()
            if received_at is not None and time.monotonic() - received_at > _ABANDONED_AFTER_SECONDS:
                self._abandon()

    def _watch_feed(self) -> None:
        """End the session with a feed that ends, or whose venue on this machine is gone."""
        while self._session.stop is None and not self._has_returned.wait(_FEED_LOOK_SECONDS):
            try:
                if self._inputs.feed.is_over():
                    self._session.request_stop(StopCause.FEED_END, "the feed has come to its end")
            except MarketMakingError as error:
                self._session.request_stop(StopCause.FAILURE, f"the local venue does not answer: {error}")

    def _abandon(self) -> None:
        """End the process under an engine that hangs: what is on the disk is all there is to save."""
        with (self._folder / "failure.txt").open("w", encoding="utf-8") as file:
            file.write("the engine did not stop after a signal; where each thread was:\n")
            file.flush()
            faulthandler.dump_traceback(file)
        self._summary["status"] = "interrupted"
        self._summary["stop"] = {"cause": StopCause.SIGNAL.value, "text": "the engine did not stop in time"}
        self._write_summary()
        os._exit(self._signals.exit_code)

    # -- Output -----------------------------------------------------------------------------------------

    def _report(self, parts: SandboxParts, now_ns: int) -> None:
        self._summarise(parts, now_ns, "running")
        self._say(status_line(self._summary))

    def _figures(self, parts: SandboxParts, now_ns: int, status: str) -> dict[str, Any]:
        config, start_ns = self._config, parts.control.start_ns or now_ns
        summary = run_summary(
            config,
            self._inputs.specs,
            parts,
            (start_ns, now_ns),
            now_ns,
            events=parts.control.events,
            elapsed_seconds=(now_ns - start_ns) / 1e9,
        )
        stop = self._session.stop
        return summary | {
            "status": status,
            "open_orders": parts.open_orders,
            "stop": None if stop is None else {"cause": stop.cause.value, "text": stop.text},
            "start": self._start,
            "feed": _feed_summary(self._inputs),
        }

    def _save(self, parts: SandboxParts, error: Exception | None) -> Exception | None:
        """Save all there is, each part whatever becomes of the others, and return the first thing that went wrong."""
        now_ns = time.time_ns()
        faults = [error, _raised_by(lambda: save_last_figures(parts, now_ns))]
        if parts.saver is not None:
            faults.append(_raised_by(parts.saver.save_last))
        status = self._status(parts, _first(faults))
        faults.append(_raised_by(lambda: self._summarise(parts, now_ns, status)))
        faults.append(_raised_by(parts.recorder.close))
        return _first(faults)

    def _summarise(self, parts: SandboxParts, now_ns: int, status: str) -> None:
        self._summary = self._figures(parts, now_ns, status)
        self._write_summary()

    def _write_summary(self) -> None:
        """Replace the summary, whole or not at all."""
        unfinished = self._folder / "summary.unfinished"
        unfinished.write_text(json.dumps(self._summary, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(self._folder / "summary.json")

    # -- The end ----------------------------------------------------------------------------------------

    def _status(self, parts: SandboxParts, error: Exception | None) -> str:
        if error is not None or parts.failure_text() is not None:
            return "failed"
        if self._signals.received is not None:
            return "interrupted"
        stop = self._session.stop
        return "failed" if stop is None or stop.cause is StopCause.FAILURE else "completed"

    def _raise_for(self, parts: SandboxParts, error: Exception | None) -> None:
        """Raise what ended the run early, if anything did, with what was saved."""
        saved = f"everything up to then was saved in {self._folder}"
        failure = parts.failure_text() or self._engine_failure(parts, error)
        if failure is not None:
            (self._folder / "failure.txt").write_text(failure, encoding="utf-8")
            raise RunFailedError(
                f"the run failed: {failure.splitlines()[0]}; see {self._folder / 'failure.txt'}, {saved}"
            ) from error
        if self._signals.received is not None:
            name = signal.Signals(self._signals.received).name
            raise InterruptedRunError(
                f"interrupted by {name}: quotes cancelled, {saved}", self._signals.exit_code
            )

    def _engine_failure(self, parts: SandboxParts, error: Exception | None) -> str | None:
        stop = self._session.stop
        if error is not None and parts.control.start_ns is None:
            seconds = self._config.feed.connect_timeout_seconds
            return (
                f"the venue could not be connected to within {seconds} seconds: tried "
                f"{self._inputs.feed.address}: {error}"
            )
        if error is not None:
            return f"{error}\n{''.join(traceback.format_exception(error))}"
        if stop is None and self._signals.received is None:
            return "the engine stopped without being asked to; its log tells more"
        return stop.text if stop is not None and stop.cause is StopCause.FAILURE else None


def _raised_by(step: Callable[[], object]) -> Exception | None:
    """Take a step and return what it raised, so that what there is can be saved first."""
    try:
        step()
    except Exception as error:
        return error
    return None


def _first(faults: Sequence[Exception | None]) -> Exception | None:
    return next((fault for fault in faults if fault is not None), None)


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
