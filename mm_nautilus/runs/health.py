"""Whether a run can be expected to work here: versions, catalog, clock, disk."""

import ctypes
import math
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from mm_nautilus.data.check import check_catalog
from mm_nautilus.errors import DataError

__all__ = [
    "Check",
    "CheckState",
    "OnProgress",
    "catalog_check",
    "environment_checks",
    "folder_checks",
    "run_checks",
    "written_folders",
]

_PACKAGE: Final = "mm-nautilus"
_ENGINE: Final = "nautilus_trader"
_PYTHON: Final = (3, 13)
_LOCK: Final = Path(__file__).resolve().parents[2] / "requirements.lock"
_LOCKED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==([^ \\;]+)", re.MULTILINE)
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9_.-]+)[^;]*(?:;\s*extra\s*==\s*[\"'](\w+)[\"'])?")
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_SHOWN: Final = 5
_GB: Final = 1e9
_NEEDED_GB: Final = 0.2
_WANTED_GB: Final = 2.0
_WATCH_SECONDS: Final = 0.2
_LARGEST_STEP_SECONDS: Final = 0.005
_UNSYNCHRONISED: Final = 0x40
"""``STA_UNSYNC`` of Linux' timex.h."""
_EARLIEST: Final = datetime(2025, 12, 13, tzinfo=UTC)
"""No wall clock that is right is earlier: the day of v1.4.0."""

type OnProgress = Callable[[int, int], None]


class CheckState(StrEnum):
    """What was found; only a problem keeps a run from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    state
        How it is.
    text
        What was found, and what to do about it where it is not right.
    """

    name: str
    state: CheckState
    text: str

    def to_dict(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


def environment_checks(lock: Path = _LOCK) -> list[Check]:
    """Look at Python, the packages, the optional parts and the clock.

    Parameters
    ----------
    lock
        The lock file that the versions are compared with; without one only what is missing is found.
    """
    found = _LOCKED.findall(lock.read_text(encoding="utf-8")) if lock.is_file() else []
    locked = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}
    return [_python_check(), *_version_checks(locked), _browser_check(), *_clock_checks()]


def run_checks(config: BaseModel, catalog: Path | None, on_progress: OnProgress | None = None) -> list[Check]:
    """Look at what a run of a configuration reads and writes.

    Parameters
    ----------
    config
        The configuration.
    catalog
        The catalog it reads, None where it reads none. All of it is read.
    on_progress
        Called with rows read and rows in all.
    """
    found = [] if catalog is None else [catalog_check(catalog, on_progress)]
    for key, folder in written_folders(config).items():
        found += folder_checks(key, folder)
    return found


def written_folders(config: BaseModel) -> dict[str, Path]:
    """Return the folders that a run writes into, by the keys that name them: every section's ``directory``."""
    folders = {f"{name}.directory": getattr(section, "directory", None) for name, section in config}
    return {key: folder for key, folder in folders.items() if isinstance(folder, Path)}


# -- Versions -----------------------------------------------------------------------------------------------


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _python_check() -> Check:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] == _PYTHON:
        return Check("python", CheckState.OK, text)
    return Check("python", CheckState.PROBLEM, f"{text}; {_PYTHON[0]}.{_PYTHON[1]} is needed")


def _version_checks(locked: Mapping[str, str]) -> Iterator[Check]:
    package, engine = _installed_version(_PACKAGE), _installed_version(_ENGINE)
    if package is None:
        yield Check(_PACKAGE, CheckState.PROBLEM, "is not installed here; `make setup` installs it")
    else:
        yield Check(_PACKAGE, CheckState.OK, package)
    wanted = locked.get(_ENGINE.replace("_", "-"))
    if engine is None:
        yield Check(_ENGINE, CheckState.PROBLEM, "is not installed; `make setup` installs it")
    elif wanted is not None and engine != wanted:
        text = f"{engine} is installed and {wanted} is locked; `make setup` installs that"
        yield Check(_ENGINE, CheckState.PROBLEM, text)
    else:
        yield Check(_ENGINE, CheckState.OK, f"{engine}{'' if wanted is None else ', as locked'}")
    # The names that the package requires, by extra; "" for what it cannot do without.
    required: dict[str, list[str]] = {"": []}
    for line in [] if package is None else metadata.requires(_PACKAGE) or []:
        if (match := _REQUIREMENT.match(line)) is not None:
            required.setdefault(match[2] or "", []).append(match[1])
    absent = {
        extra: [name for name in names if _installed_version(name) is None]
        for extra, names in required.items()
    }
    yield _packages_check(locked, absent.pop(""), len(required[""]))
    for extra, missing in absent.items():
        there = f"not installed (optional): {', '.join(missing)}; pip install 'mm-nautilus[{extra}]' adds it"
        yield Check(f"extra {extra}", CheckState.OK, there if missing else "all there")


def _packages_check(locked: Mapping[str, str], missing: list[str], needed: int) -> Check:
    if missing:
        text = f"missing: {', '.join(missing)}; `make setup` installs them"
        return Check("packages", CheckState.PROBLEM, text)
    installed = {name: version for name in locked if (version := _installed_version(name)) is not None}
    others = [
        f"{name} {version} (locked {locked[name]})"
        for name, version in installed.items()
        if version != locked[name]
    ]
    if others:
        text = f"{len(others)} of {len(installed)} differ from the lock: {', '.join(others[:_SHOWN])}"
        return Check("packages", CheckState.WARNING, f"{text}; `make setup` installs the locked ones")
    if locked:
        return Check("packages", CheckState.OK, f"all {len(installed)} as locked")
    return Check("packages", CheckState.OK, f"all {needed} needed are there; no lock file beside them")


def _browser_check() -> Check:
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    return Check(
        "browser", CheckState.OK, path or "none (optional): only tests and pictures of pages need Chromium"
    )


# -- Clock --------------------------------------------------------------------------------------------------


def clock_step_seconds() -> float:
    """Return by how much more the wall clock went on than the monotonic one while it was watched, seconds."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(_WATCH_SECONDS)
    return (time.time() - wall) - (time.monotonic() - steady)


class _Timex(ctypes.Structure):
    """Linux' ``struct timex``, up to the fields that are read and with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def clock_error_seconds() -> float | None:
    """Return the kernel's bound on its clock's error; infinite where nothing sets it right, None if it cannot say."""
    answer = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(answer)) if sys.platform == "linux" else -1
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return math.inf if answer.status & _UNSYNCHRONISED else answer.maximum_error_us / 1e6


def _clock_checks() -> Iterator[Check]:
    now, step, error = datetime.fromtimestamp(time.time(), UTC), clock_step_seconds(), clock_error_seconds()
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _EARLIEST:
        yield Check("clock", CheckState.PROBLEM, f"{text} is in the past; set it")
    elif abs(step) > _LARGEST_STEP_SECONDS:
        text += f", and it was set by {step:+.3f} s while it was watched"
        yield Check("clock", CheckState.WARNING, f"{text}; a live run pauses whenever that happens")
    else:
        yield Check("clock", CheckState.OK, f"{text}, steady against the monotonic clock")
    if error == math.inf:
        text = "the kernel's clock is not synchronised; for live data let NTP keep it right (a backtest needs none)"
        yield Check("time synchronisation", CheckState.WARNING, text)
    else:
        text = "cannot be asked for on this system" if error is None else f"within {error:.3f} s"
        yield Check("time synchronisation", CheckState.OK, text)


# -- Files --------------------------------------------------------------------------------------------------


def catalog_check(folder: Path, on_progress: OnProgress | None) -> Check:
    """Read all of a catalog and say how it is; `on_progress` as of `run_checks`."""
    try:
        report = check_catalog(folder, on_progress=on_progress)
    except DataError as error:
        return Check("catalog", CheckState.PROBLEM, "; ".join(str(error).splitlines()))
    if not report.ok:
        first = "; ".join(problem.text for problem in report.problems[:_SHOWN])
        text = f"{folder} has {len(report.problems)} problems: {first}; `mm-nautilus data check {folder}` has all"
        return Check("catalog", CheckState.PROBLEM, text)
    rows = sum(entry.book.rows + entry.trades.rows for entry in report.instruments)
    source = "simulated" if any(entry.simulated for entry in report.instruments) else "recorded"
    words = f"{folder} is clean: {len(report.instruments)} instruments, {rows:,} rows, {source}"
    return Check("catalog", CheckState.OK, words)


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.exists())


def folder_checks(key: str, folder: Path) -> Iterator[Check]:
    """Look whether a folder can be written and has room.

    Parameters
    ----------
    key
        The configuration's key that names it.
    folder
        The folder; it need not exist.
    """
    whole = folder.absolute()
    nearest = next(path for path in (whole, *whole.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        there = "is writable" if nearest == whole else "can be made"
        yield Check(key, CheckState.OK, f"{folder} {there}")
    else:
        why = "may not be written" if nearest.is_dir() else "is a file"
        text = f"{folder} cannot be used: {nearest} {why}; {key} names another folder"
        yield Check(key, CheckState.PROBLEM, text)
    free_gb = shutil.disk_usage(nearest if nearest.is_dir() else nearest.parent).free / _GB
    state, text = CheckState.OK, f"{free_gb:,.1f} GB free for {folder}"
    if free_gb < _NEEDED_GB:
        state, text = CheckState.PROBLEM, f"{text}; a run needs at least {_NEEDED_GB} GB"
    elif free_gb < _WANTED_GB:
        state, text = CheckState.WARNING, f"{text}; a long run writes more than that"
    yield Check(f"disk of {key}", state, text)
