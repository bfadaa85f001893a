"""Find and import the custom classes and functions that a configuration names."""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import localcontext
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from mm_nautilus.config.contradictions import Finding
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import TradingConfig
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams
from mm_nautilus.pricing.pricing_model import PricingModel
from mm_nautilus.system.near_names import nearest
from mm_nautilus.system.raised import raised_text

_PREFIX: Final = "mm_nautilus_own_"
"""Prefix of the Python name of a module from a file, because the file may have the name of a standard module."""


class ObjectRefusedError(Exception):
    """A configured class or function cannot be imported or used; the message completes ``KEY must ``."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An imported module with its file (`place`), the name of its copy in a run's folder, and its source text."""

    module: ModuleType
    place: str
    copy: Path | None
    source: bytes


class OwnModules:
    """The custom modules of one run; each run imports each module once, from its file.

    A module is looked for beside the configuration file, then in the current folder, then among installed modules. Its
    folder is appended to ``sys.path``, so that it can import its neighbours.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, _Loaded] = {}

    @property
    def sources(self) -> dict[Path, bytes]:
        """Source text of each imported module, by the name of its copy in a run's folder."""
        return {each.copy: each.source for each in self._loaded.values() if each.copy is not None}

    def get(self, reference: ObjectReference, kind: str, is_one: Callable[[Any], bool]) -> Any:
        """Return the class or function that a reference names.

        The kind is the required one in words, which `is_one` recognises. An ObjectRefusedError says that the module
        does not exist, fails on import or lacks the name, or the object is of another kind.
        """
        if reference.module not in self._loaded:
            with localcontext():  # a module that changes it changes no amount of the run
                self._loaded[reference.module] = _from_file(reference) or _installed(reference)
        loaded = self._loaded[reference.module]
        if not hasattr(loaded.module, reference.name):
            names = [name for name in vars(loaded.module) if not name.startswith("_")]
            likely = nearest(reference.name, names)
            hint = "" if likely is None else f" (did you mean {likely}?)"
            raise ObjectRefusedError(f"be a name that {loaded.place} has{hint}, was {reference}")
        found = getattr(loaded.module, reference.name)
        if not is_one(found):
            raise ObjectRefusedError(f"be {kind}, was {reference}{_described(found)}")
        return found


def _described(found: Any) -> str:
    if isinstance(found, type):
        return ", a class"
    if not callable(found):
        return f", of type {type(found).__name__}"
    return _late_kind(found) or f", which takes {signature(found)}"


def _late_kind(function: Callable[..., Any]) -> str:
    """Return what a function is whose call does not run it, or an empty string."""
    kinds = {
        ", an async function": iscoroutinefunction,
        ", an async generator": isasyncgenfunction,
        ", a generator": isgeneratorfunction,
    }
    called = (function, type(function).__call__)
    return next((kind for kind, is_one in kinds.items() if any(map(is_one, called))), "")


def takes_arguments(function: Callable[..., Any], *arguments: Any, **named: Any) -> bool:
    """Return whether a function accepts such arguments; True if its signature is unknown."""
    try:
        taken = signature(function)
    except ValueError:  # a compiled one
        return True
    try:
        taken.bind(*arguments, **named)
    except TypeError:
        return False
    return True


def _is_pricing(found: Any) -> bool:
    is_function = callable(found) and not isinstance(found, type)
    return is_function and not _late_kind(found) and takes_arguments(found, None, None, None)


def _folders(reference: ObjectReference) -> dict[Path, str]:
    """Return the folders in which a module is looked for, in order, with their names in messages."""
    here = {Path.cwd(): "in the current folder"}
    return here if reference.folder is None else {reference.folder: "beside the configuration file"} | here


def _from_file(reference: ObjectReference) -> _Loaded | None:
    for folder in _folders(reference):
        file = folder / reference.file
        for path in (file, file.with_suffix("") / "__init__.py"):
            if path.is_file():
                return _executed(reference, path, folder)
    return None


def _executed(reference: ObjectReference, file: Path, folder: Path) -> _Loaded:
    """Import a file without writing a bytecode cache."""
    try:
        source = file.read_bytes()
    except OSError as error:
        text = f"be in a module that can be read, was {reference}: {file}: {error.strerror}"
        raise ObjectRefusedError(text) from error
    module = ModuleType(_PREFIX + reference.module)
    module.__file__, module.__package__ = str(file), ""
    if file.stem == "__init__":
        module.__path__, module.__package__ = [str(file.parent)], module.__name__
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, str(file), "exec", dont_inherit=True), vars(module))  # noqa: S102 - this is its import
    except BaseException as error:
        del sys.modules[module.__name__]
        if isinstance(error, KeyboardInterrupt):  # Ctrl-C, while a slow module is imported
            raise
        raise _failed(reference, error, file) from error
    return _Loaded(module, str(file), reference.file, source)


def _installed(reference: ObjectReference) -> _Loaded:
    try:
        module = importlib.import_module(reference.module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{reference.module}.".startswith(f"{error.name}."):
            raise ObjectRefusedError(_not_found(reference)) from None
        raise _failed(reference, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(reference, error) from error
    file = getattr(module, "__file__", None) or ""
    if not file.endswith(".py"):
        return _Loaded(module, reference.module, None, b"")
    return _Loaded(module, file, reference.copy_of_installed, Path(file).read_bytes())


def _not_found(reference: ObjectReference) -> str:
    folders = _folders(reference)
    places = ", ".join(f"{words} ({folder})" for folder, words in folders.items())
    known = (path.stem for folder in folders for path in (folder / reference.file).parent.glob("*.py"))
    *parents, last = reference.module.split(".")
    likely = nearest(last, known)
    hint = "" if likely is None else f" (did you mean {'.'.join([*parents, likely])}?)"
    return f"be in a module that is {places} or installed{hint}, was {reference}"


def _failed(reference: ObjectReference, error: BaseException, file: Path | None = None) -> ObjectRefusedError:
    text = raised_text(error, None if file is None else str(file))
    return ObjectRefusedError(f"be in a module that can be imported, was {reference}: {text}")


def names_own_code(config: TradingConfig) -> bool:
    """Return whether a configuration names a custom class or function."""
    strategy = config.strategy
    return strategy.strategy_class is not None or any(
        strategy.for_symbol(symbol).pricing is not None for symbol in strategy.symbols
    )


def own_pricing(
    config: MarketMakerConfig, modules: OwnModules
) -> tuple[dict[str, PricingModel], list[Problem]]:
    """Return the configured pricing functions by symbol, and the problems of those that cannot be used."""
    kind = "a function of market, position and parameters"
    models: dict[ObjectReference, PricingModel] = {}
    refusals: dict[ObjectReference, str] = {}
    wanted = {symbol: config.for_symbol(symbol).pricing for symbol in config.symbols}
    for reference in dict.fromkeys(each for each in wanted.values() if each is not None):
        try:
            models[reference] = modules.get(reference, kind, _is_pricing)
        except ObjectRefusedError as refused:
            refusals[reference] = str(refused)

    def refused_pricing(params: SymbolParams) -> Iterator[Finding]:
        if params.pricing in refusals:
            yield Finding(("pricing",), f"pricing must {refusals[params.pricing]}")

    found = {symbol: models[each] for symbol, each in wanted.items() if each in models}
    return found, config.problems(refused_pricing)
