"""What the doctor looks at, and what it says of what is not right."""

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
from mm_nautilus.runs import folder, health
from mm_nautilus.runs.health import (
    Check,
    CheckState,
    clock_is_synchronised,
    environment_checks,
    run_checks,
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
        return load_config(ROOT / "configs" / "v1_4.yaml", given).config

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
    assert checks["mm-nautilus"].text == metadata.version("mm-nautilus")
    assert checks["packages"].text.endswith(f"needed are there, as locked: nautilus-trader {ENGINE}")
    assert set(checks) == {"python", "mm-nautilus", "packages", "clock"}


def test_another_engine_than_the_locked_one_is_a_problem(tmp_path: Path) -> None:
    checks = named(environment_checks(lock(tmp_path, {"nautilus_trader": "1.0", "numpy": "0.1"})))
    text = f"nautilus-trader {ENGINE} is installed and 1.0 is locked; `make setup` installs that"
    assert checks["packages"] == Check("packages", PROBLEM, text)


def test_other_packages_that_differ_are_a_warning(tmp_path: Path) -> None:
    numpy = metadata.version("numpy")
    file = lock(tmp_path, {"nautilus-trader": ENGINE, "numpy": "0.1", "Absent.Package": "3"})
    check = named(environment_checks(file))["packages"]
    assert check.state is WARNING
    assert check.text == (
        f"not as locked: 1: numpy {numpy} (locked 0.1); `make setup` installs the locked ones"
    )


def test_without_a_lock_file_versions_are_told_and_nothing_is_compared(tmp_path: Path) -> None:
    check = named(environment_checks(tmp_path / "absent"))["packages"]
    assert check.state is OK
    assert check.text.endswith(f"needed are there, no lock file beside them: nautilus-trader {ENGINE}")


@pytest.mark.parametrize(
    ("missing", "name", "text"),
    [
        (
            ("nautilus-trader", "numpy"),
            "packages",
            "missing: nautilus-trader, numpy; `make setup` installs them",
        ),
        (("hypothesis",), "packages", "needed are there, as locked"),
        (("mm-nautilus",), "mm-nautilus", "is not installed here; `make setup` installs it"),
    ],
)
def test_what_is_not_installed_is_a_problem_unless_it_is_optional(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], name: str, text: str
) -> None:
    known = metadata.version

    def version(name: str) -> str:
        if name in missing:
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(health.metadata, "version", version)
    check = named(environment_checks())[name]
    assert check.state is (OK if missing == ("hypothesis",) else PROBLEM)
    assert text in check.text


def test_another_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(version_info=(3, 12, 1), executable=sys.executable, platform="darwin")
    monkeypatch.setattr(health, "sys", other)
    check = named(environment_checks())["python"]
    assert check.state is PROBLEM
    assert check.text.endswith("; 3.13 is needed")


# -- Clock --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's clock is asked on Linux")
def test_the_kernel_says_whether_its_clock_is_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock_is_synchronised() in {True, False, None}
    for state, found in ((0, True), (5, False), (-1, None)):
        kernel = SimpleNamespace(adjtimex=lambda _timex, state=state: state)
        monkeypatch.setattr(health.ctypes, "CDLL", lambda _name, kernel=kernel: kernel)
        assert clock_is_synchronised() is found
    monkeypatch.setattr(health, "sys", SimpleNamespace(platform="darwin"))
    assert clock_is_synchronised() is None


@pytest.mark.parametrize(
    ("now", "synchronised", "state", "words"),
    [
        (1_800_000_000.0, None, OK, "2027-01-15 08:00:00 UTC"),
        (1_800_000_000.0, True, OK, "2027-01-15 08:00:00 UTC"),
        (1_800_000_000.0, False, WARNING, "not synchronised; use NTP for live data"),
        (86_400.0, True, PROBLEM, "1970-01-02 00:00:00 UTC is in the past; set it"),
    ],
)
def test_the_clock_is_told(
    monkeypatch: pytest.MonkeyPatch, now: float, synchronised: bool | None, state: CheckState, words: str
) -> None:
    monkeypatch.setattr(health, "time", SimpleNamespace(time=lambda: now))
    monkeypatch.setattr(health, "clock_is_synchronised", lambda: synchronised)
    check = named(environment_checks())["clock"]
    assert check.state is state
    assert words in check.text


# -- What a run reads and writes ----------------------------------------------------------------------------


def test_a_run_on_the_sample_has_what_it_needs(configure: Configure, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    config = configure()
    checks = named(run_checks(config, lambda *step: seen.append(step)))
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
    check = named(run_checks(configure(f"catalog={tmp_path / 'c'}")))["catalog"]
    assert check.state is PROBLEM
    assert "has 2 problems: " in check.text
    assert check.text.endswith(f"; `mm-nautilus data check {tmp_path / 'c'}` has all")


def test_a_missing_catalog_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    check = named(run_checks(configure(f"catalog={tmp_path / 'absent'}")))["catalog"]
    assert check.state is PROBLEM
    assert "does not exist" in check.text


def test_a_folder_that_is_there_is_writable(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert named(run_checks(configure()))["output.directory"].text.endswith("runs is writable")


def test_a_folder_below_a_file_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    config = configure(f"output.directory={tmp_path / 'taken' / 'runs'}")
    check = named(run_checks(config))["output.directory"]
    assert check.state is PROBLEM
    assert check.text == (
        f"{tmp_path / 'taken' / 'runs'} cannot be used: {tmp_path / 'taken'} is a file; output.directory names "
        "another folder"
    )


def test_a_folder_without_permission_is_a_problem(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder.os, "access", lambda _path, _mode: False)
    check = named(run_checks(configure()))["output.directory"]
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
    check = named(run_checks(configure()))["disk of output.directory"]
    assert check.state is state
    assert re.search(words, check.text)
