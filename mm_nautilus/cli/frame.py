"""How a command leaves the process: its exit code and its error messages."""

import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

import typer

from mm_nautilus.cli.console import print_line
from mm_nautilus.cli.streams import BYTES_THAT_ARE_NO_TEXT
from mm_nautilus.errors import ConfigError, MarketMakingError, StoppedRunError
from mm_nautilus.system.plain_text import without_passwords
from mm_nautilus.system.whole_file import failure_text

PROGRAM: Final = "mm-nautilus"
_EXIT_FAILED: Final = 1
_EXIT_REFUSED: Final = 2
_EXIT_INTERRUPTED: Final = 130
_HELP_HINT: Final = "`{path} --help` lists all"
_MOST_NAMES: Final = 15

_NO_COMMAND: Final = re.compile(r"No such command '(.*?)'")
_NO_OPTION: Final = re.compile(r"No such option: (\S+)")
_BAD_VALUE: Final = re.compile(r"Invalid value for '(.+?)': (.+)", re.DOTALL)
_NOT_A_CHOICE: Final = re.compile(r"Value error, (.+) is not one of (.+?)\.?")
_RULE: Final = re.compile(r"Input should be (.+?)(, unable to parse .*)?")


def run_command(app: typer.Typer, words: Sequence[str]) -> int:
    """Run a command and return its exit code; expected errors are printed on stderr.

    They are a line ``error: `` a problem or, with ``--json``, one JSON object on one line.
    """
    is_error = True
    try:
        _refuse_no_text(words)
        code = int(app(args=list(words), prog_name=PROGRAM, standalone_mode=False) or 0)
        if code != _EXIT_INTERRUPTED:
            return code
        lines = ["interrupted"]
    except MarketMakingError as error:
        code, lines, is_error = (
            error.exit_code,
            str(error).split("\n"),
            not isinstance(error, StoppedRunError),
        )
    except typer.exceptions.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message(), err=True)
            return _EXIT_REFUSED
        code, lines = _EXIT_REFUSED, [_usage_text(error, words)]
    except typer.Abort:
        code, lines = _EXIT_FAILED, ["aborted: the input ended"]
    except OSError as error:
        code, lines = _EXIT_FAILED, [failure_text(error)]
    lines = [without_passwords(line) for line in lines]
    if "--json" in words:
        typer.echo(json.dumps({"exit_code": code, "errors": lines}), err=True)
    else:
        for line in lines:
            print_line(f"{'error: ' if is_error else ''}{line}", err=True)
    return code


def open_closed_streams() -> None:
    """Open the null device for standard streams that were closed when the process began.

    Otherwise Python has None in their places, and the next opened file gets a stream's number and the engine's output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is the stream's own.
            number = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def leave_at_once(code: int) -> NoReturn:
    """End the process without taking the interpreter down, once what was printed is out.

    After a live run threads of the engine may still come back to Python. Where they find the interpreter half taken
    down, the process dies of SIGABRT or SIGSEGV, and its exit code is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads any more
            stream.flush()
    os._exit(code)


def takes_all() -> bool:
    """Return whether what was printed is out; a full device takes nothing, now or when the interpreter ends."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return False
    return True


def _refuse_no_text(words: Sequence[str]) -> None:
    """Refuse bytes that are no text: neither the engine nor readers of Parquet accept them in names of files."""
    for word in words:
        if any(ord(character) in BYTES_THAT_ARE_NO_TEXT for character in word):
            encoding = sys.getfilesystemencoding()
            hint = "" if encoding == "utf-8" else "; PYTHONUTF8=1 makes it UTF-8"
            raise ConfigError(f"the command line must be text in the encoding {encoding}{hint}, was {word!r}")


def _usage_text(error: typer.exceptions.TyperException, words: Sequence[str]) -> str:
    """Return a command line's error: the word, what is allowed, and where to look."""
    message = error.format_message()
    context: Any = getattr(error, "ctx", None)
    path = PROGRAM if context is None else context.command_path
    hint = _HELP_HINT.format(path=path)
    if (match := _NO_COMMAND.match(message)) is not None:
        known = [name for name, command in context.command.commands.items() if not command.hidden]
        return f"no such command {match[1]!r}{_nearest(match[1], known)}; {hint}"
    if (match := _NO_OPTION.match(message)) is not None:
        params = context.command.params
        names = (name for each in params for name in (*each.opts, *getattr(each, "secondary_opts", ())))
        known = [name for name in names if name.startswith("--")]
        return f"no such option {match[1]}{_nearest(match[1], known)}; {hint}"
    if (match := _BAD_VALUE.fullmatch(message)) is not None:
        return _value_text(match[1], match[2], words)
    return f"{message[:1].lower()}{message[1:].rstrip('.')}; {hint}"


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint at the most similar known name, or at all of them if they are few."""
    from mm_nautilus.system.near_names import nearest  # noqa: PLC0415 (keeps --help fast)

    likely = nearest(name, known)
    if likely is not None:
        return f" (did you mean {likely}?)"
    return f" (there are {', '.join(known)})" if len(known) <= _MOST_NAMES else ""


def _value_text(name: str, problem: str, words: Sequence[str]) -> str:
    """Return a refused value's message as configurations have it: key, what is allowed, what was given."""
    if (match := _NOT_A_CHOICE.fullmatch(problem)) is not None:
        return f"{name} must be one of {match[2].replace("'", '')}, was {match[1]}"
    rule = _RULE.fullmatch(problem)
    given = _given(name, words)
    was = "" if given is None else f", was {given!r}"
    return f"{name} must be {problem if rule is None else rule[1]}{was}"


def _given(name: str, words: Sequence[str]) -> str | None:
    """Return an option's value on a command line, None if there is none."""
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == name:
            return value if equals else next(iter(words[index + 1 :]), None)
    return None
