"""What the doctor looks at, and what it says of what is not right."""

import math
import re
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from whole_runs import ROOT

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.config.run import RunConfig
from mm_nautilus.runs import health
from mm_nautilus.runs.health import (
    Check,
    CheckState,
    clock_error_seconds,
    clock_step_seconds,
    environment_checks,
    run_checks,
    written_folders,
)

OK, WARNING, PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM
ENGINE = metadata.version("nautilus_trader")

type Configure = Callable[..., RunConfig]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def configure(*overrides: str) -> RunConfig:
        folder = f"output.directory={tmp_path / 'runs'}"
        given = (
            [*overrides] if any(text.startswith("output.") for text in overrides) else [*overrides, folder]
        )
        return load_config(ROOT / "configs" / "backtest.yaml", given).config

    return configure


def lock(folder: Path, versions: Mapping[str, str]) -> Path:
    path = folder / "requirements.lock"
    lines = (f"{name}=={version} \\\n    --hash=sha256:00\n" for name, version in versions.items())
    path.write_text("".join(lines))
    return path


def named(checks: list[Check]) -> dict[str, Check]:
    found = {check.name: check for check in checks}
    assert len(found) == len(checks)
    return found


# -- Versions -----------------------------------------------------------------------------------------------


def test_this_environment_is_as_it_should_be() -> None:
    checks = named(environment_checks())
    assert {name for name, check in checks.items() if check.state is PROBLEM} == set()
    assert checks["python"].text.startswith("3.13.")
    assert checks["nautilus_trader"] == Check("nautilus_trader", OK, f"{ENGINE}, as locked")
    assert checks["mm-nautilus"].text == metadata.version("mm-nautilus")
    assert {"packages", "extra dev", "browser", "clock", "time synchronisation"} <= set(checks)


def test_another_engine_than_the_locked_one_is_a_problem(tmp_path: Path) -> None:
    checks = named(environment_checks(lock(tmp_path, {"nautilus_trader": "1.0"})))
    text = f"{ENGINE} is installed and 1.0 is locked; `make setup` installs that"
    assert checks["nautilus_trader"] == Check("nautilus_trader", PROBLEM, text)


def test_other_packages_that_differ_are_a_warning(tmp_path: Path) -> None:
    numpy = metadata.version("numpy")
    file = lock(tmp_path, {"nautilus-trader": ENGINE, "numpy": "0.1", "Absent.Package": "3"})
    checks = named(environment_checks(file))
    assert checks["packages"].state is WARNING
    assert checks["packages"].text == (
        f"1 of 2 differ from the lock: numpy {numpy} (locked 0.1); `make setup` installs the locked ones"
    )


def test_without_a_lock_file_versions_are_told_and_nothing_is_compared(tmp_path: Path) -> None:
    checks = named(environment_checks(tmp_path / "absent"))
    assert checks["nautilus_trader"] == Check("nautilus_trader", OK, ENGINE)
    assert checks["packages"].state is OK
    assert checks["packages"].text.endswith("needed are there; no lock file beside them")


def test_what_is_not_installed_is_a_problem_unless_it_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"nautilus_trader", "numpy", "hypothesis"}

    def version(name: str) -> str:
        if name in missing:
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(health.metadata, "version", version)
    checks = named(environment_checks())
    assert checks["nautilus_trader"].state is PROBLEM
    assert checks["packages"].state is PROBLEM
    assert checks["packages"].text == "missing: nautilus_trader, numpy; `make setup` installs them"
    text = "not installed (optional): hypothesis; pip install 'mm-nautilus[dev]' adds it"
    assert checks["extra dev"] == Check("extra dev", OK, text)


def test_a_package_that_is_not_installed_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(health.metadata, "version", nothing)
    monkeypatch.setattr(health.metadata, "requires", nothing)
    checks = named(environment_checks())
    assert checks["mm-nautilus"].state is PROBLEM
    assert not any(name.startswith("extra") for name in checks)


def test_another_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "sys", SimpleNamespace(version_info=(3, 12, 1), executable=sys.executable))
    check = named(environment_checks())["python"]
    assert check.state is PROBLEM
    assert check.text.endswith("; 3.13 is needed")


def test_a_missing_browser_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.shutil, "which", lambda _name: None)
    check = named(environment_checks())["browser"]
    assert check == Check("browser", OK, "none (optional): only tests and pictures of pages need Chromium")


# -- Clock --------------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_while_it_is_watched_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    walls, monotonic = iter([1000.0, 1003.2]), iter([50.0, 50.2])
    fake = SimpleNamespace(time=lambda: next(walls), monotonic=lambda: next(monotonic), sleep=lambda _s: None)
    monkeypatch.setattr(health, "time", fake)
    assert clock_step_seconds() == pytest.approx(3.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's clock is asked on Linux")
def test_the_kernel_says_whether_its_clock_is_synchronised() -> None:
    found = clock_error_seconds()
    assert found is None or found >= 0


def test_other_systems_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.sys, "platform", "darwin")
    assert clock_error_seconds() is None


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (None, OK, "cannot be asked for"),
        (0.004, OK, "within 0.004 s"),
        (math.inf, WARNING, "not synchronised; for live data let NTP keep it right"),
    ],
)
def test_synchronisation_is_told(
    monkeypatch: pytest.MonkeyPatch, found: float | None, state: CheckState, words: str
) -> None:
    monkeypatch.setattr(health, "clock_error_seconds", lambda: found)
    check = named(environment_checks())["time synchronisation"]
    assert check.state is state
    assert words in check.text


@pytest.mark.parametrize(
    ("now", "step", "state", "words"),
    [
        (1_800_000_000.0, 0.0, OK, "2027-01-15 08:00:00 UTC, steady against the monotonic clock"),
        (86_400.0, 0.0, PROBLEM, "1970-01-02 00:00:00 UTC is in the past; set it"),
        (1_800_000_000.0, -0.25, WARNING, "it was set by -0.250 s while it was watched; a live run pauses"),
    ],
)
def test_the_wall_clock_is_told(
    monkeypatch: pytest.MonkeyPatch, now: float, step: float, state: CheckState, words: str
) -> None:
    monkeypatch.setattr(health, "time", SimpleNamespace(time=lambda: now))
    monkeypatch.setattr(health, "clock_step_seconds", lambda: step)
    check = named(environment_checks())["clock"]
    assert check.state is state
    assert words in check.text


# -- What a run reads and writes ----------------------------------------------------------------------------


def test_a_run_on_the_sample_has_what_it_needs(configure: Configure, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    config = configure()
    checks = named(run_checks(config, config.catalog, lambda *step: seen.append(step)))
    assert [check.state for check in checks.values()] == [OK, OK, OK]
    assert checks["catalog"].text == f"{ROOT / 'catalog'} is clean: 3 instruments, 109,466 rows, simulated"
    assert checks["output.directory"].text == f"{tmp_path / 'runs'} can be made"
    assert " GB free for " in checks["disk of output.directory"].text
    assert seen[-1] == (109_466, 109_466)
    assert list(tmp_path.iterdir()) == []


def test_a_catalog_with_problems_names_the_first_and_the_command_for_all(
    configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "c" / "data" / "trades" / "X").mkdir(parents=True)
    (tmp_path / "c" / "data" / "trades" / "X" / "x.parquet").touch()
    check = named(run_checks(configure(), tmp_path / "c"))["catalog"]
    assert check.state is PROBLEM
    assert "has 2 problems: " in check.text
    assert check.text.endswith(f"; `mm-nautilus data check {tmp_path / 'c'}` has all")


def test_a_missing_catalog_is_a_problem_and_none_is_none(configure: Configure, tmp_path: Path) -> None:
    check = named(run_checks(configure(), tmp_path / "absent"))["catalog"]
    assert check.state is PROBLEM
    assert "does not exist" in check.text
    assert "catalog" not in named(run_checks(configure(), None))


def test_folders_are_those_that_sections_call_directory(configure: Configure, tmp_path: Path) -> None:
    assert written_folders(configure()) == {"output.directory": tmp_path / "runs"}


def test_a_folder_that_is_there_is_writable(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert named(run_checks(configure(), None))["output.directory"].text.endswith("runs is writable")


def test_a_folder_below_a_file_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    config = configure(f"output.directory={tmp_path / 'taken' / 'runs'}")
    check = named(run_checks(config, None))["output.directory"]
    assert check.state is PROBLEM
    assert check.text == (
        f"{tmp_path / 'taken' / 'runs'} cannot be used: {tmp_path / 'taken'} is a file; output.directory names "
        "another folder"
    )


def test_a_folder_without_permission_is_a_problem(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health.os, "access", lambda _path, _mode: False)
    check = named(run_checks(configure(), None))["output.directory"]
    assert check.state is PROBLEM
    assert "may not be written" in check.text


@pytest.mark.parametrize(
    ("free_gb", "state", "words"),
    [
        (0.1, PROBLEM, "0.1 GB free for .*; a run needs at least 0.2 GB"),
        (1.0, WARNING, "a long run writes more than that"),
        (50.0, OK, "50.0 GB free for .*runs$"),
    ],
)
def test_free_space_is_judged(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, free_gb: float, state: CheckState, words: str
) -> None:
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free_gb * 1e9))
    check = named(run_checks(configure(), None))["disk of output.directory"]
    assert check.state is state
    assert re.search(words, check.text)
