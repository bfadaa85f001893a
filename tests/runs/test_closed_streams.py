"""Commands that are started with a standard stream closed: the next file that they open would take its number."""

import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_runs import COMMAND, LONGEST_WAIT, Left, configuration, ending
from whole_runs import ROOT

ALL = "<&- >&- 2>&-"


def started_without(closed: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with streams closed, in the shell's words for them."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )


@pytest.mark.parametrize(
    "script", [pytest.param("run_sandbox.py", marks=pytest.mark.long), "run_backtest.py"]
)
@pytest.mark.parametrize(
    ("closed", "is_told"), [(">&-", True), pytest.param("2>&-", False, marks=pytest.mark.long), (ALL, False)]
)
def test_a_mistake_keeps_its_exit_code(script: str, closed: str, is_told: bool) -> None:
    done = started_without(closed, sys.executable, script, "--set", "nonsense=1")
    assert done.returncode == 2
    assert ("unknown key nonsense" in done.stderr) is is_told
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["data", "list", "catalog", "--json"], ["config", "show", "configs/margin.yaml"]]
)
def test_output_that_a_full_device_does_not_take_is_a_failure(words: list[str]) -> None:
    done = started_without(">/dev/full", sys.executable, "-m", "mm_nautilus.cli", *words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_sandbox_run_that_nobody_hears_is_whole(tmp_path: Path) -> None:
    done = started_without(ALL, *COMMAND, str(configuration(tmp_path)), *ending(tmp_path, 100))
    assert done.returncode == 0
    left = Left.only(tmp_path)
    assert len(left.fills) > 0
    left.assert_ended("completed")
