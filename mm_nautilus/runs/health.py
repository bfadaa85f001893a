"""The doctor: faults of this machine and of a configuration's files that a user can mend before a run."""

import ctypes
import errno
import importlib.util
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.sandbox import FeedConfig, PrometheusConfig, SandboxConfig, WebConfig
from mm_nautilus.data.catalog_files import waiting_sessions
from mm_nautilus.data.check import check_catalog
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.live_view.access import Access, page_access, prometheus_access
from mm_nautilus.live_view.scrapes import PACKAGES
from mm_nautilus.notifications.services import PACKAGE, service_problems
from mm_nautilus.risk.kill_switch import KillSwitch
from mm_nautilus.runs.folder import write_refusal, written_folders
from mm_nautilus.runs.state_file import StateFile, fingerprint_of
from mm_nautilus.system.plain_text import counted
from mm_nautilus.system.store_url import CatalogPath

_PYTHON: Final = (3, 13)
_LOCK: Final = Path(__file__).resolve().parents[2] / "requirements.lock"
_LOCKED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==([^ \\;]+)", re.MULTILINE)
_ENGINE: Final = "nautilus-trader"
_EXTRAS: Final = {
    "metrics": PACKAGES,
    "notify": (PACKAGE,),
    "venue": ("aiohttp",),
    "web": ("starlette", "uvicorn"),
}
"""Modules of the optional extras."""
_SHOWN: Final = 5
_GB: Final = 1e9
_NEEDED_GB: Final = 0.2
_WANTED_GB: Final = 2.0
_UNSYNCHRONISED: Final = 5
"""``TIME_ERROR`` of Linux' timex.h."""
_EARLIEST: Final = datetime(2025, 12, 13, tzinfo=UTC)
"""The day of v1.4.0; a clock before it is wrong."""

type OnProgress = Callable[[int, int], None]


class CheckState(StrEnum):
    """Result of a check; only a problem keeps a run from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One result."""

    name: str
    state: CheckState
    text: str


_OK, _WARNING, _PROBLEM = CheckState


def environment_checks(lock: Path = _LOCK) -> list[Check]:
    """Check Python, the packages and the clock; without a lock file only missing packages are found."""
    return [_python_check(), *_version_checks(lock), _clock_check()]


def run_checks(config: RunConfig | SandboxConfig, on_progress: OnProgress | None = None) -> list[Check]:
    """Check the files that a run reads and writes; nothing is written and no network is used.

    The whole catalog is read; `on_progress` is called with rows read and rows in all.
    """
    if isinstance(config, RunConfig):
        found = [_catalog_check(config.catalog, on_progress)]
    else:
        found = [
            *_feed_checks(config.feed, on_progress),
            *_state_checks(config),
            *_recording_checks(config),
            _served_check("live page", "web", "--web", config.web, page_access),
            _served_check("prometheus", "metrics", "--metrics-port", config.prometheus, prometheus_access),
            _notify_check(config.notify),
        ]
    for key, folder in written_folders(config).items():
        found += _folder_checks(key, folder)
    return found


def _python_check() -> Check:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] == _PYTHON:
        return Check("python", _OK, text)
    return Check("python", _PROBLEM, f"{text}; {_PYTHON[0]}.{_PYTHON[1]} is needed")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version_checks(lock: Path) -> Iterator[Check]:
    found = _LOCKED.findall(lock.read_text(encoding="utf-8")) if lock.is_file() else []
    locked = {name.replace("_", "-"): version for name, version in found}
    package = _installed("mm-nautilus")
    if package is None:
        yield Check("mm-nautilus", _PROBLEM, "is not installed here; `make setup` installs it")
        return
    yield Check("mm-nautilus", _OK, package)
    lines = [line for line in metadata.requires("mm-nautilus") or () if "extra ==" not in line]
    needed = [re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("_", "-") for line in lines]
    installed = {name: version for name in {*needed, *locked} if (version := _installed(name)) is not None}
    missing = [name for name in needed if name not in installed]
    others = [name for name in locked if installed.get(name, locked[name]) != locked[name]]
    told = ", ".join(f"{name} {installed[name]} (locked {locked[name]})" for name in others[:_SHOWN])
    if missing:
        yield Check("packages", _PROBLEM, f"missing: {', '.join(missing)}; `make setup` installs them")
    elif _ENGINE in others:
        text = f"{_ENGINE} {installed[_ENGINE]} is installed and {locked[_ENGINE]} is locked"
        yield Check("packages", _PROBLEM, f"{text}; `make setup` installs that")
    elif others:
        text = f"not as locked: {len(others)}: {told}; `make setup` installs the locked ones"
        yield Check("packages", _WARNING, text)
    else:
        compared = "as locked" if locked else "no lock file beside them"
        yield Check(
            "packages", _OK, f"all {len(needed)} needed are there, {compared}: {_ENGINE} {installed[_ENGINE]}"
        )


def clock_is_synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised, None if unknown."""
    if sys.platform != "linux":
        return None
    timex = ctypes.create_string_buffer(1_024)  # larger than any system's struct
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED


def _clock_check() -> Check:
    now = datetime.fromtimestamp(time.time(), UTC)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _EARLIEST:
        return Check("clock", _PROBLEM, f"{text} is in the past; set it")
    if clock_is_synchronised() is False:
        return Check("clock", _WARNING, f"{text}, not synchronised; use NTP for live data")
    return Check("clock", _OK, text)


def _catalog_check(folder: CatalogPath, on_progress: OnProgress | None) -> Check:
    try:
        report = check_catalog(folder, on_progress=on_progress)
    except DataError as error:
        return Check("catalog", _PROBLEM, "; ".join(str(error).splitlines()))
    if not report.ok:
        first = "; ".join(problem.text for problem in report.problems[:_SHOWN])
        count = counted(len(report.problems), "problem")
        text = f"{folder} has {count}: {first}; `mm-nautilus data check {folder}` has all"
        return Check("catalog", _PROBLEM, text)
    rows = sum(entry.book.rows + entry.trades.rows for entry in report.instruments)
    source = "simulated" if any(entry.simulated for entry in report.instruments) else "recorded"
    counts = f"{counted(len(report.instruments), 'instrument')}, {counted(rows, 'row')}"
    return Check("catalog", _OK, f"{folder} is clean: {counts}, {source}")


def _folder_checks(key: str, folder: Path) -> Iterator[Check]:
    """Check that a folder, which need not exist, can be written and has room; `key` names it."""
    nearest, refusal = write_refusal(folder)
    if refusal is None:
        there = "is writable" if nearest == folder.absolute() else "can be made"
        yield Check(key, _OK, f"{folder} {there}")
    else:
        why = "is a file" if refusal == errno.ENOTDIR else "may not be written"
        yield Check(key, _PROBLEM, f"{folder} cannot be used: {nearest} {why}; {key} names another folder")
    free_gb = shutil.disk_usage(nearest).free / _GB
    disk, text = f"disk of {key}", f"{free_gb:,.1f} GB free for {folder}"
    if free_gb < _NEEDED_GB:
        yield Check(disk, _PROBLEM, f"{text}; a run needs at least {_NEEDED_GB} GB")
    elif free_gb < _WANTED_GB:
        yield Check(disk, _WARNING, f"{text}; a long run writes more than that")
    else:
        yield Check(disk, _OK, text)


def _lacking(extra: str) -> str | None:
    """Return which modules of an extra are missing and how to install them, or None."""
    missing = [name for name in _EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"needs {', '.join(missing)}, not installed; pip install 'mm-nautilus[{extra}]' adds it"


def _feed_checks(feed: FeedConfig, on_progress: OnProgress | None) -> Iterator[Check]:
    lacking = _lacking("venue")
    if feed.source == "live":
        where = feed.rest_url or "Kraken's public feed"
        yield Check("feed", _OK, f"{where}, which was not contacted: no network is used here")
    elif lacking is not None:
        yield Check("feed", _PROBLEM, f"a local venue {lacking}")
    else:
        yield Check("feed", _OK, f"a local venue that plays {feed.catalog or 'the simulator'}")
    if feed.catalog is None:
        return
    found = replace(_catalog_check(feed.catalog, on_progress), name="feed.catalog")
    if feed.source == "live" and found.state is _PROBLEM:
        found = Check(found.name, _WARNING, f"{found.text} (only `--venue local` plays it)")
    yield found


def _state_checks(config: SandboxConfig) -> Iterator[Check]:
    directory = config.state.directory
    if directory is None:
        yield Check("state", _OK, "no state is kept: every run starts fresh")
        return
    try:
        file = StateFile.look(directory, config.name, fingerprint_of(config))
    except ConfigError as error:
        yield Check("state", _PROBLEM, str(error))
    else:
        if file.account is None:
            yield Check("state", _OK, f"there is no {file.path} yet: the first run starts fresh")
        else:
            yield Check("state", _OK, f"the next run continues from {file.path}: {file.held}")
    switch = KillSwitch(directory / f"{config.name}.json")
    order = switch.order()
    if order is not None:
        halted = f"halted by {switch.halt_path} ({order.reason})"
        yield Check("kill switch", _WARNING, f"{halted}: a run quotes nothing until `mm-nautilus resume`")


def _recording_checks(config: SandboxConfig) -> Iterator[Check]:
    catalog = config.recording.catalog
    if not config.recording.enabled or catalog is None:
        yield Check("recording", _OK, "off")
        return
    waiting = waiting_sessions(catalog)
    if waiting:
        text = (
            f"{catalog} has recordings that go on or were interrupted: {len(waiting):,}; the next recording, or "
            f"`mm-nautilus data recover {catalog}`, brings what was interrupted into it"
        )
        yield Check("recording", _WARNING, text)
    else:
        yield Check("recording", _OK, f"into {catalog}")


def _served_check[Config: (WebConfig, PrometheusConfig)](
    name: str,
    extra: str,
    option: str,
    config: Config,
    access: Callable[[Config, Mapping[str, str]], Access],
) -> Check:
    """Check what a run serves; its port may be in use until then."""
    if not config.enabled:
        return Check(name, _OK, f"off; `{option}` switches it on")
    lacking = _lacking(extra)
    if lacking is not None:
        return Check(name, _PROBLEM, f"it {lacking}")
    try:
        asked = access(config, os.environ)
    except ConfigError as error:
        return Check(name, _PROBLEM, str(error))
    needs = "without a token" if asked.token is None else f"with the token in {config.token_variable}"
    return Check(name, _OK, f"at {config.host}, port {config.port}, {needs}")


def _notify_check(config: NotifyConfig) -> Check:
    if not config.urls:
        return Check("notifications", _OK, "off: notify.urls names no variable")
    lacking = _lacking("notify")
    if lacking is not None:
        return Check("notifications", _PROBLEM, f"they {lacking.replace('needs', 'need', 1)}")
    problems = service_problems(config.urls)
    if problems:
        return Check("notifications", _PROBLEM, "; ".join(problems))
    names = ", ".join(config.urls)
    return Check(
        "notifications", _OK, f"to {names}, which were not contacted; `mm-nautilus notify` sends a test"
    )
