"""A run whose terminal is stopped and whose errors nobody reads quotes on and ends in time."""

import os
import signal
import subprocess
import termios
from pathlib import Path

import pytest
from sandbox_runs import COMMAND, LONGEST_WAIT, Left, configuration, wait_for_fill
from whole_runs import ROOT


@pytest.mark.long
def test_a_stopped_terminal_and_a_full_pipe_hold_nothing_up(tmp_path: Path) -> None:
    terminal, stdout = os.openpty()
    reader, stderr = os.pipe()
    os.set_blocking(stderr, False)
    while True:
        try:
            os.write(stderr, b"x" * 4_096)
        except BlockingIOError:
            break
    os.set_blocking(stderr, True)
    termios.tcflow(stdout, termios.TCOOFF)  # as Ctrl-S does
    process = subprocess.Popen(
        [*COMMAND, str(configuration(tmp_path))],
        cwd=ROOT,
        stdin=stdout,
        stdout=stdout,
        stderr=stderr,
        env=os.environ | {"TERM": "xterm"},
    )
    try:
        wait_for_fill(process, tmp_path, count=3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_WAIT) == 143
    finally:
        process.kill()
        process.wait()
        for number in (terminal, stdout, reader, stderr):
            os.close(number)
    left = Left.only(tmp_path)
    left.assert_ended("interrupted")
    assert not (left.folder / "failure.txt").exists(), "written where the end takes almost five seconds"
