"""Signals that come while a command is still being imported: no traceback, and the exit code of the signal."""

import signal
from pathlib import Path

import pytest
from processes import python

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = """
import os, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Interrupting())
from mm_nautilus.cli import process_main
process_main({words})
"""
"""Send the process a signal from the middle of the imports, when a module is about to be loaded."""


@pytest.mark.parametrize(
    ("module", "words", "number"),
    [
        ("typer", ["backtest"], signal.SIGINT),
        ("typer", ["--version"], signal.SIGTERM),
        ("pydantic", ["sandbox"], signal.SIGHUP),
        ("nautilus_trader", ["backtest"], signal.SIGINT),
        ("pyarrow", ["doctor"], signal.SIGINT),
    ],
)
def test_a_signal_during_the_imports_has_no_traceback(module: str, words: list[str], number: int) -> None:
    program = INTERRUPTED.format(module=module, number=int(number), words=words)
    done = python("-c", program)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr.startswith("error: interrupted")
    assert done.stderr.count("\n") == 1


def test_with_json_an_early_signal_is_told_as_json() -> None:
    program = INTERRUPTED.format(module="typer", number=int(signal.SIGINT), words=["doctor", "--json"])
    done = python("-c", program)
    assert (done.returncode, done.stderr) == (130, '{"exit_code": 130, "errors": ["interrupted"]}\n')
