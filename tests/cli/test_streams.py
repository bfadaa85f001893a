"""Streams whose encoding lacks characters: what is printed is still there, in characters that they have."""

import io
import os
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from mm_nautilus.cli import main
from mm_nautilus.cli.console import print_table
from mm_nautilus.cli.streams import take_any_text

SHIPPED = Path(__file__).resolve().parents[2]
TEXT = "5 ± 1 … ▁█ é Ж"


def written_with(monkeypatch: pytest.MonkeyPatch, encoding: str, name: str = "stdout") -> io.BytesIO:
    """Put a stream of an encoding in a standard stream's place and return what takes its bytes."""
    taken = io.BytesIO()
    stream = io.TextIOWrapper(taken, encoding=encoding, errors="strict", write_through=True)
    monkeypatch.setattr(sys, name, stream)
    return taken


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", rb"5 +- 1 ... 18 \xe9 \u0416"),
        ("ANSI_X3.4-1968", rb"5 +- 1 ... 18 \xe9 \u0416"),
        ("latin-1", b"5 \xb1 1 ... 18 \xe9 \\u0416"),
        ("koi8-r", b"5 +- 1 ... 1\x8d \\xe9 \xf6"),
        ("utf-8", TEXT.encode()),
    ],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_an_encoding_lacks_is_written_plainly(
    monkeypatch: pytest.MonkeyPatch, name: str, encoding: str, expected: bytes
) -> None:
    taken = written_with(monkeypatch, encoding, name)
    take_any_text()
    typer.echo(TEXT, err=name == "stderr")
    getattr(sys, name).write(f"{TEXT}\n")
    Console(file=getattr(sys, name)).print(TEXT, highlight=False)
    assert taken.getvalue().splitlines() == [expected] * 3


@pytest.mark.parametrize(
    ("environment", "is_terminal", "expected"),
    [
        ({"LC_ALL": "C"}, False, "5 +- 1 ... 18 é Ж"),
        ({"LC_ALL": "C"}, True, r"5 +- 1 ... 18 \xe9 \u0416"),
        ({"LC_ALL": "POSIX"}, True, r"5 +- 1 ... 18 \xe9 \u0416"),
        ({"TERM": "dumb"}, True, r"5 +- 1 ... 18 \xe9 \u0416"),
        ({"LC_ALL": "C.UTF-8", "TERM": "xterm"}, True, TEXT),
        ({"LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}, True, TEXT),
        ({"TERM": "dumb", "PYTHONUTF8": "1"}, True, TEXT),
    ],
)
def test_a_terminal_of_ascii_is_taken_for_one_although_python_writes_utf_8(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_terminal: bool, expected: str
) -> None:
    for name in ("LC_ALL", "TERM", "PYTHONIOENCODING", "PYTHONUTF8"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    taken = written_with(monkeypatch, "utf-8")
    monkeypatch.setattr(taken, "isatty", lambda: is_terminal, raising=False)
    take_any_text()
    typer.echo(TEXT)
    print_table(("a", "b"), [("1", 2)])
    first, *table = taken.getvalue().decode().splitlines()
    assert first == expected
    assert "".join(table).isascii() == (expected != TEXT)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "koi8-r", "utf-8"])
def test_bytes_that_are_no_text_are_written_as_they_are(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    taken = written_with(monkeypatch, encoding)
    take_any_text()
    sys.stdout.write(os.fsdecode(b"a\xffb\n"))
    assert taken.getvalue() == b"a\xffb\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["data", "list", "catalog"],
        ["config", "show", "configs/sandbox.yaml"],
        ["config", "reference"],
        ["config", "init"],
        ["doctor"],
    ],
)
def test_commands_print_on_a_terminal_of_ascii(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(SHIPPED)
    taken = written_with(monkeypatch, "ascii")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert taken.getvalue().isascii()
    assert len(taken.getvalue()) > 200


def test_a_command_line_that_is_no_text_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "list", os.fsdecode(b"\xff")])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: the command line must be text in the encoding utf-8, was '\\udcff'\n"
    )
