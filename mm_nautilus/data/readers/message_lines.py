"""Messages of a venue as lines of a file: plain, gzip or zip; bare, behind a local time, or within a wrapper."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from mm_nautilus.data.csv_files import blocks, shown

type Message = dict[str, Any]
"""A JSON object; fractions are texts, as written."""

_BEHIND_TIME: Final = re.compile(rb"([0-9]+) +(?=\{)")
_TIME_TEXT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|\+00:00)", re.ASCII
)
_DECODE: Final = json.JSONDecoder(parse_float=str).decode
_UNITS: Final = {10: "seconds", 13: "milliseconds", 16: "microseconds", 19: "nanoseconds"}
"""The unit of a time since 1970 of so many digits, from 2001 to 2255."""
FIRST_NS, LAST_NS = 10**18, 9 * 10**18 - 1
"""The first and last nanosecond of these years, since 1970."""
_LOCAL_NAMES: Final = ("local", "recv", "receive")


class MalformedMessageError(ValueError):
    """A message that cannot be used; the text says what must be and what was."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a file."""

    lines: list[bytes]
    first_line: int
    """Number of the first one in the file, from 1."""
    bytes_read: int
    """How far into the stored file they reach."""
    terminated: bool
    """Whether the last one has a line break."""


def line_blocks(path: Path) -> Iterator[LineBlock]:
    """Yield a file's lines without their ends, some megabytes at a time; empty lines at the end are left out.

    A `DataError` says that the file is missing, cut off or damaged.
    """
    number = 1
    for text, bytes_read, terminated in blocks(path, has_header=False):
        lines = text[:-1].split(b"\n")
        yield LineBlock(lines, number, bytes_read, terminated)
        number += len(lines)


def message_of(text: bytes | str) -> Message:
    """Return a line's JSON object. A `MalformedMessageError` says why it is none."""
    try:
        message = _DECODE(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        words = text if isinstance(text, str) else text.decode(errors="replace")
        raise MalformedMessageError(
            f"the line must be one whole JSON message, was `{shown(words)}`"
            if words.strip()
            else "the line is empty"
        ) from error
    if not isinstance(message, dict):
        raise MalformedMessageError(f"the line must be one JSON object, was `{shown(str(message))}`")
    return message


def field(message: Mapping[str, Any], name: str) -> Any:
    """Return a field. A `MalformedMessageError` says that it is missing or empty."""
    value = message.get(name)
    if value is None or value == "":
        raise MalformedMessageError(f"{name} must not be {'empty' if name in message else 'missing'}")
    return value


def whole_number(message: Mapping[str, Any], name: str) -> int:
    """Return a field that is a whole number. A `MalformedMessageError` says that it is none."""
    value = field(message, name)
    if type(value) is not int:
        raise MalformedMessageError(f"{name} must be a whole number, was `{shown(str(value))}`")
    return value


def time_of(message: Mapping[str, Any], name: str, digits: int) -> int:
    """Return a field that is a time since 1970 of so many digits, in nanoseconds.

    A `MalformedMessageError` says that it is none, with the unit that its number of digits suggests.
    """
    return _whole_time(name, whole_number(message, name), digits)


def _whole_time(name: str, value: int, digits: int) -> int:
    found: int = value * 10 ** (19 - digits)
    if not FIRST_NS <= found <= LAST_NS:
        raise MalformedMessageError(f"{name} must be {unit_rule(value, digits)}, was `{value}`")
    return found


def unit_rule(value: int, digits: int) -> str:
    """Return what a time since 1970 must be, with the unit that the number of digits of `value` suggests."""
    count = len(str(value))
    hint = f"; {count} are {_UNITS[count]}" if count in _UNITS and count != digits else ""
    return f"{_UNITS[digits]} since 1970 ({digits} digits{hint})"


def text_time_of(message: Mapping[str, Any], name: str) -> int:
    """Return a field that is a time such as `2026-08-26T15:16:16.730423Z`, in nanoseconds.

    A `MalformedMessageError` says that it is none.
    """
    value = field(message, name)
    found = _TIME_TEXT.fullmatch(value) if isinstance(value, str) else None
    seconds = None if found is None else _seconds(f"{found[1]}T{found[2]}+00:00")
    if found is None or seconds is None:
        text = shown(str(value))
        raise MalformedMessageError(
            f"{name} must be a time such as 2026-08-26T15:16:16.730423Z, was `{text}`"
        )
    return seconds * 10**9 + int((found[3] or ".0")[1:].ljust(9, "0"))


@lru_cache(maxsize=16)
def _seconds(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How a file's lines hold messages, and where the local time stands."""

    raw: str | None = None
    """Field of the line with the message as text; None where the line is the message."""
    local: str | None = None
    """Field of the line with the local time; None where there is none, or it stands before the message."""
    digits: int | None = None
    """Digits of a local time that is a whole number; None where it is a text, or there is none."""

    @property
    def has_local_time(self) -> bool:
        """Whether messages have a time of receipt."""
        return self.local is not None or self.digits is not None

    def unwrap(self, line: bytes) -> tuple[int | None, Message]:
        """Return a line's local time, nanoseconds, and its message. A `MalformedMessageError` says what is wrong."""
        if self.raw is not None:
            wrapper = message_of(line)
            text = field(wrapper, self.raw)
            local = None if self.local is None else self._local(wrapper, self.local)
            if not isinstance(text, str):
                raise MalformedMessageError(f"{self.raw} must be a message as text, was `{shown(str(text))}`")
            return local, message_of(text)
        if self.digits is None:
            return None, message_of(line)
        found = _BEHIND_TIME.match(line)
        if found is None:
            text = shown(line.decode(errors="replace").rstrip("\r"))
            words = (
                f"the line must be a local time and a message, was `{text}`" if text else "the line is empty"
            )
            raise MalformedMessageError(words)
        return _whole_time("the local time", int(found[1]), self.digits), message_of(line[found.end() :])

    def _local(self, wrapper: Message, name: str) -> int:
        if self.digits is None:
            return text_time_of(wrapper, name)
        value = field(wrapper, name)
        if not str(value).isdecimal():
            raise MalformedMessageError(f"{name} must be a whole number, was `{shown(str(value))}`")
        return _whole_time(name, int(value), self.digits)


def wrapping_of(line: bytes, is_message: Callable[[Message], bool]) -> Wrapping | None:
    """Return how a line holds a message that `is_message` knows; None where it holds none.

    A `MalformedMessageError` says that a wrapper has several fields that may be the local time.
    """
    found = _BEHIND_TIME.match(line)
    if found is not None:
        is_time = len(found[1]) in _UNITS
        return Wrapping(digits=len(found[1])) if is_time and _holds(line[found.end() :], is_message) else None
    try:
        message = message_of(line)
    except MalformedMessageError:
        return None
    if is_message(message):
        return Wrapping()
    raw = [name for name, text in message.items() if isinstance(text, str) and _holds(text, is_message)]
    if not raw:
        return None
    digits = {name: _time_digits(value) for name, value in message.items() if name != raw[0]}
    times = [name for name, count in digits.items() if count is not None]
    local = [name for name in times if any(word in name.lower() for word in _LOCAL_NAMES)]
    if len(times) > 1 and len(local) != 1:
        raise MalformedMessageError(
            f"one field must be the local time, was {len(times)}: {', '.join(times)}; call it local_time"
        )
    names = local or times
    return Wrapping(raw[0], names[0], digits[names[0]] or None) if names else Wrapping(raw[0])


def _holds(text: bytes | str, is_message: Callable[[Message], bool]) -> bool:
    try:
        return is_message(message_of(text))
    except MalformedMessageError:
        return False


def _time_digits(value: Any) -> int | None:
    """Return the digits of a value that is a time, 0 for a text of date and time, None for anything else."""
    text = str(value)
    if _TIME_TEXT.fullmatch(text):
        return 0
    return len(text) if text.isdecimal() and len(text) in _UNITS else None
