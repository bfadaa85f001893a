"""Whether a sandbox run can be expected to work here: its feed, what it goes on from, what it records."""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from mm_nautilus.config.sandbox import FeedConfig, SandboxConfig, WebConfig
from mm_nautilus.data.recording_folder import waiting_sessions
from mm_nautilus.errors import ConfigError
from mm_nautilus.live_view.access import page_access
from mm_nautilus.risk.kill_switch import KillSwitch
from mm_nautilus.runs.health import (
    Check,
    CheckState,
    OnProgress,
    catalog_check,
    folder_checks,
    run_checks,
)
from mm_nautilus.runs.state_file import StateFile, StateFingerprint

__all__ = ["sandbox_checks"]

_EXTRAS: Final = {"venue": ("aiohttp",), "web": ("starlette", "uvicorn")}
"""Modules of the optional extras that a sandbox may need."""


def sandbox_checks(config: SandboxConfig, on_progress: OnProgress | None = None) -> list[Check]:
    """Look at what a sandbox run reads, goes on from and writes; nothing is written and no network is used.

    Parameters
    ----------
    config
        The configuration.
    on_progress
        Called with rows read and rows in all of the catalog that a local venue is to play.
    """
    return [
        *_feed_checks(config.feed, on_progress),
        *_state_checks(config),
        *_recording_checks(config),
        _page_check(config.web),
        *run_checks(config, None),
    ]


def _feed_checks(feed: FeedConfig, on_progress: OnProgress | None) -> Iterator[Check]:
    lacking = _lacking("venue")
    if feed.source == "live":
        where = feed.rest_url or "Kraken's public feed"
        yield Check("feed", CheckState.OK, f"{where}, which was not asked: no network is used here")
    elif lacking is not None:
        yield Check("feed", CheckState.PROBLEM, f"a local venue {lacking}")
    else:
        yield Check("feed", CheckState.OK, f"a local venue that plays {feed.catalog or 'the simulator'}")
    if feed.catalog is None:
        return
    found = catalog_check(feed.catalog, on_progress)
    if feed.source == "live" and found.state is CheckState.PROBLEM:
        text = f"{found.text} (only `--venue local` plays it)"
        found = replace(found, state=CheckState.WARNING, text=text)
    yield replace(found, name="feed.catalog")


def _lacking(extra: str) -> str | None:
    """Return which modules of an extra are needed and missing, and how to get them; None where all are there."""
    missing = [name for name in _EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"needs {', '.join(missing)}, not installed; pip install 'mm-nautilus[{extra}]' adds it"


def _state_checks(config: SandboxConfig) -> Iterator[Check]:
    directory = config.state.directory
    if directory is None:
        yield Check("state", CheckState.OK, "nothing is kept: every run starts anew")
        return
    yield _state_check(directory, config)
    switch = KillSwitch(directory / f"{config.name}.json")
    order = switch.order()
    if order is not None:
        text = (
            f"halted by {switch.halt_path} ({order.reason}): a run quotes nothing until `mm-nautilus resume`"
        )
        yield Check("kill switch", CheckState.WARNING, text)


def _state_check(directory: Path, config: SandboxConfig) -> Check:
    try:
        file = StateFile.look(directory, config.name, StateFingerprint.of(config))
    except ConfigError as error:
        return Check("state", CheckState.PROBLEM, str(error))
    if file.account is None:
        return Check("state", CheckState.OK, f"there is no {file.path} yet: the first run starts anew")
    held = ", ".join(str(position) for position in file.account.positions) or "no positions"
    return Check("state", CheckState.OK, f"the next run goes on from {file.path}: {held}")


def _recording_checks(config: SandboxConfig) -> Iterator[Check]:
    catalog = config.recording.catalog
    if not config.recording.enabled or catalog is None:
        yield Check("recording", CheckState.OK, "off")
        return
    waiting = waiting_sessions(catalog)
    if waiting:
        text = (
            f"{catalog} has {len(waiting)} recordings that go on or were interrupted; the next recording, or "
            f"`mm-nautilus data recover {catalog}`, brings what was interrupted into it"
        )
        yield Check("recording", CheckState.WARNING, text)
    else:
        yield Check("recording", CheckState.OK, f"into {catalog}")
    yield from folder_checks("recording.catalog", catalog)


def _page_check(web: WebConfig) -> Check:
    if not web.enabled:
        return Check("live page", CheckState.OK, "off; `--web` switches it on")
    lacking = _lacking("web")
    if lacking is not None:
        return Check("live page", CheckState.PROBLEM, f"it {lacking}")
    try:
        access = page_access(web, os.environ)
    except ConfigError as error:
        return Check("live page", CheckState.PROBLEM, str(error))
    needs = "without a token" if access.token is None else f"with the token in {web.token_variable}"
    return Check("live page", CheckState.OK, f"at {web.host}, port {web.port}, {needs}")
