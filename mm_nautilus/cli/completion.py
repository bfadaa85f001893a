"""Completion in a shell: files of runs, keys for ``--set``, symbols of a file or of a catalog."""

from collections.abc import Iterable, Iterator, Mapping
from glob import escape, glob
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

_SYMBOLS: Final = "symbols"
_OF_SANDBOXES: Final = frozenset({"sandbox", "halt", "resume"})
"""Commands with a sandbox's configuration."""
_OF_THE_DEFAULT_CATALOG: Final = frozenset({"init", "venue"})
_DEFAULT_CATALOG: Final = "catalog"
_INSTRUMENTS: Final = ("currency_pair", "crypto_perpetual", "perpetual_contract", "crypto_future")
"""As `mm_nautilus.data.catalog.INSTRUMENT_FOLDERS`, without the time that it takes to import the engine."""


def config_files(incomplete: str) -> list[str]:
    """Return YAML files and folders."""
    return _files(incomplete, ".yaml", ".yml")


def sandbox_files(incomplete: str) -> list[str]:
    """Return YAML files, state files and folders."""
    return _files(incomplete, ".yaml", ".yml", ".json")


def _files(incomplete: str, *suffixes: str) -> list[str]:
    names = sorted(glob(f"{escape(incomplete)}*"))  # noqa: PTH207 - keeps ./ and ~
    marked = [f"{name}/" if Path(name).is_dir() else name for name in names]
    return [name for name in marked if name.endswith(("/", *suffixes))]


def search_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of earlier searches, the last one first."""
    directory = _given(context, "out") or "searches"
    names = sorted((path.parent.name for path in Path(directory).glob("*/search.json")), reverse=True)
    return [name for name in names if name.startswith(incomplete)]


def setting_keys(context: typer.Context, incomplete: str) -> list[str]:
    """Return the keys of ``--set`` with their ``=``, those of the file's symbols included."""
    if "=" in incomplete:
        return []
    from mm_nautilus.config.run import RunConfig  # noqa: PLC0415 (keeps other completions fast)
    from mm_nautilus.config.sandbox import SandboxConfig  # noqa: PLC0415

    values = _file_values(context)
    is_sandbox = "feed" in values or context.info_name in _OF_SANDBOXES
    keys = _keys(SandboxConfig if is_sandbox else RunConfig, _symbols(values))
    return [f"{key}=" for key in keys if key.startswith(incomplete)]


def _keys(model: "type[BaseModel]", symbols: Iterable[str], start: str = "") -> Iterator[str]:
    from mm_nautilus.config.problems import describe, is_section  # noqa: PLC0415
    from mm_nautilus.config.strategy import SymbolOverrides  # noqa: PLC0415

    for name in model.model_fields:
        described = describe(model, (name,))
        if name == _SYMBOLS:
            for symbol in symbols:
                yield from _keys(SymbolOverrides, (), f"{start}{name}.{symbol}.")
        elif described is not None and is_section(described.annotation):
            yield from _keys(described.annotation, symbols, f"{start}{name}.")
        else:
            yield f"{start}{name}"


def config_symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Return the symbols of the command line's configuration file."""
    return [symbol for symbol in _symbols(_file_values(context)) if symbol.startswith(incomplete)]


def _file_values(context: typer.Context) -> Mapping[str, Any]:
    """Return the values of the configuration file given so far; none if it cannot be read."""
    file = _given(context, "config", "file", "run")
    if file is None:
        return {}
    from mm_nautilus.config.yaml_file import read_mapping  # noqa: PLC0415
    from mm_nautilus.errors import ConfigError  # noqa: PLC0415

    try:
        return read_mapping(Path(file), "configuration").values
    except ConfigError:
        return {}


def _symbols(values: Mapping[str, Any]) -> list[str]:
    strategy = values.get("strategy")
    symbols = strategy.get(_SYMBOLS) if isinstance(strategy, dict) else None
    return list(symbols) if isinstance(symbols, dict) else []


def _given(context: typer.Context, *names: str) -> Any:
    """Return an argument given so far; after an option without its value the parser leaves it unnamed."""
    found = next((context.params[name] for name in names if context.params.get(name) is not None), None)
    return next(iter(context.args), None) if found is None else found


def catalog_symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Return the symbols of the command line's catalog that a list with commas lacks."""
    default = _DEFAULT_CATALOG if context.info_name in _OF_THE_DEFAULT_CATALOG else None
    folder = _given(context, "catalog") or default
    if folder is None:
        return []
    from pyarrow import ArrowException  # noqa: PLC0415
    from pyarrow.parquet import read_table  # noqa: PLC0415

    before, comma, start = incomplete.rpartition(",")
    ids: set[str] = set()
    for path in chain.from_iterable(Path(folder).glob(f"data/{kind}/*/*.parquet") for kind in _INSTRUMENTS):
        try:
            ids.update(map(str, read_table(path, columns=["id"]).column("id").to_pylist()))
        except (ArrowException, OSError):
            continue
    taken = before.split(",")
    symbols = sorted({name.rpartition(".")[0] for name in ids}.difference(taken))
    return [f"{before}{comma}{symbol}" for symbol in symbols if symbol.startswith(start)]
