"""A terminal that is closed under a run: the run ends in order, or goes on where it was told to outlive it."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sandbox_runs import COMMAND, LONGEST_WAIT, Left, configuration, wait_for_fill
from whole_runs import ROOT

pytestmark = pytest.mark.long


@contextmanager
def on_a_terminal(*words: str, outlives: bool = False) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a command on a terminal of its own; yields it with the terminal's other end, whose output is read."""
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    # The first terminal that a session's leader opens is the one whose end it is told of.
    script = f'{"trap '' HUP;" if outlives else ""} exec "$@" <{path} >{path} 2>&1'
    process = subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *words], cwd=ROOT, text=True, start_new_session=True
    )

    def read() -> None:
        with suppress(OSError):  # closed
            while os.read(master, 4_096):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(slave)


def backtest_words(folder: Path) -> list[str]:
    out = ["--out", str(folder / "runs"), "--set", "output.report=false"]
    lasting = ["--set", "strategy.requote_tolerance_bps=0"]
    return [sys.executable, "run_backtest.py", "configs/v1_4.yaml", *out, *lasting]


@pytest.mark.parametrize("kind", ["backtest", "sandbox"])
def test_a_closed_terminal_ends_a_run_in_order(tmp_path: Path, kind: str) -> None:
    words = backtest_words(tmp_path) if kind == "backtest" else [*COMMAND, str(configuration(tmp_path))]
    with on_a_terminal(*words) as (process, terminal):
        wait_for_fill(process, tmp_path)
        os.close(terminal)
        assert process.wait(LONGEST_WAIT) == 129
    left = Left.only(tmp_path)
    assert left.summary["status"] == "interrupted"
    assert not (left.folder / "failure.txt").exists()
    if kind == "sandbox":
        left.assert_ended("interrupted")
        assert (tmp_path / "state" / "probe.json").exists()


def test_a_run_that_is_to_outlive_its_terminal_prints_into_nothing(tmp_path: Path) -> None:
    with on_a_terminal(*COMMAND, str(configuration(tmp_path)), outlives=True) as (process, terminal):
        wait_for_fill(process, tmp_path)
        os.close(terminal)
        wait_for_fill(process, tmp_path, count=len(Left.only(tmp_path).journal_fills) + 3)
        process.terminate()
        assert process.wait(LONGEST_WAIT) == 143
    Left.only(tmp_path).assert_ended("interrupted")
