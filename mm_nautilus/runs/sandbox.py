"""Run the market maker live in a sandbox from its configuration and write its folder of results."""

import faulthandler
import gc
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from nautilus_trader.live import NodeState

from mm_nautilus.checks.grouped_warnings import grouped_warnings
from mm_nautilus.checks.refusals import refused_for
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.data.catalog_recorder import CatalogRecorder, RecordingOptions
from mm_nautilus.errors import MarketMakingError, RunFailedError
from mm_nautilus.live_view.access import refuse_shared
from mm_nautilus.live_view.scrapes import PrometheusEndpoint
from mm_nautilus.live_view.web import LivePage
from mm_nautilus.notifications.events import EndEvent
from mm_nautilus.notifications.notifier import OUTBOX_SUFFIX, NotifiedRun, Notifier
from mm_nautilus.notifications.services import refuse_unusable
from mm_nautilus.report.console import status_line
from mm_nautilus.report.session import fee_words
from mm_nautilus.runs.assembly import fee_rates
from mm_nautilus.runs.control import WIND_DOWN_SECONDS, StopCause, StopController
from mm_nautilus.runs.curve_file import CurveFile
from mm_nautilus.runs.folder import refuse_unwritable_folders, write_summary
from mm_nautilus.runs.inputs import import_own_code
from mm_nautilus.runs.kraken import VenueWatch, served_pairs
from mm_nautilus.runs.live_view_bridge import Screen, live_state
from mm_nautilus.runs.restoration import refuse_coarser_lots
from mm_nautilus.runs.sandbox_inputs import SandboxInputs, open_feed, prepare_sandbox
from mm_nautilus.runs.sandbox_node import Beside, SandboxParts, build_sandbox, kill_switch
from mm_nautilus.runs.signals import SignalListener, signal_words
from mm_nautilus.runs.state_file import StateFile, fingerprint_of
from mm_nautilus.runs.summary import assumptions, run_summary
from mm_nautilus.runs.winding_down import Failure, Run, RunOutcome, first_fault, raised_by

_LOOK_SECONDS: Final = 0.05
_RECORDING_CLOSE_SECONDS: Final = 2.0
"""Longest wait for the recording to be finished; the next one adds the rest."""
_FEED_LOOK_SECONDS: Final = 0.5
_ENGINE_STOPS_AFTER_SECONDS: Final = WIND_DOWN_SECONDS + 0.5
"""When the engine is stopped from outside, because its control did not stop it."""
_BACKLOG_SECONDS: Final = 60.0
"""Longest time in which the engine may process nothing but the events of an ended feed."""
_NOTIFIED_AFTER_SIGNAL_SECONDS: Final = 3.8
"""When, after a signal, services are no longer waited for: what they have not taken is kept."""
_NOTIFIED_SECONDS: Final = 15.0
"""The longest such wait at any other end."""
_LAST_WORD_SECONDS: Final = 0.25
"""Time to write the last message of an engine that hangs, which the next run then sends."""
_ABANDONED_AFTER_SECONDS: Final = 4.5
"""When the process ends after a signal although the engine hangs, to keep the promise of five seconds."""


def run_sandbox(
    config: SandboxConfig,
    signals: SignalListener,
    *,
    fresh: bool = False,
    say: Callable[[str], None] = lambda _line: None,
    screen: Screen | None = None,
    say_trades: Callable[[str], None] = lambda _line: None,
) -> RunOutcome:
    """Trade on paper until the run ends, and write its folder meanwhile.

    The caller enters `signals` before and leaves them after the call. With `fresh` the run does not continue from the
    state file, which is kept under another name. `say` receives lines for people from several threads: the start, and
    one a minute without a `screen`; `say_trades` the journal's: fills, and the portfolio once a minute.

    Raises
    ------
    ConfigError
        If the live page or the Prometheus endpoint cannot be served, the configuration does not fit the venue's pairs,
        or the state file or a catalog that is played or recorded into cannot be used; nothing has been written.
    RunFailedError, StoppedRunError
        If the venue cannot be reached, and as of `Run.outcome`.
    """
    _refuse_before_writing(config, fresh=fresh)
    code = import_own_code(config)
    refuse_shared(config.web, config.prometheus, os.environ)
    with ExitStack() as opened:
        page = LivePage.open(config.web) if config.web.enabled else None
        if page is not None:
            opened.callback(page.close)
        endpoint = PrometheusEndpoint.open(config.prometheus) if config.prometheus.enabled else None
        if endpoint is not None:
            opened.callback(endpoint.close)
        feed = opened.enter_context(open_feed(config, signals))
        say(f"{config.name}: {config.feed.source} feed of {feed.address}")
        inputs = prepare_sandbox(config, code, feed, signals, say)
        say(f"FEES ASSUMED: {fee_words(assumptions(config, inputs.specs), config.report_currency)}")
        for warning in grouped_warnings(inputs.warnings):
            say(warning)
        state = None
        if config.state.directory is not None:
            fingerprint = fingerprint_of(config)
            state = opened.enter_context(
                StateFile.open(config.state.directory, config.name, fingerprint, fresh=fresh)
            )
            refuse_coarser_lots(state, inputs.specs)
            say(_state_line(state))
        recording = _recording(inputs)
        if recording is not None:
            opened.callback(close_recording, recording, say)
        listing_url = opened.enter_context(served_pairs(inputs.listed.entries, feed.address.rest_url))
        interval_seconds = config.feed.status_interval_seconds
        watch = opened.enter_context(VenueWatch(feed.address.rest_url, inputs.listed, interval_seconds, say))
        signals.raise_received()
        beside = Beside(
            listing_url, watch, state, CurveFile(state, say), recording, page, endpoint, screen, say_trades
        )
        return _Sandbox(inputs, signals, say, beside).outcome()


def _notifier(
    inputs: SandboxInputs, beside: Beside, folder: Path, say: Callable[[str], None]
) -> Notifier | None:
    """Return the started notifier of a run that has services to notify."""
    config, state = inputs.config, beside.state
    if not config.notify.urls:
        return None
    path = (config.state.directory or folder) / f"{config.name}{OUTBOX_SUFFIX}"
    continues = state is not None and state.account is not None
    notifier = Notifier.open(config.notify, path, say, continues=continues)
    is_simulated = any(spec.simulated for spec in inputs.specs.values())
    notifier.start(NotifiedRun(config.name, tuple(inputs.specs), is_simulated))
    return notifier


def _refuse_before_writing(config: SandboxConfig, *, fresh: bool) -> None:
    """Check folders and the state file, so that a mistake leaves nothing behind."""
    refuse_unwritable_folders(config)
    refuse_unusable(config.notify.urls)
    if config.state.directory is not None and not fresh:
        StateFile.look(config.state.directory, config.name, fingerprint_of(config))


def _state_line(state: StateFile) -> str:
    if state.account is None:
        kept = "" if state.kept is None else f"; the earlier file is kept as {state.kept}"
        return f"starts fresh, with its state in {state.path}{kept}"
    return f"continues from {state.path}: {state.held}"


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


def close_recording(recording: CatalogRecorder, say: Callable[[str], None]) -> None:
    """Add a recording to its catalog, and say what is missing there."""
    if recording.close(_RECORDING_CLOSE_SECONDS):
        return
    catalog, failure = recording.options.catalog, recording.failure
    if failure is None:
        say(f"the end of the recording is not in {catalog} yet: `mm-nautilus data recover` adds it")
    else:
        repair = "`mm-nautilus data recover` adds what was written"
        say(f"Warning: the recording in {catalog} is not complete: {failure}; {repair}")


class _Sandbox(Run[SandboxParts]):
    """A run on a live feed."""

    is_live = True

    def __init__(
        self, inputs: SandboxInputs, signals: SignalListener, say: Callable[[str], None], beside: Beside
    ) -> None:
        self._start = _start_summary(inputs.config, beside.state)
        super().__init__(inputs, signals, is_resumed=self._start["is_resumed"])
        self._inputs, self._config, self._say = inputs, inputs.config, say
        self._beside = beside
        self._session = StopController()
        self._has_returned = threading.Event()
        self._notifier = _notifier(inputs, beside, self.folder, say)
        self.summary |= {"status": "starting", "folder": self.folder.name} | self._served
        write_summary(self.folder, self.summary)

    def outcome(self) -> RunOutcome:
        """Run to the end as every run does; a failure that was not reported before is notified as well."""
        try:
            return super().outcome()
        except RunFailedError as error:
            if (notifier := self._notifier) is not None:
                notifier.end(EndEvent(time.time_ns(), "failed", error.reason, None))
                notifier.close(self._notified_until)
            raise

    def play(self) -> RunOutcome:
        page, endpoint, screen = self._beside.page, self._beside.endpoint, self._beside.screen
        is_watched = any(each is not None for each in (page, endpoint, screen))
        live = live_state(self._inputs, self.folder, self._beside.curve.curves) if is_watched else None
        parts = build_sandbox(
            self._inputs,
            self.folder,
            self._session,
            self._beside,
            live=live,
            notifier=self._notifier,
            kill_signals=lambda: self.signals.kills,
            on_report=lambda now_ns: self._report(parts, now_ns),
        )
        handle = parts.node.handle()
        watchers = [
            threading.Thread(target=self._watch, args=(handle,), name="session", daemon=True),
            threading.Thread(target=self._watch_feed, name="feed", daemon=True),
        ]
        for watcher in watchers:
            watcher.start()
        if live is not None and page is not None:
            page.begin(live, self.folder, kill_switch(self._config, self.folder), self._say)
            self._say(page.words)
        if live is not None and endpoint is not None:
            endpoint.begin(live, self._say)
            self._say(endpoint.words)
        if live is not None and screen is not None:
            screen.begin(live)
        symbols = ", ".join(self._inputs.specs)
        self._say(f"quoting {symbols}; written to {self.folder}; Ctrl-C ends the run")
        # The collector need not search the objects of now again, which takes tens of milliseconds.
        gc.collect()
        gc.freeze()
        error = raised_by(parts.node.run)
        now_ns = time.time_ns()
        savers = [] if parts.saver is None else [parts.saver.save_last]
        error = self.save(parts, now_ns, error, *savers, lambda: parts.curve.keep_last(now_ns))
        gc.unfreeze()
        if (owner := parts.owner) is not None:
            error = first_fault([error, raised_by(lambda: owner.end(now_ns, parts.metrics, self.summary))])
        if (bridge := parts.bridge) is not None:
            stop = self.summary.get("stop")
            ended = (self.summary["status"], "" if stop is None else stop["text"])
            error = first_fault([error, raised_by(lambda: bridge.show_end(now_ns, *ended))])
        if screen is not None:
            screen.end()
        if page is not None:
            page.close()
        if endpoint is not None:
            endpoint.close()
        if (notifier := self._notifier) is not None:
            notifier.close(self._notified_until)
            self.summary["notifications"] = notifier.summary
            error = first_fault([error, raised_by(lambda: write_summary(self.folder, self.summary))])
        self._has_returned.set()
        for watcher in watchers:
            watcher.join(_LOOK_SECONDS)
        parts.node.dispose()
        return self.end(parts, error)

    @property
    def _served(self) -> dict[str, Any]:
        """What the run serves, by its sections of the configuration."""
        served = {"web": self._beside.page, "prometheus": self._beside.endpoint}
        return {key: None if each is None else each.summary for key, each in served.items()}

    @property
    def _notified_until(self) -> float:
        """Until when services are waited for at the end, seconds of the monotonic clock."""
        received_at = self.signals.received_at
        if received_at is not None:
            return received_at + _NOTIFIED_AFTER_SIGNAL_SECONDS
        return time.monotonic() + _NOTIFIED_SECONDS

    def _report(self, parts: SandboxParts, now_ns: int) -> None:
        """Write the summary, and say a line of it if there is no screen."""
        self.summarise(parts, now_ns, "running")
        if self._beside.screen is None:
            self._say(status_line(self.summary))

    def figures(self, parts: SandboxParts, now_ns: int, status: str) -> dict[str, Any]:
        """Return the summary of a moment, with a session's own sections."""
        control, stop = parts.control, self._session.stop
        start_ns = control.start_ns or now_ns
        figures = run_summary(
            self._inputs,
            parts,
            (start_ns, now_ns),
            now_ns,
            status=status,
            events=control.events,
            elapsed_seconds=(now_ns - start_ns) / 1e9,
        )
        return figures | {
            "open_orders": control.cache.orders_open_count() + control.cache.orders_inflight_count(),
            "stop": None if stop is None else {"cause": stop.cause.value, "text": stop.text},
            "start": self._start,
            "feed": {**_feed_summary(self._inputs), "venue": self._beside.watch.to_dict()},
            **self._served,
            "notifications": None if self._notifier is None else self._notifier.summary,
        }

    def failure(self, parts: SandboxParts, error: Exception | None) -> Failure | None:
        """Return why the run failed: also a venue that was not reached, or an engine that stopped by itself."""
        stop, failure = self._session.stop, parts.failure()
        if failure is not None:
            return failure
        if error is not None and parts.control.start_ns is None:
            seconds = self._config.feed.connect_timeout_seconds
            address = self._inputs.feed.address
            return f"the venue could not be connected to within {seconds} s: tried {address}: {error}"
        if error is not None:
            return error
        if stop is None and self.signals.received is None:
            return "the engine stopped unexpectedly; see its log"
        return stop.text if stop is not None and stop.cause is StopCause.FAILURE else None

    def _watch(self, handle: Any) -> None:
        """Pass signals to the session, and stop an engine that does not stop by itself.

        Only the node's handle may be used outside its own thread.
        """
        while not self._has_returned.wait(_LOOK_SECONDS):
            received, received_at = self.signals.received, self.signals.received_at
            if received is not None:
                self._session.request_stop(StopCause.SIGNAL, signal_words(received))
            stop = self._session.stop
            if stop is None:
                continue
            # While it starts, the engine may lose a stop, so it is repeated.
            is_starting = handle.state in (NodeState.IDLE, NodeState.STARTING)
            backlog_seconds = _BACKLOG_SECONDS if stop.cause is StopCause.FEED_END else 0.0
            waited_seconds = time.monotonic() - stop.asked_at
            if is_starting or waited_seconds > _ENGINE_STOPS_AFTER_SECONDS + backlog_seconds:
                handle.stop()
            if received_at is not None and time.monotonic() - received_at > _ABANDONED_AFTER_SECONDS:
                self._abandon()

    def _watch_feed(self) -> None:
        """End the session when its feed ends, or the local venue is gone."""
        while self._session.stop is None and not self._has_returned.wait(_FEED_LOOK_SECONDS):
            try:
                sent = self._inputs.feed.sent_until_end()
                if sent is not None:
                    self._session.request_stop(StopCause.FEED_END, "the feed has ended", events=sent)
            except MarketMakingError as error:
                self._session.request_stop(StopCause.FAILURE, f"the local venue does not answer: {error}")

    def _abandon(self) -> None:
        """End the process of an engine that hangs; everything that can be saved is on the disk."""
        if self._beside.screen is not None:
            self._beside.screen.end()
        with (self.folder / "failure.txt").open("w", encoding="utf-8") as file:
            file.write("the engine did not stop after a signal; where each thread was:\n")
            file.flush()
            faulthandler.dump_traceback(file)
        self.summary["status"] = "interrupted"
        self.summary["stop"] = {"cause": StopCause.SIGNAL.value, "text": "the engine did not stop in time"}
        if (notifier := self._notifier) is not None:
            notifier.end(EndEvent(time.time_ns(), "interrupted", self.summary["stop"]["text"], None))
            notifier.close(time.monotonic() + _LAST_WORD_SECONDS)
            self.summary["notifications"] = notifier.summary
        write_summary(self.folder, self.summary)
        os._exit(self.signals.exit_code)


def _start_summary(config: SandboxConfig, state: StateFile | None) -> Mapping[str, Any]:
    saved = None if state is None else state.account
    first = {amount.currency: amount.value for amount in config.venue.starting_balances}
    balances = first if saved is None else saved.balances
    return {
        "state_file": None if state is None else str(state.path),
        "is_resumed": saved is not None,
        "balances": {code: f"{amount:f}" for code, amount in balances.items()},
        "positions": [] if saved is None else [str(position) for position in saved.positions],
    }


def _feed_summary(inputs: SandboxInputs) -> Mapping[str, Any]:
    feed, address = inputs.config.feed, inputs.feed.address
    found: dict[str, Any] = {
        "source": feed.source,
        "rest_url": address.rest_url,
        "websocket_url": address.websocket_url,
        "book_depth": feed.book_depth,
    }
    if feed.source == "local":
        catalog = None if feed.catalog is None else str(feed.catalog)
        found |= {"catalog": catalog, "speed": feed.speed, "at_end": feed.at_end}
    return found
