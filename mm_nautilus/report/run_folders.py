"""Folders of runs: which there are under a folder, and what people call them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mm_nautilus.report.rows import NONE

SUMMARY: Final = "summary.json"
_MOST_KEYS: Final = 3
"""Most parameters that a run is named by."""


def run_folders(parent: Path) -> list[Path]:
    """Return the folders of runs in a folder and in its folders, as ``--out runs/first`` makes them, by name."""
    found = (path.parent for pattern in ("*", "*/*") for path in parent.glob(f"{pattern}/{SUMMARY}"))
    return sorted(found, key=lambda folder: (folder.name, str(folder)))


def is_parent(folder: Path) -> bool:
    """Return whether a folder is no run's own, but holds some."""
    return not (folder / SUMMARY).exists() and bool(run_folders(folder))


def value_text(value: Any) -> str:
    """Return a parameter's value as YAML has it, and a dash for none."""
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_labels(
    folders: Sequence[Path], names: Sequence[str], parameters: Mapping[str, Sequence[Any]]
) -> list[str]:
    """Return what to call runs: what was asked for, the same kind of name for all.

    The first that tells all apart: their names (``--name``), the folders they were put into (``--out``), the
    parameters that differ, and otherwise their own folders. `names` and each of `parameters` have one a run.
    """
    parents = [folder.parent.name for folder in folders]
    by_parameter = _parameter_labels(len(folders), parameters)
    own = [folder.name for folder in folders]
    candidates: Iterable[Sequence[str]] = (names, parents, by_parameter, own)
    return list(next((one for one in candidates if _tell_apart(one)), map(str, folders)))


def _tell_apart(labels: Sequence[str]) -> bool:
    return all(labels) and len(set(labels)) == len(labels)


def _parameter_labels(count: int, parameters: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return labels of the first parameters, as few as tell the runs apart; empty ones if they do not."""
    labels: list[str] = [""] * count
    for key, values in list(parameters.items())[:_MOST_KEYS]:
        if any(isinstance(value, list) for value in values):
            return [""] * count
        words = [f"{short_key(key)} {'default' if value is None else value_text(value)}" for value in values]
        labels = [f"{label}, {word}" if label else word for label, word in zip(labels, words, strict=True)]
        if _tell_apart(labels):
            return labels
    return [""] * count


def short_key(key: str) -> str:
    """Return a dotted key for people: ``XRP/USDT gamma`` for ``strategy.symbols.XRP/USDT.gamma``."""
    section, _, rest = key.partition(".")
    symbol, _, name = rest.removeprefix("symbols.").partition(".")
    if section == "strategy" and rest.startswith("symbols.") and name:
        return f"{symbol} {name}"
    return rest if section == "strategy" and rest else key
