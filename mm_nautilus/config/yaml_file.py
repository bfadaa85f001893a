"""Read YAML files with the line of every key, and write values that read back equal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mm_nautilus.config.near_files import near_file_hint
from mm_nautilus.config.problems import shown
from mm_nautilus.config.yaml_source import MOST_VALUES, SourceProblem, read_yaml, scalar_value
from mm_nautilus.errors import ConfigError

_LARGEST_FILE: Final = 1_000_000
_LINE_WIDTH: Final = 110
_NO_WRAP: Final = 1_000_000
_MAKERS: Final = {"configuration": "mm-nautilus config init", "calibration": "mm-nautilus calibrate"}
"""Commands that write these kinds of file."""


@dataclass(frozen=True, slots=True)
class FileMapping:
    """Content of a YAML file."""

    path: Path
    values: dict[str, Any]
    """Plain mappings, lists and scalars."""
    places: dict[tuple[str, ...], str]
    """``FILE:LINE`` of each value, by its path."""
    problems: list[str]
    """Problems of the text itself, one text per problem."""

    def place(self, path: tuple[str, ...]) -> str:
        """Return the place of the value at `path`, or of its nearest parent."""
        return place_of(self.places, path) or f"{self.path}:1"


def given_path(places: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path of a value where it is given: a symbol's parameter may be under the strategy, for all symbols."""
    common = ("strategy", *path[3:4])
    is_common = path[:2] == ("strategy", "symbols") and path not in places and common in places
    return common if is_common else path


def place_of(places: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> str:
    """Return the place of a value or its nearest parent; empty if there is none."""
    path = given_path(places, path)
    while path and path not in places:
        path = path[:-1]
    return places.get(path, "")


def read_mapping(
    path: Path, noun: str, *, largest: int = _LARGEST_FILE, most_values: int = MOST_VALUES
) -> FileMapping:
    """Read a YAML file that holds one mapping; a ConfigError says that it cannot be read or is none.

    `noun` is the name of the content in messages, without an article, `largest` the largest size of the file, bytes,
    and `most_values` the largest number of values and keys after expanding aliases.
    """
    read = read_yaml(_decoded(path, _bytes(path, noun, largest), noun), most_values)
    texts = [_source_text(path, problem) for problem in read.problems]
    if read.value is None:
        raise ConfigError(texts or [f"{path}: a {noun} must be a mapping of keys, was an empty file"])
    if not isinstance(read.value, dict):
        message = f"a {noun} must be a mapping of keys, was {shown(read.value)}"
        raise ConfigError([*texts, f"{path}:{read.lines[()]}: {message}"])
    places = {keys: f"{path}:{line}" for keys, line in read.lines.items()}
    return FileMapping(path, read.value, places, texts)


def _source_text(path: Path, problem: SourceProblem) -> str:
    column = "" if problem.column is None else f":{problem.column}"
    return f"{path}:{problem.line}{column}: {problem.message}"


def _bytes(path: Path, noun: str, largest: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError:
        hint = near_file_hint(path, ("*.yaml", "*.yml"), "YAML file", _MAKERS.get(noun))
        raise ConfigError(f"{path}: the {noun} must be an existing file, was not found ({hint})") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a {noun} must be a YAML file, was a folder") from None
    except OSError as error:
        raise ConfigError(f"{path}: the {noun} cannot be read: {error.strerror}") from None
    if len(content) > largest:
        raise ConfigError(f"{path}: a {noun} must have at most {largest} bytes, was larger")
    return content


def _decoded(path: Path, content: bytes, noun: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise ConfigError(f"{path}:{line}: a {noun} must be UTF-8 text, was byte 0x{byte:02x}") from None


class _Dumper(yaml.SafeDumper):
    """Writes YAML that `read_mapping` reads back as the same values."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if scalar_value(data) is data else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def yaml_text(values: Any, *, compact: bool = False) -> str:
    """Return plain values as YAML; where it is `compact`, lists and mappings of scalars have one line."""
    return _dump(values, _LINE_WIDTH, is_flow=None if compact else False)


def yaml_pair(key: str, value: Any) -> str:
    """Return a key with its value on one line; a list or mapping must hold only scalars."""
    flow = None if isinstance(value, list | dict) else False
    return _dump({key: value}, _NO_WRAP, is_flow=flow).rstrip("\n")


def _dump(values: Any, width: int, *, is_flow: bool | None) -> str:
    look: dict[str, Any] = {
        "sort_keys": False,
        "allow_unicode": True,
        "width": width,
        "default_flow_style": is_flow,
    }
    return str(yaml.dump(values, Dumper=_Dumper, **look))
