"""Standard streams of a live run: whoever does not take what it says holds nothing up."""

import fcntl
import os
import re
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import Any, NamedTuple, TextIO

import pytest
import typer

from mm_nautilus.cli.output import MOST_BYTES, run_unhurried, unhurried

PATIENCE_SECONDS = 20.0


class Pipe(NamedTuple):
    """A pipe of one page, and an unhurried stream at its writing end."""

    reader: int
    stream: TextIO

    @property
    def raw(self) -> Any:
        return self.stream.buffer

    def read_until(self, words: str) -> str:
        text = ""
        while words not in text:
            text += os.read(self.reader, 65_536).decode()
        return text


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def ends() -> Iterator[tuple[int, TextIO]]:
    """Return the reading end of a pipe of one page, and the other end as a text file."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    file = os.fdopen(writer, "w", encoding="utf-8")
    yield reader, file
    os.close(reader)
    file.close()


@pytest.fixture
def pipe(ends: tuple[int, TextIO]) -> Iterator[Pipe]:
    made = Pipe(ends[0], unhurried(ends[1]))
    yield made
    made.raw.end()
    os.set_blocking(ends[0], False)
    while made.raw.is_behind:
        with suppress(BlockingIOError):
            os.read(ends[0], 65_536)
    wait_until(lambda: f"output {made.raw.fileno()}" not in {thread.name for thread in threading.enumerate()})


def test_what_is_taken_comes_in_order(pipe: Pipe) -> None:
    for number in range(2_000):
        print(number, file=pipe.stream, flush=True)
    print("Ж is text", file=pipe.stream)
    assert pipe.read_until("Ж is text\n") == "".join(f"{number}\n" for number in range(2_000)) + "Ж is text\n"
    assert pipe.stream.encoding == "utf-8"
    assert not pipe.stream.isatty()


def test_what_nobody_takes_is_dropped_counted_and_told_of(pipe: Pipe) -> None:
    line = "x" * 99
    lines = 3 * MOST_BYTES // 100
    for number in range(lines):
        pipe.stream.write(f"{number:06d}{line[6:]}\n")
    pipe.stream.write("the last line\n")
    text = pipe.read_until("the last line\n")
    kept = text.count("x\n")
    told = sum(map(int, re.findall(r"\n\(lines left out, as the output was not read in time: (\d+)\)", text)))
    assert kept + told == lines
    assert kept * 100 < MOST_BYTES + 100 * 100
    assert f"{lines - 1:06d}x" in text


def test_one_long_text_is_never_cut(pipe: Pipe) -> None:
    pipe.stream.write("short\n")
    document = "d" * (2 * MOST_BYTES) + "end\n"
    pipe.stream.write(document)
    assert pipe.read_until("end\n").endswith(document)


def test_a_stream_that_does_not_wait_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    pipe.stream.write("d" * 20_000 + "end\n")
    wait_until(lambda: pipe.raw.is_behind)
    assert pipe.read_until("end\n") == "d" * 20_000 + "end\n"


# -- A command ----------------------------------------------------------------------------------------------


def code_of(output: TextIO, command: Callable[[], int]) -> int:
    """Run a command whose standard output is a file."""
    with redirect_stdout(output):
        before = sys.stdout, sys.stderr
        try:
            return run_unhurried(command)
        finally:
            assert (sys.stdout, sys.stderr) == before


def test_the_end_waits_for_a_slow_reader(ends: tuple[int, TextIO]) -> None:
    taken: list[bytes] = []

    def read_slowly() -> None:
        while not b"".join(taken).endswith(b"end\n"):
            time.sleep(0.05)
            taken.append(os.read(ends[0], 65_536))

    reader = threading.Thread(target=read_slowly)
    reader.start()
    assert code_of(ends[1], lambda: typer.echo("d" * 30_000 + "end") or 0) == 0
    reader.join()
    assert b"".join(taken) == b"d" * 30_000 + b"end\n"


def test_both_streams_stay_in_order_where_they_are_one_terminal() -> None:
    def speak() -> int:
        for number in range(200):
            typer.echo(f"{number} ─" + "─" * 100)
            typer.echo(f"{number} said", err=True)
        return 0

    terminal, number = os.openpty()
    written: list[bytes] = []

    def read() -> None:
        while b"199 said" not in b"".join(written[-2:]):
            written.append(os.read(terminal, 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(number, "w", encoding="utf-8") as out, os.fdopen(os.dup(number), "w") as errors:
        with redirect_stderr(errors):
            assert code_of(out, speak) == 0
        reader.join()
    os.close(terminal)
    starts = [line.split()[:2] for line in b"".join(written).decode().splitlines()]
    assert [start for start, _ in starts] == [str(number) for number in range(200) for _ in range(2)]
    assert [word for _, word in starts[1::2]] == ["said"] * 200


def test_the_end_after_a_signal_waits_for_nobody(ends: tuple[int, TextIO]) -> None:
    began = time.monotonic()
    assert code_of(ends[1], lambda: typer.echo("d" * 30_000) or 143) == 143
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert len(os.read(ends[0], 65_536)) == 4_096


def test_a_reader_who_leaves_changes_no_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as file:
        assert code_of(file, lambda: typer.echo("d" * 30_000) or typer.echo("more") or 7) == 7


def test_what_a_command_raises_comes_after_what_it_said(ends: tuple[int, TextIO]) -> None:
    def fail() -> int:
        typer.echo("said")
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError, match="planted"):
        code_of(ends[1], fail)
    assert os.read(ends[0], 65_536) == b"said\n"


def test_the_end_waits_for_no_stopped_terminal() -> None:
    terminal, number = os.openpty()
    termios.tcflow(number, termios.TCOOFF)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        began = time.monotonic()
        assert code_of(file, lambda: typer.echo("nobody sees this") or 2) == 2
        assert time.monotonic() - began < PATIENCE_SECONDS
        termios.tcflow(number, termios.TCOON)
        assert os.read(terminal, 100) == b"nobody sees this\r\n"
    os.close(terminal)
