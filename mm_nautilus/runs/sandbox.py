"""Run the market maker live in a sandbox from its configuration and write its folder of results."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from nautilus_trader.live import NodeState

from mm_nautilus.checks.refusals import refused_for
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.data.catalog_recorder import CatalogRecorder, RecordingOptions
from mm_nautilus.errors import ConfigError, InterruptedRunError, MarketMakingError, RunFailedError
from mm_nautilus.live_view.state import LiveState, RunInfo
from mm_nautilus.live_view.web import LivePage
from mm_nautilus.report.console import status_line
from mm_nautilus.runs.components import raised_by
from mm_nautilus.runs.folder import refuse_unwritable_folders
from mm_nautilus.runs.listing_server import ListingServer
from mm_nautilus.runs.live_view_bridge import symbol_infos
from mm_nautilus.runs.sandbox_inputs import (
    SandboxInputs,
    check_not_interrupted,
    open_feed,
    prepare_sandbox,
)
from mm_nautilus.runs.sandbox_node import SandboxParts, build_sandbox, kill_switch
from mm_nautilus.runs.sandbox_results import SandboxResults
from mm_nautilus.runs.session import WIND_DOWN_SECONDS, StopCause, StopController
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.runs.simulated_venue import fee_rates
from mm_nautilus.runs.state_file import StateFile, StateFingerprint
from mm_nautilus.runs.venue_watch import VenueWatch

__all__ = ["SandboxOutcome", "Screen", "refuse_coarser_lots", "run_sandbox"]

_LOOK_SECONDS: Final = 0.05
_RECORDING_CLOSE_SECONDS: Final = 2.0
"""Longest wait for the recording to be finished; what is left over is brought in by the next one."""
_FEED_LOOK_SECONDS: Final = 0.5
_ENGINE_STOPS_AFTER_SECONDS: Final = WIND_DOWN_SECONDS + 0.5
"""When the engine is told to stop by itself, because what should have told it did not."""
_BACKLOG_SECONDS: Final = 60.0
"""Longest time in which the engine, at work on what an ended feed has sent, need not look at anything else."""
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


class Screen(Protocol):
    """Where a run is shown as it goes."""

    def begin(self, state: LiveState) -> None:
        """Begin to show a state, from a thread of its own."""

    def end(self) -> None:
        """Take it away."""


def run_sandbox(
    config: SandboxConfig,
    signals: SignalListener,
    *,
    fresh: bool = False,
    say: Callable[[str], None] = lambda _line: None,
    screen: Screen | None = None,
) -> SandboxOutcome:
    """Trade on paper until the run is to end, and write its folder as it goes.

    Parameters
    ----------
    config
        The run.
    signals
        Where SIGINT, SIGTERM and SIGHUP arrive; entered before, and left after the call.
    fresh
        Whether to start anew instead of going on from the state file, which is kept under another name.
    say
        Receives lines for people: the start, and one a minute where there is no screen; from several threads.
    screen
        Shows the run while it quotes, or None.

    Raises
    ------
    ConfigError
        If the live page cannot be served as it is configured, the configuration does not fit what the venue lists, or
        the state file or a catalog that is to be played, or recorded into, cannot be used; nothing has been written.
    RunFailedError
        If the venue cannot be reached or the run failed; the message says what was saved and where.
    InterruptedRunError
        If a signal ended the run; everything up to then is saved.
    """
    _refuse_before_writing(config, fresh=fresh)
    with ExitStack() as opened:
        page = LivePage.open(config.web) if config.web.enabled else None
        if page is not None:
            opened.callback(page.close)
        feed = opened.enter_context(open_feed(config, signals))
        say(f"{config.name}: {config.feed.source} feed of {feed.address}")
        inputs = prepare_sandbox(config, feed, signals, say)
        for warning in inputs.warnings:
            say(warning)
        state = _state_file(config, fresh=fresh)
        if state is not None:
            opened.enter_context(state)
            refuse_coarser_lots(state, inputs)
            say(_state_line(state))
        recording = _recording(inputs)
        if recording is not None:
            opened.callback(recording.close, _RECORDING_CLOSE_SECONDS)
        listing = opened.enter_context(ListingServer(inputs.listed.entries))
        interval_seconds = config.feed.status_interval_seconds
        watch = opened.enter_context(VenueWatch(feed.address.rest_url, inputs.listed, interval_seconds, say))
        check_not_interrupted(signals)
        outside = _Outside(page, screen, listing.url, watch)
        return _Run(inputs, signals, say, state=state, recording=recording, outside=outside).outcome()


def _refuse_before_writing(config: SandboxConfig, *, fresh: bool) -> None:
    """Look at what the run would write and go on from, so that a mistake leaves nothing behind."""
    folders: dict[str, Path | None] = {
        "output.directory": config.output.directory,
        "state.directory": config.state.directory,
        "recording.catalog": config.recording.catalog if config.recording.enabled else None,
    }
    refuse_unwritable_folders({key: folder for key, folder in folders.items() if folder is not None})
    if config.state.directory is not None and not fresh:
        StateFile.look(config.state.directory, config.name, StateFingerprint.of(config))


def _state_file(config: SandboxConfig, *, fresh: bool) -> StateFile | None:
    directory = config.state.directory
    if directory is None:
        return None
    return StateFile.open(directory, config.name, StateFingerprint.of(config), fresh=fresh)


def refuse_coarser_lots(state: StateFile, inputs: SandboxInputs) -> None:
    """Refuse saved positions that the venue's lots no longer divide: their remainders could never be traded.

    Raises
    ------
    ConfigError
        With each of them and what to do.
    """
    problems = []
    for position in () if state.account is None else state.account.positions:
        lot = inputs.specs[position.symbol].size_increment
        if position.quantity % lot:
            problems.append(
                f"{state.path}: the position of {position.symbol} must be a multiple of the venue's lot, which is "
                f"{lot:f} {position.base} now, was {position.quantity:f} {position.base}; start anew with --fresh, "
                f"which keeps this file under another name, and with venue.starting_balances that are its balances"
            )
    if problems:
        raise ConfigError(problems)


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
    with refused_for("recording", "catalog"):
        return CatalogRecorder(
            options,
            inputs.specs.values(),
            book_depth=inputs.config.feed.book_depth,
            fee_rates=fee_rates(inputs.config.venue, inputs.specs),
        )


@dataclass(frozen=True, slots=True)
class _Outside:
    """What stands beside a run's engine while it runs.

    `page` and `screen` show it, `listing_url` is where its client reads the pairs, `watch` knows what the venue takes.
    """

    page: LivePage | None
    screen: Screen | None
    listing_url: str
    watch: VenueWatch


class _Run:
    """One sandbox run from its folder on."""

    def __init__(
        self,
        inputs: SandboxInputs,
        signals: SignalListener,
        say: Callable[[str], None],
        *,
        state: StateFile | None,
        recording: CatalogRecorder | None,
        outside: _Outside,
    ) -> None:
        page, screen = outside.page, outside.screen
        self._outside = outside
        self._inputs = inputs
        self._state = state
        self._recording = recording
        self._page = page
        self._screen = screen
        self._config = inputs.config
        self._signals = signals
        self._say = say
        self._session = StopController()
        self._has_returned = threading.Event()
        self._results = SandboxResults(
            inputs,
            self._session,
            signals,
            state=state,
            web=lambda: None if page is None else page.summary,
            watch=outside.watch,
        )
        self._folder = self._results.folder
        self._live = None if page is None and screen is None else _live_state(inputs, self._folder)

    # -- Parts ------------------------------------------------------------------------------------------

    def outcome(self) -> SandboxOutcome:
        """Run to the end, save, and return what is left; raises as `run_sandbox`."""
        try:
            return self._outcome()
        except (RunFailedError, InterruptedRunError):
            raise
        except Exception as error:
            raise self._results.fail(error) from error

    def _outcome(self) -> SandboxOutcome:
        parts = build_sandbox(
            self._inputs,
            self._folder,
            self._session,
            state=self._state,
            recording=self._recording,
            live=self._live,
            kill_signals=lambda: self._signals.kills,
            listing_url=self._outside.listing_url,
            watch=self._outside.watch,
            on_report=lambda now_ns: self._report(parts, now_ns),
        )
        watchers = [
            threading.Thread(target=self._watch, args=(parts.node.handle(),), name="session", daemon=True),
            threading.Thread(target=self._watch_feed, name="feed", daemon=True),
        ]
        for watcher in watchers:
            watcher.start()
        self._begin_views()
        symbols = ", ".join(self._inputs.specs)
        self._say(f"quoting {symbols}; written to {self._folder}; Ctrl-C ends the run")
        # What is there by now stays: the collector need not look through it again, which takes tens of milliseconds.
        gc.collect()
        gc.freeze()
        error = raised_by(parts.node.run)
        now_ns = time.time_ns()
        error = self._results.save(
            parts, now_ns, error, lambda status: self._show_last(parts, now_ns, status)
        )
        gc.unfreeze()
        self._end_views()
        self._has_returned.set()
        for watcher in watchers:
            watcher.join(_LOOK_SECONDS)
        parts.node.dispose()
        try:
            self._results.write_report()
        finally:
            self._results.raise_for(parts, error)
        return SandboxOutcome(self._results.summary, self._folder, self._inputs.warnings)

    def _report(self, parts: SandboxParts, now_ns: int) -> None:
        """Write the summary, and say a line of it where there is no screen."""
        self._results.summarise(parts, now_ns, "running")
        if self._screen is None:
            self._say(status_line(self._results.summary))

    # -- Views ------------------------------------------------------------------------------------------

    def _begin_views(self) -> None:
        if self._live is None:
            return
        if self._page is not None:
            self._page.begin(self._live, self._folder, kill_switch(self._config, self._folder), self._say)
            self._say(self._page.words)
        if self._screen is not None:
            self._screen.begin(self._live)

    def _show_last(self, parts: SandboxParts, now_ns: int, status: str) -> None:
        """Show the figures that the summary has, and how the run ended."""
        if self._live is None or parts.bridge is None:
            return
        parts.bridge.show_last(now_ns, *parts.metrics.figures(now_ns))
        stop = self._session.stop
        self._live.set_status(status, "" if stop is None else stop.text)

    def _end_views(self) -> None:
        if self._screen is not None:
            self._screen.end()
        if self._page is not None:
            self._page.close()

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
                sent = self._inputs.feed.sent_until_end()
                if sent is not None:
                    self._session.request_stop(
                        StopCause.FEED_END, "the feed has come to its end", events=sent
                    )
            except MarketMakingError as error:
                self._session.request_stop(StopCause.FAILURE, f"the local venue does not answer: {error}")

    def _abandon(self) -> None:
        """End the process under an engine that hangs."""
        if self._screen is not None:
            self._screen.end()
        self._results.abandon()
        os._exit(self._signals.exit_code)


def _live_state(inputs: SandboxInputs, folder: Path) -> LiveState:
    config = inputs.config
    run = RunInfo(
        name=config.name,
        folder=str(folder),
        report_currency=config.report_currency,
        is_simulated=any(spec.simulated for spec in inputs.specs.values()),
        feed=config.feed.source,
        venue=config.venue.name,
        started_ns=time.time_ns(),
    )
    return LiveState(run, symbol_infos(inputs.specs))
